/*
 * secrets - see secrets.h.
 */
#include "mta/authd/secrets.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/limits.h"
#include "smtp/sasl.h"
#include "smtp/scram.h"

static_assert((int)SECRETS_HASH_BYTES_MAX >= CRYPT_OUTPUT_SIZE, "a hash must fit");
static_assert((int)SMTP_SASL_PASSWORD_BYTES_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "a password must fit");

static bool sha256(struct bytes in, uint8_t out[SMTP_SHA256_BYTES])
{
    return EVP_Digest(in.ptr, in.len, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool hmac(struct bytes key, struct bytes in, uint8_t out[SMTP_SHA256_BYTES])
{
    return HMAC(EVP_sha256(), key.ptr, (int)key.len, in.ptr, in.len, out, NULL) != NULL;
}

static bool pbkdf2(struct bytes password, struct bytes salt, uint32_t iterations, uint8_t out[SMTP_SHA256_BYTES])
{
    return PKCS5_PBKDF2_HMAC((const char *)password.ptr, (int)password.len, salt.ptr, (int)salt.len, (int)iterations,
        EVP_sha256(), SMTP_SHA256_BYTES, out) == 1;
}

const struct smtp_digest secrets_digest = {sha256, hmac, pbkdf2};

bool secrets_random(void *out, uint32_t bytes)
{
    return getrandom(out, bytes, 0) == (ssize_t)bytes;
}

/* text_of - a NUL-terminated copy; the caller's memory is one octet longer than the text may be. */
static bool text_of(struct bytes from, char *to, uint32_t room)
{
    if (from.len >= room || bytes_find(from, 0) < from.len) return false;
    if (from.len > 0) memcpy(to, from.ptr, from.len);
    to[from.len] = 0;
    return true;
}

/* run - crypt(3) with memory of its own, wiped afterwards. NULL hash on failure. */
static bool run(struct bytes password, const char *setting, char *out)
{
    char phrase[SMTP_SASL_PASSWORD_BYTES_MAX + 1];
    struct crypt_data *data = calloc(1, sizeof *data);
    bool good = data && text_of(password, phrase, sizeof phrase);
    const char *hash = good ? crypt_rn(phrase, setting, data, (int)sizeof *data) : NULL;
    good = hash && strlen(hash) < SECRETS_HASH_BYTES_MAX;
    if (good) memcpy(out, hash, strlen(hash) + 1);
    explicit_bzero(phrase, sizeof phrase);
    if (data) explicit_bzero(data, sizeof *data);
    free(data);
    return good;
}

bool secrets_hash(struct bytes password, char *out)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    return crypt_gensalt_rn("$y$", 0, NULL, 0, setting, (int)sizeof setting) != NULL && run(password, setting, out);
}

bool secrets_fits(struct bytes password, struct bytes hash)
{
    char setting[SECRETS_HASH_BYTES_MAX], got[SECRETS_HASH_BYTES_MAX];
    if (!text_of(hash, setting, sizeof setting) || !run(password, setting, got)) return false;
    bool same = smtp_scram_same(bytes_of_cstr(got), hash);
    explicit_bzero(got, sizeof got);
    return same;
}

bool secrets_hash_valid(struct bytes hash)
{
    char text[SECRETS_HASH_BYTES_MAX];
    /* DES, whose hashes begin with any two letters, is none: every typing error would be one of its. */
    if (hash.len == 0 || hash.ptr[0] != '$' || !text_of(hash, text, sizeof text)) return false;
    int kind = crypt_checksalt(text);
    return kind == CRYPT_SALT_OK || kind == CRYPT_SALT_METHOD_LEGACY;
}
