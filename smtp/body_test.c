#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/body.h"

enum { STRING_BYTES = 8, ALPHABET = 5, STRINGS = 390625 /* ALPHABET to the STRING_BYTES */ };
static const uint8_t alphabet[ALPHABET] = {'\r', '\n', '.', 'a', 0};

static void make_string(uint32_t number, uint8_t text[STRING_BYTES])
{
    for (uint32_t i = 0; i < STRING_BYTES; i++) {
        text[i] = alphabet[number % ALPHABET];
        number /= ALPHABET;
    }
}

/* newline_at - octets of the newline at pos: 2 for CR LF, 1 for a bare one, 0 for a CR with which the text ends. */
static uint32_t newline_at(struct bytes in, uint32_t pos)
{
    if (in.ptr[pos] == '\n') return 1;
    if (pos + 1 == in.len) return 0;
    return in.ptr[pos + 1] == '\n' ? 2 : 1;
}

static uint32_t line_length(struct bytes in, uint32_t pos)
{
    uint32_t n = 0;
    while (pos + n < in.len && in.ptr[pos + n] != '\r' && in.ptr[pos + n] != '\n') n++;
    return n;
}

/* reference_in - what smtp_body_feed() must do, line by line and without a thought for speed. */
static enum smtp_feed reference_in(struct bytes in, enum smtp_bare_newline bare, struct buf *out, uint32_t *used)
{
    bool after_crlf = true;
    *used = 0;
    for (;;) {
        struct bytes line = bytes_slice(in, *used, line_length(in, *used));
        bool open = *used + line.len == in.len;
        uint32_t newline = open ? 0 : newline_at(in, *used + line.len);
        bool lone_dot = bytes_equal(line, BYTES("."));
        if (newline == 2 && lone_dot && after_crlf) {
            *used += 3;
            return SMTP_DONE;
        }
        if (newline == 1 && bare == SMTP_BARE_REFUSE) return SMTP_GARBLED;
        if (line.len > 1 && line.ptr[0] == '.') buf_put(out, bytes_from(line, 1));
        else if (!lone_dot || newline > 0 || (!after_crlf && !open)) buf_put(out, line);
        *used += line.len + newline;
        if (newline == 0) break;
        BUF_LIT(out, "\r\n");
        after_crlf = newline == 2;
    }
    *used = in.len;
    return SMTP_MORE;
}

/* reference_out - what the stuffer must write, with the end. plain: without dots doubled and without the end. */
static void reference_out(struct bytes in, bool plain, struct buf *out)
{
    for (uint32_t pos = 0; pos < in.len;) {
        struct bytes line = bytes_slice(in, pos, line_length(in, pos));
        if (!plain && line.len > 0 && line.ptr[0] == '.') buf_put_c(out, '.');
        buf_put(out, line);
        BUF_LIT(out, "\r\n");
        pos += line.len;
        if (pos < in.len) pos += newline_at(in, pos) == 2 ? 2 : 1;
    }
    if (!plain) BUF_LIT(out, ".\r\n");
}

/* feed_all - feed `in` in pieces of `step`, into pieces of room of `room` octets, until nothing moves any more. */
static enum smtp_feed feed_all(struct smtp_body_reader *r, struct bytes in, uint32_t step, uint32_t room, struct buf *out, uint32_t *used)
{
    enum smtp_feed got = SMTP_MORE;
    *used = 0;
    while (got == SMTP_MORE && *used < in.len) {
        struct buf piece = buf_over(out->ptr + out->len, room < buf_room(out) ? room : buf_room(out));
        uint32_t eaten = 0;
        got = smtp_body_feed(r, bytes_slice(in, *used, step), &eaten, &piece);
        assert_false(piece.overflow);
        if (got == SMTP_MORE) assert_true(eaten > 0 || piece.len > 0);
        *used += eaten;
        out->len += piece.len;
    }
    return got;
}

static void check_in(struct bytes in, enum smtp_bare_newline bare, uint32_t step, uint32_t room)
{
    uint8_t want_memory[64], got_memory[64];
    struct buf want = BUF_OVER(want_memory), got = BUF_OVER(got_memory);
    uint32_t want_used = 0, got_used = 0;
    enum smtp_feed want_feed = reference_in(in, bare, &want, &want_used);
    struct smtp_body_reader r;
    smtp_body_init(&r, bare, 1000, 1000);
    enum smtp_feed got_feed = feed_all(&r, in, step, room, &got, &got_used);
    if (got_feed != want_feed) fail_msg("got %d, want %d", (int)got_feed, (int)want_feed);
    assert_int_equal(r.fault, want_feed == SMTP_GARBLED ? SMTP_BODY_BARE_NEWLINE : SMTP_BODY_OK);
    if (want_feed == SMTP_GARBLED) return;
    assert_int_equal(got_used, want_used);
    assert_int_equal(r.bytes, got.len);
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
}

