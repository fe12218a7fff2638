/*
 * kept - a list in the order of the log.
 */
#include "queue/kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

void kept_init(struct kept_list *k)
{
    *k = (struct kept_list){0};
    k->last = &k->first;
}

void kept_fini(struct kept_list *k)
{
    while (k->first) {
        struct kept *next = k->first->next;
        free(k->first);
        k->first = next;
    }
}

struct kept *kept_put(struct kept_list *k, enum record_type type, struct message_id id, struct bytes body)
{
    struct kept *r = malloc(sizeof(*r) + body.len);
    if (!r) return NULL;
    memset(r, 0, sizeof(*r));
    r->type = (uint8_t)type;
    r->id = id;
    r->bytes = body.len;
    memcpy(r->data, body.ptr, body.len);
    *k->last = r;
    k->last = &r->next;
    if (!k->unwritten) k->unwritten = r;
    k->unwritten_bytes += r->bytes;
    return r;
}

enum err kept_append(struct kept_list *k, struct qlog *log, void (*appended)(void *context, const struct kept *r), void *context)
{
    while (k->unwritten) {
        struct kept *r = k->unwritten;
        struct bytes part = bytes_of(r->data, r->bytes);
        enum err e = qlog_append(log, (enum record_type)r->type, &part, 1, r->type == RECORD_HOLD || r->type == RECORD_RELEASE, &r->place, &r->group);
        if (e) return e;
        k->unwritten = r->next;
        k->unwritten_bytes -= r->bytes;
        appended(context, r);
    }
    return ERR_NONE;
}

void kept_void(struct kept_list *k, uint64_t group)
{
    bool found = false;
    for (struct kept *r = k->first; r; r = r->next) {
        if (r->group != group && !found) continue;
        if (!found) k->unwritten = r;
        found = true;
        if (r->group) k->unwritten_bytes += r->bytes;
        r->group = 0;
        r->place = (struct qlog_place){0};
    }
}

struct kept *kept_first(const struct kept_list *k, uint64_t synced_group)
{
    struct kept *r = k->first;
    return r && r->group != 0 && r->group <= synced_group ? r : NULL;
}

void kept_drop(struct kept_list *k)
{
    struct kept *r = k->first;
    must(r && r != k->unwritten);
    k->first = r->next;
    if (!k->first) k->last = &k->first;
    free(r);
}
