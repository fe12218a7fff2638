/*
 * manager
 *
 * Purpose      Keeps the queue: commits mail, schedules it, gives it out, records what became of it. The one place that decides.
 * Runs as      _mta-manager; one process; threads loop, log, index, body (all made before lock-down)
 * Inherits     control channel, configuration, log, the queue folder (its working directory)
 * Talks to     receiver: BODY_OPEN, BODY_DROP, RCPTS, COMMIT in; BODY_FILE, BODY_REFUSED, COMMITTED, REFUSED, STORAGE out
 *              resolver: LOOKUP out, ANSWER in          connector: CONNECT, CONNECT_CANCEL out; CONNECTED, FAILED in
 *              deliver: ATTEMPT_RCPTS, ATTEMPT, CLOSE, REREAD out; RESULT, CLOSED, REREAD_DONE in      mailbox: DELIVER out, DELIVERED in
 *              acceptor: CLIENT_APART, CLIENTS_ASK out; CLIENT_BEHAVED, CLIENT_LOST in
 *              control: ADMIN in; ADMIN_ROW, ADMIN_END out      master: CONFIG, SRS_SECRETS in
 * May do       files below the queue folder; no socket but its channels; no io_uring (its system calls can be traced and made to fail)
 * Holds        what is active: pending commits, attempts, connections, sites (tables of fixed size); resident messages and the body cache (queue/)
 * Exceptions   allocates after lock-down (messages come and go); opens segments and bodies in its folder
 * If it dies   receivers repeat their COMMITs to the next one; workers end their sessions; the log says what was promised
 * If a peer lies  every message is checked against what was given to *that* channel; a violation closes it, and the master restarts the peer
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "mta/manager/aliases.h"
#include "mta/manager/boxes.h"
#include "mta/process/dispatch.h"
#include "mta/process/folders.h"

enum { MANAGER_TOKEN_QUEUE = PROCESS_TOKEN_ROLE_FIRST, MANAGER_TIDY_MS = 500, MANAGER_FEED_BATCH = 1024, MANAGER_LOCK_TRIES = 30, MANAGER_LOCK_PAUSE_MS = 100 };

PROCESS_DISPATCH(manager)

static void say(void *context, bool warning, struct bytes text)
{
    (void)context;
    struct buf *line = log_begin(warning ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO);
    if (warning) BUF_LIT(line, "warning: ");
    log_bytes(line, text);
    log_end();
}

static struct queue_options options_of(struct manager *m)
{
    const struct config *c = m->config;
    return (struct queue_options){
        .folder_fd = m->folder_fd,
        .segment_bytes = c->queue.segment_bytes,
        .max_bytes = c->queue.max_bytes,
        .min_free_bytes = c->queue.min_free_bytes,
        .node = c->queue.node,
        .retry_count = c->queue.retry_count,
        .retry_s = c->queue.retry_s,
        .retry_max_s = c->queue.retry_max_s,
        .retry_exact = c->queue.retry_exact,
        .expire_s = c->queue.expire_s,
        .delay_warning_s = c->queue.delay_warning_s,
        .body_cache_bytes = 32u << 20,
        .destination_connections = c->limits.destination_connections,
        .route = names_route,
        .say = say,
        .context = m,
    };
}

/* What to do about a queue that cannot be opened, by cause. */
static const char *advice(enum err e)
{
    switch (e) {
    case ERR_BUSY: return "the queue is in use by another mtad; stop that one, or give this one a queue folder of its own";
    case ERR_DENIED: return "the queue folder cannot be written by the user of this process; look at its owner and mode";
    case ERR_NO_SPACE: return "no space for the queue; free some room on its file system";
    case ERR_BAD_VERSION: return "the queue was made by a newer Bulkhead; run that one";
    default: return "the queue cannot be opened";
    }
}

static enum err setup(struct process *p)
{
    static struct manager state;
    struct manager *m = &state;
    m->process = p;
    m->config = process_config(p);
    m->started_ms = process_now_ms(p);
    m->accepting = true;
    process_set_state(p, m);
    m->scratch = malloc(MANAGER_SCRATCH_BYTES);
    m->prompt_key = hash_key_random();
    if (!m->scratch || !boxes_init(m) || slots_init(&m->commits, sizeof(struct commit), MANAGER_COMMITS_MAX) != ERR_NONE ||
        slots_init(&m->sites, sizeof(struct site), MANAGER_SITES_MAX) != ERR_NONE ||
        slots_init(&m->connections, sizeof(struct connection), MANAGER_CONNECTIONS_MAX) != ERR_NONE ||
        slots_init(&m->attempts, sizeof(struct attempt), MANAGER_ATTEMPTS_MAX) != ERR_NONE)
        process_fatal(p, PROCESS_EXIT_FAILED, "the manager's tables", BYTES("memory"), ERR_NO_MEMORY);
    /* The master's descriptor is a mere path; locks and syncs want an open folder. It is the working directory, so the way to it does not matter. */
    m->folder_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct queue_options options = options_of(m);
    struct bytes path = folder_path(m->config, ROLE_MANAGER, 0);
    enum err e = m->folder_fd < 0 ? err_from_errno(errno) : ERR_BUSY;
    /* A manager that was killed a moment ago may still hold the lock. */
    for (uint32_t n = 0; e == ERR_BUSY && n < MANAGER_LOCK_TRIES; n++) {
        struct timespec moment = {.tv_nsec = n ? MANAGER_LOCK_PAUSE_MS * 1000000L : 0};
        (void)nanosleep(&moment, NULL);
        e = queue_open(&m->queue, &options, process_now_wall_us(p), process_now_ms(p));
    }
    if (e != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, advice(e), path, e);
    crashes_open(m);
    struct ring_token token = {.kind = MANAGER_TOKEN_QUEUE};
    return ring_watch(process_ring(p), queue_event_fd(m->queue), token);
}

