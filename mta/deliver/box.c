/*
 * box - the memory of this worker's black box: shared with whoever reads it when we are dead.
 *
 * What the process before us left in it may still have to be read by the manager. The manager does that before it gives this process anything to do; so
 * nothing is written before the first connection comes, and then all of it is emptied.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/deliver/deliver.h"

static_assert((int)SESSIONS_MAX <= (int)BOX_SLOTS_MAX, "each session has a slot");

/* Memory of our own until the master's comes, so that no store has to ask. */
enum err deliver_box_init(struct deliver *d)
{
    void *memory = mmap(NULL, BOX_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    d->box = (struct box){memory, process_epoch(d->process), 0};
    return ERR_NONE;
}

void deliver_box_came(struct process *p, const struct ipc_box *m, int fd)
{
    struct deliver *d = deliver_of(p);
    void *memory = m->grants || d->box_begun ? MAP_FAILED : mmap(NULL, BOX_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) process_fatal(p, PROCESS_EXIT_FAILED, "cannot use the black box", BYTES("memory"), ERR_NO_MEMORY);
    must(munmap(d->box.memory, BOX_FILE_BYTES) == 0);
    d->box.memory = memory;
}

void deliver_box_begin(struct deliver *d)
{
    d->box_begun = true;
    (void)madvise(d->box.memory, BOX_FILE_BYTES, MADV_REMOVE); /* refused for memory of our own, which is empty */
    box_start(&d->box);
}
