/* Tests of rules: what each line matches, which one decides, and what a configuration may not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mta/config/load.h"
#include "mta/config/rules.h"

#define HEAD "config-version 1\nhostname mx.example.org\nlisten mx { address 127.0.0.1:25; rules r }\nroute out { match any; mx }\n"

static char problems[4096];

static void note(void *context, bool is_error, struct bytes text)
{
    (void)context;
    size_t had = strlen(problems);
    if (!is_error || had + text.len + 2 > sizeof problems) return;
    memcpy(problems + had, text.ptr, text.len);
    problems[had + text.len] = 0;
}

static enum err load(const char *rules, struct bytes *image)
{
    static char text[8192];
    const struct config_problem_sink sink = {note, NULL};
    problems[0] = 0;
    snprintf(text, sizeof text, "%s%s", HEAD, rules);
    return config_load_text(bytes_of_cstr(text), "t.conf", 1, &sink, image);
}

static const char lines[] =
    "table bad { inline 198.51.100.7 *.bad.example }\n"
    "table verdicts { entry 203.0.113.0/25 deny \"no such net\"; entry 203.0.113.9 OK;"
    " entry mail.known.example 550 5.7.1 not you; entry unknown pass; entry *.later.example DEFER }\n"
    "rules r {\n"
    "  allow client 192.0.2.0/24 2001:db8::/32 *.friend.example\n" /* 8 */
    "  allow sender boss@partner.example *@*.partner.example\n"
    "  deny client bad answer 550 5.7.1 go away\n"
    "  deny helo localhost *.lan\n"
    "  deny sender <> *@spam.example news@*\n"
    "  deny recipient secret@example.org answer 450 4.7.0 \"not now\"\n"
    "  check client verdicts\n"
    "}\n";

static const struct rules_case {
    const char *client, *name, *helo, *sender, *rcpt;
    uint8_t verdict;
    uint32_t line;
    uint16_t code;
} cases[] = {
    {"192.0.2.77", "", "localhost", "x@spam.example", "a@example.org", ACCESS_ALLOW, 8, 0},
    {"2001:db8:1::1", "", "x.example", "x@y.example", "a@example.org", ACCESS_ALLOW, 8, 0},
    {"198.51.100.1", "mx.friend.example", "x.lan", "x@y.example", "a@example.org", ACCESS_ALLOW, 8, 0},
    {"198.51.100.1", "friend.example", "x.lan", "x@y.example", "a@example.org", ACCESS_DENY, 11, 554},
    {"198.51.100.7", "", "x.example", "BOSS@Partner.example", "a@example.org", ACCESS_ALLOW, 9, 0},
    {"198.51.100.7", "", "x.example", "any@deep.below.partner.example", "a@example.org", ACCESS_ALLOW, 9, 0},
    {"198.51.100.7", "", "x.example", "any@partner.example", "a@example.org", ACCESS_DENY, 10, 550},
    {"198.51.100.8", "A.Bad.Example", "x.example", "a@b.example", "a@example.org", ACCESS_DENY, 10, 550},
    {"198.51.100.8", "", "LOCALHOST", "a@b.example", "a@example.org", ACCESS_DENY, 11, 554},
    {"198.51.100.8", "", "x.example", "", "a@example.org", ACCESS_DENY, 12, 554},
    {"198.51.100.8", "", "x.example", "news@any.example", "a@example.org", ACCESS_DENY, 12, 554},
    {"198.51.100.8", "", "x.example", "a@b.example", "Secret@example.org", ACCESS_DENY, 13, 450},
    {"203.0.113.5", "", "x.example", "a@b.example", "a@example.org", ACCESS_DENY, 14, 554},
    {"203.0.113.9", "", "x.example", "a@b.example", "a@example.org", ACCESS_ALLOW, 14, 0},
    {"203.0.113.200", "", "x.example", "a@b.example", "a@example.org", ACCESS_NOTHING, 0, 0},
    {"198.51.100.9", "mail.known.example", "x.example", "a@b.example", "a@example.org", ACCESS_DENY, 14, 550},
    {"198.51.100.9", "a.b.later.example", "x.example", "a@b.example", "a@example.org", ACCESS_DENY, 14, 450},
    {"198.51.100.9", "later.example", "x.example", "a@b.example", "a@example.org", ACCESS_NOTHING, 0, 0},
};

