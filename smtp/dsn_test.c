#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/dsn.h"
#include "smtp/dsn_check.h"

static uint8_t memory[65536];

static struct smtp_dsn failed_report(void)
{
    return (struct smtp_dsn){
        .kind = SMTP_DSN_FAILED, .reporting_mta = BYTES("mx.example"), .envid = BYTES("QQ+2B1"), .to = BYTES("sender@client.example"),
        .original_id = BYTES("0123456789ABCDEF"), .own_id = BYTES("FEDCBA9876543210"), .arrival_wall_s = 1795378830, .now_wall_s = 1795378890, .boundary_seed = 0xfeedface12345678,
    };
}

static struct smtp_dsn_rcpt refused_recipient(void)
{
    return (struct smtp_dsn_rcpt){
        .address = BYTES("user@far.example"), .orcpt = BYTES("rfc822;User+2Bx@far.example"), .remote_mta = BYTES("mx1.far.example"), .last_attempt_wall_s = 1795378889,
        .verdict = {.class = VERDICT_NEVER, .step = STEP_RCPT, .code = 550, .enhanced = {5, 1, 1}, .text = BYTES("5.1.1 No such user here"), .remote = true},
    };
}

static struct bytes write_report(const struct smtp_dsn *d, const struct smtp_dsn_rcpt *r, struct bytes content)
{
    struct buf out = BUF_OVER(memory);
    smtp_dsn_begin(&out, d);
    smtp_dsn_human(&out, d, r);
    smtp_dsn_machine_begin(&out, d);
    smtp_dsn_machine_rcpt(&out, d, r);
    smtp_dsn_content(&out, d, content);
    smtp_dsn_end(&out, d);
    assert_false(out.overflow);
    return buf_bytes(&out);
}

static bool contains(struct bytes text, struct bytes part)
{
    return memmem(text.ptr, text.len, part.ptr, part.len) != NULL;
}

#define assert_contains(text, literal) \
    do { \
        if (!contains((text), BYTES(literal))) fail_msg("'%s' is not in:\n%.*s", literal, (int)(text).len, (const char *)(text).ptr); \
    } while (0)

static void test_dsn_failed_is_written_as_planned(void **state)
{
    (void)state;
    struct smtp_dsn d = failed_report();
    struct smtp_dsn_rcpt r = refused_recipient();
    struct bytes want = BYTES(
        "From: Mail Delivery System <MAILER-DAEMON@mx.example>\r\n"
        "To: <sender@client.example>\r\n"
        "Subject: Undelivered mail returned to sender\r\n"
        "Date: Sun, 22 Nov 2026 20:21:30 +0000\r\n"
        "Message-ID: <FEDCBA9876543210@mx.example>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"bulkhead-feedface12345678\"\r\n"
        "Content-Transfer-Encoding: 8bit\r\n"
        "\r\n"
        "This is a report in several parts, as RFC 6522 defines it.\r\n"
        "\r\n"
        "--bulkhead-feedface12345678\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "This is the mail system at host mx.example.\r\n"
        "\r\n"
        "Your message could not be delivered to the recipients listed below.\r\n"
        "It will not be tried again for them.\r\n"
        "\r\n"
        "If you ask a postmaster for help, quote this report. Your message was\r\n"
        "taken here at Sun, 22 Nov 2026 20:20:30 +0000\r\n"
        "and has the number 0123456789ABCDEF here.\r\n"
        "\r\n"
        "<user@far.example>\r\n"
        "    host mx1.far.example said: 550 5.1.1 No such user here (in reply\r\n"
        "    to RCPT TO command)\r\n"
        "\r\n"
        "--bulkhead-feedface12345678\r\n"
        "Content-Type: message/delivery-status\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Reporting-MTA: dns; mx.example\r\n"
        "Original-Envelope-Id: QQ+1\r\n"
        "X-Bulkhead-Queue-ID: 0123456789ABCDEF\r\n"
        "Arrival-Date: Sun, 22 Nov 2026 20:20:30 +0000\r\n"
        "\r\n"
        "Original-Recipient: rfc822; User+x@far.example\r\n"
        "Final-Recipient: rfc822; user@far.example\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx1.far.example\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
        "Last-Attempt-Date: Sun, 22 Nov 2026 20:21:29 +0000\r\n"
        "\r\n"
        "--bulkhead-feedface12345678\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Subject: hi\r\n"
        "\r\n"
        "\r\n"
        "--bulkhead-feedface12345678--\r\n");
    struct bytes got = write_report(&d, &r, BYTES("Subject: hi\r\n\r\n"));
    if (!bytes_equal(got, want)) fail_msg("%.*s", (int)got.len, (const char *)got.ptr);
}

