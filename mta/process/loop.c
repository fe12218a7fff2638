/*
 * loop - one turn after the other: wait, collect, receive in batches, let the role step, flush once.
 *
 * Channels are watched edge-triggered: a place stays `readable` until a batch comes back short. What a role sends is queued and written at the end of
 * the turn, so that a turn costs one sendmmsg() a peer, however many messages it makes.
 */
#include <stddef.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/process/state.h"

enum {
    EVENTS_MAX = 256,      /* completions a turn */
    BATCHES_MAX = 8,       /* of IPC_BATCH records from one peer in a turn, so that none keeps the others waiting */
    LAST_WORDS_MS = 1000,  /* for the channel to the master to take DRAINED */
};

static struct ring_event events[EVENTS_MAX];

static struct ring_token token_of(const struct process *p, const struct place *place)
{
    return (struct ring_token){PROCESS_TOKEN_CHANNEL, place->generation & 0xffffff, (uint32_t)(place - p->places)};
}

static struct place *place_of(struct process *p, enum ipc_role role, uint16_t index)
{
    return role < ROLE_COUNT && index < p->role_places[role] ? &p->places[p->first_place[role] + index] : NULL;
}

static struct ipc_channel *master(struct process *p)
{
    return p->places[0].channel;
}

/* must_reach_master - a channel to the master that cannot take a line of ours leaves us blind and unwatched. */
static void must_reach_master(struct process *p, enum err e)
{
    if (e != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "the channel to the master is unusable", bytes_of_cstr(ipc_role_name(p->role->id)), e);
}

/* ---- channels come and go ---- */

static void open_place(struct process *p, struct place *place, uint32_t epoch, int fd)
{
    struct ipc_options options = {.self = p->role->id, .peer = place->role, .peer_index = place->index, .peer_epoch = epoch,
        .write_only = p->role->id == ROLE_RECEIVER || p->role->id == ROLE_DELIVER};
    must_reach_master(p, ipc_open(&place->channel, fd, &options)); /* cannot fail: the memory was reserved */
    place->generation++;
    place->readable = p->wake = true;
    place->blocked = place->broken = false;
    enum err e = ring_watch(p->ring, fd, token_of(p, place));
    if (e != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "cannot watch a channel", bytes_of_cstr(ipc_role_name(place->role)), e);
    if (p->role->channel_open != NULL) p->role->channel_open(p, place->channel);
}

static void close_place(struct process *p, struct place *place)
{
    struct ipc_channel *c = place->channel;
    place->broken = true; /* process_channel() gives it out no more */
    if (p->role->channel_gone != NULL) p->role->channel_gone(p, c);
    place->channel = NULL;
    place->readable = place->blocked = false;
    int fd = ipc_detach(c);
    ring_unwatch(p->ring, fd);
    ring_close(p->ring, fd);
    if (!place->has_next) return;
    place->has_next = false;
    open_place(p, place, place->next_epoch, place->next_fd);
}

void process_violation(struct process *p, struct ipc_channel *c, const char *why)
{
    struct place *place = place_of(p, ipc_peer(c), ipc_peer_index(c));
    must(place != NULL && place->channel == c);
    struct buf *line = log_begin(LOG_LEVEL_ERROR);
    BUF_LIT(line, "error: ipc_violation: peer=");
    buf_put_cstr(line, ipc_role_name(place->role));
    BUF_LIT(line, "/");
    buf_put_u64(line, place->index);
    BUF_LIT(line, " reason=");
    buf_put_cstr(line, why);
    log_end();
    if (place->role == ROLE_MASTER) must_reach_master(p, ERR_BAD_VALUE);
    if (place->broken) return;
    place->broken = true;
    struct ipc_violation m = {(uint8_t)place->role, place->index, ipc_peer_epoch(c)};
    must_reach_master(p, ipc_send_violation(master(p), &m, -1));
}

/* ---- what the master says ---- */

static void on_peer(struct process *p, const struct ipc_peer *m, int fd)
{
    struct place *place = m->role == ROLE_MASTER ? NULL : place_of(p, (enum ipc_role)m->role, m->index);
    if (place == NULL) must_reach_master(p, ERR_BAD_VALUE);
    if (place->channel == NULL) {
        open_place(p, place, m->epoch, fd);
        return;
    }
    /* The successor is here before the end of the dead one was seen; what that one said last may be results. */
    if (place->has_next) close(place->next_fd);
    place->has_next = true;
    place->next_fd = fd;
    place->next_epoch = m->epoch;
    place->readable = true;
}

