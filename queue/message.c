/*
 * message - building and finding resident messages.
 */
#include "queue/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/must.h"
#include "queue/schedule.h"

enum { BUCKETS_FIRST = 1024 };

/* ---- texts ---- */

enum { TEXTS = 6 };

static void texts_of(struct record_message *m, struct bytes *out[TEXTS])
{
    out[0] = &m->client_name;
    out[1] = &m->helo;
    out[2] = &m->sender;
    out[3] = &m->envid;
    out[4] = &m->message_id;
    out[5] = &m->rcpts;
}

static uint32_t texts_bytes(const struct record_message *m)
{
    struct record_message copy = *m;
    struct bytes *texts[TEXTS];
    uint32_t n = 0;
    texts_of(&copy, texts);
    for (int i = 0; i < TEXTS; i++) n += texts[i]->len;
    return n;
}

static void copy_texts(struct record_message *m, uint8_t *to)
{
    struct bytes *texts[TEXTS];
    texts_of(m, texts);
    for (int i = 0; i < TEXTS; i++) {
        if (texts[i]->len) memcpy(to, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = to;
        to += texts[i]->len;
    }
}

void message_move_texts(struct record_message *copy, const uint8_t *from, uint8_t *to)
{
    struct bytes *texts[TEXTS];
    texts_of(copy, texts);
    for (int i = 0; i < TEXTS; i++) texts[i]->ptr = to + (texts[i]->ptr - from);
}

/* ---- legs ---- */

/* count_legs - how many different destinations there are; each one's mark is its leg's index + 1. */
static uint32_t count_legs(struct destination *const *destinations, uint32_t count)
{
    uint32_t legs = 0;
    for (uint32_t i = 0; i < count; i++) destinations[i]->mark = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (destinations[i]->mark == 0) destinations[i]->mark = ++legs;
    }
    return legs;
}

static void build_legs(struct message *m, struct destination *const *destinations)
{
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        uint32_t leg = destinations[i]->mark - 1;
        m->rcpts[i].leg = leg;
        m->legs[leg].destination = destinations[i];
        m->legs[leg].count++;
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < m->leg_count; i++) {
        m->legs[i].message = m;
        m->legs[i].first = first;
        first += m->legs[i].count;
        m->legs[i].count = 0;
    }
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        struct leg *leg = &m->legs[m->rcpts[i].leg];
        m->order[leg->first + leg->count++] = i;
        if (m->rcpts[i].state.state != RCPT_QUEUED) continue;
        leg->queued++;
        m->queued++;
    }
}

struct message *message_new(const struct record_message *source, struct destination *const *destinations)
{
    uint32_t rcpts = source->rcpt_count, legs = count_legs(destinations, rcpts), text_bytes = texts_bytes(source);
    size_t bytes = sizeof(struct message) + legs * sizeof(struct leg) + rcpts * (sizeof(struct rcpt_slot) + sizeof(uint32_t)) + text_bytes;
    struct message *m = malloc(bytes);
    if (!m) return NULL;
    memset(m, 0, bytes - text_bytes);
    m->legs = (struct leg *)(m + 1);
    m->rcpts = (struct rcpt_slot *)(m->legs + legs);
    m->order = (uint32_t *)(m->rcpts + rcpts);
    m->text = (uint8_t *)(m->order + rcpts);
    m->leg_count = legs;
    m->text_bytes = text_bytes;
    m->m = *source;
    copy_texts(&m->m, m->text);
    m->m.prefix = m->m.body = m->m.rcpt_states = m->m.hold_reason = (struct bytes){0};
    if (!message_set_hold(m, source->held, source->hold_reason)) {
        free(m);
        return NULL;
    }
    for (uint32_t i = 0; i < rcpts; i++) {
        m->rcpts[i].state = record_rcpt_get(source->rcpt_states, i);
        m->rcpts[i].job_head = RCPT_NO_JOB;
    }
    build_legs(m, destinations);
    return m;
}

