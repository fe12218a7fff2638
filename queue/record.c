/*
 * record - packing and unpacking of what the commit log says.
 *
 * Everything is little-endian, field by field. A body starts with the message id and a format octet. One function judges a struct for both
 * directions, so that what is written can be read. The octets of an inline body come last, so that they can travel uncopied and be read alone.
 */
#include "queue/record.h"

#include "base/must.h"

enum {
    FORMAT = 1,          /* of all bodies; a newer program may write a higher one */
    NET_BYTES = 1 + 16 + 2,
    /* Up to and with the inline flag: see put_fixed(). */
    MESSAGE_FIXED_BYTES = 8 + 1 + 3 * 8 + 4 + 1 + 1 + (2 + 4 + 8) + NET_BYTES + 1 + 4 * 8,
    TEXT_COUNT = 7,      /* texts with a 16-bit length: see message_texts() */
    RUN_FIXED_BYTES = RECORD_RUN_BYTES_MIN,
    OUTCOME_FIXED_BYTES = 8 + 1 + 4 + 4 + 4,
    REPLY_CODE_MAX = 999 /* three digits */
};

static_assert((int)MESSAGE_FIXED_BYTES + (int)TEXT_COUNT * 2 + 3 * (int)RECORD_TEXT_BYTES_MAX + (int)MAIL_ADDRESS_BYTES_MAX + (int)MAIL_ENVID_BYTES_MAX +
                      (int)MESSAGE_ID_BYTES_MAX + (int)PREFIX_BYTES_MAX + 3 * 4 <= (int)RECORD_FIXED_BYTES_MAX,
              "the promise of RECORD_FIXED_BYTES_MAX");
static_assert((uint64_t)RECIPIENTS_HARD_MAX * (RCPT_ENTRY_BYTES_MAX + RECORD_RCPT_BYTES) + RECORD_FIXED_BYTES_MAX < UINT32_MAX / 2,
              "a record's size cannot overflow once its lists were judged");

/* The texts of a message in their order on disk, with the most octets each may have. */
struct text_field {
    struct bytes *text;
    uint32_t bytes_max;
};

static void message_texts(struct record_message *m, struct text_field out[TEXT_COUNT])
{
    out[0] = (struct text_field){&m->client_name, RECORD_TEXT_BYTES_MAX};
    out[1] = (struct text_field){&m->helo, RECORD_TEXT_BYTES_MAX};
    out[2] = (struct text_field){&m->sender, MAIL_ADDRESS_BYTES_MAX};
    out[3] = (struct text_field){&m->envid, MAIL_ENVID_BYTES_MAX};
    out[4] = (struct text_field){&m->message_id, MESSAGE_ID_BYTES_MAX};
    out[5] = (struct text_field){&m->hold_reason, RECORD_TEXT_BYTES_MAX};
    out[6] = (struct text_field){&m->prefix, PREFIX_BYTES_MAX};
}

static bool rcpt_state_is_valid(const struct record_rcpt *r)
{
    return r->state < RCPT_STATE_COUNT && (r->notified == 0 || r->notified == NOTIFY_DELAY);
}

struct record_rcpt record_rcpt_get(struct bytes states, uint32_t n)
{
    struct record_rcpt r = {0};
    if (n >= states.len / RECORD_RCPT_BYTES) return r;
    struct cursor c = cursor_over(bytes_slice(states, n * RECORD_RCPT_BYTES, RECORD_RCPT_BYTES));
    r.state = (uint8_t)cursor_le(&c, 1);
    r.notified = (uint8_t)cursor_le(&c, 1);
    r.tries = (uint16_t)cursor_le(&c, 2);
    r.due_wall_s = (int64_t)cursor_le(&c, 8);
    return r;
}

void record_rcpt_put(struct buf *out, const struct record_rcpt *r)
{
    uint8_t memory[RECORD_RCPT_BYTES];
    struct buf entry = BUF_OVER(memory);
    must(rcpt_state_is_valid(r));
    buf_put_le(&entry, r->state, 1);
    buf_put_le(&entry, r->notified, 1);
    buf_put_le(&entry, r->tries, 2);
    buf_put_le(&entry, (uint64_t)r->due_wall_s, 8);
    buf_put(out, buf_bytes(&entry));
}

static bool states_are_valid(struct bytes states, uint32_t rcpt_count)
{
    if (states.len == 0) return true;
    if (states.len != rcpt_count * RECORD_RCPT_BYTES) return false;
    for (uint32_t i = 0; i < rcpt_count; i++) {
        struct record_rcpt r = record_rcpt_get(states, i);
        if (!rcpt_state_is_valid(&r)) return false;
    }
    return true;
}

