/*
 * dovecot - the connection to Dovecot's authentication server, one for each block that names one. The master connects it, since the way to the socket is a
 * path; what is said over it is smtp/authd.h's.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/authd/authd.h"

enum { IN_BYTES = SMTP_AUTHD_LINE_BYTES_MAX + 1 };

static struct ring_token token_of(const struct dovecot *d, uint8_t kind) { return (struct ring_token){.kind = kind, .index = d->index}; }

enum err dovecot_init(struct authd *a, uint16_t block)
{
    struct dovecot *d = &a->blocks[block].dovecot;
    d->fd = -1;
    d->index = block;
    if (a->blocks[block].config->dovecot.len == 0) return ERR_NONE;
    d->in = malloc(IN_BYTES);
    uint8_t *out = malloc(DOVECOT_OUT_BYTES);
    d->out = buf_over(out, DOVECOT_OUT_BYTES);
    return d->in && out ? ERR_NONE : ERR_NO_MEMORY;
}

static void say(const struct authd *a, const struct dovecot *d, enum log_level level, const char *what, struct bytes why)
{
    struct buf *line = log_begin(level);
    BUF_LIT(line, "warning: Dovecot at ");
    log_bytes(line, config_bytes(a->config, a->blocks[d->index].config->dovecot));
    BUF_LIT(line, ": ");
    buf_put_cstr(line, what);
    log_bytes(line, why);
    log_end();
}

/* settle - close what is to be closed, once the ring is done with it. */
static void settle(struct authd *a, struct dovecot *d)
{
    if (!d->closing || d->receiving || d->sending || !ring_is_idle(a->ring, d->fd)) return;
    ring_close(a->ring, d->fd);
    d->fd = -1;
    d->closing = false;
    d->retry_ms = process_now_ms(a->process) + DOVECOT_RETRY_MS;
}

static void lose(struct authd *a, struct dovecot *d, const char *what)
{
    if (d->fd < 0 || d->closing) return;
    say(a, d, LOG_LEVEL_WARNING, what, (struct bytes){0});
    d->closing = true;
    d->ready = false;
    if (!ring_is_idle(a->ring, d->fd)) ring_shut(a->ring, d->fd);
    exchanges_dovecot_gone(a, (uint16_t)d->index);
    settle(a, d);
}

static void receive(struct authd *a, struct dovecot *d)
{
    if (d->receiving || d->closing) return;
    d->receiving = ring_receive(a->ring, d->fd, token_of(d, TOKEN_DOVECOT_RECEIVE)) == ERR_NONE;
    if (!d->receiving) lose(a, d, "it cannot be listened to");
}

static void send_more(struct authd *a, struct dovecot *d)
{
    if (d->sending || d->closing || d->fd < 0 || d->out_sent == d->out.len) return;
    d->sending = ring_send(a->ring, d->fd, token_of(d, TOKEN_DOVECOT_SEND), d->out.ptr + d->out_sent, d->out.len - d->out_sent) == ERR_NONE;
    if (!d->sending) lose(a, d, "it cannot be talked to");
}

void dovecot_connected(struct authd *a, uint16_t block, int fd, struct bytes why)
{
    struct dovecot *d = &a->blocks[block].dovecot;
    d->asked = false;
    d->retry_ms = process_now_ms(a->process) + DOVECOT_RETRY_MS;
    if (fd < 0 || d->fd >= 0) {
        if (fd >= 0) close(fd);
        else if (!d->told) say(a, d, LOG_LEVEL_WARNING, "", why);
        d->told = true;
        return;
    }
    d->fd = fd;
    d->told = d->ready = false;
    d->in_bytes = d->out.len = d->out_sent = 0;
    d->out.overflow = false;
    smtp_authd_hello(&d->out, (uint32_t)getpid());
    receive(a, d);
    send_more(a, d);
}

/* ---- what it says ---- */

static bool on_line(struct authd *a, struct dovecot *d, struct bytes text)
{
    uint8_t memory[SMTP_AUTHD_LINE_BYTES_MAX];
    struct buf scratch = BUF_OVER(memory);
    struct smtp_authd_line line = smtp_authd_parse(text, &scratch);
    switch ((enum smtp_authd_kind)line.kind) {
    case SMTP_AUTHD_BAD: return false;
    case SMTP_AUTHD_DONE: d->ready = true; return true;
    case SMTP_AUTHD_CONT:
    case SMTP_AUTHD_OK:
    case SMTP_AUTHD_FAIL: exchange_dovecot(a, (uint16_t)d->index, &line); return true;
    default: return true;
    }
}

