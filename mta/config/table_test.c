/*
 * table_test - table files of every format: what is found, what is said about bad ones, and what a reload takes from disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mta/config/pattern.h"
#include "mta/config/table.h"

enum { OUT_BYTES = 16384 };

#define HEAD "config-version 1\nhostname mx.example.org\nlisten l { address 127.0.0.1:25; trust local }\nroute r { match any; mx }\n"

static const char *const files[] = {"main.conf", "more.conf", "t", "list", "list2"};

static int enter_folder(void **state)
{
    char *folder = strdup("/tmp/mta-table-test-XXXXXX");
    if (!folder || !mkdtemp(folder) || chdir(folder) != 0) return -1;
    *state = folder;
    return 0;
}

static int leave_folder(void **state)
{
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

static uint8_t problems_memory[OUT_BYTES];
static struct buf problems;

static void note(void *context, bool is_error, struct bytes line)
{
    (void)is_error;
    buf_put(context, line);
    buf_put_c(context, '\n');
}

static const struct config_problem_sink sink = {note, &problems};

static const struct config *map(enum err e, int fd)
{
    const struct config *c = NULL;
    if (e != ERR_NONE) fail_msg("got: %.*s", (int)problems.len, (const char *)problems_memory);
    assert_int_equal(config_map(fd, &c), ERR_NONE);
    close(fd);
    return c;
}

static const struct config *load(const char *main_text, const char *table_text)
{
    int fd = -1;
    write_file("main.conf", main_text);
    if (table_text) write_file("t", table_text);
    problems = BUF_OVER(problems_memory);
    enum err e = config_load("main.conf", NULL, 1, &sink, &fd);
    return map(e, fd);
}

static void expect_problems(const char *main_text, const char *table_text, const char *want)
{
    int fd = -1;
    write_file("main.conf", main_text);
    write_file("t", table_text);
    problems = BUF_OVER(problems_memory);
    assert_int_equal(config_load("main.conf", NULL, 1, &sink, &fd), ERR_BAD_VALUE);
    if (!bytes_equal(buf_bytes(&problems), bytes_of_cstr(want))) fail_msg("got: %.*s", (int)problems.len, (const char *)problems_memory);
}

/* expect_values - all values of a key of table `t` with ", " between them; "-" when it is not there. */
static void expect_values(const struct config *c, const char *key, const char *want)
{
    uint8_t memory[1024];
    struct buf got = BUF_OVER(memory);
    struct table_hit hit;
    int32_t t = table_by_name(c, BYTES("t"));
    assert_true(t >= 0);
    if (table_find(c, (uint32_t)t, bytes_of_cstr(key), &hit) != TABLE_YES) BUF_LIT(&got, "-");
    else for (uint32_t i = 0; i < hit.count; i++) {
        uint8_t kind;
        struct bytes value = table_value(c, &hit, i, &kind);
        if (i > 0) BUF_LIT(&got, ", ");
        table_print_value(&got, value, kind);
    }
    if (!bytes_equal(buf_bytes(&got), bytes_of_cstr(want))) fail_msg("%s: %.*s", key, (int)got.len, (const char *)memory);
}

static void test_plain_file_gives_keys_and_values(void **state)
{
    (void)state;
    const struct config *c = load(HEAD "table t { file t }\n",
        "# who may send as what\nAnn@Example.org ann\n  bob@example.org\tbob, robert  # both\n\nname\n\"john doe\"@x.example  a#b \"c # d\"\n");
    expect_values(c, "ann@example.org", "ann");
    expect_values(c, "BOB@example.ORG", "bob, robert");
    expect_values(c, "name", "");
    expect_values(c, "\"john doe\"@x.example", "a#b \"c # d\"");
    expect_values(c, "ann", "-");
    expect_values(c, "", "-");
    assert_int_equal(c->table_sources.count, 1);
    assert_int_equal(problems.len, 0);
    config_unmap(c);
}

static void test_inline_entries_have_values(void **state)
{
    (void)state;
    const struct config *c = load(HEAD "table t { inline a b; entry c one two; entry d \"x y\" }\n", NULL);
    expect_values(c, "a", "");
    expect_values(c, "c", "one two");
    expect_values(c, "D", "x y");
    assert_int_equal(table_by_name(c, BYTES("u")), -1);
    struct table_hit hit;
    assert_int_equal(table_find(c, 7, BYTES("a"), &hit), TABLE_NO);
    config_unmap(c);
}

