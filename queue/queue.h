/*
 * queue - the queue as the manager sees it: accept, schedule, give out attempts, record outcomes, operate. (The only header of queue/ that mta/ includes,
 * with record.h for its types.)
 *
 * Truth is the commit log (queue/log.h); the index (queue/index.h, LMDB) is the queue as of a log position; memory holds what is active: a message is
 * either *resident* (memory is right) or not (the index is right). No sockets. Threads: log, index, body reader; this API is for the loop thread only.
 * Time is passed in. Everything asynchronous ends in queue_collect().
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "base/envelope.h"
#include "base/err.h"
#include "base/verdict.h"
#include "queue/record.h"

struct queue;

struct queue_options {
    int folder_fd;                 /* the queue folder, locked by queue_open() (flock on lock): ERR_BUSY = another mtad has it */
    uint64_t segment_bytes, max_bytes, min_free_bytes;
    uint32_t node;                 /* of ids */
    uint32_t retry_count;
    const uint64_t *retry_s;       /* copied */
    uint64_t retry_max_s;
    bool retry_exact;
    uint64_t expire_s, delay_warning_s;
    uint64_t body_cache_bytes;     /* bodies of fresh messages kept in memory; 32 MiB */
    uint32_t resident_max;         /* messages kept in memory though nobody works on them; 0 = 20,000 */
    uint32_t destination_connections; /* default concurrency limit of a destination */
    /* Which destination a recipient goes to: the manager's routing. Appends its name (at most QUEUE_DESTINATION_BYTES_MAX), e.g. "mx:example.com",
     * "relay:3:[192.0.2.1]:25", "maildir:0", "discard:2", "reject:5". Must be a pure function of configuration and question. */
    void (*route)(void *context, const struct record_message *m, const struct rcpt *r, struct buf *destination);
    /* One sentence for the operator: damage set aside, index rebuilt, disk full. */
    void (*say)(void *context, bool warning, struct bytes text);
    void *context;
};
enum { QUEUE_DESTINATION_BYTES_MAX = 300 };

/*
 * queue_open - lock, read the index, replay the log's tail, rebuild the index when it is missing or damaged, audit.
 * Makes the queue folder the working directory of the process (LMDB wants a path, and a confined process has no other), starts all threads,
 * and may fork a short-lived child that walks the index first: call it before lock-down, from a process without threads. Afterwards the process needs
 * openat, unlinkat, fcntl with leases, pread, pwrite, writev, fdatasync, fsync, ftruncate, mmap, munmap below that folder; nothing elsewhere.
 * Errors   ERR_BUSY, ERR_DENIED, ERR_NO_SPACE, ERR_IO, ERR_BAD_VERSION (made by a newer program)
 */
must_use enum err queue_open(struct queue **out, const struct queue_options *options, int64_t now_wall_us, uint64_t now_ms);

/* queue_configure - a reload: retry steps, lifetimes, limits and the routing context change; folder, sizes of segments and node stay as they are. */
void queue_configure(struct queue *q, const struct queue_options *options);

/* queue_fault - ERR_NONE, or why this process cannot go on (a damaged index that only a start can rebuild): say so, drain, exit for restart. */
enum err queue_fault(const struct queue *q);

/* queue_event_fd - becomes readable when queue_collect() has something. */
int queue_event_fd(const struct queue *q);

/* ---- accepting ---- */

/* queue_body_open - create a body file for a receiver to fill. Out: descriptor (caller passes it on and closes it) and id, which becomes the message's. */
must_use enum err queue_body_open(struct queue *q, int *fd, uint64_t *body_id);
void queue_body_drop(struct queue *q, uint64_t body_id);

