/*
 * watch - deaths, restarts, hung and accused children.
 *
 * A child that dies is started again alone: at once the first time, later with a pause that doubles. During the first start there is no second
 * try: what keeps a role from starting is for the operator to mend, and is said once.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/master/master.h"

/* ---- telling others ---- */

void watch_tell_state(struct master *m, const struct child *c)
{
    struct child *control = child_find(m, ROLE_CONTROL, 0);
    if (control->channel == NULL || !control->was_ready) return;
    struct ipc_role_state s = {.role = (uint8_t)c->role, .index = c->index, .pid = (uint32_t)c->pid, .restarts = c->restarts, .state = (uint8_t)c->state,
        .layers = c->layers, .engine = c->engine, .started_wall_us = c->started_wall_us};
    (void)!ipc_send_role_state(control->channel, &s, -1); /* it is for display; a control process that is gone gets it anew */
}

/* ---- ready ---- */

static void give_listeners(struct master *m, struct child *acceptor)
{
    for (uint32_t i = 0; i < m->listener_count; i++) {
        int copy = fcntl(m->listeners[i].fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0) {
            child_kill(acceptor, "its listening sockets could not be handed over");
            return;
        }
        struct ipc_listener l = {.listener = m->listeners[i].listen_block, .address = m->listeners[i].address};
        if (ipc_send_listener(acceptor->channel, &l, copy) != ERR_NONE) close(copy);
    }
}

static void give_control(struct master *m, struct child *control)
{
    int copy = fcntl(m->control_fd, F_DUPFD_CLOEXEC, 3);
    struct ipc_control_listener l = {.path = config_bytes(m->config, m->config->control_socket)};
    if (copy >= 0 && ipc_send_control_listener(control->channel, &l, copy) != ERR_NONE) close(copy);
    struct child self = {.role = ROLE_MASTER, .pid = getpid(), .state = ROLE_RUNNING, .started_wall_us = m->started_wall_us};
    watch_tell_state(m, &self);
    for (uint32_t i = 0; i < m->child_count; i++) watch_tell_state(m, &m->children[i]);
}

static void give_secrets(struct master *m, struct child *manager)
{
    struct ipc_srs_secrets secrets = {.secrets = bytes_of(m->secrets, m->secrets_bytes)};
    if (ipc_send_srs_secrets(manager->channel, &secrets, -1) != ERR_NONE) child_kill(manager, "it could not be given the secrets of SRS");
}

/* give_work - what a role may have only when everybody it relies on is there. */
static void give_work(struct master *m, struct child *c)
{
    if (c->role == ROLE_ACCEPTOR) give_listeners(m, c);
    if (c->role == ROLE_CONTROL) give_control(m, c);
    if (c->role == ROLE_MANAGER && m->secrets_bytes > 0) give_secrets(m, c);
}

/* say_open - a line for each layer that some process does without: what that leaves open. */
static void say_open(uint32_t layers)
{
    for (uint32_t i = 0; i < SANDBOX_LAYERS; i++) {
        uint32_t bit;
        const char *open = sandbox_layer_open(i, &bit);
        if (open != NULL && !(layers & bit)) log_text(LOG_LEVEL_WARNING, open);
    }
}

/* say_ready - the line that scripts wait for; it ends in "ready" and is on standard error, wherever other lines go. */
static void say_ready(struct master *m)
{
    uint32_t layers = UINT32_MAX;
    for (uint32_t i = 0; i < m->child_count; i++) layers &= m->children[i].layers | LAYER_RING;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "sandbox of every process: ");
    sandbox_layers_print(line, layers & ~(uint32_t)LAYER_RING);
    BUF_LIT(line, "; engine of the receivers: ");
    buf_put_cstr(line, ring_engine_name((enum ring_engine)child_find(m, ROLE_RECEIVER, 0)->engine));
    log_end();
    say_open(layers);

    bool elsewhere = logfile_is_elsewhere(m);
    for (uint32_t copies = 0; copies < (elsewhere ? 2u : 1u); copies++) {
        line = log_begin(LOG_LEVEL_INFO);
        BUF_LIT(line, "configuration ");
        log_bytes(line, config_bytes(m->config, m->config->file));
        BUF_LIT(line, ": ");
        buf_put_u64(line, m->child_count);
        BUF_LIT(line, " processes ready");
        log_end();
        log_flush();
        if (elsewhere && copies == 0) logfile_say_here(m, true);
    }
    if (elsewhere) logfile_say_here(m, false);
}

