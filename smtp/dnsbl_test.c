#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/dnsbl.h"

static struct net_address address_of(struct bytes text)
{
    struct net_address a = {0};
    if (text.len > 0) assert_true(net_parse_ip(text, &a));
    return a;
}

static void test_dnsbl_names_are_reversed(void **state)
{
    (void)state;
    uint8_t memory[SMTP_DNSBL_NAME_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    struct net_address a = address_of(BYTES("192.0.2.99"));
    assert_true(smtp_dnsbl_address_name(&out, &a, BYTES("bad.example.com.")));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("99.2.0.192.bad.example.com")));
    out.len = 0;
    a = address_of(BYTES("2001:db8:1:2:3:4:567:89ab"));
    assert_true(smtp_dnsbl_address_name(&out, &a, BYTES("ugly.example.com")));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com")));
    out.len = 0;
    assert_true(smtp_dnsbl_domain_name(&out, BYTES("spammer.example"), BYTES("dbl.example.com")));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("spammer.example.dbl.example.com")));
}

static void test_dnsbl_names_that_cannot_be_are_refused(void **state)
{
    (void)state;
    uint8_t memory[SMTP_DNSBL_NAME_BYTES_MAX + 10], zone[SMTP_DNSBL_NAME_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    struct net_address none = address_of(BYTES("")), a = address_of(BYTES("1.2.3.4"));
    memset(zone, 'a', sizeof(zone));
    assert_false(smtp_dnsbl_address_name(&out, &none, BYTES("bad.example")));
    assert_false(smtp_dnsbl_address_name(&out, &a, BYTES("")));
    assert_false(smtp_dnsbl_address_name(&out, &a, bytes_of(zone, sizeof(zone))));
    assert_true(smtp_dnsbl_address_name(&out, &a, bytes_of(zone, SMTP_DNSBL_NAME_BYTES_MAX - 8)));
    assert_false(smtp_dnsbl_domain_name(&out, BYTES("[192.0.2.1]"), BYTES("bad.example")));
    assert_false(smtp_dnsbl_domain_name(&out, BYTES("a..b"), BYTES("bad.example")));
    out = buf_over(memory, 10);
    assert_false(smtp_dnsbl_address_name(&out, &a, BYTES("bad.example")));
    assert_int_equal(out.len, 0);
}

struct filter_case {
    struct bytes filter, answer;
    enum smtp_dnsbl_answer want;
};

static void test_dnsbl_filters_meet_what_they_say(void **state)
{
    (void)state;
    static const struct filter_case cases[] = {
        {BYTES_INIT("127.0.0.2"), BYTES_INIT("127.0.0.2"), SMTP_DNSBL_LISTED},
        {BYTES_INIT("127.0.0.2"), BYTES_INIT("127.0.0.3"), SMTP_DNSBL_UNLISTED},
        {BYTES_INIT("127.0.0.2..11"), BYTES_INIT("127.0.0.11"), SMTP_DNSBL_LISTED},
        {BYTES_INIT("127.0.0.2..11"), BYTES_INIT("127.0.0.12"), SMTP_DNSBL_UNLISTED},
        {BYTES_INIT("127.0.0.[2..8;10]"), BYTES_INIT("127.0.0.10"), SMTP_DNSBL_LISTED},
        {BYTES_INIT("127.0.0.[2..8;10]"), BYTES_INIT("127.0.0.9"), SMTP_DNSBL_UNLISTED},
        {BYTES_INIT("127.0.[0..255].[1;2]"), BYTES_INIT("127.0.17.2"), SMTP_DNSBL_LISTED},
        {BYTES_INIT("127.0..3.0.1"), BYTES_INIT("127.3.0.1"), SMTP_DNSBL_LISTED},
        {BYTES_INIT("127.0.0.&12"), BYTES_INIT("127.0.0.6"), SMTP_DNSBL_LISTED},
        {BYTES_INIT("127.0.0.&12"), BYTES_INIT("127.0.0.3"), SMTP_DNSBL_UNLISTED},
        {BYTES_INIT(""), BYTES_INIT("127.0.0.77"), SMTP_DNSBL_LISTED},
        {BYTES_INIT(""), BYTES_INIT("192.0.2.1"), SMTP_DNSBL_UNLISTED},
        {BYTES_INIT("0..255.0..255.0..255.0..255"), BYTES_INIT("192.0.2.1"), SMTP_DNSBL_UNLISTED},
        {BYTES_INIT(""), BYTES_INIT("127.255.255.254"), SMTP_DNSBL_REFUSED},
        {BYTES_INIT("127.255.255.254"), BYTES_INIT("127.255.255.254"), SMTP_DNSBL_REFUSED},
        {BYTES_INIT(""), BYTES_INIT("::1"), SMTP_DNSBL_UNLISTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_dnsbl_filter filter;
        struct net_address answers[2] = {address_of(BYTES("10.0.0.1")), address_of(cases[i].answer)};
        if (cases[i].filter.len > 0) assert_true(smtp_dnsbl_filter_parse(cases[i].filter, &filter));
        else smtp_dnsbl_filter_any(&filter);
        assert_int_equal(smtp_dnsbl_judge(&filter, answers, 2), cases[i].want);
        assert_int_equal(smtp_dnsbl_judge(&filter, answers, 0), SMTP_DNSBL_UNLISTED);
    }
}

static void test_dnsbl_bad_filters_are_refused(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        BYTES_INIT(""), BYTES_INIT("127.0.0"), BYTES_INIT("127.0.0."), BYTES_INIT("127.0.0.2."), BYTES_INIT("127.0.0.256"), BYTES_INIT("127.0.0.5..2"),
        BYTES_INIT("127.0.0.2.."), BYTES_INIT("127.0.0.[2"), BYTES_INIT("127.0.0.[]"), BYTES_INIT("127.0.0.[2;]"), BYTES_INIT("127.0.0.&0"),
        BYTES_INIT("127.0.0.&"), BYTES_INIT("127.0.0.0002"), BYTES_INIT("127.0.0.x"), BYTES_INIT("127.0.0.2 "),
    };
    struct smtp_dnsbl_filter filter;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(smtp_dnsbl_filter_parse(bad[i], &filter));
}

static void test_dnsbl_score_counts_listings_only(void **state)
{
    (void)state;
    static const struct smtp_dnsbl_result results[] = {
        {3, SMTP_DNSBL_LISTED}, {5, SMTP_DNSBL_UNLISTED}, {-4, SMTP_DNSBL_LISTED}, {7, SMTP_DNSBL_REFUSED}, {2, SMTP_DNSBL_LISTED}};
    assert_int_equal(smtp_dnsbl_score(results, 5), 1);
    assert_int_equal(smtp_dnsbl_score(results, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dnsbl_names_are_reversed),
        cmocka_unit_test(test_dnsbl_names_that_cannot_be_are_refused),
        cmocka_unit_test(test_dnsbl_filters_meet_what_they_say),
        cmocka_unit_test(test_dnsbl_bad_filters_are_refused),
        cmocka_unit_test(test_dnsbl_score_counts_listings_only),
    };
    return cmocka_run_group_tests_name("dnsbl", tests, NULL, NULL);
}
