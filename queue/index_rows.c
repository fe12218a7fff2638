/*
 * index_rows - encoding and decoding of the index's rows.
 *
 * Wall seconds are signed, but never negative on disk; keys hold them as unsigned numbers.
 */
#include "queue/index_rows.h"

#include <string.h>

#include "base/hash.h"
#include "base/must.h"

enum { CRC_BYTES = 4, FLAG_HELD = 1, FLAG_IN_OUTCOME = 2, FLAGS_ALL = 3 };

int64_t index_notice(const struct record_message *m)
{
    if (m->held) return 0;
    int64_t when = m->expire_wall_s > 0 ? m->expire_wall_s : 0;
    if (m->warn_wall_s > 0 && (when == 0 || m->warn_wall_s < when)) when = m->warn_wall_s;
    return when;
}

/* ---- keys ---- */

static void put_be(struct buf *out, uint64_t value, uint32_t n)
{
    for (uint32_t i = n; i-- > 0;) buf_put_c(out, (uint8_t)(value >> (8 * i)));
}

static uint64_t get_be(struct cursor *c, uint32_t n)
{
    struct bytes octets = cursor_take(c, n);
    uint64_t value = 0;
    for (uint32_t i = 0; i < octets.len; i++) value = value << 8 | octets.ptr[i];
    return value;
}

void index_key_u64(struct buf *key, uint64_t a)
{
    put_be(key, a, 8);
}

void index_key_rcpt(struct buf *key, struct message_id id, uint32_t n)
{
    put_be(key, id.v, 8);
    put_be(key, n, 4);
}

void index_key_pair(struct buf *key, uint64_t a, uint64_t b)
{
    put_be(key, a, 8);
    put_be(key, b, 8);
}

void index_key_queued(struct buf *key, const struct index_queued *q)
{
    put_be(key, q->destination, 8);
    put_be(key, q->due_wall_s > 0 ? (uint64_t)q->due_wall_s : 0, 8);
    put_be(key, q->id.v, 8);
    put_be(key, q->n, 4);
}

bool index_key_u64_get(struct bytes key, uint64_t *a)
{
    struct cursor c = cursor_over(key);
    if (key.len != 8) return false;
    *a = get_be(&c, 8);
    return true;
}

bool index_key_rcpt_get(struct bytes key, struct message_id *id, uint32_t *n)
{
    struct cursor c = cursor_over(key);
    if (key.len != 12) return false;
    id->v = get_be(&c, 8);
    *n = (uint32_t)get_be(&c, 4);
    return true;
}

bool index_key_pair_get(struct bytes key, uint64_t *a, uint64_t *b)
{
    struct cursor c = cursor_over(key);
    if (key.len != 16) return false;
    *a = get_be(&c, 8);
    *b = get_be(&c, 8);
    return true;
}

bool index_key_queued_get(struct bytes key, struct index_queued *q)
{
    struct cursor c = cursor_over(key);
    if (key.len != 28) return false;
    q->destination = get_be(&c, 8);
    uint64_t due = get_be(&c, 8);
    q->due_wall_s = due < INT64_MAX ? (int64_t)due : INT64_MAX;
    q->id.v = get_be(&c, 8);
    q->n = (uint32_t)get_be(&c, 4);
    return true;
}

/* ---- checksums ---- */

static uint32_t row_crc(enum index_table table, struct bytes key, struct bytes value)
{
    uint8_t tag = (uint8_t)table;
    return crc32c(crc32c(crc32c(0, bytes_of(&tag, 1)), key), value);
}

static void seal(struct buf *out, uint32_t from, enum index_table table, struct bytes key)
{
    must(!out->overflow);
    buf_put_le(out, row_crc(table, key, bytes_of(out->ptr + from, out->len - from)), CRC_BYTES);
    must(!out->overflow);
}

