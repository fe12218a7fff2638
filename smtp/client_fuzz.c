/*
 * client_fuzz - random events for the client machine: replies good, bad and cut anywhere, ends, lateness, a process with little room.
 *
 * Asserted here is the law of the three ends (smtp/client.h): each recipient of a job is judged once, or not at all and then next_host is
 * set; nothing is delivered whose content's end was not submitted; after that end nothing goes to the next host in silence.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "smtp/client.h"

static const char *const replies[] = {
    "250 ok\r\n", "220 hi\r\n", "354 go\r\n", "250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-DSN\r\n250 8BITMIME\r\n",
    "250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=3\r\n", "550 5.1.1 no\r\n", "450 4.2.0 later\r\n", "552 many\r\n",
    "421 4.3.2 bye\r\n", "250-a\r\n550 b\r\n", "hello\r\n", "250", "250-", "-x\r\n", "\n", "250 2.0.0 queued\n", "502 what\r\n",
};
enum { REPLY_COUNT = sizeof(replies) / sizeof(*replies), RCPTS = 5 };

struct world {
    struct cursor events;
    struct smtp_client c;
    struct smtp_client_effects fx;
    struct smtp_client_job job;
    uint64_t now_ms;
    bool busy, pumping, end_submitted;
    uint8_t judged[RCPTS], states[RCPTS];
    uint8_t out[SMTP_CLIENT_COMMAND_BYTES_MAX + 200], list[512];
};

static uint8_t event(struct world *w)
{
    return (uint8_t)cursor_le(&w->events, 1);
}

static void on_verdict(void *context, uint32_t first, uint32_t count, const struct verdict *v)
{
    struct world *w = context;
    must(w->busy && count > 0 && first + count <= RCPTS);
    must(v->class < VERDICT_CLASS_COUNT && v->scope < SCOPE_COUNT && v->step < STEP_COUNT && v->text.len <= REPLY_TEXT_BYTES_MAX);
    if (v->class == VERDICT_DELIVERED) must(w->end_submitted && v->code / 100 == 2);
    if (v->maybe_duplicate) must(w->end_submitted && v->class == VERDICT_LATER);
    if (v->class == VERDICT_LATER) must(v->enhanced.class == 4);
    if (v->class == VERDICT_NEVER) must(v->enhanced.class == 5);
    for (uint32_t i = first; i < first + count; i++) must(w->judged[i]++ == 0);
}

static void check_out(struct world *w)
{
    must(!w->fx.out.overflow);
    for (uint32_t i = 0; i < w->fx.out.len; i++) must(w->out[i] >= 0x20 || w->out[i] == '\r' || w->out[i] == '\n');
    must(w->fx.out.len == 0 || w->out[w->fx.out.len - 1] == '\n');
    w->fx.out.len = 0;
}

static void act(struct world *w)
{
    if (event(w) % 4) check_out(w);
    if (w->fx.want_content) {
        must(w->busy && !w->pumping && !w->fx.close);
        w->pumping = true;
    }
    if (w->fx.job_done) {
        must(w->busy);
        uint32_t open = 0;
        for (uint32_t i = 0; i < RCPTS; i++) open += w->judged[i] == 0;
        must(w->fx.next_host == (open > 0));
        if (w->fx.next_host) must(w->fx.close && w->fx.site.class == VERDICT_LATER && !w->end_submitted);
        w->busy = w->pumping = false;
    }
    if (w->fx.close) must(w->c.closed && !w->busy);
    bool more = w->fx.more, tls = w->fx.want_tls && !w->fx.close;
    w->fx = (struct smtp_client_effects){.out = w->fx.out};
    if (more) {
        check_out(w);
        smtp_client_more(&w->c, w->now_ms, &w->fx);
    }
    if (!tls) return;
    check_out(w);
    if (event(w) % 2) smtp_client_secured(&w->c, w->now_ms, &w->fx);
    else smtp_client_tls_failed(&w->c, BYTES("reasons"), &w->fx);
    act(w);
}

static void start(struct world *w)
{
    if (w->busy || !smtp_client_can_start(&w->c)) return;
    uint8_t what = event(w);
    w->job.sender = BYTES("a@b");
    w->job.rcpt_count = RCPTS;
    w->job.flags = what & (MAIL_BODY_8BIT | MAIL_NEEDS_SMTPUTF8);
    w->job.ret = what % 3;
    w->job.envid = BYTES("e");
    w->job.content_bytes = what * 10u;
    memset(w->judged, 0, sizeof(w->judged));
    w->busy = true;
    w->end_submitted = false;
    smtp_client_start(&w->c, &w->job, w->states, w->now_ms, &w->fx);
}

static void on_event(struct world *w)
{
    uint8_t what = event(w);
    if (what < 0x90) {
        smtp_client_feed(&w->c, bytes_of_cstr(replies[what % REPLY_COUNT]), w->now_ms, &w->fx);
    } else if (what < 0xA0) {
        uint32_t n = what & 15;
        smtp_client_feed(&w->c, cursor_take(&w->events, n < cursor_left(&w->events) ? n : cursor_left(&w->events)), w->now_ms, &w->fx);
    } else if (what < 0xD0) {
        start(w);
    } else if (what < 0xF0) {
        if (!w->pumping) return;
        w->pumping = false;
        w->end_submitted = true;
        smtp_client_content_sent(&w->c, w->now_ms);
    } else if (what < 0xF4) {
        w->now_ms += 1000;
        smtp_client_content_progress(&w->c, what, w->now_ms);
    } else if (what < 0xF8) {
        if (!w->busy) smtp_client_quit(&w->c, w->now_ms, &w->fx);
    } else if (what < 0xFC) {
        smtp_client_late(&w->c, w->now_ms, &w->fx);
    } else {
        smtp_client_gone(&w->c, w->now_ms, &w->fx);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct smtp_client_config config;
    smtp_client_config_init(&config);
    memset(&w, 0, sizeof(w));
    w.events = cursor_over(bytes_of(data, (uint32_t)size));
    w.fx.out = BUF_OVER(w.out);
    struct buf list = BUF_OVER(w.list);
    struct rcpt r = {.notify = NOTIFY_FAILURE, .address = BYTES("c@d.example"), .orcpt = BYTES("rfc822;c@d")};
    for (uint32_t i = 0; i < RCPTS; i++) rcpt_put(&list, &r);
    w.job.rcpts = buf_bytes(&list);
    smtp_client_init(&w.c, &config, BYTES("me"), BYTES("mx[192.0.2.1]"), on_verdict, &w, w.now_ms);
    if (event(&w) == 0) smtp_client_helo_only(&w.c);
    smtp_client_use_tls(&w.c, (enum smtp_client_tls)(event(&w) % 3), BYTES("a policy"));
    while (cursor_left(&w.events) > 0) {
        on_event(&w);
        act(&w);
        smtp_client_check(&w.c);
        must(w.c.closed || w.c.deadline_ms > 0);
    }
    if (!w.c.closed) smtp_client_gone(&w.c, w.now_ms, &w.fx);
    act(&w);
    must(w.c.closed && !w.busy);
    return 0;
}
