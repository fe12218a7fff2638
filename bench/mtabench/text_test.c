/*
 * Tests of the messages: each has the size that was asked for, clean lines, and is what the scanner takes for whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/mtabench/scan.h"
#include "bench/mtabench/text.h"

static void test_text_every_size_is_kept_and_whole(void **unused)
{
    enum { MOST = TEXT_BYTES_MIN + 400 };
    static uint8_t memory[2 * MOST];
    static const char *const runs[] = {"a", "0123456789abcdef"};
    (void)unused;
    for (uint32_t r = 0; r < 2; r++) {
        struct text t;
        assert_int_equal(text_init(&t, bytes_of_cstr(runs[r]), MOST, 1700000000), ERR_NONE);
        for (uint32_t bytes = TEXT_BYTES_MIN; bytes <= MOST; bytes++) {
            struct buf out = BUF_OVER(memory);
            text_head(&t, bytes, &out);
            buf_put(&out, text_filler(&t, bytes));
            text_tail(&t, bytes, bytes, &out);
            assert_false(out.overflow);
            assert_int_equal(out.len, bytes + 3);
            for (uint32_t i = 0; i < out.len; i++) {
                assert_int_equal(out.ptr[i] == '\n', i > 0 && out.ptr[i - 1] == '\r');
                if (out.ptr[i] == '.' && i + 3 != out.len) assert_true(out.ptr[i - 1] != '\n');
            }
            struct scan s;
            uint32_t used;
            struct bytes run;
            uint64_t number;
            scan_begin(&s);
            assert_true(scan_feed(&s, buf_bytes(&out), &used));
            assert_int_equal(used, out.len);
            assert_true(scan_is_whole(&s));
            assert_true(ident_parse(scan_name(&s), &run, &number) && number == bytes && bytes_equal(run, bytes_of_cstr(runs[r])));
        }
        text_fini(&t);
    }
}

static void test_ident_parse_table(void **unused)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"a-1", true}, {"abc123-000000000001", true}, {"a-0", false}, {"a-", false}, {"-1", false}, {"a", false}, {"a-1x", false}, {"a b-1", false},
        {"12345678901234567-1", false}, {"a-99999999999999999999", false}, {"", false},
    };
    (void)unused;
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes run;
        uint64_t number;
        assert_int_equal(ident_parse(bytes_of_cstr(cases[i].text), &run, &number), cases[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_every_size_is_kept_and_whole),
        cmocka_unit_test(test_ident_parse_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