static void test_postfix_text_is_read_as_postmap_does(void **state)
{
    (void)state;
    const struct config *c = load(HEAD "table t { file t; format postfix }\n",
        "# map\nmail@example.org lmtp:[127.0.0.1]:8024\n\n  # between\nlong@example.org  a,\n  b\n# no end\n\tc\nlast x # y\nlast z\n");
    expect_values(c, "mail@example.org", "lmtp:[127.0.0.1]:8024");
    expect_values(c, "long@example.org", "a, b c");
    expect_values(c, "last", "x # y");
    assert_true(bytes_equal(buf_bytes(&problems), BYTES("t:10:1: warning: `last' is there twice; the first counts, on line 9\n")));
    config_unmap(c);
    expect_problems(HEAD "table t { file t; format postfix }\n", "  a b\nkey\nok ok\n x\001\n",
        "t:1:1: error: a line that begins with a blank goes on with the one before, and there is none\n"
        "t:2:1: error: `key' has no value; expected KEY VALUE, as postmap(1) does\nt:4:1: error: a control octet; expected printable text\n");
}

static void test_aliases_have_kinds_and_included_files(void **state)
{
    (void)state;
    write_file("list", "# members\nann@example.org, bob\n:include:list2\n\"|/bin/evil\"\n");
    write_file("list2", "carol\n:include:list\n");
    const struct config *c = load(HEAD "table t { file t; format aliases }\n",
        "Postmaster: root\nroot: ann, \\root\nlist: :include:list, dave\n"
        "cmd: \"|/usr/bin/prog -a \\\"b c\\\"\", /var/mail/x,\n  \"/var/my mail\"\nroot: other\n");
    expect_values(c, "postmaster", "root");
    expect_values(c, "ROOT", "ann, \\root");
    expect_values(c, "list", ":include:list, dave");
    expect_values(c, ":include:list", "ann@example.org, bob, :include:list2");
    expect_values(c, ":include:list2", "carol, :include:list");
    expect_values(c, "cmd", "\"|/usr/bin/prog -a \\\"b c\\\"\", /var/mail/x, \"/var/my mail\"");
    assert_int_equal(c->table_sources.count, 3);
    assert_true(bytes_equal(buf_bytes(&problems),
        BYTES("t:6:1: warning: `root' is there twice; the first counts, on line 2\n"
              "list:4:1: warning: a command or file in an :include: file is left out; only addresses may stand here\n")));
    config_unmap(c);
}

static void test_bad_aliases_are_named_by_line_and_column(void **state)
{
    (void)state;
    expect_problems(HEAD "table t { file t; format aliases }\n", "ok: fine\nno colon here\na: x@@y, b\nc: \"open\nd: :include:nowhere\n",
        "t:2:4: error: a name must be followed by a colon\nt:3:4: error: `x@@y' is no address and no local name\nt:4:4: error: a quote is not closed\n"
        "t:5:4: error: cannot read `nowhere': No such file or directory\n");
}

static void test_included_file_behind_a_link_is_not_read(void **state)
{
    (void)state;
    write_file("list", "secret\n");
    unlink("list2");
    assert_int_equal(symlink("list", "list2"), 0);
    expect_problems(HEAD "table t { file t; format aliases }\n", "a: :include:list2\n",
        "t:1:4: error: cannot read `list2': there is a symbolic link in its path\n");
    unlink("list2");
}

static void test_bad_patterns_are_named_by_line_and_column(void **state)
{
    (void)state;
    expect_problems(HEAD "table t { file t; format regex }\n",
        "/^ok$/ fine\n/(open/ x\n/a/q x\n/a/\nplain x\nif /x/\n/(a)/ $2\n/(a)/  ${1\n/a x\n!/(a)/ $1\n",
        "t:2:7: error: the pattern cannot be used: missing closing parenthesis\n"
        "t:3:4: error: `q' behind the pattern; expected some of the letters i m s x A E U, and a blank\n"
        "t:4:4: error: the pattern has no value; expected /PATTERN/FLAGS VALUE\nt:5:1: error: expected /PATTERN/FLAGS VALUE\n"
        "t:6:1: error: `if' and `endif' are not supported; expected /PATTERN/FLAGS VALUE\n"
        "t:7:7: error: the value names a group that the pattern does not have; expected $1 and so on, and $$ for a dollar\n"
        "t:8:8: error: the value names a group that the pattern does not have; expected $1 and so on, and $$ for a dollar\n"
        "t:9:1: error: the pattern has no second `/'\n"
        "t:10:8: error: the value names a group that the pattern does not have; expected $1 and so on, and $$ for a dollar\n");
    const struct config *c = load(HEAD "table t { file t; format regex }\n", "/b/ 2\n/a/i 1\n");
    struct table_hit hit;
    assert_int_equal(table_find(c, 0, BYTES("a"), &hit), TABLE_ELSEWHERE);
    assert_true(bytes_equal(config_bytes(c, table_entry_at(c, 0, 0)->key), BYTES("b")));
    config_unmap(c);
}

