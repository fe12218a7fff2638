/*
 * Fuzzer of EHLO lines: only known bits are ever set, and a line cannot take one back.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/capabilities.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    struct smtp_capabilities c = {0};
    while (in.len > 0) {
        uint32_t end = bytes_find(in, '\n');
        uint32_t before = c.set;
        smtp_capabilities_line(&c, bytes_slice(in, 0, end));
        must((c.set & before) == before && c.set < 2 * SMTP_CAP_REQUIRETLS);
        must((c.set & SMTP_CAP_SIZE) || c.size_max_bytes == 0);
        must((c.set & SMTP_CAP_LIMITS) || (c.rcpt_max == 0 && c.mail_max == 0));
        in = bytes_from(in, end + 1);
    }
    return 0;
}
