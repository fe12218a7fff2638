/*
 * keys - private keys: read from PEM, kept, used. For the keyholder, and for `mtad --check`; nobody else may have one.
 */
#ifndef MTA_TLS_KEYS_H
#define MTA_TLS_KEYS_H

#include "mta/tls/server.h"

struct tls_key;

/*
 * tls_key_read - a private key and the certificate that it belongs to.
 * In       chain, key  PEM texts
 * Out      *out   the key; its owner frees it
 *          words  what is wrong, when it is not ERR_NONE; else the certificate's names, kind and end: "a.example (ECDSA P-256), expires 2026-12-31"
 * Errors   ERR_BAD_VALUE: not readable, of a kind that is not served, with a password, or not the certificate's
 */
must_use enum err tls_key_read(struct tls_key **out, struct bytes chain, struct bytes key, struct buf *words);
void tls_key_free(struct tls_key *k);

uint64_t tls_key_id(const struct tls_key *k);
/* tls_key_ends_s - when its certificate expires, seconds since 1970. */
int64_t tls_key_ends_s(const struct tls_key *k);

/*
 * tls_key_sign - see tls_sign_fn. An RSA block is signed only when it has the form of a signature's: EMSA-PKCS1-v1_5 (RFC 8017 9.2), or the end of
 * EMSA-PSS (9.1), so that what was encrypted for the key is not decrypted by it.
 */
bool tls_key_sign(struct tls_key *k, enum tls_key_kind kind, struct bytes octets, struct buf *signature);

#endif
