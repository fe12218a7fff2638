/*
 * worker - the memory of a worker's own box: shared with whoever reads it when the worker is dead.
 *
 * What the process before this one left in it may still have to be read by the manager, who does that before it gives this process anything to do. So
 * nothing is written before the first connection comes, and then all of it is emptied.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/box/box.h"

/* Memory of our own until the master's comes, so that no store has to ask. */
enum err box_init(struct box *b, uint32_t worker_epoch)
{
    void *memory = mmap(NULL, BOX_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    *b = (struct box){.memory = memory, .worker_epoch = worker_epoch};
    return ERR_NONE;
}

enum err box_use(struct box *b, int fd)
{
    void *memory = b->begun ? MAP_FAILED : mmap(NULL, BOX_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    must(munmap(b->memory, BOX_FILE_BYTES) == 0);
    b->memory = memory;
    return ERR_NONE;
}

void box_begin(struct box *b)
{
    b->begun = true;
    (void)madvise(b->memory, BOX_FILE_BYTES, MADV_REMOVE); /* refused for memory of our own, which is empty */
    box_start(b);
}
