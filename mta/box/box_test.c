/* The box: what a worker stored is what the manager reads, and what something else scribbled is known for it. */
#include "mta/box/box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mta/box/grants.h"
#include "mta/box/rules.h"

static struct box box;

static int setup(void **state)
{
    (void)state;
    box = (struct box){calloc(1, BOX_HEADER_BYTES + 4 * BOX_SLOT_BYTES), 11, 22, true};
    assert_non_null(box.memory);
    box_start(&box);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(box.memory);
    return 0;
}

static struct box_slot *begin(uint32_t rcpts)
{
    box_open(&box, 1, 77);
    box_attempt(&box, box_slot(&box, 1), 500, rcpts);
    return box_slot(&box, 1);
}

static void test_box_view_of_a_slot_that_was_never_used_is_unused(void **unused)
{
    (void)unused;
    struct box_view v;
    assert_int_equal(box_view(box_slot(&box, 0), &v), BOX_UNUSED);
    assert_true(box_header_sound(box_header(&box)));
}

static void test_box_view_follows_a_session_from_step_to_step(void **unused)
{
    (void)unused;
    struct box_view v;
    struct box_slot *s = begin(3);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_int_equal(v.identity.connection, 77);
    assert_int_equal(v.identity.worker_epoch, 11);
    assert_int_equal(v.phase, BOX_BEFORE);
    assert_int_equal(v.attempt, 500);
    assert_false(v.open);

    box_keep(s, BYTES("550 no\r\n"), true);
    box_parse_begin(&box, s, STEP_RCPT);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_true(v.open && v.step == STEP_RCPT && bytes_equal(v.bytes, BYTES("550 no\r\n")));
    box_parse_end(s);
    struct verdict refused = {.class = VERDICT_NEVER, .code = 550};
    box_rcpts(&box, s, 1, 1, &refused);

    box_dot_intent(&box, s, false);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_true(v.phase == BOX_AFTER && v.dot == BOX_DOT_NOTHING && v.bytes.len == 0 && v.rcpts != NULL);
    assert_int_equal(v.rcpts[0], 0);
    assert_int_equal(box_rcpt_class(v.rcpts[1]), VERDICT_NEVER);
    assert_int_equal(box_rcpt_code(v.rcpts[1]), 550);

    box_rcpts(&box, s, 0, 1, &refused);
    box_dot(&box, s, BOX_DOT_CODE, 250);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_true(v.dot == BOX_DOT_CODE && v.dot_code == 250 && v.rcpts != NULL && v.rcpts[0] == 0);
    box_end(&box, s);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_true(v.ended && v.dot_code == 250);
}

static void test_box_view_of_lmtp_has_each_answer_as_it_came(void **unused)
{
    (void)unused;
    static uint16_t out[BOX_RCPTS_MAX];
    struct box_view v;
    struct box_slot *s = begin(5);
    struct verdict refused = {.class = VERDICT_NEVER, .code = 550};
    box_rcpts(&box, s, 1, 1, &refused);
    box_dot_intent(&box, s, true);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_true(v.each && v.answered == 0 && v.answers && v.dot == BOX_DOT_NOTHING && v.dot_code == 0);

    box_answer(&box, s, 250);
    box_answer(&box, s, 552);
    struct box_slot torn = *s; /* died when the next answer was there, and its mark was not */
    torn.answers[2] = 250;
    assert_int_equal(box_view(&torn, &v), BOX_SOUND);
    assert_true(v.answered == 2 && v.answers);
    box_each(&v, false, out);
    assert_true(box_rcpt_class(out[0]) == VERDICT_DELIVERED && box_rcpt_code(out[0]) == 250);
    assert_int_equal(out[1], 0);
    assert_true(box_rcpt_class(out[2]) == VERDICT_NEVER && box_rcpt_code(out[2]) == 552);
    assert_int_equal(out[3], box_rcpt_pack(VERDICT_LATER, 0, true));
    assert_int_equal(out[4], out[3]);
    box_each(&v, true, out); /* a refusal that killed its reader is not believed */
    assert_int_equal(box_rcpt_class(out[0]), VERDICT_DELIVERED);
    assert_int_equal(out[2], box_rcpt_pack(VERDICT_LATER, 0, false));

    box_dot(&box, s, BOX_DOT_JUNK, 0);
    box_answer(&box, s, 250); /* nothing counts behind junk */
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_true(v.dot == BOX_DOT_JUNK && v.answered == 2);
    struct box_slot copy = *s;
    copy.answers[0] = 550;
    assert_int_equal(box_view(&copy, &v), BOX_SOUND);
    assert_null(v.answers);
}

