/*
 * scram - the messages and keys of SCRAM-SHA-256, for both sides; the order of messages is that of their machines.
 *
 * Channel binding is not done: "p=" is refused, and -PLUS is never offered. A client that says "y" (it could bind, and thinks that we
 * cannot) is right and is taken. The parsers point into the message they were given. Secrets are compared in constant time.
 *
 * Source   RFC 5802, 7677; stored form of the verifier RFC 5803
 */
#ifndef SMTP_SCRAM_H
#define SMTP_SCRAM_H

#include "smtp/base64.h"
#include "smtp/digest.h"
#include "smtp/sasl.h"

enum {
    SMTP_SCRAM_NONCE_BYTES_MAX = 256,    /* of one side, or both together; clients send 16 to 64 */
    SMTP_SCRAM_NONCE_OWN_BYTES = 24,     /* of ours: 18 random octets in base64 */
    SMTP_SCRAM_SALT_BYTES_MAX = 64,      /* 16 is usual */
    SMTP_SCRAM_ITERATIONS_MIN = 4096,    /* RFC 7677 4 */
    SMTP_SCRAM_ITERATIONS_MAX = 1000000, /* as client: a hostile server must not buy more than a fraction of a second of our processor */
    SMTP_SCRAM_NAME_BYTES_MAX = 3 * SMTP_SASL_NAME_BYTES_MAX, /* with every octet escaped */
    /* "SCRAM-SHA-256$1000000:salt$stored:server" */
    SMTP_SCRAM_VERIFIER_BYTES_MAX = 14 + 7 + 1 + SMTP_BASE64_BYTES(SMTP_SCRAM_SALT_BYTES_MAX) + 1 + 2 * SMTP_BASE64_BYTES(SMTP_SHA256_BYTES) + 1,
};

struct smtp_scram_verifier { /* what a server knows of a password */
    uint32_t iterations;     /* SMTP_SCRAM_ITERATIONS_MIN .. _MAX */
    uint32_t salt_bytes;     /* 1 .. SMTP_SCRAM_SALT_BYTES_MAX */
    uint8_t salt[SMTP_SCRAM_SALT_BYTES_MAX];
    uint8_t stored_key[SMTP_SHA256_BYTES];
    uint8_t server_key[SMTP_SHA256_BYTES];
};

/* smtp_scram_verifier_make - from a password; false when its text, the salt or the iterations are out of bounds, or the digest failed. */
bool smtp_scram_verifier_make(const struct smtp_digest *digest, struct bytes password, struct bytes salt, uint32_t iterations,
                              struct smtp_scram_verifier *out);

/* smtp_scram_verifier_fake - for a user that does not exist: looks as a true one would, always the same for the same name and secret; no
 * password fits it. Its cost is that of two HMACs, so look-up times must be evened out by the caller. */
bool smtp_scram_verifier_fake(const struct smtp_digest *digest, struct bytes secret, struct bytes user, uint32_t iterations,
                              struct smtp_scram_verifier *out);

/* smtp_scram_verifier_parse / _print - "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey". Parse leaves *out alone on failure. */
bool smtp_scram_verifier_parse(struct bytes text, struct smtp_scram_verifier *out);
void smtp_scram_verifier_print(struct buf *out, const struct smtp_scram_verifier *v);

struct smtp_scram_client_first { /* slices of the message */
    struct bytes gs2_header;     /* "n,a=authzid,", up to and with its second comma */
    struct bytes authzid, user;  /* still escaped (smtp_scram_name_decode); authzid may be empty */
    struct bytes nonce;
    struct bytes bare;           /* all after gs2_header */
};

struct smtp_scram_server_first {
    struct bytes nonce; /* both sides' */
    struct bytes salt;  /* base64 */
    uint32_t iterations;
};

struct smtp_scram_client_final {
    struct bytes binding; /* base64 of the gs2 header */
    struct bytes nonce;
    struct bytes proof;          /* base64 */
    struct bytes without_proof;  /* all before ",p=" */
};

enum smtp_scram_final { SMTP_SCRAM_FINAL_BAD = 0, SMTP_SCRAM_FINAL_VERIFIER, SMTP_SCRAM_FINAL_ERROR };

/*
 * Parsers of the four messages. Unknown extensions at the end are passed over; a mandatory one ("m=") refuses. False on anything that is
 * not by the grammar or over its limit.
 */
bool smtp_scram_client_first_parse(struct bytes message, struct smtp_scram_client_first *out);
bool smtp_scram_server_first_parse(struct bytes message, struct smtp_scram_server_first *out);
bool smtp_scram_client_final_parse(struct bytes message, struct smtp_scram_client_final *out);
/* *value: base64 of the server's signature, or the word of an error. */
enum smtp_scram_final smtp_scram_server_final_parse(struct bytes message, struct bytes *value);

/* smtp_scram_name_encode / _decode - a saslname: ',' as "=2C", '=' as "=3D". Decode: false on another '=' or text that may be no name. */
void smtp_scram_name_encode(struct buf *out, struct bytes name);
bool smtp_scram_name_decode(struct bytes name, struct buf *out);

/* smtp_scram_nonce_valid - 1 .. SMTP_SCRAM_NONCE_BYTES_MAX printable octets without ','. */
bool smtp_scram_nonce_valid(struct bytes nonce);

struct smtp_scram_transcript { /* what is signed: client-first-bare "," server-first "," client-final-without-proof */
    struct bytes client_first_bare, server_first, without_proof;
};

/* smtp_scram_check_proof - whether a client's proof (32 octets) shows that it knows the password behind a verifier. */
bool smtp_scram_check_proof(const struct smtp_digest *digest, const struct smtp_scram_verifier *v, const struct smtp_scram_transcript *t,
                            struct bytes proof);

/* smtp_scram_server_signature - what proves the server to the client. */
bool smtp_scram_server_signature(const struct smtp_digest *digest, const uint8_t *server_key, const struct smtp_scram_transcript *t,
                                 uint8_t signature[SMTP_SHA256_BYTES]);

/* smtp_scram_client_proof - the client's proof, and the signature that it will want of the server. Cost: PBKDF2. */
bool smtp_scram_client_proof(const struct smtp_digest *digest, struct bytes password, struct bytes salt, uint32_t iterations,
                             const struct smtp_scram_transcript *t, uint8_t proof[SMTP_SHA256_BYTES], uint8_t signature[SMTP_SHA256_BYTES]);

/* smtp_scram_same - equal octets of equal length, in a time that depends on the lengths only. */
bool smtp_scram_same(struct bytes a, struct bytes b);

#endif
