/*
 * Tests of slices, builders and the reader.
 */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/sum.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_bytes_compare_orders_prefix_first(void **unused)
{
    static const struct {
        struct bytes a, b;
        int want;
    } cases[] = {
        {BYTES_INIT(""), BYTES_INIT(""), 0},
        {BYTES_INIT("a"), BYTES_INIT(""), 1},
        {BYTES_INIT("a"), BYTES_INIT("ab"), -1},
        {BYTES_INIT("b"), BYTES_INIT("ab"), 1},
        {BYTES_INIT("\xFF"), BYTES_INIT("a"), 1},
        {BYTES_INIT("x\0y"), BYTES_INIT("x\0z"), -1},
        {BYTES_INIT("same"), BYTES_INIT("same"), 0},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int got = bytes_compare(cases[i].a, cases[i].b);
        assert_int_equal((got > 0) - (got < 0), cases[i].want);
        assert_int_equal(bytes_equal(cases[i].a, cases[i].b), cases[i].want == 0);
    }
    assert_true(bytes_equal((struct bytes){0}, BYTES("")));
}

static void test_bytes_nocase_folds_ascii_letters_only(void **unused)
{
    (void)unused;
    assert_true(bytes_equal_nocase(BYTES("ExAmple.ORG"), BYTES("eXample.org")));
    assert_false(bytes_equal_nocase(BYTES("a@"), BYTES("a`"))); /* differ in bit 5 but are no letters */
    assert_false(bytes_equal_nocase(BYTES("\xC4"), BYTES("\xE4")));
    assert_true(bytes_starts(BYTES("rfc822;x"), BYTES("rfc822;")));
    assert_false(bytes_starts(BYTES("RFC822;x"), BYTES("rfc822;")));
    assert_true(bytes_starts_nocase(BYTES("RFC822;x"), BYTES("rfc822;")));
    assert_false(bytes_starts_nocase(BYTES("rf"), BYTES("rfc")));
    assert_true(bytes_ends_nocase(BYTES("mx.Example"), BYTES(".example")));
    assert_false(bytes_ends_nocase(BYTES("e"), BYTES(".e")));
}

static void test_bytes_slice_is_cut_to_what_there_is(void **unused)
{
    struct bytes text = BYTES("hello");
    (void)unused;
    assert_true(bytes_equal(bytes_slice(text, 1, 3), BYTES("ell")));
    assert_true(bytes_equal(bytes_slice(text, 3, UINT32_MAX), BYTES("lo")));
    assert_int_equal(bytes_slice(text, 5, 1).len, 0);
    assert_int_equal(bytes_slice(text, UINT32_MAX, UINT32_MAX).len, 0);
    assert_true(bytes_equal(bytes_from(text, 4), BYTES("o")));
    assert_int_equal(bytes_find(text, 'l'), 2);
    assert_int_equal(bytes_find_last(text, 'l'), 3);
    assert_int_equal(bytes_find(text, 'z'), 5);
    assert_int_equal(bytes_find_last(text, 'z'), 5);
    assert_int_equal(bytes_find((struct bytes){0}, 'z'), 0);
    assert_true(bytes_equal(bytes_trim(BYTES(" \t a b\t ")), BYTES("a b")));
    assert_int_equal(bytes_trim(BYTES(" \t ")).len, 0);
}

static void test_bytes_to_u64_takes_digits_only(void **unused)
{
    static const struct {
        struct bytes text;
        bool ok;
        uint64_t want;
    } cases[] = {
        {BYTES_INIT("0"), true, 0},
        {BYTES_INIT("007"), true, 7},
        {BYTES_INIT("18446744073709551615"), true, UINT64_MAX},
        {BYTES_INIT("18446744073709551616"), false, 0},
        {BYTES_INIT("99999999999999999999999"), false, 0},
        {BYTES_INIT(""), false, 0},
        {BYTES_INIT("-1"), false, 0},
        {BYTES_INIT("+1"), false, 0},
        {BYTES_INIT("1 "), false, 0},
        {BYTES_INIT("0x1"), false, 0},
        {BYTES_INIT("1\0"), false, 0},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t value = 42;
        assert_int_equal(bytes_to_u64(cases[i].text, &value), cases[i].ok);
        assert_int_equal(value, cases[i].ok ? cases[i].want : 42);
    }
}

