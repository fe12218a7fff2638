/* The request line of mtactl: what is put is parsed back; what a stranger could send instead is refused with a reason. */
#include "mta/ipc/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mta/ipc/ipc.h"

static enum err parse(struct bytes line, struct ipc_admin *m)
{
    static uint8_t memory[ADMIN_TEXTS_BYTES_MAX];
    struct buf texts = BUF_OVER(memory);
    const char *why = NULL;
    enum err e = admin_line_parse(line, &texts, m, &why);
    assert_non_null(why);
    return e;
}

static void assert_text(struct bytes got, struct bytes want)
{
    assert_int_equal(got.len, want.len);
    if (want.len) assert_memory_equal(got.ptr, want.ptr, want.len);
}

static void test_admin_line_parse_gives_back_what_was_put(void **unused)
{
    (void)unused;
    static uint8_t memory[ADMIN_LINE_BYTES_MAX];
    struct buf line = BUF_OVER(memory);
    struct ipc_admin in = {
        .verb = ADMIN_QUEUE_DISCARD, .dry_run = 1, .message = {0x1234}, .state = ADMIN_STATE_HELD, .older_s = 60, .larger_bytes = 1 << 20, .limit = 5,
        .at_wall_s = 1700000000, .to = BYTES("*@example.com"), .from = BYTES("<>"), .domain = BYTES("example.net"), .site = BYTES("mx:out:example.net"),
        .route = BYTES("out"), .client = BYTES("192.0.2.0/24"), .reason = BYTES("100% of \xC3\xA9\n\x01 =x"),
    }, out;
    admin_line_put(&line, &in);
    assert_false(line.overflow);
    assert_int_equal(memory[line.len - 1], '\n');
    assert_int_equal(bytes_find(buf_bytes(&line), '\n'), line.len - 1);
    assert_int_equal(parse(bytes_of(memory, line.len - 1), &out), ERR_NONE);
    assert_int_equal(out.verb, in.verb);
    assert_int_equal(out.dry_run, 1);
    assert_int_equal(out.message.v, in.message.v);
    assert_int_equal(out.state, in.state);
    assert_int_equal(out.older_s, 60);
    assert_int_equal(out.larger_bytes, 1 << 20);
    assert_int_equal(out.limit, 5);
    assert_int_equal(out.at_wall_s, 1700000000);
    assert_text(out.to, in.to);
    assert_text(out.from, in.from);
    assert_text(out.site, in.site);
    assert_text(out.client, in.client);
    assert_text(out.reason, in.reason);
}

static void test_admin_line_with_longest_texts_fits(void **unused)
{
    (void)unused;
    static uint8_t memory[ADMIN_LINE_BYTES_MAX], text[512];
    memset(text, 0xff, sizeof text);
    struct buf line = BUF_OVER(memory);
    struct ipc_admin in = {
        .verb = ADMIN_QUEUE_LIST, .to = bytes_of(text, MAIL_ADDRESS_BYTES_MAX), .from = bytes_of(text, MAIL_ADDRESS_BYTES_MAX),
        .domain = bytes_of(text, HOST_NAME_BYTES_MAX), .site = bytes_of(text, HOST_NAME_BYTES_MAX), .route = bytes_of(text, 64),
        .client = bytes_of(text, 64), .reason = bytes_of(text, 256), .limit = UINT64_MAX, .larger_bytes = UINT64_MAX,
    }, out;
    admin_line_put(&line, &in);
    assert_false(line.overflow);
    assert_int_equal(parse(bytes_of(memory, line.len - 1), &out), ERR_NONE);
    assert_text(out.reason, in.reason);
}

static void test_admin_line_parse_refuses_other_lines(void **unused)
{
    (void)unused;
    static const struct { const char *name; struct bytes line; enum err want; } cases[] = {
        {"nothing", {0}, ERR_BAD_VERSION},
        {"another version", BYTES_INIT("mta2 status"), ERR_BAD_VERSION},
        {"no verb", BYTES_INIT("mta1"), ERR_BAD_TYPE},
        {"unknown verb", BYTES_INIT("mta1 queue-eat"), ERR_BAD_TYPE},
        {"no value", BYTES_INIT("mta1 status to"), ERR_BAD_VALUE},
        {"empty value", BYTES_INIT("mta1 status to="), ERR_BAD_VALUE},
        {"unknown key", BYTES_INIT("mta1 status colour=red"), ERR_BAD_VALUE},
        {"uid is the kernel's to say", BYTES_INIT("mta1 status uid=0"), ERR_BAD_VALUE},
        {"two blanks", BYTES_INIT("mta1 status  to=x"), ERR_BAD_VALUE},
        {"id too short", BYTES_INIT("mta1 queue-show id=12"), ERR_BAD_VALUE},
        {"unknown state", BYTES_INIT("mta1 queue-list state=dead"), ERR_BAD_VALUE},
        {"no number", BYTES_INIT("mta1 queue-list limit=x"), ERR_BAD_VALUE},
        {"number too large", BYTES_INIT("mta1 queue-list older=9223372036854775807"), ERR_BAD_VALUE},
        {"cut escape", BYTES_INIT("mta1 queue-list to=x%4"), ERR_BAD_VALUE},
        {"escape without digits", BYTES_INIT("mta1 queue-list to=%zz"), ERR_BAD_VALUE},
        {"an octet that must be escaped", BYTES_INIT("mta1 queue-list to=\x01"), ERR_BAD_VALUE},
        {"flag that is no flag", BYTES_INIT("mta1 queue-hold dry-run=2"), ERR_BAD_VALUE},
        {"route too long", BYTES_INIT("mta1 queue-list route=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), ERR_TOO_LONG},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ipc_admin m;
        if (parse(cases[i].line, &m) != cases[i].want) fail_msg("%s", cases[i].name);
    }
}

static void test_admin_verbs_that_are_destructive_change_something(void **unused)
{
    (void)unused;
    for (enum admin_verb v = ADMIN_NONE + 1; v < ADMIN_VERB_COUNT; v++)
        if (admin_verb_destructive(v)) assert_true(admin_verb_changes(v));
    assert_false(admin_verb_changes(ADMIN_QUEUE_LIST));
    assert_true(admin_verb_changes(ADMIN_QUEUE_FLUSH));
    assert_int_equal(admin_state_find(BYTES("gone")), ADMIN_STATE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admin_line_parse_gives_back_what_was_put),
        cmocka_unit_test(test_admin_line_with_longest_texts_fits),
        cmocka_unit_test(test_admin_line_parse_refuses_other_lines),
        cmocka_unit_test(test_admin_verbs_that_are_destructive_change_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
