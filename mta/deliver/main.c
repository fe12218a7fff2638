/*
 * deliver
 *
 * Purpose      Carries messages to remote servers: speaks SMTP as a client on sockets that it was handed.
 * Runs as      _mta-deliver; several (workers { delivery N })
 * Inherits     control channel, configuration, log
 * Talks to     manager: ATTEMPT_RCPTS, ATTEMPT, CLOSE, REREAD in; RESULT, CLOSED, REREAD_DONE out      connector: SOCKET in
 * May do       receive and send on its ring, read bodies that it was handed; no file, no socket of its own making
 * Holds        the mail that it is carrying, SESSIONS_MAX connections
 * Exceptions   allocates jobs and send buffers after lock-down, bounded by its sessions
 * If it dies   its jobs are due again at once at another worker; what the remote had not got whole is not repeated there
 * If a peer lies  a remote server can spoil this process alone; every message of the manager and the connector is checked all the same
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/planted.h"
#include "mta/deliver/deliver.h"
#include "mta/process/dispatch.h"

PROCESS_DISPATCH(deliver)

void deliver_on_socket(struct process *p, struct ipc_channel *from, const struct ipc_socket *m, int fd)
{
    struct deliver *d = deliver_of(p);
    struct session *s = session_find(d, m->connection);
    if (s && s->fd >= 0) {
        close(fd);
        process_violation(p, from, "a second SOCKET for one connection");
        return;
    }
    if (!s) s = session_make(d, m->connection);
    if (!s) { /* the manager counts too; its attempt comes back untried */
        close(fd);
        return;
    }
    session_socket(d, s, m, fd);
}

void deliver_on_attempt_rcpts(struct process *p, struct ipc_channel *from, const struct ipc_attempt_rcpts *m, int fd)
{
    (void)fd;
    struct deliver *d = deliver_of(p);
    struct rcpt_part *part = &d->part;
    if (m->first == 0) part->count = part->len = 0;
    if (m->first != part->count || (part->count && part->attempt != m->attempt) || rcpt_list_check(m->rcpts, m->count) != ERR_NONE ||
        part->len + m->rcpts.len > JOB_RCPTS_BYTES_MAX) {
        process_violation(p, from, "a recipient list that does not fit together");
        return;
    }
    memcpy(part->octets + part->len, m->rcpts.ptr, m->rcpts.len);
    part->attempt = m->attempt;
    part->len += m->rcpts.len;
    part->count += m->count;
}

void deliver_on_attempt(struct process *p, struct ipc_channel *from, const struct ipc_attempt *m, int fd)
{
    struct deliver *d = deliver_of(p);
    struct session *s = session_find(d, m->connection);
    if (!job_valid(d, m, fd) || (s && s->job)) {
        if (fd >= 0) close(fd);
        process_violation(p, from, "an ATTEMPT that contradicts itself, or a second one");
        return;
    }
    if (s && s->closing) { /* CLOSED is on its way to the manager, who takes the attempt back with it */
        if (fd >= 0) close(fd);
        return;
    }
    if (!s) s = session_make(d, m->connection);
    struct job *job = s ? job_make(d, m, fd) : NULL;
    d->part.count = d->part.len = 0;
    if (!job) {
        if (fd >= 0) close(fd);
        job_untried(d, m->attempt, m->rcpt_count);
        return;
    }
    if (smtp_client_job_check(&job->said) != ERR_NONE) {
        job_free(job);
        process_violation(p, from, "an ATTEMPT that cannot be said in SMTP");
        return;
    }
    session_job(d, s, job);
}

void deliver_on_close(struct process *p, struct ipc_channel *from, const struct ipc_close *m, int fd)
{
    (void)from;
    (void)fd;
    struct session *s = session_find(deliver_of(p), m->connection);
    if (s) session_quit(deliver_of(p), s);
}

void deliver_on_reread(struct process *p, struct ipc_channel *from, const struct ipc_reread *m, int fd)
{
    (void)fd;
    struct dot dot = {0};
    struct ipc_reread_done done = {.attempt = m->attempt};
    planted_fault("reread", m->octets, NULL, 0);
    if (dot_feed(&dot, m->octets) == BOX_DOT_CODE) done.code = dot.code;
    if (ipc_send_reread_done(from, &done, -1) != ERR_NONE) process_violation(p, from, "more REREADs than the channel takes answers");
}

static void set_timeouts(struct deliver *d)
{
    const struct config *c = d->config;
    smtp_client_config_init(&d->timeouts);
    uint64_t *t = d->timeouts.timeout_ms;
    t[SMTP_CLIENT_BANNER] = c->timeouts.banner;
    t[SMTP_CLIENT_EHLO] = t[SMTP_CLIENT_HELO] = c->timeouts.ehlo;
    t[SMTP_CLIENT_MAIL] = c->timeouts.mail;
    t[SMTP_CLIENT_RCPT] = c->timeouts.rcpt;
    t[SMTP_CLIENT_DATA] = c->timeouts.data;
    t[SMTP_CLIENT_BODY] = c->timeouts.data_block;
    t[SMTP_CLIENT_DOT] = c->timeouts.data_end;
    t[SMTP_CLIENT_RSET] = c->timeouts.rset;
    t[SMTP_CLIENT_QUIT] = c->timeouts.quit;
    t[SMTP_CLIENT_IDLE] = c->timeouts.idle;
    d->timeouts.content_rate_min = c->limits.data_rate;
}

