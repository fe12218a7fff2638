/*
 * Tests of the calendar against libc, and of the clocks against themselves.
 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

static void assert_same_as_libc(int64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm want;
    assert_non_null(gmtime_r(&t, &want));
    struct civil got = clock_civil(wall_s);
    assert_int_equal(got.year, want.tm_year + 1900);
    assert_int_equal(got.month, want.tm_mon + 1);
    assert_int_equal(got.day, want.tm_mday);
    assert_int_equal(got.hour, want.tm_hour);
    assert_int_equal(got.minute, want.tm_min);
    assert_int_equal(got.second, want.tm_sec);
    assert_int_equal(got.weekday, want.tm_wday);
}

static void test_clock_civil_at_edges_equals_libc(void **unused)
{
    static const int64_t cases[] = {
        0, -1, 86399, 86400, 951782399, 951782400 /* 2000-02-29 */, 4107542399 /* 2100-02-28 */, 4107542400,
        2147483647, 2147483648 /* past 2038 */, 4294967296 /* past 2106 */, -62135596800 /* year 1 */, -62167219200 /* year 0 */,
        -62167219201, 253402300799 /* end of 9999 */, -377705116800 /* -9999 */,
    };
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) assert_same_as_libc(cases[i]);
}

static void test_clock_civil_over_all_years_equals_libc(void **unused)
{
    (void)unused;
    /* A step of a prime number of seconds, about 23 days, meets every kind of month and hour. */
    for (int64_t s = -62167219200; s < 253402300799; s += 1999993) assert_same_as_libc(s);
}

static void test_clocks_move_forward(void **unused)
{
    (void)unused;
    uint64_t before = clock_mono_us();
    assert_true(clock_mono_us() >= before);
    assert_true(clock_mono_ms() >= before / 1000);
    assert_true(clock_wall_us() / 1000000 >= (int64_t)time(NULL) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_civil_at_edges_equals_libc),
        cmocka_unit_test(test_clock_civil_over_all_years_equals_libc),
        cmocka_unit_test(test_clocks_move_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
