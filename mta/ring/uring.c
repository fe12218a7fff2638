/*
 * uring - the io_uring engine at work: one system call a turn.
 *
 * A request is known by its packed user_data alone (ops.h): operation, generation, descriptor; everything else stands in the slot. So
 * what finds no submission entry, or no receive buffer, is remembered as that number in `later` and submitted with the next turn.
 * Receives take a buffer from a ring that the kernel shares; an idle connection holds none. Polls and accepts are multishot: the kernel
 * ends them when its completion queue overflows, and they are started again here. Knows nothing of who uses the descriptors.
 */
#include "mta/ring/uring.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* In slot.state: the last receive left nothing behind, so that trying before waiting would be in vain. */
    SLOT_DRAINED = 1,
    /* In slot.state: ring_unwatch() on a listener; the accept ends instead of starting again. */
    SLOT_ENDING = 2,
};

static uint8_t *buffer_at(const struct uring *u, uint32_t index)
{
    return u->buffers + (size_t)index * u->base.options.receive_buffer_bytes;
}

/* ---- submitting ---- */

static void prepare_receive(const struct uring *u, const struct ring_slot *slot, struct io_uring_sqe *sqe, int fd)
{
    io_uring_prep_recv(sqe, fd, NULL, u->base.options.receive_buffer_bytes, 0);
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    if (slot->state & SLOT_DRAINED) sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
}

static void prepare(const struct uring *u, struct io_uring_sqe *sqe, uint64_t request)
{
    uint32_t op = ring_packed_op(request);
    int fd = (int)ring_packed_index(request);
    const struct ring_slot *slot = &u->base.slots[fd];
    switch (op) {
    case RING_OP_RECEIVE:
        prepare_receive(u, slot, sqe, fd);
        break;
    case RING_OP_SEND:
        io_uring_prep_send(sqe, fd, slot->send_ptr, slot->send_bytes, MSG_NOSIGNAL);
        break;
    case RING_OP_ACCEPT:
        io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        break;
    case RING_OP_WATCH:
        io_uring_prep_poll_multishot(sqe, fd, POLLIN | POLLRDHUP);
        break;
    case RING_OP_WRITABLE:
        io_uring_prep_poll_add(sqe, fd, POLLOUT);
        break;
    default:
        must(op > RING_OP_CANCEL);
        io_uring_prep_cancel64(sqe, ring_pack(op - RING_OP_CANCEL, ring_packed_generation(request), (uint32_t)fd), 0);
        break;
    }
    io_uring_sqe_set_data64(sqe, request);
}

/* Takes a submission entry; with none free the kernel is given those that there are first. */
static bool submit(struct uring *u, uint64_t request)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->io);
    if (!sqe && u->base.confined && io_uring_submit(&u->io) > 0) sqe = io_uring_get_sqe(&u->io);
    if (!sqe) return false;
    prepare(u, sqe, request);
    return true;
}

static bool postpone(struct uring *u, uint64_t request)
{
    if (u->later_count == u->later_max) return false;
    u->later[u->later_count++] = request;
    return true;
}

enum err uring_ask(struct ring *r, uint32_t fd, enum ring_op op)
{
    struct uring *u = uring_of(r);
    uint64_t request = ring_pack(op, r->slots[fd].generation, fd);
    return submit(u, request) || postpone(u, request) ? ERR_NONE : ERR_FULL;
}

void uring_cancel(struct ring *r, uint32_t fd, enum ring_op op)
{
    struct uring *u = uring_of(r);
    if (op == RING_OP_ACCEPT) {
        if (r->slots[fd].state & SLOT_ENDING) return;
        r->slots[fd].state |= SLOT_ENDING;
    }
    uint64_t request = ring_pack((uint32_t)RING_OP_CANCEL + op, r->slots[fd].generation, fd);
    /* `later` has room for every operation of every descriptor, and for its end. */
    must(submit(u, request) || postpone(u, request));
}

void uring_forget(struct ring *r, uint32_t fd)
{
    r->slots[fd].state = 0;
}

/* Whether a request that waited is still wanted: its descriptor may have been closed, its watch ended. */
static bool is_wanted(const struct uring *u, uint64_t request)
{
    uint32_t op = ring_packed_op(request);
    const struct ring_slot *slot = &u->base.slots[ring_packed_index(request)];
    if (op > RING_OP_CANCEL) return true;
    return slot->generation == ring_packed_generation(request) && ring_has(slot, (enum ring_op)op);
}

