/*
 * grants - what the manager gave to a worker, in memory that only the manager writes and that outlives it.
 *
 * One entry an attempt, from the moment it is sent until its outcome is on stable storage: who has it, for which recipients, and what is known of them.
 * The next manager finds here what was in hand when the last one died, and settles it against the worker's box before it gives those recipients out again.
 * It was our own process that wrote this, and perhaps one that was going wrong: values are bounded when they are read.
 */
#ifndef MTA_BOX_GRANTS_H
#define MTA_BOX_GRANTS_H

#include "mta/box/box.h"

enum {
    GRANTS_MAX = 16384,         /* attempts in hand or not yet durable, of one worker */
    GRANT_BYTES = 8192,
    GRANT_NONE = UINT32_MAX,
};
#define GRANTS_FILE_BYTES ((uint64_t)GRANTS_MAX * GRANT_BYTES)

struct grant_rcpt { uint32_t rcpt; uint16_t verdict; /* packed as in a box */ uint16_t zero; };

enum grant_state { GRANT_FREE = 0, GRANT_GIVEN, /* the worker has it */ GRANT_KNOWN /* every verdict is here; the outcome is not durable yet */, GRANT_STATE_COUNT };

struct grant {
    uint32_t state;             /* enum grant_state; stored last */
    uint32_t rcpt_count;
    struct box_identity identity;
    uint64_t attempt;
    struct message_id message;
    struct net_address remote;
    uint16_t host_len;
    uint8_t host[HOST_NAME_BYTES_MAX];
    struct grant_rcpt rcpts[BOX_RCPTS_MAX];
};
static_assert(sizeof(struct grant) <= GRANT_BYTES, "a grant must fit its place");

struct grants { /* of one worker; memory NULL = none yet */
    uint8_t *memory;            /* GRANTS_FILE_BYTES, shared */
    uint32_t *next_free;        /* GRANTS_MAX */
    uint32_t first_free, high;  /* entries from high on were never used by this manager or one before */
};

static inline struct grant *grant_at(const struct grants *g, uint32_t index) { return (struct grant *)(void *)(g->memory + (size_t)index * GRANT_BYTES); }

/* grants_open - over mapped memory; high = entries that an earlier manager may have left (found by the caller, who knows the holes of the file). */
void grants_open(struct grants *g, uint8_t *memory, uint32_t *next_free, uint32_t high);
/* grant_give - an entry for an attempt; GRANT_NONE when all are in use. rcpts ascending, at most BOX_RCPTS_MAX. */
uint32_t grant_give(struct grants *g, const struct box_identity *id, uint64_t attempt, struct message_id message, const uint32_t *rcpts, uint32_t count,
                    const struct net_address *remote, struct bytes host);
/* grant_result - a verdict for recipients first..first+count of the entry's list. grant_known - nothing more comes. */
void grant_result(struct grants *g, uint32_t index, uint32_t first, uint32_t count, uint16_t verdict);
void grant_known(struct grants *g, uint32_t index);
/* grant_done - its outcome is durable, or it went back untried. */
void grant_done(struct grants *g, uint32_t index);
/* grant_sound - whether an entry that was left behind can be used: state, counts, lengths, ascending recipients. */
bool grant_sound(const struct grant *e);

#endif
