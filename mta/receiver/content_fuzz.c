/*
 * content_fuzz - where content goes, driven by random events: clients that send and end and vanish, a pool that runs empty, files that come, come late or are
 * refused, a writer that is slow or fails, managers that die. The machine, content.c and pool.c are the real ones; what is around them is played here.
 *
 * Asserted: the octets of a message that could be committed are those that its client sent, in order, whether they stand in chunks or went to a file; a chunk
 * is in one place only; and when all is over every chunk is free and every file is committed, dropped or its manager's loss.
 */
#include <string.h>

#include "base/must.h"
#include "mta/receiver/receiver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSIONS = 3, CHUNKS = 64, FILES = 3, LINE = 63, CONTENT_MAX = 400 * 1024, FD_FIRST = 1 << 20 /* no descriptor: closing it fails */ };

struct client {
    uint64_t sent, eaten;  /* octets of content that it has sent; that the machine has taken */
    uint64_t written;      /* to its file, all of them right */
    bool ended;            /* it has sent the end, too */
    bool asked;            /* BODY_OPEN waits for its answer */
};

static struct receiver r;
static uint8_t sessions[SESSIONS * SESSION_STRIDE] __attribute__((aligned(4096)));
static struct client clients[SESSIONS];
static struct chain others;                /* chunks that somebody else has */
static struct cursor events;
static struct ipc_channel *const manager = (struct ipc_channel *)(void *)&r; /* only compared with NULL */
static bool manager_is_there, channel_is_full;
static uint64_t next_body, dropped, came;

static uint8_t event(void) { return (uint8_t)cursor_le(&events, 1); }
static struct client *client_of(const struct session *s) { return &clients[s->index]; }
static uint8_t octet_at(uint64_t k) { return (uint8_t)(k % LINE == LINE - 2 ? '\r' : k % LINE == LINE - 1 ? '\n' : 'a' + (k / LINE + k) % 26); }

/* ---- what content.c calls ---- */

struct ipc_channel *process_channel(struct process *p, enum ipc_role role, uint16_t index)
{
    (void)p;
    must(role == ROLE_MANAGER && index == 0);
    return manager_is_there ? manager : NULL;
}

enum err ipc_send_body_open(struct ipc_channel *c, const struct ipc_body_open *m, int fd)
{
    must(c == manager && fd == -1);
    struct session *s = receiver_session_of(&r, m->transaction);
    must(s && s->transaction == m->transaction && !client_of(s)->asked);
    if (channel_is_full) return ERR_FULL;
    client_of(s)->asked = true;
    return ERR_NONE;
}

enum err ipc_send_body_drop(struct ipc_channel *c, const struct ipc_body_drop *m, int fd)
{
    must(c == manager && fd == -1 && m->body > 0 && m->body <= next_body);
    dropped++;
    return channel_is_full ? ERR_FULL : ERR_NONE;
}

void line_reject(struct session *s, const char *what, const struct smtp_policy_answer *a, struct bytes rcpt)
{
    (void)what;
    (void)rcpt;
    must(s->transaction != 0 && a->code >= 400);
}

void session_wait(struct receiver *of, struct session *s, enum session_wait wait, uint64_t within_ms)
{
    must(of == &r && within_ms > 0);
    if (s->wait == wait) return;
    must(s->wait == WAIT_NONE || wait != WAIT_NONE);
    r.waiting_chunk = r.waiting_chunk - (s->wait == WAIT_CHUNK) + (wait == WAIT_CHUNK);
    s->wait = (uint8_t)wait;
}

void session_resume(struct receiver *of, struct session *s)
{
    if (s->wait == WAIT_CHUNK) of->waiting_chunk--;
    s->wait = WAIT_NONE;
}

struct session *receiver_session_of(const struct receiver *of, uint64_t number)
{
    uint32_t index = (uint32_t)number & ((1u << RECEIVER_INDEX_BITS) - 1);
    return index < SESSIONS ? session_at(of, index) : NULL;
}

