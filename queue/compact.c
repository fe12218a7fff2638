/*
 * compact - keeping the log short: the oldest segment's live messages are written again at its end, then the segment is free.
 *
 * Strictly oldest first, so that a message's record never outlives what was said about it later. It begins when less than half of the log is live:
 * then each octet moved frees at least as many, and the log stays below twice what is queued, and a few segments.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/state.h"

enum {
    COMPACT_CHECK_MS = 250,     /* four segments a second: more than the log grows at any rate there is, and few checkpoints for its sake */
    COMPACT_SEGMENTS_MIN = 4,   /* a log as short as this is left alone */
    ROOM_KEPT_PART = 4,         /* of a segment; half of what accepts leave */
    COMPACT_OUTSTANDING_MAX = 32,
    COMPACT_REST_MS = 10000,    /* after a round in which something could not be moved */
};

/* ---- when ---- */

/* fits - whether a segment's live messages can be written again without what outcomes need of the log's last room: were it used up, no outcome
 * could be written, so no checkpoint made, so no segment freed, ever. */
static bool fits(const struct queue *q, uint64_t generation, uint64_t room)
{
    uint64_t kept_free = q->options.segment_bytes / ROOM_KEPT_PART;
    for (uint32_t i = 0; i < q->segments.count; i++) {
        const struct segment_use *s = &q->segments.list[i];
        if (s->generation == generation) return room > kept_free && s->live_bytes < room - kept_free;
    }
    return true;
}

static bool is_worth_while(const struct queue *q, uint64_t *generation)
{
    struct qlog_sizes sizes;
    qlog_sizes(q->log, &sizes);
    uint64_t oldest = segments_oldest_live(&q->segments);
    *generation = oldest;
    if (oldest == UINT64_MAX || oldest >= sizes.newest_generation || sizes.segments < COMPACT_SEGMENTS_MIN) return false;
    uint64_t used = sizes.segments * q->options.segment_bytes;
    uint64_t most = sizes.nearly_full ? used / 10 * 9 : used / 2;
    return q->segments.live_bytes < most && (!sizes.nearly_full || fits(q, oldest, sizes.room));
}

static void begin(struct queue *q)
{
    struct compaction *c = &q->compaction;
    uint64_t generation;
    if (q->now_ms < c->check_ms) return;
    c->check_ms = q->now_ms + COMPACT_CHECK_MS;
    if (!is_worth_while(q, &generation)) return;
    *c = (struct compaction){.active = true, .generation = generation, .check_ms = c->check_ms};
}

static void end(struct queue *q)
{
    struct compaction *c = &q->compaction;
    c->active = false;
    q->checkpoint.wanted = true;
    if (c->failed > 0) c->check_ms = q->now_ms + COMPACT_REST_MS;
}

/* ---- one message ---- */

static void read_whole(struct queue *q, const struct message *m)
{
    struct body_read *t = bodies_task(q, m);
    if (!t) {
        q->compaction.failed++;
        return;
    }
    t->to_move = true;
    q->compaction.outstanding++;
    thread_give(&q->read_thread, &t->task);
}

/* append_move - the message as it stands now, with the content that was read. */
static enum err append_move(struct queue *q, const struct message *m, const struct body *content)
{
    struct record_message rm = m->m;
    struct buf states = buf_over(q->runs_memory, RUNS_BYTES_MAX);
    struct buf record = buf_over(q->record_memory, q->record_bytes_max);
    message_put_states(&states, m);
    rm.rcpt_states = buf_bytes(&states);
    rm.prefix = body_prefix(content);
    rm.body = body_inline(content);
    enum err e = record_message_encode(&record, &rm);
    if (e) return e;
    if (!kept_put(&q->kept, RECORD_MOVE, m->m.id, buf_bytes(&record))) return ERR_NO_MEMORY;
    q->compaction.moving++;
    return ERR_NONE;
}

void compact_read(struct queue *q, struct body_read *t)
{
    struct compaction *c = &q->compaction;
    const struct message *m = message_table_find(&q->table, t->id);
    bool wanted = m && m->state == MESSAGE_LIVE && m->place.generation == t->place.generation && m->place.offset == t->place.offset;
    c->outstanding--;
    if (wanted && (t->error || append_move(q, m, t->body))) {
        c->failed++;
        if (t->error == ERR_CORRUPT) queue_say_id(q, true, "a queued message cannot be read from the commit log", t->id, t->error);
    }
    free(t->body);
    free(t);
}

void compact_loaded(struct queue *q, struct message *m)
{
    q->compaction.outstanding--;
    if (m->place.generation == q->compaction.generation) read_whole(q, m);
}

void compact_missing(struct queue *q, struct message_id id)
{
    (void)id; /* it is gone, or the index could not be read: the next round sees */
    q->compaction.outstanding--;
}

static void move(struct queue *q, struct message_id id)
{
    struct message *m = message_table_find(&q->table, id);
    if (m && m->state == MESSAGE_LIVE && m->place.generation == q->compaction.generation) {
        read_whole(q, m);
    } else if (!m) {
        if (load_message_to_move(q, id)) q->compaction.outstanding++;
        else q->compaction.failed++;
    }
}

void compact_scanned(struct queue *q, enum err e, const struct message_id *ids, uint32_t count, uint32_t max)
{
    struct compaction *c = &q->compaction;
    c->scanning = false;
    if (e) c->failed++;
    if (e || count < max) c->scanned = true;
    for (uint32_t i = 0; i < count; i++) {
        move(q, ids[i]);
        c->cursor = ids[i];
    }
}

void compact_turn(struct queue *q)
{
    struct compaction *c = &q->compaction;
    if (q->fault || q->progress.error) return;
    if (!c->active) begin(q);
    if (!c->active || c->scanning || c->outstanding >= COMPACT_OUTSTANDING_MAX || q->kept.unwritten) return;
    if (!c->scanned) c->scanning = load_scan_located(q, c->generation, c->cursor);
    else if (c->outstanding == 0 && c->moving == 0) end(q);
}
