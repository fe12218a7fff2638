/*
 * Tests of log lines through real descriptors: a file, a pipe nobody reads, a socket as of syslog.
 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES_MAX = 1 << 20 };

#define STAMP "^[A-Z][a-z][a-z] [ 1-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]"

static char got[READ_BYTES_MAX + 1];

/* read_all - what there is to read at once, as a string in `got`. */
static size_t read_all(int fd)
{
    size_t have = 0;
    ssize_t n;
    while (have < READ_BYTES_MAX && (n = read(fd, got + have, READ_BYTES_MAX - have)) > 0) have += (size_t)n;
    got[have] = '\0';
    return have;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&re, text, 0, NULL, 0);
    regfree(&re);
    if (result != 0) fail_msg("\"%s\" does not match \"%s\"", text, pattern);
}

static int open_file_log(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    log_open(fd, LOG_SINK_STREAM, BYTES("mta"), BYTES("mx1.example.org"), BYTES("smtpd"));
    return fd;
}

static void open_pipe_log(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0); /* the reader's end only: the writer's would block */
    log_open(ends[1], LOG_SINK_STREAM, BYTES("mta"), BYTES("mx1"), BYTES("qmgr"));
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++) lines += *text == '\n';
    return lines;
}

static void test_log_file_line_has_stamp_host_and_part(void **unused)
{
    int fd = open_file_log();
    (void)unused;
    log_text(LOG_LEVEL_INFO, "connect from mail.example.net[192.0.2.25]");
    struct buf *line = log_begin_as(LOG_LEVEL_INFO, BYTES("submission/smtpd"), 101);
    BUF_LIT(line, "client=");
    log_bytes(line, BYTES("evil\r\nNov 22 forged\xFF"));
    log_end();
    log_text(LOG_LEVEL_WARNING, "odd");
    log_err(LOG_LEVEL_ERROR, "cannot open", BYTES("/a\nb"), ERR_NOT_FOUND);
    log_text(LOG_LEVEL_TRACE, "not asked for");
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0); /* nothing is written before the end of the turn */
    log_flush();
    lseek(fd, 0, SEEK_SET);
    read_all(fd);

    static const char *const wants[] = {
        STAMP " mx1 mta/smtpd\\[[0-9]+\\]: connect from mail\\.example\\.net\\[192\\.0\\.2\\.25\\]$",
        " mx1 mta/submission/smtpd\\[101\\]: client=evil\\\\x0d\\\\x0aNov 22 forged\\\\xff$",
        "smtpd\\[[0-9]+\\]: warning: odd$",
        "smtpd\\[[0-9]+\\]: error: cannot open: /a\\\\x0ab: there is no such thing$",
    };
    size_t seen = 0;
    for (char *at = strtok(got, "\n"); at; at = strtok(NULL, "\n"), seen++) {
        assert_true(seen < 4);
        assert_matches(at, wants[seen]);
    }
    assert_int_equal(seen, 4);
    close(fd);
}

static void test_log_line_with_raw_newline_stays_one_line(void **unused)
{
    int fd = open_file_log();
    (void)unused;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "a\nb\r\x7F \\x");
    log_end();
    log_flush();
    lseek(fd, 0, SEEK_SET);
    read_all(fd);
    assert_int_equal(count_lines(got), 1);
    assert_non_null(strstr(got, ": a\\x0ab\\x0d\\x7f \\x\n"));
    close(fd);
}

static void test_log_line_too_long_is_cut_and_marked(void **unused)
{
    static uint8_t many[8192];
    int fd = open_file_log();
    (void)unused;
    memset(many, '\n', sizeof(many));
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    buf_put_cut(line, bytes_of(many, sizeof(many)));
    log_end();
    memset(many, 'x', sizeof(many));
    line = log_begin(LOG_LEVEL_INFO);
    buf_put_cut(line, bytes_of(many, sizeof(many)));
    log_end();
    log_flush();
    lseek(fd, 0, SEEK_SET);
    size_t n = read_all(fd);
    assert_int_equal(count_lines(got), 2);
    assert_true(n <= 2 * 4096);
    assert_string_equal(got + n - 5, "x...\n");
    close(fd);
}

static void test_log_level_raised_lets_trace_through(void **unused)
{
    int fd = open_file_log();
    (void)unused;
    log_set_level(LOG_LEVEL_TRACE);
    log_text(LOG_LEVEL_TRACE, "deep");
    log_set_level(LOG_LEVEL_INFO);
    log_flush();
    lseek(fd, 0, SEEK_SET);
    read_all(fd);
    assert_non_null(strstr(got, ": deep\n"));
    close(fd);
}

static void test_log_fatal_is_written_at_once(void **unused)
{
    int fd = open_file_log();
    (void)unused;
    log_text(LOG_LEVEL_FATAL, "the end");
    lseek(fd, 0, SEEK_SET);
    read_all(fd);
    assert_non_null(strstr(got, ": fatal: the end\n"));
    close(fd);
}

static void test_log_set_fd_moves_later_lines(void **unused)
{
    int first = open_file_log(), second = memfd_create("log2", MFD_CLOEXEC);
    (void)unused;
    log_text(LOG_LEVEL_INFO, "old");
    log_flush();
    log_set_fd(second);
    log_text(LOG_LEVEL_INFO, "new");
    log_flush();
    lseek(second, 0, SEEK_SET);
    read_all(second);
    assert_non_null(strstr(got, ": new\n"));
    assert_null(strstr(got, ": old\n"));
    close(first);
    close(second);
}

