/*
 * queue_operate_test - holds, removals, notices, repeats, large bodies, listings, and the log's reuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/queue_testing.h"

static int setup(void **state)
{
    struct rig *t = malloc(sizeof(*t));
    must(t != NULL);
    rig_begin(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

static struct queue_totals totals(struct rig *t)
{
    struct queue_totals all;
    queue_totals(t->q, &all);
    return all;
}

static bool take_soon(struct rig *t, struct queue_job *job)
{
    for (int i = 0; i < 50; i++) {
        if (rig_take(t, job)) return true;
        rig_turn(t, 5);
    }
    return false;
}

/* evict_all - everything that is not in hand goes back to the index. */
static void evict_all(struct rig *t)
{
    rig_close(t);
    rig_open(t);
    assert_int_equal(totals(t).resident, 0);
}

/* ---- operators ---- */

static void test_queue_held_mail_is_not_given_out_until_released(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    struct message_id id = rig_commit(t, "a@example.com");
    assert_int_equal(queue_hold(t->q, id, BYTES("suspicious"), t->now_wall_us), ERR_NONE);
    assert_false(rig_take(t, &job));
    assert_int_equal(totals(t).held, 1);
    evict_all(t);
    rig_settle(t);
    assert_false(rig_take(t, &job));
    assert_true(rig_check(t));
    assert_int_equal(queue_release(t->q, id, t->now_wall_us, t->now_ms), ERR_NONE);
    assert_true(take_soon(t, &job));
    assert_int_equal(totals(t).held, 0);
    rig_settle(t);
    assert_true(rig_check(t));
}

static void test_queue_removed_mail_is_gone_and_counted(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    struct message_id id = rig_commit(t, "a@example.com"), other = rig_commit(t, "b@example.com");
    assert_true(rig_take(t, &job));
    assert_int_equal(queue_remove(t->q, job.id, NULL, t->now_wall_us, t->now_ms), ERR_BUSY);
    queue_return(t->q, job.id, job.rcpts, job.rcpt_count);
    evict_all(t);
    assert_int_equal(queue_remove(t->q, id, NULL, t->now_wall_us, t->now_ms), ERR_NONE);
    assert_true(rig_until(t, QUEUE_REMOVED, 0, NULL));
    assert_int_equal(queue_remove(t->q, id, NULL, t->now_wall_us, t->now_ms), ERR_NOT_FOUND);
    rig_settle(t);
    assert_int_equal(totals(t).audit.removed, 1);
    assert_int_equal(totals(t).messages, 1);
    assert_true(take_soon(t, &job));
    assert_int_equal(job.id.v, other.v);
    assert_true(rig_check(t));
}

static void test_queue_flushed_mail_is_due_now(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    struct message_id id = rig_commit(t, "a@example.com");
    assert_true(rig_take(t, &job));
    queue_site_failed(t->q, job.destination, BYTES("connection refused"), t->now_wall_us);
    assert_int_equal(rig_result(t, &job, VERDICT_LATER, SCOPE_SITE), ERR_NONE);
    assert_false(rig_take(t, &job));
    evict_all(t);
    assert_int_equal(queue_due(t->q, id, 0, t->now_wall_us, t->now_ms), ERR_NONE);
    assert_true(take_soon(t, &job));
    rig_settle(t);
    assert_true(rig_check(t));
}

static void test_queue_suspended_destination_waits_across_a_start(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    rig_commit(t, "a@example.com");
    assert_int_equal(queue_suspend(t->q, BYTES("mx:example.com"), true, BYTES("maintenance")), ERR_NONE);
    assert_int_equal(queue_suspend(t->q, BYTES("mx:nowhere.example"), false, BYTES("")), ERR_NOT_FOUND);
    assert_false(rig_take(t, &job));
    evict_all(t);
    rig_settle(t);
    assert_false(rig_take(t, &job));
    assert_int_equal(totals(t).suspended, 1);
    struct queue_destination d;
    uint64_t cursor = 0;
    assert_true(queue_destinations(t->q, &cursor, &d));
    assert_true(d.suspended && bytes_equal(d.reason, BYTES("maintenance")));
    assert_int_equal(queue_suspend(t->q, BYTES("mx:example.com"), false, BYTES("")), ERR_NONE);
    assert_true(take_soon(t, &job));
}

