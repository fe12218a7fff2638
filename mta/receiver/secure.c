/*
 * secure - see secure.h.
 */
#include "mta/receiver/secure.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/receiver/receiver.h"
#include "mta/tls/server.h"

enum {
    HANDSHAKE_WAIT_MS = 30 * 1000,    /* for all of it, from the first octet awaited: two exchanges with the slowest of clients */
    SIGN_WAIT_MS = 2 * 1000,          /* for a signature: a thousand times what it takes */
    SIGN_PAUSE_MS = 5 * 1000,         /* a keyholder that was too slow is not asked for so long: every session here would wait */
    PLAIN_BYTES = 16 * 1024 + TLS_PLAIN_ROOM_BYTES + 1024, /* what one receive buffer becomes */
    FLIGHT_WAITING_BYTES_MAX = 2 * TLS_FLIGHT_BYTES_MAX,   /* what a client may make us have to say while it reads nothing */
};

enum err secure_init(struct receiver *r)
{
    if (r->config->tls.count == 0) return ERR_NONE;
    r->secure.plain = malloc(PLAIN_BYTES);
    r->secure.flight = malloc(TLS_FLIGHT_BYTES_MAX);
    return r->secure.plain && r->secure.flight ? tls_init() : ERR_NO_MEMORY;
}

/* ---- signatures ---- */

void secure_signature(struct receiver *r, uint64_t request, bool good, struct bytes octets)
{
    struct secure *x = &r->secure;
    if (request != x->request || octets.len > sizeof x->signature) return; /* of one that was given up */
    x->answered = true;
    x->good = good;
    x->signature_len = octets.len;
    if (octets.len > 0) memcpy(x->signature, octets.ptr, octets.len);
}

/* hear - what the keyholder has said so far. False when it is gone; the loop will see that too. */
static bool hear(struct receiver *r, struct ipc_channel *c)
{
    struct ipc_record records[IPC_BATCH];
    enum err e;
    uint32_t count = ipc_receive(c, records, IPC_BATCH, &e);
    for (uint32_t i = 0; i < count; i++) {
        if (receiver_hear(r->process, c, &records[i])) continue;
        if (records[i].fd >= 0) close(records[i].fd);
        e = ERR_BAD_VALUE;
    }
    if (e != ERR_NONE && e != ERR_GONE) process_violation(r->process, c, err_text(e));
    return e == ERR_NONE;
}

static bool await(struct receiver *r, struct ipc_channel *c)
{
    uint64_t end = clock_mono_ms() + SIGN_WAIT_MS;
    while (!r->secure.answered) {
        uint64_t now = clock_mono_ms();
        struct pollfd fd = {.fd = ipc_fd(c), .events = POLLIN};
        if (now >= end) {
            r->secure.not_before_ms = now + SIGN_PAUSE_MS;
            log_text(LOG_LEVEL_ERROR, "error: the keyholder does not answer; no TLS can begin for some seconds");
            return false;
        }
        if (poll(&fd, 1, (int)(end - now)) < 0 && errno != EINTR) return false;
        if (fd.revents != 0 && !hear(r, c)) return false;
    }
    return r->secure.good;
}

static bool sign(void *context, uint64_t id, enum tls_key_kind kind, struct bytes octets, struct buf *signature)
{
    struct receiver *r = context;
    struct ipc_channel *c = process_channel(r->process, ROLE_KEYHOLDER, 0);
    if (!c || clock_mono_ms() < r->secure.not_before_ms) return false;
    struct ipc_sign m = {.request = ++r->secure.request, .key = id, .kind = (uint8_t)kind, .octets = octets};
    r->secure.answered = false;
    if (ipc_send_sign(c, &m, -1) != ERR_NONE || ipc_flush(c) != ERR_NONE || !await(r, c)) return false;
    buf_put(signature, bytes_of(r->secure.signature, r->secure.signature_len));
    return !signature->overflow;
}

/* ---- certificates ---- */

