/*
 * memory - first attempts and proved clients, and what becomes of the next attempt. Pure memory, time passed in.
 *
 * A triplet (network, sender, recipient) that is new is told to come back; one that comes back after the delay and within the window has
 * proved that there is a queue behind it, and passes from then on while it is used. A network that has proved so with a number of triplets passes
 * with all others too. Keys are hashes with a secret of the file, so that memory and file hold nobody's addresses.
 * The table is of fixed size, in rows of GREY_WAYS: in a full row the entry that was quiet for longest makes room. A flood can so make us forget,
 * which costs others a second wait, and never a refusal.
 */
#ifndef MTA_GREYLIST_MEMORY_H
#define MTA_GREYLIST_MEMORY_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    GREY_PLACES = 1 << 19, /* half a million entries, 12 MiB: what a busy site sees in a month */
    GREY_WAYS = 8,
};

struct grey {
    uint64_t hash;     /* 0 = free */
    uint32_t first_s;  /* wall clock, since 1970 */
    uint32_t last_s;
    uint32_t passes;   /* of a triplet: deliveries let through; of a network: triplets that have proved it. Saturates */
};

struct grey_times { uint32_t delay_s, window_s, keep_s, clients; }; /* clients: triplets that prove a network; 0 = none does */

struct greys {
    struct grey *table; /* owned */
    uint32_t used;
};

must_use enum err greys_init(struct greys *g);
void greys_fini(struct greys *g);

/* greys_put - what a file says; replaces an entry of the same hash. */
void greys_put(struct greys *g, const struct grey *entry);
/* greys_find - NULL when it is not there. */
struct grey *greys_find(const struct greys *g, uint64_t hash);

struct grey_verdict {
    bool pass, known_client;
    uint32_t wait_s;                /* until it may come back, when it does not pass */
    struct grey changed[2];         /* entries to be written down; hash 0 = none */
};

/* greys_judge - an attempt. peek: nothing is changed, and only the verdict counts. */
struct grey_verdict greys_judge(struct greys *g, uint64_t client, uint64_t triplet, uint32_t now_s, const struct grey_times *times, bool peek);

/* greys_is_old - an entry that no longer says anything. */
bool greys_is_old(const struct grey *e, uint32_t now_s, const struct grey_times *times);

#endif
