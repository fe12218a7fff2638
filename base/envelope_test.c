/*
 * Tests of recipient lists, of the parts of addresses, and of message ids.
 */
#include "base/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t memory[2048];

static struct buf list_of_two(void)
{
    struct buf list = BUF_OVER(memory);
    struct rcpt bob = {
        .notify = NOTIFY_FAILURE | NOTIFY_DELAY,
        .address = BYTES("bob@example.org"),
        .orcpt = BYTES("rfc822;b@example.org"),
    };
    struct rcpt carol = {.notify = NOTIFY_NEVER, .address = BYTES("carol@example.com")};
    rcpt_put(&list, &bob);
    rcpt_put(&list, &carol);
    assert_false(list.overflow);
    return list;
}

static void test_rcpt_next_gives_back_what_was_put(void **unused)
{
    struct buf list = list_of_two();
    struct cursor c = cursor_over(buf_bytes(&list));
    struct rcpt r;
    (void)unused;
    assert_true(rcpt_next(&c, &r));
    assert_int_equal(r.notify, NOTIFY_FAILURE | NOTIFY_DELAY);
    assert_true(bytes_equal(r.address, BYTES("bob@example.org")));
    assert_true(bytes_equal(r.orcpt, BYTES("rfc822;b@example.org")));
    assert_true(rcpt_next(&c, &r));
    assert_true(bytes_equal(r.address, BYTES("carol@example.com")));
    assert_int_equal(r.orcpt.len, 0);
    assert_false(rcpt_next(&c, &r));
    assert_false(c.failed);
}

static void test_rcpt_list_check_counts_exactly(void **unused)
{
    struct buf list = list_of_two();
    (void)unused;
    assert_int_equal(rcpt_list_check(buf_bytes(&list), 2), ERR_NONE);
    assert_int_equal(rcpt_list_check(buf_bytes(&list), 1), ERR_TRAILING);
    assert_int_equal(rcpt_list_check(buf_bytes(&list), 3), ERR_SHORT);
    assert_int_equal(rcpt_list_check((struct bytes){0}, 0), ERR_NONE);
}

static void test_rcpt_list_check_every_truncation_is_refused(void **unused)
{
    struct buf list = list_of_two();
    (void)unused;
    for (uint32_t n = 0; n < list.len; n++) {
        assert_int_not_equal(rcpt_list_check(bytes_slice(buf_bytes(&list), 0, n), 2), ERR_NONE);
    }
}

static void test_rcpt_list_check_broken_entry_is_refused(void **unused)
{
    static const struct bytes cases[] = {
        BYTES_INIT("\x00\x00\x00\x00\x00\x00"),                 /* no address */
        BYTES_INIT("\x10\x00\x03\x00" "a@b" "\x00\x00"),        /* unknown NOTIFY bit */
        BYTES_INIT("\x03\x00\x03\x00" "a@b" "\x00\x00"),        /* NEVER and SUCCESS */
        BYTES_INIT("\x00\x08\x03\x00" "a@b" "\x00\x00"),        /* unknown flag */
        BYTES_INIT("\x00\x00\x03\x00" "a\n@" "\x00\x00"),       /* control octet */
        BYTES_INIT("\x00\x00\x03\x00" "a@b" "\x01\x00" "\x00"), /* control octet */
        BYTES_INIT("\x00\x00\xFF\xFF" "a@b" "\x00\x00"),        /* length past the end */
        BYTES_INIT("\x00\x00\x03\x00" "a@b" "\xFF\xFF"),
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) assert_int_equal(rcpt_list_check(cases[i], 1), ERR_BAD_VALUE);
}

