/*
 * Fuzzer of PROXY headers: any split gives the same, and no more than a header's limit is ever eaten.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192) return 0;
    struct bytes in = bytes_of(data + 1, (uint32_t)size - 1);
    struct smtp_proxy whole, pieces;
    uint32_t used = 0, eaten = 0, step = 1u + data[0] % 64;
    smtp_proxy_init(&whole);
    smtp_proxy_init(&pieces);
    enum smtp_proxy_result result = smtp_proxy_feed(&whole, in, &used);
    must(used <= in.len && (result != SMTP_PROXY_MORE || used == in.len));
    must(used <= (whole.version == 2 ? SMTP_PROXY_FIXED_BYTES + SMTP_PROXY_BODY_BYTES_MAX : SMTP_PROXY_LINE_BYTES_MAX + 1u));
    while (eaten < in.len && pieces.result == SMTP_PROXY_MORE) {
        uint32_t n;
        (void)smtp_proxy_feed(&pieces, bytes_slice(in, eaten, step), &n);
        eaten += n;
    }
    must(eaten == used && memcmp(&whole, &pieces, sizeof(whole)) == 0);
    must(whole.source.family == NET_NONE || whole.source.family == NET_IPV4 || whole.source.family == NET_IPV6);
    must(result == SMTP_PROXY_DONE || whole.version != 1 || whole.source.family == NET_NONE);
    return 0;
}
