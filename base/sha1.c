/*
 * sha1 - see base/sha1.h.
 */
#include "base/sha1.h"

#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_AT = 56, ROUNDS = 80 };

struct state {
    uint32_t h[5];
    uint64_t bytes; /* taken so far */
    uint32_t used;  /* of the block */
    uint8_t block[BLOCK_BYTES];
};

static uint32_t left(uint32_t x, uint32_t n)
{
    return x << n | x >> (32 - n);
}

/* round_value - f and K of round t (RFC 3174 5), with A..E in v. */
static uint32_t round_value(uint32_t t, const uint32_t v[5])
{
    if (t < 20) return ((v[1] & v[2]) | (~v[1] & v[3])) + 0x5A827999U;
    if (t < 40) return (v[1] ^ v[2] ^ v[3]) + 0x6ED9EBA1U;
    if (t < 60) return ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])) + 0x8F1BBCDCU;
    return (v[1] ^ v[2] ^ v[3]) + 0xCA62C1D6U;
}

static void take_block(struct state *s)
{
    uint32_t w[ROUNDS], v[5];
    for (uint32_t t = 0; t < 16; t++) {
        const uint8_t *p = s->block + 4 * t;
        w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (uint32_t t = 16; t < ROUNDS; t++) w[t] = left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    memcpy(v, s->h, sizeof v);
    for (uint32_t t = 0; t < ROUNDS; t++) {
        uint32_t next = left(v[0], 5) + round_value(t, v) + v[4] + w[t];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = left(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (uint32_t i = 0; i < 5; i++) s->h[i] += v[i];
    s->used = 0;
}

static void begin(struct state *s)
{
    *s = (struct state){.h = {0x67452301U, 0xEFCDAB89U, 0x98BADCFEU, 0x10325476U, 0xC3D2E1F0U}};
}

static void put(struct state *s, struct bytes in)
{
    s->bytes += in.len;
    for (uint32_t i = 0; i < in.len; i++) {
        s->block[s->used++] = in.ptr[i];
        if (s->used == BLOCK_BYTES) take_block(s);
    }
}

static void end(struct state *s, uint8_t out[SHA1_BYTES])
{
    uint64_t bits = s->bytes * 8;
    put(s, BYTES("\x80"));
    while (s->used != LENGTH_AT) put(s, bytes_of("", 1));
    for (uint32_t i = 0; i < 8; i++) s->block[s->used++] = (uint8_t)(bits >> (56 - 8 * i));
    take_block(s);
    for (uint32_t i = 0; i < SHA1_BYTES; i++) out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha1(struct bytes in, uint8_t out[SHA1_BYTES])
{
    struct state s;
    begin(&s);
    put(&s, in);
    end(&s, out);
}

void hmac_sha1(struct bytes key, struct bytes in, uint8_t out[SHA1_BYTES])
{
    uint8_t padded[BLOCK_BYTES] = {0}, inner[SHA1_BYTES];
    struct state s;
    if (key.len > BLOCK_BYTES) sha1(key, padded);
    else if (key.len > 0) memcpy(padded, key.ptr, key.len);
    for (uint32_t i = 0; i < BLOCK_BYTES; i++) padded[i] ^= 0x36;
    begin(&s);
    put(&s, bytes_of(padded, BLOCK_BYTES));
    put(&s, in);
    end(&s, inner);
    for (uint32_t i = 0; i < BLOCK_BYTES; i++) padded[i] ^= 0x36 ^ 0x5C;
    begin(&s);
    put(&s, bytes_of(padded, BLOCK_BYTES));
    put(&s, bytes_of(inner, SHA1_BYTES));
    end(&s, out);
}
