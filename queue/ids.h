/*
 * ids - message ids: never the same twice, rising, also when the clock goes back and across restarts (the floor is stored).
 */
#ifndef QUEUE_IDS_H
#define QUEUE_IDS_H

#include "base/envelope.h"

enum { IDS_NODE_MAX = 1023 }; /* ten bits */

struct ids {
    uint64_t last; /* every id up to this may have been used */
    uint32_t node;
};

/* ids_next - a fresh id. */
struct message_id ids_next(struct ids *ids, int64_t now_wall_us);

/* ids_wall_us - when an id was made, to the millisecond. */
int64_t ids_wall_us(struct message_id id);

/* ids_seen - an id that was found on disk: later ones are greater. */
void ids_seen(struct ids *ids, struct message_id id);

#endif
