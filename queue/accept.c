/*
 * accept - new mail on its way into the log.
 *
 * A message is copied first and appended from the copy, so that it can wait: for its body file's sync, or for room in the log.
 */
#include <stdlib.h>

#include "base/must.h"
#include "queue/state.h"

/* ---- whether ---- */

bool queue_accepting(const struct queue *q, struct bytes *reason)
{
    const struct checkpoint *c = &q->checkpoint;
    if (q->fault) *reason = BYTES("the queue waits for a restart");
    else if (q->progress.error) *reason = BYTES("the commit log cannot be written");
    else if (q->disk_low) *reason = BYTES("the file system of the queue is nearly full");
    else if (q->log_full) *reason = BYTES("the commit log is full");
    else if (q->kept.unwritten_bytes > KEPT_BYTES_MAX || q->waiting_count >= WAITING_MAX) *reason = BYTES("too much waits for the commit log");
    else if (c->state != CHECKPOINT_IDLE && q->now_ms - c->begun_ms > BACKLOG_MS) *reason = BYTES("the index is behind");
    else return true;
    return false;
}

static enum err refusal(const struct queue *q)
{
    return q->disk_low || q->log_full == ERR_NO_SPACE ? ERR_NO_SPACE : ERR_FULL;
}

/* ---- body files ---- */

enum err queue_body_open(struct queue *q, int *fd, uint64_t *body_id)
{
    struct bytes reason;
    if (!queue_accepting(q, &reason)) return refusal(q);
    struct open_body *b = malloc(sizeof(*b));
    if (!b) return ERR_NO_MEMORY;
    *b = (struct open_body){q->open_bodies, ids_next(&q->ids, q->now_wall_us).v};
    enum err e = body_file_create(q->bodies_fd, b->id, fd);
    if (e) {
        free(b);
        return e;
    }
    q->open_bodies = b;
    q->disk_check_ms = 0; /* large messages fill a disk faster than it is looked at */
    *body_id = b->id;
    return ERR_NONE;
}

/* take_open - whether the file was made here and belongs to no message yet; it does from now on, or is dropped. */
static bool take_open(struct queue *q, uint64_t body_id)
{
    struct open_body **at = &q->open_bodies;
    while (*at && (*at)->id != body_id) at = &(*at)->next;
    struct open_body *b = *at;
    if (!b) return false;
    *at = b->next;
    free(b);
    return true;
}

static void give_sync_task(struct queue *q, struct body_sync task)
{
    struct body_sync *t = malloc(sizeof(*t));
    if (!t) return; /* an unlink that is not done now is done at the next start */
    *t = task;
    t->task.run = body_sync_run;
    t->folder_fd = q->bodies_fd;
    thread_give(&q->sync_thread, &t->task);
}

void queue_body_drop(struct queue *q, uint64_t body_id)
{
    if (!take_open(q, body_id)) return;
    give_sync_task(q, (struct body_sync){.body_id = body_id, .unlink = true});
}

void accept_unlink(struct queue *q, uint64_t body_id, uint64_t number)
{
    struct unlinking *u = malloc(sizeof(*u));
    if (!u) return; /* as above */
    *u = (struct unlinking){q->unlinking, body_id, number};
    q->unlinking = u;
}

void accept_unlink_due(struct queue *q, uint64_t number)
{
    struct unlinking **at = &q->unlinking;
    while (*at) {
        struct unlinking *u = *at;
        if (u->number > number) {
            at = &u->next;
            continue;
        }
        give_sync_task(q, (struct body_sync){.body_id = u->body_id, .unlink = true});
        *at = u->next;
        free(u);
    }
}

/* ---- into the log ---- */

static enum err append(struct queue *q, struct message *m)
{
    struct record_message rm = m->m;
    rm.prefix = body_prefix(m->body);
    rm.body = body_inline(m->body);
    struct buf head = buf_over(q->record_memory, q->record_bytes_max);
    enum err e = record_message_encode_head(&head, &rm);
    if (e) return e == ERR_FULL ? ERR_TOO_LONG : e;
    struct bytes parts[2] = {buf_bytes(&head), rm.body};
    if (q->kept.unwritten) return ERR_AGAIN; /* outcomes first */
    return qlog_append(q->log, RECORD_ACCEPT, parts, 2, true, &m->place, &m->group);
}

