/*
 * client_check - a process in small around the client machine, for its tests: it keeps what was said and judged as text.
 */
#ifndef SMTP_CLIENT_CHECK_H
#define SMTP_CLIENT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/client.h"

enum { RCPTS_MAX = 600 };

struct world {
    struct smtp_client_config config;
    struct smtp_client c;
    struct smtp_client_effects fx;
    struct smtp_client_job job;
    uint64_t now_ms;
    uint32_t sent_len;               /* of out, by content */
    struct buf verdicts;             /* "0 delivered message 250 2.0.0; ..." */
    uint8_t out[64 * 1024], verdict_memory[64 * 1024], list[32 * 1024], states[RCPTS_MAX];
    char last_text[1100];
};

static void on_verdict(void *context, uint32_t first, uint32_t count, const struct verdict *v)
{
    static const char *const classes[] = {"untried", "delivered", "later", "never"};
    static const char *const scopes[] = {"", " site", " message", " recipient"};
    struct world *w = context;
    struct buf *b = &w->verdicts;
    assert_true(count > 0 && first + count <= w->job.rcpt_count);
    if (b->len > 0) BUF_LIT(b, "; ");
    buf_put_u64(b, first);
    if (count > 1) {
        BUF_LIT(b, "-");
        buf_put_u64(b, first + count - 1);
    }
    BUF_LIT(b, " ");
    buf_put_cstr(b, classes[v->class]);
    buf_put_cstr(b, scopes[v->scope]);
    if (v->code) {
        BUF_LIT(b, " ");
        buf_put_u64(b, v->code);
    }
    if (v->enhanced.class) {
        BUF_LIT(b, " ");
        buf_put_u64(b, v->enhanced.class);
        BUF_LIT(b, ".");
        buf_put_u64(b, v->enhanced.subject);
        BUF_LIT(b, ".");
        buf_put_u64(b, v->enhanced.detail);
    }
    if (v->remote) BUF_LIT(b, " said");
    if (v->maybe_duplicate) BUF_LIT(b, " dup");
    assert_true(v->text.len <= REPLY_TEXT_BYTES_MAX);
    memcpy(w->last_text, v->text.ptr, v->text.len);
    w->last_text[v->text.len] = 0;
}

static void world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->fx.out = BUF_OVER(w->out);
    w->verdicts = BUF_OVER(w->verdict_memory);
    smtp_client_config_init(&w->config);
    smtp_client_init(&w->c, &w->config, BYTES("me.example"), BYTES("mx.example[192.0.2.1]"), on_verdict, w, w->now_ms);
}

static void set_job(struct world *w, uint32_t rcpts)
{
    struct buf list = BUF_OVER(w->list);
    for (uint32_t i = 0; i < rcpts; i++) {
        uint8_t memory[32];
        struct buf address = BUF_OVER(memory);
        BUF_LIT(&address, "r");
        buf_put_u64(&address, i);
        BUF_LIT(&address, "@d");
        rcpt_put(&list, &(struct rcpt){.address = buf_bytes(&address)});
    }
    w->job = (struct smtp_client_job){.sender = BYTES("s@h"), .rcpts = buf_bytes(&list), .rcpt_count = rcpts, .content_bytes = 500};
}

/* settle - what the process does with effects: it pumps content at once. */
static void settle(struct world *w)
{
    assert_false(w->fx.out.overflow);
    if (!w->fx.want_content) return;
    w->fx.want_content = false;
    BUF_LIT(&w->fx.out, "<content>\r\n");
    smtp_client_content_sent(&w->c, w->now_ms);
}

/* play - a script of the remote: parts separated by '|'; EOF, LATE and START are events; a part that starts with '+' comes before content is sent. */
static void play(struct world *w, const char *script)
{
    struct bytes rest = bytes_of_cstr(script);
    while (rest.len > 0) {
        uint32_t end = bytes_find(rest, '|');
        struct bytes part = bytes_slice(rest, 0, end);
        rest = bytes_from(rest, end + 1);
        bool before_content = part.len > 0 && part.ptr[0] == '+';
        if (before_content) w->fx.want_content = false;
        if (before_content) part = bytes_from(part, 1);
        if (bytes_equal(part, BYTES("EOF"))) smtp_client_gone(&w->c, w->now_ms, &w->fx);
        else if (bytes_equal(part, BYTES("LATE"))) smtp_client_late(&w->c, w->now_ms, &w->fx);
        else if (bytes_equal(part, BYTES("START"))) smtp_client_start(&w->c, &w->job, w->states, w->now_ms, &w->fx);
        else smtp_client_feed(&w->c, part, w->now_ms, &w->fx);
        if (rest.len == 0 || rest.ptr[0] != '+') settle(w);
    }
}

static const char *flags(const struct world *w)
{
    static char text[64];
    snprintf(text, sizeof(text), "%s%s%s%s%s", w->fx.job_done ? "done " : "", w->fx.close ? "close " : "", w->fx.next_host ? "next " : "",
             w->fx.same_host ? "same " : "", w->fx.helo_only_next ? "helo " : "");
    return text;
}

/* A greeting with everything, and one with nothing. EHLO was said before the second part. */
#define FULL "220 hi\r\n|250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n"
#define BARE "220 hi\r\n|250 mx\r\n"
#define OK "250 2.0.0 ok\r\n"
#define GO "354 go\r\n"

#define EHLO "EHLO me.example\r\n"
#define MAIL "MAIL FROM:<s@h>\r\n"
#define SIZED "MAIL FROM:<s@h> SIZE=500\r\n"
#define R0 "RCPT TO:<r0@d>\r\n"
#define R1 "RCPT TO:<r1@d>\r\n"
#define FLIGHT EHLO SIZED R0 R1 "DATA\r\n"
#define BODY "<content>\r\n"

struct talk_case {
    const char *name;
    const char *script;
    const char *said;
    const char *verdicts;
    const char *flags;
};

static void check_talk(const struct talk_case *t, struct world *w, const char *how)
{
    buf_put_c(&w->fx.out, 0);
    buf_put_c(&w->verdicts, 0);
    if (strcmp((char *)w->out, t->said) != 0) fail_msg("%s, %s: said\n%s", t->name, how, (char *)w->out);
    if (strcmp((char *)w->verdict_memory, t->verdicts) != 0) fail_msg("%s, %s: verdicts: %s", t->name, how, (char *)w->verdict_memory);
    if (strcmp(flags(w), t->flags) != 0) fail_msg("%s, %s: flags %s", t->name, how, flags(w));
    if (w->fx.close) assert_true(w->c.closed && w->c.deadline_ms == 0);
}

#endif
