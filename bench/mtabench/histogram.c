/*
 * histogram - see histogram.h.
 *
 * Bucket i below 256 holds the value i. From there on, bucket e * 128 + m holds the values whose leading eight bits are m (128..255) and that
 * have e more bits, so that neighbours touch and no value falls between two.
 */
#include "bench/mtabench/histogram.h"

#include "base/must.h"

static uint32_t bucket_of(uint64_t value)
{
    if (value < 2 * HISTOGRAM_STEPS) return (uint32_t)value;
    uint32_t extra = 63U - (uint32_t)__builtin_clzll(value) - HISTOGRAM_STEPS_LOG2;
    uint64_t index = (uint64_t)extra * HISTOGRAM_STEPS + (value >> extra);
    return index < HISTOGRAM_BUCKETS ? (uint32_t)index : HISTOGRAM_BUCKETS - 1;
}

static uint64_t bucket_top(uint32_t index)
{
    if (index < 2 * HISTOGRAM_STEPS) return index;
    uint32_t extra = index / HISTOGRAM_STEPS - 1;
    uint64_t leading = index - (uint64_t)extra * HISTOGRAM_STEPS;
    return ((leading + 1) << extra) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    if (h->count == 0 || value < h->least) h->least = value;
    if (value > h->most) h->most = value;
    h->count++;
    h->sum += value;
    h->buckets[bucket_of(value)]++;
}

uint64_t histogram_at(const struct histogram *h, uint32_t of_100000)
{
    must(of_100000 <= 100000);
    if (h->count == 0) return 0;
    /* Rounded up, so that p99.9 of ten values is the tenth. */
    uint64_t wanted = (uint64_t)(((__uint128_t)h->count * of_100000 + 99999) / 100000);
    uint64_t passed = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        passed += h->buckets[i];
        if (passed < wanted || passed == 0) continue;
        uint64_t top = bucket_top(i);
        return h->most != 0 && top > h->most ? h->most : top;
    }
    return h->most;
}

uint64_t histogram_mean(const struct histogram *h)
{
    return h->count ? h->sum / h->count : 0;
}

void histogram_subtract(struct histogram *now, const struct histogram *before)
{
    must(now->count >= before->count);
    now->count -= before->count;
    now->sum -= before->sum;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) now->buckets[i] -= before->buckets[i];
}
