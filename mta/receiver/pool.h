/*
 * pool - the one bounded store of a receiver for what clients sent: content, long recipient lists, input that must wait.
 *
 * Chunks of 4 KiB, named by number, in chains. Memory is reserved at the start and touched only when used. What a
 * chunk is for decides how far the pool may be emptied: content stops before the last few chunks, so that a session
 * in hand can always keep its input and its recipients. The writer's threads read chunks of a chain that was given to
 * them; everything else is the loop's. Knows no protocol.
 */
#ifndef MTA_RECEIVER_POOL_H
#define MTA_RECEIVER_POOL_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    POOL_CHUNK_BYTES = 4096,      /* a page: most messages take one or two */
    POOL_CHUNKS_MAX = 8192,       /* 32 MiB a receiver */
    POOL_NONE = UINT32_MAX,       /* no chunk */
};

enum pool_purpose { POOL_FOR_CONTENT = 0, POOL_FOR_SESSION };

struct pool_chunk {
    uint32_t next;    /* in its chain or in the list of free ones; POOL_NONE = last */
    uint16_t used;    /* octets */
    uint16_t entries; /* recipients in it, when it holds some */
};

struct pool {
    uint8_t *memory;           /* owned; POOL_CHUNK_BYTES each */
    struct pool_chunk *chunks; /* owned */
    uint32_t count;            /* all there are */
    uint32_t reserve;          /* left alone by POOL_FOR_CONTENT */
    uint32_t fresh;            /* chunks from here on were never used: their pages do not exist yet */
    uint32_t free_head;        /* of those that were used */
    uint32_t free_count;       /* fresh ones too */
};

struct chain {
    uint32_t first, last; /* POOL_NONE when empty */
    uint32_t count;
};

/* pool_init - a pool of `count` chunks; before lock-down. */
must_use enum err pool_init(struct pool *p, uint32_t count);
void pool_fini(struct pool *p);

/* pool_take - an empty chunk, or POOL_NONE. */
uint32_t pool_take(struct pool *p, enum pool_purpose purpose);
/* pool_has - whether pool_take() would give one. */
bool pool_has(const struct pool *p, enum pool_purpose purpose);
/* pool_is_short - less than a quarter is free: large content is to go to files early. */
bool pool_is_short(const struct pool *p);

static inline uint8_t *pool_memory(const struct pool *p, uint32_t chunk)
{
    return p->memory + (uint64_t)chunk * POOL_CHUNK_BYTES;
}
static inline struct bytes pool_bytes(const struct pool *p, uint32_t chunk)
{
    return bytes_of(pool_memory(p, chunk), p->chunks[chunk].used);
}

static inline struct chain chain_empty(void) { return (struct chain){POOL_NONE, POOL_NONE, 0}; }
/* chain_extend - take a chunk and put it at the end; its number, or POOL_NONE. */
uint32_t chain_extend(struct pool *p, struct chain *c, enum pool_purpose purpose);
/* chain_drop_first - give the first chunk back. */
void chain_drop_first(struct pool *p, struct chain *c);
/* chain_give - give all chunks back; the chain is empty then. */
void chain_give(struct pool *p, struct chain *c);
/* chain_bytes - octets used in all chunks. O(chunks). */
uint64_t chain_bytes(const struct pool *p, const struct chain *c);
/* chain_gather - append the octets of `count` chunks from `chunk` on; returns the chunk behind them. */
uint32_t chain_gather(const struct pool *p, uint32_t chunk, uint32_t count, struct buf *out);

#endif