static void test_log_pipe_nobody_reads_never_blocks_and_counts(void **unused)
{
    enum { LINES = 5000 };
    int ends[2];
    uint64_t before = log_dropped();
    (void)unused;
    open_pipe_log(ends);
    alarm(20); /* a blocked write must not hang the tests */
    for (int i = 0; i < LINES; i++) log_text(LOG_LEVEL_INFO, "long enough to fill the pipe before the loop is over");
    log_flush();
    uint64_t lost = log_dropped() - before;
    assert_true(lost > 0 && lost < LINES);

    size_t kept = 0;
    char want[64];
    snprintf(want, sizeof(want), "warning: log: %llu lines were dropped here", (unsigned long long)lost);
    for (int turn = 0; turn < 50; turn++) { /* the reader is back */
        read_all(ends[0]);
        kept += count_lines(got);
        if (strstr(got, want)) break;
        log_flush();
    }
    alarm(0);
    assert_non_null(strstr(got, want));
    assert_int_equal(kept, LINES - lost + 1);
    log_flush();
    assert_int_equal(read_all(ends[0]), 0); /* said once */
    close(ends[0]);
    close(ends[1]);
}

static void test_log_pipe_reader_gone_drops(void **unused)
{
    int ends[2];
    (void)unused;
    open_pipe_log(ends);
    close(ends[0]);
    uint64_t before = log_dropped();
    log_text(LOG_LEVEL_INFO, "for nobody");
    log_flush();
    assert_int_equal(log_dropped() - before, 1);
    close(ends[1]);
}

static void test_log_full_disk_never_joins_two_lines(void **unused)
{
    struct rlimit old, small;
    int fd = open_file_log();
    (void)unused;

    /* A limit on file size ends a write in the middle of a line, as a full disk does. */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    log_text(LOG_LEVEL_INFO, "torn");
    log_flush();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    log_text(LOG_LEVEL_INFO, "whole");
    log_flush();
    lseek(fd, 0, SEEK_SET);
    read_all(fd);
    assert_int_equal(got[20], '\n');
    assert_null(strstr(got, "torn"));
    assert_matches(got + 21, STAMP " .*: whole");
    assert_non_null(strstr(got, "lines were dropped here"));
    close(fd);
}

static void test_log_syslog_line_is_one_datagram_with_priority(void **unused)
{
    int ends[2];
    (void)unused;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    log_open(ends[1], LOG_SINK_SYSLOG, BYTES("mta"), BYTES("mx1"), BYTES("smtpd"));
    log_text(LOG_LEVEL_INFO, "one");
    log_text(LOG_LEVEL_WARNING, "two");
    log_flush();
    ssize_t n = recv(ends[0], got, READ_BYTES_MAX, MSG_DONTWAIT);
    assert_true(n > 0);
    got[n] = '\0';
    assert_matches(got, "^<22>mta/smtpd\\[[0-9]+\\]: one$");
    n = recv(ends[0], got, READ_BYTES_MAX, MSG_DONTWAIT);
    assert_true(n > 0);
    got[n] = '\0';
    assert_matches(got, "^<20>mta/smtpd\\[[0-9]+\\]: warning: two$");
    close(ends[0]);
    close(ends[1]);
}

static void test_log_stream_socket_stalled_loses_nothing_within_buffer(void **unused)
{
    enum { LINES = 3000 };
    int ends[2], room = 4096;
    uint64_t before = log_dropped();
    size_t seen = 0;
    (void)unused;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    log_open(ends[1], LOG_SINK_STREAM, BYTES("mta"), BYTES("mx1"), BYTES("smtpd"));
    for (int i = 0; i < LINES; i++) {
        log_text(LOG_LEVEL_INFO, "short");
        if (i % 500 != 0) continue;
        do {
            log_flush();
            seen += read_all(ends[0]) > 0 ? count_lines(got) : 0;
        } while (got[0]);
    }
    do {
        log_flush();
        seen += read_all(ends[0]) > 0 ? count_lines(got) : 0;
    } while (got[0]);
    assert_int_equal(seen, LINES);
    assert_int_equal(log_dropped(), before);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_file_line_has_stamp_host_and_part),
        cmocka_unit_test(test_log_line_with_raw_newline_stays_one_line),
        cmocka_unit_test(test_log_line_too_long_is_cut_and_marked),
        cmocka_unit_test(test_log_level_raised_lets_trace_through),
        cmocka_unit_test(test_log_fatal_is_written_at_once),
        cmocka_unit_test(test_log_set_fd_moves_later_lines),
        cmocka_unit_test(test_log_pipe_nobody_reads_never_blocks_and_counts),
        cmocka_unit_test(test_log_pipe_reader_gone_drops),
        cmocka_unit_test(test_log_full_disk_never_joins_two_lines),
        cmocka_unit_test(test_log_syslog_line_is_one_datagram_with_priority),
        cmocka_unit_test(test_log_stream_socket_stalled_loses_nothing_within_buffer),
    };
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
