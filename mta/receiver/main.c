/*
 * receiver: process card
 *
 * Purpose      Speaks SMTP with clients: takes messages in, and answers 250 when the manager has them on stable storage.
 * Runs as      _mta-receiver, one of several; empty root, no files, no way to open anything.
 * Inherits     control channel, configuration image, log.
 * Talks to     acceptor: CLIENT (with the socket), CLIENT_MAY in; CLIENT_CLOSED, CLIENT_ASK out.
 *              manager: RCPTS, COMMIT, BODY_OPEN, BODY_DROP, RCPT_CHECK out; COMMITTED, REFUSED, BODY_FILE (with a file to fill),
 *              BODY_REFUSED, STORAGE, RCPT_CHECKED in.
 *              master: CERTIFICATES in. keyholder: SIGN out; SIGNATURE, TICKETS in.
 *              authd: AUTH_BEGIN, AUTH_LINE, LOGIN_SPEND out; AUTH_RESULT, LOGIN_SPENT in.
 *              resolver: CLIENT_NAME, NAME_ASK out; CLIENT_NAMED, NAME_SAID in. mailbox: MAILBOX_CHECK out; MAILBOX_CHECKED in.
 *              control: EXPLAIN in; EXPLAINED out. greylist: GREY_ASK out; GREY_SAID in.
 * May do       ring: RECV, SEND on sockets it was handed. Threads of its own, made before lock-down, write, sync and
 *              close body files it was handed.
 * Holds        sessions (16 KiB of address space each, 8 KiB of memory when idle; as many as limits { connections } has,
 *              and some for refusals), a pool of 32 MiB for content, recipients and input that waits, 2 MiB of receive
 *              buffers, 300 KiB of clients' names. Below a quarter of the pool content over 16 KiB goes to files; when it
 *              is used up, MAIL and DATA get 452 and content waits unread.
 * If it dies   Its connections end. No client had been told 250 for what was not COMMITTED; the manager forgets
 *              half-sent lists and body files without a COMMIT.
 * If a peer lies   Client: every octet goes through smtp/server.h with its limits and deadlines; nothing it sends is
 *              executed, logged unescaped, or kept without a bound. Acceptor: trust is looked up again. Manager,
 *              resolver, mailbox: numbers are checked against the session that asked, names against their grammar.
 *              The manager's death: COMMITs without an answer are repeated to the next one for a minute, then 451.
 *
 * The session's slot in the black box belongs into sessions.c, around the one call of smtp_server_step().
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/process/dispatch.h"
#include "mta/receiver/receiver.h"
#include "mta/tls/server.h"

static uint32_t mechanisms_of(const struct config *c, const struct config_listener *l)
{
    const struct config_auth *auths = CONFIG_ITEMS(c, c->auths, struct config_auth);
    return l->auth.len > 0 && auths && l->auth_block < c->auths.count ? auths[l->auth_block].mechanisms : 0;
}

static enum err make_listeners(struct receiver *r)
{
    const struct config *c = r->config;
    const struct config_listener *listeners = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    r->listeners = calloc(c->listeners.count ? c->listeners.count : 1, sizeof *r->listeners);
    if (!r->listeners) return ERR_NO_MEMORY;
    for (uint32_t i = 0; listeners && i < c->listeners.count; i++) {
        r->listeners[i] = (struct smtp_server_config){
            .hostname = config_bytes(c, c->hostname),
            .mail_domain = listeners[i].socket.len > 0 ? config_bytes(c, c->mail_domain) : (struct bytes){0},
            .message_bytes_max = c->limits.message_bytes,
            .rcpts_max = c->limits.rcpts < RECIPIENTS_HARD_MAX ? c->limits.rcpts : RECIPIENTS_HARD_MAX,
            .line_bytes_max = listeners[i].strict_lines ? 998 : c->limits.line_bytes,
            .errors_max = c->limits.errors,
            .junk_max = c->limits.junk,
            .hops_max = c->limits.hops,
            .bare_newline = (enum smtp_bare_newline)listeners[i].bare_newline,
            .command_timeout_ms = c->timeouts.server_command,
            .data_timeout_ms = c->timeouts.server_data,
            .data_rate_min = c->limits.data_rate,
            .auth_mechanisms = mechanisms_of(c, &listeners[i]),
            .tls_offered = listeners[i].tls == LISTEN_TLS_STARTTLS || listeners[i].tls == LISTEN_TLS_STARTTLS_REQUIRED,
            .tls_required = listeners[i].tls == LISTEN_TLS_STARTTLS_REQUIRED,
        };
    }
    return ERR_NONE;
}

static enum err make_parts(struct receiver *r)
{
    enum err e = make_listeners(r);
    if (e == ERR_NONE) e = stress_init(r);
    if (e == ERR_NONE) e = pool_init(&r->pool, POOL_CHUNKS_MAX);
    if (e == ERR_NONE) e = names_init(r);
    if (e == ERR_NONE) e = sessions_init(r);
    if (e == ERR_NONE) e = box_init(&r->box, process_epoch(r->process));
    if (e == ERR_NONE) e = secure_init(r);
    if (e == ERR_NONE) e = writer_init(&r->writer, &r->pool);
    if (e == ERR_NONE) e = ring_watch(r->ring, r->writer.event_fd, (struct ring_token){.kind = TOKEN_WRITER});
    return e;
}

static enum err setup(struct process *p)
{
    static struct receiver receiver; /* the one of this process */
    struct receiver *r = &receiver;
    r->process = p;
    r->config = process_config(p);
    r->ring = process_ring(p);
    r->key = hash_key_random();
    r->sequence = hash_key_random().a >> RECEIVER_SEQUENCE_SPARE_BITS;
    r->accepting = true;
    r->scratch = malloc(RECEIVER_SCRATCH_BYTES);
    process_set_state(p, r);
    enum err e = r->scratch ? make_parts(r) : ERR_NO_MEMORY;
    if (e != ERR_NONE) log_err(LOG_LEVEL_FATAL, "cannot start", BYTES("receiver"), e);
    return e;
}