/* open_doors - once everybody is there who takes mail: it is safe as soon as it is accepted, and is delivered when the others are there too. False while
 * somebody is missing, or nobody could be started. */
static bool open_doors(struct master *m)
{
    if (!m->keys_good) return false;
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (child_takes(&m->children[i]) && !m->children[i].was_ready) return false;
    }
    m->open = true;
    give_listeners(m, child_find(m, ROLE_ACCEPTOR, 0));
    if (children_start(m, false)) return true;
    stop_at_once(m, PROCESS_EXIT_FAILED);
    return false;
}

static void on_ready(struct master *m, struct child *c, const struct ipc_ready *r)
{
    if (r->list_hash != ipc_list_hash()) {
        child_say(LOG_LEVEL_FATAL, c, "is of another build than the master");
        stop_at_once(m, PROCESS_EXIT_FAILED);
        return;
    }
    c->layers = r->layers;
    c->engine = r->engine;
    c->state = m->stopping ? ROLE_DRAINING : ROLE_RUNNING;
    c->was_ready = true;
    c->ready_ms = m->now_ms;
    watch_tell_state(m, c);
    if (m->ready || (m->open && c->role == ROLE_ACCEPTOR)) {
        give_work(m, c);
        return;
    }
    watch_all_ready(m);
}

void watch_all_ready(struct master *m)
{
    if (m->ready || (!m->open && !open_doors(m))) return;
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (!m->children[i].was_ready) return;
    }
    m->ready = true;
    for (uint32_t i = 0; i < m->child_count; i++)
        if (m->children[i].role != ROLE_ACCEPTOR) give_work(m, &m->children[i]);
    say_ready(m);
    notify_ready();
}

/* ---- accusations ---- */

/* exposure - how much a role has to do with strangers. When two cannot agree, the more exposed one is the one that lies. */
static uint32_t exposure(enum ipc_role role)
{
    if (role == ROLE_RECEIVER || role == ROLE_DELIVER) return 2;
    return role == ROLE_MANAGER ? 0 : 1;
}

static void on_violation(struct master *m, struct child *accuser, const struct ipc_violation *v)
{
    struct child *accused = child_find(m, (enum ipc_role)v->role, v->index);
    if (accused == NULL || !ipc_roles_talk(accuser->role, accused->role)) {
        child_kill(accuser, "it accused a process that it does not talk to");
        return;
    }
    if (accused->epoch != v->epoch || accused->pid == 0) return; /* of one that is gone */
    if (exposure(accuser->role) > exposure(accused->role)) child_kill(accuser, "it and a less exposed process do not understand each other");
    else child_kill(accused, "it broke the rules of the channel to another process");
}

/* ---- messages of a child ---- */

/* on_message - false when a child's record is malformed. */
static bool on_message(struct master *m, struct child *c, const struct ipc_record *record)
{
    union {
        struct ipc_ready ready;
        struct ipc_pong pong;
        struct ipc_drained drained;
        struct ipc_violation violation;
        struct ipc_keys_read keys_read;
        struct ipc_auth_connect auth_connect;
        struct ipc_reload reload;
        struct ipc_tls_reload tls_reload;
    } u;
    switch (record->type) {
    case IPC_READY:
        if (ipc_decode_ready(record->body, &u.ready) != ERR_NONE || c->was_ready) return false;
        on_ready(m, c, &u.ready);
        return true;
    case IPC_PONG:
        if (ipc_decode_pong(record->body, &u.pong) != ERR_NONE || u.pong.number != c->ping_number) return false;
        c->ping_open = false;
        if (c->role == ROLE_MANAGER) news_manager_answered(m);
        return true;
    case IPC_DRAINED:
        if (ipc_decode_drained(record->body, &u.drained) != ERR_NONE) return false;
        if (u.drained.unfinished != 0) child_say(LOG_LEVEL_WARNING, c, "ends with work unfinished: the time to drain is over");
        c->drained = true;
        return true;
    case IPC_VIOLATION:
        if (ipc_decode_violation(record->body, &u.violation) != ERR_NONE) return false;
        on_violation(m, c, &u.violation);
        return true;
    case IPC_TLS_RELOAD:
        if (ipc_decode_tls_reload(record->body, &u.tls_reload) != ERR_NONE || u.tls_reload.request == 0) return false;
        keys_reload(m, u.tls_reload.request);
        return true;
    case IPC_KEYS_READ:
        return ipc_decode_keys_read(record->body, &u.keys_read) == ERR_NONE && keys_read(m, &u.keys_read);
    case IPC_AUTH_CONNECT:
        return ipc_decode_auth_connect(record->body, &u.auth_connect) == ERR_NONE && auth_connect(m, &u.auth_connect);
    case IPC_RELOAD:
        if (ipc_decode_reload(record->body, &u.reload) != ERR_NONE) return false;
        if (!m->stopping) reload_now(m, c, u.reload.request);
        return true;
    default:
        return false;
    }
}

