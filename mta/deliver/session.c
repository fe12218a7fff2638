/*
 * session - one connection to a remote server: octets between the ring and the client machine, content on its way out.
 *
 * After every call of the machine act() does what it asks: send, pump, report, close. At most one send is under way; the session is freed when nothing
 * of it is in flight.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/must.h"
#include "base/planted.h"
#include "mta/deliver/deliver.h"

static struct deliver *worker; /* the one of this process: verdicts come by a callback that knows only its session */

struct deliver *deliver_of_session(const struct session *s)
{
    (void)s;
    return worker;
}

static uint64_t now_ms(const struct deliver *d) { return process_now_ms(d->process); }
static struct ring_token token_of(const struct deliver *d, const struct session *s)
{
    return (struct ring_token){DELIVER_TOKEN_SESSION, s->generation, (uint32_t)(s - d->sessions)};
}

static void release_flight(struct deliver *d, struct session *s)
{
    if (!s->flight) return;
    s->flight->next = d->flights;
    d->flights = s->flight;
    s->flight = NULL;
}

static struct flight *take_flight(struct deliver *d)
{
    struct flight *f = d->flights;
    if (f) d->flights = f->next;
    else f = malloc(sizeof *f);
    return f;
}

/* free_when_idle - the last event of a closing session came, or there was none to come. */
static void free_when_idle(struct deliver *d, struct session *s)
{
    if (!s->closing || s->receiving || s->sending || s->pumping) return;
    if (s->fd >= 0) ring_close(process_ring(d->process), s->fd);
    release_flight(d, s);
    secrecy_end(s);
    job_free(s->job);
    s->job = NULL;
    heap_remove(&d->timers, &s->timer);
    session_unlist(d, s);
    box_end(&d->box, session_slot(d, s));
    session_give_free(d, s);
    s->used = false;
    d->count--;
}

static void shut(struct deliver *d, struct session *s)
{
    s->closing = true;
    heap_remove(&d->timers, &s->timer);
    if (s->fd >= 0) ring_shut(process_ring(d->process), s->fd);
    free_when_idle(d, s);
}

/* what else CLOSED may say */
enum { CLOSED_HELO_ONLY = 1, CLOSED_REUSE_OFF = 2, CLOSED_CLEAR = 4 };

