/*
 * server - see server.h. One SSL_CTX for each certificate of each listener: with it goes, when there is one, a certificate of the other kind of key
 * that is good for the same name, so that a client which knows ECDSA gets that, and an old one RSA.
 */
#include "mta/tls/server.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "mta/tls/inside.h"
#include "mta/tls/remote.h"

enum {
    TICKET_LIFE_S = 4 * 3600, /* as long as a secret is the current one (keyholder): a ticket outlives it by that much, as the previous one */
    TICKET_NAME_BYTES = 16,
};

/* Forward secrecy and authenticated encryption only; whoever speaks TLS 1.2 has one of these. The order is ours: ECDSA first. */
static const char ciphers_1_2[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
static const char groups[] = "X25519:P-256:P-384";
static const char signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

struct shelf { /* certificates with their remote keys */
    struct chain_of *chains;
    EVP_PKEY **keys;
    uint32_t count;
};

struct listener {
    struct tls_server *server;
    uint32_t index;
    bool tickets;
    SSL_CTX **contexts;  /* one a certificate */
    uint32_t count;
};

struct tls_server {
    uint64_t users;      /* sessions, and one for who opened it */
    struct shelf shelf;
    struct listener *listeners;
    uint32_t listener_count;
};

/* ---- tickets ---- */

static uint8_t secrets[2][TLS_TICKET_SECRET_BYTES]; /* the current one, and the one before */
static uint32_t secret_count;

void tls_tickets(struct bytes current, struct bytes previous)
{
    if (current.len != TLS_TICKET_SECRET_BYTES) return;
    memcpy(secrets[0], current.ptr, TLS_TICKET_SECRET_BYTES);
    secret_count = 1;
    if (previous.len != TLS_TICKET_SECRET_BYTES) return;
    memcpy(secrets[1], previous.ptr, TLS_TICKET_SECRET_BYTES);
    secret_count = 2;
}

struct ticket_key { uint8_t name[32], cipher[32], mac[32]; };

/* derive - a listener's keys from a secret: a ticket of one listener is nothing to another. */
static bool derive(const struct listener *l, uint32_t which, struct ticket_key *key)
{
    uint8_t *parts[] = {key->name, key->cipher, key->mac};
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t label[] = {'t', 'i', 'c', 'k', 'e', 't', i, (uint8_t)(l->index >> 8), (uint8_t)l->index};
        unsigned int n = 0;
        if (!HMAC(EVP_sha256(), secrets[which], TLS_TICKET_SECRET_BYTES, label, sizeof label, parts[i], &n) || n != 32) return false;
    }
    return true;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* on_ticket - SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 = go on, 2 = go on and give a new one, 0 = not ours, -1 = failed. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    const struct listener *l = s->owner;
    struct ticket_key key;
    int result = encrypt ? -1 : 0;
    for (uint32_t which = 0; which < secret_count; which++) {
        if (!derive(l, which, &key)) break;
        if (encrypt) {
            memcpy(name, key.name, TICKET_NAME_BYTES);
            bool good = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 && set_mac(mac, &key);
            if (good && EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, iv, NULL) == 1) result = 1;
            break;
        }
        if (memcmp(name, key.name, TICKET_NAME_BYTES) != 0) continue;
        if (set_mac(mac, &key) && EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, iv, NULL) == 1) result = which == 0 ? 1 : 2;
        break;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return result;
}

/* ---- certificates ---- */

