/*
 * log_internal - what the files of the commit log share. Only queue/log*.c include it.
 *
 * Who may touch what: fields under "loop" belong to the loop thread, those under "lock" need the lock, `dirty` is the log thread's. A batch belongs
 * to the log thread while job.state is not JOB_IDLE or JOB_DONE, else to the loop. A segment's fd and number never change.
 */
#ifndef QUEUE_LOG_INTERNAL_H
#define QUEUE_LOG_INTERNAL_H

#include <pthread.h>

#include "queue/log.h"
#include "queue/log_format.h"

enum {
    EXTENTS_MAX = 2,          /* segments that one batch may touch; a batch that changes segment is synced, so a group touches no more either */
    SPARES_WANTED = 1,        /* kept ready */
    SPARES_KEPT = 3,          /* more than these are removed when segments become free */
    RETRY_MS = 250,           /* between two attempts of a log that cannot write */
    PREPARE_RETRY_MS = 1000,  /* between two attempts to make a segment */
    WATCH_MS = 1000,          /* the loop looks at the log thread at least this often while it works, should a wake-up be lost */
    /* Filling is refused past QLOG_BATCH_BYTES_MAX, so one record of the largest size always fits behind; blocks for padding. */
    BATCH_MEMORY_BYTES = QLOG_BATCH_BYTES_MAX + QLOG_RECORD_BYTES_MAX + QLOG_HEADER_BYTES + 4 * QLOG_BLOCK_BYTES,
    FILE_NAME_BYTES = 32
};
/* Each start begins a new range of generations, so that none is used twice, whatever of the last run did not reach the disk. */
#define GENERATIONS_A_START ((uint64_t)1 << 20)
/* While more than 1/RESERVE_PART of the segment is left or a spare is ready, accepts are welcome. */
enum { RESERVE_PART = 2 };

enum segment_state { SEGMENT_LIVE = 0, SEGMENT_RETIRED /* to be made a spare */, SEGMENT_BEING_PREPARED, SEGMENT_SPARE };

struct segment {
    int fd;
    uint32_t number;          /* of its file name */
    uint64_t bytes;           /* of the file */
    uint64_t generation;      /* 0 = a spare; set under the lock */
    uint64_t retired;         /* records up to this generation in it are dead */
    uint64_t oldest, first_group, first_sequence; /* for its head */
    uint8_t state;            /* enum segment_state; lock */
    uint32_t readers;         /* lock; its descriptor stays open while there are any */
    bool head_pending;        /* its first block is not written yet; set by the loop before it is handed over, cleared by the log thread */
    bool head_is_bad;         /* recovery only */
    uint32_t known_end;       /* recovery only: behind the last head found in it */
};

struct extent {               /* part of a batch that goes to one segment */
    struct segment *segment;
    uint32_t offset;          /* in the segment */
    uint32_t start, bytes;    /* in the batch's memory, with padding */
};

struct batch {
    uint8_t *memory;          /* BATCH_MEMORY_BYTES, owned */
    uint32_t used;
    uint32_t extent_count;
    struct extent extents[EXTENTS_MAX];
    uint64_t group;
    bool sync;
};

enum job_state { JOB_IDLE = 0, JOB_READY, JOB_BUSY, JOB_DONE };

struct numbers {              /* a growing set of group numbers */
    uint64_t *v;
    uint32_t count, cap;
};

struct qlog {
    /* constant after qlog_open() */
    struct qlog_options options;
    int folder;               /* log/ */
    uint64_t uuid[2];
    pthread_t writer, preparer;
    bool writer_runs, preparer_runs;
    uint64_t uncertain_group; /* the last one that replay found, when nothing shows that its sync ever happened; else 0 */

    /* loop */
    struct batch batches[2];
    struct batch *filling;
    struct segment *current;  /* where the next record goes, at `at`; NULL while failing */
    uint32_t at;
    uint64_t group, group_sequence; /* being filled; sequence of its first record */
    uint64_t sequence;        /* of the next record */
    uint32_t index;           /* of the next record in its group */
    uint64_t lazy_due_ms;     /* the group has lazy records; UINT64_MAX = none */
    struct qlog_position last, job_end, synced; /* last records: appended, handed over, on stable storage */
    uint64_t synced_group, job_group, job_sequence, job_watch_ms;
    bool failing, restarting; /* void records are to be written, or under way */
    enum err error;
    uint64_t retry_ms;
    uint64_t void_first, void_last, void_told; /* groups of the last failure; told to the caller up to void_told */

