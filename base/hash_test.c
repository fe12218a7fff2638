/*
 * Tests of checksums and keyed hashes. The source is included, so that the table is tested where the instruction exists too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.c"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_crc32c_known_input_gives_published_sum(void **unused)
{
    uint8_t zeroes[32] = {0}, ones[32], rising[32];
    (void)unused;
    for (uint32_t i = 0; i < 32; i++) {
        ones[i] = 0xFF;
        rising[i] = (uint8_t)i;
    }
    const struct {
        struct bytes in;
        uint32_t want;
    } cases[] = {
        /* RFC 3720 B.4 */
        {BYTES_INIT(""), 0},
        {BYTES_INIT("123456789"), 0xE3069283},
        {{zeroes, 32}, 0x8A9136AA},
        {{ones, 32}, 0x62A8AB43},
        {{rising, 32}, 0x46DD794E},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(crc32c(0, cases[i].in), cases[i].want);
        assert_int_equal(~crc_by_table(~0u, cases[i].in), cases[i].want);
    }
}

static void test_crc32c_any_split_gives_the_same_sum(void **unused)
{
    struct bytes text = BYTES("The quick brown fox jumps over the lazy dog, twice.");
    uint32_t whole = crc32c(0, text);
    (void)unused;
    for (uint32_t i = 0; i <= text.len; i++) {
        uint32_t first = crc32c(0, bytes_slice(text, 0, i));
        assert_int_equal(crc32c(first, bytes_from(text, i)), whole);
        assert_int_equal(~crc_by_table(~first, bytes_from(text, i)), whole);
    }
}

static void test_hash_bytes_reference_key_gives_published_hash(void **unused)
{
    static const struct hash_key key = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    static const struct {
        uint32_t n;
        uint64_t want;
    } cases[] = {
        {0, 0x726fdb47dd0e0e31ULL}, {1, 0x74f839c593dc67fdULL}, {7, 0xab0200f58b01d137ULL},
        {8, 0x93f5f5799a932462ULL}, {15, 0xa129ca6149be45e5ULL}, {63, 0x958a324ceb064572ULL},
    };
    uint8_t in[64];
    (void)unused;
    for (uint32_t i = 0; i < sizeof(in); i++) in[i] = (uint8_t)i;
    for (size_t i = 0; i < COUNT(cases); i++) assert_true(hash_bytes(key, bytes_of(in, cases[i].n)) == cases[i].want);
}

static void test_hash_nocase_equals_hash_of_lowered(void **unused)
{
    struct hash_key key = hash_key_random(), other = hash_key_random();
    (void)unused;
    assert_true(hash_bytes_nocase(key, BYTES("Mail.EXAMPLE.Org")) == hash_bytes(key, BYTES("mail.example.org")));
    assert_true(hash_bytes(key, BYTES("A")) != hash_bytes(key, BYTES("a")));
    assert_true(hash_bytes(key, BYTES("a")) != hash_bytes(other, BYTES("a")));
    assert_true(hash_bytes(key, (struct bytes){0}) == hash_bytes(key, BYTES("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_known_input_gives_published_sum),
        cmocka_unit_test(test_crc32c_any_split_gives_the_same_sum),
        cmocka_unit_test(test_hash_bytes_reference_key_gives_published_hash),
        cmocka_unit_test(test_hash_nocase_equals_hash_of_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