/* ---- back-off ---- */

static void test_queue_dead_destination_costs_one_timer(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    for (int i = 0; i < 30; i++) rig_commit(t, "a@dead.example");
    assert_true(rig_take(t, &job));
    queue_site_failed(t->q, job.destination, BYTES("connection refused"), t->now_wall_us);
    assert_int_equal(rig_result(t, &job, VERDICT_LATER, SCOPE_SITE), ERR_NONE);
    assert_false(rig_take(t, &job));
    rig_commit(t, "b@alive.example");
    assert_true(rig_take(t, &job));
    assert_true(bytes_equal(job.destination_name, BYTES("mx:alive.example")));
    rig_pass(t, 2000);
    assert_true(take_soon(t, &job)); /* one at first: halved by the failure, not more than two */
    struct queue_destination d;
    assert_true(queue_destination(t->q, job.destination, &d));
    assert_int_equal(d.failures, 1);
    assert_in_range(d.concurrency, 1, 2);
    queue_site_failed(t->q, job.destination, BYTES("connection refused"), t->now_wall_us);
    assert_true(queue_destination(t->q, job.destination, &d));
    assert_int_equal(d.failures, 2);
    queue_site_ok(t->q, job.destination);
    assert_true(queue_destination(t->q, job.destination, &d));
    assert_true(d.failures == 0 && d.backoff_until_wall_s == 0);
}

static void test_queue_destination_told_to_wait_is_not_given(void **state)
{
    struct rig *t = *state;
    rig_commit(t, "a@example.com");
    uint64_t d = queue_next_destination(t->q, t->now_ms, t->now_wall_us);
    assert_int_not_equal(d, 0);
    queue_destination_wait(t->q, d, t->now_ms + 500);
    assert_int_equal(queue_next_destination(t->q, t->now_ms, t->now_wall_us), 0);
    assert_true(queue_deadline_ms(t->q, t->now_ms, t->now_wall_us) <= t->now_ms + 500);
    rig_pass(t, 500);
    assert_int_equal(queue_next_destination(t->q, t->now_ms, t->now_wall_us), d);
}

/* ---- many recipients ---- */

static void test_queue_recipients_of_one_destination_go_in_bounded_jobs(void **state)
{
    struct rig *t = *state;
    struct queue_job jobs[4];
    static const char *const rcpts[] = {"a@one.example", "b@two.example", "c@one.example", "d@one.example", "e@two.example", "f@one.example", NULL};
    struct rig_mail mail = {.sender = "s@example.org", .rcpts = rcpts, .body = BYTES("x\r\n")};
    assert_int_equal(rig_accept(t, &mail, 5, NULL), ERR_NONE);
    assert_true(rig_until(t, QUEUE_COMMITTED, 5, NULL));
    uint32_t seen = 0, count = 0;
    for (; count < 4; count++) {
        uint64_t d = queue_next_destination(t->q, t->now_ms, t->now_wall_us);
        if (!d || !queue_job_take(t->q, d, 3, &jobs[count])) break;
        for (uint32_t i = 0; i < jobs[count].rcpt_count; i++) {
            assert_int_equal(seen & 1U << jobs[count].rcpts[i], 0);
            seen |= 1U << jobs[count].rcpts[i];
        }
    }
    assert_int_equal(count, 3); /* 3 + 1 and 2 */
    assert_int_equal(seen, 63);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(rig_result(t, &jobs[i], i == 0 ? VERDICT_LATER : VERDICT_DELIVERED, SCOPE_RECIPIENT), ERR_NONE);
    rig_settle(t);
    assert_int_equal(totals(t).messages, 1);
    assert_true(rig_check(t));
}

/* ---- notices ---- */

