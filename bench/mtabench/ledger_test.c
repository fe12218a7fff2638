/*
 * Tests of the ledger: what is lost and doubled, and that a file says the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/mtabench/ledger.h"

static void add(struct ledger *l, const char *run, uint64_t number, uint32_t recipients)
{
    assert_int_equal(ledger_add(l, bytes_of_cstr(run), number, recipients), ERR_NONE);
}

static void test_ledger_compare_counts_lost_doubled_and_unacknowledged(void **unused)
{
    struct ledger sent, seen;
    (void)unused;
    ledger_init(&sent);
    ledger_init(&seen);
    for (uint64_t n = 1; n <= 10000; n++) add(&sent, "a", n, 2);
    for (uint64_t n = 1; n <= 10000; n++) {
        if (n == 7) continue;                     /* lost */
        add(&seen, "a", n, n == 8 ? 1 : 2);       /* 8: half of it lost */
        if (n == 9) add(&seen, "a", n, 2);        /* doubled */
    }
    add(&seen, "a", 10001, 2); /* never acknowledged */
    add(&seen, "b", 1, 1);     /* of another run */
    struct ledger_difference d = ledger_compare(&sent, &seen, NULL, NULL);
    assert_int_equal(d.sent, 10000);
    assert_int_equal(d.seen, 10000);
    assert_int_equal(d.lost, 2);
    assert_int_equal(d.lost_recipients, 3);
    assert_int_equal(d.doubled, 1);
    assert_int_equal(d.doubled_recipients, 2);
    assert_int_equal(d.unacknowledged, 1);
    assert_int_equal(ledger_ids(&seen), 10001);
    ledger_fini(&sent);
    ledger_fini(&seen);
}

static void test_ledger_count_stays_at_its_largest(void **unused)
{
    struct ledger l;
    (void)unused;
    ledger_init(&l);
    add(&l, "a", 1, 60000);
    add(&l, "a", 1, 60000);
    assert_int_equal(ledger_count(&l, BYTES("a"), 1), LEDGER_COUNT_MAX);
    assert_int_equal(ledger_count(&l, BYTES("a"), 2), 0);
    assert_int_equal(ledger_count(&l, BYTES("none"), 1), 0);
    assert_int_equal(ledger_add(&l, BYTES("a"), (uint64_t)LEDGER_NUMBER_MAX + 1, 1), ERR_BAD_VALUE);
    ledger_fini(&l);
}

static void test_ledger_file_read_back_is_the_same(void **unused)
{
    struct ledger written, read;
    FILE *file = tmpfile();
    (void)unused;
    assert_non_null(file);
    ledger_init(&written);
    ledger_init(&read);
    for (uint64_t n = 1; n <= 500; n++) {
        if (n % 50) add(&written, "first", n, n % 100 == 1 ? 3 : 1);
        add(&written, "second", n * 3, 1);
    }
    assert_int_equal(ledger_write(&written, file), ERR_NONE);
    rewind(file);
    assert_int_equal(ledger_read(&read, file), ERR_NONE);
    struct ledger_difference d = ledger_compare(&written, &read, NULL, NULL);
    assert_int_equal(d.sent, d.seen);
    assert_int_equal(d.lost + d.doubled + d.unacknowledged, 0);
    assert_int_equal(ledger_ids(&read), 990);
    (void)fclose(file);
    ledger_fini(&written);
    ledger_fini(&read);
}

static void test_ledger_read_refuses_what_is_none(void **unused)
{
    static const char *const texts[] = {
        "", "hello\n", "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\na 1 2\n", "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\na 2 1 1\n",
        "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\na 0 1 1\n", "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\na 1 1 1",
        "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\na 1 99999999999 1\n", "# mtabench ledger 1: RUN FIRST LAST RECIPIENTS\n- 1 1 1\n",
    };
    (void)unused;
    for (uint32_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ledger l;
        FILE *file = tmpfile();
        assert_non_null(file);
        fputs(texts[i], file);
        rewind(file);
        ledger_init(&l);
        assert_int_equal(ledger_read(&l, file), ERR_CORRUPT);
        ledger_fini(&l);
        (void)fclose(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger_compare_counts_lost_doubled_and_unacknowledged),
        cmocka_unit_test(test_ledger_count_stays_at_its_largest),
        cmocka_unit_test(test_ledger_file_read_back_is_the_same),
        cmocka_unit_test(test_ledger_read_refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
