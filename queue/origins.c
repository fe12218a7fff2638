/*
 * origins - a hash with chains over a ring of fixed size; the oldest entry makes room for the newest.
 */
#include "queue/origins.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"

struct origins_entry {
    struct origin origin;
    struct message_id id; /* 0 = free */
    uint32_t next;        /* in the chain: index + 1 */
};

static bool is_zero(const struct origin *o)
{
    return o->receiver == 0 && o->epoch == 0 && o->transaction == 0;
}

static bool is_same(const struct origin *a, const struct origin *b)
{
    return a->receiver == b->receiver && a->epoch == b->epoch && a->transaction == b->transaction;
}

static uint32_t *bucket_of(const struct origins *o, const struct origin *origin)
{
    uint64_t mixed = hash_mix(origin->transaction ^ (uint64_t)origin->epoch << 32 ^ (uint64_t)origin->receiver << 16);
    return &o->buckets[mixed % ORIGINS_MAX];
}

/* find_link - the place that names the entry of `origin`; holds 0 when there is none. */
static uint32_t *find_link(const struct origins *o, const struct origin *origin)
{
    uint32_t *at = bucket_of(o, origin);
    while (*at && !is_same(&o->entries[*at - 1].origin, origin)) at = &o->entries[*at - 1].next;
    return at;
}

enum err origins_init(struct origins *o)
{
    *o = (struct origins){calloc(ORIGINS_MAX, sizeof(*o->entries)), calloc(ORIGINS_MAX, sizeof(*o->buckets)), 0};
    if (o->entries && o->buckets) return ERR_NONE;
    origins_fini(o);
    return ERR_NO_MEMORY;
}

void origins_fini(struct origins *o)
{
    free(o->entries);
    free(o->buckets);
    *o = (struct origins){0};
}

void origins_forget(struct origins *o, const struct origin *origin)
{
    uint32_t *at = find_link(o, origin);
    if (*at == 0) return;
    struct origins_entry *e = &o->entries[*at - 1];
    *at = e->next;
    e->id.v = 0;
}

void origins_add(struct origins *o, const struct origin *origin, struct message_id id)
{
    must(id.v != 0);
    if (is_zero(origin)) return;
    origins_forget(o, origin);
    uint32_t place = o->next;
    o->next = (o->next + 1) % ORIGINS_MAX;
    struct origins_entry *e = &o->entries[place];
    if (e->id.v) origins_forget(o, &e->origin);
    uint32_t *bucket = bucket_of(o, origin);
    *e = (struct origins_entry){*origin, id, *bucket};
    *bucket = place + 1;
}

struct message_id origins_find(const struct origins *o, const struct origin *origin)
{
    if (is_zero(origin)) return (struct message_id){0};
    uint32_t found = *find_link(o, origin);
    return found ? o->entries[found - 1].id : (struct message_id){0};
}
