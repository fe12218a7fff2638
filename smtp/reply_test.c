#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/reply.h"

struct reply_case {
    const char *name;
    struct bytes in;
    enum smtp_feed want;
    uint16_t code;      /* wanted on SMTP_DONE */
    uint32_t used;      /* wanted; 0 = all of it */
    struct bytes text;  /* wanted on SMTP_DONE */
    bool bare_lf;
};

static const struct reply_case reply_cases[] = {
    {"one line", BYTES_INIT("250 ok\r\n"), SMTP_DONE, 250, 0, BYTES_INIT("ok"), false},
    {"no separator", BYTES_INIT("250\r\n"), SMTP_DONE, 250, 0, BYTES_INIT(""), false},
    {"no text", BYTES_INIT("250 \r\n"), SMTP_DONE, 250, 0, BYTES_INIT(""), false},
    {"three lines", BYTES_INIT("250-a\r\n250-\r\n250 c\r\n"), SMTP_DONE, 250, 0, BYTES_INIT("a\n\nc"), false},
    {"bare last line", BYTES_INIT("250-a\r\n250\r\n"), SMTP_DONE, 250, 0, BYTES_INIT("a\n"), false},
    {"the next reply stays", BYTES_INIT("354 go\r\n250 ok\r\n"), SMTP_DONE, 354, 8, BYTES_INIT("go"), false},
    {"bare LF is flagged", BYTES_INIT("250-a\n250 b\r\n"), SMTP_DONE, 250, 0, BYTES_INIT("a\nb"), true},
    {"CR CR LF ends a line", BYTES_INIT("250 ok\r\r\n"), SMTP_DONE, 250, 0, BYTES_INIT("ok"), false},
    {"digits and dashes in the text", BYTES_INIT("250 2-3 4\r\n"), SMTP_DONE, 250, 0, BYTES_INIT("2-3 4"), false},
    {"NUL and 8 bit are text", BYTES_INIT("550 a\0b\xff\r\n"), SMTP_DONE, 550, 0, BYTES_INIT("a\0b\xff"), false},
    {"lowest code", BYTES_INIT("200 x\r\n"), SMTP_DONE, 200, 0, BYTES_INIT("x"), false},
    {"highest code", BYTES_INIT("599 x\r\n"), SMTP_DONE, 599, 0, BYTES_INIT("x"), false},
    {"nothing", BYTES_INIT(""), SMTP_MORE, 0, 0, BYTES_INIT(""), false},
    {"unfinished line", BYTES_INIT("250 o"), SMTP_MORE, 0, 0, BYTES_INIT(""), false},
    {"CR without its LF yet", BYTES_INIT("250 ok\r"), SMTP_MORE, 0, 0, BYTES_INIT(""), false},
    {"last line is missing", BYTES_INIT("250-a\r\n"), SMTP_MORE, 0, 0, BYTES_INIT(""), false},
    {"code changes", BYTES_INIT("250-a\r\n550"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"short code", BYTES_INIT("25\r"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"long code", BYTES_INIT("2500"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"code over 599", BYTES_INIT("999"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"code under 200", BYTES_INIT("199"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"code of zeroes", BYTES_INIT("000"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"letters", BYTES_INIT("a"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"negative", BYTES_INIT("-"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"leading space", BYTES_INIT(" "), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"empty line", BYTES_INIT("\r"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"empty line by LF", BYTES_INIT("\n"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"no separator but text", BYTES_INIT("250o"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"bare CR", BYTES_INIT("250 a\rb"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"tab as a separator", BYTES_INIT("250\t"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
    {"octet over 127 as a digit", BYTES_INIT("2\xb5"), SMTP_GARBLED, 0, 0, BYTES_INIT(""), false},
};

static void check_reply(const struct reply_case *c, const struct smtp_reply *r, enum smtp_feed got, uint32_t used)
{
    if (got != c->want) fail_msg("%s: got %d, want %d", c->name, (int)got, (int)c->want);
    if (used != (c->used ? c->used : c->in.len)) fail_msg("%s: %u octets used", c->name, used);
    if (got != SMTP_DONE) return;
    if (r->code != c->code) fail_msg("%s: code %u", c->name, r->code);
    if (!bytes_equal(smtp_reply_text(r), c->text)) fail_msg("%s: text differs", c->name);
    if (r->bare_lf != c->bare_lf) fail_msg("%s: bare_lf is %d", c->name, r->bare_lf);
    assert_int_equal(r->bytes, used);
}

static void test_reply_feed_cases_give_code_and_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(reply_cases) / sizeof(*reply_cases); i++) {
        const struct reply_case *c = &reply_cases[i];
        struct smtp_reply r;
        smtp_reply_init(&r);
        uint32_t used = 0;
        enum smtp_feed got = smtp_reply_feed(&r, c->in, &used);
        check_reply(c, &r, got, used);
    }
}

static void test_reply_feed_any_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(reply_cases) / sizeof(*reply_cases); i++) {
        const struct reply_case *c = &reply_cases[i];
        for (uint32_t cut = 0; cut <= c->in.len; cut++) {
            struct smtp_reply r;
            smtp_reply_init(&r);
            uint32_t used = 0, used_after = 0;
            enum smtp_feed got = smtp_reply_feed(&r, bytes_slice(c->in, 0, cut), &used);
            got = smtp_reply_feed(&r, bytes_from(c->in, used), &used_after);
            check_reply(c, &r, got, used + used_after);
        }
    }
}

static void test_reply_feed_after_the_end_eats_nothing(void **state)
{
    (void)state;
    static const struct bytes ends[] = {BYTES_INIT("250 ok\r\n"), BYTES_INIT("oops")};
    static const enum smtp_feed want[] = {SMTP_DONE, SMTP_GARBLED};
    for (size_t i = 0; i < 2; i++) {
        struct smtp_reply r;
        smtp_reply_init(&r);
        uint32_t used = 0;
        assert_int_equal(smtp_reply_feed(&r, ends[i], &used), want[i]);
        assert_int_equal(smtp_reply_feed(&r, BYTES("250 ok\r\n"), &used), want[i]);
        assert_int_equal(used, 0);
    }
}

static void test_reply_feed_long_line_is_garbled_at_its_limit(void **state)
{
    (void)state;
    uint8_t line[SMTP_REPLY_LINE_BYTES_MAX + 1];
    memset(line, 'x', sizeof(line));
    memcpy(line, "250 ", 4);
    struct smtp_reply r;
    uint32_t used = 0;
    memcpy(line + sizeof(line) - 3, "\r\n", 2);
    smtp_reply_init(&r);
    assert_int_equal(smtp_reply_feed(&r, bytes_of(line, sizeof(line) - 1), &used), SMTP_DONE);
    assert_int_equal(r.text_len, REPLY_TEXT_BYTES_MAX);
    assert_true(r.text_cut);

    memcpy(line + sizeof(line) - 3, "x\r\n", 3);
    smtp_reply_init(&r);
    assert_int_equal(smtp_reply_feed(&r, bytes_of(line, sizeof(line)), &used), SMTP_GARBLED);
}

static void test_reply_feed_endless_lines_are_garbled(void **state)
{
    (void)state;
    struct smtp_reply r;
    uint32_t used = 0;
    smtp_reply_init(&r);
    for (uint32_t eaten = 0; eaten + 6 <= SMTP_REPLY_BYTES_MAX - 6; eaten += 6)
        assert_int_equal(smtp_reply_feed(&r, BYTES("250-\r\n"), &used), SMTP_MORE);
    struct smtp_reply last = r;
    assert_int_equal(smtp_reply_feed(&r, BYTES("250-\r\n250-\r\n"), &used), SMTP_GARBLED);
    assert_int_equal(smtp_reply_feed(&last, BYTES("250 \r\n"), &used), SMTP_DONE);
}

static void test_reply_init_after_use_forgets_the_last_reply(void **state)
{
    (void)state;
    struct smtp_reply r;
    uint32_t used = 0;
    smtp_reply_init(&r);
    assert_int_equal(smtp_reply_feed(&r, BYTES("550-5.1.1 no\n550 5.1.1 such user\r\n"), &used), SMTP_DONE);
    assert_int_equal(smtp_reply_enhanced(&r).detail, 1);
    smtp_reply_init(&r);
    assert_int_equal(r.code, 0);
    assert_false(r.bare_lf);
    assert_int_equal(smtp_reply_text(&r).len, 0);
    assert_int_equal(smtp_reply_feed(&r, BYTES("550 x\r\n"), &used), SMTP_DONE);
    assert_int_equal(smtp_reply_enhanced(&r).class, 0);
}

static void test_enhanced_parse_cases_follow_rfc_3463(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        bool want;
        struct enhanced enhanced;
        uint32_t used;
    } cases[] = {
        {BYTES_INIT("5.1.1"), true, {5, 1, 1}, 5},
        {BYTES_INIT("5.1.1 no such user"), true, {5, 1, 1}, 6},
        {BYTES_INIT("4.999.123 x"), true, {4, 999, 123}, 10},
        {BYTES_INIT("2.0.0\nmore"), true, {2, 0, 0}, 5},
        {BYTES_INIT("5.1.1234"), false, {0}, 0},
        {BYTES_INIT("5.1234.1"), false, {0}, 0},
        {BYTES_INIT("5.1.1x"), false, {0}, 0},
        {BYTES_INIT("5.1."), false, {0}, 0},
        {BYTES_INIT("5.1.x"), false, {0}, 0},
        {BYTES_INIT("5..11"), false, {0}, 0},
        {BYTES_INIT("5.1"), false, {0}, 0},
        {BYTES_INIT("3.1.1"), false, {0}, 0},
        {BYTES_INIT("55.1.1"), false, {0}, 0},
        {BYTES_INIT(" 5.1.1"), false, {0}, 0},
        {BYTES_INIT(""), false, {0}, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct enhanced e = {0};
        uint32_t used = 0;
        if (smtp_enhanced_parse(cases[i].text, &e, &used) != cases[i].want) fail_msg("case %zu", i);
        if (e.class != cases[i].enhanced.class || e.subject != cases[i].enhanced.subject || e.detail != cases[i].enhanced.detail) fail_msg("case %zu", i);
        if (used != cases[i].used) fail_msg("case %zu: used %u", i, used);
    }
}

static void test_reply_enhanced_of_another_class_is_ignored(void **state)
{
    (void)state;
    struct smtp_reply r;
    uint32_t used = 0;
    smtp_reply_init(&r);
    assert_int_equal(smtp_reply_feed(&r, BYTES("450 5.1.1 contradicts itself\r\n"), &used), SMTP_DONE);
    assert_int_equal(smtp_reply_enhanced(&r).class, 0);
}

static void test_reply_write_cases_are_whole_lines(void **state)
{
    (void)state;
    static const struct {
        uint16_t code;
        struct enhanced enhanced;
        struct bytes text, want;
    } cases[] = {
        {250, {2, 1, 0}, BYTES_INIT("Sender ok"), BYTES_INIT("250 2.1.0 Sender ok\r\n")},
        {354, {0}, BYTES_INIT("Go"), BYTES_INIT("354 Go\r\n")},
        {250, {0}, BYTES_INIT("mx\nSIZE 1\nDSN"), BYTES_INIT("250-mx\r\n250-SIZE 1\r\n250 DSN\r\n")},
        {550, {5, 7, 1}, BYTES_INIT("a\nb"), BYTES_INIT("550-5.7.1 a\r\n550 5.7.1 b\r\n")},
        {550, {4, 7, 1}, BYTES_INIT("class contradicts"), BYTES_INIT("550 class contradicts\r\n")},
        {501, {5, 5, 4}, BYTES_INIT("foreign\r250 ok\0\x7f"), BYTES_INIT("501 5.5.4 foreign?250 ok??\r\n")},
        {250, {0}, BYTES_INIT(""), BYTES_INIT("250 \r\n")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t memory[200];
        struct buf out = BUF_OVER(memory);
        smtp_reply_write(&out, cases[i].code, cases[i].enhanced, cases[i].text);
        if (!bytes_equal(buf_bytes(&out), cases[i].want)) fail_msg("case %zu", i);
    }
}

static void test_reply_write_without_room_writes_nothing_of_it(void **state)
{
    (void)state;
    uint8_t memory[20];
    struct buf out = BUF_OVER(memory);
    smtp_reply_write(&out, 250, (struct enhanced){0}, BYTES("first"));
    uint32_t whole = out.len;
    smtp_reply_write(&out, 250, (struct enhanced){0}, BYTES("a\nsecond"));
    assert_true(out.overflow);
    assert_int_equal(out.len, whole);
}

static void test_reply_write_long_text_stays_within_512_octets(void **state)
{
    (void)state;
    uint8_t text[2000], memory[4000];
    memset(text, 'x', sizeof(text));
    struct buf out = BUF_OVER(memory);
    smtp_reply_write(&out, 550, (struct enhanced){5, 999, 999}, bytes_of(text, sizeof(text)));
    assert_in_range(out.len, 400, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_feed_cases_give_code_and_text),
        cmocka_unit_test(test_reply_feed_any_split_gives_the_same),
        cmocka_unit_test(test_reply_feed_after_the_end_eats_nothing),
        cmocka_unit_test(test_reply_feed_long_line_is_garbled_at_its_limit),
        cmocka_unit_test(test_reply_feed_endless_lines_are_garbled),
        cmocka_unit_test(test_reply_init_after_use_forgets_the_last_reply),
        cmocka_unit_test(test_enhanced_parse_cases_follow_rfc_3463),
        cmocka_unit_test(test_reply_enhanced_of_another_class_is_ignored),
        cmocka_unit_test(test_reply_write_cases_are_whole_lines),
        cmocka_unit_test(test_reply_write_without_room_writes_nothing_of_it),
        cmocka_unit_test(test_reply_write_long_text_stays_within_512_octets),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
