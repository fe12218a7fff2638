/*
 * operate - what an operator asks of single messages; each is a record like any other.
 */
#include "base/must.h"
#include "queue/state.h"

static enum err get_live(struct queue *q, struct message_id id, struct message **out)
{
    enum err e = resident_get(q, id, out);
    if (e) return e;
    return (*out)->state == MESSAGE_LIVE ? ERR_NONE : ERR_AGAIN;
}

static enum err keep(struct queue *q, enum record_type type, struct message_id id, const struct buf *record)
{
    return kept_put(&q->kept, type, id, buf_bytes(record)) ? ERR_NONE : ERR_NO_MEMORY;
}

enum err queue_hold(struct queue *q, struct message_id id, struct bytes reason, int64_t now_wall_us)
{
    struct message *m;
    queue_time(q, q->now_ms, now_wall_us);
    enum err e = get_live(q, id, &m);
    if (e) return e;
    struct buf record = buf_over(q->record_memory, q->record_bytes_max);
    reason = bytes_slice(reason, 0, RECORD_TEXT_BYTES_MAX);
    e = record_hold_encode(&record, id, reason);
    if (!e) e = keep(q, RECORD_HOLD, id, &record);
    if (!e && !apply_hold(q, m, true, reason)) e = ERR_NO_MEMORY;
    outcome_flush(q);
    return e;
}

enum err queue_release(struct queue *q, struct message_id id, int64_t now_wall_us, uint64_t now_ms)
{
    struct message *m;
    queue_time(q, now_ms, now_wall_us);
    enum err e = get_live(q, id, &m);
    if (e) return e;
    if (!m->m.held) return ERR_NONE;
    struct buf record = buf_over(q->record_memory, q->record_bytes_max);
    e = record_u64_encode(&record, id.v);
    if (!e) e = keep(q, RECORD_RELEASE, id, &record);
    if (!e) (void)apply_hold(q, m, false, (struct bytes){0}); /* letting go needs no memory */
    outcome_flush(q);
    return e;
}

/* put_all - one run for each queued recipient, with what `change` makes of it. */
static uint32_t put_all(const struct message *m, struct buf *runs, uint8_t state, int64_t due_wall_s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        const struct rcpt_slot *r = &m->rcpts[i];
        if (r->state.state != RCPT_QUEUED) continue;
        struct record_outcome_rcpt run = {.first = i, .count = 1, .state = r->state};
        run.state.state = state;
        if (state == RCPT_QUEUED && !r->taken) run.state.due_wall_s = due_wall_s;
        record_run_put(runs, &run);
        count++;
    }
    must(!runs->overflow);
    return count;
}

static void apply_all(struct queue *q, struct message *m, struct bytes runs)
{
    struct cursor c = cursor_over(runs);
    struct record_outcome_rcpt run;
    while (record_run_next(&c, &run)) apply_state(q, m, run.first, &run);
}

enum err queue_due(struct queue *q, struct message_id id, int64_t wall_s, int64_t now_wall_us, uint64_t now_ms)
{
    struct message *m;
    queue_time(q, now_ms, now_wall_us);
    enum err e = get_live(q, id, &m);
    if (e) return e;
    struct buf runs = buf_over(q->runs_memory, RUNS_BYTES_MAX);
    uint32_t count = put_all(m, &runs, RCPT_QUEUED, wall_s > 0 ? wall_s : 0);
    e = outcome_write(q, m, buf_bytes(&runs), count, NULL, false, 0);
    if (e) return e;
    apply_all(q, m, buf_bytes(&runs));
    for (uint32_t i = 0; i < m->leg_count; i++) {
        struct destination *d = m->legs[i].destination;
        if (wall_s > q->now_wall_us / 1000000 || d->backoff_until_ms <= q->now_ms) continue;
        d->backoff_until_ms = 0; /* who says now means now */
        d->backoff_until_wall_s = 0;
        destination_dirty(&q->schedule, d);
    }
    resident_schedule(q, m);
    outcome_flush(q);
    return ERR_NONE;
}

enum err queue_remove(struct queue *q, struct message_id id, struct record_message *bounce, int64_t now_wall_us, uint64_t now_ms)
{
    struct message *m;
    queue_time(q, now_ms, now_wall_us);
    enum err e = get_live(q, id, &m);
    if (e) return e;
    if (m->taken > 0) return ERR_BUSY;
    struct buf runs = buf_over(q->runs_memory, RUNS_BYTES_MAX);
    uint32_t count = put_all(m, &runs, bounce ? RCPT_BOUNCED : RCPT_REMOVED, 0);
    e = outcome_write(q, m, buf_bytes(&runs), count, bounce, true, 0);
    if (e) return e;
    apply_all(q, m, buf_bytes(&runs));
    resident_finish(q, m);
    outcome_flush(q);
    return ERR_NONE;
}
