/* box - see box.h: the worker's stores, and the manager's judgement of a copy. */
#include "mta/box/box.h"

#include "base/hash.h"
#include "base/must.h"

static uint32_t sum_of(const struct box_mark *m, const struct box_identity *id)
{
    struct box_mark plain = *m;
    plain.sum = 0;
    return crc32c(crc32c(BOX_MAGIC, bytes_of(id, sizeof(*id))), bytes_of(&plain, sizeof(plain)));
}

static uint32_t sum_of_rcpts(const uint16_t *rcpts, uint32_t count)
{
    return crc32c(BOX_MAGIC, bytes_of(rcpts, count * (uint32_t)sizeof(*rcpts)));
}

static bool is_sound(const struct box_mark *m, const struct box_identity *id)
{
    return m->sequence != 0 && m->sum == sum_of(m, id);
}

/* ---- the worker's side ---- */

void box_start(struct box *b)
{
    struct box_header *h = box_header(b);
    h->worker_epoch = b->worker_epoch;
    h->manager_seen = b->manager_epoch;
    h->high_inverted = ~h->high;
    box_fence();
    h->magic = BOX_MAGIC;
}

void box_manager(struct box *b, uint32_t manager_epoch)
{
    b->manager_epoch = manager_epoch;
    if (b->begun) box_header(b)->manager_seen = manager_epoch; /* else what stands there is another process's, and may still be read */
}

/* The mark that counts is the one with the higher sequence; the worker wrote both and need not check them. */
static const struct box_mark *newest(const struct box_slot *s)
{
    return s->marks[0].sequence > s->marks[1].sequence ? &s->marks[0] : &s->marks[1];
}

static void put_mark(struct box_slot *s, struct box_mark next)
{
    const struct box_mark *now = newest(s);
    struct box_mark *other = &s->marks[now == &s->marks[0]];
    next.sequence = now->sequence + 1;
    next.sum = sum_of(&next, &s->identity);
    box_fence();
    *other = next;
    box_fence();
}

void box_open(struct box *b, uint32_t index, uint64_t connection)
{
    struct box_header *h = box_header(b);
    struct box_slot *s = box_slot(b, index);
    must(index < BOX_SLOTS_MAX);
    s->identity = (struct box_identity){b->worker_epoch, b->manager_epoch, connection};
    s->parse_begin = s->parse_end = 0;
    s->step = s->bytes_len = 0;
    s->bytes_seen = 0;
    s->peer = (struct net_address){0};
    s->marks[0] = s->marks[1] = (struct box_mark){0};
    put_mark(s, (struct box_mark){.phase = BOX_IDLE});
    if (index < h->high) return;
    h->high = index + 1;
    h->high_inverted = ~h->high;
}

void box_attempt(struct box *b, struct box_slot *s, uint64_t attempt, uint32_t rcpt_count)
{
    (void)b;
    must(rcpt_count <= BOX_RCPTS_MAX);
    memset(s->rcpts, 0, rcpt_count * sizeof(*s->rcpts));
    put_mark(s, (struct box_mark){.attempt = attempt, .rcpt_count = (uint16_t)rcpt_count, .phase = BOX_BEFORE});
}

void box_rcpts(struct box *b, struct box_slot *s, uint32_t first, uint32_t count, const struct verdict *v)
{
    (void)b;
    const struct box_mark *m = newest(s);
    if (m->phase != BOX_BEFORE || first > m->rcpt_count || count > m->rcpt_count - first) return;
    for (uint32_t i = first; i < first + count; i++) s->rcpts[i] = box_rcpt_pack(v->class, v->code, v->maybe_duplicate);
}

void box_dot_intent(struct box *b, struct box_slot *s, bool each)
{
    (void)b;
    struct box_mark next = *newest(s);
    next.phase = BOX_AFTER;
    next.each = each;
    next.answers_sum = each ? sum_of_rcpts(s->answers, 0) : 0;
    next.rcpts_sum = sum_of_rcpts(s->rcpts, next.rcpt_count);
    s->bytes_len = 0;
    s->bytes_seen = 0;
    put_mark(s, next);
}

void box_dot(struct box *b, struct box_slot *s, enum box_dot dot, uint16_t code)
{
    (void)b;
    struct box_mark next = *newest(s);
    if (next.phase != BOX_AFTER || next.dot == dot) return;
    next.dot = (uint8_t)dot;
    if (!next.each) next.dot_code = code;
    put_mark(s, next);
}