void sessions_each(struct receiver *of, void (*call)(struct receiver *r, struct session *s))
{
    for (uint32_t i = 0; i < SESSIONS; i++) call(of, session_at(of, i));
}

void mail_forget(struct receiver *of, struct session *s)
{
    chain_give(&of->pool, &s->content);
    if (s->file) content_drop_file(of, s);
    s->transaction = 0;
    *client_of(s) = (struct client){.sent = client_of(s)->sent, .eaten = client_of(s)->eaten, .ended = client_of(s)->ended};
}

struct body_file *writer_file_take(struct writer *w)
{
    for (uint32_t i = 0; i < FILES; i++) {
        struct body_file *f = &w->files[i];
        if (f->state != FILE_FREE) continue;
        *f = (struct body_file){.state = FILE_ASKED, .fd = -1, .chunks = chain_empty()};
        return f;
    }
    return NULL;
}

void writer_file_give(struct body_file *f)
{
    must(f->state != FILE_FREE && !f->busy && f->fd < 0 && f->chunks.count == 0);
    f->state = FILE_FREE;
}

void writer_submit(struct writer *w, struct body_file *f, struct chain *chunks, bool sync, bool shut)
{
    must(w == &r.writer && f->state == FILE_OPEN && !f->busy && f->fd >= 0 && f->chunks.count == 0);
    f->bytes += chain_bytes(&r.pool, chunks);
    f->chunks = *chunks;
    *chunks = chain_empty();
    f->sync = sync;
    f->shut = shut;
    f->busy = true;
}

/* ---- what the octets must be ---- */

/* check_chain - its octets are the client's from `from` on; returns what comes next. */
static uint64_t check_chain(const struct chain *c, uint64_t from)
{
    for (uint32_t chunk = c->first; chunk != POOL_NONE; chunk = r.pool.chunks[chunk].next) {
        struct bytes octets = pool_bytes(&r.pool, chunk);
        for (uint32_t i = 0; i < octets.len; i++) must(octets.ptr[i] == octet_at(from + i));
        from += octets.len;
    }
    return from;
}

static void check_pool(void)
{
    uint32_t used = others.count, waiting = 0;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        used += session_at(&r, i)->content.count;
        waiting += session_at(&r, i)->wait == WAIT_CHUNK;
    }
    for (uint32_t i = 0; i < FILES; i++) used += r.writer.files[i].state == FILE_FREE ? 0 : r.writer.files[i].chunks.count;
    must(used + r.pool.free_count == CHUNKS && waiting == r.waiting_chunk);
}

/* ---- commit: what commit.c does with content ---- */

static void commit_answer(struct session *s, bool good)
{
    const struct smtp_policy_answer a = {451, {4, 3, 0}, BYTES("no")};
    if (good) {
        must(check_chain(&s->content, client_of(s)->written) == client_of(s)->eaten && client_of(s)->ended);
        if (s->file) must(s->file->bytes == client_of(s)->eaten && s->content.count == 0);
        if (s->file) s->file->given = true;
        smtp_server_committed(&s->server, (struct message_id){1}, &s->fx);
    } else {
        smtp_server_refused(&s->server, &a, &s->fx);
    }
    mail_forget(&r, s);
    session_resume(&r, s);
}

void commit_go_on(struct receiver *of, struct session *s)
{
    struct body_file *f = s->file;
    if (f && (f->failed != ERR_NONE || f->lost)) commit_answer(s, false);
    else if (!f || (!f->busy && f->fd < 0)) commit_answer(s, true);
    else if (f->busy) session_wait(of, s, WAIT_SYNC, 1);
    else {
        session_wait(of, s, WAIT_SYNC, 1);
        writer_submit(&of->writer, f, &s->content, true, true);
    }
}

/* ---- clients ---- */

