/*
 * secrecy - TLS of a connection: between the ring and the client machine stands a tls_session, when there is to be one.
 *
 * Handshakes parse certificates of strangers; that is why they are made here, in the worker that can be lost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/deliver/deliver.h"

struct bytes secrecy_policy(uint8_t level)
{
    static const struct bytes names[SECRECY_LEVELS] = {
        [SECRECY_NONE] = BYTES_INIT("tls off"), [SECRECY_MAY] = BYTES_INIT("tls opportunistic"), [SECRECY_ENCRYPT] = BYTES_INIT("tls encrypt"),
        [SECRECY_VERIFY] = BYTES_INIT("tls verify"), [SECRECY_DANE] = BYTES_INIT("DANE"),
    };
    return level < SECRECY_LEVELS ? names[level] : (struct bytes){0};
}

/* destination_of - a number for all that a resumed session must agree in: a session is not resumed under another policy. Never 0. */
static uint64_t destination_of(const struct session *s, struct bytes secrecy)
{
    const struct hash_key key = {0x7365637265637921, 0x7465726e616c2e2e}; /* nobody gains from a collision: it is the same host's session, or none */
    uint64_t hash = hash_bytes(key, secrecy) ^ hash_mix(hash_bytes(key, bytes_of(s->remote.ip, sizeof s->remote.ip))) ^ hash_mix(s->remote.port + 1ULL);
    return hash ? hash : 1;
}

static bool add_records(struct tls_session *tls, struct bytes list)
{
    struct cursor c = cursor_over(list);
    struct tlsa_record r;
    uint32_t usable = 0;
    while (tlsa_next(&c, &r)) usable += tls_connect_tlsa(tls, r.usage, r.selector, r.matching, r.data);
    return usable > 0;
}

static struct tls_session *make(struct deliver *d, struct session *s, struct bytes octets)
{
    struct secrecy q;
    if (!d->tls || !secrecy_read(octets, &q)) return NULL;
    struct tls_connect how = {
        .proof = q.level == SECRECY_DANE ? TLS_PROOF_DANE : q.level == SECRECY_VERIFY ? TLS_PROOF_NAME : TLS_PROOF_NONE,
        .name = q.name, .destination = destination_of(s, octets),
    };
    struct tls_session *tls = tls_connect(d->tls, &how);
    /* Records that OpenSSL cannot use demand encryption all the same, with nothing to prove (RFC 7672 2.2). */
    if (tls && q.level == SECRECY_DANE && !add_records(tls, q.tlsa)) {
        tls_free(tls);
        how.proof = TLS_PROOF_NONE;
        tls = tls_connect(d->tls, &how);
    }
    return tls;
}

bool secrecy_use(struct deliver *d, struct session *s, struct bytes octets)
{
    struct secrecy q;
    if (!secrecy_read(octets, &q)) return false;
    s->level = q.level;
    if (q.level != SECRECY_NONE && !d->tls) return false;
    if (q.level != SECRECY_NONE) {
        s->tls = make(d, s, octets);
        if (!s->tls) return false;
        enum smtp_client_tls tls = q.level == SECRECY_MAY ? SMTP_TLS_MAY : SMTP_TLS_MUST;
        smtp_client_use_tls(&s->client, tls, secrecy_policy(q.level));
    }
    s->tls_used = q.first;
    return !q.first || secrecy_begin(d, s);
}

/* keep_own - append what TLS has to say to what waits. */
static bool keep_own(struct session *s, struct bytes more)
{
    if (more.len == 0) return true;
    if (s->own_len + more.len > TLS_OWN_BYTES_MAX) return false;
    uint8_t *own = realloc(s->own, s->own_len + more.len);
    if (!own) return false;
    memcpy(own + s->own_len, more.ptr, more.len);
    s->own = own;
    s->own_len += more.len;
    return true;
}

bool secrecy_begin(struct deliver *d, struct session *s)
{
    struct bytes nothing;
    if (!s->tls) return false;
    s->tls_used = true;
    return secrecy_in(d, s, (struct bytes){0}, &nothing) == TLS_HANDSHAKE;
}

static void say_open(struct session *s)
{
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    buf_put_cstr(line, tls_trust(s->tls));
    BUF_LIT(line, " TLS connection established to ");
    log_bytes(line, bytes_of(s->label, s->label_len));
    buf_put_c(line, ':');
    buf_put_u64(line, s->remote.port);
    BUF_LIT(line, ": ");
    tls_describe(s->tls, line);
    if (tls_resumed(s->tls)) BUF_LIT(line, ", resumed");
    log_end();
}

enum tls_state secrecy_in(struct deliver *d, struct session *s, struct bytes in, struct bytes *plain)
{
    struct buf text = buf_over(d->plain, FLIGHT_BYTES), wire = buf_over(d->wire, TLS_FLIGHT_BYTES_MAX);
    enum tls_state state = tls_feed(s->tls, in, &text, &wire);
    *plain = buf_bytes(&text);
    if (!keep_own(s, buf_bytes(&wire))) return TLS_FAILED;
    if (state != TLS_HANDSHAKE && state != TLS_FAILED && !s->tls_open) {
        s->tls_open = true;
        say_open(s);
    }
    return state;
}

bool secrecy_out(struct deliver *d, struct session *s, struct bytes plain)
{
    struct buf out = buf_over(s->flight->octets, FLIGHT_BYTES);
    (void)d;
    if (s->own_len > 0) buf_put(&out, bytes_of(s->own, s->own_len));
    free(s->own);
    s->own = NULL;
    s->own_len = 0;
    if (plain.len > 0 && tls_write(s->tls, plain, &out) != ERR_NONE) return false;
    must(!out.overflow);
    s->flight_len = out.len;
    s->flight_sent = 0;
    return true;
}

void secrecy_end(struct session *s)
{
    tls_free(s->tls);
    free(s->own);
    s->tls = NULL;
    s->own = NULL;
    s->own_len = 0;
}
