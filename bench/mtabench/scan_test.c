/*
 * Tests of the scanner: its end is where CR LF . CR LF first is, however the octets are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/mtabench/scan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Feeds `in` in pieces cut at these places; returns octets eaten, or UINT32_MAX when no end was seen. */
static uint32_t scan_in_pieces(struct scan *s, struct bytes in, const uint32_t *cuts, uint32_t count)
{
    uint32_t from = 0;
    scan_begin(s);
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t to = i < count ? cuts[i] : in.len, used;
        bool ended = scan_feed(s, bytes_slice(in, from, to - from), &used);
        if (ended) return from + used;
        assert_int_equal(used, to - from);
        from = to;
    }
    return UINT32_MAX;
}

static const struct {
    struct bytes in;
    uint32_t end; /* octets of the content, UINT32_MAX = it goes on */
} cases[] = {
    {BYTES_INIT(".\r\n"), 3},
    {BYTES_INIT("a\r\n.\r\n"), 6},
    {BYTES_INIT("\r\n.\r\nMAIL"), 5},
    {BYTES_INIT("a\n.\n\r\n.\r\nx"), 9},
    {BYTES_INIT("a\r\n..\r\n.\r\n"), 10},
    {BYTES_INIT("a\r\n.\r.\r\n"), UINT32_MAX},
    {BYTES_INIT("a\r\n.\r\r\n.\r\n"), 10},
    {BYTES_INIT("a\r\r\n.\r\n"), 7},
    {BYTES_INIT("a\r\n.\n.\r\n"), UINT32_MAX},
    {BYTES_INIT("..\r\n.x\r\n.\r\n"), 11},
    {BYTES_INIT("\r\n.\r\r\n.\r\n."), 9},
    {BYTES_INIT(".\r\r\n.\r\n"), 7},
    {BYTES_INIT("...\r\n...\r\n"), UINT32_MAX},
    {BYTES_INIT("a\r\n.\r\n.\r\n"), 6},
};

static void test_scan_end_is_found_at_every_split(void **unused)
{
    struct scan s;
    (void)unused;
    for (uint32_t c = 0; c < COUNT(cases); c++) {
        for (uint32_t a = 0; a <= cases[c].in.len; a++) {
            for (uint32_t b = a; b <= cases[c].in.len; b++) {
                assert_int_equal(scan_in_pieces(&s, cases[c].in, (uint32_t[]){a, b}, 2), cases[c].end);
            }
        }
    }
}

/* The plain definition, for comparison: the content is thought to begin behind a CR LF. */
static uint32_t end_by_definition(struct bytes in)
{
    uint8_t text[64];
    memcpy(text, "\r\n", 2);
    memcpy(text + 2, in.ptr, in.len);
    for (uint32_t i = 0; i + 5 <= in.len + 2; i++) {
        if (memcmp(text + i, "\r\n.\r\n", 5) == 0) return i + 3;
    }
    return UINT32_MAX;
}

static void test_scan_agrees_with_the_definition_on_all_short_texts(void **unused)
{
    enum { LENGTH = 8 };
    static const uint8_t letters[4] = {'\r', '\n', '.', 'a'};
    uint8_t text[LENGTH];
    struct scan s;
    (void)unused;
    for (uint32_t n = 0; n < 1U << 2 * LENGTH; n++) {
        for (uint32_t i = 0; i < LENGTH; i++) text[i] = letters[n >> 2 * i & 3];
        struct bytes in = bytes_of(text, LENGTH);
        uint32_t want = end_by_definition(in);
        assert_int_equal(scan_in_pieces(&s, in, NULL, 0), want);
        for (uint32_t cut = 1; cut < LENGTH; cut++) assert_int_equal(scan_in_pieces(&s, in, &cut, 1), want);
    }
}

#define NAME "run1-000000000042"

static const struct {
    struct bytes in;
    bool named, whole;
} messages[] = {
    {BYTES_INIT("X-Mtabench-Id: " NAME "\r\n\r\nbody\r\n" NAME "\r\n.\r\n"), true, true},
    {BYTES_INIT("Received: from somebody who has a lot to say about it, in a line that is much longer than what is kept of one, and then some\r\n"
                "\tfolded\r\nx-mtabench-id:\t" NAME " \r\nSubject: x\r\n\r\n" NAME "\r\n.\r\n"), true, true},
    {BYTES_INIT("X-Mtabench-Id: " NAME "\r\n\r\nrun1-000000000043\r\n.\r\n"), true, false},
    {BYTES_INIT("X-Mtabench-Id: " NAME "\r\n\r\nx" NAME "\r\n.\r\n"), true, false},
    {BYTES_INIT("X-Mtabench-Id: " NAME "\r\n\r\n.\r\n"), true, false},
    {BYTES_INIT("Subject: x\r\n\r\nX-Mtabench-Id: " NAME "\r\n\r\n" NAME "\r\n.\r\n"), false, false},
    {BYTES_INIT("X-Mtabench-Id: nonsense\r\n\r\nnonsense\r\n.\r\n"), false, false},
    {BYTES_INIT(".\r\n"), false, false},
};

static void test_scan_name_is_found_at_every_split(void **unused)
{
    struct scan s;
    (void)unused;
    for (uint32_t c = 0; c < COUNT(messages); c++) {
        struct bytes in = messages[c].in;
        for (uint32_t a = 0; a < in.len; a++) {
            for (uint32_t b = a; b < in.len && b < a + 8; b++) {
                assert_int_equal(scan_in_pieces(&s, in, (uint32_t[]){a, b}, 2), in.len);
                assert_true(bytes_equal(scan_name(&s), messages[c].named ? BYTES(NAME) : BYTES("")));
                assert_int_equal(scan_is_whole(&s), messages[c].whole);
                assert_int_equal(s.bytes, in.len);
            }
        }
    }
}

static void test_scan_octet_by_octet_gives_the_same(void **unused)
{
    (void)unused;
    for (uint32_t c = 0; c < COUNT(messages); c++) {
        struct scan s;
        scan_begin(&s);
        for (uint32_t i = 0; i < messages[c].in.len; i++) {
            uint32_t used;
            assert_int_equal(scan_feed(&s, bytes_slice(messages[c].in, i, 1), &used), i + 1 == messages[c].in.len);
        }
        assert_int_equal(scan_is_whole(&s), messages[c].whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_end_is_found_at_every_split),
        cmocka_unit_test(test_scan_agrees_with_the_definition_on_all_short_texts),
        cmocka_unit_test(test_scan_name_is_found_at_every_split),
        cmocka_unit_test(test_scan_octet_by_octet_gives_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
