/*
 * acceptor: process card
 *
 * Purpose      Takes connections in, keeps the limits by client and network (at once, and a minute) that several receivers
 *              could not keep, answers their questions about them, and hands each socket to the least loaded receiver; who
 *              has killed one goes to the receiver behind the others, one at a time. Stays up while receivers are replaced.
 * Runs as      _mta-acceptor; empty root, no files.
 * Inherits     control channel, configuration image, log.
 * Talks to     master: LISTENER (with the socket) in. receiver: CLIENT (with the socket), CLIENT_MAY out; CLIENT_CLOSED,
 *              CLIENT_ASK in.
 *              manager: CLIENT_APART, CLIENTS_ASK in; CLIENT_BEHAVED, CLIENT_LOST out.
 * May do       ring: ACCEPT on listening sockets it was handed. getpeername. Writes one line, 421, to who is kept apart and
 *              cannot be served now.
 * Holds        a record a connection (64 octets) and two counts (client, network), for as many as limits { connections }
 *              has and an eighth more; 4 MiB of counts a minute when there is such a limit; up to 256 clients that are
 *              kept apart, and as many that each receiver had when it died.
 * If it dies   Connections in hand go on in their receivers; new ones wait in the kernel until the next acceptor is there.
 *              Its counts start from none.
 * If a peer lies   Client: not one octet of it is read here. Receiver: it can end the count of connections that it was
 *              given, and of no others.
 *
 * With no receiver there, nothing is accepted: clients wait in the kernel's queue instead of being sent away.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/acceptor/acceptor.h"
#include "mta/process/dispatch.h"

static enum err setup(struct process *p)
{
    static struct acceptor acceptor; /* the one of this process */
    struct acceptor *a = &acceptor;
    a->process = p;
    a->config = process_config(p);
    a->ring = process_ring(p);
    process_set_state(p, a);
    enum err e = hand_init(a);
    if (e != ERR_NONE) log_err(LOG_LEVEL_FATAL, "cannot start", BYTES("acceptor"), e);
    return e;
}

/* ---- listening sockets ---- */

static void start(struct acceptor *a, struct place *at)
{
    uint64_t now = process_now_ms(a->process);
    if (at->fd < 0 || at->accepting || now < at->retry_ms) return;
    struct ring_token token = {.kind = TOKEN_ACCEPT, .index = (uint32_t)(at - a->places)};
    if (ring_accept(a->ring, at->fd, token) == ERR_NONE) at->accepting = true;
    else at->retry_ms = now + RETRY_MS;
}

static void stop(struct acceptor *a, struct place *at)
{
    if (!at->accepting || at->stopping) return;
    at->stopping = true;
    ring_unwatch(a->ring, at->fd);
}

/* arrange - accept where that leads anywhere. */
static void arrange(struct acceptor *a)
{
    bool wanted = !process_draining(a->process) && hand_possible(a);
    for (uint32_t i = 0; i < a->place_count; i++) {
        if (wanted) start(a, &a->places[i]);
        else stop(a, &a->places[i]);
    }
}

static void on_accept_end(struct acceptor *a, struct place *at, int error_number)
{
    bool stopped = at->stopping;
    at->accepting = at->stopping = false;
    if (stopped) return;
    at->retry_ms = process_now_ms(a->process) + RETRY_MS;
    log_err(LOG_LEVEL_WARNING, "accepting connections failed; trying again", (struct bytes){0}, err_from_errno(error_number));
}

static void on_event(struct process *p, const struct ring_event *e)
{
    struct acceptor *a = acceptor_of(p);
    must(e->type == RING_ACCEPTED && e->token.index < a->place_count);
    struct place *at = &a->places[e->token.index];
    if (e->result < 0) on_accept_end(a, at, -e->result);
    else if (process_draining(p)) (void)close(e->result);
    else hand_socket(a, at, e->result);
}

static void turn(struct process *p)
{
    arrange(acceptor_of(p));
}

static uint64_t deadline(struct process *p)
{
    struct acceptor *a = acceptor_of(p);
    uint64_t earliest = UINT64_MAX;
    if (process_draining(p) || !hand_possible(a)) return earliest;
    for (uint32_t i = 0; i < a->place_count; i++) {
        if (a->places[i].fd >= 0 && !a->places[i].accepting && a->places[i].retry_ms < earliest) earliest = a->places[i].retry_ms;
    }
    return earliest;
}

static void on_channel_gone(struct process *p, struct ipc_channel *c)
{
    if (ipc_peer(c) == ROLE_RECEIVER) hand_receiver_gone(acceptor_of(p), c);
}

static void configured(struct process *p)
{
    acceptor_of(p)->config = process_config(p);
}

/* drain - what the kernel has handed out already was closed; the listening sockets go when the ring is done with them. */
static bool drain(struct process *p, bool time_is_up)
{
    struct acceptor *a = acceptor_of(p);
    bool idle = true;
    for (uint32_t i = 0; i < a->place_count; i++) {
        struct place *at = &a->places[i];
        if (at->fd < 0) continue;
        if (ring_is_idle(a->ring, at->fd)) {
            ring_close(a->ring, at->fd);
            at->fd = -1;
        } else {
            idle = false;
        }
    }
    return idle || time_is_up;
}

/* ---- messages ---- */

void acceptor_on_listener(struct process *p, struct ipc_channel *from, const struct ipc_listener *m, int fd)
{
    (void)from;
    struct acceptor *a = acceptor_of(p);
    if (m->listener >= a->config->listeners.count || a->place_count == LISTENERS_MAX || process_draining(p)) {
        log_text(LOG_LEVEL_ERROR,
                 "a listening socket is not used: the configuration has no such listener, or there are too many");
        (void)close(fd);
        return;
    }
    /* Accepted sockets inherit it: replies are sent whole, so there is nothing to wait for. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    a->places[a->place_count++] = (struct place){.fd = fd, .listener = m->listener, .address = m->address};
}

void acceptor_on_client_closed(struct process *p, struct ipc_channel *from, const struct ipc_client_closed *m, int fd)
{
    (void)fd;
    hand_closed(acceptor_of(p), ipc_peer_index(from), m);
}

PROCESS_DISPATCH(acceptor)

const struct role role_acceptor = {
    .id = ROLE_ACCEPTOR,
    .ring = {.entries = 256, .descriptors_max = ACCEPTOR_DESCRIPTORS_MAX, .accepts = true},
    .memory_bytes = 1024ULL * 1024 * 1024,
    .setup = setup,
    .event = on_event,
    .turn = turn,
    .deadline = deadline,
    .message = acceptor_message,
    .channel_gone = on_channel_gone,
    .configured = configured,
    .drain = drain,
};
