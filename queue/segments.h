/*
 * segments - how many live messages have their record in each segment of the log; says what is free and when to compact.
 *
 * Counts follow memory, which is ahead of the index: what is free here may be recycled only after the next checkpoint.
 */
#ifndef QUEUE_SEGMENTS_H
#define QUEUE_SEGMENTS_H

#include "base/err.h"
#include "queue/log.h"

struct segment_use {
    uint64_t generation, live, live_bytes;
};

struct segments {
    struct segment_use *list; /* rising generation; owned */
    uint32_t count, cap;
    uint64_t live_bytes;  /* of all */
};

void segments_fini(struct segments *s);

/* segments_gain - a live message is at `place` now; segments_lose - it is there no more. Nowhere (generation 0) counts for nothing. */
must_use enum err segments_gain(struct segments *s, const struct qlog_place *place);
void segments_lose(struct segments *s, const struct qlog_place *place);

/* segments_set - a count read from the index. */
must_use enum err segments_set(struct segments *s, const struct segment_use *segment);

/* segments_oldest_live - the lowest generation that has a live message; UINT64_MAX when none has. */
uint64_t segments_oldest_live(const struct segments *s);

/* segments_drop_below - generations that were recycled. */
void segments_drop_below(struct segments *s, uint64_t generation);

#endif
