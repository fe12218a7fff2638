/*
 * checkpoint - memory copied, and written to the index by its thread once the log has made certain what the copy stands for.
 *
 * Mail that came and went since the last checkpoint is not in the copy: it never touches the index.
 */
#include "base/must.h"
#include "queue/state.h"

/* ---- copying ---- */

static bool copy_rcpts(struct arena *arena, struct message *m, struct index_message *im)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) n += im->fresh || m->rcpts[i].dirty;
    im->rcpts = arena_take(arena, n * sizeof(*im->rcpts) + 1);
    if (!im->rcpts) return false;
    for (uint32_t i = 0; i < m->m.rcpt_count; i++) {
        struct rcpt_slot *r = &m->rcpts[i];
        if (!im->fresh && !r->dirty) continue;
        im->rcpts[im->rcpt_count++] = (struct index_rcpt){.n = i,
                                                          .state = r->state,
                                                          .destination = m->legs[r->leg].destination->id,
                                                          .code = r->code,
                                                          .enhanced = r->enhanced,
                                                          .reason = rcpt_reason(r)};
        if (!arena_copy(arena, &im->rcpts[im->rcpt_count - 1].reason)) return false;
        r->dirty = false;
    }
    return true;
}

static struct index_message *copy_message(struct arena *arena, struct message *m)
{
    struct index_message *im = arena_take(arena, sizeof(*im));
    if (!im) return NULL;
    *im = (struct index_message){.m = m->m, .place = m->place, .in_outcome = m->in_outcome, .fresh = link_is_in(&m->fresh), .gone = m->state == MESSAGE_GONE};
    if (im->gone) return im;
    struct bytes text = bytes_of(m->text, m->text_bytes);
    if (!arena_copy(arena, &text) || !arena_copy(arena, &im->m.hold_reason) || !copy_rcpts(arena, m, im)) return NULL;
    message_move_texts(&im->m, m->text, (uint8_t *)(uintptr_t)text.ptr);
    return im;
}

static bool copy_messages(struct queue *q, struct checkpoint *c)
{
    const struct index_message **list = arena_take(&c->arena, (q->dirty_count + 1) * sizeof(*list));
    if (!list) return false;
    c->change.messages = list;
    struct link *l;
    while ((l = link_first(&q->dirty)) != NULL) {
        struct message *m = LINK_OF(l, struct message, dirty);
        must(m->dirt == DIRT_DIRTY && (m->place.generation != 0 || m->state == MESSAGE_GONE));
        for (uint32_t i = 0; i < m->leg_count; i++) destination_dirty(&q->schedule, m->legs[i].destination);
        struct index_message *im = copy_message(&c->arena, m);
        if (!im) return false;
        list[c->change.message_count++] = im;
        m->dirt = DIRT_TAKEN;
        m->indexed = true;
        link_take(l);
        link_put_last(&q->snapped, l);
        q->dirty_count--;
    }
    return true;
}

static bool copy_destinations(struct queue *q, struct checkpoint *c)
{
    uint32_t most = q->schedule.count;
    struct index_destination *list = arena_take(&c->arena, (most + 1) * sizeof(*list));
    if (!list) return false;
    c->change.destinations = list;
    struct link *l;
    while ((l = link_first(&q->schedule.dirty)) != NULL) {
        struct destination *d = LINK_OF(l, struct destination, dirty);
        struct index_destination *row = &list[c->change.destination_count];
        *row = (struct index_destination){.id = d->id,
                                          .name = destination_name(d),
                                          .rcpts = d->total,
                                          .backoff_until_wall_s = d->backoff_until_wall_s,
                                          .failures = d->failures,
                                          .suspended = d->suspended,
                                          .gone = d->gone,
                                          .reason = destination_reason(d)};
        if (!arena_copy(&c->arena, &row->name) || !arena_copy(&c->arena, &row->reason)) return false;
        link_take(l);
        if (!d->indexed && d->total == 0 && !d->suspended && !d->gone) continue; /* it came and went */
        c->change.destination_count++;
        d->indexed = true;
        if (d->gone) destination_free(&q->schedule, d);
    }
    return true;
}

static bool copy_rest(struct queue *q, struct checkpoint *c, struct qlog_position position)
{
    struct bytes segments = bytes_of(q->segments.list, q->segments.count * (uint32_t)sizeof(*q->segments.list));
    if (!arena_copy(&c->arena, &segments)) return false;
    c->change.segments = (const struct segment_use *)(const void *)segments.ptr;
    c->change.segment_count = q->segments.count;
    c->change.meta = (struct index_meta){.position = position,
                                         .accepted = q->audit.accepted,
                                         .delivered = q->audit.delivered,
                                         .bounced = q->audit.bounced,
                                         .expired = q->audit.expired,
                                         .removed = q->audit.removed,
                                         .id_floor = q->ids.last,
                                         .destinations_made = q->schedule.made,
                                         .messages = q->messages,
                                         .held = q->held,
                                         .bytes = q->message_bytes};
    uint64_t oldest = segments_oldest_live(&q->segments);
    c->free_below = oldest < position.generation ? oldest : position.generation;
    return true;
}

/* undo - the copy is thrown away: all of it is dirty again, every recipient too since we do not know which were. */
static void undo(struct queue *q)
{
    struct checkpoint *c = &q->checkpoint;
    struct link *l;
    while ((l = link_first(&q->snapped)) != NULL) {
        struct message *m = LINK_OF(l, struct message, dirty);
        for (uint32_t i = 0; i < m->m.rcpt_count; i++) m->rcpts[i].dirty = true;
        m->dirt = DIRT_DIRTY;
        link_take(l);
        link_put_last(&q->dirty, l);
        q->dirty_count++;
    }
    for (l = link_first(&q->schedule.all); l; l = link_after(&q->schedule.all, l)) {
        struct destination *d = LINK_OF(l, struct destination, all);
        if (d->indexed) destination_dirty(&q->schedule, d);
    }
    arena_fini(&c->arena);
    c->state = CHECKPOINT_IDLE;
}

