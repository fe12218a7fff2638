/*
 * bodies - contents for the manager: from the cache, or read by a thread.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/state.h"

enum { READ_TRIES = 3 }; /* a message may move while it is being read */

static void fill_task(struct body_read *t, const struct queue *q, const struct message *m)
{
    t->task.run = body_read_run;
    t->log = q->log;
    t->folder_fd = q->bodies_fd;
    t->id = m->m.id;
    t->place = m->place;
    t->in_outcome = m->in_outcome;
    t->body_kind = m->m.body_kind;
    t->body_id = m->m.body_id;
    t->body_skip = m->m.body_skip;
    t->body_bytes = m->m.body_bytes;
    t->fd = -1;
}

struct body_read *bodies_task(struct queue *q, const struct message *m)
{
    struct body_read *t = calloc(1, sizeof(*t));
    if (t) fill_task(t, q, m);
    return t;
}

/* put_done - to be told in the next round. */
static void put_done(struct queue *q, struct body_read *t)
{
    t->next = NULL;
    *q->read_last = t;
    q->read_last = &t->next;
    uint64_t one = 1;
    (void)!write(q->event_fd, &one, sizeof(one));
}

void bodies_read_done(struct queue *q, struct body_read *t)
{
    const struct message *m = message_table_find(&q->table, t->id);
    bool elsewhere = m && m->state == MESSAGE_LIVE && (m->place.generation != t->place.generation || m->place.offset != t->place.offset);
    if (t->error && elsewhere && ++t->tries < READ_TRIES) {
        fill_task(t, q, m);
        thread_give(&q->read_thread, &t->task);
        return;
    }
    if (t->to_move) compact_read(q, t);
    else put_done(q, t);
}

static bool lend(const struct message *m, uint64_t bytes_max, struct queue_content *cached)
{
    if (!m->body) return false;
    struct bytes body = body_inline(m->body);
    *cached = (struct queue_content){body_prefix(m->body), bytes_slice(body, 0, bytes_max < UINT32_MAX ? (uint32_t)bytes_max : UINT32_MAX), -1};
    return true;
}

static bool ask(struct queue *q, struct message_id id, bool head, uint64_t bytes_max, uint64_t cookie, struct queue_content *cached)
{
    const struct message *m = message_table_find(&q->table, id);
    bool there = m && m->state == MESSAGE_LIVE;
    if (there && m->m.body_kind == BODY_INLINE && lend(m, bytes_max, cached)) return true;
    struct body_read *t = calloc(1, sizeof(*t));
    must(t != NULL); /* without the smallest piece of memory no attempt can go on; a restart loses nothing */
    if (there) fill_task(t, q, m);
    t->id = id;
    t->cookie = cookie;
    t->head = head;
    t->bytes_max = bytes_max;
    t->fd = -1;
    if (there) {
        thread_give(&q->read_thread, &t->task);
    } else {
        t->error = ERR_NOT_FOUND;
        put_done(q, t);
    }
    return false;
}

bool queue_body(struct queue *q, struct message_id id, uint64_t cookie, struct queue_content *cached)
{
    return ask(q, id, false, UINT64_MAX, cookie, cached);
}

bool queue_content_head(struct queue *q, struct message_id id, uint64_t max_bytes, uint64_t cookie, struct queue_content *cached)
{
    struct message *m;
    enum err e = resident_get(q, id, &m); /* an operator bounces mail that nobody works on; where it fails, ask() finds nothing either */
    (void)e;
    return ask(q, id, true, max_bytes, cookie, cached);
}
