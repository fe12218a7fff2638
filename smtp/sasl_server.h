/*
 * sasl_server - one authentication, seen from the server: messages of the client in, challenges and questions out.
 *
 * The machine knows no users. Where it needs one it asks (ASK_PASSWORD, ASK_VERIFIER, ASK_IDENTITY), and goes on when it was answered; for a
 * user that does not exist the answer to ASK_VERIFIER is smtp_scram_verifier_fake(), so that nobody can tell. A machine is for one try:
 * begin again for the next, so that nothing of a failed one is left. An authzid that is not the user's own name is refused: who may send as
 * whom is decided by rules, not here.
 *
 * Source   RFC 4954, 4616 (PLAIN), 4422 appendix A (EXTERNAL), 5802 and 7677 (SCRAM-SHA-256); LOGIN as everybody does it
 */
#ifndef SMTP_SASL_SERVER_H
#define SMTP_SASL_SERVER_H

#include "smtp/scram.h"

enum smtp_sasl_result {
    SMTP_SASL_BAD = 0,      /* a message that is not by the mechanism: 501; final */
    SMTP_SASL_FAILED,       /* wrong password or proof, or refused: 535; final */
    SMTP_SASL_CHALLENGE,    /* 334 with what was appended to out (base64 it); its answer goes to feed */
    SMTP_SASL_ASK_PASSWORD, /* are s->user and s->password right? answer with judge */
    SMTP_SASL_ASK_IDENTITY, /* may the peer, known by its certificate, be s->user (empty: whatever the certificate says)? answer with judge */
    SMTP_SASL_ASK_VERIFIER, /* what is known of s->user's password? answer with verifier */
    SMTP_SASL_DONE,         /* 235: the client is s->user; final */
};

struct smtp_sasl_server {
    const struct smtp_digest *digest; /* for SCRAM; borrowed */
    uint8_t mechanism;                /* enum smtp_sasl_mechanism */
    uint8_t step;                     /* what is awaited */
    struct bytes user;                /* in this struct, valid from the first ASK_ on */
    struct bytes password;            /* in this struct, at ASK_PASSWORD */
    uint32_t gs2_bytes, bare_bytes, first_bytes, nonce_bytes; /* octets in the stores below */
    struct smtp_scram_verifier verifier;
    uint8_t own_nonce[SMTP_SCRAM_NONCE_OWN_BYTES];
    uint8_t user_store[SMTP_SASL_NAME_BYTES_MAX];
    uint8_t password_store[SMTP_SASL_PASSWORD_BYTES_MAX];
    uint8_t message[SMTP_SASL_MESSAGE_BYTES_MAX]; /* client-first: gs2 header, then bare */
    uint8_t first[SMTP_SASL_MESSAGE_BYTES_MAX];   /* server-first; the nonce of both sides is its start, behind "r=" */
};

/*
 * smtp_sasl_server_begin - ready for a try.
 * In       mechanism  one of those of a server; digest, nonce: needed for SCRAM only (nonce: SMTP_SCRAM_NONCE_OWN_BYTES printable random
 *                     octets without ',', used for this try alone)
 */
void smtp_sasl_server_begin(struct smtp_sasl_server *s, enum smtp_sasl_mechanism mechanism, const struct smtp_digest *digest, struct bytes nonce);

/*
 * smtp_sasl_server_start - the AUTH command came.
 * In       has_initial  with an initial response: `initial`, decoded
 * Out      *out         a challenge's octets appended; give it SMTP_SASL_MESSAGE_BYTES_MAX
 */
enum smtp_sasl_result smtp_sasl_server_start(struct smtp_sasl_server *s, bool has_initial, struct bytes initial, struct buf *out);

/* smtp_sasl_server_feed - the client's answer to a challenge, decoded. */
enum smtp_sasl_result smtp_sasl_server_feed(struct smtp_sasl_server *s, struct bytes message, struct buf *out);

/* smtp_sasl_server_judge - the answer to ASK_PASSWORD and ASK_IDENTITY. Returns DONE or FAILED. */
enum smtp_sasl_result smtp_sasl_server_judge(struct smtp_sasl_server *s, bool good);

/* smtp_sasl_server_verifier - the answer to ASK_VERIFIER. */
enum smtp_sasl_result smtp_sasl_server_verifier(struct smtp_sasl_server *s, const struct smtp_scram_verifier *v, struct buf *out);

/* smtp_sasl_server_wipe - the end of a try, whatever its result: no secret stays in memory. */
void smtp_sasl_server_wipe(struct smtp_sasl_server *s);

#endif
