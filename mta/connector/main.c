/*
 * connector
 *
 * Purpose      The door out: makes, binds, checks and connects sockets; hands each to the worker that is to use it.
 * Runs as      _mta-connector; one process
 * Inherits     control channel, configuration, log
 * Talks to     manager: CONNECT, CONNECT_CANCEL in; CONNECTED, FAILED out      deliver: SOCKET out      master: UNIX_ASK out, UNIX_MADE in
 * May do       TCP sockets, to the ports that the configuration names; never reads a byte from one. Unix sockets of routes are made by the master
 * Holds        connections being made (RACES_MAX), this machine's addresses
 * If it dies   what was being connected is asked for again; sockets that workers have are theirs
 * If a peer lies  the manager may ask for nothing but addresses that the configuration's rules allow
 */
#include <stdlib.h>

#include "base/must.h"
#include "mta/connector/connector.h"
#include "mta/ipc/hosts.h"
#include "mta/process/dispatch.h"

PROCESS_DISPATCH(connector)

static struct connector *state_of(struct process *p) { return process_state(p); }

void connector_on_connect(struct process *p, struct ipc_channel *from, const struct ipc_connect *m, int fd)
{
    (void)fd;
    struct connector *c = state_of(p);
    if (m->route >= c->config->routes.count) {
        process_violation(p, from, "a CONNECT for a route that there is not");
        return;
    }
    race_begin(c, m);
}

void connector_on_connect_cancel(struct process *p, struct ipc_channel *from, const struct ipc_connect_cancel *m, int fd)
{
    (void)from;
    (void)fd;
    race_cancel(state_of(p), m->connection);
}

void connector_on_unix_made(struct process *p, struct ipc_channel *from, const struct ipc_unix_made *m, int fd)
{
    (void)from;
    race_unix(state_of(p), m, fd);
}

static enum err setup(struct process *p)
{
    static struct connector c;
    c.process = p;
    c.config = process_config(p);
    process_set_state(p, &c);
    c.races = calloc(RACES_MAX, sizeof *c.races);
    if (!c.races || heap_init(&c.timers, RACES_MAX) != ERR_NONE)
        process_fatal(p, PROCESS_EXIT_FAILED, "the table of connections", BYTES("memory"), ERR_NO_MEMORY);
    for (uint32_t i = 0; i < RACES_MAX; i++) c.free[c.free_count++] = RACES_MAX - 1 - i;
    policy_own_addresses(&c);
    return ERR_NONE;
}

static void configured(struct process *p)
{
    state_of(p)->config = process_config(p);
}

static void event(struct process *p, const struct ring_event *e)
{
    if (e->token.kind == CONNECTOR_TOKEN_SOCKET) race_ready(state_of(p), e);
}

static void turn(struct process *p) { race_timers(state_of(p)); }

static uint64_t deadline(struct process *p)
{
    const struct heap_node *first = heap_first(&state_of(p)->timers);
    return first ? first->key : UINT64_MAX;
}

static void channel_open(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

static void channel_gone(struct process *p, struct ipc_channel *c)
{
    if (ipc_peer(c) == ROLE_MANAGER) race_end_all(state_of(p)); /* nobody would count them */
}

const struct role role_connector = {
    .id = ROLE_CONNECTOR,
    .plain_engine = true,
    .ring = {.entries = 1024, .descriptors_max = RACES_MAX * RACE_SOCKETS_MAX + 256},
    .setup = setup,
    .configured = configured,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = connector_message,
    .channel_open = channel_open,
    .channel_gone = channel_gone,
};
