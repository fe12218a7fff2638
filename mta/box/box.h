/*
 * box - a worker's black box: what it was doing when it died, in memory that outlives it.
 *
 * The master makes one memory file for each worker. The worker writes it in passing, by plain stores: two counters around every look at foreign octets,
 * and a checked mark at each step that decides what may be done again. The manager reads a copy of what a dead worker left, and believes none of it that
 * does not agree with what it gave that worker itself (mta/box/grants.h). There is a slot for each connection: an idle one, or one in its greeting,
 * can kill too.
 *
 * A mark stands twice in a slot and the older one is overwritten, so that a death in the middle of a store leaves the one before it. Stores of one thread
 * are seen by others in program order (x86-64; elsewhere the fences below are the compiler's only, and a store may be lost with the process: then the
 * older mark counts, which repeats at worst). Knows nothing of SMTP but the step numbers and the first three digits of a reply (mta/box/dot.h).
 */
#ifndef MTA_BOX_BOX_H
#define MTA_BOX_BOX_H

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/err.h"
#include "base/net.h"
#include "base/verdict.h"

enum {
    BOX_SLOTS_MAX = 32768,      /* connections of the largest worker; the file is full of holes, only used slots cost memory */
    BOX_RCPTS_MAX = 640,        /* of one attempt: the manager gives out no more (mta/manager/attempts.c asserts it) */
    BOX_ANSWERS_MAX = 256,      /* to one end of a message, by LMTP: what the client's ring can await (mta/deliver/session.c asserts it) */
    BOX_BYTES_MAX = 2048,       /* kept of what the remote said: a reply's longest line */
    BOX_PARSES = 64,            /* last looks at foreign octets, over all connections */
    BOX_HEADER_BYTES = 4096,
    BOX_SLOT_BYTES = 4096 + 64, /* not a power of two: else the busy lines of all slots would fall into one set of the processor's cache */
    BOX_MAGIC = 0x31584f42,     /* "BOX1" */
};
#define BOX_FILE_BYTES ((uint64_t)BOX_HEADER_BYTES + (uint64_t)BOX_SLOTS_MAX * BOX_SLOT_BYTES)

/* What became of one recipient, in 16 bits; 0 = nothing yet. The same form is kept in grants. */
enum { BOX_RCPT_JUDGED = 0x8000, BOX_RCPT_DUPLICATE = 0x4000, BOX_RCPT_CLASS_SHIFT = 12, BOX_RCPT_CODE_MASK = 0x3ff };
static inline uint16_t box_rcpt_pack(uint8_t class, uint16_t code, bool maybe_duplicate)
{
    return (uint16_t)(BOX_RCPT_JUDGED | (maybe_duplicate ? BOX_RCPT_DUPLICATE : 0) | (class & 3u) << BOX_RCPT_CLASS_SHIFT | (code & BOX_RCPT_CODE_MASK));
}
static inline uint8_t box_rcpt_class(uint16_t packed) { return (uint8_t)(packed >> BOX_RCPT_CLASS_SHIFT & 3u); }
static inline uint16_t box_rcpt_code(uint16_t packed) { return packed & BOX_RCPT_CODE_MASK; }

enum box_phase {
    BOX_IDLE = 0, /* no attempt: greeting, waiting for one, leaving */
    BOX_BEFORE,   /* an attempt; the remote cannot have the whole message */
    BOX_AFTER,    /* DOT_INTENT: what ends the message was submitted, or is about to be */
    BOX_PHASE_COUNT
};

/* What the final dot's answer is (mta/box/dot.h); the code is beside it. */
enum box_dot { BOX_DOT_NOTHING = 0, BOX_DOT_PARTIAL, BOX_DOT_CODE, BOX_DOT_JUNK, BOX_DOT_COUNT };

struct box_mark {
    uint64_t attempt;
    uint32_t sequence;   /* the higher of two sound marks counts */
    uint32_t rcpts_sum;  /* over the recipients' verdicts, once DOT_INTENT is stored */
    uint16_t rcpt_count;
    uint16_t dot_code;   /* 200..599 with BOX_DOT_CODE; with `each` how many answers there are */
    uint8_t phase;       /* enum box_phase */
    uint8_t dot;         /* enum box_dot */
    uint8_t ended;       /* nothing more will be stored for this connection */
    uint8_t each;        /* LMTP: the end of the message has one answer for each recipient that was not judged before it, in their order */
    uint32_t answers_sum; /* with `each`, over the answers */
    uint32_t sum;        /* over this mark and the identity of its slot */
};

struct box_identity { uint32_t worker_epoch, manager_epoch; uint64_t connection; };

struct box_slot {
    _Alignas(64) struct box_identity identity;
    uint64_t parse_begin, parse_end; /* equal = nobody is looking at foreign octets */
    uint32_t step;                   /* enum mail_step of the last look */
    uint32_t bytes_len;              /* octets kept */
    uint64_t bytes_seen;             /* octets of the present reply; more than are kept when it is long */
    struct net_address peer;         /* as the worker has it; for a receiver the only word on who its client was */
    struct box_mark marks[2];
    uint16_t rcpts[BOX_RCPTS_MAX];   /* stored before DOT_INTENT: answers to RCPT, and verdicts that needed none */
    uint16_t answers[BOX_ANSWERS_MAX]; /* reply codes after DOT_INTENT, with `each` */
    uint8_t bytes[BOX_BYTES_MAX];
};
static_assert(sizeof(struct box_slot) <= BOX_SLOT_BYTES && sizeof(struct box_mark) == 32, "a slot must fit its place, and a mark have no holes");

struct box_parse { uint64_t connection; uint32_t manager_epoch, step; };

