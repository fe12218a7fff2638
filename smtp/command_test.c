#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/command.h"

static void test_verb_parse_cases_split_the_line(void **state)
{
    (void)state;
    static const struct {
        struct bytes line;
        enum smtp_verb want;
        struct bytes rest;
    } cases[] = {
        {BYTES_INIT("EHLO mx.example"), SMTP_VERB_EHLO, BYTES_INIT("mx.example")},
        {BYTES_INIT("helo x"), SMTP_VERB_HELO, BYTES_INIT("x")},
        {BYTES_INIT("mAiL FROM:<a@b> "), SMTP_VERB_MAIL, BYTES_INIT("FROM:<a@b> ")},
        {BYTES_INIT("DATA"), SMTP_VERB_DATA, BYTES_INIT("")},
        {BYTES_INIT("QUIT "), SMTP_VERB_QUIT, BYTES_INIT("")},
        {BYTES_INIT("QUIT  x"), SMTP_VERB_QUIT, BYTES_INIT(" x")},
        {BYTES_INIT("STARTTLS"), SMTP_VERB_STARTTLS, BYTES_INIT("")},
        {BYTES_INIT("NOOP \xc3\xa9"), SMTP_VERB_NOOP, BYTES_INIT("\xc3\xa9")},
        {BYTES_INIT("UNKNOWN"), SMTP_VERB_UNKNOWN, BYTES_INIT("")},
        {BYTES_INIT("DAT"), SMTP_VERB_UNKNOWN, BYTES_INIT("")},
        {BYTES_INIT("DATAX"), SMTP_VERB_UNKNOWN, BYTES_INIT("")},
        {BYTES_INIT("MAIL\tFROM:<a@b>"), SMTP_VERB_UNKNOWN, BYTES_INIT("")},
        {BYTES_INIT(" DATA"), SMTP_VERB_UNKNOWN, BYTES_INIT("DATA")},
        {BYTES_INIT("DATA\0"), SMTP_VERB_UNKNOWN, BYTES_INIT("")},
        {BYTES_INIT("NOOP a\rb"), SMTP_VERB_UNKNOWN, BYTES_INIT("a\rb")},
        {BYTES_INIT("NOOP \x7f"), SMTP_VERB_UNKNOWN, BYTES_INIT("\x7f")},
        {BYTES_INIT(""), SMTP_VERB_UNKNOWN, BYTES_INIT("")},
        {BYTES_INIT("XFORWARD NAME=x"), SMTP_VERB_UNKNOWN, BYTES_INIT("NAME=x")},
        {BYTES_INIT("xclient NAME=x"), SMTP_VERB_XCLIENT, BYTES_INIT("NAME=x")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bytes rest;
        enum smtp_verb got = smtp_verb_parse(cases[i].line, &rest);
        if (got != cases[i].want) fail_msg("case %zu: got %s", i, smtp_verb_name(got));
        if (!bytes_equal(rest, cases[i].rest)) fail_msg("case %zu: rest differs", i);
    }
}

struct mail_case {
    struct bytes rest;
    bool extended;
    enum smtp_argument_error want;
    struct bytes sender;
};

static const struct mail_case mail_cases[] = {
    {BYTES_INIT("FROM:<a@b>"), false, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT("from:<a@b>"), true, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT("FROM: <a@b>  "), true, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT("FROM:<>"), true, SMTP_ARG_OK, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE=0 BODY=8bitmime RET=hdrs ENVID=x+2By SMTPUTF8"), true, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT("FROM:<\xc3\xa9@b> SMTPUTF8"), true, SMTP_ARG_OK, BYTES_INIT("\xc3\xa9@b")},
    {BYTES_INIT("FROM:<a@b>  size=18446744073709551615 "), true, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT(""), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("<a@b>"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b>"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM <a@b>"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b>SIZE=1"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b>>"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> =1"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> -X"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> <c@d>"), true, SMTP_ARG_SYNTAX, BYTES_INIT("")},
    {BYTES_INIT("FROM:"), true, SMTP_ARG_BAD_ADDRESS, BYTES_INIT("")},
    {BYTES_INIT("FROM:a@b"), true, SMTP_ARG_BAD_ADDRESS, BYTES_INIT("")},
    {BYTES_INIT("FROM:<postmaster>"), true, SMTP_ARG_BAD_ADDRESS, BYTES_INIT("")},
    {BYTES_INIT("FROM:<\xc3\xa9@b>"), true, SMTP_ARG_NEEDS_SMTPUTF8, BYTES_INIT("")},
    {BYTES_INIT("FROM:<\xff@b> SMTPUTF8"), true, SMTP_ARG_BAD_ADDRESS, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE=1"), false, SMTP_ARG_UNKNOWN_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> AUTH=<>"), true, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT("FROM:<a@b> AUTH=e+3Dmc2@example.com"), true, SMTP_ARG_OK, BYTES_INIT("a@b")},
    {BYTES_INIT("FROM:<a@b> AUTH=a+zz"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> NOTIFY=NEVER"), true, SMTP_ARG_UNKNOWN_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE="), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE=-1"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE=1k"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE=18446744073709551616"), true, SMTP_ARG_TOO_BIG, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SIZE=1 SIZE=1"), true, SMTP_ARG_REPEATED_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SMTPUTF8 smtputf8"), true, SMTP_ARG_REPEATED_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> SMTPUTF8=1"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> BODY=BINARYMIME"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> RET=ALL"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> ENVID=a+2b"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> ENVID=a+0D+0ATo:x"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b> ENVID=a=b"), true, SMTP_ARG_BAD_PARAMETER, BYTES_INIT("")},
};

static void test_mail_parse_cases_take_or_refuse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mail_cases) / sizeof(*mail_cases); i++) {
        const struct mail_case *c = &mail_cases[i];
        struct smtp_mail_args args;
        enum smtp_argument_error got = smtp_mail_parse(c->rest, c->extended, &args);
        if (got != c->want) fail_msg("'%s': got %d, want %d", (const char *)c->rest.ptr, (int)got, (int)c->want);
        if (got == SMTP_ARG_OK && !bytes_equal(args.sender.whole, c->sender)) fail_msg("'%s': sender differs", (const char *)c->rest.ptr);
    }
}