static void test_bytes_is_utf8_refuses_ill_formed(void **unused)
{
    static const struct {
        struct bytes text;
        bool want;
    } cases[] = {
        {BYTES_INIT(""), true},
        {BYTES_INIT("plain"), true},
        {BYTES_INIT("\xC3\xA9"), true},
        {BYTES_INIT("\xE2\x82\xAC"), true},
        {BYTES_INIT("\xF4\x8F\xBF\xBF"), true},
        {BYTES_INIT("\xED\x9F\xBF"), true},
        {BYTES_INIT("\xF4\x90\x80\x80"), false},    /* past U+10FFFF */
        {BYTES_INIT("\xC0\x80"), false},            /* overlong NUL */
        {BYTES_INIT("\xE0\x9F\xBF"), false},        /* overlong */
        {BYTES_INIT("\xF0\x8F\xBF\xBF"), false},    /* overlong */
        {BYTES_INIT("\xED\xA0\x80"), false},        /* surrogate */
        {BYTES_INIT("\xC3"), false},                /* cut */
        {BYTES_INIT("\xE2\x82"), false},            /* cut */
        {BYTES_INIT("\xE2\x28\xA1"), false},
        {BYTES_INIT("\x80"), false},
        {BYTES_INIT("\xFF"), false},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) assert_int_equal(bytes_is_utf8(cases[i].text), cases[i].want);
    assert_true(bytes_is_ascii(BYTES("a\x7F\0")));
    assert_false(bytes_is_ascii(BYTES("abc\x80")));
}

static void assert_text(struct buf *b, struct bytes want)
{
    assert_int_equal(b->len, want.len);
    assert_memory_equal(b->ptr, want.ptr, want.len);
    b->len = 0;
}

static void test_bytes_is_ascii_finds_one_octet_anywhere(void **unused)
{
    uint8_t text[20];
    (void)unused;
    for (uint32_t len = 0; len <= sizeof text; len++) {
        memset(text, 0x7F, sizeof text);
        assert_true(bytes_is_ascii(bytes_of(text, len)));
        for (uint32_t at = 0; at < sizeof text; at++) {
            text[at] = 0x80;
            assert_int_equal(bytes_is_ascii(bytes_of(text, len)), at >= len);
            text[at] = 0x7F;
        }
    }
}

static void test_buf_put_prints_numbers_at_their_edges(void **unused)
{
    uint8_t memory[64];
    struct buf b = BUF_OVER(memory);
    (void)unused;
    buf_put_u64(&b, 0);
    assert_text(&b, BYTES("0"));
    buf_put_u64(&b, UINT64_MAX);
    assert_text(&b, BYTES("18446744073709551615"));
    buf_put_i64(&b, INT64_MIN);
    assert_text(&b, BYTES("-9223372036854775808"));
    buf_put_i64(&b, INT64_MAX);
    assert_text(&b, BYTES("9223372036854775807"));
    buf_put_pad(&b, 7, 3);
    assert_text(&b, BYTES("007"));
    buf_put_pad(&b, 12345, 3);
    assert_text(&b, BYTES("12345"));
    buf_put_pad(&b, 0, 0);
    assert_text(&b, BYTES(""));
    buf_put_pad(&b, 1, 20);
    assert_text(&b, BYTES("00000000000000000001"));
    buf_put_hex(&b, 0xABCDEF, 4);
    assert_text(&b, BYTES("cdef"));
    buf_put_hex(&b, UINT64_MAX, 16);
    assert_text(&b, BYTES("ffffffffffffffff"));
    assert_false(b.overflow);
}

static void test_buf_put_over_capacity_leaves_the_piece_out(void **unused)
{
    uint8_t memory[8] = {0};
    struct buf b = buf_over(memory, 4);
    (void)unused;
    BUF_LIT(&b, "abc");
    BUF_LIT(&b, "de");
    assert_true(b.overflow);
    assert_int_equal(b.len, 3);
    buf_put_c(&b, 'f'); /* what still fits is put */
    assert_text(&b, BYTES("abcf"));
    b.overflow = false;
    buf_put_cut(&b, BYTES("123456"));
    assert_true(b.overflow);
    assert_text(&b, BYTES("1234"));
    assert_int_equal(memory[4], 0);
}