static void answer_need(struct session *s, enum smtp_server_need need)
{
    const struct smtp_policy_answer yes = {.code = 250};
    switch (need) {
    case SMTP_NEED_OUT: s->fx.out.len = 0; break;
    case SMTP_NEED_SENDER:
        s->transaction = ++r.sequence << RECEIVER_INDEX_BITS | s->index;
        smtp_server_sender(&s->server, &yes, &s->fx);
        break;
    case SMTP_NEED_RCPT: smtp_server_rcpt(&s->server, &yes, &s->fx); break;
    case SMTP_NEED_BODY: content_begin(&r, s); break;
    case SMTP_NEED_ROOM: content_room(&r, s); break;
    case SMTP_NEED_COMMIT:
        content_take(&r, s);
        commit_go_on(&r, s);
        break;
    case SMTP_NEED_ABORT: mail_forget(&r, s); break;
    default: must(need == SMTP_NEED_INPUT || need == SMTP_NEED_CLOSE); break;
    }
}

static uint32_t eat(struct session *s, struct bytes in)
{
    uint32_t eaten = 0;
    enum smtp_server_need need = SMTP_NEED_OUT;
    while (s->wait == WAIT_NONE && need != SMTP_NEED_INPUT && need != SMTP_NEED_CLOSE) {
        uint32_t used = 0;
        s->fx.out.len = 0;
        need = smtp_server_step(&s->server, bytes_from(in, eaten), &used, 1, &s->fx);
        eaten += used;
        if (s->server.phase == SMTP_PHASE_DATA || s->server.phase == SMTP_PHASE_COMMIT) {
            client_of(s)->eaten += used;
            if (client_of(s)->eaten > client_of(s)->sent) client_of(s)->eaten = client_of(s)->sent; /* the end is no content */
        }
        answer_need(s, need);
    }
    return eaten;
}

static void open_session(uint32_t index)
{
    struct session *s = session_at(&r, index);
    static const struct smtp_server_config config = {
        .hostname = BYTES_INIT("mx.example"), .message_bytes_max = CONTENT_MAX, .rcpts_max = 10, .line_bytes_max = 998, .errors_max = 100, .junk_max = 100,
        .hops_max = 5, .command_timeout_ms = 1000, .data_timeout_ms = 1000,
    };
    memset(s, 0, sizeof *s);
    s->index = index;
    s->content = chain_empty();
    s->fx.out = BUF_OVER(s->reply);
    clients[index] = (struct client){0};
    smtp_server_init(&s->server, &config);
    smtp_server_greet(&s->server, NULL, 1, &s->fx);
}

static void end_session(uint32_t index)
{
    struct session *s = session_at(&r, index);
    mail_forget(&r, s);
    session_resume(&r, s);
    open_session(index);
}

/* go_on - give the machine what the client has sent and it has not taken. */
static void go_on(struct session *s)
{
    static uint8_t memory[16 * 1024];
    struct client *c = client_of(s);
    (void)eat(s, BYTES(""));
    while (s->wait == WAIT_NONE && s->server.phase == SMTP_PHASE_DATA && c->eaten < c->sent) {
        uint32_t n = c->sent - c->eaten < sizeof memory ? (uint32_t)(c->sent - c->eaten) : (uint32_t)sizeof memory;
        for (uint32_t i = 0; i < n; i++) memory[i] = octet_at(c->eaten + i);
        (void)eat(s, bytes_of(memory, n));
    }
    if (c->ended && s->server.phase == SMTP_PHASE_DATA && s->wait == WAIT_NONE && c->eaten == c->sent) (void)eat(s, BYTES(".\r\n"));
}

static void send_more(struct session *s, uint8_t how)
{
    struct client *c = client_of(s);
    if (s->wait == WAIT_NONE && s->server.phase < SMTP_PHASE_MAIL) {
        *c = (struct client){0};
        (void)eat(s, BYTES("EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"));
    } else if (how & 1 && !c->ended) {
        c->sent += how * 97u; /* up to six chunks */
        if (c->sent > CONTENT_MAX) c->sent = CONTENT_MAX;
    } else if (s->server.phase == SMTP_PHASE_DATA && !c->ended) {
        c->sent += LINE - 1 - (c->sent + LINE - 1) % LINE; /* to the end of a line */
        c->ended = true;
    }
    go_on(s);
}

/* ---- the world ---- */

