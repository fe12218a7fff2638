/*
 * Fuzzer of filters and query names: a filter that is taken wants something; names stay within the limit of the DNS.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/dnsbl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 17 || size > 1024) return 0;
    struct net_address a = {.family = data[0] & 1 ? NET_IPV6 : NET_IPV4};
    struct bytes in = bytes_of(data + 17, (uint32_t)size - 17);
    memcpy(a.ip, data + 1, a.family == NET_IPV6 ? 16 : 4);
    uint8_t memory[1024];
    struct buf out = BUF_OVER(memory);
    if (smtp_dnsbl_address_name(&out, &a, in)) must(out.len <= SMTP_DNSBL_NAME_BYTES_MAX);
    out.len = 0;
    if (smtp_dnsbl_domain_name(&out, in, BYTES("dbl.example"))) must(out.len <= SMTP_DNSBL_NAME_BYTES_MAX);

    struct smtp_dnsbl_filter filter;
    if (!smtp_dnsbl_filter_parse(in, &filter)) return 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t any = 0;
        for (uint32_t j = 0; j < 32; j++) any |= filter.wanted[i][j];
        must(any != 0);
    }
    if (smtp_dnsbl_judge(&filter, &a, 1) != SMTP_DNSBL_UNLISTED) must(a.family == NET_IPV4 && a.ip[0] == 127);
    return 0;
}
