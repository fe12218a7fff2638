/*
 * text - the messages that the generator sends, prebuilt: for each only its name is written in.
 *
 * A message is three pieces, sent in one call: a head of its own with the header fields, a stretch of a filler that all messages share, and a tail
 * of its own that ends with the name. So a message of any size costs a few hundred octets of copying and no allocation.
 */
#ifndef MTABENCH_TEXT_H
#define MTABENCH_TEXT_H

#include "base/err.h"
#include "bench/mtabench/ident.h"

enum {
    TEXT_HEAD_BYTES_MAX = 448,
    TEXT_BYTES_MIN = 512, /* the smallest message that has room for all of this */
};

struct text {
    struct bytes run;                  /* borrowed; it outlives this */
    uint32_t head_len;                 /* octets of every head */
    uint32_t name_at[4], name_count;   /* where the name stands in the head */
    uint8_t head[TEXT_HEAD_BYTES_MAX]; /* with a name in each place that is to be overwritten */
    uint8_t *filler;                   /* lines; owned */
    uint32_t filler_len;
};

/* text_init - ready for messages up to bytes_max. `run` is valid (ident_run_valid()); wall_s is what Date says. ERR_NO_MEMORY. */
must_use enum err text_init(struct text *t, struct bytes run, uint32_t bytes_max, int64_t wall_s);
void text_fini(struct text *t);

/* text_head - append the head of message `number` to out, which must have room for TEXT_HEAD_BYTES_MAX. */
void text_head(const struct text *t, uint64_t number, struct buf *out);

/* text_filler - the shared middle of a message of `bytes`, TEXT_BYTES_MIN or more. */
struct bytes text_filler(const struct text *t, uint32_t bytes);

/* text_tail - append the rest, with the line that has a dot alone. Head, filler and tail without that line are `bytes` octets. */
void text_tail(const struct text *t, uint32_t bytes, uint64_t number, struct buf *out);

#endif
