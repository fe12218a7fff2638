/*
 * queue_fault_test - the queue on a disk that fails: a sync of the log, the index.
 *
 * Sync and write are replaced at link time; they fail for files below log/ or index/ while armed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/queue_testing.h"

static atomic_int log_failures, index_failures; /* calls that are to fail still */

static bool is_below(int fd, const char *part)
{
    char link[64], path[512];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n < 0) return false;
    path[n] = 0;
    return strstr(path, part) != NULL;
}

static bool fails(atomic_int *left, int fd, const char *part)
{
    if (atomic_load(left) <= 0 || !is_below(fd, part)) return false;
    atomic_fetch_sub(left, 1);
    errno = EIO;
    return true;
}

int fdatasync(int fd)
{
    if (fails(&log_failures, fd, "/log/")) return -1;
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *octets, size_t n, off_t offset)
{
    if (fails(&index_failures, fd, "/index/")) return -1;
    return syscall(SYS_pwrite64, fd, octets, n, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
    if (fails(&index_failures, fd, "/index/")) return -1;
    return syscall(SYS_pwritev, fd, v, count, offset, 0);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
    if (fails(&index_failures, fd, "/index/")) return -1;
    return syscall(SYS_writev, fd, v, count);
}

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
    log_failures = index_failures = 0;
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
    for (int i = 0; i < 100; i++) {
        if (rig_take(t, job)) return true;
        rig_turn(t, 5);
    }
    return false;
}

/* ---- the log ---- */

static void test_queue_failed_sync_refuses_what_it_held(void **state)
{
    struct rig *t = *state;
    struct queue_event e;
    struct bytes reason;
    static const char *const rcpts[] = {"a@example.com", NULL};
    struct rig_mail mail = {.sender = "s@example.org", .rcpts = rcpts, .body = BYTES("x\r\n"), .transaction = 7};
    log_failures = 1;
    assert_int_equal(rig_accept(t, &mail, 5, NULL), ERR_NONE);
    assert_true(rig_until(t, QUEUE_REFUSED, 5, &e));
    assert_int_equal(e.error, ERR_IO);
    assert_int_equal(totals(t).messages, 0);
    for (int i = 0; i < 100 && !queue_accepting(t->q, &reason); i++) rig_turn(t, 10);
    assert_true(queue_accepting(t->q, &reason));
    assert_int_equal(rig_accept(t, &mail, 6, NULL), ERR_NONE); /* the same origin is no repeat: it was refused */
    assert_true(rig_until(t, QUEUE_COMMITTED, 6, NULL));
    rig_settle(t);
    assert_true(rig_check(t));
    rig_close(t);
    rig_open(t);
    assert_int_equal(totals(t).messages, 1);
}

/* bounce_one - an outcome with a notification in the same record, not synced yet. */
static void bounce_one(struct rig *t, const struct queue_job *job, uint64_t cookie)
{
    uint8_t list_memory[100];
    struct buf list = BUF_OVER(list_memory);
    rcpt_put(&list, &(struct rcpt){.address = BYTES("s@example.org")});
    struct record_message bounce = {.flags = MAIL_BOUNCE, .rcpt_count = 1, .rcpts = buf_bytes(&list), .body = BYTES("sorry"), .body_bytes = 5};
    struct queue_result r = {.rcpt = job->rcpts[0], .verdict = {.class = VERDICT_NEVER, .code = 550, .text = BYTES("no")}};
    must(queue_outcome(t->q, job->id, &r, 1, &bounce, cookie, t->now_wall_us, t->now_ms) == ERR_NONE);
}

static void test_queue_failed_sync_writes_outcomes_again(void **state)
{
    struct rig *t = *state;
    struct queue_job first, second;
    rig_commit(t, "a@example.com");
    rig_commit(t, "b@example.com");
    assert_true(rig_take(t, &first));
    assert_true(rig_take(t, &second));
    log_failures = 1;
    bounce_one(t, &first, 77);
    assert_int_equal(rig_result(t, &second, VERDICT_DELIVERED, SCOPE_NONE), ERR_NONE);
    assert_true(rig_until(t, QUEUE_OUTCOME_DURABLE, 77, NULL));
    assert_int_equal(log_failures, 0);
    assert_true(take_soon(t, &first));
    assert_true(bytes_equal(first.destination_name, BYTES("mx:example.org")));
    rig_settle(t);
    assert_true(rig_content(t, first.id));
    assert_memory_equal(t->body, "sorry", 5);
    assert_true(rig_check(t));
    rig_close(t);
    rig_open(t);
    assert_int_equal(totals(t).messages, 1);
    assert_int_equal(totals(t).audit.bounced, 1);
    assert_int_equal(totals(t).audit.delivered, 1);
    assert_true(take_soon(t, &first));
    assert_true(rig_content(t, first.id));
    assert_memory_equal(t->body, "sorry", 5);
}

