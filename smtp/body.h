/*
 * body - message content on the wire, both ways.
 *
 * In: only CR LF . CR LF ends the data (RFC 5321 4.1.1.4): this is the boundary that SMTP smuggling attacks. A CR or LF alone is refused,
 * or (normalise) made a CR LF before anything is stored. Out: dots are doubled, the end is written by the caller's machine, and it is
 * asserted that nothing but CR LF ends a line unless the message was stored so by BDAT.
 * The BDAT reader is a separate object: it never looks for dots.
 */
#ifndef SMTP_BODY_H
#define SMTP_BODY_H

#include "base/bytes.h"
#include "smtp/reply.h"

enum smtp_bare_newline { SMTP_BARE_REFUSE = 0, SMTP_BARE_NORMALISE };

enum smtp_body_fault {
    SMTP_BODY_OK = 0,
    SMTP_BODY_BARE_NEWLINE, /* CR or LF alone, under refuse: 550 5.6.0, and the session closes */
    SMTP_BODY_LINE_TOO_LONG,/* 554 5.6.0 after the end */
    SMTP_BODY_TOO_BIG,      /* 552 5.3.4 after the end */
    SMTP_BODY_NUL,          /* reserved: NUL is kept as content */
};

struct smtp_body_reader {
    uint8_t state;          /* place between CR, LF, dot */
    uint8_t bare;           /* enum smtp_bare_newline */
    uint8_t fault;          /* first fault met; then input is eaten and nothing produced */
    uint32_t line_bytes, line_bytes_max;
    uint64_t bytes, bytes_max; /* produced; limit */
    bool has_8bit;
};

/* smtp_body_init - for one DATA. line_bytes_max and bytes_max in octets, without and with line ends. */
void smtp_body_init(struct smtp_body_reader *r, enum smtp_bare_newline bare, uint32_t line_bytes_max, uint64_t bytes_max);

/*
 * smtp_body_feed - consume content octets, produce unstuffed ones.
 * In       in     octets as read
 * Out      *used  octets of `in` eaten; out gets the content (CR LF line ends), as much as fits
 * Returns  SMTP_MORE (in is eaten, or out is full: call again), SMTP_DONE (the end was seen; r->fault tells whether it may be taken),
 *          SMTP_GARBLED (bare newline under refuse: answer 550 5.6.0 and close; what follows cannot be trusted to be commands)
 * Cost     O(n), long runs are copied whole
 */
enum smtp_feed smtp_body_feed(struct smtp_body_reader *r, struct bytes in, uint32_t *used, struct buf *out);

struct smtp_chunk_reader {
    uint64_t left;             /* octets of the current chunk to come */
    uint64_t bytes, bytes_max; /* of all chunks of the message */
    uint8_t fault;             /* enum smtp_body_fault */
    bool has_8bit, previous_cr;
};

/* smtp_chunk_init - for one message by BDAT; smtp_chunk_begin - for each BDAT command. */
void smtp_chunk_init(struct smtp_chunk_reader *r, uint64_t bytes_max);
void smtp_chunk_begin(struct smtp_chunk_reader *r, uint64_t bytes);
/* smtp_chunk_feed - like smtp_body_feed; DONE at the end of the chunk. Bare CR or LF sets fault BARE_NEWLINE (BINARYMIME is not offered: RFC 3030 3), answered at the end of the chunk. */
enum smtp_feed smtp_chunk_feed(struct smtp_chunk_reader *r, struct bytes in, uint32_t *used, struct buf *out);

struct smtp_stuffer {
    uint8_t state; /* at the start of a line, after CR, inside */
};

/* smtp_stuff_init - before the first octet of a message. */
void smtp_stuff_init(struct smtp_stuffer *s);

/*
 * smtp_stuff - dot-stuff content for DATA.
 * Out      *used octets of `in` taken; out gets them with dots doubled. A CR or LF alone in stored content is written as CR LF (never emitted bare).
 * smtp_stuff_end - what closes the content: CR LF if it does not end in one, then ". CR LF".
 */
void smtp_stuff(struct smtp_stuffer *s, struct bytes in, uint32_t *used, struct buf *out);
void smtp_stuff_end(const struct smtp_stuffer *s, struct buf *out);

#endif
