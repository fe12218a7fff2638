/*
 * reply - one reply of a remote server, read incrementally; and replies of ours, written.
 *
 * The grammar is one table, position in line by class of octet. A garbled reply is final: the session must close. A bare LF
 * ends a line here, and is flagged (some servers send it); a CR inside a line garbles. Inbound mail is the opposite
 * (smtp/body.h).
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/bytes.h"
#include "base/limits.h"
#include "base/verdict.h"

enum {
    SMTP_REPLY_LINE_BYTES_MAX = 4096,   /* eight times what RFC 5321 4.5.3.1.5 promises; with the line end */
    SMTP_REPLY_BYTES_MAX = 1024 * 1024, /* an EHLO answer has about 300 octets; one with 10,000 silly keywords is still read, and they are ignored */
    SMTP_REPLY_OWN_TEXT_BYTES_MAX = 480, /* of a line of ours: with code, enhanced status and CR LF it stays within RFC 5321's 512 */
};

enum smtp_feed { SMTP_MORE = 0, SMTP_DONE, SMTP_GARBLED };

struct smtp_reply {
    uint8_t position;       /* place in the line's grammar */
    bool more_lines;        /* the current line had '-' */
    bool bare_lf;           /* some line ended without CR */
    bool text_cut;          /* more text came than is kept */
    uint16_t code;          /* 200..599 once the first line is whole; 0 before */
    uint16_t line_code;     /* digits of the current line's code so far */
    uint32_t line_bytes;    /* octets of the current line so far */
    uint32_t lines;         /* whole lines */
    uint64_t bytes;         /* of the whole reply */
    uint32_t text_len;      /* octets kept in text */
    uint8_t text[REPLY_TEXT_BYTES_MAX]; /* the lines' texts joined by '\n', without codes */
};

/* smtp_reply_init - ready for the next reply. Zeroes everything that a later look could mistake for this reply's. */
void smtp_reply_init(struct smtp_reply *r);

/*
 * smtp_reply_feed - consume octets of one server reply.
 * Source   RFC 5321 4.2, 4.2.1; line limit of 4.5.3.1.5 relaxed
 * In       in       octets as read
 * Out      *used    octets eaten, 0 <= *used <= in.len; the rest belongs to the next reply
 * Returns  SMTP_MORE; SMTP_DONE or SMTP_GARBLED, which are final: until smtp_reply_init() nothing more is eaten
 * Cost     O(n), no allocation
 */
enum smtp_feed smtp_reply_feed(struct smtp_reply *r, struct bytes in, uint32_t *used);

/* smtp_reply_text - the kept text of a reply. */
struct bytes smtp_reply_text(const struct smtp_reply *r);

/*
 * smtp_reply_enhanced - the enhanced status at the start of the text (RFC 2034, 3463); zero when absent, malformed, or of
 * another class than the code.
 */
struct enhanced smtp_reply_enhanced(const struct smtp_reply *r);

/*
 * smtp_enhanced_parse - "5.1.1" followed by the end of text or line, or a space, at the start of text; *used octets with the
 * space.
 */
bool smtp_enhanced_parse(struct bytes text, struct enhanced *out, uint32_t *used);

/* smtp_enhanced_write - append "5.1.1". */
void smtp_enhanced_write(struct buf *out, struct enhanced e);

/*
 * smtp_reply_write - append a reply of ours: "code[-| ]x.y.z text CRLF" for each line of text ('\n' separates).
 * In       code      200..599
 *          enhanced  left out when its class is not that of the code (RFC 2034 4), so class 0 leaves it out
 *          text      may quote foreign octets: controls become '?'; each line is cut to SMTP_REPLY_OWN_TEXT_BYTES_MAX
 * Errors   out->overflow: then nothing of the reply was written
 */
void smtp_reply_write(struct buf *out, uint16_t code, struct enhanced enhanced, struct bytes text);

#endif
