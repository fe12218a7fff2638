/*
 * index_rows - rows of the index as octets: keys and values of its tables. Pure; knows no LMDB.
 *
 * Keys are big-endian, so that their order is the order of their numbers. Every value ends with a CRC-32C over table, key and value: LMDB has no
 * checksums, and a row that came from disk is input.
 */
#ifndef QUEUE_INDEX_ROWS_H
#define QUEUE_INDEX_ROWS_H

#include "queue/log.h"
#include "queue/record.h"
#include "queue/segments.h"

enum index_table {
    INDEX_MESSAGE = 0, /* id -> envelope and place */
    INDEX_RECIPIENT,   /* id, n -> address, state, last reason */
    INDEX_QUEUED,      /* destination, due, id, n -> nothing: what is to be tried */
    INDEX_DESTINATION, /* id -> name, counts, back-off, suspension */
    INDEX_EXPIRE,      /* when, id -> nothing: the next delay warning or expiry */
    INDEX_LOCATED,     /* generation, id -> nothing: whose record is in a segment */
    INDEX_SEGMENT,     /* generation -> live messages and octets */
    INDEX_META,        /* 0 -> struct index_meta */
    INDEX_TABLE_COUNT
};

enum {
    INDEX_VERSION = 1,
    INDEX_KEY_BYTES_MAX = 32,
    INDEX_DESTINATION_NAME_BYTES_MAX = 300,
    INDEX_REASON_BYTES_MAX = RECORD_OUTCOME_TEXT_BYTES_MAX,
    INDEX_ROW_BYTES_MAX = 8 * 1024, /* a message row with every text at its limit */
};

struct index_rcpt {            /* a recipient as the index keeps it */
    uint32_t n;                /* place in the list */
    struct record_rcpt state;
    uint64_t destination;      /* id */
    uint16_t code;             /* of the last reply, 0 = none */
    struct enhanced enhanced;
    struct bytes reason;       /* last reason, at most INDEX_REASON_BYTES_MAX */
    struct rcpt entry;         /* rows only: the entry of the list */
    bool queued;               /* rows only: there is a row in INDEX_QUEUED */
};

struct index_message {         /* a message as the index keeps it: an image of it, in somebody's arena */
    struct record_message m;   /* prefix, body, rcpt_states empty; rcpts whole, but not in a row */
    struct qlog_place place;
    bool in_outcome;           /* the record at place is the outcome that caused this bounce */
    bool fresh;                /* to write: it has no rows yet */
    bool gone;                 /* to write: its rows are to be deleted; only m.id counts */
    uint32_t rcpt_count;       /* of rcpts below: all when read, those that changed when written, rising n */
    struct index_rcpt *rcpts;
};

struct index_destination {
    uint64_t id;
    struct bytes name;
    uint64_t rcpts;            /* queued there */
    int64_t backoff_until_wall_s;
    uint32_t failures;
    bool suspended;
    bool gone;                 /* to write: delete */
    struct bytes reason;
};

struct index_queued {          /* a row of INDEX_QUEUED, and where a scan goes on */
    uint64_t destination;
    int64_t due_wall_s;
    struct message_id id;
    uint32_t n;
};

struct index_meta {
    struct qlog_position position;
    uint64_t accepted, delivered, bounced, expired, removed; /* the auditor's sums, in recipients */
    uint64_t id_floor;         /* message ids up to this are used */
    uint64_t destinations_made; /* destination ids up to this are used */
    uint64_t messages, held, bytes; /* in the queue */
};

/* index_notice - when a message has to be looked at by time: delay warning or expiry; 0 = never (held mail does not age). */
int64_t index_notice(const struct record_message *m);

void index_key_u64(struct buf *key, uint64_t a);                        /* MESSAGE, DESTINATION, SEGMENT, META */
void index_key_rcpt(struct buf *key, struct message_id id, uint32_t n); /* RECIPIENT */
void index_key_pair(struct buf *key, uint64_t a, uint64_t b);           /* EXPIRE, LOCATED */
void index_key_queued(struct buf *key, const struct index_queued *q);

/* Key decoders: false when the length is wrong. */
bool index_key_u64_get(struct bytes key, uint64_t *a);
bool index_key_rcpt_get(struct bytes key, struct message_id *id, uint32_t *n);
bool index_key_pair_get(struct bytes key, uint64_t *a, uint64_t *b);
bool index_key_queued_get(struct bytes key, struct index_queued *q);

/* Encoders append a value with its CRC. A buffer of INDEX_ROW_BYTES_MAX always has room. */
void index_empty_encode(struct buf *out, enum index_table table, struct bytes key);
void index_message_encode(struct buf *out, struct bytes key, const struct index_message *im);
void index_rcpt_encode(struct buf *out, struct bytes key, const struct index_rcpt *r);
void index_destination_encode(struct buf *out, struct bytes key, const struct index_destination *d);
void index_segment_encode(struct buf *out, struct bytes key, const struct segment_use *s);
void index_meta_encode(struct buf *out, struct bytes key, const struct index_meta *meta);

/* Decoders borrow from value. ERR_CORRUPT; ERR_BAD_VERSION for a meta row of a newer program. */
must_use enum err index_empty_decode(enum index_table table, struct bytes key, struct bytes value);
must_use enum err index_message_decode(struct bytes key, struct bytes value, struct index_message *im);
must_use enum err index_rcpt_decode(struct bytes key, struct bytes value, struct index_rcpt *r);
must_use enum err index_destination_decode(struct bytes key, struct bytes value, struct index_destination *d);
must_use enum err index_segment_decode(struct bytes key, struct bytes value, struct segment_use *s);
must_use enum err index_meta_decode(struct bytes key, struct bytes value, struct index_meta *meta);

/* index_row_check - whether a row of any table is good; for walks. */
must_use enum err index_row_check(enum index_table table, struct bytes key, struct bytes value);

#endif
