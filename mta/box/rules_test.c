/* One test for each row of the table: a slot that stands so, who is suspected, and what follows. */
#include "mta/box/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mta/box/dot.h"

enum { ATTEMPT = 500, RCPTS = 3 };

static struct box box;

static void at_idle(struct box_slot *s) { (void)s; }
static void at_other_attempt(struct box_slot *s) { box_attempt(&box, s, ATTEMPT - 1, RCPTS); }
static void at_before(struct box_slot *s) { box_attempt(&box, s, ATTEMPT, RCPTS); }
static void at_after(struct box_slot *s)
{
    at_before(s);
    box_dot_intent(&box, s, false);
}
static void said(struct box_slot *s, struct bytes words)
{
    struct dot d = {0};
    at_after(s);
    box_keep(s, words, false);
    enum box_dot dot = dot_feed(&d, words);
    if (dot == BOX_DOT_CODE) box_dot(&box, s, dot, d.code);
    if (dot == BOX_DOT_JUNK) box_dot(&box, s, dot, 0);
}
static void at_partial(struct box_slot *s) { said(s, BYTES("250-Ok\r\n250 la")); }
static void at_unjudged(struct box_slot *s)
{
    at_after(s);
    box_keep(s, BYTES("250 2.0.0 Ok\r\n"), false);
}
static void at_taken(struct box_slot *s) { said(s, BYTES("250 2.0.0 Ok\r\n")); }
static void at_three(struct box_slot *s) { said(s, BYTES("354 go on\r\n")); }
static void at_later(struct box_slot *s) { said(s, BYTES("451 later\r\n")); }
static void at_refused(struct box_slot *s) { said(s, BYTES("554 no\r\n")); }
static void at_junk(struct box_slot *s) { said(s, BYTES("OK\r\n")); }
static void lmtp(struct box_slot *s, uint32_t answers)
{
    struct verdict refused = {.class = VERDICT_NEVER, .code = 550};
    at_before(s);
    box_rcpts(&box, s, 0, 1, &refused);
    box_dot_intent(&box, s, true);
    for (uint32_t i = 0; i < answers; i++) box_answer(&box, s, 250);
}
static void at_lmtp_silent(struct box_slot *s) { lmtp(s, 0); }
static void at_lmtp_some(struct box_slot *s) { lmtp(s, 1); }
static void at_lmtp_each(struct box_slot *s) { lmtp(s, 2); }
static void at_lmtp_junk(struct box_slot *s)
{
    lmtp(s, 1);
    box_dot(&box, s, BOX_DOT_JUNK, 0);
}
static void at_lmtp_too_many(struct box_slot *s) { lmtp(s, 3); }
static void at_lmtp_scribbled(struct box_slot *s)
{
    lmtp(s, 2);
    s->answers[1] = 251;
}
static void at_scribble(struct box_slot *s)
{
    at_after(s);
    memset(s->marks, 0x5a, sizeof s->marks);
}
static void at_scribbled_rcpts(struct box_slot *s)
{
    at_taken(s);
    s->rcpts[0] = 0x1234;
}
static void at_other_count(struct box_slot *s) { box_attempt(&box, s, ATTEMPT, RCPTS + 1); }

static const struct row {
    const char *when;
    void (*set)(struct box_slot *s); /* NULL = the connection has no slot */
    uint64_t attempt;                /* what the manager gave */
    bool spoiled;                    /* elsewhere in the box */
    enum box_found found;
    enum box_rule plain, suspect;
} rows[] = {
    {"an idle connection", at_idle, 0, false, FOUND_NO_ATTEMPT, RULE_NOTHING, RULE_NOTHING},
    {"no slot", NULL, ATTEMPT, false, FOUND_NOT_BEGUN, RULE_RETRY, RULE_RETRY},
    {"the attempt was not begun", at_idle, ATTEMPT, false, FOUND_NOT_BEGUN, RULE_RETRY, RULE_RETRY},
    {"the slot has the attempt before it", at_other_attempt, ATTEMPT, false, FOUND_NOT_BEGUN, RULE_RETRY, RULE_RETRY},
    {"before the dot", at_before, ATTEMPT, false, FOUND_BEFORE_DOT, RULE_RETRY, RULE_DEFER},
    {"after the dot, silence", at_after, ATTEMPT, false, FOUND_AFTER_SILENT, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"part of an answer", at_partial, ATTEMPT, false, FOUND_AFTER_PARTIAL, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"an answer without verdict", at_unjudged, ATTEMPT, false, FOUND_AFTER_UNJUDGED, RULE_REREAD, RULE_REREAD},
    {"taken", at_taken, ATTEMPT, false, FOUND_AFTER_TAKEN, RULE_COMMIT, RULE_COMMIT},
    {"a 3yz", at_three, ATTEMPT, false, FOUND_AFTER_LATER, RULE_COMMIT, RULE_DEFER},
    {"a 4yz", at_later, ATTEMPT, false, FOUND_AFTER_LATER, RULE_COMMIT, RULE_DEFER},
    {"a 5yz", at_refused, ATTEMPT, false, FOUND_AFTER_REFUSED, RULE_COMMIT, RULE_DEFER},
    {"junk", at_junk, ATTEMPT, false, FOUND_AFTER_JUNK, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"LMTP, silence", at_lmtp_silent, ATTEMPT, false, FOUND_AFTER_SOME, RULE_EACH, RULE_EACH},
    {"LMTP, one of two answers", at_lmtp_some, ATTEMPT, false, FOUND_AFTER_SOME, RULE_EACH, RULE_EACH},
    {"LMTP, two of two answers", at_lmtp_each, ATTEMPT, false, FOUND_AFTER_EACH, RULE_EACH, RULE_EACH},
    {"LMTP, an answer and junk", at_lmtp_junk, ATTEMPT, false, FOUND_AFTER_EACH, RULE_EACH, RULE_EACH},
    {"LMTP, more answers than recipients", at_lmtp_too_many, ATTEMPT, false, FOUND_SPOILED, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"LMTP, scribbled answers", at_lmtp_scribbled, ATTEMPT, false, FOUND_SPOILED, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"scribbled marks", at_scribble, ATTEMPT, false, FOUND_SPOILED, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"scribbled verdicts", at_scribbled_rcpts, ATTEMPT, false, FOUND_SPOILED, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"another count of recipients", at_other_count, ATTEMPT, false, FOUND_SPOILED, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"no slot in a spoiled box", NULL, ATTEMPT, true, FOUND_SPOILED, RULE_MAYBE_DUPLICATE, RULE_MAYBE_DUPLICATE},
    {"taken, in a spoiled box", at_taken, ATTEMPT, true, FOUND_AFTER_TAKEN, RULE_COMMIT, RULE_COMMIT},
};