static void test_rules_first_line_that_matches_decides(void **state)
{
    (void)state;
    struct bytes image;
    assert_int_equal(load(lines, &image), ERR_NONE);
    const struct config *c = (const struct config *)(const void *)image.ptr;
    const struct config_rules *r = rules_of_listener(c, CONFIG_ITEMS(c, c->listeners, struct config_listener));
    assert_non_null(r);
    assert_true(rules_need_name(c, r));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_address client;
        assert_true(net_parse_ip(bytes_of_cstr(cases[i].client), &client));
        struct rules_question q = {&client, bytes_of_cstr(cases[i].name), bytes_of_cstr(cases[i].helo), bytes_of_cstr(cases[i].sender),
                                   bytes_of_cstr(cases[i].rcpt)};
        struct rules_answer a = rules_find(c, r, &q);
        if (a.verdict != cases[i].verdict || (a.line ? a.line->line : 0) != cases[i].line || (a.verdict == ACCESS_DENY && a.code != cases[i].code))
            fail_msg("case %zu: verdict %d of line %u, code %d", i, a.verdict, a.line ? a.line->line : 0, a.code);
    }
    free((void *)(uintptr_t)image.ptr);
}

static void test_rules_mistakes_are_named(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } wrong[] = {
        {"rules r { deny }", "`deny' lacks a value"},
        {"rules r { deny clint 192.0.2.1 }", "did you mean `client'?"},
        {"rules r { deny client 192.0.2.1/24 }", "is nothing that a client can be"},
        {"rules r { deny client nodot }", "is nothing that a client can be"},
        {"rules r { deny sender example.org }", "is nothing that a sender can be"},
        {"rules r { deny recipient <> }", "is nothing that a recipient can be"},
        {"rules r { deny client 192.0.2.1 answer 250 ok }", "needs a code from 400 to 599"},
        {"rules r { deny client 192.0.2.1 answer 421 bye }", "needs a code from 400 to 599"},
        {"rules r { deny client 192.0.2.1 answer 550 4.7.1 x }", "contradicts the code"},
        {"rules r { allow client 192.0.2.1 answer 550 x }", "`allow' has no answer"},
        {"rules r { check client nothing }", "there is no table `nothing'"},
        {"table t { entry 192.0.2.1 perhaps }\nrules r { check client t }", "is no verdict"},
        {"rules r { helo perhaps }", "expected one of: off basic fqdn resolves"},
        {"rules r { dnsbl nozone..x }", "is no zone"},
        {"rules r { dnsbl bl.example weight 0 }", "expected 1 to 1000"},
        {"rules r { dnsbl bl.example answers 127.0.0 }", "`answers' is"},
        {"rules r { dnsbl bl.example for client }", "unexpected `for'"},
        {"rules other { }", "listen `mx' has rules `r'"},
        {"rules r { }\nrules r { }", "there is another rules `r'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bytes image;
        if (load(wrong[i].text, &image) == ERR_NONE) fail_msg("taken: %s", wrong[i].text);
        if (!strstr(problems, wrong[i].want)) fail_msg("%s: %s", wrong[i].text, problems);
    }
}

static void test_rules_shown_is_read_again(void **state)
{
    (void)state;
    static uint8_t first_text[32768], second_text[32768];
    struct buf first = BUF_OVER(first_text), second = BUF_OVER(second_text);
    struct bytes image;
    const struct config_problem_sink sink = {note, NULL};
    assert_int_equal(load("rules r { allow client local unknown; deny sender <> answer 450 4.7.1 \"no; not\"; helo fqdn; reverse-name any\n"
                          "sender-domain off; dnsbl zen.example weight 3 answers \"127.0.0.[2;4]\"; dnswl good.example of helo\n"
                          "refuse-score 4; greylist on; trusted on }", &image), ERR_NONE);
    config_show((const struct config *)(const void *)image.ptr, &first);
    free((void *)(uintptr_t)image.ptr);
    assert_int_equal(config_load_text(buf_bytes(&first), "again.conf", 1, &sink, &image), ERR_NONE);
    config_show((const struct config *)(const void *)image.ptr, &second);
    free((void *)(uintptr_t)image.ptr);
    assert_true(!first.overflow && bytes_equal(buf_bytes(&first), buf_bytes(&second)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_first_line_that_matches_decides),
        cmocka_unit_test(test_rules_mistakes_are_named),
        cmocka_unit_test(test_rules_shown_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
