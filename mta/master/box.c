/*
 * box - the memory files of workers: made for each place, so that they outlive whoever runs there and whoever reads them.
 *
 * A delivery worker gets its connections from the manager, who reads what the one before left first; a receiver gets them from the acceptor, so one that
 * crashed leaves its box behind and the next gets another.
 *
 * Sealed against shrinking and growing, so that no process can make another's access to them fault. The worker may write its box, the manager read it;
 * grants are the manager's alone. What is in them is nothing to the master.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/box/grants.h"
#include "mta/master/master.h"

static bool has_box(const struct child *c) { return c->role == ROLE_DELIVER || c->role == ROLE_RECEIVER; }

static int make(const char *name, uint64_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) return fd;
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

/* for_reading - the same file through a descriptor that cannot write it. */
static int for_reading(int fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool make_box(struct child *c)
{
    int fd = make("mta-box", BOX_FILE_BYTES), read_fd = fd >= 0 ? for_reading(fd) : -1;
    if (read_fd < 0) {
        if (fd >= 0) close(fd);
        return false;
    }
    c->box_fd = fd;
    c->box_read_fd = read_fd;
    return true;
}

void boxes_renew(struct child *c)
{
    int fd = c->box_fd, read_fd = c->box_read_fd;
    if (!make_box(c)) {
        log_err(LOG_LEVEL_WARNING, "cannot make another black box; the old one is used again", bytes_of_cstr(ipc_role_name(c->role)), err_from_errno(errno));
        return;
    }
    close(fd);
    if (c->box_before_fd) close(c->box_before_fd);
    c->box_before_fd = read_fd;
}

int boxes_make(struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (!has_box(c)) continue;
        c->grants_fd = make("mta-grants", GRANTS_FILE_BYTES);
        if (make_box(c) && c->grants_fd >= 0) continue;
        log_err(LOG_LEVEL_FATAL, "cannot make the black box of a worker", bytes_of_cstr(ipc_role_name(c->role)), err_from_errno(errno));
        return PROCESS_EXIT_FAILED;
    }
    return 0;
}

static enum err give(const struct child *to, const struct child *of, uint32_t epoch, int fd, bool grants)
{
    struct ipc_box m = {.role = (uint8_t)of->role, .index = of->index, .epoch = epoch, .grants = grants};
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return err_from_errno(errno);
    enum err e = ipc_send_box(to->channel, &m, copy);
    if (e != ERR_NONE) close(copy);
    (void)!ipc_flush(to->channel); /* now, so that few descriptors are on their way at once */
    return e;
}

static enum err give_manager(struct child *to, const struct child *of)
{
    enum err e = ERR_NONE;
    if (of->news != NEWS_NONE && of->box_before_fd) e = give(to, of, of->death.epoch, of->box_before_fd, false);
    if (e == ERR_NONE) e = give(to, of, of->epoch, of->box_read_fd, false);
    return e == ERR_NONE ? give(to, of, of->epoch, of->grants_fd, true) : e;
}

enum err boxes_give(struct master *m, struct child *c)
{
    struct child *manager = child_find(m, ROLE_MANAGER, 0);
    enum err e = has_box(c) ? give(c, c, c->epoch, c->box_fd, false) : ERR_NONE;
    if (e == ERR_NONE && c->box_before_fd && manager->channel != NULL && give(manager, c, c->epoch, c->box_read_fd, false) == ERR_FULL)
        child_kill(manager, "it does not read what the master says");
    for (uint32_t i = 0; c->role == ROLE_MANAGER && e == ERR_NONE && i < m->child_count; i++)
        if (has_box(&m->children[i])) e = give_manager(c, &m->children[i]);
    return e;
}
