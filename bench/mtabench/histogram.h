/*
 * histogram - how often each latency was seen: exact below 256, above that in steps of less than 0.8 percent of the value.
 *
 * Log-linear buckets, as HdrHistogram has them: 128 of equal width for each power of two. Adding costs a shift and an increment, so that
 * every message can be measured and no sampling hides the tail. The unit is the caller's; here it is always microseconds.
 */
#ifndef MTABENCH_HISTOGRAM_H
#define MTABENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 128,    /* buckets a power of two */
    HISTOGRAM_STEPS_LOG2 = 7,
    HISTOGRAM_OCTAVES = 36,   /* up to 2^43 us, which is a hundred days: larger values count as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_OCTAVES + 2) * HISTOGRAM_STEPS,
};

struct histogram {
    uint64_t count, sum, least, most; /* sum for the mean */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/*
 * histogram_at - the value that `of_100000` of 100,000 values do not exceed (50,000 = median, 99,900 = p99.9).
 * Returns  the upper end of the bucket where it lies, but never more than the largest value seen; 0 when nothing was added
 */
uint64_t histogram_at(const struct histogram *h, uint32_t of_100000);

/* histogram_mean - 0 when nothing was added. */
uint64_t histogram_mean(const struct histogram *h);

/* histogram_subtract - what was added to `now` since it was copied to `before`: for a progress line. least and most are not known then. */
void histogram_subtract(struct histogram *now, const struct histogram *before);

#endif
