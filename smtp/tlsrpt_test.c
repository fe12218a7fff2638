#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/tlsrpt.h"

#define ASSERT_TEXT(got, want) assert_true(bytes_equal((got), (want)))

struct record_case {
    struct bytes text, rua; /* empty rua = refused */
};

static void test_tlsrpt_record_by_the_grammar(void **state)
{
    (void)state;
    static const struct record_case cases[] = {
        {BYTES_INIT("v=TLSRPTv1;rua=mailto:reports@example.com"), BYTES_INIT("mailto:reports@example.com")},
        {BYTES_INIT("v=TLSRPTv1; rua=https://r.example.com/v1/tlsrpt ; x=y;"), BYTES_INIT("https://r.example.com/v1/tlsrpt")},
        {BYTES_INIT("v=TLSRPTv1; x=y; rua=mailto:a@b, https://c/d"), BYTES_INIT("mailto:a@b, https://c/d")},
        {BYTES_INIT("v=TLSRPTv1"), BYTES_INIT("")},
        {BYTES_INIT("v=TLSRPTv1;"), BYTES_INIT("")},
        {BYTES_INIT("v=TLSRPTv1; rua="), BYTES_INIT("")},
        {BYTES_INIT("v=TLSRPTv1; rua=a; rua=b"), BYTES_INIT("")},
        {BYTES_INIT("v=TLSRPTv1;; rua=mailto:a@b"), BYTES_INIT("")},
        {BYTES_INIT("v=TLSRPTv2; rua=mailto:a@b"), BYTES_INIT("")},
        {BYTES_INIT("v=TLSRPTv1x; rua=mailto:a@b"), BYTES_INIT("")},
        {BYTES_INIT(""), BYTES_INIT("")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes rua = BYTES("");
        assert_int_equal(smtp_tlsrpt_record_parse(cases[i].text, &rua), cases[i].rua.len > 0);
        ASSERT_TEXT(rua, cases[i].rua);
    }
}

static void test_tlsrpt_uris_usable_ones_come(void **state)
{
    (void)state;
    struct bytes rua = BYTES("ftp://x, mailto:a@b ,,https://,mailto:,HTTPS://c/d, mailto:a b"), uri = BYTES("");
    assert_int_equal(smtp_tlsrpt_uri_next(&rua, &uri), SMTP_TLSRPT_MAILTO);
    ASSERT_TEXT(uri, BYTES("a@b"));
    assert_int_equal(smtp_tlsrpt_uri_next(&rua, &uri), SMTP_TLSRPT_HTTPS);
    ASSERT_TEXT(uri, BYTES("HTTPS://c/d"));
    assert_int_equal(smtp_tlsrpt_uri_next(&rua, &uri), SMTP_TLSRPT_END);
}

static void test_tlsrpt_report_of_two_policies_is_json(void **state)
{
    (void)state;
    static const struct bytes want = BYTES_INIT(
        "{\"organization-name\":\"Ours \\\"Inc\\\"\",\"date-range\":{\"start-datetime\":\"2026-11-22T00:00:00Z\",\"end-datetime\":\"2026-11-22T23:59:59Z\"},"
        "\"contact-info\":\"tls@ours.example\",\"report-id\":\"1@ours\",\"policies\":["
        "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: testing\"],\"policy-domain\":\"their.example\","
        "\"mx-host\":[\"*.their.example\"]},\"summary\":{\"total-successful-session-count\":5326,\"total-failure-session-count\":303},"
        "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.1\",\"receiving-mx-hostname\":\"mx1.their.example\","
        "\"receiving-ip\":\"2001:db8::1\",\"failed-session-count\":100},"
        "{\"result-type\":\"starttls-not-supported\",\"failed-session-count\":203,\"failure-reason-code\":\"none\"}]},"
        "{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"other.example\"},"
        "\"summary\":{\"total-successful-session-count\":1,\"total-failure-session-count\":0},\"failure-details\":[]}]}");
    uint8_t memory[4096];
    struct buf out = BUF_OVER(memory);
    struct smtp_tlsrpt_report report = {BYTES("Ours \"Inc\""), BYTES("tls@ours.example"), BYTES("1@ours"), 1795305600, 1795391999};
    struct smtp_tlsrpt_policy sts = {SMTP_TLSRPT_STS, BYTES("their.example"), BYTES("version: STSv1\r\nmode: testing\r\n"),
                                     BYTES("*.their.example"), 5326, 303};
    struct smtp_tlsrpt_policy none = {SMTP_TLSRPT_NO_POLICY, BYTES("other.example"), BYTES(""), BYTES(""), 1, 0};
    struct smtp_tlsrpt_failure expired = {.result = SMTP_TLSRPT_CERTIFICATE_EXPIRED, .mx_host = BYTES("mx1.their.example"), .sessions = 100};
    struct smtp_tlsrpt_failure clear = {.result = SMTP_TLSRPT_STARTTLS_NOT_SUPPORTED, .reason = BYTES("none"), .sessions = 203};
    assert_true(net_parse_ip(BYTES("192.0.2.1"), &expired.sending));
    assert_true(net_parse_ip(BYTES("2001:db8::1"), &expired.receiving));
    smtp_tlsrpt_begin(&out, &report);
    smtp_tlsrpt_policy(&out, &sts);
    smtp_tlsrpt_failure(&out, &expired);
    smtp_tlsrpt_failure(&out, &clear);
    smtp_tlsrpt_policy_end(&out);
    smtp_tlsrpt_policy(&out, &none);
    smtp_tlsrpt_policy_end(&out);
    smtp_tlsrpt_end(&out);
    assert_false(out.overflow);
    ASSERT_TEXT(buf_bytes(&out), want);
}

static void test_tlsrpt_file_name_is_safe(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct buf out = BUF_OVER(memory);
    smtp_tlsrpt_file_name(&out, BYTES("mail.ours.example"), BYTES("../their!example"), 1795305600, 1795391999);
    ASSERT_TEXT(buf_bytes(&out), BYTES("mail.ours.example!_._their_example!1795305600!1795391999.json"));
    for (uint32_t r = 0; r < SMTP_TLSRPT_RESULT_COUNT; r++) assert_true(smtp_tlsrpt_result_name((enum smtp_tlsrpt_result)r).len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tlsrpt_record_by_the_grammar),
        cmocka_unit_test(test_tlsrpt_uris_usable_ones_come),
        cmocka_unit_test(test_tlsrpt_report_of_two_policies_is_json),
        cmocka_unit_test(test_tlsrpt_file_name_is_safe),
    };
    return cmocka_run_group_tests_name("tlsrpt", tests, NULL, NULL);
}
