/*
 * load - mail coming back from the index: what is due for a destination, what has a notice due, what compaction wants.
 *
 * Two steps, since only the loop knows what is resident: the thread lists what is due, the loop asks for what it has not. A message is taken from the
 * index only when it is not in memory by the time it arrives. The thread's order makes that right: had the message been here and gone back to the index
 * in between, its checkpoint would come after this result, and it would still be here.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/state.h"

enum { LOADS_MAX = 32 /* tasks out at once */, SCAN_MAX = 256, LOAD_MAX = 64 };

enum load_kind { LOAD_QUEUED = 1, LOAD_NOTICES, LOAD_LOCATED, LOAD_MESSAGES };
enum load_purpose { FOR_DESTINATION = 1, FOR_NOTICE, FOR_MOVE };

struct load {
    struct task task;
    struct index *index;
    uint8_t purpose;            /* enum load_purpose */
    enum err error;             /* out */
    uint64_t destination;       /* FOR_DESTINATION */
    struct index_queued from;   /* QUEUED */
    uint64_t generation;        /* LOCATED */
    struct message_id after;    /* LOCATED */
    int64_t until_wall_s, next_wall_s;
    bool more;                  /* MESSAGES for a destination: there is more due behind the cursor */
    uint32_t count;
    struct index_queued queued[SCAN_MAX];
    struct message_id ids[SCAN_MAX];
    struct arena arena;
    struct index_message messages[LOAD_MAX]; /* out; m.id 0 = it is not there */
};

/* ---- on the thread ---- */

static enum err get_messages(struct load *t, const struct index_view *view)
{
    for (uint32_t i = 0; i < t->count; i++) {
        enum err e = index_get(view, t->ids[i], &t->arena, &t->messages[i]);
        if (e == ERR_NOT_FOUND) t->messages[i].m.id.v = 0;
        else if (e) return e;
    }
    return ERR_NONE;
}

static void run_load(struct task *task)
{
    struct load *t = (struct load *)task;
    struct index_view view;
    t->error = index_view_open(t->index, &view);
    if (t->error) return;
    switch (t->task.kind) {
    case LOAD_QUEUED: t->error = index_scan_queued(&view, &t->from, t->until_wall_s, t->queued, SCAN_MAX, &t->count, &t->next_wall_s); break;
    case LOAD_NOTICES: t->error = index_scan_notices(&view, t->until_wall_s, t->ids, SCAN_MAX, &t->count, &t->next_wall_s); break;
    case LOAD_LOCATED: t->error = index_scan_located(&view, t->generation, t->after, t->ids, SCAN_MAX, &t->count); break;
    default: t->error = get_messages(t, &view); break;
    }
    index_view_close(&view);
}

/* ---- asking ---- */

static struct load *make_load(struct queue *q, enum load_kind kind, enum load_purpose purpose)
{
    struct load *t = malloc(sizeof(*t));
    if (!t) return NULL;
    t->task = (struct task){.run = run_load, .kind = (uint8_t)kind};
    t->index = q->index;
    t->purpose = (uint8_t)purpose;
    t->error = ERR_NONE;
    t->destination = 0;
    t->more = false;
    t->count = 0;
    t->until_wall_s = q->now_wall_us / 1000000;
    t->next_wall_s = INT64_MAX;
    t->arena = (struct arena){0};
    return t;
}

static void give_load(struct queue *q, struct load *t)
{
    q->loads++;
    thread_give(&q->index_thread, &t->task);
}

static void scan_destination(struct queue *q, struct destination *d)
{
    struct load *t = make_load(q, LOAD_QUEUED, FOR_DESTINATION);
    if (!t) return; /* asked again next turn */
    t->destination = d->id;
    t->from = d->cursor;
    t->from.destination = d->id;
    d->loading = true;
    destination_refresh(&q->schedule, d);
    give_load(q, t);
}

static void scan_notices(struct queue *q)
{
    struct load *t = make_load(q, LOAD_NOTICES, FOR_NOTICE);
    if (!t) return;
    q->notices_loading = true;
    q->index_notice_ms = UINT64_MAX;
    give_load(q, t);
}

bool load_message_to_move(struct queue *q, struct message_id id)
{
    struct load *t = make_load(q, LOAD_MESSAGES, FOR_MOVE);
    if (!t) return false;
    t->ids[0] = id;
    t->count = 1;
    give_load(q, t);
    return true;
}

bool load_scan_located(struct queue *q, uint64_t generation, struct message_id after)
{
    struct load *t = make_load(q, LOAD_LOCATED, FOR_MOVE);
    if (!t) return false;
    t->generation = generation;
    t->after = after;
    give_load(q, t);
    return true;
}

