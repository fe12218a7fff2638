/*
 * pattern - regular expressions of tables, bounded: compiled, matched, and what they captured put into a value. The only user of PCRE2.
 *
 * A pattern is written by the administrator, a subject by anybody. So a match may take PATTERN_STEPS_MAX steps and PATTERN_HEAP_KIB of memory
 * and no more; what needs more is an error and not an answer. There is no JIT: no process of ours may make executable memory.
 */
#ifndef MTA_CONFIG_PATTERN_H
#define MTA_CONFIG_PATTERN_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    PATTERN_BYTES_MAX = 2048,      /* what a person can still read */
    PATTERN_SUBJECT_BYTES_MAX = 1024,
    PATTERN_STEPS_MAX = 100000,    /* some milliseconds */
    PATTERN_HEAP_KIB = 1024,
    PATTERN_CAPTURES_MAX = 32,
};

/* How a pattern is meant: the letters behind its second delimiter, as Postfix's pcre_table(5) has them. */
enum {
    PATTERN_NOT = 1,       /* !/.../: holds when it does not match */
    PATTERN_CASE = 2,      /* i: case counts; by default it does not */
    PATTERN_LINES = 4,     /* m */
    PATTERN_DOT_ALL = 8,   /* s turns it off; on by default */
    PATTERN_SPACED = 16,   /* x */
    PATTERN_ANCHORED = 32, /* A */
    PATTERN_END_ONLY = 64, /* E */
    PATTERN_UNGREEDY = 128 /* U */
};

struct pattern; /* compiled */

/*
 * pattern_compile - make it ready.
 * In       text     the pattern without its delimiters; flags: PATTERN_ bits
 * Out      *out     the caller's, to be freed
 *          *offset  on failure: octets of text before what is wrong; `why` gets a sentence of PCRE2
 * Errors   ERR_BAD_VALUE, ERR_TOO_LONG, ERR_NO_MEMORY
 */
must_use enum err pattern_compile(struct bytes text, uint32_t flags, struct pattern **out, uint32_t *offset, struct buf *why);
void pattern_free(struct pattern *p);

/* pattern_captures - how many groups it has; a value may name these. */
uint32_t pattern_captures(const struct pattern *p);

enum pattern_answer { PATTERN_NO = 0, PATTERN_YES, PATTERN_FAILED /* it needs more than it may */ };

/* pattern_match - whether it holds for a subject; after YES pattern_expand() may be called until the next match. */
enum pattern_answer pattern_match(struct pattern *p, struct bytes subject);

/*
 * pattern_expand - append a value in which $1 ${1} $(1) are what the groups of the last match were, and $$ is a dollar.
 * With p NULL nothing is appended but the value is judged by `captures`.
 * Returns  false when the value names a group that is not there, or ends within a name; overflow of `out` as any buf
 */
bool pattern_expand(const struct pattern *p, struct bytes subject, struct bytes value, uint32_t captures, struct buf *out);

#endif
