/*
 * kept - records of ours that the log has not made certain yet: they are written again when a sync fails, and wait here when the log has no room.
 *
 * So an outcome never fails: memory has it at once, the log has it as soon as it can, and what depends on it (events, checkpoints) waits.
 */
#ifndef QUEUE_KEPT_H
#define QUEUE_KEPT_H

#include "queue/log.h"
#include "queue/record.h"

struct kept {
    struct kept *next;
    struct message_id id;     /* whom it is about */
    struct message_id bounce; /* embedded, or 0 */
    uint64_t cookie;          /* to be told when it is certain; 0 = nobody */
    uint64_t group;           /* 0 = not appended */
    struct qlog_place place;
    uint8_t type;             /* enum record_type */
    bool removes;             /* it was the message's last */
    uint32_t bytes;
    uint8_t data[];
};

struct kept_list {
    struct kept *first, **last;
    struct kept *unwritten;   /* the first one that is not appended; all after it are not either */
    uint64_t unwritten_bytes;
};

void kept_init(struct kept_list *k);
void kept_fini(struct kept_list *k);

/* kept_put - copy a record to the end; NULL when there is no memory. */
struct kept *kept_put(struct kept_list *k, enum record_type type, struct message_id id, struct bytes body);

/* kept_append - append what is not yet, in order, until the log refuses. Each time `appended` is told. Returns why it stopped, ERR_NONE = all are. */
enum err kept_append(struct kept_list *k, struct qlog *log, void (*appended)(void *context, const struct kept *r), void *context);

/* kept_void - the log lost everything unsynced: it is all to be appended again. */
void kept_void(struct kept_list *k, uint64_t group);

/* kept_first - the oldest if its group is certain, else NULL. kept_drop - it is done with. */
struct kept *kept_first(const struct kept_list *k, uint64_t synced_group);
void kept_drop(struct kept_list *k);

#endif
