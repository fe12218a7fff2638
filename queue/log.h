/*
 * log - the commit log: segments on disk, natural group commit, recovery. (Module prefix qlog_, since log_ is the lines for people.)
 *
 * Segments (64 MiB) are filled with zeroes once and recycled, so that a commit overwrites blocks that exist and fdatasync costs one device flush.
 * A group is all that lies between two syncs. It starts on a 4 KiB boundary, so that writing it cannot tear what was synced before; its records are
 * contiguous. At most one group is unsynced. Records that need no sync of their own (outcomes) are written at once and synced with the next
 * accept or within QLOG_LAZY_MS: a kill of the process loses none of them, a power cut may repeat a delivery.
 * Order comes from records (log id, generation, group, sequence), never from file names. The log is a window of rising generations: recycled
 * strictly oldest first. Sequences of records that count are consecutive, so a gap shows what is missing.
 * The surprising thing: a place is known when a record is appended, before anything is written. When a sync fails, all places given since are void.
 * Threads: one that writes and syncs, one that prepares segments. All functions are for the loop thread, but qlog_read() and qlog_next(), which any may call.
 */
#ifndef QUEUE_LOG_H
#define QUEUE_LOG_H

#include "base/bytes.h"
#include "base/err.h"
#include "queue/record.h"

enum {
    QLOG_BLOCK_BYTES = 4096,
    QLOG_LAZY_MS = 50,
    QLOG_RECORD_BYTES_MAX = 8 * 1024 * 1024, /* body of one record: 100,000 recipients of 70 octets with their states */
    QLOG_BATCH_BYTES_MAX = 4 * 1024 * 1024,  /* accepts are turned away while so much waits for the disk; others may use as much again and more */
    QLOG_SEGMENT_BYTES_MIN = 64 * 1024,
    QLOG_SEGMENT_BYTES_MAX = 1024 * 1024 * 1024, /* offsets are 32 bits; one segment is in memory while it is replayed */
    QLOG_PARTS_MAX = 8
};

struct qlog;

struct qlog_place {               /* where a record is */
    uint64_t generation;          /* of its segment; 0 = nowhere */
    uint32_t offset, bytes;       /* of the whole record with its header */
};
enum { QLOG_HEADER_BYTES = 64 };  /* of a record: its body has place.bytes - QLOG_HEADER_BYTES octets */

struct qlog_position {            /* how far the index has seen the log: everything up to and with this record. All zero = nothing */
    uint64_t generation, group, sequence;
    uint32_t offset;              /* end of that record in its segment */
};

struct qlog_options {
    int folder_fd;                /* the queue folder; segments live in log/ below it, what recovery sets aside in damage/. Not owned */
    uint64_t segment_bytes;       /* for new segments; a multiple of QLOG_BLOCK_BYTES within the limits above */
    uint64_t max_bytes;           /* all segments, spares too; at least two segments; 0 = the disk is the limit */
    uint64_t min_free_bytes;      /* no new segment when the file system would have less than this left; 0 = no such limit */
    int event_fd;                 /* eventfd written when a group was synced or failed; not owned */
};

struct qlog_found {               /* a record, as recovery and qlog_next() find it */
    enum record_type type;        /* RECORD_NONE: damage that no header tells about */
    struct qlog_place place;
    struct qlog_position at;
    struct bytes body;            /* borrowed for the call; of damage: the octets that were set aside, at most QLOG_RECORD_BYTES_MAX */
    bool damaged;                 /* body cannot be believed; also copied to damage/GENERATION-OFFSET below the folder */
    uint64_t missing;             /* damaged: how many records are lost here */
};

/* Called for each record behind the index's position, in order, and for each damage there. Never for void, recovered and closed records, nor
 * for records of a void group. */
typedef void qlog_apply_fn(void *context, const struct qlog_found *found);

struct qlog_recovery {            /* what the start found, for one line to the operator */
    uint64_t segments, records, groups; /* segments there are; records and groups behind the position */
    uint64_t damaged_records;     /* missing or bad with a later group behind them: reported to apply, bytes in damage/ */
    uint64_t damaged_files;       /* segment files that could not be used: moved to damage/, or their head mended */
    uint64_t torn_records, torn_bytes; /* of the last, unsynced group: never promised to anybody */
    uint64_t voided_records;
    bool position_missing;        /* the log does not reach back (or up) to the index's position: the index must be rebuilt from all there is */
    bool no_space;                /* no fresh segment could be made: goes on behind the end of the last one */
    struct qlog_position last;    /* of the last record that counts */
};

