/*
 * keys - see keys.h.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "mta/tls/inside.h"
#include "mta/tls/keys.h"

struct tls_key {
    EVP_PKEY *key;
    enum tls_key_kind kind;
    uint64_t id;
    int64_t ends_s;
};

/* no_password - a key with a password has none here: nobody is asked. */
static int no_password(char *to, int room, int writing, void *context)
{
    (void)to;
    (void)room;
    (void)writing;
    (void)context;
    return -1;
}

static enum err refuse(struct buf *words, const char *text)
{
    ERR_clear_error();
    buf_put_cstr(words, text);
    return ERR_BAD_VALUE;
}

static enum err read_private(struct bytes pem, EVP_PKEY **out, struct buf *words)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    *out = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    return *out ? ERR_NONE : refuse(words, "there is no private key in the key file, or it has a password");
}

static enum err judge(struct tls_key *k, struct buf *words)
{
    int kind = EVP_PKEY_get_base_id(k->key), bits = EVP_PKEY_get_bits(k->key);
    if (kind == EVP_PKEY_EC) {
        k->kind = TLS_KEY_EC;
    } else if (kind == EVP_PKEY_RSA) {
        k->kind = TLS_KEY_RSA;
        if (bits < 2048 || bits > TLS_SIGNATURE_BYTES_MAX * 8) return refuse(words, "the RSA key is not of 2048 to 4096 bits");
    } else {
        return refuse(words, "the key is neither RSA nor ECDSA");
    }
    return tls_key_number(k->key, &k->id);
}

/* describe - names, kind, end. */
static void describe(const struct tls_key *k, X509 *leaf, struct buf *words)
{
    enum { NAMES_SHOWN = 4 };
    char group[64] = "";
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int shown = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS || shown++ >= NAMES_SHOWN) continue;
        if (shown > 1) buf_put_c(words, ' ');
        const uint8_t *text = ASN1_STRING_get0_data(name->d.dNSName);
        for (int c = 0; c < ASN1_STRING_length(name->d.dNSName); c++) buf_put_c(words, text[c] > ' ' && text[c] < 127 ? text[c] : '?');
    }
    GENERAL_NAMES_free(names);
    if (shown == 0) BUF_LIT(words, "no host name");
    if (shown > NAMES_SHOWN) BUF_LIT(words, " ...");
    BUF_LIT(words, " (");
    if (k->kind == TLS_KEY_EC && EVP_PKEY_get_utf8_string_param(k->key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1) {
        BUF_LIT(words, "ECDSA ");
        buf_put_cstr(words, group);
    } else {
        BUF_LIT(words, "RSA ");
        buf_put_i64(words, EVP_PKEY_get_bits(k->key));
    }
    BUF_LIT(words, "), expires ");
    struct tm t;
    char day[16];
    time_t ends = (time_t)k->ends_s;
    if (gmtime_r(&ends, &t) && strftime(day, sizeof day, "%Y-%m-%d", &t) > 0) buf_put_cstr(words, day);
}

static enum err match(struct tls_key *k, struct bytes chain, struct buf *words)
{
    struct chain_of c;
    if (tls_chain_read(chain, &c) != ERR_NONE) return refuse(words, "there is no certificate in the certificate file");
    struct tm t;
    enum err e = ERR_NONE;
    if (X509_check_private_key(c.leaf, k->key) != 1) e = refuse(words, "the key is not that of the (first) certificate in its file");
    else if (ASN1_TIME_to_tm(X509_get0_notAfter(c.leaf), &t) != 1) e = refuse(words, "the certificate does not say until when it is good");
    if (e == ERR_NONE) {
        k->ends_s = (int64_t)timegm(&t);
        describe(k, c.leaf, words);
    }
    tls_chain_free(&c);
    return e;
}

enum err tls_key_read(struct tls_key **out, struct bytes chain, struct bytes key, struct buf *words)
{
    struct tls_key *k = calloc(1, sizeof *k);
    if (!k) return ERR_NO_MEMORY;
    enum err e = read_private(key, &k->key, words);
    if (e == ERR_NONE) e = judge(k, words);
    if (e == ERR_NONE) e = match(k, chain, words);
    if (e == ERR_NONE) *out = k;
    else tls_key_free(k);
    return e;
}

void tls_key_free(struct tls_key *k)
{
    if (!k) return;
    EVP_PKEY_free(k->key);
    free(k);
}

uint64_t tls_key_id(const struct tls_key *k) { return k->id; }
int64_t tls_key_ends_s(const struct tls_key *k) { return k->ends_s; }

/* is_signature_block - see keys.h. */
static bool is_signature_block(struct bytes block)
{
    if (block.len < 64) return false;
    if (block.ptr[0] == 0 && block.ptr[1] == 1) {
        uint32_t i = 2;
        while (i < block.len && block.ptr[i] == 0xff) i++;
        return i >= 10 && i < block.len && block.ptr[i] == 0;
    }
    return block.ptr[block.len - 1] == 0xbc;
}

bool tls_key_sign(struct tls_key *k, enum tls_key_kind kind, struct bytes octets, struct buf *signature)
{
    if (kind != k->kind || octets.len == 0) return false;
    if (kind == TLS_KEY_RSA && (octets.len != (uint32_t)EVP_PKEY_get_size(k->key) || !is_signature_block(octets))) return false;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(k->key, NULL);
    size_t n = buf_room(signature);
    bool good = context && EVP_PKEY_sign_init(context) == 1;
    if (good && kind == TLS_KEY_RSA) good = EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1;
    good = good && EVP_PKEY_sign(context, signature->ptr + signature->len, &n, octets.ptr, octets.len) == 1;
    if (good) signature->len += (uint32_t)n;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return good;
}
