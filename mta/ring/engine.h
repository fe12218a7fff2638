/*
 * engine - what the front (ring.c) and the two engines share: a slot a descriptor, and the table of an engine's functions.
 *
 * The front keeps the rules (what may be under way beside what) and the counts; an engine only makes things happen. Private to this folder.
 */
#ifndef MTA_RING_ENGINE_H
#define MTA_RING_ENGINE_H

#include <assert.h>

#include "mta/ring/ops.h"

/* One for each descriptor number. A session that sits idle costs this much here and a poll in the kernel. */
struct ring_slot {
    uint64_t token[RING_OP_COUNT - 1]; /* packed, by operation - 1 */
    const uint8_t *send_ptr;           /* borrowed while RING_OP_SEND is under way */
    uint32_t send_bytes;
    uint32_t generation; /* 24 bits; goes up when the descriptor is closed or its watch ends */
    uint16_t under_way;  /* ring_bit() of each operation */
    uint16_t state;      /* the engine's own flags */
    uint32_t interest;   /* epoll: what the descriptor is registered for, 0 = not at all */
};
static_assert(sizeof(struct ring_slot) <= 72, "10,000 descriptors must stay below a megabyte");

struct ring_methods {
    enum ring_engine engine;
    enum err (*confine)(struct ring *r);
    /* ask - start an operation whose token and bit stand in the slot already. ERR_FULL when it cannot. */
    enum err (*ask)(struct ring *r, uint32_t fd, enum ring_op op);
    /* cancel - end an operation. Watches are forgotten by the front at once; an accept still owes its last event. */
    void (*cancel)(struct ring *r, uint32_t fd, enum ring_op op);
    /* forget - the descriptor is about to be closed. */
    void (*forget)(struct ring *r, uint32_t fd);
    uint32_t (*wait)(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms);
    void (*fini)(struct ring *r);
};

/* The common beginning of both engines' structures. */
struct ring {
    const struct ring_methods *methods;
    struct ring_options options;
    struct ring_slot *slots; /* options.descriptors_max of them; owned by the front */
    uint32_t in_flight;      /* receives, sends, accepts under way */
    bool confined;           /* ring_confine() has been called */
    bool restricted;         /* the kernel took the restrictions */
};

/* uring_open, epoll_open - allocate an engine; base is filled by the caller afterwards. */
must_use enum err uring_open(struct ring **out, const struct ring_options *options);
must_use enum err epoll_open(struct ring **out, const struct ring_options *options);

/* uring_try_forbidden - submit operations that are not on the list to a confined ring; ERR_DENIED when one was carried out. */
must_use enum err uring_try_forbidden(struct ring *r);

/* ring_done - an operation has had its last event. */
static inline void ring_done(struct ring *r, struct ring_slot *slot, enum ring_op op)
{
    must(slot->under_way & ring_bit(op));
    slot->under_way &= (uint16_t)~ring_bit(op);
    if (op == RING_OP_RECEIVE || op == RING_OP_SEND || op == RING_OP_ACCEPT) r->in_flight--;
}

static inline bool ring_has(const struct ring_slot *slot, enum ring_op op) { return slot->under_way & ring_bit(op); }

/* ring_event_of - an event with the token of a slot's operation. */
static inline struct ring_event ring_event_of(const struct ring_slot *slot, enum ring_event_type type, enum ring_op op, int32_t result)
{
    return (struct ring_event){.type = (uint8_t)type, .token = ring_unpack_token(slot->token[op - 1]), .result = result};
}

/* ring_accept_is_transient - errors of accept(2) that concern one connection only, or are the network's of the moment. */
bool ring_accept_is_transient(int error_number);

#endif
