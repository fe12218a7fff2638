#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/address.h"

enum { UTF8 = 1, POSTMASTER = 2 };

struct path_case {
    struct bytes in;
    uint32_t allow;
    enum smtp_address_result want;
    struct bytes whole; /* wanted on OK */
    uint32_t used;      /* wanted on OK; 0 = all */
};

#define GOOD(in, allow, whole) {BYTES_INIT(in), allow, SMTP_ADDRESS_OK, BYTES_INIT(whole), 0}
#define REFUSED(in, allow, want) {BYTES_INIT(in), allow, want, BYTES_INIT(""), 0}

static const struct path_case path_cases[] = {
    GOOD("<a@b>", 0, "a@b"),
    GOOD("<User@Example.COM>", 0, "User@example.com"),
    GOOD("<a.b+c=d%e!f@sub.example>", 0, "a.b+c=d%e!f@sub.example"),
    GOOD("<a@my_host.example>", 0, "a@my_host.example"),
    GOOD("<a@3com.example>", 0, "a@3com.example"),
    {BYTES_INIT("<a@b> SIZE=1"), 0, SMTP_ADDRESS_OK, BYTES_INIT("a@b"), 5},
    {BYTES_INIT("<a@b>>"), 0, SMTP_ADDRESS_OK, BYTES_INIT("a@b"), 5},
    {BYTES_INIT("<>"), 0, SMTP_ADDRESS_EMPTY, BYTES_INIT(""), 2},
    /* quoted local parts */
    GOOD("<\"a\"@b>", 0, "a@b"),
    GOOD("<\"a.b\"@b>", 0, "a.b@b"),
    GOOD("<\"\\a\\b\"@b>", 0, "ab@b"),
    GOOD("<\"a b\"@b>", 0, "\"a b\"@b"),
    GOOD("<\"a\\\"b\"@b>", 0, "\"a\\\"b\"@b"),
    GOOD("<\"a\\\\\"@b>", 0, "\"a\\\\\"@b"),
    GOOD("<\"a@c\"@b>", 0, "\"a@c\"@b"),
    GOOD("<\"a>\"@b>", 0, "\"a>\"@b"),
    GOOD("<\"\"@b>", 0, "\"\"@b"),
    GOOD("<\"a..b\"@b>", 0, "\"a..b\"@b"),
    REFUSED("<\"a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<\"a\\", 0, SMTP_ADDRESS_BAD),
    REFUSED("<\"a\rb\"@c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<\"a\\\nb\"@c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<\"a\0b\"@c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<\"a\"b@c>", 0, SMTP_ADDRESS_BAD),
    /* source routes */
    GOOD("<@x.example:a@b>", 0, "a@b"),
    GOOD("<@x.example,@[192.0.2.1]:a@b>", 0, "a@b"),
    REFUSED("<@x.example,a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<@x.example,:a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<@x.example:>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<@:a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<@x.example a@b>", 0, SMTP_ADDRESS_BAD),
    /* literals */
    GOOD("<a@[192.0.2.1]>", 0, "a@[192.0.2.1]"),
    GOOD("<a@[ipv6:2001:DB8::1]>", 0, "a@[IPv6:2001:db8::1]"),
    REFUSED("<a@[2001:db8::1]>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[IPv6:192.0.2.1]>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[192.0.2.256]>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[192.0.2.1>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[192.0.2.1]x>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[x400:what]>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[]>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@[", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@192.0.2.1>", 0, SMTP_ADDRESS_BAD),
    /* postmaster without a domain */
    GOOD("<postmaster>", POSTMASTER, "postmaster"),
    GOOD("<PostMaster>", POSTMASTER, "postmaster"),
    GOOD("<postmaster@b>", POSTMASTER, "postmaster@b"),
    REFUSED("<postmaster>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<postmasters>", POSTMASTER, SMTP_ADDRESS_BAD),
    REFUSED("<postmaster", POSTMASTER, SMTP_ADDRESS_BAD),
    /* not ASCII */
    GOOD("<\xc3\xa9@b>", UTF8, "\xc3\xa9@b"),
    GOOD("<\"\xc3\xa9 x\"@b>", UTF8, "\"\xc3\xa9 x\"@b"),
    GOOD("<a@\xc3\xa9xample.test>", UTF8, "a@\xc3\xa9xample.test"),
    GOOD("<@\xc3\xa9:a@b>", UTF8, "a@b"),
    REFUSED("<\xc3\xa9@b>", 0, SMTP_ADDRESS_NOT_ASCII),
    REFUSED("<\"\xc3\xa9\"@b>", 0, SMTP_ADDRESS_NOT_ASCII),
    REFUSED("<a@\xc3\xa9>", 0, SMTP_ADDRESS_NOT_ASCII),
    REFUSED("<@\xc3\xa9:a@b>", 0, SMTP_ADDRESS_NOT_ASCII),
    REFUSED("<\xc3@b>", UTF8, SMTP_ADDRESS_BAD),
    REFUSED("<\xff@b>", UTF8, SMTP_ADDRESS_BAD),
    REFUSED("<a@\xed\xa0\x80>", UTF8, SMTP_ADDRESS_BAD),
    /* nonsense */
    REFUSED("", 0, SMTP_ADDRESS_BAD),
    REFUSED("<", 0, SMTP_ADDRESS_BAD),
    REFUSED("a@b", 0, SMTP_ADDRESS_BAD),
    REFUSED(" <a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("< a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b >", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a b@c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<.a@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a.@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a..b@c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b@c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b.>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@.b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b..c>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@-b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b->", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b;rm>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a(comment)@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a\0@b>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a@b\0>", 0, SMTP_ADDRESS_BAD),
    REFUSED("<a\x7f@b>", 0, SMTP_ADDRESS_BAD),
};

static void check_parts(const struct path_case *c, const struct smtp_address *a)
{
    if (!bytes_equal(a->whole, c->whole)) fail_msg("'%s' came out as '%.*s'", (const char *)c->in.ptr, (int)a->whole.len, (const char *)a->whole.ptr);
    if (a->domain.len == 0) {
        assert_true(bytes_equal(a->local, a->whole));
        return;
    }
    assert_int_equal(a->local.len + 1 + a->domain.len, a->whole.len);
    assert_ptr_equal(a->local.ptr, a->whole.ptr);
    assert_int_equal(a->whole.ptr[a->local.len], '@');
    assert_ptr_equal(a->domain.ptr, a->whole.ptr + a->local.len + 1);
    assert_int_equal(a->non_ascii, !bytes_is_ascii(a->whole));
}

static void test_path_parse_cases_give_one_spelling_or_a_refusal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_cases) / sizeof(*path_cases); i++) {
        const struct path_case *c = &path_cases[i];
        struct smtp_address a;
        uint32_t used = 77;
        enum smtp_address_result got = smtp_path_parse(c->in, c->allow & UTF8, c->allow & POSTMASTER, &a, &used);
        if (got != c->want) fail_msg("'%s': got %d, want %d", (const char *)c->in.ptr, (int)got, (int)c->want);
        bool good = got == SMTP_ADDRESS_OK || got == SMTP_ADDRESS_EMPTY;
        if (used != (!good ? 0 : c->used ? c->used : c->in.len)) fail_msg("'%s': used %u", (const char *)c->in.ptr, used);
        check_parts(c, &a);
    }
}

