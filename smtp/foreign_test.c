/* Tests of telling other protocols from SMTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/foreign.h"

static const struct { struct bytes in; enum smtp_foreign first, line; } cases[] = {
    {BYTES_INIT("EHLO client.example"), SMTP_FOREIGN_NONE, SMTP_FOREIGN_NONE},
    {BYTES_INIT(""), SMTP_FOREIGN_NONE, SMTP_FOREIGN_NONE},
    {BYTES_INIT("\x16\x03\x01\x02"), SMTP_FOREIGN_TLS, SMTP_FOREIGN_NONE},
    {BYTES_INIT("\x16"), SMTP_FOREIGN_TLS, SMTP_FOREIGN_NONE},
    {BYTES_INIT("\x16\x05"), SMTP_FOREIGN_NONE, SMTP_FOREIGN_NONE},
    {BYTES_INIT("GET / HTTP/1.1"), SMTP_FOREIGN_HTTP, SMTP_FOREIGN_HTTP},
    {BYTES_INIT("POST /x y HTTP/1.0"), SMTP_FOREIGN_HTTP, SMTP_FOREIGN_HTTP},
    {BYTES_INIT("PRI * HTTP/2.0"), SMTP_FOREIGN_HTTP, SMTP_FOREIGN_HTTP},
    {BYTES_INIT("CONNECT mx.example:25 HTTP/1.1"), SMTP_FOREIGN_HTTP, SMTP_FOREIGN_HTTP},
    {BYTES_INIT("GET / HTTP"), SMTP_FOREIGN_HTTP, SMTP_FOREIGN_NONE},
    {BYTES_INIT("GETTING / HTTP/1.1"), SMTP_FOREIGN_NONE, SMTP_FOREIGN_NONE},
    {BYTES_INIT("HELP HTTP/1.1"), SMTP_FOREIGN_NONE, SMTP_FOREIGN_NONE},
    {BYTES_INIT("SSH-2.0-OpenSSH_9.2p1"), SMTP_FOREIGN_SSH, SMTP_FOREIGN_SSH},
};

static void test_foreign_octets_and_lines_are_told_by_their_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(smtp_foreign_first(cases[i].in), cases[i].first);
        assert_int_equal(smtp_foreign_line(cases[i].in), cases[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_foreign_octets_and_lines_are_told_by_their_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
