/*
 * canary_fuzz - defects that must be found, so that a run without findings says something. One program for each way of seeing them: octets that were not
 * allocated (AddressSanitizer), arithmetic that has no result (UndefinedBehaviorSanitizer), a promise of our own that is broken (must()).
 *
 * Built with the fuzzers only, and run by tests/fuzz before them: it fails when one of these lives.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* defect - reached by lines that say "250-" and a number behind it. */
static void defect(struct bytes digits)
{
    uint64_t number;
    if (!bytes_to_u64(digits, &number)) return;
#if defined(CANARY_ADDRESS)
    uint8_t *memory = malloc(digits.len);
    if (!memory) return;
    memcpy(memory, digits.ptr, digits.len);
    /* One octet too many, where the length is counted from 1. */
    for (volatile uint32_t i = 0; i <= digits.len; i++) number += memory[i];
    free(memory);
#elif defined(CANARY_UNDEFINED)
    volatile int32_t small = (int32_t)(number % INT32_MAX);
    small = small * 100;
#else
    bool always_fails = number > 255;
    must(!always_fails);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5 || size > 4096) return 0;
    struct bytes line = bytes_of(data, (uint32_t)size);
    if (line.ptr[0] != '2') return 0;
    if (line.ptr[1] != '5') return 0;
    if (line.ptr[2] != '0') return 0;
    if (line.ptr[3] != '-') return 0;
    defect(bytes_from(line, 4));
    return 0;
}
