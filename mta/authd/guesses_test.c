/*
 * Guessers wait longer and longer, whoever they guess at; their victims get in; what logins send is counted by the hour.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mta/authd/guesses.h"

static struct net_address address(const char *text)
{
    struct net_address a = {0};
    assert_true(net_parse_ip(bytes_of_cstr(text), &a));
    return a;
}

static struct guesses made(void)
{
    struct guesses g;
    assert_int_equal(guesses_init(&g, (struct hash_key){1, 2}), ERR_NONE);
    return g;
}

static void test_guesses_wait_grows_with_failures_of_a_client(void **state)
{
    (void)state;
    struct guesses g = made();
    struct net_address one = address("192.0.2.1"), other = address("192.0.2.2");
    uint64_t now = 1000, before = 0;
    for (int i = 0; i < GUESSES_FREE_CLIENT; i++) {
        assert_int_equal(guesses_wait(&g, &one, BYTES("ann"), now), 0);
        guesses_note(&g, &one, BYTES("ann"), false, now);
    }
    for (int i = 0; i < 3; i++) {
        uint64_t wait = guesses_wait(&g, &one, BYTES("zoe"), now); /* whoever it tries */
        assert_true(wait > before);
        before = wait;
        now += wait;
        guesses_note(&g, &one, BYTES("zoe"), false, now);
    }
    assert_int_equal(guesses_wait(&g, &other, BYTES("bob"), now), 0);
    guesses_fini(&g);
}

static void test_guesses_wait_stands_in_one_line_for_many_connections(void **state)
{
    (void)state;
    struct guesses g = made();
    struct net_address one = address("2001:db8::1"), neighbour = address("2001:db8::2:3");
    for (int i = 0; i < 5; i++) guesses_note(&g, &one, BYTES("ann"), false, 1000);
    uint64_t first = guesses_wait(&g, &one, BYTES("ann"), 1000), second = guesses_wait(&g, &neighbour, BYTES("bob"), 1000); /* the same /64 */
    assert_true(first > 0 && second > first);
    while (guesses_wait(&g, &one, BYTES("ann"), 1000) <= GUESSES_WAIT_MAX_MS) {}
    assert_true(guesses_wait(&g, &one, BYTES("ann"), 1000) > GUESSES_WAIT_MAX_MS); /* sent away */
    guesses_fini(&g);
}

static void test_guesses_owner_gets_in_while_many_clients_guess(void **state)
{
    (void)state;
    struct guesses g = made();
    uint64_t now = 1000;
    for (uint32_t i = 0; i < 500; i++) {
        struct net_address bot = address("198.51.100.1");
        bot.ip[3] = (uint8_t)i;
        bot.ip[2] = (uint8_t)(i >> 8);
        guesses_note(&g, &bot, BYTES("Ann"), false, now);
    }
    struct net_address owner = address("192.0.2.9");
    uint64_t wait = guesses_wait(&g, &owner, BYTES("ann"), now + 1);
    assert_true(wait > 0 && wait <= GUESSES_PAUSE_LOGIN_MAX_MS);
    guesses_note(&g, &owner, BYTES("ann"), true, now + wait);
    guesses_fini(&g);
}

static void test_guesses_fade(void **state)
{
    (void)state;
    struct guesses g = made();
    struct net_address one = address("192.0.2.1");
    for (int i = 0; i < 10; i++) guesses_note(&g, &one, BYTES("ann"), false, 1000);
    assert_true(guesses_wait(&g, &one, BYTES("ann"), 1001) > 0);
    assert_int_equal(guesses_wait(&g, &one, BYTES("ann"), 1000 + 5 * (uint64_t)GUESSES_HALF_MS), 0);
    guesses_fini(&g);
}

static void test_spend_counts_an_hour(void **state)
{
    (void)state;
    struct guesses g = made();
    const struct spending message = {1, 0, 10, 0}, other = {0, 1, 10, 0};
    bool tell;
    uint64_t wait, now = 5000;
    for (int i = 0; i < 10; i++) assert_true(spend(&g, BYTES("ann"), &message, now, &tell, &wait));
    assert_false(spend(&g, BYTES("ANN"), &message, now, &tell, &wait));
    assert_true(tell && wait > 0 && wait <= SPENT_WINDOW_MS);
    assert_false(spend(&g, BYTES("ann"), &message, now, &tell, &wait));
    assert_false(tell); /* once */
    assert_true(spend(&g, BYTES("ann"), &other, now, &tell, &wait)); /* recipients have no limit here */
    assert_true(spend(&g, BYTES("bob"), &message, now, &tell, &wait));
    assert_false(spend(&g, BYTES("ann"), &message, now + SPENT_WINDOW_MS, &tell, &wait)); /* the window before counts for what it still covers */
    assert_true(spend(&g, BYTES("ann"), &message, now + SPENT_WINDOW_MS * 3 / 2, &tell, &wait));
    assert_true(spend(&g, BYTES("ann"), &message, now + SPENT_WINDOW_MS * 4, &tell, &wait));
    guesses_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guesses_wait_grows_with_failures_of_a_client),
        cmocka_unit_test(test_guesses_wait_stands_in_one_line_for_many_connections),
        cmocka_unit_test(test_guesses_owner_gets_in_while_many_clients_guess),
        cmocka_unit_test(test_guesses_fade),
        cmocka_unit_test(test_spend_counts_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
