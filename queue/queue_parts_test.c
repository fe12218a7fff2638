/*
 * queue_parts_test - the small parts of the queue by themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "queue/arena.h"
#include "queue/body.h"
#include "queue/ids.h"
#include "queue/index_rows.h"
#include "queue/kept.h"
#include "queue/origins.h"
#include "queue/retry.h"
#include "queue/segments.h"
#include "queue/thread.h"

/* ---- retry ---- */

static void test_retry_given_steps_are_kept_and_the_last_repeats(void **state)
{
    (void)state;
    struct retry r;
    retry_set(&r, (const uint64_t[]){60, 300}, 2, 1000, true);
    static const struct {
        uint32_t tries;
        uint64_t wait_ms;
    } cases[] = {{0, 60000}, {1, 60000}, {2, 300000}, {3, 300000}, {65535, 300000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) assert_int_equal(retry_wait_ms(&r, cases[i].tries, 7), cases[i].wait_ms);
}

static void test_retry_default_steps_grow_up_to_longest(void **state)
{
    (void)state;
    struct retry r;
    retry_set(&r, (const uint64_t[]){60, 300}, 2, 1000, false);
    static const uint64_t middles_ms[] = {60000, 300000, 450000, 675000, 1000000, 1000000};
    for (uint32_t i = 0; i < sizeof(middles_ms) / sizeof(middles_ms[0]); i++) {
        uint64_t middle = middles_ms[i], spread = middle * 15 / 100;
        assert_int_equal(retry_wait_ms(&r, i + 1, spread), middle);
    }
}

static void test_retry_jitter_stays_within_fifteen_percent(void **state)
{
    (void)state;
    struct retry r;
    uint64_t low = UINT64_MAX, high = 0;
    retry_set(&r, NULL, 0, 0, false);
    for (uint64_t random = 0; random < 30000; random += 7) {
        uint64_t wait_ms = retry_wait_ms(&r, 1, random);
        low = wait_ms < low ? wait_ms : low;
        high = wait_ms > high ? wait_ms : high;
    }
    assert_in_range(low, 51000, 51100);
    assert_in_range(high, 68900, 69000);
}

static void test_retry_foolish_values_are_clamped(void **state)
{
    (void)state;
    struct retry r;
    retry_set(&r, (const uint64_t[]){0, UINT64_MAX}, 2, UINT64_MAX, true);
    assert_int_equal(retry_wait_ms(&r, 1, 0), 1000);
    assert_int_equal(retry_wait_ms(&r, 2, 0), (uint64_t)RETRY_S_MAX * 1000);
}

/* ---- ids ---- */

static void test_ids_rise_also_when_the_clock_goes_back(void **state)
{
    (void)state;
    struct ids ids = {.node = 5};
    int64_t now_us = 1795000000000000;
    uint64_t last = 0;
    for (int i = 0; i < 30000; i++) {
        if (i % 100 == 0) now_us -= 5000000;
        if (i % 70 == 0) now_us += 1000000;
        struct message_id id = ids_next(&ids, now_us);
        assert_true(id.v > last);
        assert_int_equal(id.v >> 13 & IDS_NODE_MAX, 5);
        last = id.v;
    }
}

static void test_ids_seen_is_a_floor(void **state)
{
    (void)state;
    struct ids ids = {.node = 1};
    struct message_id later = {ids_next(&(struct ids){.node = 900}, 1795000009000000).v};
    ids_seen(&ids, later);
    struct message_id next = ids_next(&ids, 1795000000000000);
    assert_true(next.v > later.v);
    assert_int_equal(next.v >> 13 & IDS_NODE_MAX, 1);
    assert_int_equal(ids_wall_us(later), 1795000009000000);
}

/* ---- origins ---- */

static void test_origins_known_until_pushed_out(void **state)
{
    (void)state;
    struct origins o;
    assert_int_equal(origins_init(&o), ERR_NONE);
    for (uint64_t i = 1; i <= ORIGINS_MAX + 10; i++) {
        struct origin origin = {1, 2, i};
        origins_add(&o, &origin, (struct message_id){i});
    }
    assert_int_equal(origins_find(&o, &(struct origin){1, 2, 10}).v, 0);
    assert_int_equal(origins_find(&o, &(struct origin){1, 2, 11}).v, 11);
    assert_int_equal(origins_find(&o, &(struct origin){1, 2, ORIGINS_MAX + 10}).v, ORIGINS_MAX + 10);
    assert_int_equal(origins_find(&o, &(struct origin){2, 2, 11}).v, 0);
    origins_forget(&o, &(struct origin){1, 2, 11});
    assert_int_equal(origins_find(&o, &(struct origin){1, 2, 11}).v, 0);
    origins_add(&o, &(struct origin){0}, (struct message_id){1});
    assert_int_equal(origins_find(&o, &(struct origin){0}).v, 0);
    origins_fini(&o);
}

/* ---- segments ---- */

static void test_segments_count_by_generation(void **state)
{
    (void)state;
    struct segments s = {0};
    struct qlog_place a = {7, 0, 100}, b = {3, 0, 50}, nowhere = {0};
    assert_int_equal(segments_gain(&s, &a), ERR_NONE);
    assert_int_equal(segments_gain(&s, &b), ERR_NONE);
    assert_int_equal(segments_gain(&s, &a), ERR_NONE);
    assert_int_equal(segments_gain(&s, &nowhere), ERR_NONE);
    assert_int_equal(s.live_bytes, 250);
    assert_int_equal(segments_oldest_live(&s), 3);
    segments_lose(&s, &b);
    segments_lose(&s, &b); /* once too often: as after damage */
    assert_int_equal(segments_oldest_live(&s), 7);
    segments_drop_below(&s, 7);
    assert_int_equal(s.count, 1);
    segments_lose(&s, &a);
    segments_lose(&s, &a);
    assert_int_equal(segments_oldest_live(&s), UINT64_MAX);
    assert_int_equal(s.live_bytes, 0);
    segments_fini(&s);
}

/* ---- arena ---- */

static void test_arena_gives_separate_aligned_memory(void **state)
{
    (void)state;
    struct arena a = {0};
    static const size_t sizes[] = {1, 17, 4096, 70000, 200000, 3};
    uint8_t *taken[6];
    for (size_t i = 0; i < 6; i++) {
        taken[i] = arena_take(&a, sizes[i]);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % 16, 0);
        memset(taken[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < 6; i++) assert_int_equal(taken[i][sizes[i] - 1], i);
    arena_fini(&a);
}

/* ---- thread ---- */

struct counted {
    struct task task;
    int n;
};

static void twice(struct task *t)
{
    ((struct counted *)t)->n *= 2;
}

static void test_thread_gives_tasks_back_in_order(void **state)
{
    (void)state;
    struct thread t;
    struct counted tasks[100];
    int fd = eventfd(0, EFD_NONBLOCK);
    assert_int_equal(thread_start(&t, fd), ERR_NONE);
    for (int i = 0; i < 100; i++) {
        tasks[i] = (struct counted){.task.run = twice, .n = i};
        thread_give(&t, &tasks[i].task);
    }
    thread_stop(&t);
    for (int i = 0; i < 100; i++) {
        struct counted *done = (struct counted *)thread_collect(&t);
        assert_ptr_equal(done, &tasks[i]);
        assert_int_equal(done->n, 2 * i);
    }
    assert_null(thread_collect(&t));
    close(fd);
}

/* ---- names of body files ---- */

static void test_body_names_only_ours_are_ids(void **state)
{
    (void)state;
    char name[BODY_NAME_BYTES];
    body_file_name(name, 0x1953680672800001);
    assert_string_equal(name, "1953680672800001");
    assert_int_equal(body_file_id(name), 0x1953680672800001);
    static const char *const others[] = {"", ".", "1953680672800001x", "195368067280000", "19536806728000G1", "ABCDEF0123456789", "0000000000000000"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) assert_int_equal(body_file_id(others[i]), 0);
}

/* ---- kept ---- */

static void test_kept_void_makes_all_since_unwritten(void **state)
{
    (void)state;
    struct kept_list k;
    kept_init(&k);
    for (uint64_t i = 1; i <= 4; i++) {
        struct kept *r = kept_put(&k, RECORD_OUTCOME, (struct message_id){i}, BYTES("octets"));
        r->group = 10 + i / 2; /* 10 11 11 12 */
    }
    k.unwritten = NULL;
    k.unwritten_bytes = 0;
    assert_non_null(kept_first(&k, 10));
    assert_null(kept_first(&k, 9));
    kept_drop(&k);
    kept_void(&k, 11);
    kept_void(&k, 12);
    assert_int_equal(k.unwritten->id.v, 2);
    assert_int_equal(k.unwritten_bytes, 18);
    assert_null(kept_first(&k, 100));
    kept_fini(&k);
}

/* ---- rows ---- */

static void test_rows_survive_and_show_every_changed_bit(void **state)
{
    (void)state;
    uint8_t key_memory[INDEX_KEY_BYTES_MAX], memory[INDEX_ROW_BYTES_MAX];
    struct buf key = BUF_OVER(key_memory), row = BUF_OVER(memory);
    struct index_message im = {.m = {.id = {77},
                                     .arrival_wall_us = 1,
                                     .expire_wall_s = 99,
                                     .sender = BYTES("a@b"),
                                     .helo = BYTES("h"),
                                     .hold_reason = BYTES("why"),
                                     .held = true,
                                     .rcpt_count = 2,
                                     .rcpts = {NULL, 40},
                                     .body_bytes = 12345},
                               .place = {3, 4096, 500},
                               .in_outcome = true};
    struct index_message got;
    index_key_u64(&key, 77);
    index_message_encode(&row, buf_bytes(&key), &im);
    assert_int_equal(index_message_decode(buf_bytes(&key), buf_bytes(&row), &got), ERR_NONE);
    assert_true(got.m.held && got.in_outcome && got.place.offset == 4096 && got.m.body_bytes == 12345 && got.m.rcpt_count == 2);
    assert_true(bytes_equal(got.m.hold_reason, BYTES("why")));
    for (uint32_t bit = 0; bit < row.len * 8; bit++) {
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(index_row_check(INDEX_MESSAGE, buf_bytes(&key), buf_bytes(&row)), ERR_CORRUPT);
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (uint32_t n = 0; n < row.len; n++) assert_int_equal(index_row_check(INDEX_MESSAGE, buf_bytes(&key), bytes_of(memory, n)), ERR_CORRUPT);
    key_memory[7] ^= 1; /* the same row under another key */
    assert_int_equal(index_row_check(INDEX_MESSAGE, buf_bytes(&key), buf_bytes(&row)), ERR_CORRUPT);
}

static void test_rows_keys_order_as_their_numbers(void **state)
{
    (void)state;
    static const struct index_queued order[] = {{1, 5, {9}, 0}, {1, 256, {1}, 0}, {1, 256, {1}, 1}, {1, 256, {2}, 0}, {1, 65536, {0}, 0}, {2, 0, {0}, 0}};
    struct bytes last = {0};
    uint8_t memory[6][INDEX_KEY_BYTES_MAX];
    for (size_t i = 0; i < 6; i++) {
        struct buf key = BUF_OVER(memory[i]);
        struct index_queued got;
        index_key_queued(&key, &order[i]);
        assert_true(bytes_compare(last, buf_bytes(&key)) < 0);
        assert_true(index_key_queued_get(buf_bytes(&key), &got));
        assert_memory_equal(&got, &order[i], sizeof(got.destination));
        last = buf_bytes(&key);
    }
}

static void test_rows_meta_survives(void **state)
{
    (void)state;
    uint8_t key_memory[INDEX_KEY_BYTES_MAX], memory[INDEX_ROW_BYTES_MAX];
    struct buf key = BUF_OVER(key_memory), row = BUF_OVER(memory);
    struct index_meta meta = {.position = {1, 2, 3, 4}, .accepted = 5, .id_floor = 6}, got;
    index_key_u64(&key, 0);
    index_meta_encode(&row, buf_bytes(&key), &meta);
    assert_int_equal(index_meta_decode(buf_bytes(&key), buf_bytes(&row), &got), ERR_NONE);
    assert_int_equal(got.position.sequence, 3);
    assert_int_equal(got.id_floor, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_given_steps_are_kept_and_the_last_repeats),
        cmocka_unit_test(test_retry_default_steps_grow_up_to_longest),
        cmocka_unit_test(test_retry_jitter_stays_within_fifteen_percent),
        cmocka_unit_test(test_retry_foolish_values_are_clamped),
        cmocka_unit_test(test_ids_rise_also_when_the_clock_goes_back),
        cmocka_unit_test(test_ids_seen_is_a_floor),
        cmocka_unit_test(test_origins_known_until_pushed_out),
        cmocka_unit_test(test_segments_count_by_generation),
        cmocka_unit_test(test_arena_gives_separate_aligned_memory),
        cmocka_unit_test(test_thread_gives_tasks_back_in_order),
        cmocka_unit_test(test_body_names_only_ours_are_ids),
        cmocka_unit_test(test_kept_void_makes_all_since_unwritten),
        cmocka_unit_test(test_rows_survive_and_show_every_changed_bit),
        cmocka_unit_test(test_rows_keys_order_as_their_numbers),
        cmocka_unit_test(test_rows_meta_survives),
    };
    return cmocka_run_group_tests_name("queue_parts", tests, NULL, NULL);
}
