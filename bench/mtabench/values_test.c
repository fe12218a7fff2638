/*
 * Tests of what stands behind options.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/mtabench/values.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct number_case {
    const char *text;
    bool good;
    uint64_t want;
};

static void check(const struct number_case *cases, size_t count, bool (*read)(struct bytes text, uint64_t *out))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t got = 12345;
        bool good = read(bytes_of_cstr(cases[i].text), &got);
        if (good != cases[i].good) fail_msg("%s: %s", cases[i].text, good ? "taken" : "refused");
        assert_int_equal(got, good ? cases[i].want : 12345);
    }
}

static bool read_count(struct bytes text, uint64_t *out) { return value_count(text, 1, 2000000, out); }

static void test_value_count_table(void **unused)
{
    static const struct number_case cases[] = {
        {"1", true, 1}, {"50", true, 50}, {"10k", true, 10000}, {"1M", true, 1000000}, {"1.5k", true, 1500}, {"0", false, 0}, {"3M", false, 0}, {"", false, 0},
        {"-1", false, 0}, {"k", false, 0}, {"1x", false, 0}, {"0.5", false, 0}, {"1.", false, 0}, {"99999999999999999999", false, 0},
    };
    (void)unused;
    check(cases, COUNT(cases), read_count);
}

static void test_value_size_table(void **unused)
{
    static const struct number_case cases[] = {
        {"4096", true, 4096}, {"4k", true, 4096}, {"4KiB", true, 4096}, {"25M", true, 26214400}, {"1g", true, 1073741824}, {"0.5k", true, 512},
        {"4 k", false, 0},
        {"", false, 0}, {"k4", false, 0}, {"17000000000000000000G", false, 0},
    };
    (void)unused;
    check(cases, COUNT(cases), value_size);
}

static void test_value_ns_table(void **unused)
{
    static const struct number_case cases[] = {
        {"10", true, 10000000000}, {"0.5s", true, 500000000}, {"5ms", true, 5000000}, {"200us", true, 200000}, {"2m", true, 120000000000},
        {"1h", true, 3600000000000},
        {"0", true, 0}, {"1d", false, 0}, {"0.1us", false, 0}, {"999999999h", false, 0}, {"s", false, 0},
    };
    (void)unused;
    check(cases, COUNT(cases), value_ns);
}

static void test_value_rate_table(void **unused)
{
    static const struct number_case cases[] = {
        {"1000", true, 1000000}, {"2.5/s", true, 400000000}, {"1/s", true, 1000000000}, {"0.1", true, 10000000000}, {"0", false, 0}, {"10/m", false, 0},
        {"", false, 0}, {"/s", false, 0},
    };
    (void)unused;
    check(cases, COUNT(cases), value_rate);
}

static void test_value_size_mix_shares_are_kept(void **unused)
{
    struct size_mix mix;
    uint32_t seen[3] = {0};
    (void)unused;
    assert_true(value_size_mix(BYTES("1k:70,4k:20,1M:10"), 512, &mix));
    assert_int_equal(mix.count, 3);
    assert_int_equal(mix.total_weight, 100);
    for (uint64_t n = 1; n <= 100000; n++) seen[size_mix_pick(&mix, n)]++;
    assert_in_range(seen[0], 69000, 71000);
    assert_in_range(seen[1], 19000, 21000);
    assert_in_range(seen[2], 9000, 11000);
    assert_true(value_size_mix(BYTES("4k"), 512, &mix) && mix.count == 1 && mix.parts[0].bytes == 4096);
    static const char *const bad[] = {"", "4k,", "4k:0", "4k:x", "100", "2G", "4k;5k", ":1"};
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(value_size_mix(bytes_of_cstr(bad[i]), 512, &mix));
}

static void test_value_addresses_table(void **unused)
{
    static const struct {
        const char *text, *first, *last;
        uint64_t count; /* 0 = refused */
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.1", 1},
        {"127.1.0.0/16", "127.1.0.1", "127.1.255.254", 65534},
        {"127.0.0.5-127.0.1.4", "127.0.0.5", "127.0.1.4", 256},
        {"10.0.0.0/31", "10.0.0.0", "10.0.0.1", 2},
        {"fd00::/120", "fd00::1", "fd00::fe", 254},
        {"fd00::5-fd00::9", "fd00::5", "fd00::9", 5},
        {"127.0.0.9-127.0.0.5", "", "", 0}, {"127.0.0.1-fd00::1", "", "", 0}, {"127.0.0.1/8", "", "", 0}, {"host", "", "", 0}, {"", "", "", 0},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address_range range;
        bool good = value_addresses(bytes_of_cstr(cases[i].text), &range);
        assert_int_equal(good, cases[i].count > 0);
        if (!good) continue;
        struct net_address first, last, got;
        assert_true(net_parse_ip(bytes_of_cstr(cases[i].first), &first) && net_parse_ip(bytes_of_cstr(cases[i].last), &last));
        assert_int_equal(range.count, cases[i].count);
        got = address_in_range(&range, 0);
        assert_true(net_same_ip(&got, &first));
        got = address_in_range(&range, 2 * range.count - 1);
        assert_true(net_same_ip(&got, &last));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_count_table),
        cmocka_unit_test(test_value_size_table),
        cmocka_unit_test(test_value_ns_table),
        cmocka_unit_test(test_value_rate_table),
        cmocka_unit_test(test_value_size_mix_shares_are_kept),
        cmocka_unit_test(test_value_addresses_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
