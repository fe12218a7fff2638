/*
 * steps - one client's input through the machine, and its replies out. smtp_server_step() is called here and nowhere else.
 *
 * An event only notes what happened and queues its session; the turn steps all that are queued, so that everything a
 * session has to say in one turn leaves in one send. A receive is under way only while the machine wants input: a
 * client that must wait is not read, and TCP tells it so.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/must.h"
#include "base/planted.h"
#include "mta/receiver/receiver.h"
#include "smtp/foreign.h"

/* last_said - the last reply is with the kernel. A client that did not ask for the end hears that no more comes, and
 * is listened to for a moment: closing a socket with unread input makes the kernel take back what the client has not
 * read yet. */
static void last_said(struct receiver *r, struct session *s)
{
    if (s->server.last_verb == SMTP_VERB_QUIT) {
        session_shut(r, s);
        return;
    }
    s->stage = STAGE_LINGER;
    (void)shutdown(s->fd, SHUT_WR); /* it fails when the client is gone, which the receive says too */
    s->linger_until_ms = r->now_ms + LINGER_MS;
    session_listen(r, s);
}

/* reject_foreign - the line about who spoke another protocol; the machine has answered. */
static void reject_foreign(struct session *s, enum smtp_foreign what, uint16_t code, struct enhanced e)
{
    uint8_t memory[64];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "Error: this is SMTP, not ");
    buf_put(&text, smtp_foreign_name(what));
    struct smtp_policy_answer no = {code, e, buf_bytes(&text)};
    line_reject(s, "CONNECT", &no, (struct bytes){0});
}

/* Of SMTP_NEED_CLOSE, too. */
void session_finish(struct receiver *r, struct session *s)
{
    if (s->server.errors > s->server.config->errors_max) line_end(s, "too many errors");
    if (s->server.foreign) reject_foreign(s, (enum smtp_foreign)s->server.foreign, 500, (struct enhanced){5, 5, 2});
    mail_forget(r, s);
    chain_give(&r->pool, &s->held);
    session_set_wait(r, s, WAIT_NONE);
    s->stage = STAGE_LAST;
}

/* ---- stepping ---- */

/* content_fault - say in the log why the machine has thrown content away: it cannot say so itself. */
static void content_fault(const struct receiver *r, struct session *s)
{
    static const struct smtp_policy_answer faults[] = {
        [SMTP_BODY_BARE_NEWLINE] = {550, {5, 6, 0}, BYTES_INIT("Error: bare <CR> or <LF> received")},
        [SMTP_BODY_LINE_TOO_LONG] = {554, {5, 6, 0}, BYTES_INIT("Error: line too long")},
        [SMTP_BODY_TOO_BIG] = {552, {5, 3, 4}, BYTES_INIT("Error: message size exceeds the limit")},
    };
    static const struct smtp_policy_answer loop = {554, {5, 4, 6}, BYTES_INIT("Error: too many hops")};
    if (s->content.count == 0 && !s->file) return;
    uint8_t fault = s->by_bdat ? s->server.chunk.fault : s->server.body.fault;
    if (fault != SMTP_BODY_OK && fault < sizeof faults / sizeof *faults) line_reject(s, "END-OF-MESSAGE", &faults[fault], (struct bytes){0});
    else if (s->server.header.received_count > r->config->limits.hops) line_reject(s, "END-OF-MESSAGE", &loop, (struct bytes){0});
}

static void answer(struct receiver *r, struct session *s, enum smtp_server_need need)
{
    switch (need) {
    case SMTP_NEED_OUT:
        session_wait(r, s, WAIT_OUT, 0);
        break;
    case SMTP_NEED_AUTH:
        login_go_on(r, s);
        break;
    case SMTP_NEED_SENDER:
        mail_sender(r, s);
        break;
    case SMTP_NEED_RCPT:
        mail_rcpt(r, s);
        break;
    case SMTP_NEED_XCLIENT:
        proxied_xclient(r, s);
        break;
    case SMTP_NEED_BODY:
        s->by_bdat = s->server.bdat;
        content_begin(r, s);
        break;
    case SMTP_NEED_ROOM:
        content_room(r, s);
        break;
    case SMTP_NEED_COMMIT:
        commit_begin(r, s);
        break;
    case SMTP_NEED_TLS:
        secure_starttls(r, s);
        break;
    case SMTP_NEED_ABORT:
        content_fault(r, s);
        mail_forget(r, s);
        break;
    default:
        must(need == SMTP_NEED_CLOSE);
        content_fault(r, s);
        session_finish(r, s);
        break;
    }
}

