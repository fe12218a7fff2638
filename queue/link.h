/*
 * link - doubly linked lists through members of structures. A list is a link whose neighbours are its first and last member.
 */
#ifndef QUEUE_LINK_H
#define QUEUE_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next; /* both NULL: in no list */
};

/* LINK_OF - the structure of `type` that `pointer`, its member `field`, belongs to. */
#define LINK_OF(pointer, type, field) ((type *)(void *)((char *)(pointer) - offsetof(type, field)))

static inline void link_init(struct link *list) { list->prev = list->next = list; }
static inline bool link_is_empty(const struct link *list) { return list->next == list; }
static inline bool link_is_in(const struct link *l) { return l->next != NULL; }

/* link_first / link_after - NULL at the end. */
static inline struct link *link_first(const struct link *list) { return list->next == list ? NULL : list->next; }
static inline struct link *link_after(const struct link *list, const struct link *l) { return l->next == list ? NULL : l->next; }

/* link_insert - put `l`, which is in no list, behind `place` (a member, or the list itself for its start). */
static inline void link_insert(struct link *place, struct link *l)
{
    l->prev = place;
    l->next = place->next;
    place->next->prev = l;
    place->next = l;
}

static inline void link_put_last(struct link *list, struct link *l) { link_insert(list->prev, l); }

/* link_take - out of its list; nothing happens when it is in none. */
static inline void link_take(struct link *l)
{
    if (!l->next) return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}

/* link_move_all - all members of `from` to the end of `to`. */
static inline void link_move_all(struct link *to, struct link *from)
{
    if (link_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    link_init(from);
}

#endif
