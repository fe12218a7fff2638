#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/server.h"

/* A process that takes everything. */
struct world {
    struct smtp_server_config config;
    struct smtp_server s;
    struct smtp_server_effects fx;
    uint64_t now_ms;
    bool closed;
    uint8_t out[64 * 1024], room[4096];
};

static void world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->config = (struct smtp_server_config){
        .hostname = BYTES("mx.example.com"), .message_bytes_max = 1000, .rcpts_max = 3, .line_bytes_max = 100, .errors_max = 9, .junk_max = 9,
        .hops_max = 2, .command_timeout_ms = 300000, .data_timeout_ms = 180000,
    };
    w->now_ms = 1000;
    w->fx.out = BUF_OVER(w->out);
    smtp_server_init(&w->s, &w->config);
}

static void answer(struct world *w, enum smtp_server_need need)
{
    const struct smtp_policy_answer yes = {.code = 250};
    switch (need) {
    case SMTP_NEED_SENDER: smtp_server_sender(&w->s, &yes, &w->fx); break;
    case SMTP_NEED_RCPT: smtp_server_rcpt(&w->s, &yes, &w->fx); break;
    case SMTP_NEED_BODY: smtp_server_room(&w->s, BUF_OVER(w->room)); break;
    case SMTP_NEED_COMMIT: smtp_server_committed(&w->s, (struct message_id){1}, &w->fx); break;
    case SMTP_NEED_ABORT: break;
    default: fail_msg("need %d", (int)need);
    }
}

static void feed(struct world *w, struct bytes in)
{
    for (;;) {
        uint32_t used = 0;
        enum smtp_server_need need = smtp_server_step(&w->s, in, &used, w->now_ms, &w->fx);
        in = bytes_from(in, used);
        w->closed = need == SMTP_NEED_CLOSE;
        if (need == SMTP_NEED_INPUT || need == SMTP_NEED_CLOSE) return;
        answer(w, need);
    }
}
#define FEED(w, text) feed((w), BYTES(text))

/* codes - the codes of the replies so far, separated by spaces. */
static const char *codes(const struct world *w)
{
    static char text[1024];
    uint32_t len = 0, line = 0;
    for (uint32_t i = 0; i < w->fx.out.len && len + 5 < sizeof(text); i++) {
        if (w->out[i] != '\n') continue;
        if (w->out[line + 3] == ' ') len += (uint32_t)snprintf(text + len, sizeof text - len, len > 0 ? " %.3s" : "%.3s", (const char *)w->out + line);
        line = i + 1;
    }
    text[len] = 0;
    return text;
}

static bool said(const struct world *w, const char *text)
{
    return memmem(w->out, w->fx.out.len, text, strlen(text)) != NULL;
}

#define HI "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define TX HI MAIL RCPT

static void starttls(struct world *w)
{
    uint32_t used = 0;
    struct bytes in = BYTES("STARTTLS\r\n");
    assert_int_equal(smtp_server_step(&w->s, in, &used, w->now_ms, &w->fx), SMTP_NEED_TLS);
    assert_int_equal(used, in.len);
    smtp_server_tls(&w->s, SMTP_TLS_GO, &w->fx);
    assert_int_equal(smtp_server_step(&w->s, BYTES("\x16\x03"), &used, w->now_ms, &w->fx), SMTP_NEED_TLS);
    assert_int_equal(used, 0);
    smtp_server_secured(&w->s, w->now_ms);
}

static void test_server_starttls_forgets_what_was_said_in_the_clear(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    w.config.tls_offered = true;
    smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    FEED(&w, HI);
    assert_true(said(&w, "STARTTLS"));
    assert_false(w.s.tls);
    starttls(&w);
    assert_true(w.s.tls);
    assert_int_equal(w.s.helo_len, 0);
    w.fx.out.len = 0;
    FEED(&w, MAIL HI "STARTTLS\r\n" MAIL RCPT "DATA\r\n.\r\n");
    assert_string_equal(codes(&w), "503 250 503 250 250 354 250");
    assert_false(said(&w, "-STARTTLS"));
    assert_true(bytes_equal(smtp_server_protocol(&w.s), BYTES("ESMTPS")));
}

static void test_server_octets_behind_starttls_end_the_session(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    w.config.tls_offered = true;
    smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    FEED(&w, HI "STARTTLS\r\n" MAIL);
    assert_string_equal(codes(&w), "220 250 554");
    assert_true(w.closed && !w.s.tls);
}

static void test_server_starttls_not_in_a_transaction_and_not_when_not_offered(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    w.config.tls_offered = true;
    smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    FEED(&w, TX "STARTTLS\r\n" "DATA\r\n.\r\n" "STARTTLS x\r\n");
    assert_string_equal(codes(&w), "220 250 250 250 503 354 250 501");
    world_open(&w);
    smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    FEED(&w, HI "STARTTLS\r\n");
    assert_string_equal(codes(&w), "220 250 502");
}

static void test_server_required_tls_lets_no_mail_in_before_it(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    w.config.tls_offered = w.config.tls_required = true;
    smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    FEED(&w, HI MAIL RCPT "DATA\r\nNOOP\r\nAUTH PLAIN\r\nBDAT 6\r\nQUIT\r\n");
    assert_string_equal(codes(&w), "220 250 530 530 530 250 530 503");
    starttls(&w);
    w.fx.out.len = 0;
    FEED(&w, TX "DATA\r\n.\r\n");
    assert_string_equal(codes(&w), "250 250 250 354 250");
}

static void test_server_deadline_and_shutdown_are_silent_in_a_handshake(void **state)
{
    (void)state;
    static struct world w;
    for (int late = 0; late < 2; late++) {
        uint32_t used;
        world_open(&w);
        w.config.tls_offered = true;
        smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
        assert_int_equal(smtp_server_step(&w.s, BYTES("STARTTLS\r\n"), &used, w.now_ms, &w.fx), SMTP_NEED_TLS);
        smtp_server_tls(&w.s, SMTP_TLS_GO, &w.fx);
        w.fx.out.len = 0;
        if (late) smtp_server_late(&w.s, &w.fx);
        else assert_true(smtp_server_shutdown(&w.s, &w.fx));
        assert_int_equal(w.fx.out.len, 0);
        assert_int_equal(w.s.phase, SMTP_PHASE_CLOSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_starttls_forgets_what_was_said_in_the_clear),
        cmocka_unit_test(test_server_octets_behind_starttls_end_the_session),
        cmocka_unit_test(test_server_starttls_not_in_a_transaction_and_not_when_not_offered),
        cmocka_unit_test(test_server_required_tls_lets_no_mail_in_before_it),
        cmocka_unit_test(test_server_deadline_and_shutdown_are_silent_in_a_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
