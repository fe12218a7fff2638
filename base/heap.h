/*
 * heap - binary min-heap of nodes embedded in the caller's structures; for due times.
 *
 * A node knows its place, so that it can be moved or taken out in O(log n). The pointer array is the caller's or grown by heap_reserve().
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdint.h>

#include "base/err.h"

struct heap_node {
    uint64_t key;   /* smallest first */
    uint32_t place; /* 1-based place in the heap; 0 = not in it */
};

struct heap {
    struct heap_node **nodes; /* owned; malloc */
    uint32_t count, cap;
};

/* heap_init - room for `cap` nodes; grows by doubling when heap_put needs more. */
must_use enum err heap_init(struct heap *h, uint32_t cap);
void heap_fini(struct heap *h);

/* heap_put - insert node with key, or move it to a new key when it is in already. ERR_NO_MEMORY when growing fails. */
must_use enum err heap_put(struct heap *h, struct heap_node *node, uint64_t key);

/* heap_remove - take a node out; nothing happens when it is not in. */
void heap_remove(struct heap *h, struct heap_node *node);

/* heap_first - the node with the smallest key, or NULL. */
static inline struct heap_node *heap_first(const struct heap *h) { return h->count ? h->nodes[0] : 0; }

#endif
