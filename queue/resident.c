/*
 * resident - messages coming into memory, being counted, and leaving it.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/state.h"

enum { EVICT_A_TURN = 256 };

/* Mail that is due sooner stays in memory when there is room. */
enum { NEAR_MS = 5000, RESIDENT_ALWAYS = 1024 };

/* ---- making ---- */

enum err resident_route(struct queue *q, const struct record_message *m)
{
    if (m->rcpt_count > q->route_cap) {
        struct destination **wider = reallocarray(q->route_memory, m->rcpt_count, sizeof(*wider));
        if (!wider) return ERR_NO_MEMORY;
        q->route_memory = wider;
        q->route_cap = m->rcpt_count;
    }
    struct cursor c = cursor_over(m->rcpts);
    struct rcpt r;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        uint8_t memory[QUEUE_DESTINATION_BYTES_MAX];
        struct buf name = BUF_OVER(memory);
        if (!rcpt_next(&c, &r)) return ERR_BAD_VALUE;
        q->options.route(q->options.context, m, &r, &name);
        if (name.len == 0) BUF_LIT(&name, "none");
        q->route_memory[i] = destination_make(&q->schedule, buf_bytes(&name));
        if (!q->route_memory[i]) return ERR_NO_MEMORY;
    }
    return cursor_left(&c) == 0 ? ERR_NONE : ERR_BAD_VALUE;
}

enum err resident_make(struct queue *q, const struct record_message *m, struct message **out)
{
    must(m->id.v != 0 && !message_table_find(&q->table, m->id));
    if (m->rcpt_count == 0 || m->rcpt_count > RECIPIENTS_HARD_MAX) return ERR_BAD_VALUE;
    enum err e = resident_route(q, m);
    if (e) return e;
    struct message *made = message_new(m, q->route_memory);
    if (!made) return ERR_NO_MEMORY;
    made->state = MESSAGE_PREPARING;
    schedule_message_in(&q->schedule, made);
    message_table_put(&q->table, made);
    *out = made;
    return ERR_NONE;
}

/* ---- counting ---- */

static void put_fresh(struct queue *q, struct message *m)
{
    struct link *at = q->fresh.prev;
    while (at != &q->fresh && LINK_OF(at, struct message, fresh)->m.id.v > m->m.id.v) at = at->prev;
    link_insert(at, &m->fresh);
}

static uint64_t *audit_of(struct audit *a, uint8_t state)
{
    switch (state) {
    case RCPT_DELIVERED: return &a->delivered;
    case RCPT_BOUNCED: return &a->bounced;
    case RCPT_EXPIRED: return &a->expired;
    case RCPT_REMOVED: return &a->removed;
    default: return NULL;
    }
}

/* count_message - into the sums of the queue, or out of them again. */
static void count_message(struct queue *q, struct message *m, bool in)
{
    uint64_t sign = in ? 1 : UINT64_MAX; /* adding UINT64_MAX takes one away */
    q->messages += sign;
    q->message_bytes += sign * m->m.body_bytes;
    q->held += sign * m->m.held;
    q->audit.accepted += sign * m->m.rcpt_count;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        uint64_t *sum = audit_of(&q->audit, m->rcpts[i].state.state);
        if (sum) *sum += sign;
    }
}

void resident_enter(struct queue *q, struct message *m, bool count)
{
    for (uint32_t i = 0; i < m->leg_count; i++) {
        int64_t n = m->legs[i].queued;
        destination_count(&q->schedule, m->legs[i].destination, count ? n : 0, n);
    }
    if (!count) return;
    count_message(q, m, true);
    put_fresh(q, m);
    if (segments_gain(&q->segments, &m->place)) queue_fail(q, ERR_NO_MEMORY, "cannot count the log's segments");
    resident_dirty(q, m);
}

void resident_leave(struct queue *q, struct message *m)
{
    count_message(q, m, false);
    segments_lose(&q->segments, &m->place);
    for (uint32_t i = 0; i < m->leg_count; i++) {
        int64_t n = m->legs[i].queued;
        destination_count(&q->schedule, m->legs[i].destination, -n, -n);
    }
    schedule_message_out(&q->schedule, m);
    m->leg_count = 0;
    m->state = MESSAGE_GONE;
}

