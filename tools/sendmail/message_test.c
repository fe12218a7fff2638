/*
 * Addresses of header fields and command lines, and messages as programs write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sendmail.h"

int complain(int code, const char *what, struct bytes text)
{
    print_message("%s: %.*s\n", what, (int)text.len, (const char *)text.ptr);
    return code;
}

static void print_list(struct buf *out, struct bytes text)
{
    struct address_scan scan = {.text = text};
    struct found_address a;
    while (address_next(&scan, &a)) {
        if (out->len > 0) buf_put_c(out, '|');
        buf_put(out, a.address);
        if (!a.has_domain) buf_put_c(out, '!');
        assert_true(a.end <= text.len);
    }
}

static void test_address_next_reads_what_people_write(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } cases[] = {
        {"a@b.example", "a@b.example"},
        {"root", "root!"},
        {" root , a@b", "root!|a@b"},
        {"Ann <a@b>", "a@b"},
        {"\"Last, First\" <a@b>, c@d", "a@b|c@d"},
        {"a@b (Ann (the boss) of \\) it), c@d", "a@b|c@d"},
        {"(nobody)", ""},
        {"root (Cron Daemon)", "root!"},
        {"friends: a@b, c@d;, e@f", "a@b|c@d|e@f"},
        {"undisclosed-recipients:;", ""},
        {"<@one,@two:a@b>", "a@b"},
        {"<>", ""},
        {"Ann <root>", "root!"},
        {"\"two words\"@b", "\"two words\"@b"},
        {"\"a@b\"", "\"a@b\"!"},
        {"a@[192.0.2.1], b@[IPv6:2001:db8::1]", "a@[192.0.2.1]|b@[IPv6:2001:db8::1]"},
        {"a . b @ c", "a.b@c"},
        {"two words", "two words!"},
        {"a@b,\r\n c@d,\r\n\te@f", "a@b|c@d|e@f"},
        {"a@b,,;,c@d", "a@b|c@d"},
        {"<a@b> junk", "a@b"},
        {"Ann <a@b", "a@b"},
        {"((((", ""},
        {"\"", "\"!"},
        {"-f@x", "-f@x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t memory[1024];
        struct buf got = BUF_OVER(memory);
        print_list(&got, bytes_of_cstr(cases[i].text));
        print_message("%s -> %.*s\n", cases[i].text, (int)got.len, (const char *)got.ptr);
        assert_true(bytes_equal(buf_bytes(&got), bytes_of_cstr(cases[i].want)));
    }
}

struct content_case {
    const char *what, *input, *want, *rcpts;
    bool from_header, dot_is_text, gateway;
};

static const struct content_case contents[] = {
    {"text alone", "hello\n", "From: \"N\" <me@d.example>\r\n\r\nhello\r\n", "", false, false, false},
    {"nothing at all", "", "From: \"N\" <me@d.example>\r\n\r\n", "", false, false, false},
    {"header alone", "Subject: s\n", "Subject: s\r\nFrom: \"N\" <me@d.example>\r\n\r\n", "", false, false, false},
    {"a From stays", "From: x@y\nSubject: s\n\nb", "From: x@y\r\nSubject: s\r\n\r\nb\r\n", "", false, false, false},
    {"cron", "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@h> x\n\nout\n",
     "From: root@d.example (Cron Daemon)\r\nTo: root@d.example\r\nSubject: Cron <root@h> x\r\n\r\nout\r\n", "", false, true, false},
    {"bare names in brackets", "From: A <a>\n\n", "From: A <a@d.example>\r\n\r\n", "", false, false, false},
    {"recipients of the header", "From: f@x\nTo: a@b, c\nCc: e@f\nBcc: g@h,\n i@j\n\nb\n", "From: f@x\r\nTo: a@b, c@d.example\r\nCc: e@f\r\n\r\nb\r\n",
     "a@b|c|e@f|g@h|i@j", true, false, false},
    {"without -t Bcc stays", "From: f@x\nBcc: g@h\n\n", "From: f@x\r\nBcc: g@h\r\n\r\n", "", false, false, false},
    {"resent", "From: f@x\nTo: a@b\nResent-To: r@s\nResent-Bcc: t@u\n\n", "From: f@x\r\nTo: a@b\r\nResent-To: r@s\r\n\r\n", "r@s|t@u", true, false, false},
    {"a dot ends", "From: f@x\n\none\n.\ntwo\n", "From: f@x\r\n\r\none\r\n", "", false, false, false},
    {"a dot does not end", "From: f@x\n\none\n.\ntwo\n", "From: f@x\r\n\r\none\r\n.\r\ntwo\r\n", "", false, true, false},
    {"a dot in the header", "From: f@x\n.\nb\n", "From: f@x\r\n\r\n", "", false, false, false},
    {"CR LF", "From: f@x\r\n\r\none\r\ntwo", "From: f@x\r\n\r\none\r\ntwo\r\n", "", false, false, false},
    {"a progress bar", "From: f@x\n\n1%\r2%\r3%\n", "From: f@x\r\n\r\n1%\r\n2%\r\n3%\r\n", "", false, false, false},
    {"mailbox line", "From me Mon Jan 1\nFrom: f@x\n\nb\n", "From: f@x\r\n\r\nb\r\n", "", false, false, false},
    {"the header ends at a line that is none", "From: f@x\nsome words\nmore: yes\n", "From: f@x\r\n\r\nsome words\r\nmore: yes\r\n", "", false, false, false},
    {"a blank before the colon", "From : f@x\n\n", "From : f@x\r\n\r\n", "", false, false, false},
    {"a quote without end", "From: f@x\nTo:\"e\n\nb\n", "From: f@x\r\nTo:\"e@d.example\r\n\r\nb\r\n", "\"e", true, false, false},
    {"gateway", "From: root\n\nb\n", "From: root\r\n\r\nb\r\n", "", false, false, true},
    {"gateway without From", "Subject: s\n\nb\n", "Subject: s\r\n\r\nb\r\n", "", false, false, true},
};

static void content_drop(struct content *c)
{
    free(c->text.ptr);
    free(c->recipients.octets.ptr);
    free(c->recipients.ends);
}

static void test_content_make_keeps_what_can_be_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        const struct content_case *k = &contents[i];
        struct job j = {.from_header = k->from_header, .dot_is_text = k->dot_is_text, .gateway = k->gateway, .name = "N"};
        struct content out = {0};
        uint8_t memory[1024];
        struct buf rcpts = BUF_OVER(memory);
        content_make(&j, bytes_of_cstr(k->input), BYTES("me@d.example"), BYTES("d.example"), &out);
        for (uint32_t n = 0; n < out.recipients.count; n++) {
            if (n > 0) buf_put_c(&rcpts, '|');
            buf_put(&rcpts, list_item(&out.recipients, n));
        }
        print_message("%s: %.*s [%.*s]\n", k->what, (int)out.text.len, (const char *)out.text.ptr, (int)rcpts.len, (const char *)rcpts.ptr);
        assert_true(bytes_equal(grown_bytes(&out.text), bytes_of_cstr(k->want)));
        assert_true(bytes_equal(buf_bytes(&rcpts), bytes_of_cstr(k->rcpts)));
        content_drop(&out);
    }
}

static void test_content_make_breaks_long_lines(void **state)
{
    (void)state;
    static char input[5000];
    struct job j = {.name = ""};
    struct content out = {0};
    memset(input, 'x', sizeof input - 1);
    content_make(&j, bytes_of_cstr(input), BYTES("me@d"), BYTES("d"), &out);
    struct bytes rest = grown_bytes(&out.text);
    uint32_t octets = 0;
    while (rest.len > 0) {
        uint32_t line = bytes_find(rest, '\r');
        assert_true(line <= CONTENT_LINE_BYTES_MAX);
        for (uint32_t i = 0; i < line; i++) octets += rest.ptr[i] == 'x';
        rest = bytes_from(rest, line + 2);
    }
    assert_int_equal(octets, sizeof input - 1);
    content_drop(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_next_reads_what_people_write),
        cmocka_unit_test(test_content_make_keeps_what_can_be_kept),
        cmocka_unit_test(test_content_make_breaks_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