static void event(struct process *p, const struct ring_event *e)
{
    (void)p;
    (void)e; /* the queue's eventfd: turn() collects */
}

static void collect(struct manager *m)
{
    struct queue_event e;
    while (queue_collect(m->queue, &e, process_now_wall_us(m->process), process_now_ms(m->process))) {
        switch (e.type) {
        case QUEUE_COMMITTED: intake_committed(m, &e); break;
        case QUEUE_REFUSED: intake_refused(m, &e); break;
        case QUEUE_BODY_READY:
        case QUEUE_BODY_FAILED: attempt_body(m, &e); break;
        case QUEUE_REMOVED: line_removed(e.id); break;
        case QUEUE_OUTCOME_DURABLE: boxes_done(m, e.cookie); break;
        default: break;
        }
    }
}

static void give_out(struct manager *m)
{
    if (process_draining(m->process) || srs_is_awaited(m)) return;
    uint64_t destination = 0;
    for (uint32_t i = 0; i < MANAGER_FEED_BATCH; i++) {
        destination = queue_next_destination(m->queue, process_now_ms(m->process), process_now_wall_us(m->process));
        if (!destination) return;
        site_feed(m, destination);
    }
    process_wake(m->process);
}

static void turn(struct process *p)
{
    struct manager *m = manager_of(p);
    collect(m);
    orphans_turn(m);
    attempts_retry(m);
    notices_turn(m);
    give_out(m);
    uint64_t now = process_now_ms(p);
    if (now >= m->tidy_ms) {
        m->tidy_ms = now + MANAGER_TIDY_MS;
        connections_tidy(m);
        sites_tidy(m);
        quarantine_tidy(now);
        doors_tidy(m);
        intake_storage(m);
    }
    operate_turn(m);
    queue_turn(m->queue, process_now_wall_us(p), now);
    enum err fault = queue_fault(m->queue);
    if (fault != ERR_NONE) process_fatal(p, PROCESS_EXIT_FAILED, "the queue must be opened afresh", folder_path(m->config, ROLE_MANAGER, 0), fault);
}

static uint64_t deadline(struct process *p)
{
    struct manager *m = manager_of(p);
    uint64_t due = queue_deadline_ms(m->queue, process_now_ms(p), process_now_wall_us(p));
    if (orphans_deadline() < due) due = orphans_deadline();
    return due < m->tidy_ms ? due : m->tidy_ms;
}

static void channel_open(struct process *p, struct ipc_channel *c)
{
    struct manager *m = manager_of(p);
    if (ipc_peer(c) == ROLE_RECEIVER) {
        struct bytes reason = {0};
        struct ipc_storage news = {.accepting = queue_accepting(m->queue, &reason), .reason = bytes_slice(reason, 0, 200)};
        if (ipc_send_storage(c, &news, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take news");
    }
    if (ipc_peer(c) == ROLE_ACCEPTOR) doors_acceptor_came(m);
}

static void channel_gone(struct process *p, struct ipc_channel *c)
{
    struct manager *m = manager_of(p);
    switch (ipc_peer(c)) {
    case ROLE_RECEIVER:
        intake_receiver_gone(m, ipc_peer_index(c));
        deaths_channel_gone(m, c);
        break;
    case ROLE_DELIVER: deaths_channel_gone(m, c); break;
    case ROLE_ACCEPTOR: doors_acceptor_gone(m); break;
    case ROLE_CONNECTOR: connections_connector_gone(m); break;
    case ROLE_RESOLVER: sites_resolver_gone(m); break;
    case ROLE_MAILBOX: local_mailbox_gone(m); break;
    default: break;
    }
}

static void configured(struct process *p)
{
    manager_of(p)->config = process_config(p);
}

/* drain - attempts in hand end first, until the time is up: then they are due again at the next start. */
static bool drain(struct process *p, bool time_is_up)
{
    struct manager *m = manager_of(p);
    if (!time_is_up && (m->attempts.count || m->commits.count)) return false;
    queue_close(m->queue, process_now_wall_us(p), process_now_ms(p));
    return true;
}

const struct role role_manager = {
    .id = ROLE_MANAGER,
    .plain_engine = true,
    .works_in_folder = true,
    .setup = setup,
    .event = event,
    .turn = turn,
    .deadline = deadline,
    .message = manager_message,
    .channel_open = channel_open,
    .channel_gone = channel_gone,
    .died = deaths_died,
    .box = manager_box,
    .configured = configured,
    .drain = drain,
};
