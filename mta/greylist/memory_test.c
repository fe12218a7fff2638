/* Tests of greylisting: what waits, what passes, what is forgotten; and that the file says the same after a restart, a cut and a rewrite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mta/greylist/file.h"

enum { DELAY = 60, WINDOW = 2 * 86400, KEEP = 36 * 86400, T0 = 1700000000 };
static const struct grey_times times = {DELAY, WINDOW, KEEP, 3};

static struct greys g;

static int begin(void **state)
{
    (void)state;
    return greys_init(&g) == ERR_NONE ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    greys_fini(&g);
    return 0;
}

static struct grey_verdict at(uint64_t client, uint64_t triplet, uint32_t now_s)
{
    return greys_judge(&g, client, triplet, now_s, &times, false);
}

static void test_greylist_first_waits_and_second_passes_after_the_delay(void **state)
{
    (void)state;
    struct grey_verdict v = at(1, 10, T0);
    assert_true(!v.pass && v.wait_s == DELAY && v.changed[0].hash == 10);
    v = at(1, 10, T0 + 20);
    assert_true(!v.pass && v.wait_s == DELAY - 20 && v.changed[0].hash == 0);
    assert_true(at(1, 10, T0 + DELAY).pass);
    assert_true(at(1, 10, T0 + DELAY + 1).pass);
    assert_true(at(1, 10, T0 + KEEP).pass);
    assert_false(at(1, 10, T0 + 3U * KEEP).pass);
    assert_false(at(1, 11, T0).pass);
}

static void test_greylist_retry_behind_the_window_is_a_first_attempt(void **state)
{
    (void)state;
    assert_false(at(1, 10, T0).pass);
    assert_false(at(1, 10, T0 + WINDOW + 1).pass);
    assert_true(at(1, 10, T0 + WINDOW + 1 + DELAY).pass);
}

static void test_greylist_network_that_has_proved_itself_waits_no_more(void **state)
{
    (void)state;
    for (uint64_t t = 10; t < 13; t++) {
        assert_false(at(1, t, T0).pass);
        assert_true(at(1, t, T0 + DELAY).pass);
    }
    struct grey_verdict v = at(1, 99, T0 + DELAY);
    assert_true(v.pass && v.known_client);
    assert_false(at(2, 99, T0 + DELAY).pass);
    assert_false(at(1, 98, T0 + 2U * KEEP).known_client);
    /* The same triplet again proves nothing more. */
    for (int i = 0; i < 10; i++) (void)at(3, 20, T0 + (uint32_t)i * DELAY);
    assert_false(at(3, 21, T0 + 10 * DELAY).known_client);
}

static void test_greylist_peek_changes_nothing(void **state)
{
    (void)state;
    assert_false(greys_judge(&g, 1, 10, T0, &times, true).pass);
    assert_null(greys_find(&g, 10));
    assert_false(at(1, 10, T0 + DELAY).pass);
}

static void test_greylist_clock_that_was_set_back_loses_nobody(void **state)
{
    (void)state;
    assert_false(at(1, 10, T0).pass);
    assert_true(at(1, 10, T0 + DELAY).pass);
    assert_true(at(1, 10, T0 + 10).pass);
    assert_false(at(1, 11, T0).pass);
    assert_false(at(1, 11, T0 - 86400).pass); /* a first attempt again */
    assert_true(at(1, 11, T0 - 86400 + DELAY).pass);
}

static void test_greylist_flood_stays_in_its_memory(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 2 * (uint64_t)GREY_PLACES; i++) assert_false(at(i << 40, i * 0x9e3779b97f4a7c15ULL | 1, T0).pass);
    assert_true(g.used <= GREY_PLACES);
}

/* ---- the file ---- */

static char folder_name[] = "/tmp/greylist-XXXXXX";

static int open_folder(void)
{
    static bool made;
    if (!made) assert_non_null(mkdtemp(folder_name));
    made = true;
    int fd = open(folder_name, O_PATH | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

static void open_again(struct grey_file *f, int folder, uint32_t want_damaged)
{
    uint32_t damaged;
    greys_fini(&g);
    assert_int_equal(greys_init(&g), ERR_NONE);
    assert_int_equal(grey_file_open(f, folder, &g, &damaged), ERR_NONE);
    assert_int_equal(damaged, want_damaged);
}

static void test_greylist_file_says_the_same_again(void **state)
{
    (void)state;
    struct grey_file f;
    int folder = open_folder();
    open_again(&f, folder, 0);
    struct hash_key key = f.key;
    for (uint64_t t = 10; t < 110; t++) {
        struct grey_verdict v = at(1, t, T0);
        assert_int_equal(grey_file_append(&f, v.changed, 2), ERR_NONE);
    }
    struct grey_verdict v = at(1, 10, T0 + DELAY);
    assert_int_equal(grey_file_append(&f, v.changed, 2), ERR_NONE);
    assert_int_equal(grey_file_sync(&f), ERR_NONE);
    close(f.fd);
    open_again(&f, folder, 0);
    assert_true(f.key.a == key.a && f.key.b == key.b && f.records == 102);
    assert_int_equal(greys_find(&g, 10)->passes, 1);
    assert_int_equal(greys_find(&g, 1)->passes, 1);
    assert_int_equal(greys_find(&g, 50)->first_s, T0);
    /* A record that was cut: it is left out, and later ones stay in step. */
    assert_int_equal(write(f.fd, "half", 4), 4);
    close(f.fd);
    open_again(&f, folder, 1);
    v = at(1, 200, T0);
    assert_int_equal(grey_file_append(&f, v.changed, 2), ERR_NONE);
    close(f.fd);
    open_again(&f, folder, 0);
    assert_non_null(greys_find(&g, 200));
    assert_non_null(greys_find(&g, 50));
    /* Rewritten, without what is old. */
    assert_int_equal(grey_file_rewrite(&f, &g, T0 + WINDOW + 1, &times), ERR_NONE);
    close(f.fd);
    open_again(&f, folder, 0);
    assert_null(greys_find(&g, 50));
    assert_int_equal(greys_find(&g, 10)->passes, 1);
    close(f.fd);
    /* No header: it begins anew. */
    int fd = openat(folder, "greylist", O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "something else", 14), 14);
    close(fd);
    open_again(&f, folder, 0);
    assert_int_equal(g.used, 0);
    close(f.fd);
    (void)unlinkat(folder, "greylist", 0);
    close(folder);
    (void)rmdir(folder_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_greylist_first_waits_and_second_passes_after_the_delay, begin, end),
        cmocka_unit_test_setup_teardown(test_greylist_retry_behind_the_window_is_a_first_attempt, begin, end),
        cmocka_unit_test_setup_teardown(test_greylist_network_that_has_proved_itself_waits_no_more, begin, end),
        cmocka_unit_test_setup_teardown(test_greylist_peek_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_greylist_clock_that_was_set_back_loses_nobody, begin, end),
        cmocka_unit_test_setup_teardown(test_greylist_flood_stays_in_its_memory, begin, end),
        cmocka_unit_test_setup_teardown(test_greylist_file_says_the_same_again, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
