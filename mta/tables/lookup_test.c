/*
 * lookup_test - regular expressions of a real image: order, groups, bounds, and a configuration that comes later.
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

#include "mta/tables/tables.h"

#define HEAD "config-version 1\nhostname mx.example.org\nlisten l { address 127.0.0.1:25; trust local }\nroute r { match any; mx }\n"

static int enter_folder(void **state)
{
    char *folder = strdup("/tmp/mta-lookup-test-XXXXXX");
    if (!folder || !mkdtemp(folder) || chdir(folder) != 0) return -1;
    *state = folder;
    return 0;
}

static int leave_folder(void **state)
{
    unlink("main.conf");
    unlink("t");
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

static const struct config *load(const char *table)
{
    const struct config *c = NULL;
    struct config_problem_sink sink = {note, NULL};
    int fd = -1;
    write_file("main.conf", HEAD "table plain { inline x; entry y \"a b\" }\ntable t { file t; format regex }\n");
    write_file("t", table);
    assert_int_equal(config_load("main.conf", NULL, 1, &sink, &fd), ERR_NONE);
    assert_int_equal(config_map(fd, &c), ERR_NONE);
    close(fd);
    return c;
}

static void expect(const struct tables *t, uint32_t table, const char *key, enum lookup_status status, const char *want, uint32_t want_line)
{
    uint8_t memory[TABLE_VALUE_BYTES_MAX];
    struct buf value = BUF_OVER(memory);
    uint32_t line;
    assert_int_equal(tables_lookup(t, table, bytes_of_cstr(key), &value, &line), status);
    assert_int_equal(line, want_line);
    if (status == LOOKUP_YES && !bytes_equal(buf_bytes(&value), bytes_of_cstr(want))) fail_msg("%s: %.*s", key, (int)value.len, (const char *)memory);
}

static void test_first_pattern_that_holds_is_the_answer(void **state)
{
    (void)state;
    static struct tables t;
    const struct config *c = load("# first\n/^postmaster@/ root\n/^(.*)\\+.*@(.*)$/ $1@$2\n\n!/@example\\.org$/\n   stranger\n");
    tables_compile(&t, c);
    expect(&t, 1, "Postmaster@x.example", LOOKUP_YES, "root", 2);
    expect(&t, 1, "ann+list@example.org", LOOKUP_YES, "ann@example.org", 3);
    expect(&t, 1, "bob@example.net", LOOKUP_YES, "stranger", 5);
    expect(&t, 1, "bob@example.org", LOOKUP_NO, "", 0);
    expect(&t, 0, "x", LOOKUP_YES, "", 4 + 1);
    expect(&t, 0, "Y", LOOKUP_YES, "a b", 4 + 1);
    expect(&t, 0, "z", LOOKUP_NO, "", 0);
    expect(&t, 9, "z", LOOKUP_NO, "", 0);
    const struct config *later = load("/./ any\n");
    tables_compile(&t, later);
    config_unmap(c);
    expect(&t, 1, "bob@example.org", LOOKUP_YES, "any", 1);
    config_unmap(later);
}

static void test_a_pattern_without_end_has_no_answer(void **state)
{
    (void)state;
    static struct tables t;
    const struct config *c = load("/^(a+)+$/ x\n/./ y\n");
    tables_compile(&t, c);
    expect(&t, 1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", LOOKUP_UNKNOWN, "", 1);
    expect(&t, 1, "aaaa", LOOKUP_YES, "x", 1);
    config_unmap(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_pattern_that_holds_is_the_answer),
        cmocka_unit_test(test_a_pattern_without_end_has_no_answer),
    };
    return cmocka_run_group_tests_name("lookup", tests, enter_folder, leave_folder);
}
