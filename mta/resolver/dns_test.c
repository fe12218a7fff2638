/* Tests of the DNS answer parser: good answers, aliases, and lies of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mta/resolver/dns.h"

static struct dns_result result;

/* A header with one question "a.b" of a type and `answers` answers. */
static uint32_t begin(uint8_t *out, uint8_t type, uint8_t answers)
{
    static const uint8_t header[] = {0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 1, 'b', 0, 0, 0, 0, 1};
    memcpy(out, header, sizeof header);
    out[7] = answers;
    out[18] = type;
    return sizeof header;
}

static uint32_t record(uint8_t *out, uint32_t at, uint16_t owner, uint8_t type, const void *data, uint8_t n)
{
    uint8_t head[] = {(uint8_t)(0xc0 | owner >> 8), (uint8_t)owner, 0, type, 0, 1, 0, 0, 1, 44, 0, n};
    memcpy(out + at, head, sizeof head);
    memcpy(out + at + sizeof head, data, n);
    return at + (uint32_t)sizeof head + n;
}

static void test_parse_mx_answer_gives_preferences_and_names(void **state)
{
    (void)state;
    uint8_t p[256];
    uint32_t n = begin(p, DNS_MX, 2);
    n = record(p, n, 12, DNS_MX, "\0\12\3mx1\300\14", 8);
    n = record(p, n, 12, DNS_MX, "\0\0\0", 3);
    assert_true(dns_parse(bytes_of(p, n), DNS_MX, &result));
    assert_int_equal(result.count, 2);
    assert_int_equal(result.records[0].preference, 10);
    assert_true(bytes_equal(bytes_of(result.records[0].name.text, result.records[0].name.len), BYTES("mx1.a.b")));
    assert_int_equal(result.records[1].name.len, 0);
    assert_int_equal(result.ttl_s, 300);
}

static void test_parse_alias_before_and_after_is_followed(void **state)
{
    (void)state;
    uint8_t p[256];
    uint32_t n = begin(p, DNS_A, 2), target;
    target = n + 12;
    n = record(p, n, 12, DNS_CNAME, "\1c\300\16", 4);
    n = record(p, n, (uint16_t)target, DNS_A, "\300\0\2\1", 4);
    assert_true(dns_parse(bytes_of(p, n), DNS_A, &result));
    assert_int_equal(result.count, 1);
    assert_int_equal(result.records[0].address.ip[0], 192);
}

static void test_parse_every_truncation_is_refused_or_whole(void **state)
{
    (void)state;
    uint8_t p[256];
    uint32_t n = begin(p, DNS_MX, 1);
    n = record(p, n, 12, DNS_MX, "\0\12\3mx1\300\14", 8);
    for (uint32_t cut = 0; cut < n; cut++) assert_false(dns_parse(bytes_of(p, cut), DNS_MX, &result));
}

static void test_parse_lies_are_refused(void **state)
{
    (void)state;
    static const struct { const char *what; uint8_t type; const char *data; uint8_t n; } cases[] = {
        {"a name pointer to itself", DNS_MX, "\0\1\300\43", 4},
        {"a name pointer forwards", DNS_MX, "\0\1\300\77", 4},
        {"a name pointer into the header", DNS_MX, "\0\1\300\2", 4},
        {"a label longer than the data", DNS_MX, "\0\1\77x", 4},
        {"octets behind the name", DNS_MX, "\0\1\1x\0zz", 7},
        {"an address of five octets", DNS_A, "\1\2\3\4\5", 5},
        {"an address of three octets", DNS_A, "\1\2\3", 3},
        {"no name at all", DNS_MX, "\0\1", 2},
        {"a reserved label type", DNS_MX, "\0\1\200x", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t p[256];
        uint32_t n = begin(p, cases[i].type, 1);
        n = record(p, n, 12, cases[i].type, cases[i].data, cases[i].n);
        if (dns_parse(bytes_of(p, n), cases[i].type, &result)) fail_msg("taken: %s", cases[i].what);
    }
}

static void test_parse_alias_loop_ends(void **state)
{
    (void)state;
    uint8_t p[256];
    uint32_t n = begin(p, DNS_A, 1);
    n = record(p, n, 12, DNS_CNAME, "\300\14", 2);
    assert_false(dns_parse(bytes_of(p, n), DNS_A, &result));
}

static void test_parse_strange_octets_make_no_host_name(void **state)
{
    (void)state;
    uint8_t p[256];
    uint32_t n = begin(p, DNS_PTR, 1);
    n = record(p, n, 12, DNS_PTR, "\4x\r\ny\300\14", 7);
    assert_true(dns_parse(bytes_of(p, n), DNS_PTR, &result));
    assert_false(result.records[0].name.is_host);
}

static void test_parse_truncated_answer_is_no_answer(void **state)
{
    (void)state;
    uint8_t p[256];
    uint32_t n = begin(p, DNS_MX, 0);
    assert_true(dns_parse(bytes_of(p, n), DNS_MX, &result));
    p[2] |= 2; /* TC: "no MX" is not what it says */
    assert_false(dns_parse(bytes_of(p, n), DNS_MX, &result));
}

static void test_parse_more_records_than_are_kept_keeps_the_preferred(void **state)
{
    (void)state;
    static uint8_t p[8192];
    enum { MANY = DNS_RECORDS_MAX + 50 };
    uint32_t n = begin(p, DNS_MX, MANY);
    for (uint8_t i = 0; i < MANY; i++) {
        const uint8_t data[] = {0, (uint8_t)(MANY - i), 1, 'x', 0xc0, 12};
        n = record(p, n, 12, DNS_MX, data, sizeof data);
    }
    assert_true(dns_parse(bytes_of(p, n), DNS_MX, &result));
    assert_true(result.cut);
    assert_int_equal(result.count, DNS_RECORDS_MAX);
    for (uint32_t i = 0; i < result.count; i++) assert_true(result.records[i].preference <= DNS_RECORDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_mx_answer_gives_preferences_and_names), cmocka_unit_test(test_parse_alias_before_and_after_is_followed),
        cmocka_unit_test(test_parse_every_truncation_is_refused_or_whole),  cmocka_unit_test(test_parse_lies_are_refused),
        cmocka_unit_test(test_parse_alias_loop_ends),                       cmocka_unit_test(test_parse_strange_octets_make_no_host_name),
        cmocka_unit_test(test_parse_truncated_answer_is_no_answer),         cmocka_unit_test(test_parse_more_records_than_are_kept_keeps_the_preferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
