/*
 * log_replay - the records behind the index's position: which count, which are void, torn or damaged.
 *
 * Two passes. The first learns what later records say about earlier ones: void groups, and torn ones (the last group before a start, which nobody was
 * promised). The second applies. Sequences of records that count are consecutive, so a gap shows a missing record, and the index in its group
 * tells which group the missing ones were in: in a torn group they are no damage.
 * In the end the last group is written once more and synced: it may have been read from the page cache of a process that was killed before its sync,
 * or whose sync failed, and from now on the queue relies on it.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

/* A segment is looked at through a window that stays in the processor's cache, unless a record is larger. */
enum { WINDOW_BYTES = 1024 * 1024, WINDOW_MEMORY_BYTES = WINDOW_BYTES + QLOG_HEADER_BYTES + QLOG_RECORD_BYTES_MAX };

struct span {                 /* octets of the last group in one segment */
    struct segment *segment;
    uint32_t start, end;
};

struct replay {
    struct qlog *log;
    struct qlog_position from;
    qlog_apply_fn *apply;
    void *context;
    struct qlog_recovery *recovery;
    uint8_t *memory;          /* WINDOW_MEMORY_BYTES: the window; owned */
    uint32_t window, wanted;  /* where the next window begins in its segment; how much it must show at least */
    struct numbers torn;      /* groups whose sync is not known to have happened */
    uint64_t group_max, closed_group;
    uint64_t expected;        /* next sequence; 0 = unknown */
    uint64_t counted_group;
    struct segment *tail;     /* segment of the last head, and the offset behind it */
    uint32_t tail_end;
    struct span spans[EXTENTS_MAX];
    uint32_t span_count;
};

typedef enum err record_fn(struct replay *r, struct segment *s, const struct record_head *h, struct bytes body, bool whole);

static uint32_t scan_start(const struct replay *r, const struct segment *s)
{
    if (s->generation != r->from.generation || r->recovery->position_missing) return QLOG_BLOCK_BYTES;
    if (r->from.offset < QLOG_BLOCK_BYTES || r->from.offset > s->bytes) return QLOG_BLOCK_BYTES;
    /* The index may stand in the middle of a group: the next record need not begin a block. */
    return (r->from.offset + RECORD_ALIGN_BYTES - 1) & ~(uint32_t)(RECORD_ALIGN_BYTES - 1);
}

/* walk_window - the records that are whole in the n octets from r->window on; moves it behind them. */
static enum err walk_window(struct replay *r, struct segment *s, uint32_t n, record_fn *each)
{
    struct record_scan scan = {
        .in = bytes_of(r->memory, n), .base = r->window, .log_id = r->log->uuid[0], .generation = s->generation};
    struct record_head h;
    struct bytes body;
    bool whole;
    enum err e = ERR_NONE;
    r->wanted = 0;
    while (e == ERR_NONE && record_scan_next(&scan, &h, &body, &whole)) {
        if (body.len < h.body_bytes && scan.base + n < s->bytes) {
            r->window = h.offset;
            r->wanted = record_span(h.body_bytes);
            return ERR_NONE;
        }
        e = each(r, s, &h, body, whole);
    }
    r->window = scan.base + scan.at;
    return e;
}

static enum err walk_segment(struct replay *r, struct segment *s, record_fn *each)
{
    uint32_t unreadable = 0;
    enum err e = ERR_NONE;
    r->window = scan_start(r, s);
    r->wanted = 0;
    if (s->known_end < r->window) s->known_end = r->window;
    while (e == ERR_NONE && s->bytes - r->window >= QLOG_HEADER_BYTES) {
        uint32_t n = r->wanted > WINDOW_BYTES ? r->wanted : WINDOW_BYTES;
        if (n > s->bytes - r->window) n = (uint32_t)s->bytes - r->window;
        e = qlog_segment_load(s, r->window, n, r->memory, &unreadable);
        if (e == ERR_NONE) e = walk_window(r, s, n, each);
    }
    return e;
}

static enum err walk(struct replay *r, uint32_t first, record_fn *each)
{
    enum err e = ERR_NONE;
    for (uint32_t i = first; i < r->log->live_count && e == ERR_NONE; i++) e = walk_segment(r, r->log->live[i], each);
    return e;
}