/*
 * queue_accept - put a message into the filling group.
 * In       m        all slices are copied. id is assigned here and written into *m (body_id for a BODY_FILE); expire_wall_s and warn_wall_s are filled
 *                   in from the options when 0
 *          prefix_copy  what m->prefix points to, or NULL; at id_offset its 16 digits are filled in
 *          cookie   comes back in the event
 *          A BODY_FILE goes through the lease check and its sync off the loop first; when it is refused, its file is removed.
 * Out      event QUEUE_COMMITTED or QUEUE_REFUSED by queue_collect(), never before the sync
 *          A message with an origin that is known already gets QUEUE_COMMITTED with the first one's id: nothing is stored twice.
 * Errors   at once: ERR_NO_SPACE, ERR_FULL (answer 452 4.3.1)
 */
must_use enum err queue_accept(struct queue *q, struct record_message *m, uint8_t *prefix_copy, uint32_t id_offset, uint64_t cookie, int64_t now_wall_us, uint64_t now_ms);

/* queue_accepting - false: new mail gets 452; *reason says why (disk, log, checkpoint backlog). Deliveries go on. */
bool queue_accepting(const struct queue *q, struct bytes *reason);

/* ---- events ---- */
enum queue_event_type { QUEUE_EVENT_NONE = 0, QUEUE_COMMITTED, QUEUE_REFUSED, QUEUE_BODY_READY, QUEUE_BODY_FAILED, QUEUE_OUTCOME_DURABLE, QUEUE_REMOVED };
struct queue_content {             /* what a message consists of, in this order */
    struct bytes prefix;           /* lent until the next queue_collect() */
    struct bytes body;             /* inline body, or the head of any that was asked for; lent likewise */
    int fd;                        /* a BODY_FILE, read-only, body_bytes from body_skip on; the receiver of the content closes it; otherwise -1 */
};
struct queue_event {
    uint8_t type;
    uint64_t cookie;               /* of queue_accept, queue_body, queue_content_head or queue_outcome */
    struct message_id id;
    enum err error;                /* REFUSED, BODY_FAILED */
    struct queue_content content;  /* BODY_READY */
};
/* queue_collect - next event; false when there is none. Call until false, each loop turn. */
bool queue_collect(struct queue *q, struct queue_event *e, int64_t now_wall_us, uint64_t now_ms);

/* ---- giving out ---- */
struct queue_job {                 /* recipients of one message for one destination; ids and texts are valid until queue_outcome() or queue_return() */
    uint64_t destination;          /* id */
    struct bytes destination_name;
    struct message_id id;
    const struct record_message *message; /* prefix and body fields empty: ask queue_body() */
    uint32_t rcpt_count;
    const uint32_t *rcpts;         /* indexes into the message's recipients, unordered */
    int64_t queued_wall_us;        /* arrival, for delays= */
    uint64_t active_ms;            /* when it became due, monotonic */
};
/*
 * queue_next_destination - a destination that has due recipients and fewer jobs in hand than its concurrency; round robin. 0 = none.
 * Attempts under way begin with queue_job_take() and end by outcome or return. It gives the same destination again until it has no due mail, is full,
 * backed off, suspended or told to wait.
 * queue_destination_wait - the manager can do nothing for it now (no worker, hosts being looked up): not given before until_ms; 0 = give it again now.
 * queue_job_take() itself does not look at concurrency or waiting, so that a free connection may take one more; only at back-off and suspension.
 */
uint64_t queue_next_destination(struct queue *q, uint64_t now_ms, int64_t now_wall_us);
void queue_destination_wait(struct queue *q, uint64_t destination, uint64_t until_ms);
/* queue_job_take - the oldest due message of a destination with at most rcpts_max of its due recipients there; false when nothing is due. */
bool queue_job_take(struct queue *q, uint64_t destination, uint32_t rcpts_max, struct queue_job *job);
/*
 * queue_body - ask for prefix and body. At once (true) when they are cached; else event QUEUE_BODY_READY or QUEUE_BODY_FAILED with the cookie.
 * queue_content_head - the same for prefix and at most the first max_bytes of the body, never a descriptor (for bounces).
 * queue_body is for messages with recipients in hand (job or notice) only, queue_content_head for any.
 * The prefix comes with the body, since it is not kept in memory while mail waits:
 * the prefix field of a job's message may be empty.
 * BODY_FAILED: ERR_CORRUPT or ERR_NOT_FOUND will not mend itself (the manager holds the message); others are worth another try.
 */
