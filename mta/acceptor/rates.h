/*
 * rates - how much each client and each network has done in the last minute: connections, messages, recipients, errors. Pure memory, bounded.
 *
 * A minute slides: what was counted in the minute before counts by the part of it that is still inside. The table has RATES_PLACES places in
 * rows of RATES_WAYS; in a full row the client that was quiet for longest makes room. So strangers with very many addresses can make
 * us forget what single ones did, but not their networks, which are few; and connections at once are counted elsewhere, exactly.
 */
#ifndef MTA_ACCEPTOR_RATES_H
#define MTA_ACCEPTOR_RATES_H

#include "base/err.h"
#include "base/hash.h"
#include "base/net.h"

enum {
    RATES_PLACES = 65536, /* 4 MiB: clients and networks of a busy minute */
    RATES_WAYS = 8,
    RATES_MINUTE_MS = 60 * 1000,
};

enum rates_kind { RATES_CONNECTIONS = 0, RATES_MESSAGES, RATES_RECIPIENTS, RATES_ERRORS, RATES_KINDS };
enum rates_of { RATES_CLIENT = 0, RATES_PREFIX, RATES_OFS };

struct rate;

struct rates {
    uint32_t max[RATES_KINDS][RATES_OFS]; /* a minute; 0 = no limit */
    bool counts[RATES_KINDS];             /* some limit of this kind is set */
    struct rate *table;                   /* owned; NULL when nothing is limited */
    struct hash_key key;
};

struct rates_judgement {
    bool over;
    enum rates_of of; /* whose limit */
    uint32_t count;   /* with this one */
    bool tell;        /* to be logged: the first of this minute */
};

/* rates_init - `max` as above; before lock-down. */
must_use enum err rates_init(struct rates *r, const uint32_t max[RATES_KINDS][RATES_OFS], struct hash_key key);
void rates_fini(struct rates *r);

/* rates_take - count one, unless it is over a limit of client or network: who is refused is not counted, so that the limit is what is
 * served in a minute. */
struct rates_judgement rates_take(struct rates *r, enum rates_kind kind, const struct net_address *client, uint64_t now_ms);

/* rates_add - count without a question. rates_look - the question without counting. */
void rates_add(struct rates *r, enum rates_kind kind, const struct net_address *client, uint32_t n, uint64_t now_ms);
struct rates_judgement rates_look(struct rates *r, enum rates_kind kind, const struct net_address *client, uint64_t now_ms);

#endif
