/*
 * personality - how the sink behaves towards a domain: at once, slowly, or not at all. Pure; time comes in.
 *
 * "DOMAIN=KIND". DOMAIN is a recipient's domain, with one `*` in it if one likes ("slow*.example", "*"), or an address of the sink's own in
 * brackets ("[127.0.0.5]"): that holds for whole connections, from the greeting on. The first that fits counts.
 */
#ifndef MTABENCH_PERSONALITY_H
#define MTABENCH_PERSONALITY_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/net.h"

/*    name        KIND          meaning */
#define PERSONALITY_KINDS(K) \
    K(FAST,       "fast",       "everything is taken at once") \
    K(SLOW,       "slow",       "slow=TIME: the answer to the end of data comes that much later") \
    K(TARPIT,     "tarpit",     "tarpit=TIME: a line of an answer each TIME (10s); with an address, from the greeting on") \
    K(REFUSE,     "4xx",        "4xx, 5xx, or a code such as 452: the recipient is refused; with -data behind it, the message at the end of data") \
    K(GREYLIST,   "greylist",   "greylist=TIME: 450 for a sender and recipient until TIME (60s) has passed since the first attempt") \
    K(DISCONNECT, "disconnect", "the connection ends at RCPT without an answer; disconnect-data: at the end of data, with the message not taken") \
    K(RATELIMIT,  "ratelimit",  "ratelimit=N/s: 450 to recipients beyond that rate")
#define PERSONALITY_ENUM(name, text, meaning) PERSONALITY_##name,
enum personality_kind { PERSONALITY_KINDS(PERSONALITY_ENUM) PERSONALITY_KIND_COUNT };

enum { PERSONALITIES_MAX = 256 };

struct personality {
    uint8_t kind;            /* enum personality_kind */
    bool at_data;            /* REFUSE, DISCONNECT: at the end of data */
    uint16_t code;           /* REFUSE */
    uint64_t ns;             /* SLOW, TARPIT, GREYLIST: how long; RATELIMIT: between two recipients */
    struct bytes pattern;    /* borrowed from the option's text */
    struct net_address own;  /* instead of a pattern; family 0 = none */
    uint64_t next_ns;        /* RATELIMIT: when the next is due; up to a second's worth may be taken at once */
};

struct greylist {
    uint64_t *keys, *first_ns; /* open addressing; key 0 = free; owned */
    uint64_t count, cap;
};

struct personalities {
    struct personality list[PERSONALITIES_MAX];
    uint32_t count;
    bool by_domain, by_address;
    struct greylist greylist;
};

/* personality_parse - add one "DOMAIN=KIND". False when it cannot be read or there are too many. */
bool personality_parse(struct personalities *p, struct bytes text);
void personalities_fini(struct personalities *p);

/* personality_for_domain, personality_for_address - the first that fits, or NULL: then all is taken at once. */
struct personality *personality_for_domain(struct personalities *p, struct bytes domain);
struct personality *personality_for_address(struct personalities *p, const struct net_address *own);

/* personality_refusal - the code that a recipient is refused with now, or 0. `pair` is a hash of sender and recipient. Kinds that do not refuse at
 * RCPT give 0. */
uint16_t personality_refusal(struct personalities *p, struct personality *one, uint64_t pair, uint64_t now_ns);

#endif