/* unseal - the value without its CRC, for reading. */
static bool unseal(enum index_table table, struct bytes key, struct bytes value, struct cursor *c)
{
    if (value.len < CRC_BYTES || value.len > INDEX_ROW_BYTES_MAX) return false;
    struct bytes content = bytes_slice(value, 0, value.len - CRC_BYTES);
    struct cursor tail = cursor_over(bytes_from(value, content.len));
    if ((uint32_t)cursor_le(&tail, CRC_BYTES) != row_crc(table, key, content)) return false;
    *c = cursor_over(content);
    return true;
}

static bool at_end(const struct cursor *c)
{
    return !c->failed && cursor_left(c) == 0;
}

static void put_text(struct buf *out, struct bytes text, uint32_t max)
{
    text = bytes_slice(text, 0, max);
    buf_put_le(out, text.len, 2);
    buf_put(out, text);
}

static struct bytes get_text(struct cursor *c, uint32_t max)
{
    struct bytes text = cursor_take(c, (uint32_t)cursor_le(c, 2));
    if (text.len > max) c->failed = true;
    return text;
}

static void put_i64(struct buf *out, int64_t value)
{
    buf_put_le(out, (uint64_t)value, 8);
}

static int64_t get_i64(struct cursor *c)
{
    return (int64_t)cursor_le(c, 8);
}

/* ---- rows without a value ---- */

void index_empty_encode(struct buf *out, enum index_table table, struct bytes key)
{
    seal(out, out->len, table, key);
}

enum err index_empty_decode(enum index_table table, struct bytes key, struct bytes value)
{
    struct cursor c;
    return unseal(table, key, value, &c) && at_end(&c) ? ERR_NONE : ERR_CORRUPT;
}

/* ---- message ---- */

static void put_place(struct buf *out, const struct qlog_place *p)
{
    buf_put_le(out, p->generation, 8);
    buf_put_le(out, p->offset, 4);
    buf_put_le(out, p->bytes, 4);
}

static void get_place(struct cursor *c, struct qlog_place *p)
{
    p->generation = cursor_le(c, 8);
    p->offset = (uint32_t)cursor_le(c, 4);
    p->bytes = (uint32_t)cursor_le(c, 4);
}

static void put_client(struct buf *out, const struct net_address *a)
{
    buf_put_le(out, a->family, 1);
    buf_put(out, bytes_of(a->ip, sizeof(a->ip)));
    buf_put_le(out, a->port, 2);
}

static void get_client(struct cursor *c, struct net_address *a)
{
    a->family = (uint8_t)cursor_le(c, 1);
    struct bytes ip = cursor_take(c, sizeof(a->ip));
    if (ip.len == sizeof(a->ip)) memcpy(a->ip, ip.ptr, sizeof(a->ip));
    a->port = (uint16_t)cursor_le(c, 2);
    if (a->family != NET_NONE && a->family != NET_IPV4 && a->family != NET_IPV6) c->failed = true;
}

void index_message_encode(struct buf *out, struct bytes key, const struct index_message *im)
{
    const struct record_message *m = &im->m;
    uint32_t from = out->len;
    put_place(out, &im->place);
    buf_put_le(out, (m->held ? FLAG_HELD : 0U) | (im->in_outcome ? FLAG_IN_OUTCOME : 0U), 1);
    put_i64(out, m->arrival_wall_us);
    put_i64(out, m->expire_wall_s);
    put_i64(out, m->warn_wall_s);
    buf_put_le(out, m->flags, 4);
    buf_put_le(out, m->ret, 1);
    buf_put_le(out, m->origin.receiver, 2);
    buf_put_le(out, m->origin.epoch, 4);
    buf_put_le(out, m->origin.transaction, 8);
    put_client(out, &m->client);
    put_text(out, m->client_name, RECORD_TEXT_BYTES_MAX);
    put_text(out, m->helo, RECORD_TEXT_BYTES_MAX);
    put_text(out, m->sender, MAIL_ADDRESS_BYTES_MAX);
    put_text(out, m->envid, MAIL_ENVID_BYTES_MAX);
    put_text(out, m->message_id, MESSAGE_ID_BYTES_MAX);
    put_text(out, m->hold_reason, RECORD_TEXT_BYTES_MAX);
    buf_put_le(out, m->rcpt_count, 4);
    buf_put_le(out, m->rcpts.len, 4);
    buf_put_le(out, m->body_kind, 1);
    buf_put_le(out, m->body_id, 8);
    buf_put_le(out, m->body_skip, 8);
    buf_put_le(out, m->body_bytes, 8);
    buf_put_le(out, m->header_bytes, 8);
    seal(out, from, INDEX_MESSAGE, key);
}

