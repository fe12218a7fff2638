#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha1.h"

static void expect(const uint8_t got[SHA1_BYTES], const char *want)
{
    uint8_t memory[2 * SHA1_BYTES];
    struct buf hex = BUF_OVER(memory);
    for (uint32_t i = 0; i < SHA1_BYTES; i++) buf_put_hex(&hex, got[i], 2);
    for (uint32_t i = 0; i < hex.len; i++) memory[i] = ascii_lower(memory[i]);
    assert_memory_equal(memory, want, sizeof memory);
}

static void test_sha1_gives_the_published_digests(void **state)
{
    (void)state;
    static uint8_t many[1000000];
    uint8_t got[SHA1_BYTES];
    sha1(BYTES(""), got);
    expect(got, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    sha1(BYTES("abc"), got);
    expect(got, "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha1(BYTES("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), got);
    expect(got, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    memset(many, 'a', sizeof many);
    sha1(bytes_of(many, sizeof many), got);
    expect(got, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

/* RFC 2202 section 3. */
static void test_hmac_gives_the_published_macs(void **state)
{
    (void)state;
    uint8_t got[SHA1_BYTES], key[80];
    memset(key, 0x0b, 20);
    hmac_sha1(bytes_of(key, 20), BYTES("Hi There"), got);
    expect(got, "b617318655057264e28bc0b6fb378c8ef146be00");
    hmac_sha1(BYTES("Jefe"), BYTES("what do ya want for nothing?"), got);
    expect(got, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    memset(key, 0xaa, sizeof key);
    hmac_sha1(bytes_of(key, sizeof key), BYTES("Test Using Larger Than Block-Size Key - Hash Key First"), got);
    expect(got, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    hmac_sha1(bytes_of(key, sizeof key), BYTES("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data"), got);
    expect(got, "e8e99d0f45237d786d6bbaa7965c7808bbff1a91");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha1_gives_the_published_digests),
        cmocka_unit_test(test_hmac_gives_the_published_macs),
    };
    return cmocka_run_group_tests_name("sha1", tests, NULL, NULL);
}