/* learn - first pass. */
static enum err learn(struct replay *r, struct segment *s, const struct record_head *h, struct bytes body, bool whole)
{
    uint64_t group;
    uint32_t end = h->offset + record_span(h->body_bytes);
    if (end > s->bytes) end = (uint32_t)s->bytes;
    if (end > s->known_end) s->known_end = end;
    if (h->group > r->group_max) r->group_max = h->group;
    if (!whole) return ERR_NONE;
    if (h->type == RECORD_CLOSED) r->closed_group = h->group;
    if (h->type != RECORD_VOID && h->type != RECORD_RECOVERED) return ERR_NONE;
    if (record_u64_decode(body, &group) != ERR_NONE || group >= h->group) return ERR_NONE;
    return qlog_numbers_add(h->type == RECORD_VOID ? &r->log->voids : &r->torn, group);
}

/* report - damage that the caller must know. */
static void report(struct replay *r, const struct segment *s, const struct record_head *h, enum record_type type, uint32_t offset,
                   struct bytes octets, uint64_t missing)
{
    struct qlog_found found = {
        .type = type,
        .place = {s->generation, offset, octets.len},
        .at = {h->generation, h->group, h->sequence, h->offset},
        .body = octets,
        .damaged = true,
        .missing = missing,
    };
    r->recovery->damaged_records += missing;
    qlog_damage_keep(r->log, s->generation, offset, octets);
    r->apply(r->context, &found);
}

/* report_between - damage between two offsets of a segment; false when there is nothing but zeroes. */
static bool report_between(struct replay *r, const struct segment *s, const struct record_head *h, uint32_t from, uint64_t to,
                           uint64_t missing)
{
    uint64_t got = 0, n = to > from ? to - from : 0;
    if (n > QLOG_RECORD_BYTES_MAX) n = QLOG_RECORD_BYTES_MAX;
    uint8_t *memory = n > 0 ? malloc(n) : NULL;
    if (memory && qfile_read(s->fd, from, memory, n, &got) != ERR_NONE) got = 0;
    struct bytes octets = bytes_of(memory, (uint32_t)got);
    while (octets.len > 0 && octets.ptr[octets.len - 1] == 0) octets.len--;
    if (octets.len > 0) report(r, s, h, RECORD_NONE, from, octets, missing);
    free(memory);
    return octets.len > 0;
}

/* mind_gap - records missing before this one: damage, or the torn part of a group that was never promised. */
static void mind_gap(struct replay *r, const struct segment *s, const struct record_head *h)
{
    uint64_t first = h->sequence - h->index; /* of its group; index < sequence in a whole head */
    if (r->expected == 0) r->expected = first;
    if (h->sequence <= r->expected) return; /* also after void groups, whose sequences are used again */
    uint64_t in_group = h->sequence - (first > r->expected ? first : r->expected);
    uint64_t damaged = h->sequence - r->expected - in_group;
    if (qlog_numbers_have(&r->torn, h->group)) r->recovery->torn_records += in_group;
    else damaged += in_group;
    if (damaged == 0) return;

    /* The octets lie behind the last head before; when that was in another segment, in the rest of it or at the start of this. */
    const struct segment *t = r->tail;
    uint32_t start = t == s ? r->tail_end : scan_start(r, s);
    if (t && t != s && report_between(r, t, h, r->tail_end, t->bytes, damaged)) damaged = 0;
    if (report_between(r, s, h, start, h->offset, damaged) || damaged == 0) return;
    report(r, s, h, RECORD_NONE, start, bytes_of(NULL, 0), damaged);
}

/* note_span - the last group's octets, to be made certain. */
static void note_span(struct replay *r, struct segment *s, const struct record_head *h)
{
    uint32_t start = h->offset & ~(uint32_t)(QLOG_BLOCK_BYTES - 1), end = block_up(h->offset + record_span(h->body_bytes));
    if (r->counted_group != h->group) r->span_count = 0;
    struct span *last = r->span_count > 0 ? &r->spans[r->span_count - 1] : NULL;
    if (last && last->segment == s) last->end = end;
    else if (r->span_count < EXTENTS_MAX) r->spans[r->span_count++] = (struct span){s, start, end};
}

static void count(struct replay *r, struct segment *s, const struct record_head *h, struct bytes body)
{
    struct qlog_recovery *recovery = r->recovery;
    note_span(r, s, h);
    recovery->records++;
    if (h->group != r->counted_group) recovery->groups++;
    r->counted_group = h->group;
    recovery->last = (struct qlog_position){h->generation, h->group, h->sequence, h->offset + QLOG_HEADER_BYTES + h->body_bytes};
    if (h->type == RECORD_VOID || h->type == RECORD_RECOVERED || h->type == RECORD_CLOSED) return;
    struct qlog_found found = {
        .type = (enum record_type)h->type,
        .place = {h->generation, h->offset, QLOG_HEADER_BYTES + h->body_bytes},
        .at = recovery->last,
        .body = body,
    };
    r->apply(r->context, &found);
}

