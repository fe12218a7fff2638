/*
 * Tests of who may send what to whom, and above all of the forms by which relays were opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mta/receiver/admission.h"

static const char configuration[] =
    "config-version 1\n"
    "hostname mx.example.org\n"
    "postmaster ann@example.org\n"
    "listen mx { address 127.0.0.1:25; trust 10.0.0.0/8 }\n"
    "table domains { inline example.org example.net }\n"
    "route blocked { match rcpt spam@example.org; reject 550 \"5.7.1 no such luck\" }\n"
    "route gone { match rcpt-domain gone.example; reject 450 \"comes back\" }\n"
    "route backup { match rcpt-domain backup.example; relay smtp://192.0.2.9:25 }\n"
    "route local { match rcpt-domain domains; maildir \"/srv/mail/{domain}/{local}\" }\n"
    "route literal { match rcpt-domain \"[192.0.2.1]\"; maildir \"/srv/mail/literal/{local}\" }\n"
    "route friends { match sender friend@friend.example; mx }\n"
    "route network { match client 203.0.113.0/24; mx }\n"
    "route inside { match trusted; match rcpt-domain inside.example; mx }\n"
    "route out { match any; mx }\n";

static void report(void *context, bool is_error, struct bytes text)
{
    (void)context;
    (void)is_error;
    print_message("%.*s\n", (int)text.len, (const char *)text.ptr);
}

static const struct config *load(const char *text)
{
    char path[] = "/tmp/admission-XXXXXX";
    int file = mkstemp(path), image = -1;
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    const struct config_problem_sink sink = {report, NULL};
    const struct config *c = NULL;
    enum err e = config_load(path, NULL, 1, &sink, &image);
    (void)unlink(path);
    assert_int_equal(e, ERR_NONE);
    assert_int_equal(config_map(image, &c), ERR_NONE);
    close(image);
    return c;
}

static const struct config *config;

static int load_all(void **state)
{
    (void)state;
    config = load(configuration);
    return 0;
}

static int forget_all(void **state)
{
    (void)state;
    config_unmap(config);
    return 0;
}

enum want { TAKEN, RELAY_DENIED, NO_ROUTE, REJECTED, LATER };

struct admission_case {
    const char *rcpt; /* as written behind RCPT TO: */
    const char *sender;
    bool trusted;
    enum want want;
};

static const struct admission_case cases[] = {
    /* A stranger: only what a route names by domain or address. */
    {"<bob@example.org>", "x@y.example", false, TAKEN},
    {"<bob@EXAMPLE.NET>", "x@y.example", false, TAKEN},
    {"<bob@backup.example>", "x@y.example", false, TAKEN},
    {"<bob@example.com>", "x@y.example", false, RELAY_DENIED},
    {"<bob@sub.example.org>", "x@y.example", false, RELAY_DENIED},
    {"<bob@example.org.evil.example>", "x@y.example", false, RELAY_DENIED},
    /* Routes by sender or client name nobody's domain. */
    {"<bob@example.com>", "friend@friend.example", false, RELAY_DENIED},
    {"<bob@example.com>", "", false, RELAY_DENIED},
    {"<bob@example.com>", "bob@example.org", false, RELAY_DENIED},
    /* Paths inside of the local part: for somebody else to follow. */
    {"<victim%example.com@example.org>", "x@y.example", false, RELAY_DENIED},
    {"<victim%example.com@backup.example>", "x@y.example", false, RELAY_DENIED},
    {"<example.com!victim@example.org>", "x@y.example", false, RELAY_DENIED},
    {"<\"victim@example.com\"@example.org>", "x@y.example", false, RELAY_DENIED},
    {"<\"victim%example.com\"@backup.example>", "x@y.example", false, RELAY_DENIED},
    {"<\"example.com!victim\"@example.org>", "x@y.example", false, RELAY_DENIED},
    {"<victim%example.com%example.org@example.org>", "x@y.example", false, RELAY_DENIED},
    /* A source route is dropped: what counts is the mailbox. */
    {"<@example.org:victim@example.com>", "x@y.example", false, RELAY_DENIED},
    {"<@example.org,@example.net:victim@example.com>", "x@y.example", false, RELAY_DENIED},
    {"<@example.com:bob@example.org>", "x@y.example", false, TAKEN},
    /* Literals are domains like others: a route must name them. */
    {"<victim@[192.0.2.77]>", "x@y.example", false, RELAY_DENIED},
    {"<victim@[IPv6:2001:db8::1]>", "x@y.example", false, RELAY_DENIED},
    {"<victim%example.com@[192.0.2.1]>", "x@y.example", false, RELAY_DENIED},
    {"<bob@[192.0.2.1]>", "x@y.example", false, TAKEN},
    /* A route for trusted clients is theirs, and not there for others. */
    {"<bob@inside.example>", "x@y.example", true, TAKEN},
    {"<bob@inside.example>", "x@y.example", false, RELAY_DENIED},
    /* Bare postmaster is for everybody (RFC 5321 4.5.1). */
    {"<postmaster>", "x@y.example", false, TAKEN},
    {"<PostMaster>", "", false, TAKEN},
    /* Reject routes speak for themselves. */
    {"<spam@example.org>", "x@y.example", false, REJECTED},
    {"<spam@example.org>", "x@y.example", true, REJECTED},
    {"<bob@gone.example>", "x@y.example", false, LATER},
    /* A trusted client may send wherever a route leads. */
    {"<bob@example.com>", "x@y.example", true, TAKEN},
    {"<victim%example.com@example.org>", "x@y.example", true, TAKEN},
    {"<bob@[192.0.2.77]>", "", true, TAKEN},
};

