/*
 * client - TLS towards other servers: who they are is proven by authorities (verify), by TLSA records (DANE), or not at all.
 */
#ifndef MTA_TLS_CLIENT_H
#define MTA_TLS_CLIENT_H

#include "mta/tls/tls.h"

enum tls_proof {
    TLS_PROOF_NONE = 0, /* any certificate will do: opportunistic, and `encrypt` */
    TLS_PROOF_NAME,     /* of a known authority, for the name (RFC 6125) */
    TLS_PROOF_DANE,     /* RFC 7671, RFC 7672 */
};

struct tls_connect {
    uint8_t proof;        /* enum tls_proof */
    struct bytes name;    /* host name: SNI, and what is proven; at most 255 octets, no NUL */
    uint64_t destination; /* a number for everything that a resumed session must agree in: address, name, proof, records */
};

struct tls_client; /* everything that sessions of a process share */

/*
 * tls_client_open - before lock-down.
 * In       authorities  NUL-terminated path of a PEM file, for TLS_PROOF_NAME; NULL = none are needed
 * Errors   ERR_NOT_FOUND when no authority could be read
 */
must_use enum err tls_client_open(struct tls_client **out, const char *authorities);

/* tls_connect - a session; feed it nothing to begin. tls_connect_tlsa - add one record, before the first feed; false when it is of no use. */
struct tls_session *tls_connect(struct tls_client *t, const struct tls_connect *c);
bool tls_connect_tlsa(struct tls_session *s, uint8_t usage, uint8_t selector, uint8_t matching, struct bytes data);

/* tls_trust - "Verified", "Trusted", "Untrusted" or "Anonymous", as Postfix has it: for the log, once the session is open. */
const char *tls_trust(const struct tls_session *s);

#endif
