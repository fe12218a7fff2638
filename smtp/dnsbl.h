/*
 * dnsbl - lists of addresses and names in the DNS, for and against: what to ask, and what an answer means.
 *
 * A listing is an answer inside 127.0.0.0/8 that the list's filter wants. Anything else is none: a list whose domain has been sold answers
 * with the buyer's web server, and 127.255.255.0/24 is how large lists say "you may not ask" (RFC 5782 2.1, 5). Asking is not done here.
 */
#ifndef SMTP_DNSBL_H
#define SMTP_DNSBL_H

#include "base/limits.h"
#include "base/net.h"

enum {
    SMTP_DNSBL_NAME_BYTES_MAX = 253,  /* of a name in the DNS as text (RFC 1035 2.3.4) */
    SMTP_DNSBL_WEIGHT_MAX = 1000,     /* either way; keeps every sum far from the ends of its type */
};

/* smtp_dnsbl_address_name - "7.2.0.192.ZONE", or 32 nibbles for IPv6. False when it is too long, or the address has no family. */
bool smtp_dnsbl_address_name(struct buf *out, const struct net_address *address, struct bytes zone);

/* smtp_dnsbl_domain_name - "DOMAIN.ZONE", for lists of names. False when it is too long, or the domain is none (an address literal). */
bool smtp_dnsbl_domain_name(struct buf *out, struct bytes domain, struct bytes zone);

struct smtp_dnsbl_filter {
    uint8_t wanted[4][32]; /* for each octet of an answer, the set of values that match */
};

/* smtp_dnsbl_filter_any - every listing. */
void smtp_dnsbl_filter_any(struct smtp_dnsbl_filter *out);

/*
 * smtp_dnsbl_filter_parse - four octets with dots between, each of them `n`, `n..m`, `[n;m..o;...]` or `&n` (at least one of the bits of n):
 * 127.0.0.2, 127.0.0.2..11, 127.0.0.[2..8;10], 127.0.0.&12. False when it is none; *out is untouched then.
 */
bool smtp_dnsbl_filter_parse(struct bytes text, struct smtp_dnsbl_filter *out);

enum smtp_dnsbl_answer { SMTP_DNSBL_UNLISTED = 0, SMTP_DNSBL_LISTED, SMTP_DNSBL_REFUSED };

/* smtp_dnsbl_judge - the addresses of an answer. REFUSED: the list says that it does not serve us, which an operator should hear of. */
enum smtp_dnsbl_answer smtp_dnsbl_judge(const struct smtp_dnsbl_filter *filter, const struct net_address *answers, uint32_t count);

struct smtp_dnsbl_result {
    int32_t weight; /* -SMTP_DNSBL_WEIGHT_MAX .. ; negative for lists of good ones */
    uint8_t answer; /* enum smtp_dnsbl_answer */
};

/* smtp_dnsbl_score - the sum of the weights of those that list it. */
int64_t smtp_dnsbl_score(const struct smtp_dnsbl_result *results, uint32_t count);

#endif
