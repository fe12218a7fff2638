/*
 * log_test - the commit log on a disk that works: order, places, segments, recovery of every kind of damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/log_format.h"
#include "queue/log_testing.h"

struct fixture {
    char path[64];
    int folder, event_fd;
    struct seen seen;
    struct qlog_recovery recovery;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->folder = testing_folder(f->path);
    f->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->folder);
    close(f->event_fd);
    testing_remove(f->path);
    free(f);
    return 0;
}

static struct qlog *open_log(struct fixture *f)
{
    return testing_open(f->folder, f->event_fd, (struct qlog_position){0}, &f->seen, &f->recovery);
}

/* commit - one accept in a group of its own. */
static struct qlog_place commit(struct qlog *log, uint64_t number, uint32_t bytes)
{
    struct qlog_place place = {0};
    uint64_t group = 0;
    enum err e = ERR_AGAIN;
    for (int tries = 0; tries < 2000 && e == ERR_AGAIN; tries++) {
        e = testing_append(log, RECORD_ACCEPT, number, bytes, true, &place, &group);
        if (e == ERR_AGAIN) usleep(1000);
    }
    assert_int_equal(e, ERR_NONE);
    struct qlog_progress p = testing_sync(log, group);
    assert_int_equal(p.error, ERR_NONE);
    assert_true(p.synced_group >= group);
    return place;
}

static void assert_seen_in_order(const struct seen *s, uint64_t first, uint32_t count)
{
    assert_int_equal(s->count, count);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(s->number[i], first + i);
}

static void test_log_reopened_gives_all_records_in_order(void **state)
{
    struct fixture *f = *state;
    uint8_t memory[3000];
    struct qlog *log = open_log(f);
    for (uint64_t n = 1; n <= 20; n++) {
        struct qlog_place place = commit(log, n, 100 + (uint32_t)n * 37);
        assert_int_equal(place.offset % QLOG_BLOCK_BYTES, 0);
        assert_int_equal(qlog_read(log, &place, 0, memory, place.bytes - QLOG_HEADER_BYTES), ERR_NONE);
        assert_true(testing_body_is_right(bytes_of(memory, place.bytes - QLOG_HEADER_BYTES)));
        place.generation += 100;
        assert_int_equal(qlog_read(log, &place, 0, memory, 10), ERR_NOT_FOUND);
    }
    qlog_close(log);
    for (int start = 0; start < 3; start++) {
        log = open_log(f);
        assert_seen_in_order(&f->seen, 1, 20);
        assert_int_equal(f->recovery.damaged_records + f->recovery.torn_records + f->recovery.damaged_files, 0);
        qlog_close(log);
    }
}

static void test_log_lazy_records_share_blocks_and_are_synced_in_time(void **state)
{
    struct fixture *f = *state;
    struct qlog *log = open_log(f);
    struct qlog_place a, b, c;
    uint64_t ga, gb, gc;
    struct qlog_progress p;
    assert_int_equal(testing_append(log, RECORD_OUTCOME, 1, 80, false, &a, &ga), ERR_NONE);
    qlog_kick(log);
    usleep(3000);
    assert_int_equal(testing_append(log, RECORD_OUTCOME, 2, 80, false, &b, &gb), ERR_NONE);
    assert_int_equal(ga, gb);
    assert_int_equal(b.offset, a.offset + record_span(80));
    qlog_collect(log, &p);
    assert_true(p.synced_group < ga);
    uint64_t due = qlog_deadline_ms(log), now = clock_mono_ms();
    assert_true(due <= now + QLOG_LAZY_MS);
    p = testing_sync(log, ga);
    assert_int_equal(p.synced_group, ga);
    assert_true(clock_mono_ms() >= due);
    assert_int_equal(p.position.offset, b.offset + b.bytes);
    assert_int_equal(testing_append(log, RECORD_OUTCOME, 3, 80, false, &c, &gc), ERR_NONE);
    assert_int_equal(gc, ga + 1);
    assert_int_equal(c.offset, block_up(b.offset + b.bytes));
    qlog_close(log);
    qlog_close(open_log(f));
    assert_seen_in_order(&f->seen, 1, 3);
}

