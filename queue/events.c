/*
 * events - what the threads have done, in the order in which it became true.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/state.h"

int queue_event_fd(const struct queue *q)
{
    return q->event_fd;
}

enum err events_answer(struct queue *q, enum queue_event_type type, struct message_id id, uint64_t cookie)
{
    struct answer *a = malloc(sizeof(*a));
    if (!a) return ERR_NO_MEMORY;
    *a = (struct answer){q->answers, cookie, id, (uint8_t)type};
    q->answers = a;
    uint64_t one = 1;
    (void)!write(q->event_fd, &one, sizeof(one)); /* a full counter is readable already */
    return ERR_NONE;
}

/* ---- collecting from the threads ---- */

static void pump_log(struct queue *q)
{
    do {
        qlog_collect(q->log, &q->progress);
        if (q->progress.voided_group == 0) break;
        checkpoint_void(q);
        accept_void(q, q->progress.voided_group);
        kept_void(&q->kept, q->progress.voided_group);
    } while (true);
}

static void pump_threads(struct queue *q)
{
    struct task *t;
    while ((t = thread_collect(&q->sync_thread)) != NULL) accept_synced_body(q, (struct body_sync *)t);
    while ((t = thread_collect(&q->read_thread)) != NULL) bodies_read_done(q, (struct body_read *)t);
    while ((t = thread_collect(&q->index_thread)) != NULL) {
        if (t == &q->checkpoint.task) checkpoint_done(q);
        else load_done(q, t);
    }
}

void events_pump(struct queue *q)
{
    uint64_t count;
    (void)!read(q->event_fd, &count, sizeof(count)); /* nothing to read: nothing was written since */
    pump_log(q);
    pump_threads(q);
    outcome_flush(q);
    accept_retry(q);
    checkpoint_synced(q);
}

/* ---- telling ---- */

static bool tell_refused(struct queue *q, struct queue_event *e)
{
    struct link *l = link_first(&q->refused);
    if (!l) return false;
    struct message *m = LINK_OF(l, struct message, queue);
    *e = (struct queue_event){.type = QUEUE_REFUSED, .cookie = m->cookie, .id = m->m.id, .error = (enum err)m->group, .content.fd = -1};
    link_take(l);
    if (m->indexed) {
        m->dirt = m->dirt == DIRT_NONE ? DIRT_DIRTY : m->dirt;
        if (!link_is_in(&m->dirty)) {
            link_put_last(&q->dirty, &m->dirty);
            q->dirty_count++;
        }
    } else {
        resident_drop(q, m);
    }
    return true;
}

/* tell_committed - messages whose group is synced come alive; those that nobody waits for silently. */
static bool tell_committed(struct queue *q, struct queue_event *e)
{
    struct link *l;
    while ((l = link_first(&q->pending)) != NULL) {
        struct message *m = LINK_OF(l, struct message, queue);
        if (m->group > q->progress.synced_group) return false;
        link_take(l);
        m->state = MESSAGE_LIVE;
        if (m->dirt == DIRT_NONE) link_put_last(&q->clean, &m->queue);
        resident_schedule(q, m);
        if (!m->answer) continue;
        m->answer = false;
        *e = (struct queue_event){.type = QUEUE_COMMITTED, .cookie = m->cookie, .id = m->m.id, .content.fd = -1};
        return true;
    }
    return false;
}

static void moved(struct queue *q, const struct kept *r)
{
    struct message *m = message_table_find(&q->table, r->id);
    q->compaction.moving--;
    if (m && m->state == MESSAGE_LIVE) resident_place(q, m, &r->place, false);
}

static bool tell_kept(struct queue *q, struct queue_event *e)
{
    struct kept *r;
    while ((r = kept_first(&q->kept, q->progress.synced_group)) != NULL) {
        *e = (struct queue_event){.cookie = r->cookie, .id = r->id, .content.fd = -1};
        if (r->cookie) {
            e->type = QUEUE_OUTCOME_DURABLE;
            r->cookie = 0;
            return true;
        }
        bool removes = r->removes;
        if (r->type == RECORD_MOVE) moved(q, r);
        kept_drop(&q->kept);
        if (!removes) continue;
        e->type = QUEUE_REMOVED;
        return true;
    }
    return false;
}

static bool tell_read(struct queue *q, struct queue_event *e)
{
    struct body_read *t = q->read_first;
    if (!t) return false;
    q->read_first = t->next;
    if (!q->read_first) q->read_last = &q->read_first;
    *e = (struct queue_event){.type = t->error ? QUEUE_BODY_FAILED : QUEUE_BODY_READY, .cookie = t->cookie, .id = t->id, .error = t->error};
    e->content.fd = t->fd;
    if (t->body) {
        e->content.prefix = body_prefix(t->body);
        e->content.body = body_inline(t->body);
        struct message *m = message_table_find(&q->table, t->id);
        bool keep = m && m->state == MESSAGE_LIVE && !m->body && !t->head && t->body_kind == BODY_INLINE;
        if (keep) m->body = t->body;
        if (keep) body_cache_put(&q->bodies, m);
        else body_bury(&q->bodies, t->body);
    }
    free(t);
    return true;
}

static bool tell_answer(struct queue *q, struct queue_event *e)
{
    struct answer *a = q->answers;
    if (!a) return false;
    q->answers = a->next;
    *e = (struct queue_event){.type = a->type, .cookie = a->cookie, .id = a->id, .content.fd = -1};
    free(a);
    return true;
}

static bool tell(struct queue *q, struct queue_event *e)
{
    return tell_refused(q, e) || tell_committed(q, e) || tell_kept(q, e) || tell_read(q, e) || tell_answer(q, e);
}

bool queue_collect(struct queue *q, struct queue_event *e, int64_t now_wall_us, uint64_t now_ms)
{
    queue_time(q, now_ms, now_wall_us);
    resident_sweep(q);
    if (tell(q, e)) return true;
    if (!q->pumped) {
        q->pumped = true;
        events_pump(q);
        if (tell(q, e)) return true;
    }
    q->pumped = false;
    return false;
}