void watch_receive(struct master *m, struct child *c)
{
    struct ipc_record records[IPC_BATCH];
    uint32_t count;
    enum err e;
    do {
        if (c->channel == NULL) return;
        count = ipc_receive(c->channel, records, IPC_BATCH, &e);
        for (uint32_t i = 0; i < count; i++) {
            if (!on_message(m, c, &records[i])) e = ERR_BAD_VALUE;
        }
    } while (e == ERR_NONE && count == IPC_BATCH);
    if (e == ERR_NONE) return;
    /* The end of the channel of a living process is an offence too: it would be out of reach. A dying one does not notice. */
    if (e != ERR_GONE) child_kill(c, "it broke the rules of the channel to the master");
    else if (!c->drained) child_kill(c, NULL);
    ipc_close(c->channel);
    c->channel = NULL;
}

/* ---- deaths ---- */

static const char *signal_name(int number)
{
    const char *name = sigabbrev_np(number);
    return name != NULL ? name : "?";
}

static void put_cause(struct buf *line, const struct child *c, int status)
{
    if (WIFEXITED(status)) {
        BUF_LIT(line, "exited with code ");
        buf_put_i64(line, WEXITSTATUS(status));
    } else if (c->killed_for != NULL) {
        BUF_LIT(line, "was killed: ");
        buf_put_cstr(line, c->killed_for);
    } else if (WTERMSIG(status) == SIGSYS) {
        BUF_LIT(line, "was killed by seccomp: it made a system call that its profile does not have");
    } else {
        BUF_LIT(line, "died of signal ");
        buf_put_i64(line, WTERMSIG(status));
        BUF_LIT(line, " (SIG");
        buf_put_cstr(line, signal_name(WTERMSIG(status)));
        BUF_LIT(line, ")");
    }
}

static void say_death(const struct child *c, enum log_level level, pid_t pid, int status, const char *what_follows)
{
    struct buf *line = log_begin(level);
    buf_put_cstr(line, level == LOG_LEVEL_FATAL ? "fatal: " : level == LOG_LEVEL_WARNING ? "warning: " : "");
    child_print(line, c);
    BUF_LIT(line, " (pid ");
    buf_put_i64(line, pid);
    BUF_LIT(line, ") ");
    put_cause(line, c, status);
    buf_put_cstr(line, what_follows);
    log_end();
}

/* on_failed_start - during the first start. A role that exits has said why; one that was killed could not. */
static void on_failed_start(struct master *m, const struct child *c, pid_t pid, int status)
{
    if (WIFSIGNALED(status) || WEXITSTATUS(status) == 0) say_death(c, LOG_LEVEL_FATAL, pid, status, " while it was starting");
    stop_at_once(m, WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : PROCESS_EXIT_FAILED);
}

