/*
 * submission - header fields that a message of our own users must have and has not: Date, From, Message-ID.
 *
 * Only for mail that begins here, from submission listeners and sendmail(1) (RFC 6409 8); what passes through is left as it is. Fields are
 * added in front, never changed: one that is there stays, however wrong.
 */
#ifndef SMTP_SUBMISSION_H
#define SMTP_SUBMISSION_H

#include "base/limits.h"
#include "smtp/header.h"

enum {
    SMTP_SUBMISSION_DATE = 1,
    SMTP_SUBMISSION_FROM = 2,
    SMTP_SUBMISSION_MESSAGE_ID = 4,
    SMTP_SUBMISSION_NAME_BYTES_MAX = 128, /* of a person's name; longer ones are left out */
    SMTP_SUBMISSION_BYTES_MAX = 2048,     /* of all three: an address of 320, a name in coded form, a host of 255, and their frames */
};

/* smtp_submission_missing - the set of the fields that a whole header has not (smtp_header_feed(), to its end). */
uint32_t smtp_submission_missing(const struct smtp_header_scan *header);

struct smtp_submission {
    struct bytes sender; /* canonical; empty: MAILER-DAEMON of the host */
    struct bytes name;   /* the sender's own, from -F or the password file; UTF-8; empty = none. Text that is none is left out */
    struct bytes host;   /* ours, for Message-ID */
    struct bytes unique; /* letters and digits that no other message of this host has, e.g. its queue id */
    int64_t wall_s;      /* when it was submitted */
};

/*
 * smtp_submission_write - append the fields of a set, with CR LF.
 * Errors   out->overflow; SMTP_SUBMISSION_BYTES_MAX is always enough. Not more than a field's part may be written then: drop it all
 */
void smtp_submission_write(struct buf *out, uint32_t fields, const struct smtp_submission *s);

#endif