static bool good_for(X509 *leaf, const char *name)
{
    return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static int on_name(SSL *ssl, int *alert, void *argument)
{
    const struct listener *l = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (uint32_t i = 0; name && i < l->count; i++) {
        if (!good_for(SSL_CTX_get0_certificate(l->contexts[i]), name)) continue;
        (void)SSL_set_SSL_CTX(ssl, l->contexts[i]);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK; /* the default certificate: who wants to be sure will look at it (RFC 6066 3) */
}

/* first_name - the first DNS name of a certificate; false when it has none. */
static bool first_name(X509 *leaf, char *name, size_t room)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        if (one->type != GEN_DNS) continue;
        int n = ASN1_STRING_length(one->d.dNSName);
        if (n <= 0 || (size_t)n >= room) continue;
        memcpy(name, ASN1_STRING_get0_data(one->d.dNSName), (size_t)n);
        name[n] = 0;
        found = true;
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* beside - the certificate of the other kind of key for the same name; count when there is none. */
static uint32_t beside(const struct shelf *shelf, uint32_t first, uint32_t count, uint32_t i)
{
    char name[HOST_NAME_BYTES_MAX + 1];
    int kind = EVP_PKEY_get_base_id(shelf->keys[i]);
    if (!first_name(shelf->chains[i].leaf, name, sizeof name)) return shelf->count;
    for (uint32_t k = first; k < first + count; k++) {
        if (EVP_PKEY_get_base_id(shelf->keys[k]) != kind && good_for(shelf->chains[k].leaf, name)) return k;
    }
    return shelf->count;
}

static bool use(SSL_CTX *context, const struct shelf *shelf, uint32_t i)
{
    return i == shelf->count || SSL_CTX_use_cert_and_key(context, shelf->chains[i].leaf, shelf->keys[i], shelf->chains[i].others, 1) == 1;
}

static bool set_up(SSL_CTX *c, const struct listener *l, const struct tls_server_listener *want)
{
    uint32_t id = l->index;
    bool good = SSL_CTX_set_min_proto_version(c, want->only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1;
    good = good && SSL_CTX_set_cipher_list(c, ciphers_1_2) == 1 && SSL_CTX_set1_groups_list(c, groups) == 1;
    good = good && SSL_CTX_set1_sigalgs_list(c, signatures) == 1;
    good = good && SSL_CTX_set_session_id_context(c, (const unsigned char *)&id, sizeof id) == 1;
    good = good && SSL_CTX_set_tlsext_ticket_key_evp_cb(c, on_ticket) == 1 && SSL_CTX_set_tlsext_servername_callback(c, on_name) == 1;
    good = good && SSL_CTX_set_tlsext_servername_arg(c, (void *)(uintptr_t)l) == 1 && SSL_CTX_set_num_tickets(c, 1) == 1;
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(c, TICKET_LIFE_S);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    return good;
}

/* ---- a server ---- */

static enum err fill_shelf(struct shelf *shelf, const struct tls_server_options *o)
{
    shelf->chains = calloc(o->chain_count ? o->chain_count : 1, sizeof *shelf->chains);
    shelf->keys = calloc(o->chain_count ? o->chain_count : 1, sizeof *shelf->keys);
    if (!shelf->chains || !shelf->keys) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < o->chain_count; i++, shelf->count++) {
        enum err e = tls_chain_read(o->chains[i], &shelf->chains[i]);
        if (e != ERR_NONE) return e;
        shelf->keys[i] = tls_remote_key(shelf->chains[i].leaf);
        if (shelf->keys[i]) continue;
        tls_chain_free(&shelf->chains[i]);
        return ERR_BAD_VALUE;
    }
    return ERR_NONE;
}

static enum err fill_listener(struct listener *l, const struct shelf *shelf, const struct tls_server_listener *want)
{
    if (want->first > shelf->count || want->count > shelf->count - want->first) return ERR_BAD_VALUE;
    l->tickets = want->tickets;
    l->contexts = calloc(want->count ? want->count : 1, sizeof *l->contexts);
    if (!l->contexts) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < want->count; i++) {
        SSL_CTX *c = SSL_CTX_new(TLS_server_method());
        if (!c) return ERR_NO_MEMORY;
        l->contexts[l->count++] = c;
        uint32_t at = want->first + i;
        if (!set_up(c, l, want) || !use(c, shelf, beside(shelf, want->first, want->count, at)) || !use(c, shelf, at)) return ERR_BAD_VALUE;
    }
    return ERR_NONE;
}

static void destroy(struct tls_server *t)
{
    for (uint32_t i = 0; t->listeners && i < t->listener_count; i++) {
        for (uint32_t k = 0; k < t->listeners[i].count; k++) SSL_CTX_free(t->listeners[i].contexts[k]);
        free(t->listeners[i].contexts);
    }
    for (uint32_t i = 0; i < t->shelf.count; i++) {
        EVP_PKEY_free(t->shelf.keys[i]);
        tls_chain_free(&t->shelf.chains[i]);
    }
    free(t->shelf.keys);
    free(t->shelf.chains);
    free(t->listeners);
    free(t);
}

enum err tls_server_open(struct tls_server **out, const struct tls_server_options *o)
{
    struct tls_server *t = calloc(1, sizeof *t);
    if (!t) return ERR_NO_MEMORY;
    t->users = 1;
    t->listener_count = o->listener_count;
    t->listeners = calloc(o->listener_count ? o->listener_count : 1, sizeof *t->listeners);
    tls_remote_open(o->sign, o->sign_context);
    enum err e = t->listeners ? fill_shelf(&t->shelf, o) : ERR_NO_MEMORY;
    for (uint32_t i = 0; e == ERR_NONE && i < o->listener_count; i++) {
        t->listeners[i].server = t;
        t->listeners[i].index = i;
        e = fill_listener(&t->listeners[i], &t->shelf, &o->listeners[i]);
    }
    ERR_clear_error();
    if (e == ERR_NONE) *out = t;
    else destroy(t);
    return e;
}

void tls_server_leave(struct tls_server *t)
{
    must(t->users > 0);
    if (--t->users == 0) destroy(t);
}

void tls_server_release(struct tls_server *t)
{
    if (t) tls_server_leave(t);
}

struct tls_session *tls_accept(struct tls_server *t, uint32_t listener)
{
    must(listener < t->listener_count);
    struct listener *l = &t->listeners[listener];
    struct tls_session *s = l->count > 0 ? tls_session_make(l->contexts[0]) : NULL;
    if (!s) return NULL;
    s->owner = l;
    s->server = t;
    t->users++;
    SSL_set_accept_state(s->ssl);
    if (!l->tickets || secret_count == 0) {
        SSL_set_options(s->ssl, SSL_OP_NO_TICKET);
        (void)SSL_set_num_tickets(s->ssl, 0);
    }
    return s;
}

struct bytes tls_server_name(const struct tls_session *s)
{
    const char *name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    return name ? bytes_of_cstr(name) : (struct bytes){0};
}
