/*
 * arena - memory for things that die together: the copies that make up one snapshot, the messages of one load.
 */
#ifndef QUEUE_ARENA_H
#define QUEUE_ARENA_H

#include <stddef.h>

#include "base/bytes.h"

struct arena {
    struct arena_chunk *chunks; /* newest first; owned */
    size_t used, cap;           /* of the newest */
    size_t bytes;               /* of all */
};

/* arena_take - n octets, aligned for anything, not zeroed; NULL when there is no memory. arena_copy - a slice's own copy; false likewise. */
void *arena_take(struct arena *a, size_t n);
bool arena_copy(struct arena *a, struct bytes *text);
void arena_fini(struct arena *a);

#endif
