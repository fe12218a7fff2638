/* What mtactl's filters choose, and rows as JSON: whole whatever the texts, cut at recipients when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "mta/manager/operate.h"

enum { NOW_S = 1000000, RCPTS_MANY = 5000 };
#define NOW_US ((int64_t)NOW_S * 1000000)

static uint8_t list_memory[1024 * 1024];
static struct record_rcpt states[RCPTS_MANY];
static struct queue_rcpt_note notes[RCPTS_MANY];

/* a message of two recipients: x@example.com deferred at its MX, y@example.net delivered already */
static struct record_message two(void)
{
    struct buf list = BUF_OVER(list_memory);
    rcpt_put(&list, &(struct rcpt){.address = BYTES("x@example.com")});
    rcpt_put(&list, &(struct rcpt){.address = BYTES("y@example.net")});
    states[0] = (struct record_rcpt){.tries = 1, .due_wall_s = NOW_S + 60};
    states[1] = (struct record_rcpt){.state = RCPT_DELIVERED, .tries = 1};
    notes[0] = (struct queue_rcpt_note){.reason = BYTES("451 4.7.1 Greylisted"), .destination = BYTES("mx:out:example.com"), .code = 451, .enhanced = {4, 7, 1}};
    notes[1] = (struct queue_rcpt_note){.destination = BYTES("relay:smarthost")};
    struct record_message m = {
        .id = {0x1953655473000000}, .arrival_wall_us = NOW_US - 3600 * 1000000LL, .sender = BYTES("a@sender.example"), .client_name = BYTES("unknown"),
        .rcpt_count = 2, .rcpts = buf_bytes(&list), .body_bytes = 2000,
    };
    assert_true(net_parse_ip(BYTES("192.0.2.7"), &m.client));
    return m;
}

static void test_filter_message_every_filter_must_hold(void **unused)
{
    (void)unused;
    static const struct { const char *name; struct ipc_admin m; const char *client; bool want; } cases[] = {
        {"none", {.verb = ADMIN_QUEUE_LIST}, NULL, true},
        {"to", {.to = BYTES_INIT("X@example.com")}, NULL, true},
        {"to a domain", {.to = BYTES_INIT("*@EXAMPLE.com")}, NULL, true},
        {"to one that is delivered", {.to = BYTES_INIT("y@example.net")}, NULL, false},
        {"to a longer domain", {.to = BYTES_INIT("*@ample.com")}, NULL, false},
        {"from", {.from = BYTES_INIT("a@sender.example")}, NULL, true},
        {"from nobody", {.from = BYTES_INIT("<>")}, NULL, false},
        {"domain", {.domain = BYTES_INIT("example.com")}, NULL, true},
        {"site by domain", {.site = BYTES_INIT("example.com")}, NULL, true},
        {"site by name", {.site = BYTES_INIT("mx:out:example.com")}, NULL, true},
        {"site of one that is delivered", {.site = BYTES_INIT("smarthost")}, NULL, false},
        {"route", {.route = BYTES_INIT("out")}, NULL, true},
        {"another route", {.route = BYTES_INIT("ou")}, NULL, false},
        {"reason", {.verb = ADMIN_QUEUE_LIST, .reason = BYTES_INIT("GREYlisted")}, NULL, true},
        {"another reason", {.verb = ADMIN_QUEUE_LIST, .reason = BYTES_INIT("refused")}, NULL, false},
        {"a reason to hold is no filter", {.verb = ADMIN_QUEUE_HOLD, .reason = BYTES_INIT("refused")}, NULL, true},
        {"older", {.older_s = 3600}, NULL, true},
        {"not so old", {.older_s = 3601}, NULL, false},
        {"larger", {.larger_bytes = 1999}, NULL, true},
        {"not so large", {.larger_bytes = 2000}, NULL, false},
        {"deferred", {.state = ADMIN_STATE_DEFERRED}, NULL, true},
        {"held", {.state = ADMIN_STATE_HELD}, NULL, false},
        {"client", {0}, "192.0.2.0/24", true},
        {"another client", {0}, "198.51.100.0/24", false},
        {"id", {.message = {0x1953655473000000}}, NULL, true},
        {"another id", {.message = {1}}, NULL, false},
        {"one of two does not hold", {.domain = BYTES_INIT("example.com"), .older_s = 7200}, NULL, false},
    };
    struct record_message m = two();
    struct queue_row row = {.message = &m, .states = states, .notes = notes};
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct operation o = {.m = cases[i].m, .has_client = cases[i].client != NULL};
        if (cases[i].client) assert_true(net_parse_prefix(bytes_of_cstr(cases[i].client), &o.client));
        if (filter_message(&o, &row, NOW_US) != cases[i].want) fail_msg("%s", cases[i].name);
    }
    assert_int_equal(filter_queued(&row), 1);
}