/* eat - step the machine over `in`, which may be empty, until it wants more or must wait. Returns the octets eaten. */
static uint32_t eat(struct receiver *r, struct session *s, struct bytes in)
{
    struct box_slot *slot = box_slot(&r->box, s->index);
    uint32_t eaten = 0;
    /* Passwords are not for crash records. */
    bool secret = s->server.phase == SMTP_PHASE_AUTH || bytes_starts_nocase(in, BYTES("AUTH "));
    if (in.len) box_keep(slot, secret ? BYTES("(an authentication, which is not kept)") : in, true);
    while (session_goes_on(s)) {
        uint32_t used = 0;
        box_parse_begin(&r->box, slot, s->transaction ? STEP_BODY : STEP_NONE);
        planted_fault("command", bytes_from(in, eaten), r->box.memory, BOX_HEADER_BYTES + (uint64_t)r->session_fresh * BOX_SLOT_BYTES);
        enum smtp_server_need need = smtp_server_step(&s->server, bytes_from(in, eaten), &used, r->now_ms, &s->fx);
        box_parse_end(slot);
        eaten += used;
        if (need == SMTP_NEED_INPUT) break;
        answer(r, s, need);
    }
    return eaten;
}

bool session_keep_input(struct receiver *r, struct session *s, struct bytes in)
{
    while (in.len > 0) {
        if (s->held.count == 0 || r->pool.chunks[s->held.last].used == POOL_CHUNK_BYTES) {
            if (chain_extend(&r->pool, &s->held, POOL_FOR_SESSION) == POOL_NONE) return false;
        }
        struct pool_chunk *chunk = &r->pool.chunks[s->held.last];
        uint32_t room = (uint32_t)POOL_CHUNK_BYTES - chunk->used, n = room < in.len ? room : in.len;
        memcpy(pool_memory(&r->pool, s->held.last) + chunk->used, in.ptr, n);
        chunk->used = (uint16_t)(chunk->used + n);
        in = bytes_from(in, n);
    }
    return true;
}

static void eat_held(struct receiver *r, struct session *s)
{
    while (session_goes_on(s) && s->held.count > 0) {
        struct bytes in = bytes_from(pool_bytes(&r->pool, s->held.first), s->held_at);
        uint32_t used = eat(r, s, in);
        s->held_at += used;
        if (used < in.len || s->held.count == 0) continue; /* it waits, or session_finish() has given all back */
        chain_drop_first(&r->pool, &s->held);
        s->held_at = 0;
    }
    (void)eat(r, s, (struct bytes){0});
}

static void run_open(struct receiver *r, struct session *s)
{
    struct bytes in = s->fresh;
    s->fresh = (struct bytes){0};
    if (s->wait == WAIT_OUT && buf_room(&s->fx.out) >= SMTP_SERVER_OUT_BYTES_MIN) session_set_wait(r, s, WAIT_NONE);
    if (in.len == 0) {
        eat_held(r, s);
        return;
    }
    must(s->held.count == 0);
    in = bytes_from(in, eat(r, s, in));
    s->held_at = 0;
    if (s->stage != STAGE_OPEN || session_keep_input(r, s, in)) return;
    log_text(LOG_LEVEL_WARNING, "a client is dropped: no memory to keep its input");
    session_shut(r, s);
}

/* begin_watch - a stranger gets a moment to show that it talks first (RFC 5321 3.1): one turn, and the listener's greeting-delay. False:
 * it has had that. */
static bool begin_watch(struct receiver *r, struct session *s)
{
    if (s->trusted || s->watched || r->draining || s->held.count > 0) return false; /* held: it came with a proxy's header */
    uint64_t delay_ms = CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[s->listener].greeting_delay_ms;
    s->watched = true;
    session_listen(r, s);
    if (delay_ms > 0) s->fresh_until_ms = r->now_ms + delay_ms;
    else session_queue(r, s);
    return true;
}

static void reject_early(const struct receiver *r, struct session *s)
{
    static const struct smtp_policy_answer early = {554, {5, 5, 1}, BYTES_INIT("Error: client talks before the greeting")};
    struct bytes first = s->fresh.len > 0 ? s->fresh : pool_bytes(&r->pool, s->held.first);
    enum smtp_foreign what = smtp_foreign_first(first);
    if (what != SMTP_FOREIGN_NONE) reject_foreign(s, what, 554, (struct enhanced){5, 5, 1});
    else line_reject(s, "CONNECT", &early, (struct bytes){0});
    s->stage = STAGE_OPEN; /* the machine refuses what comes before the greeting */
}

/* run_fresh - before the banner. */
static void run_fresh(struct receiver *r, struct session *s)
{
    if (begin_watch(r, s)) return;
    if (s->fresh.len > 0 || (s->held.count > 0 && !s->trusted)) reject_early(r, s);
    else if (s->fresh_until_ms != 0 && !r->draining) return; /* its name came, say */
    else session_greet(r, s, NULL);
    s->fresh_until_ms = 0;
    run_open(r, s);
}

