/*
 * sasl_client - one authentication, seen from the client: a submission server's challenges in, messages out.
 *
 * SCRAM proves the server too: a server that says 235 before it has shown its signature is refused (smtp_sasl_client_accept), since it
 * may know nothing of the password. The other mechanisms hand the secret over: only to a server whose certificate was verified, which is
 * the caller's to see to.
 *
 * Source   RFC 4954, 4616, 4422, 5802, 7677; XOAUTH2 as Google and Microsoft document it
 */
#ifndef SMTP_SASL_CLIENT_H
#define SMTP_SASL_CLIENT_H

#include "smtp/scram.h"

struct smtp_sasl_credentials { /* borrowed for the life of the machine */
    struct bytes user;
    struct bytes secret; /* the password; the token for XOAUTH2; unused for EXTERNAL */
};

/* smtp_sasl_credentials_valid - whether they can be said by that mechanism. */
bool smtp_sasl_credentials_valid(enum smtp_sasl_mechanism mechanism, const struct smtp_sasl_credentials *credentials);

struct smtp_sasl_client {
    const struct smtp_sasl_credentials *credentials;
    const struct smtp_digest *digest; /* for SCRAM; borrowed */
    uint8_t mechanism;                /* enum smtp_sasl_mechanism */
    uint8_t step;                     /* what is awaited */
    bool proven;                      /* the server's signature was right, or the mechanism has none */
    uint32_t first_bytes;             /* octets in first */
    uint8_t own_nonce[SMTP_SCRAM_NONCE_OWN_BYTES];
    uint8_t signature[SMTP_SHA256_BYTES];          /* what the server must show */
    uint8_t first[SMTP_SCRAM_NAME_BYTES_MAX + 64]; /* client-first-bare */
};

/*
 * smtp_sasl_client_begin - ready for a try.
 * In       credentials  valid for the mechanism; digest, nonce: as smtp_sasl_server_begin()
 */
void smtp_sasl_client_begin(struct smtp_sasl_client *c, enum smtp_sasl_mechanism mechanism, const struct smtp_sasl_credentials *credentials,
                            const struct smtp_digest *digest, struct bytes nonce);

/*
 * smtp_sasl_client_initial - the octets that go with AUTH.
 * Returns  false when the mechanism has none (LOGIN): say AUTH alone, and wait for a challenge. The message may be empty (EXTERNAL): "=" then
 * Errors   out->overflow; SMTP_SASL_MESSAGE_BYTES_MAX is enough, and for XOAUTH2 SMTP_SASL_TOKEN_BYTES_MAX + 512
 * When the line becomes longer than the server may take (RFC 4954 4: 512 octets for AUTH with it), say AUTH alone and give this as the
 * answer to the empty challenge.
 */
bool smtp_sasl_client_initial(struct smtp_sasl_client *c, struct buf *out);

/*
 * smtp_sasl_client_feed - a challenge (334), decoded.
 * Out      *out     our message appended, maybe empty
 * Returns  false when there is nothing sensible to say: cancel with "*"; final
 */
bool smtp_sasl_client_feed(struct smtp_sasl_client *c, struct bytes challenge, struct buf *out);

/* smtp_sasl_client_accept - the server said 235: may it be believed? */
bool smtp_sasl_client_accept(const struct smtp_sasl_client *c);

/* smtp_sasl_client_wipe - the end of a try. */
void smtp_sasl_client_wipe(struct smtp_sasl_client *c);

#endif