static void submit_postponed(struct uring *u)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < u->later_count; i++) {
        if (!is_wanted(u, u->later[i])) continue;
        if (!submit(u, u->later[i])) u->later[kept++] = u->later[i];
    }
    u->later_count = kept;
}

static void give_back_buffers(struct uring *u)
{
    if (u->lent_count == 0) return;
    int mask = io_uring_buf_ring_mask(u->base.options.receive_buffers);
    for (uint32_t i = 0; i < u->lent_count; i++) {
        io_uring_buf_ring_add(u->buffer_ring, buffer_at(u, u->lent[i]), u->base.options.receive_buffer_bytes, u->lent[i], mask, (int)i);
    }
    io_uring_buf_ring_advance(u->buffer_ring, (int)u->lent_count);
    u->lent_count = 0;
}

/* ---- completions: each handler returns whether it filled *out ---- */

static bool on_receive(struct uring *u, struct ring_slot *slot, const struct io_uring_cqe *cqe, struct ring_event *out)
{
    if (cqe->res == -ENOBUFS && postpone(u, cqe->user_data)) return false;
    *out = ring_event_of(slot, RING_RECEIVED, RING_OP_RECEIVE, cqe->res);
    if (cqe->res > 0) {
        must(cqe->flags & IORING_CQE_F_BUFFER);
        out->data = bytes_of(buffer_at(u, cqe->flags >> IORING_CQE_BUFFER_SHIFT), (uint32_t)cqe->res);
    }
    bool more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
    slot->state = (uint16_t)(more ? slot->state & ~SLOT_DRAINED : slot->state | SLOT_DRAINED);
    ring_done(&u->base, slot, RING_OP_RECEIVE);
    return true;
}

static bool on_accept(struct uring *u, struct ring_slot *slot, const struct io_uring_cqe *cqe, struct ring_event *out)
{
    bool ended = !(cqe->flags & IORING_CQE_F_MORE);
    bool ending = slot->state & SLOT_ENDING;
    if (cqe->res >= 0) {
        /* The kernel ends a multishot accept when its queue overflows. A listener being ended gets its last event through the cancel. */
        if (ended) must(postpone(u, cqe->user_data));
        *out = ring_event_of(slot, RING_ACCEPTED, RING_OP_ACCEPT, cqe->res);
        return true;
    }
    if (ended && !ending && ring_accept_is_transient(-cqe->res)) {
        must(postpone(u, cqe->user_data));
        return false;
    }
    if (!ended) return false;
    *out = ring_event_of(slot, RING_ACCEPTED, RING_OP_ACCEPT, ending ? -ECANCELED : cqe->res);
    slot->state &= (uint16_t)~SLOT_ENDING;
    ring_done(&u->base, slot, RING_OP_ACCEPT);
    return true;
}

static int32_t readiness(int32_t res, uint32_t wanted)
{
    if (res < 0) return RING_HANGUP;
    int32_t bits = 0;
    if (res & (POLLIN | POLLRDHUP)) bits |= RING_READABLE;
    if (res & POLLOUT) bits |= RING_WRITABLE;
    if (res & (POLLHUP | POLLERR | POLLRDHUP)) bits |= RING_HANGUP;
    return bits & (int32_t)(wanted | RING_HANGUP);
}

static bool on_watch(struct uring *u, struct ring_slot *slot, const struct io_uring_cqe *cqe, struct ring_event *out)
{
    *out = ring_event_of(slot, RING_READY, RING_OP_WATCH, readiness(cqe->res, RING_READABLE));
    if (cqe->res < 0) {
        ring_done(&u->base, slot, RING_OP_WATCH);
    } else if (!(cqe->flags & IORING_CQE_F_MORE)) {
        must(postpone(u, cqe->user_data));
    }
    return true;
}

static bool on_writable(struct uring *u, struct ring_slot *slot, const struct io_uring_cqe *cqe, struct ring_event *out)
{
    *out = ring_event_of(slot, RING_READY, RING_OP_WRITABLE, readiness(cqe->res, RING_WRITABLE));
    ring_done(&u->base, slot, RING_OP_WRITABLE);
    return true;
}

