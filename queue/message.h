/*
 * message - a message in memory: one block with its envelope, its recipients' states, and its legs (recipients by destination).
 *
 * Memory is the authority for a message that is here (resident); the index for one that is not.
 */
#ifndef QUEUE_MESSAGE_H
#define QUEUE_MESSAGE_H

#include "base/heap.h"
#include "queue/link.h"
#include "queue/log.h"
#include "queue/record.h"

struct destination;
struct body;

enum message_state {
    MESSAGE_PREPARING = 1, /* not in the log yet */
    MESSAGE_PENDING,       /* in the log, its group not synced yet */
    MESSAGE_LIVE,
    MESSAGE_GONE           /* every recipient is final; kept until no row of the index is left */
};

enum message_dirt {
    DIRT_NONE = 0,
    DIRT_DIRTY, /* differs from the index */
    DIRT_TAKEN, /* its copy is on the way to the index */
    DIRT_AGAIN  /* that, and changed since */
};

enum { RCPT_NO_JOB = UINT32_MAX };

struct rcpt_slot {
    struct record_rcpt state;
    uint32_t leg;           /* index in the message's legs */
    uint32_t job_head;      /* while taken: the first recipient of its job, or RCPT_NO_JOB */
    uint32_t job_left;      /* in the slot of job_head: recipients of the job still in hand */
    uint16_t code;          /* of the last reply, 0 = none */
    uint16_t reason_len;
    struct enhanced enhanced;
    bool taken;             /* in hand: a job or a notice */
    bool dirty;             /* differs from its row in the index */
    uint8_t *reason;        /* owned; NULL when reason_len is 0 */
};

enum leg_place { LEG_OUT = 0, LEG_READY, LEG_WAITING };

struct leg {
    struct message *message;
    struct destination *destination;
    uint32_t first, count;  /* slice of the message's order[] */
    uint32_t queued, taken; /* recipients in state RCPT_QUEUED; of them in hand */
    uint32_t open;          /* while READY: those that can be taken, as the destination has counted them */
    uint8_t place;          /* enum leg_place */
    uint64_t active_ms;     /* when it became READY */
    struct link ready;      /* in the destination's ready list */
    struct heap_node due;   /* in the destination's waiting heap */
};

struct message {
    struct message *hash_next;
    struct record_message m;     /* texts point into the block; hold_reason owned by itself; prefix, body, rcpt_states empty */
    struct qlog_place place;     /* of its record; generation 0 while PREPARING */
    bool in_outcome;             /* that record is the outcome that caused this bounce */
    uint8_t state;               /* enum message_state */
    uint8_t dirt;                /* enum message_dirt */
    bool indexed;                /* may have rows in the index */
    bool noticing;               /* its notice was given out */
    bool answer;                 /* somebody waits for QUEUE_COMMITTED */
    uint64_t group;              /* PENDING: what decides */
    uint64_t cookie;
    struct link queue;           /* PREPARING, PENDING: in the list of those; LIVE and clean: in the list of clean ones */
    struct link dirty;           /* in the list of dirty ones, or of those in the snapshot */
    struct link fresh;           /* in the list of those without rows, in id order */
    struct heap_node notice;
    struct body *body;           /* cached content, or NULL */
    uint32_t queued, taken;      /* sums of the legs' */
    uint32_t leg_count, text_bytes;
    struct leg *legs;
    struct rcpt_slot *rcpts;     /* m.rcpt_count */
    uint32_t *order;             /* indexes of recipients, by leg */
    uint8_t *text;               /* all texts but hold_reason, in one run */
};

/*
 * message_new - a resident copy of a message.
 * In       m             states are read from m->rcpt_states
 *          destinations  of each recipient; their `mark` is used
 * Returns  NULL when there is no memory
 */
struct message *message_new(const struct record_message *m, struct destination *const *destinations);

/* message_free - it must be in no list and heap; its legs out of their destinations. Its body stays whoever's it is. */
void message_free(struct message *m);

/* message_set_hold / message_set_reason - keep a copy; false when there is no memory (nothing changes). */
bool message_set_hold(struct message *m, bool held, struct bytes reason);
bool message_set_reason(struct rcpt_slot *r, struct bytes reason);

/* message_move_texts - make a copy's texts point into its own copy of the run of texts. */
void message_move_texts(struct record_message *copy, const uint8_t *from, uint8_t *to);

/* message_put_states - all recipients' states as in a record. */
void message_put_states(struct buf *out, const struct message *m);

static inline struct bytes rcpt_reason(const struct rcpt_slot *r) { return bytes_of(r->reason, r->reason_len); }

struct message_table { /* by id */
    struct message **buckets;
    uint32_t count, bucket_count; /* buckets: a power of two */
};

must_use enum err message_table_init(struct message_table *t);
void message_table_fini(struct message_table *t);
struct message *message_table_find(const struct message_table *t, struct message_id id);
/* message_table_put - grows when it can; never fails. */
void message_table_put(struct message_table *t, struct message *m);
void message_table_take(struct message_table *t, struct message *m);
/* message_table_next - walk all: start with NULL. The table must not change in between. */
struct message *message_table_next(const struct message_table *t, const struct message *after);

#endif
