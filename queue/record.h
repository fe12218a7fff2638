/*
 * record - what the commit log says, and its octets.
 *
 * A record states results, never increments, and can be applied twice. It can be read, shipped and applied by itself.
 * `accept` and `move` have the same body: a whole message with the state of every recipient; so the index can be rebuilt from the
 * log alone. Octets from disk are input: every decoder checks bounds and gives ERR_CORRUPT.
 */
#ifndef QUEUE_RECORD_H
#define QUEUE_RECORD_H

#include "base/envelope.h"
#include "base/err.h"
#include "base/verdict.h"

enum record_type {
    RECORD_NONE = 0,
    RECORD_ACCEPT,    /* struct record_message: a new message */
    RECORD_MOVE,      /* struct record_message: the same message again, as it stands now (compaction) */
    RECORD_OUTCOME,   /* struct record_outcome (+ an embedded RECORD_ACCEPT body for the bounce that it causes) */
    RECORD_HOLD,      /* message id, reason */
    RECORD_RELEASE,   /* message id */
    RECORD_VOID,      /* group: records of that group after a failed sync count for nothing */
    RECORD_RECOVERED, /* group: the last one, whose sync nothing proves: what is missing in it was promised to nobody; 0 = none; first after a start */
    RECORD_CLOSED,    /* group: the last one before an orderly end; so that damage in it shows as damage, not as a torn tail */
    RECORD_TYPE_COUNT
};

/* Where the octets of a body are. */
enum body_kind { BODY_INLINE = 0, BODY_FILE };

enum rcpt_state { RCPT_QUEUED = 0, RCPT_DELIVERED, RCPT_BOUNCED, RCPT_EXPIRED, RCPT_REMOVED, RCPT_STATE_COUNT };

struct record_rcpt {              /* state of recipient n, in list order */
    uint8_t state;                /* enum rcpt_state */
    uint8_t notified;             /* NOTIFY_DELAY once the delay warning was made */
    uint16_t tries;
    int64_t due_wall_s;           /* next try; 0 = at once */
};

struct record_message {
    struct message_id id;
    int64_t arrival_wall_us;
    int64_t expire_wall_s;        /* when it is given up */
    int64_t warn_wall_s;          /* when the delay warning is due; 0 = never or made */
    uint32_t flags;               /* MAIL_ bits */
    uint8_t ret;                  /* RET_ value */
    bool held;
    struct origin { uint16_t receiver; uint32_t epoch; uint64_t transaction; } origin; /* of the COMMIT; zero = none */
    struct net_address client;
    struct bytes client_name, helo, sender, envid, message_id, hold_reason;
    uint32_t rcpt_count;
    struct bytes rcpts;           /* flat list, base/envelope.h */
    struct bytes rcpt_states;     /* rcpt_count entries of RECORD_RCPT_BYTES, see record_rcpt_get(); empty = all fresh */
    struct bytes prefix;
    uint8_t body_kind;            /* enum body_kind */
    uint64_t body_id;             /* BODY_FILE: name in body/ */
    uint64_t body_skip, body_bytes, header_bytes;
    struct bytes body;            /* BODY_INLINE: body_bytes octets */
};

enum {
    RECORD_RCPT_BYTES = 12,
    RECORD_RUN_BYTES_MIN = 31,             /* a run without text */
    RECORD_OUTCOME_TEXT_BYTES_MAX = 512,   /* what is kept of a reply on disk */
    RECORD_TEXT_BYTES_MAX = 1024,          /* client_name, helo, hold reasons: longer ones are an error of the caller */
    RECORD_FIXED_BYTES_MAX = 10 * 1024     /* a message's record without rcpts, rcpt_states and inline body is never longer */
};

/* record_rcpt_get - state of recipient n; a fresh one (queued, due at once) when `states` is empty or ends before it. */
struct record_rcpt record_rcpt_get(struct bytes states, uint32_t n);
void record_rcpt_put(struct buf *out, const struct record_rcpt *r);

struct record_outcome_rcpt {      /* one run of recipients with the same outcome */
    uint32_t first, count;
    struct record_rcpt state;
    uint16_t code;
    struct enhanced enhanced;
    struct bytes text;            /* last reason, for listings and bounces; at most RECORD_OUTCOME_TEXT_BYTES_MAX */
};

struct record_outcome {
    struct message_id id;
    uint32_t run_count;
    struct bytes runs;            /* encoded struct record_outcome_rcpt, see record_run_next() */
    struct bytes bounce;          /* an encoded record_message body, or empty */
};

/* record_run_put - append a run, its text cut to RECORD_OUTCOME_TEXT_BYTES_MAX; overflow as any buf, also for a run that record_run_next() would refuse. */
void record_run_put(struct buf *out, const struct record_outcome_rcpt *run);
/* record_run_next - the next run; false at the end (c->failed false) or when the list is broken (c->failed true). Borrows from the list. */
bool record_run_next(struct cursor *c, struct record_outcome_rcpt *run);

/*
 * Encoders append the body of a record to `out`, whole or not at all; decoders borrow from `in`.
 * What an encoder writes its decoder takes: both judge by the same rules, lists and states included (O(n) in the recipients).
 * Errors   encoders: ERR_TOO_LONG a text over its limit, ERR_BAD_VALUE anything else that cannot be, ERR_FULL no room in out
 *          decoders: ERR_CORRUPT; ERR_BAD_VERSION made by a newer program
 * The body of every record about one message begins with its id (8 octets, least significant first): record_peek_id().
 */
must_use enum err record_message_encode(struct buf *out, const struct record_message *m);
must_use enum err record_message_decode(struct bytes in, struct record_message *m);

/* record_message_encode_head - the same without the octets of an inline body: the caller hands m->body on as the next piece, uncopied. */
must_use enum err record_message_encode_head(struct buf *out, const struct record_message *m);

/* record_message_body_offset - where the inline body's octets begin inside an encoded record_message (so that a body can be read without the
 *                              rest); also the size of what record_message_encode_head() writes. */
uint32_t record_message_body_offset(const struct record_message *m);

must_use enum err record_outcome_encode(struct buf *out, const struct record_outcome *o);
must_use enum err record_outcome_decode(struct bytes in, struct record_outcome *o);

/* record_outcome_bounce_offset - where the bounce begins inside an encoded record_outcome. */
uint32_t record_outcome_bounce_offset(const struct record_outcome *o);

/* hold: id + reason; release: id; void, recovered, closed: group. */
must_use enum err record_hold_encode(struct buf *out, struct message_id id, struct bytes reason);
must_use enum err record_hold_decode(struct bytes in, struct message_id *id, struct bytes *reason);
must_use enum err record_u64_encode(struct buf *out, uint64_t value);
must_use enum err record_u64_decode(struct bytes in, uint64_t *value);

/* record_peek_id - the message id at the start of a body, also of a damaged one (then only a hint); 0 when it is too short. */
struct message_id record_peek_id(struct bytes in);

#endif
