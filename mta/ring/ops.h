/*
 * ops - what a request of the ring is, and how it is packed into 64 bits.
 *
 * Operation (8 bits), generation (24) and descriptor (32) travel as io_uring's user_data, and tokens are kept in slots the same way.
 * There is never a pointer in user_data: a completion that comes late finds a slot of another generation, and is dropped.
 */
#ifndef MTA_RING_OPS_H
#define MTA_RING_OPS_H

#include <stdint.h>

#include "base/must.h"
#include "mta/ring/ring.h"

enum ring_op {
    RING_OP_NONE = 0,
    RING_OP_RECEIVE,
    RING_OP_SEND,
    RING_OP_ACCEPT,
    RING_OP_WATCH,
    RING_OP_WRITABLE,
    RING_OP_COUNT,
    RING_OP_CANCEL = 16, /* RING_OP_CANCEL + the operation that is to end */
};

enum { RING_GENERATION_MASK = 0xffffff };

/* ring_bit - an operation's bit in ring_slot.under_way. */
static inline uint16_t ring_bit(enum ring_op op) { return (uint16_t)(1U << op); }

static inline uint64_t ring_pack(uint32_t op, uint32_t generation, uint32_t index)
{
    must(op <= 0xff && generation <= RING_GENERATION_MASK);
    return (uint64_t)op << 56 | (uint64_t)generation << 32 | index;
}
static inline uint32_t ring_packed_op(uint64_t packed) { return (uint32_t)(packed >> 56); }
static inline uint32_t ring_packed_generation(uint64_t packed) { return (uint32_t)(packed >> 32) & RING_GENERATION_MASK; }
static inline uint32_t ring_packed_index(uint64_t packed) { return (uint32_t)packed; }

static inline uint64_t ring_pack_token(struct ring_token t) { return ring_pack(t.kind, t.generation, t.index); }
static inline struct ring_token ring_unpack_token(uint64_t packed)
{
    return (struct ring_token){
        .kind = (uint8_t)ring_packed_op(packed),
        .generation = ring_packed_generation(packed),
        .index = ring_packed_index(packed),
    };
}

#endif
