/*
 * scram_keys - the keys of SCRAM: verifiers, proofs and signatures. See smtp/scram.h.
 *
 *   SaltedPassword = PBKDF2(password, salt, i)          AuthMessage = client-first-bare "," server-first "," client-final-without-proof
 *   ClientKey = HMAC(SaltedPassword, "Client Key")      StoredKey = H(ClientKey)      ServerKey = HMAC(SaltedPassword, "Server Key")
 *   ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage)                          ServerSignature = HMAC(ServerKey, AuthMessage)
 */
#include <string.h>

#include "base/must.h"
#include "smtp/scram.h"

enum { TRANSCRIPT_BYTES_MAX = 3 * SMTP_SASL_MESSAGE_BYTES_MAX + 2 };

static const struct bytes scheme = BYTES_INIT("SCRAM-SHA-256$");

static struct bytes key_of(const uint8_t *key)
{
    return bytes_of(key, SMTP_SHA256_BYTES);
}

bool smtp_scram_same(struct bytes a, struct bytes b)
{
    if (a.len != b.len) return false;
    uint32_t differs = 0;
    for (uint32_t i = 0; i < a.len; i++) differs |= (uint32_t)(a.ptr[i] ^ b.ptr[i]);
    return differs == 0;
}

static bool parameters_valid(struct bytes salt, uint64_t iterations)
{
    return salt.len > 0 && salt.len <= SMTP_SCRAM_SALT_BYTES_MAX && iterations >= SMTP_SCRAM_ITERATIONS_MIN && iterations <= SMTP_SCRAM_ITERATIONS_MAX;
}

/* derive - the three keys of a password. */
static bool derive(const struct smtp_digest *d, struct bytes password, struct bytes salt, uint32_t iterations, uint8_t *client_key, uint8_t *stored_key,
                   uint8_t *server_key)
{
    uint8_t salted[SMTP_SHA256_BYTES];
    bool ok = d->pbkdf2(password, salt, iterations, salted) && d->hmac(key_of(salted), BYTES("Client Key"), client_key) &&
              d->sha256(key_of(client_key), stored_key) && d->hmac(key_of(salted), BYTES("Server Key"), server_key);
    explicit_bzero(salted, sizeof(salted));
    return ok;
}

/* sign - HMAC over the transcript. */
static bool sign(const struct smtp_digest *d, const uint8_t *key, const struct smtp_scram_transcript *t, uint8_t *out)
{
    uint8_t memory[TRANSCRIPT_BYTES_MAX];
    struct buf all = BUF_OVER(memory);
    buf_put(&all, t->client_first_bare);
    buf_put_c(&all, ',');
    buf_put(&all, t->server_first);
    buf_put_c(&all, ',');
    buf_put(&all, t->without_proof);
    return !all.overflow && d->hmac(key_of(key), buf_bytes(&all), out);
}

static void xor_keys(const uint8_t *a, const uint8_t *b, uint8_t *out)
{
    for (uint32_t i = 0; i < SMTP_SHA256_BYTES; i++) out[i] = a[i] ^ b[i];
}

bool smtp_scram_verifier_make(const struct smtp_digest *digest, struct bytes password, struct bytes salt, uint32_t iterations,
                              struct smtp_scram_verifier *out)
{
    if (!parameters_valid(salt, iterations) || !smtp_sasl_text_valid(password, SMTP_SASL_PASSWORD_BYTES_MAX)) return false;
    struct smtp_scram_verifier v = {.iterations = iterations, .salt_bytes = salt.len};
    uint8_t client_key[SMTP_SHA256_BYTES];
    memcpy(v.salt, salt.ptr, salt.len);
    bool ok = derive(digest, password, salt, iterations, client_key, v.stored_key, v.server_key);
    explicit_bzero(client_key, sizeof(client_key));
    if (ok) *out = v;
    return ok;
}

bool smtp_scram_verifier_fake(const struct smtp_digest *digest, struct bytes secret, struct bytes user, uint32_t iterations,
                              struct smtp_scram_verifier *out)
{
    struct smtp_scram_verifier v = {.iterations = iterations, .salt_bytes = 16}; /* as long as those that passwd makes */
    uint8_t salt[SMTP_SHA256_BYTES];
    if (!parameters_valid(bytes_of(v.salt, v.salt_bytes), iterations)) return false;
    if (!digest->hmac(secret, user, salt)) return false;
    memcpy(v.salt, salt, v.salt_bytes);
    /* Nobody knows octets whose hash these are: the second is a MAC over the first, under a secret. */
    if (!digest->hmac(secret, key_of(salt), v.stored_key)) return false;
    memcpy(v.server_key, v.stored_key, sizeof(v.server_key));
    *out = v;
    return true;
}

