/*
 * child - start a process: channels, descriptors at fixed numbers, and mtad executed anew, so that it has an address layout of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "mta/master/master.h"

enum {
    CHANNEL_SOCKET_BYTES = 1024 * 1024, /* of a channel's socket buffer, where we may: one turn's records of a busy worker */
    HANDED_MAX = PROCESS_FOLDER_FD + FOLDERS_MAX,
    ASIDE_FD = 512,                     /* descriptors are moved above this before they take their places */
    EPOCH_BEGIN_S = 1577836800,         /* 2020-01-01: seconds since then fit 32 bits until 2156 */
    EXIT_EXEC = 71,                     /* EX_OSERR */
};

void child_print(struct buf *line, const struct child *c)
{
    buf_put_cstr(line, ipc_role_name(c->role));
    if (!ipc_role_several(c->role)) return;
    buf_put_c(line, '/');
    buf_put_u64(line, c->index);
}

void child_say(enum log_level level, const struct child *c, const char *text)
{
    static const char *const words[] = {[LOG_LEVEL_FATAL] = "fatal: ", [LOG_LEVEL_ERROR] = "error: ", [LOG_LEVEL_WARNING] = "warning: "};
    struct buf *line = log_begin(level);
    if (level <= LOG_LEVEL_WARNING) buf_put_cstr(line, words[level]);
    child_print(line, c);
    buf_put_c(line, ' ');
    buf_put_cstr(line, text);
    log_end();
}

void children_list(struct master *m)
{
    for (enum ipc_role role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
        for (uint16_t i = 0; i < process_places(m->config, role); i++) m->children[m->child_count++] = (struct child){.role = role, .index = i, .state = ROLE_STOPPED};
    }
    must(m->child_count <= CHILDREN_MAX);
}

struct child *child_find(struct master *m, enum ipc_role role, uint16_t index)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (m->children[i].role == role && m->children[i].index == index) return &m->children[i];
    }
    return NULL;
}

void child_kill(struct child *c, const char *why)
{
    if (c->pid == 0) return;
    if (c->killed_for == NULL) c->killed_for = why;
    kill(c->pid, SIGKILL);
}

void child_forget(struct child *c)
{
    ipc_close(c->channel);
    c->channel = NULL;
    c->pid = 0;
    c->ping_open = false;
}

/* make_pair - both ends of a channel, non-blocking, close-on-exec. */
static bool make_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return false;
    int wanted = CHANNEL_SOCKET_BYTES;
    for (int i = 0; i < 2; i++) {
        if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof(wanted)) != 0)
            (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted)); /* less is slower, not wrong */
    }
    return true;
}

/* ---- in the new process, before it is executed ---- */

struct handed { int from[HANDED_MAX]; uint32_t count; }; /* index = number in the child; -1 = nothing there */

