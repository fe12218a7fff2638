/*
 * sasl - what both sides of an authentication share: mechanisms, limits, and the lines of AUTH.
 *
 * An exchange is made of messages of octets; on the wire of SMTP each is one line of base64. The machines (smtp/sasl_server.h,
 * smtp/sasl_client.h) see octets only.
 *
 * Names and passwords: RFC 4616 and 5802 want SASLprep, whose tables come from Unicode 3.2. Nothing of it is done here. Printable ASCII
 * is what SASLprep leaves alone; other text must be well-formed UTF-8, without control characters, and is compared octet by octet as it
 * came. So a password with letters outside ASCII works for clients that send the form it was stored in (NFC in practice), and fails, never
 * wrongly succeeds, for others.
 */
#ifndef SMTP_SASL_H
#define SMTP_SASL_H

#include "base/bytes.h"

enum {
    SMTP_SASL_NAME_BYTES_MAX = 255,      /* RFC 4616 2: authzid and authcid */
    SMTP_SASL_PASSWORD_BYTES_MAX = 511,  /* what libcrypt takes: CRYPT_MAX_PASSPHRASE_SIZE without its NUL */
    SMTP_SASL_MESSAGE_BYTES_MAX = 2048,  /* one message of octets: a SCRAM one with two names, each octet escaped to three, and its nonces */
    SMTP_SASL_TOKEN_BYTES_MAX = 8192,    /* OAuth tokens of large providers have 2,000 to 4,000 octets; the line stays within RFC 4954 4's 12,288 */
};

enum smtp_sasl_mechanism {
    SMTP_SASL_NONE = 0,
    SMTP_SASL_EXTERNAL,
    SMTP_SASL_SCRAM_SHA_256,
    SMTP_SASL_PLAIN,
    SMTP_SASL_LOGIN,
    SMTP_SASL_XOAUTH2, /* as client only */
    SMTP_SASL_MECHANISM_COUNT
};

/* SMTP_SASL_BIT - a mechanism in a set of them. */
#define SMTP_SASL_BIT(mechanism) (1u << (mechanism))

/* smtp_sasl_name - the mechanism's registered name; empty for NONE. */
struct bytes smtp_sasl_name(enum smtp_sasl_mechanism mechanism);

/* smtp_sasl_mechanism - the mechanism of a name in any case; NONE for what is not spoken here, all of -PLUS included. */
enum smtp_sasl_mechanism smtp_sasl_mechanism(struct bytes name);

/* smtp_sasl_set - the bits of the known names in a list separated by spaces ("PLAIN LOGIN DIGEST-MD5"); others are passed over. O(n). */
uint32_t smtp_sasl_set(struct bytes list);

/* smtp_sasl_choose - the strongest of a set, in the order of the enum: what tells the other side least comes first. NONE of none. */
enum smtp_sasl_mechanism smtp_sasl_choose(uint32_t set);

/* smtp_sasl_text_valid - text that may be a name or password: 1..max octets, UTF-8, no control character. */
bool smtp_sasl_text_valid(struct bytes text, uint32_t max);

enum smtp_sasl_line { SMTP_SASL_LINE_BAD = 0, SMTP_SASL_LINE_OK, SMTP_SASL_LINE_CANCEL };

/*
 * smtp_sasl_line - the octets behind a line of an exchange.
 * Source   RFC 4954 4
 * In       line     without its end; initial whether it is the second word of AUTH: there "=" says an empty message, and cancelling is not possible
 * Out      *out     the octets appended, on OK
 * Returns  OK; CANCEL for "*"; BAD for what is no base64 or does not fit: answer 501
 */
enum smtp_sasl_line smtp_sasl_line(struct bytes line, bool initial, struct buf *out);

#endif
