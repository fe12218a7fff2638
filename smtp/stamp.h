/*
 * stamp - dates and the Received field that this server puts in front of a message.
 */
#ifndef SMTP_STAMP_H
#define SMTP_STAMP_H

#include "base/bytes.h"
#include "base/net.h"

/*
 * smtp_date_write - RFC 5322 3.3 date-time in UTC: "Sun, 22 Nov 2026 20:20:30 +0000". Times outside 1970..9999 are those of
 * its ends.
 */
void smtp_date_write(struct buf *out, int64_t wall_s);

struct smtp_received {
    struct bytes helo;          /* as the client said; made safe here */
    struct bytes client_name;   /* forward-confirmed, or "unknown" */
    struct net_address client;  /* family 0: mail of our own or of a user of this host, no "from" */
    uint32_t uid;               /* of that user, with helo; mail of our own has no helo */
    struct bytes tls;           /* "TLSv1.3 with cipher NAME (256/256 bits)"; empty = in the clear */
    struct bytes by;            /* our host name */
    struct bytes with;          /* "ESMTP", "SMTP", "UTF8SMTP", ... (RFC 3848, 6531) */
    struct bytes for_address;   /* the recipient when there is exactly one, else empty */
    int64_t wall_s;             /* when it was taken */
};

/*
 * smtp_received_write - append a Received field with CR LF, folded.
 * Source   RFC 5321 4.4
 * Out      *id_offset  where in out->ptr the 16 octets of the queue id stand (written as '0'): the queue fills them in
 * Errors   out->overflow
 */
void smtp_received_write(struct buf *out, const struct smtp_received *r, uint32_t *id_offset);

#endif