static void test_rcpt_put_over_limits_sets_overflow(void **unused)
{
    static uint8_t letters[MAIL_ORCPT_BYTES_MAX + 1];
    struct buf list = BUF_OVER(memory);
    (void)unused;
    memset(letters, 'a', sizeof(letters));
    struct bytes longest = bytes_of(letters, MAIL_ADDRESS_BYTES_MAX), orcpt = bytes_of(letters, MAIL_ORCPT_BYTES_MAX);
    rcpt_put(&list, &(struct rcpt){.address = longest, .orcpt = orcpt});
    assert_false(list.overflow);
    assert_int_equal(list.len, RCPT_ENTRY_BYTES_MAX);
    assert_int_equal(rcpt_list_check(buf_bytes(&list), 1), ERR_NONE);

    const struct rcpt refused[] = {
        {.address = bytes_of(letters, MAIL_ADDRESS_BYTES_MAX + 1)},
        {.address = longest, .orcpt = bytes_of(letters, MAIL_ORCPT_BYTES_MAX + 1)},
        {.address = BYTES("")},
        {.address = BYTES("a\r\n@b")},
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        list.overflow = false;
        rcpt_put(&list, &refused[i]);
        assert_true(list.overflow);
        assert_int_equal(list.len, RCPT_ENTRY_BYTES_MAX);
    }

    struct buf tight = buf_over(memory, 8);
    rcpt_put(&tight, &(struct rcpt){.address = BYTES("a@b")});
    assert_true(tight.overflow);
    assert_int_equal(tight.len, 0);
}

static void test_mail_parts_split_at_the_last_at(void **unused)
{
    static const struct {
        struct bytes address, local, domain;
    } cases[] = {
        {BYTES_INIT("bob@example.org"), BYTES_INIT("bob"), BYTES_INIT("example.org")},
        {BYTES_INIT("\"a@b\"@example.org"), BYTES_INIT("\"a@b\""), BYTES_INIT("example.org")},
        {BYTES_INIT("postmaster"), BYTES_INIT("postmaster"), BYTES_INIT("")},
        {BYTES_INIT("bob@"), BYTES_INIT("bob"), BYTES_INIT("")},
        {BYTES_INIT(""), BYTES_INIT(""), BYTES_INIT("")},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(bytes_equal(mail_local(cases[i].address), cases[i].local));
        assert_true(bytes_equal(mail_domain(cases[i].address), cases[i].domain));
    }
}

static void test_message_id_text_round_trip_keeps_value(void **unused)
{
    static const struct {
        struct bytes text;
        uint64_t want; /* 0 = refused */
    } cases[] = {
        {BYTES_INIT("0123456789ABCDEF"), 0x0123456789ABCDEFULL}, {BYTES_INIT("ffffffffffffffff"), UINT64_MAX},
        {BYTES_INIT("0000000000000001"), 1},                     {BYTES_INIT("0000000000000000"), 0},
        {BYTES_INIT("123456789ABCDEF"), 0},                      {BYTES_INIT("00123456789ABCDEF"), 0},
        {BYTES_INIT("0123456789ABCDEG"), 0},                     {BYTES_INIT("0x23456789ABCDEF"), 0},
        {BYTES_INIT(""), 0},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message_id id = {42};
        assert_int_equal(message_id_parse(cases[i].text, &id), cases[i].want != 0);
        assert_true(id.v == (cases[i].want ? cases[i].want : 42));
        if (cases[i].want == 0) continue;
        struct buf text = BUF_OVER(memory);
        message_id_print(&text, id);
        assert_int_equal(text.len, MESSAGE_ID_TEXT_BYTES);
        assert_true(bytes_equal_nocase(buf_bytes(&text), cases[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rcpt_next_gives_back_what_was_put),
        cmocka_unit_test(test_rcpt_list_check_counts_exactly),
        cmocka_unit_test(test_rcpt_list_check_every_truncation_is_refused),
        cmocka_unit_test(test_rcpt_list_check_broken_entry_is_refused),
        cmocka_unit_test(test_rcpt_put_over_limits_sets_overflow),
        cmocka_unit_test(test_mail_parts_split_at_the_last_at),
        cmocka_unit_test(test_message_id_text_round_trip_keeps_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
