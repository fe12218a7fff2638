/*
 * grammar_test - trees and problems of small texts, printed flat and compared as text.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/grammar.h"

static void note_problem(void *context, struct grammar_place place, struct bytes text)
{
    struct buf *out = context;
    buf_put_u64(out, place.line);
    buf_put_c(out, ':');
    buf_put_u64(out, place.column);
    BUF_LIT(out, ": ");
    buf_put(out, text);
    buf_put_c(out, '\n');
}

/* "a b{c;d}" - words joined by blanks, statements ended by ';', blocks in braces; without recursion. */
static void print_tree(const struct grammar *g, uint32_t first, struct buf *out)
{
    uint32_t stack[GRAMMAR_DEPTH_MAX + 1], depth = 0, at = first;
    while (at != GRAMMAR_NONE || depth > 0) {
        if (at == GRAMMAR_NONE) {
            buf_put_c(out, '}');
            at = g->statements[stack[--depth]].next;
            continue;
        }
        const struct grammar_statement *s = &g->statements[at];
        for (uint32_t i = 0; i < s->word_count; i++) {
            if (i > 0) buf_put_c(out, ' ');
            buf_put(out, grammar_word_at(g, s, i)->text);
        }
        buf_put_c(out, s->has_block ? '{' : ';');
        if (s->has_block) stack[depth++] = at;
        at = s->has_block ? s->child : s->next;
    }
}

struct grammar_case {
    const char *name, *input, *want;
};

static const struct grammar_case tree_cases[] = {
    {"empty", "", ""},
    {"only comments", "# a\n   # b", ""},
    {"words by lines", "a b\nc", "a b;c;"},
    {"semicolons", "a; b ;;c", "a;b;c;"},
    {"block", "a b { c d; e }\nf", "a b{c d;e;}f;"},
    {"block over lines", "a {\n b\n}\n", "a{b;}"},
    {"empty block", "a { }", "a{}"},
    {"nested", "a { b { c } d }", "a{b{c;}d;}"},
    {"no blanks needed", "a{b;c}d", "a{b;c;}d;"},
    {"number before brace", "workers{smtp 4}", "workers{smtp 4;}"},
    {"placeholders stay in words", "maildir /m/{domain}/{local}", "maildir /m/{domain}/{local};"},
    {"placeholder before a close", "a { m /x/{local}}", "a{m /x/{local};}"},
    {"brace at the start of a word is a block", "mx {tls}", "mx{tls;}"},
    {"quoted", "a \"b c; {#\" d", "a b c; {# d;"},
    {"escapes", "a \"\\\"x\\\\\"", "a \"x\\;"},
    {"empty quoted word", "a \"\"", "a ;"},
    {"hash inside a word", "a b#c #d", "a b#c;"},
    {"utf-8", "a \xc3\xa4\xf0\x9f\x93\xa7", "a \xc3\xa4\xf0\x9f\x93\xa7;"},
    {"tabs", "\ta\tb\t", "a b;"},
};

static const struct grammar_case problem_cases[] = {
    {"unclosed", "x\na b {\n c\n", "2:1: block `a b' opened here is never closed; expected `}'\n"},
    {"two unclosed", "a {\n b {",
     "1:1: block `a' opened here is never closed; expected `}'\n2:2: block `b' opened here is never closed; expected `}'\n"},
    {"stray close", "a\n  }\nb", "2:3: `}' closes nothing; expected a statement\n"},
    {"nameless block", "a\n{ b }", "2:1: `{' without a name before it; expected the block's name on the same line\n"},
    {"unclosed quote", "a \"b\nc", "1:3: the quoted word that begins here is not closed on its line; expected `\"'\n"},
    {"quote at the end", "a \"", "1:3: the quoted word that begins here is not closed on its line; expected `\"'\n"},
    {"backslash at the end", "a \"\\", "1:3: the quoted word that begins here is not closed on its line; expected `\"'\n"},
    {"bad escape", "a \"\\n\"", "1:3: unknown escape in a quoted word; expected \\\" or \\\\\n"},
    {"quote inside", "ab\"c\"", "1:3: a quote in the middle of a word; expected a blank before it, or quotes around the whole word\n"},
    {"quote goes on", "\"c\"d", "1:4: a quoted word goes on after its quote; expected a blank, `;', `{' or `}'\n"},
    {"control octet", "a\nb\x01\n", "2:2: control octet 0x01; expected printable text\n"},
    {"carriage returns, said once", "a\r\nb\r\n",
     "1:2: the line ends with CR LF; expected LF alone (save the file with Unix line ends)\n"},
    {"byte order mark", "\xef\xbb\xbf" "a", "1:1: the file begins with a byte order mark; save it as UTF-8 without one\n"},
    {"not utf-8", "a\nb \xff\n", "2:1: the line is not UTF-8\n"},
    {"too deep, said once", "a{b{c{d{e{f{g{h{i{j{k}}}}}}}}}}\nz{",
     "1:18: blocks nest more than 8 deep; this one was not read\n2:1: block `z' opened here is never closed; expected `}'\n"},
    {"columns are characters", "\xc3\xa4 }", "1:3: `}' closes nothing; expected a statement\n"},
    {"several at once", "}\n\"a\n}",
     "1:1: `}' closes nothing; expected a statement\n2:1: the quoted word that begins here is not closed on its line; expected `\"'\n"
     "3:1: `}' closes nothing; expected a statement\n"},
};