static void on_event(struct process *p, const struct ring_event *e)
{
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    if (e->token.kind != TOKEN_WRITER) {
        sessions_event(r, e);
        return;
    }
    for (struct body_file *f = writer_collect(&r->writer); f;) {
        struct body_file *next = f->next; /* it may be given to the writer again at once */
        content_written(r, f);
        f = next;
    }
}

static void turn(struct process *p)
{
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    stress_turn(r);
    sessions_run(r);
    commit_turn(r);
    content_turn(r);
    sessions_late(r);
    if (r->run_count > 0) process_wake(p);
}

static uint64_t deadline(struct process *p)
{
    const struct heap_node *first = heap_first(&receiver_of(p)->timers);
    return first ? first->key : UINT64_MAX;
}

static void on_channel_open(struct process *p, struct ipc_channel *c)
{
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    if (ipc_peer(c) == ROLE_MANAGER) commit_manager_came(r);
    if (ipc_peer(c) == ROLE_MAILBOX || ipc_peer(c) == ROLE_MANAGER) mail_mailbox_came(r);
}

static void on_channel_gone(struct process *p, struct ipc_channel *c)
{
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    if (ipc_peer(c) == ROLE_MANAGER) commit_manager_gone(r);
    if (ipc_peer(c) == ROLE_RESOLVER) names_resolver_gone(r);
    if (ipc_peer(c) == ROLE_RESOLVER) inquiry_resolver_gone(r);
    if (ipc_peer(c) == ROLE_GREYLIST) grey_gone(r);
    if (ipc_peer(c) == ROLE_ACCEPTOR) rates_acceptor_gone(r);
    if (ipc_peer(c) == ROLE_AUTHD) login_gone(r);
    if (ipc_peer(c) == ROLE_KEYHOLDER) r->secure.tickets = false;
}

