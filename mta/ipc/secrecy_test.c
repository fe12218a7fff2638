#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mta/ipc/secrecy.h"

static void test_secrecy_round_trip_and_truncations(void **state)
{
    (void)state;
    uint8_t list_memory[64], memory[SECRECY_BYTES_MAX];
    struct buf list = BUF_OVER(list_memory), out = BUF_OVER(memory);
    tlsa_put(&list, &(struct tlsa_record){3, 1, 1, BYTES("digest of a key")});
    tlsa_put(&list, &(struct tlsa_record){2, 0, 1, BYTES("")});
    struct secrecy s = {.level = SECRECY_DANE, .first = true, .name = BYTES("mx.example"), .tlsa = buf_bytes(&list)}, got;
    secrecy_put(&out, &s);
    assert_true(secrecy_read(buf_bytes(&out), &got));
    assert_true(got.level == SECRECY_DANE && got.first && bytes_equal(got.name, s.name) && bytes_equal(got.tlsa, s.tlsa));
    struct cursor c = cursor_over(got.tlsa);
    struct tlsa_record r;
    assert_true(tlsa_next(&c, &r) && r.usage == 3 && r.selector == 1 && r.matching == 1 && bytes_equal(r.data, BYTES("digest of a key")));
    assert_true(tlsa_next(&c, &r) && r.usage == 2 && r.data.len == 0);
    assert_false(tlsa_next(&c, &r));
    assert_false(c.failed);
    /* Cut anywhere it is nothing, but where a whole record ends. */
    for (uint32_t n = 0; n < out.len; n++) {
        bool whole = n == out.len - list.len || n == out.len - 5;
        assert_int_equal(secrecy_read(bytes_of(memory, n), &got), whole);
    }
    memory[0] = SECRECY_LEVELS;
    assert_false(secrecy_read(buf_bytes(&out), &got));
    memory[0] = SECRECY_MAY;
    memory[1] = 2;
    assert_false(secrecy_read(buf_bytes(&out), &got));
}

static void test_tlsa_that_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    uint8_t memory[12];
    struct buf list = BUF_OVER(memory);
    tlsa_put(&list, &(struct tlsa_record){3, 1, 1, BYTES("12345")});
    tlsa_put(&list, &(struct tlsa_record){3, 1, 1, BYTES("12345")});
    assert_true(list.len == 10 && list.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrecy_round_trip_and_truncations),
        cmocka_unit_test(test_tlsa_that_does_not_fit_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