/* The answer is stored beside those that count, and counts when the next mark says so. */
void box_answer(struct box *b, struct box_slot *s, uint16_t code)
{
    (void)b;
    struct box_mark next = *newest(s);
    if (next.phase != BOX_AFTER || !next.each || next.dot != BOX_DOT_NOTHING || next.dot_code >= BOX_ANSWERS_MAX) return;
    s->answers[next.dot_code++] = code;
    next.answers_sum = sum_of_rcpts(s->answers, next.dot_code);
    put_mark(s, next);
}

void box_end(struct box *b, struct box_slot *s)
{
    (void)b;
    struct box_mark next = *newest(s);
    next.ended = 1;
    put_mark(s, next);
}

/* ---- the manager's side ---- */

static bool is_zero(const struct box_slot *s)
{
    static const struct box_slot zero;
    return memcmp(s, &zero, offsetof(struct box_slot, rcpts)) == 0;
}

/* view_rest - what stands outside the marks: bounded, whatever was written there. False when a value is impossible. */
static bool view_rest(const struct box_slot *copy, struct box_view *v)
{
    bool sane = copy->step < STEP_COUNT && copy->bytes_len <= BOX_BYTES_MAX && copy->parse_begin - copy->parse_end <= 1;
    sane &= copy->peer.family == NET_NONE || copy->peer.family == NET_UNIX || copy->peer.family == NET_IPV4 || copy->peer.family == NET_IPV6;
    v->identity = copy->identity;
    v->peer = copy->peer;
    if (!sane) v->peer = (struct net_address){0};
    v->open = copy->parse_begin - copy->parse_end == 1;
    v->step = copy->step < STEP_COUNT ? (enum mail_step)copy->step : STEP_NONE;
    v->bytes = bytes_of(copy->bytes, copy->bytes_len < BOX_BYTES_MAX ? copy->bytes_len : (uint32_t)BOX_BYTES_MAX);
    v->bytes_seen = copy->bytes_seen;
    return sane;
}

static bool is_possible(const struct box_mark *m)
{
    if (m->phase >= BOX_PHASE_COUNT || m->dot >= BOX_DOT_COUNT || m->rcpt_count > BOX_RCPTS_MAX || m->ended > 1) return false;
    if (m->phase != BOX_AFTER && (m->dot != BOX_DOT_NOTHING || m->each)) return false;
    if (m->each > 1 || (!m->each && m->answers_sum != 0)) return false;
    if (m->each) return m->dot_code <= BOX_ANSWERS_MAX && m->dot_code <= m->rcpt_count && (m->dot == BOX_DOT_NOTHING || m->dot == BOX_DOT_JUNK);
    return m->dot == BOX_DOT_CODE ? m->dot_code >= 200 && m->dot_code <= 599 : m->dot_code == 0;
}

enum box_condition box_view(const struct box_slot *copy, struct box_view *v)
{
    *v = (struct box_view){0};
    bool sane = view_rest(copy, v);
    if (is_zero(copy)) return BOX_UNUSED;
    bool first = is_sound(&copy->marks[0], &copy->identity), second = is_sound(&copy->marks[1], &copy->identity);
    if (!first && !second) return BOX_SPOILED;
    const struct box_mark *m = &copy->marks[0];
    if (!first || (second && copy->marks[1].sequence > copy->marks[0].sequence)) m = &copy->marks[1];
    if (!sane || !is_possible(m)) return BOX_SPOILED;
    v->phase = (enum box_phase)m->phase;
    v->attempt = v->phase == BOX_IDLE ? 0 : m->attempt;
    v->rcpt_count = m->rcpt_count;
    v->dot = (enum box_dot)m->dot;
    v->each = m->each;
    v->dot_code = m->each ? 0 : m->dot_code;
    v->answered = m->each ? m->dot_code : 0;
    if (m->each && m->answers_sum == sum_of_rcpts(copy->answers, m->dot_code)) v->answers = copy->answers;
    v->ended = m->ended;
    if (v->phase == BOX_AFTER && m->rcpts_sum == sum_of_rcpts(copy->rcpts, m->rcpt_count)) v->rcpts = copy->rcpts;
    return BOX_SOUND;
}

bool box_header_sound(const struct box_header *copy)
{
    return copy->magic == BOX_MAGIC && copy->high == ~copy->high_inverted && copy->high <= BOX_SLOTS_MAX;
}
