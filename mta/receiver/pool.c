/*
 * pool - see pool.h. Free chunks that were used before are taken first, last in first out: they are the warm ones.
 */
#include "mta/receiver/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/must.h"

/* What content leaves to the sessions: one part in this many. */
enum { RESERVE_PART = 16, SHORT_PART = 4 };

enum err pool_init(struct pool *p, uint32_t count)
{
    must(count > 0 && count < POOL_NONE);
    memset(p, 0, sizeof *p);
    uint64_t size = (uint64_t)count * POOL_CHUNK_BYTES;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    struct pool_chunk *chunks = calloc(count, sizeof *chunks);
    if (!chunks) {
        (void)munmap(memory, size);
        return ERR_NO_MEMORY;
    }
    *p = (struct pool){.memory = memory,
                       .chunks = chunks,
                       .count = count,
                       .reserve = count / RESERVE_PART,
                       .free_head = POOL_NONE,
                       .free_count = count};
    return ERR_NONE;
}

void pool_fini(struct pool *p)
{
    if (p->memory) (void)munmap(p->memory, (uint64_t)p->count * POOL_CHUNK_BYTES);
    free(p->chunks);
    memset(p, 0, sizeof *p);
}

bool pool_has(const struct pool *p, enum pool_purpose purpose)
{
    return p->free_count > (purpose == POOL_FOR_CONTENT ? p->reserve : 0);
}

bool pool_is_short(const struct pool *p)
{
    return p->free_count < p->count / SHORT_PART;
}

uint32_t pool_take(struct pool *p, enum pool_purpose purpose)
{
    if (!pool_has(p, purpose)) return POOL_NONE;
    uint32_t chunk = p->free_head;
    if (chunk != POOL_NONE) {
        p->free_head = p->chunks[chunk].next;
    } else {
        chunk = p->fresh++;
        must(chunk < p->count);
    }
    p->free_count--;
    p->chunks[chunk] = (struct pool_chunk){.next = POOL_NONE};
    return chunk;
}

static void give(struct pool *p, uint32_t chunk)
{
    must(chunk < p->fresh && p->free_count < p->count);
    p->chunks[chunk] = (struct pool_chunk){.next = p->free_head};
    p->free_head = chunk;
    p->free_count++;
}

uint32_t chain_extend(struct pool *p, struct chain *c, enum pool_purpose purpose)
{
    uint32_t chunk = pool_take(p, purpose);
    if (chunk == POOL_NONE) return POOL_NONE;
    if (c->count == 0) c->first = chunk;
    else p->chunks[c->last].next = chunk;
    c->last = chunk;
    c->count++;
    return chunk;
}

void chain_drop_first(struct pool *p, struct chain *c)
{
    must(c->count > 0);
    uint32_t chunk = c->first;
    c->first = p->chunks[chunk].next;
    c->count--;
    if (c->count == 0) *c = chain_empty();
    give(p, chunk);
}

void chain_give(struct pool *p, struct chain *c)
{
    while (c->count > 0) chain_drop_first(p, c);
}

uint64_t chain_bytes(const struct pool *p, const struct chain *c)
{
    uint64_t total = 0;
    for (uint32_t chunk = c->first; chunk != POOL_NONE; chunk = p->chunks[chunk].next) total += p->chunks[chunk].used;
    return total;
}

uint32_t chain_gather(const struct pool *p, uint32_t chunk, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count && chunk != POOL_NONE; i++) {
        buf_put(out, pool_bytes(p, chunk));
        chunk = p->chunks[chunk].next;
    }
    return chunk;
}
