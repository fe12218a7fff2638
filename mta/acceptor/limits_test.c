/* Tests of connection limits and of the table of counts below them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mta/acceptor/limits.h"

enum { TOTAL = 100, CLIENT = 5, PREFIX = 8 };

static int make_limits(void **state)
{
    static struct limits l;
    if (limits_init(&l, TOTAL, CLIENT, PREFIX, (struct hash_key){1, 2}) != ERR_NONE) return -1;
    *state = &l;
    return 0;
}

static int end_limits(void **state)
{
    limits_fini(*state);
    return 0;
}

static struct net_address address(const char *text)
{
    struct net_address a;
    assert_true(net_parse_ip(bytes_of_cstr(text), &a));
    return a;
}

static struct limits_judgement judge(struct limits *l, const char *client, bool trusted)
{
    struct limits_question q = {.client = address(client), .trusted = trusted};
    return limits_judge(l, &q);
}

static void enter(struct limits *l, const char *client, uint32_t times)
{
    struct net_address a = address(client);
    for (uint32_t i = 0; i < times; i++) limits_enter(l, &a, false, false);
}

static void test_limits_judge_counts_by_client_and_prefix(void **state)
{
    static const struct {
        const char *name, *there, *client;
        uint32_t times;
        enum limits_verdict verdict;
        enum limits_cause cause;
    } cases[] = {
        {"below", "192.0.2.1", "192.0.2.1", CLIENT - 1, LIMITS_SERVE, LIMITS_NONE},
        {"client at its limit", "192.0.2.1", "192.0.2.1", CLIENT, LIMITS_REFUSE, LIMITS_CLIENT},
        {"client far beyond", "192.0.2.1", "192.0.2.1", LIMITS_HARD_FACTOR * CLIENT, LIMITS_CLOSE, LIMITS_CLIENT},
        {"neighbour below", "192.0.2.1", "192.0.2.2", PREFIX - 1, LIMITS_SERVE, LIMITS_NONE},
        {"neighbour at the prefix's limit", "192.0.2.1", "192.0.2.2", PREFIX, LIMITS_REFUSE, LIMITS_PREFIX},
        {"another network", "192.0.2.1", "192.0.3.1", PREFIX, LIMITS_SERVE, LIMITS_NONE},
        {"same /64", "2001:db8::1", "2001:db8::2", PREFIX, LIMITS_REFUSE, LIMITS_PREFIX},
        {"another /64", "2001:db8::1", "2001:db8:0:1::1", PREFIX, LIMITS_SERVE, LIMITS_NONE},
        {"mapped address is its IPv4 address", "192.0.2.1", "::ffff:192.0.2.1", CLIENT, LIMITS_REFUSE, LIMITS_CLIENT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct limits l;
        print_message("%s\n", cases[i].name);
        assert_int_equal(limits_init(&l, TOTAL, CLIENT, PREFIX, (struct hash_key){1, 2}), ERR_NONE);
        enter(&l, cases[i].there, cases[i].times);
        struct limits_judgement j = judge(&l, cases[i].client, false);
        assert_int_equal(j.verdict, cases[i].verdict);
        assert_int_equal(j.cause, cases[i].cause);
        assert_int_equal(judge(&l, cases[i].client, true).verdict, LIMITS_SERVE);
        limits_fini(&l);
    }
}

static void test_limits_judge_tells_once_until_half_is_gone(void **state)
{
    struct limits *l = *state;
    struct net_address a = address("192.0.2.1");
    enter(l, "192.0.2.1", CLIENT);
    assert_true(judge(l, "192.0.2.1", false).tell);
    assert_false(judge(l, "192.0.2.1", false).tell);
    limits_leave(l, &a, false, false);
    assert_int_equal(judge(l, "192.0.2.1", false).verdict, LIMITS_SERVE);
    enter(l, "192.0.2.1", 1);
    assert_false(judge(l, "192.0.2.1", false).tell);
    for (int i = 0; i < CLIENT - 1; i++) limits_leave(l, &a, false, false);
    assert_int_equal(judge(l, "192.0.2.1", false).verdict, LIMITS_SERVE);
    enter(l, "192.0.2.1", CLIENT - 1);
    assert_true(judge(l, "192.0.2.1", false).tell);
}

static void test_limits_total_leaves_the_reserve_to_trusted_clients_and_refusals(void **state)
{
    struct limits *l = *state;
    struct net_address a = address("10.0.0.1");
    for (uint32_t i = 0; i < TOTAL; i++) limits_enter(l, &a, true, false);
    assert_int_equal(judge(l, "192.0.2.1", false).verdict, LIMITS_REFUSE);
    assert_int_equal(judge(l, "10.0.0.1", true).verdict, LIMITS_SERVE);
    for (uint32_t i = 0; i < l->refused_max; i++) limits_enter(l, &a, true, true);
    assert_int_equal(judge(l, "192.0.2.1", false).verdict, LIMITS_CLOSE);
    assert_int_equal(judge(l, "10.0.0.1", true).verdict, LIMITS_SERVE);
    while (l->total < l->places_max) limits_enter(l, &a, true, false);
    assert_int_equal(judge(l, "10.0.0.1", true).verdict, LIMITS_CLOSE);
}

static void test_limits_listener_has_a_limit_of_its_own(void **state)
{
    struct limits *l = *state;
    struct limits_question q = {.client = address("192.0.2.1"), .listener_count = 3, .listener_max = 3};
    assert_int_equal(limits_judge(l, &q).cause, LIMITS_LISTENER);
    q.listener_max = 4;
    assert_int_equal(limits_judge(l, &q).verdict, LIMITS_SERVE);
    q.listener_max = 0;
    assert_int_equal(limits_judge(l, &q).verdict, LIMITS_SERVE);
}

/* Every address enters and leaves in another order; each count must be right all the time, whatever gaps the table
 * had to close. */
