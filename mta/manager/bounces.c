/*
 * bounces - when a sender is owed a notification, and the notification as a message of ours.
 *
 * It goes out from <> and is committed in the same record as the outcome that caused it, so that no crash can lose one without the other.
 * A bounce of a bounce is dropped with a log line, or goes to `double-bounce ADDRESS`.
 */

#include "base/hash.h"
#include "base/log.h"
#include "mta/manager/aliases.h"
#include "smtp/dsn.h"

enum { BOUNCE_RCPTS_MAX = 200 }; /* recipients told of in one notification: more would not fit a small message; their outcomes are in the log */

static bool failed(const struct queue_result *r) { return r->verdict.class == VERDICT_NEVER || r->expired; }

/* tell - whether the sender wants to hear of this recipient (RFC 3461 4.1; delay warnings by default to trusted senders only). */
static bool tell(const struct bounce_of *b, const struct queue_result *r, uint8_t notify)
{
    /* A bounce says NOTIFY=NEVER to other hosts; what becomes of one that fails here is decided by receiver(). */
    if (b->original->flags & MAIL_BOUNCE) return b->kind == BOUNCE_OUTCOME && failed(r);
    if (notify & NOTIFY_NEVER) return false;
    if (b->kind == BOUNCE_WARNING) return notify ? (notify & NOTIFY_DELAY) != 0 : (b->original->flags & MAIL_TRUSTED) != 0;
    if (failed(r)) return !notify || (notify & NOTIFY_FAILURE);
    if (r->verdict.class == VERDICT_DELIVERED) return (notify & NOTIFY_SUCCESS) && !b->dsn_passed;
    return false;
}

struct walk { /* the told recipients, in order */
    const struct bounce_of *b;
    struct cursor c;
    uint32_t n, i;
};

static bool next_told(struct walk *w, struct rcpt *rcpt, const struct queue_result **result)
{
    while (w->i < w->b->count && rcpt_next(&w->c, rcpt)) {
        if (w->n++ != w->b->results[w->i].rcpt) continue;
        *result = &w->b->results[w->i++];
        if (tell(w->b, *result, rcpt->notify)) return true;
    }
    return false;
}

static struct walk walk_begin(const struct bounce_of *b) { return (struct walk){.b = b, .c = cursor_over(b->original->rcpts)}; }

bool bounce_wanted(const struct bounce_of *b)
{
    struct walk w = walk_begin(b);
    struct rcpt rcpt;
    const struct queue_result *r;
    return next_told(&w, &rcpt, &r);
}

/* receiver - who gets it; empty = nobody, which is logged. */
static struct bytes receiver(struct manager *m, const struct bounce_of *b)
{
    if (b->original->sender.len) return b->original->sender;
    struct bytes second = config_bytes(m->config, m->config->double_bounce);
    struct cursor c = cursor_over(b->original->rcpts);
    struct rcpt first;
    bool is_second = rcpt_next(&c, &first) && bytes_equal_nocase(first.address, second);
    if (second.len && !is_second && b->kind == BOUNCE_OUTCOME) return second;
    if (b->kind == BOUNCE_OUTCOME) {
        struct buf *line = log_begin_as(LOG_LEVEL_WARNING, BYTES("bounce"), 0);
        BUF_LIT(line, "warning: ");
        message_id_print(line, b->id);
        BUF_LIT(line, ": undeliverable, and its sender is <>: a bounce of a bounce is dropped");
        log_end();
    }
    return (struct bytes){0};
}

static enum smtp_dsn_kind kind_of(const struct bounce_of *b, const struct queue_result *r)
{
    if (b->kind == BOUNCE_WARNING) return SMTP_DSN_DELAYED;
    if (r->expired) return SMTP_DSN_EXPIRED;
    if (r->verdict.class == VERDICT_NEVER) return SMTP_DSN_FAILED;
    return b->final_here ? SMTP_DSN_DELIVERED : SMTP_DSN_RELAYED;
}

