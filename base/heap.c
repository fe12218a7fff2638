/*
 * heap - binary min-heap with nodes that know their place.
 *
 * nodes[i] has place i + 1; children of index i are 2i + 1 and 2i + 2. Equal keys come out in no particular order.
 */
#include "base/heap.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/sum.h"

/* A heap that was started without room begins with this many nodes: one page of pointers, half. */
enum { HEAP_FIRST_CAP = 256 };

static bool is_ordered(const struct heap *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->nodes[i]->place != i + 1) return false;
        if (i > 0 && h->nodes[(i - 1) / 2]->key > h->nodes[i]->key) return false;
    }
    return true;
}

static void heap_check(const struct heap *h)
{
    must(h->count <= h->cap);
    must_slow(is_ordered(h));
}

static enum err grow(struct heap *h, uint32_t cap)
{
    struct heap_node **nodes = reallocarray(h->nodes, cap, sizeof(*nodes));
    if (!nodes) return ERR_NO_MEMORY;
    h->nodes = nodes;
    h->cap = cap;
    return ERR_NONE;
}

enum err heap_init(struct heap *h, uint32_t cap)
{
    *h = (struct heap){0};
    return cap == 0 ? ERR_NONE : grow(h, cap);
}

void heap_fini(struct heap *h)
{
    for (uint32_t i = 0; i < h->count; i++) h->nodes[i]->place = 0;
    free(h->nodes);
    *h = (struct heap){0};
}

static void set(struct heap *h, uint32_t i, struct heap_node *node)
{
    h->nodes[i] = node;
    node->place = i + 1;
}

/* sift_up / sift_down - find node's index, starting at the free index i, and put it there. */
static void sift_up(struct heap *h, uint32_t i, struct heap_node *node)
{
    while (i > 0 && h->nodes[(i - 1) / 2]->key > node->key) {
        set(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    set(h, i, node);
}

static void sift_down(struct heap *h, uint32_t i, struct heap_node *node)
{
    while (i < h->count / 2) { /* index i has a child */
        uint32_t child = 2 * i + 1;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key) child++;
        if (h->nodes[child]->key >= node->key) break;
        set(h, i, h->nodes[child]);
        i = child;
    }
    set(h, i, node);
}

static void settle(struct heap *h, uint32_t i, struct heap_node *node)
{
    if (i > 0 && h->nodes[(i - 1) / 2]->key > node->key) sift_up(h, i, node);
    else sift_down(h, i, node);
}

enum err heap_put(struct heap *h, struct heap_node *node, uint64_t key)
{
    heap_check(h);
    if (node->place != 0) {
        must(node->place <= h->count && h->nodes[node->place - 1] == node);
        node->key = key;
        settle(h, node->place - 1, node);
        return ERR_NONE;
    }

    if (h->count == h->cap) {
        uint32_t cap = HEAP_FIRST_CAP;
        if (h->cap > 0 && !sum_mul_u32(h->cap, 2, &cap)) return ERR_NO_MEMORY;
        enum err e = grow(h, cap);
        if (e) return e;
    }
    node->key = key;
    h->count++;
    sift_up(h, h->count - 1, node);
    heap_check(h);
    return ERR_NONE;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    heap_check(h);
    if (node->place == 0) return;
    must(node->place <= h->count && h->nodes[node->place - 1] == node);
    uint32_t hole = node->place - 1;
    struct heap_node *last = h->nodes[--h->count];
    node->place = 0;
    if (last != node) settle(h, hole, last);
    heap_check(h);
}