/* split - the texts behind their lengths; false when one is cut off. */
static bool split(struct bytes file, struct bytes *chains, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (file.len < 4) return false;
        uint32_t n = (uint32_t)file.ptr[0] | (uint32_t)file.ptr[1] << 8 | (uint32_t)file.ptr[2] << 16 | (uint32_t)file.ptr[3] << 24;
        if (n > TLS_CHAIN_BYTES_MAX || n > file.len - 4) return false;
        chains[i] = bytes_slice(file, 4, n);
        file = bytes_from(file, 4 + n);
    }
    return true;
}

static enum err open_server(struct receiver *r, struct bytes file, uint32_t count)
{
    const struct config *c = r->config;
    const struct config_listener *listeners = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    const struct config_tls *blocks = CONFIG_ITEMS(c, c->tls, struct config_tls);
    struct bytes *chains = calloc(count, sizeof *chains);
    struct tls_server_listener *wants = calloc(c->listeners.count, sizeof *wants);
    enum err e = chains && wants ? ERR_NONE : ERR_NO_MEMORY;
    if (e == ERR_NONE && !split(file, chains, count)) e = ERR_SHORT;
    for (uint32_t i = 0; e == ERR_NONE && i < c->listeners.count; i++) {
        if (listeners[i].tls == LISTEN_TLS_OFF || listeners[i].tls_block >= c->tls.count) continue;
        const struct config_tls *block = &blocks[listeners[i].tls_block];
        uint32_t first = 0;
        for (uint32_t k = 0; k < listeners[i].tls_block; k++) first += blocks[k].certificate_count;
        wants[i] = (struct tls_server_listener){(uint16_t)first, (uint16_t)block->certificate_count, block->min_version == TLS_VERSION_1_3, block->tickets};
    }
    struct tls_server *server = NULL;
    struct tls_server_options o = {chains, count, wants, c->listeners.count, sign, r};
    if (e == ERR_NONE) e = tls_server_open(&server, &o);
    if (e == ERR_NONE) {
        tls_server_release(r->secure.server);
        r->secure.server = server;
    }
    free(chains);
    free(wants);
    return e;
}

void secure_certificates(struct receiver *r, const struct ipc_certificates *m, int fd)
{
    struct stat st;
    bool wanted = r->config->tls.count > 0 && r->config->listeners.count > 0 && m->count > 0 && m->count <= TLS_CERTIFICATES_ALL_MAX;
    bool sized = fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= UINT32_MAX;
    void *file = wanted && sized ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (!wanted) return;
    enum err e = file != MAP_FAILED ? open_server(r, bytes_of(file, (uint32_t)st.st_size), m->count) : ERR_NO_MEMORY;
    if (file != MAP_FAILED) munmap(file, (size_t)st.st_size);
    if (e != ERR_NONE) log_err(LOG_LEVEL_ERROR, "certificates cannot be used", BYTES("receiver"), e);
}

/* ---- flights ---- */

/* keep - append to what waits for the wire. False when it is too much. */
static bool keep(struct session *s, struct bytes more)
{
    struct flight *f = s->sending && s->sending_flight ? &s->flight_next : &s->flight;
    if (more.len == 0) return true;
    if (f->len + more.len > FLIGHT_WAITING_BYTES_MAX) return false;
    uint8_t *octets = realloc(f->octets, f->len + more.len);
    if (!octets) return false;
    memcpy(octets + f->len, more.ptr, more.len);
    f->octets = octets;
    f->len += more.len;
    return true;
}

static void drop(struct flight *f)
{
    free(f->octets);
    *f = (struct flight){0};
}

void secure_sent(struct session *s, uint32_t n)
{
    s->flight.sent += n;
    must(s->flight.sent <= s->flight.len);
    if (s->flight.sent < s->flight.len) return;
    drop(&s->flight);
    s->flight = s->flight_next;
    s->flight_next = (struct flight){0};
}

/* encrypt - replies, and at the end that nothing more comes. */
static bool encrypt(struct receiver *r, struct session *s)
{
    struct buf flight = buf_over(r->secure.flight, TLS_FLIGHT_BYTES_MAX);
    bool last = s->stage == STAGE_LAST && !s->end_said;
    if (s->fx.out.len > 0) {
        if (tls_write(s->tls, buf_bytes(&s->fx.out), &flight) != ERR_NONE) return false;
        s->sent = s->fx.out.len = 0;
    }
    if (last) {
        s->end_said = true;
        tls_close(s->tls, &flight);
    }
    return keep(s, buf_bytes(&flight));
}

