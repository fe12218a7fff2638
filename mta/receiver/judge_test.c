/* Tests of the order of rules: which is asked first, what each needs to know, and who has the last word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mta/config/load.h"
#include "mta/receiver/judge.h"

#define TEXT "config-version 1\nhostname mx.example.org\nlisten mx { address 127.0.0.1:25; rules r }\nroute out { match any; mx }\n" \
    "rules r { allow sender good@friend.example; deny helo bad.example answer 550 5.7.1 \"go away\"; helo resolves; reverse-name confirmed\n" \
    "dnsbl black.example weight 3; dnsbl grey.example answers 127.0.0.2; dnswl white.example weight 2; refuse-score 3; accept-score 2 }\n"

static struct bytes image;

static void note(void *context, bool is_error, struct bytes text)
{
    (void)context;
    (void)is_error;
    print_message("%.*s\n", (int)text.len, (const char *)text.ptr);
}

static int make(void **state)
{
    const struct config_problem_sink sink = {note, NULL};
    (void)state;
    return config_load_text(BYTES(TEXT), "t.conf", 1, &sink, &image) == ERR_NONE ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    free((void *)(uintptr_t)image.ptr);
    return 0;
}

static const struct config *config(void) { return (const struct config *)(const void *)image.ptr; }

static const struct net_address client = {.family = NET_IPV4, .ip = {192, 0, 2, 7}};

static struct judgement decide(const char *helo, const char *sender, const struct judge_facts *facts)
{
    static struct judgement out;
    const struct config_listener *l = CONFIG_ITEMS(config(), config()->listeners, struct config_listener);
    struct judge_question q = {.rules = rules_of_listener(config(), l), .facts = facts,
                               .who = {&client, BYTES(""), bytes_of_cstr(helo), bytes_of_cstr(sender), BYTES("a@example.org")}};
    judge_decide(config(), &q, NULL, &out);
    return out;
}

static const struct judge_facts all_good = {.reverse = REVERSE_NAMED, .helo = FACT_GOOD, .sender = FACT_GOOD, .lists_known = true};

static void test_judge_needs_come_one_by_one_and_only_when_wanted(void **state)
{
    (void)state;
    struct judge_facts facts = {0};
    assert_int_equal(decide("x.example", "good@friend.example", &facts).need, JUDGE_SETTLED);
    assert_int_equal(decide("bad.example", "a@b.example", &facts).need, JUDGE_SETTLED);
    assert_int_equal(decide("x.example", "a@b.example", &facts).need, JUDGE_NEEDS_HELO);
    facts.helo = FACT_GOOD;
    assert_int_equal(decide("x.example", "a@b.example", &facts).need, JUDGE_NEEDS_NAME);
    assert_int_equal(decide("[192.0.2.7]", "a@b.example", &(struct judge_facts){.reverse = REVERSE_NAMED}).need, JUDGE_NEEDS_SENDER);
    facts.reverse = REVERSE_NAMED;
    assert_int_equal(decide("x.example", "a@b.example", &facts).need, JUDGE_NEEDS_SENDER);
    assert_int_equal(decide("x.example", "", &facts).need, JUDGE_NEEDS_LISTS);
    facts.lists_known = true;
    struct judgement j = decide("x.example", "", &facts);
    assert_true(j.need == JUDGE_SETTLED && !j.refused && !j.known_good);
}

static void test_judge_refusals_have_their_code_and_name_their_rule(void **state)
{
    (void)state;
    static const struct { const char *helo, *sender; uint8_t reverse, fact_helo, fact_sender, black; uint16_t code; const char *words; } cases[] = {
        {"bad.example", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_GOOD, 0, 550, "<bad.example>: go away (rules r: deny helo, line 5)"},
        {"MX.example.org", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_GOOD, 0, 554, "that is our name"},
        {"localhost", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_GOOD, 0, 554, "that is our name"},
        {"192.0.2.7", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_GOOD, 0, 554, "stands in brackets"},
        {"nodot", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_GOOD, 0, 554, "need fully-qualified hostname (rules r: helo, line 5)"},
        {"x.example", "a@b.example", REVERSE_NAMED, FACT_BAD, FACT_GOOD, 0, 550, "Host not found"},
        {"x.example", "a@b.example", REVERSE_NAMED, FACT_FAILED, FACT_GOOD, 0, 450, "cannot be looked up now"},
        {"x.example", "a@b.example", REVERSE_NONE, FACT_GOOD, FACT_GOOD, 0, 550, "reverse hostname (rules r: reverse-name, line 5)"},
        {"x.example", "a@b.example", REVERSE_UNCONFIRMED, FACT_GOOD, FACT_GOOD, 0, 550, "does not have that address"},
        {"x.example", "a@b.example", REVERSE_FAILED, FACT_GOOD, FACT_GOOD, 0, 450, "cannot be looked up now"},
        {"x.example", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_BAD, 0, 550,
         "<a@b.example>: Sender address rejected: Domain not found (rules r: sender-domain)"},
        {"x.example", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_NULL_MX, 0, 550, "null MX"},
        {"x.example", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_FAILED, 0, 450, "cannot be looked up now"},
        {"x.example", "a@b.example", REVERSE_NAMED, FACT_GOOD, FACT_GOOD, SMTP_DNSBL_LISTED, 554,
         "blocked using black.example (rules r: dnsbl, line 6)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct judge_facts facts = {.reverse = cases[i].reverse, .helo = cases[i].fact_helo, .sender = cases[i].fact_sender, .lists_known = true};
        facts.lists[0] = cases[i].black;
        struct judgement j = decide(cases[i].helo, cases[i].sender, &facts);
        char text[600] = {0};
        struct bytes said = bytes_of(j.text, j.answer.text.len);
        memcpy(text, said.ptr, said.len < sizeof text - 1 ? said.len : sizeof text - 1);
        if (!j.refused || j.answer.code != cases[i].code || j.answer.enhanced.class != cases[i].code / 100 || !strstr(text, cases[i].words))
            fail_msg("case %zu: %d %s", i, j.answer.code, text);
    }
}

static void test_judge_scores_add_up(void **state)
{
    (void)state;
    static const struct { uint8_t lists[3]; int64_t score; bool refused, good; } cases[] = {
        {{0, 0, 0}, 0, false, false}, {{1, 0, 0}, 3, true, false}, {{0, 1, 0}, 1, false, false}, {{1, 0, 1}, 1, false, false},
        {{1, 1, 1}, 2, false, false}, {{0, 0, 1}, -2, false, true}, {{SMTP_DNSBL_REFUSED, 0, 0}, 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct judge_facts facts = all_good;
        memcpy(facts.lists, cases[i].lists, sizeof cases[i].lists);
        struct judgement j = decide("x.example", "a@b.example", &facts);
        if (j.score != cases[i].score || j.refused != cases[i].refused || j.known_good != cases[i].good) fail_msg("case %zu", i);
    }
}

static void test_judge_allow_beats_what_stands_behind(void **state)
{
    (void)state;
    struct judge_facts facts = {.reverse = REVERSE_NONE, .helo = FACT_BAD, .sender = FACT_BAD, .lists_known = true, .lists = {SMTP_DNSBL_LISTED}};
    struct judgement j = decide("localhost", "good@friend.example", &facts);
    assert_true(!j.refused && j.known_good && j.line == 5);
}

static void test_judge_names_of_lists(void **state)
{
    (void)state;
    uint8_t memory[SMTP_DNSBL_NAME_BYTES_MAX];
    struct buf name = BUF_OVER(memory);
    const struct config_rules *r = rules_of_listener(config(), CONFIG_ITEMS(config(), config()->listeners, struct config_listener));
    const struct config_dnslist *lists = CONFIG_ITEMS(config(), r->dnslists, struct config_dnslist);
    struct rules_question who = {.client = &client};
    assert_true(judge_list_name(config(), &lists[0], &who, &name));
    assert_true(bytes_equal(buf_bytes(&name), BYTES("7.2.0.192.black.example")));
    struct net_address three = {.family = NET_IPV4, .ip = {127, 0, 0, 3}};
    assert_int_equal(judge_list_answer(config(), &lists[0], &three, 1), SMTP_DNSBL_LISTED);
    assert_int_equal(judge_list_answer(config(), &lists[1], &three, 1), SMTP_DNSBL_UNLISTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge_needs_come_one_by_one_and_only_when_wanted),
        cmocka_unit_test(test_judge_refusals_have_their_code_and_name_their_rule),
        cmocka_unit_test(test_judge_scores_add_up),
        cmocka_unit_test(test_judge_allow_beats_what_stands_behind),
        cmocka_unit_test(test_judge_names_of_lists),
    };
    return cmocka_run_group_tests(tests, make, end);
}
