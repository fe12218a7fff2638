/*
 * base64 - see smtp/base64.h.
 */
#include "smtp/base64.h"

#include "base/must.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* value_of - 0..63, or 64 for an octet outside the alphabet; '=' is outside. */
static uint32_t value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return (uint32_t)c - 'A';
    if (c >= 'a' && c <= 'z') return (uint32_t)c - 'a' + 26;
    if (ascii_is_digit(c)) return (uint32_t)c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

void smtp_base64_encode(struct buf *out, struct bytes in)
{
    uint64_t coded = ((uint64_t)in.len + 2) / 3 * 4;
    if (coded > buf_room(out)) {
        out->overflow = true;
        return;
    }
    for (uint32_t i = 0; i < in.len; i += 3) {
        struct bytes three = bytes_slice(in, i, 3);
        uint32_t bits = (uint32_t)three.ptr[0] << 16;
        if (three.len > 1) bits |= (uint32_t)three.ptr[1] << 8;
        if (three.len > 2) bits |= three.ptr[2];
        buf_put_c(out, (uint8_t)alphabet[bits >> 18]);
        buf_put_c(out, (uint8_t)alphabet[bits >> 12 & 63]);
        buf_put_c(out, three.len > 1 ? (uint8_t)alphabet[bits >> 6 & 63] : '=');
        buf_put_c(out, three.len > 2 ? (uint8_t)alphabet[bits & 63] : '=');
    }
}

/* padding_of - how many '=' end the text: 0..2. */
static uint32_t padding_of(struct bytes in)
{
    uint32_t padding = 0;
    while (padding < 2 && padding < in.len && in.ptr[in.len - 1 - padding] == '=') padding++;
    return padding;
}

/* decode_group - four characters, the last `padding` of which are '='; false when they are no code. */
static bool decode_group(const uint8_t *four, uint32_t padding, struct buf *out)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t value = i < 4 - padding ? value_of(four[i]) : 0;
        if (value > 63) return false;
        bits = bits << 6 | value;
    }
    if (bits & ((1u << 8 * padding) - 1)) return false; /* bits left over: a second spelling of the same octets */
    for (uint32_t i = 0; i < 3 - padding; i++) buf_put_c(out, (uint8_t)(bits >> (16 - 8 * i)));
    return true;
}

bool smtp_base64_decode(struct bytes in, struct buf *out)
{
    if (in.len % 4 != 0) return false;
    if (in.len == 0) return true;
    uint32_t padding = padding_of(in);
    if (in.len / 4 * 3 - padding > buf_room(out)) {
        out->overflow = true;
        return false;
    }
    uint32_t start = out->len;
    for (uint32_t i = 0; i < in.len; i += 4) {
        if (decode_group(in.ptr + i, i + 4 == in.len ? padding : 0, out)) continue;
        out->len = start;
        return false;
    }
    must(out->len - start == in.len / 4 * 3 - padding);
    return true;
}
