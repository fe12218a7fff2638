#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/envelope.h"
#include "smtp/stamp.h"

static void test_date_write_cases_are_rfc_5322_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_s;
        struct bytes want;
    } cases[] = {
        {0, BYTES_INIT("Thu, 01 Jan 1970 00:00:00 +0000")},
        {1795378830, BYTES_INIT("Sun, 22 Nov 2026 20:20:30 +0000")},
        {951782400, BYTES_INIT("Tue, 29 Feb 2000 00:00:00 +0000")},
        {2147483648, BYTES_INIT("Tue, 19 Jan 2038 03:14:08 +0000")},
        {4294967296, BYTES_INIT("Sun, 07 Feb 2106 06:28:16 +0000")},
        {253402300799, BYTES_INIT("Fri, 31 Dec 9999 23:59:59 +0000")},
        {INT64_MAX, BYTES_INIT("Fri, 31 Dec 9999 23:59:59 +0000")},
        {INT64_MIN, BYTES_INIT("Thu, 01 Jan 1970 00:00:00 +0000")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t memory[64];
        struct buf out = BUF_OVER(memory);
        smtp_date_write(&out, cases[i].wall_s);
        if (!bytes_equal(buf_bytes(&out), cases[i].want)) fail_msg("%.*s", (int)out.len, (const char *)memory);
    }
}

static struct smtp_received example(void)
{
    return (struct smtp_received){
        .helo = BYTES("client.example"), .client_name = BYTES("mail.client.example"), .client = {NET_IPV4, {192, 0, 2, 1}, 40000},
        .by = BYTES("mx.example"), .with = BYTES("ESMTP"), .for_address = BYTES("a@b.example"), .wall_s = 1795378830,
    };
}

static void check_received(const struct smtp_received *r, struct bytes want)
{
    uint8_t memory[4096];
    struct buf out = BUF_OVER(memory);
    uint32_t id_offset = 0;
    smtp_received_write(&out, r, &id_offset);
    if (!bytes_equal(buf_bytes(&out), want)) fail_msg("%.*s", (int)out.len, (const char *)memory);
    assert_true(bytes_equal(bytes_slice(buf_bytes(&out), id_offset, MESSAGE_ID_TEXT_BYTES), BYTES("0000000000000000")));
}

static void test_received_write_with_everything_is_folded(void **state)
{
    (void)state;
    struct smtp_received r = example();
    check_received(&r, BYTES("Received: from client.example (mail.client.example [192.0.2.1])\r\n"
                             "\tby mx.example (Bulkhead) with ESMTP id 0000000000000000\r\n"
                             "\tfor <a@b.example>;\r\n"
                             "\tSun, 22 Nov 2026 20:20:30 +0000\r\n"));
}

static void test_received_write_ipv6_is_tagged(void **state)
{
    (void)state;
    struct smtp_received r = example();
    r.client = (struct net_address){NET_IPV6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0};
    r.client_name = BYTES("unknown");
    r.for_address = BYTES("");
    check_received(&r, BYTES("Received: from client.example (unknown [IPv6:2001:db8::1])\r\n"
                             "\tby mx.example (Bulkhead) with ESMTP id 0000000000000000;\r\n"
                             "\tSun, 22 Nov 2026 20:20:30 +0000\r\n"));
}

static void test_received_write_own_mail_has_no_client(void **state)
{
    (void)state;
    struct smtp_received r = example();
    r.client.family = NET_NONE;
    r.helo = r.for_address = BYTES("");
    check_received(&r, BYTES("Received: by mx.example (Bulkhead) with ESMTP id 0000000000000000;\r\n"
                             "\tSun, 22 Nov 2026 20:20:30 +0000\r\n"));
}

static void test_received_write_says_which_user_of_this_host(void **state)
{
    (void)state;
    struct smtp_received r = example();
    r.client.family = NET_NONE;
    r.uid = 1000;
    r.for_address = BYTES("");
    check_received(&r, BYTES("Received: by mx.example (Bulkhead, from uid 1000) with ESMTP id 0000000000000000;\r\n"
                             "\tSun, 22 Nov 2026 20:20:30 +0000\r\n"));
}

static void test_received_write_hostile_names_stay_in_their_place(void **state)
{
    (void)state;
    struct smtp_received r = example();
    r.helo = BYTES("x)\r\nBcc: (y\0\xff");
    r.client_name = BYTES("[192.0.2.7]) by us (");
    r.for_address = BYTES("\"a\r\nX: y\"@b");
    check_received(&r, BYTES("Received: from x???Bcc:??y?? ([192.0.2.7]??by?us?? [192.0.2.1])\r\n"
                             "\tby mx.example (Bulkhead) with ESMTP id 0000000000000000\r\n"
                             "\tfor <\"a??X: y\"@b>;\r\n"
                             "\tSun, 22 Nov 2026 20:20:30 +0000\r\n"));
}

static void test_received_write_long_names_keep_lines_under_998(void **state)
{
    (void)state;
    static uint8_t name[5000], memory[PREFIX_BYTES_MAX];
    memset(name, 'x', sizeof(name));
    struct smtp_received r = example();
    r.helo = r.client_name = r.by = r.for_address = bytes_of(name, sizeof(name));
    struct buf out = BUF_OVER(memory);
    uint32_t id_offset = 0;
    smtp_received_write(&out, &r, &id_offset);
    assert_false(out.overflow);
    struct bytes rest = buf_bytes(&out);
    while (rest.len > 0) {
        uint32_t line = bytes_find(rest, '\n') + 1;
        assert_true(line <= 1000);
        rest = bytes_from(rest, line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_write_cases_are_rfc_5322_dates),
        cmocka_unit_test(test_received_write_with_everything_is_folded),
        cmocka_unit_test(test_received_write_ipv6_is_tagged),
        cmocka_unit_test(test_received_write_own_mail_has_no_client),
        cmocka_unit_test(test_received_write_says_which_user_of_this_host),
        cmocka_unit_test(test_received_write_hostile_names_stay_in_their_place),
        cmocka_unit_test(test_received_write_long_names_keep_lines_under_998),
    };
    return cmocka_run_group_tests_name("stamp", tests, NULL, NULL);
}
