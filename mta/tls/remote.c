/*
 * remote - keys whose private half is in another process: methods of RSA and ECDSA that ask for a signature.
 *
 * These methods are deprecated since OpenSSL 3.0 and work in all of 3.x; a provider would take ten times the code (docs/decisions). What arrives
 * for RSA is a padded block, for PSS too; for ECDSA it is the digest.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "mta/tls/inside.h"
#include "mta/tls/remote.h"

static tls_sign_fn *sign;
static void *sign_context;

void tls_remote_open(tls_sign_fn *how, void *context)
{
    sign = how;
    sign_context = context;
}

/* id_of - what was put beside the key, which lives as long as it. */
static uint64_t id_of(const void *beside)
{
    uint64_t id = 0;
    if (beside) memcpy(&id, beside, sizeof id);
    return id;
}

static void free_beside(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *argument)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)argument;
    free(pointer);
}

static void *beside(uint64_t id)
{
    uint64_t *memory = malloc(sizeof *memory);
    if (memory) *memory = id;
    return memory;
}

static int rsa_index(void)
{
    static int index = -1;
    if (index < 0) index = RSA_get_ex_new_index(0, NULL, NULL, NULL, free_beside);
    return index;
}

static int ec_index(void)
{
    static int index = -1;
    if (index < 0) index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, free_beside);
    return index;
}

static int rsa_private(int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    uint8_t block[TLS_SIGNATURE_BYTES_MAX], memory[TLS_SIGNATURE_BYTES_MAX];
    int size = RSA_size(rsa);
    if (size <= 0 || size > (int)sizeof block || n < 0) return -1;
    if (padding == RSA_PKCS1_PADDING) {
        if (RSA_padding_add_PKCS1_type_1(block, size, from, n) != 1) return -1;
    } else if (padding == RSA_NO_PADDING && n == size) {
        memcpy(block, from, (size_t)n);
    } else {
        return -1;
    }
    struct buf signature = BUF_OVER(memory);
    uint64_t id = id_of(RSA_get_ex_data(rsa, rsa_index()));
    if (!sign(sign_context, id, TLS_KEY_RSA, bytes_of(block, (uint32_t)size), &signature) || signature.len != (uint32_t)size) return -1;
    memcpy(to, memory, signature.len);
    return size;
}

/* Key exchange by RSA is not offered: nothing is to be decrypted. */
static int rsa_nothing(int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    (void)n;
    (void)from;
    (void)to;
    (void)rsa;
    (void)padding;
    return -1;
}

static int ec_sign(int type, const unsigned char *digest, int n, unsigned char *to, unsigned int *len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
    uint8_t memory[TLS_SIGNATURE_BYTES_MAX];
    struct buf signature = BUF_OVER(memory);
    (void)type;
    (void)kinv;
    (void)r;
    int room = ECDSA_size(key);
    uint64_t id = id_of(EC_KEY_get_ex_data(key, ec_index()));
    if (n <= 0 || !sign(sign_context, id, TLS_KEY_EC, bytes_of(digest, (uint32_t)n), &signature)) return 0;
    if (room <= 0 || signature.len > (uint32_t)room || signature.len == 0) return 0;
    memcpy(to, memory, signature.len);
    *len = signature.len;
    return 1;
}

static EVP_PKEY *remote_rsa(EVP_PKEY *public, uint64_t id)
{
    static RSA_METHOD *method;
    if (!method && (method = RSA_meth_dup(RSA_PKCS1_OpenSSL()))) {
        RSA_meth_set_priv_enc(method, rsa_private);
        RSA_meth_set_priv_dec(method, rsa_nothing);
    }
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = EVP_PKEY_get1_RSA(public);
    bool good = method && key && rsa && RSA_size(rsa) <= TLS_SIGNATURE_BYTES_MAX && RSA_set_method(rsa, method) == 1;
    good = good && RSA_set_ex_data(rsa, rsa_index(), beside(id)) == 1 && EVP_PKEY_assign_RSA(key, rsa) == 1;
    if (good) return key;
    RSA_free(rsa);
    EVP_PKEY_free(key);
    return NULL;
}

static EVP_PKEY *remote_ec(EVP_PKEY *public, uint64_t id)
{
    static EC_KEY_METHOD *method;
    if (!method && (method = EC_KEY_METHOD_new(EC_KEY_OpenSSL()))) EC_KEY_METHOD_set_sign(method, ec_sign, NULL, NULL);
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EVP_PKEY_get1_EC_KEY(public);
    bool good = method && key && ec && EC_KEY_set_method(ec, method) == 1;
    good = good && EC_KEY_set_ex_data(ec, ec_index(), beside(id)) == 1 && EVP_PKEY_assign_EC_KEY(key, ec) == 1;
    if (good) return key;
    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

EVP_PKEY *tls_remote_key(X509 *leaf)
{
    EVP_PKEY *public = X509_get_pubkey(leaf), *key = NULL;
    uint64_t id;
    if (tls_key_number(public, &id) == ERR_NONE) {
        if (EVP_PKEY_get_base_id(public) == EVP_PKEY_RSA) key = remote_rsa(public, id);
        if (EVP_PKEY_get_base_id(public) == EVP_PKEY_EC) key = remote_ec(public, id);
    }
    EVP_PKEY_free(public);
    ERR_clear_error();
    return key;
}
