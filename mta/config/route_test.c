/*
 * route_test - who goes where, and whom a stranger may reach.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mta/config/load.h"

static const char text[] =
    "config-version 1\nhostname mx.example.org\n"
    "table ours { inline example.org Example.NET localhost }\n"
    "table people { inline ann@example.com }\n"
    "listen mx { address 127.0.0.1:25; trust 10.0.0.0/8 2001:db8::/32 }\n"
    "listen open { address 127.0.0.1:26 }\n"
    "route reports { match local; match rcpt-domain reports.example; discard }\n"
    "route ours { match rcpt-domain ours other.example; maildir /m/{local} }\n"
    "route people { match rcpt people Bob@Example.com; relay smtp://192.0.2.1 }\n"
    "route null { match sender <>; match rcpt-domain bounces.example; discard }\n"
    "route partner { match sender-domain partner.example; mx }\n"
    "route lan { match client 10.1.0.0/16; mx }\n"
    "route out { match trusted; mx }\n"
    "route rest { match any; relay smtp://smart.example:2525 }\n";

struct route_case {
    const char *name, *rcpt, *sender, *client;
    bool trusted, local;
    const char *want;   /* name of the route */
    bool stranger;      /* route_admits_stranger() */
};

static const struct route_case cases[] = {
    {"by domain in a table", "x@example.org", "a@b.c", "192.0.2.9", false, false, "ours", true},
    {"domain's case", "x@EXAMPLE.net", "a@b.c", "192.0.2.9", false, false, "ours", true},
    {"dotless name of a table", "x@localhost", "a@b.c", "192.0.2.9", false, false, "ours", true},
    {"literal domain", "x@other.example", "", "192.0.2.9", false, false, "ours", true},
    {"subdomain is another domain", "x@a.example.org", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"address in a table", "ann@example.com", "a@b.c", "192.0.2.9", false, false, "people", true},
    {"address, any case", "bOB@example.com", "a@b.c", "192.0.2.9", false, false, "people", true},
    {"another address of that domain", "eve@example.com", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"null sender", "x@bounces.example", "", "192.0.2.9", false, false, "null", true},
    {"not the null sender", "x@bounces.example", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"sender admits no stranger", "x@far.example", "a@partner.example", "192.0.2.9", false, false, "partner", false},
    {"client admits no stranger", "x@far.example", "a@b.c", "10.1.2.3", false, false, "lan", false},
    {"any admits no stranger", "x@far.example", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"trusted", "x@far.example", "a@b.c", "192.0.2.9", true, false, "out", false},
    {"own mail to its own route", "x@reports.example", "", NULL, false, true, "reports", false},
    {"own route is not for others", "x@reports.example", "a@b.c", "192.0.2.9", true, false, "out", false},
    {"percent hack", "x%example.org@far.example", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"quoted at sign", "\"x@example.org\"@far.example", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"bang path", "example.org!x@far.example", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"literal", "x@[192.0.2.1]", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"no domain", "postmaster", "a@b.c", "192.0.2.9", false, false, "rest", false},
    {"nothing", "", "", NULL, false, false, "rest", false},
};

static void print_problem(void *context, bool is_error, struct bytes line)
{
    (void)context;
    if (is_error) print_message("%.*s\n", (int)line.len, (const char *)line.ptr);
}

static const struct config *load(struct bytes *image)
{
    struct config_problem_sink sink = {print_problem, NULL};
    assert_int_equal(config_load_text(bytes_of_cstr(text), "test", 7, &sink, image), ERR_NONE);
    return (const struct config *)(const void *)image->ptr;
}

static void test_route_find_takes_the_first_route_that_holds(void **state)
{
    (void)state;
    struct bytes image;
    const struct config *c = load(&image);
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address client = {0};
        if (cases[i].client) assert_true(net_parse_ip(bytes_of_cstr(cases[i].client), &client));
        struct route_question q = {bytes_of_cstr(cases[i].rcpt), bytes_of_cstr(cases[i].sender), &client, cases[i].trusted, false, cases[i].local};
        int32_t found = route_find(c, &q), stranger_route;
        bool admitted = route_admits_stranger(c, &q, &stranger_route);
        assert_in_range(found, 0, c->routes.count - 1);
        struct bytes name = config_bytes(c, routes[found].name);
        if (!bytes_equal(name, bytes_of_cstr(cases[i].want)) || admitted != cases[i].stranger) {
            fail_msg("%s: route %.*s, admitted %d", cases[i].name, (int)name.len, (const char *)name.ptr, admitted);
        }
    }
    free((void *)(uintptr_t)image.ptr);
}

static void test_route_find_with_overlong_addresses_matches_no_name(void **state)
{
    (void)state;
    struct bytes image;
    const struct config *c = load(&image);
    static uint8_t lengthy[100000];
    for (size_t i = 0; i < sizeof lengthy; i++) lengthy[i] = 'a';
    struct bytes address = bytes_of(lengthy, sizeof lengthy);
    struct route_question q = {address, address, NULL, false, false, false};
    assert_int_equal(route_find(c, &q), c->routes.count - 1);
    q.rcpt = BYTES("x@bounces.example"); /* a sender that was cut away is not the null sender */
    assert_int_equal(route_find(c, &q), c->routes.count - 1);
    free((void *)(uintptr_t)image.ptr);
}

static void test_config_trusts_only_the_networks_of_its_listener(void **state)
{
    (void)state;
    struct bytes image;
    const struct config *c = load(&image);
    const struct config_listener *listeners = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    static const struct { const char *client; bool want; } clients[] = {
        {"10.200.1.2", true}, {"2001:db8:1::1", true}, {"::ffff:10.0.0.1", true}, {"127.0.0.1", false}, {"::1", false}, {"11.0.0.1", false}};
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        struct net_address client;
        assert_true(net_parse_ip(bytes_of_cstr(clients[i].client), &client));
        assert_int_equal(config_trusts(c, &listeners[0], &client), clients[i].want);
        assert_false(config_trusts(c, &listeners[1], &client));
    }
    struct net_address none = {0};
    assert_false(config_trusts(c, &listeners[0], &none));
    free((void *)(uintptr_t)image.ptr);
}

static void test_config_readers_take_wrong_offsets_as_empty(void **state)
{
    (void)state;
    struct bytes image;
    const struct config *c = load(&image);
    uint32_t end = (uint32_t)c->image_bytes;
    assert_int_equal(config_bytes(c, (struct config_text){end, 1}).len, 0);
    assert_int_equal(config_bytes(c, (struct config_text){1, end}).len, 0);
    assert_int_equal(config_bytes(c, (struct config_text){UINT32_MAX, UINT32_MAX}).len, 0);
    assert_null(config_items(c, (struct config_list){8, UINT32_MAX}, 8));
    assert_null(config_items(c, (struct config_list){9, 1}, 8));
    assert_null(config_items(c, (struct config_list){8, 0}, 8));
    assert_non_null(config_items(c, (struct config_list){8, 1}, 8));
    free((void *)(uintptr_t)image.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_find_takes_the_first_route_that_holds),
        cmocka_unit_test(test_route_find_with_overlong_addresses_matches_no_name),
        cmocka_unit_test(test_config_trusts_only_the_networks_of_its_listener),
        cmocka_unit_test(test_config_readers_take_wrong_offsets_as_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