static void test_mail_parse_parameters_are_kept(void **state)
{
    (void)state;
    struct smtp_mail_args args;
    assert_int_equal(smtp_mail_parse(BYTES("FROM:<a@b> SIZE=77 BODY=8BITMIME RET=FULL ENVID=x+2By"), true, &args), SMTP_ARG_OK);
    assert_true(args.size_given);
    assert_int_equal(args.size_bytes, 77);
    assert_true(args.body_8bit);
    assert_false(args.smtputf8);
    assert_int_equal(args.ret, RET_FULL);
    assert_true(bytes_equal(args.envid, BYTES("x+2By")));

    assert_int_equal(smtp_mail_parse(BYTES("FROM:<a@b> BODY=7BIT"), true, &args), SMTP_ARG_OK);
    assert_false(args.size_given);
    assert_int_equal(args.size_bytes, 0);
    assert_false(args.body_8bit);
    assert_int_equal(args.ret, RET_DEFAULT);
    assert_int_equal(args.envid.len, 0);
}

static void test_mail_parse_envid_over_100_octets_is_refused(void **state)
{
    (void)state;
    uint8_t memory[300];
    struct smtp_mail_args args;
    for (uint32_t n = 100; n <= 101; n++) {
        struct buf rest = BUF_OVER(memory);
        BUF_LIT(&rest, "FROM:<> ENVID=");
        for (uint32_t i = 0; i < n; i++) buf_put_c(&rest, 'x');
        assert_int_equal(smtp_mail_parse(buf_bytes(&rest), true, &args), n == 100 ? SMTP_ARG_OK : SMTP_ARG_BAD_PARAMETER);
    }
}

struct rcpt_case {
    struct bytes rest;
    bool extended, smtputf8;
    enum smtp_argument_error want;
    uint8_t notify;
    struct bytes orcpt;
};

static const struct rcpt_case rcpt_cases[] = {
    {BYTES_INIT("TO:<a@b>"), false, false, SMTP_ARG_OK, 0, BYTES_INIT("")},
    {BYTES_INIT("To: <Postmaster> "), false, false, SMTP_ARG_OK, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY=NEVER"), true, false, SMTP_ARG_OK, NOTIFY_NEVER, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> notify=success,DELAY,failure"), true, false, SMTP_ARG_OK, NOTIFY_SUCCESS | NOTIFY_DELAY | NOTIFY_FAILURE, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=rfc822;a+2Bx@b"), true, false, SMTP_ARG_OK, 0, BYTES_INIT("rfc822;a+2Bx@b")},
    {BYTES_INIT("TO:<a@b> ORCPT=x400;c;d"), true, false, SMTP_ARG_OK, 0, BYTES_INIT("x400;c;d")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\\x{E9}@b"), true, false, SMTP_ARG_OK, 0, BYTES_INIT("utf-8;\\x{E9}@b")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\\x{10FFFF}@b"), true, false, SMTP_ARG_OK, 0, BYTES_INIT("utf-8;\\x{10FFFF}@b")},
    {BYTES_INIT("TO:<a@b> ORCPT=UTF-8;\xc3\xa9@b"), true, true, SMTP_ARG_OK, 0, BYTES_INIT("UTF-8;\xc3\xa9@b")},
    {BYTES_INIT("TO:<\xc3\xa9@b>"), true, true, SMTP_ARG_OK, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<>"), true, false, SMTP_ARG_BAD_ADDRESS, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a>"), true, false, SMTP_ARG_BAD_ADDRESS, 0, BYTES_INIT("")},
    {BYTES_INIT("FROM:<a@b>"), true, false, SMTP_ARG_SYNTAX, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<\xc3\xa9@b>"), true, false, SMTP_ARG_NEEDS_SMTPUTF8, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY=NEVER"), false, false, SMTP_ARG_UNKNOWN_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> SIZE=1"), true, false, SMTP_ARG_UNKNOWN_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY=NEVER,DELAY"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY=DELAY,"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY=,DELAY"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY="), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER"), true, false, SMTP_ARG_REPEATED_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=a@b"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=rfc822;"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=;a@b"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=rfc822;a+0Ab"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=rfc822;a+FFb"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\xc3\xa9@b"), true, false, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\xff@b"), true, true, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\\x{0A}@b"), true, true, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\\x{110000}@b"), true, true, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\\x{E9@b"), true, true, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
    {BYTES_INIT("TO:<a@b> ORCPT=utf-8;\\@b"), true, true, SMTP_ARG_BAD_PARAMETER, 0, BYTES_INIT("")},
};

