/*
 * dns - answers of the DNS, parsed by our own bounded parser whatever the resolver library made of them before. Pure: octets in, values out.
 */
#ifndef MTA_RESOLVER_DNS_H
#define MTA_RESOLVER_DNS_H

#include "base/bytes.h"
#include "base/limits.h"
#include "base/net.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_AAAA = 28, DNS_TLSA = 52 };
enum { DNS_RECORDS_MAX = 100, DNS_CNAMES_MAX = 12, DNS_NAME_BYTES_MAX = 255, DNS_RCODE_NXDOMAIN = 3 };

struct dns_name {
    uint8_t len;  /* octets of text; 0 = the root */
    bool is_host; /* only letters, digits, hyphens and underscores in its labels: safe in headers and logs */
    uint8_t text[DNS_NAME_BYTES_MAX]; /* lower case, labels joined by dots, no dot at the end */
};

struct dns_record {
    uint16_t preference;        /* MX */
    struct net_address address; /* A, AAAA */
    struct bytes data;          /* TLSA: all of it, borrowed from the packet */
    struct dns_name name;       /* MX, PTR */
};

struct dns_result {
    uint8_t rcode;
    uint32_t ttl_s;             /* the smallest of what was used */
    uint32_t count;
    bool cut;                   /* there were more records than are kept */
    struct dns_record records[DNS_RECORDS_MAX];
};

/*
 * dns_parse - the records of a type in an answer, for the question that stands in it, aliases followed.
 * Source   RFC 1035 4.1, RFC 2181
 * In       packet   a whole DNS message
 * Returns  false when the message is malformed anywhere that matters: then it counts as no answer
 * Cost     O(n x aliases); no allocation; forward-only but for name pointers, which must point backwards
 */
bool dns_parse(struct bytes packet, enum dns_type type, struct dns_result *out);

#endif
