/*
 * schedule - the destinations' line.
 */
#include "queue/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum { BUCKETS_FIRST = 256, WINDOW_UNIT = 1000, IDLE_MAX = 10000 /* remembered empty destinations */ };

/* Nothing waits longer than this in memory before it is looked at again; the longest step of a retry, and then some. */
static const uint64_t far_ms = (uint64_t)RETRY_S_MAX * 1150;

enum err schedule_init(struct schedule *s, uint32_t limit)
{
    memset(s, 0, sizeof(*s));
    s->key = hash_key_random();
    s->limit = limit ? limit : DESTINATION_LIMIT_DEFAULT;
    struct link *const lists[] = {&s->all, &s->run, &s->want, &s->dirty, &s->idle};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) link_init(lists[i]);
    s->bucket_count = BUCKETS_FIRST;
    s->by_id = calloc(BUCKETS_FIRST, sizeof(*s->by_id));
    s->by_name = calloc(BUCKETS_FIRST, sizeof(*s->by_name));
    if (s->by_id && s->by_name && heap_init(&s->timers, BUCKETS_FIRST) == ERR_NONE) return ERR_NONE;
    free(s->by_id);
    free(s->by_name);
    return ERR_NO_MEMORY;
}

void schedule_fini(struct schedule *s)
{
    if (!s->by_id) return;
    while (!link_is_empty(&s->all)) destination_free(s, LINK_OF(link_first(&s->all), struct destination, all));
    heap_fini(&s->timers);
    free(s->by_id);
    free(s->by_name);
}

void schedule_time(struct schedule *s, uint64_t now_ms, int64_t now_wall_us)
{
    s->now_ms = now_ms;
    s->now_wall_us = now_wall_us;
}

uint64_t schedule_mono(const struct schedule *s, int64_t wall_s)
{
    if (wall_s <= s->now_wall_us / 1000000) return s->now_ms;
    uint64_t ahead_s = (uint64_t)wall_s - (uint64_t)(s->now_wall_us / 1000000);
    if (ahead_s >= far_ms / 1000) return s->now_ms + far_ms;
    return s->now_ms + ahead_s * 1000 - (uint64_t)(s->now_wall_us % 1000000 / 1000);
}

/* ---- finding and making ---- */

static struct destination **bucket_by_id(const struct schedule *s, uint64_t id)
{
    return &s->by_id[hash_mix(id) & (s->bucket_count - 1)];
}

static struct destination **bucket_by_name(const struct schedule *s, uint64_t name_hash)
{
    return &s->by_name[name_hash & (s->bucket_count - 1)];
}

struct destination *destination_find(const struct schedule *s, uint64_t id)
{
    struct destination *d = *bucket_by_id(s, id);
    while (d && d->id != id) d = d->id_next;
    return d;
}

static struct destination *find_name(const struct schedule *s, struct bytes name, uint64_t name_hash)
{
    struct destination *d = *bucket_by_name(s, name_hash);
    while (d && !(d->name_hash == name_hash && bytes_equal(destination_name(d), name))) d = d->name_next;
    return d;
}

struct destination *destination_find_name(const struct schedule *s, struct bytes name)
{
    return find_name(s, name, hash_bytes(s->key, name));
}

static void put_in_buckets(struct schedule *s, struct destination *d)
{
    struct destination **by_id = bucket_by_id(s, d->id), **by_name = bucket_by_name(s, d->name_hash);
    d->id_next = *by_id;
    *by_id = d;
    d->name_next = *by_name;
    *by_name = d;
}

static void grow(struct schedule *s)
{
    uint32_t wider = s->bucket_count * 2;
    struct destination **by_id = calloc(wider, sizeof(*by_id)), **by_name = calloc(wider, sizeof(*by_name));
    if (!by_id || !by_name) {
        free(by_id);
        free(by_name);
        return; /* longer chains do no harm */
    }
    free(s->by_id);
    free(s->by_name);
    s->by_id = by_id;
    s->by_name = by_name;
    s->bucket_count = wider;
    for (struct link *l = link_first(&s->all); l; l = link_after(&s->all, l)) put_in_buckets(s, LINK_OF(l, struct destination, all));
}

