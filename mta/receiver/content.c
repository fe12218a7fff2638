/*
 * content - where a message's octets go while they come in: chunks of the pool, and from a certain size on a file
 * that the writer fills.
 *
 * Small content stays in its chunks until the manager has answered. A large one gives its chunks to the writer in
 * jobs and keeps only what the writer does not have yet, so its size costs no memory. What cannot go on waits with
 * its client unread; what waits too long is refused with 4yz.
 */
#include <unistd.h>

#include "base/must.h"
#include "mta/receiver/receiver.h"
#include "smtp/reply.h"

void content_refuse(struct receiver *r, struct session *s, uint16_t code, struct enhanced e, struct bytes text)
{
    struct smtp_policy_answer a = {code, e, text};
    line_reject(s, "DATA", &a, (struct bytes){0});
    smtp_server_no_room(&s->server, &a, &s->fx);
    mail_forget(r, s);
    session_resume(r, s);
}

static void refuse_full(struct receiver *r, struct session *s)
{
    content_refuse(r, s, 452, (struct enhanced){4, 3, 1}, BYTES("Insufficient system storage; try again later"));
}

static bool give_room(struct receiver *r, struct session *s)
{
    uint32_t chunk = chain_extend(&r->pool, &s->content, POOL_FOR_CONTENT);
    if (chunk == POOL_NONE) return false;
    smtp_server_room(&s->server, buf_over(pool_memory(&r->pool, chunk), POOL_CHUNK_BYTES));
    session_resume(r, s);
    return true;
}

void content_begin(struct receiver *r, struct session *s)
{
    must(s->content.count == 0 && !s->file);
    if (!r->accepting || !give_room(r, s)) refuse_full(r, s);
}

void content_take(struct receiver *r, struct session *s)
{
    if (s->content.count > 0) r->pool.chunks[s->content.last].used = (uint16_t)s->server.room.len;
}

/* ---- files ---- */

void content_ask_file(struct receiver *r, struct session *s)
{
    struct ipc_channel *manager = process_channel(r->process, ROLE_MANAGER, 0);
    struct ipc_body_open ask = {.transaction = s->transaction};
    if (!manager || s->file->state != FILE_ASKED || s->file->asked_of_manager) return;
    s->file->asked_of_manager = ipc_send_body_open(manager, &ask, -1) == ERR_NONE;
}

static void begin_file(struct receiver *r, struct session *s)
{
    s->file = writer_file_take(&r->writer);
    if (!s->file) {
        refuse_full(r, s);
        return;
    }
    s->file->session = s->index;
    s->file->transaction = s->transaction;
    session_wait(r, s, WAIT_FILE, FILE_WAIT_MS);
    content_ask_file(r, s);
}

static void drop_at_manager(struct receiver *r, uint64_t body)
{
    struct ipc_channel *manager = process_channel(r->process, ROLE_MANAGER, 0);
    struct ipc_body_drop drop = {.body = body};
    /* When it cannot be said, the manager removes the file at its next start. */
    if (manager && ipc_send_body_drop(manager, &drop, -1) != ERR_NONE) return;
}

/* end_orphan - a file that no session has any more, and that the writer has given back. */
static void end_orphan(struct receiver *r, struct body_file *f)
{
    chain_give(&r->pool, &f->chunks);
    if (f->fd >= 0) {
        struct chain none = chain_empty();
        writer_submit(&r->writer, f, &none, false, true);
        return;
    }
    if (f->state == FILE_OPEN && !f->given && !f->lost) drop_at_manager(r, f->body);
    writer_file_give(f);
}

void content_drop_file(struct receiver *r, struct session *s)
{
    struct body_file *f = s->file;
    s->file = NULL;
    f->orphan = true;
    if (!f->busy) end_orphan(r, f);
}

void content_file_came(struct receiver *r, uint64_t transaction, uint64_t body, int fd)
{
    struct session *s = receiver_session_of(r, transaction);
    if (!s || s->transaction != transaction || s->wait != WAIT_FILE) {
        (void)close(fd);
        drop_at_manager(r, body);
        return;
    }
    s->file->state = FILE_OPEN;
    s->file->body = body;
    s->file->fd = fd;
    content_room(r, s);
}

void content_file_refused(struct receiver *r, uint64_t transaction, uint16_t code, struct bytes text)
{
    struct session *s = receiver_session_of(r, transaction);
    if (!s || s->transaction != transaction || s->wait != WAIT_FILE) return;
    struct enhanced e = {0, 0, 0};
    uint32_t used = 0;
    if (code < 400) code = 452;
    if (smtp_enhanced_parse(text, &e, &used) && e.class == code / 100) text = bytes_from(text, used);
    else e = (struct enhanced){(uint8_t)(code / 100), 3, 1};
    content_refuse(r, s, code, e, text);
}

void content_written(struct receiver *r, struct body_file *f)
{
    chain_give(&r->pool, &f->chunks);
    if (f->orphan) {
        end_orphan(r, f);
    } else {
        struct session *s = session_at(r, f->session);
        must(s->file == f);
        if (s->wait == WAIT_WRITER) content_room(r, s);
        else if (s->wait == WAIT_SYNC) commit_go_on(r, s);
    }
}

/* ---- room ---- */

/* wants_file - whether what stands in chunks is as much as may stay there. */
static bool wants_file(const struct receiver *r, const struct session *s)
{
    uint32_t max = pool_is_short(&r->pool) ? CONTENT_SHORT_BYTES_MAX : BODY_INLINE_BYTES_MAX;
    return s->content.count >= max / POOL_CHUNK_BYTES;
}

void content_room(struct receiver *r, struct session *s)
{
    content_take(r, s);
    struct body_file *f = s->file;
    if (!f && wants_file(r, s)) {
        begin_file(r, s);
        return;
    }
    if (f && (f->lost || f->failed != ERR_NONE)) {
        content_refuse(r, s, 451, (struct enhanced){4, 3, 0}, BYTES("The queue could not store the message; try again later"));
        return;
    }
    bool full = !pool_has(&r->pool, POOL_FOR_CONTENT);
    if (f && !f->busy && s->content.count > 0 && (full || s->content.count >= FILE_CHUNKS_JOB))
        writer_submit(&r->writer, f, &s->content, false, false);
    if (f && s->content.count >= FILE_CHUNKS_WAITING_MAX) session_wait(r, s, WAIT_WRITER, WRITER_WAIT_MS);
    else if (!give_room(r, s)) session_wait(r, s, WAIT_CHUNK, CHUNK_WAIT_MS);
}

static void wake(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_CHUNK && pool_has(&r->pool, POOL_FOR_CONTENT)) content_room(r, s);
}

void content_turn(struct receiver *r)
{
    if (r->waiting_chunk > 0 && pool_has(&r->pool, POOL_FOR_CONTENT)) sessions_each(r, wake);
}