static void test_reload_reads_tables_and_nothing_else(void **state)
{
    (void)state;
    int fd = -1;
    struct config_texts *texts;
    write_file("main.conf", HEAD "include more.conf\n");
    write_file("more.conf", "table t { file t }\n");
    write_file("t", "a 1\n");
    problems = BUF_OVER(problems_memory);
    enum err e = config_load_keeping("main.conf", NULL, 1, &sink, &fd, &texts);
    const struct config *first = map(e, fd);
    write_file("main.conf", "nonsense\n");
    write_file("more.conf", "nonsense\n");
    write_file("t", "a 2\nb 3\n");
    e = config_reload(texts, 2, &sink, &fd);
    const struct config *second = map(e, fd);
    expect_values(first, "a", "1");
    expect_values(second, "a", "2");
    expect_values(second, "b", "3");
    assert_int_equal(second->generation, 2);
    assert_true(config_same_shape(first, second));
    write_file("t", "a 2\n\001\n");
    assert_int_equal(config_reload(texts, 3, &sink, &fd), ERR_BAD_VALUE);
    assert_true(bytes_equal(buf_bytes(&problems), BYTES("t:2:1: error: a control octet; expected printable text\n")));
    config_texts_free(texts);
    config_unmap(first);
    config_unmap(second);
}

/* ---- patterns ---- */

struct pattern_case { const char *pattern; uint32_t flags; const char *subject, *value, *want; };

static const struct pattern_case cases[] = {
    {"^(.*)@example\\.org$", 0, "Ann@Example.ORG", "$1@example.net", "Ann@example.net"},
    {"^(.*)@example\\.org$", PATTERN_CASE, "Ann@Example.ORG", "x", "-"},
    {"(a)|(b)", 0, "b", "<${1}><$(2)><$0>", "<><b><b>"},
    {"x", PATTERN_NOT, "abc", "cost $$5", "cost $5"},
    {"x", PATTERN_NOT, "axb", "y", "-"},
    {" a b ", PATTERN_SPACED, "ab", "y", "y"},
    {"^b", PATTERN_LINES, "a\nb", "y", "y"},
    {"", 0, "", "y", "y"},
    {"(a+)+$", 0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "y", "failed"},
};

static void test_pattern_cases_give_their_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t memory[256];
        struct buf got = BUF_OVER(memory);
        struct pattern *p = NULL;
        uint32_t offset;
        struct bytes subject = bytes_of_cstr(cases[i].subject);
        assert_int_equal(pattern_compile(bytes_of_cstr(cases[i].pattern), cases[i].flags, &p, &offset, &got), ERR_NONE);
        enum pattern_answer answer = pattern_match(p, subject);
        if (answer == PATTERN_NO) BUF_LIT(&got, "-");
        else if (answer == PATTERN_FAILED) BUF_LIT(&got, "failed");
        else assert_true(pattern_expand(p, subject, bytes_of_cstr(cases[i].value), pattern_captures(p), &got));
        pattern_free(p);
        if (!bytes_equal(buf_bytes(&got), bytes_of_cstr(cases[i].want))) fail_msg("case %zu: %.*s", i, (int)got.len, (const char *)memory);
    }
}

static void test_pattern_bounds_are_kept(void **state)
{
    (void)state;
    static char text[PATTERN_BYTES_MAX + 2];
    uint8_t memory[256];
    struct buf why = BUF_OVER(memory);
    struct pattern *p = NULL;
    uint32_t offset;
    memset(text, 'a', sizeof text - 1);
    assert_int_equal(pattern_compile(bytes_of_cstr(text), 0, &p, &offset, &why), ERR_TOO_LONG);
    memset(text, '(', 200);
    text[200] = 0;
    assert_int_equal(pattern_compile(bytes_of_cstr(text), 0, &p, &offset, &why), ERR_BAD_VALUE);
    assert_int_equal(pattern_compile(BYTES("\\C"), 0, &p, &offset, &why), ERR_BAD_VALUE);
    assert_int_equal(pattern_compile(BYTES("a"), 0, &p, &offset, &why), ERR_NONE);
    memset(text, 'b', PATTERN_SUBJECT_BYTES_MAX + 1);
    assert_int_equal(pattern_match(p, bytes_of(text, PATTERN_SUBJECT_BYTES_MAX + 1)), PATTERN_FAILED);
    assert_int_equal(pattern_match(p, bytes_of(text, PATTERN_SUBJECT_BYTES_MAX)), PATTERN_NO);
    pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_file_gives_keys_and_values),
        cmocka_unit_test(test_inline_entries_have_values),
        cmocka_unit_test(test_postfix_text_is_read_as_postmap_does),
        cmocka_unit_test(test_aliases_have_kinds_and_included_files),
        cmocka_unit_test(test_bad_aliases_are_named_by_line_and_column),
        cmocka_unit_test(test_included_file_behind_a_link_is_not_read),
        cmocka_unit_test(test_bad_patterns_are_named_by_line_and_column),
        cmocka_unit_test(test_reload_reads_tables_and_nothing_else),
        cmocka_unit_test(test_pattern_cases_give_their_values),
        cmocka_unit_test(test_pattern_bounds_are_kept),
    };
    return cmocka_run_group_tests_name("table", tests, enter_folder, leave_folder);
}
