/*
 * link - to mtad's socket for users of this host.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mta/config/config.h"
#include "sendmail.h"

#define CONFIG_FILE_DEFAULT "/etc/mta/mta.conf"
#define SOCKET_DEFAULT "/run/mta/submit.sock"

enum { ANSWER_WITHIN_S = 11 * 60 }; /* RFC 5321 4.5.3.2.6 gives the last answer ten minutes */

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void quiet(void *context, bool is_error, struct bytes text)
{
    (void)context;
    (void)is_error;
    (void)text;
}

/* configured - the first socket that a configuration has; false when it cannot be read, or has none. */
static bool configured(const char *file, struct sockaddr_un *where)
{
    const struct config_problem_sink sink = {quiet, NULL};
    const struct config *c;
    int fd;
    if (access(file, R_OK) != 0 || config_load(file, NULL, 1, &sink, &fd) != ERR_NONE) return false;
    bool found = false, mapped = config_map(fd, &c) == ERR_NONE;
    close(fd);
    const struct config_listener *listeners = mapped ? CONFIG_ITEMS(c, c->listeners, struct config_listener) : NULL;
    for (uint32_t i = 0; listeners && !found && i < c->listeners.count; i++) {
        struct bytes path = config_bytes(c, listeners[i].socket);
        found = path.len > 0 && path.len < sizeof where->sun_path;
        if (found) memcpy(where->sun_path, path.ptr, path.len);
    }
    if (mapped) config_unmap(c);
    return found;
}

int link_to_mtad(const struct job *j, const char **why)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_WITHIN_S};
    bool known = j->config ? configured(j->config, &where) : access(SOCKET_DEFAULT, F_OK) != 0 && configured(CONFIG_FILE_DEFAULT, &where);
    if (!known) memcpy(where.sun_path, SOCKET_DEFAULT, sizeof SOCKET_DEFAULT);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&where, sizeof where) == 0) return fd;
    *why = errno == ENOENT || errno == ECONNREFUSED ? "mtad is not running, or its configuration has no `listen' with a socket" : strerror(errno);
    if (fd >= 0) close(fd);
    return -1;
}
