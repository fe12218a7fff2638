/*
 * segments - a short sorted array: a log has tens or hundreds of segments, and nearly all changes are at its end.
 *
 * Counts may come from a damaged index, so that losing more than there was is no bug of ours; the queue's check tells.
 */
#include "queue/segments.h"

#include <stdlib.h>
#include <string.h>

void segments_fini(struct segments *s)
{
    free(s->list);
    *s = (struct segments){0};
}

/* find - index of `generation`, or of the place where it belongs. */
static uint32_t find(const struct segments *s, uint64_t generation)
{
    uint32_t at = s->count;
    if (at > 0 && s->list[at - 1].generation == generation) return at - 1;
    uint32_t low = 0;
    while (low < at) {
        uint32_t middle = low + (at - low) / 2;
        if (s->list[middle].generation < generation) low = middle + 1;
        else at = middle;
    }
    return low;
}

static enum err make(struct segments *s, uint64_t generation, uint32_t *at)
{
    *at = find(s, generation);
    if (*at < s->count && s->list[*at].generation == generation) return ERR_NONE;
    if (s->count == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        struct segment_use *list = reallocarray(s->list, cap, sizeof(*list));
        if (!list) return ERR_NO_MEMORY;
        s->list = list;
        s->cap = cap;
    }
    memmove(&s->list[*at + 1], &s->list[*at], (s->count - *at) * sizeof(*s->list));
    s->list[*at] = (struct segment_use){.generation = generation};
    s->count++;
    return ERR_NONE;
}

enum err segments_gain(struct segments *s, const struct qlog_place *place)
{
    uint32_t at;
    if (place->generation == 0) return ERR_NONE;
    enum err e = make(s, place->generation, &at);
    if (e) return e;
    s->list[at].live++;
    s->list[at].live_bytes += place->bytes;
    s->live_bytes += place->bytes;
    return ERR_NONE;
}

void segments_lose(struct segments *s, const struct qlog_place *place)
{
    if (place->generation == 0) return;
    uint32_t at = find(s, place->generation);
    if (at == s->count || s->list[at].generation != place->generation || s->list[at].live == 0) return;
    uint64_t bytes = place->bytes < s->list[at].live_bytes ? place->bytes : s->list[at].live_bytes;
    s->list[at].live--;
    s->list[at].live_bytes -= bytes;
    s->live_bytes -= bytes;
}

enum err segments_set(struct segments *s, const struct segment_use *segment)
{
    uint32_t at;
    enum err e = make(s, segment->generation, &at);
    if (e) return e;
    s->live_bytes += segment->live_bytes - s->list[at].live_bytes;
    s->list[at] = *segment;
    return ERR_NONE;
}

uint64_t segments_oldest_live(const struct segments *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->list[i].live) return s->list[i].generation;
    }
    return UINT64_MAX;
}

void segments_drop_below(struct segments *s, uint64_t generation)
{
    uint32_t n = 0;
    while (n < s->count && s->list[n].generation < generation && s->list[n].live == 0) n++;
    s->count -= n;
    if (n > 0) memmove(s->list, s->list + n, s->count * sizeof(*s->list));
}