static void get_texts(struct cursor *c, struct record_message *m)
{
    m->client_name = get_text(c, RECORD_TEXT_BYTES_MAX);
    m->helo = get_text(c, RECORD_TEXT_BYTES_MAX);
    m->sender = get_text(c, MAIL_ADDRESS_BYTES_MAX);
    m->envid = get_text(c, MAIL_ENVID_BYTES_MAX);
    m->message_id = get_text(c, MESSAGE_ID_BYTES_MAX);
    m->hold_reason = get_text(c, RECORD_TEXT_BYTES_MAX);
}

enum err index_message_decode(struct bytes key, struct bytes value, struct index_message *im)
{
    struct cursor c;
    struct index_message got = {0};
    struct record_message *m = &got.m;
    if (!index_key_u64_get(key, &m->id.v) || m->id.v == 0 || !unseal(INDEX_MESSAGE, key, value, &c)) return ERR_CORRUPT;
    get_place(&c, &got.place);
    uint8_t flags = (uint8_t)cursor_le(&c, 1);
    m->held = flags & FLAG_HELD;
    got.in_outcome = flags & FLAG_IN_OUTCOME;
    m->arrival_wall_us = get_i64(&c);
    m->expire_wall_s = get_i64(&c);
    m->warn_wall_s = get_i64(&c);
    m->flags = (uint32_t)cursor_le(&c, 4);
    m->ret = (uint8_t)cursor_le(&c, 1);
    m->origin.receiver = (uint16_t)cursor_le(&c, 2);
    m->origin.epoch = (uint32_t)cursor_le(&c, 4);
    m->origin.transaction = cursor_le(&c, 8);
    get_client(&c, &m->client);
    get_texts(&c, m);
    m->rcpt_count = (uint32_t)cursor_le(&c, 4);
    m->rcpts.len = (uint32_t)cursor_le(&c, 4); /* its octets are in the recipients' rows */
    m->body_kind = (uint8_t)cursor_le(&c, 1);
    m->body_id = cursor_le(&c, 8);
    m->body_skip = cursor_le(&c, 8);
    m->body_bytes = cursor_le(&c, 8);
    m->header_bytes = cursor_le(&c, 8);
    if (!at_end(&c) || flags > FLAGS_ALL || m->body_kind > BODY_FILE || m->ret > RET_HDRS) return ERR_CORRUPT;
    if (m->rcpt_count == 0 || m->rcpt_count > RECIPIENTS_HARD_MAX) return ERR_CORRUPT;
    if (m->rcpts.len > (uint64_t)m->rcpt_count * RCPT_ENTRY_BYTES_MAX) return ERR_CORRUPT;
    *im = got;
    return ERR_NONE;
}

/* ---- recipient ---- */

static void put_enhanced(struct buf *out, struct enhanced e)
{
    buf_put_le(out, e.class, 1);
    buf_put_le(out, e.subject, 2);
    buf_put_le(out, e.detail, 2);
}

static struct enhanced get_enhanced(struct cursor *c)
{
    struct enhanced e;
    e.class = (uint8_t)cursor_le(c, 1);
    e.subject = (uint16_t)cursor_le(c, 2);
    e.detail = (uint16_t)cursor_le(c, 2);
    return e;
}

