/*
 * tls - what server and client have in common: a session as a pure pump between octets of the wire and octets of the protocol.
 *
 * Only this folder includes OpenSSL. No descriptor is known here: what came from the socket is handed in as a slice, and what is to be sent comes
 * out in the caller's builder, whole, so that a flight is one send. OpenSSL allocates while it runs, also behind the lock-down; everything that it
 * reads from files (there is nothing) or looks up (its providers are built in) it has before.
 */
#ifndef MTA_TLS_TLS_H
#define MTA_TLS_TLS_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    TLS_SIGNATURE_BYTES_MAX = 512,  /* RSA of 4096 bits */
    TLS_TICKET_SECRET_BYTES = 32,
    /* What one call may have to send: replies of 8 KiB, or a flight with a chain of certificates. */
    TLS_FLIGHT_BYTES_MAX = 64 * 1024,
    /* What one call may decrypt: what it is given, and the record of which the rest has come. */
    TLS_PLAIN_ROOM_BYTES = 20 * 1024,
    TLS_WORDS_BYTES_MAX = 120,      /* of a description */
};

enum tls_state {
    TLS_HANDSHAKE = 0, /* more octets are awaited */
    TLS_OPEN,
    TLS_ENDED,         /* the peer has said that nothing more comes: the end of the connection */
    TLS_FAILED,        /* tls_words() says why; an alert may be in the flight: send it, and close */
};

struct tls_session;

/* tls_init - once a process, before lock-down. */
must_use enum err tls_init(void);

/*
 * tls_feed - octets of the wire in, octets of the protocol out.
 * In       cipher  what came; all of it is used, unless the session ended or failed. May be empty: a client's handshake begins so
 * Out      plain   what was decrypted, appended; must have room for cipher.len + TLS_PLAIN_ROOM_BYTES
 *          flight  what is to be sent, appended; TLS_FLIGHT_BYTES_MAX of room is enough
 * Returns  the session's state now
 */
enum tls_state tls_feed(struct tls_session *s, struct bytes cipher, struct buf *plain, struct buf *flight);

/* tls_write - encrypt all of `plain` into `flight` (which has room for plain.len and 64 octets for each 16 KiB begun). The session is open. */
must_use enum err tls_write(struct tls_session *s, struct bytes plain, struct buf *flight);

/* tls_close - say that nothing more comes. */
void tls_close(struct tls_session *s, struct buf *flight);

/* tls_words - why it failed; for the log. */
struct bytes tls_words(const struct tls_session *s);
/* tls_describe - "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)", as Postfix says it. */
void tls_describe(const struct tls_session *s, struct buf *out);
/* tls_resumed - whether the handshake was a short one. */
bool tls_resumed(const struct tls_session *s);

void tls_free(struct tls_session *s); /* NULL is allowed */

#endif
