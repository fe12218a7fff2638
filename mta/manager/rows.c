/*
 * rows - messages, destinations and totals as JSON objects, for mtactl. Member names are a contract: docs/contract.md, tests/test_contract.py.
 */
#include <stddef.h>

#include "base/json.h"
#include "mta/manager/boxes.h"
#include "mta/manager/operate.h"

enum {
    ROW_TAIL_BYTES = 512,       /* room that is kept for what follows the recipients */
    SITES_TOLD_MAX = 20,        /* suspended destinations in the status */
    SITES_SCANNED_MAX = 20000,  /* looked at for them */
    ENHANCED_TEXT_BYTES = 16,
};

const char *row_state(const struct queue_row *row, int64_t now_wall_us, enum admin_state *state)
{
    *state = ADMIN_STATE_HELD;
    if (row->message->held) return "hold";
    *state = ADMIN_STATE_ACTIVE;
    if (row->active) return "active";
    for (uint32_t i = 0; i < row->message->rcpt_count; i++) {
        const struct record_rcpt *r = &row->states[i];
        if (r->state != RCPT_QUEUED || (r->tries == 0 && r->due_wall_s <= now_wall_us / 1000000)) continue;
        *state = ADMIN_STATE_DEFERRED;
        return "deferred";
    }
    return "incoming";
}

static const char *rcpt_state_word(uint8_t state)
{
    static const char *const words[RCPT_STATE_COUNT] = {"queued", "delivered", "bounced", "expired", "removed"};
    return state < RCPT_STATE_COUNT ? words[state] : "unknown";
}

static void put_enhanced(struct buf *out, const struct enhanced *e)
{
    uint8_t text[ENHANCED_TEXT_BYTES];
    struct buf b = BUF_OVER(text);
    buf_put_u64(&b, e->class);
    buf_put_c(&b, '.');
    buf_put_u64(&b, e->subject);
    buf_put_c(&b, '.');
    buf_put_u64(&b, e->detail);
    json_text(out, "dsn", buf_bytes(&b));
}

static void put_rcpt(struct buf *out, const struct rcpt *r, const struct record_rcpt *state, const struct queue_rcpt_note *note)
{
    json_open(out, NULL, '{');
    json_text(out, "address", r->address);
    if (note->reason.len) json_text(out, "delay_reason", note->reason);
    json_cstr(out, "state", rcpt_state_word(state->state));
    json_u64(out, "tries", state->tries);
    json_i64(out, "next_try", state->due_wall_s);
    json_text(out, "site", note->destination);
    if (note->code) json_u64(out, "code", note->code);
    if (note->enhanced.class) put_enhanced(out, &note->enhanced);
    json_close(out, '}');
}

/* put_rcpts - as many as fit; returns how many did not. */
static uint32_t put_rcpts(struct buf *out, const struct queue_row *row, bool all)
{
    static const struct queue_rcpt_note nothing;
    struct buf part = buf_over(out->ptr, out->cap - ROW_TAIL_BYTES);
    struct cursor c = cursor_over(row->message->rcpts);
    struct rcpt r;
    uint32_t left_out = 0;
    part.len = out->len;
    json_open(&part, "recipients", '[');
    for (uint32_t i = 0; i < row->message->rcpt_count && rcpt_next(&c, &r); i++) {
        if (!all && row->states[i].state != RCPT_QUEUED) continue;
        uint32_t whole = part.len;
        if (!left_out) put_rcpt(&part, &r, &row->states[i], row->notes ? &row->notes[i] : &nothing);
        if (!left_out && !part.overflow) continue;
        if (!left_out) part.len = whole;
        left_out++;
    }
    out->len = part.len;
    json_close(out, ']');
    return left_out;
}

static void put_id(struct buf *out, const char *key, struct message_id id)
{
    uint8_t text[MESSAGE_ID_TEXT_BYTES];
    struct buf b = BUF_OVER(text);
    message_id_print(&b, id);
    json_text(out, key, buf_bytes(&b));
}

static void put_client(struct buf *out, const struct record_message *m)
{
    uint8_t text[NET_TEXT_BYTES_MAX];
    struct buf b = BUF_OVER(text);
    if (m->client.family) net_print_ip(&b, &m->client);
    json_text(out, "client_address", buf_bytes(&b));
    json_text(out, "client_name", m->client_name);
    json_text(out, "helo", m->helo);
}

