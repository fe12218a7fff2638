/*
 * client - see client.h. Sessions are kept by destination, the newest of each, in a table of fixed size: a collision costs a whole handshake.
 */
#include "mta/tls/client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "mta/tls/inside.h"

enum { KEPT_MAX = 1024 }; /* sessions; about 4 KiB each */

struct kept { uint64_t destination; SSL_SESSION *session; };

struct tls_client {
    SSL_CTX *plain, *authorities, *dane; /* by proof */
    struct kept kept[KEPT_MAX];
};

static struct tls_client *the_client; /* for OpenSSL's callback */

/* on_session - SSL_CTX_sess_set_new_cb(3): the reference is ours when we return 1. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    if (s->destination == 0) return 0;
    struct kept *place = &the_client->kept[s->destination % KEPT_MAX];
    SSL_SESSION_free(place->session);
    *place = (struct kept){s->destination, session};
    return 1;
}

static SSL_CTX *make_context(bool verify)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    if (!c) return NULL;
    bool good = SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1;
    SSL_CTX_set_verify(c, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_verify_depth(c, 10);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, on_session);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    /* An oversized chain costs memory and time; a hundred certificates are no host's. */
    SSL_CTX_set_max_cert_list(c, TLS_CHAIN_BYTES_MAX);
    if (good) return c;
    SSL_CTX_free(c);
    return NULL;
}

enum err tls_client_open(struct tls_client **out, const char *authorities)
{
    enum err e = tls_init();
    struct tls_client *t = e == ERR_NONE ? calloc(1, sizeof *t) : NULL;
    if (!t) return e == ERR_NONE ? ERR_NO_MEMORY : e;
    t->plain = make_context(false);
    t->authorities = make_context(true);
    t->dane = make_context(true);
    if (!t->plain || !t->authorities || !t->dane || SSL_CTX_dane_enable(t->dane) != 1) e = ERR_NO_MEMORY;
    if (e == ERR_NONE && authorities && SSL_CTX_load_verify_file(t->authorities, authorities) != 1) e = ERR_NOT_FOUND;
    /* RFC 7672 3.1.1: with DANE-EE neither names nor dates count. */
    if (e == ERR_NONE) SSL_CTX_dane_set_flags(t->dane, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    ERR_clear_error();
    the_client = t;
    if (e == ERR_NONE) *out = t;
    return e;
}

static bool prove(SSL *ssl, const struct tls_connect *c, const char *name)
{
    if (c->proof == TLS_PROOF_DANE) return SSL_dane_enable(ssl, name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return c->proof == TLS_PROOF_NONE || SSL_set1_host(ssl, name) == 1;
}

struct tls_session *tls_connect(struct tls_client *t, const struct tls_connect *c)
{
    char name[HOST_NAME_BYTES_MAX + 1];
    if (c->name.len > HOST_NAME_BYTES_MAX || bytes_find(c->name, 0) < c->name.len) return NULL;
    if (c->name.len > 0) memcpy(name, c->name.ptr, c->name.len);
    name[c->name.len] = 0;
    struct tls_session *s = tls_session_make(c->proof == TLS_PROOF_DANE ? t->dane : c->proof == TLS_PROOF_NAME ? t->authorities : t->plain);
    if (!s) return NULL;
    s->destination = c->destination;
    SSL_set_connect_state(s->ssl);
    bool good = prove(s->ssl, c, name);
    /* An address is no name to ask for (RFC 6066 3); with DANE the name is set already. */
    if (good && c->name.len > 0 && c->proof != TLS_PROOF_DANE) good = SSL_set_tlsext_host_name(s->ssl, name) == 1;
    const struct kept *place = &t->kept[c->destination % KEPT_MAX];
    if (good && c->destination != 0 && place->session && place->destination == c->destination) (void)SSL_set_session(s->ssl, place->session);
    if (good) return s;
    ERR_clear_error();
    tls_free(s);
    return NULL;
}

bool tls_connect_tlsa(struct tls_session *s, uint8_t usage, uint8_t selector, uint8_t matching, struct bytes data)
{
    bool good = SSL_dane_tlsa_add(s->ssl, usage, selector, matching, data.ptr, data.len) == 1;
    ERR_clear_error();
    return good;
}

const char *tls_trust(const struct tls_session *s)
{
    X509 *peer = SSL_get0_peer_certificate(s->ssl);
    bool asked = SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE;
    if (!peer && !tls_resumed(s)) return "Anonymous";
    return asked && SSL_get_verify_result(s->ssl) == X509_V_OK ? "Verified" : "Untrusted";
}
