/*
 * Fuzzer of MTA-STS: what is taken is within its bounds, and an enforced policy allows somebody.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size), id;
    struct smtp_sts_policy p;
    if (smtp_sts_record_parse(in, &id) == SMTP_STS_RECORD) must(id.len > 0 && id.len <= SMTP_STS_ID_BYTES_MAX);
    if (!smtp_sts_policy_parse(in, &p)) return 0;
    must(p.mode <= SMTP_STS_ENFORCE && p.max_age_s <= SMTP_STS_AGE_MAX_S && (p.mx_count > 0 || p.mode == SMTP_STS_NONE));
    must(p.mx_count > 0 || !smtp_sts_policy_allows(in, BYTES("mx.example.com")));
    struct bytes rest = in, line;
    uint32_t lines = 0;
    while (smtp_sts_line_next(&rest, &line)) lines++;
    must(lines >= 3 + p.mx_count);
    return 0;
}
