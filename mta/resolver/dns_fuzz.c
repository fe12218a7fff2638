/* Fuzzer: any octets as a DNS answer, for every type asked. */
#include <stddef.h>

#include "base/must.h"
#include "mta/resolver/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_PTR, DNS_MX};
    static struct dns_result result;
    if (size < 1 || size > 65535) return 0;
    enum dns_type type = types[data[0] & 3];
    if (!dns_parse(bytes_of(data + 1, (uint32_t)size - 1), type, &result)) return 0;
    must(result.count <= DNS_RECORDS_MAX);
    for (uint32_t i = 0; i < result.count; i++) must(result.records[i].name.len <= DNS_NAME_BYTES_MAX);
    return 0;
}
