/*
 * Tests of the small tables: errors, steps of a session, and that a broken must() ends the process.
 */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "base/verdict.h"

static void test_err_text_every_code_has_its_own(void **unused)
{
    (void)unused;
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_true(strlen(err_text((enum err)a)) > 0);
        for (int b = 0; b < a; b++) assert_string_not_equal(err_text((enum err)a), err_text((enum err)b));
    }
    assert_non_null(err_text((enum err)ERR_COUNT));
    assert_non_null(err_text((enum err)-1));
    assert_true(err_retryable(ERR_AGAIN));
    assert_false(err_retryable(ERR_CORRUPT));
    assert_false(err_retryable((enum err)-1));
}

static void test_err_from_errno_maps_known_numbers(void **unused)
{
    static const struct {
        int number;
        enum err want;
    } cases[] = {
        {0, ERR_NONE},         {EAGAIN, ERR_AGAIN}, {ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE}, {ENOENT, ERR_NOT_FOUND},
        {EACCES, ERR_DENIED},  {EPIPE, ERR_GONE},   {EIO, ERR_IO},          {EADDRINUSE, ERR_BUSY}, {ETIMEDOUT, ERR_TIMEOUT},
        {ENOSYS, ERR_UNSUPPORTED}, {12345, ERR_SYSTEM},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(err_from_errno(cases[i].number), cases[i].want);
    }
}

static void test_mail_step_text_every_step_has_its_own(void **unused)
{
    (void)unused;
    for (int a = 0; a < STEP_COUNT; a++) {
        assert_non_null(mail_step_text((enum mail_step)a));
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(mail_step_text((enum mail_step)a), mail_step_text((enum mail_step)b));
        }
    }
    assert_string_equal(mail_step_text(STEP_RCPT), "RCPT TO command");
    assert_string_equal(mail_step_text(STEP_DOT), "end of DATA command");
    assert_non_null(mail_step_text((enum mail_step)-1));
}

static void test_must_broken_says_where_and_aborts(void **unused)
{
    int ends[2], status;
    char said[512] = {0};
    (void)unused;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        must(ends[0] < 0);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
    assert_non_null(strstr(said, "err_test.c"));
    assert_non_null(strstr(said, "ends[0] < 0"));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_text_every_code_has_its_own),
        cmocka_unit_test(test_err_from_errno_maps_known_numbers),
        cmocka_unit_test(test_mail_step_text_every_step_has_its_own),
        cmocka_unit_test(test_must_broken_says_where_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
