/*
 * ledger - which messages were seen, and for how many recipients: the generator's says what a server took, the sink's what came out.
 *
 * Two octets for each number of a run, so that a run of ten million messages costs 20 MB. In a file it is text, a line for each range of numbers with
 * the same count: "RUN FIRST LAST RECIPIENTS". A relay may split a message by recipients, so recipients are compared, not copies.
 */
#ifndef MTABENCH_LEDGER_H
#define MTABENCH_LEDGER_H

#include <stdio.h>

#include "base/err.h"
#include "bench/mtabench/ident.h"

enum {
    LEDGER_RUNS_MAX = 4096,                /* of one sink; an afternoon of measuring has hundreds */
    LEDGER_NUMBER_MAX = 1000 * 1000 * 1000, /* 2 GB of counts; a number beyond it is not one of ours */
    LEDGER_COUNT_MAX = UINT16_MAX,         /* counts stay at this */
};

struct ledger_run {
    uint8_t name[IDENT_RUN_BYTES_MAX];
    uint32_t name_len;
    uint16_t *counts;   /* by number; owned */
    uint64_t numbers;   /* how many there is room for */
    uint64_t last;      /* the highest number seen */
    uint64_t ids;       /* numbers with a count */
    uint64_t recipients;
};

struct ledger {
    struct ledger_run *runs; /* owned */
    uint32_t run_count, run_cap;
    uint32_t recent; /* the run that was asked for last: nearly always the next one too */
};

void ledger_init(struct ledger *l);
void ledger_fini(struct ledger *l);

/* ledger_add - `recipients` more of a message. ERR_NO_MEMORY, ERR_FULL (too many runs), ERR_BAD_VALUE (number too high). */
must_use enum err ledger_add(struct ledger *l, struct bytes run, uint64_t number, uint32_t recipients);

/* ledger_count - recipients of a message, 0 when it was not seen. ledger_ids - messages of all runs. */
uint32_t ledger_count(struct ledger *l, struct bytes run, uint64_t number);
uint64_t ledger_ids(const struct ledger *l);

/* ledger_write - all of it; ERR_IO. ledger_read - add what a file says; ERR_CORRUPT, ERR_IO, or an error of ledger_add(). */
must_use enum err ledger_write(const struct ledger *l, FILE *to);
must_use enum err ledger_read(struct ledger *l, FILE *from);

struct ledger_difference {
    uint64_t sent, sent_recipients;        /* acknowledged to the generator */
    uint64_t seen, seen_recipients;        /* of these runs, in the sink */
    uint64_t lost, lost_recipients;        /* messages of which the sink has too little, and how much */
    uint64_t doubled, doubled_recipients;  /* ... too much */
    uint64_t unacknowledged;               /* messages that came out though the generator was never told that they were taken */
};

/* ledger_compare - judge the runs of `sent`; other runs that the sink has seen do not count. `each`, if given, is called for every message that
 * is lost (wanted > got) or doubled. */
typedef void ledger_each_fn(void *context, struct bytes run, uint64_t number, uint32_t wanted, uint32_t got);
struct ledger_difference ledger_compare(struct ledger *sent, struct ledger *seen, ledger_each_fn *each, void *context);

#endif