/* worst - the kind of the notification as a whole: a failure outweighs a success. */
static enum smtp_dsn_kind worst(const struct bounce_of *b)
{
    struct walk w = walk_begin(b);
    struct rcpt rcpt;
    const struct queue_result *r;
    enum smtp_dsn_kind kind = SMTP_DSN_DELAYED;
    for (bool first = true; next_told(&w, &rcpt, &r); first = false) {
        enum smtp_dsn_kind one = kind_of(b, r);
        if (first || one == SMTP_DSN_FAILED || (one == SMTP_DSN_EXPIRED && kind != SMTP_DSN_FAILED)) kind = one;
    }
    return kind;
}

static void write_recipients(struct manager *m, const struct bounce_of *b, struct smtp_dsn *d, struct buf *out, bool machine)
{
    struct walk w = walk_begin(b);
    struct rcpt rcpt;
    const struct queue_result *r;
    enum smtp_dsn_kind whole = d->kind;
    for (uint32_t told = 0; told < BOUNCE_RCPTS_MAX && next_told(&w, &rcpt, &r); told++) {
        struct smtp_dsn_rcpt one = {
            .address = rcpt.address,
            .orcpt = rcpt.orcpt,
            .verdict = r->verdict,
            .remote_mta = r->verdict.remote ? b->remote_mta : (struct bytes){0},
            .last_attempt_wall_s = process_now_wall_us(m->process) / 1000000,
        };
        d->kind = kind_of(b, r);
        if (machine) smtp_dsn_machine_rcpt(out, d, &one);
        else smtp_dsn_human(out, d, &one);
    }
    d->kind = whole;
}

static void write_all(struct manager *m, const struct bounce_of *b, struct smtp_dsn *d, struct bytes content, struct buf *out)
{
    smtp_dsn_begin(out, d);
    write_recipients(m, b, d, out, false);
    smtp_dsn_machine_begin(out, d);
    write_recipients(m, b, d, out, true);
    smtp_dsn_content(out, d, content);
    smtp_dsn_end(out, d);
}

/* header_end - octets of the header with its empty line. */
static uint64_t header_end(struct bytes text)
{
    for (uint32_t i = 0; i + 4 <= text.len; i++)
        if (text.ptr[i] == '\r' && text.ptr[i + 1] == '\n' && text.ptr[i + 2] == '\r' && text.ptr[i + 3] == '\n') return i + 4;
    return text.len;
}

/* quoted - what of the original is sent back: the header, or all of it when RET=FULL asked and it is small (limits { bounce-size }). */
static struct bytes quoted(const struct manager *m, const struct bounce_of *b, bool *full)
{
    const struct record_message *o = b->original;
    *full = o->ret == RET_FULL && b->kind == BOUNCE_OUTCOME && o->body_bytes <= m->config->limits.bounce_bytes && b->head.len >= o->body_bytes;
    if (*full) return bytes_slice(b->head, 0, (uint32_t)o->body_bytes);
    return bytes_slice(b->head, 0, o->header_bytes < b->head.len ? (uint32_t)o->header_bytes : b->head.len);
}

static struct bytes message_id_of(struct manager *m, struct message_id id, uint8_t *store, uint32_t cap)
{
    struct buf out = buf_over(store, cap);
    buf_put_c(&out, '<');
    message_id_print(&out, id);
    buf_put_c(&out, '@');
    buf_put(&out, config_bytes(m->config, m->config->hostname));
    buf_put_c(&out, '>');
    return buf_bytes(&out);
}