void message_free(struct message *m)
{
    must(!link_is_in(&m->queue) && !link_is_in(&m->dirty) && !link_is_in(&m->fresh) && m->notice.place == 0);
    for (uint32_t i = 0; i < m->leg_count; i++) must(m->legs[i].place == LEG_OUT);
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) free(m->rcpts[i].reason);
    free((void *)(uintptr_t)m->m.hold_reason.ptr);
    free(m);
}

static bool copy_text(struct bytes text, uint8_t **copy)
{
    *copy = NULL;
    if (text.len == 0) return true;
    *copy = malloc(text.len);
    if (!*copy) return false;
    memcpy(*copy, text.ptr, text.len);
    return true;
}

bool message_set_hold(struct message *m, bool held, struct bytes reason)
{
    uint8_t *copy;
    reason = bytes_slice(held ? reason : (struct bytes){0}, 0, RECORD_TEXT_BYTES_MAX);
    if (!copy_text(reason, &copy)) return false;
    free((void *)(uintptr_t)m->m.hold_reason.ptr);
    m->m.hold_reason = bytes_of(copy, reason.len);
    m->m.held = held;
    return true;
}

bool message_set_reason(struct rcpt_slot *r, struct bytes reason)
{
    uint8_t *copy;
    reason = bytes_slice(reason, 0, RECORD_OUTCOME_TEXT_BYTES_MAX);
    if (!copy_text(reason, &copy)) return false;
    free(r->reason);
    r->reason = copy;
    r->reason_len = (uint16_t)reason.len;
    return true;
}

void message_put_states(struct buf *out, const struct message *m)
{
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) record_rcpt_put(out, &m->rcpts[i].state);
}

/* ---- table ---- */

static struct message **bucket_of(const struct message_table *t, struct message_id id)
{
    return &t->buckets[hash_mix(id.v) & (t->bucket_count - 1)];
}

enum err message_table_init(struct message_table *t)
{
    *t = (struct message_table){calloc(BUCKETS_FIRST, sizeof(*t->buckets)), 0, BUCKETS_FIRST};
    return t->buckets ? ERR_NONE : ERR_NO_MEMORY;
}

void message_table_fini(struct message_table *t)
{
    free(t->buckets);
    *t = (struct message_table){0};
}

struct message *message_table_find(const struct message_table *t, struct message_id id)
{
    struct message *m = *bucket_of(t, id);
    while (m && m->m.id.v != id.v) m = m->hash_next;
    return m;
}

static void grow(struct message_table *t)
{
    struct message_table wider = {calloc(t->bucket_count, 2 * sizeof(*t->buckets)), 0, t->bucket_count * 2};
    if (!wider.buckets) return; /* longer chains do no harm */
    for (uint32_t i = 0; i < t->bucket_count; i++) {
        while (t->buckets[i]) {
            struct message *m = t->buckets[i];
            t->buckets[i] = m->hash_next;
            struct message **bucket = bucket_of(&wider, m->m.id);
            m->hash_next = *bucket;
            *bucket = m;
        }
    }
    wider.count = t->count;
    free(t->buckets);
    *t = wider;
}

void message_table_put(struct message_table *t, struct message *m)
{
    must(m->m.id.v != 0);
    if (t->count >= t->bucket_count && t->bucket_count <= UINT32_MAX / 4) grow(t);
    struct message **bucket = bucket_of(t, m->m.id);
    m->hash_next = *bucket;
    *bucket = m;
    t->count++;
}

void message_table_take(struct message_table *t, struct message *m)
{
    struct message **at = bucket_of(t, m->m.id);
    while (*at != m) {
        must(*at != NULL);
        at = &(*at)->hash_next;
    }
    *at = m->hash_next;
    m->hash_next = NULL;
    t->count--;
}

struct message *message_table_next(const struct message_table *t, const struct message *after)
{
    if (after && after->hash_next) return after->hash_next;
    uint32_t i = after ? (uint32_t)(bucket_of(t, after->m.id) - t->buckets) + 1 : 0;
    for (; i < t->bucket_count; i++) {
        if (t->buckets[i]) return t->buckets[i];
    }
    return NULL;
}
