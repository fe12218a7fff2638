/*
 * arena - chunks that are handed out from the front and freed together.
 */
#include "queue/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    alignas(max_align_t) uint8_t data[];
};

static bool add_chunk(struct arena *a, size_t n)
{
    size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + cap);
    if (!chunk) return false;
    chunk->next = a->chunks;
    a->chunks = chunk;
    a->used = 0;
    a->cap = cap;
    a->bytes += cap;
    return true;
}

void *arena_take(struct arena *a, size_t n)
{
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (a->cap - a->used < n && !add_chunk(a, n)) return NULL;
    void *taken = a->chunks->data + a->used;
    a->used += n;
    return taken;
}

bool arena_copy(struct arena *a, struct bytes *text)
{
    if (text->len == 0) {
        *text = (struct bytes){0};
        return true;
    }
    uint8_t *copy = arena_take(a, text->len);
    if (!copy) return false;
    memcpy(copy, text->ptr, text->len);
    text->ptr = copy;
    return true;
}

void arena_fini(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    *a = (struct arena){0};
}
