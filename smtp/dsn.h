/*
 * dsn - the text of a delivery status notification: multipart/report of RFC 6522, 3464, 3461, and 6533 for SMTPUTF8.
 *
 * Everything foreign (the remote's words, addresses, header text) is encoded so that it can add no line and no part:
 * controls become '?', octets over 127 too unless the report is one for UTF-8, lines are folded, and returned content that
 * has the boundary is left out.
 */
#ifndef SMTP_DSN_H
#define SMTP_DSN_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/verdict.h"

enum smtp_dsn_kind { SMTP_DSN_FAILED = 0, SMTP_DSN_DELAYED, SMTP_DSN_DELIVERED, SMTP_DSN_RELAYED, SMTP_DSN_EXPIRED };

struct smtp_dsn {
    enum smtp_dsn_kind kind;
    struct bytes reporting_mta; /* our host name */
    struct bytes envid;         /* xtext as given, or empty */
    struct bytes to;            /* the original sender: the DSN's recipient */
    struct bytes original_id;   /* the original message's queue id, as text */
    struct bytes own_id;        /* the notification's own queue id, as text: makes its Message-ID */
    int64_t arrival_wall_s;     /* of the original */
    int64_t now_wall_s;
    int64_t retry_until_wall_s; /* for DELAYED; 0 = leave out */
    bool utf8;                  /* the original needed SMTPUTF8: message/global-delivery-status (RFC 6533) */
    bool full;                  /* RET=FULL: content is the whole message, else its header only */
    uint64_t boundary_seed;     /* random; makes the boundary */
};

struct smtp_dsn_rcpt {
    struct bytes address;
    struct bytes orcpt;           /* as given, or empty */
    struct verdict verdict;       /* the last one; text is the remote's words or ours */
    struct bytes remote_mta;      /* host that said it, or empty */
    int64_t last_attempt_wall_s;
};

/*
 * The message is written in this order: smtp_dsn_begin (header, and the part for people up to its list), smtp_dsn_human for
 * each recipient, smtp_dsn_machine_begin, smtp_dsn_machine_rcpt for each recipient, smtp_dsn_content or not, smtp_dsn_end.
 * The header has From (MAILER-DAEMON), To, Subject, Date, Message-ID, Auto-Submitted: auto-replied, MIME-Version,
 * Content-Type. It is 8-bit whenever the returned content is; with utf8 it needs SMTPUTF8 if to or anything in the header
 * has octets over 127.
 * Errors   out->overflow: the caller leaves out content (RET=HDRS) or recipients and tries again
 * Cost     O(n)
 */
void smtp_dsn_begin(struct buf *out, const struct smtp_dsn *d);
void smtp_dsn_human(struct buf *out, const struct smtp_dsn *d, const struct smtp_dsn_rcpt *r);
void smtp_dsn_machine_begin(struct buf *out, const struct smtp_dsn *d);
void smtp_dsn_machine_rcpt(struct buf *out, const struct smtp_dsn *d, const struct smtp_dsn_rcpt *r);

/*
 * smtp_dsn_content - what is returned of the original: its header, or with d->full all of it, unchanged.
 * Returns  false when the boundary occurs in it: then nothing was written, and the report is whole without it (RFC 6522 3)
 */
bool smtp_dsn_content(struct buf *out, const struct smtp_dsn *d, struct bytes header_or_message);
void smtp_dsn_end(struct buf *out, const struct smtp_dsn *d);

#endif
