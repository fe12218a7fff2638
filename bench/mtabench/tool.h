/*
 * tool - what generator and sink have in common as programs: clock, signals, limits, files, and how numbers are shown.
 */
#ifndef MTABENCH_TOOL_H
#define MTABENCH_TOOL_H

#include <signal.h>
#include <stdio.h>

#include "bench/mtabench/histogram.h"
#include "bench/mtabench/ledger.h"

enum { TOOL_OK = 0, TOOL_NEGATIVE = 1, TOOL_USAGE = 2 }; /* exit codes */

/* Set by signals, once tool_signals() was called: SIGINT, SIGTERM; SIGHUP. */
extern volatile sig_atomic_t tool_stop, tool_hangup;
void tool_signals(void);

uint64_t tool_now_ns(void);
/* tool_cpu_us - CPU time of this process so far. */
uint64_t tool_cpu_us(void);

/* tool_descriptors - have the limit of descriptors raised; says so on stderr and returns false when `wanted` cannot be had. */
bool tool_descriptors(uint64_t wanted);

/* tool_complain - "mtabench: TEXT: WHAT" on stderr; WHAT may be NULL. tool_usage - the same, pointing to --help; returns TOOL_USAGE.
 * tool_usage_value - the same for an option whose value cannot be read. */
void tool_complain(const char *text, const char *what);
int tool_usage(const char *text, const char *what);
int tool_usage_value(const char *option, const char *value);

/* tool_save_ledger - write it beside `path` and put it there whole. Complains and returns false when that fails. */
bool tool_save_ledger(const struct ledger *l, const char *path);
/* tool_load_ledger - the same way back. */
bool tool_load_ledger(struct ledger *l, const char *path);

/* tool_count_file - TOOL_COUNTS numbers of eight octets in a file, least significant first, that others may read while we count; NULL after a
 * complaint. */
enum { TOOL_COUNTS = 2 };
uint64_t *tool_count_file(const char *path);

/* tool_number - "1,234,567" into memory of TOOL_NUMBER_BYTES; tool_us - "1.23 ms" likewise. Both return the memory. */
enum { TOOL_NUMBER_BYTES = 32 };
const char *tool_number(char *memory, uint64_t value);
const char *tool_us(char *memory, uint64_t us);

/* tool_json_histogram - a member of an object: count, mean and percentiles in microseconds. */
void tool_json_histogram(struct buf *out, const char *key, const struct histogram *h);

#endif