static void test_row_state_says_where_a_message_is(void **unused)
{
    (void)unused;
    struct record_message m = two();
    struct queue_row row = {.message = &m, .states = states, .notes = notes};
    enum admin_state state;
    assert_string_equal(row_state(&row, NOW_US, &state), "deferred");
    row.active = true;
    assert_string_equal(row_state(&row, NOW_US, &state), "active");
    m.held = true;
    assert_string_equal(row_state(&row, NOW_US, &state), "hold");
    m.held = row.active = false;
    states[0] = (struct record_rcpt){0};
    assert_string_equal(row_state(&row, NOW_US, &state), "incoming");
    assert_int_equal(state, ADMIN_STATE_ACTIVE);
}

static uint32_t count_rcpts(struct bytes json)
{
    struct bytes list, one;
    uint32_t n = 0;
    assert_true(json_member(json, "recipients", &list));
    for (struct bytes rest = json_elements(list); json_next(&rest, &one);) n++;
    return n;
}

static void test_row_message_lists_queued_and_shows_all(void **unused)
{
    (void)unused;
    static uint8_t memory[IPC_JSON_BYTES_MAX];
    struct record_message m = two();
    struct queue_row row = {.message = &m, .states = states, .notes = notes};
    struct buf out = BUF_OVER(memory);
    row_message(&out, &row, false, NOW_US);
    assert_false(out.overflow);
    assert_int_equal(count_rcpts(buf_bytes(&out)), 1);
    out = BUF_OVER(memory);
    row_message(&out, &row, true, NOW_US);
    assert_int_equal(count_rcpts(buf_bytes(&out)), 2);
}

static void test_row_message_with_too_many_recipients_is_cut_and_says_so(void **unused)
{
    (void)unused;
    static uint8_t memory[IPC_JSON_BYTES_MAX], reason[512];
    struct record_message m = two();
    struct buf list = BUF_OVER(list_memory), out = BUF_OVER(memory);
    memset(reason, 0xff, sizeof reason);
    for (uint32_t i = 0; i < RCPTS_MANY; i++) {
        rcpt_put(&list, &(struct rcpt){.address = BYTES("somebody@example.com")});
        states[i] = (struct record_rcpt){0};
        notes[i] = (struct queue_rcpt_note){.reason = bytes_of(reason, sizeof reason)};
    }
    assert_false(list.overflow);
    m.rcpts = buf_bytes(&list);
    m.rcpt_count = RCPTS_MANY;
    row_message(&out, &(struct queue_row){.message = &m, .states = states, .notes = notes}, false, NOW_US);
    assert_false(out.overflow);
    assert_int_equal(out.ptr[out.len - 1], '}');
    struct bytes left;
    uint32_t shown = count_rcpts(buf_bytes(&out));
    assert_true(json_member(buf_bytes(&out), "recipients_left_out", &left));
    assert_true(shown > 10);
    assert_int_equal(json_number(left), RCPTS_MANY - shown);
}

static void test_row_message_with_longest_texts_is_whole(void **unused)
{
    (void)unused;
    static uint8_t memory[IPC_JSON_BYTES_MAX], text[1024];
    struct record_message m = two();
    struct buf out = BUF_OVER(memory);
    memset(text, 1, sizeof text); /* six octets of JSON each */
    m.sender = bytes_of(text, MAIL_ADDRESS_BYTES_MAX);
    m.client_name = m.helo = m.hold_reason = bytes_of(text, sizeof text);
    m.message_id = bytes_of(text, MESSAGE_ID_BYTES_MAX);
    m.envid = bytes_of(text, MAIL_ENVID_BYTES_MAX);
    row_message(&out, &(struct queue_row){.message = &m, .states = states, .notes = notes}, true, NOW_US);
    assert_false(out.overflow);
    assert_int_equal(count_rcpts(buf_bytes(&out)), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_message_every_filter_must_hold),
        cmocka_unit_test(test_row_state_says_where_a_message_is),
        cmocka_unit_test(test_row_message_lists_queued_and_shows_all),
        cmocka_unit_test(test_row_message_with_too_many_recipients_is_cut_and_says_so),
        cmocka_unit_test(test_row_message_with_longest_texts_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
