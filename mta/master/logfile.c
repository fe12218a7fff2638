/*
 * logfile - where log lines go: standard error, a file, or syslog. Opened here, since no child can open anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/master/master.h"

enum { TARGET_STDERR = 0, TARGET_FILE, TARGET_SYSLOG }; /* config.log.target */

static const char syslog_path[] = "/dev/log";

enum log_sink logfile_sink(const struct master *m)
{
    return m->config->log.target == TARGET_SYSLOG ? LOG_SINK_SYSLOG : LOG_SINK_STREAM;
}

bool logfile_is_elsewhere(const struct master *m)
{
    return m->config->log.target != TARGET_STDERR;
}

static int open_file(struct bytes path)
{
    enum { PATH_BYTES_MAX = 4096 };
    char name[PATH_BYTES_MAX] = {0};
    if (path.len >= sizeof(name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name, path.ptr, path.len);
    return open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static int open_syslog(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    memcpy(where.sun_path, syslog_path, sizeof(syslog_path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&where, sizeof(where)) != 0) {
        int kept = errno;
        close(fd);
        errno = kept;
        fd = -1;
    }
    return fd;
}

/* open_target - a descriptor of our own, or -1 and errno. */
static int open_target(const struct master *m)
{
    const struct config *c = m->config;
    if (c->log.target == TARGET_FILE) return open_file(config_bytes(c, c->log.path));
    if (c->log.target == TARGET_SYSLOG) return open_syslog();
    return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

static struct bytes target_name(const struct master *m)
{
    const struct config *c = m->config;
    return c->log.target == TARGET_FILE ? config_bytes(c, c->log.path) : c->log.target == TARGET_SYSLOG ? bytes_of_cstr(syslog_path) : BYTES("standard error");
}

void logfile_say_here(const struct master *m, bool here)
{
    const struct config *c = m->config;
    log_open(here ? STDERR_FILENO : m->log_fd, here ? LOG_SINK_STREAM : logfile_sink(m), config_bytes(c, c->log.ident), config_bytes(c, c->hostname),
             BYTES("master"));
}

int logfile_open(struct master *m)
{
    m->log_fd = open_target(m);
    if (m->log_fd < 0) {
        log_err(LOG_LEVEL_FATAL, "cannot open the log", target_name(m), err_from_errno(errno));
        return PROCESS_EXIT_FAILED;
    }
    log_flush();
    logfile_say_here(m, false);
    return 0;
}

void logfile_reopen(struct master *m)
{
    int fd = open_target(m);
    if (fd < 0) {
        log_err(LOG_LEVEL_ERROR, "cannot open the log again; lines go on to the old one", target_name(m), err_from_errno(errno));
        return;
    }
    log_text(LOG_LEVEL_INFO, "SIGHUP: the log is opened again");
    log_flush();
    log_set_fd(fd);
    close(m->log_fd);
    m->log_fd = fd;
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (c->channel == NULL || c->role == ROLE_LOCAL) continue;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0) continue;
        if (ipc_send_log_to(c->channel, &(struct ipc_log_to){.sink = (uint8_t)logfile_sink(m)}, copy) != ERR_NONE) close(copy);
    }
}
