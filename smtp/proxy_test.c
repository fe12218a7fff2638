#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"

struct proxy_case {
    struct bytes in;
    enum smtp_proxy_result want;
    uint32_t rest; /* octets that are not the header's */
    bool local;
    const char *source, *destination; /* as printed; NULL = family 0 */
};

#define BAD(text) {BYTES_INIT(text), SMTP_PROXY_BAD, 0, false, NULL, NULL}
#define MORE(text) {BYTES_INIT(text), SMTP_PROXY_MORE, 0, false, NULL, NULL}

static const struct proxy_case cases[] = {
    {BYTES_INIT("PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\nEHLO"), SMTP_PROXY_DONE, 4, false, "192.0.2.1:56324", "198.51.100.7:25"},
    {BYTES_INIT("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), SMTP_PROXY_DONE, 0, false, "[2001:db8::1]:0", "[2001:db8::2]:65535"},
    {BYTES_INIT("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"), SMTP_PROXY_DONE, 0, false, "192.0.2.1:1", "192.0.2.2:2"},
    {BYTES_INIT("PROXY UNKNOWN\r\n"), SMTP_PROXY_DONE, 0, false, NULL, NULL},
    {BYTES_INIT("PROXY UNKNOWN ffff::1 whatever  it is\r\nx"), SMTP_PROXY_DONE, 1, false, NULL, NULL},
    MORE(""),
    MORE("PROXY TCP4 192.0.2.1"),
    MORE("PROXY UNKNOWN\r"),
    BAD("EHLO"),
    BAD("PROXX"),
    BAD("PROXY\r\n"),
    BAD("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r "),
    BAD("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"),
    BAD("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"),
    BAD("PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n"),
    BAD("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"),
    BAD("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n"),
    BAD("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"),
    BAD("PROXY UNKNOWN 6789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678\r\n"),
    /* version 2 */
    {BYTES_INIT(SIG "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\0\x19" "EHLO"), SMTP_PROXY_DONE, 4, false, "192.0.2.1:56324", "198.51.100.7:25"},
    {BYTES_INIT(SIG "\x21\x21\0\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02" "\0\x01\0\x19"),
     SMTP_PROXY_DONE, 0, false, "[2001:db8::1]:1", "[2001:db8::2]:25"},
    {BYTES_INIT(SIG "\x21\x21\0\x24" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x02" "\0\x01\0\x19"),
     SMTP_PROXY_DONE, 0, false, "192.0.2.1:1", "192.0.2.2:25"},
    {BYTES_INIT(SIG "\x20\0\0\0" "x"), SMTP_PROXY_DONE, 1, true, NULL, NULL},
    {BYTES_INIT(SIG "\x20\xff\0\x03" "abcx"), SMTP_PROXY_DONE, 1, true, NULL, NULL}, /* LOCAL: the rest is nobody's business */
    {BYTES_INIT(SIG "\x21\0\0\0"), SMTP_PROXY_DONE, 0, false, NULL, NULL},
    {BYTES_INIT(SIG "\x21\x11\0\x13\xc0\0\x02\x01\xc6\x33\x64\x07\0\x01\0\x02" "\x04\0\0" "\x05\0\x01z"), SMTP_PROXY_DONE, 0, false, "192.0.2.1:1",
     "198.51.100.7:2"},
    MORE(SIG),
    MORE("\r\n\r\n"),
    MORE(SIG "\x21\x11\0\x0c\xc0\0\x02\x01"),
    BAD("\r\n\r\n\r"),
    BAD(SIG "\x11\x11\0\x0c"),
    BAD(SIG "\x22\x11\0\x0c"),
    BAD(SIG "\x21\x11\0\x0b"),                             /* too short for its addresses */
    BAD(SIG "\x21\x12\0\x0c"),                             /* a datagram */
    BAD(SIG "\x21\x41\0\x0c"),                             /* no such family */
    BAD(SIG "\x21\x31\0\x24"),                             /* too short for two Unix addresses */
    BAD(SIG "\x21\x11\xff\xff"),                           /* more than is taken */
    BAD(SIG "\x21\0\0\x03" "\x04\0\x01"),                  /* a TLV past the end */
    BAD(SIG "\x21\0\0\x02" "\x04\0"),                      /* half a TLV */
    BAD(SIG "\x21\x11\0\x11\xc0\0\x02\x01\xc6\x33\x64\x07\0\x01\0\x02" "\x04\xff\xffzz"),
};

static void check_address(const struct net_address *a, const char *want)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    if (!want) {
        assert_int_equal(a->family, NET_NONE);
        return;
    }
    net_print_ip_port(&out, a);
    assert_true(bytes_equal(buf_bytes(&out), bytes_of_cstr(want)));
}

/* feed_in - in pieces of `step` octets; the octets eaten. */
static uint32_t feed_in(struct smtp_proxy *p, struct bytes in, uint32_t step)
{
    uint32_t eaten = 0, used;
    smtp_proxy_init(p);
    while (eaten < in.len && p->result == SMTP_PROXY_MORE) {
        (void)smtp_proxy_feed(p, bytes_slice(in, eaten, step), &used);
        eaten += used;
    }
    return eaten;
}

static void test_proxy_headers_in_any_pieces_give_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (uint32_t step = 1; step < 80; step += 13) {
            struct smtp_proxy p;
            uint32_t eaten = feed_in(&p, cases[i].in, step);
            if (p.result != cases[i].want) print_message("case %zu\n", i);
            assert_int_equal(p.result, cases[i].want);
            if (cases[i].want != SMTP_PROXY_DONE) continue;
            assert_int_equal(eaten, cases[i].in.len - cases[i].rest);
            assert_int_equal(p.local, cases[i].local);
            check_address(&p.source, cases[i].source);
            check_address(&p.destination, cases[i].destination);
        }
    }
}

static void test_proxy_unix_addresses_say_nothing(void **state)
{
    (void)state;
    uint8_t header[16 + 216] = SIG "\x21\x31\0\xd8";
    struct smtp_proxy p;
    assert_int_equal(feed_in(&p, bytes_of(header, sizeof(header)), 100), sizeof(header));
    assert_int_equal(p.result, SMTP_PROXY_DONE);
    assert_int_equal(p.source.family, NET_NONE);
    assert_false(p.local);
}

static void test_proxy_after_the_end_nothing_is_eaten(void **state)
{
    (void)state;
    struct smtp_proxy p;
    uint32_t used = 7;
    feed_in(&p, BYTES("PROXY UNKNOWN\r\n"), 100);
    assert_int_equal(smtp_proxy_feed(&p, BYTES("PROXY UNKNOWN\r\n"), &used), SMTP_PROXY_DONE);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_headers_in_any_pieces_give_what_they_say),
        cmocka_unit_test(test_proxy_unix_addresses_say_nothing),
        cmocka_unit_test(test_proxy_after_the_end_nothing_is_eaten),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