void row_message(struct buf *out, const struct queue_row *row, bool all, int64_t now_wall_us)
{
    const struct record_message *m = row->message;
    enum admin_state state;
    json_open(out, NULL, '{');
    json_cstr(out, "queue_name", row_state(row, now_wall_us, &state));
    put_id(out, "queue_id", m->id);
    json_i64(out, "arrival_time", m->arrival_wall_us / 1000000);
    json_u64(out, "message_size", m->body_bytes);
    json_bool(out, "forced_expire", false);
    json_text(out, "sender", m->sender);
    put_client(out, m);
    json_bool(out, "trusted", (m->flags & MAIL_TRUSTED) != 0);
    json_text(out, "message_id", m->message_id);
    json_text(out, "envelope_id", m->envid);
    json_i64(out, "expire_time", m->expire_wall_s);
    json_i64(out, "warn_time", m->warn_wall_s);
    json_text(out, "hold_reason", m->hold_reason);
    json_u64(out, "recipient_count", m->rcpt_count);
    json_u64(out, "recipients_left_out", put_rcpts(out, row, all));
    json_close(out, '}');
}

void row_site(struct buf *out, const struct config *c, const struct queue_destination *d)
{
    uint8_t action;
    int32_t route;
    struct bytes domain;
    names_parse(c, d->name, &action, &route, &domain);
    struct bytes route_name = route < 0 ? (struct bytes){0} : config_bytes(c, CONFIG_ITEMS(c, c->routes, struct config_route)[route].name);
    json_open(out, NULL, '{');
    json_text(out, "site", d->name);
    json_text(out, "action", bytes_slice(d->name, 0, bytes_find(d->name, ':')));
    json_text(out, "route", route_name);
    json_text(out, "domain", domain);
    json_u64(out, "recipients", d->total_count);
    json_u64(out, "due", d->due_count);
    json_u64(out, "in_flight", d->in_flight);
    json_u64(out, "connections", d->connections);
    json_u64(out, "concurrency", d->concurrency);
    json_u64(out, "failures", d->failures);
    json_i64(out, "backoff_until", d->backoff_until_wall_s);
    json_bool(out, "suspended", d->suspended);
    json_text(out, "reason", d->reason);
    json_close(out, '}');
}

static void put_suspended(struct manager *m, struct buf *out, uint64_t suspended)
{
    uint64_t cursor = 0;
    struct queue_destination d;
    uint32_t told = 0;
    json_open(out, "suspended", '[');
    for (uint32_t i = 0; suspended && told < SITES_TOLD_MAX && i < SITES_SCANNED_MAX && queue_destinations(m->queue, &cursor, &d); i++) {
        if (!d.suspended) continue;
        json_open(out, NULL, '{');
        json_text(out, "site", d.name);
        json_text(out, "reason", d.reason);
        json_u64(out, "recipients", d.total_count);
        json_close(out, '}');
        told++;
    }
    json_close(out, ']');
}

static void put_queue(struct manager *m, struct buf *out, const struct queue_totals *t)
{
    json_open(out, "queue", '{');
    json_u64(out, "messages", t->messages);
    json_u64(out, "recipients", t->rcpts);
    json_u64(out, "bytes", t->bytes);
    json_u64(out, "held_messages", t->held);
    json_u64(out, "active_recipients", t->active_rcpts);
    json_u64(out, "deferred_recipients", t->deferred_rcpts);
    json_u64(out, "resident_messages", t->resident);
    json_i64(out, "oldest_arrival_time", t->oldest_wall_us / 1000000);
    json_u64(out, "sites", t->destinations);
    json_u64(out, "suspended_sites", t->suspended);
    json_u64(out, "connections", m->connections_total);
    json_u64(out, "attempts", m->attempts.count);
    json_close(out, '}');
}

static void put_audit(struct buf *out, const struct queue_totals *t)
{
    json_open(out, "audit", '{');
    json_u64(out, "accepted", t->audit.accepted);
    json_u64(out, "delivered", t->audit.delivered);
    json_u64(out, "bounced", t->audit.bounced);
    json_u64(out, "expired", t->audit.expired);
    json_u64(out, "removed", t->audit.removed);
    json_u64(out, "queued", t->audit.queued);
    json_bool(out, "balanced", t->audit.balanced);
    json_close(out, '}');
}

static void put_storage(struct manager *m, struct buf *out, const struct queue_totals *t)
{
    struct bytes reason = {0};
    json_open(out, "storage", '{');
    json_bool(out, "accepting", queue_accepting(m->queue, &reason));
    json_text(out, "reason", reason);
    json_u64(out, "log_segments", t->log_segments);
    json_u64(out, "log_bytes", t->log_bytes);
    json_u64(out, "groups", t->groups);
    json_u64(out, "checkpoints", t->checkpoints);
    json_u64(out, "checkpoint_age_ms", t->checkpoint_age_ms);
    json_close(out, '}');
}

void row_status(struct manager *m, struct buf *out)
{
    struct queue_totals t = {0};
    queue_totals(m->queue, &t);
    json_open(out, NULL, '{');
    put_queue(m, out, &t);
    put_audit(out, &t);
    put_storage(m, out, &t);
    put_suspended(m, out, t.suspended);
    crashes_status(out);
    json_close(out, '}');
}
