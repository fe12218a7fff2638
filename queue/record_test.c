/*
 * record_test - what encoders write decoders take, and nothing else gets through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "queue/record.h"

static uint8_t list_memory[4096], states_memory[256], body_memory[BODY_INLINE_BYTES_MAX + 1], out_memory[128 * 1024];

static struct record_message sample(void)
{
    struct record_message m = {
        .id = {77}, .arrival_wall_us = -5, .expire_wall_s = 1000, .warn_wall_s = 500, .flags = MAIL_SMTPUTF8 | MAIL_BOUNCE, .ret = RET_HDRS, .held = true,
        .origin = {3, 4, 5}, .client = {.family = NET_IPV4, .ip = {192, 0, 2, 1}, .port = 25},
        .client_name = BYTES("mail.example.org"), .helo = BYTES("[192.0.2.1]"), .sender = BYTES("a@example.org"), .envid = BYTES("QQ314159"),
        .message_id = BYTES("<1@example.org>"), .hold_reason = BYTES("by hand"), .prefix = BYTES("Received: from x\r\n"),
        .rcpt_count = 3, .body_kind = BODY_INLINE, .body_bytes = 1000, .header_bytes = 100,
    };
    struct buf list = BUF_OVER(list_memory), states = BUF_OVER(states_memory);
    for (uint32_t i = 0; i < m.rcpt_count; i++) {
        struct rcpt r = {.notify = NOTIFY_DELAY, .address = BYTES("b@example.net"), .orcpt = BYTES("rfc822;c@example.net")};
        struct record_rcpt s = {.state = RCPT_BOUNCED, .notified = NOTIFY_DELAY, .tries = 65535, .due_wall_s = -1 - (int64_t)i};
        rcpt_put(&list, &r);
        record_rcpt_put(&states, &s);
    }
    memset(body_memory, 'x', sizeof(body_memory));
    m.rcpts = buf_bytes(&list);
    m.rcpt_states = buf_bytes(&states);
    m.body = bytes_of(body_memory, 1000);
    return m;
}

static void test_record_message_encoded_comes_back_the_same(void **state)
{
    (void)state;
    struct record_message m = sample(), back;
    uint8_t again[8192];
    struct buf out = BUF_OVER(out_memory), second = BUF_OVER(again);
    assert_int_equal(record_message_encode(&out, &m), ERR_NONE);
    assert_int_equal(out.len, record_message_body_offset(&m) + m.body.len);
    assert_int_equal(record_message_decode(buf_bytes(&out), &back), ERR_NONE);
    assert_int_equal(record_message_encode(&second, &back), ERR_NONE);
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&second)));
    assert_int_equal(back.arrival_wall_us, -5);
    assert_int_equal(back.origin.transaction, 5);
    assert_true(back.held && bytes_equal(back.sender, m.sender) && net_same_ip(&back.client, &m.client));
    struct record_rcpt r = record_rcpt_get(back.rcpt_states, 2);
    assert_int_equal(r.due_wall_s, -3);
    assert_int_equal(r.tries, 65535);
    assert_int_equal(record_rcpt_get(back.rcpt_states, 3).state, RCPT_QUEUED);
    assert_int_equal(record_peek_id(buf_bytes(&out)).v, 77);
}

static void test_record_message_cut_anywhere_is_never_taken_for_the_whole(void **state)
{
    (void)state;
    struct record_message m = sample(), back;
    struct buf out = BUF_OVER(out_memory);
    assert_int_equal(record_message_encode(&out, &m), ERR_NONE);
    for (uint32_t n = 0; n < out.len; n++) {
        uint8_t *exact = malloc(n + 1); /* so that a sanitizer sees a read past the end */
        memcpy(exact, out_memory, n);
        assert_int_equal(record_message_decode(bytes_of(exact, n), &back), ERR_CORRUPT);
        free(exact);
    }
    buf_put_c(&out, 0);
    assert_int_equal(record_message_decode(buf_bytes(&out), &back), ERR_CORRUPT);
    out_memory[8] = 2;
    assert_int_equal(record_message_decode(buf_bytes(&out), &back), ERR_BAD_VERSION);
}

static void test_record_message_that_cannot_be_is_not_encoded(void **state)
{
    (void)state;
    struct {
        struct record_message m;
        enum err want;
    } cases[16];
    for (uint32_t i = 0; i < 16; i++) {
        cases[i].m = sample();
        cases[i].want = ERR_BAD_VALUE;
    }
    uint32_t n = 0;
    cases[n++].m.id.v = 0;
    cases[n++].m.rcpt_count = 0;
    cases[n++].m.rcpt_count = 2;
    cases[n++].m.rcpt_count = RECIPIENTS_HARD_MAX + 1;
    cases[n++].m.rcpts.len -= 1;
    cases[n++].m.rcpt_states.len -= RECORD_RCPT_BYTES;
    cases[n++].m.ret = 3;
    cases[n++].m.client.family = 5;
    cases[n++].m.body_kind = 2;
    cases[n++].m.body_kind = BODY_FILE;
    cases[n++].m.body_id = 9;
    cases[n++].m.body_bytes = 999;
    cases[n].want = ERR_TOO_LONG;
    cases[n++].m.sender = bytes_of(body_memory, MAIL_ADDRESS_BYTES_MAX + 1);
    cases[n].want = ERR_TOO_LONG;
    cases[n++].m.helo = bytes_of(body_memory, RECORD_TEXT_BYTES_MAX + 1);
    cases[n].want = ERR_TOO_LONG;
    cases[n].m.body_bytes = BODY_INLINE_BYTES_MAX + 1;
    cases[n++].m.body = bytes_of(body_memory, BODY_INLINE_BYTES_MAX + 1);
    for (uint32_t i = 0; i < n; i++) {
        struct buf out = BUF_OVER(out_memory);
        assert_int_equal(record_message_encode(&out, &cases[i].m), cases[i].want);
        assert_int_equal(out.len, 0);
    }
    struct record_message m = sample();
    struct buf small = buf_over(out_memory, 900);
    assert_int_equal(record_message_encode(&small, &m), ERR_FULL);
    assert_int_equal(small.len, 0);
}

