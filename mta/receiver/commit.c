/*
 * commit - from the end of content to the manager's answer.
 *
 * COMMIT says everything: envelope, Received field, content or the number of its file. Until it is answered all of
 * that stays here, so that the next manager can be told the same under the same number: it knows by it whether the
 * dead one had stored the message. 250 is said in one place, commit_done(). Which of our own waits still stands
 * before COMMIT is asked anew each time something has come.
 */
#include "base/must.h"
#include "mta/receiver/receiver.h"
#include "mta/tls/tls.h"
#include "smtp/stamp.h"
#include "smtp/submission.h"

enum {
    /* Chunks of a recipient list that go into COMMIT itself, and into one record before it, beside those that the
     * session holds. */
    RCPT_CHUNKS_INLINE = 4,
    RCPT_CHUNKS_RECORD = 7,
    /* What a record has beside lists, prefix and content: names, addresses, numbers, headers. */
    RECORD_REST_BYTES = 4096,
    /* The scratch memory's parts. */
    SCRATCH_RCPTS = BODY_INLINE_BYTES_MAX,
    SCRATCH_PREFIX = SCRATCH_RCPTS + RCPTS_RECORD_BYTES_MAX,
};
static_assert(RCPT_CHUNKS_INLINE * POOL_CHUNK_BYTES + SESSION_RCPTS_BYTES <= RCPTS_INLINE_BYTES_MAX,
              "the last part of a list must fit into COMMIT");
static_assert(RCPT_CHUNKS_RECORD * POOL_CHUNK_BYTES + SESSION_RCPTS_BYTES <= RCPTS_RECORD_BYTES_MAX,
              "a part of a list must fit into RCPTS");
static_assert(RCPT_CHUNKS_MAX * (POOL_CHUNK_BYTES + 64) + IPC_RECORD_BYTES_MAX <= IPC_QUEUE_BYTES,
              "the longest list must fit into an empty channel");
static_assert(SMTP_SUBMISSION_BYTES_MAX + 1536 <= PREFIX_BYTES_MAX, "Received has two names of 255 octets, an address of 320, and its frame");
static_assert(SCRATCH_PREFIX + PREFIX_BYTES_MAX <= RECEIVER_SCRATCH_BYTES, "all parts must have their place");

void commit_refuse(struct receiver *r, struct session *s, uint16_t code, struct enhanced e, struct bytes text)
{
    struct smtp_policy_answer a = {code, e, text};
    line_reject(s, "END-OF-MESSAGE", &a, (struct bytes){0});
    smtp_server_refused(&s->server, &a, &s->fx);
    mail_forget(r, s);
    session_resume(r, s);
}

void commit_done(struct receiver *r, struct session *s, struct message_id id)
{
    smtp_server_committed(&s->server, id, &s->fx);
    mail_forget(r, s);
    session_resume(r, s);
}

/* ---- what COMMIT says ---- */

static uint32_t flags_of(const struct session *s)
{
    const struct smtp_server *m = &s->server;
    uint32_t flags = 0;
    if (m->mail.smtputf8) flags |= MAIL_SMTPUTF8;
    if (smtp_server_content_8bit(m)) flags |= MAIL_BODY_8BIT;
    /* Octets over 127 in a header of mail that did not say SMTPUTF8 are old and common: they need no next hop that knows it. */
    if (m->mail.smtputf8 && (m->mail.sender.non_ascii || s->rcpt_non_ascii || m->header.has_8bit)) flags |= MAIL_NEEDS_SMTPUTF8;
    if (session_is_ours(s)) flags |= MAIL_TRUSTED;
    if (s->login_len > 0) flags |= MAIL_AUTHENTICATED;
    if (s->local) flags |= MAIL_LOCAL;
    return flags;
}

/* client_of - what is kept of where it came from: users of this host have no address. */
static struct net_address client_of(const struct session *s)
{
    return s->local ? (struct net_address){0} : s->client;
}

static struct bytes only_rcpt(const struct session *s)
{
    struct cursor c = cursor_over(bytes_of(s->rcpts_here, s->rcpts_here_bytes));
    struct rcpt entry;
    return s->rcpt_count == 1 && rcpt_next(&c, &entry) ? entry.address : (struct bytes){0};
}

/* own_number - letters and digits that no other message of this host has; the same when COMMIT is repeated. */
static struct bytes own_number(const struct receiver *r, const struct session *s, struct buf *out)
{
    buf_put_hex(out, process_epoch(r->process), 8);
    buf_put_hex(out, s->transaction, 16);
    return buf_bytes(out);
}

