/*
 * tlsa - TLSA records of DANE for SMTP: which can be used, and what a set of them asks for.
 *
 * Only the records' own form is judged; comparing them with a certificate is done where certificates are. All of it holds for answers that
 * were validated with DNSSEC only, which is the caller's to know.
 *
 * Source   RFC 6698 2.1; RFC 7672 2.1, 3.1; RFC 7671 9 (digest agility)
 */
#ifndef SMTP_TLSA_H
#define SMTP_TLSA_H

#include "base/bytes.h"

enum {
    SMTP_TLSA_TA = 2,           /* DANE-TA: an authority's certificate or key, anywhere in the chain; names are checked */
    SMTP_TLSA_EE = 3,           /* DANE-EE: the server's own; names and dates are not looked at */
    SMTP_TLSA_RECORDS_MAX = 32, /* of one host that are looked at; a rollover has four */
    SMTP_TLSA_DATA_BYTES_MAX = 8192, /* a whole certificate; they have 1,000 to 2,000 octets */
};

enum smtp_tlsa_selector { SMTP_TLSA_CERTIFICATE = 0, SMTP_TLSA_KEY = 1 };
enum smtp_tlsa_matching { SMTP_TLSA_FULL = 0, SMTP_TLSA_SHA256 = 1, SMTP_TLSA_SHA512 = 2 };

struct smtp_tlsa {
    uint8_t usage, selector, matching;
    struct bytes data; /* borrowed from the record */
};

/* smtp_tlsa_parse - the data of a record; false when it is too short to be one. */
bool smtp_tlsa_parse(struct bytes rdata, struct smtp_tlsa *out);

/* smtp_tlsa_usable - usage 2 or 3 (PKIX-TA and PKIX-EE are not for SMTP), a known selector and matching, data of the length that it asks for. */
bool smtp_tlsa_usable(const struct smtp_tlsa *t);

enum smtp_tlsa_demand {
    SMTP_TLSA_NONE = 0, /* no records: DANE does not speak of this host */
    SMTP_TLSA_ENCRYPT,  /* records, none usable: TLS is a must, authentication is not (RFC 7672 2.2) */
    SMTP_TLSA_VERIFY,   /* TLS with a certificate that one of the chosen records fits */
};

/*
 * smtp_tlsa_choose - what a host's records ask for.
 * In       records  count <= SMTP_TLSA_RECORDS_MAX
 * Out      *chosen  bit n set: record n is to be compared. Of digests with the same usage and selector only those of the strongest kind are
 */
enum smtp_tlsa_demand smtp_tlsa_choose(const struct smtp_tlsa *records, uint32_t count, uint32_t *chosen);

#endif
