/*
 * attempts - one job of the queue in the hands of a worker (or of the mailbox process, or of nobody when the action is our own).
 *
 * Life: taken from the queue -> body fetched -> sent -> verdicts collected -> settled: the queue says what they mean, a notification is built when one
 * is owed, and the outcome is recorded in one record with it. An attempt whose worker dies before that is given back, due at once.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/manager/aliases.h"
#include "mta/process/dispatch.h"

/* RCPTS of one attempt: the flat list must fit the scratch memory. */
enum { ATTEMPT_RCPTS_MAX = MANAGER_SCRATCH_BYTES / RCPT_ENTRY_BYTES_MAX };

void attempt_give_back(struct manager *m, struct attempt *a)
{
    free(a->rcpts);
    free(a->runs);
    free(a->texts);
    slots_give(&m->attempts, a);
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static struct attempt *take_next(struct manager *m, uint64_t destination, uint32_t rcpts_max)
{
    struct attempt *a = slots_take(&m->attempts);
    if (!a) return NULL;
    struct queue_job job;
    uint32_t most = rcpts_max && rcpts_max < ATTEMPT_RCPTS_MAX ? rcpts_max : (uint32_t)ATTEMPT_RCPTS_MAX;
    if (!queue_job_take(m->queue, destination, most, &job)) {
        slots_give(&m->attempts, a);
        return NULL;
    }
    a->rcpts = malloc(job.rcpt_count * sizeof *a->rcpts);
    if (!a->rcpts) {
        queue_return(m->queue, job.id, job.rcpts, job.rcpt_count);
        slots_give(&m->attempts, a);
        return NULL;
    }
    memcpy(a->rcpts, job.rcpts, job.rcpt_count * sizeof *a->rcpts);
    if (job.rcpt_count > 1) qsort(a->rcpts, job.rcpt_count, sizeof *a->rcpts, ascending);
    a->rcpt_count = aliases_same_sender(job.message, a->rcpts, job.rcpt_count);
    if (a->rcpt_count < job.rcpt_count) queue_return(m->queue, job.id, a->rcpts + a->rcpt_count, job.rcpt_count - a->rcpt_count);
    a->destination = destination;
    a->message = job.id;
    a->record = job.message;
    a->queued_wall_us = job.queued_wall_us;
    a->active_ms = job.active_ms;
    a->taken_ms = process_now_ms(m->process);
    a->taken_wall_us = process_now_wall_us(m->process);
    a->daemon = "error";
    return a;
}

struct attempt *attempt_take(struct manager *m, uint64_t destination, uint32_t rcpts_max)
{
    struct attempt *a;
    do a = take_next(m, destination, rcpts_max);
    while (a && orphans_claim(m, a)); /* an earlier manager had it in hand: it is settled by the box, not sent */
    return a;
}

struct attempt *attempt_of_notice(struct manager *m, const struct queue_notice *n)
{
    struct attempt *a = slots_take(&m->attempts);
    if (!a) return NULL;
    a->rcpts = malloc(n->rcpt_count * sizeof *a->rcpts);
    if (!a->rcpts) {
        slots_give(&m->attempts, a);
        return NULL;
    }
    memcpy(a->rcpts, n->rcpts, n->rcpt_count * sizeof *a->rcpts);
    qsort(a->rcpts, n->rcpt_count, sizeof *a->rcpts, ascending);
    a->rcpt_count = n->rcpt_count;
    if (n->expired) a->rcpt_count = aliases_same_sender(n->message, a->rcpts, n->rcpt_count);
    if (a->rcpt_count < n->rcpt_count) queue_return(m->queue, n->id, a->rcpts + a->rcpt_count, n->rcpt_count - a->rcpt_count);
    a->message = n->id;
    a->record = n->message;
    a->queued_wall_us = n->message->arrival_wall_us;
    a->active_ms = a->taken_ms = process_now_ms(m->process);
    a->taken_wall_us = process_now_wall_us(m->process);
    a->daemon = "qmgr";
    return a;
}

void attempt_by(struct attempt *a, const char *daemon, struct bytes relay)
{
    a->daemon = daemon;
    a->relay_len = (uint16_t)(relay.len < sizeof a->relay_name ? relay.len : sizeof a->relay_name);
    if (a->relay_len) memcpy(a->relay_name, relay.ptr, a->relay_len);
}

void attempt_return(struct manager *m, struct attempt *a)
{
    boxes_done(m, a->grant);
    queue_return(m->queue, a->message, a->rcpts, a->rcpt_count);
    attempt_give_back(m, a);
}

void attempt_rcpt_list(const struct attempt *a, struct buf *list)
{
    struct cursor c = cursor_over(a->record->rcpts);
    struct rcpt r;
    uint32_t wanted = 0;
    for (uint32_t n = 0; wanted < a->rcpt_count && rcpt_next(&c, &r); n++) {
        if (n != a->rcpts[wanted]) continue;
        rcpt_put(list, &r);
        wanted++;
    }
    must(wanted == a->rcpt_count && !list->overflow);
}

/* send_lists - lists that do not fit ATTEMPT go ahead as counted records; returns what is left for ATTEMPT itself. */
static bool send_lists(struct ipc_channel *to, uint64_t handle, uint32_t count, struct bytes *list)
{
    struct cursor c = cursor_over(*list);
    uint32_t sent = 0;
    while (list->len > RCPTS_INLINE_BYTES_MAX) {
        struct rcpt r;
        uint32_t from = c.pos, n = 0, end = from;
        while (c.pos - from + RCPT_ENTRY_BYTES_MAX <= RCPTS_RECORD_BYTES_MAX && rcpt_next(&c, &r)) {
            n++;
            end = c.pos;
        }
        struct ipc_attempt_rcpts part = {.attempt = handle, .first = sent, .count = n, .rcpts = bytes_of(c.ptr + from, end - from)};
        if (ipc_send_attempt_rcpts(to, &part, -1) != ERR_NONE) return false;
        sent += n;
        *list = bytes_of(c.ptr + end, c.len - end);
    }
    must(sent <= count);
    return true;
}

static bool send_attempt(struct manager *m, struct attempt *a, const struct queue_content *content)
{
    struct connection *c = slots_find(&m->connections, a->connection);
    struct ipc_channel *to = c ? process_channel(m->process, ROLE_DELIVER, c->worker) : NULL;
    if (!to || ipc_peer_epoch(to) != c->worker_epoch) return false;
    struct buf flat = buf_over(m->scratch, MANAGER_SCRATCH_BYTES);
    attempt_rcpt_list(a, &flat);
    struct bytes list = buf_bytes(&flat);
    uint64_t handle = slots_handle(&m->attempts, a);
    if (!send_lists(to, handle, a->rcpt_count, &list)) return false;
    const struct record_message *r = aliases_record(m, a->record, a->rcpts[0], false);
    struct ipc_attempt out = {
        .attempt = handle,
        .connection = a->connection,
        .message = a->message,
        .flags = r->flags,
        .ret = r->ret,
        .sender = r->sender,
        .envid = r->envid,
        .rcpt_count = a->rcpt_count,
        .rcpts = list,
        .prefix = content->prefix,
        .body_skip = r->body_skip,
        .body_bytes = r->body_bytes,
        .content = content->fd >= 0 ? (struct bytes){0} : content->body,
    };
    return ipc_send_attempt(to, &out, content->fd) == ERR_NONE;
}

static bool send_delivery(struct manager *m, struct attempt *a, const struct queue_content *content)
{
    struct ipc_channel *to = process_channel(m->process, ROLE_MAILBOX, 0);
    uint8_t action;
    int32_t route;
    struct bytes domain;
    struct queue_destination d;
    if (!to || !queue_destination(m->queue, a->destination, &d)) return false;
    names_parse(m->config, d.name, &action, &route, &domain);
    struct buf flat = buf_over(m->scratch, MANAGER_SCRATCH_BYTES);
    attempt_rcpt_list(a, &flat);
    struct cursor c = cursor_over(buf_bytes(&flat));
    struct rcpt r;
    if (route < 0 || !rcpt_next(&c, &r)) return false;
    struct ipc_deliver out = {
        .attempt = slots_handle(&m->attempts, a),
        .message = a->message,
        .route = (uint16_t)route,
        .rcpt_index = a->rcpts[0],
        .rcpt = r.address,
        .sender = aliases_record(m, a->record, a->rcpts[0], false)->sender,
        .prefix = content->prefix,
        .body_skip = a->record->body_skip,
        .body_bytes = a->record->body_bytes,
        .content = content->fd >= 0 ? (struct bytes){0} : content->body,
    };
    return ipc_send_deliver(to, &out, content->fd) == ERR_NONE;
}

static void send_off(struct manager *m, struct attempt *a, const struct queue_content *content)
{
    if (a->to_mailbox ? send_delivery(m, a, content) : send_attempt(m, a, content)) {
        a->state = ATTEMPT_SENT;
        if (!a->to_mailbox) boxes_grant(m, a, slots_find(&m->connections, a->connection));
        return;
    }
    if (content->fd >= 0) close(content->fd);
    struct connection *c = slots_find(&m->connections, a->connection);
    if (a->to_mailbox) m->mailbox_jobs--;
    attempt_return(m, a);
    if (c) connection_lost_job(m, c);
}

void attempt_begin(struct manager *m, struct attempt *a)
{
    struct queue_content content = {.fd = -1};
    a->state = ATTEMPT_BODY;
    if (queue_body(m->queue, a->message, slots_handle(&m->attempts, a), &content)) send_off(m, a, &content);
}

bool attempt_run(struct attempt *a, uint32_t first, uint32_t count, const struct verdict *v)
{
    if (first > a->rcpt_count || count > a->rcpt_count - first || a->run_count >= a->rcpt_count + 1) return false;
    if (a->run_count == a->run_cap) {
        uint32_t cap = a->run_cap ? a->run_cap * 2 : 2;
        struct attempt_run *grown = realloc(a->runs, cap * sizeof *grown);
        if (!grown) return true; /* those recipients count as not tried */
        a->runs = grown;
        a->run_cap = cap;
    }
    if (a->texts_len + v->text.len > a->texts_cap) {
        uint32_t cap = (a->texts_len + v->text.len) * 2;
        uint8_t *grown = realloc(a->texts, cap);
        if (!grown) return true;
        a->texts = grown;
        a->texts_cap = cap;
    }
    struct attempt_run *run = &a->runs[a->run_count++];
    *run = (struct attempt_run){first, count, *v};
    if (v->text.len) memcpy(a->texts + a->texts_len, v->text.ptr, v->text.len);
    run->verdict.text = bytes_of(NULL, v->text.len); /* its place follows from the order; the memory may move */
    a->texts_len += v->text.len;
    return true;
}

/* Recipients without a run were not tried: class NONE. */
struct queue_result *attempt_results(const struct attempt *a)
{
    struct queue_result *r = calloc(a->rcpt_count, sizeof *r);
    if (!r) return NULL;
    for (uint32_t i = 0; i < a->rcpt_count; i++) r[i].rcpt = a->rcpts[i];
    uint32_t at = 0;
    for (uint32_t i = 0; i < a->run_count; i++) {
        struct verdict v = a->runs[i].verdict;
        v.text.ptr = a->texts + at;
        at += v.text.len;
        for (uint32_t k = 0; k < a->runs[i].count; k++) r[a->runs[i].first + k].verdict = v;
    }
    return r;
}

static void log_results(struct manager *m, const struct attempt *a, const struct queue_result *r)
{
    const struct connection *conn = slots_find(&m->connections, a->connection);
    struct bytes host = conn ? bytes_of(conn->host_name, conn->host_len) : bytes_of(a->relay_name, a->relay_len);
    struct cursor c = cursor_over(a->record->rcpts);
    struct rcpt rcpt;
    uint32_t wanted = 0;
    int64_t now_us = process_now_wall_us(m->process);
    for (uint32_t n = 0; wanted < a->rcpt_count && rcpt_next(&c, &rcpt); n++) {
        if (n != a->rcpts[wanted]) continue;
        const struct queue_result *result = &r[wanted++];
        if (result->verdict.class == VERDICT_NONE) continue;
        struct line_outcome line = {
            .id = a->message,
            .rcpt = rcpt.address,
            .original = rcpt.flags & RCPT_EXPANDED ? rcpt.orcpt : (struct bytes){0},
            .daemon = a->daemon,
            .relay_host = host,
            .relay = conn ? &conn->remote : &a->relay,
            .verdict = &result->verdict,
            .expired = result->expired,
            .connection_uses = a->connection_uses,
            .delay_us = now_us - a->queued_wall_us,
            .queue_us = now_us - a->queued_wall_us - (int64_t)(process_now_ms(m->process) - a->active_ms) * 1000,
            .active_us = (int64_t)(a->taken_ms - a->active_ms) * 1000,
            .connect_us = (int64_t)a->connect_us + a->greeting_us,
            .transfer_us = a->transfer_us,
        };
        line_outcome(&line);
    }
}

static struct bounce_of bounce_of(struct manager *m, const struct attempt *a, const struct queue_result *r)
{
    const struct connection *c = slots_find(&m->connections, a->connection);
    return (struct bounce_of){
        .kind = BOUNCE_OUTCOME, .id = a->message, .original = aliases_record(m, a->record, a->rcpts[0], true),
        .results = r, .count = a->rcpt_count, .dsn_passed = a->dsn_passed,
        .final_here = !c && !a->connection,
        .remote_mta = c ? bytes_of(c->host_name, c->host_len) : a->connection ? bytes_of(a->relay_name, a->relay_len) : (struct bytes){0},
    };
}

/* spell_out - what waits bears the whole reason in its listing, as the log line has it. Behind the notification in scratch; equal texts share one. */
static void spell_out(struct manager *m, const struct attempt *a, struct queue_result *r)
{
    const struct connection *c = slots_find(&m->connections, a->connection);
    struct bytes host = c ? bytes_of(c->host_name, c->host_len) : bytes_of(a->relay_name, a->relay_len);
    struct buf words = buf_over(m->scratch + MANAGER_SCRATCH_BYTES / 2, MANAGER_SCRATCH_BYTES / 2);
    const uint8_t *last = NULL;
    struct bytes last_words = {0};
    for (uint32_t i = 0; i < a->rcpt_count; i++) {
        struct verdict *v = &r[i].verdict;
        if (v->class != VERDICT_LATER || !v->remote) continue;
        if (v->text.ptr != last || !last) {
            uint32_t from = words.len;
            last = v->text.ptr;
            reason_write(&words, v, host, c ? &c->remote : &a->relay);
            last_words = words.overflow ? v->text : bytes_of(words.ptr + from, words.len - from);
        }
        v->text = last_words;
    }
}

/* record - the outcome, with its notification, in one record; then the log lines, then the attempt is no more. */
static bool record(struct manager *m, struct attempt *a, struct queue_result *r, struct bytes head)
{
    struct record_message bounce;
    struct bounce_of b = bounce_of(m, a, r);
    b.head = head;
    bool owed = bounce_wanted(&b) && bounce_build(m, &b, &bounce);
    log_results(m, a, r);
    if (owed) bounce_logged(&b, &bounce);
    spell_out(m, a, r);
    enum err e = queue_outcome(m->queue, a->message, r, a->rcpt_count, owed ? &bounce : NULL, a->grant, process_now_wall_us(m->process), process_now_ms(m->process));
    if (e == ERR_NONE) a->grant = 0; /* it is free when the outcome is durable */
    if (e != ERR_NONE) log_err(LOG_LEVEL_ERROR, "an outcome could not be recorded", BYTES("queue"), e);
    return e == ERR_NONE;
}

static void settle_with(struct manager *m, struct attempt *a, struct bytes head)
{
    struct queue_result *r = attempt_results(a);
    if (!r) {
        a->blocked = m->blocked = true;
        a->state = ATTEMPT_SETTLING;
        return;
    }
    queue_settle(m->queue, a->message, r, a->rcpt_count, process_now_wall_us(m->process));
    bool done = record(m, a, r, head);
    free(r);
    if (!done) {
        a->blocked = m->blocked = true;
        a->state = ATTEMPT_SETTLING;
        return;
    }
    attempt_give_back(m, a);
}

void attempt_settle(struct manager *m, struct attempt *a)
{
    struct queue_result *r = attempt_results(a);
    struct queue_content content = {.fd = -1};
    bool owed = false;
    a->state = ATTEMPT_SETTLING;
    if (r) {
        queue_settle(m->queue, a->message, r, a->rcpt_count, process_now_wall_us(m->process));
        struct bounce_of b = bounce_of(m, a, r);
        owed = bounce_wanted(&b);
    }
    free(r);
    if (owed && !queue_content_head(m->queue, a->message, m->config->limits.bounce_bytes, slots_handle(&m->attempts, a), &content)) return;
    settle_with(m, a, content.body);
}

void attempt_all(struct manager *m, struct attempt *a, const struct verdict *v)
{
    if (!attempt_run(a, 0, a->rcpt_count, v)) must(false);
    attempt_settle(m, a);
}

/* attempt_body - a body, or the head that a notification quotes, came or cannot be read. */
void attempt_body(struct manager *m, const struct queue_event *e)
{
    struct attempt *a = slots_find(&m->attempts, e->cookie);
    if (!a) {
        if (e->type == QUEUE_BODY_READY && e->content.fd >= 0) close(e->content.fd);
        return;
    }
    if (a->state == ATTEMPT_WARNING) {
        notice_head(m, a, e->type == QUEUE_BODY_READY ? e->content.body : (struct bytes){0});
        return;
    }
    if (a->state == ATTEMPT_OPERATOR) {
        operate_head(m, a, e->type == QUEUE_BODY_READY ? e->content.body : (struct bytes){0});
        return;
    }
    if (a->state == ATTEMPT_SETTLING) {
        settle_with(m, a, e->type == QUEUE_BODY_READY ? e->content.body : (struct bytes){0});
        return;
    }
    if (e->type == QUEUE_BODY_READY) {
        send_off(m, a, &e->content);
        return;
    }
    struct message_id id = a->message;
    struct connection *c = slots_find(&m->connections, a->connection);
    bool damaged = e->error == ERR_CORRUPT || e->error == ERR_NOT_FOUND;
    if (a->to_mailbox) m->mailbox_jobs--;
    if (damaged) {
        attempt_return(m, a);
        struct buf *line = log_begin(LOG_LEVEL_ERROR);
        BUF_LIT(line, "error: ");
        message_id_print(line, id);
        BUF_LIT(line, ": held: its content cannot be read back: ");
        buf_put_cstr(line, err_text(e->error));
        log_end();
        enum err held = queue_hold(m->queue, id, BYTES("its content cannot be read back (damaged or missing)"), process_now_wall_us(m->process));
        if (held != ERR_NONE) log_err(LOG_LEVEL_ERROR, "a message could not be held", BYTES("queue"), held);
    } else {
        struct verdict v = {.class = VERDICT_LATER, .scope = SCOPE_MESSAGE, .step = STEP_BODY, .enhanced = {4, 3, 0}, .text = BYTES("message content could not be read")};
        attempt_all(m, a, &v);
    }
    if (c) connection_free_for_next(m, c);
}

void attempts_retry(struct manager *m)
{
    if (!m->blocked) return;
    m->blocked = false;
    struct attempt *next;
    for (struct attempt *a = slots_next(&m->attempts, NULL); a; a = next) {
        next = slots_next(&m->attempts, a);
        if (!a->blocked) continue;
        a->blocked = false;
        attempt_settle(m, a);
    }
}
