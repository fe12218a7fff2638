/*
 * body - message content on the wire, both ways.
 *
 * In: only CR LF . CR LF ends the data (RFC 5321 4.1.1.4): this is the boundary that SMTP smuggling attacks. A CR or LF
 * alone is refused, or (normalise) made a CR LF before anything is stored; a line made so can neither start nor be the end
 * of the data. Out: dots are doubled, and whatever was stored, nothing but CR LF ever ends a line. The BDAT reader is a
 * separate object: it never looks for dots.
 */
#ifndef SMTP_BODY_H
#define SMTP_BODY_H

#include "base/bytes.h"
#include "smtp/reply.h"

/* A reader or stuffer that has fewer octets of room than this stops and wants more. */
enum { SMTP_BODY_ROOM_BYTES_MIN = 2 };

enum smtp_bare_newline { SMTP_BARE_REFUSE = 0, SMTP_BARE_NORMALISE };

enum smtp_body_fault {
    SMTP_BODY_OK = 0,
    SMTP_BODY_BARE_NEWLINE, /* CR or LF alone, under refuse: 550 5.6.0, and the session closes */
    SMTP_BODY_LINE_TOO_LONG, /* 554 5.6.0 after the end */
    SMTP_BODY_TOO_BIG,       /* 552 5.3.4 after the end */
};

struct smtp_body_reader {
    uint8_t state;          /* place between CR, LF, dot */
    uint8_t bare;           /* enum smtp_bare_newline */
    uint8_t fault;          /* first fault met; then input is eaten and nothing produced */
    uint32_t line_bytes, line_bytes_max; /* of the current line, unstuffed, without its end; limit */
    uint64_t bytes, bytes_max;           /* produced; limit */
    bool has_8bit;                       /* an octet over 127 was produced */
};

/* smtp_body_init - for one DATA. line_bytes_max and bytes_max in octets, without and with line ends. */
void smtp_body_init(struct smtp_body_reader *r, enum smtp_bare_newline bare, uint32_t line_bytes_max, uint64_t bytes_max);

/*
 * smtp_body_feed - consume content octets, produce unstuffed ones.
 * In       in     octets as read
 * Out      *used  octets of `in` eaten; out gets the content (CR LF line ends), as much as fits. NUL is content like any
 *          other octet.
 * Returns  SMTP_MORE (in is eaten, or out has less room than SMTP_BODY_ROOM_BYTES_MIN: call again with more), SMTP_DONE (the
 *          end was seen; r->fault tells whether it may be taken),
 *          SMTP_GARBLED (bare newline under refuse: answer 550 5.6.0 and close; what follows cannot be trusted to be commands)
 * Cost     O(n), long runs are copied whole
 */
enum smtp_feed smtp_body_feed(struct smtp_body_reader *r, struct bytes in, uint32_t *used, struct buf *out);

struct smtp_chunk_reader {
    uint64_t left;                       /* octets of the current chunk to come */
    uint64_t bytes, bytes_max;           /* of all chunks of the message */
    uint32_t line_bytes, line_bytes_max; /* of the current line; limit, set by the caller after smtp_chunk_init(), 0 = none */
    uint8_t fault;                       /* enum smtp_body_fault; the first met: from the next call on input is eaten and nothing produced */
    bool has_8bit;                       /* an octet over 127 was produced */
    bool previous_cr;                    /* the last octet was a CR: a bare one if the message ends here */
};

/* smtp_chunk_init - for one message by BDAT; smtp_chunk_begin - for each BDAT command, when the chunk before it was eaten. */
void smtp_chunk_init(struct smtp_chunk_reader *r, uint64_t bytes_max);
void smtp_chunk_begin(struct smtp_chunk_reader *r, uint64_t bytes);
/*
 * smtp_chunk_feed - like smtp_body_feed; DONE at the end of the chunk. Bare CR or LF sets fault BARE_NEWLINE (BINARYMIME is
 * not offered: RFC 3030 3), answered at the end of the chunk.
 */
enum smtp_feed smtp_chunk_feed(struct smtp_chunk_reader *r, struct bytes in, uint32_t *used, struct buf *out);

struct smtp_stuffer {
    uint8_t state; /* at the start of a line, after CR, inside */
};

/* smtp_stuff_init - before the first octet of a message. */
void smtp_stuff_init(struct smtp_stuffer *s);

/*
 * smtp_stuff - dot-stuff content for DATA.
 * Out      *used octets of `in` taken, all unless out has less room than SMTP_BODY_ROOM_BYTES_MIN; out gets them with dots
 *          doubled. A CR or LF alone in stored content is written as CR LF (never emitted bare).
 * smtp_stuff_end - what closes the content: CR LF if it does not end in one, then ". CR LF"; out needs room for 5 octets.
 */
void smtp_stuff(struct smtp_stuffer *s, struct bytes in, uint32_t *used, struct buf *out);
void smtp_stuff_end(const struct smtp_stuffer *s, struct buf *out);

#endif
