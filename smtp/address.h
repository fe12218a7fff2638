/*
 * address - mailbox addresses and paths of SMTP commands.
 *
 * Validate once, refuse on failure, never repair. Quoted local parts, address literals and UTF-8 (when allowed) are taken;
 * a source route ("@a,@b:") is recognised and dropped (RFC 5321 4.1.1.3, appendix C).
 *
 * MAIL_LOCAL_BYTES_MAX is the least that must be taken, not the most (RFC 5321 4.5.3.1.1): senders that encode a recipient
 * in the local part go beyond it every day. The bounds are those of the domain and of the whole. Domains that end in a
 * number are refused: what looks like an address must be a literal.
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include "base/bytes.h"
#include "base/limits.h"

enum smtp_address_result {
    SMTP_ADDRESS_OK = 0,
    SMTP_ADDRESS_EMPTY,     /* "<>": only where the caller allows it */
    SMTP_ADDRESS_BAD,       /* syntax */
    SMTP_ADDRESS_TOO_LONG,  /* domain or whole over its limit */
    SMTP_ADDRESS_NOT_ASCII, /* needs SMTPUTF8, which was not said */
};

/* It points into itself: to be filled where it stays, never copied by assignment. */
struct smtp_address {
    struct bytes whole;  /* in `store`: local@domain, ASCII letters of the domain in lower case, quotes only where needed; empty for "<>" */
    struct bytes local;  /* part of whole */
    struct bytes domain; /* part of whole; "[192.0.2.1]" or "[IPv6:...]" for a literal; empty for bare postmaster */
    bool non_ascii;      /* whole has octets over 127, in well-formed UTF-8 */
    uint8_t store[MAIL_ADDRESS_BYTES_MAX];
};

/*
 * smtp_path_parse - read "<" [source-route ":"] mailbox ">" at the start of `in`.
 * Source   RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3
 * In       in        what follows "FROM:" or "TO:"; allow_utf8 whether SMTPUTF8 was said; allow_bare_postmaster takes
 *          "<postmaster>" (any case, RFC 5321 4.5.1)
 * Out      *out      filled on OK and EMPTY, empty otherwise; *used octets eaten, the '>' included; 0 on refusal
 * Cost     O(n), no allocation
 */
enum smtp_address_result smtp_path_parse(struct bytes in, bool allow_utf8, bool allow_bare_postmaster, struct smtp_address *out,
                                         uint32_t *used);

/* smtp_mailbox_parse - the same for a mailbox without angle brackets, which must take all of `in` (configuration, control). */
enum smtp_address_result smtp_mailbox_parse(struct bytes in, bool allow_utf8, struct smtp_address *out);

/* smtp_domain_valid - a domain name as in HELO and routes: labels of letters, digits, hyphens (underscore tolerated), 1..63 octets, whole <= 255;
 * with allow_utf8 also UTF-8 octets; the last label is no number. An address literal is not a domain here. */
bool smtp_domain_valid(struct bytes domain, bool allow_utf8);

/* smtp_literal_valid - "[192.0.2.1]" or "[IPv6:2001:db8::1]". */
bool smtp_literal_valid(struct bytes literal);

/* smtp_xtext_valid / smtp_xtext_decode - RFC 3461 4. Decode gives octets; false on bad syntax or when they do not fit. */
bool smtp_xtext_valid(struct bytes text);
bool smtp_xtext_decode(struct bytes text, struct buf *out);
/* smtp_xtext_encode - append `text` as xtext. */
void smtp_xtext_encode(struct buf *out, struct bytes text);

#endif
