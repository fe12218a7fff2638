#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/alias.h"

struct text_case {
    struct bytes text;
    bool list;
    struct bytes want; /* events as letters with their values: N A E C F I B */
};

/* tell - all events as text; of bad ones the line. */
static struct bytes tell(struct bytes text, bool list, struct buf *out)
{
    static const char letters[] = ".NAECFIB";
    struct smtp_alias_reader r;
    struct bytes value;
    enum smtp_alias_event event;
    smtp_alias_init(&r, text, list);
    while ((event = smtp_alias_next(&r, &value)) != SMTP_ALIAS_END) {
        buf_put_c(out, (uint8_t)letters[event]);
        buf_put_c(out, '[');
        if (event == SMTP_ALIAS_BAD) buf_put_u64(out, r.line);
        else buf_put(out, value);
        buf_put_c(out, ']');
    }
    return buf_bytes(out);
}

static const struct text_case cases[] = {
    {BYTES_INIT(""), false, BYTES_INIT("")},
    {BYTES_INIT("# nothing\n\n   \n  # more\n"), false, BYTES_INIT("")},
    {BYTES_INIT("postmaster: root"), false, BYTES_INIT("N[postmaster]A[root]")},
    {BYTES_INIT("Postmaster : root , Bob@Example.org\r\n"), false, BYTES_INIT("N[postmaster]A[root]A[Bob@Example.org]")},
    {BYTES_INIT("team: a,\n b,\n# between\n\n\tc\nnext: d\n"), false, BYTES_INIT("N[team]A[a]A[b]A[c]N[next]A[d]")},
    {BYTES_INIT("team:\n a\n"), false, BYTES_INIT("N[team]A[a]")},
    {BYTES_INIT("a: b,,c,\n"), false, BYTES_INIT("N[a]A[b]A[c]")},
    {BYTES_INIT("\"odd name: x\": \"john doe\"@example.org, \"jane doe\"\n"), false, BYTES_INIT("N[odd name: x]A[\"john doe\"@example.org]A[jane doe]")},
    {BYTES_INIT("l: \"|/usr/bin/list -x \\\"a, b\\\"\", /var/mail/x, \"/var/my mail\"\n"), false,
     BYTES_INIT("N[l]C[/usr/bin/list -x \"a, b\"]F[/var/mail/x]F[/var/my mail]")},
    {BYTES_INIT("l: |/bin/cat -, |\"/bin/x y\" z\n"), false, BYTES_INIT("N[l]C[/bin/cat -]C[\"/bin/x y\" z]")},
    {BYTES_INIT("l: :include:/etc/list, \":Include: /etc/a list\", \\root\n"), false, BYTES_INIT("N[l]I[/etc/list]I[/etc/a list]E[root]")},
    {BYTES_INIT("l: John Doe <john@example.org>, \"Doe, J\" <j@example.org>\n"), false, BYTES_INIT("N[l]A[john@example.org]A[j@example.org]")},
    {BYTES_INIT("  stray: x\nok: y\n"), false, BYTES_INIT("B[1]N[ok]A[y]")},
    {BYTES_INIT("none:\nok: y\n"), false, BYTES_INIT("B[1]N[ok]A[y]")},
    {BYTES_INIT("none:"), false, BYTES_INIT("B[1]")},
    {BYTES_INIT("none: ,\n"), false, BYTES_INIT("B[1]")},
    {BYTES_INIT("no colon\n and more\nok: y\n"), false, BYTES_INIT("B[1]N[ok]A[y]")},
    {BYTES_INIT("a: \"open\n b\nok: y\n"), false, BYTES_INIT("N[a]B[1]N[ok]A[y]")},
    {BYTES_INIT("a: b\n c d\nok: y\n"), false, BYTES_INIT("N[a]A[b]B[2]N[ok]A[y]")},
    {BYTES_INIT("a: x\1y\n"), false, BYTES_INIT("N[a]B[1]")},
    {BYTES_INIT("a: \"|\", :include:\n"), false, BYTES_INIT("N[a]B[1]")},
    {BYTES_INIT(": x\n"), false, BYTES_INIT("B[1]")},
    {BYTES_INIT("a: \"\"\n"), false, BYTES_INIT("N[a]B[1]")},
    {BYTES_INIT("a: <>\n"), false, BYTES_INIT("N[a]B[1]")},
    {BYTES_INIT("a, b\n# c\n  d\n\"|/usr/bin/vacation jim\"\n\\jim"), true, BYTES_INIT("A[a]A[b]A[d]C[/usr/bin/vacation jim]E[jim]")},
    {BYTES_INIT("a b\nc\n"), true, BYTES_INIT("B[1]A[c]")},
    {BYTES_INIT(",\n,a"), true, BYTES_INIT("A[a]")},
};

static void test_alias_texts_give_their_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t memory[512];
        struct buf out = BUF_OVER(memory);
        struct bytes got = tell(cases[i].text, cases[i].list, &out);
        if (!bytes_equal(got, cases[i].want)) print_message("case %zu: %.*s\n", i, (int)got.len, (const char *)got.ptr);
        assert_true(bytes_equal(got, cases[i].want));
    }
}

static void test_alias_value_too_long_is_bad_and_passed(void **state)
{
    (void)state;
    static uint8_t text[SMTP_ALIAS_VALUE_BYTES_MAX + 64], memory[64];
    struct buf in = BUF_OVER(text), out = BUF_OVER(memory);
    BUF_LIT(&in, "a: ");
    for (uint32_t i = 0; i <= SMTP_ALIAS_VALUE_BYTES_MAX; i++) buf_put_c(&in, 'x');
    BUF_LIT(&in, "\nok: y\n");
    assert_true(bytes_equal(tell(buf_bytes(&in), false, &out), BYTES("N[a]B[1]N[ok]A[y]")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alias_texts_give_their_events),
        cmocka_unit_test(test_alias_value_too_long_is_bad_and_passed),
    };
    return cmocka_run_group_tests_name("alias", tests, NULL, NULL);
}
