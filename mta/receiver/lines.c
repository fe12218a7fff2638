/*
 * lines - a receiver's log lines, in the shapes of Postfix's smtpd. Lines with a queue id are the manager's.
 *
 * "connect from" waits for the client's name, but never stands behind another line of the same session.
 */
#include "base/log.h"
#include "mta/receiver/receiver.h"
#include "mta/tls/server.h"
#include "smtp/reply.h"
#include "smtp/sasl.h"

static void put_peer(struct buf *line, const struct session *s)
{
    if (s->local) {
        BUF_LIT(line, "localhost[uid=");
        buf_put_u64(line, s->uid);
        buf_put_c(line, ']');
        return;
    }
    log_bytes(line, session_name(s));
    buf_put_c(line, '[');
    net_print_ip(line, &s->client);
    buf_put_c(line, ']');
}

void line_list_refuses(struct receiver *r, const struct session *s, struct bytes zone)
{
    enum { TELL_EVERY_MS = 60 * 1000 };
    if (r->list_told_ms != 0 && r->now_ms - r->list_told_ms < TELL_EVERY_MS) return;
    r->list_told_ms = r->now_ms;
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: the list ");
    log_bytes(line, zone);
    BUF_LIT(line, " does not answer questions of this host; asked about ");
    put_peer(line, s);
    log_end();
}

bool line_is_quiet(const struct session *s)
{
    uint32_t seen = 0;
    for (uint32_t verb = 0; s->unnamed && verb < SMTP_VERB_COUNT; verb++) seen += s->server.counts.seen[verb];
    return s->unnamed && seen == 0;
}

void line_connect(struct session *s)
{
    if (s->connect_said || line_is_quiet(s)) return;
    s->connect_said = true;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "connect from ");
    put_peer(line, s);
    log_end();
}

void line_secured(struct session *s)
{
    line_connect(s);
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "Anonymous TLS connection established from ");
    put_peer(line, s);
    BUF_LIT(line, ": ");
    tls_describe(s->tls, line);
    if (tls_resumed(s->tls)) BUF_LIT(line, ", resumed");
    struct bytes name = tls_server_name(s->tls);
    if (name.len > 0) {
        BUF_LIT(line, " to ");
        log_bytes(line, name);
    }
    log_end();
}

void line_tls_failed(struct session *s, struct bytes why)
{
    line_connect(s);
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "SSL_accept error from ");
    put_peer(line, s);
    BUF_LIT(line, ": ");
    log_bytes(line, why);
    log_end();
}

void line_end(struct session *s, const char *what)
{
    line_connect(s);
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    buf_put_cstr(line, what);
    BUF_LIT(line, " after ");
    buf_put_cstr(line, smtp_server_last_words(&s->server));
    BUF_LIT(line, " from ");
    put_peer(line, s);
    log_end();
}

static void put_count(struct buf *line, const char *name, uint64_t done, uint64_t seen)
{
    buf_put_c(line, ' ');
    for (const char *c = name; *c; c++) buf_put_c(line, ascii_lower((uint8_t)*c));
    buf_put_c(line, '=');
    buf_put_u64(line, done);
    if (done == seen) return;
    buf_put_c(line, '/');
    buf_put_u64(line, seen);
}

void line_disconnect(struct session *s)
{
    line_connect(s);
    const struct smtp_server_counts *counts = &s->server.counts;
    uint64_t done = 0, seen = 0;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "disconnect from ");
    put_peer(line, s);
    /* Postfix's order has "unknown" last, and so have we. */
    for (uint32_t i = 1; i <= SMTP_VERB_COUNT; i++) {
        uint32_t verb = i % SMTP_VERB_COUNT;
        done += counts->done[verb];
        seen += counts->seen[verb];
        if (counts->seen[verb] > 0) put_count(line, smtp_verb_name((enum smtp_verb)verb), counts->done[verb], counts->seen[verb]);
    }
    put_count(line, "commands", done, seen);
    log_end();
}

/* put_address - <address>, escaped and cut like every foreign text. */
static void put_address(struct buf *line, const char *name, struct bytes address)
{
    buf_put_cstr(line, name);
    buf_put_c(line, '<');
    log_bytes(line, address);
    buf_put_c(line, '>');
}

void line_auth_failed(struct session *s, bool locked)
{
    line_connect(s);
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: ");
    put_peer(line, s);
    BUF_LIT(line, ": SASL ");
    buf_put(line, smtp_sasl_name((enum smtp_sasl_mechanism)s->login_by));
    buf_put_cstr(line, locked ? " authentication failed: too many failures before, closing" : " authentication failed: name or password");
    log_end();
}

void line_reject(struct session *s, const char *what, const struct smtp_policy_answer *a, struct bytes rcpt)
{
    line_connect(s);
    const struct smtp_server *m = &s->server;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "NOQUEUE: reject: ");
    buf_put_cstr(line, what);
    BUF_LIT(line, " from ");
    put_peer(line, s);
    BUF_LIT(line, ": ");
    buf_put_u64(line, a->code);
    if (a->enhanced.class != 0) {
        buf_put_c(line, ' ');
        smtp_enhanced_write(line, a->enhanced);
    }
    buf_put_c(line, ' ');
    log_bytes(line, a->text);
    buf_put_c(line, ';');
    if (m->transaction || m->awaiting == SMTP_NEED_SENDER) put_address(line, " from=", m->mail.sender.whole);
    if (rcpt.len > 0) put_address(line, " to=", rcpt);
    BUF_LIT(line, " proto=");
    buf_put(line, smtp_server_protocol(m));
    if (m->helo_len > 0) put_address(line, " helo=", bytes_of(m->helo, m->helo_len));
    log_end();
}