static struct destination *add(struct schedule *s, uint64_t id, struct bytes name, uint64_t name_hash)
{
    struct destination *d = calloc(1, sizeof(*d) + name.len);
    if (!d) return NULL;
    memcpy(d->name, name.ptr, name.len);
    d->name_len = (uint16_t)name.len;
    d->name_hash = name_hash;
    d->id = id;
    d->index_due_ms = UINT64_MAX;
    d->window_milli = (s->limit < DESTINATION_WINDOW_FIRST ? s->limit : DESTINATION_WINDOW_FIRST) * WINDOW_UNIT;
    link_init(&d->ready);
    if (s->count >= s->bucket_count && s->bucket_count <= UINT32_MAX / 4) grow(s);
    put_in_buckets(s, d);
    s->count++;
    /* Ids rise, but rows of the index come in order too: the place is at the end, or near it. */
    struct link *at = s->all.prev;
    while (at != &s->all && LINK_OF(at, struct destination, all)->id > id) at = at->prev;
    link_insert(at, &d->all);
    return d;
}

struct destination *destination_make(struct schedule *s, struct bytes name)
{
    uint64_t name_hash = hash_bytes(s->key, name);
    must(name.len > 0 && name.len <= INDEX_DESTINATION_NAME_BYTES_MAX);
    struct destination *d = find_name(s, name, name_hash);
    if (d) {
        d->gone = false;
        return d;
    }
    d = add(s, s->made + 1, name, name_hash);
    if (d) s->made++;
    return d;
}

enum err destination_restore(struct schedule *s, const struct index_destination *row)
{
    if (destination_find(s, row->id) || destination_find_name(s, row->name)) return ERR_CORRUPT;
    struct destination *d = add(s, row->id, row->name, hash_bytes(s->key, row->name));
    if (!d || !destination_set_reason(d, row->reason)) return ERR_NO_MEMORY;
    if (row->id > s->made) s->made = row->id;
    d->indexed = true;
    d->total = row->rcpts;
    s->queued += row->rcpts;
    d->failures = row->failures;
    d->suspended = row->suspended;
    s->suspended_count += row->suspended;
    if (row->backoff_until_wall_s > s->now_wall_us / 1000000) {
        d->backoff_until_wall_s = row->backoff_until_wall_s;
        d->backoff_until_ms = schedule_mono(s, row->backoff_until_wall_s);
    }
    d->index_due_ms = 0;
    destination_refresh(s, d);
    return ERR_NONE;
}

bool destination_set_reason(struct destination *d, struct bytes reason)
{
    reason = bytes_slice(reason, 0, INDEX_REASON_BYTES_MAX);
    uint8_t *copy = reason.len ? malloc(reason.len) : NULL;
    if (reason.len && !copy) return false;
    if (reason.len) memcpy(copy, reason.ptr, reason.len);
    free(d->reason);
    d->reason = copy;
    d->reason_len = (uint16_t)reason.len;
    return true;
}

static void take_from_buckets(struct schedule *s, struct destination *d)
{
    struct destination **at = bucket_by_id(s, d->id);
    while (*at != d) at = &(*at)->id_next;
    *at = d->id_next;
    at = bucket_by_name(s, d->name_hash);
    while (*at != d) at = &(*at)->name_next;
    *at = d->name_next;
}

void destination_free(struct schedule *s, struct destination *d)
{
    must(d->legs == 0 && d->ready_legs == 0);
    take_from_buckets(s, d);
    link_take(&d->all);
    link_take(&d->run);
    link_take(&d->want);
    link_take(&d->dirty);
    link_take(&d->idle);
    heap_remove(&s->timers, &d->timer);
    heap_fini(&d->waiting);
    s->count--;
    s->suspended_count -= d->suspended;
    s->queued -= d->total;
    s->resident -= d->resident;
    free(d->reason);
    free(d);
}

/* ---- standing ---- */

bool destination_blocked(const struct schedule *s, const struct destination *d)
{
    return d->suspended || d->backoff_until_ms > s->now_ms;
}

static bool is_runnable(const struct schedule *s, const struct destination *d)
{
    return d->ready_legs > 0 && d->in_flight < d->window_milli / WINDOW_UNIT && d->wait_until_ms <= s->now_ms && !destination_blocked(s, d);
}

static bool is_low(const struct destination *d)
{
    return d->ready_legs < d->window_milli / WINDOW_UNIT / 2 + DESTINATION_LOAD_MORE;
}

uint32_t destination_wants(const struct destination *d)
{
    uint32_t most = d->window_milli / WINDOW_UNIT + DESTINATION_LOAD_TO;
    return d->ready_legs < most ? most - d->ready_legs : 1;
}