static void test_box_parses_are_remembered_in_a_ring(void **unused)
{
    (void)unused;
    struct box_slot *s = begin(1);
    for (uint32_t i = 0; i < BOX_PARSES + 3; i++) {
        box_parse_begin(&box, s, i % 2 ? STEP_MAIL : STEP_RCPT);
        box_parse_end(s);
    }
    const struct box_header *h = box_header(&box);
    assert_int_equal(h->parse_next, BOX_PARSES + 3);
    assert_int_equal(h->parses[(h->parse_next - 1) % BOX_PARSES].connection, 77);
    assert_int_equal(h->parses[(h->parse_next - 1) % BOX_PARSES].step, STEP_RCPT);
}

static void test_box_keep_keeps_the_beginning_of_a_long_reply(void **unused)
{
    (void)unused;
    static uint8_t much[BOX_BYTES_MAX];
    struct box_view v;
    struct box_slot *s = begin(1);
    box_keep(s, BYTES("250-"), true);
    box_keep(s, bytes_of(much, sizeof much), false);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_int_equal(v.bytes.len, BOX_BYTES_MAX);
    assert_int_equal(v.bytes_seen, BOX_BYTES_MAX + 4);
    assert_int_equal(v.bytes.ptr[0], '2');
    box_keep(s, BYTES("x"), false);
    assert_int_equal(box_view(s, &v), BOX_SOUND);
    assert_int_equal(v.bytes_seen, BOX_BYTES_MAX + 5);
}

/* A death in the middle of a store: whatever part of the newer mark is there, the older one counts. */
static void test_box_view_of_a_torn_mark_is_the_one_before_it(void **unused)
{
    (void)unused;
    struct box_slot *s = begin(1), before = *s;
    box_dot_intent(&box, s, false);
    struct box_slot after = *s;
    for (uint32_t i = 0; i < 2; i++) {
        const uint8_t *old = (const uint8_t *)&before.marks[i], *new = (const uint8_t *)&after.marks[i];
        if (memcmp(old, new, sizeof(struct box_mark)) == 0) continue;
        for (uint32_t n = 0; n <= sizeof(struct box_mark); n++) {
            struct box_slot torn = before;
            struct box_view v;
            memcpy(&torn.marks[i], new, n);
            assert_int_equal(box_view(&torn, &v), BOX_SOUND);
            assert_true(v.phase == BOX_BEFORE || v.phase == BOX_AFTER);
            if (n < 28) assert_int_equal(v.phase, BOX_BEFORE);
        }
    }
}

static void test_box_view_of_a_scribble_is_spoiled_or_without_verdicts(void **unused)
{
    (void)unused;
    static const struct { const char *what; uint32_t offset, count; uint8_t octet; } cases[] = {
        {"everything", 0, sizeof(struct box_slot), 0xa5},
        {"the marks", offsetof(struct box_slot, marks), 2 * sizeof(struct box_mark), 0xff},
        {"the identity", 0, sizeof(struct box_identity), 0x41},
        {"a counter", offsetof(struct box_slot, parse_begin), 8, 0x77},
        {"the length of the octets", offsetof(struct box_slot, bytes_len), 4, 0xff},
        {"the step", offsetof(struct box_slot, step), 4, 0x80},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct box_slot copy = *begin(2);
        struct box_view v;
        memset((uint8_t *)&copy + cases[i].offset, cases[i].octet, cases[i].count);
        if (box_view(&copy, &v) != BOX_SPOILED) fail_msg("%s", cases[i].what);
        assert_true(v.bytes.len <= BOX_BYTES_MAX && v.step < STEP_COUNT);
    }
    struct box_slot *s = begin(2);
    struct box_view v;
    box_dot_intent(&box, s, false);
    struct box_slot copy = *s;
    copy.rcpts[1] ^= 1;
    assert_int_equal(box_view(&copy, &v), BOX_SOUND);
    assert_null(v.rcpts);
}

static void test_box_header_that_was_scribbled_over_is_not_sound(void **unused)
{
    (void)unused;
    (void)begin(1);
    struct box_header h = *box_header(&box);
    assert_true(box_header_sound(&h));
    assert_int_equal(h.high, 2);
    h.high = 0;
    assert_false(box_header_sound(&h));
    h = *box_header(&box);
    h.magic++;
    assert_false(box_header_sound(&h));
}

/* ---- grants ---- */

