/*
 * expand_test - who addresses stand for: nested aliases, circles, owners, catch-alls, sub-addresses, and the limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mta/config/expand.h"

static const char main_text[] =
    "config-version 1\nhostname mx.example.org\nlisten l { address 127.0.0.1:25; trust local }\n"
    "aliases { file etc }\n"
    "table names { file t; format aliases }\n"
    "table virtual { entry info@virtual.example ann@example.org; entry sales@virtual.example \"bob@example.org, far@other.example\";\n"
    "    entry @virtual.example boss@virtual.example; entry @moved.example @example.org; entry evil@virtual.example \"|/bin/sh\" }\n"
    "route local { match rcpt-domain example.org; rewrite names; sub-address +; maildir /m/{local} }\n"
    "route virtual { match rcpt-domain virtual.example moved.example; rewrite virtual; reject 550 5.1.1 no such user }\n"
    "route out { match trusted; mx }\n";

static const char local_text[] =
    "postmaster: root\nroot: ann, \\root\nteam: ann, bob, team2, ann\nteam2: carol, team, bob\nowner-team2: carol\n"
    "list: :include:members, far@other.example\nowner-list: dave\nself: self, copy@other.example\na: b\nb: a\ncmd: \"|/bin/x\"\nfile: /tmp/x, ann\n"
    "nobody: :include:none\nmail+x: special\n";

static int enter_folder(void **state)
{
    char *folder = strdup("/tmp/mta-expand-test-XXXXXX");
    if (!folder || !mkdtemp(folder) || chdir(folder) != 0) return -1;
    *state = folder;
    return 0;
}

static int leave_folder(void **state)
{
    static const char *const files[] = {"main.conf", "t", "etc", "members", "none"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) unlink(files[i]);
    int failed = chdir("/") | rmdir(*state);
    free(*state);
    return failed;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void note(void *context, bool is_error, struct bytes line)
{
    (void)context;
    print_message("%s: %.*s\n", is_error ? "error" : "warning", (int)line.len, (const char *)line.ptr);
}

static const struct config *load(const char *aliases)
{
    const struct config *c = NULL;
    struct config_problem_sink sink = {note, NULL};
    int fd = -1;
    write_file("main.conf", main_text);
    write_file("t", aliases);
    write_file("etc", "root: ann@example.org\ndaemon: root\n");
    write_file("members", "ann\nbob, x@other.example\n:include:members\n");
    write_file("none", "# nobody yet\n");
    assert_int_equal(config_load("main.conf", NULL, 1, &sink, &fd), ERR_NONE);
    assert_int_equal(config_map(fd, &c), ERR_NONE);
    close(fd);
    return c;
}

static struct expansion x; /* large */

struct expand_case { const char *rcpt; enum expand_answer answer; const char *want; /* recipients, "!" and the owner behind those that have one */ };

static const struct expand_case cases[] = {
    {"nobody-there@example.org", EXPAND_NONE, ""},
    {"far@other.example", EXPAND_NONE, ""},
    {"Postmaster@example.org", EXPAND_DONE, "ann@example.org root@example.org"},
    {"team@example.org", EXPAND_DONE, "ann@example.org bob@example.org carol@example.org!team2@example.org"},
    {"team2@example.org", EXPAND_DONE, "carol@example.org!team2@example.org bob@example.org!team2@example.org ann@example.org!team2@example.org"},
    {"list@example.org", EXPAND_DONE,
     "far@other.example!list@example.org ann@example.org!list@example.org bob@example.org!list@example.org x@other.example!list@example.org"},
    {"self@example.org", EXPAND_DONE, "self@example.org copy@other.example"},
    {"a@example.org", EXPAND_EMPTY, ""},
    {"cmd@example.org", EXPAND_ACTION, ""},
    {"file@example.org", EXPAND_ACTION, ""},
    {"nobody@example.org", EXPAND_EMPTY, ""},
    {"root+cron@example.org", EXPAND_DONE, "ann@example.org root@example.org"},
    {"mail+x@example.org", EXPAND_DONE, "special@example.org"},
    {"info@virtual.example", EXPAND_DONE, "ann@example.org"},
    {"Sales@virtual.example", EXPAND_DONE, "bob@example.org far@other.example"},
    {"anybody@virtual.example", EXPAND_DONE, "boss@virtual.example"},
    {"evil@virtual.example", EXPAND_ACTION, ""},
    {"team@moved.example", EXPAND_DONE, "ann@example.org bob@example.org carol@example.org!team2@example.org"},
    {"daemon@mx.example.org", EXPAND_DONE, "ann@example.org"},
    {"root@localhost", EXPAND_DONE, "ann@example.org"},
};