static bool on_sent(struct uring *u, struct ring_slot *slot, const struct io_uring_cqe *cqe, struct ring_event *out)
{
    *out = ring_event_of(slot, RING_SENT, RING_OP_SEND, cqe->res);
    slot->send_ptr = NULL;
    ring_done(&u->base, slot, RING_OP_SEND);
    return true;
}

/* The cancel of an accept that was not submitted yet finds nothing; it follows that accept into the next turn. */
static void on_cancel(struct uring *u, const struct ring_slot *slot, const struct io_uring_cqe *cqe)
{
    uint32_t target = ring_packed_op(cqe->user_data) - RING_OP_CANCEL;
    bool is_current = slot->generation == ring_packed_generation(cqe->user_data);
    if (target != RING_OP_ACCEPT || !is_current || !ring_has(slot, RING_OP_ACCEPT)) return;
    if (cqe->res < 0 && slot->state & SLOT_ENDING) must(postpone(u, cqe->user_data));
}

/* A completion whose descriptor was closed, or whose watch was ended, meanwhile. */
static void on_stranger(const struct io_uring_cqe *cqe)
{
    if (ring_packed_op(cqe->user_data) == RING_OP_ACCEPT && cqe->res >= 0) (void)close(cqe->res);
}

static bool on_completion(struct uring *u, const struct io_uring_cqe *cqe, struct ring_event *out)
{
    uint32_t op = ring_packed_op(cqe->user_data);
    struct ring_slot *slot = &u->base.slots[ring_packed_index(cqe->user_data)];
    if (cqe->flags & IORING_CQE_F_BUFFER) u->lent[u->lent_count++] = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    if (op > RING_OP_CANCEL) {
        on_cancel(u, slot, cqe);
        return false;
    }
    if (slot->generation != ring_packed_generation(cqe->user_data) || !ring_has(slot, (enum ring_op)op)) {
        on_stranger(cqe);
        return false;
    }
    switch (op) {
    case RING_OP_RECEIVE: return on_receive(u, slot, cqe, out);
    case RING_OP_SEND: return on_sent(u, slot, cqe, out);
    case RING_OP_ACCEPT: return on_accept(u, slot, cqe, out);
    case RING_OP_WATCH: return on_watch(u, slot, cqe, out);
    case RING_OP_WRITABLE: return on_writable(u, slot, cqe, out);
    default: must(false); return false;
    }
}

static uint32_t reap(struct uring *u, struct ring_event *events, uint32_t max)
{
    uint32_t count = 0;
    struct io_uring_cqe *cqe;
    while (count < max && io_uring_peek_cqe(&u->io, &cqe) == 0) {
        count += on_completion(u, cqe, &events[count]);
        io_uring_cqe_seen(&u->io, cqe);
    }
    return count;
}

/* ---- waiting ---- */

/* Anything else than "nothing yet" or "not so fast" means that the ring is used wrongly (another thread, not enabled): a bug of ours. */
static bool is_expected(int result)
{
    return result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
}

static void enter(struct uring *u, uint64_t timeout_ms)
{
    if (timeout_ms == 0) {
        must(is_expected(io_uring_submit_and_get_events(&u->io)));
        return;
    }
    enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };
    struct __kernel_timespec ts = {
        .tv_sec = (int64_t)(timeout_ms / MS_PER_S),
        .tv_nsec = (int64_t)(timeout_ms % MS_PER_S) * NS_PER_MS,
    };
    struct io_uring_cqe *unused;
    must(is_expected(io_uring_submit_and_wait_timeout(&u->io, &unused, 1, timeout_ms == UINT64_MAX ? NULL : &ts, NULL)));
}

uint32_t uring_wait(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms)
{
    struct uring *u = uring_of(r);
    give_back_buffers(u);
    submit_postponed(u);
    /* Completions that did not fit into the last call's events are there already: then only submit, and only if there is something. */
    bool some_left = io_uring_cq_ready(&u->io) > 0;
    if (!some_left) {
        enter(u, u->later_count > 0 ? 0 : timeout_ms);
    } else if (io_uring_sq_ready(&u->io) > 0) {
        enter(u, 0);
    }
    return reap(u, events, max);
}
