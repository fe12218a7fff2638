/*
 * outcome - recording what became of recipients, and handing back what was not tried.
 *
 * The record is made first, then memory follows by the same code that replays it at a start.
 */
#include <string.h>

#include "base/must.h"
#include "queue/state.h"

/* ---- leaving a job ---- */

void outcome_release(struct queue *q, struct message *m, uint32_t n)
{
    struct rcpt_slot *r = &m->rcpts[n];
    must(r->taken);
    struct leg *leg = &m->legs[r->leg];
    r->taken = false;
    leg->taken--;
    m->taken--;
    q->taken--;
    if (r->job_head == RCPT_NO_JOB) return;
    struct rcpt_slot *head = &m->rcpts[r->job_head];
    r->job_head = RCPT_NO_JOB;
    must(head->job_left > 0);
    if (--head->job_left == 0) {
        leg->destination->in_flight--;
        destination_refresh(&q->schedule, leg->destination);
    }
}

/* settle_legs - those of the given recipients, each once when they come in order. */
static void settle_leg_of(struct queue *q, struct message *m, uint32_t n, uint32_t *last)
{
    uint32_t leg = m->rcpts[n].leg;
    if (leg == *last) return;
    if (*last != UINT32_MAX && leg_settle(&q->schedule, &m->legs[*last])) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
    *last = leg;
}

static void settle_last(struct queue *q, struct message *m, uint32_t last)
{
    if (last != UINT32_MAX && leg_settle(&q->schedule, &m->legs[last])) queue_fail(q, ERR_NO_MEMORY, "no memory for timers");
}

void queue_return(struct queue *q, struct message_id id, const uint32_t *rcpts, uint32_t count)
{
    struct message *m = message_table_find(&q->table, id);
    if (!m || m->state != MESSAGE_LIVE) return;
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (rcpts[i] >= m->m.rcpt_count || !m->rcpts[rcpts[i]].taken) continue;
        outcome_release(q, m, rcpts[i]);
        settle_leg_of(q, m, rcpts[i], &last);
    }
    settle_last(q, m, last);
    m->noticing = false;
    resident_notice(q, m);
    if (m->dirt == DIRT_NONE && !link_is_in(&m->queue)) link_put_last(&q->clean, &m->queue);
}

/* ---- deciding ---- */

static int64_t due_after(struct queue *q, const struct message *m, const struct queue_result *r)
{
    const struct rcpt_slot *slot = &m->rcpts[r->rcpt];
    const struct destination *d = m->legs[slot->leg].destination;
    int64_t now_s = (q->now_wall_us + 999999) / 1000000;
    if (r->verdict.scope == SCOPE_SITE && d->backoff_until_ms > q->now_ms) return d->backoff_until_wall_s > now_s ? d->backoff_until_wall_s : now_s;
    uint64_t wait_ms = retry_wait_ms(&q->retry, slot->state.tries + 1U, queue_random(q));
    return (q->now_wall_us + (int64_t)wait_ms * 1000 + 999999) / 1000000;
}

static void decide(struct queue *q, const struct message *m, struct queue_result *r)
{
    if (r->verdict.class != VERDICT_LATER || r->rcpt >= m->m.rcpt_count) return;
    if (m->m.expire_wall_s > 0 && m->m.expire_wall_s <= q->now_wall_us / 1000000) r->expired = true;
    else if (r->due_wall_s == 0) r->due_wall_s = due_after(q, m, r);
}

void queue_settle(struct queue *q, struct message_id id, struct queue_result *r, uint32_t count, int64_t now_wall_us)
{
    queue_time(q, q->now_ms, now_wall_us);
    const struct message *m = message_table_find(&q->table, id);
    if (!m || m->state != MESSAGE_LIVE) return;
    for (uint32_t i = 0; i < count; i++) decide(q, m, &r[i]);
}

/* run_of - what a result makes of its recipient; false when it records nothing. */
static bool run_of(struct queue *q, const struct message *m, const struct queue_result *result, struct record_outcome_rcpt *run)
{
    struct queue_result r = *result;
    if (r.rcpt >= m->m.rcpt_count || !m->rcpts[r.rcpt].taken) return false;
    const struct verdict *v = &r.verdict;
    struct record_rcpt state = m->rcpts[r.rcpt].state;
    decide(q, m, &r);
    if (r.expired) state.state = RCPT_EXPIRED;
    else if (v->class == VERDICT_DELIVERED) state.state = RCPT_DELIVERED;
    else if (v->class == VERDICT_NEVER) state.state = RCPT_BOUNCED;
    else if (v->class == VERDICT_LATER) state.due_wall_s = r.due_wall_s;
    else return false;
    if (v->class != VERDICT_NONE && state.tries < UINT16_MAX) state.tries++;
    *run = (struct record_outcome_rcpt){r.rcpt, 1, state, v->code, v->enhanced, bytes_slice(v->text, 0, RECORD_OUTCOME_TEXT_BYTES_MAX)};
    return true;
}

