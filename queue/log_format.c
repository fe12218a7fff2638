/*
 * log_format - packing, judging and searching heads. Pure.
 */
#include "queue/log_format.h"

#include <string.h>

#include "base/hash.h"
#include "base/must.h"

enum {
    SEGMENT_VERSION = 1,
    RECORD_VERSION = 1,
    RECORD_MAGIC = 0x52644b42, /* "BKdR" as it lies on disk */
    HEAD_CRC_OFFSET = QLOG_HEADER_BYTES - 4
};
static const uint8_t segment_magic[8] = {'B', 'K', 'H', 'D', 'L', 'O', 'G', '\n'};

void segment_head_put(uint8_t out[SEGMENT_HEAD_BYTES], const struct segment_head *h)
{
    struct buf b = buf_over(out, SEGMENT_HEAD_BYTES);
    buf_put(&b, bytes_of(segment_magic, sizeof(segment_magic)));
    buf_put_le(&b, SEGMENT_VERSION, 4);
    buf_put_le(&b, SEGMENT_HEAD_BYTES, 4);
    buf_put_le(&b, h->uuid[0], 8);
    buf_put_le(&b, h->uuid[1], 8);
    buf_put_le(&b, h->generation, 8);
    buf_put_le(&b, h->retired, 8);
    buf_put_le(&b, h->oldest, 8);
    buf_put_le(&b, h->segment_bytes, 8);
    buf_put_le(&b, h->first_group, 8);
    buf_put_le(&b, h->first_sequence, 8);
    while (b.len < SEGMENT_HEAD_BYTES - 4) buf_put_c(&b, 0);
    buf_put_le(&b, crc32c(0, buf_bytes(&b)), 4);
    must(b.len == SEGMENT_HEAD_BYTES && !b.overflow);
}

enum err segment_head_get(struct bytes in, struct segment_head *h)
{
    struct segment_head found;
    if (in.len < SEGMENT_HEAD_BYTES) return ERR_CORRUPT;
    struct cursor c = cursor_over(bytes_slice(in, 0, SEGMENT_HEAD_BYTES));
    if (!bytes_equal(cursor_take(&c, sizeof(segment_magic)), bytes_of(segment_magic, sizeof(segment_magic)))) return ERR_CORRUPT;
    uint64_t version = cursor_le(&c, 4);
    cursor_le(&c, 4);
    found.uuid[0] = cursor_le(&c, 8);
    found.uuid[1] = cursor_le(&c, 8);
    found.generation = cursor_le(&c, 8);
    found.retired = cursor_le(&c, 8);
    found.oldest = cursor_le(&c, 8);
    found.segment_bytes = cursor_le(&c, 8);
    found.first_group = cursor_le(&c, 8);
    found.first_sequence = cursor_le(&c, 8);
    c.pos = SEGMENT_HEAD_BYTES - 4;
    if (cursor_le(&c, 4) != crc32c(0, bytes_slice(in, 0, SEGMENT_HEAD_BYTES - 4))) return ERR_CORRUPT;
    if (version != SEGMENT_VERSION) return ERR_BAD_VERSION;
    if (found.uuid[0] == 0) return ERR_CORRUPT;
    *h = found;
    return ERR_NONE;
}

void record_head_put(uint8_t out[QLOG_HEADER_BYTES], const struct record_head *h)
{
    struct buf b = buf_over(out, QLOG_HEADER_BYTES);
    buf_put_le(&b, RECORD_MAGIC, 4);
    buf_put_le(&b, RECORD_VERSION, 1);
    buf_put_le(&b, h->type, 1);
    buf_put_le(&b, 0, 2);
    buf_put_le(&b, h->body_bytes, 4);
    buf_put_le(&b, h->offset, 4);
    buf_put_le(&b, h->log_id, 8);
    buf_put_le(&b, h->generation, 8);
    buf_put_le(&b, h->group, 8);
    buf_put_le(&b, h->sequence, 8);
    buf_put_le(&b, h->index, 4);
    buf_put_le(&b, h->body_crc, 4);
    buf_put_le(&b, 0, 4);
    buf_put_le(&b, crc32c(0, buf_bytes(&b)), 4);
    must(b.len == QLOG_HEADER_BYTES && !b.overflow);
}

static uint64_t load_le(const uint8_t *ptr, uint32_t n)
{
    struct cursor c = cursor_over(bytes_of(ptr, n));
    return cursor_le(&c, n);
}

/* starts_with_magic - the quick look that turns almost everything away. */
static inline bool starts_with_magic(const uint8_t *ptr)
{
    return ptr[0] == (RECORD_MAGIC & 0xFF) && ptr[1] == (RECORD_MAGIC >> 8 & 0xFF) && ptr[2] == (RECORD_MAGIC >> 16 & 0xFF) &&
           ptr[3] == RECORD_MAGIC >> 24;
}

bool record_head_get(const uint8_t in[QLOG_HEADER_BYTES], struct record_head *h)
{
    if (!starts_with_magic(in) || in[4] != RECORD_VERSION) return false;
    if (load_le(in + HEAD_CRC_OFFSET, 4) != crc32c(0, bytes_of(in, HEAD_CRC_OFFSET))) return false;
    struct cursor c = cursor_over(bytes_of(in, QLOG_HEADER_BYTES));
    struct record_head found;
    cursor_le(&c, 5);
    found.type = (uint8_t)cursor_le(&c, 1);
    cursor_le(&c, 2);
    found.body_bytes = (uint32_t)cursor_le(&c, 4);
    found.offset = (uint32_t)cursor_le(&c, 4);
    found.log_id = cursor_le(&c, 8);
    found.generation = cursor_le(&c, 8);
    found.group = cursor_le(&c, 8);
    found.sequence = cursor_le(&c, 8);
    found.index = (uint32_t)cursor_le(&c, 4);
    found.body_crc = (uint32_t)cursor_le(&c, 4);
    if (found.type == RECORD_NONE || found.type >= RECORD_TYPE_COUNT || found.body_bytes > QLOG_RECORD_BYTES_MAX) return false;
    if (found.generation == 0 || found.group == 0 || found.sequence == 0 || found.index >= found.sequence) return false;
    *h = found;
    return true;
}

/* belongs - whether a whole head at `offset` is one of this walk's segment. */
static bool belongs(const struct record_scan *s, const struct record_head *h, uint32_t offset)
{
    if (h->offset != offset || offset % RECORD_ALIGN_BYTES != 0) return false;
    return (s->log_id == 0 || h->log_id == s->log_id) && (s->generation == 0 || h->generation == s->generation);
}

bool record_scan_next(struct record_scan *s, struct record_head *h, struct bytes *body, bool *whole)
{
    for (; s->in.len >= QLOG_HEADER_BYTES && s->at <= s->in.len - QLOG_HEADER_BYTES; s->at += RECORD_ALIGN_BYTES) {
        const uint8_t *here = s->in.ptr + s->at;
        if (!starts_with_magic(here) || !record_head_get(here, h) || !belongs(s, h, s->base + s->at)) continue;
        *body = bytes_slice(s->in, s->at + QLOG_HEADER_BYTES, h->body_bytes);
        *whole = body->len == h->body_bytes && crc32c(0, *body) == h->body_crc;
        uint32_t span = record_span(h->body_bytes);
        s->at = span <= s->in.len - s->at ? s->at + span : s->in.len;
        return true;
    }
    return false;
}
