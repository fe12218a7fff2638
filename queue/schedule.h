/*
 * schedule - destinations: what is ready for each, what waits, how many at once, and when to try again. Pure memory, time passed in.
 *
 * A destination has one timer in all, however much mail waits for it. Each resident message has one leg for each of its destinations; a leg is ready
 * (in line), waiting (by due time), or out (all in hand, held, final). What is not resident is known only by count and by when to look into the index.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include "base/hash.h"
#include "queue/index_rows.h"
#include "queue/message.h"
#include "queue/retry.h"

enum {
    DESTINATION_WINDOW_FIRST = 5,        /* jobs at once at the start, as everybody does */
    DESTINATION_LIMIT_DEFAULT = 20,
    DESTINATION_KEEP_MS = 30 * 1000,     /* an empty destination is remembered so long, for its concurrency and back-off */
    DESTINATION_LOAD_MORE = 2,           /* fewer ready legs than half the window and these: load */
    DESTINATION_LOAD_TO = 4,             /* until there are as many as the window and these */
};

struct destination {
    struct destination *id_next, *name_next; /* hash chains */
    uint64_t id, name_hash;
    struct link all;            /* in id order */
    struct link run;            /* in the round robin */
    struct link want;           /* in the list of those that want mail from the index */
    struct link dirty;          /* differs from its row */
    struct link idle;           /* nothing queued, nothing in hand */
    struct link ready;          /* list of legs, first come first served */
    struct heap waiting;        /* legs by due time */
    struct heap_node timer;     /* in schedule.timers */
    uint32_t mark;              /* message_new()'s */
    uint32_t legs;              /* resident legs that point here */
    uint32_t ready_legs;
    uint64_t open;              /* recipients that can be taken now */
    uint64_t total, resident;   /* queued recipients in all; in memory */
    uint64_t index_due_ms;      /* when the index may have something due; UINT64_MAX = not by time */
    struct index_queued cursor; /* where the scan of the index goes on; id 0 = at the start */
    bool loading;
    bool rescan;                /* the index got rows that the scan may have passed */
    bool indexed;               /* may have a row */
    bool suspended;
    bool gone;                  /* only its row is left to delete */
    uint32_t in_flight, connections;
    uint32_t window_milli;      /* allowed jobs at once, in thousandths */
    uint32_t failures;
    int64_t backoff_until_wall_s;
    uint64_t backoff_until_ms, wait_until_ms, idle_since_ms;
    uint8_t *reason;            /* owned */
    uint16_t reason_len, name_len;
    uint8_t name[];
};

struct schedule {
    struct destination **by_id, **by_name; /* hash buckets, a power of two of each */
    uint32_t bucket_count, count, suspended_count;
    uint64_t made;              /* ids up to this are used */
    struct hash_key key;
    uint32_t limit;             /* jobs at once for one destination */
    struct link all, run, want, dirty, idle;
    struct heap timers;
    bool news;                  /* somebody got into the round robin since schedule_next() was asked */
    uint64_t queued, resident;  /* recipients: sums of the destinations' */
    uint64_t now_ms;
    int64_t now_wall_us;
};

must_use enum err schedule_init(struct schedule *s, uint32_t limit);
void schedule_fini(struct schedule *s);

/* schedule_time - what time it is for all that follows. */
void schedule_time(struct schedule *s, uint64_t now_ms, int64_t now_wall_us);

/* schedule_mono - when a wall second is, on the monotonic clock; not further off than the longest wait, so that a wall clock that jumps does no harm. */
uint64_t schedule_mono(const struct schedule *s, int64_t wall_s);

struct destination *destination_find(const struct schedule *s, uint64_t id);
struct destination *destination_find_name(const struct schedule *s, struct bytes name);
/* destination_make - find or make; NULL when there is no memory. */
struct destination *destination_make(struct schedule *s, struct bytes name);
/* destination_restore - from its row in the index. */
must_use enum err destination_restore(struct schedule *s, const struct index_destination *row);

static inline struct bytes destination_name(const struct destination *d) { return bytes_of(d->name, d->name_len); }
static inline struct bytes destination_reason(const struct destination *d) { return bytes_of(d->reason, d->reason_len); }
bool destination_set_reason(struct destination *d, struct bytes reason);

/* destination_refresh - after anything changed: where it stands in line, when it is looked at again. */
void destination_refresh(struct schedule *s, struct destination *d);
void destination_dirty(struct schedule *s, struct destination *d);
/* destination_count - change of what is queued there. */
void destination_count(struct schedule *s, struct destination *d, int64_t total, int64_t resident);
/* destination_blocked - backing off or suspended. */
bool destination_blocked(const struct schedule *s, const struct destination *d);
/* destination_wants - how many messages of the index would be welcome in memory. */
uint32_t destination_wants(const struct destination *d);
void destination_free(struct schedule *s, struct destination *d);

void destination_ok(struct schedule *s, struct destination *d);
void destination_failed(struct schedule *s, struct destination *d, uint64_t wait_ms, struct bytes reason);

/* leg_settle - put a leg where it belongs now: ready, waiting or out. leg_remove - out, whatever its state. */
must_use enum err leg_settle(struct schedule *s, struct leg *leg);
void leg_remove(struct schedule *s, struct leg *leg);

/* schedule_message_in / _out - count legs that point to destinations. _out takes them out of line. */
void schedule_message_in(struct schedule *s, struct message *m);
void schedule_message_out(struct schedule *s, struct message *m);

/* schedule_turn - what became due. schedule_next - the next destination in the round robin that may have a job; NULL when none may. */
void schedule_turn(struct schedule *s);
struct destination *schedule_next(struct schedule *s);
/* schedule_deadline_ms - when schedule_turn() or schedule_next() has something new to say. */
uint64_t schedule_deadline_ms(const struct schedule *s);

#endif