static void test_counts_survive_removals_in_any_order(void **state)
{
    (void)state;
    enum { ADDRESSES = 500, ROUNDS = 20000 };
    static uint32_t want[ADDRESSES];
    struct counts c;
    assert_int_equal(counts_init(&c, ADDRESSES, (struct hash_key){3, 4}), ERR_NONE);
    uint64_t random = 1;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        random = hash_mix(random + round);
        uint32_t i = (uint32_t)(random % ADDRESSES);
        struct net_address a = {.family = NET_IPV4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        struct net_prefix p = counts_prefix(&a, 32);
        if (random >> 40 & 1 && want[i] > 0) {
            counts_lower(&c, &p);
            want[i]--;
        } else if (want[i] < 3) {
            counts_raise(&c, &p);
            want[i]++;
        }
        const struct count *found = counts_find(&c, &p);
        assert_int_equal(found ? found->value : 0, want[i]);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) used += want[i] > 0;
    assert_int_equal(c.used, used);
    counts_fini(&c);
}

static void test_counts_prefix_cuts_inside_an_octet(void **state)
{
    (void)state;
    struct net_address a = address("203.0.113.255");
    struct net_prefix p = counts_prefix(&a, 20);
    assert_int_equal(p.address.ip[2], 112);
    assert_int_equal(p.address.ip[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_judge_counts_by_client_and_prefix),
        cmocka_unit_test_setup_teardown(test_limits_judge_tells_once_until_half_is_gone, make_limits, end_limits),
        cmocka_unit_test_setup_teardown(test_limits_total_leaves_the_reserve_to_trusted_clients_and_refusals,
                                        make_limits, end_limits),
        cmocka_unit_test_setup_teardown(test_limits_listener_has_a_limit_of_its_own, make_limits, end_limits),
        cmocka_unit_test(test_counts_survive_removals_in_any_order),
        cmocka_unit_test(test_counts_prefix_cuts_inside_an_octet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
