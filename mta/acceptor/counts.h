/*
 * counts - how many connections there are from each client address and from each network prefix. Pure memory,
 * bounded, nothing allocated after the start.
 *
 * An open table with secret hashing: strangers choose their addresses, and must not be able to choose their places.
 * An entry exists while its count is not 0, so the table is as large as the connections that it counts, twice, and
 * never full.
 */
#ifndef MTA_ACCEPTOR_COUNTS_H
#define MTA_ACCEPTOR_COUNTS_H

#include "base/err.h"
#include "base/hash.h"
#include "base/net.h"

struct count {
    struct net_prefix prefix; /* family 0 = free place */
    bool told;                /* the log knows that it is over its limit */
    uint32_t value;
};

struct counts {
    struct count *table; /* owned */
    uint32_t mask;       /* places - 1, places a power of two */
    uint32_t used, max;
    struct hash_key key;
};

/* counts_init - room for `max` different prefixes; before lock-down. */
must_use enum err counts_init(struct counts *c, uint32_t max, struct hash_key key);
void counts_fini(struct counts *c);

/* counts_prefix - the first `bits` of an address. */
struct net_prefix counts_prefix(const struct net_address *a, uint8_t bits);

/* counts_find - the entry of a prefix, or NULL when its count is 0. */
struct count *counts_find(const struct counts *c, const struct net_prefix *p);
/* counts_raise - one more; there must be room. counts_lower - one less; it must have been raised. */
void counts_raise(struct counts *c, const struct net_prefix *p);
void counts_lower(struct counts *c, const struct net_prefix *p);

#endif
