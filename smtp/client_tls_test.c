#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/client.h"

struct world {
    struct smtp_client_config config;
    struct smtp_client c;
    struct smtp_client_effects fx;
    struct smtp_client_job job;
    uint8_t out[8192], list[256], states[1];
};

static void on_verdict(void *context, uint32_t first, uint32_t count, const struct verdict *v)
{
    (void)context;
    (void)first;
    (void)count;
    fail_msg("a verdict: %.*s", (int)v->text.len, (const char *)v->text.ptr);
}

static void world_open(struct world *w, enum smtp_client_tls tls)
{
    memset(w, 0, sizeof *w);
    w->fx.out = BUF_OVER(w->out);
    struct buf list = BUF_OVER(w->list);
    rcpt_put(&list, &(struct rcpt){.address = BYTES("r@d")});
    w->job = (struct smtp_client_job){.sender = BYTES("s@h"), .rcpts = buf_bytes(&list), .rcpt_count = 1, .content_bytes = 5};
    smtp_client_config_init(&w->config);
    smtp_client_init(&w->c, &w->config, BYTES("me.example"), BYTES("mx.example[192.0.2.1]"), on_verdict, w, 1);
    smtp_client_use_tls(&w->c, tls, BYTES("the policy"));
    smtp_client_start(&w->c, &w->job, w->states, 1, &w->fx);
}

static void hear(struct world *w, const char *text) { smtp_client_feed(&w->c, bytes_of_cstr(text), 1, &w->fx); }
static bool said(const struct world *w, const char *text) { return memmem(w->out, w->fx.out.len, text, strlen(text)) != NULL; }

static void assert_ended(const struct world *w, const char *words, bool clear_next)
{
    assert_true(w->fx.close && w->fx.next_host && w->fx.job_done);
    assert_int_equal(w->fx.clear_next, clear_next);
    assert_int_equal(w->fx.site.class, VERDICT_LATER);
    if (!memmem(w->fx.site.text.ptr, w->fx.site.text.len, words, strlen(words))) fail_msg("%.*s", (int)w->fx.site.text.len, (const char *)w->fx.site.text.ptr);
}

#define OFFERS "250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"

static void test_client_tls_is_begun_where_it_is_offered(void **state)
{
    (void)state;
    static struct world w;
    for (int must_have = 0; must_have < 2; must_have++) {
        world_open(&w, must_have ? SMTP_TLS_MUST : SMTP_TLS_MAY);
        hear(&w, "220 hi\r\n");
        hear(&w, OFFERS);
        assert_true(said(&w, "EHLO me.example\r\nSTARTTLS\r\n") && !said(&w, "MAIL"));
        hear(&w, "220 go\r\n");
        assert_true(w.fx.want_tls && !w.fx.close);
        w.fx.out.len = 0;
        smtp_client_secured(&w.c, 1, &w.fx);
        assert_true(said(&w, "EHLO me.example\r\n"));
        w.fx.out.len = 0;
        /* What was offered in the clear is forgotten; STARTTLS offered once more is ignored. */
        hear(&w, "250-mx\r\n250 STARTTLS\r\n");
        assert_true(said(&w, "MAIL FROM:<s@h>\r\n") && !said(&w, "RCPT") && !said(&w, "STARTTLS"));
    }
}

static void test_client_never_asks_when_it_must_not(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w, SMTP_TLS_NEVER);
    hear(&w, "220 hi\r\n");
    hear(&w, OFFERS);
    assert_true(said(&w, "MAIL") && !said(&w, "STARTTLS"));
}

static void test_client_opportunistic_goes_on_in_the_clear(void **state)
{
    (void)state;
    static struct world w;
    static const char *const offers[] = {"250 mx\r\n", OFFERS, OFFERS};
    static const char *const answers[] = {NULL, "454 4.7.0 no\r\n", "502 5.5.1 what\r\n"};
    for (size_t i = 0; i < 3; i++) {
        world_open(&w, SMTP_TLS_MAY);
        hear(&w, "220 hi\r\n");
        hear(&w, offers[i]);
        if (answers[i]) hear(&w, answers[i]);
        assert_true(said(&w, "MAIL") && !w.fx.close);
    }
    /* Only HELO is known there. */
    world_open(&w, SMTP_TLS_MAY);
    hear(&w, "220 hi\r\n");
    hear(&w, "500 what\r\n");
    hear(&w, "250 mx\r\n");
    assert_true(said(&w, "MAIL"));
}

static void test_client_policy_is_never_given_up(void **state)
{
    (void)state;
    static struct world w;
    static const struct { const char *offer, *answer, *words; } cases[] = {
        {"250 mx\r\n", NULL, "TLS is required by the policy, but it was not offered by host mx.example[192.0.2.1]"},
        {OFFERS, "454 4.7.0 not now\r\n", "TLS is required by the policy, but it was refused by host mx.example[192.0.2.1]: 4.7.0 not now"},
        {OFFERS, "502 5.5.1 what\r\n", "but it was refused"},
        {OFFERS, "354 go on\r\n", "protocol error"},
        {OFFERS, "220 go\r\n250 injected\r\n", "protocol error"},
        {OFFERS, "220 go\r\nx", "protocol error"},
        {OFFERS, "421 bye\r\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_open(&w, SMTP_TLS_MUST);
        hear(&w, "220 hi\r\n");
        hear(&w, cases[i].offer);
        if (cases[i].answer) hear(&w, cases[i].answer);
        assert_ended(&w, cases[i].words, false);
        assert_false(said(&w, "MAIL"));
    }
    world_open(&w, SMTP_TLS_MUST);
    hear(&w, "220 hi\r\n");
    hear(&w, "500 what\r\n");
    hear(&w, "250 mx\r\n");
    assert_ended(&w, "it was not offered", false);
}

static void test_client_handshake_that_fails(void **state)
{
    (void)state;
    static struct world w;
    for (int how = 0; how < 6; how++) {
        bool must_have = how % 2;
        world_open(&w, must_have ? SMTP_TLS_MUST : SMTP_TLS_MAY);
        hear(&w, "220 hi\r\n");
        hear(&w, OFFERS);
        hear(&w, "220 go\r\n");
        if (how < 2) smtp_client_tls_failed(&w.c, BYTES("certificate has expired"), &w.fx);
        else if (how < 4) smtp_client_gone(&w.c, 1, &w.fx);
        else smtp_client_late(&w.c, 1, &w.fx);
        assert_ended(&w, how < 2 ? "the TLS handshake failed with host mx.example[192.0.2.1]: certificate has expired" : "the TLS handshake", !must_have);
    }
}

static void test_client_tls_before_the_banner(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w, SMTP_TLS_MUST);
    smtp_client_secured(&w.c, 1, &w.fx);
    hear(&w, "220 hi\r\n");
    hear(&w, "250-mx\r\n250 STARTTLS\r\n");
    assert_true(said(&w, "MAIL") && !said(&w, "STARTTLS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_tls_is_begun_where_it_is_offered),
        cmocka_unit_test(test_client_never_asks_when_it_must_not),
        cmocka_unit_test(test_client_opportunistic_goes_on_in_the_clear),
        cmocka_unit_test(test_client_policy_is_never_given_up),
        cmocka_unit_test(test_client_handshake_that_fails),
        cmocka_unit_test(test_client_tls_before_the_banner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
