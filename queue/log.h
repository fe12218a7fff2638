/*
 * log - the commit log: segments on disk, natural group commit, recovery. (Module prefix qlog_, since log_ is the lines for people.)
 *
 * 64 MiB segments, filled with zeroes once and recycled, so that a commit overwrites blocks that exist and fdatasync costs one device flush.
 * A group starts on a 4 KiB boundary; the records of a group are contiguous; one write and one fdatasync carry all that arrived while the
 * previous was under way. At most one group is unsynced. Records that need no sync of their own (outcomes) are written at once and synced with
 * the next group or within QLOG_LAZY_MS: a kill of the process loses none of them, a power cut may repeat a delivery.
 * Order comes from records (uuid, generation, group, sequence), never from file names. The log is a window of consecutive generations: recycled
 * strictly oldest first.
 * Threads: one log thread inside; all functions are for the loop thread but qlog_read(), which any thread may call.
 */
#ifndef QUEUE_LOG_H
#define QUEUE_LOG_H

#include "base/bytes.h"
#include "base/err.h"
#include "queue/record.h"

enum { QLOG_BLOCK_BYTES = 4096, QLOG_LAZY_MS = 50, QLOG_RECORD_BYTES_MAX = 8 * 1024 * 1024 };

struct qlog;

struct qlog_place {               /* where a record is */
    uint64_t generation;          /* of its segment; 0 = nowhere */
    uint32_t offset, bytes;       /* of the whole record with its header */
};

struct qlog_position {            /* how far the index has seen the log */
    uint64_t generation, group, sequence;
};

struct qlog_options {
    int folder_fd;                /* the queue folder; segments live in log/ below it */
    uint64_t segment_bytes;       /* for new segments */
    uint64_t max_bytes;           /* whole log; ERR_FULL beyond; 0 = the disk is the limit */
    int event_fd;                 /* eventfd written when a group was synced or failed */
};

/* Called for each record found at start, in order. `after`: the record is behind the index's position and must be applied; else only its place counts.
 * With damaged true, body is the octets that were set aside (also copied to damage/ below the folder). */
typedef void qlog_apply_fn(void *context, enum record_type type, const struct qlog_place *place, const struct qlog_position *at, struct bytes body, bool damaged);

struct qlog_recovery {            /* what the start found, for one line to the operator */
    uint64_t records, groups, segments, damaged_records, torn_bytes, voided_records;
    struct qlog_position last;
};

/*
 * qlog_open - find the segments, replay what is behind `from` (all when from.generation is 0), open a fresh segment, and write and sync
 * `recovered{last group}` as its first record.
 * Errors   ERR_CORRUPT only when nothing can be read at all; ERR_NO_SPACE; ERR_IO
 */
must_use enum err qlog_open(struct qlog **out, const struct qlog_options *options, struct qlog_position from, qlog_apply_fn *apply, void *context, struct qlog_recovery *recovery);

/*
 * qlog_append - put a record into the group being filled.
 * In       parts    the body's pieces, copied here
 *          sync     it needs a sync soon (accept); false: lazily (outcome)
 * Out      *place   where it will be; *group which group decides about it
 * Errors   ERR_FULL   no free segment, or the filling group has no room: try after qlog_collect()
 */
must_use enum err qlog_append(struct qlog *log, enum record_type type, const struct bytes *parts, uint32_t part_count, bool sync, struct qlog_place *place, uint64_t *group);

/* qlog_kick - hand what is filled to the log thread if it is idle. Call once a loop turn. */
void qlog_kick(struct qlog *log);

struct qlog_progress {
    uint64_t synced_group;        /* every group up to this is on stable storage, but voided ones */
    uint64_t voided_group;        /* != 0: this group's sync failed: its accepts must be answered 4xx, its outcomes were rewritten by the caller; collect again */
    enum err error;               /* why */
    struct qlog_position position;/* of the last synced record */
};
/*
 * qlog_collect - what the log thread has done since the last call; non-blocking. After a failed fdatasync the segment counts as lost ground: the log
 * goes on in a new segment whose first synced record is void{group}; the failed group's records count for nothing, at recovery too.
 */
void qlog_collect(struct qlog *log, struct qlog_progress *p);

/* qlog_needs_lazy_kick - when a lazily written record must be synced at the latest (monotonic ms), UINT64_MAX = none. */
uint64_t qlog_deadline_ms(const struct qlog *log);

/*
 * qlog_read - read `n` octets of a record's body from `body_offset` on. Checks the record's header, and its CRC when the whole body is read.
 * Thread-safe. Errors ERR_CORRUPT, ERR_IO.
 */
must_use enum err qlog_read(struct qlog *log, const struct qlog_place *place, uint32_t body_offset, uint8_t *out, uint32_t n);

/* qlog_recycle - segments of generations below `generation` are free: nothing refers to them, and the committed checkpoint covers them. */
void qlog_recycle(struct qlog *log, uint64_t generation);

struct qlog_sizes { uint64_t oldest_generation, newest_generation; uint64_t segments, spare_segments, bytes; bool nearly_full; };
void qlog_sizes(const struct qlog *log, struct qlog_sizes *s);

/* qlog_close - write and sync what is there, stop the thread. */
void qlog_close(struct qlog *log);

#endif