/* enter - it is in the log. */
static void enter(struct queue *q, struct message *m)
{
    q->log_full = ERR_NONE;
    m->state = MESSAGE_PENDING;
    body_cache_put(&q->bodies, m);
    link_take(&m->queue);
    link_put_last(&q->pending, &m->queue);
    resident_enter(q, m, true);
    origins_add(&q->origins, &m->m.origin, m->m.id);
}

static void note_full(struct queue *q, enum err e)
{
    if (e != ERR_FULL && e != ERR_NO_SPACE) return;
    q->log_full = e;
    q->log_full_ms = q->now_ms;
}

/* refuse - its COMMIT is answered with the error; kept until that event is collected. */
static void refuse(struct queue *q, struct message *m, enum err e)
{
    link_take(&m->queue);
    link_put_last(&q->refused, &m->queue);
    m->group = (uint64_t)e;
    if (m->m.body_kind != BODY_FILE) return;
    /* A record that was written and is void might still be found after a power cut: its file stays for a while. */
    if (m->state == MESSAGE_PREPARING) give_sync_task(q, (struct body_sync){.body_id = m->m.body_id, .unlink = true});
    else accept_unlink(q, m->m.body_id, q->checkpoint.number + 1);
}

/* try - append, or wait for room. */
static enum err try(struct queue *q, struct message *m)
{
    enum err e = append(q, m);
    note_full(q, e);
    if (!e) enter(q, m);
    return e;
}

void accept_retry(struct queue *q)
{
    struct link *l;
    while ((l = link_first(&q->waiting)) != NULL) {
        struct message *m = LINK_OF(l, struct message, queue);
        enum err e = try(q, m);
        if (e == ERR_AGAIN) return;
        q->waiting_count--;
        if (e) refuse(q, m, e);
    }
}

static void wait_in(struct queue *q, struct link *list, struct message *m)
{
    link_take(&m->queue);
    link_put_last(list, &m->queue);
    q->waiting_count++;
}

void accept_synced_body(struct queue *q, struct body_sync *t)
{
    struct message *m = t->unlink ? NULL : message_table_find(&q->table, t->id);
    if (t->unlink && t->error) queue_say_id(q, true, "cannot remove a body file", (struct message_id){t->body_id}, t->error);
    if (m) {
        link_take(&m->queue);
        q->waiting_count--;
        enum err e = t->error ? t->error : link_is_empty(&q->waiting) ? try(q, m) : ERR_AGAIN;
        if (e == ERR_AGAIN) wait_in(q, &q->waiting, m);
        else if (e) refuse(q, m, e);
    }
    free(t);
}

static enum err sync_body(struct queue *q, struct message *m)
{
    struct body_sync *t = malloc(sizeof(*t));
    if (!t) return ERR_NO_MEMORY;
    uint64_t bytes = m->m.body_skip + m->m.body_bytes;
    *t = (struct body_sync){.task = {.run = body_sync_run}, .folder_fd = q->bodies_fd, .body_id = m->m.body_id, .bytes = bytes, .id = m->m.id};
    wait_in(q, &q->syncing, m);
    thread_give(&q->sync_thread, &t->task);
    return ERR_NONE;
}

/* ---- the call ---- */

static void fill_times(const struct queue *q, struct record_message *m)
{
    if (m->arrival_wall_us == 0) m->arrival_wall_us = q->now_wall_us;
    int64_t arrival_s = m->arrival_wall_us / 1000000;
    if (m->expire_wall_s == 0) m->expire_wall_s = arrival_s + (int64_t)q->options.expire_s;
    if (m->warn_wall_s == 0 && q->options.delay_warning_s) m->warn_wall_s = arrival_s + (int64_t)q->options.delay_warning_s;
}

