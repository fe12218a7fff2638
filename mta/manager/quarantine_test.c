/* Tests of quarantine: who is apart, for how long, and how he is let go. The tables are static: each test uses addresses of its own and lets them go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mta/manager/boxes.h"

enum { S = 1000, MINUTE = 60 * S, HOUR = 60 * MINUTE };

static struct net_address address(const char *text)
{
    struct net_address a;
    assert_true(net_parse_ip(bytes_of_cstr(text), &a));
    return a;
}

static struct host host_of(const char *text)
{
    struct host h = {.address_count = 1};
    h.addresses[0] = address(text);
    return h;
}

static void forget_all(void)
{
    quarantine_tidy(UINT64_MAX / 2);
    assert_int_equal(quarantine_count(QUARANTINE_REMOTES), 0);
    assert_int_equal(quarantine_count(QUARANTINE_CLIENTS), 0);
}

static void test_quarantine_charge_makes_pauses_grow(void **state)
{
    static const struct { uint32_t kills; uint64_t pause_ms; } cases[] = {
        {1, 0}, {2, 5 * S}, {3, 10 * S}, {4, 20 * S}, {11, 2560 * S}, {12, HOUR}, {40, HOUR},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_address a = address("192.0.2.1");
        const struct apart *q = NULL;
        for (uint32_t n = 0; n < cases[i].kills; n++) q = quarantine_charge(QUARANTINE_REMOTES, &a, true, HOUR);
        print_message("%u deaths\n", cases[i].kills);
        assert_int_equal(q->kills, cases[i].kills);
        assert_int_equal(q->until_ms ? q->until_ms - HOUR : 0, cases[i].pause_ms);
        forget_all();
    }
}

static void test_quarantine_ask_answers_by_table_idleness_and_time(void **state)
{
    static const struct {
        const char *name;
        uint32_t suspected, convicted;
        bool idle;
        uint64_t later_ms;
        enum quarantine_answer answer;
    } cases[] = {
        {"nobody", 0, 0, true, 0, QUARANTINE_FREE},
        {"a suspect", 1, 0, true, 0, QUARANTINE_ALONE},
        {"a suspect while another is served", 1, 0, false, 0, QUARANTINE_WAIT},
        {"one death", 0, 1, true, 0, QUARANTINE_ALONE},
        {"two deaths, at once", 0, 2, true, 4999, QUARANTINE_WAIT},
        {"two deaths, after the pause", 0, 2, true, 5000, QUARANTINE_ALONE},
        {"three deaths", 0, 3, true, 5000, QUARANTINE_WAIT},
    };
    (void)state;
    struct net_address a = address("192.0.2.1");
    struct host same = host_of("192.0.2.1"), other = host_of("192.0.2.2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].name);
        for (uint32_t n = 0; n < cases[i].suspected; n++) (void)quarantine_charge(QUARANTINE_REMOTES, &a, false, HOUR);
        for (uint32_t n = 0; n < cases[i].convicted; n++) (void)quarantine_charge(QUARANTINE_REMOTES, &a, true, HOUR);
        assert_int_equal(quarantine_ask(&same, cases[i].idle, HOUR + cases[i].later_ms), cases[i].answer);
        assert_int_equal(quarantine_ask(&other, cases[i].idle, HOUR + cases[i].later_ms), QUARANTINE_FREE);
        forget_all();
    }
}

static void test_quarantine_release_lets_go(void **state)
{
    static const struct {
        const char *name;
        enum quarantine_side side;
        bool convicted, told;
        uint32_t kills_later;
    } cases[] = {
        {"a suspected remote", QUARANTINE_REMOTES, false, false, 1},
        {"a convicted remote begins anew", QUARANTINE_REMOTES, true, true, 1},
        {"a suspected client", QUARANTINE_CLIENTS, false, false, 1},
        {"a convicted client's deaths still count", QUARANTINE_CLIENTS, true, true, 2},
    };
    (void)state;
    struct net_address a = address("192.0.2.1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].name);
        assert_false(quarantine_release(cases[i].side, &a));
        (void)quarantine_charge(cases[i].side, &a, cases[i].convicted, HOUR);
        assert_true(quarantine_holds(cases[i].side, &a));
        assert_int_equal(quarantine_count(cases[i].side), 1);
        assert_int_equal(quarantine_release(cases[i].side, &a), cases[i].told);
        assert_false(quarantine_holds(cases[i].side, &a));
        assert_int_equal(quarantine_count(cases[i].side), 0);
        assert_int_equal(quarantine_charge(cases[i].side, &a, true, HOUR)->kills, cases[i].kills_later);
        assert_int_equal(quarantine_count(cases[i].side), 1);
        forget_all();
    }
}

static void test_quarantine_tidy_forgets_in_time(void **state)
{
    static const struct { const char *name; bool convicted; uint64_t after_ms; uint32_t left; } cases[] = {
        {"a suspect is kept", false, QUARANTINE_SUSPECT_MS - 1, 1},
        {"a suspect is forgotten", false, QUARANTINE_SUSPECT_MS, 0},
        {"who was convicted is kept", true, QUARANTINE_CONVICT_MS - 1, 1},
        {"who was convicted is forgotten", true, QUARANTINE_CONVICT_MS, 0},
    };
    (void)state;
    struct net_address a = address("192.0.2.1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].name);
        (void)quarantine_charge(QUARANTINE_CLIENTS, &a, cases[i].convicted, HOUR);
        quarantine_tidy(HOUR + cases[i].after_ms);
        assert_int_equal(quarantine_count(QUARANTINE_CLIENTS), cases[i].left);
        forget_all();
    }
}

static void test_quarantine_knows_clients_by_network_and_remotes_by_address(void **state)
{
    static const struct { enum quarantine_side side; const char *charged, *asked; bool held; } cases[] = {
        {QUARANTINE_REMOTES, "2001:db8::1", "2001:db8::1", true},   {QUARANTINE_REMOTES, "2001:db8::1", "2001:db8::2", false},
        {QUARANTINE_CLIENTS, "2001:db8::1", "2001:db8::2", true},   {QUARANTINE_CLIENTS, "2001:db8::1", "2001:db8:0:1::1", false},
        {QUARANTINE_CLIENTS, "192.0.2.1", "192.0.2.1", true},       {QUARANTINE_CLIENTS, "192.0.2.1", "192.0.2.2", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_address charged = address(cases[i].charged), asked = address(cases[i].asked);
        (void)quarantine_charge(cases[i].side, &charged, true, HOUR);
        assert_int_equal(quarantine_holds(cases[i].side, &asked), cases[i].held);
        assert_false(quarantine_holds(cases[i].side == QUARANTINE_REMOTES ? QUARANTINE_CLIENTS : QUARANTINE_REMOTES, &charged));
        forget_all();
    }
}

static void test_quarantine_full_makes_room_among_the_least_guilty(void **state)
{
    (void)state;
    struct net_address suspect = address("192.0.2.1"), released = address("192.0.2.2"), one_more = address("192.0.2.3"), another = address("192.0.2.4");
    (void)quarantine_charge(QUARANTINE_CLIENTS, &suspect, false, 2 * HOUR);
    (void)quarantine_charge(QUARANTINE_CLIENTS, &released, true, 2 * HOUR);
    assert_true(quarantine_release(QUARANTINE_CLIENTS, &released));
    for (uint32_t i = 0; i < QUARANTINE_MAX - 2; i++) {
        struct net_address a = {.family = NET_IPV4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        (void)quarantine_charge(QUARANTINE_CLIENTS, &a, true, HOUR + i);
    }
    assert_int_equal(quarantine_count(QUARANTINE_CLIENTS), QUARANTINE_MAX - 1);
    (void)quarantine_charge(QUARANTINE_CLIENTS, &one_more, true, 3 * HOUR);
    assert_int_equal(quarantine_charge(QUARANTINE_CLIENTS, &another, true, 3 * HOUR)->kills, 1);
    assert_false(quarantine_holds(QUARANTINE_CLIENTS, &suspect));
    assert_true(quarantine_holds(QUARANTINE_CLIENTS, &one_more));
    assert_int_equal(quarantine_count(QUARANTINE_CLIENTS), QUARANTINE_MAX);
    assert_null(quarantine_charge(QUARANTINE_CLIENTS, &suspect, false, 3 * HOUR));
    assert_int_equal(quarantine_charge(QUARANTINE_CLIENTS, &suspect, true, 3 * HOUR)->kills, 1);
    struct net_address quietest = {.family = NET_IPV4, .ip = {10, 0, 0, 0}};
    assert_false(quarantine_holds(QUARANTINE_CLIENTS, &quietest));
    forget_all();
}

static void test_quarantine_content_tells_who_killed_with_two_remotes(void **state)
{
    (void)state;
    struct net_address one = address("192.0.2.1"), other = address("192.0.2.2");
    assert_false(quarantine_content((struct message_id){7}, &one));
    assert_false(quarantine_content((struct message_id){7}, &one));
    assert_false(quarantine_content((struct message_id){8}, &other));
    assert_true(quarantine_content((struct message_id){7}, &other));
}

static void test_quarantine_repeats_doubts_three_remotes_within_a_minute(void **state)
{
    static const struct { const char *remote; uint64_t when_ms; bool doubtful; } steps[] = {
        {"192.0.2.1", HOUR, false},          {"192.0.2.1", HOUR + S, false},      {"192.0.2.2", HOUR + 2 * S, false},
        {"192.0.2.3", HOUR + 3 * S, true},   {"192.0.2.4", 2 * HOUR, false},      {"192.0.2.5", 2 * HOUR + S, false},
        {"192.0.2.6", 2 * HOUR + 90 * S, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct net_address a = address(steps[i].remote);
        print_message("step %zu\n", i);
        assert_int_equal(quarantine_repeats(&a, steps[i].when_ms), steps[i].doubtful);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quarantine_charge_makes_pauses_grow),
        cmocka_unit_test(test_quarantine_ask_answers_by_table_idleness_and_time),
        cmocka_unit_test(test_quarantine_release_lets_go),
        cmocka_unit_test(test_quarantine_tidy_forgets_in_time),
        cmocka_unit_test(test_quarantine_knows_clients_by_network_and_remotes_by_address),
        cmocka_unit_test(test_quarantine_full_makes_room_among_the_least_guilty),
        cmocka_unit_test(test_quarantine_content_tells_who_killed_with_two_remotes),
        cmocka_unit_test(test_quarantine_repeats_doubts_three_remotes_within_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
