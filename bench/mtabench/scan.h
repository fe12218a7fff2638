/*
 * scan - the content of one message, as the sink reads it: where it ends, whose it is, whether it is whole.
 *
 * Only CR LF . CR LF ends it, wherever the octets were cut into reads. The content itself is not kept. A message of the generator carries its name in
 * a header field near the top and again in its last line: when the two differ, a part of it was lost or mixed up on the way. Pure; knows no socket.
 */
#ifndef MTABENCH_SCAN_H
#define MTABENCH_SCAN_H

#include "bench/mtabench/ident.h"

enum {
    SCAN_LINE_BYTES_MAX = 96, /* of a header line, as much as is looked at: the field's name, a colon, blanks, and a name */
    SCAN_TAIL_BYTES = 64,     /* the last line with its name, and the end of the content */
};

struct scan {
    uint8_t matched;     /* octets of CR LF . CR LF that the content ends in so far, 0..5; it begins as if a CR LF stood before it */
    bool in_header;      /* the name is still looked for */
    bool found;          /* name has it */
    uint64_t bytes;      /* of the content so far, its end included */
    uint32_t line_len;   /* octets kept of the current header line */
    uint32_t tail_len;
    uint32_t name_len;
    uint8_t line[SCAN_LINE_BYTES_MAX];
    uint8_t tail[SCAN_TAIL_BYTES]; /* the last octets read */
    uint8_t name[IDENT_BYTES_MAX];
};

/* scan_begin - for the content of one message. */
void scan_begin(struct scan *s);

/*
 * scan_feed - read on.
 * Out      *used  octets of `in` that belong to this content, its end included
 * Returns  true when the end was seen; then nothing more may be fed
 * Cost     one memchr() over the content, since dots are rare
 */
bool scan_feed(struct scan *s, struct bytes in, uint32_t *used);

/* scan_name - the text of the name from the header; empty when there was none. */
struct bytes scan_name(const struct scan *s);

/* scan_is_whole - at the end: the last line is the name too. */
bool scan_is_whole(const struct scan *s);

#endif