static void configured(struct process *p)
{
    receiver_of(p)->config = process_config(p);
}

static bool drain(struct process *p, bool time_is_up)
{
    struct receiver *r = receiver_of(p);
    if (!r->draining) {
        r->draining = true;
        sessions_stop(r);
        if (r->run_count > 0) process_wake(p);
    }
    return time_is_up || r->session_count == 0;
}

/* ---- messages ---- */

void receiver_on_client(struct process *p, struct ipc_channel *from, const struct ipc_client *m, int fd)
{
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    if (m->listener >= r->config->listeners.count || m->client.family == NET_NONE) {
        (void)close(fd);
        process_violation(p, from, "a client of a listener that does not exist, or without an address");
        return;
    }
    if (session_open(r, m, ipc_peer_epoch(from), fd)) return;
    (void)close(fd);
    struct ipc_client_closed closed = {.connection = m->connection};
    log_text(LOG_LEVEL_WARNING, "a client is dropped: all sessions are in use");
    if (ipc_send_client_closed(from, &closed, -1) != ERR_NONE)
        log_text(LOG_LEVEL_WARNING, "the acceptor does not take news: channel full");
}

void receiver_on_client_may(struct process *p, struct ipc_channel *from, const struct ipc_client_may *m, int fd)
{
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = receiver_session_of(r, m->request);
    r->now_ms = process_now_ms(p);
    if (m->refuse_code != 0 && m->refuse_code < 400) process_violation(p, from, "a refusal with a code that is none");
    else if (s && s->wait == WAIT_ACCEPTOR && s->ask_request == m->request) rates_came(r, s, m->refuse_code, m->refuse_text);
}

void receiver_on_client_named(struct process *p, struct ipc_channel *from, const struct ipc_client_named *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = receiver_session_of(r, m->request);
    if (s && s->stage != STAGE_SHUT && s->name_request == m->request) names_came(r, s, m->name, m->why);
}

void receiver_on_name_said(struct process *p, struct ipc_channel *from, const struct ipc_name_said *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = receiver_session_of(r, m->request);
    r->now_ms = process_now_ms(p);
    if (s && s->stage != STAGE_SHUT && m->request != 0) inquiry_came(r, s, m);
}

void receiver_on_grey_said(struct process *p, struct ipc_channel *from, const struct ipc_grey_said *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = receiver_session_of(r, m->request);
    r->now_ms = process_now_ms(p);
    if (s && s->wait == WAIT_GREY && s->grey_request == m->request) grey_came(r, s, m);
}

void receiver_on_explain(struct process *p, struct ipc_channel *from, const struct ipc_explain *m, int fd)
{
    (void)fd;
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    if (m->listener >= r->config->listeners.count) process_violation(p, from, "a question about a listener that does not exist");
    else explain_begin(r, from, m);
}

void receiver_on_mailbox_checked(struct process *p, struct ipc_channel *from, const struct ipc_mailbox_checked *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = receiver_session_of(r, m->request);
    if (s && s->wait == WAIT_MAILBOX && s->mailbox_request == m->request) mail_mailbox_checked(r, s, m->known);
}

void receiver_on_auth_result(struct process *p, struct ipc_channel *from, const struct ipc_auth_result *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    struct session *s = receiver_session_of(r, m->request);
    if (s) login_result(r, s, m);
}

void receiver_on_login_spent(struct process *p, struct ipc_channel *from, const struct ipc_login_spent *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    r->now_ms = process_now_ms(p);
    struct session *s = receiver_session_of(r, m->request);
    if (s && s->wait == WAIT_SPENT && s->spend_request == m->request) login_spent(r, s, m->allowed, m->allowed ? 0 : m->wait_s);
}

void receiver_on_rcpt_checked(struct process *p, struct ipc_channel *from, const struct ipc_rcpt_checked *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = receiver_session_of(r, m->request);
    if (s && s->wait == WAIT_MAILBOX && s->mailbox_request == m->request) mail_mailbox_checked(r, s, m->known);
}

