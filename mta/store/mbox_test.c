/* An mbox: what is quoted, what is locked, what is refused. */
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
#include <utime.h>

#include "mta/store/mbox.h"

static char place[] = "/tmp/bulkhead-mbox-XXXXXX";
static int folder;
static const char *what;

static struct maildir_message message_of(const char *content)
{
    return (struct maildir_message){
        .id = {7}, .host = BYTES("mx.example"), .sender = BYTES("from@out.example"), .rcpt = BYTES("ann@box.example"), .prefix = BYTES("Received: x\r\n"),
        .content = bytes_of_cstr(content), .body_bytes = strlen(content), .fd = -1,
    };
}

static char *read_back(const char *name)
{
    static char text[4096];
    int fd = openat(folder, name, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n >= 0);
    text[n] = 0;
    return text;
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(place)) return 1;
    folder = open(place, O_RDONLY | O_DIRECTORY);
    return folder < 0;
}

static void test_mbox_appends_what_can_be_taken_apart_again(void **state)
{
    (void)state;
    struct maildir_message m = message_of("Subject: x\r\n\r\nFrom here\r\n>From there\r\nFromage\r\n>>x\r\nFrom");
    assert_int_equal(mbox_deliver(folder, "ann", 0, &m, &what), ERR_NONE);
    m = message_of("Subject: y\r\n\r\nFrom\r\n.\r\n");
    m.sender = BYTES("");
    assert_int_equal(mbox_deliver(folder, "ann", 0, &m, &what), ERR_NONE);
    char *text = read_back("ann");
    assert_memory_equal(text, "From from@out.example ", 22);
    char *body = strchr(text, '\n') + 1;
    static const char first[] = "Return-Path: <from@out.example>\nDelivered-To: ann@box.example\nReceived: x\nSubject: x\n\n"
                                ">From here\n>>From there\nFromage\n>>x\nFrom\n\n"
                                "From MAILER-DAEMON ";
    assert_memory_equal(body, first, sizeof first - 1);
    assert_non_null(strstr(body, "Subject: y\n\nFrom\n.\n\n"));
    struct stat st;
    assert_true(fstatat(folder, "ann.lock", &st, 0) != 0);
    assert_true(fstatat(folder, "ann", &st, 0) == 0 && (st.st_mode & 07) == 0);
}

static void test_mbox_locked_by_a_file_waits_and_gives_up(void **state)
{
    (void)state;
    struct maildir_message m = message_of("x\r\n");
    int fd = openat(folder, "bob.lock", O_WRONLY | O_CREAT, 0444);
    assert_true(fd >= 0 && close(fd) == 0);
    assert_int_equal(mbox_deliver(folder, "bob", 150, &m, &what), ERR_BUSY);
    char path[100];
    snprintf(path, sizeof path, "%s/bob.lock", place);
    assert_int_equal(utime(path, &(struct utimbuf){.actime = 1000, .modtime = 1000}), 0); /* whose owner is long dead */
    assert_int_equal(mbox_deliver(folder, "bob", 1000, &m, &what), ERR_NONE);
    assert_int_equal(faccessat(folder, "bob.lock", F_OK, 0), -1);
}

static void test_mbox_locked_by_another_process_waits(void **state)
{
    (void)state;
    struct maildir_message m = message_of("x\r\n");
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = openat(folder, "cid", O_RDWR | O_CREAT, 0600);
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fd < 0 || fcntl(fd, F_SETLK, &all) != 0 || write(ready[1], "x", 1) != 1) _exit(1);
        usleep(400000);
        _exit(0);
    }
    char c;
    assert_true(read(ready[0], &c, 1) == 1);
    assert_int_equal(mbox_deliver(folder, "cid", 0, &m, &what), ERR_BUSY);
    assert_int_equal(mbox_deliver(folder, "cid", 5000, &m, &what), ERR_NONE);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_mbox_refuses_links(void **state)
{
    (void)state;
    struct maildir_message m = message_of("x\r\n");
    int fd = openat(folder, "victim", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && close(fd) == 0);
    assert_int_equal(symlinkat("victim", folder, "soft"), 0);
    assert_int_equal(linkat(folder, "victim", folder, "hard", 0), 0);
    assert_int_equal(mkfifoat(folder, "pipe", 0600), 0);
    assert_int_equal(mbox_deliver(folder, "soft", 100, &m, &what), ERR_DENIED);
    assert_int_equal(mbox_deliver(folder, "hard", 100, &m, &what), ERR_DENIED);
    assert_int_not_equal(mbox_deliver(folder, "pipe", 100, &m, &what), ERR_NONE);
    struct stat st;
    assert_true(fstatat(folder, "victim", &st, 0) == 0 && st.st_size == 0);
}

static void test_mbox_mends_half_a_line(void **state)
{
    (void)state;
    struct maildir_message m = message_of("x\r\n");
    int fd = openat(folder, "half", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, "From a b\nhalf", 13) == 13 && close(fd) == 0);
    assert_int_equal(mbox_deliver(folder, "half", 0, &m, &what), ERR_NONE);
    assert_memory_equal(read_back("half"), "From a b\nhalf\n\nFrom from@out.example ", 37);
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"ann", "bob", "cid", "victim", "soft", "hard", "pipe", "half"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlinkat(folder, names[i], 0);
    return rmdir(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mbox_appends_what_can_be_taken_apart_again),
        cmocka_unit_test(test_mbox_locked_by_a_file_waits_and_gives_up),
        cmocka_unit_test(test_mbox_locked_by_another_process_waits),
        cmocka_unit_test(test_mbox_refuses_links),
        cmocka_unit_test(test_mbox_mends_half_a_line),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
