/*
 * slots - which connection has which place: found by the manager's number, taken and given back.
 */
#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "mta/deliver/deliver.h"

static uint32_t bucket(uint64_t connection) { return (uint32_t)(hash_mix(connection) % SESSION_TABLE); }

struct session *session_find(struct deliver *d, uint64_t connection)
{
    for (uint32_t at = d->table[bucket(connection)]; at; at = d->sessions[at - 1].hash_next)
        if (d->sessions[at - 1].connection == connection) return &d->sessions[at - 1];
    return NULL;
}

/*
 * take_free - the slot that has been free for longest, or a new one. What the box says of a connection must stand until the manager has heard of its end:
 * slots whose last words still wait in our channel are not taken.
 */
static uint32_t take_free(struct deliver *d)
{
    struct ipc_channel *manager = process_channel(d->process, ROLE_MANAGER, 0);
    if (manager && ipc_waiting_bytes(manager) == 0) d->freed_told = d->freed;
    struct session *oldest = d->free_head ? &d->sessions[d->free_head - 1] : NULL;
    if (!oldest || oldest->freed > d->freed_told || oldest->reuse_ms > process_now_ms(d->process))
        return d->high < SESSIONS_MAX ? d->high++ : (uint32_t)SESSIONS_MAX;
    uint32_t index = d->free_head - 1;
    d->free_head = oldest->hash_next;
    if (!d->free_head) d->free_tail = 0;
    return index;
}

struct session *session_make(struct deliver *d, uint64_t connection)
{
    if (!d->box.begun) box_begin(&d->box);
    uint32_t index = take_free(d);
    if (index >= SESSIONS_MAX) return NULL;
    struct session *s = &d->sessions[index];
    uint32_t generation = (s->generation + 1) & 0xffffff;
    memset(s, 0, offsetof(struct session, label));
    s->generation = generation;
    s->used = true;
    s->fd = -1;
    s->connection = connection;
    uint32_t *head = &d->table[bucket(connection)];
    s->hash_next = *head;
    *head = index + 1;
    s->listed = true;
    box_open(&d->box, index, connection);
    d->count++;
    return s;
}

void session_unlist(struct deliver *d, struct session *s)
{
    uint32_t self = (uint32_t)(s - d->sessions) + 1;
    uint32_t *at = &d->table[bucket(s->connection)];
    if (!s->listed) return;
    while (*at != self) at = &d->sessions[*at - 1].hash_next;
    *at = s->hash_next;
    s->listed = false;
}

void session_give_free(struct deliver *d, struct session *s)
{
    uint32_t self = (uint32_t)(s - d->sessions) + 1;
    s->freed = ++d->freed;
    s->reuse_ms = s->orphan ? process_now_ms(d->process) + ORPHAN_KEEP_MS : 0;
    s->hash_next = 0;
    if (d->free_tail) d->sessions[d->free_tail - 1].hash_next = self;
    else d->free_head = self;
    d->free_tail = self;
}
