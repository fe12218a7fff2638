/*
 * inside - what the files of this folder share. Nobody else includes this.
 */
#ifndef MTA_TLS_INSIDE_H
#define MTA_TLS_INSIDE_H

#include <openssl/ssl.h>

#include "mta/tls/tls.h"

struct tls_session {
    SSL *ssl;
    void *owner;           /* server.c: the listener */
    struct tls_server *server; /* which it keeps alive; NULL for a client */
    uint64_t destination;  /* client.c: of tls_connect; 0 = its session is not kept */
    struct bytes in;       /* what the wire gave, during a call */
    struct buf *out;       /* where the wire's octets go, during a call; NULL outside */
    bool open, failed;
    uint32_t words_len;
    uint8_t words[TLS_WORDS_BYTES_MAX];
};

/* tls_server_leave - a session of it has ended. */
void tls_server_leave(struct tls_server *t);

/* tls_session_make - around a new SSL of this context; NULL when there is no memory. */
struct tls_session *tls_session_make(SSL_CTX *context);

/* A chain of a PEM text: the leaf, and those behind it. Free with chain_free(). */
struct chain_of {
    X509 *leaf;
    STACK_OF(X509) *others;
};
must_use enum err tls_chain_read(struct bytes pem, struct chain_of *out);
void tls_chain_free(struct chain_of *c);

/* tls_key_number - the first eight octets of the SHA-256 of a public key: the name by which receivers ask for its private half. */
must_use enum err tls_key_number(EVP_PKEY *key, uint64_t *id);

/* tls_remote_key - the public key of a certificate as a key that signs through `tls_sign` (server.h); NULL when its kind is not served. */
EVP_PKEY *tls_remote_key(X509 *leaf);

#endif
