/*
 * state - what the files of the queue share: the struct behind `struct queue`, and what they call of one another. Only they include it.
 *
 * The rule that holds it together: memory stands for exactly the records appended to the log so far, but for those in `kept` that found no room yet.
 * So a copy of what is dirty, together with the log's last position, is a checkpoint - once that position is synced, and nothing of it was void.
 */
#ifndef QUEUE_STATE_H
#define QUEUE_STATE_H

#include "queue/body.h"
#include "queue/ids.h"
#include "queue/index.h"
#include "queue/kept.h"
#include "queue/message.h"
#include "queue/origins.h"
#include "queue/queue.h"
#include "queue/retry.h"
#include "queue/schedule.h"
#include "queue/segments.h"
#include "queue/thread.h"

enum {
    RESIDENT_MAX_DEFAULT = 20000,          /* messages kept in memory though they are not in hand: 20 MB */
    WAITING_MAX = 4096,                    /* accepts that wait for room in the log or for their file's sync */
    KEPT_BYTES_MAX = 32 * 1024 * 1024,     /* outcomes that wait for room in the log: more, and new mail is refused */
    CHECKPOINT_MS = 1000,                  /* between two checkpoints */
    CHECKPOINT_DIRTY = 4000,               /* so many dirty messages make one due at once: copying them takes some milliseconds */
    CHECKPOINT_RETRY_MS = 1000,
    BACKLOG_MS = 5000,                     /* a checkpoint that takes longer: no new mail */
    REPLAY_DIRTY_MAX = 20000,              /* at start: messages in memory before the index takes them */
    RUNS_BYTES_MAX = 4 * 1024 * 1024,      /* results of one outcome; texts are left out when they need more */
    BOUNCE_BYTES_MAX = 256 * 1024,         /* a notification: inline body, prefix, one recipient */
};

struct audit { /* recipients, since the queue was made */
    uint64_t accepted, delivered, bounced, expired, removed;
};

enum checkpoint_state { CHECKPOINT_IDLE = 0, CHECKPOINT_UNSYNCED /* waits for the log */, CHECKPOINT_GIVEN /* with the index thread */, CHECKPOINT_FAILED };

struct checkpoint {
    struct task task;                /* first: the thread's view of it */
    struct index *index;
    struct index_change change;      /* everything in the arena */
    struct arena arena;
    struct message_id oldest_id;     /* out */
    enum err error;                  /* out */
    uint8_t state;                   /* enum checkpoint_state; the loop's, as all below */
    bool wanted;                     /* do not wait for CHECKPOINT_MS */
    bool told;                       /* that the index cannot be written: once, not with every try */
    uint64_t group;                  /* what must be synced first */
    uint64_t free_below;             /* generations that nothing refers to once it is committed */
    uint64_t number, count;          /* of the snapshot; committed so far */
    uint64_t begun_ms, done_ms, retry_ms;
    struct qlog_position position;   /* the last committed */
};

struct unlinking { /* a body file that no live message has any more */
    struct unlinking *next;
    uint64_t body_id;
    uint64_t number; /* the checkpoint after which it may go */
};

struct open_body { /* a body file that no message has yet */
    struct open_body *next;
    uint64_t id;
};

struct answer { /* an event that needs nothing to wait for: a COMMIT that was answered before, an outcome that recorded nothing */
    struct answer *next;
    uint64_t cookie;
    struct message_id id;
    uint8_t type;
};

struct compaction {
    bool active, scanning, scanned;
    uint64_t generation;     /* the segment that is being emptied */
    struct message_id cursor;
    uint32_t outstanding;    /* messages being loaded or read */
    uint32_t moving;         /* records written and not synced yet */
    uint32_t failed;         /* messages that could not be read in this round */
    uint64_t check_ms;       /* when to look whether it is worth while */
};

struct queue {
    struct queue_options options;
    struct retry retry;
    uint64_t now_ms;
    int64_t now_wall_us;
    int lock_fd, bodies_fd, event_fd;
    uint32_t resident_max, record_bytes_max;
    enum err fault;
    bool opened;                     /* replay is over, threads run */
    bool rebuilt;                    /* at start: the index is being made from the log */
    bool survived;                   /* lived long enough to trust the index */
    uint64_t opened_ms;
    uint64_t taken;                  /* recipients in hand */
    bool pumped;                     /* queue_collect() has looked at logs and threads in this round */
    struct qlog *log;
    struct qlog_progress progress;
    struct index *index;
    struct thread index_thread, read_thread, sync_thread;
    struct message_table table;
    struct schedule schedule;
    struct ids ids;
    struct origins origins;
    struct segments segments;
    struct body_cache bodies;
    struct kept_list kept;
    struct heap notices;             /* of resident messages, by monotonic time */
    uint64_t index_notice_ms;        /* when the index may have one due */
    bool notices_loading;
    struct link syncing, waiting, pending, refused, dirty, snapped, clean, fresh;
    uint32_t waiting_count, dirty_count;
    struct message *graves;          /* freed at the next queue_collect(); chained by hash_next */
    struct body_read *read_first, **read_last; /* contents to tell about */
    struct unlinking *unlinking;
    struct open_body *open_bodies;
    struct answer *answers;
    uint32_t loads;                  /* load and scan tasks out */
    struct audit audit;
    uint64_t messages, held, message_bytes;
    struct message_id index_oldest;  /* lowest id in the index as of the last checkpoint */
    struct checkpoint checkpoint;
    struct compaction compaction;
    bool disk_low;                   /* less than min_free_bytes */
    enum err log_full;               /* why the log took no accept last, until one goes in */
    uint64_t log_full_ms;
    uint64_t disk_check_ms;
    uint64_t random;                 /* state of a small generator for jitter */
    struct destination **route_memory;
    uint32_t route_cap;
    uint32_t *notice_memory;         /* indexes of recipients of the last notice */
    uint32_t notice_cap;
    uint8_t *record_memory, *runs_memory, *bounce_memory;
};

