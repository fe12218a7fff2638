/*
 * retry - how long until the next try. Pure: steps, then growth by half, with jitter, up to a longest.
 */
#ifndef QUEUE_RETRY_H
#define QUEUE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum { RETRY_STEPS_MAX = 64, RETRY_S_MAX = 30 * 86400 };

struct retry {
    uint32_t count;                  /* steps; at least 1 */
    uint64_t steps_s[RETRY_STEPS_MAX];
    uint64_t longest_s;              /* no wait is longer; at least 1 */
    bool exact;                      /* no jitter, no growth: the last step repeats */
};

/* retry_set - take over steps (cut to RETRY_STEPS_MAX, each to 1..RETRY_S_MAX); none given: 1, 5, 15, 30 minutes. longest 0: 4 hours. */
void retry_set(struct retry *r, const uint64_t *steps_s, uint32_t count, uint64_t longest_s, bool exact);

/*
 * retry_wait_ms - the wait after `tries` failed tries (1 = the first).
 * In   random   any 64 bits; the wait is spread by it over 85 % to 115 % of its step, so that mail that failed together does not come back together
 */
uint64_t retry_wait_ms(const struct retry *r, uint32_t tries, uint64_t random);

#endif
