/*
 * boxes - the black boxes of workers, as the manager holds them: boxes to read, grants to write. And what a dead worker's box says of each connection.
 *
 * A box is never mapped here: what is looked at is a copy, read once, that nobody can change meanwhile. The file is mostly holes, which are stepped over.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/manager/boxes.h"

static uint64_t data_from(int fd, uint64_t from, uint64_t bytes)
{
    off_t at = lseek(fd, (off_t)from, SEEK_DATA);
    return at < 0 ? bytes : (uint64_t)at;
}

/* places_left - how many places of `bytes` octets were ever used between two offsets of a grants file. */
static uint32_t places_left(int fd, uint64_t from, uint64_t to, uint64_t bytes)
{
    uint64_t end = from;
    for (uint64_t at = data_from(fd, from, to); at < to; at = data_from(fd, end, to)) {
        off_t hole = lseek(fd, (off_t)at, SEEK_HOLE);
        end = hole < 0 || (uint64_t)hole > to ? to : (uint64_t)hole;
        if (end >= to) break;
    }
    return (uint32_t)((end - from + bytes - 1) / bytes);
}

static void grants_came(struct manager *m, struct worker_box *w, uint16_t worker, int fd)
{
    void *memory = mmap(NULL, GRANTS_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *next_free = malloc(2 * GRANTS_MAX * sizeof *next_free);
    uint32_t small = places_left(fd, 0, GRANTS_LARGE_AT, GRANT_SMALL_BYTES);
    uint32_t large = places_left(fd, GRANTS_LARGE_AT, GRANTS_FILE_BYTES, GRANT_LARGE_BYTES);
    close(fd);
    if (memory == MAP_FAILED || !next_free)
        process_fatal(m->process, PROCESS_EXIT_FAILED, "cannot use the grants of a worker", BYTES("memory"), ERR_NO_MEMORY);
    grants_open(&w->grants, memory, next_free, small, large);
    orphans_adopt(m, worker);
}

void manager_box(struct process *p, const struct ipc_box *b, int fd)
{
    struct manager *m = manager_of(p);
    struct worker_box *w = b->role == ROLE_DELIVER && b->index < ROLE_INSTANCES_MAX    ? &m->boxes->deliver[b->index]
                           : b->role == ROLE_RECEIVER && b->index < ROLE_INSTANCES_MAX ? &m->boxes->receivers[b->index]
                                                                                        : NULL;
    if (!w || (b->grants && (b->role != ROLE_DELIVER || w->grants.memory))) {
        close(fd);
    } else if (b->grants) {
        grants_came(m, w, b->index, fd);
    } else {
        if (w->fd_before >= 0) close(w->fd_before);
        w->fd_before = w->fd;
        w->fd = fd;
        w->epoch = b->epoch;
    }
}

bool boxes_init(struct manager *m)
{
    m->boxes = calloc(1, sizeof *m->boxes);
    for (uint32_t i = 0; m->boxes && i < ROLE_INSTANCES_MAX; i++) {
        m->boxes->deliver[i].fd = m->boxes->deliver[i].fd_before = -1;
        m->boxes->receivers[i].fd = m->boxes->receivers[i].fd_before = -1;
    }
    return m->boxes != NULL;
}

/* ---- grants ---- */

void boxes_grant(struct manager *m, struct attempt *a, const struct connection *c)
{
    static_assert(MANAGER_SCRATCH_BYTES / RCPT_ENTRY_BYTES_MAX <= BOX_RCPTS_MAX, "an attempt has no more recipients than a box takes");
    struct grants *g = &m->boxes->deliver[c->worker].grants;
    if (!g->memory) return;
    struct box_identity id = {c->worker_epoch, process_epoch(m->process), a->connection};
    uint32_t index = grant_give(g, &id, slots_handle(&m->attempts, a), a->message, a->rcpts, a->rcpt_count, &c->remote, bytes_of(c->host_name, c->host_len));
    if (index == GRANT_NONE) return; /* more outcomes wait for their sync than anybody thought: a manager's death may repeat this one */
    a->grant = boxes_cookie(c->worker, index);
}

static struct grants *grants_of(struct manager *m, uint64_t cookie)
{
    uint32_t worker = (uint32_t)(cookie >> 32);
    must(cookie && worker < ROLE_INSTANCES_MAX && m->boxes->deliver[worker].grants.memory);
    return &m->boxes->deliver[worker].grants;
}

void boxes_result(struct manager *m, const struct attempt *a, uint32_t first, uint32_t count, const struct verdict *v)
{
    if (a->grant) grant_result(grants_of(m, a->grant), (uint32_t)a->grant - 1, first, count, box_rcpt_pack(v->class, v->code, v->maybe_duplicate));
}

void boxes_known(struct manager *m, const struct attempt *a)
{
    if (a->grant) grant_known(grants_of(m, a->grant), (uint32_t)a->grant - 1);
}

void boxes_done(struct manager *m, uint64_t cookie)
{
    if (cookie) grant_done(grants_of(m, cookie), (uint32_t)cookie - 1);
}

/* ---- reading ---- */

bool box_copy(int fd, uint32_t slot, struct box_slot *copy)
{
    ssize_t n;
    do n = pread(fd, copy, sizeof *copy, (off_t)((uint64_t)BOX_HEADER_BYTES + (uint64_t)slot * BOX_SLOT_BYTES));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *copy;
}

bool box_copy_header(int fd, struct box_header *copy)
{
    ssize_t n;
    do n = pread(fd, copy, sizeof *copy, 0);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *copy && box_header_sound(copy);
}

uint32_t box_next(int fd, uint32_t slot)
{
    uint64_t from = (uint64_t)BOX_HEADER_BYTES + (uint64_t)slot * BOX_SLOT_BYTES;
    if (slot >= BOX_SLOTS_MAX) return BOX_SLOTS_MAX;
    uint64_t at = data_from(fd, from, BOX_FILE_BYTES);
    /* Data begin at a page; the slot that holds that page's first octet is the next one that may be used. */
    return at >= BOX_FILE_BYTES ? (uint32_t)BOX_SLOTS_MAX : (uint32_t)((at - BOX_HEADER_BYTES) / BOX_SLOT_BYTES);
}

int box_of(const struct worker_box *w, uint32_t epoch)
{
    return w->fd_before >= 0 && epoch < w->epoch ? w->fd_before : w->fd;
}

bool box_culprit(int fd, uint32_t epoch, struct box_slot *out)
{
    static struct box_slot copy;
    struct box_view v;
    uint32_t open = 0;
    for (uint32_t i = fd >= 0 ? box_next(fd, 0) : (uint32_t)BOX_SLOTS_MAX; i < BOX_SLOTS_MAX; i = box_next(fd, i + 1)) {
        if (!box_copy(fd, i, &copy) || box_view(&copy, &v) != BOX_SOUND || v.identity.worker_epoch != epoch || !v.open) continue;
        open++;
        *out = copy;
    }
    return open == 1; /* one thread looks at one stranger: several can only be a scribble */
}
