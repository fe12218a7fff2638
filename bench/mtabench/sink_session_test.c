/*
 * Tests of the sink's sessions: what is answered, the same for every way to cut the input; and when it may leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bench/mtabench/sink_session.h"

static const uint64_t ms = 1000000;
static struct sink_common common;
static struct hash_key key;

static int set_up(void **unused)
{
    (void)unused;
    memset(&common, 0, sizeof common);
    common.hostname = BYTES("sink.example");
    common.key = &key;
    common.now_ns = 1000 * ms;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    personalities_fini(&common.people);
    ledger_fini(&common.ledger);
    return 0;
}

static void begin(struct sink_session *s)
{
    static const struct net_address nowhere;
    memset(s, 0, sizeof *s);
    sink_session_greet(s, &common, &nowhere);
    s->out.len = 0;
}

/* The codes of all that waits to be sent, "250 354 ..."; the answers are taken away. */
static const char *codes(struct sink_session *s)
{
    static char text[256];
    uint32_t n = 0;
    for (uint32_t at = 0; at < s->out.len; at++) {
        bool starts = at == 0 || s->out.ptr[at - 1] == '\n';
        if (!starts || s->out.ptr[at + 3] == '-' || n + 4 > sizeof text) continue;
        if (n > 0) text[n++] = ' ';
        memcpy(text + n, s->out.ptr + at, 3);
        n += 3;
    }
    text[n] = 0;
    s->out.len = 0;
    return text;
}

static void say(struct sink_session *s, const char *text) { sink_session_input(s, &common, bytes_of_cstr(text)); }

static void end(struct sink_session *s)
{
    free(s->out.ptr);
    s->out = (struct sink_out){0};
}

static void test_sink_session_any_cut_gives_the_same_answers(void **unused)
{
    static const char text[] = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"
                               "X-Mtabench-Id: r-000000000001\r\n\r\n..\r\nr-000000000001\r\n.\r\n"
                               "MAIL FROM:<>\r\nMAIL FROM:<>\r\nRSET\r\nDATA\r\nBOGUS\r\nQUIT\r\nNOOP\r\n";
    static struct sink_session s;
    uint32_t runs = 0;
    (void)unused;
    for (uint32_t cut = 0; cut < sizeof text - 1; cut++, runs++) {
        begin(&s);
        sink_session_input(&s, &common, bytes_of(text, cut));
        sink_session_input(&s, &common, bytes_of(text + cut, (uint32_t)(sizeof text - 1 - cut)));
        assert_string_equal(codes(&s), "250 250 250 250 354 250 250 503 250 554 500 221");
        assert_true(s.ending);
        end(&s);
    }
    assert_int_equal(common.counts.messages, runs);
    assert_int_equal(common.counts.unnamed + common.counts.damaged, 0);
    assert_int_equal(ledger_count(&common.ledger, BYTES("r"), 1), 2 * runs);
}

static void test_sink_session_line_too_long_is_one_error(void **unused)
{
    static struct sink_session s;
    (void)unused;
    begin(&s);
    for (uint32_t i = 0; i < 100; i++) say(&s, "this is a very long line that has no end, and it goes on and on");
    say(&s, "\r\nNOOP\r\n");
    assert_string_equal(codes(&s), "500 250");
    end(&s);
}

static const char message[] = "DATA\r\n\r\n.\r\n";

static void test_sink_session_personalities_answer_as_said(void **unused)
{
    static const struct {
        const char *domain, *want;
        bool ending;
    } cases[] = {
        {"fast.example", "250 250 354 250", false}, {"later.example", "250 450 554 500 500", false}, {"never.example", "250 550 554 500 500", false},
        {"late.example", "250 250 354 552", false}, {"gone.example", "", true}, {"lategone.example", "", true}, {"grey.example", "250 450 554 500 500", false},
    };
    static const char *const people[] = {"later.example=4xx", "never.example=5xx", "late.example=552-data", "gone.example=disconnect",
                                         "lategone.example=disconnect-data", "grey.example=greylist=60"};
    (void)unused;
    for (uint32_t i = 0; i < sizeof people / sizeof people[0]; i++) assert_true(personality_parse(&common.people, bytes_of_cstr(people[i])));
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct sink_session s;
        begin(&s);
        say(&s, "MAIL FROM:<a@b>\r\nRCPT TO:<c@");
        say(&s, cases[i].domain);
        say(&s, ">\r\n");
        if (!s.ending) say(&s, message);
        assert_string_equal(codes(&s), cases[i].want);
        assert_int_equal(s.ending, cases[i].ending);
        end(&s);
    }
    assert_int_equal(common.counts.messages, 1);
    assert_int_equal(common.counts.refused_messages, 1);
    assert_int_equal(common.counts.refused_recipients, 3);
    assert_int_equal(common.counts.dropped, 2);
}

static void test_sink_session_slow_answer_waits(void **unused)
{
    static struct sink_session s;
    (void)unused;
    assert_true(personality_parse(&common.people, BYTES("*=slow=50ms")));
    begin(&s);
    say(&s, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    assert_int_equal(sink_session_leaving(&s, common.now_ns), s.out.len);
    s.out.len = 0;
    say(&s, "\r\n.\r\n");
    assert_int_equal(sink_session_leaving(&s, common.now_ns + 50 * ms - 1), 0);
    assert_int_equal(sink_session_leaving(&s, common.now_ns + 50 * ms), s.out.len);
    end(&s);
}

static void test_sink_session_tarpit_gives_a_line_at_a_time(void **unused)
{
    static struct sink_session s;
    uint64_t now = common.now_ns;
    (void)unused;
    assert_true(personality_parse(&common.people, BYTES("*=tarpit=100ms")));
    begin(&s);
    say(&s, "MAIL FROM:<a@b>\r\n");
    s.out.len = 0;
    say(&s, "RCPT TO:<c@d>\r\nRSET\r\nNOOP\r\n");
    for (uint32_t line = 0; line < 3; line++) {
        assert_int_equal(sink_session_leaving(&s, now + 100 * ms - 1), 0);
        now += 100 * ms;
        uint32_t n = sink_session_leaving(&s, now);
        assert_true(n > 0 && s.out.ptr[n - 1] == '\n' && bytes_find(bytes_of(s.out.ptr, n), '\n') == n - 1);
        memmove(s.out.ptr, s.out.ptr + n, s.out.len - n);
        s.out.len -= n;
    }
    assert_int_equal(s.out.len, 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sink_session_any_cut_gives_the_same_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sink_session_line_too_long_is_one_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sink_session_personalities_answer_as_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sink_session_slow_answer_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sink_session_tarpit_gives_a_line_at_a_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