static void on_data(struct authd *a, struct dovecot *d, struct bytes data)
{
    while (data.len > 0 && !d->closing) {
        uint32_t end = bytes_find(data, '\n');
        if (d->in_bytes + end > SMTP_AUTHD_LINE_BYTES_MAX) {
            lose(a, d, "a line without end");
            return;
        }
        memcpy(d->in + d->in_bytes, data.ptr, end);
        d->in_bytes += end;
        if (end == data.len) return;
        data = bytes_from(data, end + 1);
        struct bytes line = bytes_of(d->in, d->in_bytes);
        d->in_bytes = 0;
        if (!on_line(a, d, line)) lose(a, d, "it says what is not by its protocol");
    }
}

void dovecot_event(struct authd *a, const struct ring_event *e)
{
    if (e->token.index >= a->config->auths.count) return;
    struct dovecot *d = &a->blocks[e->token.index].dovecot;
    if (e->token.kind == TOKEN_DOVECOT_RECEIVE) {
        d->receiving = false;
        if (e->result <= 0) lose(a, d, "it has closed the connection");
        else if (!d->closing) on_data(a, d, e->data);
        if (!d->closing && d->fd >= 0) receive(a, d);
    } else {
        d->sending = false;
        if (e->result <= 0) lose(a, d, "it does not take what is said");
        else d->out_sent += (uint32_t)e->result;
        if (d->out_sent == d->out.len) d->out.len = d->out_sent = 0;
        if (!d->closing) send_more(a, d);
    }
    settle(a, d);
}

/* ---- what we say ---- */

bool dovecot_begin(struct authd *a, struct exchange *x)
{
    struct dovecot *d = &a->blocks[x->block].dovecot;
    if (!d->ready) return false;
    x->dovecot_id = ++a->next_dovecot_id;
    if (x->dovecot_id == 0) x->dovecot_id = ++a->next_dovecot_id;
    struct bytes initial = bytes_of(x->line, x->line_bytes);
    const struct smtp_authd_request request = {
        .id = x->dovecot_id,
        .mechanism = smtp_sasl_name((enum smtp_sasl_mechanism)x->mechanism),
        .local = x->local,
        .remote = x->client,
        .secured = true,
        .certificate = x->certificate_bytes > 0,
        .certificate_user = bytes_of(x->certificate, x->certificate_bytes),
        .has_initial = x->has_initial,
        .initial = bytes_equal(initial, BYTES("=")) ? (struct bytes){0} : initial,
    };
    x->cancel_dovecot = smtp_authd_auth(&d->out, &request);
    d->out.overflow = false;
    send_more(a, d);
    return x->cancel_dovecot;
}

bool dovecot_line(struct authd *a, struct exchange *x)
{
    struct dovecot *d = &a->blocks[x->block].dovecot;
    bool said = d->ready && smtp_authd_cont(&d->out, x->dovecot_id, bytes_of(x->line, x->line_bytes));
    d->out.overflow = false;
    if (said) send_more(a, d);
    return said;
}

void dovecot_cancel(struct authd *a, const struct exchange *x)
{
    struct dovecot *d = &a->blocks[x->block].dovecot;
    if (!d->ready) return;
    smtp_authd_cancel(&d->out, x->dovecot_id);
    d->out.overflow = false;
    send_more(a, d);
}

/* ---- connecting ---- */

static bool wants_connection(const struct dovecot *d, const struct block *b)
{
    return b->config->dovecot.len > 0 && d->fd < 0 && !d->asked;
}

void dovecot_turn(struct authd *a)
{
    struct ipc_channel *master = process_channel(a->process, ROLE_MASTER, 0);
    for (uint16_t i = 0; i < a->config->auths.count; i++) {
        struct dovecot *d = &a->blocks[i].dovecot;
        if (!wants_connection(d, &a->blocks[i]) || d->retry_ms > process_now_ms(a->process)) continue;
        const struct ipc_auth_connect m = {.block = i};
        d->asked = master && ipc_send_auth_connect(master, &m, -1) == ERR_NONE;
        if (!d->asked) d->retry_ms = process_now_ms(a->process) + DOVECOT_RETRY_MS;
    }
}

uint64_t dovecot_deadline(const struct authd *a)
{
    uint64_t at = UINT64_MAX;
    for (uint16_t i = 0; i < a->config->auths.count; i++) {
        if (wants_connection(&a->blocks[i].dovecot, &a->blocks[i]) && a->blocks[i].dovecot.retry_ms < at) at = a->blocks[i].dovecot.retry_ms;
    }
    return at;
}