static void put_in_list(struct link *list, struct link *l, bool in)
{
    if (in && !link_is_in(l)) link_put_last(list, l);
    if (!in) link_take(l);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* next_ms - when it has to be looked at again though nothing happens to it. */
static uint64_t next_ms(const struct schedule *s, const struct destination *d, bool in_index)
{
    const struct heap_node *first = heap_first(&d->waiting);
    uint64_t next = first ? first->key : UINT64_MAX;
    if (d->suspended) return next;
    if (d->backoff_until_ms > s->now_ms) return least(next, d->backoff_until_ms);
    if (d->ready_legs > 0 && d->wait_until_ms > s->now_ms) next = least(next, d->wait_until_ms);
    if (in_index && !d->loading && d->index_due_ms > s->now_ms) next = least(next, d->index_due_ms);
    return next;
}

void destination_refresh(struct schedule *s, struct destination *d)
{
    bool in_index = d->total > d->resident;
    bool idle = d->total == 0 && d->legs == 0 && d->in_flight == 0 && d->connections == 0 && !d->suspended && !d->loading;
    bool runnable = is_runnable(s, d);
    if (runnable && !link_is_in(&d->run)) s->news = true;
    put_in_list(&s->run, &d->run, runnable);
    put_in_list(&s->want, &d->want, in_index && !d->loading && d->index_due_ms <= s->now_ms && is_low(d) && !destination_blocked(s, d));
    if (idle && !link_is_in(&d->idle)) d->idle_since_ms = s->now_ms;
    put_in_list(&s->idle, &d->idle, idle);
    uint64_t next = next_ms(s, d, in_index);
    if (next == UINT64_MAX) heap_remove(&s->timers, &d->timer);
    else if (heap_put(&s->timers, &d->timer, next) != ERR_NONE) put_in_list(&s->run, &d->run, true); /* no memory for a timer: the round robin asks again */
}

void destination_dirty(struct schedule *s, struct destination *d)
{
    put_in_list(&s->dirty, &d->dirty, true);
}

static void add_signed(uint64_t *sum, int64_t n)
{
    must(n >= 0 || *sum >= (uint64_t)-n);
    *sum += (uint64_t)n;
}

void destination_count(struct schedule *s, struct destination *d, int64_t total, int64_t resident)
{
    /* The total may come from a damaged index: then it is too small, never negative. */
    if (total < 0 && d->total < (uint64_t)-total) total = -(int64_t)d->total;
    add_signed(&d->total, total);
    add_signed(&s->queued, total);
    add_signed(&d->resident, resident);
    add_signed(&s->resident, resident);
    if (total != 0) destination_dirty(s, d);
}

/* ---- legs ---- */

static uint64_t leg_due_ms(const struct schedule *s, const struct leg *leg, uint32_t *open)
{
    const struct message *m = leg->message;
    int64_t now_s = s->now_wall_us / 1000000, due_s = INT64_MAX;
    *open = 0;
    if (m->state != MESSAGE_LIVE || m->m.held || leg->queued == leg->taken) return UINT64_MAX;
    for (uint32_t i = 0; i < leg->count; i++) {
        const struct rcpt_slot *r = &m->rcpts[m->order[leg->first + i]];
        if (r->state.state != RCPT_QUEUED || r->taken) continue;
        if (r->state.due_wall_s <= now_s) ++*open;
        if (r->state.due_wall_s < due_s) due_s = r->state.due_wall_s;
    }
    return due_s == INT64_MAX ? UINT64_MAX : schedule_mono(s, due_s);
}

void leg_remove(struct schedule *s, struct leg *leg)
{
    struct destination *d = leg->destination;
    if (leg->place == LEG_READY) {
        link_take(&leg->ready);
        d->ready_legs--;
        d->open -= leg->open;
    }
    if (leg->place == LEG_WAITING) heap_remove(&d->waiting, &leg->due);
    leg->place = LEG_OUT;
    (void)s;
}

static void make_ready(struct schedule *s, struct leg *leg, uint32_t open)
{
    struct destination *d = leg->destination;
    if (leg->place == LEG_READY) {
        d->open += open;
        d->open -= leg->open;
        leg->open = open;
        return;
    }
    leg_remove(s, leg);
    leg->place = LEG_READY;
    leg->open = open;
    leg->active_ms = s->now_ms;
    link_put_last(&d->ready, &leg->ready);
    d->ready_legs++;
    d->open += open;
}

enum err leg_settle(struct schedule *s, struct leg *leg)
{
    uint32_t open;
    uint64_t due_ms = leg_due_ms(s, leg, &open);
    enum err e = ERR_NONE;
    if (open > 0) {
        make_ready(s, leg, open);
    } else {
        if (leg->place == LEG_READY || due_ms == UINT64_MAX) leg_remove(s, leg);
        if (due_ms != UINT64_MAX) {
            e = heap_put(&leg->destination->waiting, &leg->due, due_ms);
            if (!e) leg->place = LEG_WAITING;
        }
    }
    destination_refresh(s, leg->destination);
    return e;
}

void schedule_message_in(struct schedule *s, struct message *m)
{
    (void)s;
    for (uint32_t i = 0; i < m->leg_count; i++) m->legs[i].destination->legs++;
}

void schedule_message_out(struct schedule *s, struct message *m)
{
    for (uint32_t i = 0; i < m->leg_count; i++) {
        leg_remove(s, &m->legs[i]);
        m->legs[i].destination->legs--;
        destination_refresh(s, m->legs[i].destination);
    }
}

/* ---- concurrency and back-off ---- */

void destination_ok(struct schedule *s, struct destination *d)
{
    /* By one for each success until the first failure, then by one for each round of successes. */
    uint32_t step = d->failures == 0 ? WINDOW_UNIT : WINDOW_UNIT * WINDOW_UNIT / d->window_milli;
    uint32_t most = s->limit * WINDOW_UNIT;
    d->window_milli = most - d->window_milli > step && d->window_milli < most ? d->window_milli + step : most;
    if (d->failures > 0 || d->backoff_until_ms) {
        d->failures = 0;
        d->backoff_until_ms = 0;
        d->backoff_until_wall_s = 0;
        destination_dirty(s, d);
    }
    destination_refresh(s, d);
}

void destination_failed(struct schedule *s, struct destination *d, uint64_t wait_ms, struct bytes reason)
{
    d->window_milli = d->window_milli / 2 > WINDOW_UNIT ? d->window_milli / 2 : WINDOW_UNIT;
    (void)destination_set_reason(d, reason); /* without memory the older reason stays */
    if (d->backoff_until_ms <= s->now_ms) {
        d->failures++;
        d->backoff_until_ms = s->now_ms + wait_ms;
        d->backoff_until_wall_s = (s->now_wall_us + (int64_t)wait_ms * 1000 + 999999) / 1000000;
        destination_dirty(s, d);
    }
    destination_refresh(s, d);
}

/* ---- turns ---- */

/* release_due - waiting legs whose time has come. */
static void release_due(struct schedule *s, struct destination *d)
{
    struct heap_node *first;
    while ((first = heap_first(&d->waiting)) && first->key <= s->now_ms) {
        struct leg *leg = LINK_OF(first, struct leg, due);
        heap_remove(&d->waiting, first);
        leg->place = LEG_OUT;
        uint32_t open;
        uint64_t due_ms = leg_due_ms(s, leg, &open);
        if (open > 0) {
            make_ready(s, leg, open);
        } else if (due_ms != UINT64_MAX) {
            /* The wall clock went back: look again when it says so, but not in this turn. */
            if (heap_put(&d->waiting, first, due_ms > s->now_ms ? due_ms : s->now_ms + 1) == ERR_NONE) leg->place = LEG_WAITING;
        }
    }
}

static void forget_idle(struct schedule *s)
{
    struct link *l;
    uint32_t over = 0;
    for (l = link_first(&s->idle); l; l = link_first(&s->idle)) {
        struct destination *d = LINK_OF(l, struct destination, idle);
        bool late = s->now_ms - d->idle_since_ms >= DESTINATION_KEEP_MS;
        if (!late && s->count < IDLE_MAX) return;
        if (++over > IDLE_MAX / 10) return; /* a bounded piece of work each turn */
        link_take(&d->idle);
        if (!d->indexed) {
            destination_free(s, d);
            continue;
        }
        d->gone = true;
        destination_dirty(s, d);
    }
}

void schedule_turn(struct schedule *s)
{
    struct heap_node *first;
    while ((first = heap_first(&s->timers)) && first->key <= s->now_ms) {
        struct destination *d = LINK_OF(first, struct destination, timer);
        heap_remove(&s->timers, first);
        release_due(s, d);
        destination_refresh(s, d);
    }
    forget_idle(s);
}

struct destination *schedule_next(struct schedule *s)
{
    s->news = false;
    for (;;) {
        struct link *l = link_first(&s->run);
        if (!l) return NULL;
        struct destination *d = LINK_OF(l, struct destination, run);
        link_take(l);
        if (!is_runnable(s, d)) continue;
        link_put_last(&s->run, l);
        return d;
    }
}

uint64_t schedule_deadline_ms(const struct schedule *s)
{
    const struct heap_node *first = heap_first(&s->timers);
    if (s->news) return s->now_ms;
    return first ? first->key : UINT64_MAX;
}
