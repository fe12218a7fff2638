#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/header.h"

struct header_case {
    const char *name;
    struct bytes in;
    bool done; /* before the end of the content */
    uint32_t header_bytes, received;
    bool has_8bit, has_date, has_from;
    struct bytes message_id;
};

static const struct header_case cases[] = {
    {"ordinary", BYTES_INIT("Received: a\r\n\tb\r\nFrom: x\r\nDate: y\r\nMessage-ID: <1@a>\r\n\r\nReceived: no\r\n"), true, 56, 1, false, true, true, BYTES_INIT("<1@a>")},
    {"any case, space before the colon", BYTES_INIT("RECEIVED : a\r\nrEceived:\r\n\r\n"), true, 27, 2, false, false, false, BYTES_INIT("")},
    {"folded line that looks like a field", BYTES_INIT("X: a\r\n Received: b\r\n\tReceived: c\r\n\r\n"), true, 36, 0, false, false, false, BYTES_INIT("")},
    {"longer and shorter names do not count", BYTES_INIT("Receivedx: a\r\nReceive: b\r\nX-Received: c\r\n\r\n"), true, 43, 0, false, false, false, BYTES_INIT("")},
    {"name of forty octets", BYTES_INIT("Receivedxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: a\r\n\r\n"), true, 47, 0, false, false, false, BYTES_INIT("")},
    {"empty line at once", BYTES_INIT("\r\nReceived: a\r\n"), true, 2, 0, false, false, false, BYTES_INIT("")},
    {"no empty line", BYTES_INIT("Received: a\r\n"), false, 13, 1, false, false, false, BYTES_INIT("")},
    {"nothing", BYTES_INIT(""), false, 0, 0, false, false, false, BYTES_INIT("")},
    {"text without a header", BYTES_INIT("Hello world\r\nReceived: a\r\n"), true, 0, 0, false, false, false, BYTES_INIT("")},
    {"text behind the first field", BYTES_INIT("Received: a\r\nnot a field\r\nReceived: b\r\n"), true, 13, 1, false, false, false, BYTES_INIT("")},
    {"name without a colon", BYTES_INIT("Received: a\r\nReceived\r\n: b\r\n"), true, 13, 1, false, false, false, BYTES_INIT("")},
    {"folded line first", BYTES_INIT(" Received: a\r\n"), true, 0, 0, false, false, false, BYTES_INIT("")},
    {"colon first", BYTES_INIT("From: a\r\n: b\r\n"), true, 9, 0, false, false, true, BYTES_INIT("")},
    {"8 bit in a value", BYTES_INIT("From: \xc3\xa9\r\n\r\n\xff"), true, 12, 0, true, false, true, BYTES_INIT("")},
    {"8 bit in a folded line", BYTES_INIT("Subject: a\r\n \xe9\r\n\r\n"), true, 18, 0, true, false, false, BYTES_INIT("")},
    {"8 bit in the Message-ID", BYTES_INIT("Message-ID: <\xc3\xa9@a>\r\n\r\n"), true, 22, 0, true, false, false, BYTES_INIT("<\xc3\xa9@a>")},
    {"8 bit in a name is no header", BYTES_INIT("From: a\r\nFr\xc3\xb6m: b\r\n"), true, 9, 0, false, false, true, BYTES_INIT("")},
    {"8 bit behind the header", BYTES_INIT("From: a\r\n\r\n\xc3\xa9"), true, 11, 0, false, false, true, BYTES_INIT("")},
    {"Message-ID with folding and a comment", BYTES_INIT("Message-Id:\r\n <1\r\n @a> (x)\r\n\r\n"), true, 30, 0, false, false, false, BYTES_INIT("<1@a>")},
    {"the first Message-ID counts", BYTES_INIT("Message-ID: <1@a>\r\nMessage-ID: <2@a>\r\n\r\n"), true, 40, 0, false, false, false, BYTES_INIT("<1@a>")},
    {"Message-ID ends with its field", BYTES_INIT("Message-ID: 1\r\nX: 2\r\n\r\n"), true, 23, 0, false, false, false, BYTES_INIT("1")},
    {"LF alone, as it may be stored", BYTES_INIT("Received: a\n\nReceived: b\n"), true, 13, 1, false, false, false, BYTES_INIT("")},
    {"CR that starts no line end", BYTES_INIT("From: a\r\n\rReceived: b\r\n"), true, 9, 0, false, false, true, BYTES_INIT("")},
    {"NUL in a value", BYTES_INIT("From: \0\r\nDate: a\r\n\r\n"), true, 20, 0, false, true, true, BYTES_INIT("")},
};

static void check_scan(const struct header_case *c, struct smtp_header_scan *s)
{
    if (s->done != c->done) fail_msg("%s: done is %d", c->name, s->done);
    smtp_header_end(s);
    if (s->header_bytes != c->header_bytes) fail_msg("%s: %u octets", c->name, (unsigned)s->header_bytes);
    if (s->received_count != c->received) fail_msg("%s: %u Received", c->name, s->received_count);
    if (s->has_8bit != c->has_8bit || s->has_date != c->has_date || s->has_from != c->has_from) fail_msg("%s: flags differ", c->name);
    if (!bytes_equal(bytes_of(s->message_id, s->message_id_len), c->message_id)) fail_msg("%s: Message-ID differs", c->name);
    assert_true(s->done);
}

static void test_header_feed_cases_count_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct smtp_header_scan s;
        smtp_header_init(&s);
        smtp_header_feed(&s, cases[i].in);
        check_scan(&cases[i], &s);
    }
}

static void test_header_feed_any_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (uint32_t cut = 0; cut <= cases[i].in.len; cut++) {
            struct smtp_header_scan s;
            smtp_header_init(&s);
            smtp_header_feed(&s, bytes_slice(cases[i].in, 0, cut));
            smtp_header_feed(&s, bytes_from(cases[i].in, cut));
            check_scan(&cases[i], &s);
        }
    }
}

static void test_header_feed_long_message_id_is_cut(void **state)
{
    (void)state;
    struct smtp_header_scan s;
    smtp_header_init(&s);
    smtp_header_feed(&s, BYTES("Message-ID: <"));
    for (int i = 0; i < 1000; i++) smtp_header_feed(&s, BYTES("xx"));
    smtp_header_feed(&s, BYTES(">\r\n\r\n"));
    assert_true(s.done);
    assert_int_equal(s.message_id_len, MESSAGE_ID_BYTES_MAX);
}

static void test_header_feed_after_done_changes_nothing(void **state)
{
    (void)state;
    struct smtp_header_scan s;
    smtp_header_init(&s);
    smtp_header_feed(&s, BYTES("\r\n"));
    smtp_header_feed(&s, BYTES("Received: a\r\n\xff"));
    assert_int_equal(s.received_count, 0);
    assert_int_equal(s.header_bytes, 2);
    assert_false(s.has_8bit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_feed_cases_count_fields),
        cmocka_unit_test(test_header_feed_any_split_gives_the_same),
        cmocka_unit_test(test_header_feed_long_message_id_is_cut),
        cmocka_unit_test(test_header_feed_after_done_changes_nothing),
    };
    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