void index_rcpt_encode(struct buf *out, struct bytes key, const struct index_rcpt *r)
{
    uint32_t from = out->len;
    buf_put_le(out, r->entry.notify, 1);
    buf_put_le(out, r->entry.flags, 1);
    put_text(out, r->entry.address, MAIL_ADDRESS_BYTES_MAX);
    put_text(out, r->entry.orcpt, MAIL_ORCPT_BYTES_MAX);
    buf_put_le(out, r->state.state, 1);
    buf_put_le(out, r->state.notified, 1);
    buf_put_le(out, r->state.tries, 2);
    put_i64(out, r->state.due_wall_s);
    buf_put_le(out, r->destination, 8);
    buf_put_le(out, r->queued, 1);
    buf_put_le(out, r->code, 2);
    put_enhanced(out, r->enhanced);
    put_text(out, r->reason, INDEX_REASON_BYTES_MAX);
    seal(out, from, INDEX_RECIPIENT, key);
}

enum err index_rcpt_decode(struct bytes key, struct bytes value, struct index_rcpt *r)
{
    struct cursor c;
    struct message_id id;
    struct index_rcpt got = {0};
    if (!index_key_rcpt_get(key, &id, &got.n) || !unseal(INDEX_RECIPIENT, key, value, &c)) return ERR_CORRUPT;
    got.entry.notify = (uint8_t)cursor_le(&c, 1);
    got.entry.flags = (uint8_t)cursor_le(&c, 1);
    got.entry.address = get_text(&c, MAIL_ADDRESS_BYTES_MAX);
    got.entry.orcpt = get_text(&c, MAIL_ORCPT_BYTES_MAX);
    got.state.state = (uint8_t)cursor_le(&c, 1);
    got.state.notified = (uint8_t)cursor_le(&c, 1);
    got.state.tries = (uint16_t)cursor_le(&c, 2);
    got.state.due_wall_s = get_i64(&c);
    got.destination = cursor_le(&c, 8);
    uint8_t queued = (uint8_t)cursor_le(&c, 1);
    got.queued = queued == 1;
    got.code = (uint16_t)cursor_le(&c, 2);
    got.enhanced = get_enhanced(&c);
    got.reason = get_text(&c, INDEX_REASON_BYTES_MAX);
    if (!at_end(&c) || queued > 1 || got.state.state >= RCPT_STATE_COUNT || got.n >= RECIPIENTS_HARD_MAX) return ERR_CORRUPT;
    *r = got;
    return ERR_NONE;
}

/* ---- the small tables ---- */

void index_destination_encode(struct buf *out, struct bytes key, const struct index_destination *d)
{
    uint32_t from = out->len;
    put_text(out, d->name, INDEX_DESTINATION_NAME_BYTES_MAX);
    buf_put_le(out, d->rcpts, 8);
    put_i64(out, d->backoff_until_wall_s);
    buf_put_le(out, d->failures, 4);
    buf_put_le(out, d->suspended, 1);
    put_text(out, d->reason, INDEX_REASON_BYTES_MAX);
    seal(out, from, INDEX_DESTINATION, key);
}

enum err index_destination_decode(struct bytes key, struct bytes value, struct index_destination *d)
{
    struct cursor c;
    struct index_destination got = {0};
    if (!index_key_u64_get(key, &got.id) || got.id == 0 || !unseal(INDEX_DESTINATION, key, value, &c)) return ERR_CORRUPT;
    got.name = get_text(&c, INDEX_DESTINATION_NAME_BYTES_MAX);
    got.rcpts = cursor_le(&c, 8);
    got.backoff_until_wall_s = get_i64(&c);
    got.failures = (uint32_t)cursor_le(&c, 4);
    uint8_t suspended = (uint8_t)cursor_le(&c, 1);
    got.suspended = suspended == 1;
    got.reason = get_text(&c, INDEX_REASON_BYTES_MAX);
    if (!at_end(&c) || suspended > 1 || got.name.len == 0) return ERR_CORRUPT;
    *d = got;
    return ERR_NONE;
}

void index_segment_encode(struct buf *out, struct bytes key, const struct segment_use *s)
{
    uint32_t from = out->len;
    buf_put_le(out, s->live, 8);
    buf_put_le(out, s->live_bytes, 8);
    seal(out, from, INDEX_SEGMENT, key);
}

