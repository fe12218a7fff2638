/*
 * net - addresses as values.
 *
 * An IPv4 address that arrives inside an IPv6 one (::ffff:a.b.c.d) becomes plain IPv4 at every entrance, so that one rule about
 * a network covers both ways of writing it. The tests for special addresses still look inside, for values made elsewhere.
 */
#include "base/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/must.h"

enum { IPV4_BYTES = 4, IPV6_BYTES = 16, IPV4_BITS = 32, IPV6_BITS = 128, IPV6_GROUPS = 8 };
enum { PORT_DIGITS_MAX = 5, BITS_DIGITS_MAX = 3 };

static const uint8_t zero_prefix[12] = {0};
static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static uint32_t ip_bytes(const struct net_address *a)
{
    return a->family == NET_IPV4 ? IPV4_BYTES : a->family == NET_IPV6 ? IPV6_BYTES : 0;
}

static struct net_address ipv4_of(const uint8_t *ip)
{
    struct net_address a = {.family = NET_IPV4};
    memcpy(a.ip, ip, IPV4_BYTES);
    return a;
}

/* ipv6_of - an address of 16 octets; IPv4 when it is a mapped one. */
static struct net_address ipv6_of(const uint8_t *ip)
{
    if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) return ipv4_of(ip + sizeof(mapped_prefix));
    struct net_address a = {.family = NET_IPV6};
    memcpy(a.ip, ip, IPV6_BYTES);
    return a;
}

bool net_parse_ip(struct bytes text, struct net_address *out)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t ip[IPV6_BYTES];
    if (text.len == 0 || text.len >= sizeof(copy)) return false;
    if (bytes_find(text, 0) < text.len) return false; /* the copy would end there, and the rest go unread */
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';

    if (inet_pton(AF_INET, copy, ip) == 1) *out = ipv4_of(ip);
    else if (inet_pton(AF_INET6, copy, ip) == 1) *out = ipv6_of(ip);
    else return false;
    return true;
}

bool net_parse_ip_port(struct bytes text, struct net_address *out)
{
    struct net_address a;
    uint64_t port;
    uint32_t colon = bytes_find_last(text, ':');
    if (colon == text.len) return false;

    struct bytes host = bytes_slice(text, 0, colon);
    struct bytes digits = bytes_from(text, colon + 1);
    bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed) host = bytes_slice(host, 1, host.len - 2);
    if (bracketed != (bytes_find(host, ':') < host.len)) return false; /* brackets round IPv6, and only round it */

    if (digits.len > PORT_DIGITS_MAX || !bytes_to_u64(digits, &port) || port == 0 || port > UINT16_MAX) return false;
    if (!net_parse_ip(host, &a)) return false;
    a.port = (uint16_t)port;
    *out = a;
    return true;
}

/* host_bits_are_zero - whether all bits behind the first `bits` are zero. */
static bool host_bits_are_zero(const struct net_address *a, uint32_t bits)
{
    for (uint32_t i = bits; i < ip_bytes(a) * 8; i++) {
        if (a->ip[i / 8] & (0x80 >> i % 8)) return false;
    }
    return true;
}

bool net_parse_prefix(struct bytes text, struct net_prefix *out)
{
    struct net_address a;
    uint32_t slash = bytes_find(text, '/');
    struct bytes host = bytes_slice(text, 0, slash);
    if (!net_parse_ip(host, &a)) return false;

    bool mapped = a.family == NET_IPV4 && bytes_find(host, ':') < host.len;
    uint64_t bits_written = mapped ? IPV6_BITS : ip_bytes(&a) * 8;
    if (slash < text.len) {
        uint64_t bits_max = bits_written;
        struct bytes digits = bytes_from(text, slash + 1);
        if (digits.len > BITS_DIGITS_MAX || !bytes_to_u64(digits, &bits_written) || bits_written > bits_max) return false;
    }
    if (mapped && bits_written < IPV6_BITS - IPV4_BITS) return false; /* wider than IPv4 as a whole */

    uint32_t bits = (uint32_t)bits_written - (mapped ? IPV6_BITS - IPV4_BITS : 0);
    if (!host_bits_are_zero(&a, bits)) return false;
    *out = (struct net_prefix){a, (uint8_t)bits};
    return true;
}

static void print_ipv4(struct buf *out, const uint8_t *ip)
{
    for (uint32_t i = 0; i < IPV4_BYTES; i++) {
        if (i > 0) buf_put_c(out, '.');
        buf_put_u64(out, ip[i]);
    }
}

/* longest_zeroes - the first longest run of two or more zero groups: its start, or IPV6_GROUPS; its length in *run. */
static uint32_t longest_zeroes(const uint16_t *groups, uint32_t *run)
{
    uint32_t best = IPV6_GROUPS, best_run = 1, i = 0;
    while (i < IPV6_GROUPS) {
        uint32_t start = i;
        while (i < IPV6_GROUPS && groups[i] == 0) i++;
        if (i - start > best_run) {
            best = start;
            best_run = i - start;
        }
        i++;
    }
    *run = best_run;
    return best;
}