bool queue_body(struct queue *q, struct message_id id, uint64_t cookie, struct queue_content *cached);
bool queue_content_head(struct queue *q, struct message_id id, uint64_t max_bytes, uint64_t cookie, struct queue_content *cached);

/* What the manager knows of a destination at run time; the queue keeps it in memory and (back-off, suspension) on disk. */
struct queue_destination {
    uint64_t id;
    struct bytes name;
    uint32_t connections;          /* open or being made; the manager sets it */
    uint32_t concurrency;          /* allowed now: grows with success, shrinks with failure */
    uint32_t in_flight;            /* jobs taken */
    uint64_t due_count, total_count; /* recipients due and resident; all queued there */
    int64_t backoff_until_wall_s;  /* 0 = none */
    uint32_t failures;             /* site failures in a row */
    bool suspended;
    struct bytes reason;           /* last site failure or why suspended */
};
bool queue_destination(const struct queue *q, uint64_t id, struct queue_destination *out);
void queue_destination_connections(struct queue *q, uint64_t id, uint32_t connections);

/* ---- recording ---- */
struct queue_result {              /* one run of recipients of a job */
    uint32_t rcpt;                 /* index in the message */
    struct verdict verdict;        /* DELIVERED, LATER, NEVER; NONE = not tried: due again at once */
    bool expired;                  /* given up: set by queue_settle() for a LATER past its time, or by the caller for a queue_notice */
    int64_t due_wall_s;            /* set by queue_settle() for a LATER: when the next try is due; 0 = queue_outcome() decides */
};
/*
 * queue_settle - decide what each result means now: next due time by the retry steps with jitter, or expiry. Changes r[].expired and due_wall_s;
 *                records nothing.
 * queue_outcome - record results, with the bounce (a complete message of ours with inline body, or NULL; id given when 0) in the same record;
 *                 recipients leave the job. Results of recipients that are not in hand are left out. A cookie other than 0 comes back in
 *                 QUEUE_OUTCOME_DURABLE once the record is synced. Never fails for want of log space: it is kept and written when there is room.
 *                 A SITE-scoped LATER is due when the destination's back-off ends: call queue_site_failed() first, once for each failed attempt.
 * queue_return - the job was not tried (worker died before the end of data, no worker): due again at once.
 * A message whose last recipient got a final outcome is removed (event QUEUE_REMOVED) when that outcome is in the log.
 */
void queue_settle(struct queue *q, struct message_id id, struct queue_result *r, uint32_t count, int64_t now_wall_us);
must_use enum err queue_outcome(struct queue *q, struct message_id id, const struct queue_result *r, uint32_t count, struct record_message *bounce, uint64_t cookie,
                                int64_t now_wall_us, uint64_t now_ms);
void queue_return(struct queue *q, struct message_id id, const uint32_t *rcpts, uint32_t count);
/* queue_site_ok - the destination took part in a session to its end: widens its concurrency and ends its back-off.
 * queue_site_failed - it could not be talked to: halves its concurrency and, unless it is backing off already, starts the next step of back-off. */
void queue_site_ok(struct queue *q, uint64_t destination);
void queue_site_failed(struct queue *q, uint64_t destination, struct bytes reason, int64_t now_wall_us);

/* ---- warnings and expiry by time ---- */
struct queue_notice {
    struct message_id id;
    const struct record_message *message; /* as in a job */
    uint32_t rcpt_count;
    const uint32_t *rcpts;         /* queued recipients that are not in hand; valid until the next call of queue_next_notice() */
    bool expired;                  /* else a delay warning is due */
};
/*
 * queue_next_notice - a message whose delay warning or expiry is due. Its recipients are in hand when it expired: the manager ends that by
 * queue_outcome() with expired set, or queue_return(). A warning ends with queue_warned() (notice NULL when nobody wants one). Neither is given
 * again before that.
 */