static void test_log_many_segments_reopened_from_position_gives_the_tail(void **state)
{
    struct fixture *f = *state;
    struct qlog *log = open_log(f);
    struct qlog_position middle = {0};
    struct qlog_progress p;
    struct qlog_sizes sizes;
    for (uint64_t n = 1; n <= 60; n++) {
        commit(log, n, 9000);
        qlog_collect(log, &p);
        if (n == 33) middle = p.position;
    }
    qlog_sizes(log, &sizes);
    assert_true(sizes.segments > 5);
    qlog_close(log);
    log = testing_open(f->folder, f->event_fd, middle, &f->seen, &f->recovery);
    assert_seen_in_order(&f->seen, 34, 27);
    assert_false(f->recovery.position_missing);
    qlog_close(log);
    middle.generation += 1000000000;
    log = testing_open(f->folder, f->event_fd, middle, &f->seen, &f->recovery);
    assert_true(f->recovery.position_missing);
    assert_seen_in_order(&f->seen, 1, 60);
    qlog_close(log);
}

static void test_log_recycled_segments_leave_no_trace_of_their_old_records(void **state)
{
    struct fixture *f = *state;
    struct qlog *log = open_log(f);
    struct qlog_place place = {0}, first = {0};
    struct qlog_sizes sizes;
    uint8_t memory[16];
    for (uint64_t n = 1; n <= 200; n++) {
        place = commit(log, n, n % 3 == 0 ? 20000 : 300);
        if (n == 1) first = place;
        qlog_recycle(log, place.generation);
    }
    assert_int_equal(qlog_read(log, &first, 0, memory, 8), ERR_NOT_FOUND);
    usleep(50000);
    qlog_sizes(log, &sizes);
    assert_int_equal(sizes.segments, 1);
    assert_true(sizes.bytes <= 6 * SMALL_SEGMENT);
    qlog_close(log);
    log = open_log(f);
    assert_int_equal(f->recovery.damaged_records, 0);
    assert_true(f->seen.count > 0 && f->seen.count < 20);
    for (uint32_t i = 0; i < f->seen.count; i++) {
        assert_int_equal(f->seen.number[i], 200 - f->seen.count + 1 + i);
        assert_true(f->seen.place[i].generation >= place.generation);
    }
    qlog_close(log);
}

static void test_log_walk_of_a_segment_finds_what_recovery_finds(void **state)
{
    struct fixture *f = *state;
    struct qlog *log = open_log(f);
    for (uint64_t n = 1; n <= 40; n++) commit(log, n, 5000);
    qlog_close(log);
    log = open_log(f);
    uint32_t i = 0;
    for (uint32_t n = 0; qlog_generation(log, n) != 0; n++) {
        uint32_t offset = 0;
        struct qlog_found found;
        while (qlog_next(log, qlog_generation(log, n), &offset, &found) == ERR_NONE) {
            if (found.type != RECORD_ACCEPT) continue;
            assert_memory_equal(&found.place, &f->seen.place[i], sizeof(found.place));
            assert_int_equal(found.at.sequence, f->seen.at[i].sequence);
            i++;
        }
    }
    assert_int_equal(i, 40);
    qlog_close(log);
}

