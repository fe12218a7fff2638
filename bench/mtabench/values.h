/*
 * values - what stands behind an option, read: sizes and mixes of sizes, rates, times, address ranges. Pure; refuses what it cannot read whole.
 */
#ifndef MTABENCH_VALUES_H
#define MTABENCH_VALUES_H

#include "base/bytes.h"
#include "base/net.h"

enum {
    VALUES_SIZES_MAX = 32,                 /* parts of a mix */
    VALUES_SIZE_MAX = 1024 * 1024 * 1024,  /* octets of a message: a filler of that size is kept in memory */
    VALUES_COUNT_MAX = 1000 * 1000 * 1000, /* messages, sessions, ...; also the highest number of a message */
};

/* value_count - digits, with k (thousand) or M (million) behind them if one likes: "50", "10k", "1M". least <= value <= most. */
bool value_count(struct bytes text, uint64_t least, uint64_t most, uint64_t *out);

/* value_size - octets: "4096", "4k", "4KiB", "25M", "1G"; k, M and G are powers of 1,024 in any case of letters. */
bool value_size(struct bytes text, uint64_t *out);

/* value_ns - a time: "200us", "5ms", "10s", "2m", "1h"; a bare number means seconds; decimals are taken ("0.5s"). At most a year. */
bool value_ns(struct bytes text, uint64_t *out);

/* value_rate - "1000", "2.5" a second, with "/s" behind it if one likes, as nanoseconds between two. > 0. */
bool value_rate(struct bytes text, uint64_t *interval_ns);

struct size_mix {
    uint32_t count, total_weight;
    struct {
        uint32_t bytes, weight;
    } parts[VALUES_SIZES_MAX];
};

/* value_size_mix - "4k", or parts with weights: "1k:70,4k:20,1M:10". Each size is at least bytes_min. */
bool value_size_mix(struct bytes text, uint32_t bytes_min, struct size_mix *out);

/* size_mix_pick - the part for message `number`: always the same for the same number, in the mix's proportions. */
uint32_t size_mix_pick(const struct size_mix *mix, uint64_t number);

struct address_range {
    struct net_address first;
    uint64_t count; /* at least 1 */
};

/* value_addresses - "127.0.0.1", "127.1.0.0/16" (its network and broadcast addresses left out when there are others), "127.0.0.5-127.0.0.9". */
bool value_addresses(struct bytes text, struct address_range *out);

/* address_in_range - the n-th address, from 0; n counts round and round. */
struct net_address address_in_range(const struct address_range *range, uint64_t n);

#endif
