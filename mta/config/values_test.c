/*
 * values_test - single words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mta/config/values.h"

struct number_case {
    const char *word;
    bool ok;
    uint64_t want;
};

static const struct number_case time_cases[] = {
    {"30s", true, 30000},      {"5m", true, 300000}, {"4h", true, 14400000}, {"2d", true, 172800000}, {"1w", true, 604800000},
    {"250ms", true, 250},      {"0s", true, 0},      {"30", false, 0},       {"s", false, 0},         {"", false, 0},
    {"-1s", false, 0},         {"1.5h", false, 0},   {"5M", false, 0},       {"1y", false, 0},        {"18446744073709551615d", false, 0},
    {"1h30m", false, 0},       {" 1s", false, 0},
};

static const struct number_case size_cases[] = {
    {"0", true, 0},         {"512", true, 512},         {"25M", true, 26214400}, {"64K", true, 65536},     {"64k", true, 65536},
    {"2G", true, 1ULL << 31}, {"1T", true, 1ULL << 40}, {"", false, 0},          {"M", false, 0},          {"1MB", false, 0},
    {"16777216T", false, 0}, {"18446744073709551616", false, 0},
};

static const struct number_case rate_cases[] = {
    {"40/s", true, 40},  {"600/m", true, 10}, {"601/m", true, 11},  {"3600/h", true, 1}, {"1/d", true, 1}, {"10K/s", true, 10240},
    {"40", false, 0},    {"40/", false, 0},   {"/s", false, 0},     {"40/x", false, 0},  {"40/ss", false, 0},
};

static void check_numbers(const struct number_case *cases, size_t count, bool (*parse)(struct bytes, uint64_t *))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        bool ok = parse(bytes_of_cstr(cases[i].word), &value);
        if (ok != cases[i].ok || (ok && value != cases[i].want)) fail_msg("'%s': %d %llu", cases[i].word, ok, (unsigned long long)value);
    }
}

static void test_value_numbers_with_units_read_as_written(void **state)
{
    (void)state;
    check_numbers(time_cases, sizeof time_cases / sizeof time_cases[0], value_time_ms);
    check_numbers(size_cases, sizeof size_cases / sizeof size_cases[0], value_size);
    check_numbers(rate_cases, sizeof rate_cases / sizeof rate_cases[0], value_rate);
}

static void test_value_printed_numbers_read_back(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 999, 1000, 1024, 60000, 65536, 90000, 604800000, 1ULL << 41, 123456789};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t memory[32];
        struct buf text = BUF_OVER(memory);
        uint64_t back = 0;
        value_put_time(&text, values[i]);
        assert_true(value_time_ms(buf_bytes(&text), &back));
        assert_int_equal(back, values[i]);
        text = BUF_OVER(memory);
        value_put_size(&text, values[i]);
        assert_true(value_size(buf_bytes(&text), &back));
        assert_int_equal(back, values[i]);
    }
}

static void test_value_paths_are_absolute_and_straight(void **state)
{
    (void)state;
    assert_true(value_path_valid(BYTES("/var/lib/mta")));
    assert_true(value_path_valid(BYTES("/")));
    assert_true(value_path_valid(BYTES("/a//b/...")));
    assert_false(value_path_valid(BYTES("")));
    assert_false(value_path_valid(BYTES("var")));
    assert_false(value_path_valid(BYTES("/a/../b")));
    assert_false(value_path_valid(BYTES("/a/.")));
    assert_false(value_path_valid(BYTES("/a\nb")));
}

static void test_value_names_cannot_be_domains(void **state)
{
    (void)state;
    assert_true(value_name_valid(BYTES("mx-1_a")));
    assert_false(value_name_valid(BYTES("example.org")));
    assert_false(value_name_valid(BYTES("")));
    assert_false(value_name_valid(BYTES("a b")));
    assert_false(value_name_valid(BYTES("0123456789012345678901234567890123456789012345678901234567890123x")));
}

static void test_value_distance_counts_edits_up_to_the_bound(void **state)
{
    (void)state;
    assert_int_equal(value_distance(BYTES("polices"), BYTES("policies"), 2), 1);
    assert_int_equal(value_distance(BYTES("Match"), BYTES("match"), 2), 0);
    assert_int_equal(value_distance(BYTES("mathc"), BYTES("match"), 2), 2);
    assert_int_equal(value_distance(BYTES("abc"), BYTES("xyz"), 2), 3);
    assert_int_equal(value_distance(BYTES(""), BYTES("ab"), 2), 2);
    assert_int_equal(value_distance(BYTES("a"), BYTES("abcdef"), 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_numbers_with_units_read_as_written),
        cmocka_unit_test(test_value_printed_numbers_read_back),
        cmocka_unit_test(test_value_paths_are_absolute_and_straight),
        cmocka_unit_test(test_value_names_cannot_be_domains),
        cmocka_unit_test(test_value_distance_counts_edits_up_to_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