enum err index_segment_decode(struct bytes key, struct bytes value, struct segment_use *s)
{
    struct cursor c;
    struct segment_use got = {0};
    if (!index_key_u64_get(key, &got.generation) || !unseal(INDEX_SEGMENT, key, value, &c)) return ERR_CORRUPT;
    got.live = cursor_le(&c, 8);
    got.live_bytes = cursor_le(&c, 8);
    if (!at_end(&c) || got.generation == 0) return ERR_CORRUPT;
    *s = got;
    return ERR_NONE;
}

void index_meta_encode(struct buf *out, struct bytes key, const struct index_meta *meta)
{
    uint32_t from = out->len;
    buf_put_le(out, INDEX_VERSION, 2);
    buf_put_le(out, meta->position.generation, 8);
    buf_put_le(out, meta->position.group, 8);
    buf_put_le(out, meta->position.sequence, 8);
    buf_put_le(out, meta->position.offset, 4);
    buf_put_le(out, meta->accepted, 8);
    buf_put_le(out, meta->delivered, 8);
    buf_put_le(out, meta->bounced, 8);
    buf_put_le(out, meta->expired, 8);
    buf_put_le(out, meta->removed, 8);
    buf_put_le(out, meta->id_floor, 8);
    buf_put_le(out, meta->destinations_made, 8);
    buf_put_le(out, meta->messages, 8);
    buf_put_le(out, meta->held, 8);
    buf_put_le(out, meta->bytes, 8);
    seal(out, from, INDEX_META, key);
}

enum err index_meta_decode(struct bytes key, struct bytes value, struct index_meta *meta)
{
    struct cursor c;
    struct index_meta got = {0};
    if (!unseal(INDEX_META, key, value, &c)) return ERR_CORRUPT;
    uint16_t version = (uint16_t)cursor_le(&c, 2);
    if (version > INDEX_VERSION) return ERR_BAD_VERSION;
    got.position.generation = cursor_le(&c, 8);
    got.position.group = cursor_le(&c, 8);
    got.position.sequence = cursor_le(&c, 8);
    got.position.offset = (uint32_t)cursor_le(&c, 4);
    got.accepted = cursor_le(&c, 8);
    got.delivered = cursor_le(&c, 8);
    got.bounced = cursor_le(&c, 8);
    got.expired = cursor_le(&c, 8);
    got.removed = cursor_le(&c, 8);
    got.id_floor = cursor_le(&c, 8);
    got.destinations_made = cursor_le(&c, 8);
    got.messages = cursor_le(&c, 8);
    got.held = cursor_le(&c, 8);
    got.bytes = cursor_le(&c, 8);
    if (!at_end(&c) || version == 0) return ERR_CORRUPT;
    *meta = got;
    return ERR_NONE;
}

/* ---- any row ---- */

enum err index_row_check(enum index_table table, struct bytes key, struct bytes value)
{
    struct index_message message;
    struct index_rcpt rcpt;
    struct index_destination destination;
    struct index_queued queued;
    struct segment_use segment;
    struct index_meta meta;
    uint64_t a, b;
    switch (table) {
    case INDEX_MESSAGE: return index_message_decode(key, value, &message);
    case INDEX_RECIPIENT: return index_rcpt_decode(key, value, &rcpt);
    case INDEX_QUEUED: return index_key_queued_get(key, &queued) ? index_empty_decode(table, key, value) : ERR_CORRUPT;
    case INDEX_DESTINATION: return index_destination_decode(key, value, &destination);
    case INDEX_EXPIRE:
    case INDEX_LOCATED: return index_key_pair_get(key, &a, &b) ? index_empty_decode(table, key, value) : ERR_CORRUPT;
    case INDEX_SEGMENT: return index_segment_decode(key, value, &segment);
    case INDEX_META: return index_meta_decode(key, value, &meta);
    case INDEX_TABLE_COUNT: break;
    }
    return ERR_CORRUPT;
}