    /* lock */
    pthread_mutex_t lock;
    pthread_cond_t work, done, prepare; /* for the log thread; for qlog_close(); for the preparer */
    uint8_t job_state;        /* enum job_state */
    struct batch *job;
    enum err job_error;
    bool wake, stop;          /* the loop waits for the thread even if nothing is synced; all threads end */
    struct segment **live;    /* by generation, rising; owned */
    struct segment **idle;    /* spares and such; owned */
    uint32_t live_count, idle_count, segments_cap; /* either list can take every segment, so that a move cannot fail */
    uint64_t newest;          /* generation given out last */
    uint64_t file_bytes;      /* of all files */
    uint32_t next_number;
    enum err prepare_error;   /* why there is no spare; ERR_NONE = it is being made */
    uint64_t prepare_due_ms;  /* not before */
    struct numbers voids;     /* groups that count for nothing */

    /* log thread */
    struct segment *dirty[EXTENTS_MAX];
    uint32_t dirty_count;
};

/* ---- log.c ---- */
/* qlog_hand_over - the filled batch goes to the log thread, which must be idle; synced, it ends the group. */
void qlog_hand_over(struct qlog *log, bool sync);

/* ---- log_segment.c: the files ---- */
void qlog_segment_name(char out[FILE_NAME_BYTES], uint32_t number, const char *suffix);
/* qlog_segment_create - a new spare, filled and synced. Called without the lock; a pause between slices lets commits pass. */
must_use enum err qlog_segment_create(struct qlog *log, uint32_t number, uint32_t pause_ms, struct segment **out);
/* qlog_segment_write_head - a spare's when its generation is 0. Not synced. */
must_use enum err qlog_segment_write_head(const struct qlog *log, const struct segment *s);
void qlog_segment_free(struct segment *s);
/* qlog_segments_add_idle / qlog_segments_add_live - put a segment that is in no list into one; rising generations only. Under the lock, or with no threads yet. */
must_use enum err qlog_segments_add_idle(struct qlog *log, struct segment *s);
must_use enum err qlog_segments_add_live(struct qlog *log, struct segment *s);
/* qlog_segment_take - a spare becomes the newest segment. Loop. Errors as qlog_append(). */
must_use enum err qlog_segment_take(struct qlog *log, struct segment **out);
/* qlog_segment_give_back - the newest segment holds nothing and was told to nobody. Loop. */
void qlog_segment_give_back(struct qlog *log, struct segment *s);
/* qlog_segment_hold / qlog_segment_let_go - look up by generation, and keep its descriptor open meanwhile. NULL when there is none. */
struct segment *qlog_segment_hold(struct qlog *log, uint64_t generation);
void qlog_segment_let_go(struct qlog *log, struct segment *s);
/* qlog_accepts_welcome - whether there is room beyond the reserve; if not, why. */
bool qlog_accepts_welcome(struct qlog *log, enum err *why);
void *qlog_preparer_main(void *context);

/* ---- log_thread.c ---- */
void *qlog_writer_main(void *context);
/* qlog_write_batch - the log thread's work, also called at start when there is no thread yet. */
must_use enum err qlog_write_batch(struct qlog *log, const struct batch *b);

/* ---- log_recover.c: finding segments; log_replay.c: their records ---- */
must_use enum err qlog_recover_segments(struct qlog *log, struct qlog_recovery *recovery);
must_use enum err qlog_replay(struct qlog *log, struct qlog_position from, qlog_apply_fn *apply, void *context, struct qlog_recovery *recovery);
/* qlog_segment_load - n octets of a segment from `from` on; a block that cannot be read is zero, *unreadable counts them. */
must_use enum err qlog_segment_load(const struct segment *s, uint64_t from, uint64_t n, uint8_t *memory, uint32_t *unreadable);
/* qlog_damage_keep - a copy of octets that could not be used. As well as it goes: a failure is no error. */
void qlog_damage_keep(const struct qlog *log, uint64_t generation, uint32_t offset, struct bytes octets);

must_use enum err qlog_numbers_add(struct numbers *set, uint64_t n);
bool qlog_numbers_have(const struct numbers *set, uint64_t n);

#endif
