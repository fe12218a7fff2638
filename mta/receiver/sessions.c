/*
 * sessions - clients' connections as slots: how they come, what they may wait for, when that is too long, how they end.
 *
 * A slot is freed only when the ring has nothing of it any more, and its number then gets another generation. Each
 * session has one node in the heap of deadlines, for the nearest of them.
 */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/receiver/receiver.h"

enum { NO_SESSION = UINT32_MAX, GENERATION_MASK = 0xffffff };

static_assert(RECEIVER_SESSIONS_MAX <= 1 << RECEIVER_INDEX_BITS, "a session's number must fit beside the sequence");
static_assert(offsetof(struct session, timer) == 0, "the heap gives back the session itself");

enum err sessions_init(struct receiver *r)
{
    /* Any receiver can take all clients, and those that are to be refused politely: the others may be down. */
    uint64_t wanted = (uint64_t)r->config->limits.connections + r->config->limits.connections / 8 + 256;
    r->session_max = wanted < RECEIVER_SESSIONS_MAX ? (uint32_t)wanted : RECEIVER_SESSIONS_MAX;
    void *memory = mmap(NULL, (size_t)r->session_max * SESSION_STRIDE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    r->sessions = memory;
    r->session_free = r->run_head = r->run_tail = NO_SESSION;
    return heap_init(&r->timers, r->session_max);
}

uint64_t receiver_number(struct receiver *r, const struct session *s)
{
    return ++r->sequence << RECEIVER_INDEX_BITS | s->index;
}

struct session *receiver_session_of(const struct receiver *r, uint64_t number)
{
    uint32_t index = (uint32_t)number & ((1u << RECEIVER_INDEX_BITS) - 1);
    if (index >= r->session_fresh) return NULL;
    struct session *s = session_at(r, index);
    return s->stage == STAGE_FREE ? NULL : s;
}

void sessions_each(struct receiver *r, void (*call)(struct receiver *r, struct session *s))
{
    for (uint32_t i = 0; i < r->session_fresh; i++) {
        if (session_at(r, i)->stage != STAGE_FREE) call(r, session_at(r, i));
    }
}

void session_queue(struct receiver *r, struct session *s)
{
    if (s->queued) return;
    s->queued = true;
    s->next = NO_SESSION;
    if (r->run_count++ == 0) r->run_head = s->index;
    else session_at(r, r->run_tail)->next = s->index;
    r->run_tail = s->index;
}

/* ---- waits and deadlines ---- */

static void count_wait(struct receiver *r, const struct session *s, uint32_t by)
{
    if (s->wait == WAIT_CHUNK) r->waiting_chunk += by;
    if (s->wait == WAIT_MANAGER) r->waiting_manager += by;
}

void session_set_wait(struct receiver *r, struct session *s, enum session_wait wait)
{
    count_wait(r, s, UINT32_MAX); /* minus one */
    s->wait = (uint8_t)wait;
    s->wait_until_ms = 0;
    count_wait(r, s, 1);
}

void session_wait(struct receiver *r, struct session *s, enum session_wait wait, uint64_t within_ms)
{
    if (s->wait == wait) return; /* its time goes on */
    session_set_wait(r, s, wait);
    if (within_ms > 0) s->wait_until_ms = r->now_ms + within_ms;
    session_timer(r, s);
}

void session_resume(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_NONE) return;
    session_set_wait(r, s, WAIT_NONE);
    session_queue(r, s);
}

static void sooner(uint64_t *deadline, uint64_t candidate)
{
    if (candidate != 0 && candidate < *deadline) *deadline = candidate;
}

void session_timer(struct receiver *r, struct session *s)
{
    uint64_t deadline = UINT64_MAX;
    sooner(&deadline, s->name_until_ms);
    sooner(&deadline, s->write_until_ms);
    sooner(&deadline, s->linger_until_ms);
    sooner(&deadline, s->wait_until_ms);
    sooner(&deadline, s->fresh_until_ms);
    if (session_goes_on(s) && !s->queued)
        sooner(&deadline, s->server.deadline_ms); /* one that is queued is about to get another */
    /* Deadlines mostly move away: the node stays where it is, comes too early, and is put in again then. */
    if (deadline == UINT64_MAX || (s->timer.place != 0 && s->timer.key <= deadline)) return;
    enum err e = heap_put(&r->timers, &s->timer, deadline);
    must(e == ERR_NONE); /* it was made for all sessions */
}

