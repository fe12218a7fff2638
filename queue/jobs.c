/*
 * jobs - giving out mail: destinations in turn, recipients in hand, notices.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/state.h"

/* ---- destinations ---- */

uint64_t queue_next_destination(struct queue *q, uint64_t now_ms, int64_t now_wall_us)
{
    queue_time(q, now_ms, now_wall_us);
    if (q->fault) return 0;
    schedule_turn(&q->schedule);
    const struct destination *d = schedule_next(&q->schedule);
    return d ? d->id : 0;
}

void queue_destination_wait(struct queue *q, uint64_t destination, uint64_t until_ms)
{
    struct destination *d = destination_find(&q->schedule, destination);
    if (!d) return;
    d->wait_until_ms = until_ms;
    destination_refresh(&q->schedule, d);
}

static void show(const struct destination *d, struct queue_destination *out)
{
    *out = (struct queue_destination){.id = d->id,
                                      .name = destination_name(d),
                                      .connections = d->connections,
                                      .concurrency = d->window_milli / 1000,
                                      .in_flight = d->in_flight,
                                      .due_count = d->open,
                                      .total_count = d->total,
                                      .backoff_until_wall_s = d->backoff_until_wall_s,
                                      .failures = d->failures,
                                      .suspended = d->suspended,
                                      .reason = destination_reason(d)};
}

bool queue_destination(const struct queue *q, uint64_t id, struct queue_destination *out)
{
    const struct destination *d = destination_find(&q->schedule, id);
    if (d) show(d, out);
    return d != NULL;
}

bool queue_destinations(struct queue *q, uint64_t *cursor, struct queue_destination *out)
{
    const struct link *all = &q->schedule.all;
    const struct destination *d = destination_find(&q->schedule, *cursor);
    struct link *l = d ? link_after(all, &d->all) : link_first(all);
    while (l && LINK_OF(l, struct destination, all)->id <= *cursor) l = link_after(all, l);
    if (!l) return false;
    d = LINK_OF(l, struct destination, all);
    *cursor = d->id;
    show(d, out);
    return true;
}

void queue_destination_connections(struct queue *q, uint64_t id, uint32_t connections)
{
    struct destination *d = destination_find(&q->schedule, id);
    if (!d) return;
    d->connections = connections;
    destination_refresh(&q->schedule, d);
}

void queue_site_ok(struct queue *q, uint64_t destination)
{
    struct destination *d = destination_find(&q->schedule, destination);
    if (d) destination_ok(&q->schedule, d);
}

void queue_site_failed(struct queue *q, uint64_t destination, struct bytes reason, int64_t now_wall_us)
{
    queue_time(q, q->now_ms, now_wall_us);
    struct destination *d = destination_find(&q->schedule, destination);
    if (d) destination_failed(&q->schedule, d, retry_wait_ms(&q->retry, d->failures + 1, queue_random(q)), reason);
}

enum err queue_suspend(struct queue *q, struct bytes name, bool suspend, struct bytes reason)
{
    if (name.len == 0 || name.len > QUEUE_DESTINATION_BYTES_MAX) return ERR_BAD_VALUE;
    struct destination *d = suspend ? destination_make(&q->schedule, name) : destination_find_name(&q->schedule, name);
    if (!d) return suspend ? ERR_NO_MEMORY : ERR_NOT_FOUND;
    if (!destination_set_reason(d, suspend ? reason : (struct bytes){0})) return ERR_NO_MEMORY;
    if (d->suspended != suspend) q->schedule.suspended_count += suspend ? 1 : UINT32_MAX;
    d->suspended = suspend;
    if (!suspend) {
        d->failures = 0;
        d->backoff_until_ms = 0;
        d->backoff_until_wall_s = 0;
    }
    destination_dirty(&q->schedule, d);
    destination_refresh(&q->schedule, d);
    q->checkpoint.wanted = true; /* no record tells of it */
    return ERR_NONE;
}

/* ---- jobs ---- */

static bool can_take(const struct queue *q, const struct message *m, uint32_t n)
{
    const struct rcpt_slot *r = &m->rcpts[n];
    return r->state.state == RCPT_QUEUED && !r->taken && r->state.due_wall_s <= q->now_wall_us / 1000000;
}

/* longest_gap - the longest run of places in the leg's slice whose recipients are in no job: only these may change their place. */
static void longest_gap(const struct message *m, const struct leg *leg, uint32_t *first, uint32_t *count)
{
    uint32_t run = 0;
    *first = *count = 0;
    for (uint32_t i = 0; i < leg->count; i++) {
        run = m->rcpts[m->order[leg->first + i]].taken ? 0 : run + 1;
        if (run <= *count) continue;
        *count = run;
        *first = leg->first + i + 1 - run;
    }
}

