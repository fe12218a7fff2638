#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/xclient.h"

#define BIT(name) SMTP_XCLIENT_BIT(SMTP_XCLIENT_##name)

static void test_xclient_all_attributes_are_taken(void **state)
{
    (void)state;
    struct smtp_xclient x;
    uint8_t memory[128];
    struct buf out = BUF_OVER(memory);
    assert_true(smtp_xclient_parse(BYTES("NAME=spike.porcupine.org addr=IPV6:2001:db8::1 PORT=2525 PROTO=ESMTP HELO=a+2Bb LOGIN=wie+40example.org "
                                         "DESTADDR=192.0.2.9 DESTPORT=25"), &x));
    assert_int_equal(x.present, SMTP_XCLIENT_BIT(SMTP_XCLIENT_COUNT) - 1);
    assert_int_equal(x.unavailable | x.temporary, 0);
    assert_true(bytes_equal(x.name, BYTES("spike.porcupine.org")));
    assert_true(bytes_equal(x.helo, BYTES("a+b")));
    assert_true(bytes_equal(x.login, BYTES("wie@example.org")));
    assert_true(x.esmtp);
    net_print_ip_port(&out, &x.address);
    buf_put_c(&out, ' ');
    net_print_ip_port(&out, &x.destination);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("[2001:db8::1]:2525 192.0.2.9:25")));
    assert_true(smtp_xclient_parse(BYTES("PORT=7 ADDR=192.0.2.1"), &x)); /* in any order */
    assert_int_equal(x.address.port, 7);
}

static void test_xclient_missing_values_are_said_to_be(void **state)
{
    (void)state;
    struct smtp_xclient x;
    assert_true(smtp_xclient_parse(BYTES("NAME=[TEMPUNAVAIL]  ADDR=[UNAVAILABLE] HELO=[unavailable]"), &x));
    assert_int_equal(x.present, BIT(NAME) | BIT(ADDR) | BIT(HELO));
    assert_int_equal(x.temporary, BIT(NAME));
    assert_int_equal(x.unavailable, BIT(ADDR) | BIT(HELO));
    assert_int_equal(x.name.len, 0);
    assert_int_equal(x.address.family, NET_NONE);
}

static void test_xclient_what_is_not_by_the_letter_is_refused(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        BYTES_INIT(""), BYTES_INIT(" "), BYTES_INIT("NAME"), BYTES_INIT("NAME="), BYTES_INIT("=x"), BYTES_INIT("FOO=x"), BYTES_INIT("NAME=a NAME=a"),
        BYTES_INIT("ADDR=2001:db8::1"), BYTES_INIT("ADDR=IPV6:192.0.2.1"), BYTES_INIT("ADDR=192.0.2"), BYTES_INIT("PORT=0"), BYTES_INIT("PORT=65536"),
        BYTES_INIT("PORT=1e1"), BYTES_INIT("PROTO=LMTP"), BYTES_INIT("PROTO=[UNAVAILABLE]"), BYTES_INIT("HELO=a+20b"), BYTES_INIT("HELO=a+0A"),
        BYTES_INIT("HELO=a+0"), BYTES_INIT("HELO=a+0a"), BYTES_INIT("LOGIN=+FF"), BYTES_INIT("NAME=a..b"), BYTES_INIT("NAME=192.0.2.1"),
        BYTES_INIT("NAME=a HELO"), BYTES_INIT("NAME=[OTHER]"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct smtp_xclient x;
        assert_false(smtp_xclient_parse(bad[i], &x));
        assert_int_equal(x.present, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xclient_all_attributes_are_taken),
        cmocka_unit_test(test_xclient_missing_values_are_said_to_be),
        cmocka_unit_test(test_xclient_what_is_not_by_the_letter_is_refused),
    };
    return cmocka_run_group_tests_name("xclient", tests, NULL, NULL);
}
