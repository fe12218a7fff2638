/*
 * control
 *
 * Purpose      Answers mtactl: who asks, what they may, one request line a connection; rows of JSON come from the manager, slice by slice.
 * Runs as      _mta-control; one process
 * Inherits     control channel, configuration, log
 * Talks to     master: CONTROL_LISTENER, ROLE_STATE, RELOADED in; RELOAD out      manager: ADMIN out; ADMIN_ROW, ADMIN_END in
 *              tables: TABLE_LOOKUP out; TABLE_FOUND in. receiver: EXPLAIN out; EXPLAINED in
 * May do       accept on the socket it is given, receive, send; no file, no other socket
 * Holds        CLIENTS_MAX clients, each with the memory of one slice; what the master says of the processes
 * If it dies   mtactl is told that nobody answers; mail is not touched
 * If a peer lies  a client can say one line, which is judged word by word; rows of the manager are passed on unread
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/control/control.h"
#include "mta/process/dispatch.h"

enum { RECEIVE_BUFFERS = 64, RECEIVE_BUFFER_BYTES = 4096 };

PROCESS_DISPATCH(control)

void control_on_control_listener(struct process *p, struct ipc_channel *from, const struct ipc_control_listener *m, int fd)
{
    (void)from;
    (void)m;
    struct control *c = control_of(p);
    if (c->listener >= 0) {
        close(fd);
        return;
    }
    c->listener = fd;
}

void control_on_role_state(struct process *p, struct ipc_channel *from, const struct ipc_role_state *m, int fd)
{
    (void)from;
    (void)fd;
    status_note(control_of(p), m);
}

static enum err setup(struct process *p)
{
    static struct control state;
    struct control *c = &state;
    c->process = p;
    c->config = process_config(p);
    c->ring = process_ring(p);
    c->listener = -1;
    c->next_request = 1;
    process_set_state(p, c);
    uint8_t *memory = malloc((size_t)CLIENTS_MAX * CLIENT_OUT_BYTES);
    if (!memory) process_fatal(p, PROCESS_EXIT_FAILED, "places for clients of the control socket", BYTES("memory"), ERR_NO_MEMORY);
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        c->clients[i].index = i;
        c->clients[i].out = buf_over(memory + (size_t)i * CLIENT_OUT_BYTES, CLIENT_OUT_BYTES);
    }
    rights_prepare(c);
    return ERR_NONE;
}

static void event(struct process *p, const struct ring_event *e)
{
    struct control *c = control_of(p);
    if (e->token.kind != CONTROL_TOKEN_LISTENER) {
        client_event(c, e);
    } else if (e->result < 0) {
        c->accepting = false; /* asked for again in the turn */
    } else if (process_draining(p)) {
        close(e->result);
    } else {
        client_accepted(c, e->result);
    }
}

static void turn(struct process *p)
{
    struct control *c = control_of(p);
    if (c->listener >= 0 && !c->accepting && !process_draining(p))
        c->accepting = ring_accept(c->ring, c->listener, (struct ring_token){.kind = CONTROL_TOKEN_LISTENER}) == ERR_NONE;
    clients_turn(c);
}

static uint64_t deadline(struct process *p) { return clients_deadline(control_of(p)); }

static void configured(struct process *p)
{
    control_of(p)->config = process_config(p);
}

static void channel_open(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

static void channel_gone(struct process *p, struct ipc_channel *c)
{
    if (ipc_peer(c) == ROLE_MANAGER) requests_manager_gone(control_of(p));
    if (ipc_peer(c) == ROLE_TABLES) tables_gone(control_of(p));
    if (ipc_peer(c) == ROLE_RECEIVER) explain_receiver_gone(control_of(p), ipc_peer_index(c));
}

static bool drain(struct process *p, bool time_is_up) { return time_is_up || clients_idle(control_of(p)); }

const struct role role_control = {
    .id = ROLE_CONTROL,
    .plain_engine = true,
    .ring = {.receive_buffers = RECEIVE_BUFFERS, .receive_buffer_bytes = RECEIVE_BUFFER_BYTES, .sends = true, .accepts = true},
    .setup = setup,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = control_message,
    .channel_open = channel_open,
    .channel_gone = channel_gone,
    .configured = configured,
    .drain = drain,
};
