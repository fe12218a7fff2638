/*
 * pem - chains of certificates, and names of keys.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "mta/tls/inside.h"

enum { CHAIN_MAX = 16 };

void tls_chain_free(struct chain_of *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->others, X509_free);
    *c = (struct chain_of){0};
}

enum err tls_chain_read(struct bytes pem, struct chain_of *out)
{
    *out = (struct chain_of){.others = sk_X509_new_null()};
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    enum err e = bio && out->others ? ERR_NONE : ERR_NO_MEMORY;
    for (int i = 0; e == ERR_NONE && i < CHAIN_MAX; i++) {
        X509 *one = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!one) break;
        if (i == 0) out->leaf = one;
        else if (sk_X509_push(out->others, one) <= 0) {
            X509_free(one);
            e = ERR_NO_MEMORY;
        }
    }
    ERR_clear_error();
    if (e == ERR_NONE && !out->leaf) e = ERR_BAD_VALUE;
    BIO_free(bio);
    if (e != ERR_NONE) tls_chain_free(out);
    return e;
}

enum err tls_key_number(EVP_PKEY *key, uint64_t *id)
{
    unsigned char *der = NULL;
    int n = key ? i2d_PUBKEY(key, &der) : -1;
    if (n <= 0) return ERR_BAD_VALUE;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(der, (size_t)n, digest);
    OPENSSL_free(der);
    *id = 0;
    for (int i = 0; i < 8; i++) *id = *id << 8 | digest[i];
    return ERR_NONE;
}
