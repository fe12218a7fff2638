/*
 * uring_setup - the io_uring engine opened, confined, and put to the proof.
 *
 * The ring is created disabled; only then can it be restricted, and only once. Buffers are registered before that, since nothing can be
 * registered behind it. The kernel is asked for what the options need and no more: see uring_confine(). Never SQPOLL and never a
 * personality: both keep the rights that this process had before it was confined.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "mta/ring/uring.h"

enum {
    /* Completions that fit before the kernel must set some aside; a turn can complete more than it submits (polls, accepts). */
    COMPLETIONS_PER_ENTRY = 4,
    /* Room in `later` a descriptor: two operations at most stand beside each other, and the ends of two. */
    LATER_PER_DESCRIPTOR = 4,
};

static enum err open_io(struct uring *u, uint32_t entries)
{
    static const unsigned flag_sets[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL, /* 6.1 */
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,                               /* 5.19 */
    };
    for (uint32_t i = 0; i < sizeof flag_sets / sizeof flag_sets[0]; i++) {
        struct io_uring_params p = {
            .flags = flag_sets[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = entries * COMPLETIONS_PER_ENTRY,
        };
        if (io_uring_queue_init_params(entries, &u->io, &p) != 0) continue;
        u->io_is_open = true;
        return p.features & IORING_FEAT_EXT_ARG && p.features & IORING_FEAT_NODROP ? ERR_NONE : ERR_UNSUPPORTED;
    }
    return ERR_UNSUPPORTED;
}

static void *map(size_t bytes)
{
    /* Shared, so that a fork (the self-test's twin) copies nothing that the kernel writes to. */
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static enum err open_buffers(struct uring *u, const struct ring_options *o)
{
    if (o->receive_buffers == 0) return ERR_NONE;
    u->buffer_ring_bytes = o->receive_buffers * sizeof(struct io_uring_buf);
    u->buffers_bytes = (size_t)o->receive_buffers * o->receive_buffer_bytes;
    u->lent = calloc(o->receive_buffers, sizeof *u->lent);
    u->buffers = map(u->buffers_bytes);
    u->buffer_ring = map(u->buffer_ring_bytes);
    if (!u->lent || !u->buffers || !u->buffer_ring) return ERR_NO_MEMORY;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)u->buffer_ring,
        .ring_entries = o->receive_buffers,
        .bgid = URING_BUFFER_GROUP,
    };
    if (io_uring_register_buf_ring(&u->io, &reg, 0) != 0) return ERR_UNSUPPORTED;
    io_uring_buf_ring_init(u->buffer_ring);
    for (uint32_t i = 0; i < o->receive_buffers; i++) u->lent[u->lent_count++] = (uint16_t)i;
    return ERR_NONE;
}

static void uring_fini(struct ring *r)
{
    struct uring *u = uring_of(r);
    if (u->io_is_open) io_uring_queue_exit(&u->io);
    if (u->buffer_ring) (void)munmap(u->buffer_ring, u->buffer_ring_bytes);
    if (u->buffers) (void)munmap(u->buffers, u->buffers_bytes);
    free(u->lent);
    free(u->later);
    free(u);
}

/* ---- restrictions ---- */

static void allow_op(struct io_uring_restriction *list, unsigned *count, uint8_t op)
{
    list[(*count)++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = op};
}

/*
 * No register operation is listed: behind enabling, none is allowed any more. Never list anything that takes an address, a path, a
 * message with descriptors, or another ring (SENDMSG, RECVMSG, CONNECT, OPENAT, URING_CMD, MSG_RING), nor the flag IOSQE_ASYNC, whose
 * work needs a kernel thread that RLIMIT_NPROC 0 refuses without a word.
 */
static enum err uring_confine(struct ring *r)
{
    struct uring *u = uring_of(r);
    struct io_uring_restriction list[8];
    memset(list, 0, sizeof list);
    unsigned count = 0;
    allow_op(list, &count, IORING_OP_POLL_ADD);
    allow_op(list, &count, IORING_OP_ASYNC_CANCEL);
    if (r->options.sends) allow_op(list, &count, IORING_OP_SEND);
    if (r->options.accepts) allow_op(list, &count, IORING_OP_ACCEPT);
    if (r->options.receive_buffers > 0) {
        allow_op(list, &count, IORING_OP_RECV);
        list[count++] = (struct io_uring_restriction){
            .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
            .sqe_flags = IOSQE_BUFFER_SELECT,
        };
    }
    if (io_uring_register_restrictions(&u->io, list, count) != 0) return ERR_UNSUPPORTED;
    if (io_uring_enable_rings(&u->io) != 0) return ERR_SYSTEM;
    r->restricted = true;
    return ERR_NONE;
}

/* ---- self-test ---- */

static int try_one(struct uring *u, uint8_t op, int fd, const void *ptr, uint32_t n, uint64_t offset)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->io);
    if (!sqe) return -EACCES;
    io_uring_prep_rw(op, sqe, fd, ptr, n, offset);
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts = {.tv_sec = 5};
    int result = io_uring_submit_and_wait_timeout(&u->io, &cqe, 1, &ts, NULL);
    if (result < 0) return result;
    result = cqe->res;
    io_uring_cqe_seen(&u->io, cqe);
    return result;
}

enum err uring_try_forbidden(struct ring *r)
{
    struct uring *u = uring_of(r);
    /* The refusal asked for is the list's own, EACCES; any other answer means that the operation was looked at. */
    bool refused = try_one(u, IORING_OP_OPENAT, AT_FDCWD, "/", 0, 0) == -EACCES;
    refused = try_one(u, IORING_OP_SOCKET, AF_INET, NULL, 0, SOCK_STREAM) == -EACCES && refused;
    refused = try_one(u, IORING_OP_CONNECT, -1, NULL, 0, 0) == -EACCES && refused;
    refused = try_one(u, IORING_OP_SENDMSG, -1, NULL, 0, 0) == -EACCES && refused;
    refused = try_one(u, IORING_OP_RECVMSG, -1, NULL, 0, 0) == -EACCES && refused;
    return refused ? ERR_NONE : ERR_DENIED;
}

static const struct ring_methods uring_methods = {
    .engine = RING_URING,
    .confine = uring_confine,
    .ask = uring_ask,
    .cancel = uring_cancel,
    .forget = uring_forget,
    .wait = uring_wait,
    .fini = uring_fini,
};

enum err uring_open(struct ring **out, const struct ring_options *options)
{
    struct uring *u = calloc(1, sizeof *u);
    if (!u) return ERR_NO_MEMORY;
    u->base.methods = &uring_methods;
    u->later_max = options->descriptors_max * LATER_PER_DESCRIPTOR;
    u->later = calloc(u->later_max, sizeof *u->later);
    enum err e = u->later ? open_io(u, options->entries) : ERR_NO_MEMORY;
    if (e == ERR_NONE) e = open_buffers(u, options);
    if (e != ERR_NONE) {
        uring_fini(&u->base);
        return e;
    }
    *out = &u->base;
    return ERR_NONE;
}
