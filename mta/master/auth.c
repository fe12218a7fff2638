/*
 * auth - what the auth process cannot open: password files, and Dovecot's socket.
 *
 * A password file is opened again when it has changed, so that `mtactl user passwd` works at once; the auth process reads it, we do not.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mta/master/master.h"

enum { LOOK_EVERY_MS = 1000 };

static struct child *auth_child(struct master *m)
{
    struct child *c = child_find(m, ROLE_AUTHD, 0);
    return c && c->channel ? c : NULL;
}

static bool text_of(const struct master *m, struct config_text from, char *to, size_t room)
{
    struct bytes text = config_bytes(m->config, from);
    if (text.len == 0 || text.len >= room) return false;
    memcpy(to, text.ptr, text.len);
    to[text.len] = 0;
    return true;
}

static void complain(const char *path, const char *why)
{
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: password file ");
    log_bytes(line, bytes_of_cstr(path));
    BUF_LIT(line, ": ");
    buf_put_cstr(line, why);
    log_end();
}

/* give_file - the file as it is now, if it is another than the auth process has. */
static void give_file(struct master *m, struct child *to, uint16_t block, struct config_text where)
{
    char path[PATH_MAX];
    struct stat st;
    struct auth_seen *seen = &m->auth_seen[block];
    if (!text_of(m, where, path, sizeof path)) return;
    if (stat(path, &st) != 0) {
        if (!seen->complained) complain(path, errno == ENOENT ? "it is not there yet; mtactl user add makes it" : strerror(errno));
        seen->complained = true;
        return;
    }
    bool same = seen->given && seen->inode == st.st_ino && seen->bytes == st.st_size && seen->modified.tv_sec == st.st_mtim.tv_sec &&
                seen->modified.tv_nsec == st.st_mtim.tv_nsec;
    if (same) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (!seen->complained) complain(path, fd < 0 ? strerror(errno) : "it is no file");
        seen->complained = true;
        if (fd >= 0) close(fd);
        return;
    }
    if (st.st_mode & 07) complain(path, "everybody on this machine can read it; chmod o-rwx is advised");
    const struct ipc_auth_file f = {.block = block};
    if (ipc_send_auth_file(to->channel, &f, fd) != ERR_NONE) close(fd);
    *seen = (struct auth_seen){.given = true, .inode = st.st_ino, .bytes = st.st_size, .modified = st.st_mtim};
}

void auth_forget(struct master *m)
{
    memset(m->auth_seen, 0, sizeof m->auth_seen);
    m->auth_look_ms = 0;
}

void auth_look(struct master *m)
{
    const struct config_auth *auths = CONFIG_ITEMS(m->config, m->config->auths, struct config_auth);
    struct child *to = auth_child(m);
    if (!to || m->now_ms < m->auth_look_ms) return;
    m->auth_look_ms = m->now_ms + LOOK_EVERY_MS;
    for (uint16_t i = 0; auths && i < m->config->auths.count; i++) give_file(m, to, i, auths[i].file);
}

/* is_there - whether there is an auth process that could be given something. */
static bool is_there(const struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (m->children[i].role == ROLE_AUTHD && m->children[i].channel) return true;
    }
    return false;
}

uint64_t auth_deadline(const struct master *m)
{
    const struct config_auth *auths = CONFIG_ITEMS(m->config, m->config->auths, struct config_auth);
    if (m->stopping || !is_there(m)) return UINT64_MAX;
    for (uint16_t i = 0; auths && i < m->config->auths.count; i++) {
        if (auths[i].file.len > 0) return m->auth_look_ms;
    }
    return UINT64_MAX;
}

/* connect_to - a connected socket, or -1 and *why. */
static int connect_to(const char *path, const char **why)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    *why = "its path is too long";
    if (strlen(path) >= sizeof where.sun_path) return -1;
    memcpy(where.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&where, sizeof where) == 0) return fd;
    *why = errno == ENOENT || errno == ECONNREFUSED ? "it is not running, or its socket is elsewhere" : strerror(errno);
    if (fd >= 0) close(fd);
    return -1;
}

bool auth_connect(struct master *m, const struct ipc_auth_connect *ask)
{
    const struct config_auth *auths = CONFIG_ITEMS(m->config, m->config->auths, struct config_auth);
    struct child *to = auth_child(m);
    char path[PATH_MAX];
    const char *why = "";
    if (ask->block >= m->config->auths.count || !text_of(m, auths[ask->block].dovecot, path, sizeof path)) return false;
    int fd = connect_to(path, &why);
    const struct ipc_auth_socket answer = {.block = ask->block, .text = bytes_of_cstr(fd < 0 ? why : "")};
    if ((!to || ipc_send_auth_socket(to->channel, &answer, fd) != ERR_NONE) && fd >= 0) close(fd);
    return true;
}