/* message_judge - whether a message can be stored; the one rule for both directions. */
static enum err message_judge(const struct record_message *m)
{
    struct record_message copy = *m;
    struct text_field texts[TEXT_COUNT];
    message_texts(&copy, texts);
    for (uint32_t i = 0; i < TEXT_COUNT; i++) {
        if (texts[i].text->len > texts[i].bytes_max) return ERR_TOO_LONG;
    }
    if (m->id.v == 0 || m->ret > RET_HDRS) return ERR_BAD_VALUE;
    if (m->client.family != NET_NONE && m->client.family != NET_IPV4 && m->client.family != NET_IPV6) return ERR_BAD_VALUE;
    if (m->rcpt_count == 0 || m->rcpt_count > RECIPIENTS_HARD_MAX) return ERR_BAD_VALUE;
    if (rcpt_list_check(m->rcpts, m->rcpt_count) != ERR_NONE || !states_are_valid(m->rcpt_states, m->rcpt_count)) return ERR_BAD_VALUE;

    if (m->body_kind == BODY_INLINE) {
        if (m->body_id != 0 || m->body_skip != 0 || m->body.len != m->body_bytes) return ERR_BAD_VALUE;
        return m->body.len <= BODY_INLINE_BYTES_MAX ? ERR_NONE : ERR_TOO_LONG;
    }
    return m->body_kind == BODY_FILE && m->body_id != 0 && m->body.len == 0 ? ERR_NONE : ERR_BAD_VALUE;
}

uint32_t record_message_body_offset(const struct record_message *m)
{
    uint32_t n = MESSAGE_FIXED_BYTES + 3 * 4;
    struct record_message copy = *m;
    struct text_field texts[TEXT_COUNT];
    message_texts(&copy, texts);
    for (uint32_t i = 0; i < TEXT_COUNT; i++) n += 2 + texts[i].text->len;
    return n + m->rcpts.len + m->rcpt_states.len;
}

static void put_fixed(struct buf *out, const struct record_message *m)
{
    buf_put_le(out, m->id.v, 8);
    buf_put_le(out, FORMAT, 1);
    buf_put_le(out, (uint64_t)m->arrival_wall_us, 8);
    buf_put_le(out, (uint64_t)m->expire_wall_s, 8);
    buf_put_le(out, (uint64_t)m->warn_wall_s, 8);
    buf_put_le(out, m->flags, 4);
    buf_put_le(out, m->ret, 1);
    buf_put_le(out, m->held, 1);
    buf_put_le(out, m->origin.receiver, 2);
    buf_put_le(out, m->origin.epoch, 4);
    buf_put_le(out, m->origin.transaction, 8);
    buf_put_le(out, m->client.family, 1);
    buf_put(out, bytes_of(m->client.ip, sizeof(m->client.ip)));
    buf_put_le(out, m->client.port, 2);
    buf_put_le(out, m->body_kind, 1);
    buf_put_le(out, m->body_id, 8);
    buf_put_le(out, m->body_skip, 8);
    buf_put_le(out, m->body_bytes, 8);
    buf_put_le(out, m->header_bytes, 8);
}

/* take_fixed - the counterpart of put_fixed(); false when a flag is neither 0 nor 1. */
static bool take_fixed(struct cursor *c, struct record_message *m)
{
    m->arrival_wall_us = (int64_t)cursor_le(c, 8);
    m->expire_wall_s = (int64_t)cursor_le(c, 8);
    m->warn_wall_s = (int64_t)cursor_le(c, 8);
    m->flags = (uint32_t)cursor_le(c, 4);
    m->ret = (uint8_t)cursor_le(c, 1);
    uint64_t held = cursor_le(c, 1);
    m->held = held == 1;
    m->origin.receiver = (uint16_t)cursor_le(c, 2);
    m->origin.epoch = (uint32_t)cursor_le(c, 4);
    m->origin.transaction = cursor_le(c, 8);
    m->client.family = (uint8_t)cursor_le(c, 1);
    struct bytes ip = cursor_take(c, sizeof(m->client.ip));
    for (uint32_t i = 0; i < ip.len; i++) m->client.ip[i] = ip.ptr[i];
    m->client.port = (uint16_t)cursor_le(c, 2);
    m->body_kind = (uint8_t)cursor_le(c, 1);
    m->body_id = cursor_le(c, 8);
    m->body_skip = cursor_le(c, 8);
    m->body_bytes = cursor_le(c, 8);
    m->header_bytes = cursor_le(c, 8);
    return held <= 1;
}