static void test_rcpt_parse_cases_take_or_refuse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rcpt_cases) / sizeof(*rcpt_cases); i++) {
        const struct rcpt_case *c = &rcpt_cases[i];
        struct smtp_rcpt_args args;
        enum smtp_argument_error got = smtp_rcpt_parse(c->rest, c->extended, c->smtputf8, &args);
        if (got != c->want) fail_msg("'%s': got %d, want %d", (const char *)c->rest.ptr, (int)got, (int)c->want);
        if (got != SMTP_ARG_OK) continue;
        if (args.notify != c->notify) fail_msg("'%s': notify %u", (const char *)c->rest.ptr, args.notify);
        if (!bytes_equal(args.orcpt, c->orcpt)) fail_msg("'%s': orcpt differs", (const char *)c->rest.ptr);
    }
}

static void test_bdat_parse_cases_take_or_refuse(void **state)
{
    (void)state;
    static const struct {
        struct bytes rest;
        enum smtp_argument_error want;
        uint64_t bytes;
        bool last;
    } cases[] = {
        {BYTES_INIT("0"), SMTP_ARG_OK, 0, false},
        {BYTES_INIT("1000 LAST"), SMTP_ARG_OK, 1000, true},
        {BYTES_INIT("1000  last "), SMTP_ARG_OK, 1000, true},
        {BYTES_INIT("18446744073709551615"), SMTP_ARG_OK, UINT64_MAX, false},
        {BYTES_INIT("18446744073709551616"), SMTP_ARG_TOO_BIG, 0, false},
        {BYTES_INIT(""), SMTP_ARG_SYNTAX, 0, false},
        {BYTES_INIT("LAST"), SMTP_ARG_SYNTAX, 0, false},
        {BYTES_INIT("-1"), SMTP_ARG_SYNTAX, 0, false},
        {BYTES_INIT("1 FIRST"), SMTP_ARG_SYNTAX, 0, false},
        {BYTES_INIT("1 LAST LAST"), SMTP_ARG_SYNTAX, 0, false},
        {BYTES_INIT("0x10"), SMTP_ARG_SYNTAX, 0, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct smtp_bdat_args args = {0};
        if (smtp_bdat_parse(cases[i].rest, &args) != cases[i].want) fail_msg("case %zu", i);
        if (cases[i].want != SMTP_ARG_OK) continue;
        if (args.bytes != cases[i].bytes || args.last != cases[i].last) fail_msg("case %zu: value", i);
    }
}

static void test_helo_valid_takes_printable_words_only(void **state)
{
    (void)state;
    uint8_t name[256];
    memset(name, 'a', sizeof(name));
    assert_true(smtp_helo_valid(BYTES("mx.example")));
    assert_true(smtp_helo_valid(BYTES("[192.0.2.1]")));
    assert_true(smtp_helo_valid(BYTES("my_printer:1")));
    assert_true(smtp_helo_valid(bytes_of(name, 255)));
    assert_false(smtp_helo_valid(bytes_of(name, 256)));
    assert_false(smtp_helo_valid(BYTES("")));
    assert_false(smtp_helo_valid(BYTES("two words")));
    assert_false(smtp_helo_valid(BYTES("a\0b")));
    assert_false(smtp_helo_valid(BYTES("\xc3\xa9")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verb_parse_cases_split_the_line),
        cmocka_unit_test(test_mail_parse_cases_take_or_refuse),
        cmocka_unit_test(test_mail_parse_parameters_are_kept),
        cmocka_unit_test(test_mail_parse_envid_over_100_octets_is_refused),
        cmocka_unit_test(test_rcpt_parse_cases_take_or_refuse),
        cmocka_unit_test(test_bdat_parse_cases_take_or_refuse),
        cmocka_unit_test(test_helo_valid_takes_printable_words_only),
    };
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