static void test_queue_warning_is_given_once_also_across_a_start(void **state)
{
    struct rig *t = *state;
    struct queue_notice n;
    static const char *const rcpts[] = {"a@example.com", "b@example.net", NULL};
    int64_t now_s = t->now_wall_us / 1000000;
    struct rig_mail mail = {.sender = "s@example.org", .rcpts = rcpts, .body = BYTES("x\r\n"), .warn_wall_s = now_s + 100, .expire_wall_s = now_s + 1000};
    assert_int_equal(rig_accept(t, &mail, 5, NULL), ERR_NONE);
    assert_true(rig_until(t, QUEUE_COMMITTED, 5, NULL));
    assert_false(queue_next_notice(t->q, &n, t->now_wall_us));
    evict_all(t);
    rig_pass(t, 101000);
    rig_settle(t);
    assert_true(queue_next_notice(t->q, &n, t->now_wall_us));
    assert_false(n.expired);
    assert_int_equal(n.rcpt_count, 2);
    assert_false(queue_next_notice(t->q, &n, t->now_wall_us));
    assert_int_equal(queue_warned(t->q, n.id, NULL, t->now_wall_us, t->now_ms), ERR_NONE);
    evict_all(t);
    rig_pass(t, 5000);
    rig_settle(t);
    assert_false(queue_next_notice(t->q, &n, t->now_wall_us));
    assert_true(rig_check(t));
}

static void expire(struct rig *t, const struct queue_notice *n)
{
    struct queue_result r[2];
    for (uint32_t i = 0; i < n->rcpt_count; i++) {
        r[i] = (struct queue_result){.rcpt = n->rcpts[i], .verdict = {.class = VERDICT_LATER, .text = BYTES("too old")}, .expired = true};
    }
    uint8_t list_memory[100];
    struct buf list = BUF_OVER(list_memory);
    rcpt_put(&list, &(struct rcpt){.address = BYTES("s@example.org")});
    struct record_message bounce = {.flags = MAIL_BOUNCE | MAIL_LOCAL, .rcpt_count = 1, .rcpts = buf_bytes(&list), .body = BYTES("sorry"), .body_bytes = 5};
    assert_int_equal(queue_outcome(t->q, n->id, r, n->rcpt_count, &bounce, 9, t->now_wall_us, t->now_ms), ERR_NONE);
    assert_int_not_equal(bounce.id.v, 0);
}

static void test_queue_expired_mail_becomes_its_bounce(void **state)
{
    struct rig *t = *state;
    struct queue_notice n;
    struct queue_job job;
    static const char *const rcpts[] = {"a@example.com", "b@example.net", NULL};
    struct rig_mail mail = {.sender = "s@example.org", .rcpts = rcpts, .body = BYTES("x\r\n"), .expire_wall_s = t->now_wall_us / 1000000 + 100};
    assert_int_equal(rig_accept(t, &mail, 5, NULL), ERR_NONE);
    assert_true(rig_until(t, QUEUE_COMMITTED, 5, NULL));
    rig_pass(t, 101000);
    rig_turn(t, 0);
    assert_true(queue_next_notice(t->q, &n, t->now_wall_us));
    assert_true(n.expired);
    assert_false(rig_take(t, &job)); /* in hand */
    queue_return(t->q, n.id, n.rcpts, n.rcpt_count);
    assert_true(queue_next_notice(t->q, &n, t->now_wall_us));
    expire(t, &n);
    assert_true(rig_until(t, QUEUE_OUTCOME_DURABLE, 9, NULL));
    rig_settle(t);
    assert_int_equal(totals(t).audit.expired, 2);
    assert_int_equal(totals(t).messages, 1);
    evict_all(t);
    assert_true(take_soon(t, &job));
    assert_true(bytes_equal(job.destination_name, BYTES("mx:example.org")));
    assert_true(rig_content(t, job.id));
    assert_memory_equal(t->body, "sorry", 5);
    assert_true(rig_check(t));
}

/* ---- repeats ---- */

static void test_queue_repeated_commit_gets_the_first_answer(void **state)
{
    struct rig *t = *state;
    struct queue_event e;
    static const char *const rcpts[] = {"a@example.com", NULL};
    struct rig_mail mail = {.sender = "s@example.org", .rcpts = rcpts, .body = BYTES("x\r\n"), .transaction = 42};
    struct message_id first, second;
    assert_int_equal(rig_accept(t, &mail, 5, &first), ERR_NONE);
    assert_int_equal(rig_accept(t, &mail, 6, NULL), ERR_AGAIN);
    assert_true(rig_until(t, QUEUE_COMMITTED, 5, NULL));
    assert_int_equal(rig_accept(t, &mail, 7, &second), ERR_NONE);
    assert_int_equal(first.v, second.v);
    assert_true(rig_until(t, QUEUE_COMMITTED, 7, &e));
    assert_int_equal(e.id.v, first.v);
    assert_int_equal(totals(t).messages, 1);
}