static void test_path_parse_every_prefix_of_a_path_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_cases) / sizeof(*path_cases); i++) {
        const struct path_case *c = &path_cases[i];
        if (c->want != SMTP_ADDRESS_OK) continue;
        uint32_t whole = c->used ? c->used : c->in.len;
        for (uint32_t n = 0; n < whole; n++) {
            uint8_t copy[128]; /* exact, so that a look past the end is seen by the address sanitizer */
            memcpy(copy + sizeof(copy) - n, c->in.ptr, n);
            struct smtp_address a;
            uint32_t used = 0;
            assert_int_not_equal(smtp_path_parse(bytes_of(copy + sizeof(copy) - n, n), true, true, &a, &used), SMTP_ADDRESS_OK);
        }
    }
}

static void test_path_parse_result_parses_to_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_cases) / sizeof(*path_cases); i++) {
        const struct path_case *c = &path_cases[i];
        if (c->want != SMTP_ADDRESS_OK || bytes_equal(c->whole, BYTES("postmaster"))) continue;
        struct smtp_address a;
        assert_int_equal(smtp_mailbox_parse(c->whole, true, &a), SMTP_ADDRESS_OK);
        assert_true(bytes_equal(a.whole, c->whole));
    }
}

static enum smtp_address_result parse_of_lengths(uint32_t local, uint32_t label_count)
{
    uint8_t memory[2000];
    struct buf in = BUF_OVER(memory);
    struct smtp_address a;
    for (uint32_t i = 0; i < local; i++) buf_put_c(&in, 'x');
    buf_put_c(&in, '@');
    for (uint32_t i = 0; i < label_count; i++) BUF_LIT(&in, "abcdefghijklmno.");
    BUF_LIT(&in, "abcdefghijklmno");
    assert_false(in.overflow);
    return smtp_mailbox_parse(buf_bytes(&in), false, &a);
}

static void test_mailbox_parse_lengths_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse_of_lengths(64, 15), SMTP_ADDRESS_OK); /* a domain of 255 octets */
    assert_int_equal(parse_of_lengths(65, 15), SMTP_ADDRESS_TOO_LONG);
    assert_int_equal(parse_of_lengths(1, 16), SMTP_ADDRESS_TOO_LONG);
    assert_int_equal(parse_of_lengths(304, 0), SMTP_ADDRESS_OK);
    assert_int_equal(parse_of_lengths(305, 0), SMTP_ADDRESS_TOO_LONG);
    assert_int_equal(parse_of_lengths(1500, 0), SMTP_ADDRESS_TOO_LONG);
}