static bool joins(const struct record_outcome_rcpt *a, const struct record_outcome_rcpt *b)
{
    return b->first == a->first + a->count && a->state.state == b->state.state && a->state.tries == b->state.tries &&
           a->state.due_wall_s == b->state.due_wall_s && a->state.notified == b->state.notified && a->code == b->code &&
           memcmp(&a->enhanced, &b->enhanced, sizeof(a->enhanced)) == 0 && bytes_equal(a->text, b->text);
}

struct runs { /* runs under construction */
    struct buf out;
    uint32_t count;
    struct record_outcome_rcpt last; /* count 0 = none yet */
    bool texts;
};

static void end_run(struct runs *b)
{
    if (b->last.count == 0) return;
    record_run_put(&b->out, &b->last);
    b->count++;
    b->last.count = 0;
}

static void add_run(struct runs *b, struct record_outcome_rcpt run)
{
    if (!b->texts) run.text = (struct bytes){0};
    if (b->last.count > 0 && joins(&b->last, &run)) {
        b->last.count++;
        return;
    }
    end_run(b);
    b->last = run;
}

/* build_runs - the results of recipients in hand. Texts are dropped when there are too many of them for one record. */
static void build_runs(struct queue *q, const struct message *m, const struct queue_result *r, uint32_t count, struct runs *b)
{
    uint32_t most = q->record_bytes_max / 2 < RUNS_BYTES_MAX ? q->record_bytes_max / 2 : RUNS_BYTES_MAX;
    for (int pass = 0; pass < 2; pass++) {
        *b = (struct runs){.out = buf_over(q->runs_memory, pass == 0 ? most : RUNS_BYTES_MAX), .texts = pass == 0};
        for (uint32_t i = 0; i < count; i++) {
            struct record_outcome_rcpt run;
            if (run_of(q, m, &r[i], &run)) add_run(b, run);
        }
        end_run(b);
        if (!b->out.overflow) return;
    }
    must(!b->out.overflow);
}

/* ---- writing ---- */

void outcome_appended(void *context, const struct kept *r)
{
    struct queue *q = context;
    if (r->bounce.v == 0) return;
    struct message *bounce = message_table_find(&q->table, r->bounce);
    must(bounce && bounce->state == MESSAGE_PENDING);
    resident_place(q, bounce, &r->place, true);
    bounce->group = r->group;
}

void outcome_flush(struct queue *q)
{
    /* Whatever the log's reason, it is asked again each turn; what waits meanwhile is bounded by refusing new mail. */
    (void)kept_append(&q->kept, q->log, outcome_appended, q);
}

/* make_bounce - our own notification becomes a message that waits for the record it is in. */
static enum err make_bounce(struct queue *q, struct record_message *bounce, struct message **out)
{
    struct message *m;
    if (bounce->id.v == 0) bounce->id = ids_next(&q->ids, q->now_wall_us);
    if (message_table_find(&q->table, bounce->id) || bounce->body_kind != BODY_INLINE) return ERR_BAD_VALUE;
    if (bounce->arrival_wall_us == 0) bounce->arrival_wall_us = q->now_wall_us;
    if (bounce->expire_wall_s == 0) bounce->expire_wall_s = bounce->arrival_wall_us / 1000000 + (int64_t)q->options.expire_s;
    struct buf out_bytes = buf_over(q->bounce_memory, BOUNCE_BYTES_MAX);
    enum err e = record_message_encode(&out_bytes, bounce);
    if (!e) e = resident_make(q, bounce, &m);
    if (e) return e;
    m->body = body_new(bounce->prefix, bounce->body);
    if (!m->body) {
        resident_drop(q, m);
        return ERR_NO_MEMORY;
    }
    *out = m;
    return ERR_NONE;
}

static void enter_bounce(struct queue *q, struct message *bounce)
{
    bounce->state = MESSAGE_PENDING;
    bounce->in_outcome = true;
    bounce->group = UINT64_MAX; /* until it is appended */
    body_cache_put(&q->bodies, bounce);
    link_put_last(&q->pending, &bounce->queue);
    resident_enter(q, bounce, true);
}