/* judge - second pass. */
static enum err judge(struct replay *r, struct segment *s, const struct record_head *h, struct bytes body, bool whole)
{
    bool is_void = qlog_numbers_have(&r->log->voids, h->group);
    bool is_known = !r->recovery->position_missing && h->sequence <= r->from.sequence;
    if (is_void) {
        r->recovery->voided_records++;
    } else if (!is_known) {
        mind_gap(r, s, h);
        if (whole) {
            count(r, s, h, body);
        } else if (qlog_numbers_have(&r->torn, h->group)) {
            r->recovery->torn_records++;
            r->recovery->torn_bytes += QLOG_HEADER_BYTES + h->body_bytes;
        } else {
            report(r, s, h, (enum record_type)h->type, h->offset, body, 1);
        }
        r->expected = h->sequence + 1;
    }
    r->tail = s;
    r->tail_end = h->offset + record_span(h->body_bytes);
    if (r->tail_end > s->bytes) r->tail_end = (uint32_t)s->bytes;
    return ERR_NONE;
}

/* write_again - what lies there, as it was read. */
static enum err write_again(struct replay *r, const struct span *x)
{
    uint32_t unreadable = 0;
    enum err e = ERR_NONE;
    for (uint32_t at = x->start; at < x->end && e == ERR_NONE;) {
        uint32_t n = x->end - at < WINDOW_BYTES ? x->end - at : WINDOW_BYTES;
        e = qlog_segment_load(x->segment, at, n, r->memory, &unreadable);
        if (e == ERR_NONE) e = qfile_write(x->segment->fd, at, r->memory, n);
        at += n;
    }
    return e == ERR_NONE ? qlog_segment_write_head(r->log, x->segment) : e;
}

static enum err make_certain(struct replay *r)
{
    enum err e = ERR_NONE;
    for (uint32_t i = 0; i < r->span_count && e == ERR_NONE; i++) e = write_again(r, &r->spans[i]);
    for (uint32_t i = 0; i < r->span_count && e == ERR_NONE; i++) e = qfile_sync(r->spans[i].segment->fd);
    return e;
}

/* find_first - where to begin: the position's segment, or the oldest when there is no position or it is not in the log. */
static uint32_t find_first(struct replay *r)
{
    const struct qlog *log = r->log;
    if (r->from.generation == 0) return 0;
    for (uint32_t i = 0; i < log->live_count; i++) {
        if (log->live[i]->generation == r->from.generation) return i;
    }
    r->recovery->position_missing = true;
    return 0;
}

enum err qlog_replay(struct qlog *log, struct qlog_position from, qlog_apply_fn *apply, void *context,
                     struct qlog_recovery *recovery)
{
    struct replay r = {.log = log, .from = from, .apply = apply, .context = context, .recovery = recovery};
    uint32_t first = find_first(&r);
    bool whole_log = from.generation == 0 || recovery->position_missing;
    recovery->last = whole_log ? (struct qlog_position){0} : from;
    r.memory = malloc(WINDOW_MEMORY_BYTES);
    if (!r.memory) return ERR_NO_MEMORY;

    enum err e = walk(&r, first, learn);
    uint64_t last_group = r.group_max;
    while (last_group > 0 && qlog_numbers_have(&log->voids, last_group)) last_group--;
    if (r.closed_group != last_group) log->uncertain_group = last_group;
    if (e == ERR_NONE && log->uncertain_group > 0) e = qlog_numbers_add(&r.torn, log->uncertain_group);

    r.expected = whole_log ? (log->live_count > 0 ? log->live[0]->first_sequence : 0) : from.sequence + 1;
    if (e == ERR_NONE) e = walk(&r, first, judge);
    if (e == ERR_NONE) e = make_certain(&r);

    log->group = (r.group_max > from.group ? r.group_max : from.group) + 1;
    log->sequence = (r.expected > from.sequence ? r.expected : from.sequence + 1);
    if (log->newest < from.generation) log->newest = from.generation;
    free(r.torn.v);
    free(r.memory);
    return e;
}
