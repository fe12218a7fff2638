/*
 * authd - the lines between us and Dovecot's authentication server, as its client.
 *
 * Each line is a command and its parameters with tabs between; octets that would break a line are escaped by \001. The base64 of the
 * mechanisms goes through as it is: with Dovecot the client's messages are not read here. A server that says something else than this is
 * not talked to any more.
 *
 * Source   Dovecot Authentication Protocol, version 1 (minor numbers may differ)
 */
#ifndef SMTP_AUTHD_H
#define SMTP_AUTHD_H

#include "base/limits.h"
#include "base/net.h"
#include "smtp/sasl.h"

enum {
    SMTP_AUTHD_LINE_BYTES_MAX = 16384, /* what Dovecot says of itself */
    SMTP_AUTHD_VERSION_MAJOR = 1,
    SMTP_AUTHD_VERSION_MINOR = 1, /* nothing newer is used */
};

enum smtp_authd_kind {
    SMTP_AUTHD_BAD = 0,  /* not by the protocol: close */
    SMTP_AUTHD_OTHER,    /* a command that is not known: passed over */
    SMTP_AUTHD_VERSION,  /* of a major number that we speak */
    SMTP_AUTHD_MECH,     /* text: its name */
    SMTP_AUTHD_HANDSHAKE, /* SPID, CUID, COOKIE: of no use to us */
    SMTP_AUTHD_DONE,     /* the server's handshake is over: AUTH may be said */
    SMTP_AUTHD_CONT,     /* id; text: the challenge in base64 */
    SMTP_AUTHD_OK,       /* id; text: the user's name as the server wants it */
    SMTP_AUTHD_FAIL,     /* id; text: a reason for the user, or empty */
};

/* Why FAIL: what the client is told, and whether it counts against it. */
enum smtp_authd_failure {
    SMTP_AUTHD_WRONG = 0,    /* name or password */
    SMTP_AUTHD_TEMPORARY,    /* the server cannot look now: 454 */
    SMTP_AUTHD_NOT_ALLOWED,  /* right, but not as that identity, disabled or expired */
};

struct smtp_authd_line {
    uint8_t kind;     /* enum smtp_authd_kind */
    uint8_t failure;  /* enum smtp_authd_failure, for FAIL */
    bool private;     /* MECH: for Dovecot's own programs only: not to be offered */
    bool plaintext;   /* MECH: hands the password over */
    uint32_t id;      /* of the request: CONT, OK, FAIL */
    struct bytes text; /* unescaped, in the memory that was given to the parser, or a slice of the line */
};

/*
 * smtp_authd_parse - one line of the server, without its LF.
 * In       scratch  memory for an unescaped parameter; a name or reason that does not fit makes the line BAD
 */
struct smtp_authd_line smtp_authd_parse(struct bytes line, struct buf *scratch);

struct smtp_authd_request {
    uint32_t id;                      /* not 0; unlike every other that runs on the connection */
    struct bytes mechanism;           /* a name that the server said in MECH */
    struct net_address local, remote; /* family 0 = left out */
    bool secured;                     /* the client's connection has TLS */
    bool certificate;                 /* with a certificate that was verified ... */
    struct bytes certificate_user;    /* ... for this name; may be empty */
    bool has_initial;
    struct bytes initial;             /* base64 of the initial response; empty is one of no octets */
};

/* smtp_authd_hello - VERSION and CPID: what we say first. pid: unique among the server's clients. */
void smtp_authd_hello(struct buf *out, uint32_t pid);

/* smtp_authd_auth - begin an authentication. Whole or not at all. False, and nothing written, when the base64 or the mechanism is none. */
bool smtp_authd_auth(struct buf *out, const struct smtp_authd_request *request);

/* smtp_authd_cont - the client's answer to a challenge, base64. smtp_authd_cancel - the client gave up or is gone. */
bool smtp_authd_cont(struct buf *out, uint32_t id, struct bytes response);
void smtp_authd_cancel(struct buf *out, uint32_t id);

#endif