static void fail_now_and_then(struct rig *t)
{
    struct queue_job job;
    for (int i = 0; i < 60; i++) {
        log_failures = i % 4 == 3;
        rig_commit(t, i % 2 ? "a@example.com" : "b@example.net");
        while (rig_take(t, &job)) must(rig_result(t, &job, i % 3 ? VERDICT_DELIVERED : VERDICT_LATER, SCOPE_RECIPIENT) == ERR_NONE);
        rig_turn(t, 1);
        if (i % 9 == 0) rig_settle(t);
        rig_forget(t);
    }
    log_failures = 0;
}

static void test_queue_failing_log_keeps_the_sums(void **state)
{
    struct rig *t = *state;
    fail_now_and_then(t);
    rig_settle(t);
    assert_true(rig_check(t));
    struct queue_totals before = totals(t);
    rig_close(t);
    rig_remove_tree("index");
    rig_open(t);
    assert_int_equal(totals(t).messages, before.messages);
    assert_int_equal(totals(t).rcpts, before.rcpts);
    assert_true(rig_check(t));
}

/* ---- the index ---- */

static void test_queue_failing_index_stops_new_mail_then_recovers(void **state)
{
    struct rig *t = *state;
    struct bytes reason;
    rig_commit(t, "a@example.com");
    index_failures = 1000000;
    for (int i = 0; i < 8; i++) rig_settle(t);
    assert_false(queue_accepting(t->q, &reason));
    assert_true(bytes_equal(reason, BYTES("the index is behind")));
    assert_non_null(strstr(t->said, "cannot write the index"));
    index_failures = 0;
    for (int i = 0; i < 3; i++) rig_settle(t);
    assert_true(queue_accepting(t->q, &reason));
    assert_int_equal(queue_fault(t->q), ERR_NONE);
    assert_int_not_equal(rig_commit(t, "b@example.com").v, 0);
    rig_settle(t);
    assert_true(rig_check(t));
}

static void test_queue_each_failing_write_of_the_index_is_survived(void **state)
{
    struct rig *t = *state;
    for (int i = 0; i < 30; i++) {
        rig_commit(t, i % 2 ? "a@example.com" : "b@example.net");
        index_failures = i % 4;
        rig_settle(t);
        rig_forget(t);
    }
    index_failures = 0;
    for (int i = 0; i < 3; i++) rig_settle(t);
    assert_true(rig_check(t));
    rig_close(t);
    rig_open(t);
    assert_int_equal(totals(t).messages, 30);
    assert_true(rig_check(t));
}

/* put_in_file - a message with a body file; its id. */
static uint64_t put_in_file(struct rig *t)
{
    uint8_t list_memory[100];
    struct buf list = BUF_OVER(list_memory);
    struct record_message m = {.rcpt_count = 1, .body_kind = BODY_FILE, .body_bytes = 5};
    int fd;
    rcpt_put(&list, &(struct rcpt){.address = BYTES("a@example.com")});
    m.rcpts = buf_bytes(&list);
    must(queue_body_open(t->q, &fd, &m.body_id) == ERR_NONE && write(fd, "hello", 5) == 5);
    close(fd);
    must(queue_accept(t->q, &m, NULL, 0, 9, t->now_wall_us, t->now_ms) == ERR_NONE && rig_until(t, QUEUE_COMMITTED, 9, NULL));
    return m.body_id;
}

static void test_queue_full_disk_gives_up_bodies_of_what_is_gone_without_the_index(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    char path[40];
    snprintf(path, sizeof(path), "body/%016llx", (unsigned long long)put_in_file(t));
    rig_settle(t);
    index_failures = 1000000;
    t->options.min_free_bytes = UINT64_MAX; /* no disk has so much */
    queue_configure(t->q, &t->options);
    rig_settle(t);
    assert_true(take_soon(t, &job));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_RECIPIENT), ERR_NONE);
    for (int i = 0; i < 8 && access(path, F_OK) == 0; i++) rig_settle(t);
    assert_int_equal(access(path, F_OK), -1);
    index_failures = 0;
    t->options.min_free_bytes = 0;
    rig_close(t);
    rig_open(t);
    assert_int_equal(totals(t).messages, 0);
    assert_true(rig_check(t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_queue_failed_sync_refuses_what_it_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_failed_sync_writes_outcomes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_failing_log_keeps_the_sums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_failing_index_stops_new_mail_then_recovers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_each_failing_write_of_the_index_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_full_disk_gives_up_bodies_of_what_is_gone_without_the_index, setup, teardown),
    };
    return cmocka_run_group_tests_name("queue_fault", tests, NULL, NULL);
}
