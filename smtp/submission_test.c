#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/submission.h"

struct missing_case {
    struct bytes header;
    uint32_t want;
};

static void test_submission_missing_fields_are_named(void **state)
{
    (void)state;
    enum { ALL = SMTP_SUBMISSION_DATE | SMTP_SUBMISSION_FROM | SMTP_SUBMISSION_MESSAGE_ID };
    static const struct missing_case cases[] = {
        {BYTES_INIT("Date: x\r\nFrom: y\r\nMessage-ID: <z>\r\n\r\n"), 0},
        {BYTES_INIT("date: x\r\nFROM : y\r\n\r\nMessage-ID: <z>\r\n"), SMTP_SUBMISSION_MESSAGE_ID},
        {BYTES_INIT("Subject: a\r\n Date: folded\r\nResent-From: y\r\n\r\n"), ALL},
        {BYTES_INIT("\r\nDate: x\r\n"), ALL},
        {BYTES_INIT(""), ALL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_header_scan scan;
        smtp_header_init(&scan);
        smtp_header_feed(&scan, cases[i].header);
        smtp_header_end(&scan);
        assert_int_equal(smtp_submission_missing(&scan), cases[i].want);
    }
}

struct write_case {
    uint32_t fields;
    struct bytes sender, name, want;
};

static void test_submission_fields_are_written(void **state)
{
    (void)state;
    static const struct write_case cases[] = {
        {0, BYTES_INIT("a@b"), BYTES_INIT(""), BYTES_INIT("")},
        {SMTP_SUBMISSION_DATE, BYTES_INIT("a@b"), BYTES_INIT(""), BYTES_INIT("Date: Sun, 22 Nov 2026 20:20:30 +0000\r\n")},
        {SMTP_SUBMISSION_MESSAGE_ID, BYTES_INIT("a@b"), BYTES_INIT(""), BYTES_INIT("Message-ID: <0123456789ABCDEF@ours.example>\r\n")},
        {SMTP_SUBMISSION_FROM, BYTES_INIT("a@b"), BYTES_INIT(""), BYTES_INIT("From: <a@b>\r\n")},
        {SMTP_SUBMISSION_FROM, BYTES_INIT("\"a b\"@c"), BYTES_INIT("Joe \"J\" \\ Doe"), BYTES_INIT("From: \"Joe \\\"J\\\" \\\\ Doe\" <\"a b\"@c>\r\n")},
        {SMTP_SUBMISSION_FROM, BYTES_INIT("a@b"), BYTES_INIT("J\xc3\xbcrgen"), BYTES_INIT("From: =?utf-8?B?SsO8cmdlbg==?= <a@b>\r\n")},
        {SMTP_SUBMISSION_FROM, BYTES_INIT("a@b"), BYTES_INIT("evil\r\nBcc: x"), BYTES_INIT("From: <a@b>\r\n")},
        {SMTP_SUBMISSION_FROM, BYTES_INIT("a@b"), BYTES_INIT("latin \xfc"), BYTES_INIT("From: <a@b>\r\n")},
        {SMTP_SUBMISSION_FROM, BYTES_INIT(""), BYTES_INIT(""), BYTES_INIT("From: <MAILER-DAEMON@ours.example>\r\n")},
        /* 41 octets, then a character of two: it goes to the next word whole */
        {SMTP_SUBMISSION_FROM, BYTES_INIT("a@b"), BYTES_INIT("12345678901234567890123456789012345678901\xc3\xbc"),
         BYTES_INIT("From: =?utf-8?B?MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=?=\r\n =?utf-8?B?w7w=?= <a@b>\r\n")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t memory[SMTP_SUBMISSION_BYTES_MAX];
        struct buf out = BUF_OVER(memory);
        struct smtp_submission s = {cases[i].sender, cases[i].name, BYTES("ours.example"), BYTES("0123456789ABCDEF"), 1795378830};
        smtp_submission_write(&out, cases[i].fields, &s);
        assert_true(bytes_equal(buf_bytes(&out), cases[i].want));
    }
}

static void test_submission_longest_parts_fit(void **state)
{
    (void)state;
    uint8_t memory[SMTP_SUBMISSION_BYTES_MAX], letters[MAIL_ADDRESS_BYTES_MAX], name[SMTP_SUBMISSION_NAME_BYTES_MAX];
    memset(letters, 'a', sizeof(letters));
    for (uint32_t i = 0; i < sizeof(name); i += 2) {
        name[i] = 0xC3;
        name[i + 1] = 0xBC;
    }
    struct buf out = BUF_OVER(memory);
    struct smtp_submission s = {bytes_of(letters, sizeof(letters)), bytes_of(name, sizeof(name)), bytes_of(letters, HOST_NAME_BYTES_MAX),
                                BYTES("0123456789ABCDEF"), INT64_MAX};
    smtp_submission_write(&out, SMTP_SUBMISSION_DATE | SMTP_SUBMISSION_FROM | SMTP_SUBMISSION_MESSAGE_ID, &s);
    assert_false(out.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submission_missing_fields_are_named),
        cmocka_unit_test(test_submission_fields_are_written),
        cmocka_unit_test(test_submission_longest_parts_fit),
    };
    return cmocka_run_group_tests_name("submission", tests, NULL, NULL);
}
