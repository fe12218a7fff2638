/*
 * load_test - configurations as files: includes, tables of many names, files that cannot be read, the sealed image, the embedded default.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "mta/config/load.h"

enum { OUT_BYTES = 65536, BIG_TABLE_NAMES = 100000 };

#define MINIMAL "config-version 1\nhostname mx.example.org\nlisten l { address 127.0.0.1:25; trust local }\n"

static int enter_folder(void **state)
{
    char *folder = strdup("/tmp/mta-config-test-XXXXXX");
    if (!folder || !mkdtemp(folder) || chdir(folder) != 0 || mkdir("conf.d", 0700) != 0) return -1;
    *state = folder;
    return 0;
}

static int leave_folder(void **state)
{
    static const char *const files[] = {"main.conf", "a.conf", "b.conf", "names", "conf.d/1.conf", "conf.d/2.conf", "conf.d/3.txt"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) unlink(files[i]);
    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%d.conf", i);
        unlink(name);
    }
    int failed = rmdir("conf.d") | chdir("/") | rmdir(*state);
    free(*state);
    return failed;
}

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}
#define WRITE(path, text) write_file((path), (text), sizeof(text) - 1)

static void note(void *context, bool is_error, struct bytes line)
{
    (void)is_error;
    buf_put(context, line);
    buf_put_c(context, '\n');
}

static uint8_t problems_memory[OUT_BYTES];
static struct buf problems;

static enum err load(const char *path, const struct config **c)
{
    int fd = -1;
    problems = BUF_OVER(problems_memory);
    struct config_problem_sink sink = {note, &problems};
    enum err e = config_load(path, "/var/tmp/state", 9, &sink, &fd);
    if (e != ERR_NONE) return e;
    assert_int_equal(config_map(fd, c), ERR_NONE);
    close(fd);
    return e;
}

static void expect_problems(const char *path, const char *want)
{
    const struct config *c;
    assert_int_equal(load(path, &c), ERR_BAD_VALUE);
    if (!bytes_equal(buf_bytes(&problems), bytes_of_cstr(want))) fail_msg("got: %.*s", (int)problems.len, (const char *)problems_memory);
}

static const struct config *expect_config(const char *path)
{
    const struct config *c = NULL;
    if (load(path, &c) != ERR_NONE) fail_msg("got: %.*s", (int)problems.len, (const char *)problems_memory);
    return c;
}

static void test_load_unreadable_file_gives_one_line(void **state)
{
    (void)state;
    expect_problems("none.conf", "none.conf: error: cannot read the configuration: No such file or directory\n");
    expect_problems("conf.d", "conf.d: error: cannot read the configuration: it is a folder; expected a file\n");
    expect_problems("/dev/zero", "/dev/zero: error: cannot read the configuration: it is not a regular file\n");
    FILE *f = fopen("main.conf", "we");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), 10 * 1024 * 1024), 0);
    fclose(f);
    expect_problems("main.conf", "main.conf: error: cannot read the configuration: it is larger than 4 MiB\n");
}

static void test_load_odd_texts_say_what_is_odd(void **state)
{
    (void)state;
    WRITE("main.conf", "config-version 1\0\n");
    expect_problems("main.conf", "main.conf:1:1: error: the file has NUL octets; expected a text file\n");
    WRITE("main.conf", MINIMAL "route r { match any; mx }\r\n");
    expect_problems("main.conf", "main.conf:4:26: error: the line ends with CR LF; expected LF alone (save the file with Unix line ends)\n");
    WRITE("main.conf", "\xef\xbb\xbf" MINIMAL "route r { match any; mx }\n");
    expect_problems("main.conf", "main.conf:1:1: error: the file begins with a byte order mark; save it as UTF-8 without one\n");
    WRITE("main.conf", MINIMAL "route r { match any; mx\n");
    expect_problems("main.conf", "main.conf:4:1: error: block `route r' opened here is never closed; expected `}'\n");
}

static void test_load_includes_go_in_place_and_in_order(void **state)
{
    (void)state;
    WRITE("main.conf", MINIMAL "route a { match local; mx }\ninclude \"conf.d/*.conf\"\ninclude none/*.conf\nroute z { match any; mx }\n");
    WRITE("conf.d/2.conf", "route c { match trusted; mx }\n");
    WRITE("conf.d/1.conf", "route b { match rcpt-domain t; mx }\ninclude 3.txt\n");
    WRITE("conf.d/3.txt", "table t { inline a.b }\nroute d { match rcpt x@y.z; mx }");
    const struct config *c = expect_config("main.conf");
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    static const char *const want[] = {"a", "b", "d", "c", "z"};
    assert_int_equal(c->routes.count, 5);
    for (uint32_t i = 0; i < 5; i++) assert_true(bytes_equal(config_bytes(c, routes[i].name), bytes_of_cstr(want[i])));
    assert_true(bytes_equal(config_bytes(c, routes[2].file), BYTES("conf.d/3.txt")));
    assert_int_equal(routes[2].line, 2);
    config_unmap(c);
}

static void test_load_include_faults_name_their_place(void **state)
{
    (void)state;
    WRITE("main.conf", MINIMAL "include a.conf\ninclude none.conf\nhostname b.c\nroute r { match any; mx }\n");
    WRITE("a.conf", "include b.conf\nqueue { path x }\nhostname a.b\n");
    WRITE("b.conf", "include main.conf\n");
    expect_problems("main.conf", "main.conf:5:9: error: cannot read `none.conf': No such file or directory\n"
                    "main.conf:6:1: error: `hostname' is given twice; the first is on line 2\n"
                    "a.conf:2:14: error: `path' is `x'; expected an absolute path without . or .. in it\n"
                    "a.conf:3:1: error: `hostname' is given twice; the first is on line 2 of main.conf\n"
                    "b.conf:1:9: error: `main.conf' includes itself\n");
}

static void test_load_includes_nest_to_a_bound(void **state)
{
    (void)state;
    WRITE("main.conf", MINIMAL "include d0.conf\nroute r { match any; mx }\n");
    for (int i = 0; i < 12; i++) {
        char name[32], text[48];
        snprintf(name, sizeof name, "d%d.conf", i);
        int bytes = snprintf(text, sizeof text, "include d%d.conf\n", i + 1);
        write_file(name, text, (size_t)bytes);
    }
    expect_problems("main.conf", "d7.conf:1:9: error: includes nest more than 8 deep; `d8.conf' was not read\n");
}

static void test_load_table_file_takes_a_name_a_line(void **state)
{
    (void)state;
    WRITE("names", "# ours\n  example.org  # main\n\nexample.net\nexample.net\n");
    WRITE("main.conf", MINIMAL "table t { file names }\nroute r { match rcpt-domain t; mx }\n");
    const struct config *c = expect_config("main.conf");
    const struct config_table *t = CONFIG_ITEMS(c, c->tables, struct config_table);
    assert_int_equal(t->entries.count, 2);
    assert_true(bytes_equal(config_bytes(c, t->file), BYTES("names")));
    const struct config_match *m = CONFIG_ITEMS(c, CONFIG_ITEMS(c, c->routes, struct config_route)->matches, struct config_match);
    assert_int_equal(m->names.count, 2);
    config_unmap(c);
    WRITE("names", "example.org\nfoo bar\n  no..domain\nx\x01\ny.z\r\n\xff\n");
    expect_problems("main.conf", "names:3:3: error: `no..domain' is no domain, as the use of table `t' expects\n"
                    "names:4:1: error: a control octet; expected printable text\nnames:5:1: error: the line ends with CR LF; expected LF alone\n"
                    "names:6:1: error: the line is not UTF-8\n");
    WRITE("main.conf", MINIMAL "table t { file nowhere }\nroute r { match rcpt-domain t; mx }\n");
    expect_problems("main.conf", "main.conf:4:16: error: cannot read `nowhere': No such file or directory\n");
}

static void test_load_table_of_100000_names_is_quick_and_found(void **state)
{
    (void)state;
    FILE *f = fopen("names", "we");
    assert_non_null(f);
    for (uint32_t i = 0; i < BIG_TABLE_NAMES; i++) fprintf(f, "d%u.Example.org\n", (i * 7919) % BIG_TABLE_NAMES);
    fclose(f);
    WRITE("main.conf", MINIMAL "table t { file names }\nroute r { match rcpt-domain t; mx }\n");
    clock_t start = clock();
    const struct config *c = expect_config("main.conf");
    print_message("100,000 names: %ld ms of processor time\n", (long)((clock() - start) * 1000 / CLOCKS_PER_SEC));
    struct route_question q = {.rcpt = BYTES("x@d99999.example.org")};
    assert_int_equal(route_find(c, &q), 0);
    q.rcpt = BYTES("x@d100000.example.org");
    assert_int_equal(route_find(c, &q), -1);
    config_unmap(c);
}

static void test_config_map_refuses_what_is_no_sealed_image(void **state)
{
    (void)state;
    const struct config *c = NULL;
    WRITE("main.conf", MINIMAL "route r { match any; mx }\n");
    int file = open("main.conf", O_RDWR | O_CLOEXEC), memory = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(file >= 0 && memory >= 0);
    assert_int_not_equal(config_map(file, &c), ERR_NONE);
    assert_int_equal(ftruncate(memory, 100), 0);
    assert_int_equal(config_map(memory, &c), ERR_DENIED);
    assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(config_map(memory, &c), ERR_SHORT);
    close(memory);
    memory = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(memory, 100000), 0);
    assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(config_map(memory, &c), ERR_BAD_TYPE);
    assert_null(c);
    close(memory);
    close(file);
}

static void test_load_image_cannot_be_changed(void **state)
{
    (void)state;
    int fd = -1;
    problems = BUF_OVER(problems_memory);
    struct config_problem_sink sink = {note, &problems};
    WRITE("main.conf", MINIMAL "route r { match any; mx }\n");
    assert_int_equal(config_load("main.conf", NULL, 1, &sink, &fd), ERR_NONE);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_true(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    close(fd);
}

static void test_load_embedded_default_delivers_locally_and_trusts_loopback(void **state)
{
    (void)state;
    const struct config *c = expect_config(NULL);
    const struct config_listener *l = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    const struct config_route *r = CONFIG_ITEMS(c, c->routes, struct config_route);
    const struct net_address *a = CONFIG_ITEMS(c, l->addresses, struct net_address);
    struct net_address v4 = {NET_IPV4, {127, 0, 0, 1}, 9}, v6 = {NET_IPV6, {[15] = 1}, 9}, other = {NET_IPV4, {10, 0, 0, 1}, 9};
    assert_int_equal(a[0].port, 2525);
    assert_true(config_trusts(c, l, &v4) && config_trusts(c, l, &v6) && !config_trusts(c, l, &other));
    assert_true(bytes_equal(config_bytes(c, r->maildir), BYTES("/var/tmp/state/mail/{domain}/{local}")));
    assert_true(bytes_equal(config_bytes(c, c->queue.path), BYTES("/var/tmp/state/queue")));
    assert_true(bytes_equal(config_bytes(c, c->control_socket), BYTES("/var/tmp/state/control.sock")));
    assert_true(bytes_equal(config_bytes(c, c->file), BYTES("embedded")));
    assert_true(c->mailbox.create);
    config_unmap(c);
    struct config_problem_sink sink = {note, &problems};
    int fd = -1;
    assert_int_equal(config_load(NULL, "run", 1, &sink, &fd), ERR_BAD_VALUE);
    assert_int_equal(config_load(NULL, "/with \"quotes\" {braces}/x", 1, &sink, &fd), ERR_BAD_VALUE);
    assert_int_equal(config_load(NULL, "/with \"quotes\" ;#/x", 1, &sink, &fd), ERR_NONE);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_unreadable_file_gives_one_line),
        cmocka_unit_test(test_load_odd_texts_say_what_is_odd),
        cmocka_unit_test(test_load_includes_go_in_place_and_in_order),
        cmocka_unit_test(test_load_include_faults_name_their_place),
        cmocka_unit_test(test_load_includes_nest_to_a_bound),
        cmocka_unit_test(test_load_table_file_takes_a_name_a_line),
        cmocka_unit_test(test_load_table_of_100000_names_is_quick_and_found),
        cmocka_unit_test(test_config_map_refuses_what_is_no_sealed_image),
        cmocka_unit_test(test_load_image_cannot_be_changed),
        cmocka_unit_test(test_load_embedded_default_delivers_locally_and_trusts_loopback),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