static void test_body_feed_every_string_of_8_agrees_with_the_reference(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < STRINGS; number++) {
        uint8_t text[STRING_BYTES];
        make_string(number, text);
        struct bytes in = bytes_of(text, STRING_BYTES);
        check_in(in, SMTP_BARE_REFUSE, STRING_BYTES, 64);
        check_in(in, SMTP_BARE_REFUSE, 1, 2);
        check_in(in, SMTP_BARE_NORMALISE, STRING_BYTES, 64);
        check_in(in, SMTP_BARE_NORMALISE, 3, 2);
    }
}

static void stuff_all(struct bytes in, uint32_t step, uint32_t room, struct buf *out)
{
    struct smtp_stuffer s;
    smtp_stuff_init(&s);
    for (uint32_t pos = 0; pos < in.len;) {
        struct buf piece = buf_over(out->ptr + out->len, room);
        uint32_t used = 0;
        smtp_stuff(&s, bytes_slice(in, pos, step), &used, &piece);
        assert_false(piece.overflow);
        assert_true(used > 0 || piece.len > 0);
        pos += used;
        out->len += piece.len;
    }
    smtp_stuff_end(&s, out);
}

static void test_stuff_every_string_of_8_agrees_with_the_reference(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < STRINGS; number++) {
        uint8_t text[STRING_BYTES], want_memory[64], whole_memory[64], single_memory[64];
        struct buf want = BUF_OVER(want_memory), whole = BUF_OVER(whole_memory), single = BUF_OVER(single_memory);
        make_string(number, text);
        struct bytes in = bytes_of(text, STRING_BYTES);
        reference_out(in, false, &want);
        stuff_all(in, STRING_BYTES, 40, &whole);
        stuff_all(in, 1, 2, &single);
        assert_true(bytes_equal(buf_bytes(&whole), buf_bytes(&want)));
        assert_true(bytes_equal(buf_bytes(&single), buf_bytes(&want)));
    }
}

static void test_stuff_read_back_gives_the_content(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < STRINGS; number++) {
        uint8_t text[STRING_BYTES], wire_memory[64], want_memory[64], got_memory[64];
        struct buf wire = BUF_OVER(wire_memory), want = BUF_OVER(want_memory), got = BUF_OVER(got_memory);
        make_string(number, text);
        reference_out(bytes_of(text, STRING_BYTES), true, &want);
        stuff_all(bytes_of(text, STRING_BYTES), STRING_BYTES, 40, &wire);
        struct smtp_body_reader r;
        smtp_body_init(&r, SMTP_BARE_REFUSE, 1000, 1000);
        uint32_t used = 0;
        assert_int_equal(smtp_body_feed(&r, buf_bytes(&wire), &used, &got), SMTP_DONE);
        assert_int_equal(used, wire.len);
        assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
    }
}

static bool has_bare_newline(struct bytes in)
{
    for (uint32_t i = 0; i < in.len; i++) {
        bool cr_before = i > 0 && in.ptr[i - 1] == '\r';
        if (cr_before != (in.ptr[i] == '\n')) return true;
    }
    return false;
}

static void test_chunk_feed_every_string_of_8_is_taken_as_it_is(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < STRINGS; number++) {
        uint8_t text[STRING_BYTES], memory[64];
        make_string(number, text);
        struct bytes in = bytes_of(text, STRING_BYTES);
        for (uint32_t step = 1; step <= STRING_BYTES; step += STRING_BYTES - 1) {
            struct buf out = BUF_OVER(memory);
            struct smtp_chunk_reader r;
            smtp_chunk_init(&r, 100);
            smtp_chunk_begin(&r, STRING_BYTES);
            uint32_t used = 0;
            for (uint32_t pos = 0; pos < in.len; pos += used) {
                enum smtp_feed want = pos + step < in.len ? SMTP_MORE : SMTP_DONE;
                assert_int_equal(smtp_chunk_feed(&r, bytes_slice(in, pos, step), &used, &out), want);
                assert_int_equal(used, step);
            }
            assert_int_equal(r.fault, has_bare_newline(in) ? SMTP_BODY_BARE_NEWLINE : SMTP_BODY_OK);
            if (r.fault == SMTP_BODY_OK) assert_true(bytes_equal(buf_bytes(&out), in));
            if (r.fault == SMTP_BODY_OK) assert_int_equal(r.previous_cr, in.ptr[in.len - 1] == '\r');
        }
    }
}