/* ---- the end of a session ---- */

void session_free(struct receiver *r, struct session *s)
{
    ring_close(r->ring, s->fd);
    secure_end(s);
    struct ipc_channel *acceptor = process_channel(r->process, ROLE_ACCEPTOR, 0);
    struct ipc_client_closed closed = {.connection = s->connection, .well = s->well, .errors = s->server.errors};
    if (acceptor && ipc_peer_epoch(acceptor) == s->acceptor_epoch && ipc_send_client_closed(acceptor, &closed, -1) != ERR_NONE)
        log_text(LOG_LEVEL_WARNING, "the acceptor does not take news: channel full");
    session_release(r, s);
}

void session_release(struct receiver *r, struct session *s)
{
    heap_remove(&r->timers, &s->timer);
    s->stage = STAGE_FREE;
    s->next = r->session_free;
    r->session_free = s->index;
    r->session_count--;
}

void session_shut(struct receiver *r, struct session *s)
{
    if (s->stage == STAGE_SHUT) return;
    if (!s->refused && !s->local && !line_is_quiet(s)) line_disconnect(s);
    bool left = s->tls_ended || (s->gone && s->stage == STAGE_OPEN);
    s->well = !s->refused && (s->server.last_verb == SMTP_VERB_QUIT || (left && s->server.phase == SMTP_PHASE_HELLO));
    mail_forget(r, s);
    login_forget(r, s);
    chain_give(&r->pool, &s->held);
    session_set_wait(r, s, WAIT_NONE);
    s->fresh = (struct bytes){0};
    s->name_asked = false;
    s->name_until_ms = s->write_until_ms = s->linger_until_ms = s->fresh_until_ms = 0;
    s->stage = STAGE_SHUT;
    if (!ring_is_idle(r->ring, s->fd)) ring_shut(r->ring, s->fd);
    if (!s->running) session_queue(r, s);
}

void session_listen(struct receiver *r, struct session *s)
{
    if (s->receiving) return;
    if (ring_receive(r->ring, s->fd, (struct ring_token){TOKEN_RECEIVE, s->generation, s->index}) == ERR_NONE)
        s->receiving = true;
    else session_shut(r, s);
}

static void wait_late(struct receiver *r, struct session *s)
{
    static const struct bytes slow = BYTES_INIT("Temporary failure of the queue; try again later");
    switch (s->wait) {
    case WAIT_AUTH:
        login_late(r, s);
        break;
    case WAIT_SPENT:
        login_spent(r, s, false, 0);
        break;
    case WAIT_MAILBOX:
        mail_mailbox_checked(r, s, 2);
        break;
    case WAIT_ACCEPTOR:
        rates_came(r, s, 0, (struct bytes){0});
        break;
    case WAIT_GREY:
        grey_late(r, s);
        break;
    case WAIT_INQUIRY:
        inquiry_late(r, s);
        break;
    case WAIT_CHUNK:
        content_refuse(r, s, 452, (struct enhanced){4, 3, 1}, BYTES("Insufficient system storage; try again later"));
        break;
    case WAIT_FILE:
    case WAIT_WRITER:
        content_refuse(r, s, 451, (struct enhanced){4, 3, 0}, slow);
        break;
    case WAIT_TLS:
        line_end(s, "timeout");
        session_shut(r, s);
        break;
    case WAIT_NAME:
        names_give_up(r, s);
        break;
    case WAIT_SYNC:
    case WAIT_MANAGER:
    case WAIT_COMMITTED:
        commit_refuse(r, s, 451, (struct enhanced){4, 3, 0}, slow);
        break;
    default:
        break;
    }
}

static bool has_passed(const struct receiver *r, uint64_t deadline_ms)
{
    return deadline_ms != 0 && deadline_ms <= r->now_ms;
}