static void test_box_rule_of_each_row_is_the_one_of_the_architecture(void **unused)
{
    (void)unused;
    bool met[FOUND_COUNT] = {false};
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        memset(box.memory, 0, BOX_HEADER_BYTES + BOX_SLOT_BYTES);
        box_start(&box);
        if (r->set) {
            box_open(&box, 0, 9);
            r->set(box_slot(&box, 0));
        }
        struct box_view v;
        enum box_condition condition = box_view(box_slot(&box, 0), &v);
        enum box_found found = box_found(condition, &v, r->spoiled, r->attempt, RCPTS);
        if (found != r->found) fail_msg("%s: found %s", r->when, box_found_name(found));
        if (box_rule(found, false) != r->plain || box_rule(found, true) != r->suspect) fail_msg("%s: another rule", r->when);
        met[found] = true;
    }
    for (uint32_t i = 0; i < FOUND_COUNT; i++)
        if (!met[i]) fail_msg("no test of the row %s", box_found_name((enum box_found)i));
}

static void test_box_rule_never_commits_without_a_verdict(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < FOUND_COUNT; i++) {
        bool judged = i == FOUND_AFTER_TAKEN || i == FOUND_AFTER_LATER || i == FOUND_AFTER_REFUSED;
        if (box_rule((enum box_found)i, false) == RULE_COMMIT) assert_true(judged);
        if (box_rule((enum box_found)i, true) == RULE_COMMIT) assert_int_equal(i, FOUND_AFTER_TAKEN);
    }
}

/* ---- the answer to a dot ---- */

static void test_dot_feed_is_the_same_for_any_split(void **unused)
{
    (void)unused;
    static const struct { const char *in; enum box_dot dot; uint16_t code; } cases[] = {
        {"250 2.0.0 Ok\r\n", BOX_DOT_CODE, 250}, {"250\r\n", BOX_DOT_CODE, 250}, {"250 Ok\n", BOX_DOT_CODE, 250},
        {"250-a\r\n250 b\r\n", BOX_DOT_CODE, 250}, {"250-a\r\n250-b\r\n", BOX_DOT_PARTIAL, 0}, {"250-a\r\n251 b\r\n", BOX_DOT_JUNK, 0},
        {"451 x\r\n", BOX_DOT_CODE, 451}, {"554", BOX_DOT_PARTIAL, 0}, {"199 x\r\n", BOX_DOT_JUNK, 0}, {"600 x\r\n", BOX_DOT_JUNK, 0},
        {"25 0\r\n", BOX_DOT_JUNK, 0}, {"250_x\r\n", BOX_DOT_JUNK, 0}, {"250 a\rb\r\n", BOX_DOT_JUNK, 0}, {"250 Ok\r\r\n", BOX_DOT_CODE, 250}, {"", BOX_DOT_PARTIAL, 0},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes in = bytes_of_cstr(cases[i].in);
        for (uint32_t cut = 0; cut <= in.len; cut++) {
            struct dot d = {0};
            (void)dot_feed(&d, bytes_slice(in, 0, cut));
            enum box_dot got = dot_feed(&d, bytes_from(in, cut));
            if (got != cases[i].dot) fail_msg("%s cut at %u: %d", cases[i].in, cut, got);
            if (got == BOX_DOT_CODE) assert_int_equal(d.code, cases[i].code);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_box_rule_of_each_row_is_the_one_of_the_architecture),
        cmocka_unit_test(test_box_rule_never_commits_without_a_verdict),
        cmocka_unit_test(test_dot_feed_is_the_same_for_any_split),
    };
    box = (struct box){calloc(1, BOX_HEADER_BYTES + BOX_SLOT_BYTES), 1, 2, true};
    return box.memory ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
