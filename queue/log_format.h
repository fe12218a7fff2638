/*
 * log_format - heads of segments and records, and the search for records in octets that may be anything. Pure; part of queue/log.h.
 *
 * A record is a head (QLOG_HEADER_BYTES), its body, and zeroes up to the next multiple of 8. Head and body have a CRC each, so that the length and
 * the sequence of a record with a bad body can be believed. A head tells its own generation and offset: what is left of an older use of the file,
 * or lies inside a message, is never taken for a record.
 */
#ifndef QUEUE_LOG_FORMAT_H
#define QUEUE_LOG_FORMAT_H

#include "base/bytes.h"
#include "base/err.h"
#include "queue/log.h"

enum { SEGMENT_HEAD_BYTES = 96, RECORD_ALIGN_BYTES = 8 };

/* The first block of a file; it stays inside one sector of 512, so it is written whole or not at all. */
struct segment_head {
    uint64_t uuid[2];        /* of the log; uuid[0] is in every record too */
    uint64_t generation;     /* 0 = a spare */
    uint64_t retired;        /* records up to this generation in this file are dead: they are left over from its last use */
    uint64_t oldest;         /* segments below this generation were free when this one was taken into use */
    uint64_t segment_bytes;
    uint64_t first_group, first_sequence; /* of the first record that it was to have */
};

void segment_head_put(uint8_t out[SEGMENT_HEAD_BYTES], const struct segment_head *h);
/* Errors ERR_CORRUPT, ERR_BAD_VERSION: it is whole, but of a newer program. */
must_use enum err segment_head_get(struct bytes in, struct segment_head *h);

struct record_head {
    uint8_t type;            /* enum record_type */
    uint32_t body_bytes, offset;
    uint64_t log_id, generation, group, sequence;
    uint32_t index;          /* in the group, from 0 */
    uint32_t body_crc;
};

void record_head_put(uint8_t out[QLOG_HEADER_BYTES], const struct record_head *h);
/* record_head_get - false when it is not a whole head. */
bool record_head_get(const uint8_t in[QLOG_HEADER_BYTES], struct record_head *h);

/* record_span - octets from a record's start to where the next may start. */
static inline uint32_t record_span(uint32_t body_bytes)
{
    return (QLOG_HEADER_BYTES + body_bytes + RECORD_ALIGN_BYTES - 1) & ~(uint32_t)(RECORD_ALIGN_BYTES - 1);
}

static inline uint32_t block_up(uint32_t offset)
{
    return (offset + QLOG_BLOCK_BYTES - 1) & ~(uint32_t)(QLOG_BLOCK_BYTES - 1);
}

struct record_scan {         /* a walk through the octets of a segment */
    struct bytes in;
    uint32_t base;           /* offset of in.ptr[0] in the segment, a multiple of 8 */
    uint32_t at;             /* octets done */
    uint64_t log_id;         /* 0 = any */
    uint64_t generation;     /* 0 = any */
};

/*
 * record_scan_next - the next head that is whole and belongs here. Trusts no length but that of such a head.
 * Out      *h       it; *body the octets of its body, cut at the end of the input; *whole whether the body is all there and its CRC is right
 * Returns  false at the end
 */
bool record_scan_next(struct record_scan *s, struct record_head *h, struct bytes *body, bool *whole);

#endif