static void test_grants_give_and_take_entries_and_find_those_of_another_manager(void **unused)
{
    (void)unused;
    static uint32_t next_free[2 * GRANTS_MAX];
    uint8_t *memory = calloc(1, GRANTS_FILE_BYTES);
    assert_non_null(memory);
    struct grants g, later;
    struct box_identity id = {1, 2, 3};
    struct net_address remote = {.family = NET_IPV4};
    uint32_t rcpts[BOX_RCPTS_MAX] = {0, 4, 9};
    grants_open(&g, memory, next_free, 0, 0);
    uint32_t first = grant_give(&g, &id, 100, (struct message_id){7}, rcpts, 3, &remote, BYTES("mx.example"));
    uint32_t second = grant_give(&g, &id, 101, (struct message_id){8}, rcpts, 2, &remote, BYTES("mx.example"));
    for (uint32_t i = 0; i < BOX_RCPTS_MAX; i++) rcpts[i] = 3 * i;
    uint32_t many = grant_give(&g, &id, 103, (struct message_id){10}, rcpts, BOX_RCPTS_MAX, &remote, BYTES("mx.example"));
    assert_true(first < GRANTS_MAX && second < GRANTS_MAX && many >= GRANTS_MAX);
    grant_result(&g, second, 1, 1, box_rcpt_pack(VERDICT_DELIVERED, 250, false));
    grant_result(&g, many, BOX_RCPTS_MAX - 1, 1, box_rcpt_pack(VERDICT_NEVER, 550, false));
    grant_known(&g, second);
    grant_done(&g, first);
    assert_false(grant_sound(&g, first));
    grants_open(&later, memory, next_free, g.small.high, g.large.high - GRANTS_MAX);
    assert_true(grant_sound(&later, second) && grant_sound(&later, many));
    assert_int_equal(grant_at(&later, second)->state, GRANT_KNOWN);
    assert_int_equal(box_rcpt_class(grant_at(&later, second)->rcpts[1].verdict), VERDICT_DELIVERED);
    assert_int_equal(box_rcpt_code(grant_at(&later, many)->rcpts[BOX_RCPTS_MAX - 1].verdict), 550);
    assert_int_equal(grants_next(&later, 0), first);
    assert_int_equal(grants_next(&later, second + 1), many);
    assert_int_equal(grants_next(&later, many + 1), (uint32_t)GRANT_NONE);
    assert_int_equal(grant_give(&later, &id, 102, (struct message_id){9}, rcpts, 1, &remote, BYTES("")), first);
    grant_at(&later, second)->rcpt_count = GRANT_SMALL_RCPTS + 1;
    assert_false(grant_sound(&later, second)); /* more than its place holds: the rest would be its neighbour's */
    grant_at(&later, many)->rcpt_count = UINT32_MAX;
    assert_false(grant_sound(&later, many));
    free(memory);
}

static void test_grants_small_places_run_out_into_large_ones(void **unused)
{
    (void)unused;
    static uint32_t next_free[2 * GRANTS_MAX];
    uint8_t *memory = calloc(1, GRANTS_FILE_BYTES);
    assert_non_null(memory);
    struct grants g;
    struct box_identity id = {1, 2, 3};
    struct net_address remote = {.family = NET_IPV4};
    uint32_t rcpt = 5;
    grants_open(&g, memory, next_free, GRANTS_MAX, 0);
    for (uint32_t i = 0; i < GRANTS_MAX; i++) assert_int_equal(grant_give(&g, &id, i + 1, (struct message_id){7}, &rcpt, 1, &remote, BYTES("mx")), i);
    assert_int_equal(grant_give(&g, &id, 1, (struct message_id){7}, &rcpt, 1, &remote, BYTES("mx")), GRANTS_MAX);
    grant_done(&g, 17);
    grant_done(&g, GRANTS_MAX);
    assert_int_equal(grant_give(&g, &id, 1, (struct message_id){7}, &rcpt, 1, &remote, BYTES("mx")), 17);
    assert_int_equal(grant_give(&g, &id, 1, (struct message_id){7}, &rcpt, 1, &remote, BYTES("mx")), GRANTS_MAX);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_box_view_of_a_slot_that_was_never_used_is_unused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_view_follows_a_session_from_step_to_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_view_of_lmtp_has_each_answer_as_it_came, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_parses_are_remembered_in_a_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_keep_keeps_the_beginning_of_a_long_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_view_of_a_torn_mark_is_the_one_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_view_of_a_scribble_is_spoiled_or_without_verdicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_box_header_that_was_scribbled_over_is_not_sound, setup, teardown),
        cmocka_unit_test(test_grants_give_and_take_entries_and_find_those_of_another_manager),
        cmocka_unit_test(test_grants_small_places_run_out_into_large_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
