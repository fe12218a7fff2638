/*
 * sum - checked arithmetic on sizes and counts; the result is touched only when it fits.
 */
#ifndef BASE_SUM_H
#define BASE_SUM_H

#include <stdbool.h>
#include <stdint.h>

/* sum_add_u32, sum_mul_u32, sum_add_u64, sum_mul_u64 - *out = a op b; false, and *out untouched, when it does not fit. */
#define SUM_DEFINE(name, type, builtin) \
    __attribute__((warn_unused_result)) static inline bool name(type a, type b, type *out) \
    { \
        type value; \
        if (builtin(a, b, &value)) return false; \
        *out = value; \
        return true; \
    }

SUM_DEFINE(sum_add_u32, uint32_t, __builtin_add_overflow)
SUM_DEFINE(sum_mul_u32, uint32_t, __builtin_mul_overflow)
SUM_DEFINE(sum_add_u64, uint64_t, __builtin_add_overflow)
SUM_DEFINE(sum_mul_u64, uint64_t, __builtin_mul_overflow)

#undef SUM_DEFINE

#endif
