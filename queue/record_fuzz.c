/*
 * record_fuzz - octets from disk: bodies of records, heads, and the search for records. What is taken must encode to the same octets again. The input is
 * looked at as it is, and as the values of records that are made from it and then scribbled over, since few octets are a record by chance.
 */
#include <stdlib.h>
#include <string.h>

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

/* ---- records made from the input ---- */

static struct bytes take_text(struct cursor *c, uint32_t max)
{
    uint32_t n = (uint32_t)cursor_le(c, 1) * 5 % (max + 1);
    return cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
}

static struct record_rcpt take_state(struct cursor *c)
{
    uint8_t what = (uint8_t)cursor_le(c, 1);
    return (struct record_rcpt){what % RCPT_STATE_COUNT, what & 0x80 ? NOTIFY_DELAY : 0, what, (int64_t)cursor_le(c, 8)};
}

static void make_message(struct cursor *c, struct buf *out)
{
    static uint8_t list_memory[8192], state_memory[16 * RECORD_RCPT_BYTES];
    struct buf list = BUF_OVER(list_memory), states = BUF_OVER(state_memory);
    uint8_t flags = (uint8_t)cursor_le(c, 1);
    struct record_message m = {.id = {1 + cursor_le(c, 1)}, .ret = flags & 1, .held = flags & 2, .rcpt_count = 1 + flags % 8, .body_id = 3};
    m.body_kind = flags & 4 ? BODY_FILE : BODY_INLINE;
    m.expire_wall_s = (int64_t)cursor_le(c, 8);
    m.client = (struct net_address){flags & 16 ? NET_IPV6 : NET_IPV4, {1, 2, 3, 4}, 25};
    m.client_name = take_text(c, RECORD_TEXT_BYTES_MAX);
    m.helo = take_text(c, RECORD_TEXT_BYTES_MAX);
    m.sender = take_text(c, MAIL_ADDRESS_BYTES_MAX);
    m.envid = take_text(c, MAIL_ENVID_BYTES_MAX);
    m.message_id = take_text(c, MESSAGE_ID_BYTES_MAX);
    m.hold_reason = take_text(c, RECORD_TEXT_BYTES_MAX);
    m.prefix = take_text(c, PREFIX_BYTES_MAX);
    for (uint32_t i = 0; i < m.rcpt_count; i++) {
        struct rcpt r = {.notify = NOTIFY_FAILURE, .address = take_text(c, MAIL_ADDRESS_BYTES_MAX), .orcpt = take_text(c, MAIL_ORCPT_BYTES_MAX)};
        struct record_rcpt state = take_state(c);
        list.overflow = false;
        rcpt_put(&list, &r);
        if (list.overflow) rcpt_put(&list, &(struct rcpt){.address = BYTES("a@b")}); /* that was no address */
        if (flags & 8) record_rcpt_put(&states, &state);
    }
    m.rcpts = buf_bytes(&list);
    m.rcpt_states = buf_bytes(&states);
    if (m.body_kind == BODY_INLINE) {
        m.body = take_text(c, 1024);
        m.body_bytes = m.body.len;
        m.body_id = 0;
    }
    must(record_message_encode(out, &m) == ERR_NONE);
    must(record_message_body_offset(&m) + m.body.len == out->len);
}

static void make_outcome(struct cursor *c, struct buf *out)
{
    static uint8_t run_memory[4096], bounce_memory[32 * 1024];
    struct buf runs = BUF_OVER(run_memory), bounce = BUF_OVER(bounce_memory);
    struct record_outcome o = {.id = {1 + cursor_le(c, 1)}, .run_count = 1 + (uint32_t)cursor_le(c, 1) % 4};
    for (uint32_t i = 0; i < o.run_count; i++) {
        struct record_outcome_rcpt run = {.first = i * 10, .count = 1 + i, .state = take_state(c), .code = 550, .enhanced = {5, 1, 1}};
        run.text = take_text(c, RECORD_OUTCOME_TEXT_BYTES_MAX);
        record_run_put(&runs, &run);
        must(!runs.overflow);
    }
    o.runs = buf_bytes(&runs);
    if (cursor_le(c, 1) & 1) make_message(c, &bounce);
    o.bounce = buf_bytes(&bounce);
    must(record_outcome_encode(out, &o) == ERR_NONE);
    must(bytes_equal(bytes_from(buf_bytes(out), record_outcome_bounce_offset(&o)), o.bounce));
}

/* made - a record from the input's values is taken; what is left of the input is then written over it, three octets a place. */
static void made(struct bytes in, void (*make)(struct cursor *c, struct buf *out), void (*decode)(struct bytes in, struct buf *out), bool *taken)
{
    static uint8_t memory[64 * 1024], again_memory[64 * 1024];
    struct buf out = BUF_OVER(memory), again = BUF_OVER(again_memory);
    struct cursor c = cursor_over(in);
    make(&c, &out);
    decode(buf_bytes(&out), &again);
    *taken = again.len == out.len;
    while (!c.failed && cursor_left(&c) >= 3) {
        uint32_t at = (uint32_t)cursor_le(&c, 2) % out.len;
        memory[at] = (uint8_t)cursor_le(&c, 1);
    }
    again.len = 0;
    decode(buf_bytes(&out), &again);
    again.len = 0;
    decode(bytes_slice(buf_bytes(&out), 0, out.len - 1), &again);
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
    bool taken;
    made(in, make_message, decode_message, &taken);
    must(taken);
    made(in, make_outcome, decode_outcome, &taken);
    must(taken);
    return 0;
}
