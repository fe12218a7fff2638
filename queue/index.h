/*
 * index - the queue as of a log position, in LMDB. The only user of lmdb.h.
 *
 * It can always be rebuilt from the log, so that it is thrown away at the first sign of damage. One thread writes; any may read through a view.
 * The surprising thing: paths are relative to the working directory, which must be the queue folder, since LMDB takes no descriptor and a confined
 * process has no other name for it.
 */
#ifndef QUEUE_INDEX_H
#define QUEUE_INDEX_H

#include "queue/arena.h"
#include "queue/index_rows.h"

struct index;
struct index_view { /* a read transaction: short, since it keeps pages from being used again */
    struct index *index;
    void *txn;
};

/* index_open - ERR_NOT_FOUND there is none; ERR_CORRUPT it is damaged; ERR_BAD_VERSION made by a newer program; others as the system says. */
must_use enum err index_open(struct index **out);
void index_close(struct index *index);

/* index_create - a new empty one in a temporary folder, synced, renamed. There must be none. */
must_use enum err index_create(int folder_fd);

/* index_set_aside - rename the index to index.damaged-N. Out: *number. */
must_use enum err index_set_aside(int folder_fd, uint32_t *number);

struct index_change { /* one checkpoint */
    const struct index_message *const *messages;
    uint32_t message_count;
    const struct index_destination *destinations;
    uint32_t destination_count;
    const struct segment_use *segments; /* all there are */
    uint32_t segment_count;
    struct index_meta meta;
};
/*
 * index_write - one transaction: all of it, or nothing. Can be repeated. Opens the environment anew when LMDB says that it must.
 * Out      *oldest_id  the lowest message id there is now, 0 = none
 * Errors   ERR_CORRUPT a row that is to change is damaged; ERR_NO_SPACE, ERR_IO: try again later
 */
must_use enum err index_write(struct index *index, const struct index_change *change, struct message_id *oldest_id);

must_use enum err index_view_open(struct index *index, struct index_view *view);
void index_view_close(struct index_view *view);

/* index_get - a message whole, in the arena. ERR_NOT_FOUND; ERR_CORRUPT */
must_use enum err index_get(const struct index_view *view, struct message_id id, struct arena *arena, struct index_message *im);

must_use enum err index_meta_get(const struct index_view *view, struct index_meta *meta);

/* index_destinations / index_segments - every row, in id order. What each() returns ends the walk. */
must_use enum err index_destinations(const struct index_view *view, enum err (*each)(void *context, const struct index_destination *d), void *context);
must_use enum err index_segments(const struct index_view *view, enum err (*each)(void *context, const struct segment_use *s), void *context);

/*
 * index_scan_queued - queued recipients of from->destination behind `from`, due at until_wall_s or earlier, at most max.
 * Out      *next_due_wall_s  when the first one that was not given is due; INT64_MAX = there is none
 */
must_use enum err index_scan_queued(const struct index_view *view, const struct index_queued *from, int64_t until_wall_s, struct index_queued *out, uint32_t max,
                                    uint32_t *count, int64_t *next_due_wall_s);
/* index_scan_notices - ids of messages whose notice is due; *next_wall_s as above. */
must_use enum err index_scan_notices(const struct index_view *view, int64_t until_wall_s, struct message_id *out, uint32_t max, uint32_t *count, int64_t *next_wall_s);
/* index_scan_located - ids behind `after` whose record is in a segment. */
must_use enum err index_scan_located(const struct index_view *view, uint64_t generation, struct message_id after, struct message_id *out, uint32_t max,
                                     uint32_t *count);
/* index_next_message - the lowest message id above `after`; 0 = none. */
must_use enum err index_next_message(const struct index_view *view, struct message_id after, struct message_id *id);

/*
 * index_check - read every row and how they hang together.
 * In       deadline_ms  stop at this monotonic time; UINT64_MAX: never
 * Returns  how many problems; each is reported when `report` is not NULL
 */
uint64_t index_check(const struct index_view *view, uint64_t deadline_ms, void (*report)(void *context, struct bytes text), void *context);

#endif
