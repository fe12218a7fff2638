#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/rewrite.h"

struct rule_case {
    struct bytes pattern, target, in, want; /* empty want = the rule does not match */
};

static const struct rule_case cases[] = {
    {BYTES_INIT("*@web07.example.com"), BYTES_INIT("*@example.com"), BYTES_INIT("root@web07.example.com"), BYTES_INIT("root@example.com")},
    {BYTES_INIT("*@Web07.example.com"), BYTES_INIT("*@Example.com"), BYTES_INIT("\"a b\"@web07.EXAMPLE.com"), BYTES_INIT("\"a b\"@example.com")},
    {BYTES_INIT("*@example.com"), BYTES_INIT("*@b.example"), BYTES_INIT("x@web07.example.com"), BYTES_INIT("")},
    {BYTES_INIT("*@*.example.com"), BYTES_INIT("*@example.com"), BYTES_INIT("x@a.b.example.com"), BYTES_INIT("x@example.com")},
    {BYTES_INIT("*@*.example.com"), BYTES_INIT("*@example.com"), BYTES_INIT("x@example.com"), BYTES_INIT("")},
    {BYTES_INIT("*@*.example.com"), BYTES_INIT("*@example.com"), BYTES_INIT("x@myexample.com"), BYTES_INIT("")},
    {BYTES_INIT("root@*.example.com"), BYTES_INIT("admin@example.com"), BYTES_INIT("Root@a.example.com"), BYTES_INIT("admin@example.com")},
    {BYTES_INIT("joe@a.example"), BYTES_INIT("Joe.Doe@b.example"), BYTES_INIT("JOE@a.example"), BYTES_INIT("Joe.Doe@b.example")},
    {BYTES_INIT("joe@a.example"), BYTES_INIT("joe@b.example"), BYTES_INIT("jo@a.example"), BYTES_INIT("")},
    {BYTES_INIT("*@a.example"), BYTES_INIT("catch@b.example"), BYTES_INIT("any@a.example"), BYTES_INIT("catch@b.example")},
    {BYTES_INIT("*@[192.0.2.1]"), BYTES_INIT("*@b.example"), BYTES_INIT("x@[192.0.2.1]"), BYTES_INIT("x@b.example")},
};

static void test_rewrite_rules_meet_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_rewrite rule;
        struct smtp_address in, out;
        assert_true(smtp_rewrite_parse(cases[i].pattern, cases[i].target, &rule));
        assert_int_equal(smtp_mailbox_parse(cases[i].in, true, &in), SMTP_ADDRESS_OK);
        enum smtp_rewrite_result result = smtp_rewrite_apply(&rule, &in, &out);
        assert_int_equal(result, cases[i].want.len > 0 ? SMTP_REWRITE_DONE : SMTP_REWRITE_NO);
        if (result == SMTP_REWRITE_DONE) assert_true(bytes_equal(out.whole, cases[i].want));
    }
}

static void test_rewrite_bad_rules_are_refused(void **state)
{
    (void)state;
    static const struct bytes bad[][2] = {
        {BYTES_INIT("a"), BYTES_INIT("b@c")},       {BYTES_INIT("a@b"), BYTES_INIT("*@c")},   {BYTES_INIT("*@*"), BYTES_INIT("*@c")},
        {BYTES_INIT("*@a.*"), BYTES_INIT("*@c")},   {BYTES_INIT("*@b"), BYTES_INIT("*@*.c")}, {BYTES_INIT("a*@b"), BYTES_INIT("x@")},
        {BYTES_INIT("@b"), BYTES_INIT("x@c")},      {BYTES_INIT("*@b"), BYTES_INIT("x y@c")}, {BYTES_INIT("\"a\"@b"), BYTES_INIT("x@c")},
        {BYTES_INIT("*@*.[192.0.2.1]"), BYTES_INIT("x@c")}, {BYTES_INIT(""), BYTES_INIT("")},
    };
    struct smtp_rewrite rule;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(smtp_rewrite_parse(bad[i][0], bad[i][1], &rule));
}

static void test_rewrite_result_too_long_is_said(void **state)
{
    (void)state;
    uint8_t memory[2 * MAIL_ADDRESS_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    struct smtp_rewrite rule;
    struct smtp_address in, out;
    for (uint32_t i = 0; i < 311; i++) buf_put_c(&text, 'a');
    BUF_LIT(&text, "@b.example");
    assert_int_equal(smtp_mailbox_parse(buf_bytes(&text), false, &in), SMTP_ADDRESS_TOO_LONG);
    text.len = 300;
    BUF_LIT(&text, "@b.example");
    assert_int_equal(smtp_mailbox_parse(buf_bytes(&text), false, &in), SMTP_ADDRESS_OK);
    assert_true(smtp_rewrite_parse(BYTES("*@b.example"), BYTES("*@much-longer-name.example"), &rule));
    assert_int_equal(smtp_rewrite_apply(&rule, &in, &out), SMTP_REWRITE_TOO_LONG);
}

struct detail_case {
    struct bytes local, delimiters, user, detail; /* empty user = no split */
};

static void test_detail_split_at_the_first_delimiter(void **state)
{
    (void)state;
    static const struct detail_case details[] = {
        {BYTES_INIT("joe+list"), BYTES_INIT("+"), BYTES_INIT("joe"), BYTES_INIT("list")},
        {BYTES_INIT("joe+a+b"), BYTES_INIT("+"), BYTES_INIT("joe"), BYTES_INIT("a+b")},
        {BYTES_INIT("joe+"), BYTES_INIT("+"), BYTES_INIT("joe"), BYTES_INIT("")},
        {BYTES_INIT("joe-a+b"), BYTES_INIT("+-"), BYTES_INIT("joe"), BYTES_INIT("a+b")},
        {BYTES_INIT("+joe+x"), BYTES_INIT("+"), BYTES_INIT("+joe"), BYTES_INIT("x")},
        {BYTES_INIT("joe"), BYTES_INIT("+"), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT("+joe"), BYTES_INIT("+"), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT("joe+x"), BYTES_INIT(""), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT("\"joe+x\""), BYTES_INIT("+"), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT("owner-list"), BYTES_INIT("-"), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT("list-request"), BYTES_INIT("-"), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT("MAILER-DAEMON"), BYTES_INIT("-"), BYTES_INIT(""), BYTES_INIT("")},
        {BYTES_INIT(""), BYTES_INIT("+"), BYTES_INIT(""), BYTES_INIT("")},
    };
    for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
        struct bytes user = BYTES(""), detail = BYTES("");
        assert_int_equal(smtp_detail_split(details[i].local, details[i].delimiters, &user, &detail), details[i].user.len > 0);
        assert_true(bytes_equal(user, details[i].user) && bytes_equal(detail, details[i].detail));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewrite_rules_meet_what_they_say),
        cmocka_unit_test(test_rewrite_bad_rules_are_refused),
        cmocka_unit_test(test_rewrite_result_too_long_is_said),
        cmocka_unit_test(test_detail_split_at_the_first_delimiter),
    };
    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
