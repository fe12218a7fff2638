/*
 * digest_check - SHA-256, SHA-1, HMAC and PBKDF2 in plain C, for the tests and fuzzers of what takes digests as functions.
 *
 * Short and slow, bounded inputs only; the programs use a library. The tests of sasl check it against published vectors.
 */
#ifndef SMTP_DIGEST_CHECK_H
#define SMTP_DIGEST_CHECK_H

#include <string.h>

#include "base/must.h"
#include "smtp/digest.h"

enum { CHECK_BLOCK_BYTES = 64, CHECK_INPUT_BYTES_MAX = 8192, CHECK_SHA1_BYTES = 20 };

static inline uint32_t check_right(uint32_t x, uint32_t n) { return x >> n | x << (32 - n); }
static inline uint32_t check_big(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

typedef void check_block_fn(uint32_t *state, const uint8_t *block);

static inline void check_sha256_block(uint32_t *h, const uint8_t *block)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
        0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
        0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
        0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
        0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };
    uint32_t w[64], v[8];
    for (uint32_t i = 0; i < 16; i++) w[i] = check_big(block + 4 * i);
    for (uint32_t i = 16; i < 64; i++) {
        uint32_t a = check_right(w[i - 15], 7) ^ check_right(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = check_right(w[i - 2], 17) ^ check_right(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(v, h, sizeof(v));
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t s1 = check_right(v[4], 6) ^ check_right(v[4], 11) ^ check_right(v[4], 25);
        uint32_t s0 = check_right(v[0], 2) ^ check_right(v[0], 13) ^ check_right(v[0], 22);
        uint32_t one = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t two = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += one;
        v[0] = one + two;
    }
    for (uint32_t i = 0; i < 8; i++) h[i] += v[i];
}

static inline void check_sha1_block(uint32_t *h, const uint8_t *block)
{
    uint32_t w[80], v[5];
    for (uint32_t i = 0; i < 16; i++) w[i] = check_big(block + 4 * i);
    for (uint32_t i = 16; i < 80; i++) w[i] = check_right(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 31);
    memcpy(v, h, sizeof(v));
    for (uint32_t i = 0; i < 80; i++) {
        uint32_t parity = v[1] ^ v[2] ^ v[3];
        uint32_t f = i < 20 ? (v[1] & v[2]) | (~v[1] & v[3]) : i < 40 || i >= 60 ? parity : (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
        uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
        uint32_t next = check_right(v[0], 27) + f + v[4] + k + w[i];
        memmove(v + 1, v, 4 * sizeof(v[0]));
        v[2] = check_right(v[2], 2);
        v[0] = next;
    }
    for (uint32_t i = 0; i < 5; i++) h[i] += v[i];
}

/* check_hash - pad, and run the blocks over two pieces of input that are one. */
static inline void check_hash(check_block_fn *block, uint32_t *h, uint32_t words, struct bytes a, struct bytes b, uint8_t *out)
{
    uint8_t memory[CHECK_INPUT_BYTES_MAX + 3 * CHECK_BLOCK_BYTES];
    struct buf all = BUF_OVER(memory);
    buf_put(&all, a);
    buf_put(&all, b);
    uint64_t bits = (uint64_t)all.len * 8;
    buf_put_c(&all, 0x80);
    while (all.len % CHECK_BLOCK_BYTES != CHECK_BLOCK_BYTES - 8) buf_put_c(&all, 0);
    for (uint32_t i = 0; i < 8; i++) buf_put_c(&all, (uint8_t)(bits >> (56 - 8 * i)));
    must(!all.overflow);
    for (uint32_t i = 0; i < all.len; i += CHECK_BLOCK_BYTES) block(h, all.ptr + i);
    for (uint32_t i = 0; i < 4 * words; i++) out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static inline void check_sha256_of(struct bytes a, struct bytes b, uint8_t *out)
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    check_hash(check_sha256_block, h, 8, a, b, out);
}

static inline void check_sha1_of(struct bytes a, struct bytes b, uint8_t *out)
{
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    check_hash(check_sha1_block, h, 5, a, b, out);
}

/* check_hmac_of - RFC 2104 over either hash. */
static inline void check_hmac_of(void (*hash)(struct bytes, struct bytes, uint8_t *), uint32_t hash_bytes, struct bytes key, struct bytes in, uint8_t *out)
{
    uint8_t pad[CHECK_BLOCK_BYTES] = {0}, inner[SMTP_SHA256_BYTES];
    if (key.len > sizeof(pad)) hash(key, BYTES(""), pad);
    else if (key.len > 0) memcpy(pad, key.ptr, key.len);
    for (uint32_t i = 0; i < sizeof(pad); i++) pad[i] ^= 0x36;
    hash(bytes_of(pad, sizeof(pad)), in, inner);
    for (uint32_t i = 0; i < sizeof(pad); i++) pad[i] ^= 0x36 ^ 0x5c;
    hash(bytes_of(pad, sizeof(pad)), bytes_of(inner, hash_bytes), out);
}

static inline bool check_sha256(struct bytes in, uint8_t *out)
{
    check_sha256_of(in, BYTES(""), out);
    return true;
}

static inline bool check_hmac(struct bytes key, struct bytes in, uint8_t *out)
{
    check_hmac_of(check_sha256_of, SMTP_SHA256_BYTES, key, in, out);
    return true;
}

static inline bool check_pbkdf2(struct bytes password, struct bytes salt, uint32_t iterations, uint8_t *out)
{
    uint8_t memory[256], u[SMTP_SHA256_BYTES];
    struct buf first = BUF_OVER(memory);
    buf_put(&first, salt);
    buf_put(&first, BYTES("\0\0\0\1"));
    check_hmac(password, buf_bytes(&first), u);
    memcpy(out, u, sizeof(u));
    for (uint32_t i = 1; i < iterations; i++) {
        check_hmac(password, bytes_of(u, sizeof(u)), u);
        for (uint32_t j = 0; j < sizeof(u); j++) out[j] ^= u[j];
    }
    return true;
}

static const struct smtp_digest check_digest = {check_sha256, check_hmac, check_pbkdf2};

#endif
