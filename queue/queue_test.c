/*
 * queue_test - the queue as its user sees it: accept, give out, record, come back after a start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* ---- the straight way ---- */

static void test_queue_message_delivered_is_removed(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    struct message_id id = rig_commit(t, "a@example.com");
    assert_int_not_equal(id.v, 0);
    assert_true(rig_take(t, &job));
    assert_int_equal(job.id.v, id.v);
    assert_int_equal(job.rcpt_count, 1);
    assert_true(bytes_equal(job.destination_name, BYTES("mx:example.com")));
    assert_true(rig_content(t, id));
    assert_non_null(memmem(t->body, t->body_bytes, "hello", 5));
    char digits[17];
    snprintf(digits, sizeof(digits), "%016llX", (unsigned long long)id.v);
    assert_non_null(memmem(t->body, t->body_bytes, digits, 16));
    assert_int_equal(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_NONE), ERR_NONE);
    assert_true(rig_until(t, QUEUE_REMOVED, 0, NULL));
    assert_int_equal(totals(t).messages, 0);
    assert_true(totals(t).audit.balanced);
    rig_settle(t);
    assert_true(rig_check(t));
}

static void test_queue_reopened_keeps_what_was_not_delivered(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    struct message_id first = rig_commit(t, "a@example.com"), second = rig_commit(t, "b@example.com");
    assert_true(rig_take(t, &job));
    assert_int_equal(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_NONE), ERR_NONE);
    assert_int_equal(job.id.v, first.v);
    rig_close(t);
    rig_open(t);
    assert_int_equal(totals(t).messages, 1);
    for (int i = 0; i < 20 && !rig_take(t, &job); i++) rig_turn(t, 10);
    assert_int_equal(job.id.v, second.v);
    assert_true(rig_content(t, second));
    assert_non_null(memmem(t->body, t->body_bytes, "hello", 5));
    assert_true(rig_check(t));
}

static void test_queue_deferred_comes_back_at_its_time(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    rig_commit(t, "a@example.com");
    assert_true(rig_take(t, &job));
    assert_int_equal(rig_result(t, &job, VERDICT_LATER, SCOPE_RECIPIENT), ERR_NONE);
    assert_false(rig_take(t, &job));
    rig_pass(t, 2100);
    assert_true(rig_take(t, &job));
    assert_int_equal(rig_result(t, &job, VERDICT_LATER, SCOPE_RECIPIENT), ERR_NONE);
    rig_settle(t);
    assert_false(rig_take(t, &job));
    rig_pass(t, 2000);
    assert_true(rig_take(t, &job));
    struct queue_rcpt_note note;
    assert_true(queue_note(t->q, job.id, 0, &note));
    assert_true(bytes_equal(note.reason, BYTES("450 try later")));
}

/* ---- kills ---- */

/* in_child - run a part of a test in a process of its own that is killed at its end: the queue is abandoned, not closed. */
static void in_child(struct rig *t, void (*part)(struct rig *t))
{
    rig_close(t);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        rig_open(t);
        part(t);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    rig_open(t);
}

static void accept_three_deliver_one(struct rig *t)
{
    struct queue_job job;
    must(rig_commit(t, "a@example.com").v && rig_commit(t, "b@example.com").v && rig_commit(t, "c@example.net").v);
    must(rig_take(t, &job));
    must(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_NONE) == ERR_NONE);
    must(rig_until(t, QUEUE_REMOVED, 0, NULL));
    must(rig_take(t, &job)); /* in hand at the kill: due again */
}

static void test_queue_killed_loses_nothing_committed(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    in_child(t, accept_three_deliver_one);
    assert_int_equal(totals(t).messages, 2);
    assert_true(rig_take(t, &job));
    assert_true(rig_take(t, &job));
    assert_true(rig_content(t, job.id));
    assert_true(rig_check(t));
}

static void accept_and_checkpoint(struct rig *t)
{
    struct queue_job job;
    for (int i = 0; i < 50; i++) must(rig_commit(t, i % 2 ? "a@example.com" : "b@example.net").v);
    rig_settle(t);
    for (int i = 0; i < 10; i++) {
        must(rig_take(t, &job));
        must(rig_result(t, &job, i % 2 ? VERDICT_DELIVERED : VERDICT_LATER, SCOPE_RECIPIENT) == ERR_NONE);
    }
    must(rig_until(t, QUEUE_REMOVED, 0, NULL));
    rig_settle(t);
}

static void test_queue_killed_after_checkpoint_goes_on_from_it(void **state)
{
    struct rig *t = *state;
    struct queue_job job;
    in_child(t, accept_and_checkpoint);
    assert_int_equal(totals(t).messages, 45);
    assert_true(rig_check(t));
    rig_pass(t, 10000);
    uint32_t got = 0;
    for (int turns = 0; turns < 200 && got < 45; turns++) {
        while (rig_take(t, &job)) {
            assert_int_equal(rig_result(t, &job, VERDICT_DELIVERED, SCOPE_NONE), ERR_NONE);
            got++;
        }
        rig_turn(t, 2);
    }
    assert_int_equal(got, 45);
    rig_settle(t);
    assert_int_equal(totals(t).messages, 0);
    assert_true(rig_check(t));
}

static void test_queue_without_index_is_rebuilt_from_the_log(void **state)
{
    struct rig *t = *state;
    in_child(t, accept_and_checkpoint);
    rig_close(t);
    rig_remove_tree("index");
    rig_open(t);
    assert_int_equal(totals(t).messages, 45);
    assert_true(rig_check(t));
}

static void test_queue_damaged_index_is_set_aside_and_rebuilt(void **state)
{
    struct rig *t = *state;
    in_child(t, accept_and_checkpoint);
    rig_close(t);
    int fd = open("index/data.mdb", O_RDWR);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t junk[512];
    memset(junk, 0xA5, sizeof(junk));
    for (off_t at = 8192; at < st.st_size; at += 4096) /* the end of a page: rows fill it from there */
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at + 4096 - (off_t)sizeof(junk)), sizeof(junk));
    close(fd);
    rig_open(t);
    assert_int_equal(totals(t).messages, 45);
    assert_int_equal(access("index.damaged-1/data.mdb", F_OK), 0);
    assert_non_null(strstr(t->said, "index.damaged"));
    assert_true(rig_check(t));
    rig_remove_tree("index.damaged-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_queue_message_delivered_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_reopened_keeps_what_was_not_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_deferred_comes_back_at_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_killed_loses_nothing_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_killed_after_checkpoint_goes_on_from_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_without_index_is_rebuilt_from_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_damaged_index_is_set_aside_and_rebuilt, setup, teardown),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