static void test_buf_put_escaped_is_safe_and_cut(void **unused)
{
    uint8_t memory[64];
    struct buf b = BUF_OVER(memory);
    (void)unused;
    buf_put_escaped(&b, BYTES("a\\b\r\n\0\x7F\xE9 ~"), 100);
    assert_text(&b, BYTES("a\\\\b\\x0d\\x0a\\x00\\x7f\\xe9 ~"));
    buf_put_escaped(&b, BYTES("abcdef"), 3);
    assert_text(&b, BYTES("abc..."));
    buf_put_escaped(&b, BYTES("abc"), 3);
    assert_text(&b, BYTES("abc"));
    b.cap = 6;
    assert_false(b.overflow);
    buf_put_escaped(&b, BYTES("\n\n"), 3);
    assert_true(b.overflow);
    assert_text(&b, BYTES("\\x0a"));
}

static void test_buf_put_json_is_always_json(void **unused)
{
    uint8_t memory[64];
    struct buf b = BUF_OVER(memory);
    (void)unused;
    buf_put_json(&b, BYTES("a\"b\\c\n\r\t\x01\x7F\xC3\xA9"));
    assert_text(&b, BYTES("\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\xC3\xA9\""));
    buf_put_json(&b, BYTES("x\xC3(\xFF"));
    assert_text(&b, BYTES("\"x\xEF\xBF\xBD(\xEF\xBF\xBD\""));
    buf_put_json(&b, BYTES(""));
    assert_text(&b, BYTES("\"\""));
    b.cap = 5;
    BUF_LIT(&b, "k");
    buf_put_json(&b, BYTES("abc"));
    assert_true(b.overflow);
    assert_text(&b, BYTES("k"));
}

static void test_cursor_past_end_fails_for_good(void **unused)
{
    uint8_t memory[32];
    struct buf b = BUF_OVER(memory);
    (void)unused;
    buf_put_le(&b, 0x0102, 2);
    buf_put_le(&b, UINT64_MAX - 1, 8);
    buf_put_le(&b, 0x1FF, 1);
    assert_int_equal(memory[0], 2);

    struct cursor c = cursor_over(buf_bytes(&b));
    assert_int_equal(cursor_le(&c, 2), 0x0102);
    assert_true(cursor_le(&c, 8) == UINT64_MAX - 1);
    assert_int_equal(cursor_take(&c, 0).len, 0);
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_le(&c, 2), 0);
    assert_true(c.failed);
    assert_int_equal(cursor_le(&c, 1), 0); /* it is there, but the reader is past trusting its place */
    assert_int_equal(cursor_take(&c, 1).len, 0);

    struct cursor empty = cursor_over((struct bytes){0});
    assert_int_equal(cursor_take(&empty, 0).len, 0);
    assert_false(empty.failed);
    assert_int_equal(cursor_take(&empty, UINT32_MAX).len, 0);
    assert_true(empty.failed);
}

static void test_sum_that_does_not_fit_leaves_result(void **unused)
{
    uint32_t small = 7;
    uint64_t large = 7;
    (void)unused;
    assert_false(sum_add_u32(UINT32_MAX, 1, &small));
    assert_false(sum_mul_u32(1u << 16, 1u << 16, &small));
    assert_int_equal(small, 7);
    assert_true(sum_add_u32(UINT32_MAX - 1, 1, &small));
    assert_int_equal(small, UINT32_MAX);
    assert_false(sum_add_u64(UINT64_MAX, 1, &large));
    assert_false(sum_mul_u64(1ULL << 32, 1ULL << 32, &large));
    assert_int_equal(large, 7);
    assert_true(sum_mul_u64(1ULL << 32, 2, &large));
    assert_true(large == 1ULL << 33);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_compare_orders_prefix_first),
        cmocka_unit_test(test_bytes_nocase_folds_ascii_letters_only),
        cmocka_unit_test(test_bytes_slice_is_cut_to_what_there_is),
        cmocka_unit_test(test_bytes_to_u64_takes_digits_only),
        cmocka_unit_test(test_bytes_is_utf8_refuses_ill_formed),
        cmocka_unit_test(test_bytes_is_ascii_finds_one_octet_anywhere),
        cmocka_unit_test(test_buf_put_prints_numbers_at_their_edges),
        cmocka_unit_test(test_buf_put_over_capacity_leaves_the_piece_out),
        cmocka_unit_test(test_buf_put_escaped_is_safe_and_cut),
        cmocka_unit_test(test_buf_put_json_is_always_json),
        cmocka_unit_test(test_cursor_past_end_fails_for_good),
        cmocka_unit_test(test_sum_that_does_not_fit_leaves_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