struct box_header {
    uint32_t magic;
    uint32_t worker_epoch;
    uint32_t manager_seen;          /* epoch of the manager that the worker serves: it has noticed the end of the one before */
    uint32_t high, high_inverted;   /* slots below were in use; twice, so that a scribble shows */
    uint32_t parse_next;            /* of the ring below, modulo BOX_PARSES */
    struct box_parse parses[BOX_PARSES];
};
static_assert(sizeof(struct box_header) <= BOX_HEADER_BYTES, "the header must fit its page");

/* ---- the worker's side: no system call, no allocation; a few stores each ---- */

struct box {
    uint8_t *memory;                /* BOX_FILE_BYTES, writable and shared */
    uint32_t worker_epoch, manager_epoch;
    bool begun;                     /* this process has written into it */
};

static inline struct box_header *box_header(const struct box *b) { return (struct box_header *)(void *)b->memory; }
static inline struct box_slot *box_slot(const struct box *b, uint32_t index)
{
    return (struct box_slot *)(void *)(b->memory + BOX_HEADER_BYTES + (size_t)index * BOX_SLOT_BYTES);
}
#define box_fence() atomic_signal_fence(memory_order_seq_cst)

/* box_init - at setup: memory that nobody else sees. box_use - the master's, before any connection; takes over fd. box_begin - before the first slot is used:
 * it is empty then. (worker.c) */
must_use enum err box_init(struct box *b, uint32_t worker_epoch);
must_use enum err box_use(struct box *b, int fd);
void box_begin(struct box *b);
/* box_start - a worker begins with all of it empty (memory was zeroed by the caller). */
void box_start(struct box *b);
/* box_manager - another manager is served from now on. */
void box_manager(struct box *b, uint32_t manager_epoch);
/* box_open - slot `index` is this connection's from now on; the caller sees to it that what the slot held before has been written elsewhere. */
void box_open(struct box *b, uint32_t index, uint64_t connection);
/* box_attempt - a message for the connection; rcpt_count at most BOX_RCPTS_MAX. */
void box_attempt(struct box *b, struct box_slot *s, uint64_t attempt, uint32_t rcpt_count);
/* box_rcpts - a verdict for a run of recipients; ignored once DOT_INTENT is stored: from then on the answer to the dot speaks for the others. */
void box_rcpts(struct box *b, struct box_slot *s, uint32_t first, uint32_t count, const struct verdict *v);
/* box_dot_intent - before the send that holds the end of the message is submitted; each = it has an answer for each recipient (LMTP). */
void box_dot_intent(struct box *b, struct box_slot *s, bool each);
/* box_answer - with `each`: the next of these answers. What cannot stand for one recipient alone (3yz, 421) is said by box_dot() with BOX_DOT_JUNK instead. */
void box_answer(struct box *b, struct box_slot *s, uint16_t code);
/* box_dot - what the answer to the dot is, so far. */
void box_dot(struct box *b, struct box_slot *s, enum box_dot dot, uint16_t code);
/* box_end - the connection is over. */
void box_end(struct box *b, struct box_slot *s);

/* box_keep - foreign octets that are about to be looked at; `fresh` = they begin a reply (never said between DOT_INTENT and the end of its answer). */
static inline void box_keep(struct box_slot *s, struct bytes in, bool fresh)
{
    uint32_t at = fresh ? 0 : s->bytes_len;
    uint32_t room = at < BOX_BYTES_MAX ? BOX_BYTES_MAX - at : 0, n = in.len < room ? in.len : room;
    if (fresh) s->bytes_seen = 0;
    if (n) memcpy(s->bytes + at, in.ptr, n);
    s->bytes_len = at + n;
    s->bytes_seen += in.len;
}

/* box_parse_begin, box_parse_end - around every look at foreign octets. */
static inline void box_parse_begin(struct box *b, struct box_slot *s, enum mail_step step)
{
    struct box_header *h = box_header(b);
    h->parses[h->parse_next % BOX_PARSES] = (struct box_parse){s->identity.connection, s->identity.manager_epoch, (uint32_t)step};
    h->parse_next++;
    s->step = (uint32_t)step;
    s->parse_begin++;
    box_fence();
}
static inline void box_parse_end(struct box_slot *s)
{
    box_fence();
    s->parse_end++;
}

/* ---- the manager's side: pure functions over copies ---- */

enum box_condition {
    BOX_UNUSED = 0, /* all zero */
    BOX_SOUND,      /* has a mark that agrees with itself */
    BOX_SPOILED,    /* neither: something wrote where it should not, or a value is impossible */
};

struct box_view { /* a slot's copy, judged; nothing in it is out of range, and all of it may be a lie */
    struct box_identity identity;
    struct net_address peer;
    uint64_t attempt;          /* 0 unless phase is BEFORE or AFTER */
    uint32_t rcpt_count;
    const uint16_t *rcpts;     /* in the copy; NULL when their sum does not agree */
    enum box_phase phase;
    enum box_dot dot;
    uint16_t dot_code;
    bool each;                 /* LMTP; dot is BOX_DOT_NOTHING or BOX_DOT_JUNK */
    uint32_t answered;         /* with `each`: how many answers */
    const uint16_t *answers;   /* in the copy; NULL when their sum does not agree */
    bool ended;
    bool open;                 /* died inside a look at foreign octets */
    enum mail_step step;
    struct bytes bytes;        /* in the copy */
    uint64_t bytes_seen;
};

/* box_view - judge the copy of a slot; *v is meaningful for BOX_SOUND only, but identity, peer, open, step and bytes are bounded for BOX_SPOILED too. */
enum box_condition box_view(const struct box_slot *copy, struct box_view *v);
/* box_header_sound - whether the copy of a header can be believed in part. */
bool box_header_sound(const struct box_header *copy);

#endif
