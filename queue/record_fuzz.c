/*
 * record_fuzz - octets from disk: bodies of records, heads, and the search for records. What is taken must encode to the same octets again.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/log_format.h"
#include "queue/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_message(struct bytes in, struct buf *out)
{
    struct record_message m;
    if (record_message_decode(in, &m) != ERR_NONE) return;
    for (uint32_t i = 0; i < m.rcpt_count; i++) (void)record_rcpt_get(m.rcpt_states, i);
    must(record_message_encode(out, &m) == ERR_NONE && bytes_equal(buf_bytes(out), in));
}

static void decode_outcome(struct bytes in, struct buf *out)
{
    struct record_outcome o;
    struct record_outcome_rcpt run;
    if (record_outcome_decode(in, &o) != ERR_NONE) return;
    struct cursor c = cursor_over(o.runs);
    uint32_t count = 0;
    while (record_run_next(&c, &run)) count++;
    must(!c.failed && count == o.run_count);
    must(record_outcome_encode(out, &o) == ERR_NONE && bytes_equal(buf_bytes(out), in));
}

static void decode_small(struct bytes in, struct buf *out)
{
    struct message_id id;
    struct bytes reason;
    uint64_t value;
    if (record_u64_decode(in, &value) == ERR_NONE) must(record_peek_id(in).v == value);
    if (record_hold_decode(in, &id, &reason) == ERR_NONE) must(record_hold_encode(out, id, reason) == ERR_NONE && bytes_equal(buf_bytes(out), in));
}

/* search - the octets as a segment; one head in it is made whole, so that the search gets past its checksum. */
static void search(struct bytes in, struct buf *out)
{
    struct record_head h = {.type = RECORD_ACCEPT, .log_id = 7, .generation = 3, .group = 1, .sequence = 1};
    struct segment_head segment;
    struct bytes body;
    bool whole;
    (void)!segment_head_get(in, &segment);
    buf_put(out, in);
    if (in.len >= QLOG_HEADER_BYTES + 4) {
        uint32_t at = (in.ptr[0] | (uint32_t)in.ptr[1] << 8) % (in.len - QLOG_HEADER_BYTES) & ~(uint32_t)(RECORD_ALIGN_BYTES - 1);
        h.offset = QLOG_BLOCK_BYTES + at;
        h.body_bytes = in.ptr[2] | (uint32_t)in.ptr[3] << 8;
        record_head_put(out->ptr + at, &h);
    }
    struct record_scan scan = {.in = buf_bytes(out), .base = QLOG_BLOCK_BYTES, .log_id = 7, .generation = 3};
    uint32_t before = scan.at;
    while (record_scan_next(&scan, &h, &body, &whole)) {
        must(scan.at > before && scan.at <= out->len && body.len <= h.body_bytes);
        before = scan.at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1024 * 1024) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    uint8_t *memory = malloc(size + 1);
    if (!memory) return 0;
    struct buf out = buf_over(memory, (uint32_t)size);
    void (*const each[])(struct bytes, struct buf *) = {decode_message, decode_outcome, decode_small, search};
    for (uint32_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
        out.len = 0;
        each[i](in, &out);
    }
    free(memory);
    return 0;
}