static void on_deadline(struct receiver *r, struct session *s)
{
    if (has_passed(r, s->name_until_ms)) names_give_up(r, s);
    if (has_passed(r, s->write_until_ms)) {
        if (s->stage <= STAGE_OPEN) line_end(s, "timeout");
        session_shut(r, s);
    } else if (has_passed(r, s->linger_until_ms)) {
        session_shut(r, s);
    } else if (s->stage == STAGE_PROXY && has_passed(r, s->fresh_until_ms)) {
        proxied_late(r, s);
    } else if (s->stage == STAGE_FRESH && has_passed(r, s->fresh_until_ms)) {
        s->fresh_until_ms = 0;
        session_queue(r, s);
    } else if ((s->stage == STAGE_OPEN || s->stage == STAGE_PROXY || s->stage == STAGE_EXPLAIN) && has_passed(r, s->wait_until_ms)) {
        wait_late(r, s);
    } else if (session_goes_on(s) && !s->queued && has_passed(r, s->server.deadline_ms)) {
        line_end(s, "timeout");
        smtp_server_late(&s->server, &s->fx);
        session_queue(r, s);
    }
    if (s->stage != STAGE_SHUT) session_timer(r, s);
}

void sessions_late(struct receiver *r)
{
    for (struct heap_node *first = heap_first(&r->timers); first && first->key <= r->now_ms; first = heap_first(&r->timers)) {
        heap_remove(&r->timers, first);
        on_deadline(r, (struct session *)(void *)first);
    }
}

/* ---- coming and going ---- */

struct session *session_take(struct receiver *r)
{
    uint32_t index = r->session_free;
    if (index != NO_SESSION) r->session_free = session_at(r, index)->next;
    else if (r->session_fresh < r->session_max) index = r->session_fresh++;
    else return NULL;
    struct session *s = session_at(r, index);
    uint32_t generation = (s->generation + 1) & GENERATION_MASK;
    memset(s, 0, offsetof(struct session, server));
    s->index = index;
    s->generation = generation;
    r->session_count++;
    return s;
}

void session_greet(struct receiver *r, struct session *s, const struct smtp_policy_answer *refusal)
{
    static const struct smtp_policy_answer stopping = {421, {0, 0, 0}, BYTES_INIT("Service is stopping; try again in a minute")};
    if (r->draining) refusal = &stopping;
    s->stage = STAGE_OPEN;
    if (refusal) line_reject(s, "CONNECT", refusal, (struct bytes){0});
    smtp_server_greet(&s->server, refusal, r->now_ms, &s->fx);
}

bool session_open(struct receiver *r, const struct ipc_client *m, uint32_t acceptor_epoch, int fd)
{
    struct session *s = session_take(r);
    if (!s) return false;
    const struct config_listener *listener = &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[m->listener];
    s->fd = fd;
    s->stage = STAGE_FRESH;
    s->connection = m->connection;
    s->acceptor_epoch = acceptor_epoch;
    s->listener = m->listener;
    s->client = m->client;
    s->uid = m->uid;
    s->local_address = m->local;
    /* Looked up here too: who may relay is not left to one process alone. */
    s->local = m->local.family == NET_NONE && config_admits_peer(r->config, listener, m->uid);
    s->trusted = s->local || (m->trusted && config_trusts(r->config, listener, &m->client));
    s->filter = POOL_NONE;
    s->held = s->rcpts = s->content = chain_empty();
    s->fx.out = BUF_OVER(s->reply);
    if (!r->box.begun) box_begin(&r->box);
    box_open(&r->box, s->index, m->connection);
    box_slot(&r->box, s->index)->peer = m->client;
    smtp_server_init(&s->server, stress_config(r, m->listener, s->trusted));
    if (m->refuse_code != 0 && listener->tls == LISTEN_TLS_IMPLICIT) {
        s->refused = s->connect_said = true; /* a refusal in the clear is nothing that this client reads */
    } else if (m->refuse_code != 0) {
        struct smtp_policy_answer refusal = {m->refuse_code == 554 ? 554 : 421, {0, 0, 0}, m->refuse_text};
        s->refused = s->connect_said = true; /* one line tells it all */
        session_greet(r, s, &refusal);
    } else if (s->local) {
        s->connect_said = true; /* our own users come and go without a line; what they send has one */
    } else {
        proxied_begin(r, s);
        if (s->stage == STAGE_FRESH) names_ask(r, s);
    }
    if (listener->tls == LISTEN_TLS_IMPLICIT && s->stage != STAGE_PROXY) secure_first(r, s);
    session_queue(r, s);
    session_timer(r, s);
    return true;
}

static void stop(struct receiver *r, struct session *s)
{
    if (s->stage == STAGE_OPEN && smtp_server_shutdown(&s->server, &s->fx)) session_set_wait(r, s, WAIT_NONE);
    session_queue(r, s);
}

void sessions_stop(struct receiver *r)
{
    sessions_each(r, stop);
}
