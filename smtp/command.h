/*
 * command - one line of a client, taken apart: the verb, and for MAIL and RCPT the path and the parameters.
 *
 * Pure syntax: whether a verb is allowed now is the server machine's table.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "smtp/address.h"

/*    verb        RFC */
#define SMTP_VERBS(V) \
    V(UNKNOWN)   /* anything else */ \
    V(EHLO)      /* RFC 5321 4.1.1.1 */ \
    V(HELO)      /* RFC 5321 4.1.1.1 */ \
    V(MAIL)      /* RFC 5321 4.1.1.2 */ \
    V(RCPT)      /* RFC 5321 4.1.1.3 */ \
    V(DATA)      /* RFC 5321 4.1.1.4 */ \
    V(BDAT)      /* RFC 3030 2 */ \
    V(RSET)      /* RFC 5321 4.1.1.5 */ \
    V(VRFY)      /* RFC 5321 4.1.1.6 */ \
    V(EXPN)      /* RFC 5321 4.1.1.7 */ \
    V(HELP)      /* RFC 5321 4.1.1.8 */ \
    V(NOOP)      /* RFC 5321 4.1.1.9 */ \
    V(QUIT)      /* RFC 5321 4.1.1.10 */ \
    V(STARTTLS)  /* RFC 3207 */ \
    V(AUTH)      /* RFC 4954 */ \
    V(ETRN)      /* RFC 1985, not offered */ \
    V(TURN)      /* RFC 5321 F.1, not offered */ \
    V(XCLIENT)   /* Postfix's XCLIENT_README; for listed peers only */
#define SMTP_VERB_ENUM(v) SMTP_VERB_##v,
enum smtp_verb { SMTP_VERBS(SMTP_VERB_ENUM) SMTP_VERB_COUNT };

/* Why a command's arguments are refused; each has its reply in the server machine's table of answers. */
enum smtp_argument_error {
    SMTP_ARG_OK = 0,
    SMTP_ARG_SYNTAX,            /* 501 5.5.4 */
    SMTP_ARG_BAD_ADDRESS,       /* 501 5.1.7 (MAIL), 501 5.1.3 (RCPT) */
    SMTP_ARG_ADDRESS_TOO_LONG,  /* 501 5.1.7 / 5.1.3 */
    SMTP_ARG_NEEDS_SMTPUTF8,    /* 553 5.6.7 */
    SMTP_ARG_UNKNOWN_PARAMETER, /* 555 5.5.4 */
    SMTP_ARG_BAD_PARAMETER,     /* 501 5.5.4 */
    SMTP_ARG_REPEATED_PARAMETER,/* 501 5.5.4 */
    SMTP_ARG_TOO_BIG,           /* 552 5.3.4, SIZE over 64 bits or over the limit */
    SMTP_ARG_COUNT,
};

struct smtp_mail_args {
    struct smtp_address sender; /* whole empty = <> */
    bool size_given;
    uint64_t size_bytes;        /* SIZE= (RFC 1870) */
    bool body_8bit;             /* BODY=8BITMIME (RFC 6152); BODY=7BIT leaves it false; BINARYMIME is refused */
    bool auth_given;            /* AUTH= (RFC 4954 5), a mailbox in xtext or <>; for whom it vouches is not used */
    bool smtputf8;              /* RFC 6531 3.4 */
    uint8_t ret;                /* RET_ value (RFC 3461 4.3) */
    struct bytes envid;         /* decoded-checked xtext as given, borrowed from the line */
};

struct smtp_rcpt_args {
    struct smtp_address address;
    uint8_t notify;      /* NOTIFY_ bits (RFC 3461 4.1) */
    struct bytes orcpt;  /* "type;xtext" as given and checked, borrowed from the line */
};

struct smtp_bdat_args {
    uint64_t bytes; /* chunk size; bounded by the caller */
    bool last;
};

/*
 * smtp_verb_parse - the verb of a line without its CR LF; *rest is what follows the verb, one space eaten, trailing spaces
 * kept. NUL or other control octets give UNKNOWN.
 */
enum smtp_verb smtp_verb_parse(struct bytes line, struct bytes *rest);

/* smtp_verb_name - "MAIL" etc. */
const char *smtp_verb_name(enum smtp_verb verb);

/*
 * smtp_mail_parse / smtp_rcpt_parse / smtp_bdat_parse - arguments.
 * In    rest      what follows the verb; spaces behind "FROM:", "TO:" and at the end are tolerated
 *       extended  EHLO was said; else every parameter is unknown
 *       smtputf8  MAIL said SMTPUTF8
 * Out   *out      to be looked at only on SMTP_ARG_OK; never copied by assignment (smtp/address.h)
 * smtp_mail_parse looks for SMTPUTF8 among the parameters before it judges a non-ASCII path.
 */
enum smtp_argument_error smtp_mail_parse(struct bytes rest, bool extended, struct smtp_mail_args *out);
enum smtp_argument_error smtp_rcpt_parse(struct bytes rest, bool extended, bool smtputf8, struct smtp_rcpt_args *out);
enum smtp_argument_error smtp_bdat_parse(struct bytes rest, struct smtp_bdat_args *out);

/* smtp_helo_valid - the argument of HELO or EHLO: a domain, an address literal, or (tolerated, since old devices send them) any 1..255
 * printable non-space ASCII octets. */
bool smtp_helo_valid(struct bytes argument);

#endif