bool queue_next_notice(struct queue *q, struct queue_notice *n, int64_t now_wall_us);
must_use enum err queue_warned(struct queue *q, struct message_id id, struct record_message *notice, int64_t now_wall_us, uint64_t now_ms);

/* queue_deadline_ms - when something becomes due by time (monotonic), UINT64_MAX = never. */
uint64_t queue_deadline_ms(const struct queue *q, uint64_t now_ms, int64_t now_wall_us);
/* queue_turn - once a loop turn, last: kick the log, start a checkpoint when one is due, load due mail from the index, compact. */
void queue_turn(struct queue *q, int64_t now_wall_us, uint64_t now_ms);

/* ---- operating ---- */
struct queue_totals {
    uint64_t messages, rcpts, bytes, held, active_rcpts, deferred_rcpts, resident, destinations, suspended;
    int64_t oldest_wall_us;
    struct { uint64_t accepted, delivered, bounced, expired, removed, queued; bool balanced; } audit; /* recipients; accepted = the sum of the others */
    uint64_t log_segments, log_bytes, checkpoints, groups;
    uint64_t checkpoint_age_ms;
};
void queue_totals(const struct queue *q, struct queue_totals *t);

struct queue_rcpt_note { struct bytes reason; struct bytes destination; uint16_t code; struct enhanced enhanced; };
/* queue_note - what was last heard of a recipient of a message in hand; false when it is not resident. Borrowed until its next outcome. */
bool queue_note(const struct queue *q, struct message_id id, uint32_t rcpt, struct queue_rcpt_note *note);
struct queue_row {
    const struct record_message *message; /* prefix and body empty */
    const struct record_rcpt *states;     /* rcpt_count of them, list order */
    const struct queue_rcpt_note *notes;  /* likewise */
    bool active;                          /* a recipient is in hand */
};
/*
 * queue_walk - messages in id order from behind `after`, at most `max` rows, resident or from the index, each as it stands.
 * Returns the last id seen, 0 when the end was reached. One short read transaction; never stops mail.
 */
struct message_id queue_walk(struct queue *q, struct message_id after, uint32_t max, void (*row)(void *context, const struct queue_row *row), void *context);

must_use enum err queue_hold(struct queue *q, struct message_id id, struct bytes reason, int64_t now_wall_us);
must_use enum err queue_release(struct queue *q, struct message_id id, int64_t now_wall_us, uint64_t now_ms);
/* queue_due - next try of a message's queued recipients at a time (flush: now). */
must_use enum err queue_due(struct queue *q, struct message_id id, int64_t wall_s, int64_t now_wall_us, uint64_t now_ms);
/* The five below find the message in memory or in the index (a read of some microseconds on the loop). ERR_NOT_FOUND: no such message. */
/* queue_find - the message as queue_walk() shows it; false when there is none. */
bool queue_find(struct queue *q, struct message_id id, void (*row)(void *context, const struct queue_row *row), void *context);
/* queue_remove - the operator removes all queued recipients; final state REMOVED, or BOUNCED with a bounce. ERR_BUSY when any is in hand. */
must_use enum err queue_remove(struct queue *q, struct message_id id, struct record_message *bounce, int64_t now_wall_us, uint64_t now_ms);
must_use enum err queue_suspend(struct queue *q, struct bytes destination, bool suspend, struct bytes reason);
bool queue_destinations(struct queue *q, uint64_t *cursor, struct queue_destination *out);

/* queue_check - walk every invariant; problems go to report. Returns how many. The same for a stopped queue: queue_open() with no manager, then this. */
uint64_t queue_check(struct queue *q, void (*report)(void *context, struct bytes text), void *context);

/* queue_id - a fresh message id (bounces get theirs before the record that holds them). */
struct message_id queue_new_id(struct queue *q, int64_t now_wall_us);

/* queue_close - sync, checkpoint, stop threads, unlock. */
void queue_close(struct queue *q, int64_t now_wall_us, uint64_t now_ms);

#endif
