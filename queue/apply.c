/*
 * apply - what records mean to memory: the same for a record being written and for one found at start.
 */
#include "base/must.h"
#include "queue/state.h"

/* ---- recipients ---- */

static void count_final(struct queue *q, struct message *m, struct leg *leg, uint8_t state)
{
    leg->queued--;
    m->queued--;
    destination_count(&q->schedule, leg->destination, -1, -1);
    if (state == RCPT_DELIVERED) q->audit.delivered++;
    if (state == RCPT_BOUNCED) q->audit.bounced++;
    if (state == RCPT_EXPIRED) q->audit.expired++;
    if (state == RCPT_REMOVED) q->audit.removed++;
}

void apply_state(struct queue *q, struct message *m, uint32_t n, const struct record_outcome_rcpt *run)
{
    struct rcpt_slot *r = &m->rcpts[n];
    must(n < m->m.rcpt_count);
    if (r->state.state != RCPT_QUEUED) return; /* final is final, whatever order records come in */
    r->state = run->state;
    if (run->code != 0 || run->text.len > 0) {
        r->code = run->code;
        r->enhanced = run->enhanced;
        (void)message_set_reason(r, run->text); /* without memory the older reason stays */
    }
    if (r->state.state != RCPT_QUEUED) count_final(q, m, &m->legs[r->leg], r->state.state);
    if (r->state.notified) m->m.warn_wall_s = 0;
    resident_rcpt_dirty(q, m, n);
}

bool apply_hold(struct queue *q, struct message *m, bool held, struct bytes reason)
{
    bool before = m->m.held;
    if (!message_set_hold(m, held, reason)) return false;
    if (before != held) q->held += held ? 1 : UINT64_MAX;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) m->rcpts[i].dirty = true; /* held mail has no row that says when it is due */
    resident_dirty(q, m);
    resident_schedule(q, m);
    return true;
}

/* ---- records found at start ---- */

static enum err find(struct queue *q, struct message_id id, struct message **out)
{
    return id.v ? resident_get(q, id, out) : ERR_NOT_FOUND;
}

/* add_message - a message that the index does not know. */
static enum err add_message(struct queue *q, const struct record_message *rm, const struct qlog_place *place, bool in_outcome)
{
    struct message *m = message_table_find(&q->table, rm->id);
    if (m) return ERR_NONE; /* it was finished: memory knows better */
    enum err e = resident_make(q, rm, &m);
    if (e) return e;
    m->place = *place;
    m->in_outcome = in_outcome;
    m->state = MESSAGE_LIVE;
    resident_enter(q, m, true);
    resident_schedule(q, m);
    origins_add(&q->origins, &rm->origin, rm->id);
    ids_seen(&q->ids, rm->id);
    if (m->queued == 0) resident_finish(q, m);
    return ERR_NONE;
}

static enum err apply_message(struct queue *q, const struct qlog_found *f)
{
    struct record_message rm;
    struct message *m;
    enum err e = record_message_decode(f->body, &rm);
    if (e) return e;
    e = find(q, rm.id, &m);
    if (e == ERR_NOT_FOUND) return add_message(q, &rm, &f->place, false);
    if (!e && m->place.generation <= f->place.generation) resident_place(q, m, &f->place, false);
    return e;
}

static enum err apply_outcome(struct queue *q, const struct qlog_found *f)
{
    struct record_outcome o;
    struct record_message bounce;
    struct message *m;
    enum err e = record_outcome_decode(f->body, &o);
    if (!e && o.bounce.len) e = record_message_decode(o.bounce, &bounce);
    if (!e && o.bounce.len && find(q, bounce.id, &m) == ERR_NOT_FOUND) e = add_message(q, &bounce, &f->place, true);
    if (e) return e;
    e = find(q, o.id, &m);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    struct cursor c = cursor_over(o.runs);
    struct record_outcome_rcpt run;
    while (record_run_next(&c, &run)) {
        for (uint32_t i = 0; i < run.count && run.first + i < m->m.rcpt_count; i++) apply_state(q, m, run.first + i, &run);
    }
    if (m->queued == 0) resident_finish(q, m);
    else resident_schedule(q, m);
    return ERR_NONE;
}

static enum err apply_hold_record(struct queue *q, const struct qlog_found *f)
{
    struct message_id id;
    struct bytes reason = {0};
    struct message *m;
    bool held = f->type == RECORD_HOLD;
    enum err e = held ? record_hold_decode(f->body, &id, &reason) : record_u64_decode(f->body, &id.v);
    if (!e) e = find(q, id, &m);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    return apply_hold(q, m, held, reason) ? ERR_NONE : ERR_NO_MEMORY;
}

static enum err apply_record(struct queue *q, const struct qlog_found *f)
{
    switch (f->type) {
    case RECORD_ACCEPT:
    case RECORD_MOVE: return apply_message(q, f);
    case RECORD_OUTCOME: return apply_outcome(q, f);
    case RECORD_HOLD:
    case RECORD_RELEASE: return apply_hold_record(q, f);
    default: return ERR_NONE;
    }
}

void apply_found(void *context, const struct qlog_found *f)
{
    struct queue *q = context;
    if (q->fault) return;
    if (f->damaged) {
        queue_say_id(q, true, "a record of the commit log is damaged; its octets are kept in damage/, the rest is served", record_peek_id(f->body), ERR_CORRUPT);
        return;
    }
    enum err e = apply_record(q, f);
    resident_sweep(q);
    if (q->fault) return;
    if (e == ERR_CORRUPT || e == ERR_BAD_VERSION) {
        queue_say_id(q, true, "a record of the commit log cannot be read; the rest is served", record_peek_id(f->body), e);
    } else if (e) {
        queue_fail(q, e, "cannot replay the commit log");
        return;
    }
    if (q->dirty_count >= REPLAY_DIRTY_MAX) {
        e = checkpoint_now(q, f->at);
        if (e) queue_fail(q, e, "cannot write the index");
    }
}