/* queue.c */
void queue_time(struct queue *q, uint64_t now_ms, int64_t now_wall_us);
void queue_say(struct queue *q, bool warning, const char *text);
void queue_say_id(struct queue *q, bool warning, const char *text, struct message_id id, enum err e);
void queue_fail(struct queue *q, enum err e, const char *why);
uint64_t queue_random(struct queue *q);

/* resident.c - messages coming into memory and leaving it. */
/* resident_route - destinations of all recipients, in q->route_memory. */
must_use enum err resident_route(struct queue *q, const struct record_message *m);
/* resident_make - message and table entry; not counted anywhere yet. */
must_use enum err resident_make(struct queue *q, const struct record_message *m, struct message **out);
/* resident_enter - it is in the queue now: sums, segments, dirty. resident_leave - the same back, for one that was refused. */
void resident_enter(struct queue *q, struct message *m, bool count);
void resident_leave(struct queue *q, struct message *m);
/* resident_schedule - all its legs where they belong, and its notice. */
void resident_schedule(struct queue *q, struct message *m);
void resident_notice(struct queue *q, struct message *m);
/* resident_dirty - differs from the index. resident_rcpt_dirty - one of its recipients does. */
void resident_dirty(struct queue *q, struct message *m);
void resident_rcpt_dirty(struct queue *q, struct message *m, uint32_t n);
/* resident_place - its record is elsewhere now. */
void resident_place(struct queue *q, struct message *m, const struct qlog_place *place, bool in_outcome);
/* resident_finish - the last recipient is final. resident_drop - out of memory. */
void resident_finish(struct queue *q, struct message *m);
void resident_drop(struct queue *q, struct message *m);
/* resident_evict - out of memory, since the index has it. */
void resident_evict(struct queue *q, struct message *m);
void resident_evict_some(struct queue *q);
bool resident_is_idle(const struct message *m);
/* resident_adopt - a message read from the index becomes resident; the one that is there already wins. */
must_use enum err resident_adopt(struct queue *q, const struct index_message *im, struct message **out);
/* resident_get - resident, or read from the index now. */
must_use enum err resident_get(struct queue *q, struct message_id id, struct message **out);
void resident_sweep(struct queue *q);

/* apply.c - what records mean. */
/* apply_state - recipient n is in this state now; sums follow. */
void apply_state(struct queue *q, struct message *m, uint32_t n, const struct record_outcome_rcpt *run);
void apply_settle_legs(struct queue *q, struct message *m);
bool apply_hold(struct queue *q, struct message *m, bool held, struct bytes reason);
void apply_found(void *context, const struct qlog_found *found);

/* outcome.c */
must_use enum err outcome_write(struct queue *q, struct message *m, struct bytes runs, uint32_t run_count, struct record_message *bounce, bool removes,
                                uint64_t cookie);
void outcome_appended(void *context, const struct kept *r);
void outcome_flush(struct queue *q);
void outcome_release(struct queue *q, struct message *m, uint32_t n);

/* accept.c */
void accept_retry(struct queue *q);
void accept_void(struct queue *q, uint64_t group);
void accept_synced_body(struct queue *q, struct body_sync *t);
void accept_unlink(struct queue *q, uint64_t body_id, uint64_t number);
void accept_unlink_due(struct queue *q, uint64_t number);

/* events.c */
void events_pump(struct queue *q);
/* events_answer - an event that is true already. */
must_use enum err events_answer(struct queue *q, enum queue_event_type type, struct message_id id, uint64_t cookie);

/* checkpoint.c */
void checkpoint_turn(struct queue *q);
void checkpoint_synced(struct queue *q);
void checkpoint_void(struct queue *q);
void checkpoint_done(struct queue *q);
must_use enum err checkpoint_now(struct queue *q, struct qlog_position position);

/* load.c */
void load_turn(struct queue *q);
void load_done(struct queue *q, struct task *t);
must_use bool load_message_to_move(struct queue *q, struct message_id id);
must_use bool load_scan_located(struct queue *q, uint64_t generation, struct message_id after);

/* compact.c */
void compact_turn(struct queue *q);
void compact_loaded(struct queue *q, struct message *m);
void compact_read(struct queue *q, struct body_read *t);
void compact_scanned(struct queue *q, enum err e, const struct message_id *ids, uint32_t count, uint32_t max);
void compact_missing(struct queue *q, struct message_id id);

/* bodies.c */
struct body_read *bodies_task(struct queue *q, const struct message *m);
void bodies_read_done(struct queue *q, struct body_read *t);

/* recover.c */
must_use enum err recover_index(struct queue *q);
must_use enum err recover_log(struct queue *q);
void recover_sweep(struct queue *q);
/* recover_trial - a mark on disk between opening the index and having lived with it. */
void recover_trial(struct queue *q, bool begin);

#endif