void secure_flush(struct receiver *r, struct session *s)
{
    if (s->sending) return;
    if (!s->secured) s->sent = s->fx.out.len = 0; /* what the machine has to say to a handshake that ends, nobody could read */
    else if (!encrypt(r, s)) session_shut(r, s);
    if (s->stage == STAGE_SHUT || s->flight.len == 0) return;
    const struct ring_token token = {TOKEN_SEND, s->generation, s->index};
    if (ring_send(r->ring, s->fd, token, s->flight.octets + s->flight.sent, s->flight.len - s->flight.sent) != ERR_NONE) {
        session_shut(r, s);
        return;
    }
    s->sending = s->sending_flight = true;
    s->write_until_ms = r->now_ms + r->config->timeouts.server_command;
}

/* ---- handshakes ---- */

static bool begin(struct receiver *r, struct session *s)
{
    bool ready = r->secure.server && r->secure.tickets && !r->draining && process_channel(r->process, ROLE_KEYHOLDER, 0);
    s->tls = ready ? tls_accept(r->secure.server, s->listener) : NULL;
    if (!s->tls) return false;
    session_wait(r, s, WAIT_TLS, HANDSHAKE_WAIT_MS);
    return true;
}

void secure_starttls(struct receiver *r, struct session *s)
{
    enum smtp_tls_answer a = SMTP_TLS_GO;
    if (s->held.count > 1) a = SMTP_TLS_PIPELINED; /* the machine sees only the chunk at hand */
    else if (!begin(r, s)) a = SMTP_TLS_NOT_NOW;
    smtp_server_tls(&s->server, a, &s->fx);
}

static void on_secured(struct receiver *r, struct session *s)
{
    bool first = s->server.phase == SMTP_PHASE_NEW;
    s->secured = true;
    session_set_wait(r, s, WAIT_NONE);
    line_secured(s);
    smtp_server_secured(&s->server, r->now_ms);
    if (first) session_greet(r, s, NULL);
}

void secure_input(struct receiver *r, struct session *s)
{
    struct box_slot *slot = box_slot(&r->box, s->index);
    struct buf plain = buf_over(r->secure.plain, PLAIN_BYTES), flight = buf_over(r->secure.flight, TLS_FLIGHT_BYTES_MAX);
    if (s->wait == WAIT_TLS) box_keep(slot, s->fresh, true);
    box_parse_begin(&r->box, slot, STEP_TLS);
    enum tls_state state = tls_feed(s->tls, s->fresh, &plain, &flight);
    box_parse_end(slot);
    s->fresh = buf_bytes(&plain);
    if (!keep(s, buf_bytes(&flight))) {
        s->gone = true;
    } else if (state == TLS_FAILED) {
        line_tls_failed(s, tls_words(s->tls));
        line_end(s, "lost connection");
        s->fresh = (struct bytes){0};
        session_finish(r, s);
    } else if (state != TLS_HANDSHAKE) {
        if (s->wait == WAIT_TLS) on_secured(r, s);
        s->tls_ended = state == TLS_ENDED;
    }
}

/* take_early - what came in one piece with a proxy's header is the begin of the handshake. A client has no keys yet, so nothing of it becomes plain. */
static void take_early(struct receiver *r, struct session *s)
{
    struct chain early = s->held;
    s->held = chain_empty();
    for (uint32_t chunk = early.first; chunk != POOL_NONE && s->stage == STAGE_OPEN && !s->gone; chunk = r->pool.chunks[chunk].next) {
        s->fresh = pool_bytes(&r->pool, chunk);
        secure_input(r, s);
        must(s->fresh.len == 0);
    }
    chain_give(&r->pool, &early);
}

void secure_first(struct receiver *r, struct session *s)
{
    s->stage = STAGE_OPEN;
    if (!s->refused && begin(r, s)) {
        take_early(r, s);
        return;
    }
    if (!s->refused) line_end(s, "TLS is not available for now: closed");
    session_shut(r, s);
}

void secure_end(struct session *s)
{
    tls_free(s->tls);
    s->tls = NULL;
    drop(&s->flight);
    drop(&s->flight_next);
}
