/*
 * header - what must be known of a message's header: counted and looked at, never decoded, never changed.
 */
#ifndef SMTP_HEADER_H
#define SMTP_HEADER_H

#include "base/bytes.h"
#include "base/limits.h"

struct smtp_header_scan {
    uint8_t state;           /* place in a line: at its start, in a name, in a value, ... */
    bool done;               /* the empty line (or a line that cannot be a header's) was seen */
    bool has_8bit;           /* octets over 127 in the header */
    bool capturing;          /* inside the first Message-ID */
    bool has_date, has_from, has_message_id; /* such a field was seen */
    uint32_t received_count; /* Received: fields, for the loop limit (RFC 5321 6.3) */
    uint64_t header_bytes;   /* octets up to and with the empty line, once done; else so far */
    uint64_t line_bytes;     /* octets of the current line so far */
    uint32_t name_len;       /* octets in name; when it is full the name may be longer, and is none that matters */
    uint8_t name[24];        /* start of the current field's name, lower case */
    uint32_t message_id_len; /* octets kept in message_id */
    uint8_t message_id[MESSAGE_ID_BYTES_MAX]; /* with its angle brackets, spaces cut */
};

void smtp_header_init(struct smtp_header_scan *s);

/*
 * smtp_header_feed - look at the next octets of content (CR LF line ends); returns at once when done. O(n). Folded fields
 * are followed.
 */
void smtp_header_feed(struct smtp_header_scan *s, struct bytes content);

/* smtp_header_end - the content ended: without an empty line all of it was header. */
void smtp_header_end(struct smtp_header_scan *s);

#endif
