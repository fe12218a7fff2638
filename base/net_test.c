/*
 * Tests of addresses: every parser with what it must refuse, and the printer against RFC 5952.
 */
#include "base/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct net_address parse(struct bytes text)
{
    struct net_address a;
    assert_true(net_parse_ip(text, &a));
    return a;
}

static void assert_prints(const struct net_address *a, struct bytes want)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    net_print_ip(&text, a);
    assert_int_equal(text.len, want.len);
    assert_memory_equal(memory, want.ptr, want.len);
}

static void test_net_parse_ip_prints_back_in_rfc5952_form(void **unused)
{
    static const struct {
        struct bytes text, want;
    } cases[] = {
        {BYTES_INIT("192.0.2.1"), BYTES_INIT("192.0.2.1")},
        {BYTES_INIT("0.0.0.0"), BYTES_INIT("0.0.0.0")},
        {BYTES_INIT("::"), BYTES_INIT("::")},
        {BYTES_INIT("::1"), BYTES_INIT("::1")},
        {BYTES_INIT("1::"), BYTES_INIT("1::")},
        {BYTES_INIT("2001:0DB8:0:0:0:0:0:1"), BYTES_INIT("2001:db8::1")},
        {BYTES_INIT("2001:db8:0:1:1:1:1:1"), BYTES_INIT("2001:db8:0:1:1:1:1:1")}, /* one zero group stays */
        {BYTES_INIT("2001:db8:0:0:1:0:0:1"), BYTES_INIT("2001:db8::1:0:0:1")},    /* the first of two equal runs */
        {BYTES_INIT("2001:0:0:1:0:0:0:1"), BYTES_INIT("2001:0:0:1::1")},          /* the longest */
        {BYTES_INIT("1:2:3:4:5:6:0:0"), BYTES_INIT("1:2:3:4:5:6::")},
        {BYTES_INIT("0:0:3:4:5:6:7:8"), BYTES_INIT("::3:4:5:6:7:8")},
        {BYTES_INIT("1:20:300:4000:5:6:7:8"), BYTES_INIT("1:20:300:4000:5:6:7:8")},
        {BYTES_INIT("::ffff:192.0.2.7"), BYTES_INIT("192.0.2.7")},
        {BYTES_INIT("::FFFF:c000:0207"), BYTES_INIT("192.0.2.7")},
        {BYTES_INIT("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), BYTES_INIT("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct net_address a = parse(cases[i].text);
        assert_prints(&a, cases[i].want);
        assert_int_equal(a.port, 0);
    }
    struct net_address none = {0};
    assert_prints(&none, BYTES("unknown"));
}

static void test_net_parse_ip_refuses_other_texts(void **unused)
{
    static const struct bytes cases[] = {
        BYTES_INIT(""), BYTES_INIT("1.2.3"), BYTES_INIT("1.2.3.4.5"), BYTES_INIT("1.2.3.256"), BYTES_INIT("01.2.3.4"),
        BYTES_INIT("1.2.3.4 "), BYTES_INIT(" 1.2.3.4"), BYTES_INIT("1.2.3.4\0"), BYTES_INIT("1.2.3.4\0x"), BYTES_INIT("0x7f.1"),
        BYTES_INIT("127.1"), BYTES_INIT("[::1]"), BYTES_INIT("fe80::1%eth0"), BYTES_INIT(":::"), BYTES_INIT("1::2::3"),
        BYTES_INIT("12345::"), BYTES_INIT("1:2:3:4:5:6:7"), BYTES_INIT("1:2:3:4:5:6:7:8:9"), BYTES_INIT("::1.2.3"),
        BYTES_INIT("1.2.3.4/32"), BYTES_INIT("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"), BYTES_INIT("g::"),
    };
    struct net_address a = {.family = 99};
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_false(net_parse_ip(cases[i], &a));
        assert_int_equal(a.family, 99);
    }
}

static void test_net_parse_ip_port_wants_brackets_round_ipv6_only(void **unused)
{
    static const struct {
        struct bytes text;
        bool ok;
    } cases[] = {
        {BYTES_INIT("192.0.2.1:25"), true},      {BYTES_INIT("[2001:db8::1]:65535"), true},
        {BYTES_INIT("192.0.2.1"), false},        {BYTES_INIT("192.0.2.1:"), false},
        {BYTES_INIT("192.0.2.1:0"), false},      {BYTES_INIT("192.0.2.1:65536"), false},
        {BYTES_INIT("192.0.2.1:000025"), false}, {BYTES_INIT("192.0.2.1:+25"), false},
        {BYTES_INIT("[192.0.2.1]:25"), false},   {BYTES_INIT("2001:db8::1:25"), false},
        {BYTES_INIT("[2001:db8::1]25"), false},  {BYTES_INIT("[2001:db8::1"), false},
        {BYTES_INIT("[]:25"), false},            {BYTES_INIT("[:25"), false},
        {BYTES_INIT(":25"), false},              {BYTES_INIT(""), false},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct net_address a;
        bool ok = net_parse_ip_port(cases[i].text, &a);
        assert_int_equal(ok, cases[i].ok);
        if (!ok) continue;
        uint8_t memory[NET_TEXT_BYTES_MAX];
        struct buf text = BUF_OVER(memory);
        net_print_ip_port(&text, &a);
        assert_true(bytes_equal(buf_bytes(&text), cases[i].text));
    }
}

static void test_net_prefix_matches_its_network_only(void **unused)
{
    static const struct {
        struct bytes prefix, ip;
        bool want;
    } cases[] = {
        {BYTES_INIT("192.0.2.0/24"), BYTES_INIT("192.0.2.255"), true},
        {BYTES_INIT("192.0.2.0/24"), BYTES_INIT("192.0.3.0"), false},
        {BYTES_INIT("192.0.2.128/25"), BYTES_INIT("192.0.2.127"), false},
        {BYTES_INIT("192.0.2.128/25"), BYTES_INIT("192.0.2.200"), true},
        {BYTES_INIT("192.0.2.1"), BYTES_INIT("192.0.2.1"), true},
        {BYTES_INIT("192.0.2.1"), BYTES_INIT("192.0.2.0"), false},
        {BYTES_INIT("192.0.2.1"), BYTES_INIT("::ffff:192.0.2.1"), true},
        {BYTES_INIT("::ffff:192.0.2.0/120"), BYTES_INIT("192.0.2.9"), true},
        {BYTES_INIT("0.0.0.0/0"), BYTES_INIT("255.1.2.3"), true},
        {BYTES_INIT("0.0.0.0/0"), BYTES_INIT("::1"), false},
        {BYTES_INIT("::/0"), BYTES_INIT("2001:db8::1"), true},
        {BYTES_INIT("::/0"), BYTES_INIT("192.0.2.1"), false},
        {BYTES_INIT("2001:db8::/33"), BYTES_INIT("2001:db8:8000::"), false},
        {BYTES_INIT("2001:db8::/33"), BYTES_INIT("2001:db8:7fff::"), true},
        {BYTES_INIT("::1"), BYTES_INIT("::1"), true},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct net_prefix p;
        struct net_address a = parse(cases[i].ip), none = {0};
        assert_true(net_parse_prefix(cases[i].prefix, &p));
        assert_int_equal(net_in_prefix(&a, &p), cases[i].want);
        assert_false(net_in_prefix(&none, &p));
    }
}

static void test_net_parse_prefix_refuses_other_texts(void **unused)
{
    static const struct bytes cases[] = {
        BYTES_INIT("192.0.2.1/24"), BYTES_INIT("192.0.2.0/33"), BYTES_INIT("192.0.2.0/"), BYTES_INIT("192.0.2.0/-1"),
        BYTES_INIT("192.0.2.0/0024"), BYTES_INIT("/24"), BYTES_INIT("2001:db8::1/32"), BYTES_INIT("::/129"),
        BYTES_INIT("::ffff:0.0.0.0/95"), BYTES_INIT("192.0.2.0/24/24"), BYTES_INIT("any"),
    };
    struct net_prefix p = {.bits = 99};
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_false(net_parse_prefix(cases[i], &p));
        assert_int_equal(p.bits, 99);
    }
}