static void test_log_largest_record_is_taken_and_more_is_refused(void **state)
{
    struct fixture *f = *state;
    struct qlog *log;
    struct qlog_place place;
    uint64_t group;
    struct qlog_options options = {.folder_fd = f->folder, .segment_bytes = 16 * 1024 * 1024, .event_fd = f->event_fd};
    assert_int_equal(qlog_open(&log, &options, (struct qlog_position){0}, testing_apply, &f->seen, &f->recovery), ERR_NONE);
    place = commit(log, 1, QLOG_RECORD_BYTES_MAX);
    uint8_t *memory = malloc(QLOG_RECORD_BYTES_MAX);
    assert_int_equal(qlog_read(log, &place, 0, memory, QLOG_RECORD_BYTES_MAX), ERR_NONE);
    struct bytes parts[2] = {bytes_of(memory, QLOG_RECORD_BYTES_MAX), bytes_of(memory, 1)};
    assert_int_equal(qlog_append(log, RECORD_ACCEPT, parts, 2, true, &place, &group), ERR_TOO_LONG);
    free(memory);
    commit(log, 2, 100);
    commit(log, 3, 3 * 1024 * 1024);
    commit(log, 4, 100);
    qlog_close(log);
    memset(&f->seen, 0, sizeof(f->seen));
    assert_int_equal(qlog_open(&log, &options, (struct qlog_position){0}, testing_apply, &f->seen, &f->recovery), ERR_NONE);
    assert_seen_in_order(&f->seen, 1, 4);
    assert_int_equal(f->recovery.damaged_records, 0);
    qlog_close(log);
}

static void test_log_at_its_limit_refuses_accepts_first_and_goes_on_when_recycled(void **state)
{
    struct fixture *f = *state;
    struct qlog *log;
    struct qlog_place place = {0};
    struct qlog_sizes sizes;
    uint64_t group = 0, n = 0;
    enum err e;
    struct qlog_options options = {.folder_fd = f->folder, .segment_bytes = SMALL_SEGMENT, .max_bytes = 3 * SMALL_SEGMENT, .event_fd = f->event_fd};
    assert_int_equal(qlog_open(&log, &options, (struct qlog_position){0}, testing_apply, &f->seen, &f->recovery), ERR_NONE);
    do {
        usleep(2000); /* the spare is made meanwhile */
        e = testing_append(log, RECORD_ACCEPT, ++n, 3000, true, &place, &group);
        if (e == ERR_NONE) testing_sync(log, group);
    } while (e == ERR_NONE || (e == ERR_AGAIN && n < 500));
    assert_int_equal(e, ERR_FULL);
    qlog_sizes(log, &sizes);
    assert_true(sizes.nearly_full);
    uint32_t outcomes = 0;
    while (testing_append(log, RECORD_OUTCOME, 1000 + outcomes, 200, false, &place, &group) == ERR_NONE) outcomes++;
    assert_true(outcomes > 50);
    testing_sync(log, group);
    qlog_recycle(log, place.generation);
    commit(log, 5000, 3000);
    qlog_close(log);
}

/* ---- damage ---- */

struct image {                /* all of one segment file */
    char name[16];
    uint8_t *octets;
    uint32_t bytes;
};

static uint32_t load_images(const struct fixture *f, struct image *images, uint32_t max)
{
    uint32_t count = 0;
    int fd = openat(f->folder, "log", O_RDONLY | O_DIRECTORY);
    DIR *folder = fdopendir(fd);
    for (const struct dirent *d = readdir(folder); d; d = readdir(folder)) {
        struct stat st;
        if (d->d_name[0] == '.') continue;
        assert_true(count < max && strlen(d->d_name) < sizeof(images->name));
        int file = openat(fd, d->d_name, O_RDONLY);
        assert_int_equal(fstat(file, &st), 0);
        struct image *x = &images[count++];
        memcpy(x->name, d->d_name, strlen(d->d_name) + 1);
        x->bytes = (uint32_t)st.st_size;
        x->octets = malloc(x->bytes);
        assert_int_equal(pread(file, x->octets, x->bytes, 0), x->bytes);
        close(file);
    }
    closedir(folder);
    return count;
}