static void test_body_feed_smuggled_ends_are_no_ends(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES_INIT("a\n.\nx"), BYTES_INIT("a\n.\r\nx"), BYTES_INIT("a\r.\rx"), BYTES_INIT("a\r\n.\nx"), BYTES_INIT("a\r.\r\nx"),
        BYTES_INIT("a\r\n.\rx"), BYTES_INIT("a\r\n\0.\r\nx"), BYTES_INIT("a\r\n.\0\r\nx"), BYTES_INIT("a\n\r.\r\nx"), BYTES_INIT("a\r\r\n.\r.\r\nx"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (enum smtp_bare_newline bare = SMTP_BARE_REFUSE; bare <= SMTP_BARE_NORMALISE; bare++) {
            uint8_t memory[64];
            struct buf out = BUF_OVER(memory);
            struct smtp_body_reader r;
            uint32_t used = 0;
            smtp_body_init(&r, bare, 1000, 1000);
            if (smtp_body_feed(&r, cases[i], &used, &out) == SMTP_DONE) fail_msg("case %zu", i);
        }
    }
}

static void test_body_feed_garbled_is_final(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = BUF_OVER(memory);
    struct smtp_body_reader r;
    uint32_t used = 0;
    smtp_body_init(&r, SMTP_BARE_REFUSE, 1000, 1000);
    assert_int_equal(smtp_body_feed(&r, BYTES("a\nb"), &used, &out), SMTP_GARBLED);
    assert_int_equal(smtp_body_feed(&r, BYTES("\r\n.\r\n"), &used, &out), SMTP_GARBLED);
    assert_int_equal(used, 0);
}

static void test_body_feed_next_command_stays(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = BUF_OVER(memory);
    struct smtp_body_reader r;
    uint32_t used = 0;
    smtp_body_init(&r, SMTP_BARE_REFUSE, 1000, 1000);
    assert_int_equal(smtp_body_feed(&r, BYTES("..a\r\n.\r\nMAIL FROM:<a@b>\r\n"), &used, &out), SMTP_DONE);
    assert_int_equal(used, 8);
    assert_true(bytes_equal(buf_bytes(&out), BYTES(".a\r\n")));
}

/* fault_of - what becomes of `lines` lines of `octets` octets and the end, fed in pieces of `step`. */
static uint8_t fault_of(uint32_t octets, uint32_t lines, uint32_t step, uint32_t line_max, uint64_t bytes_max)
{
    static uint8_t in_memory[8192], out_memory[8192];
    struct buf in = BUF_OVER(in_memory), out = BUF_OVER(out_memory);
    for (uint32_t i = 0; i < lines; i++) {
        for (uint32_t k = 0; k < octets; k++) buf_put_c(&in, 'x');
        BUF_LIT(&in, "\r\n");
    }
    BUF_LIT(&in, ".\r\n");
    struct smtp_body_reader r;
    uint32_t used = 0;
    smtp_body_init(&r, SMTP_BARE_REFUSE, line_max, bytes_max);
    assert_int_equal(feed_all(&r, buf_bytes(&in), step, 4096, &out, &used), SMTP_DONE);
    assert_int_equal(used, in.len);
    assert_true(r.bytes <= bytes_max);
    return r.fault;
}

static void test_body_feed_limits_are_exact_for_any_split(void **state)
{
    (void)state;
    static const uint32_t steps[] = {1, 7, 100, 8192};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        assert_int_equal(fault_of(998, 4, steps[i], 998, 4000), SMTP_BODY_OK);
        assert_int_equal(fault_of(998, 4, steps[i], 997, 4000), SMTP_BODY_LINE_TOO_LONG);
        assert_int_equal(fault_of(998, 4, steps[i], 998, 3999), SMTP_BODY_TOO_BIG);
        assert_int_equal(fault_of(998, 4, steps[i], 500, 400), SMTP_BODY_TOO_BIG);
        assert_int_equal(fault_of(998, 4, steps[i], 400, 500), SMTP_BODY_LINE_TOO_LONG);
        assert_int_equal(fault_of(0, 4, steps[i], 0, 8), SMTP_BODY_OK);
    }
}

static void test_body_feed_stuffing_dot_is_not_counted(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = BUF_OVER(memory);
    struct smtp_body_reader r;
    uint32_t used = 0;
    smtp_body_init(&r, SMTP_BARE_REFUSE, 3, 5);
    assert_int_equal(smtp_body_feed(&r, BYTES("..\xc3\xa9\r\n.\r\n"), &used, &out), SMTP_DONE);
    assert_int_equal(r.fault, SMTP_BODY_OK);
    assert_true(r.has_8bit);
}

