/*
 * Fuzzer of content, both ways: any split and any room give the same; the end is CR LF . CR LF and nothing else; no bare CR
 * or LF is ever given out; what is stuffed reads back as it was.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 8192, OUTPUT_BYTES_MAX = 2 * INPUT_BYTES_MAX + 16 };

static enum smtp_feed read_body(struct smtp_body_reader *r, struct bytes in, uint32_t step, uint32_t room, struct buf *out, uint32_t *used)
{
    enum smtp_feed got = SMTP_MORE;
    *used = 0;
    while (*used < in.len && got == SMTP_MORE) {
        struct buf piece = buf_over(out->ptr + out->len, room < buf_room(out) ? room : buf_room(out));
        uint32_t eaten = 0;
        got = smtp_body_feed(r, bytes_slice(in, *used, step), &eaten, &piece);
        must(got != SMTP_MORE || eaten > 0 || piece.len > 0);
        must(!piece.overflow);
        *used += eaten;
        out->len += piece.len;
    }
    return got;
}

/* check_lines - in content that was given out, CR and LF come in pairs only; a last CR alone is never given out. */
static void check_lines(struct bytes content)
{
    for (uint32_t i = 0; i < content.len; i++) {
        bool cr_before = i > 0 && content.ptr[i - 1] == '\r';
        must(cr_before == (content.ptr[i] == '\n'));
    }
    must(content.len == 0 || content.ptr[content.len - 1] != '\r');
}

static void check_in(struct bytes in, enum smtp_bare_newline bare, uint32_t step, uint32_t room, uint32_t line_max, uint64_t bytes_max)
{
    static uint8_t whole_memory[OUTPUT_BYTES_MAX], pieces_memory[OUTPUT_BYTES_MAX];
    struct buf whole = BUF_OVER(whole_memory), pieces = BUF_OVER(pieces_memory);
    struct smtp_body_reader a, b;
    uint32_t used_a = 0, used_b = 0;
    smtp_body_init(&a, bare, line_max, bytes_max);
    smtp_body_init(&b, bare, line_max, bytes_max);
    enum smtp_feed got = read_body(&a, in, in.len, OUTPUT_BYTES_MAX, &whole, &used_a);
    must(read_body(&b, in, step, room, &pieces, &used_b) == got && used_a == used_b);
    must(a.fault == b.fault && a.bytes <= bytes_max);
    check_lines(buf_bytes(&whole));
    if (a.fault == SMTP_BODY_OK) must(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)) && a.bytes == whole.len && a.has_8bit == b.has_8bit);
    must(got != SMTP_GARBLED || (bare == SMTP_BARE_REFUSE && a.fault == SMTP_BODY_BARE_NEWLINE));
    if (got != SMTP_DONE) return;
    must(used_a == 3 ? memcmp(in.ptr, ".\r\n", 3) == 0 : used_a >= 5 && memcmp(in.ptr + used_a - 5, "\r\n.\r\n", 5) == 0);
}

static void stuff_body(struct bytes in, uint32_t step, uint32_t room, struct buf *out)
{
    struct smtp_stuffer s;
    smtp_stuff_init(&s);
    for (uint32_t pos = 0; pos < in.len;) {
        struct buf piece = buf_over(out->ptr + out->len, room < buf_room(out) ? room : buf_room(out));
        uint32_t used = 0;
        smtp_stuff(&s, bytes_slice(in, pos, step), &used, &piece);
        must(used > 0 || piece.len > 0);
        must(!piece.overflow);
        pos += used;
        out->len += piece.len;
    }
    smtp_stuff_end(&s, out);
    must(!out->overflow);
}

static void check_out(struct bytes in, uint32_t step, uint32_t room)
{
    static uint8_t whole_memory[OUTPUT_BYTES_MAX], pieces_memory[OUTPUT_BYTES_MAX], back_memory[OUTPUT_BYTES_MAX];
    struct buf whole = BUF_OVER(whole_memory), pieces = BUF_OVER(pieces_memory), back = BUF_OVER(back_memory);
    struct smtp_body_reader r;
    uint32_t used = 0;
    stuff_body(in, in.len, OUTPUT_BYTES_MAX, &whole);
    stuff_body(in, step, room, &pieces);
    must(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    check_lines(buf_bytes(&whole));
    smtp_body_init(&r, SMTP_BARE_REFUSE, UINT32_MAX, UINT64_MAX);
    must(smtp_body_feed(&r, buf_bytes(&whole), &used, &back) == SMTP_DONE && used == whole.len);
    must(back.len >= in.len);
}

static void check_chunks(struct bytes in, uint32_t step, uint32_t line_max)
{
    static uint8_t whole_memory[OUTPUT_BYTES_MAX], pieces_memory[OUTPUT_BYTES_MAX];
    struct buf whole = BUF_OVER(whole_memory), pieces = BUF_OVER(pieces_memory);
    struct smtp_chunk_reader a, b;
    uint32_t used = 0;
    smtp_chunk_init(&a, INPUT_BYTES_MAX);
    smtp_chunk_init(&b, INPUT_BYTES_MAX);
    a.line_bytes_max = b.line_bytes_max = line_max;
    smtp_chunk_begin(&a, in.len);
    must(smtp_chunk_feed(&a, in, &used, &whole) == SMTP_DONE && used == in.len);
    for (uint32_t pos = 0; pos < in.len; pos += used) {
        struct bytes piece = bytes_slice(in, pos, step);
        smtp_chunk_begin(&b, piece.len);
        must(smtp_chunk_feed(&b, piece, &used, &pieces) == SMTP_DONE && used == piece.len);
    }
    must(a.fault == b.fault);
    if (a.fault != SMTP_BODY_OK) return;
    must(bytes_equal(buf_bytes(&whole), in) && bytes_equal(buf_bytes(&pieces), in));
    if (in.len > 0 && !a.previous_cr) check_lines(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > INPUT_BYTES_MAX) return 0;
    uint32_t step = 1u + data[0], room = SMTP_BODY_ROOM_BYTES_MIN + data[1];
    uint32_t line_max = data[2] & 1 ? UINT32_MAX : data[2];
    uint64_t bytes_max = data[3] & 1 ? UINT64_MAX : 4u * data[3];
    struct bytes in = bytes_of(data + 4, (uint32_t)size - 4);
    check_in(in, SMTP_BARE_REFUSE, step, room, line_max, bytes_max);
    check_in(in, SMTP_BARE_NORMALISE, step, room, line_max, bytes_max);
    check_out(in, step, room);
    check_chunks(in, step, line_max);
    return 0;
}