/* store_images - the folder holds these files and nothing else. */
static void store_images(struct fixture *f, const struct image *images, uint32_t count)
{
    close(f->folder);
    testing_remove(f->path);
    assert_int_equal(mkdir(f->path, 0700), 0);
    f->folder = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(f->folder, "log", 0700), 0);
    int log = openat(f->folder, "log", O_RDONLY | O_DIRECTORY);
    for (uint32_t i = 0; i < count; i++) {
        int file = openat(log, images[i].name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_int_equal(pwrite(file, images[i].octets, images[i].bytes, 0), images[i].bytes);
        close(file);
    }
    close(log);
}

static void free_images(struct image *images, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) free(images[i].octets);
}

static struct image *image_with(struct image *images, uint32_t count, uint64_t generation)
{
    for (uint32_t i = 0; i < count; i++) {
        struct segment_head h;
        if (segment_head_get(bytes_of(images[i].octets, images[i].bytes), &h) == ERR_NONE && h.generation == generation) return &images[i];
    }
    fail();
    return NULL;
}

static uint32_t damage_files(const struct fixture *f)
{
    uint32_t count = 0;
    int fd = openat(f->folder, "damage", O_RDONLY | O_DIRECTORY);
    if (fd < 0) return 0;
    DIR *folder = fdopendir(fd);
    for (const struct dirent *d = readdir(folder); d; d = readdir(folder)) count += d->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Several groups: accepts alone, groups of three, lazy records; numbers 1..count. */
static uint32_t write_sample(struct fixture *f, struct qlog_place *places, bool close_it)
{
    struct qlog *log = open_log(f);
    uint64_t group = 0;
    uint32_t n = 0;
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 3; i++, n++) assert_int_equal(testing_append(log, RECORD_ACCEPT, n + 1, 300 + 500 * i, true, &places[n], &group), ERR_NONE);
        testing_sync(log, group);
        assert_int_equal(testing_append(log, RECORD_OUTCOME, n + 1, 60, false, &places[n], &group), ERR_NONE);
        n++;
        testing_sync(log, group);
    }
    if (close_it) qlog_close(log);
    else {
        struct image images[8];
        uint32_t count = load_images(f, images, 8);
        qlog_close(log);
        store_images(f, images, count);
        free_images(images, count);
    }
    return n;
}

static void test_log_cut_at_every_sector_keeps_what_is_before(void **state)
{
    struct fixture *f = *state;
    struct qlog_place places[64];
    struct image images[8];
    uint32_t n = write_sample(f, places, true), count = load_images(f, images, 8);
    struct image *x = image_with(images, count, places[0].generation);
    uint32_t end = places[n - 1].offset + places[n - 1].bytes + 3 * QLOG_BLOCK_BYTES, whole = x->bytes;
    uint8_t *copy = malloc(whole);
    memcpy(copy, x->octets, whole);
    for (uint32_t mode = 0; mode < 2; mode++) { /* the file ends there, or is zeroes from there */
        for (uint32_t cut = QLOG_BLOCK_BYTES; cut <= end; cut += 512) {
            uint32_t expected = 0;
            memcpy(x->octets, copy, whole);
            x->bytes = mode == 0 ? cut : whole;
            memset(x->octets + cut, 0, whole - cut);
            for (uint32_t i = 0; i < n; i++) expected += places[i].offset + places[i].bytes <= cut;
            /* The file's size is in blocks: what is behind the last whole one is not looked at. */
            uint32_t seen_cut = mode == 0 ? cut & ~(uint32_t)(QLOG_BLOCK_BYTES - 1) : cut;
            if (mode == 0) {
                expected = 0;
                for (uint32_t i = 0; i < n; i++) expected += places[i].offset + places[i].bytes <= seen_cut;
            }
            store_images(f, images, count);
            struct qlog *log = open_log(f);
            if (seen_cut >= 2 * QLOG_BLOCK_BYTES) assert_seen_in_order(&f->seen, 1, expected);
            assert_int_equal(f->recovery.damaged_records, 0);
            commit(log, 1000, 100);
            qlog_close(log);
            qlog_close(open_log(f));
            assert_int_equal(f->recovery.damaged_records, 0);
            if (seen_cut >= 2 * QLOG_BLOCK_BYTES) assert_int_equal(f->seen.count, expected + 1);
        }
    }
    free(copy);
    free_images(images, count);
}

