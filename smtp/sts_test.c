#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/sts.h"

struct record_case {
    struct bytes text;
    enum smtp_sts_record want;
    struct bytes id;
};

static void test_sts_record_by_the_grammar(void **state)
{
    (void)state;
    static const struct record_case cases[] = {
        {BYTES_INIT("v=STSv1; id=20160831085700Z;"), SMTP_STS_RECORD, BYTES_INIT("20160831085700Z")},
        {BYTES_INIT("v=STSv1;id=1"), SMTP_STS_RECORD, BYTES_INIT("1")},
        {BYTES_INIT("v=STSv1 ; x-y=a/b ; id=1 ; "), SMTP_STS_RECORD, BYTES_INIT("1")},
        {BYTES_INIT("v=STSv1"), SMTP_STS_OTHER, BYTES_INIT("")},
        {BYTES_INIT("v=STSv10; id=1"), SMTP_STS_OTHER, BYTES_INIT("")},
        {BYTES_INIT("v=stsv1; id=1"), SMTP_STS_OTHER, BYTES_INIT("")},
        {BYTES_INIT("v=spf1 -all"), SMTP_STS_OTHER, BYTES_INIT("")},
        {BYTES_INIT(""), SMTP_STS_OTHER, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1;"), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id="), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id=a-b"), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id=1; id=2"), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id=123456789012345678901234567890123"), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id=1; -x=y"), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id=1; x=y z"), SMTP_STS_BROKEN, BYTES_INIT("")},
        {BYTES_INIT("v=STSv1; id=1;; x=y"), SMTP_STS_BROKEN, BYTES_INIT("")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes id = BYTES("");
        assert_int_equal(smtp_sts_record_parse(cases[i].text, &id), cases[i].want);
        assert_true(bytes_equal(id, cases[i].id));
    }
}

struct policy_case {
    struct bytes text;
    bool good;
    uint32_t mode, age_s, mx_count;
};

static void test_sts_policy_texts_are_judged(void **state)
{
    (void)state;
    static const struct policy_case cases[] = {
        {BYTES_INIT("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n"), true,
         SMTP_STS_ENFORCE, 604800, 3},
        {BYTES_INIT("max_age:86400\nmx:a.b\nmode:testing\nversion:STSv1"), true, SMTP_STS_TESTING, 86400, 1},
        {BYTES_INIT("version: STSv1\nmode: none\nmax_age: 0\n"), true, SMTP_STS_NONE, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: none\nmax_age: 9999999999\n\n"), true, SMTP_STS_NONE, SMTP_STS_AGE_MAX_S, 0},
        {BYTES_INIT("version: STSv1\nmode: enforce\nmode: none\nmx: a.b\nmax_age: 1\nmax_age: x\nnew_key: what: ever\n"), true, SMTP_STS_ENFORCE, 1, 1},
        {BYTES_INIT(""), false, 0, 0, 0},
        {BYTES_INIT("mode: none\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv2\nmode: none\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: enforce\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: Enforce\nmx: a.b\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: none\nmax_age: 99999999999\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: none\nmax_age: -1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: none\nmax_age:\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: enforce\nmx: a.*.b\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: enforce\nmx: 192.0.2.1\nmax_age: 1\n"), false, 0, 0, 0},
        {BYTES_INIT("<html>\n"), false, 0, 0, 0},
        {BYTES_INIT("version: STSv1\nmode: none\nmax_age: 1\nx: \1\n"), false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_sts_policy p = {0};
        assert_int_equal(smtp_sts_policy_parse(cases[i].text, &p), cases[i].good);
        assert_int_equal(p.mode, cases[i].mode);
        assert_int_equal(p.max_age_s, cases[i].age_s);
        assert_int_equal(p.mx_count, cases[i].mx_count);
    }
    assert_true(smtp_sts_policy_allows(cases[0].text, BYTES("Mail.example.com.")));
    assert_true(smtp_sts_policy_allows(cases[0].text, BYTES("mx1.example.net")));
    assert_false(smtp_sts_policy_allows(cases[0].text, BYTES("evil.example.org")));
    assert_false(smtp_sts_policy_allows(cases[2].text, BYTES("a.b")));
}

static void test_sts_pattern_star_is_one_label(void **state)
{
    (void)state;
    assert_true(smtp_sts_mx_matches(BYTES("*.example.com"), BYTES("mx.Example.com")));
    assert_false(smtp_sts_mx_matches(BYTES("*.example.com"), BYTES("a.mx.example.com")));
    assert_false(smtp_sts_mx_matches(BYTES("*.example.com"), BYTES("example.com")));
    assert_false(smtp_sts_mx_matches(BYTES("*.example.com"), BYTES(".example.com")));
    assert_false(smtp_sts_mx_matches(BYTES("*.example.com"), BYTES("mxexample.com")));
    assert_false(smtp_sts_mx_matches(BYTES("example.com"), BYTES("mx.example.com")));
    assert_false(smtp_sts_mx_matches(BYTES("example.com"), BYTES("")));
    assert_false(smtp_sts_mx_matches(BYTES(""), BYTES(".")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sts_record_by_the_grammar),
        cmocka_unit_test(test_sts_policy_texts_are_judged),
        cmocka_unit_test(test_sts_pattern_star_is_one_label),
    };
    return cmocka_run_group_tests_name("sts", tests, NULL, NULL);
}
