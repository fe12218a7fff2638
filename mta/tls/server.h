/*
 * server - TLS of clients' connections: certificates by SNI, keys that are somewhere else, tickets by listener.
 *
 * The private keys are never here. A handshake asks tls_sign_fn for the signature; who implements it asks the keyholder.
 */
#ifndef MTA_TLS_SERVER_H
#define MTA_TLS_SERVER_H

#include "mta/tls/tls.h"

enum tls_key_kind { TLS_KEY_RSA = 1, TLS_KEY_EC };

/*
 * tls_sign_fn - sign with the private half of key `id`.
 * In       octets     RSA: the whole padded block, as long as the modulus. EC: the digest
 * Out      signature  RSA: as long as the modulus. EC: DER
 * Returns  false: the handshake fails
 */
typedef bool tls_sign_fn(void *context, uint64_t id, enum tls_key_kind kind, struct bytes octets, struct buf *signature);

struct tls_server_listener { /* what a listener wants */
    uint16_t first, count; /* certificates of its tls block, in `chains` */
    bool only_1_3, tickets;
};

struct tls_server_options {
    const struct bytes *chains; /* PEM texts; borrowed for the call */
    uint32_t chain_count;
    const struct tls_server_listener *listeners; /* count 0: no TLS there */
    uint32_t listener_count;
    tls_sign_fn *sign;
    void *sign_context;
};

struct tls_server; /* everything that sessions of a process share; counted: sessions keep it alive */

must_use enum err tls_server_open(struct tls_server **out, const struct tls_server_options *o);
/* tls_server_release - no new sessions; it goes when the last one has ended. NULL is allowed. */
void tls_server_release(struct tls_server *t);

/* tls_tickets - the secrets of which every listener's ticket keys are made; until it was called, no ticket is given. For all servers of the process. */
void tls_tickets(struct bytes current, struct bytes previous);

/* tls_accept - a session on this listener; NULL when there is no memory. */
struct tls_session *tls_accept(struct tls_server *t, uint32_t listener);

/* tls_server_name - the name that the client asked for (SNI); empty = none. */
struct bytes tls_server_name(const struct tls_session *s);

#endif