enum err outcome_write(struct queue *q, struct message *m, struct bytes runs, uint32_t run_count, struct record_message *bounce, bool removes, uint64_t cookie)
{
    struct message *bounced = NULL;
    struct record_outcome o = {.id = m->m.id, .run_count = run_count, .runs = runs};
    enum err e = bounce ? make_bounce(q, bounce, &bounced) : ERR_NONE;
    if (e) return e;
    struct buf record = buf_over(q->record_memory, q->record_bytes_max);
    if (bounced) {
        o.bounce = bytes_of(q->bounce_memory, record_message_body_offset(bounce) + bounce->body.len);
    }
    e = record_outcome_encode(&record, &o);
    struct kept *kept = e ? NULL : kept_put(&q->kept, RECORD_OUTCOME, m->m.id, buf_bytes(&record));
    if (!kept) {
        if (bounced) resident_drop(q, bounced);
        return e ? e : ERR_NO_MEMORY;
    }
    kept->cookie = cookie;
    kept->removes = removes;
    if (bounced) {
        kept->bounce = bounced->m.id;
        enter_bounce(q, bounced);
    }
    return ERR_NONE;
}

/* apply_runs - what was written becomes true in memory. */
static void apply_runs(struct queue *q, struct message *m, struct bytes runs)
{
    struct cursor c = cursor_over(runs);
    struct record_outcome_rcpt run;
    while (record_run_next(&c, &run)) {
        for (uint32_t i = 0; i < run.count; i++) apply_state(q, m, run.first + i, &run);
    }
}

static uint32_t count_final(struct bytes runs)
{
    struct cursor c = cursor_over(runs);
    struct record_outcome_rcpt run;
    uint32_t n = 0;
    while (record_run_next(&c, &run)) n += run.state.state != RCPT_QUEUED ? run.count : 0;
    return n;
}

/* let_go - recipients leave the job, and stand in line again if they are still queued. */
static void let_go(struct queue *q, struct message *m, const struct queue_result *r, uint32_t count)
{
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (r[i].rcpt >= m->m.rcpt_count || !m->rcpts[r[i].rcpt].taken) continue;
        outcome_release(q, m, r[i].rcpt);
        settle_leg_of(q, m, r[i].rcpt, &last);
    }
    settle_last(q, m, last);
}

static bool has_ready_leg(const struct message *m)
{
    for (uint32_t i = 0; i < m->leg_count; i++) {
        if (m->legs[i].place == LEG_READY || m->legs[i].taken > 0) return true;
    }
    return false;
}

static enum err answer_now(struct queue *q, struct message_id id, uint64_t cookie)
{
    return cookie ? events_answer(q, QUEUE_OUTCOME_DURABLE, id, cookie) : ERR_NONE;
}

enum err queue_outcome(struct queue *q, struct message_id id, const struct queue_result *r, uint32_t count, struct record_message *bounce, uint64_t cookie,
                       int64_t now_wall_us, uint64_t now_ms)
{
    queue_time(q, now_ms, now_wall_us);
    struct message *m = message_table_find(&q->table, id);
    if (!m || m->state != MESSAGE_LIVE) return ERR_NOT_FOUND;
    struct runs b;
    build_runs(q, m, r, count, &b);
    enum err e;
    bool removes = count_final(buf_bytes(&b.out)) == m->queued && m->queued > 0;
    if (b.count > 0) e = outcome_write(q, m, buf_bytes(&b.out), b.count, bounce, removes, cookie);
    else e = bounce ? ERR_BAD_VALUE : answer_now(q, id, cookie);
    if (e) return e;
    apply_runs(q, m, buf_bytes(&b.out));
    m->noticing = false;
    let_go(q, m, r, count);
    if (removes) {
        resident_finish(q, m);
    } else {
        resident_notice(q, m);
        if (!has_ready_leg(m)) body_cache_drop(&q->bodies, m); /* deferred: not needed for a while */
        if (m->dirt == DIRT_NONE && !link_is_in(&m->queue)) link_put_last(&q->clean, &m->queue);
    }
    outcome_flush(q);
    return ERR_NONE;
}

/* ---- delay warnings ---- */

enum err queue_warned(struct queue *q, struct message_id id, struct record_message *notice, int64_t now_wall_us, uint64_t now_ms)
{
    queue_time(q, now_ms, now_wall_us);
    struct message *m = message_table_find(&q->table, id);
    if (!m || m->state != MESSAGE_LIVE) return ERR_NOT_FOUND;
    struct runs b = {.out = buf_over(q->runs_memory, RUNS_BYTES_MAX)};
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        struct record_rcpt state = m->rcpts[i].state;
        if (state.state != RCPT_QUEUED) continue;
        state.notified = NOTIFY_DELAY;
        add_run(&b, (struct record_outcome_rcpt){.first = i, .count = 1, .state = state});
    }
    end_run(&b);
    must(!b.out.overflow);
    enum err e = outcome_write(q, m, buf_bytes(&b.out), b.count, notice, false, 0);
    if (e) return e;
    apply_runs(q, m, buf_bytes(&b.out));
    m->m.warn_wall_s = 0;
    m->noticing = false;
    resident_dirty(q, m);
    resident_notice(q, m);
    outcome_flush(q);
    return ERR_NONE;
}
