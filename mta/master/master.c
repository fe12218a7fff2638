/*
 * master - starts, watches and stops all other processes.
 *
 * Purpose      opens what no child may open: listening sockets, control socket, log, queue and mail folders, configuration; hands it out
 * Runs as      root when started as root, and then the only process that is
 * Inherits     standard error; NOTIFY_SOCKET and WATCHDOG_USEC of a service manager
 * Talks to     every child: PEER, PING, DRAIN, LOG_TO, DIED, CONFIG out; READY, PONG, DRAINED, VIOLATION in.
 *              SRS_SECRETS to the manager, LISTENER to the acceptor, CONTROL_LISTENER, ROLE_STATE and RELOADED to control; RELOAD from it
 * May do       anything; so it does little, and reads nothing that comes from a network
 * Holds        the child table; descriptors
 * If it dies   every child ends: by its parent-death signal, or because its channel ends
 * If a child lies   its channel is closed and it is killed and started again
 */
#include "mta/master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"

static struct master the_master;

static int fail(const char *text)
{
    log_err(LOG_LEVEL_FATAL, text, BYTES(""), err_from_errno(errno));
    return PROCESS_EXIT_FAILED;
}

/* raise_limits - children inherit these as the most that they may have; each sets its own. */
static void raise_limits(void)
{
    enum { DESCRIPTORS_WANTED = 262144 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    struct rlimit more = {DESCRIPTORS_WANTED, DESCRIPTORS_WANTED};
    if (limit.rlim_max < DESCRIPTORS_WANTED && setrlimit(RLIMIT_NOFILE, &more) == 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer descriptors, fewer connections; not a reason to stay down */
}

static int open_signals(struct master *m)
{
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (uint32_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) sigaddset(&set, wanted[i]);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) != 0) return fail("cannot block signals");
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return m->signal_fd >= 0 ? 0 : fail("cannot read signals");
}

static int open_self(struct master *m)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) return fail("cannot open /dev/null");
    close(null);
    /* By descriptor: a child is of the same build even when the file has been replaced meanwhile. */
    m->exe_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    return m->exe_fd >= 0 ? 0 : fail("cannot open our own program: is /proc mounted?");
}

static int start_children(struct master *m)
{
    children_list(m);
    int code = boxes_make(m);
    if (code != 0) return code;
    if (ipc_reserve(m->child_count) != ERR_NONE) return fail("no memory for channels");
    return children_start(m, true) ? 0 : PROCESS_EXIT_FAILED;
}

static void on_signal(struct master *m, int number)
{
    /* timeout(1) and some supervisors signal the process and then its group: what comes so soon is the same wish, not a second one. */
    enum { SAME_WISH_MS = 2000 };
    if (number == SIGHUP) {
        logfile_reopen(m);
        if (m->ready && !m->stopping) reload_now(m, NULL, 0);
        keys_reload(m, 0);
    }
    if (number != SIGTERM && number != SIGINT) return;
    if (m->stopping && m->now_ms - m->stop_begun_ms < SAME_WISH_MS) return;
    if (!m->stopping && m->ready) {
        stop_begin(m, number == SIGTERM ? "SIGTERM: stopping" : "SIGINT: stopping");
    } else if (!m->at_once) {
        log_text(LOG_LEVEL_WARNING, m->stopping ? "a second signal: stopping at once" : "stopped while starting");
        stop_at_once(m, PROCESS_EXIT_OK);
    }
}

static void read_signals(struct master *m)
{
    struct signalfd_siginfo info;
    while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) on_signal(m, (int)info.ssi_signo);
    watch_reap(m); /* SIGCHLD says that there is at least one, no more */
}

static int timeout_ms(const struct master *m)
{
    enum { LONGEST_MS = 60000 };
    uint64_t at = watch_deadline(m);
    if (stop_deadline(m) < at) at = stop_deadline(m);
    if (notify_deadline() < at) at = notify_deadline();
    if (auth_deadline(m) < at) at = auth_deadline(m);
    if (reload_deadline(m) < at) at = reload_deadline(m);
    uint64_t now = clock_mono_ms();
    if (at <= now) return 0;
    return at - now < LONGEST_MS ? (int)(at - now) : LONGEST_MS;
}

static void flush_channels(struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (c->channel != NULL) (void)!ipc_flush(c->channel); /* one that is gone is noticed where it is read */
    }
}

/* turn - wait, and do what there is to do. */
static void turn(struct master *m)
{
    struct pollfd fds[1 + CHILDREN_MAX];
    fds[0] = (struct pollfd){.fd = m->signal_fd, .events = POLLIN};
    for (uint32_t i = 0; i < m->child_count; i++) {
        const struct child *c = &m->children[i];
        fds[1 + i] = (struct pollfd){.fd = c->channel != NULL ? ipc_fd(c->channel) : -1, .events = POLLIN};
        if (c->channel != NULL && ipc_waiting_bytes(c->channel) > 0) fds[1 + i].events |= POLLOUT;
    }
    int got = poll(fds, 1 + m->child_count, timeout_ms(m));
    m->now_ms = clock_mono_ms();
    for (uint32_t i = 0; got > 0 && i < m->child_count; i++) {
        if (fds[1 + i].revents & ~POLLOUT) watch_receive(m, &m->children[i]);
    }
    if (got > 0 && fds[0].revents != 0) read_signals(m);
    watch_due(m);
    auth_look(m);
    reload_due(m);
    notify_alive(m->now_ms);
    flush_channels(m);
    log_flush();
}

/* prepare - all that can be wrong on this machine, each with one line, before any process is started. */
static int prepare(struct master *m)
{
    static int (*const steps[])(struct master *) = {
        open_self, accounts_find, root_open, listeners_open, sockets_open, folders_open, secrets_read, logfile_open, keys_open, open_signals,
        start_children,
    };
    for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int code = steps[i](m);
        if (code != 0) return code;
    }
    return 0;
}

int master_run(int config_fd, struct config_texts *texts, uint32_t landlock_max)
{
    struct master *m = &the_master;
    m->config_fd = config_fd;
    m->texts = texts;
    m->landlock_max = landlock_max;
    m->control_fd = m->root_fd = m->certificates_fd = m->certificates_next_fd = -1;
    m->now_ms = clock_mono_ms();
    m->started_wall_us = clock_wall_us();
    enum err e = config_map(config_fd, &m->config);
    m->first_config = m->config;
    log_open(STDERR_FILENO, LOG_SINK_STREAM, e == ERR_NONE ? config_bytes(m->config, m->config->log.ident) : BYTES("mta"),
        e == ERR_NONE ? config_bytes(m->config, m->config->hostname) : BYTES("localhost"), BYTES("master"));
    if (e != ERR_NONE) {
        log_err(LOG_LEVEL_FATAL, "the configuration image is unusable", BYTES(""), e);
        return PROCESS_EXIT_FAILED;
    }
    log_set_level((enum log_level)m->config->log.level);
    prctl(PR_SET_NAME, "mta-master");
    umask(022);
    raise_limits();
    notify_open();
    int code = prepare(m);
    if (code != 0) stop_at_once(m, code);
    while (m->child_count > 0 && !(m->stopping && stop_step(m))) turn(m);
    sockets_remove(m);
    if (m->ready) log_text(LOG_LEVEL_INFO, "stopped");
    log_flush();
    /* Whatever a child said before it gave up is in the log; who started us may be looking elsewhere. */
    if (m->exit_code != 0 && m->child_count > 0 && logfile_is_elsewhere(m)) fprintf(stderr, "mtad: could not start; the reason is in the log\n");
    return m->exit_code;
}