/* take_to - the text before the next `c`, and *rest behind it; false when there is none. */
static bool take_to(struct bytes *rest, uint8_t c, struct bytes *part)
{
    uint32_t end = bytes_find(*rest, c);
    if (end == rest->len) return false;
    *part = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end + 1);
    return true;
}

static bool decode_key(struct bytes text, uint8_t *key)
{
    struct buf out = buf_over(key, SMTP_SHA256_BYTES);
    return smtp_base64_decode(text, &out) && out.len == SMTP_SHA256_BYTES;
}

bool smtp_scram_verifier_parse(struct bytes text, struct smtp_scram_verifier *out)
{
    struct smtp_scram_verifier v = {0};
    struct bytes digits, salt_text, stored;
    uint64_t iterations;
    if (!bytes_starts_nocase(text, scheme)) return false;
    struct bytes rest = bytes_from(text, scheme.len);
    if (!take_to(&rest, ':', &digits) || !take_to(&rest, '$', &salt_text) || !take_to(&rest, ':', &stored)) return false;
    struct buf salt = BUF_OVER(v.salt);
    if (!bytes_to_u64(digits, &iterations) || digits.ptr[0] == '0' || !smtp_base64_decode(salt_text, &salt)) return false;
    if (!parameters_valid(buf_bytes(&salt), iterations)) return false;
    if (!decode_key(stored, v.stored_key) || !decode_key(rest, v.server_key)) return false;
    v.iterations = (uint32_t)iterations;
    v.salt_bytes = salt.len;
    *out = v;
    return true;
}

void smtp_scram_verifier_print(struct buf *out, const struct smtp_scram_verifier *v)
{
    uint8_t memory[SMTP_SCRAM_VERIFIER_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    must(v->salt_bytes <= SMTP_SCRAM_SALT_BYTES_MAX);
    buf_put(&text, scheme);
    buf_put_u64(&text, v->iterations);
    buf_put_c(&text, ':');
    smtp_base64_encode(&text, bytes_of(v->salt, v->salt_bytes));
    buf_put_c(&text, '$');
    smtp_base64_encode(&text, key_of(v->stored_key));
    buf_put_c(&text, ':');
    smtp_base64_encode(&text, key_of(v->server_key));
    must(!text.overflow);
    buf_put(out, buf_bytes(&text));
}

bool smtp_scram_check_proof(const struct smtp_digest *digest, const struct smtp_scram_verifier *v, const struct smtp_scram_transcript *t,
                            struct bytes proof)
{
    uint8_t signature[SMTP_SHA256_BYTES], client_key[SMTP_SHA256_BYTES], hashed[SMTP_SHA256_BYTES];
    if (proof.len != SMTP_SHA256_BYTES || !sign(digest, v->stored_key, t, signature)) return false;
    xor_keys(proof.ptr, signature, client_key);
    bool same = digest->sha256(key_of(client_key), hashed) && smtp_scram_same(key_of(hashed), key_of(v->stored_key));
    explicit_bzero(client_key, sizeof(client_key));
    return same;
}

bool smtp_scram_server_signature(const struct smtp_digest *digest, const uint8_t *server_key, const struct smtp_scram_transcript *t,
                                 uint8_t signature[SMTP_SHA256_BYTES])
{
    return sign(digest, server_key, t, signature);
}

bool smtp_scram_client_proof(const struct smtp_digest *digest, struct bytes password, struct bytes salt, uint32_t iterations,
                             const struct smtp_scram_transcript *t, uint8_t proof[SMTP_SHA256_BYTES], uint8_t signature[SMTP_SHA256_BYTES])
{
    uint8_t client_key[SMTP_SHA256_BYTES], stored_key[SMTP_SHA256_BYTES], server_key[SMTP_SHA256_BYTES], signed_key[SMTP_SHA256_BYTES];
    bool ok = derive(digest, password, salt, iterations, client_key, stored_key, server_key) && sign(digest, stored_key, t, signed_key) &&
              sign(digest, server_key, t, signature);
    if (ok) xor_keys(client_key, signed_key, proof);
    explicit_bzero(client_key, sizeof(client_key));
    explicit_bzero(server_key, sizeof(server_key));
    return ok;
}