void resident_place(struct queue *q, struct message *m, const struct qlog_place *place, bool in_outcome)
{
    if (segments_gain(&q->segments, place)) queue_fail(q, ERR_NO_MEMORY, "cannot count the log's segments");
    segments_lose(&q->segments, &m->place);
    m->place = *place;
    m->in_outcome = in_outcome;
    resident_dirty(q, m);
}

/* ---- standing ---- */

void resident_notice(struct queue *q, struct message *m)
{
    int64_t when = m->state == MESSAGE_LIVE && !m->noticing ? index_notice(&m->m) : 0;
    if (when == 0) heap_remove(&q->notices, &m->notice);
    else if (heap_put(&q->notices, &m->notice, schedule_mono(&q->schedule, when))) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
}

void resident_schedule(struct queue *q, struct message *m)
{
    for (uint32_t i = 0; i < m->leg_count; i++) {
        if (leg_settle(&q->schedule, &m->legs[i])) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
    }
    resident_notice(q, m);
}

void resident_dirty(struct queue *q, struct message *m)
{
    if (m->dirt == DIRT_TAKEN) m->dirt = DIRT_AGAIN;
    if (m->dirt != DIRT_NONE) return;
    m->dirt = DIRT_DIRTY;
    link_put_last(&q->dirty, &m->dirty);
    q->dirty_count++;
    if (m->state == MESSAGE_LIVE) link_take(&m->queue); /* it was in the list of clean ones */
}

void resident_rcpt_dirty(struct queue *q, struct message *m, uint32_t n)
{
    m->rcpts[n].dirty = true;
    resident_dirty(q, m);
}

/* ---- leaving ---- */

void resident_finish(struct queue *q, struct message *m)
{
    must(m->queued == 0 && m->taken == 0);
    q->messages--;
    q->message_bytes -= m->m.body_bytes;
    q->held -= m->m.held;
    segments_lose(&q->segments, &m->place);
    schedule_message_out(&q->schedule, m);
    m->leg_count = 0;
    heap_remove(&q->notices, &m->notice);
    body_cache_drop(&q->bodies, m);
    if (m->m.body_kind == BODY_FILE) accept_unlink(q, m->m.body_id, q->checkpoint.number + 1);
    link_take(&m->queue);
    m->state = MESSAGE_GONE;
    if (m->indexed) resident_dirty(q, m);
    else resident_drop(q, m);
}

void resident_drop(struct queue *q, struct message *m)
{
    if (m->leg_count > 0) schedule_message_out(&q->schedule, m);
    m->leg_count = 0;
    message_table_take(&q->table, m);
    if (m->dirt == DIRT_DIRTY) q->dirty_count--;
    link_take(&m->queue);
    link_take(&m->dirty);
    link_take(&m->fresh);
    heap_remove(&q->notices, &m->notice);
    body_cache_drop(&q->bodies, m);
    m->hash_next = q->graves;
    q->graves = m;
}

void resident_sweep(struct queue *q)
{
    body_cache_sweep(&q->bodies);
    while (q->graves) {
        struct message *next = q->graves->hash_next;
        message_free(q->graves);
        q->graves = next;
    }
}

bool resident_is_idle(const struct message *m)
{
    return m->state == MESSAGE_LIVE && m->dirt == DIRT_NONE && m->indexed && m->taken == 0 && !m->noticing;
}

void resident_evict(struct queue *q, struct message *m)
{
    must(resident_is_idle(m));
    for (uint32_t i = 0; i < m->leg_count; i++) {
        struct leg *leg = &m->legs[i];
        struct destination *d = leg->destination;
        uint64_t due_ms = leg->place == LEG_READY ? q->now_ms : leg->place == LEG_WAITING ? leg->due.key : UINT64_MAX;
        if (due_ms < d->index_due_ms) d->index_due_ms = due_ms;
        d->cursor = (struct index_queued){.destination = d->id};
        if (d->loading) d->rescan = true;
        destination_count(&q->schedule, d, 0, -(int64_t)leg->queued);
    }
    if (m->notice.place && m->notice.key < q->index_notice_ms) q->index_notice_ms = m->notice.key;
    resident_drop(q, m);
}

/* is_near - something of it can be tried soon. */
static bool is_near(const struct queue *q, const struct message *m)
{
    for (uint32_t i = 0; i < m->leg_count; i++) {
        const struct leg *leg = &m->legs[i];
        if (destination_blocked(&q->schedule, leg->destination)) continue;
        if (leg->place == LEG_READY) return true;
        if (leg->place == LEG_WAITING && leg->due.key < q->now_ms + NEAR_MS) return true;
    }
    return false;
}

