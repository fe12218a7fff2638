/*
 * listen - the sockets that clients connect to, made once and kept over the restarts of those who accept.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/master/master.h"

enum {
    BACKLOG = 4096,        /* connections that wait while the acceptor is replaced; cut by net.core.somaxconn */
    CONTROL_BACKLOG = 64,
    PATIENCE_TRIES = 30,   /* after a kill the kernel takes a moment to end the children and their rings: a restart right behind it must not fail */
    PATIENCE_MS = 100,
};

static void pause_a_moment(void)
{
    struct timespec moment = {.tv_nsec = PATIENCE_MS * 1000000L};
    (void)nanosleep(&moment, NULL);
}

static const char *advice(int error_number)
{
    switch (error_number) {
    case EADDRINUSE: return "the port is taken; another mail server runs here (`ss -ltnp` shows it)";
    case EACCES: return "permission denied; ports below 1024 need root";
    case EADDRNOTAVAIL: return "this machine does not have the address";
    case EAFNOSUPPORT: return "this machine has no such protocol family";
    default: return strerror(error_number);
    }
}

static int refuse(const struct master *m, const struct config_listener *l, const struct net_address *a, int error_number)
{
    struct buf *line = log_begin(LOG_LEVEL_FATAL);
    BUF_LIT(line, "fatal: cannot listen on ");
    net_print_ip_port(line, a);
    BUF_LIT(line, " (listen ");
    log_bytes(line, config_bytes(m->config, l->name));
    BUF_LIT(line, "): ");
    buf_put_cstr(line, advice(error_number));
    log_end();
    return PROCESS_EXIT_FAILED;
}

/* open_listener - the descriptor, or -1 and errno. */
static int open_listener(const struct net_address *a)
{
    struct sockaddr_storage where;
    uint32_t where_bytes = net_to_sockaddr(a, &where);
    int on = 1;
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    bool done = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0
        && (a->family != NET_IPV6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0)
        && bind(fd, (const struct sockaddr *)&where, where_bytes) == 0 && listen(fd, BACKLOG) == 0;
    if (done) return fd;
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

int listeners_open(struct master *m)
{
    const struct config_listener *blocks = CONFIG_ITEMS(m->config, m->config->listeners, struct config_listener);
    for (uint16_t i = 0; blocks != NULL && i < m->config->listeners.count; i++) {
        const struct net_address *addresses = CONFIG_ITEMS(m->config, blocks[i].addresses, struct net_address);
        for (uint32_t k = 0; addresses != NULL && k < blocks[i].addresses.count; k++) {
            if (m->listener_count == LISTENERS_MAX) return refuse(m, &blocks[i], &addresses[k], EMFILE);
            int fd = open_listener(&addresses[k]);
            for (uint32_t n = 0; fd < 0 && errno == EADDRINUSE && n < PATIENCE_TRIES; n++) {
                pause_a_moment();
                fd = open_listener(&addresses[k]);
            }
            if (fd < 0) return refuse(m, &blocks[i], &addresses[k], errno);
            m->listeners[m->listener_count++] = (struct listener){i, addresses[k], fd};
        }
    }
    return 0;
}

/* ---- Unix sockets: that of mtactl, and those of listeners ---- */

static int refuse_socket(struct bytes path, const char *why)
{
    struct buf *line = log_begin(LOG_LEVEL_FATAL);
    BUF_LIT(line, "fatal: cannot make the socket ");
    log_bytes(line, path);
    BUF_LIT(line, ": ");
    buf_put_cstr(line, why);
    log_end();
    return PROCESS_EXIT_FAILED;
}

/* socket_place - its folder (-1 and errno) and name; the folder is made when it is missing. */
static int socket_place(struct bytes path, struct bytes *name)
{
    uint32_t slash = bytes_find_last(path, '/');
    *name = bytes_from(path, slash + 1);
    struct account self = {geteuid(), getegid()};
    bool made;
    return path_open(bytes_slice(path, 0, slash), &self, 0755, &made);
}

/* socket_address - through the folder's descriptor, since a whole path may be longer than a socket address can hold. */
static bool socket_address(int folder, struct bytes name, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%.*s", folder, (int)name.len, (const char *)name.ptr);
    return n > 0 && n < (int)sizeof(out->sun_path);
}

/* clear_stale - what an mtad that was killed left behind goes; that of a living one does not. Returns why not, or NULL. */
static const char *clear_stale(int folder, const struct sockaddr_un *where, bool *still_there)
{
    *still_there = false;
    const char *name = strrchr(where->sun_path, '/') + 1;
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISSOCK(st.st_mode)) return "something that is no socket has this name";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return strerror(errno);
    bool alive = connect(fd, (const struct sockaddr *)where, sizeof(*where)) == 0 || errno == EAGAIN;
    close(fd);
    *still_there = alive;
    if (alive) return "another mtad is listening there; stop it, or give this one its own `run-dir` and queue";
    return unlinkat(folder, name, 0) == 0 ? NULL : strerror(errno);
}