/* put_missing - what a message of our own users must have, and has not (RFC 6409 8). Returns its Message-ID, when that was missing. */
static struct bytes put_missing(const struct receiver *r, const struct session *s, struct buf *out, struct buf *message_id)
{
    uint8_t memory[64];
    struct buf number = BUF_OVER(memory);
    uint32_t missing = s->local || s->login_len > 0 ? smtp_submission_missing(&s->server.header) : 0;
    struct smtp_submission own = {
        .sender = s->server.mail.sender.whole,
        .host = config_bytes(r->config, r->config->hostname),
        .unique = own_number(r, s, &number),
        .wall_s = process_now_wall_us(r->process) / 1000000,
    };
    smtp_submission_write(out, missing, &own);
    must(!out->overflow);
    if (!(missing & SMTP_SUBMISSION_MESSAGE_ID)) return bytes_of(s->server.header.message_id, s->server.header.message_id_len);
    buf_put_c(message_id, '<');
    buf_put(message_id, own.unique);
    buf_put_c(message_id, '@');
    buf_put_cut(message_id, own.host);
    buf_put_c(message_id, '>');
    return buf_bytes(message_id);
}

static struct bytes write_prefix(struct receiver *r, const struct session *s, struct ipc_commit *c, struct buf *message_id)
{
    const struct smtp_server *m = &s->server;
    struct buf out = buf_over(r->scratch + SCRATCH_PREFIX, PREFIX_BYTES_MAX);
    uint8_t memory[TLS_WORDS_BYTES_MAX];
    struct buf tls = BUF_OVER(memory);
    if (s->secured) tls_describe(s->tls, &tls);
    struct smtp_received received = {
        .helo = bytes_of(m->helo, m->helo_len),
        .client_name = session_name(s),
        .client = client_of(s),
        .uid = s->uid,
        .tls = buf_bytes(&tls),
        .by = m->config->hostname,
        .with = smtp_server_protocol(m),
        .for_address = only_rcpt(s),
        .wall_s = process_now_wall_us(r->process) / 1000000,
    };
    smtp_received_write(&out, &received, &c->id_offset);
    c->message_id = put_missing(r, s, &out, message_id);
    /* Content that begins with no header field is all body: without the empty line its first line would be taken into our own field. */
    if (m->header.done && m->header.header_bytes == 0) BUF_LIT(&out, "\r\n");
    must(!out.overflow);
    return buf_bytes(&out);
}

static struct bytes content_of(const struct receiver *r, const struct session *s)
{
    if (s->file) return (struct bytes){0};
    if (s->content.count == 1) return pool_bytes(&r->pool, s->content.first);
    struct buf out = buf_over(r->scratch, BODY_INLINE_BYTES_MAX);
    (void)chain_gather(&r->pool, s->content.first, s->content.count, &out);
    must(!out.overflow);
    return buf_bytes(&out);
}

/* put_chunks - append `count` chunks of a list; returns how many recipients they hold. */
static uint32_t put_chunks(const struct receiver *r, uint32_t *chunk, uint32_t count, struct buf *list)
{
    uint32_t entries = 0;
    for (uint32_t i = 0, at = *chunk; i < count; i++, at = r->pool.chunks[at].next) entries += r->pool.chunks[at].entries;
    *chunk = chain_gather(&r->pool, *chunk, count, list);
    must(!list->overflow);
    return entries;
}

/* send_rcpts - RCPTS records for what does not fit into COMMIT; *last is the rest. */
static enum err send_rcpts(struct receiver *r, const struct session *s, struct ipc_channel *manager, struct bytes *last)
{
    struct bytes here = bytes_of(s->rcpts_here, s->rcpts_here_bytes);
    *last = here;
    if (s->rcpts.count == 0) return ERR_NONE;
    struct buf list = buf_over(r->scratch + SCRATCH_RCPTS, RCPTS_RECORD_BYTES_MAX);
    buf_put(&list, here);
    uint32_t first = 0, count = s->rcpts_here_count, chunk = s->rcpts.first, left = s->rcpts.count;
    while (left > RCPT_CHUNKS_INLINE) {
        uint32_t n = left - 1 < RCPT_CHUNKS_RECORD ? left - 1 : RCPT_CHUNKS_RECORD;
        count += put_chunks(r, &chunk, n, &list);
        left -= n;
        struct ipc_rcpts m = {.transaction = s->transaction, .first = first, .count = count, .rcpts = buf_bytes(&list)};
        enum err e = ipc_send_rcpts(manager, &m, -1);
        if (e != ERR_NONE) return e;
        first += count;
        count = list.len = 0;
    }
    count += put_chunks(r, &chunk, left, &list);
    must(first + count == s->rcpt_count);
    *last = buf_bytes(&list);
    return ERR_NONE;
}