/* gather - bring recipients that can be taken together at `first`; at most `most`. Returns how many. */
static uint32_t gather(const struct queue *q, struct message *m, const struct leg *leg, uint32_t first, uint32_t most)
{
    uint32_t n = 0;
    for (uint32_t i = leg->first; i < leg->first + leg->count && n < most; i++) {
        if (i < first + n && i >= first) continue;
        if (!can_take(q, m, m->order[i])) continue;
        uint32_t other = m->order[first + n];
        m->order[first + n++] = m->order[i];
        m->order[i] = other;
    }
    return n;
}

static void take(struct queue *q, struct message *m, struct leg *leg, uint32_t first, uint32_t count)
{
    uint32_t head = m->order[first];
    for (uint32_t i = 0; i < count; i++) {
        struct rcpt_slot *r = &m->rcpts[m->order[first + i]];
        must(!r->taken);
        r->taken = true;
        r->job_head = head;
    }
    m->rcpts[head].job_left = count;
    leg->taken += count;
    m->taken += count;
    q->taken += count;
}

bool queue_job_take(struct queue *q, uint64_t destination, uint32_t rcpts_max, struct queue_job *job)
{
    struct destination *d = destination_find(&q->schedule, destination);
    must(rcpts_max > 0);
    if (!d || destination_blocked(&q->schedule, d)) return false;
    struct link *l = link_first(&d->ready);
    if (!l) return false;
    struct leg *leg = LINK_OF(l, struct leg, ready);
    struct message *m = leg->message;
    uint32_t first, room;
    longest_gap(m, leg, &first, &room);
    uint32_t count = gather(q, m, leg, first, rcpts_max < room ? rcpts_max : room);
    if (count == 0) { /* the wall clock went back since it became ready */
        if (leg_settle(&q->schedule, leg)) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
        return false;
    }
    take(q, m, leg, first, count);
    *job = (struct queue_job){.destination = d->id,
                              .destination_name = destination_name(d),
                              .id = m->m.id,
                              .message = &m->m,
                              .rcpt_count = count,
                              .rcpts = &m->order[first],
                              .queued_wall_us = m->m.arrival_wall_us,
                              .active_ms = leg->active_ms};
    d->in_flight++;
    if (leg_settle(&q->schedule, leg)) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
    return true;
}

/* ---- notices ---- */

/* fill_notice - queued recipients that are not in hand. */
static bool fill_notice(struct queue *q, const struct message *m, struct queue_notice *n)
{
    if (m->m.rcpt_count > q->notice_cap) {
        uint32_t *wider = reallocarray(q->notice_memory, m->m.rcpt_count, sizeof(*wider));
        if (!wider) return false;
        q->notice_memory = wider;
        q->notice_cap = m->m.rcpt_count;
    }
    int64_t now_s = q->now_wall_us / 1000000;
    *n = (struct queue_notice){.id = m->m.id, .message = &m->m, .rcpts = q->notice_memory, .expired = m->m.expire_wall_s > 0 && m->m.expire_wall_s <= now_s};
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        if (m->rcpts[i].state.state == RCPT_QUEUED && !m->rcpts[i].taken) q->notice_memory[n->rcpt_count++] = i;
    }
    return n->rcpt_count > 0;
}

static void take_expired(struct queue *q, struct message *m, const struct queue_notice *n)
{
    for (uint32_t i = 0; i < n->rcpt_count; i++) {
        struct rcpt_slot *r = &m->rcpts[n->rcpts[i]];
        r->taken = true;
        r->job_head = RCPT_NO_JOB;
        m->legs[r->leg].taken++;
        m->taken++;
        q->taken++;
    }
    for (uint32_t i = 0; i < m->leg_count; i++) {
        if (leg_settle(&q->schedule, &m->legs[i])) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
    }
}

bool queue_next_notice(struct queue *q, struct queue_notice *n, int64_t now_wall_us)
{
    enum { LATER_MS = 10000 };
    struct heap_node *first;
    queue_time(q, q->now_ms, now_wall_us);
    while (!q->fault && (first = heap_first(&q->notices)) && first->key <= q->now_ms) {
        struct message *m = LINK_OF(first, struct message, notice);
        heap_remove(&q->notices, first);
        bool early = index_notice(&m->m) > q->now_wall_us / 1000000; /* the wall clock went back */
        if (early || !fill_notice(q, m, n)) {
            /* All in hand: their attempts decide. */
            if (heap_put(&q->notices, &m->notice, q->now_ms + LATER_MS)) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
            continue;
        }
        m->noticing = true;
        if (n->expired) take_expired(q, m, n);
        return true;
    }
    return false;
}

bool queue_note(const struct queue *q, struct message_id id, uint32_t rcpt, struct queue_rcpt_note *note)
{
    const struct message *m = message_table_find(&q->table, id);
    if (!m || rcpt >= m->m.rcpt_count || m->leg_count == 0) return false;
    const struct rcpt_slot *r = &m->rcpts[rcpt];
    *note = (struct queue_rcpt_note){rcpt_reason(r), destination_name(m->legs[r->leg].destination), r->code, r->enhanced};
    return true;
}
