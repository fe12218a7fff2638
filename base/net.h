/*
 * net - addresses as values: parse, print, compare, match. Opens nothing.
 */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/bytes.h"

enum net_family { NET_NONE = 0, NET_IPV4 = 4, NET_IPV6 = 6 };

struct net_address {
    uint8_t family;  /* enum net_family */
    uint8_t ip[16];  /* network order; IPv4 uses the first 4, the rest zero */
    uint16_t port;   /* host order; 0 when there is none */
};

struct net_prefix {
    struct net_address address; /* port unused */
    uint8_t bits;               /* 0..32 or 0..128 */
};

enum { NET_TEXT_BYTES_MAX = 64 };

/* net_parse_ip - "192.0.2.1", "2001:db8::1" (no brackets, no zone). ::ffff:a.b.c.d becomes IPv4. */
bool net_parse_ip(struct bytes text, struct net_address *out);

/* net_parse_ip_port - "192.0.2.1:25", "[2001:db8::1]:25"; port 1..65535. */
bool net_parse_ip_port(struct bytes text, struct net_address *out);

/* net_parse_prefix - "192.0.2.0/24", "2001:db8::/32", or a single address. Host bits must be zero. */
bool net_parse_prefix(struct bytes text, struct net_prefix *out);

/* net_print_ip - append the address's text (RFC 5952 for IPv6), without port. Cannot fail for any value; family 0 prints "unknown". */
void net_print_ip(struct buf *out, const struct net_address *a);

/* net_print_ip_port - append "a.b.c.d:port" or "[v6]:port". */
void net_print_ip_port(struct buf *out, const struct net_address *a);

bool net_same_ip(const struct net_address *a, const struct net_address *b);
bool net_in_prefix(const struct net_address *a, const struct net_prefix *p);

/* net_is_special - addresses that mail from an MX may never be sent to: unspecified, loopback, link-local, multicast, broadcast,
 * reserved (RFC 6890), v4-mapped and v4-compatible forms of these; also family 0. Private networks (RFC 1918) are not special. */
bool net_is_special(const struct net_address *a);

/* net_is_loopback - 127.0.0.0/8 or ::1. */
bool net_is_loopback(const struct net_address *a);

/* net_of_user - the address that stands for a user of this host, where clients are counted or kept apart by address: in fc00::/8, which no network
 * has (RFC 4193 3.2), each user in a /64 of its own. */
struct net_address net_of_user(uint32_t uid);

/* net_to_sockaddr / net_from_sockaddr - conversion; storage is a struct sockaddr_storage. Returns its length in octets, 0 for family 0.
 * A v4-mapped IPv6 address comes back as IPv4. */
struct sockaddr_storage;
uint32_t net_to_sockaddr(const struct net_address *a, struct sockaddr_storage *out);
bool net_from_sockaddr(const struct sockaddr_storage *in, struct net_address *out);

#endif