static void test_record_message_in_a_file_and_at_its_limits_is_taken(void **state)
{
    (void)state;
    struct record_message m = sample(), back;
    struct buf out = BUF_OVER(out_memory);
    m.body_kind = BODY_FILE;
    m.body_id = 5;
    m.body_skip = 100;
    m.body_bytes = 1ULL << 40;
    m.body = bytes_of(NULL, 0);
    m.rcpt_states = bytes_of(NULL, 0);
    m.client_name = m.helo = m.hold_reason = bytes_of(body_memory, RECORD_TEXT_BYTES_MAX);
    m.sender = bytes_of(body_memory, MAIL_ADDRESS_BYTES_MAX);
    m.prefix = bytes_of(body_memory, PREFIX_BYTES_MAX);
    assert_int_equal(record_message_encode(&out, &m), ERR_NONE);
    assert_true(out.len <= RECORD_FIXED_BYTES_MAX + m.rcpts.len);
    assert_int_equal(record_message_decode(buf_bytes(&out), &back), ERR_NONE);
    assert_int_equal(back.body_bytes, 1ULL << 40);
}

static void test_record_outcome_encoded_comes_back_the_same(void **state)
{
    (void)state;
    uint8_t runs_memory[2048];
    struct buf runs = BUF_OVER(runs_memory), out = BUF_OVER(out_memory);
    struct record_outcome_rcpt run = {.first = 0, .count = 2, .state = {.state = RCPT_DELIVERED, .tries = 1}, .code = 250, .enhanced = {2, 1, 5}};
    run.text = bytes_of(body_memory, RECORD_OUTCOME_TEXT_BYTES_MAX + 100);
    record_run_put(&runs, &run);
    run.first = 99999;
    run.count = 1;
    run.text = BYTES("x");
    record_run_put(&runs, &run);
    assert_false(runs.overflow);
    struct record_outcome o = {.id = {8}, .run_count = 2, .runs = buf_bytes(&runs), .bounce = BYTES("any octets")}, back;
    assert_int_equal(record_outcome_encode(&out, &o), ERR_NONE);
    assert_int_equal(record_outcome_bounce_offset(&o) + o.bounce.len, out.len);
    assert_int_equal(record_outcome_decode(buf_bytes(&out), &back), ERR_NONE);
    assert_true(bytes_equal(back.bounce, o.bounce));
    struct cursor c = cursor_over(back.runs);
    assert_true(record_run_next(&c, &run));
    assert_int_equal(run.text.len, RECORD_OUTCOME_TEXT_BYTES_MAX);
    assert_true(record_run_next(&c, &run));
    assert_int_equal(run.first, 99999);
    assert_false(record_run_next(&c, &run));
    assert_false(c.failed);
    for (uint32_t n = 0; n < out.len; n++) assert_int_equal(record_outcome_decode(bytes_of(out_memory, n), &back), ERR_CORRUPT);
    o.run_count = 3;
    assert_int_equal(record_outcome_encode(&out, &o), ERR_BAD_VALUE);
    run.count = 2; /* past the hard limit of recipients */
    record_run_put(&runs, &run);
    assert_true(runs.overflow);
}

static void test_record_small_ones_come_back_the_same(void **state)
{
    (void)state;
    struct buf out = BUF_OVER(out_memory);
    struct message_id id;
    struct bytes reason;
    uint64_t value;
    assert_int_equal(record_hold_encode(&out, (struct message_id){9}, BYTES("why")), ERR_NONE);
    assert_int_equal(record_hold_decode(buf_bytes(&out), &id, &reason), ERR_NONE);
    assert_true(id.v == 9 && bytes_equal(reason, BYTES("why")));
    for (uint32_t n = 0; n < out.len; n++) assert_int_equal(record_hold_decode(bytes_of(out_memory, n), &id, &reason), ERR_CORRUPT);
    out.len = 0;
    assert_int_equal(record_u64_encode(&out, UINT64_MAX), ERR_NONE);
    assert_int_equal(record_u64_decode(buf_bytes(&out), &value), ERR_NONE);
    assert_true(value == UINT64_MAX);
    assert_int_equal(record_u64_decode(bytes_of(out_memory, 7), &value), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_message_encoded_comes_back_the_same),
        cmocka_unit_test(test_record_message_cut_anywhere_is_never_taken_for_the_whole),
        cmocka_unit_test(test_record_message_that_cannot_be_is_not_encoded),
        cmocka_unit_test(test_record_message_in_a_file_and_at_its_limits_is_taken),
        cmocka_unit_test(test_record_outcome_encoded_comes_back_the_same),
        cmocka_unit_test(test_record_small_ones_come_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