/* flush - one send at a time, of everything that is to be said. */
static void flush(struct receiver *r, struct session *s)
{
    must(!s->fx.out.overflow && s->sent <= s->fx.out.len);
    /* What was said before the handshake, 220 to STARTTLS, goes in the clear. */
    if (s->tls && !(s->wait == WAIT_TLS && s->sent < s->fx.out.len)) {
        secure_flush(r, s);
        return;
    }
    if (s->sending || s->sent == s->fx.out.len) return;
    const struct ring_token token = {TOKEN_SEND, s->generation, s->index};
    if (ring_send(r->ring, s->fd, token, s->reply + s->sent, s->fx.out.len - s->sent) != ERR_NONE) {
        session_shut(r, s);
        return;
    }
    s->sending = true;
    s->write_until_ms = r->now_ms + r->config->timeouts.server_command;
}

static bool wants_input(const struct session *s)
{
    return (session_goes_on(s) && s->held.count == 0) || (s->stage == STAGE_OPEN && s->wait == WAIT_TLS);
}

static void run(struct receiver *r, struct session *s)
{
    s->running = true;
    if (s->tls && s->fresh.len > 0 && s->stage <= STAGE_OPEN) secure_input(r, s);
    if (s->gone && s->stage != STAGE_SHUT) {
        if (s->stage == STAGE_PROXY) s->unnamed = true;
        if (s->stage <= STAGE_OPEN && !line_is_quiet(s)) line_end(s, "lost connection");
        session_shut(r, s);
    }
    if (s->stage == STAGE_PROXY) proxied_run(r, s);
    else if (s->stage == STAGE_FRESH) run_fresh(r, s);
    else if (s->stage == STAGE_OPEN) run_open(r, s);
    if (s->tls_ended && session_goes_on(s) && s->held.count == 0) {
        line_end(s, "lost connection");
        session_finish(r, s); /* the end of TLS is answered, and is the end */
    }
    if (s->stage == STAGE_OPEN || s->stage == STAGE_LAST) flush(r, s);
    if (s->stage == STAGE_LAST && !s->sending && s->sent == s->fx.out.len && s->flight.len == 0) last_said(r, s);
    if (wants_input(s)) session_listen(r, s);
    s->running = false;
    if (s->stage != STAGE_SHUT) session_timer(r, s);
    else if (ring_is_idle(r->ring, s->fd) && !s->queued) session_free(r, s);
}

void sessions_run(struct receiver *r)
{
    /* Those that queue meanwhile are for the next turn. */
    for (uint32_t left = r->run_count; left > 0; left--) {
        struct session *s = session_at(r, r->run_head);
        r->run_head = s->next;
        r->run_count--;
        s->queued = false;
        if (s->stage == STAGE_EXPLAIN) explain_run(r, s);
        else run(r, s);
    }
    if (r->run_count > 0) process_wake(r->process);
}

/* ---- events ---- */

static void on_received(struct receiver *r, struct session *s, const struct ring_event *e)
{
    s->receiving = false;
    if (s->stage == STAGE_LINGER && e->result > 0) s->lingered += (uint32_t)e->result;
    if (e->result <= 0 || s->lingered > LINGER_BYTES_MAX) s->gone = true;
    else if (s->stage == STAGE_LINGER) session_listen(r, s);
    else if (s->stage <= STAGE_OPEN) s->fresh = e->data;
    session_queue(r, s);
}

static void on_sent(struct receiver *r, struct session *s, const struct ring_event *e)
{
    s->sending = false;
    if (e->result <= 0) {
        s->gone = true;
    } else if (s->sending_flight) {
        s->write_until_ms = 0;
        secure_sent(s, (uint32_t)e->result);
    } else {
        s->sent += (uint32_t)e->result;
        must(s->sent <= s->fx.out.len);
        s->write_until_ms = 0;
        if (s->sent == s->fx.out.len) s->sent = s->fx.out.len = 0;
    }
    /* Mostly there is nothing to do now: the client has its answer, and the next command is awaited already. */
    if (s->gone || s->stage != STAGE_OPEN || s->wait == WAIT_OUT || s->fx.out.len > 0 || s->flight.len > 0) session_queue(r, s);
    s->sending_flight = false;
}

void sessions_event(struct receiver *r, const struct ring_event *e)
{
    if (e->token.index >= r->session_fresh) return;
    struct session *s = session_at(r, e->token.index);
    if (s->stage == STAGE_FREE || s->generation != e->token.generation) return;
    if (e->token.kind == TOKEN_RECEIVE) on_received(r, s, e);
    else on_sent(r, s, e);
}