static void test_net_special_addresses_are_known(void **unused)
{
    static const struct {
        struct bytes ip;
        bool special, loopback;
    } cases[] = {
        {BYTES_INIT("0.0.0.0"), true, false},         {BYTES_INIT("0.1.2.3"), true, false},
        {BYTES_INIT("127.0.0.1"), true, true},        {BYTES_INIT("127.255.0.1"), true, true},
        {BYTES_INIT("128.0.0.1"), false, false},      {BYTES_INIT("169.254.1.1"), true, false},
        {BYTES_INIT("169.253.1.1"), false, false},    {BYTES_INIT("223.255.255.255"), false, false},
        {BYTES_INIT("224.0.0.1"), true, false},       {BYTES_INIT("240.0.0.1"), true, false},
        {BYTES_INIT("255.255.255.255"), true, false}, {BYTES_INIT("10.0.0.1"), false, false},
        {BYTES_INIT("192.168.1.1"), false, false},    {BYTES_INIT("172.16.0.1"), false, false},
        {BYTES_INIT("::"), true, false},              {BYTES_INIT("::1"), true, true},
        {BYTES_INIT("::127.0.0.1"), true, true},      {BYTES_INIT("::ffff:127.0.0.1"), true, true},
        {BYTES_INIT("::ffff:10.0.0.1"), false, false}, {BYTES_INIT("fe80::1"), true, false},
        {BYTES_INIT("febf::1"), true, false},         {BYTES_INIT("fec0::1"), false, false},
        {BYTES_INIT("ff02::1"), true, false},         {BYTES_INIT("2001:db8::1"), false, false},
        {BYTES_INIT("fd00::1"), false, false},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct net_address a = parse(cases[i].ip);
        assert_int_equal(net_is_special(&a), cases[i].special);
        assert_int_equal(net_is_loopback(&a), cases[i].loopback);
    }
    /* A mapped address that did not come through the parser. */
    struct net_address mapped = {.family = NET_IPV6, .ip = {[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1}};
    struct net_address none = {0};
    assert_true(net_is_special(&mapped));
    assert_true(net_is_loopback(&mapped));
    assert_true(net_is_special(&none));
    assert_false(net_is_loopback(&none));
}

static void test_net_sockaddr_round_trip_keeps_address(void **unused)
{
    static const struct bytes cases[] = {BYTES_INIT("192.0.2.1:25"), BYTES_INIT("[2001:db8::1]:587")};
    struct sockaddr_storage storage;
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct net_address a, back;
        assert_true(net_parse_ip_port(cases[i], &a));
        assert_int_equal(net_to_sockaddr(&a, &storage), i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_true(net_from_sockaddr(&storage, &back));
        assert_true(net_same_ip(&a, &back));
        assert_int_equal(a.port, back.port);
    }
    struct net_address none = {0}, out = {.family = 99};
    assert_int_equal(net_to_sockaddr(&none, &storage), 0);
    storage.ss_family = AF_UNIX;
    assert_false(net_from_sockaddr(&storage, &out));
    assert_int_equal(out.family, 99);
}

static void test_net_from_sockaddr_mapped_becomes_ipv4(void **unused)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
    struct sockaddr_storage storage = {0};
    struct net_address a, want = parse(BYTES("192.0.2.1"));
    (void)unused;
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in.sin6_addr), 1);
    memcpy(&storage, &in, sizeof(in));
    assert_true(net_from_sockaddr(&storage, &a));
    assert_true(net_same_ip(&a, &want));
    assert_int_equal(a.port, 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net_parse_ip_prints_back_in_rfc5952_form),
        cmocka_unit_test(test_net_parse_ip_refuses_other_texts),
        cmocka_unit_test(test_net_parse_ip_port_wants_brackets_round_ipv6_only),
        cmocka_unit_test(test_net_prefix_matches_its_network_only),
        cmocka_unit_test(test_net_parse_prefix_refuses_other_texts),
        cmocka_unit_test(test_net_special_addresses_are_known),
        cmocka_unit_test(test_net_sockaddr_round_trip_keeps_address),
        cmocka_unit_test(test_net_from_sockaddr_mapped_becomes_ipv4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
