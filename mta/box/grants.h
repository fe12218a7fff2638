/*
 * grants - what the manager gave to a worker, in memory that only the manager writes and that outlives it.
 *
 * One entry an attempt, from the moment it is sent until its outcome is on stable storage: who has it, for which recipients, and what is known of them.
 * The next manager finds here what was in hand when the last one died, and settles it against the worker's box before it gives those recipients out again.
 * Places are small, since nearly every attempt has a few recipients and there may be ten thousand with hosts that hardly answer; those with more have a place
 * among the large ones. It was our own process that wrote this, and perhaps one that was going wrong: values are bounded when they are read.
 */
#ifndef MTA_BOX_GRANTS_H
#define MTA_BOX_GRANTS_H

#include "mta/box/box.h"

enum {
    GRANTS_MAX = 16384,         /* attempts in hand or not yet durable, of one worker: places of each size */
    GRANT_SMALL_BYTES = 512,
    GRANT_LARGE_BYTES = 8192,
    GRANT_NONE = UINT32_MAX,
};
/* Small places first in the file, and in the numbering: those from GRANTS_MAX on are large. A file is nearly all holes. */
#define GRANTS_LARGE_AT ((uint64_t)GRANTS_MAX * GRANT_SMALL_BYTES)
#define GRANTS_FILE_BYTES (GRANTS_LARGE_AT + (uint64_t)GRANTS_MAX * GRANT_LARGE_BYTES)

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
    struct grant_rcpt rcpts[];  /* as many as fit the place: grant_room() */
};
enum {
    GRANT_SMALL_RCPTS = (GRANT_SMALL_BYTES - sizeof(struct grant)) / sizeof(struct grant_rcpt),
    GRANT_LARGE_RCPTS = (GRANT_LARGE_BYTES - sizeof(struct grant)) / sizeof(struct grant_rcpt),
};
static_assert((int)GRANT_LARGE_RCPTS >= (int)BOX_RCPTS_MAX && GRANT_SMALL_RCPTS >= 16, "an attempt must fit a large place, a usual one a small place");

struct grants { /* of one worker; memory NULL = none yet */
    uint8_t *memory;            /* GRANTS_FILE_BYTES, shared */
    uint32_t *next_free;        /* 2 * GRANTS_MAX */
    struct grants_free { uint32_t first_free, high; } small, large; /* numbers from high on were never used by this manager or one before */
};

static inline struct grant *grant_at(const struct grants *g, uint32_t index)
{
    size_t at = index < GRANTS_MAX ? (size_t)index * GRANT_SMALL_BYTES : GRANTS_LARGE_AT + (size_t)(index - GRANTS_MAX) * GRANT_LARGE_BYTES;
    return (struct grant *)(void *)(g->memory + at);
}

/* grant_room - recipients that the place can hold. */
static inline uint32_t grant_room(uint32_t index) { return index < GRANTS_MAX ? (uint32_t)GRANT_SMALL_RCPTS : (uint32_t)BOX_RCPTS_MAX; }

/* grants_open - over mapped memory; small, large = how many places of each size an earlier manager may have left (found by the caller, who knows the holes of
 * the file). */
void grants_open(struct grants *g, uint8_t *memory, uint32_t *next_free, uint32_t small, uint32_t large);
/* grants_next - the first place from `index` on that is in use or was; GRANT_NONE behind the last. For a walk: begin with 0. */
uint32_t grants_next(const struct grants *g, uint32_t index);
/* grant_give - an entry for an attempt; GRANT_NONE when all are in use. rcpts ascending, at most BOX_RCPTS_MAX. */
uint32_t grant_give(struct grants *g, const struct box_identity *id, uint64_t attempt, struct message_id message, const uint32_t *rcpts, uint32_t count,
                    const struct net_address *remote, struct bytes host);
/* grant_result - a verdict for recipients first..first+count of the entry's list. grant_known - nothing more comes. */
void grant_result(struct grants *g, uint32_t index, uint32_t first, uint32_t count, uint16_t verdict);
void grant_known(struct grants *g, uint32_t index);
/* grant_done - its outcome is durable, or it went back untried. */
void grant_done(struct grants *g, uint32_t index);
/* grant_sound - whether an entry that was left behind can be used: state, counts, lengths, ascending recipients. */
bool grant_sound(const struct grants *g, uint32_t index);

#endif
