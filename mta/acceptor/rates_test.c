/* Tests of counting a minute: the limit is what is served in one, it slides, and a full row forgets the quiet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mta/acceptor/rates.h"

enum { MINUTE = RATES_MINUTE_MS };

static struct net_address client(uint8_t c, uint8_t d)
{
    return (struct net_address){.family = NET_IPV4, .ip = {192, 0, c, d}};
}

static void begin(struct rates *r, enum rates_kind kind, uint32_t of_client, uint32_t of_prefix)
{
    uint32_t max[RATES_KINDS][RATES_OFS] = {{0}};
    max[kind][RATES_CLIENT] = of_client;
    max[kind][RATES_PREFIX] = of_prefix;
    assert_int_equal(rates_init(r, max, (struct hash_key){1, 2}), ERR_NONE);
}

static uint32_t served(struct rates *r, enum rates_kind kind, struct net_address who, uint32_t tries, uint64_t now_ms)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < tries; i++) taken += !rates_take(r, kind, &who, now_ms).over;
    return taken;
}

static void test_rates_without_limits_nothing_is_kept(void **state)
{
    (void)state;
    struct rates r;
    begin(&r, RATES_MESSAGES, 0, 0);
    assert_null(r.table);
    assert_int_equal(served(&r, RATES_MESSAGES, client(2, 1), 1000, 5), 1000);
    rates_fini(&r);
}

static void test_rates_client_gets_its_limit_and_others_theirs(void **state)
{
    (void)state;
    struct rates r;
    begin(&r, RATES_RECIPIENTS, 10, 0);
    assert_int_equal(served(&r, RATES_RECIPIENTS, client(2, 1), 25, 5), 10);
    assert_int_equal(served(&r, RATES_RECIPIENTS, client(2, 2), 25, 5), 10);
    assert_int_equal(served(&r, RATES_CONNECTIONS, client(2, 1), 25, 5), 25);
    rates_fini(&r);
}

static void test_rates_network_is_limited_over_its_clients(void **state)
{
    (void)state;
    struct rates r;
    begin(&r, RATES_CONNECTIONS, 10, 15);
    assert_int_equal(served(&r, RATES_CONNECTIONS, client(2, 1), 20, 5), 10);
    assert_int_equal(served(&r, RATES_CONNECTIONS, client(2, 2), 20, 5), 5);
    struct net_address third = client(2, 3);
    struct rates_judgement j = rates_take(&r, RATES_CONNECTIONS, &third, 5);
    assert_true(j.over && j.of == RATES_PREFIX && j.count == 16 && !j.tell); /* told for the second client already */
    assert_int_equal(served(&r, RATES_CONNECTIONS, client(3, 1), 20, 5), 10);
    rates_fini(&r);
}

static void test_rates_minute_slides(void **state)
{
    (void)state;
    struct rates r;
    begin(&r, RATES_MESSAGES, 60, 0);
    assert_int_equal(served(&r, RATES_MESSAGES, client(2, 1), 100, MINUTE - 1), 60);
    assert_int_equal(served(&r, RATES_MESSAGES, client(2, 1), 100, MINUTE), 0);
    assert_int_equal(served(&r, RATES_MESSAGES, client(2, 1), 100, MINUTE + MINUTE / 2), 30);
    assert_int_equal(served(&r, RATES_MESSAGES, client(2, 1), 100, 10ULL * MINUTE), 60);
    rates_fini(&r);
}

static void test_rates_is_told_once_a_minute(void **state)
{
    (void)state;
    struct rates r;
    struct net_address who = client(2, 1);
    begin(&r, RATES_ERRORS, 5, 0);
    rates_add(&r, RATES_ERRORS, &who, 6, 10);
    assert_true(rates_look(&r, RATES_ERRORS, &who, 10).tell);
    assert_true(rates_look(&r, RATES_ERRORS, &who, 10).over);
    assert_false(rates_look(&r, RATES_ERRORS, &who, 10).tell);
    rates_add(&r, RATES_ERRORS, &who, UINT32_MAX, MINUTE + 10);
    rates_add(&r, RATES_ERRORS, &who, UINT32_MAX, MINUTE + 10);
    assert_true(rates_look(&r, RATES_ERRORS, &who, MINUTE + 10).tell);
    rates_fini(&r);
}

static void test_rates_flood_of_addresses_stays_in_its_memory(void **state)
{
    (void)state;
    struct rates r;
    begin(&r, RATES_CONNECTIONS, 1, 0);
    for (uint32_t i = 0; i < 4 * RATES_PLACES; i++) {
        struct net_address who = {.family = NET_IPV6, .ip = {0x20, 1, [12] = (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        assert_false(rates_take(&r, RATES_CONNECTIONS, &who, 7).over);
    }
    rates_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_without_limits_nothing_is_kept),
        cmocka_unit_test(test_rates_client_gets_its_limit_and_others_theirs),
        cmocka_unit_test(test_rates_network_is_limited_over_its_clients),
        cmocka_unit_test(test_rates_minute_slides),
        cmocka_unit_test(test_rates_is_told_once_a_minute),
        cmocka_unit_test(test_rates_flood_of_addresses_stays_in_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
