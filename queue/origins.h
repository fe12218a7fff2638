/*
 * origins - which COMMITs have been answered already: a receiver repeats one when the manager died before it could answer.
 *
 * A bounded ring of the latest; what is older has been answered long since.
 */
#ifndef QUEUE_ORIGINS_H
#define QUEUE_ORIGINS_H

#include "base/err.h"
#include "queue/record.h"

enum { ORIGINS_MAX = 32768 }; /* a few seconds of mail at full speed, 1.2 MB; a power of two */

struct origins {
    struct origins_entry *entries; /* ring; owned */
    uint32_t *buckets;             /* entry index + 1; owned */
    uint32_t next;
};

must_use enum err origins_init(struct origins *o);
void origins_fini(struct origins *o);

/* origins_add - remember; a zero origin is ignored. origins_find - id 0 when unknown. */
void origins_add(struct origins *o, const struct origin *origin, struct message_id id);
struct message_id origins_find(const struct origins *o, const struct origin *origin);

/* origins_forget - the message was refused after all. */
void origins_forget(struct origins *o, const struct origin *origin);

#endif