static void say_closed(struct deliver *d, struct session *s, const struct verdict *v, uint32_t flags)
{
    if (s->closed_said || s->orphan) return;
    s->closed_said = true;
    struct ipc_closed m = {
        .connection = s->connection, .helo_only_next = flags & CLOSED_HELO_ONLY ? 1 : 0, .reuse_off = flags & CLOSED_REUSE_OFF ? 1 : 0,
        .clear_next = flags & CLOSED_CLEAR ? 1 : 0, .class = v->class, .scope = v->scope, .step = v->step,
        .remote = v->remote, .code = v->code, .enhanced_class = v->enhanced.class, .enhanced_subject = v->enhanced.subject,
        .enhanced_detail = v->enhanced.detail, .text = v->text,
    };
    struct ipc_channel *manager = process_channel(d->process, ROLE_MANAGER, 0);
    if (manager && ipc_send_closed(manager, &m, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take messages: channel full");
}

static void send_more(struct deliver *d, struct session *s)
{
    enum err e = ring_send(process_ring(d->process), s->fd, token_of(d, s), s->flight->octets + s->flight_sent, s->flight_len - s->flight_sent);
    if (e == ERR_NONE) s->sending = true;
    else s->broken = true;
}

/* send_commands - what the machine said goes out, unless a send is under way: the machine only speaks again when it was answered. */
static void send_commands(struct deliver *d, struct session *s, struct bytes out)
{
    if ((!out.len && (!s->own_len || s->sending)) || s->closing) return;
    must(!s->sending);
    if (!s->flight) s->flight = take_flight(d);
    if (!s->flight) {
        s->broken = true;
        return;
    }
    if (s->tls_used) {
        if (secrecy_out(d, s, out)) send_more(d, s);
        else s->broken = true;
        return;
    }
    memcpy(s->flight->octets, out.ptr, out.len);
    s->flight_len = out.len;
    s->flight_sent = 0;
    send_more(d, s);
}

/* room_for_commands - what the machine may say at once: it must fit a flight. */
static struct buf room_for_commands(const struct deliver *d, const struct session *s)
{
    return buf_over(d->scratch, s->tls ? PLAIN_FLIGHT_BYTES : FLIGHT_BYTES);
}

static void act(struct deliver *d, struct session *s, struct smtp_client_effects *fx);

static void lose(struct deliver *d, struct session *s)
{
    struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
    s->broken = false;
    smtp_client_gone(&s->client, now_ms(d), &fx);
    act(d, s, &fx);
}

/* pump_later - the session's turn to send content comes when all parsing of this loop turn is over. */
static void pump_later(struct deliver *d, struct session *s)
{
    if (s->pumping) return;
    s->pumping = true;
    s->pump_next = d->pump_head;
    d->pump_head = (uint32_t)(s - d->sessions) + 1;
}

/* fill - the next flight of content. What is in it came from strangers too. */
static void fill(struct deliver *d, struct session *s)
{
    if (!s->flight) s->flight = take_flight(d);
    if (!s->flight) {
        s->broken = true;
        return;
    }
    struct buf out = s->tls_used ? buf_over(d->plain, PLAIN_FLIGHT_BYTES) : buf_over(s->flight->octets, FLIGHT_BYTES);
    box_parse_begin(&d->box, session_slot(d, s), STEP_BODY);
    enum err e = pump_fill(s, &out, &s->pumped_end);
    planted_fault("content", buf_bytes(&out), d->box.memory, BOX_HEADER_BYTES + (uint64_t)d->high * BOX_SLOT_BYTES);
    box_parse_end(session_slot(d, s));
    if (e != ERR_NONE) {
        /* The end is never sent, so the remote has no message; closing tells it so. */
        log_err(LOG_LEVEL_ERROR, "cannot read a message's body", BYTES("body"), e);
        s->source = CONTENT_NONE;
        s->broken = true;
        return;
    }
    if (s->tls_used) {
        if (!secrecy_out(d, s, buf_bytes(&out))) s->broken = true;
        return;
    }
    s->flight_len = out.len;
    s->flight_sent = 0;
}

/* intend_dot - the send that is about to be submitted holds the end: from here on the remote may have the message. */
static void intend_dot(struct deliver *d, struct session *s)
{
    struct box_slot *slot = session_slot(d, s);
    box_dot_intent(&d->box, slot);
    smtp_client_content_sent(&s->client, now_ms(d));
    s->pumped_end = false;
    s->dot = (struct dot){0};
    s->dot_awaited = !s->client.early;
    if (s->client.early) box_dot(&d->box, slot, BOX_DOT_JUNK, 0); /* an answer that began before its question */
}

static void set_timer(struct deliver *d, struct session *s);

void sessions_pump(struct deliver *d)
{
    uint32_t all = d->pump_head;
    d->pump_head = 0;
    for (uint32_t at = all; at; at = d->sessions[at - 1].pump_next)
        if (!d->sessions[at - 1].closing) fill(d, &d->sessions[at - 1]);
    for (uint32_t at = all, next; at; at = next) {
        struct session *s = &d->sessions[at - 1];
        next = s->pump_next;
        s->pumping = false;
        if (s->closing) {
            free_when_idle(d, s);
            continue;
        }
        if (!s->broken && s->pumped_end) intend_dot(d, s);
        if (!s->broken) send_more(d, s);
        if (s->broken) lose(d, s);
        else set_timer(d, s);
    }
}

static void end_job(struct deliver *d, struct session *s)
{
    if (!s->job) return;
    job_flush(d, s, true);
    job_free(s->job);
    s->job = NULL;
    s->source = CONTENT_NONE;
}

static void try_start(struct deliver *d, struct session *s, struct smtp_client_effects *fx)
{
    struct job *job = s->job;
    if (!job || job->started || s->closing || s->sending || !smtp_client_can_start(&s->client)) return;
    job->started = true;
    smtp_client_start(&s->client, &job->said, job->rcpt_state, now_ms(d), fx);
}

static void set_timer(struct deliver *d, struct session *s)
{
    if (s->closing) return;
    if (!s->client.deadline_ms) heap_remove(&d->timers, &s->timer);
    else must(heap_put(&d->timers, &s->timer, s->orphan && s->orphan_until_ms < s->client.deadline_ms ? s->orphan_until_ms : s->client.deadline_ms) ==
              ERR_NONE); /* room for every session was made */
}

static void act(struct deliver *d, struct session *s, struct smtp_client_effects *fx)
{
    if (!s->greeting_us && s->client.greeted) s->greeting_us = (uint32_t)(clock_mono_us() - s->opened_us);
    bool was_job = s->job && s->job->started;
    if (fx->job_done) end_job(d, s);
    if (s->orphan && !s->job) { /* its answer is in the box; nobody is left to hear more */
        shut(d, s);
        return;
    }
    send_commands(d, s, buf_bytes(&fx->out));
    fx->out.len = 0;
    if (fx->want_tls && !fx->close) {
        fx->want_tls = false;
        if (secrecy_begin(d, s)) send_commands(d, s, (struct bytes){0});
        else smtp_client_tls_failed(&s->client, BYTES("it cannot be begun here"), fx);
    }
    if (fx->close) {
        /* A job that got no verdict at all goes back with CLOSED: the manager returns it. */
        bool reuse_off = s->client.messages > 0 && s->client.last_answer == SMTP_ANSWER_421;
        struct verdict fine = {0};
        uint32_t flags = (fx->helo_only_next ? CLOSED_HELO_ONLY : 0u) | (reuse_off ? CLOSED_REUSE_OFF : 0u) | (fx->clear_next ? CLOSED_CLEAR : 0u);
        say_closed(d, s, fx->same_host ? &fine : &fx->site, flags);
        shut(d, s);
        return;
    }
    if (fx->want_content && !s->closing) {
        fx->want_content = false;
        pump_begin(s);
        if (!s->sending) pump_later(d, s);
    }
    if (s->broken) {
        lose(d, s);
        return;
    }
    if (was_job && fx->job_done && s->job == NULL) smtp_client_check(&s->client);
    set_timer(d, s);
}

void session_socket(struct deliver *d, struct session *s, const struct ipc_socket *m, int fd)
{
    worker = d;
    s->fd = fd;
    s->remote = m->remote;
    s->opened_us = clock_mono_us();
    struct buf label = BUF_OVER(s->label);
    buf_put(&label, m->host);
    buf_put_c(&label, '[');
    net_print_ip(&label, &m->remote);
    buf_put_c(&label, ']');
    s->label_len = (uint16_t)label.len;
    s->helo_len = (uint16_t)m->helo.len;
    memcpy(s->helo, m->helo.ptr, m->helo.len);
    smtp_client_init(&s->client, &d->timeouts, bytes_of(s->helo, s->helo_len), bytes_of(s->label, s->label_len), job_verdict, s, now_ms(d));
    if (m->helo_only) smtp_client_helo_only(&s->client);
    if (d->alone) smtp_client_one_by_one(&s->client);
    session_slot(d, s)->peer = m->remote;
    bool good = secrecy_use(d, s, m->secrecy);
    struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
    if (ring_receive(process_ring(d->process), fd, token_of(d, s)) == ERR_NONE) s->receiving = true;
    else s->broken = true;
    try_start(d, s, &fx);
    if (!good) smtp_client_tls_failed(&s->client, BYTES("it cannot be begun here"), &fx);
    act(d, s, &fx);
}

void session_job(struct deliver *d, struct session *s, struct job *job)
{
    s->job = job;
    s->dot_awaited = false;
    box_attempt(&d->box, session_slot(d, s), job->attempt, job->said.rcpt_count);
    if (s->fd < 0) {
        s->wait_until_ms = now_ms(d) + SOCKET_WAIT_MS;
        must(heap_put(&d->timers, &s->timer, s->wait_until_ms) == ERR_NONE);
        return;
    }
    struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
    try_start(d, s, &fx);
    act(d, s, &fx);
}

void session_quit(struct deliver *d, struct session *s)
{
    if (s->fd < 0 || s->closing || s->job) return;
    struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
    smtp_client_quit(&s->client, now_ms(d), &fx);
    act(d, s, &fx);
}

/* step_of - what the remote answers now. */
static enum mail_step step_of(const struct session *s)
{
    static const uint8_t steps[SMTP_CLIENT_STEP_COUNT] = {
        STEP_BANNER, STEP_EHLO, STEP_HELO, STEP_STARTTLS, STEP_TLS, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BODY, STEP_DOT, STEP_RSET, STEP_QUIT, STEP_IDLE};
    const struct smtp_client *c = &s->client;
    if (c->pending_count) return (enum mail_step)steps[c->pending[c->pending_head].step];
    return c->in_content ? STEP_BODY : STEP_IDLE;
}

/* look - octets of the remote, before the eyes of the machine. Whether the message was taken is decided and stored first, by a function that cannot fail. */
static void look(struct deliver *d, struct session *s, struct bytes in, struct smtp_client_effects *fx)
{
    struct box_slot *slot = session_slot(d, s);
    box_keep(slot, in, !s->dot_awaited && s->client.reply.bytes == 0);
    box_parse_begin(&d->box, slot, step_of(s));
    planted_fault("early", in, NULL, 0);
    if (s->dot_awaited) {
        enum box_dot dot = dot_feed(&s->dot, in);
        if (dot != BOX_DOT_PARTIAL) {
            box_dot(&d->box, slot, dot, dot == BOX_DOT_CODE ? s->dot.code : 0);
            s->dot_awaited = false;
        }
    }
    planted_fault("reply", in, d->box.memory, BOX_HEADER_BYTES + (uint64_t)d->high * BOX_SLOT_BYTES);
    smtp_client_feed(&s->client, in, now_ms(d), fx);
    box_parse_end(slot);
}

/* decrypt - octets of the wire; what is in them for the machine goes to look(). */
static void decrypt(struct deliver *d, struct session *s, struct bytes in, struct smtp_client_effects *fx)
{
    struct box_slot *slot = session_slot(d, s);
    struct bytes plain;
    bool was_open = s->tls_open;
    if (!was_open) box_keep(slot, in, true);
    box_parse_begin(&d->box, slot, was_open ? step_of(s) : STEP_TLS);
    enum tls_state state = secrecy_in(d, s, in, &plain);
    box_parse_end(slot);
    if (!was_open && s->tls_open) smtp_client_secured(&s->client, now_ms(d), fx);
    if (plain.len > 0 && !fx->close) look(d, s, plain, fx);
    if (fx->close) return;
    if (state == TLS_FAILED && !s->tls_open) smtp_client_tls_failed(&s->client, tls_words(s->tls), fx);
    else if (state == TLS_FAILED || state == TLS_ENDED) smtp_client_gone(&s->client, now_ms(d), fx);
}

static void received(struct deliver *d, struct session *s, const struct ring_event *e)
{
    s->receiving = false;
    if (s->closing) return;
    struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
    if (e->result <= 0) {
        smtp_client_gone(&s->client, now_ms(d), &fx);
    } else {
        if (s->tls_used) decrypt(d, s, e->data, &fx);
        else look(d, s, e->data, &fx);
        /* The job ends before the next one starts, so that their verdicts do not mix. */
        if (fx.job_done && !fx.close) {
            end_job(d, s);
            fx.job_done = false;
        }
        if (!fx.close) try_start(d, s, &fx);
    }
    if (!fx.close && ring_receive(process_ring(d->process), s->fd, token_of(d, s)) == ERR_NONE) s->receiving = true;
    act(d, s, &fx);
}

static void sent(struct deliver *d, struct session *s, const struct ring_event *e)
{
    s->sending = false;
    if (s->closing) return;
    if (e->result <= 0) {
        s->source = CONTENT_NONE;
        lose(d, s);
        return;
    }
    s->flight_sent += (uint32_t)e->result;
    if (s->client.in_content) smtp_client_content_progress(&s->client, (uint32_t)e->result, now_ms(d));
    if (s->flight_sent < s->flight_len) {
        send_more(d, s);
    } else if (s->source != CONTENT_NONE) {
        pump_later(d, s);
        return;
    } else {
        if (!s->own_len) release_flight(d, s);
        struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
        smtp_client_more(&s->client, now_ms(d), &fx);
        try_start(d, s, &fx);
        act(d, s, &fx);
        return;
    }
    if (s->broken) lose(d, s);
    else set_timer(d, s);
}

void session_event(struct deliver *d, const struct ring_event *e)
{
    if (e->token.index >= d->high) return;
    struct session *s = &d->sessions[e->token.index];
    if (!s->used || s->generation != e->token.generation) return;
    if (e->type == RING_RECEIVED) received(d, s, e);
    else if (e->type == RING_SENT) sent(d, s, e);
    if (s->used) free_when_idle(d, s);
}

void session_late(struct deliver *d, struct session *s)
{
    if (s->fd < 0) { /* its SOCKET never came */
        struct verdict fine = {0};
        if (s->job) job_untried(d, s->job->attempt, s->job->said.rcpt_count);
        say_closed(d, s, &fine, 0);
        shut(d, s);
        return;
    }
    struct smtp_client_effects fx = {.out = room_for_commands(d, s)};
    heap_remove(&d->timers, &s->timer);
    smtp_client_late(&s->client, now_ms(d), &fx);
    if (s->sending) fx.out.len = 0; /* no place for a farewell behind what the remote does not take */
    act(d, s, &fx);
}

void session_orphan(struct deliver *d, struct session *s)
{
    bool answer_awaited = s->job && s->dot_awaited;
    session_unlist(d, s); /* the next manager may use the same number for another connection */
    s->orphan = true;
    if (s->closing) return;
    if (!answer_awaited) {
        shut(d, s);
        return;
    }
    s->orphan_until_ms = now_ms(d) + ORPHAN_MS;
    set_timer(d, s);
}
