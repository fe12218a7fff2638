#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/tlsa.h"

static const uint8_t octets[SMTP_TLSA_DATA_BYTES_MAX + 1];

static struct smtp_tlsa record(uint8_t usage, uint8_t selector, uint8_t matching, uint32_t n)
{
    return (struct smtp_tlsa){usage, selector, matching, bytes_of(octets, n)};
}

struct usable_case {
    uint8_t usage, selector, matching;
    uint32_t bytes;
    bool want;
};

static void test_tlsa_usable_by_rfc7672(void **state)
{
    (void)state;
    static const struct usable_case cases[] = {
        {3, 1, 1, 32, true}, {3, 1, 2, 64, true},  {3, 0, 0, 900, true}, {2, 0, 1, 32, true},  {2, 1, 0, 300, true},
        {0, 1, 1, 32, false}, {1, 1, 1, 32, false}, {4, 1, 1, 32, false}, {255, 1, 1, 32, false}, {3, 2, 1, 32, false},
        {3, 1, 3, 32, false}, {3, 1, 1, 31, false}, {3, 1, 1, 33, false}, {3, 1, 2, 32, false}, {3, 1, 0, 0, false},
        {3, 1, 0, SMTP_TLSA_DATA_BYTES_MAX + 1, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_tlsa t = record(cases[i].usage, cases[i].selector, cases[i].matching, cases[i].bytes);
        assert_int_equal(smtp_tlsa_usable(&t), cases[i].want);
    }
}

static void test_tlsa_parse_too_short_is_refused(void **state)
{
    (void)state;
    struct smtp_tlsa t;
    assert_false(smtp_tlsa_parse(BYTES(""), &t));
    assert_false(smtp_tlsa_parse(BYTES("\3\1"), &t));
    assert_true(smtp_tlsa_parse(BYTES("\3\1\1"), &t));
    assert_int_equal(t.data.len, 0);
    assert_true(smtp_tlsa_parse(BYTES("\3\1\2abc"), &t));
    assert_int_equal(t.matching, 2);
    assert_true(bytes_equal(t.data, BYTES("abc")));
}

static void test_tlsa_choose_strongest_digest_of_each_kind(void **state)
{
    (void)state;
    uint32_t chosen = 9;
    assert_int_equal(smtp_tlsa_choose(NULL, 0, &chosen), SMTP_TLSA_NONE);
    assert_int_equal(chosen, 0);
    struct smtp_tlsa useless[] = {record(0, 0, 1, 32), record(3, 1, 1, 5)};
    assert_int_equal(smtp_tlsa_choose(useless, 2, &chosen), SMTP_TLSA_ENCRYPT);
    struct smtp_tlsa mixed[] = {record(3, 1, 1, 32), record(3, 1, 2, 64), record(3, 1, 0, 90), record(2, 0, 1, 32), record(3, 0, 1, 32), record(1, 1, 2, 64),
                                record(2, 0, 2, 63)};
    assert_int_equal(smtp_tlsa_choose(mixed, 7, &chosen), SMTP_TLSA_VERIFY);
    assert_int_equal(chosen, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4); /* the broken 2 0 2 outdoes nobody */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tlsa_usable_by_rfc7672),
        cmocka_unit_test(test_tlsa_parse_too_short_is_refused),
        cmocka_unit_test(test_tlsa_choose_strongest_digest_of_each_kind),
    };
    return cmocka_run_group_tests_name("tlsa", tests, NULL, NULL);
}