enum err record_message_encode_head(struct buf *out, const struct record_message *m)
{
    enum err e = message_judge(m);
    if (e != ERR_NONE) return e;
    uint32_t start = out->len;
    if (record_message_body_offset(m) > buf_room(out)) return ERR_FULL;

    struct record_message copy = *m;
    struct text_field texts[TEXT_COUNT];
    message_texts(&copy, texts);
    put_fixed(out, m);
    for (uint32_t i = 0; i < TEXT_COUNT; i++) {
        buf_put_le(out, texts[i].text->len, 2);
        buf_put(out, *texts[i].text);
    }
    buf_put_le(out, m->rcpt_count, 4);
    buf_put_le(out, m->rcpts.len, 4);
    buf_put(out, m->rcpts);
    buf_put_le(out, m->rcpt_states.len, 4);
    buf_put(out, m->rcpt_states);
    must(out->len - start == record_message_body_offset(m));
    return ERR_NONE;
}

enum err record_message_encode(struct buf *out, const struct record_message *m)
{
    uint32_t start = out->len;
    enum err e = record_message_encode_head(out, m);
    if (e != ERR_NONE) return e;
    if (m->body.len > buf_room(out)) {
        out->len = start;
        return ERR_FULL;
    }
    buf_put(out, m->body);
    return ERR_NONE;
}

/* start_body - id and format, with which every body begins. */
static enum err start_body(struct cursor *c, struct message_id *id)
{
    id->v = cursor_le(c, 8);
    uint64_t format = cursor_le(c, 1);
    if (c->failed || id->v == 0 || format == 0) return ERR_CORRUPT;
    return format == FORMAT ? ERR_NONE : ERR_BAD_VERSION;
}

enum err record_message_decode(struct bytes in, struct record_message *m)
{
    struct record_message found = {0};
    struct text_field texts[TEXT_COUNT];
    struct cursor c = cursor_over(in);
    enum err e = start_body(&c, &found.id);
    if (e != ERR_NONE) return e;

    bool flags_are_valid = take_fixed(&c, &found);
    message_texts(&found, texts);
    for (uint32_t i = 0; i < TEXT_COUNT; i++) *texts[i].text = cursor_take(&c, (uint32_t)cursor_le(&c, 2));
    found.rcpt_count = (uint32_t)cursor_le(&c, 4);
    found.rcpts = cursor_take(&c, (uint32_t)cursor_le(&c, 4));
    found.rcpt_states = cursor_take(&c, (uint32_t)cursor_le(&c, 4));
    found.body = cursor_take(&c, cursor_left(&c));
    if (c.failed || !flags_are_valid || message_judge(&found) != ERR_NONE) return ERR_CORRUPT;
    *m = found;
    return ERR_NONE;
}

static bool run_is_valid(const struct record_outcome_rcpt *run)
{
    const struct enhanced *x = &run->enhanced;
    if (run->count == 0 || run->first >= RECIPIENTS_HARD_MAX || run->count > RECIPIENTS_HARD_MAX - run->first) return false;
    if (!rcpt_state_is_valid(&run->state) || run->code > REPLY_CODE_MAX) return false;
    return (x->class == 0 || x->class == 2 || x->class == 4 || x->class == 5) && x->subject <= REPLY_CODE_MAX && x->detail <= REPLY_CODE_MAX;
}

void record_run_put(struct buf *out, const struct record_outcome_rcpt *run)
{
    struct bytes text = bytes_slice(run->text, 0, RECORD_OUTCOME_TEXT_BYTES_MAX);
    if (!run_is_valid(run) || RUN_FIXED_BYTES + text.len > buf_room(out)) {
        out->overflow = true;
        return;
    }
    buf_put_le(out, run->first, 4);
    buf_put_le(out, run->count, 4);
    record_rcpt_put(out, &run->state);
    buf_put_le(out, run->code, 2);
    buf_put_le(out, run->enhanced.class, 1);
    buf_put_le(out, run->enhanced.subject, 2);
    buf_put_le(out, run->enhanced.detail, 2);
    buf_put_le(out, text.len, 4);
    buf_put(out, text);
}

