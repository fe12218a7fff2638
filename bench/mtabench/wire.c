/*
 * wire - see wire.h.
 */
#include "bench/mtabench/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/must.h"

enum {
    ENTRIES = 1024,       /* requests a system call; more of them cost another one */
    COMPLETIONS = 16384,  /* a thousand connections may all have something to say at once */
    BUFFER_GROUP = 0,
    OP_SHIFT = 32,        /* user_data: operation above, index below */
};

static void give_buffer(struct wire *w, uint16_t id, int offset)
{
    io_uring_buf_ring_add(w->ring, w->buffers + (size_t)id * w->buffer_bytes, w->buffer_bytes, id, io_uring_buf_ring_mask(w->buffer_count), offset);
}

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int open_buffers(struct wire *w)
{
    w->ring = map(w->buffer_count * sizeof(struct io_uring_buf));
    w->buffers = map((size_t)w->buffer_count * w->buffer_bytes);
    if (!w->ring || !w->buffers) return ENOMEM;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)w->ring, .ring_entries = w->buffer_count, .bgid = BUFFER_GROUP};
    int result = io_uring_register_buf_ring(&w->io, &reg, 0);
    if (result != 0) return -result;
    io_uring_buf_ring_init(w->ring);
    for (uint32_t i = 0; i < w->buffer_count; i++) give_buffer(w, (uint16_t)i, (int)i);
    io_uring_buf_ring_advance(w->ring, (int)w->buffer_count);
    return 0;
}

int wire_open(struct wire *w, uint32_t count, uint32_t bytes)
{
    must(count > 0 && count <= 32768 && (count & (count - 1)) == 0);
    *w = (struct wire){.buffer_count = count, .buffer_bytes = bytes};
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    int result = io_uring_queue_init_params(ENTRIES, &w->io, &p);
    if (result != 0) return -result;
    result = open_buffers(w);
    if (result != 0) wire_close(w);
    return result;
}

void wire_close(struct wire *w)
{
    io_uring_queue_exit(&w->io);
    if (w->ring) (void)munmap(w->ring, w->buffer_count * sizeof(struct io_uring_buf));
    if (w->buffers) (void)munmap(w->buffers, (size_t)w->buffer_count * w->buffer_bytes);
    *w = (struct wire){0};
}

const char *wire_refusal(int error_number)
{
    switch (error_number) {
    case ENOSYS: return "io_uring is not in this kernel, or a filter hides it: Linux 6.1 or newer is needed, and a container that lets io_uring through";
    case EPERM:
    case EACCES: return "io_uring is forbidden here: see kernel.io_uring_disabled (sysctl), or the container's seccomp profile";
    case EINVAL: return "this kernel's io_uring is too old: Linux 6.1 or newer is needed";
    case ENOMEM: return "no memory for io_uring: see the limit of locked memory (ulimit -l)";
    default: return strerror(error_number);
    }
}

static struct io_uring_sqe *entry(struct wire *w, enum wire_op op, uint32_t index)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&w->io);
    while (!sqe) {
        int result = io_uring_submit(&w->io);
        w->turns++;
        must(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY);
        sqe = io_uring_get_sqe(&w->io);
    }
    sqe->user_data = (uint64_t)op << OP_SHIFT | index; /* the functions that prepare an entry leave it alone */
    return sqe;
}

void wire_accept(struct wire *w, int fd, uint32_t index)
{
    io_uring_prep_multishot_accept(entry(w, WIRE_ACCEPT, index), fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void wire_connect(struct wire *w, int fd, uint32_t index, const struct sockaddr *to, socklen_t to_bytes)
{
    io_uring_prep_connect(entry(w, WIRE_CONNECT, index), fd, to, to_bytes);
}

void wire_receive(struct wire *w, int fd, uint32_t index)
{
    struct io_uring_sqe *sqe = entry(w, WIRE_RECEIVE, index);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
}

void wire_send(struct wire *w, int fd, uint32_t index, const struct msghdr *message)
{
    io_uring_prep_sendmsg(entry(w, WIRE_SEND, index), fd, message, MSG_NOSIGNAL | MSG_WAITALL);
}

void wire_wait(struct wire *w, uint64_t timeout_ns)
{
    enum { NS_PER_S = 1000 * 1000 * 1000 };
    struct __kernel_timespec ts = {.tv_sec = (int64_t)(timeout_ns / NS_PER_S), .tv_nsec = (int64_t)(timeout_ns % NS_PER_S)};
    struct io_uring_cqe *unused;
    int result = io_uring_submit_and_wait_timeout(&w->io, &unused, 1, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
    w->turns++;
    must(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM);
}

static void handle(struct wire *w, const struct io_uring_cqe *cqe, wire_handler *handler, void *context)
{
    struct wire_event event = {
        .op = (uint8_t)(cqe->user_data >> OP_SHIFT),
        .more = cqe->flags & IORING_CQE_F_MORE,
        .index = (uint32_t)cqe->user_data,
        .result = cqe->res,
    };
    bool has_buffer = cqe->flags & IORING_CQE_F_BUFFER;
    uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    must(!has_buffer || id < w->buffer_count);
    if (has_buffer && cqe->res > 0) event.data = bytes_of(w->buffers + (size_t)id * w->buffer_bytes, (uint32_t)cqe->res);
    handler(context, &event);
    if (!has_buffer) return;
    give_buffer(w, id, 0);
    io_uring_buf_ring_advance(w->ring, 1);
}

void wire_reap(struct wire *w, wire_handler *handler, void *context)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&w->io, head, cqe)
    {
        handle(w, cqe, handler, context);
        seen++;
    }
    io_uring_cq_advance(&w->io, seen);
}
