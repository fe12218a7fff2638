/* Tests of paths and of delivery into a Maildir of a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/store/maildir.h"

static void test_path_case_table_gives_safe_paths(void **state)
{
    (void)state;
    static const struct { const char *pattern, *rcpt, *want; } cases[] = {
        {"{domain}/{local}", "Ann@example.org", "example.org/ann"},
        {"{local}/Maildir", "bob@x.example", "bob/Maildir"},
        {"all", "bob@x.example", "all"},
        {"{domain}/{local}", "../../etc/passwd@x.example", NULL},
        {"{domain}/{local}", "..@x.example", NULL},
        {"{domain}/{local}", ".hidden@x.example", NULL},
        {"{domain}/{local}", "a/b@x.example", NULL},
        {"{domain}/{local}", "nodomain", NULL},
        {"{domain}/../{local}", "a@x.example", NULL},
        {"{domain}//{local}", "a@x.example", NULL},
        {"{domain}/{local}/", "a@x.example", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t store[256];
        struct buf path = BUF_OVER(store);
        bool ok = maildir_path(bytes_of_cstr(cases[i].pattern), bytes_of_cstr(cases[i].rcpt), &path);
        assert_int_equal(ok, cases[i].want != NULL);
        if (ok) assert_true(bytes_equal(buf_bytes(&path), bytes_of_cstr(cases[i].want)));
    }
}

static int open_temporary(char *name)
{
    assert_non_null(mkdtemp(name));
    return open(name, O_PATH | O_DIRECTORY);
}

static uint32_t count_files(int folder, const char *path)
{
    int fd = openat(folder, path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    DIR *d = fdopendir(fd);
    uint32_t n = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void test_deliver_twice_leaves_one_file(void **state)
{
    (void)state;
    char name[] = "/tmp/bulkhead-maildir-XXXXXX";
    int folder = open_temporary(name);
    const char *what = "";
    struct maildir_message m = {.id = {0x123456789abcdef0u}, .rcpt_index = 2, .host = BYTES("mx.example"), .sender = BYTES("a@x.example"), .rcpt = BYTES("b@y.example"),
                                .prefix = BYTES("Received: by us\r\n"), .content = BYTES("Subject: s\r\n\r\nbody\r\n"), .fd = -1};
    m.body_bytes = m.content.len;
    assert_int_equal(maildir_deliver(folder, BYTES("y.example/b"), false, &m, &what), ERR_NOT_FOUND);
    assert_int_equal(maildir_exists(folder, BYTES("y.example/b")), ERR_NOT_FOUND);
    assert_int_equal(maildir_deliver(folder, BYTES("y.example/b"), true, &m, &what), ERR_NONE);
    assert_int_equal(maildir_deliver(folder, BYTES("y.example/b"), true, &m, &what), ERR_NONE);
    assert_int_equal(maildir_exists(folder, BYTES("y.example/b")), ERR_NONE);
    assert_int_equal(count_files(folder, "y.example/b/new"), 1);
    assert_int_equal(count_files(folder, "y.example/b/tmp"), 0);
    char command[128];
    snprintf(command, sizeof command, "cat %s/y.example/b/new/* | cmp - %s/want", name, name);
    int want = openat(folder, "want", O_WRONLY | O_CREAT, 0600);
    static const char text[] = "Return-Path: <a@x.example>\nDelivered-To: b@y.example\nReceived: by us\nSubject: s\n\nbody\n";
    assert_int_equal(write(want, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(want);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "rm -r %s", name);
    assert_int_equal(system(command), 0);
    close(folder);
}

static void test_deliver_through_a_link_is_refused(void **state)
{
    (void)state;
    char name[] = "/tmp/bulkhead-maildir-XXXXXX", command[128];
    int folder = open_temporary(name);
    const char *what = "";
    struct maildir_message m = {.id = {1}, .content = BYTES("x\r\n"), .body_bytes = 3, .fd = -1};
    assert_int_equal(symlinkat("/tmp", folder, "y.example"), 0);
    assert_int_not_equal(maildir_deliver(folder, BYTES("y.example/b"), true, &m, &what), ERR_NONE);
    snprintf(command, sizeof command, "rm -r %s", name);
    assert_int_equal(system(command), 0);
    close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_case_table_gives_safe_paths),
        cmocka_unit_test(test_deliver_twice_leaves_one_file),
        cmocka_unit_test(test_deliver_through_a_link_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
