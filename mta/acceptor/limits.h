/*
 * limits - whether one more connection is served, refused politely, or closed without a word. Pure: counts in, a judgement out.
 *
 * Limits are kept in all, by client address, by prefix (/24, /64), and by listener. Trusted clients are exempt: they
 * may use the reserve of places that stands beyond the limit, which polite refusals share. A refused connection
 * counts for its client too, so that who goes on is soon only closed.
 */
#ifndef MTA_ACCEPTOR_LIMITS_H
#define MTA_ACCEPTOR_LIMITS_H

#include "mta/acceptor/counts.h"

enum {
    LIMITS_HARD_FACTOR = 2,       /* times a client's or prefix's limit: closed without a word from there on */
    LIMITS_RESERVE_MIN = 256,     /* places beyond the limit, for trusted clients and refusals; and an eighth of the limit */
    LIMITS_PREFIX_IPV4_BITS = 24, /* what one customer of a provider has, roughly */
    LIMITS_PREFIX_IPV6_BITS = 64,
};

enum limits_verdict { LIMITS_SERVE = 0, LIMITS_REFUSE, LIMITS_CLOSE };
enum limits_cause { LIMITS_NONE = 0, LIMITS_TOTAL, LIMITS_CLIENT, LIMITS_PREFIX, LIMITS_LISTENER };

struct limits {
    uint32_t total_max, client_max, prefix_max; /* configuration */
    uint32_t places_max;     /* with the reserve */
    uint32_t refused_max;    /* half of the reserve */
    uint32_t total, refused; /* connections now; those of them that are being refused */
    struct counts counts;
};

struct limits_question {
    struct net_address client;
    bool trusted;
    uint32_t listener_count, listener_max; /* connections of this listener; 0 = no limit of its own */
};

struct limits_judgement {
    enum limits_verdict verdict;
    enum limits_cause cause;
    uint32_t count;          /* connections there are under the limit that is exceeded, this one included */
    bool tell;               /* to be logged: the first since that limit was exceeded */
};

/* limits_places - how many connections there can be at once, refusals included. */
uint32_t limits_places(uint32_t total_max);
must_use enum err limits_init(struct limits *l, uint32_t total_max, uint32_t client_max, uint32_t prefix_max,
                              struct hash_key key);
void limits_fini(struct limits *l);

struct limits_judgement limits_judge(struct limits *l, const struct limits_question *q);

/* limits_enter - the connection is handed on, served or refused. limits_leave - it has ended; the same arguments. */
void limits_enter(struct limits *l, const struct net_address *client, bool trusted, bool refused);
void limits_leave(struct limits *l, const struct net_address *client, bool trusted, bool refused);

#endif
