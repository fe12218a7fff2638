/*
 * ident - the name of one message: RUN-NUMBER, for instance "k3v9q0aa-000000004711".
 *
 * RUN names one run of the generator, NUMBER counts its messages from 1 and has twelve digits at least, so that all messages of a run have the
 * same length. The text stands in the header field X-Mtabench-Id and in the last line of the body.
 */
#ifndef MTABENCH_IDENT_H
#define MTABENCH_IDENT_H

#include "base/bytes.h"

enum {
    IDENT_RUN_BYTES_MAX = 16,
    IDENT_DIGITS = 12,
    IDENT_BYTES_MAX = IDENT_RUN_BYTES_MAX + 1 + 20,
};

#define IDENT_FIELD "X-Mtabench-Id"

/* ident_run_valid - 1..16 letters and digits. */
bool ident_run_valid(struct bytes run);

/* ident_write - append RUN-NUMBER. */
void ident_write(struct buf *out, struct bytes run, uint64_t number);

/* ident_parse - RUN-NUMBER and nothing else; *run borrows from text. The number is not 0. */
bool ident_parse(struct bytes text, struct bytes *run, uint64_t *number);

#endif