/* print_group - one group in hexadecimal without leading zeroes. */
static void print_group(struct buf *out, uint16_t group)
{
    uint32_t digits = group > 0xFFF ? 4 : group > 0xFF ? 3 : group > 0xF ? 2 : 1;
    buf_put_hex(out, group, digits);
}

/* print_ipv6 - RFC 5952 section 4: lower case, no leading zeroes, "::" for the first longest run of zero groups. */
static void print_ipv6(struct buf *out, const uint8_t *ip)
{
    uint16_t groups[IPV6_GROUPS];
    uint32_t run;
    for (uint32_t i = 0; i < IPV6_GROUPS; i++) groups[i] = (uint16_t)(ip[2 * i] << 8 | ip[2 * i + 1]);
    uint32_t gap = longest_zeroes(groups, &run);

    uint32_t i = 0;
    while (i < IPV6_GROUPS) {
        if (i == gap) {
            BUF_LIT(out, "::");
            i += run;
            continue;
        }
        if (i > 0 && i != gap + run) buf_put_c(out, ':');
        print_group(out, groups[i]);
        i++;
    }
}

void net_print_ip(struct buf *out, const struct net_address *a)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (a->family == NET_IPV4) print_ipv4(&text, a->ip);
    else if (a->family == NET_IPV6) print_ipv6(&text, a->ip);
    else BUF_LIT(&text, "unknown");
    must(!text.overflow);
    buf_put(out, buf_bytes(&text));
}

void net_print_ip_port(struct buf *out, const struct net_address *a)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (a->family == NET_IPV6) buf_put_c(&text, '[');
    net_print_ip(&text, a);
    if (a->family == NET_IPV6) buf_put_c(&text, ']');
    if (a->family == NET_IPV4 || a->family == NET_IPV6) {
        buf_put_c(&text, ':');
        buf_put_u64(&text, a->port);
    }
    must(!text.overflow);
    buf_put(out, buf_bytes(&text));
}

bool net_same_ip(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, ip_bytes(a)) == 0;
}

bool net_in_prefix(const struct net_address *a, const struct net_prefix *p)
{
    uint32_t bits = p->bits;
    if (a->family != p->address.family || bits > ip_bytes(a) * 8 || ip_bytes(a) == 0) return false;
    uint32_t whole = bits / 8;
    if (memcmp(a->ip, p->address.ip, whole) != 0) return false;
    if (bits % 8 == 0) return true;
    return (a->ip[whole] ^ p->address.ip[whole]) >> (8 - bits % 8) == 0;
}

/* embedded_ipv4 - the IPv4 address in a mapped or compatible IPv6 one (RFC 4291 2.5.5), or NULL. */
static const uint8_t *embedded_ipv4(const uint8_t *ip)
{
    bool has = memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0 || memcmp(ip, zero_prefix, sizeof(zero_prefix)) == 0;
    return has ? ip + sizeof(mapped_prefix) : 0;
}

/* ipv4_is_special - 0/8, 127/8, 169.254/16, and from 224.0.0.0 up: multicast, reserved, broadcast. */
static bool ipv4_is_special(const uint8_t *ip)
{
    return ip[0] == 0 || ip[0] == 127 || (ip[0] == 169 && ip[1] == 254) || ip[0] >= 224;
}

bool net_is_special(const struct net_address *a)
{
    if (a->family == NET_IPV4) return ipv4_is_special(a->ip);
    if (a->family != NET_IPV6) return true;
    if (a->ip[0] == 0xFF || (a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0x80)) return true;
    /* :: and ::1 are the compatible forms of 0.0.0.0 and 0.0.0.1, so 0/8 covers them. */
    const uint8_t *inner = embedded_ipv4(a->ip);
    return inner && ipv4_is_special(inner);
}

bool net_is_loopback(const struct net_address *a)
{
    static const uint8_t one[IPV6_BYTES] = {[15] = 1};
    if (a->family == NET_IPV4) return a->ip[0] == 127;
    if (a->family != NET_IPV6) return false;
    const uint8_t *inner = embedded_ipv4(a->ip);
    return memcmp(a->ip, one, sizeof(one)) == 0 || (inner && inner[0] == 127);
}

struct net_address net_of_user(uint32_t uid)
{
    struct net_address a = {.family = NET_IPV6, .ip = {0xfc, [4] = (uint8_t)(uid >> 24), (uint8_t)(uid >> 16), (uint8_t)(uid >> 8), (uint8_t)uid}};
    return a;
}

uint32_t net_to_sockaddr(const struct net_address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (a->family == NET_IPV4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, IPV4_BYTES);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    if (a->family == NET_IPV6) {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
        memcpy(&in.sin6_addr, a->ip, IPV6_BYTES);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    return 0;
}

bool net_from_sockaddr(const struct sockaddr_storage *in, struct net_address *out)
{
    if (in->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, in, sizeof(v4));
        *out = ipv4_of((const uint8_t *)&v4.sin_addr);
        out->port = ntohs(v4.sin_port);
        return true;
    }
    if (in->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, in, sizeof(v6));
        *out = ipv6_of((const uint8_t *)&v6.sin6_addr);
        out->port = ntohs(v6.sin6_port);
        return true;
    }
    return false;
}
