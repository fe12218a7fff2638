/*
 * box - the memory files of workers: made once for each place, so that they outlive whoever runs there and whoever reads them.
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

int boxes_make(struct master *m)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (!has_box(c)) continue;
        c->box_fd = make("mta-box", BOX_FILE_BYTES);
        c->box_read_fd = c->box_fd >= 0 ? for_reading(c->box_fd) : -1;
        c->grants_fd = make("mta-grants", GRANTS_FILE_BYTES);
        if (c->box_read_fd >= 0 && c->grants_fd >= 0) continue;
        log_err(LOG_LEVEL_FATAL, "cannot make the black box of a worker", bytes_of_cstr(ipc_role_name(c->role)), err_from_errno(errno));
        return PROCESS_EXIT_FAILED;
    }
    return 0;
}

static enum err give(const struct child *to, const struct child *of, int fd, bool grants)
{
    struct ipc_box m = {.role = (uint8_t)of->role, .index = of->index, .epoch = of->epoch, .grants = grants};
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return err_from_errno(errno);
    enum err e = ipc_send_box(to->channel, &m, copy);
    if (e != ERR_NONE) close(copy);
    (void)!ipc_flush(to->channel); /* now, so that few descriptors are on their way at once */
    return e;
}

enum err boxes_give(struct master *m, struct child *c)
{
    if (has_box(c)) return give(c, c, c->box_fd, false);
    if (c->role != ROLE_MANAGER) return ERR_NONE;
    enum err e = ERR_NONE;
    for (uint32_t i = 0; e == ERR_NONE && i < m->child_count; i++) {
        const struct child *of = &m->children[i];
        if (!has_box(of)) continue;
        e = give(c, of, of->box_read_fd, false);
        if (e == ERR_NONE) e = give(c, of, of->grants_fd, true);
    }
    return e;
}
