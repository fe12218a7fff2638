/*
 * link - the connection to the control process: where it is, one request, lines back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "mta/config/config.h"
#include "mtactl.h"

#define CONFIG_FILE_DEFAULT "/etc/mta/mta.conf"
#define SOCKET_DEFAULT "/run/mta/control.sock"

enum {
    LINE_BYTES_MAX = 1024 * 1024,    /* a row is at most 64 KiB; the status has the processes before it */
    ANSWER_WITHIN_S = 120,           /* without a word: a check of a long queue takes its time */
};

static void quiet(void *context, bool is_error, struct bytes text)
{
    (void)context;
    (void)is_error;
    (void)text;
}

/* configured - the socket that a configuration names; false when it cannot be read. */
static bool configured(const char *file, char *path, size_t cap)
{
    struct config_problem_sink sink = {quiet, NULL};
    const struct config *c;
    int fd;
    if (access(file, R_OK) != 0 || config_load(file, NULL, 1, &sink, &fd) != ERR_NONE) return false;
    bool mapped = config_map(fd, &c) == ERR_NONE;
    close(fd);
    if (!mapped) return false;
    struct bytes socket_path = config_bytes(c, c->control_socket);
    bool fits = socket_path.len > 0 && socket_path.len < cap;
    if (fits) snprintf(path, cap, "%.*s", (int)socket_path.len, (const char *)socket_path.ptr);
    config_unmap(c);
    return fits;
}

static const char *socket_path(const struct ctl *c)
{
    static char path[4096];
    if (c->socket) return c->socket;
    if (configured(c->config ? c->config : CONFIG_FILE_DEFAULT, path, sizeof path)) return path;
    return SOCKET_DEFAULT;
}

static int fail(const char *path, const char *why)
{
    fprintf(stderr, "mtactl: cannot reach mtad at %s: %s\n", path, why);
    return -1;
}

/* enter - a path that is longer than a socket address holds is reached from its folder. */
static const char *enter(const char *path)
{
    struct sockaddr_un where;
    static char folder[4096];
    if (strlen(path) < sizeof where.sun_path) return path;
    const char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) >= sizeof folder) return path;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return chdir(folder) == 0 ? slash + 1 : path;
}

static int link_open(const char *path)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_WITHIN_S};
    const char *name = enter(path);
    if (strlen(name) >= sizeof where.sun_path) return fail(path, "its name is too long");
    memcpy(where.sun_path, name, strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(path, strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&where, sizeof where) == 0) return fd;
    const char *why = errno == ENOENT || errno == ECONNREFUSED ? "it is not running, or its socket is elsewhere (--socket PATH, -c FILE)" : strerror(errno);
    close(fd);
    return fail(path, why);
}

static bool send_line(int fd, const struct ipc_admin *m)
{
    static uint8_t memory[ADMIN_LINE_BYTES_MAX];
    struct buf line = BUF_OVER(memory);
    admin_line_put(&line, m);
    if (line.overflow) return false;
    return send(fd, line.ptr, line.len, MSG_NOSIGNAL) == (ssize_t)line.len;
}

static int on_end(struct bytes end, struct ending *out)
{
    int64_t status = member_number(end, "status");
    out->status = status >= ADMIN_OK && status <= ADMIN_PARTIAL ? (int)status : ADMIN_NEGATIVE;
    out->messages += (uint64_t)member_number(end, "messages");
    out->recipients += (uint64_t)member_number(end, "recipients");
    out->octets += (uint64_t)member_number(end, "bytes");
    out->left += (uint64_t)member_number(end, "left");
    struct bytes text = member_text(end, "text");
    fflush(stdout);
    if (text.len) fprintf(stderr, "mtactl: %.*s\n", (int)text.len, (const char *)text.ptr);
    return out->status;
}

/* on_lines - the whole lines of what is there; returns octets used. *status is set at the end. */
static uint32_t on_lines(struct bytes text, void (*row)(void *context, struct bytes json), void *context, struct ending *end, int *status)
{
    uint32_t used = 0;
    while (*status < 0) {
        struct bytes rest = bytes_from(text, used), inside;
        uint32_t length = bytes_find(rest, '\n');
        if (length == rest.len) break;
        struct bytes line = bytes_slice(rest, 0, length);
        used += length + 1;
        if (bytes_starts(line, BYTES("{\"end\":")) && json_member(line, "end", &inside)) *status = on_end(inside, end);
        else if (row) row(context, line);
    }
    return used;
}

int link_ask(const struct ctl *c, const struct ipc_admin *m, void (*row)(void *context, struct bytes json), void *context, struct ending *end)
{
    static uint8_t memory[LINE_BYTES_MAX];
    const char *path = socket_path(c);
    int status = -1, fd = link_open(path);
    end->status = ADMIN_UNREACHABLE;
    if (fd < 0) return ADMIN_UNREACHABLE;
    uint32_t have = 0;
    bool sent = send_line(fd, m);
    while (sent && status < 0 && have < sizeof memory) {
        ssize_t n = recv(fd, memory + have, sizeof memory - have, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        have += (uint32_t)n;
        uint32_t used = on_lines(bytes_of(memory, have), row, context, end, &status);
        memmove(memory, memory + used, have - used);
        have -= used;
    }
    close(fd);
    if (status >= 0) return status;
    fflush(stdout);
    fail(path, "it closed the connection, or did not answer in time");
    return end->status = ADMIN_UNREACHABLE;
}
