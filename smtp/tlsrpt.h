/*
 * tlsrpt - TLS reports (RFC 8460): where a domain wants them, and their JSON.
 *
 * The report is written piece by piece into one buf: begin, then for each policy: policy, its failures, policy_end; then end. A buf that
 * overflowed holds no report. What was counted, and when to send, is the business of others.
 */
#ifndef SMTP_TLSRPT_H
#define SMTP_TLSRPT_H

#include "base/net.h"

enum { SMTP_TLSRPT_URI_BYTES_MAX = 1024 }; /* an address or a URL that people or providers made up */

/* smtp_tlsrpt_record_parse - a TXT record of _smtp._tls.DOMAIN; *rua is its list of URIs. False: not such a record, or broken. */
bool smtp_tlsrpt_record_parse(struct bytes text, struct bytes *rua);

enum smtp_tlsrpt_uri { SMTP_TLSRPT_END = 0, SMTP_TLSRPT_MAILTO, SMTP_TLSRPT_HTTPS };

/* smtp_tlsrpt_uri_next - the next URI of the list that can be used, whole ("https://..."), or for mailto: its address (still %-coded).
 * Others are passed over. */
enum smtp_tlsrpt_uri smtp_tlsrpt_uri_next(struct bytes *rua, struct bytes *uri);

/* Result types of RFC 8460 4.3. */
enum smtp_tlsrpt_result {
    SMTP_TLSRPT_STARTTLS_NOT_SUPPORTED = 0,
    SMTP_TLSRPT_CERTIFICATE_HOST_MISMATCH,
    SMTP_TLSRPT_CERTIFICATE_EXPIRED,
    SMTP_TLSRPT_CERTIFICATE_NOT_TRUSTED,
    SMTP_TLSRPT_VALIDATION_FAILURE,
    SMTP_TLSRPT_TLSA_INVALID,
    SMTP_TLSRPT_DNSSEC_INVALID,
    SMTP_TLSRPT_DANE_REQUIRED,
    SMTP_TLSRPT_STS_POLICY_FETCH_ERROR,
    SMTP_TLSRPT_STS_POLICY_INVALID,
    SMTP_TLSRPT_STS_WEBPKI_INVALID,
    SMTP_TLSRPT_RESULT_COUNT
};

/* smtp_tlsrpt_result_name - e.g. "certificate-expired". */
struct bytes smtp_tlsrpt_result_name(enum smtp_tlsrpt_result result);

struct smtp_tlsrpt_report {
    struct bytes organization;  /* who reports */
    struct bytes contact;       /* an address of theirs */
    struct bytes report_id;     /* unique */
    int64_t begin_s, end_s;     /* wall seconds of the period: a day, UTC */
};

enum smtp_tlsrpt_policy_type { SMTP_TLSRPT_NO_POLICY = 0, SMTP_TLSRPT_TLSA, SMTP_TLSRPT_STS };

struct smtp_tlsrpt_policy {
    enum smtp_tlsrpt_policy_type type;
    struct bytes domain;          /* whose policy: the recipient's */
    struct bytes text;            /* the policy as it was, a line each: the STS file, or TLSA records in text; empty for NO_POLICY */
    struct bytes mx;              /* for STS: its mx patterns, a line each; for TLSA: the host */
    uint64_t successes, failures; /* sessions */
};

struct smtp_tlsrpt_failure {
    enum smtp_tlsrpt_result result;
    struct net_address sending, receiving; /* family 0 = not known: left out */
    struct bytes mx_host;                  /* empty = left out, as the two below */
    struct bytes mx_helo;
    struct bytes reason;                   /* failure-reason-code: a word of the library's */
    uint64_t sessions;
};

void smtp_tlsrpt_begin(struct buf *out, const struct smtp_tlsrpt_report *report);
void smtp_tlsrpt_policy(struct buf *out, const struct smtp_tlsrpt_policy *policy);
void smtp_tlsrpt_failure(struct buf *out, const struct smtp_tlsrpt_failure *failure);
void smtp_tlsrpt_policy_end(struct buf *out);
void smtp_tlsrpt_end(struct buf *out);

/* smtp_tlsrpt_file_name - RFC 8460 5.1: "sender!domain!begin!end.json". Whatever could end the name of a file becomes '_'. */
void smtp_tlsrpt_file_name(struct buf *out, struct bytes sender, struct bytes domain, int64_t begin_s, int64_t end_s);

#endif