static void test_log_damage_with_a_later_group_behind_is_set_aside_and_the_rest_served(void **state)
{
    struct fixture *f = *state;
    struct qlog_place places[64];
    struct image images[8];
    uint32_t n = write_sample(f, places, true), count = load_images(f, images, 8);
    struct image *x = image_with(images, count, places[0].generation);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at[] = {0, 5, 20, QLOG_HEADER_BYTES - 1, QLOG_HEADER_BYTES, places[i].bytes - 1};
        for (uint32_t k = 0; k < sizeof(at) / sizeof(at[0]); k++) {
            uint8_t *octet = x->octets + places[i].offset + at[k];
            *octet ^= 0x10;
            store_images(f, images, count);
            *octet ^= 0x10;
            struct qlog *log = open_log(f);
            assert_int_equal(f->seen.count, n - 1);
            assert_false(testing_saw(&f->seen, i + 1));
            assert_int_equal(f->seen.damaged, 1);
            assert_int_equal(f->seen.missing, 1);
            assert_int_equal(f->recovery.damaged_records, 1);
            assert_int_equal(damage_files(f), 1);
            qlog_close(log);
        }
    }
    free_images(images, count);
}

static void test_log_any_octet_wrong_loses_nothing_silently(void **state)
{
    struct fixture *f = *state;
    struct qlog_place places[64];
    struct image images[8];
    uint32_t n = write_sample(f, places, true), count = load_images(f, images, 8);
    uint32_t end = places[n - 1].offset + places[n - 1].bytes;
    for (uint32_t i = 0; i < count; i++) {
        struct image *x = &images[i];
        for (uint32_t at = 0; at < end && at < x->bytes; at += at < SEGMENT_HEAD_BYTES ? 7 : 131) {
            x->octets[at] ^= 0xFF;
            store_images(f, images, count);
            x->octets[at] ^= 0xFF;
            struct qlog *log = open_log(f);
            /* One more may be missing: a record about the log itself. */
            assert_true(f->seen.count + f->seen.missing >= n && f->seen.count >= n - 1 && f->seen.missing <= 1);
            uint32_t found = f->seen.count;
            commit(log, 1000, 100);
            qlog_close(log);
            qlog_close(open_log(f));
            assert_int_equal(f->seen.count, found + 1);
            assert_true(f->seen.count + f->seen.missing >= n + 1);
        }
    }
    free_images(images, count);
}

static void test_log_torn_last_group_gives_its_whole_records_and_no_damage(void **state)
{
    struct fixture *f = *state;
    struct qlog_place places[64];
    struct image images[8];
    struct qlog *log = open_log(f);
    uint64_t group = 0;
    for (uint32_t i = 0; i < 3; i++) places[i] = commit(log, i + 1, 700);
    for (uint32_t i = 3; i < 9; i++) assert_int_equal(testing_append(log, RECORD_ACCEPT, i + 1, 900, true, &places[i], &group), ERR_NONE);
    testing_sync(log, group);
    uint32_t count = load_images(f, images, 8);
    qlog_close(log);
    struct image *x = image_with(images, count, places[0].generation);
    uint8_t *copy = malloc(x->bytes);
    memcpy(copy, x->octets, x->bytes);
    srandom(7);
    for (uint32_t run = 0; run < 60; run++) {
        bool lost[32] = {0};
        memcpy(x->octets, copy, x->bytes);
        uint32_t start = places[3].offset;
        for (uint32_t sector = 0; sector < 16; sector++) {
            lost[sector] = random() % 3 == 0;
            if (lost[sector]) memset(x->octets + start + sector * 512, run % 2 ? 0 : 0xA5, 512);
        }
        store_images(f, images, count);
        log = open_log(f);
        assert_int_equal(f->seen.damaged, 0);
        for (uint32_t i = 0; i < 9; i++) {
            bool whole = true;
            for (uint32_t at = places[i].offset; i >= 3 && at < places[i].offset + places[i].bytes; at++) whole = whole && !lost[(at - start) / 512];
            assert_int_equal(testing_saw(&f->seen, i + 1), whole);
        }
        uint32_t seen = f->seen.count;
        commit(log, 1000, 100);
        qlog_close(log);
        qlog_close(open_log(f)); /* what was torn once is no damage later */
        assert_int_equal(f->seen.damaged, 0);
        assert_int_equal(f->seen.count, seen + 1);
    }
    free(copy);
    free_images(images, count);
}