static void parse(const char *text, struct smtp_address *out)
{
    uint32_t used = 0;
    enum smtp_address_result result = smtp_path_parse(bytes_of_cstr(text), false, true, out, &used);
    assert_true(result == SMTP_ADDRESS_OK || result == SMTP_ADDRESS_EMPTY);
}

static enum want decide(const struct config *c, const struct admission_case *k, const char *client, struct admission *a)
{
    struct smtp_address rcpt;
    struct net_address address;
    parse(k->rcpt, &rcpt);
    assert_true(net_parse_ip(bytes_of_cstr(client), &address));
    struct admission_question q = {&rcpt, bytes_of_cstr(k->sender), &address, k->trusted, false, false};
    admission_decide(c, &q, a);
    if (a->taken) return TAKEN;
    switch (a->answer.code) {
    case 554:
        return RELAY_DENIED;
    case 450:
        return LATER;
    default:
        return a->answer.enhanced.subject == 1 ? NO_ROUTE : REJECTED;
    }
}

static void test_admission_decide_keeps_strangers_from_relaying(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct admission a;
        print_message("%s from <%s>%s\n", cases[i].rcpt, cases[i].sender, cases[i].trusted ? ", trusted" : "");
        assert_int_equal(decide(config, &cases[i], "198.51.100.1", &a), cases[i].want);
    }
}

static void test_admission_decide_client_route_admits_no_stranger(void **state)
{
    (void)state;
    const struct admission_case k = {"<bob@example.com>", "x@y.example", false, RELAY_DENIED};
    struct admission a;
    assert_int_equal(decide(config, &k, "203.0.113.7", &a), RELAY_DENIED);
    assert_int_equal(decide(config, &k, "127.0.0.1", &a), RELAY_DENIED);
    assert_int_equal(decide(config, &k, "10.0.0.1", &a), RELAY_DENIED); /* trust is the listener's to say, not the address's */
}

static void test_admission_decide_without_a_route_refuses_trusted_clients(void **state)
{
    (void)state;
    const struct config *c = load("config-version 1\nhostname mx.example.org\nlisten mx { address 127.0.0.1:25 }\n"
                                  "route local { match rcpt-domain example.org; maildir \"/srv/mail/{local}\" }\n");
    struct admission a;
    const struct admission_case away = {"<bob@example.com>", "", true, NO_ROUTE}, bare = {"<postmaster>", "", false, NO_ROUTE};
    assert_int_equal(decide(c, &away, "10.0.0.1", &a), NO_ROUTE);
    assert_int_equal(a.answer.code, 550);
    assert_int_equal(decide(c, &bare, "10.0.0.1", &a), NO_ROUTE); /* root@mx.example.org leads nowhere here */
    config_unmap(c);
}

static void test_admission_decide_trusted_and_local_take_routes_of_their_own(void **state)
{
    (void)state;
    const struct config *c = load("config-version 1\nhostname mx.example.org\nlisten mx { address 127.0.0.1:25 }\n"
                                  "route users { match local; mx }\nroute out { match trusted; mx }\n");
    struct admission a;
    struct smtp_address rcpt;
    struct net_address address;
    parse("<bob@example.com>", &rcpt);
    assert_true(net_parse_ip(BYTES("10.0.0.1"), &address));
    struct admission_question q = {&rcpt, BYTES(""), &address, true, false, true};
    admission_decide(c, &q, &a);
    assert_true(a.taken && a.route == 0);
    q.local = false;
    admission_decide(c, &q, &a);
    assert_true(a.taken && a.route == 1);
    q.trusted = false;
    admission_decide(c, &q, &a);
    assert_true(!a.taken);
    config_unmap(c);
}

static void test_admission_decide_bare_postmaster_is_the_configured_address(void **state)
{
    (void)state;
    const struct admission_case k = {"<postmaster>", "", false, TAKEN};
    struct admission a;
    assert_int_equal(decide(config, &k, "198.51.100.1", &a), TAKEN);
    assert_true(bytes_equal(a.rcpt, BYTES("ann@example.org")));
    assert_true(a.ask_mailbox);
}

static void test_admission_decide_words_are_those_of_the_route(void **state)
{
    (void)state;
    const struct admission_case reject = {"<spam@example.org>", "", false, REJECTED},
                                later = {"<bob@gone.example>", "", false, LATER};
    const struct admission_case denied = {"<bob@example.com>", "", false, RELAY_DENIED};
    struct admission a;
    (void)decide(config, &reject, "198.51.100.1", &a);
    assert_true(bytes_equal(a.answer.text, BYTES("<spam@example.org>: Recipient address rejected: no such luck")));
    assert_int_equal(a.answer.enhanced.class, 5);
    assert_int_equal(a.answer.enhanced.detail, 1);
    (void)decide(config, &later, "198.51.100.1", &a);
    assert_int_equal(a.answer.enhanced.class, 4);
    assert_true(bytes_equal(a.answer.text, BYTES("<bob@gone.example>: Recipient address rejected: comes back")));
    (void)decide(config, &denied, "198.51.100.1", &a);
    assert_true(bytes_equal(a.answer.text, BYTES("<bob@example.com>: Relay access denied")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission_decide_keeps_strangers_from_relaying),
        cmocka_unit_test(test_admission_decide_client_route_admits_no_stranger),
        cmocka_unit_test(test_admission_decide_without_a_route_refuses_trusted_clients),
        cmocka_unit_test(test_admission_decide_trusted_and_local_take_routes_of_their_own),
        cmocka_unit_test(test_admission_decide_bare_postmaster_is_the_configured_address),
        cmocka_unit_test(test_admission_decide_words_are_those_of_the_route),
    };
    return cmocka_run_group_tests(tests, load_all, forget_all);
}