static void test_body_feed_faulty_content_is_eaten_without_room(void **state)
{
    (void)state;
    uint8_t memory[4];
    struct buf out = buf_over(memory, 4);
    struct smtp_body_reader r;
    uint32_t used = 0;
    smtp_body_init(&r, SMTP_BARE_REFUSE, 100, 1);
    assert_int_equal(smtp_body_feed(&r, BYTES("abc\r\ndef\r\n.\r\n"), &used, &out), SMTP_DONE);
    assert_int_equal(r.fault, SMTP_BODY_TOO_BIG);
    assert_int_equal(used, 13);
}

static void test_chunk_begin_sum_of_chunks_is_bounded(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = BUF_OVER(memory);
    struct smtp_chunk_reader r;
    uint32_t used = 0;
    smtp_chunk_init(&r, 10);
    smtp_chunk_begin(&r, 6);
    assert_int_equal(smtp_chunk_feed(&r, BYTES("abcd\r\nBDAT"), &used, &out), SMTP_DONE);
    assert_int_equal(used, 6);
    assert_int_equal(r.fault, SMTP_BODY_OK);
    smtp_chunk_begin(&r, 5);
    assert_int_equal(r.fault, SMTP_BODY_TOO_BIG);
    assert_int_equal(smtp_chunk_feed(&r, BYTES("abc"), &used, &out), SMTP_MORE);
    assert_int_equal(smtp_chunk_feed(&r, BYTES("abc"), &used, &out), SMTP_DONE);
    assert_int_equal(used, 2);
    assert_int_equal(out.len, 6);
    smtp_chunk_begin(&r, UINT64_MAX);
    assert_int_equal(r.fault, SMTP_BODY_TOO_BIG);
}

static void test_chunk_feed_cr_lf_over_two_chunks_is_one_newline(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = BUF_OVER(memory);
    struct smtp_chunk_reader r;
    uint32_t used = 0;
    smtp_chunk_init(&r, 100);
    smtp_chunk_begin(&r, 2);
    assert_int_equal(smtp_chunk_feed(&r, BYTES("a\r"), &used, &out), SMTP_DONE);
    smtp_chunk_begin(&r, 0);
    assert_int_equal(smtp_chunk_feed(&r, BYTES("x"), &used, &out), SMTP_DONE);
    assert_int_equal(used, 0);
    smtp_chunk_begin(&r, 1);
    assert_int_equal(smtp_chunk_feed(&r, BYTES("\n"), &used, &out), SMTP_DONE);
    assert_int_equal(r.fault, SMTP_BODY_OK);
    assert_true(bytes_equal(buf_bytes(&out), BYTES("a\r\n")));
}

static void test_chunk_feed_line_limit_holds_when_set(void **state)
{
    (void)state;
    for (uint32_t limit = 3; limit <= 5; limit++) {
        uint8_t memory[64];
        struct buf out = BUF_OVER(memory);
        struct smtp_chunk_reader r;
        uint32_t used = 0;
        smtp_chunk_init(&r, 100);
        r.line_bytes_max = limit;
        smtp_chunk_begin(&r, 12);
        assert_int_equal(smtp_chunk_feed(&r, BYTES("abc"), &used, &out), SMTP_MORE);
        assert_int_equal(smtp_chunk_feed(&r, BYTES("d\r\nabcd\r\n"), &used, &out), SMTP_DONE);
        assert_int_equal(r.fault, limit < 4 ? SMTP_BODY_LINE_TOO_LONG : SMTP_BODY_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_feed_every_string_of_8_agrees_with_the_reference),
        cmocka_unit_test(test_stuff_every_string_of_8_agrees_with_the_reference),
        cmocka_unit_test(test_stuff_read_back_gives_the_content),
        cmocka_unit_test(test_chunk_feed_every_string_of_8_is_taken_as_it_is),
        cmocka_unit_test(test_body_feed_smuggled_ends_are_no_ends),
        cmocka_unit_test(test_body_feed_garbled_is_final),
        cmocka_unit_test(test_body_feed_next_command_stays),
        cmocka_unit_test(test_body_feed_limits_are_exact_for_any_split),
        cmocka_unit_test(test_body_feed_stuffing_dot_is_not_counted),
        cmocka_unit_test(test_body_feed_faulty_content_is_eaten_without_room),
        cmocka_unit_test(test_chunk_begin_sum_of_chunks_is_bounded),
        cmocka_unit_test(test_chunk_feed_cr_lf_over_two_chunks_is_one_newline),
        cmocka_unit_test(test_chunk_feed_line_limit_holds_when_set),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
