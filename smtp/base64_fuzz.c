/*
 * Fuzzer of base64: what is encoded decodes to itself, and what decodes encodes to itself.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1500) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    uint8_t coded_memory[SMTP_BASE64_BYTES(1500)], plain_memory[1500];
    struct buf coded = BUF_OVER(coded_memory), plain = BUF_OVER(plain_memory);
    smtp_base64_encode(&coded, in);
    must(!coded.overflow && smtp_base64_decode(buf_bytes(&coded), &plain) && bytes_equal(buf_bytes(&plain), in));

    coded.len = 0;
    plain.len = 0;
    bool good = smtp_base64_decode(in, &plain);
    must(!plain.overflow && (good || plain.len == 0));
    if (!good) return 0;
    smtp_base64_encode(&coded, buf_bytes(&plain));
    must(bytes_equal(buf_bytes(&coded), in));
    return 0;
}