static void test_grammar_wellformed_texts_give_their_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tree_cases / sizeof tree_cases[0]; i++) {
        uint8_t memory[4096], problems_memory[4096];
        struct buf out = BUF_OVER(memory), problems = BUF_OVER(problems_memory);
        struct grammar_sink sink = {note_problem, &problems};
        struct grammar g;
        uint32_t first;
        grammar_init(&g);
        enum err e = grammar_parse(&g, 0, bytes_of_cstr(tree_cases[i].input), &sink, &first);
        print_tree(&g, first, &out);
        if (e != ERR_NONE || !bytes_equal(buf_bytes(&out), bytes_of_cstr(tree_cases[i].want))) {
            fail_msg("%s: got '%.*s' %.*s", tree_cases[i].name, (int)out.len, (char *)memory, (int)problems.len, (char *)problems_memory);
        }
        grammar_fini(&g);
    }
}

static void test_grammar_broken_texts_report_each_problem_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof problem_cases / sizeof problem_cases[0]; i++) {
        uint8_t memory[4096];
        struct buf problems = BUF_OVER(memory);
        struct grammar_sink sink = {note_problem, &problems};
        struct grammar g;
        uint32_t first;
        grammar_init(&g);
        enum err e = grammar_parse(&g, 0, bytes_of_cstr(problem_cases[i].input), &sink, &first);
        if (e != ERR_BAD_VALUE || !bytes_equal(buf_bytes(&problems), bytes_of_cstr(problem_cases[i].want))) {
            fail_msg("%s: got '%.*s'", problem_cases[i].name, (int)problems.len, (char *)memory);
        }
        grammar_fini(&g);
    }
}

static void test_grammar_nul_gives_one_problem_and_no_tree(void **state)
{
    (void)state;
    uint8_t memory[4096];
    struct buf problems = BUF_OVER(memory);
    struct grammar_sink sink = {note_problem, &problems};
    struct grammar g;
    uint32_t first;
    grammar_init(&g);
    assert_int_equal(grammar_parse(&g, 0, BYTES("a\nb\0c\n\x01\n"), &sink, &first), ERR_BAD_VALUE);
    assert_int_equal(first, GRAMMAR_NONE);
    assert_true(bytes_equal(buf_bytes(&problems), BYTES("1:1: the file has NUL octets; expected a text file\n")));
    grammar_fini(&g);
}

static void count_problem(void *context, struct grammar_place place, struct bytes text)
{
    (void)place;
    (void)text;
    ++*(uint32_t *)context;
}

static void test_grammar_endless_problems_stop(void **state)
{
    (void)state;
    static uint8_t closes[100000];
    memset(closes, '}', sizeof closes);
    uint32_t problems = 0, first;
    struct grammar_sink sink = {count_problem, &problems};
    struct grammar g;
    grammar_init(&g);
    assert_int_equal(grammar_parse(&g, 0, bytes_of(closes, sizeof closes), &sink, &first), ERR_BAD_VALUE);
    assert_int_equal(problems, GRAMMAR_PROBLEMS_MAX + 1);
    memset(closes, '{', sizeof closes);
    problems = 0;
    assert_int_equal(grammar_parse(&g, 0, bytes_of(closes, sizeof closes), &sink, &first), ERR_BAD_VALUE);
    assert_true(problems <= GRAMMAR_PROBLEMS_MAX + 1);
    grammar_fini(&g);
}

static void test_grammar_oversized_text_is_refused_unread(void **state)
{
    (void)state;
    uint32_t bytes = 10 * 1024 * 1024, problems = 0, first;
    uint8_t *text = malloc(bytes);
    assert_non_null(text);
    memset(text, 'a', bytes);
    struct grammar_sink sink = {count_problem, &problems};
    struct grammar g;
    grammar_init(&g);
    assert_int_equal(grammar_parse(&g, 0, bytes_of(text, bytes), &sink, &first), ERR_BAD_VALUE);
    assert_int_equal(problems, 1);
    for (uint32_t i = 0; i < bytes; i += 2) text[i] = ';';
    assert_int_equal(grammar_parse(&g, 0, bytes_of(text, GRAMMAR_TEXT_BYTES_MAX), &sink, &first), ERR_BAD_VALUE);
    assert_int_equal(problems, 2);
    assert_int_equal(g.statement_count, GRAMMAR_STATEMENTS_MAX);
    grammar_fini(&g);
    free(text);
}

static void test_grammar_splice_puts_a_text_behind_its_statement(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct buf out = BUF_OVER(memory);
    uint32_t problems = 0, outer, inner;
    struct grammar_sink sink = {count_problem, &problems};
    struct grammar g;
    grammar_init(&g);
    assert_int_equal(grammar_parse(&g, 0, BYTES("a\ninclude\nb"), &sink, &outer), ERR_NONE);
    assert_int_equal(grammar_parse(&g, 1, BYTES("x; y"), &sink, &inner), ERR_NONE);
    assert_int_equal(grammar_splice(&g, 1, inner), 4);
    assert_int_equal(grammar_splice(&g, 1, GRAMMAR_NONE), 1);
    print_tree(&g, outer, &out);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("a;include;x;y;b;")));
    grammar_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar_wellformed_texts_give_their_tree),
        cmocka_unit_test(test_grammar_broken_texts_report_each_problem_with_its_place),
        cmocka_unit_test(test_grammar_nul_gives_one_problem_and_no_tree),
        cmocka_unit_test(test_grammar_endless_problems_stop),
        cmocka_unit_test(test_grammar_oversized_text_is_refused_unread),
        cmocka_unit_test(test_grammar_splice_puts_a_text_behind_its_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
