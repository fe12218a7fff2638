/*
 * Fuzzer of replies: any split of the octets gives the same reply, ends are final, and what we write of foreign words we
 * read back as one reply.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct smtp_reply *a, const struct smtp_reply *b)
{
    must(a->code == b->code && a->lines == b->lines && a->bytes == b->bytes);
    must(a->bare_lf == b->bare_lf && a->text_cut == b->text_cut);
    must(bytes_equal(smtp_reply_text(a), smtp_reply_text(b)));
}

static void check_reply(const struct smtp_reply *r, enum smtp_feed got)
{
    struct enhanced e = smtp_reply_enhanced(r);
    must(r->code == 0 || (r->code >= 200 && r->code <= 599));
    must(got != SMTP_DONE || (r->code != 0 && r->lines >= 1 && r->bytes <= SMTP_REPLY_BYTES_MAX));
    must(e.class == 0 || e.class == r->code / 100);
    must(e.subject <= 999 && e.detail <= 999);
}

static enum smtp_feed feed_in_pieces(struct smtp_reply *r, struct bytes in, uint32_t step, uint32_t *used)
{
    enum smtp_feed got = SMTP_MORE;
    smtp_reply_init(r);
    *used = 0;
    while (*used < in.len && got == SMTP_MORE) {
        uint32_t eaten = 0;
        got = smtp_reply_feed(r, bytes_slice(in, *used, step), &eaten);
        must(eaten > 0);
        *used += eaten;
    }
    return got;
}

static void check_written(struct bytes text)
{
    static uint8_t memory[65536];
    struct buf out = BUF_OVER(memory);
    struct smtp_reply r;
    uint32_t used = 0;
    smtp_reply_write(&out, 550, (struct enhanced){5, 7, 1}, text);
    must(!out.overflow || out.len == 0);
    if (out.overflow) return;
    smtp_reply_init(&r);
    enum smtp_feed got = smtp_reply_feed(&r, buf_bytes(&out), &used);
    must(r.bare_lf == false);
    must(got == SMTP_DONE && used == out.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384) return 0;
    struct bytes in = bytes_of(data + 1, (uint32_t)size - 1);
    struct smtp_reply whole, pieces;
    uint32_t used = 0, used_pieces = 0, used_after = 1;
    enum smtp_feed got = feed_in_pieces(&whole, in, in.len, &used);
    must(feed_in_pieces(&pieces, in, 1u + data[0], &used_pieces) == got && used == used_pieces);
    check_same(&whole, &pieces);
    check_reply(&whole, got);
    if (got != SMTP_MORE) must(smtp_reply_feed(&whole, BYTES("250 ok\r\n"), &used_after) == got && used_after == 0);
    check_written(in);
    return 0;
}