static void test_dsn_kinds_have_their_action_and_status(void **state)
{
    (void)state;
    static const struct {
        enum smtp_dsn_kind kind;
        struct bytes lines;
    } cases[] = {
        {SMTP_DSN_FAILED, BYTES_INIT("\r\nAction: failed\r\nStatus: 5.0.0\r\n")},       {SMTP_DSN_DELAYED, BYTES_INIT("\r\nAction: delayed\r\nStatus: 4.0.0\r\n")},
        {SMTP_DSN_DELIVERED, BYTES_INIT("\r\nAction: delivered\r\nStatus: 2.0.0\r\n")}, {SMTP_DSN_RELAYED, BYTES_INIT("\r\nAction: relayed\r\nStatus: 2.0.0\r\n")},
        {SMTP_DSN_EXPIRED, BYTES_INIT("\r\nAction: failed\r\nStatus: 4.0.0\r\n")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct smtp_dsn d = failed_report();
        struct smtp_dsn_rcpt r = {.address = BYTES("a@b")};
        d.kind = cases[i].kind;
        struct bytes got = write_report(&d, &r, BYTES(""));
        if (!contains(got, cases[i].lines)) fail_msg("case %zu: %.*s", i, (int)got.len, (const char *)got.ptr);
        assert_false(contains(got, BYTES("Diagnostic-Code")));
        dsn_check_text(got, false);
    }
}

static void test_dsn_delayed_says_until_when(void **state)
{
    (void)state;
    struct smtp_dsn d = failed_report();
    struct smtp_dsn_rcpt r = refused_recipient();
    d.kind = SMTP_DSN_DELAYED;
    d.retry_until_wall_s = 1795378830;
    r.verdict = (struct verdict){.class = VERDICT_LATER, .step = STEP_CONNECT, .enhanced = {4, 4, 1}, .text = BYTES("connect to mx1.far.example: timed out")};
    struct bytes got = write_report(&d, &r, BYTES(""));
    assert_contains(got, "\r\nIt will be given up at Sun, 22 Nov 2026 20:20:30 +0000\r\n");
    assert_contains(got, "\r\nWill-Retry-Until: Sun, 22 Nov 2026 20:20:30 +0000\r\n");
    assert_contains(got, "\r\nDiagnostic-Code: X-Bulkhead; connect to mx1.far.example: timed out\r\n");
    assert_contains(got, "\r\n    connect to mx1.far.example: timed out\r\n");
}

static void test_dsn_hostile_words_add_no_line(void **state)
{
    (void)state;
    struct smtp_dsn d = failed_report();
    struct smtp_dsn_rcpt r = refused_recipient();
    d.to = BYTES("a\r\nBcc: b\"@c");
    d.envid = BYTES("x+0D+0ATo:y");
    d.original_id = BYTES("1\r\nFrom: z");
    d.own_id = BYTES("1>\r\nFrom: z");
    r.address = BYTES("\"\r\n--bulkhead-feedface12345678--\"@b");
    r.orcpt = BYTES("rfc822;a+0D+0AStatus:+202.0.0");
    r.remote_mta = BYTES("mx\r\nAction: delivered\r\n");
    r.verdict.text = BYTES("5.1.1 no\r\n\r\n--bulkhead-feedface12345678--\n\nFrom: x\0\x1b[2J \xff%s%n");
    struct bytes got = write_report(&d, &r, BYTES("X: y\r\n\r\n"));
    struct bytes content = BYTES("X: y\r\n\r\n");
    const uint8_t *returned = memmem(got.ptr, got.len, content.ptr, content.len);
    assert_non_null(returned);
    struct dsn_check c = dsn_check_text(bytes_slice(got, 0, (uint32_t)(returned - got.ptr)), false);
    assert_int_equal(c.boundaries, 3);
    assert_int_equal(c.froms, 1);
    assert_int_equal(c.tos, 1);
    assert_int_equal(c.final_recipients, 1);
    assert_contains(got, "Diagnostic-Code: smtp; 550 5.1.1 no --bulkhead-feedface12345678--\r\n From: x??[2J ?%s%n\r\n");
}

static void test_dsn_utf8_keeps_what_is_well_formed(void **state)
{
    (void)state;
    struct smtp_dsn d = failed_report();
    struct smtp_dsn_rcpt r = refused_recipient();
    d.utf8 = d.full = true;
    r.address = BYTES("\xc3\xa9@far.example");
    r.orcpt = BYTES("utf-8;\\x{E9}@far.example");
    r.verdict.text = BYTES("not \xc3 well-formed");
    struct bytes got = write_report(&d, &r, BYTES("Subject: \xc3\xa9\r\n\r\n"));
    assert_contains(got, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n");
    assert_contains(got, "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n");
    assert_contains(got, "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n");
    assert_contains(got, "Original-Recipient: utf-8; \\x{E9}@far.example\r\nFinal-Recipient: utf-8; \xc3\xa9@far.example\r\n");
    assert_contains(got, "550 not ? well-formed\r\n");
}

static void test_dsn_long_word_is_broken_between_characters(void **state)
{
    (void)state;
    static uint8_t word[REPLY_TEXT_BYTES_MAX];
    for (uint32_t i = 0; i + 1 < sizeof(word); i += 2) memcpy(word + i, "\xc3\xa9", 2);
    struct smtp_dsn d = failed_report();
    struct smtp_dsn_rcpt r = refused_recipient();
    d.utf8 = true;
    r.verdict.text = bytes_of(word, sizeof(word));
    struct dsn_check c = dsn_check_text(write_report(&d, &r, BYTES("")), true);
    assert_int_equal(c.final_recipients, 1);
}

static void test_dsn_content_with_the_boundary_is_left_out(void **state)
{
    (void)state;
    struct smtp_dsn d = failed_report();
    struct buf out = BUF_OVER(memory);
    assert_false(smtp_dsn_content(&out, &d, BYTES("Subject: x\r\n--bulkhead-feedface12345678--\r\n")));
    assert_int_equal(out.len, 0);
    assert_true(smtp_dsn_content(&out, &d, BYTES("Subject: x\r\n--bulkhead-feedface12345679--\r\n")));
}

static void test_dsn_without_room_says_so(void **state)
{
    (void)state;
    struct smtp_dsn d = failed_report();
    struct smtp_dsn_rcpt r = refused_recipient();
    struct bytes whole = write_report(&d, &r, BYTES("Subject: hi\r\n\r\n"));
    for (uint32_t cap = 0; cap < whole.len; cap += 13) {
        uint8_t small[4096];
        struct buf out = buf_over(small, cap);
        smtp_dsn_begin(&out, &d);
        smtp_dsn_human(&out, &d, &r);
        smtp_dsn_machine_begin(&out, &d);
        smtp_dsn_machine_rcpt(&out, &d, &r);
        smtp_dsn_content(&out, &d, BYTES("Subject: hi\r\n\r\n"));
        smtp_dsn_end(&out, &d);
        assert_true(out.overflow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dsn_failed_is_written_as_planned),
        cmocka_unit_test(test_dsn_kinds_have_their_action_and_status),
        cmocka_unit_test(test_dsn_delayed_says_until_when),
        cmocka_unit_test(test_dsn_hostile_words_add_no_line),
        cmocka_unit_test(test_dsn_utf8_keeps_what_is_well_formed),
        cmocka_unit_test(test_dsn_long_word_is_broken_between_characters),
        cmocka_unit_test(test_dsn_content_with_the_boundary_is_left_out),
        cmocka_unit_test(test_dsn_without_room_says_so),
    };
    return cmocka_run_group_tests_name("dsn", tests, NULL, NULL);
}
