/*
 * sts - MTA-STS (RFC 8461): the record that says a policy is there, the policy's text, and the hosts that it allows.
 *
 * A policy stays the text that was fetched: it is judged once (smtp_sts_policy_parse) and kept as it is; asking whether a host is allowed
 * goes over its mx lines again, so that no list of them is needed. What the certificate must say is not decided here.
 */
#ifndef SMTP_STS_H
#define SMTP_STS_H

#include "base/bytes.h"

enum {
    SMTP_STS_ID_BYTES_MAX = 32,            /* RFC 8461 3.1 */
    SMTP_STS_POLICY_BYTES_MAX = 64 * 1024, /* RFC 8461 3.3: no client need take more */
    SMTP_STS_AGE_MAX_S = 31557600,         /* RFC 8461 3.2: a year; what says more is held to it */
};

enum smtp_sts_record { SMTP_STS_OTHER = 0, SMTP_STS_RECORD, SMTP_STS_BROKEN };

/*
 * smtp_sts_record_parse - one TXT record of _mta-sts.DOMAIN, its strings joined.
 * Out      *id      on RECORD: changes when the policy does
 * Returns  OTHER when it does not begin with "v=STSv1;": passed over; BROKEN: as if there were no MTA-STS, as also when there is more than
 *          one RECORD (RFC 8461 3.1)
 */
enum smtp_sts_record smtp_sts_record_parse(struct bytes text, struct bytes *id);

enum smtp_sts_mode { SMTP_STS_NONE = 0, SMTP_STS_TESTING, SMTP_STS_ENFORCE };

struct smtp_sts_policy {
    uint8_t mode;       /* enum smtp_sts_mode */
    uint32_t max_age_s; /* 0 .. SMTP_STS_AGE_MAX_S */
    uint32_t mx_count;  /* patterns; at least 1 unless mode is NONE */
};

/*
 * smtp_sts_policy_parse - the text at https://mta-sts.DOMAIN/.well-known/mta-sts.txt.
 * Returns  false when it is no valid policy; *out is untouched then
 * Cost     O(n)
 */
bool smtp_sts_policy_parse(struct bytes text, struct smtp_sts_policy *out);

/* smtp_sts_policy_allows - whether an MX host's name matches an mx line of a policy that was parsed. O(n). */
bool smtp_sts_policy_allows(struct bytes text, struct bytes host);

/* smtp_sts_mx_matches - "mail.example.com" itself, "*.example.com" for one more label in front; without case; the host may end in a dot. */
bool smtp_sts_mx_matches(struct bytes pattern, struct bytes host);

/* smtp_sts_line_next - the next line of a policy's text without its end, for reports; false after the last. */
bool smtp_sts_line_next(struct bytes *rest, struct bytes *line);

#endif
