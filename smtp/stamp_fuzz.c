/*
 * Fuzzer of the Received field: whatever strangers call themselves, it stays one field of three or four lines, and the place of the queue id is right.
 */
#include <stddef.h>

#include "base/envelope.h"
#include "base/must.h"
#include "smtp/stamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* take_text - the next piece of the input: an octet of length, then so many octets or what there is. */
static struct bytes take_text(struct cursor *c)
{
    uint32_t n = (uint32_t)cursor_le(c, 1) * 2;
    return cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
}

/* check_field - lines end in CR LF, all but the first begin with a tab, and nothing else controls anything; returns how many there are. */
static uint32_t check_field(struct bytes text)
{
    uint32_t lines = 0;
    must(bytes_starts(text, BYTES("Received: ")));
    while (text.len > 0) {
        uint32_t lf = bytes_find(text, '\n');
        must(lf < text.len && lf > 1 && text.ptr[lf - 1] == '\r' && lf <= 998);
        must(lines++ == 0 || text.ptr[0] == '\t');
        for (uint32_t i = 0; i + 1 < lf; i++) must((text.ptr[i] >= ' ' && text.ptr[i] != 127) || (i == 0 && text.ptr[0] == '\t'));
        text = bytes_from(text, lf + 1);
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[PREFIX_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    struct cursor c = cursor_over(bytes_of(data, size < 4096 ? (uint32_t)size : 4096));
    struct smtp_received r = {.with = BYTES("ESMTP"), .by = BYTES("mx.example"), .wall_s = (int64_t)cursor_le(&c, 8)};
    uint8_t family = (uint8_t)cursor_le(&c, 1) % 3;
    r.client = (struct net_address){.family = family == 0 ? NET_NONE : family == 1 ? NET_IPV4 : NET_IPV6, .ip = {192, 0, 2, 1}};
    r.helo = take_text(&c);
    r.client_name = take_text(&c);
    r.for_address = take_text(&c);
    uint32_t id_offset = 0;
    smtp_received_write(&out, &r, &id_offset);
    must(!out.overflow);
    struct bytes field = buf_bytes(&out);
    must(check_field(field) == 2u + (family != 0) + (r.for_address.len > 0));
    must(bytes_equal(bytes_slice(field, id_offset - 4, 4 + MESSAGE_ID_TEXT_BYTES), BYTES(" id 0000000000000000")));
    return 0;
}