static void on_log_to(struct process *p, int fd)
{
    log_flush();
    log_set_fd(fd);
    close(p->log_fd);
    p->log_fd = fd;
}

static void on_drain(struct process *p, uint64_t within_ms)
{
    p->draining = true;
    p->drain_until_ms = p->now_ms + within_ms;
    p->wake = true;
}

/* on_config - go over to a new image. One before the last that is not the first is used by nobody any more. */
static enum err on_config(struct process *p, int fd)
{
    const struct config *next, *before = p->config;
    enum err e = config_map(fd, &next);
    close(fd);
    if (e != ERR_NONE) return e;
    if (!config_same_shape(next, before)) return ERR_BAD_VALUE;
    p->config = next;
    if (p->role->configured != NULL) p->role->configured(p);
    if (before != p->first_config) config_unmap(before);
    return ERR_NONE;
}

/* on_master - messages to ANY role. false = not one of them: the role's own. */
static bool on_master(struct process *p, const struct ipc_record *record, enum err *e)
{
    union {
        struct ipc_peer peer;
        struct ipc_ping ping;
        struct ipc_drain drain;
        struct ipc_log_to log_to;
        struct ipc_died died;
        struct ipc_box box;
        struct ipc_config config;
    } m;
    switch (record->type) {
    case IPC_PEER:
        *e = ipc_decode_peer(record->body, &m.peer);
        if (*e == ERR_NONE) on_peer(p, &m.peer, record->fd);
        return true;
    case IPC_PING:
        *e = ipc_decode_ping(record->body, &m.ping);
        if (*e == ERR_NONE) *e = ipc_send_pong(master(p), &(struct ipc_pong){m.ping.number}, -1);
        return true;
    case IPC_DRAIN:
        *e = ipc_decode_drain(record->body, &m.drain);
        if (*e == ERR_NONE) on_drain(p, m.drain.within_ms);
        return true;
    case IPC_LOG_TO:
        *e = ipc_decode_log_to(record->body, &m.log_to);
        if (*e == ERR_NONE) on_log_to(p, record->fd);
        return true;
    case IPC_DIED:
        *e = ipc_decode_died(record->body, &m.died);
        if (*e == ERR_NONE && p->role->died != NULL) p->role->died(p, &m.died);
        return true;
    case IPC_BOX:
        *e = ipc_decode_box(record->body, &m.box);
        if (*e == ERR_NONE && p->role->box != NULL) p->role->box(p, &m.box, record->fd);
        else close(record->fd);
        return true;
    case IPC_CONFIG:
        *e = ipc_decode_config(record->body, &m.config);
        if (*e == ERR_NONE) *e = on_config(p, record->fd);
        return true;
    default:
        return false;
    }
}

/* ---- a turn ---- */

static void handle(struct process *p, struct place *place, const struct ipc_record *record)
{
    struct ipc_channel *from = place->channel;
    if (place->role == ROLE_MASTER) {
        enum err e = ERR_NONE;
        if (on_master(p, record, &e)) {
            must_reach_master(p, e);
            return;
        }
    }
    if (p->role->message(p, from, record)) return;
    if (record->fd >= 0) close(record->fd);
    process_violation(p, from, "malformed message");
}

/* receive_batch - records of one peer; false when there is nothing more now. */
static bool receive_batch(struct process *p, struct place *place)
{
    struct ipc_record records[IPC_BATCH];
    enum err e;
    struct ipc_channel *from = place->channel;
    uint32_t count = ipc_receive(from, records, IPC_BATCH, &e);
    for (uint32_t i = 0; i < count; i++) {
        if (!place->broken) handle(p, place, &records[i]);
        else if (records[i].fd >= 0) close(records[i].fd);
    }
    if (e == ERR_GONE) {
        if (place->role == ROLE_MASTER) process_fatal(p, PROCESS_EXIT_FAILED, "the master is gone", BYTES(""), ERR_GONE);
        place->broken = true;
    } else if (e != ERR_NONE && !place->broken) {
        process_violation(p, from, err_text(e));
    }
    if (!place->broken) return count == IPC_BATCH;
    close_place(p, place);
    return place->readable; /* a successor may have come in */
}