/* fill_id - a fresh one, or that of the body file; into the prefix too. */
static enum err fill_id(struct queue *q, struct record_message *m, uint8_t *prefix_copy, uint32_t id_offset)
{
    if (m->body_kind == BODY_FILE) {
        if (m->body_skip > INT64_MAX / 2 || m->body_bytes > INT64_MAX / 2) return ERR_BAD_VALUE;
        m->id.v = m->body_id;
        ids_seen(&q->ids, m->id);
    } else {
        m->id = ids_next(&q->ids, q->now_wall_us);
    }
    if (!prefix_copy) return ERR_NONE;
    if (m->prefix.ptr != prefix_copy || m->prefix.len < MESSAGE_ID_TEXT_BYTES || id_offset > m->prefix.len - MESSAGE_ID_TEXT_BYTES) return ERR_BAD_VALUE;
    struct buf digits = buf_over(prefix_copy + id_offset, MESSAGE_ID_TEXT_BYTES);
    message_id_print(&digits, m->id);
    return ERR_NONE;
}

/* is_repeat - the same COMMIT again, from before this process: it gets the same answer. */
static bool is_repeat(struct queue *q, struct record_message *m, uint64_t cookie, enum err *e)
{
    struct message_id first = origins_find(&q->origins, &m->origin);
    if (first.v == 0) return false;
    const struct message *resident = message_table_find(&q->table, first);
    if (resident && (resident->state == MESSAGE_PREPARING || resident->state == MESSAGE_PENDING)) {
        *e = ERR_AGAIN;
        return true;
    }
    m->id = first;
    *e = events_answer(q, QUEUE_COMMITTED, first, cookie);
    if (!*e && m->body_kind == BODY_FILE && m->body_id != first.v) queue_body_drop(q, m->body_id);
    return true;
}

/* start - copy it, and set it on its way. */
static enum err start(struct queue *q, struct record_message *m, uint8_t *prefix_copy, uint32_t id_offset, uint64_t cookie)
{
    struct message *made;
    enum err e = fill_id(q, m, prefix_copy, id_offset);
    if (e) return e;
    fill_times(q, m);
    m->held = false;
    m->rcpt_states = (struct bytes){0};
    e = resident_make(q, m, &made);
    if (e) return e;
    made->answer = true;
    made->cookie = cookie;
    made->body = body_new(m->prefix, m->body_kind == BODY_INLINE ? m->body : (struct bytes){0});
    if (!made->body) e = ERR_NO_MEMORY;
    else if (m->body_kind == BODY_FILE) e = sync_body(q, made);
    else e = link_is_empty(&q->waiting) ? try(q, made) : ERR_AGAIN;
    if (e == ERR_AGAIN) wait_in(q, &q->waiting, made);
    else if (e) resident_drop(q, made);
    return e == ERR_AGAIN ? ERR_NONE : e;
}

enum err queue_accept(struct queue *q, struct record_message *m, uint8_t *prefix_copy, uint32_t id_offset, uint64_t cookie, int64_t now_wall_us, uint64_t now_ms)
{
    struct bytes reason;
    enum err e = ERR_NONE;
    queue_time(q, now_ms, now_wall_us);
    if (is_repeat(q, m, cookie, &e)) return e;
    if (!queue_accepting(q, &reason)) return refusal(q);
    if (m->body_kind == BODY_FILE && !take_open(q, m->body_id)) return ERR_BAD_VALUE;
    e = start(q, m, prefix_copy, id_offset, cookie);
    if (e && m->body_kind == BODY_FILE) give_sync_task(q, (struct body_sync){.body_id = m->body_id, .unlink = true});
    return e;
}

/* ---- a failed sync ---- */

void accept_void(struct queue *q, uint64_t group)
{
    struct link *next;
    for (struct link *l = link_first(&q->pending); l; l = next) {
        struct message *m = LINK_OF(l, struct message, queue);
        next = link_after(&q->pending, l);
        if (m->group != group) continue;
        if (m->in_outcome) {
            /* Its record is in `kept`, and is written again. */
            segments_lose(&q->segments, &m->place);
            m->place = (struct qlog_place){0};
            m->group = UINT64_MAX;
            continue;
        }
        origins_forget(&q->origins, &m->m.origin);
        resident_leave(q, m);
        refuse(q, m, q->progress.error ? q->progress.error : ERR_IO);
    }
}
