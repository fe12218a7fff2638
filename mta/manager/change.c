/*
 * change - what the operator's verbs do to one message: hold, release, another time, give up with or without a notification.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/manager/operate.h"

struct removal {                      /* a message that the operator gives up */
    struct manager *m;
    const struct operation *o;
    bool bounce;
    struct bytes head;                /* of the original, for the notification */
    enum err e;
    bool owed;
    struct record_message notice;     /* lies in scratch memory, and does not borrow from the message */
};

static struct bytes words_of(const struct operation *o)
{
    return o->m.reason.len ? o->m.reason : BYTES("returned to its sender by the postmaster of this system");
}

/* line_discarded - the final line of a recipient; pflogsumm has no word for it, and nothing was sent nor returned. */
static void line_discarded(struct manager *m, const struct record_message *message, struct bytes rcpt, uint32_t uid)
{
    int64_t delay_us = process_now_wall_us(m->process) - message->arrival_wall_us;
    struct buf *line = log_begin_as(LOG_LEVEL_INFO, BYTES("qmgr"), (int)getpid());
    message_id_print(line, message->id);
    BUF_LIT(line, ": to=<");
    log_bytes(line, rcpt);
    BUF_LIT(line, ">, relay=none, delay=");
    buf_put_i64(line, delay_us / 1000000);
    BUF_LIT(line, ", dsn=5.7.0, status=discarded (by the operator, uid ");
    buf_put_u64(line, uid);
    buf_put_c(line, ')');
    log_end();
}

static void line_bounced(struct manager *m, const struct record_message *message, struct bytes rcpt, const struct verdict *v)
{
    int64_t delay_us = process_now_wall_us(m->process) - message->arrival_wall_us;
    struct line_outcome line = {.id = message->id, .rcpt = rcpt, .daemon = "error", .verdict = v, .delay_us = delay_us, .queue_us = delay_us};
    line_outcome(&line);
}

static void give_up(void *context, const struct queue_row *row)
{
    struct removal *r = context;
    const struct record_message *message = row->message;
    if (row->active) {
        r->e = ERR_BUSY;
        return;
    }
    struct queue_result *results = calloc(message->rcpt_count + 1, sizeof *results);
    if (!results) {
        r->e = ERR_NO_MEMORY;
        return;
    }
    struct verdict v = {.class = VERDICT_NEVER, .scope = SCOPE_MESSAGE, .enhanced = {5, 7, 0}, .text = words_of(r->o)};
    struct bounce_of b = {.kind = BOUNCE_OUTCOME, .id = message->id, .original = message, .results = results, .head = r->head};
    struct cursor c = cursor_over(message->rcpts);
    struct rcpt rcpt;
    for (uint32_t i = 0; i < message->rcpt_count && rcpt_next(&c, &rcpt); i++) {
        if (row->states[i].state != RCPT_QUEUED) continue;
        results[b.count++] = (struct queue_result){.rcpt = i, .verdict = v};
        if (r->bounce) line_bounced(r->m, message, rcpt.address, &v);
        else line_discarded(r->m, message, rcpt.address, r->o->m.uid);
    }
    r->owed = r->bounce && b.count && bounce_wanted(&b) && bounce_build(r->m, &b, &r->notice);
    if (r->owed) bounce_logged(&b, &r->notice);
    free(results);
}

static enum err remove_message(struct manager *m, const struct operation *o, struct message_id id, bool bounce, struct bytes head)
{
    struct removal r = {.m = m, .o = o, .bounce = bounce, .head = head};
    if (!queue_find(m->queue, id, give_up, &r)) return ERR_NOT_FOUND;
    if (r.e != ERR_NONE) return r.e;
    return queue_remove(m->queue, id, r.owed ? &r.notice : NULL, process_now_wall_us(m->process), process_now_ms(m->process));
}

/* flush - due now. A message that is being delivered already, or has been since it was counted, needs nothing more. */
static enum err flush(struct manager *m, struct message_id id)
{
    int64_t wall_us = process_now_wall_us(m->process);
    enum err e = queue_due(m->queue, id, wall_us / 1000000, wall_us, process_now_ms(m->process));
    return e == ERR_BUSY || e == ERR_NOT_FOUND ? ERR_NONE : e;
}

enum err change_message(struct manager *m, const struct operation *o, struct message_id id, struct bytes head)
{
    int64_t wall_us = process_now_wall_us(m->process);
    uint64_t now_ms = process_now_ms(m->process);
    switch ((enum admin_verb)o->m.verb) {
    case ADMIN_QUEUE_HOLD: return queue_hold(m->queue, id, o->m.reason.len ? o->m.reason : BYTES("held by the operator"), wall_us);
    case ADMIN_QUEUE_RELEASE: return queue_release(m->queue, id, wall_us, now_ms);
    case ADMIN_QUEUE_FLUSH: return flush(m, id);
    case ADMIN_QUEUE_RETRY_AT: return queue_due(m->queue, id, o->m.at_wall_s, wall_us, now_ms);
    case ADMIN_QUEUE_BOUNCE: return remove_message(m, o, id, true, head);
    case ADMIN_QUEUE_DISCARD: return remove_message(m, o, id, false, head);
    default: return ERR_BAD_TYPE;
    }
}