static void receive_all(struct process *p)
{
    for (uint32_t i = 0; i < p->place_count; i++) {
        struct place *place = &p->places[i];
        for (uint32_t batch = 0; place->readable; batch++) {
            if (batch == BATCHES_MAX) {
                p->wake = true;
                break;
            }
            place->readable = receive_batch(p, place);
        }
    }
}

static void flush_all(struct process *p)
{
    for (uint32_t i = 0; i < p->place_count; i++) {
        struct place *place = &p->places[i];
        if (place->channel != NULL && place->broken) close_place(p, place);
        if (place->channel == NULL || place->blocked || ipc_waiting_bytes(place->channel) == 0) continue;
        /* A peer that is gone is noticed where its last records are read. */
        if (ipc_flush(place->channel) != ERR_NONE || ipc_waiting_bytes(place->channel) == 0) continue;
        place->blocked = ring_await_writable(p->ring, ipc_fd(place->channel), token_of(p, place)) == ERR_NONE;
        if (!place->blocked) p->wake = true; /* no room to ask: try again soon */
    }
}

static void on_channel_event(struct process *p, const struct ring_event *e)
{
    must(e->token.index < p->place_count);
    struct place *place = &p->places[e->token.index];
    if (place->channel == NULL || (place->generation & 0xffffff) != e->token.generation) return; /* of a channel that is closed */
    if (e->result & (RING_READABLE | RING_HANGUP)) place->readable = true;
    if (e->result & (RING_WRITABLE | RING_HANGUP)) place->blocked = false;
}

static uint64_t timeout_ms(struct process *p)
{
    if (p->wake) return 0;
    uint64_t at = p->role->deadline != NULL ? p->role->deadline(p) : UINT64_MAX;
    if (p->draining && p->drain_until_ms < at) at = p->drain_until_ms;
    uint64_t now = clock_mono_ms();
    return at == UINT64_MAX ? UINT64_MAX : at > now ? at - now : 0;
}

static void collect(struct process *p, uint64_t wait_ms)
{
    p->wake = false;
    uint32_t count = ring_wait(p->ring, events, EVENTS_MAX, wait_ms);
    p->now_ms = clock_mono_ms();
    p->now_wall_us = clock_wall_us();
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].token.kind == PROCESS_TOKEN_CHANNEL) on_channel_event(p, &events[i]);
        else if (p->role->event != NULL) p->role->event(p, &events[i]);
    }
}

/* last_words - everything queued goes out, then the master hears that we are done. */
static int last_words(struct process *p, bool finished)
{
    must_reach_master(p, ipc_send_drained(master(p), &(struct ipc_drained){finished ? 0 : 1}, -1));
    uint64_t until = clock_mono_ms() + LAST_WORDS_MS;
    for (;;) {
        flush_all(p);
        uint32_t waiting = 0;
        for (uint32_t i = 0; i < p->place_count; i++) waiting += p->places[i].blocked;
        if (waiting == 0 || clock_mono_ms() >= until) break;
        collect(p, 50);
    }
    log_flush();
    return PROCESS_EXIT_OK;
}

static void say_ready(struct process *p)
{
    enum err e = ring_watch(p->ring, PROCESS_CONTROL_FD, token_of(p, &p->places[0]));
    must_reach_master(p, e);
    p->places[0].readable = true;
    struct ipc_ready m = {.list_hash = ipc_list_hash(), .layers = p->layers, .engine = (uint8_t)ring_engine_of(p->ring)};
    must_reach_master(p, ipc_send_ready(master(p), &m, -1));
    must_reach_master(p, ipc_flush(master(p)));
}

int process_loop(struct process *p)
{
    say_ready(p);
    p->wake = true;
    for (;;) {
        collect(p, timeout_ms(p));
        receive_all(p);
        if (p->role->turn != NULL) p->role->turn(p);
        if (p->draining) {
            bool time_is_up = p->now_ms >= p->drain_until_ms;
            bool finished = p->role->drain == NULL || p->role->drain(p, time_is_up);
            if (finished || time_is_up) return last_words(p, finished);
        }
        flush_all(p);
        log_flush();
    }
}
