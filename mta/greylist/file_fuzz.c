/* Fuzzer: any octets as a record of the greylist's file; what is taken is written back as it was. */
#include <string.h>

#include "base/must.h"
#include "mta/greylist/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t memory[GREY_RECORD_BYTES];
    struct buf out = BUF_OVER(memory);
    struct grey e;
    if (size > 64 || !grey_record_get(bytes_of(data, (uint32_t)size), &e)) return 0;
    grey_record_put(&out, &e);
    must(!out.overflow && out.len == GREY_RECORD_BYTES && memcmp(memory, data, GREY_RECORD_BYTES) == 0);
    return 0;
}
