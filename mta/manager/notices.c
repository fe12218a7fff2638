/*
 * notices - what becomes due by time alone: the warning that mail is late, and giving up on it.
 *
 * An expiry is settled like an attempt whose every recipient said "later": the queue sees that their time is over.
 */
#include <stdlib.h>

#include "base/log.h"
#include "mta/manager/manager.h"

enum { NOTICES_BATCH = 64 }; /* in one turn */

/* remember_notes - the last words about each recipient become the attempt's verdicts. */
static void remember_notes(struct manager *m, struct attempt *a)
{
    for (uint32_t i = 0; i < a->rcpt_count; i++) {
        struct queue_rcpt_note note = {0};
        (void)queue_note(m->queue, a->message, a->rcpts[i], &note);
        struct verdict v = {
            .class = VERDICT_LATER, .scope = SCOPE_RECIPIENT, .enhanced = note.enhanced, .code = note.code,
            .text = note.reason.len ? note.reason : BYTES("no delivery was possible yet"),
        };
        if (!v.enhanced.class) v.enhanced = (struct enhanced){4, 4, 7};
        (void)attempt_run(a, i, 1, &v);
    }
}

static void warn(struct manager *m, struct attempt *a)
{
    struct queue_content content = {.fd = -1};
    a->state = ATTEMPT_WARNING;
    if (queue_content_head(m->queue, a->message, m->config->limits.bounce_bytes, slots_handle(&m->attempts, a), &content)) notice_head(m, a, content.body);
}

void notice_head(struct manager *m, struct attempt *a, struct bytes head)
{
    struct queue_result *r = attempt_results(a);
    struct record_message notice;
    struct bounce_of b = {.kind = BOUNCE_WARNING, .id = a->message, .original = a->record, .results = r, .count = a->rcpt_count, .head = head};
    bool owed = r && bounce_wanted(&b) && bounce_build(m, &b, &notice);
    if (owed) bounce_logged(&b, &notice);
    enum err e = queue_warned(m->queue, a->message, owed ? &notice : NULL, process_now_wall_us(m->process), process_now_ms(m->process));
    if (e != ERR_NONE) log_err(LOG_LEVEL_WARNING, "a delay warning could not be recorded", BYTES("queue"), e);
    free(r);
    attempt_give_back(m, a);
}

void notices_turn(struct manager *m)
{
    struct queue_notice n;
    for (uint32_t i = 0; i < NOTICES_BATCH && queue_next_notice(m->queue, &n, process_now_wall_us(m->process)); i++) {
        struct attempt *a = attempt_of_notice(m, &n);
        if (!a) {
            if (n.expired) queue_return(m->queue, n.id, n.rcpts, n.rcpt_count);
            return;
        }
        remember_notes(m, a);
        if (n.expired) attempt_settle(m, a);
        else warn(m, a);
    }
}
