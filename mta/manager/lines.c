/*
 * lines - the log lines of messages, in the shapes that Postfix made common (docs/logging.md), so that the field's tools count them.
 *
 * The manager writes them all, under the names of the parts that did the work, since it alone knows what is final.
 */
#include "base/log.h"
#include "mta/manager/manager.h"
#include "smtp/sasl.h"
#include "smtp/address.h"

static struct buf *begin(const char *daemon, struct message_id id)
{
    struct buf *line = log_begin_as(LOG_LEVEL_INFO, bytes_of_cstr(daemon), 0);
    message_id_print(line, id);
    BUF_LIT(line, ": ");
    return line;
}

void line_committed(struct manager *m, const struct commit *c, struct message_id id)
{
    (void)m;
    struct buf *line;
    if (c->by_socket) {
        line = begin("pickup", id);
        BUF_LIT(line, "uid=");
        buf_put_u64(line, c->uid);
        BUF_LIT(line, " from=<");
        log_bytes(line, bytes_of(c->sender, c->sender_len));
        buf_put_c(line, '>');
    } else {
        line = begin("smtpd", id);
        BUF_LIT(line, "client=");
        log_bytes(line, bytes_of(c->client_name, c->client_name_len));
        buf_put_c(line, '[');
        net_print_ip(line, &c->client);
        buf_put_c(line, ']');
        if (c->login_len) {
            BUF_LIT(line, ", sasl_method=");
            buf_put(line, smtp_sasl_name((enum smtp_sasl_mechanism)c->mechanism));
            BUF_LIT(line, ", sasl_username=");
            log_bytes(line, bytes_of(c->login, c->login_len));
        }
    }
    log_end();

    line = begin("cleanup", id);
    BUF_LIT(line, "message-id=");
    if (c->message_id_len) log_bytes(line, bytes_of(c->message_id, c->message_id_len));
    else BUF_LIT(line, "<>");
    log_end();

    line = begin("qmgr", id);
    BUF_LIT(line, "from=<");
    log_bytes(line, bytes_of(c->sender, c->sender_len));
    BUF_LIT(line, ">, size=");
    buf_put_u64(line, c->bytes);
    BUF_LIT(line, ", nrcpt=");
    buf_put_u64(line, c->rcpt_count);
    BUF_LIT(line, " (queue active)");
    log_end();
}

/* put_seconds - microseconds as Postfix prints delays: two significant digits below a hundred seconds, none needed above. */
static void put_seconds(struct buf *out, int64_t us)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0;
    uint64_t whole = value / 1000000, part = value % 1000000;
    buf_put_u64(out, whole);
    if (whole >= 100) return;
    uint32_t digits = whole >= 10 ? 0 : whole >= 1 ? 1 : part >= 100000 ? 2 : part >= 10000 ? 2 : 3;
    uint64_t scaled = digits == 0 ? 0 : digits == 1 ? part / 100000 : digits == 2 ? part / 10000 : part / 1000;
    if (scaled == 0) return;
    buf_put_c(out, '.');
    while (digits > 1 && scaled % 10 == 0) {
        scaled /= 10;
        digits--;
    }
    buf_put_pad(out, scaled, digits);
}

static void put_enhanced(struct buf *out, const struct verdict *v)
{
    struct enhanced e = v->enhanced;
    if (!e.class) e.class = v->class == VERDICT_DELIVERED ? 2 : v->class == VERDICT_NEVER ? 5 : 4;
    buf_put_u64(out, e.class);
    buf_put_c(out, '.');
    buf_put_u64(out, e.subject);
    buf_put_c(out, '.');
    buf_put_u64(out, e.detail);
}

/* put_words - a reply's text on one line: line ends become blanks, the rest is escaped. */
static void put_words(struct buf *out, struct bytes text, uint32_t max)
{
    struct bytes rest = bytes_slice(text, 0, max);
    while (rest.len) {
        uint32_t end = bytes_find(rest, '\n');
        buf_put_escaped(out, bytes_slice(rest, 0, end), max);
        if (end < rest.len) buf_put_c(out, ' ');
        rest = bytes_from(rest, end + 1);
    }
    if (text.len > max) BUF_LIT(out, "...");
}

void reason_write(struct buf *out, const struct verdict *v, struct bytes host, const struct net_address *address)
{
    enum { WORDS_MAX = 480 };
    bool said = v->remote && v->class != VERDICT_DELIVERED;
    if (said) {
        BUF_LIT(out, "host ");
        log_bytes(out, host);
        if (address && address->family) {
            buf_put_c(out, '[');
            net_print_ip(out, address);
            buf_put_c(out, ']');
        }
        BUF_LIT(out, " said: ");
    }
    if (v->remote && v->code) {
        buf_put_u64(out, v->code);
        buf_put_c(out, ' ');
    }
    put_words(out, v->text, WORDS_MAX);
    if (said && v->step != STEP_NONE) {
        BUF_LIT(out, " (in reply to ");
        buf_put_cstr(out, mail_step_text((enum mail_step)v->step));
        buf_put_c(out, ')');
    }
}

static void put_relay(struct buf *line, const struct line_outcome *o)
{
    BUF_LIT(line, ", relay=");
    if (!o->relay_host.len) {
        BUF_LIT(line, "none");
        return;
    }
    log_bytes(line, o->relay_host);
    if (!o->relay || !o->relay->family) return;
    buf_put_c(line, '[');
    net_print_ip(line, o->relay);
    BUF_LIT(line, "]:");
    buf_put_u64(line, o->relay->port);
}

static void put_original(struct buf *line, struct bytes original)
{
    uint8_t memory[MAIL_ORCPT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (!bytes_starts(original, BYTES("rfc822;")) || !smtp_xtext_decode(bytes_from(original, 7), &text) || text.overflow) return;
    BUF_LIT(line, ", orig_to=<");
    log_bytes(line, buf_bytes(&text));
    buf_put_c(line, '>');
}

void line_outcome(const struct line_outcome *o)
{
    const struct verdict *v = o->verdict;
    struct buf *line = begin(o->daemon, o->id);
    BUF_LIT(line, "to=<");
    log_bytes(line, o->rcpt);
    buf_put_c(line, '>');
    put_original(line, o->original);
    put_relay(line, o);
    if (o->connection_uses > 1) {
        BUF_LIT(line, ", conn_use=");
        buf_put_u64(line, o->connection_uses);
    }
    BUF_LIT(line, ", delay=");
    put_seconds(line, o->delay_us);
    BUF_LIT(line, ", delays=");
    put_seconds(line, o->queue_us);
    buf_put_c(line, '/');
    put_seconds(line, o->active_us);
    buf_put_c(line, '/');
    put_seconds(line, o->connect_us);
    buf_put_c(line, '/');
    put_seconds(line, o->transfer_us);
    BUF_LIT(line, ", dsn=");
    put_enhanced(line, v);
    BUF_LIT(line, ", status=");
    buf_put_cstr(line, v->class == VERDICT_DELIVERED ? "sent" : o->expired ? "expired" : v->class == VERDICT_NEVER ? "bounced" : "deferred");
    BUF_LIT(line, " (");
    reason_write(line, v, o->relay_host, o->relay);
    if (v->maybe_duplicate) BUF_LIT(line, "; maybe_duplicate");
    buf_put_c(line, ')');
    log_end();
}

void line_removed(struct message_id id)
{
    struct buf *line = begin("qmgr", id);
    BUF_LIT(line, "removed");
    log_end();
}
