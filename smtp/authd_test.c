#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/authd.h"

struct line_case {
    struct bytes line;
    enum smtp_authd_kind want;
    uint32_t id;
    struct bytes text;
};

static void test_authd_lines_of_a_server_are_read(void **state)
{
    (void)state;
    static const struct line_case cases[] = {
        {BYTES_INIT("VERSION\t1\t2"), SMTP_AUTHD_VERSION, 0, BYTES_INIT("")},
        {BYTES_INIT("VERSION\t2\t0"), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT("VERSION\tx\t0"), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT("MECH\tPLAIN\tplaintext"), SMTP_AUTHD_MECH, 0, BYTES_INIT("PLAIN")},
        {BYTES_INIT("MECH\tSCRAM-SHA-256\tmutual-auth"), SMTP_AUTHD_MECH, 0, BYTES_INIT("SCRAM-SHA-256")},
        {BYTES_INIT("MECH\tpl ain"), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT("MECH"), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT("SPID\t123"), SMTP_AUTHD_HANDSHAKE, 0, BYTES_INIT("")},
        {BYTES_INIT("CUID\t1"), SMTP_AUTHD_HANDSHAKE, 0, BYTES_INIT("")},
        {BYTES_INIT("COOKIE\t00ff"), SMTP_AUTHD_HANDSHAKE, 0, BYTES_INIT("")},
        {BYTES_INIT("DONE"), SMTP_AUTHD_DONE, 0, BYTES_INIT("")},
        {BYTES_INIT("FUTURE\tx"), SMTP_AUTHD_OTHER, 0, BYTES_INIT("")},
        {BYTES_INIT("CONT\t7\tVXNlcm5hbWU6"), SMTP_AUTHD_CONT, 7, BYTES_INIT("VXNlcm5hbWU6")},
        {BYTES_INIT("CONT\t7\t"), SMTP_AUTHD_CONT, 7, BYTES_INIT("")},
        {BYTES_INIT("CONT\t7\ta b"), SMTP_AUTHD_BAD, 7, BYTES_INIT("")},
        {BYTES_INIT("CONT\t4294967296\tYQ=="), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT("OK\t7\tuser=joe@example.org\tother"), SMTP_AUTHD_OK, 7, BYTES_INIT("joe@example.org")},
        {BYTES_INIT("OK\t7\tx=y\tuser=a\1zb"), SMTP_AUTHD_OK, 7, BYTES_INIT("azb")},
        {BYTES_INIT("OK\t7\tuser=a\1" "1b"), SMTP_AUTHD_BAD, 7, BYTES_INIT("")}, /* a name with a control octet is none, escaped or not */
        {BYTES_INIT("OK\t7"), SMTP_AUTHD_BAD, 7, BYTES_INIT("")},
        {BYTES_INIT("OK\t7\tuser="), SMTP_AUTHD_BAD, 7, BYTES_INIT("")},
        {BYTES_INIT("OK\t7\tuser=a\1nb"), SMTP_AUTHD_BAD, 7, BYTES_INIT("")},
        {BYTES_INIT("OK\t7\tuser=a\1"), SMTP_AUTHD_BAD, 7, BYTES_INIT("")},
        {BYTES_INIT("FAIL\t7\tuser=joe"), SMTP_AUTHD_FAIL, 7, BYTES_INIT("")},
        {BYTES_INIT("FAIL\t7\treason=no\1tway"), SMTP_AUTHD_FAIL, 7, BYTES_INIT("no\tway")},
        {BYTES_INIT("FAIL\t"), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT(""), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
        {BYTES_INIT("DONE\nOK\t1\tuser=x"), SMTP_AUTHD_BAD, 0, BYTES_INIT("")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t memory[512];
        struct buf scratch = BUF_OVER(memory);
        struct smtp_authd_line line = smtp_authd_parse(cases[i].line, &scratch);
        assert_int_equal(line.kind, cases[i].want);
        if (line.kind == SMTP_AUTHD_BAD) continue;
        assert_int_equal(line.id, cases[i].id);
        assert_true(bytes_equal(line.text, cases[i].text));
    }
}

static void test_authd_flags_and_failures_are_told_apart(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf scratch = BUF_OVER(memory);
    struct smtp_authd_line line = smtp_authd_parse(BYTES("MECH\tDOVECOT-TOKEN\tdictionary\tprivate"), &scratch);
    assert_true(line.private && !line.plaintext);
    assert_true(smtp_authd_parse(BYTES("MECH\tLOGIN\tplaintext"), &scratch).plaintext);
    assert_int_equal(smtp_authd_parse(BYTES("FAIL\t1\tuser=x"), &scratch).failure, SMTP_AUTHD_WRONG);
    assert_int_equal(smtp_authd_parse(BYTES("FAIL\t1\tuser=x\ttemp"), &scratch).failure, SMTP_AUTHD_TEMPORARY);
    assert_int_equal(smtp_authd_parse(BYTES("FAIL\t1\tcode=temp_fail\tauthz"), &scratch).failure, SMTP_AUTHD_TEMPORARY);
    assert_int_equal(smtp_authd_parse(BYTES("FAIL\t1\tcode=pass_expired"), &scratch).failure, SMTP_AUTHD_NOT_ALLOWED);
    assert_int_equal(smtp_authd_parse(BYTES("FAIL\t1\tuser_disabled\ttemp"), &scratch).failure, SMTP_AUTHD_TEMPORARY);
}

static void test_authd_what_we_say_is_by_the_protocol(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct buf out = BUF_OVER(memory);
    struct smtp_authd_request request = {.id = 7, .mechanism = BYTES("PLAIN"), .secured = true, .has_initial = true, .initial = BYTES("AHQAcA==")};
    smtp_authd_hello(&out, 42);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("VERSION\t1\t1\nCPID\t42\n")));
    out.len = 0;
    assert_true(net_parse_ip_port(BYTES("192.0.2.1:587"), &request.local) && net_parse_ip_port(BYTES("[2001:db8::1]:9"), &request.remote));
    assert_true(smtp_authd_auth(&out, &request));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\tlport=587\trip=2001:db8::1\trport=9\tsecured\t"
                                                   "resp=AHQAcA==\n")));
    out.len = 0;
    request = (struct smtp_authd_request){.id = 8, .mechanism = BYTES("EXTERNAL"), .certificate = true, .certificate_user = BYTES("a\tb\n")};
    assert_true(smtp_authd_auth(&out, &request));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("AUTH\t8\tEXTERNAL\tservice=smtp\tnologin\tvalid-client-cert\tcert_username=a\1tb\1n\n")));
    out.len = 0;
    assert_true(smtp_authd_cont(&out, 7, BYTES("")));
    smtp_authd_cancel(&out, 8);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("CONT\t7\t\nCANCEL\t8\n")));
}

static void test_authd_what_would_break_a_line_is_not_said(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = BUF_OVER(memory);
    struct smtp_authd_request request = {.id = 7, .mechanism = BYTES("PLAIN"), .has_initial = true, .initial = BYTES("A\nOK\t1")};
    assert_false(smtp_authd_auth(&out, &request));
    assert_false(smtp_authd_cont(&out, 7, BYTES("A\tB")));
    request.initial = BYTES("");
    request.mechanism = BYTES("PLAIN\tx");
    assert_false(smtp_authd_auth(&out, &request));
    request.mechanism = BYTES("PLAIN");
    request.id = 0;
    assert_false(smtp_authd_auth(&out, &request));
    request.id = 1;
    out = buf_over(memory, 20);
    assert_false(smtp_authd_auth(&out, &request));
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authd_lines_of_a_server_are_read),
        cmocka_unit_test(test_authd_flags_and_failures_are_told_apart),
        cmocka_unit_test(test_authd_what_we_say_is_by_the_protocol),
        cmocka_unit_test(test_authd_what_would_break_a_line_is_not_said),
    };
    return cmocka_run_group_tests_name("authd", tests, NULL, NULL);
}