static void run_write(struct task *t)
{
    struct checkpoint *c = (struct checkpoint *)t;
    c->error = index_write(c->index, &c->change, &c->oldest_id);
}

/* copy_all - a snapshot of what is dirty; false when there is no memory (then all is as before). */
static bool copy_all(struct queue *q, struct qlog_position position)
{
    struct checkpoint *c = &q->checkpoint;
    must(c->state == CHECKPOINT_IDLE && !q->kept.unwritten);
    c->index = q->index;
    c->task.run = run_write;
    c->change = (struct index_change){0};
    c->number++;
    c->begun_ms = q->now_ms;
    c->wanted = false;
    c->group = position.group;
    if (copy_messages(q, c) && copy_destinations(q, c) && copy_rest(q, c, position)) return true;
    undo(q);
    return false;
}

/* ---- finishing ---- */

static void forget_copy(struct queue *q, struct message *m)
{
    bool again = m->dirt == DIRT_AGAIN;
    link_take(&m->dirty);
    link_take(&m->fresh);
    m->dirt = DIRT_NONE;
    if (again) {
        m->dirt = DIRT_DIRTY;
        link_put_last(&q->dirty, &m->dirty);
        q->dirty_count++;
    } else if (m->state == MESSAGE_LIVE && !link_is_in(&m->queue)) {
        link_put_last(&q->clean, &m->queue);
    } else if (m->state == MESSAGE_GONE && !link_is_in(&m->queue)) {
        resident_drop(q, m);
    }
}

static void finish(struct queue *q)
{
    struct checkpoint *c = &q->checkpoint;
    struct link *l;
    while ((l = link_first(&q->snapped)) != NULL) forget_copy(q, LINK_OF(l, struct message, dirty));
    c->position = c->change.meta.position;
    c->done_ms = q->now_ms;
    c->count++;
    c->state = CHECKPOINT_IDLE;
    q->index_oldest = c->oldest_id;
    segments_drop_below(&q->segments, c->free_below);
    arena_fini(&c->arena);
    if (!q->opened || q->fault) return;
    accept_unlink_due(q, c->number);
    qlog_recycle(q->log, c->free_below);
}

void checkpoint_done(struct queue *q)
{
    struct checkpoint *c = &q->checkpoint;
    must(c->state == CHECKPOINT_GIVEN);
    if (c->error == ERR_NONE) {
        if (c->told) queue_say_id(q, false, "the index can be written again", (struct message_id){0}, ERR_NONE);
        c->told = false;
        finish(q);
        return;
    }
    c->state = CHECKPOINT_FAILED;
    c->retry_ms = q->now_ms + CHECKPOINT_RETRY_MS;
    if (c->error == ERR_CORRUPT || c->error == ERR_BAD_VERSION) {
        queue_fail(q, ERR_CORRUPT, "the index is damaged");
    } else if (!c->told) {
        c->told = true;
        queue_say_id(q, true, "cannot write the index; will try again until it can", (struct message_id){0}, c->error);
    }
    /* On a disk without a free octet this would never end: the index has no room to forget what is gone. The log knows, once all outcomes are certain. */
    if (q->disk_low && !q->kept.first) accept_unlink_due(q, UINT64_MAX);
}

void checkpoint_synced(struct queue *q)
{
    struct checkpoint *c = &q->checkpoint;
    if (c->state != CHECKPOINT_UNSYNCED || q->progress.synced_group < c->group) return;
    c->state = CHECKPOINT_GIVEN;
    thread_give(&q->index_thread, &c->task);
}

void checkpoint_void(struct queue *q)
{
    if (q->checkpoint.state == CHECKPOINT_UNSYNCED) undo(q);
}

/* ---- when ---- */

static bool is_due(const struct queue *q, const struct qlog_position *last)
{
    const struct checkpoint *c = &q->checkpoint;
    bool changed = q->dirty_count > 0 || !link_is_empty(&q->schedule.dirty) || last->sequence != c->position.sequence ||
                   last->generation != c->position.generation;
    if (!changed && !c->wanted) return false;
    return c->wanted || q->dirty_count >= CHECKPOINT_DIRTY || q->now_ms - c->done_ms >= CHECKPOINT_MS;
}

void checkpoint_turn(struct queue *q)
{
    struct checkpoint *c = &q->checkpoint;
    if (q->fault) return;
    if (c->state == CHECKPOINT_FAILED && q->now_ms >= c->retry_ms) {
        c->state = CHECKPOINT_GIVEN;
        thread_give(&q->index_thread, &c->task);
    }
    if (c->state != CHECKPOINT_IDLE || q->kept.unwritten || q->progress.error) return;
    struct qlog_position last = qlog_last(q->log);
    if (!is_due(q, &last) || !copy_all(q, last)) return;
    c->state = CHECKPOINT_UNSYNCED;
    checkpoint_synced(q);
}

enum err checkpoint_now(struct queue *q, struct qlog_position position)
{
    struct checkpoint *c = &q->checkpoint;
    if (!copy_all(q, position)) return ERR_NO_MEMORY;
    run_write(&c->task);
    if (c->error) {
        undo(q);
        return c->error;
    }
    finish(q);
    struct link *l;
    while (!q->opened && (l = link_first(&q->clean)) != NULL) resident_evict(q, LINK_OF(l, struct message, queue));
    return ERR_NONE;
}