static void test_expansions_are_those_of_the_cases(void **state)
{
    (void)state;
    const struct config *c = load(local_text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t memory[1024];
        struct buf got = BUF_OVER(memory);
        struct route_question q = {.rcpt = bytes_of_cstr(cases[i].rcpt), .sender = BYTES("s@far.example")};
        enum expand_answer answer = expand_address(c, &q, &x);
        if (answer != cases[i].answer) fail_msg("%s: answer %d", cases[i].rcpt, (int)answer);
        assert_int_equal(expand_has_alias(c, &q), answer != EXPAND_NONE);
        for (uint32_t k = 0; answer == EXPAND_DONE && k < x.count; k++) {
            if (!x.items[k].is_rcpt) continue;
            if (got.len > 0) buf_put_c(&got, ' ');
            buf_put(&got, x.items[k].address);
            if (x.items[k].owner == UINT32_MAX) continue;
            buf_put_c(&got, '!');
            buf_put(&got, x.items[x.items[k].owner].address);
        }
        if (!bytes_equal(buf_bytes(&got), bytes_of_cstr(cases[i].want))) fail_msg("%s: %.*s", cases[i].rcpt, (int)got.len, (const char *)memory);
    }
    config_unmap(c);
}

static void test_sub_address_is_cut_for_its_route(void **state)
{
    (void)state;
    const struct config *c = load(local_text);
    uint8_t memory[512];
    struct buf text = BUF_OVER(memory);
    assert_true(bytes_equal(expand_strip(c, 0, BYTES("ann+x+y@example.org"), &text), BYTES("ann@example.org")));
    assert_true(bytes_equal(expand_strip(c, 0, BYTES("ann@example.org"), &text), BYTES("ann@example.org")));
    assert_true(bytes_equal(expand_strip(c, 1, BYTES("ann+x@virtual.example"), &text), BYTES("ann+x@virtual.example")));
    config_unmap(c);
}

/* make_chain - aliases c0: c1, c1: c2, ...; or a list of many. */
static void test_limits_end_an_expansion(void **state)
{
    (void)state;
    static char text[4 * 1024 * 1024];
    uint32_t at = 0;
    for (int i = 0; i < 30; i++) at += (uint32_t)snprintf(text + at, sizeof text - at, "c%d: c%d\n", i, i + 1);
    at += (uint32_t)snprintf(text + at, sizeof text - at, "big: x@y.example");
    for (int i = 0; i < EXPAND_RCPTS_MAX; i++) at += (uint32_t)snprintf(text + at, sizeof text - at, ",\n u%d@other.example", i);
    at += (uint32_t)snprintf(text + at, sizeof text - at, "\nfits: x@y.example");
    for (int i = 1; i < EXPAND_RCPTS_MAX; i++) at += (uint32_t)snprintf(text + at, sizeof text - at, ",\n u%d@other.example", i);
    assert_true(at < sizeof text - 2);
    const struct config *c = load(text);
    struct route_question q = {.rcpt = BYTES("c0@example.org"), .sender = BYTES("s@far.example")};
    assert_int_equal(expand_address(c, &q, &x), EXPAND_MANY);
    q.rcpt = BYTES("c15@example.org");
    assert_int_equal(expand_address(c, &q, &x), EXPAND_DONE);
    q.rcpt = BYTES("big@example.org");
    assert_int_equal(expand_address(c, &q, &x), EXPAND_MANY);
    q.rcpt = BYTES("fits@example.org");
    assert_int_equal(expand_address(c, &q, &x), EXPAND_DONE);
    assert_int_equal(x.rcpts, EXPAND_RCPTS_MAX);
    config_unmap(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansions_are_those_of_the_cases),
        cmocka_unit_test(test_sub_address_is_cut_for_its_route),
        cmocka_unit_test(test_limits_end_an_expansion),
    };
    return cmocka_run_group_tests_name("expand", tests, enter_folder, leave_folder);
}
