/* Tests of the acceptor's copy of who is kept apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mta/acceptor/apart.h"

static struct net_address address(const char *text)
{
    struct net_address a;
    assert_true(net_parse_ip(bytes_of_cstr(text), &a));
    return a;
}

static void test_apart_find_knows_a_client_by_address_or_network(void **state)
{
    static const struct {
        const char *name, *kept, *asked;
        uint64_t now;
        bool found;
    } cases[] = {
        {"the same", "192.0.2.1", "192.0.2.1", 50, true},
        {"another", "192.0.2.1", "192.0.2.2", 50, false},
        {"the time is over", "192.0.2.1", "192.0.2.1", 100, false},
        {"the same IPv6 network", "2001:db8::", "2001:db8::7", 50, true},
        {"another IPv6 network", "2001:db8::", "2001:db8:0:1::7", 50, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct aparts a;
        a = (struct aparts){0};
        struct net_address kept = address(cases[i].kept), asked = address(cases[i].asked);
        print_message("%s\n", cases[i].name);
        apart_set(&a, &kept, 100, 60);
        const struct apart_client *c = apart_find(&a, &asked, cases[i].now);
        assert_int_equal(c != NULL, cases[i].found);
        if (c) assert_int_equal(c->pause_ms, 60);
    }
}

static void test_apart_set_again_replaces_and_ends(void **state)
{
    (void)state;
    static struct aparts a;
    struct net_address client = address("192.0.2.1");
    apart_set(&a, &client, 100, 0);
    apart_set(&a, &client, 200, 150);
    assert_int_equal(a.count, 1);
    assert_int_equal(apart_find(&a, &client, 120)->pause_ms, 150);
    apart_set(&a, &client, 0, 0);
    assert_null(apart_find(&a, &client, 120));
    assert_int_equal(a.count, 0);
    apart_set(&a, &client, 0, 0);
    assert_int_equal(a.count, 0);
}

static void test_apart_set_in_a_full_table_drops_who_would_end_first(void **state)
{
    (void)state;
    static struct aparts a;
    for (uint32_t i = 0; i <= APART_MAX; i++) {
        struct net_address client = {.family = NET_IPV4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        apart_set(&a, &client, 1000 + (i * 7) % APART_MAX, 0);
    }
    assert_int_equal(a.count, APART_MAX);
    struct net_address first = {.family = NET_IPV4, .ip = {10, 0, 0, 0}}, newest = {.family = NET_IPV4, .ip = {10, 0, 1, 0}};
    assert_null(apart_find(&a, &first, 0));
    assert_non_null(apart_find(&a, &newest, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apart_find_knows_a_client_by_address_or_network),
        cmocka_unit_test(test_apart_set_again_replaces_and_ends),
        cmocka_unit_test(test_apart_set_in_a_full_table_drops_who_would_end_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