static void plan_restart(struct master *m, struct child *c)
{
    if (c->was_ready && m->now_ms - c->ready_ms >= STEADY_MS) c->back_off_ms = 0;
    c->state = ROLE_BACKING_OFF;
    c->start_again_ms = m->now_ms + c->back_off_ms;
    uint64_t next = c->back_off_ms == 0 ? (uint64_t)BACK_OFF_FIRST_MS : 2 * c->back_off_ms;
    /* Strangers can kill these: who did it is served alone, after growing pauses, and the others must not wait for that. */
    uint64_t most = c->was_ready && (c->role == ROLE_DELIVER || c->role == ROLE_RECEIVER) ? (uint64_t)BACK_OFF_FIRST_MS : (uint64_t)BACK_OFF_MOST_MS;
    c->back_off_ms = next < most ? next : most;
}

static void on_death(struct master *m, struct child *c, int status)
{
    pid_t pid = c->pid;
    watch_receive(m, c); /* its last words */
    child_forget(c);
    c->state = ROLE_STOPPED;
    if (m->at_once) return;
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (m->stopping) {
        if (!clean) say_death(c, LOG_LEVEL_WARNING, pid, status, " while stopping");
        news_death(m, c, pid, status); /* the manager settles what it had in hand */
        return;
    }
    /* Once clients are let in, who was there already may have died of what one of them said: that is no failed start. */
    bool first_try = !c->was_ready && c->restarts == 0;
    if (!m->ready && (!m->open || first_try)) {
        on_failed_start(m, c, pid, status);
        return;
    }
    say_death(c, LOG_LEVEL_WARNING, pid, status, c->back_off_ms == 0 ? "; it is started again" : "; it is started again after a pause");
    plan_restart(m, c);
    news_death(m, c, pid, status);
    watch_tell_state(m, c);
}

void watch_reap(struct master *m)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) return;
        for (uint32_t i = 0; i < m->child_count; i++) {
            if (m->children[i].pid == pid) on_death(m, &m->children[i], status);
        }
    }
}

/* ---- time ---- */

static void restart(struct master *m, struct child *c)
{
    c->restarts++;
    if (c->role == ROLE_RECEIVER && c->death.signal != 0) boxes_renew(c);
    enum err e = child_start(m, c);
    if (e != ERR_NONE) {
        log_err(LOG_LEVEL_ERROR, "cannot start a process", bytes_of_cstr(ipc_role_name(c->role)), e);
        if (c->pid != 0) child_kill(c, "it could not be given its channels");
        else plan_restart(m, c);
    }
    watch_tell_state(m, c);
}

static void ping(struct master *m, struct child *c)
{
    c->ping_number++;
    c->ping_ms = m->now_ms;
    c->ping_open = true;
    if (c->role == ROLE_MANAGER) news_manager_asked(m);
    (void)!ipc_send_ping(c->channel, &(struct ipc_ping){c->ping_number}, -1); /* one that was not taken is one that is not answered */
}

static void check_one(struct master *m, struct child *c)
{
    if (c->state == ROLE_BACKING_OFF && !m->stopping && m->now_ms >= c->start_again_ms) restart(m, c);
    if (c->pid == 0 || c->channel == NULL || c->killed_for != NULL) return;
    if (!c->was_ready) {
        if (c->role != ROLE_MANAGER && m->now_ms - c->started_ms >= START_MS) child_kill(c, "it was not ready in time");
        return;
    }
    if (c->ping_open && m->now_ms - c->ping_ms >= HANG_MS) {
        c->hung = true;
        child_kill(c, "it did not answer the watchdog");
    } else if (!c->ping_open && m->now_ms - c->ping_ms >= PING_EVERY_MS) {
        ping(m, c);
    }
}

void watch_due(struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++) check_one(m, &m->children[i]);
}

uint64_t watch_deadline(const struct master *m)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < m->child_count; i++) {
        const struct child *c = &m->children[i];
        uint64_t next = UINT64_MAX;
        if (c->state == ROLE_BACKING_OFF) next = c->start_again_ms;
        else if (c->pid == 0 || c->channel == NULL || c->killed_for != NULL) continue;
        else if (c->was_ready) next = c->ping_ms + (c->ping_open ? (uint64_t)HANG_MS : (uint64_t)PING_EVERY_MS);
        else if (c->role != ROLE_MANAGER) next = c->started_ms + START_MS;
        if (next < at) at = next;
    }
    return at;
}
