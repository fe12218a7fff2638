/*
 * capabilities - what a remote server offered in its answer to EHLO. Only the known set is kept; the rest is ignored.
 */
#ifndef SMTP_CAPABILITIES_H
#define SMTP_CAPABILITIES_H

#include "base/bytes.h"

enum {
    SMTP_CAP_PIPELINING = 1, SMTP_CAP_SIZE = 2, SMTP_CAP_8BITMIME = 4, SMTP_CAP_SMTPUTF8 = 8, SMTP_CAP_DSN = 16,
    SMTP_CAP_ENHANCEDSTATUSCODES = 32, SMTP_CAP_CHUNKING = 64, SMTP_CAP_STARTTLS = 128, SMTP_CAP_LIMITS = 256,
    SMTP_CAP_AUTH = 512, SMTP_CAP_REQUIRETLS = 1024,
};

struct smtp_capabilities {
    uint32_t set;            /* SMTP_CAP_ bits */
    uint64_t size_max_bytes; /* SIZE argument; 0 = none given */
    uint32_t rcpt_max;       /* LIMITS RCPTMAX (RFC 9422); 0 = none */
    uint32_t mail_max;       /* LIMITS MAILMAX; 0 = none */
};

/*
 * smtp_capabilities_line - take in one line of an EHLO answer.
 * In       c     zeroed before the first line of each EHLO answer: what was said before TLS, or by another greeting, does
 *          not count
 *          line  text of a line behind the first (that one greets), without code, separator and line end
 * A line whose keyword or argument is malformed is ignored; of one that is repeated the last counts.
 * The reply parser keeps only REPLY_TEXT_BYTES_MAX of text, so the client machine cuts lines out of the octets as they come in.
 */
void smtp_capabilities_line(struct smtp_capabilities *c, struct bytes line);

#endif
