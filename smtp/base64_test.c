#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/base64.h"

struct code_case {
    struct bytes plain, coded;
};

static const struct code_case code_cases[] = { /* RFC 4648 10, and octets that are no text */
    {BYTES_INIT(""), BYTES_INIT("")},
    {BYTES_INIT("f"), BYTES_INIT("Zg==")},
    {BYTES_INIT("fo"), BYTES_INIT("Zm8=")},
    {BYTES_INIT("foo"), BYTES_INIT("Zm9v")},
    {BYTES_INIT("foob"), BYTES_INIT("Zm9vYg==")},
    {BYTES_INIT("fooba"), BYTES_INIT("Zm9vYmE=")},
    {BYTES_INIT("foobar"), BYTES_INIT("Zm9vYmFy")},
    {BYTES_INIT("\0test\0tset"), BYTES_INIT("AHRlc3QAdHNldA==")},
    {BYTES_INIT("\xff\xfe\xfd\xfb\xef"), BYTES_INIT("//79++8=")},
};

static void test_base64_known_pairs_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(code_cases) / sizeof(code_cases[0]); i++) {
        uint8_t memory[64];
        struct buf out = BUF_OVER(memory);
        smtp_base64_encode(&out, code_cases[i].plain);
        assert_true(bytes_equal(buf_bytes(&out), code_cases[i].coded));
        out.len = 0;
        assert_true(smtp_base64_decode(code_cases[i].coded, &out));
        assert_true(bytes_equal(buf_bytes(&out), code_cases[i].plain));
        assert_false(out.overflow);
    }
}

static void test_base64_what_is_no_code_is_refused(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        BYTES_INIT("="), BYTES_INIT("Z"), BYTES_INIT("Zg"), BYTES_INIT("Zg="), BYTES_INIT("Zg==="), BYTES_INIT("===="), BYTES_INIT("Z==="),
        BYTES_INIT("Zh=="), BYTES_INIT("Zm9="), BYTES_INIT("Zg==Zg=="), BYTES_INIT("Zm=v"), BYTES_INIT("Zm9v\r\n"), BYTES_INIT("Zm9v\n\n\n\n"),
        BYTES_INIT(" Zm9"), BYTES_INIT("Zm-_"), BYTES_INIT("Zm9\0"), BYTES_INIT("Zm9\xff"), BYTES_INIT("*"), BYTES_INIT("Z=g="),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t memory[64];
        struct buf out = BUF_OVER(memory);
        BUF_LIT(&out, "kept");
        assert_false(smtp_base64_decode(bad[i], &out));
        assert_int_equal(out.len, 4);
        assert_false(out.overflow);
    }
}

static void test_base64_no_room_writes_nothing(void **state)
{
    (void)state;
    uint8_t memory[7];
    struct buf out = BUF_OVER(memory);
    smtp_base64_encode(&out, BYTES("abcd"));
    assert_true(out.overflow);
    assert_int_equal(out.len, 0);
    out = buf_over(memory, 2);
    assert_false(smtp_base64_decode(BYTES("Zm9v"), &out));
    assert_true(out.overflow);
    assert_int_equal(out.len, 0);
    out = buf_over(memory, 2);
    assert_true(smtp_base64_decode(BYTES("Zm8="), &out));
    assert_int_equal(out.len, 2);
}

static void test_base64_constant_length_agrees(void **state)
{
    (void)state;
    uint8_t plain[20] = {0}, memory[32];
    for (uint32_t n = 0; n <= sizeof(plain); n++) {
        struct buf out = BUF_OVER(memory);
        smtp_base64_encode(&out, bytes_of(plain, n));
        assert_int_equal(out.len, SMTP_BASE64_BYTES(n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_known_pairs_go_both_ways),
        cmocka_unit_test(test_base64_what_is_no_code_is_refused),
        cmocka_unit_test(test_base64_no_room_writes_nothing),
        cmocka_unit_test(test_base64_constant_length_agrees),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