/* put_in_place - first out of the way of the numbers that are to be taken, then into them. */
static bool put_in_place(struct handed *h)
{
    for (uint32_t i = PROCESS_CONTROL_FD; i < h->count; i++) {
        if (h->from[i] >= 0 && (h->from[i] = fcntl(h->from[i], F_DUPFD_CLOEXEC, ASIDE_FD)) < 0) return false;
    }
    for (uint32_t i = PROCESS_CONTROL_FD; i < h->count; i++) {
        if (h->from[i] < 0) close((int)i);
        else if (dup2(h->from[i], (int)i) < 0) return false;
    }
    return syscall(SYS_close_range, h->count, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

static _Noreturn void become(const struct master *m, const struct child *c, struct handed *h)
{
    char index[16], epoch[16], folders[16], landlock[16], uid[16], gid[16];
    snprintf(index, sizeof(index), "%u", c->index);
    snprintf(epoch, sizeof(epoch), "%u", c->epoch);
    snprintf(folders, sizeof(folders), "%u", m->folder_counts[c->role]);
    snprintf(landlock, sizeof(landlock), "%u", m->landlock_max);
    snprintf(uid, sizeof(uid), "%u", m->accounts[c->role].uid);
    snprintf(gid, sizeof(gid), "%u", m->accounts[c->role].gid);
    const char *role = ipc_role_name(c->role);
    const char *args[] = {"mtad", "--role", role, "--index", index, "--epoch", epoch, "--folders", folders, "--landlock-max", landlock,
        m->is_root ? "--uid" : NULL, uid, "--gid", gid, NULL};

    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int exe = fcntl(m->exe_fd, F_DUPFD_CLOEXEC, ASIDE_FD);
    if (exe >= 0 && put_in_place(h)) syscall(SYS_execveat, exe, "", (char *const *)(uintptr_t)args, environ, AT_EMPTY_PATH);
    log_err(LOG_LEVEL_FATAL, "cannot start a process", bytes_of_cstr(role), err_from_errno(errno));
    log_flush();
    _exit(EXIT_EXEC);
}

/* ---- in the master ---- */

static void list_handed(const struct master *m, const struct child *c, int channel, struct handed *h)
{
    memset(h->from, -1, sizeof(h->from));
    h->from[PROCESS_CONTROL_FD] = channel;
    h->from[PROCESS_CONFIG_FD] = m->config_fd;
    h->from[PROCESS_LOG_FD] = m->log_fd;
    h->from[PROCESS_ROOT_FD] = m->root_fd;
    for (uint32_t i = 0; i < m->folder_counts[c->role]; i++) h->from[(uint32_t)PROCESS_FOLDER_FD + i] = m->folders[c->role][i];
    h->count = (uint32_t)PROCESS_FOLDER_FD + m->folder_counts[c->role];
}

/* next_epoch - seconds, so that an epoch is not used again by a later master either: receipts of the queue name it. */
static uint32_t next_epoch(uint32_t before)
{
    int64_t s = clock_wall_us() / 1000000 - EPOCH_BEGIN_S;
    uint32_t epoch = s > 0 && s < UINT32_MAX ? (uint32_t)s : 1;
    return epoch > before ? epoch : before + 1;
}

static enum err give_end(const struct child *to, const struct child *peer, int fd)
{
    struct ipc_peer m = {(uint8_t)peer->role, peer->index, peer->epoch};
    enum err e = ipc_send_peer(to->channel, &m, fd);
    if (e != ERR_NONE) close(fd);
    return e;
}

/* connect_peers - a fresh channel between a new process and each that it may talk to. */
static enum err connect_peers(struct master *m, struct child *c)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *peer = &m->children[i];
        int ends[2];
        if (peer == c || peer->channel == NULL || !ipc_roles_talk(c->role, peer->role)) continue;
        if (!make_pair(ends)) return err_from_errno(errno);
        enum err e = give_end(c, peer, ends[0]);
        enum err other = give_end(peer, c, ends[1]); /* a peer that is dying is found out where it is reaped */
        if (e != ERR_NONE) return e;
        if (other == ERR_FULL) child_kill(peer, "it does not read what the master says");
        (void)!ipc_flush(c->channel); /* now, so that few descriptors are on their way at once */
        (void)!ipc_flush(peer->channel);
    }
    return ERR_NONE;
}

enum err child_start(struct master *m, struct child *c)
{
    int ends[2];
    must(c->pid == 0 && c->channel == NULL);
    if (!make_pair(ends)) return err_from_errno(errno);
    c->epoch = next_epoch(c->epoch);
    log_flush(); /* or the child would write our lines once more */
    struct handed h;
    list_handed(m, c, ends[1], &h);
    pid_t pid = fork();
    if (pid == 0) become(m, c, &h);
    int kept = errno;
    close(ends[1]);
    struct ipc_options options = {.self = ROLE_MASTER, .peer = c->role, .peer_index = c->index, .peer_epoch = c->epoch};
    enum err e = pid < 0 ? err_from_errno(kept) : ipc_open(&c->channel, ends[0], &options);
    if (e != ERR_NONE) {
        close(ends[0]);
        return e;
    }
    c->pid = pid;
    c->state = ROLE_STARTING;
    c->was_ready = c->drained = c->ping_open = false;
    c->killed_for = NULL;
    c->hung = false;
    c->started_ms = m->now_ms;
    c->started_wall_us = clock_wall_us();
    e = keys_give(m, c);
    if (e == ERR_NONE) e = connect_peers(m, c);
    if (e == ERR_NONE) e = boxes_give(m, c);
    if (c->role == ROLE_MANAGER) news_manager_came(m, c);
    if (c->role == ROLE_AUTHD) {
        auth_forget(m);
        auth_look(m);
    }
    return e;
}

bool child_takes(const struct child *c)
{
    return c->role != ROLE_CONNECTOR && c->role != ROLE_DELIVER && c->role != ROLE_CONTROL;
}

bool children_start(struct master *m, bool taking)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (child_takes(&m->children[i]) != taking) continue;
        enum err e = child_start(m, &m->children[i]);
        if (e == ERR_NONE) continue;
        log_err(LOG_LEVEL_FATAL, "cannot start a process", bytes_of_cstr(ipc_role_name(m->children[i].role)), e);
        return false;
    }
    return true;
}
