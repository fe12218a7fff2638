/*
 * dot - whether the final dot succeeded, decided before anything richer looks at the reply.
 *
 * A total function over octets: three digits, a separator, to the line's end, the same digits on each line; it keeps a few octets of state, stores
 * no text, and every input has an answer. It must agree with smtp/reply.h on what is a reply (dot_fuzz.c holds them together): what crashes later, in
 * parsing the rest, cannot change what was stored.
 */
#ifndef MTA_BOX_DOT_H
#define MTA_BOX_DOT_H

#include "mta/box/box.h"

struct dot { /* all zero = nothing read */
    uint16_t code;       /* of the first line */
    uint16_t line_code;  /* digits of this line so far */
    uint16_t line_bytes;
    uint32_t bytes;
    uint8_t place;       /* enum of dot.c */
    bool second;         /* not the first line */
    bool more;           /* this line has '-' */
};

/* dot_feed - octets of the answer to a final dot. Returns BOX_DOT_PARTIAL until it is whole; BOX_DOT_CODE and BOX_DOT_JUNK are final. */
enum box_dot dot_feed(struct dot *d, struct bytes in);

#endif
