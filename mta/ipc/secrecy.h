/*
 * secrecy - how much TLS a connection is to have: what the manager decides, and the delivery worker does. Written into CONNECT and SOCKET as octets
 * that the connector only carries: u8 level | u8 first | u8 name octets | name | TLSA records: u8 usage | u8 selector | u8 matching | u16 octets | data.
 */
#ifndef MTA_IPC_SECRECY_H
#define MTA_IPC_SECRECY_H

#include "base/bytes.h"

enum secrecy_level {
    SECRECY_NONE = 0, /* in the clear */
    SECRECY_MAY,      /* TLS where it is offered and works (RFC 7435) */
    SECRECY_ENCRYPT,  /* TLS with anybody, never in the clear */
    SECRECY_VERIFY,   /* the same, with a certificate of a known authority for `name` */
    SECRECY_DANE,     /* the same, with a certificate that the TLSA records name (RFC 7672) */
    SECRECY_LEVELS
};

/* Octets of all TLSA records of a host, and of the whole: thirty digests, or a whole certificate and some. */
enum { TLSA_BYTES_MAX = 2048, SECRECY_BYTES_MAX = 3 + 255 + TLSA_BYTES_MAX };

struct secrecy {
    uint8_t level;      /* enum secrecy_level */
    bool first;         /* TLS comes before the banner (RFC 8314 3.3) */
    struct bytes name;  /* asked for (SNI), and looked for in the certificate */
    struct bytes tlsa;  /* list of records; as smtp/tlsa.h chose them; empty: none is usable, TLS is a must all the same */
};

struct tlsa_record {
    uint8_t usage, selector, matching;
    struct bytes data;
};

void secrecy_put(struct buf *out, const struct secrecy *s);
/* secrecy_read - false when the octets are none. *s borrows. */
bool secrecy_read(struct bytes in, struct secrecy *s);

/* tlsa_put - append a record, whole or not at all: then list->overflow. tlsa_next - like rcpt_next(): false at the end, c->failed tells of a broken list. */
void tlsa_put(struct buf *list, const struct tlsa_record *r);
bool tlsa_next(struct cursor *c, struct tlsa_record *r);

#endif
