/*
 * Tests of the histogram: every value falls into one bucket, and a percentile is off by less than one step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/mtabench/histogram.c"

static struct histogram h;

static void test_histogram_bucket_top_is_the_last_value_of_its_bucket(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(bucket_of(bucket_top(i)), i);
        assert_int_equal(bucket_of(bucket_top(i) + 1), i + 1);
    }
}

static void test_histogram_error_is_below_one_percent(void **unused)
{
    (void)unused;
    for (uint64_t value = 1; value < UINT64_C(1) << 42; value = value * 17 / 16 + 1) {
        uint64_t top = bucket_top(bucket_of(value));
        assert_true(top >= value && (top - value) * 100 <= value);
    }
}

static void test_histogram_too_large_values_count_as_the_largest(void **unused)
{
    (void)unused;
    assert_int_equal(bucket_of(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_histogram_percentiles_of_1_to_1000(void **unused)
{
    static const struct {
        uint32_t of_100000;
        uint64_t least, most;
    } cases[] = {{0, 1, 1}, {50000, 500, 503}, {90000, 900, 903}, {99000, 990, 991}, {99900, 999, 1000}, {100000, 1000, 1000}};
    (void)unused;
    memset(&h, 0, sizeof h);
    assert_int_equal(histogram_at(&h, 50000), 0);
    for (uint64_t v = 1; v <= 1000; v++) histogram_add(&h, v);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t got = histogram_at(&h, cases[i].of_100000);
        assert_true(got >= cases[i].least && got <= cases[i].most);
    }
    assert_int_equal(histogram_mean(&h), 500);
    assert_true(h.least == 1 && h.most == 1000 && h.count == 1000);
}

static void test_histogram_subtract_leaves_what_came_later(void **unused)
{
    static struct histogram before;
    (void)unused;
    memset(&h, 0, sizeof h);
    for (uint64_t v = 0; v < 100; v++) histogram_add(&h, 10);
    before = h;
    for (uint64_t v = 0; v < 100; v++) histogram_add(&h, 200);
    histogram_subtract(&h, &before);
    assert_int_equal(h.count, 100);
    assert_int_equal(histogram_at(&h, 1), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_bucket_top_is_the_last_value_of_its_bucket),
        cmocka_unit_test(test_histogram_error_is_below_one_percent),
        cmocka_unit_test(test_histogram_too_large_values_count_as_the_largest),
        cmocka_unit_test(test_histogram_percentiles_of_1_to_1000),
        cmocka_unit_test(test_histogram_subtract_leaves_what_came_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