static void test_log_foreign_and_broken_files_are_moved_away(void **state)
{
    struct fixture *f = *state;
    struct qlog_place places[64];
    struct image images[8], other[8];
    uint32_t n = write_sample(f, places, true), count = load_images(f, images, 6);
    store_images(f, NULL, 0);
    write_sample(f, places, true); /* another log, with the same generations */
    uint32_t other_count = load_images(f, other, 8);
    struct image *x = image_with(other, other_count, places[0].generation);
    strcpy(x->name, "9000.seg");
    images[count++] = *x;
    images[count] = *x;
    images[count].octets = memset(malloc(5000), 'x', 5000);
    images[count].bytes = 5000;
    strcpy(images[count++].name, "9001.seg");
    x->octets = NULL;
    store_images(f, images, count);
    struct qlog *log = open_log(f);
    assert_seen_in_order(&f->seen, 1, n);
    assert_int_equal(f->recovery.damaged_files, 2);
    assert_int_equal(damage_files(f), 2);
    qlog_close(log);
    free_images(images, count);
    free_images(other, other_count);
}

static void test_log_killed_without_close_reopens_without_damage(void **state)
{
    struct fixture *f = *state;
    struct qlog_place places[64];
    uint32_t n = write_sample(f, places, false);
    struct qlog *log = open_log(f);
    assert_seen_in_order(&f->seen, 1, n);
    assert_int_equal(f->recovery.damaged_records + f->recovery.damaged_files + f->recovery.torn_records, 0);
    qlog_close(log);
}

static void test_log_options_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;
    struct qlog *log;
    const struct qlog_options cases[] = {
        {.folder_fd = f->folder, .segment_bytes = 0},
        {.folder_fd = f->folder, .segment_bytes = SMALL_SEGMENT + 1},
        {.folder_fd = f->folder, .segment_bytes = (uint64_t)QLOG_SEGMENT_BYTES_MAX * 2},
        {.folder_fd = f->folder, .segment_bytes = SMALL_SEGMENT, .max_bytes = SMALL_SEGMENT},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(qlog_open(&log, &cases[i], (struct qlog_position){0}, testing_apply, &f->seen, &f->recovery), ERR_BAD_VALUE);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_log_reopened_gives_all_records_in_order),
        TEST(test_log_lazy_records_share_blocks_and_are_synced_in_time),
        TEST(test_log_many_segments_reopened_from_position_gives_the_tail),
        TEST(test_log_recycled_segments_leave_no_trace_of_their_old_records),
        TEST(test_log_walk_of_a_segment_finds_what_recovery_finds),
        TEST(test_log_largest_record_is_taken_and_more_is_refused),
        TEST(test_log_at_its_limit_refuses_accepts_first_and_goes_on_when_recycled),
        TEST(test_log_cut_at_every_sector_keeps_what_is_before),
        TEST(test_log_damage_with_a_later_group_behind_is_set_aside_and_the_rest_served),
        TEST(test_log_any_octet_wrong_loses_nothing_silently),
        TEST(test_log_torn_last_group_gives_its_whole_records_and_no_damage),
        TEST(test_log_foreign_and_broken_files_are_moved_away),
        TEST(test_log_killed_without_close_reopens_without_damage),
        TEST(test_log_options_out_of_range_are_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
