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
#include "mta/deliver/deliver.h"

static struct deliver *worker; /* the one of this process: verdicts come by a callback that knows only its session */

struct deliver *deliver_of_session(const struct session *s)
{
    (void)s;
    return worker;
}

static uint32_t bucket(uint64_t connection) { return (uint32_t)(hash_mix(connection) % SESSION_TABLE); }
static uint64_t now_ms(const struct deliver *d) { return process_now_ms(d->process); }
static struct ring_token token_of(const struct deliver *d, const struct session *s)
{
    return (struct ring_token){DELIVER_TOKEN_SESSION, s->generation, (uint32_t)(s - d->sessions)};
}

struct session *session_find(struct deliver *d, uint64_t connection)
{
    for (uint32_t at = d->table[bucket(connection)]; at; at = d->sessions[at - 1].hash_next)
        if (d->sessions[at - 1].connection == connection) return &d->sessions[at - 1];
    return NULL;
}

struct session *session_make(struct deliver *d, uint64_t connection)
{
    uint32_t index = d->free_head ? d->free_head - 1 : d->high;
    if (index >= SESSIONS_MAX) return NULL;
    struct session *s = &d->sessions[index];
    if (d->free_head) d->free_head = s->hash_next;
    else d->high++;
    uint32_t generation = (s->generation + 1) & 0xffffff;
    memset(s, 0, offsetof(struct session, label));
    s->generation = generation;
    s->used = true;
    s->fd = -1;
    s->connection = connection;
    uint32_t *head = &d->table[bucket(connection)];
    s->hash_next = *head;
    *head = index + 1;
    d->count++;
    worker = d;
    return s;
}

static void unlink_session(struct deliver *d, struct session *s)
{
    uint32_t self = (uint32_t)(s - d->sessions) + 1;
    uint32_t *at = &d->table[bucket(s->connection)];
    while (*at != self) at = &d->sessions[*at - 1].hash_next;
    *at = s->hash_next;
    s->hash_next = d->free_head;
    d->free_head = self;
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
    if (!s->closing || s->receiving || s->sending) return;
    if (s->fd >= 0) ring_close(process_ring(d->process), s->fd);
    release_flight(d, s);
    job_free(s->job);
    s->job = NULL;
    heap_remove(&d->timers, &s->timer);
    unlink_session(d, s);
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

static void say_closed(struct deliver *d, struct session *s, const struct verdict *v, bool helo_only_next, bool reuse_off)
{
    if (s->closed_said) return;
    s->closed_said = true;
    struct ipc_closed m = {
        .connection = s->connection, .helo_only_next = helo_only_next, .reuse_off = reuse_off, .class = v->class, .scope = v->scope, .step = v->step,
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
    if (!out.len || s->closing) return;
    must(!s->sending);
    if (!s->flight) s->flight = take_flight(d);
    if (!s->flight) {
        s->broken = true;
        return;
    }
    memcpy(s->flight->octets, out.ptr, out.len);
    s->flight_len = out.len;
    s->flight_sent = 0;
    send_more(d, s);
}

static void act(struct deliver *d, struct session *s, struct smtp_client_effects *fx);

static void lose(struct deliver *d, struct session *s)
{
    struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
    s->broken = false;
    smtp_client_gone(&s->client, now_ms(d), &fx);
    act(d, s, &fx);
}

/* pump - the next flight of content; DOT's place: the machine is told before the send that holds the end is submitted. */
static void pump(struct deliver *d, struct session *s)
{
    if (!s->flight) s->flight = take_flight(d);
    if (!s->flight) {
        s->broken = true;
        return;
    }
    bool end = false;
    struct buf out = buf_over(s->flight->octets, FLIGHT_BYTES);
    enum err e = pump_fill(s, &out, &end);
    if (e != ERR_NONE) {
        /* The end is never sent, so the remote has no message; closing tells it so. */
        log_err(LOG_LEVEL_ERROR, "cannot read a message's body", BYTES("body"), e);
        s->source = CONTENT_NONE;
        s->broken = true;
        return;
    }
    if (end) smtp_client_content_sent(&s->client, now_ms(d));
    s->flight_len = out.len;
    s->flight_sent = 0;
    send_more(d, s);
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
    else must(heap_put(&d->timers, &s->timer, s->client.deadline_ms) == ERR_NONE); /* room for every session was made */
}

static void act(struct deliver *d, struct session *s, struct smtp_client_effects *fx)
{
    if (!s->greeting_us && s->client.greeted) s->greeting_us = (uint32_t)(clock_mono_us() - s->opened_us);
    bool was_job = s->job && s->job->started;
    if (fx->job_done) end_job(d, s);
    send_commands(d, s, buf_bytes(&fx->out));
    if (fx->close) {
        /* A job that got no verdict at all goes back with CLOSED: the manager returns it. */
        bool reuse_off = s->client.messages > 0 && s->client.last_answer == SMTP_ANSWER_421;
        struct verdict fine = {0};
        say_closed(d, s, fx->same_host ? &fine : &fx->site, fx->helo_only_next, reuse_off);
        shut(d, s);
        return;
    }
    if (fx->want_content && !s->closing) {
        fx->want_content = false;
        pump_begin(s);
        if (!s->sending) pump(d, s);
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
    struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
    if (ring_receive(process_ring(d->process), fd, token_of(d, s)) == ERR_NONE) s->receiving = true;
    else s->broken = true;
    try_start(d, s, &fx);
    act(d, s, &fx);
}

void session_job(struct deliver *d, struct session *s, struct job *job)
{
    s->job = job;
    if (s->fd < 0) {
        s->wait_until_ms = now_ms(d) + SOCKET_WAIT_MS;
        must(heap_put(&d->timers, &s->timer, s->wait_until_ms) == ERR_NONE);
        return;
    }
    struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
    try_start(d, s, &fx);
    act(d, s, &fx);
}

void session_quit(struct deliver *d, struct session *s)
{
    if (s->fd < 0 || s->closing || s->job) return;
    struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
    smtp_client_quit(&s->client, now_ms(d), &fx);
    act(d, s, &fx);
}

static void received(struct deliver *d, struct session *s, const struct ring_event *e)
{
    s->receiving = false;
    if (s->closing) return;
    struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
    if (e->result <= 0) {
        smtp_client_gone(&s->client, now_ms(d), &fx);
    } else {
        smtp_client_feed(&s->client, e->data, now_ms(d), &fx);
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
    if (s->client.in_content) smtp_client_content_progress(&s->client, now_ms(d));
    if (s->flight_sent < s->flight_len) {
        send_more(d, s);
    } else if (s->source != CONTENT_NONE) {
        pump(d, s);
    } else {
        release_flight(d, s);
        struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
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
        say_closed(d, s, &fine, false, false);
        shut(d, s);
        return;
    }
    struct smtp_client_effects fx = {.out = buf_over(d->scratch, FLIGHT_BYTES)};
    heap_remove(&d->timers, &s->timer);
    smtp_client_late(&s->client, now_ms(d), &fx);
    if (s->sending) fx.out.len = 0; /* no place for a farewell behind what the remote does not take */
    act(d, s, &fx);
}

/* session_abandon - the manager that gave the job is gone: nobody would hear the verdict. */
void session_abandon(struct deliver *d, struct session *s)
{
    s->closed_said = true;
    shut(d, s);
}