bool record_run_next(struct cursor *c, struct record_outcome_rcpt *run)
{
    struct record_outcome_rcpt found = {0};
    if (c->failed || cursor_left(c) == 0) return false;
    found.first = (uint32_t)cursor_le(c, 4);
    found.count = (uint32_t)cursor_le(c, 4);
    struct bytes state = cursor_take(c, RECORD_RCPT_BYTES);
    found.code = (uint16_t)cursor_le(c, 2);
    found.enhanced.class = (uint8_t)cursor_le(c, 1);
    found.enhanced.subject = (uint16_t)cursor_le(c, 2);
    found.enhanced.detail = (uint16_t)cursor_le(c, 2);
    found.text = cursor_take(c, (uint32_t)cursor_le(c, 4));
    found.state = record_rcpt_get(state, 0);
    if (!c->failed && (!run_is_valid(&found) || found.text.len > RECORD_OUTCOME_TEXT_BYTES_MAX)) c->failed = true;
    if (c->failed) return false;
    *run = found;
    return true;
}

/* outcome_judge - as message_judge(); the bounce is judged by whoever decodes it. */
static enum err outcome_judge(const struct record_outcome *o)
{
    struct record_outcome_rcpt run;
    struct cursor c = cursor_over(o->runs);
    uint32_t count = 0;
    if (o->id.v == 0 || o->run_count == 0) return ERR_BAD_VALUE;
    while (count < o->run_count && record_run_next(&c, &run)) count++;
    return !c.failed && count == o->run_count && cursor_left(&c) == 0 ? ERR_NONE : ERR_BAD_VALUE;
}

uint32_t record_outcome_bounce_offset(const struct record_outcome *o)
{
    return OUTCOME_FIXED_BYTES + o->runs.len;
}

enum err record_outcome_encode(struct buf *out, const struct record_outcome *o)
{
    enum err e = outcome_judge(o);
    if (e != ERR_NONE) return e;
    if ((uint64_t)OUTCOME_FIXED_BYTES + o->runs.len + o->bounce.len > buf_room(out)) return ERR_FULL;
    buf_put_le(out, o->id.v, 8);
    buf_put_le(out, FORMAT, 1);
    buf_put_le(out, o->run_count, 4);
    buf_put_le(out, o->runs.len, 4);
    buf_put_le(out, o->bounce.len, 4);
    buf_put(out, o->runs);
    buf_put(out, o->bounce);
    return ERR_NONE;
}

enum err record_outcome_decode(struct bytes in, struct record_outcome *o)
{
    struct record_outcome found = {0};
    struct cursor c = cursor_over(in);
    enum err e = start_body(&c, &found.id);
    if (e != ERR_NONE) return e;
    found.run_count = (uint32_t)cursor_le(&c, 4);
    uint32_t runs_bytes = (uint32_t)cursor_le(&c, 4);
    uint32_t bounce_bytes = (uint32_t)cursor_le(&c, 4);
    found.runs = cursor_take(&c, runs_bytes);
    found.bounce = cursor_take(&c, bounce_bytes);
    if (c.failed || cursor_left(&c) > 0 || outcome_judge(&found) != ERR_NONE) return ERR_CORRUPT;
    *o = found;
    return ERR_NONE;
}

enum err record_hold_encode(struct buf *out, struct message_id id, struct bytes reason)
{
    if (id.v == 0) return ERR_BAD_VALUE;
    if (reason.len > RECORD_TEXT_BYTES_MAX) return ERR_TOO_LONG;
    if (8 + 1 + 2 + reason.len > buf_room(out)) return ERR_FULL;
    buf_put_le(out, id.v, 8);
    buf_put_le(out, FORMAT, 1);
    buf_put_le(out, reason.len, 2);
    buf_put(out, reason);
    return ERR_NONE;
}

enum err record_hold_decode(struct bytes in, struct message_id *id, struct bytes *reason)
{
    struct message_id found;
    struct cursor c = cursor_over(in);
    enum err e = start_body(&c, &found);
    if (e != ERR_NONE) return e;
    struct bytes text = cursor_take(&c, (uint32_t)cursor_le(&c, 2));
    if (c.failed || cursor_left(&c) > 0 || text.len > RECORD_TEXT_BYTES_MAX) return ERR_CORRUPT;
    *id = found;
    *reason = text;
    return ERR_NONE;
}

enum err record_u64_encode(struct buf *out, uint64_t value)
{
    if (buf_room(out) < 8) return ERR_FULL;
    buf_put_le(out, value, 8);
    return ERR_NONE;
}

enum err record_u64_decode(struct bytes in, uint64_t *value)
{
    if (in.len != 8) return ERR_CORRUPT;
    struct cursor c = cursor_over(in);
    *value = cursor_le(&c, 8);
    return ERR_NONE;
}

struct message_id record_peek_id(struct bytes in)
{
    struct cursor c = cursor_over(in);
    uint64_t v = cursor_le(&c, 8);
    return (struct message_id){c.failed ? 0 : v};
}
