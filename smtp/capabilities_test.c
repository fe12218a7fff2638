#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/capabilities.h"

static void test_capabilities_line_cases_are_taken_or_ignored(void **state)
{
    (void)state;
    static const struct {
        struct bytes line;
        uint32_t set;
        uint64_t size;
        uint32_t rcpt_max, mail_max;
    } cases[] = {
        {BYTES_INIT("PIPELINING"), SMTP_CAP_PIPELINING, 0, 0, 0},
        {BYTES_INIT("pipelining "), SMTP_CAP_PIPELINING, 0, 0, 0},
        {BYTES_INIT("SIZE"), SMTP_CAP_SIZE, 0, 0, 0},
        {BYTES_INIT("SIZE 0"), SMTP_CAP_SIZE, 0, 0, 0},
        {BYTES_INIT("SIZE  52428800 "), SMTP_CAP_SIZE, 52428800, 0, 0},
        {BYTES_INIT("SIZE 18446744073709551615"), SMTP_CAP_SIZE, UINT64_MAX, 0, 0},
        {BYTES_INIT("SIZE 18446744073709551616"), 0, 0, 0, 0},
        {BYTES_INIT("SIZE -1"), 0, 0, 0, 0},
        {BYTES_INIT("SIZE 1 2"), 0, 0, 0, 0},
        {BYTES_INIT("SIZE=100"), 0, 0, 0, 0},
        {BYTES_INIT("8BITMIME"), SMTP_CAP_8BITMIME, 0, 0, 0},
        {BYTES_INIT("SMTPUTF8"), SMTP_CAP_SMTPUTF8, 0, 0, 0},
        {BYTES_INIT("DSN"), SMTP_CAP_DSN, 0, 0, 0},
        {BYTES_INIT("ENHANCEDSTATUSCODES"), SMTP_CAP_ENHANCEDSTATUSCODES, 0, 0, 0},
        {BYTES_INIT("CHUNKING"), SMTP_CAP_CHUNKING, 0, 0, 0},
        {BYTES_INIT("STARTTLS"), SMTP_CAP_STARTTLS, 0, 0, 0},
        {BYTES_INIT("REQUIRETLS"), SMTP_CAP_REQUIRETLS, 0, 0, 0},
        {BYTES_INIT("AUTH PLAIN LOGIN"), SMTP_CAP_AUTH, 0, 0, 0},
        {BYTES_INIT("AUTH=PLAIN LOGIN"), 0, 0, 0, 0},
        {BYTES_INIT("LIMITS RCPTMAX=20 MAILMAX=5"), SMTP_CAP_LIMITS, 0, 20, 5},
        {BYTES_INIT("LIMITS  mailmax=1  OTHER=2"), SMTP_CAP_LIMITS, 0, 0, 1},
        {BYTES_INIT("LIMITS RCPTMAX=0 MAILMAX=x RCPTMAX RCPTMAX= =5"), SMTP_CAP_LIMITS, 0, 0, 0},
        {BYTES_INIT("LIMITS RCPTMAX=4294967296"), SMTP_CAP_LIMITS, 0, 0, 0},
        {BYTES_INIT("LIMITS RCPTMAX=4294967295"), SMTP_CAP_LIMITS, 0, UINT32_MAX, 0},
        {BYTES_INIT("XCLIENT NAME"), 0, 0, 0, 0},
        {BYTES_INIT("PIPELINING\0"), 0, 0, 0, 0},
        {BYTES_INIT("SIZE\t100"), 0, 0, 0, 0},
        {BYTES_INIT("SIZE 100\xff"), 0, 0, 0, 0},
        {BYTES_INIT(" SIZE 100"), 0, 0, 0, 0},
        {BYTES_INIT(""), 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct smtp_capabilities c = {0};
        smtp_capabilities_line(&c, cases[i].line);
        bool same = c.set == cases[i].set && c.size_max_bytes == cases[i].size && c.rcpt_max == cases[i].rcpt_max && c.mail_max == cases[i].mail_max;
        if (!same) fail_msg("'%s': set %u", (const char *)cases[i].line.ptr, c.set);
    }
}

static void test_capabilities_line_repeated_the_last_counts(void **state)
{
    (void)state;
    struct smtp_capabilities c = {0};
    smtp_capabilities_line(&c, BYTES("SIZE 100"));
    smtp_capabilities_line(&c, BYTES("SIZE 200"));
    smtp_capabilities_line(&c, BYTES("SIZE 3x"));
    assert_int_equal(c.size_max_bytes, 200);
}

static void test_capabilities_line_thousands_of_unknown_ones_keep_nothing(void **state)
{
    (void)state;
    struct smtp_capabilities c = {0};
    static uint8_t keyword[2000];
    memset(keyword, 'X', sizeof(keyword));
    for (int i = 0; i < 10000; i++) smtp_capabilities_line(&c, bytes_of(keyword, sizeof(keyword)));
    assert_int_equal(c.set, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capabilities_line_cases_are_taken_or_ignored),
        cmocka_unit_test(test_capabilities_line_repeated_the_last_counts),
        cmocka_unit_test(test_capabilities_line_thousands_of_unknown_ones_keep_nothing),
    };
    return cmocka_run_group_tests_name("capabilities", tests, NULL, NULL);
}