static enum err send_commit(struct receiver *r, const struct session *s, struct ipc_channel *manager)
{
    const struct smtp_server *m = &s->server;
    struct ipc_commit c = {
        .transaction = s->transaction,
        .flags = flags_of(s),
        .ret = m->mail.ret,
        .listener = s->listener,
        .client = client_of(s),
        .uid = s->uid,
        .client_name = s->local ? BYTES("localhost") : session_name(s),
        .helo = bytes_of(m->helo, m->helo_len),
        .sender = m->mail.sender.whole,
        .envid = m->mail.envid,
        .mechanism = s->login_len > 0 ? s->login_by : 0,
        .login = bytes_of(s->login, s->login_len),
        .rcpt_count = s->rcpt_count,
        .header_bytes = m->header.header_bytes,
        .content = content_of(r, s),
    };
    c.body = s->file ? s->file->body : 0;
    c.body_bytes = s->file ? s->file->bytes : c.content.len;
    uint8_t memory[MESSAGE_ID_BYTES_MAX];
    struct buf message_id = BUF_OVER(memory);
    c.prefix = write_prefix(r, s, &c, &message_id);
    enum err e = send_rcpts(r, s, manager, &c.rcpts);
    if (e == ERR_NONE) e = ipc_send_commit(manager, &c, -1);
    return e;
}

/* has_room - whether the channel takes the message whole: parts of a list without their end would be of no use to anybody. */
static bool has_room(const struct receiver *r, const struct session *s, const struct ipc_channel *manager)
{
    uint64_t bytes = RECORD_REST_BYTES + PREFIX_BYTES_MAX + chain_bytes(&r->pool, &s->rcpts) + s->rcpts_here_bytes;
    bytes += (uint64_t)s->rcpts.count * 64;
    if (!s->file) bytes += chain_bytes(&r->pool, &s->content);
    return ipc_waiting_bytes(manager) + bytes <= IPC_QUEUE_BYTES;
}

static void try_commit(struct receiver *r, struct session *s)
{
    struct ipc_channel *manager = process_channel(r->process, ROLE_MANAGER, 0);
    if (!manager || !has_room(r, s, manager) || send_commit(r, s, manager) != ERR_NONE) {
        session_wait(r, s, WAIT_MANAGER, MANAGER_WAIT_MS);
        return;
    }
    if (s->file) s->file->given = true;
    session_wait(r, s, WAIT_COMMITTED, COMMIT_WAIT_MS);
}

/* ---- what stands before it ---- */

/* body_ready - whether a large body is in its file, synced and closed. False: it is awaited, or refused. */
static bool body_ready(struct receiver *r, struct session *s)
{
    struct body_file *f = s->file;
    if (!f || f->given) return true;
    if (f->failed != ERR_NONE || f->lost) {
        commit_refuse(r, s, 451, (struct enhanced){4, 3, 0}, BYTES("The queue could not store the message; try again later"));
        return false;
    }
    if (!f->busy && f->fd < 0) return true;
    session_wait(r, s, WAIT_SYNC, WRITER_WAIT_MS);
    if (!f->busy) writer_submit(&r->writer, f, &s->content, true, true);
    return false;
}

void commit_begin(struct receiver *r, struct session *s)
{
    must(s->transaction != 0 && s->rcpt_count > 0);
    content_take(r, s);
    commit_go_on(r, s);
}

void commit_go_on(struct receiver *r, struct session *s)
{
    if (!body_ready(r, s)) return;
    if (s->name_asked) {
        session_wait(r, s, WAIT_NAME, NAME_WAIT_MS);
        return;
    }
    try_commit(r, s);
}

/* ---- a manager goes, another comes ---- */

static void commit_again(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_MANAGER) try_commit(r, s);
}

void commit_turn(struct receiver *r)
{
    const struct ipc_channel *manager = process_channel(r->process, ROLE_MANAGER, 0);
    if (r->waiting_manager > 0 && manager && ipc_waiting_bytes(manager) < IPC_QUEUE_BYTES / 2) sessions_each(r, commit_again);
}

static void on_manager_came(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_FILE) content_ask_file(r, s);
}

void commit_manager_came(struct receiver *r)
{
    r->manager_gone_ms = 0;
    r->accepting = true; /* it says so when not */
    sessions_each(r, on_manager_came);
}

static void on_manager_gone(struct receiver *r, struct session *s)
{
    if (s->file && s->file->state == FILE_OPEN) s->file->lost = true;
    if (s->file) s->file->asked_of_manager = false;
    if (s->wait == WAIT_COMMITTED) session_wait(r, s, WAIT_MANAGER, MANAGER_WAIT_MS);
}

void commit_manager_gone(struct receiver *r)
{
    r->manager_gone_ms = r->now_ms ? r->now_ms : 1;
    sessions_each(r, on_manager_gone);
    /* Orphans too: their numbers mean nothing to the next manager. */
    for (uint32_t i = 0; i < WRITER_FILES_MAX; i++) {
        if (r->writer.files[i].state == FILE_OPEN) r->writer.files[i].lost = true;
    }
}