/* ---- large bodies ---- */

static uint32_t count_files(const char *folder)
{
    uint32_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static enum err accept_file(struct rig *t, uint64_t body_id, uint64_t bytes, uint64_t cookie)
{
    uint8_t list_memory[100];
    struct buf list = BUF_OVER(list_memory);
    rcpt_put(&list, &(struct rcpt){.address = BYTES("a@example.com")});
    struct record_message m = {.rcpt_count = 1, .rcpts = buf_bytes(&list), .body_kind = BODY_FILE, .body_id = body_id, .body_bytes = bytes};
    return queue_accept(t->q, &m, NULL, 0, cookie, t->now_wall_us, t->now_ms);
}

static void test_queue_large_body_is_a_file_until_delivered(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    uint64_t id;
    int fd;
    uint8_t back[16];
    assert_int_equal(queue_body_open(t->q, &fd, &id), ERR_NONE);
    assert_int_equal(write(fd, "large content", 13), 13);
    close(fd);
    assert_int_equal(accept_file(t, id, 13, 5), ERR_NONE);
    assert_true(rig_until(t, QUEUE_COMMITTED, 5, NULL));
    evict_all(t);
    assert_int_equal(count_files("body"), 1);
    assert_true(take_soon(t, &job));
    assert_int_equal(job.id.v, id);
    assert_true(rig_content(t, job.id));
    assert_int_equal(pread(t->body_fd, back, sizeof(back), 0), 13);
    assert_memory_equal(back, "large content", 13);
    assert_true(write(t->body_fd, "x", 1) < 0);
    assert_int_equal(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_NONE), ERR_NONE);
    assert_true(rig_until(t, QUEUE_REMOVED, 0, NULL));
    rig_settle(t);
    rig_settle(t);
    assert_int_equal(count_files("body"), 0);
}

static void test_queue_body_still_writable_is_refused(void **state)
{
    struct rig *t = *state;
    uint64_t id;
    struct queue_event e;
    int fd;
    assert_int_equal(queue_body_open(t->q, &fd, &id), ERR_NONE);
    assert_int_equal(write(fd, "content", 7), 7);
    assert_int_equal(accept_file(t, id, 7, 5), ERR_NONE);
    assert_true(rig_until(t, QUEUE_REFUSED, 5, &e));
    assert_int_equal(e.error, ERR_BUSY);
    close(fd);
    assert_int_equal(queue_body_open(t->q, &fd, &id), ERR_NONE);
    assert_int_equal(ftruncate(fd, 4096), 0);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_int_equal(accept_file(t, id, 7, 6), ERR_NONE);
    assert_true(rig_until(t, QUEUE_REFUSED, 6, NULL));
    munmap(map, 4096);
    assert_int_equal(queue_body_open(t->q, &fd, &id), ERR_NONE);
    close(fd);
    assert_int_equal(accept_file(t, id, 7, 7), ERR_NONE); /* shorter than it says */
    assert_true(rig_until(t, QUEUE_REFUSED, 7, NULL));
    assert_int_equal(accept_file(t, 12345, 7, 8), ERR_BAD_VALUE);
    assert_int_equal(totals(t).messages, 0);
    rig_settle(t);
    rig_settle(t);
    assert_int_equal(count_files("body"), 0);
}

static void test_queue_start_sweeps_files_of_nobody(void **state)
{
    struct rig *t = *state;
    uint64_t id, dropped;
    int fd;
    assert_int_equal(queue_body_open(t->q, &fd, &id), ERR_NONE);
    close(fd);
    assert_int_equal(queue_body_open(t->q, &fd, &dropped), ERR_NONE);
    close(fd);
    queue_body_drop(t->q, dropped);
    queue_body_drop(t->q, dropped);
    rig_settle(t);
    assert_int_equal(count_files("body"), 1);
    evict_all(t);
    assert_int_equal(count_files("body"), 0);
}

