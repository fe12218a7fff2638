/*
 * retry - the waits between tries.
 */
#include "queue/retry.h"

#include <string.h>

#include "base/must.h"

enum { LONGEST_DEFAULT_S = 4 * 3600, JITTER_PERCENT = 15 };

static const uint64_t steps_default[] = {60, 300, 900, 1800};

static uint64_t clamp(uint64_t value, uint64_t most)
{
    if (value == 0) return 1;
    return value < most ? value : most;
}

void retry_set(struct retry *r, const uint64_t *steps_s, uint32_t count, uint64_t longest_s, bool exact)
{
    if (count == 0) {
        steps_s = steps_default;
        count = sizeof(steps_default) / sizeof(steps_default[0]);
    }
    memset(r, 0, sizeof(*r));
    r->count = count < RETRY_STEPS_MAX ? count : RETRY_STEPS_MAX;
    for (uint32_t i = 0; i < r->count; i++) r->steps_s[i] = clamp(steps_s[i], RETRY_S_MAX);
    r->longest_s = clamp(longest_s ? longest_s : LONGEST_DEFAULT_S, RETRY_S_MAX);
    r->exact = exact;
}

uint64_t retry_wait_ms(const struct retry *r, uint32_t tries, uint64_t random)
{
    must(r->count > 0 && r->longest_s > 0);
    uint32_t step = tries > 0 ? tries - 1 : 0;
    uint64_t wait_ms = r->steps_s[step < r->count ? step : r->count - 1] * 1000;
    uint64_t longest_ms = r->longest_s * 1000;
    if (r->exact) return wait_ms; /* the operator's own steps: kept to the letter, and the last one repeats */
    for (uint32_t i = r->count; i <= step && wait_ms < longest_ms; i++) wait_ms += wait_ms / 2;
    if (wait_ms > longest_ms) wait_ms = longest_ms;
    uint64_t spread = wait_ms * JITTER_PERCENT / 100;
    return wait_ms - spread + random % (2 * spread + 1);
}