/* is_needed - in line, and not far behind in it: evicted now, it would be loaded again at once. */
static bool is_needed(const struct queue *q, const struct message *m)
{
    for (uint32_t i = 0; i < m->leg_count; i++) {
        const struct destination *d = m->legs[i].destination;
        if (m->legs[i].place == LEG_READY && !destination_blocked(&q->schedule, d) && d->ready_legs <= d->window_milli / 1000 + DESTINATION_LOAD_TO) return true;
    }
    return false;
}

void resident_evict_some(struct queue *q)
{
    for (uint32_t i = 0; i < EVICT_A_TURN; i++) {
        struct link *l = link_first(&q->clean);
        if (!l || q->table.count <= (q->resident_max < RESIDENT_ALWAYS ? q->resident_max : RESIDENT_ALWAYS)) return;
        struct message *m = LINK_OF(l, struct message, queue);
        bool evict = resident_is_idle(m) && (q->table.count > q->resident_max ? !is_needed(q, m) : !is_near(q, m));
        if (evict) {
            resident_evict(q, m);
        } else {
            link_take(l);
            link_put_last(&q->clean, l);
        }
    }
}

/* ---- coming back ---- */

static bool fill_notes(struct message *m, const struct index_message *im)
{
    for (uint32_t i = 0; i < im->rcpt_count; i++) {
        struct rcpt_slot *r = &m->rcpts[i];
        r->code = im->rcpts[i].code;
        r->enhanced = im->rcpts[i].enhanced;
        if (!message_set_reason(r, im->rcpts[i].reason)) return false;
    }
    return true;
}

/* reroute - the configuration changed since the index was written: recipients count for other destinations now. */
static void reroute(struct queue *q, struct message *m, const struct index_message *im)
{
    for (uint32_t i = 0; i < im->rcpt_count; i++) {
        struct rcpt_slot *r = &m->rcpts[i];
        struct destination *now = m->legs[r->leg].destination;
        if (r->state.state != RCPT_QUEUED || now->id == im->rcpts[i].destination) continue;
        struct destination *before = destination_find(&q->schedule, im->rcpts[i].destination);
        if (before) destination_count(&q->schedule, before, -1, 0);
        if (before) destination_refresh(&q->schedule, before);
        destination_count(&q->schedule, now, 1, 0);
        resident_rcpt_dirty(q, m, i);
    }
}

enum err resident_adopt(struct queue *q, const struct index_message *im, struct message **out)
{
    *out = message_table_find(&q->table, im->m.id);
    if (*out) return ERR_NONE;
    struct buf states = buf_over(q->runs_memory, RUNS_BYTES_MAX);
    for (uint32_t i = 0; i < im->rcpt_count; i++) {
        if (im->rcpts[i].state.notified > NOTIFY_DELAY) return ERR_CORRUPT;
        record_rcpt_put(&states, &im->rcpts[i].state);
    }
    struct record_message rm = im->m;
    struct message *m;
    rm.rcpt_states = buf_bytes(&states);
    enum err e = resident_make(q, &rm, &m);
    if (e) return e == ERR_BAD_VALUE ? ERR_CORRUPT : e;
    if (!fill_notes(m, im)) {
        resident_drop(q, m);
        return ERR_NO_MEMORY;
    }
    m->state = MESSAGE_LIVE;
    m->indexed = true;
    m->place = im->place;
    m->in_outcome = im->in_outcome;
    link_put_last(&q->clean, &m->queue);
    reroute(q, m, im);
    resident_enter(q, m, false);
    resident_schedule(q, m);
    *out = m;
    return ERR_NONE;
}

enum err resident_get(struct queue *q, struct message_id id, struct message **out)
{
    struct message *m = message_table_find(&q->table, id);
    if (m) {
        *out = m;
        return m->state == MESSAGE_GONE ? ERR_NOT_FOUND : ERR_NONE;
    }
    struct index_view view;
    enum err e = index_view_open(q->index, &view);
    if (e) return e;
    struct arena arena = {0};
    struct index_message im;
    e = index_get(&view, id, &arena, &im);
    index_view_close(&view);
    if (!e) e = resident_adopt(q, &im, out);
    arena_fini(&arena);
    if (e == ERR_CORRUPT) queue_fail(q, e, "the index is damaged");
    return e;
}