/* ---- listings ---- */

struct listed {
    uint64_t ids[64];
    uint32_t count;
};

static void on_row(void *context, const struct queue_row *row)
{
    struct listed *l = context;
    assert_true(l->count < 64);
    assert_true(row->notes[0].destination.len > 0);
    l->ids[l->count++] = row->message->id.v;
}

static void test_queue_walk_merges_memory_and_index_in_order(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    struct message_id ids[12];
    for (int i = 0; i < 12; i++) {
        ids[i] = rig_commit(t, "a@example.com");
        if (i == 4) evict_all(t);
        if (i == 7) rig_settle(t);
    }
    assert_true(take_soon(t, &job));
    assert_int_equal(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_NONE), ERR_NONE);
    for (uint32_t slice = 1; slice < 15; slice += 3) {
        struct listed l = {0};
        struct message_id after = {0};
        do {
            after = queue_walk(t->q, after, slice, on_row, &l);
        } while (after.v);
        assert_int_equal(l.count, 11);
        for (uint32_t i = 0, row = 0; i < 12; i++) {
            if (ids[i].v != job.id.v) assert_int_equal(l.ids[row++], ids[i].v);
        }
    }
    struct listed one = {0};
    assert_true(queue_find(t->q, job.id.v == ids[3].v ? ids[2] : ids[3], on_row, &one)); /* which was due first depends on what was loaded first */
    assert_false(queue_find(t->q, job.id, on_row, &one));
    assert_false(queue_find(t->q, (struct message_id){1}, on_row, &one));
    assert_int_equal(one.count, 1);
}

/* ---- reuse of the log ---- */

static void deliver_all_but(struct rig *t, struct message_id keep)
{
    struct queue_job job;
    while (rig_take(t, &job)) {
        must(rig_result(t, &job, job.id.v == keep.v ? VERDICT_LATER : VERDICT_DELIVERED, SCOPE_RECIPIENT) == ERR_NONE);
    }
}

static void test_queue_log_stays_short_beside_old_mail(void **state)
{
    struct rig *t = *state;
    static uint8_t body[BODY_INLINE_BYTES_MAX];
    memset(body, 'b', sizeof(body));
    static const char *const rcpts[] = {"a@example.com", NULL};
    struct rig_mail mail = {.sender = "s@example.org", .rcpts = rcpts, .body = bytes_of(body, sizeof(body))};
    struct message_id old = rig_commit(t, "old@example.net");
    uint64_t most = 0;
    for (uint64_t i = 0; i < 300; i++) {
        if (rig_accept(t, &mail, 5000 + i, NULL) == ERR_NONE) rig_until(t, QUEUE_COMMITTED, 5000 + i, NULL);
        deliver_all_but(t, old);
        if (i % 10 == 0) rig_settle(t);
        rig_forget(t);
        most = totals(t).log_segments > most ? totals(t).log_segments : most;
    }
    assert_in_range(most, 1, 8); /* 300 bodies are nineteen segments */
    evict_all(t);
    assert_int_equal(totals(t).messages, 1);
    assert_int_equal(queue_due(t->q, old, 0, t->now_wall_us, t->now_ms), ERR_NONE);
    struct queue_job job;
    assert_true(take_soon(t, &job));
    assert_int_equal(job.id.v, old.v);
    assert_true(rig_content(t, old));
    assert_non_null(memmem(t->body, t->body_bytes, "hello", 5));
    assert_true(rig_check(t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_queue_held_mail_is_not_given_out_until_released, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_removed_mail_is_gone_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_flushed_mail_is_due_now, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_suspended_destination_waits_across_a_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_dead_destination_costs_one_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_destination_told_to_wait_is_not_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_recipients_of_one_destination_go_in_bounded_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_warning_is_given_once_also_across_a_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_expired_mail_becomes_its_bounce, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_repeated_commit_gets_the_first_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_large_body_is_a_file_until_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_body_still_writable_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_start_sweeps_files_of_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_walk_merges_memory_and_index_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_log_stays_short_beside_old_mail, setup, teardown),
    };
    return cmocka_run_group_tests_name("queue_operate", tests, NULL, NULL);
}
