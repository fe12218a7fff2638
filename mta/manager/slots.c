/* slots - fixed tables of objects, named by handles of index and generation. */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "mta/manager/manager.h"

enum { SLOT_NONE = UINT32_MAX };

static struct slot *at(const struct slots *s, uint32_t index) { return (struct slot *)(void *)(s->objects + (size_t)index * s->object_bytes); }

enum err slots_init(struct slots *s, uint32_t object_bytes, uint32_t count_max)
{
    must(object_bytes >= sizeof(struct slot) && count_max);
    s->objects = calloc(count_max, object_bytes);
    if (!s->objects) return ERR_NO_MEMORY;
    s->object_bytes = object_bytes;
    s->count_max = count_max;
    s->count = 0;
    s->free_head = s->high = 0;
    /* Links are written when an object is first given out (next_free 0 = the one behind), so that the pages of a table that stays small are never touched. */
    return ERR_NONE;
}

void *slots_take(struct slots *s)
{
    if (s->free_head == SLOT_NONE || s->free_head >= s->count_max) return NULL;
    struct slot *slot = at(s, s->free_head);
    must(!slot->used);
    uint32_t generation = slot->generation + 1;
    if (s->free_head >= s->high) s->high = s->free_head + 1;
    s->free_head = slot->next_free ? slot->next_free - 1 : s->free_head + 1;
    memset(slot, 0, s->object_bytes);
    slot->generation = generation;
    slot->used = true;
    s->count++;
    return slot;
}

void slots_give(struct slots *s, void *object)
{
    struct slot *slot = object;
    must(slot->used && s->count);
    slot->used = false;
    slot->next_free = s->free_head + 1;
    s->free_head = (uint32_t)(((uint8_t *)object - s->objects) / s->object_bytes);
    s->count--;
}

uint64_t slots_handle(const struct slots *s, const void *object)
{
    uint64_t index = (uint64_t)((const uint8_t *)object - s->objects) / s->object_bytes;
    return (uint64_t)((const struct slot *)object)->generation << 32 | index;
}

void *slots_find(const struct slots *s, uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= s->high) return NULL;
    struct slot *slot = at(s, index);
    return slot->used && slot->generation == (uint32_t)(handle >> 32) ? slot : NULL;
}

void *slots_next(const struct slots *s, const void *after)
{
    uint32_t index = after ? (uint32_t)((uint64_t)((const uint8_t *)after - s->objects) / s->object_bytes) + 1 : 0;
    for (; index < s->high; index++) {
        struct slot *slot = at(s, index);
        if (slot->used) return slot;
    }
    return NULL;
}