/* socket_listen - a listening Unix socket at a path, or -1 when the reason was said. */
static int socket_listen(struct bytes path, mode_t mode, int backlog)
{
    struct bytes name;
    struct sockaddr_un where;
    int fd = -1, folder = socket_place(path, &name);
    if (folder < 0) return refuse_socket(path, strerror(errno)), -1;
    bool still_there = false;
    const char *why = socket_address(folder, name, &where) ? clear_stale(folder, &where, &still_there) : "its name is too long";
    for (uint32_t n = 0; still_there && n < PATIENCE_TRIES; n++) {
        pause_a_moment();
        why = clear_stale(folder, &where, &still_there);
    }
    if (why == NULL) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool done = fd >= 0 && bind(fd, (const struct sockaddr *)&where, sizeof(where)) == 0
            && fchmodat(folder, strrchr(where.sun_path, '/') + 1, mode, 0) == 0 && listen(fd, backlog) == 0;
        if (!done) why = strerror(errno);
        if (!done && fd >= 0) close(fd);
    }
    close(folder);
    if (why != NULL) refuse_socket(path, why);
    return why == NULL ? fd : -1;
}

static void socket_remove(struct bytes path)
{
    struct bytes name;
    struct sockaddr_un where;
    int folder = socket_place(path, &name);
    if (folder < 0) return;
    if (socket_address(folder, name, &where)) unlinkat(folder, strrchr(where.sun_path, '/') + 1, 0);
    close(folder);
}

int sockets_open(struct master *m)
{
    const struct config_listener *blocks = CONFIG_ITEMS(m->config, m->config->listeners, struct config_listener);
    /* Anybody may connect: who is there is judged by the kernel's word, not by file modes. */
    m->control_fd = socket_listen(config_bytes(m->config, m->config->control_socket), m->is_root ? 0666 : 0600, CONTROL_BACKLOG);
    if (m->control_fd < 0) return PROCESS_EXIT_FAILED;
    for (uint16_t i = 0; blocks != NULL && i < m->config->listeners.count; i++) {
        struct bytes path = config_bytes(m->config, blocks[i].socket);
        if (path.len == 0) continue;
        if (m->listener_count == LISTENERS_MAX) return refuse_socket(path, "there are too many listening sockets");
        int fd = socket_listen(path, 0666, BACKLOG);
        if (fd < 0) return PROCESS_EXIT_FAILED;
        m->listeners[m->listener_count++] = (struct listener){.listen_block = i, .fd = fd};
    }
    return 0;
}

void sockets_remove(struct master *m)
{
    const struct config_listener *blocks = CONFIG_ITEMS(m->config, m->config->listeners, struct config_listener);
    if (m->control_fd >= 0) socket_remove(config_bytes(m->config, m->config->control_socket));
    for (uint32_t i = 0; i < m->listener_count; i++) {
        struct bytes path = config_bytes(m->config, blocks[m->listeners[i].listen_block].socket);
        if (path.len > 0) socket_remove(path);
    }
}