void load_turn(struct queue *q)
{
    struct link *l;
    while (q->loads < LOADS_MAX && (l = link_first(&q->schedule.want)) != NULL) {
        struct destination *d = LINK_OF(l, struct destination, want);
        scan_destination(q, d);
        if (!d->loading) return;
    }
    if (!q->notices_loading && q->index_notice_ms <= q->now_ms) scan_notices(q);
}

/* ---- results ---- */

/* end_scan - when to look for this destination again. */
static void end_scan(struct queue *q, struct destination *d, bool more, int64_t next_wall_s)
{
    d->loading = false;
    if (more || d->rescan) {
        d->index_due_ms = q->now_ms;
    } else {
        d->index_due_ms = next_wall_s == INT64_MAX ? UINT64_MAX : schedule_mono(&q->schedule, next_wall_s);
    }
    if (!more || d->rescan) d->cursor = (struct index_queued){.destination = d->id};
    d->rescan = false;
    destination_refresh(&q->schedule, d);
}

static void on_queued(struct queue *q, struct load *t)
{
    struct destination *d = destination_find(&q->schedule, t->destination);
    must(d && d->loading);
    if (t->error) {
        end_scan(q, d, false, t->until_wall_s + 1);
        return;
    }
    uint32_t ids = 0, used = 0, most = destination_wants(d) < LOAD_MAX ? destination_wants(d) : LOAD_MAX;
    for (; used < t->count && ids < most; used++) {
        struct message_id id = t->queued[used].id;
        if (ids > 0 && t->ids[ids - 1].v == id.v) continue;
        if (!message_table_find(&q->table, id)) t->ids[ids++] = id;
    }
    bool more = used < t->count || t->next_wall_s <= t->until_wall_s;
    if (used > 0 && !d->rescan) d->cursor = t->queued[used - 1];
    if (ids == 0) {
        end_scan(q, d, more, t->next_wall_s);
        return;
    }
    struct load *next = make_load(q, LOAD_MESSAGES, FOR_DESTINATION);
    if (!next) {
        end_scan(q, d, false, t->until_wall_s + 1);
        return;
    }
    next->destination = d->id;
    next->more = more;
    next->next_wall_s = t->next_wall_s;
    next->count = ids;
    for (uint32_t i = 0; i < ids; i++) next->ids[i] = t->ids[i];
    give_load(q, next);
}

static void on_notices(struct queue *q, struct load *t)
{
    enum { LOOK_AGAIN_MS = 1000 };
    q->notices_loading = false;
    uint64_t again_ms = t->next_wall_s == INT64_MAX ? UINT64_MAX : schedule_mono(&q->schedule, t->next_wall_s);
    if (t->error || again_ms <= q->now_ms) again_ms = q->now_ms + LOOK_AGAIN_MS;
    if (again_ms < q->index_notice_ms) q->index_notice_ms = again_ms;
    struct load *next = NULL;
    for (uint32_t i = 0; i < t->count && !t->error; i++) {
        if (message_table_find(&q->table, t->ids[i])) continue;
        if (!next && !(next = make_load(q, LOAD_MESSAGES, FOR_NOTICE))) return;
        next->ids[next->count++] = t->ids[i];
        if (next->count < LOAD_MAX) continue;
        q->index_notice_ms = q->now_ms + LOOK_AGAIN_MS;
        break;
    }
    if (next) give_load(q, next);
}

static void adopt_one(struct queue *q, const struct load *t, uint32_t i)
{
    struct message *m = NULL;
    enum err e = t->messages[i].m.id.v == 0 ? ERR_NOT_FOUND : resident_adopt(q, &t->messages[i], &m);
    if (e == ERR_CORRUPT) queue_fail(q, e, "the index is damaged");
    if (t->purpose != FOR_MOVE) return;
    if (!e && m->state == MESSAGE_LIVE) compact_loaded(q, m);
    else compact_missing(q, t->ids[i]);
}

static void on_messages(struct queue *q, struct load *t)
{
    for (uint32_t i = 0; i < t->count && !t->error; i++) adopt_one(q, t, i);
    if (t->error && t->purpose == FOR_MOVE) compact_missing(q, t->ids[0]);
    if (t->purpose != FOR_DESTINATION) return;
    struct destination *d = destination_find(&q->schedule, t->destination);
    must(d && d->loading);
    if (t->error) end_scan(q, d, false, t->until_wall_s + 1);
    else end_scan(q, d, t->more, t->next_wall_s);
}

void load_done(struct queue *q, struct task *task)
{
    struct load *t = (struct load *)task;
    q->loads--;
    if (t->error == ERR_CORRUPT) queue_fail(q, t->error, "the index is damaged");
    switch (t->task.kind) {
    case LOAD_QUEUED: on_queued(q, t); break;
    case LOAD_NOTICES: on_notices(q, t); break;
    case LOAD_LOCATED: compact_scanned(q, t->error, t->ids, t->count, SCAN_MAX); break;
    default: on_messages(q, t); break;
    }
    arena_fini(&t->arena);
    free(t);
}