/* open_tls - authorities are read now, when some route wants them: there is no file to be had later. */
static void open_tls(struct process *p, struct deliver *d)
{
    const struct config_route *routes = CONFIG_ITEMS(d->config, d->config->routes, struct config_route);
    bool any = false, verify = false;
    for (uint32_t i = 0; routes && i < d->config->routes.count; i++) {
        any |= routes[i].tls > ROUTE_TLS_OFF || routes[i].tls_dane;
        verify |= routes[i].tls == ROUTE_TLS_VERIFY;
    }
    if (!any) return;
    char path[PATH_MAX];
    struct bytes file = config_bytes(d->config, d->config->connect.ca_file);
    if (file.len >= sizeof path) file.len = 0;
    memcpy(path, file.ptr, file.len);
    path[file.len] = 0;
    enum err e = tls_client_open(&d->tls, verify ? path : NULL);
    if (e != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "tls verify: the authorities cannot be read; connect { ca-file } says where they are", file, e);
}

static enum err setup(struct process *p)
{
    static struct deliver state;
    struct deliver *d = &state;
    d->process = p;
    d->config = process_config(p);
    process_set_state(p, d);
    d->sessions = calloc(SESSIONS_MAX, sizeof *d->sessions);
    d->scratch = malloc(FLIGHT_BYTES);
    d->part.octets = malloc(JOB_RCPTS_BYTES_MAX);
    d->plain = malloc(FLIGHT_BYTES);
    d->wire = malloc(TLS_FLIGHT_BYTES_MAX);
    if (!d->sessions || !d->scratch || !d->plain || !d->wire || !d->part.octets || heap_init(&d->timers, SESSIONS_MAX) != ERR_NONE)
        process_fatal(p, PROCESS_EXIT_FAILED, "the tables of a delivery worker", BYTES("memory"), ERR_NO_MEMORY);
    if (box_init(&d->box, process_epoch(p)) != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "the black box", BYTES("memory"), ERR_NO_MEMORY);
    d->alone = process_index(p) >= d->config->workers.delivers;
    set_timeouts(d);
    open_tls(p, d);
    return ERR_NONE;
}

static void event(struct process *p, const struct ring_event *e)
{
    if (e->token.kind == DELIVER_TOKEN_SESSION) session_event(deliver_of(p), e);
}

static void turn(struct process *p)
{
    struct deliver *d = deliver_of(p);
    for (struct heap_node *n = heap_first(&d->timers); n && n->key <= process_now_ms(p); n = heap_first(&d->timers))
        session_late(d, (struct session *)(void *)n);
    sessions_pump(d);
}

static uint64_t deadline(struct process *p)
{
    const struct heap_node *first = heap_first(&deliver_of(p)->timers);
    return first ? first->key : UINT64_MAX;
}

static void channel_open(struct process *p, struct ipc_channel *c)
{
    struct deliver *d = deliver_of(p);
    if (ipc_peer(c) != ROLE_MANAGER) return;
    box_manager(&d->box, ipc_peer_epoch(c));
}

static void box_came(struct process *p, const struct ipc_box *m, int fd)
{
    (void)m;
    if (box_use(&deliver_of(p)->box, fd) != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "cannot use the black box", BYTES("memory"), ERR_NO_MEMORY);
}

static void channel_gone(struct process *p, struct ipc_channel *c)
{
    struct deliver *d = deliver_of(p);
    if (ipc_peer(c) != ROLE_MANAGER) return;
    for (uint32_t i = 0; i < d->high; i++)
        if (d->sessions[i].used) session_orphan(d, &d->sessions[i]);
}

/* drain - jobs in hand end; idle connections say QUIT. */
static bool drain(struct process *p, bool time_is_up)
{
    struct deliver *d = deliver_of(p);
    bool busy = false;
    for (uint32_t i = 0; i < d->high; i++) {
        struct session *s = &d->sessions[i];
        if (!s->used || s->closing) continue;
        busy |= s->job != NULL;
        if (!s->job && s->client.deadline_ms && s->fd >= 0) session_quit(d, s);
    }
    return time_is_up || (!busy && d->count == 0);
}

const struct role role_deliver = {
    .id = ROLE_DELIVER,
    .ring = {.entries = 1024, .receive_buffers = 512, .receive_buffer_bytes = 4096, .descriptors_max = 2 * SESSIONS_MAX + 256, .sends = true},
    .setup = setup,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = deliver_message,
    .channel_open = channel_open,
    .channel_gone = channel_gone,
    .memory_bytes = 4096ULL * 1024 * 1024, /* sessions, a flight and a job for each, the box; a worker that needs more has gone wrong */
    .box = box_came,
    .drain = drain,
};
