#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/greylist.h"

struct key_case {
    struct bytes client, sender, recipient, want;
};

static void test_greylist_keys_leave_out_what_changes(void **state)
{
    (void)state;
    static const struct key_case cases[] = {
        {BYTES_INIT("192.0.2.77"), BYTES_INIT("Joe@Example.org"), BYTES_INIT("Bob+x1@ours.example"),
         BYTES_INIT("192.0.2.0/24\njoe@example.org\nbob+x1@ours.example")},
        {BYTES_INIT("2001:db8:1:2:3::4"), BYTES_INIT(""), BYTES_INIT("b@c"), BYTES_INIT("2001:db8:1:2::/64\n\nb@c")},
        {BYTES_INIT("192.0.2.77"), BYTES_INIT("list+bob=ours.example@lists.example"), BYTES_INIT("b@c"), BYTES_INIT("192.0.2.0/24\nlist@lists.example\nb@c")},
        {BYTES_INIT("192.0.2.77"), BYTES_INIT("bounce-1234-77x9@lists2.example"), BYTES_INIT("b@c"),
         BYTES_INIT("192.0.2.0/24\nbounce-#-#x#@lists2.example\nb@c")},
        {BYTES_INIT("192.0.2.77"), BYTES_INIT("prvs=1234abcdef=joe@example.org"), BYTES_INIT("b@c"), BYTES_INIT("192.0.2.0/24\njoe@example.org\nb@c")},
        {BYTES_INIT("192.0.2.77"), BYTES_INIT("prvs=12@example.org"), BYTES_INIT("b@c"), BYTES_INIT("192.0.2.0/24\nprvs=#@example.org\nb@c")},
        {BYTES_INIT("192.0.2.77"), BYTES_INIT("+x@example.org"), BYTES_INIT("b@c"), BYTES_INIT("192.0.2.0/24\n+x@example.org\nb@c")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t memory[SMTP_GREYLIST_KEY_BYTES_MAX];
        struct buf out = BUF_OVER(memory);
        struct net_address client;
        assert_true(net_parse_ip(cases[i].client, &client));
        smtp_greylist_key(&out, &client, SMTP_GREYLIST_IPV4_BITS, SMTP_GREYLIST_IPV6_BITS, cases[i].sender, cases[i].recipient);
        assert_false(out.overflow);
        assert_true(bytes_equal(buf_bytes(&out), cases[i].want));
    }
}

static void test_greylist_client_bits_are_held_to_the_address(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct buf out = BUF_OVER(memory);
    struct net_address client, none = {0};
    assert_true(net_parse_ip(BYTES("192.0.2.255"), &client));
    smtp_greylist_client(&out, &client, 0, 64);
    buf_put_c(&out, ' ');
    smtp_greylist_client(&out, &client, 27, 64);
    buf_put_c(&out, ' ');
    smtp_greylist_client(&out, &client, 99, 64);
    buf_put_c(&out, ' ');
    smtp_greylist_client(&out, &none, 24, 64);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("0.0.0.0/0 192.0.2.224/27 192.0.2.255/32 unknown/0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greylist_keys_leave_out_what_changes),
        cmocka_unit_test(test_greylist_client_bits_are_held_to_the_address),
    };
    return cmocka_run_group_tests_name("greylist", tests, NULL, NULL);
}
