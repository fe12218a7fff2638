/*
 * session - see tls.h. A BIO of our own reads from the slice at hand and writes into the builder at hand: nothing is copied twice, nothing is kept.
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "mta/tls/inside.h"

static BIO_METHOD *wire;

static int wire_read(BIO *bio, char *to, size_t n, size_t *got)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (n > s->in.len) n = s->in.len;
    memcpy(to, s->in.ptr, n);
    s->in = bytes_from(s->in, (uint32_t)n);
    *got = n;
    return 1;
}

static int wire_write(BIO *bio, const char *from, size_t n, size_t *put)
{
    struct tls_session *s = BIO_get_data(bio);
    if (s->out == NULL || n > buf_room(s->out)) return 0;
    buf_put(s->out, bytes_of((const uint8_t *)from, (uint32_t)n));
    *put = n;
    return 1;
}

static long wire_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* every write is out at once */
}

enum err tls_init(void)
{
    if (wire) return ERR_NONE;
    uint64_t what = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ATEXIT;
    if (OPENSSL_init_ssl(what, NULL) != 1) return ERR_SYSTEM;
    wire = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (!wire || !BIO_meth_set_read_ex(wire, wire_read) || !BIO_meth_set_write_ex(wire, wire_write) || !BIO_meth_set_ctrl(wire, wire_control))
        return ERR_NO_MEMORY;
    return ERR_NONE;
}

struct tls_session *tls_session_make(SSL_CTX *context)
{
    struct tls_session *s = calloc(1, sizeof *s);
    BIO *bio = BIO_new(wire);
    if (s) s->ssl = SSL_new(context);
    if (!s || !bio || !s->ssl) {
        BIO_free(bio);
        if (s) SSL_free(s->ssl);
        free(s);
        return NULL;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
    return s;
}

/* note_failure - the first reason of OpenSSL's queue, in its words; foreign octets are never in them. */
static void note_failure(struct tls_session *s, const char *otherwise)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    long verified = SSL_get_verify_result(s->ssl);
    if (code && verified != X509_V_OK && !SSL_is_server(s->ssl) && SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE)
        reason = X509_verify_cert_error_string(verified); /* more than "certificate verify failed" */
    struct bytes words = bytes_of_cstr(reason ? reason : otherwise);
    words = bytes_slice(words, 0, sizeof s->words);
    memcpy(s->words, words.ptr, words.len);
    s->words_len = words.len;
    s->failed = true;
    ERR_clear_error();
}

/* advance - one step of handshake or reading. False when the session can do no more with what it has. */
static enum tls_state advance(struct tls_session *s, struct buf *plain, bool *more)
{
    size_t got = 0;
    ERR_clear_error();
    *more = false;
    int result = s->open ? SSL_read_ex(s->ssl, plain->ptr + plain->len, buf_room(plain), &got) : SSL_do_handshake(s->ssl);
    if (result == 1) {
        plain->len += (uint32_t)got;
        s->open = *more = true;
        return TLS_OPEN;
    }
    int error = SSL_get_error(s->ssl, result);
    if (error == SSL_ERROR_WANT_READ) return s->open ? TLS_OPEN : TLS_HANDSHAKE;
    if (error == SSL_ERROR_ZERO_RETURN && s->open) return TLS_ENDED;
    note_failure(s, error == SSL_ERROR_ZERO_RETURN ? "closed by the peer" : "the output does not fit");
    return TLS_FAILED;
}

enum tls_state tls_feed(struct tls_session *s, struct bytes cipher, struct buf *plain, struct buf *flight)
{
    must(buf_room(plain) >= cipher.len + TLS_PLAIN_ROOM_BYTES);
    if (s->failed) return TLS_FAILED;
    enum tls_state state;
    bool more;
    s->in = cipher;
    s->out = flight;
    do {
        state = advance(s, plain, &more);
        if (state == TLS_OPEN && more && buf_room(plain) == 0) { /* cannot be, by the size of records */
            note_failure(s, "a record too large");
            state = TLS_FAILED;
        }
    } while (state == TLS_OPEN && more);
    s->in = (struct bytes){0};
    s->out = NULL;
    return state;
}

enum err tls_write(struct tls_session *s, struct bytes plain, struct buf *flight)
{
    size_t put = 0;
    if (s->failed) return ERR_GONE;
    must(s->open);
    if (plain.len == 0) return ERR_NONE;
    s->out = flight;
    ERR_clear_error();
    int result = SSL_write_ex(s->ssl, plain.ptr, plain.len, &put);
    s->out = NULL;
    if (result == 1 && put == plain.len) return ERR_NONE;
    note_failure(s, "cannot encrypt");
    return ERR_GONE;
}

void tls_close(struct tls_session *s, struct buf *flight)
{
    if (s->failed || !s->open) return;
    s->out = flight;
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl); /* whether the peer has said so too does not matter */
    s->out = NULL;
}

struct bytes tls_words(const struct tls_session *s) { return bytes_of(s->words, s->words_len); }

void tls_describe(const struct tls_session *s, struct buf *out)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->ssl);
    int has = 0, uses = SSL_CIPHER_get_bits(cipher, &has);
    buf_put_cstr(out, SSL_get_version(s->ssl));
    BUF_LIT(out, " with cipher ");
    buf_put_cstr(out, SSL_CIPHER_get_name(cipher));
    BUF_LIT(out, " (");
    buf_put_i64(out, uses);
    buf_put_c(out, '/');
    buf_put_i64(out, has);
    BUF_LIT(out, " bits)");
}

bool tls_resumed(const struct tls_session *s) { return SSL_session_reused(s->ssl) == 1; }

void tls_free(struct tls_session *s)
{
    if (!s) return;
    /* A connection that ends without the farewell of TLS is no reason to distrust its session: SMTP says QUIT. */
    if (s->open && !s->failed) SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    if (s->server) tls_server_leave(s->server);
    free(s);
}
