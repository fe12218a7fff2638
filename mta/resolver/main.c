/*
 * resolver
 *
 * Purpose      Answers the manager's "where does mail for this domain go", and the receivers' "what is this client called".
 * Runs as      _mta-resolver; one process, one thread
 * Inherits     control channel, configuration, log
 * Talks to     manager: LOOKUP in, ANSWER out      receiver: CLIENT_NAME, NAME_ASK in, CLIENT_NAMED, NAME_SAID out
 * May do       UDP and TCP sockets to name servers; no file (trust anchor, /etc/hosts and settings are read before lock-down)
 * Holds        the cache of libunbound (48 MiB), LOOKUPS_MAX and NAMINGS_MAX questions
 * Exceptions   libunbound allocates and opens sockets after lock-down
 * If it dies   what was asked is asked again; the cache is lost
 * If a peer lies  name servers may say anything: libunbound reads it first, then our own bounded parser; a name that no host can have is left out
 */
#include <stdlib.h>

#include "base/log.h"
#include "mta/process/dispatch.h"
#include "mta/resolver/resolver.h"

PROCESS_DISPATCH(resolver)

enum { RESOLVER_TOKEN_EVENTS = PROCESS_TOKEN_ROLE_FIRST, RESOLVER_DESCRIPTORS = 4096 };

static struct resolver *state_of(struct process *p) { return process_state(p); }

void resolver_on_lookup(struct process *p, struct ipc_channel *from, const struct ipc_lookup *m, int fd)
{
    (void)fd;
    if (m->name.len == 0 || (m->kind != LOOKUP_MX && m->kind != LOOKUP_ADDRESS)) {
        process_violation(p, from, "a LOOKUP for nothing");
        return;
    }
    lookup_begin(state_of(p), m, ipc_peer_epoch(from));
}

void resolver_on_name_ask(struct process *p, struct ipc_channel *from, const struct ipc_name_ask *m, int fd)
{
    (void)fd;
    if (m->name.len == 0 || m->name.len > DNS_NAME_BYTES_MAX || (m->kind != LOOKUP_MX && m->kind != LOOKUP_ADDRESS)) {
        process_violation(p, from, "a question for nothing");
        return;
    }
    lookup_begin_for_rules(state_of(p), m, ipc_peer_index(from), ipc_peer_epoch(from));
}

void resolver_on_client_name(struct process *p, struct ipc_channel *from, const struct ipc_client_name *m, int fd)
{
    (void)fd;
    naming_begin(state_of(p), from, m);
}

static enum err setup(struct process *p)
{
    static struct resolver r;
    r.process = p;
    r.config = process_config(p);
    process_set_state(p, &r);
    r.lookings = calloc(LOOKUPS_MAX, sizeof *r.lookings);
    r.namings = calloc(NAMINGS_MAX, sizeof *r.namings);
    if (!r.lookings || !r.namings || heap_init(&r.looking_timers, LOOKUPS_MAX) != ERR_NONE || heap_init(&r.naming_timers, NAMINGS_MAX) != ERR_NONE)
        process_fatal(p, PROCESS_EXIT_FAILED, "the resolver's tables", BYTES("memory"), ERR_NO_MEMORY);
    int epoll_fd = -1;
    struct ub_event_base *base = events_open(&epoll_fd);
    if (!base) process_fatal(p, PROCESS_EXIT_FAILED, "the resolver's events", BYTES("epoll"), ERR_SYSTEM);
    fastopen_replace();
    etc_hosts_read();
    self_learn(&r);
    r.unbound = unbound_open(p, base);
    struct ring_token token = {.kind = RESOLVER_TOKEN_EVENTS};
    return ring_watch(process_ring(p), epoll_fd, token);
}

static void event(struct process *p, const struct ring_event *e)
{
    (void)p;
    (void)e; /* turn() runs what is ready */
}

static void turn(struct process *p)
{
    struct resolver *r = state_of(p);
    uint64_t now = process_now_ms(p);
    if (!events_run(now)) process_wake(p);
    lookup_timers(r, now);
    naming_timers(r, now);
}

static uint64_t earlier(uint64_t at, const struct heap *h)
{
    const struct heap_node *first = heap_first(h);
    return first && first->key < at ? first->key : at;
}

static uint64_t deadline(struct process *p)
{
    const struct resolver *r = state_of(p);
    return earlier(earlier(events_deadline(), &r->looking_timers), &r->naming_timers);
}

static void channel(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c; /* questions of a peer that is gone end without an answer: epochs tell */
}

const struct role role_resolver = {
    .id = ROLE_RESOLVER,
    .plain_engine = true,
    .ring = {.entries = 256, .descriptors_max = RESOLVER_DESCRIPTORS},
    .setup = setup,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = resolver_message,
    .channel_open = channel,
    .channel_gone = channel,
};