/*
 * qlog_open - find the segments, replay what is behind `from` (all when from.generation is 0), make the last group certain (it is written again and
 * synced), open a fresh segment, and write and sync `recovered{last group}` as its first record. No content on disk makes it fail or abort.
 * Errors   ERR_IO, ERR_NO_SPACE, ERR_NO_MEMORY, ERR_DENIED and what else system calls give: nothing is lost, try again;
 *          ERR_BAD_VERSION a segment was made by a newer program; ERR_BAD_VALUE an option is out of its range
 */
must_use enum err qlog_open(struct qlog **out, const struct qlog_options *options, struct qlog_position from, qlog_apply_fn *apply, void *context,
                            struct qlog_recovery *recovery);

/*
 * qlog_append - put a record into the group being filled.
 * In       parts    the body's pieces, copied here; at most QLOG_PARTS_MAX
 *          sync     it needs a sync soon (accept); false: lazily (outcome)
 * Out      *place   where it will be; *group which group decides about it
 * Errors   ERR_AGAIN     what waits for the disk is enough, or a fresh segment is not ready yet: try after a qlog_collect()
 *          ERR_FULL      max_bytes is reached; ERR_NO_SPACE so is the file system's end: possible again after qlog_recycle() or when there is space
 *          ERR_TOO_LONG  over QLOG_RECORD_BYTES_MAX or what a segment holds
 *          others        the log cannot write now, see qlog_progress.error: it goes on trying
 *          RECORD_ACCEPT is turned away half a segment earlier than other types, so that deliveries can go on and make room.
 */
must_use enum err qlog_append(struct qlog *log, enum record_type type, const struct bytes *parts, uint32_t part_count, bool sync, struct qlog_place *place,
                              uint64_t *group);

/* qlog_kick - hand what is filled to the log thread if it is idle. Call once a loop turn, and at the deadline. */
void qlog_kick(struct qlog *log);

struct qlog_progress {
    uint64_t synced_group;        /* every group up to this is on stable storage, but voided ones */
    uint64_t voided_group;        /* != 0: this group failed: its accepts must be answered 4xx, its outcomes rewritten by the caller; collect again */
    enum err error;               /* why; stays set as long as the log cannot write */
    struct qlog_position position;/* of the last synced record */
};
/*
 * qlog_collect - what the log thread has done since the last call; non-blocking. After a failed write or sync the segment counts as lost ground: the log
 * goes on in a new segment whose first records are void{group}; the failed groups' records count for nothing, at recovery too. Two groups are void then
 * when one was being filled: voided_group tells one a call, in rising order. A group never gets both synced and voided.
 */
void qlog_collect(struct qlog *log, struct qlog_progress *p);

/* qlog_last - position of the last record that was appended, synced or not: what a copy of memory taken now stands for, once its group is synced. */
struct qlog_position qlog_last(const struct qlog *log);

/* qlog_deadline_ms - when qlog_kick() and qlog_collect() are due at the latest (monotonic ms; lazy records, retries), UINT64_MAX = never. */
uint64_t qlog_deadline_ms(const struct qlog *log);

/*
 * qlog_read - read `n` octets of a record's body from `body_offset` on. Checks the record's header, and its CRC when the whole body is read.
 * The record's group must have been synced. Thread-safe.
 * Errors   ERR_CORRUPT what is there is not that record; ERR_NOT_FOUND no such segment; ERR_BAD_VALUE past the body's end; ERR_IO
 */
must_use enum err qlog_read(struct qlog *log, const struct qlog_place *place, uint32_t body_offset, uint8_t *out, uint32_t n);

/*
 * qlog_next - walk the records of one segment: the first one at or behind *offset (0 at the start), without its body; for compaction and checks. Skips
 * void groups, and what is bad. Thread-safe.
 * Out      *offset  where to go on
 * Errors   ERR_NOT_FOUND at the end, or no such segment; ERR_IO
 */
must_use enum err qlog_next(struct qlog *log, uint64_t generation, uint32_t *offset, struct qlog_found *found);

/*
 * qlog_recycle - segments of generations below `generation` are free: nothing refers to them, and the committed checkpoint covers them. Segments of
 * unsynced groups and the one being filled stay whatever is asked.
 */
void qlog_recycle(struct qlog *log, uint64_t generation);

struct qlog_sizes {
    uint64_t oldest_generation, newest_generation;
    uint64_t segments, spare_segments; /* in use; ready */
    uint64_t bytes;                    /* of all files */
    uint64_t room;                     /* octets that fit before another file is needed: the rest of the segment being filled, and spares */
    bool nearly_full;                  /* accepts are turned away, or would be at the next change of segment: compact */
};
void qlog_sizes(const struct qlog *log, struct qlog_sizes *s);

/* qlog_generation - n-th segment in use, oldest first; 0 when there are fewer. */
uint64_t qlog_generation(const struct qlog *log, uint32_t n);

/* qlog_close - write and sync what is there, add `closed`, stop the threads. Owner: frees log. */
void qlog_close(struct qlog *log);

#endif