bool bounce_build(struct manager *m, const struct bounce_of *b, struct record_message *out)
{
    static uint8_t message_id[MESSAGE_ID_BYTES_MAX + HOST_NAME_BYTES_MAX];
    struct bytes to = receiver(m, b);
    if (!to.len) return false;
    int64_t now_us = process_now_wall_us(m->process);
    struct message_id id = queue_new_id(m->queue, now_us);
    uint8_t id_text[MESSAGE_ID_TEXT_BYTES];
    struct buf id_out = BUF_OVER(id_text);
    message_id_print(&id_out, b->id);
    uint8_t own_text[MESSAGE_ID_TEXT_BYTES];
    struct buf own_out = BUF_OVER(own_text);
    message_id_print(&own_out, id);
    struct smtp_dsn d = {
        .kind = worst(b),
        .reporting_mta = config_bytes(m->config, m->config->hostname),
        .envid = b->original->envid,
        .to = to,
        .original_id = buf_bytes(&id_out),
        .own_id = buf_bytes(&own_out),
        .arrival_wall_s = b->original->arrival_wall_us / 1000000,
        .now_wall_s = now_us / 1000000,
        .retry_until_wall_s = b->original->expire_wall_s,
        .utf8 = (b->original->flags & MAIL_NEEDS_SMTPUTF8) != 0,
        .boundary_seed = hash_mix(id.v ^ (uint64_t)now_us),
    };
    struct bytes content = quoted(m, b, &d.full);
    struct buf text = buf_over(m->scratch, BODY_INLINE_BYTES_MAX);
    write_all(m, b, &d, content, &text);
    if (text.overflow) { /* too many recipients and too long a header: the report matters more */
        text = buf_over(m->scratch, BODY_INLINE_BYTES_MAX);
        d.full = false;
        write_all(m, b, &d, (struct bytes){0}, &text);
    }
    struct buf list = buf_over(m->scratch + BODY_INLINE_BYTES_MAX, RCPT_ENTRY_BYTES_MAX);
    struct rcpt to_sender = {.notify = NOTIFY_NEVER, .address = to};
    rcpt_put(&list, &to_sender);
    if (text.overflow || list.overflow) return false;
    bool ascii = bytes_is_ascii(buf_bytes(&text));
    *out = (struct record_message){
        .id = id,
        .arrival_wall_us = now_us,
        .flags = MAIL_LOCAL | MAIL_BOUNCE | (ascii ? 0u : (uint32_t)MAIL_BODY_8BIT) | (d.utf8 ? (uint32_t)(MAIL_NEEDS_SMTPUTF8 | MAIL_SMTPUTF8) : 0u),
        .client_name = BYTES("localhost"),
        .message_id = message_id_of(m, id, message_id, sizeof message_id),
        .rcpt_count = 1,
        .rcpts = buf_bytes(&list),
        .body_kind = BODY_INLINE,
        .body_bytes = text.len,
        .header_bytes = header_end(buf_bytes(&text)),
        .body = buf_bytes(&text),
    };
    struct bytes culprit;
    if (aliases_apply(m, out, &culprit) > EXPAND_DONE) log_text(LOG_LEVEL_WARNING, "warning: the sender's own address is an alias that cannot be expanded");
    return true;
}

void bounce_logged(const struct bounce_of *b, const struct record_message *bounce)
{
    bool failure = false;
    for (uint32_t i = 0; i < b->count; i++) failure |= failed(&b->results[i]);
    struct buf *line = log_begin_as(LOG_LEVEL_INFO, BYTES("bounce"), 0);
    message_id_print(line, b->id);
    buf_put_cstr(line, b->kind == BOUNCE_WARNING ? ": sender delay notification: " : failure ? ": sender non-delivery notification: " : ": sender delivery status notification: ");
    message_id_print(line, bounce->id);
    log_end();
    line = log_begin_as(LOG_LEVEL_INFO, BYTES("cleanup"), 0);
    message_id_print(line, bounce->id);
    BUF_LIT(line, ": message-id=");
    log_bytes(line, bounce->message_id);
    log_end();
    line = log_begin_as(LOG_LEVEL_INFO, BYTES("qmgr"), 0);
    message_id_print(line, bounce->id);
    BUF_LIT(line, ": from=<>, size=");
    buf_put_u64(line, bounce->body_bytes);
    BUF_LIT(line, ", nrcpt=1 (queue active)");
    log_end();
}
