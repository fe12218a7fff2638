/*
 * secure - clients' connections under TLS: certificates, handshakes, what is to be sent.
 *
 * Between ring and machine stands a tls_session: what was received becomes octets of the protocol, and replies become a flight that is sent whole.
 * Signatures are asked of the keyholder while everything else here waits for them: it takes 40 us for ECDSA, a millisecond or two for RSA, and who
 * does not answer in SIGN_WAIT_MS is not asked for a while.
 */
#ifndef MTA_RECEIVER_SECURE_H
#define MTA_RECEIVER_SECURE_H

#include "base/bytes.h"
#include "base/err.h"

struct receiver;
struct session;
struct ipc_certificates;

struct flight { /* octets for the wire that wait, or are being sent */
    uint8_t *octets; /* owned; NULL = nothing */
    uint32_t len, sent;
};

struct secure { /* one a receiver */
    struct tls_server *server;  /* NULL: no certificates yet */
    bool tickets;               /* the keyholder has given its secrets: it is there, and has the keys */
    uint8_t *plain, *flight;    /* scratch of one call */
    uint64_t request;           /* number of the last SIGN */
    bool answered, good;        /* SIGNATURE came for it */
    uint32_t signature_len;
    uint8_t signature[512];
    uint64_t not_before_ms;     /* the keyholder did not answer in time: it is not asked before */
};

must_use enum err secure_init(struct receiver *r);
/* secure_certificates - CERTIFICATES: sessions from now on use these; those before go on when they cannot be used, which is logged. Takes over fd. */
void secure_certificates(struct receiver *r, const struct ipc_certificates *m, int fd);
void secure_signature(struct receiver *r, uint64_t request, bool good, struct bytes octets);

/* secure_starttls - SMTP_NEED_TLS. secure_first - a connection that begins with TLS. */
void secure_starttls(struct receiver *r, struct session *s);
void secure_first(struct receiver *r, struct session *s);
/* secure_input - s->fresh is of the wire, and becomes of the protocol, with the same lifetime. May end the session. */
void secure_input(struct receiver *r, struct session *s);
/* secure_flush - encrypt what is to be said, and send what is there. secure_sent - some of it is sent. */
void secure_flush(struct receiver *r, struct session *s);
void secure_sent(struct session *s, uint32_t n);
/* secure_end - the session is over: all of it goes. */
void secure_end(struct session *s);

#endif
