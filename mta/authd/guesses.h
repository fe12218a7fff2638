/*
 * guesses - how much is tried, and by whom: failed authentications by client and by login, and what each login sends. Pure: time comes in.
 *
 * A key is a keyed hash, so that strangers cannot aim at a place of the table; what is forgotten for want of room is what was quiet longest.
 */
#ifndef MTA_AUTHD_GUESSES_H
#define MTA_AUTHD_GUESSES_H

#include "base/err.h"
#include "base/hash.h"
#include "base/net.h"

enum {
    GUESSES_PLACES = 16384,                 /* clients, logins; 1.5 MiB */
    GUESSES_FREE_CLIENT = 3,                /* failures of a client that cost nothing: people mistype */
    GUESSES_FREE_LOGIN = 6,                 /* of a login, over all clients */
    GUESSES_PAUSE_MS = 1000,                /* the first pause; it doubles with each further failure ... */
    GUESSES_PAUSE_CLIENT_MAX_MS = 60 * 1000, /* ... up to here for a client, */
    GUESSES_PAUSE_LOGIN_MAX_MS = 4 * 1000,  /* and here for a login: its owner must get in while somebody guesses */
    GUESSES_WAIT_MAX_MS = 20 * 1000,        /* who would have to wait longer is sent away at once */
    GUESSES_HALF_MS = 10 * 60 * 1000,       /* failures count half after so long */
    SPENT_WINDOW_MS = 3600 * 1000,
};

struct guess {            /* of one client or login */
    uint64_t key;         /* 0 = free */
    uint64_t seen_ms;     /* last use */
    uint64_t next_ms;     /* no try is looked at before */
    uint32_t failures;
};

struct spent {            /* of one login */
    uint64_t key;
    uint64_t seen_ms, window_ms;     /* when the present window began */
    uint32_t messages[2], rcpts[2];  /* in this window, in the one before */
    bool told;                       /* the log has the alert of this window */
};

struct guesses {
    struct hash_key key;
    struct guess *table;  /* owned */
    struct spent *spent;  /* owned */
};

must_use enum err guesses_init(struct guesses *g, struct hash_key key);
void guesses_fini(struct guesses *g);

/*
 * guesses_wait - a try of a client for a login (empty: not known yet): how long it must wait, in ms, from now. Tries of one client wait one behind the
 * other, however many connections it has. More than GUESSES_WAIT_MAX_MS: send it away; nothing was noted then.
 */
uint64_t guesses_wait(struct guesses *g, const struct net_address *client, struct bytes login, uint64_t now_ms);
/* guesses_note - how it ended. */
void guesses_note(struct guesses *g, const struct net_address *client, struct bytes login, bool good, uint64_t now_ms);

struct spending { uint32_t messages, rcpts, messages_max, rcpts_max; }; /* what is to be sent now; limits within an hour, 0 = none */

/* spend - whether a login may still send so much; it is counted then. *tell: the alert is due. *wait_ms: when to try again, about, if not. */
bool spend(struct guesses *g, struct bytes login, const struct spending *what, uint64_t now_ms, bool *tell, uint64_t *wait_ms);

#endif
