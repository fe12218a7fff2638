/*
 * Fuzzer of address texts: what is parsed must print as a text that parses to the same address.
 */
#include <stddef.h>

#include "base/must.h"
#include "base/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct net_address *a, bool (*parse)(struct bytes, struct net_address *),
                             void (*print)(struct buf *, const struct net_address *))
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    struct net_address again;
    print(&text, a);
    must(!text.overflow);
    must(parse(buf_bytes(&text), &again));
    must(net_same_ip(a, &again) && a->port == again.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_address a;
    struct net_prefix p;
    if (size > 2 * NET_TEXT_BYTES_MAX) return 0;
    struct bytes text = bytes_of(data, (uint32_t)size);

    if (net_parse_ip(text, &a)) check_round_trip(&a, net_parse_ip, net_print_ip);
    if (net_parse_ip_port(text, &a)) check_round_trip(&a, net_parse_ip_port, net_print_ip_port);
    if (net_parse_prefix(text, &p)) {
        must(p.bits <= (p.address.family == NET_IPV4 ? 32 : 128));
        must(net_in_prefix(&p.address, &p));
        check_round_trip(&p.address, net_parse_ip, net_print_ip);
    }
    return 0;
}
