/*
 * hash - checksums and keyed hashes.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/bytes.h"

/*
 * crc32c - Castagnoli checksum of `in`, continuing from `seed` (0 to start).
 * Source   RFC 3720 B.4 (polynomial 0x1EDC6F41, reflected). Uses the processor's instruction where there is one.
 * Cost     O(n)
 */
uint32_t crc32c(uint32_t seed, struct bytes in);

struct hash_key {
    uint64_t a, b; /* secret; random at process start, so that strangers cannot aim collisions */
};

/* hash_key_random - a key from getrandom(2); call before lock-down. */
struct hash_key hash_key_random(void);

/*
 * hash_bytes - SipHash-2-4 of `in` (Aumasson, Bernstein 2012).
 * hash_bytes_nocase - the same over the ASCII-lowered octets (domains).
 */
uint64_t hash_bytes(struct hash_key key, struct bytes in);
uint64_t hash_bytes_nocase(struct hash_key key, struct bytes in);

/* hash_mix - a fast unkeyed mix of an integer of our own (ids), never of foreign ones. */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

#endif