static void answer_file(struct session *s, uint8_t how)
{
    if (!client_of(s)->asked || !manager_is_there) return;
    client_of(s)->asked = false;
    if (how & 1) {
        content_file_refused(&r, s->transaction, how & 2 ? 452 : 0, how & 4 ? BYTES("4.3.1 no space") : BYTES("no"));
    } else {
        came++;
        content_file_came(&r, how & 2 ? s->transaction + (1 << RECEIVER_INDEX_BITS) : s->transaction, ++next_body, FD_FIRST);
    }
    go_on(s);
}

static void finish_job(struct body_file *f, bool good)
{
    if (f->state == FILE_FREE || !f->busy) return;
    struct session *s = session_at(&r, f->session);
    if (!f->orphan) client_of(s)->written = check_chain(&f->chunks, client_of(s)->written);
    if (!good && f->failed == ERR_NONE) f->failed = ERR_IO;
    if (f->shut) f->fd = -1;
    f->busy = false;
    bool orphan = f->orphan;
    content_written(&r, f);
    if (!orphan) go_on(s);
}

static void on_manager_gone(struct receiver *of, struct session *s)
{
    (void)of;
    if (s->file && s->file->state == FILE_OPEN) s->file->lost = true;
    if (s->file) s->file->asked_of_manager = false;
    client_of(s)->asked = false;
}

static void on_manager_came(struct receiver *of, struct session *s)
{
    if (s->wait == WAIT_FILE) content_ask_file(of, s);
}

static void turn_manager(void)
{
    manager_is_there = !manager_is_there;
    sessions_each(&r, manager_is_there ? on_manager_came : on_manager_gone);
    for (uint32_t i = 0; !manager_is_there && i < FILES; i++)
        if (r.writer.files[i].state == FILE_OPEN) r.writer.files[i].lost = true;
}

static void late(struct session *s)
{
    if (s->wait == WAIT_CHUNK || s->wait == WAIT_FILE || s->wait == WAIT_WRITER) content_refuse(&r, s, 451, (struct enhanced){4, 3, 0}, BYTES("late"));
    else if (s->wait == WAIT_SYNC) commit_answer(s, false);
    go_on(s);
}

static void take_event(uint8_t what)
{
    struct session *s = session_at(&r, what % SESSIONS);
    switch (what / SESSIONS % 12) {
    case 0: case 1: case 2: case 3: send_more(s, event()); break;
    case 4: end_session(s->index); break;
    case 5: answer_file(s, event()); break;
    case 6: case 7: finish_job(&r.writer.files[what % FILES], event() % 8 != 0); break;
    case 8: for (uint8_t n = event() % CHUNKS; n > 0 && chain_extend(&r.pool, &others, POOL_FOR_SESSION) != POOL_NONE; n--) continue; break;
    case 9: chain_give(&r.pool, &others); break;
    case 10:
        content_turn(&r);
        for (uint32_t i = 0; i < SESSIONS; i++) go_on(session_at(&r, i));
        break;
    default:
        if (event() % 4 == 0) turn_manager();
        else if (event() % 2) channel_is_full = !channel_is_full;
        else late(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    events = cursor_over(bytes_of(data, (uint32_t)size));
    if (!r.pool.memory) must(pool_init(&r.pool, CHUNKS) == ERR_NONE);
    r.sessions = sessions;
    r.accepting = manager_is_there = true;
    r.waiting_chunk = 0;
    channel_is_full = false;
    next_body = dropped = came = 0;
    others = chain_empty();
    for (uint32_t i = 0; i < SESSIONS; i++) open_session(i);
    while (cursor_left(&events) > 0) {
        take_event(event());
        check_pool();
    }
    for (uint32_t i = 0; i < SESSIONS; i++) end_session(i);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < FILES; i++) finish_job(&r.writer.files[i], true);
    chain_give(&r.pool, &others);
    must(r.pool.free_count == CHUNKS && r.waiting_chunk == 0);
    for (uint32_t i = 0; i < FILES; i++) must(r.writer.files[i].state == FILE_FREE);
    return 0;
}