void receiver_on_body_file(struct process *p, struct ipc_channel *from, const struct ipc_body_file *m, int fd)
{
    (void)from;
    content_file_came(receiver_of(p), m->transaction, m->body, fd);
}

void receiver_on_body_refused(struct process *p, struct ipc_channel *from, const struct ipc_body_refused *m, int fd)
{
    (void)from;
    (void)fd;
    content_file_refused(receiver_of(p), m->transaction, m->code, m->text);
}

/* committing - the session that waits for the answer to this transaction; NULL when its client has gone meanwhile. */
static struct session *committing(const struct receiver *r, uint64_t transaction)
{
    struct session *s = receiver_session_of(r, transaction);
    return s && s->wait == WAIT_COMMITTED && s->transaction == transaction ? s : NULL;
}

void receiver_on_committed(struct process *p, struct ipc_channel *from, const struct ipc_committed *m, int fd)
{
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = committing(r, m->transaction);
    if (m->message.v == 0) process_violation(p, from, "COMMITTED without an id");
    else if (s) commit_done(r, s, m->message);
}

void receiver_on_refused(struct process *p, struct ipc_channel *from, const struct ipc_refused *m, int fd)
{
    (void)from;
    (void)fd;
    struct receiver *r = receiver_of(p);
    struct session *s = committing(r, m->transaction);
    struct enhanced e = {m->enhanced_class, m->enhanced_subject, m->enhanced_detail};
    if (!s) return;
    if (m->code < 400 || m->code == 421) commit_refuse(r, s, 451, (struct enhanced){4, 3, 0}, m->text);
    else commit_refuse(r, s, m->code, e, m->text);
}

void receiver_on_storage(struct process *p, struct ipc_channel *from, const struct ipc_storage *m, int fd)
{
    (void)from;
    (void)fd;
    receiver_of(p)->accepting = m->accepting;
}

void receiver_on_certificates(struct process *p, struct ipc_channel *from, const struct ipc_certificates *m, int fd)
{
    (void)from;
    secure_certificates(receiver_of(p), m, fd);
}

void receiver_on_tickets(struct process *p, struct ipc_channel *from, const struct ipc_tickets *m, int fd)
{
    (void)from;
    (void)fd;
    tls_tickets(m->current, m->previous);
    receiver_of(p)->secure.tickets = true;
}

void receiver_on_signature(struct process *p, struct ipc_channel *from, const struct ipc_signature *m, int fd)
{
    (void)from;
    (void)fd;
    secure_signature(receiver_of(p), m->request, m->good, m->octets);
}

static void on_box(struct process *p, const struct ipc_box *m, int fd)
{
    (void)m;
    if (box_use(&receiver_of(p)->box, fd) != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "cannot use the black box", BYTES("memory"), ERR_NO_MEMORY);
}

PROCESS_DISPATCH(receiver)

bool receiver_hear(struct process *p, struct ipc_channel *from, const struct ipc_record *record)
{
    return receiver_message(p, from, record);
}

const struct role role_receiver = {
    .id = ROLE_RECEIVER,
    .ring = {
        .entries = 1024,
        .receive_buffers = 128,
        .receive_buffer_bytes = 16 * 1024, /* a small message with its commands in one piece */
        .descriptors_max = RECEIVER_DESCRIPTORS_MAX,
        .sends = true,
    },
    .starts_threads = true,
    .memory_bytes = 4096ULL * 1024 * 1024, /* all sessions, with 30 KiB of OpenSSL's each, the pool, the threads' stacks and arenas, the box */
    .setup = setup,
    .event = on_event,
    .turn = turn,
    .deadline = deadline,
    .message = receiver_message,
    .channel_open = on_channel_open,
    .channel_gone = on_channel_gone,
    .box = on_box,
    .configured = configured,
    .drain = drain,
};
