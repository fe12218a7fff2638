/*
 * unix - connections to the Unix sockets that routes name (lmtp unix:PATH). Processes that talk to others see no file system, so the master makes these:
 * by the path of the configuration, never by one that was asked for, and without a word read or written.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mta/master/master.h"

static int connect_to(struct bytes path)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof where.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(where.sun_path, path.ptr, path.len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&where, sizeof where) == 0) return fd;
    int why = errno; /* without waiting: a full queue of the server is EAGAIN */
    close(fd);
    errno = why;
    return -1;
}

bool unix_connect(struct master *m, struct child *connector, const struct ipc_unix_ask *ask)
{
    const struct config_route *routes = CONFIG_ITEMS(m->config, m->config->routes, struct config_route);
    if (ask->route >= m->config->routes.count) return false;
    const struct config_route *r = &routes[ask->route];
    if (r->action != ACTION_LMTP || r->relay_address.family != NET_UNIX) return false;
    int fd = connect_to(config_bytes(m->config, r->relay_host));
    struct ipc_unix_made made = {.connection = ask->connection, .text = fd < 0 ? bytes_of_cstr(strerror(errno)) : (struct bytes){0}};
    if (ipc_send_unix_made(connector->channel, &made, fd) != ERR_NONE && fd >= 0) close(fd);
    return true;
}
