/*
 * counts - see counts.h. Linear probing; a removal closes the gap, so that there are no tombstones to clean up.
 */
#include "mta/acceptor/counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum err counts_init(struct counts *c, uint32_t max, struct hash_key key)
{
    must(max > 0 && max <= 1u << 28);
    uint32_t places = 16;
    while (places < 2 * max) places *= 2; /* at most half full: short ways */
    *c = (struct counts){.table = calloc(places, sizeof(struct count)), .mask = places - 1, .max = max, .key = key};
    return c->table ? ERR_NONE : ERR_NO_MEMORY;
}

void counts_fini(struct counts *c)
{
    free(c->table);
    memset(c, 0, sizeof *c);
}

struct net_prefix counts_prefix(const struct net_address *a, uint8_t bits)
{
    struct net_prefix p = {.address = {.family = a->family}, .bits = bits};
    must(bits <= 128);
    memcpy(p.address.ip, a->ip, bits / 8);
    if (bits % 8) p.address.ip[bits / 8] = (uint8_t)(a->ip[bits / 8] & 0xff << (8 - bits % 8));
    return p;
}

static uint32_t place_of(const struct counts *c, const struct net_prefix *p)
{
    uint8_t octets[18] = {p->address.family, p->bits};
    memcpy(octets + 2, p->address.ip, sizeof p->address.ip);
    return (uint32_t)hash_bytes(c->key, bytes_of(octets, sizeof octets)) & c->mask;
}

static bool is_same(const struct net_prefix *a, const struct net_prefix *b)
{
    return a->bits == b->bits && net_same_ip(&a->address, &b->address);
}

/* seek - the place of a prefix, or the free one where it would be. */
static uint32_t seek(const struct counts *c, const struct net_prefix *p)
{
    uint32_t at = place_of(c, p);
    while (c->table[at].value != 0 && !is_same(&c->table[at].prefix, p)) at = (at + 1) & c->mask;
    return at;
}

struct count *counts_find(const struct counts *c, const struct net_prefix *p)
{
    struct count *found = &c->table[seek(c, p)];
    return found->value ? found : NULL;
}

void counts_raise(struct counts *c, const struct net_prefix *p)
{
    struct count *found = &c->table[seek(c, p)];
    if (found->value == 0) {
        must(c->used < c->max);
        c->used++;
        *found = (struct count){.prefix = *p};
    }
    found->value++;
}

/* close_gap - move later entries of the same run forward, as far as their own place allows (Knuth, volume 3, 6.4 algorithm R). */
static void close_gap(struct counts *c, uint32_t gap)
{
    for (uint32_t at = (gap + 1) & c->mask; c->table[at].value != 0; at = (at + 1) & c->mask) {
        uint32_t home = place_of(c, &c->table[at].prefix);
        if (((at - home) & c->mask) < ((at - gap) & c->mask)) continue;
        c->table[gap] = c->table[at];
        gap = at;
    }
    c->table[gap] = (struct count){0};
}

void counts_lower(struct counts *c, const struct net_prefix *p)
{
    uint32_t at = seek(c, p);
    must(c->table[at].value > 0);
    if (--c->table[at].value > 0) return;
    c->used--;
    close_gap(c, at);
}