static void test_path_parse_long_quoted_local_part_is_too_long(void **state)
{
    (void)state;
    uint8_t memory[1000];
    struct buf in = BUF_OVER(memory);
    struct smtp_address a;
    uint32_t used = 0;
    BUF_LIT(&in, "<\"");
    for (uint32_t i = 0; i < 400; i++) BUF_LIT(&in, "\\\"");
    BUF_LIT(&in, "\"@b>");
    assert_int_equal(smtp_path_parse(buf_bytes(&in), false, false, &a, &used), SMTP_ADDRESS_TOO_LONG);
    assert_int_equal(a.whole.len, 0);
}

static void test_mailbox_parse_must_take_everything(void **state)
{
    (void)state;
    static const struct bytes bad[] = {BYTES_INIT("<a@b>"), BYTES_INIT("a@b>"), BYTES_INIT("a@b "), BYTES_INIT("@x:a@b"), BYTES_INIT("postmaster"), BYTES_INIT("")};
    struct smtp_address a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) assert_int_equal(smtp_mailbox_parse(bad[i], true, &a), SMTP_ADDRESS_BAD);
    assert_int_equal(smtp_mailbox_parse(BYTES("a@b"), false, &a), SMTP_ADDRESS_OK);
}

static void test_domain_valid_label_limits_hold(void **state)
{
    (void)state;
    uint8_t label[64];
    memset(label, 'a', sizeof(label));
    assert_true(smtp_domain_valid(bytes_of(label, 63), false));
    assert_false(smtp_domain_valid(bytes_of(label, 64), false));
    assert_false(smtp_domain_valid(BYTES(""), false));
    assert_false(smtp_domain_valid(BYTES("127.1"), false));
    assert_false(smtp_domain_valid(BYTES("[192.0.2.1]"), true));
    assert_false(smtp_domain_valid(BYTES("\xc3\xa9"), false));
    assert_true(smtp_domain_valid(BYTES("\xc3\xa9"), true));
}

static void test_xtext_cases_follow_rfc_3461(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        bool want;
        struct bytes decoded;
    } cases[] = {
        {BYTES_INIT(""), true, BYTES_INIT("")},
        {BYTES_INIT("abc"), true, BYTES_INIT("abc")},
        {BYTES_INIT("a+2Bb+3D+0A+00+FF"), true, BYTES_INIT("a+b=\n\0\xff")},
        {BYTES_INIT("a+2b"), false, BYTES_INIT("")},
        {BYTES_INIT("a+2"), false, BYTES_INIT("")},
        {BYTES_INIT("a+"), false, BYTES_INIT("")},
        {BYTES_INIT("a=b"), false, BYTES_INIT("")},
        {BYTES_INIT("a b"), false, BYTES_INIT("")},
        {BYTES_INIT("a\xff"), false, BYTES_INIT("")},
        {BYTES_INIT("a\x7f"), false, BYTES_INIT("")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t memory[64], again[64];
        struct buf out = BUF_OVER(memory), coded = BUF_OVER(again);
        if (smtp_xtext_valid(cases[i].text) != cases[i].want) fail_msg("case %zu", i);
        if (smtp_xtext_decode(cases[i].text, &out) != cases[i].want) fail_msg("case %zu", i);
        if (!cases[i].want) continue;
        if (!bytes_equal(buf_bytes(&out), cases[i].decoded)) fail_msg("case %zu", i);
        smtp_xtext_encode(&coded, buf_bytes(&out));
        if (!bytes_equal(buf_bytes(&coded), cases[i].text)) fail_msg("case %zu", i);
    }
}

static void test_xtext_decode_without_room_fails(void **state)
{
    (void)state;
    uint8_t memory[2];
    struct buf out = BUF_OVER(memory);
    assert_false(smtp_xtext_decode(BYTES("abc"), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_parse_cases_give_one_spelling_or_a_refusal),
        cmocka_unit_test(test_path_parse_every_prefix_of_a_path_is_refused),
        cmocka_unit_test(test_path_parse_result_parses_to_itself),
        cmocka_unit_test(test_mailbox_parse_lengths_are_bounded),
        cmocka_unit_test(test_path_parse_long_quoted_local_part_is_too_long),
        cmocka_unit_test(test_mailbox_parse_must_take_everything),
        cmocka_unit_test(test_domain_valid_label_limits_hold),
        cmocka_unit_test(test_xtext_cases_follow_rfc_3461),
        cmocka_unit_test(test_xtext_decode_without_room_fails),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
