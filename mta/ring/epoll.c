/*
 * epoll - the engine for where io_uring is refused: the same completions, made from readiness.
 *
 * Descriptors with something to try stand in one work list. A turn works through it, waits once (edge-triggered), marks what became
 * ready, and works through it again; each event goes straight into the caller's array, and when that is full the rest stays listed.
 * Every descriptor is registered once, with all that it will ever want, and a receive is not tried before epoll has said that there is
 * something: both save system calls. Knows nothing of who uses the descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mta/ring/engine.h"

enum {
    /* What one epoll_wait() fetches; more than a turn of a busy process brings. */
    READY_MAX = 256,
    /* Connections taken from one listener before others have their turn. */
    ACCEPT_BURST = 64,
};

/* ring_slot.state */
enum {
    SLOT_LISTED = 1,       /* stands in the work list */
    SLOT_NOT_READABLE = 2, /* trying to read is in vain until epoll says otherwise */
    SLOT_NOT_WRITABLE = 4,
    SLOT_ENDED = 8,        /* the peer has closed, or an error waits: a short read proves nothing */
    SLOT_ENDING = 16,      /* ring_unwatch() on a listener */
    SLOT_SAW_INPUT = 32,   /* an event for the watch that has not been told yet */
    SLOT_SAW_ROOM = 64,
    SLOT_SAW_HANGUP = 128,
};

struct epoll_engine {
    struct ring base; /* first */
    int epoll_fd;
    uint8_t *buffers;     /* receive_buffers times receive_buffer_bytes */
    uint32_t *free_list;  /* indexes of buffers: first those that are free, behind them those that are lent */
    uint32_t free_count;
    uint32_t *list;       /* descriptors with something to try; a circle of descriptors_max */
    uint32_t list_first, list_count;
    struct epoll_event ready[READY_MAX];
};

/* Where a step puts its events. */
struct sink {
    struct ring_event *events;
    uint32_t count, max;
};

static struct epoll_engine *engine_of(struct ring *r)
{
    return (struct epoll_engine *)(void *)r;
}

static void put(struct sink *out, struct ring_event event)
{
    must(out->count < out->max);
    out->events[out->count++] = event;
}

static bool has(const struct ring_slot *slot, uint32_t state)
{
    return slot->state & state;
}

static void set(struct ring_slot *slot, uint32_t state)
{
    slot->state |= (uint16_t)state;
}

static void clear(struct ring_slot *slot, uint32_t state)
{
    slot->state &= (uint16_t)~state;
}

static void list_add(struct epoll_engine *g, uint32_t fd)
{
    if (has(&g->base.slots[fd], SLOT_LISTED)) return;
    set(&g->base.slots[fd], SLOT_LISTED);
    must(g->list_count < g->base.options.descriptors_max);
    uint64_t place = (uint64_t)g->list_first + g->list_count++;
    g->list[place % g->base.options.descriptors_max] = fd;
}

static uint32_t list_take(struct epoll_engine *g)
{
    uint32_t fd = g->list[g->list_first];
    g->list_first = (g->list_first + 1) % g->base.options.descriptors_max;
    g->list_count--;
    clear(&g->base.slots[fd], SLOT_LISTED);
    return fd;
}

/* ---- registering ---- */

static uint32_t interest_of(const struct ring_slot *slot)
{
    uint32_t interest = EPOLLET;
    if (slot->under_way & (ring_bit(RING_OP_RECEIVE) | ring_bit(RING_OP_SEND))) interest |= EPOLLIN | EPOLLRDHUP | EPOLLOUT;
    if (ring_has(slot, RING_OP_ACCEPT)) interest |= EPOLLIN;
    if (ring_has(slot, RING_OP_WATCH)) interest |= EPOLLIN | EPOLLRDHUP;
    if (ring_has(slot, RING_OP_WRITABLE)) interest |= EPOLLOUT;
    return interest;
}

static bool is_enlisted(const struct ring_slot *slot)
{
    return (interest_of(slot) & ~slot->interest) == 0;
}

/*
 * Registers what the operations under way want. Changing a registration reports what is ready already once more, so no edge is lost.
 * Returns 0 or -errno; a descriptor that epoll cannot take (a file, a closed one) fails like an operation on it would.
 */
static int enlist(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot)
{
    if (is_enlisted(slot)) return 0;
    uint32_t interest = interest_of(slot);
    struct epoll_event event = {.events = interest, .data.u32 = fd};
    int op = slot->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(g->epoll_fd, op, (int)fd, &event) != 0) return -errno;
    slot->interest = interest;
    return 0;
}

static void forget(struct ring *r, uint32_t fd)
{
    struct epoll_engine *g = engine_of(r);
    struct ring_slot *slot = &r->slots[fd];
    /* Explicitly: the registration belongs to the open file, which another process may hold too (a socket that was handed over). */
    if (slot->interest != 0) (void)epoll_ctl(g->epoll_fd, EPOLL_CTL_DEL, (int)fd, NULL);
    slot->interest = 0;
    slot->state &= SLOT_LISTED;
}

/* ---- steps: each tries one operation that is under way ---- */

static void step_send(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot, struct sink *out)
{
    if (has(slot, SLOT_NOT_WRITABLE)) return;
    ssize_t n = send((int)fd, slot->send_ptr, slot->send_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    int32_t result = n < 0 ? -errno : (int32_t)n;
    if (result == -EAGAIN) {
        set(slot, SLOT_NOT_WRITABLE);
        result = enlist(g, fd, slot);
        if (result == 0) return;
    }
    put(out, ring_event_of(slot, RING_SENT, RING_OP_SEND, result));
    slot->send_ptr = NULL;
    ring_done(&g->base, slot, RING_OP_SEND);
}

static uint8_t *take_buffer(struct epoll_engine *g)
{
    if (g->free_count == 0) return NULL;
    return g->buffers + (size_t)g->free_list[--g->free_count] * g->base.options.receive_buffer_bytes;
}

static void end_receive(struct epoll_engine *g, struct ring_slot *slot, struct sink *out, int32_t result, const uint8_t *buffer)
{
    struct ring_event event = ring_event_of(slot, RING_RECEIVED, RING_OP_RECEIVE, result);
    if (result > 0) event.data = bytes_of(buffer, (uint32_t)result);
    put(out, event);
    ring_done(&g->base, slot, RING_OP_RECEIVE);
}

static void step_receive(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot, struct sink *out)
{
    if (!is_enlisted(slot)) {
        set(slot, SLOT_NOT_READABLE);
        int32_t refusal = enlist(g, fd, slot);
        if (refusal != 0) end_receive(g, slot, out, refusal, NULL);
        return;
    }
    if (has(slot, SLOT_NOT_READABLE)) return;
    uint8_t *buffer = take_buffer(g);
    if (!buffer) {
        list_add(g, fd); /* all are lent; they come back with the next turn */
        return;
    }
    uint32_t room = g->base.options.receive_buffer_bytes;
    ssize_t n = recv((int)fd, buffer, room, MSG_DONTWAIT);
    int32_t result = n < 0 ? -errno : (int32_t)n;
    if (result <= 0) g->free_count++;
    if (result == -EAGAIN || (result > 0 && (uint32_t)result < room && !has(slot, SLOT_ENDED))) set(slot, SLOT_NOT_READABLE);
    if (result == -EAGAIN) return;
    end_receive(g, slot, out, result, buffer);
}

static void end_accept(struct epoll_engine *g, struct ring_slot *slot, struct sink *out, int32_t result)
{
    put(out, ring_event_of(slot, RING_ACCEPTED, RING_OP_ACCEPT, result));
    clear(slot, SLOT_ENDING);
    ring_done(&g->base, slot, RING_OP_ACCEPT);
}

static void step_accept(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot, struct sink *out)
{
    if (has(slot, SLOT_ENDING)) {
        end_accept(g, slot, out, -ECANCELED);
        return;
    }
    int result = enlist(g, fd, slot);
    for (uint32_t i = 0; result == 0 && i < ACCEPT_BURST && out->count < out->max && !has(slot, SLOT_NOT_READABLE); i++) {
        int accepted = accept4((int)fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            put(out, ring_event_of(slot, RING_ACCEPTED, RING_OP_ACCEPT, accepted));
        } else if (errno == EAGAIN) {
            set(slot, SLOT_NOT_READABLE);
        } else if (!ring_accept_is_transient(errno)) {
            result = -errno;
        }
    }
    if (result != 0 && out->count < out->max) {
        end_accept(g, slot, out, result);
    } else if (!has(slot, SLOT_NOT_READABLE)) {
        list_add(g, fd);
    }
}

static void step_watch(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot, struct sink *out)
{
    if (enlist(g, fd, slot) != 0) set(slot, SLOT_SAW_HANGUP);
    int32_t bits = has(slot, SLOT_SAW_INPUT) ? RING_READABLE : 0;
    if (has(slot, SLOT_SAW_HANGUP)) bits |= RING_HANGUP;
    if (bits == 0) return;
    clear(slot, SLOT_SAW_INPUT | SLOT_SAW_HANGUP);
    put(out, ring_event_of(slot, RING_READY, RING_OP_WATCH, bits));
}

static void step_writable(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot, struct sink *out)
{
    if (enlist(g, fd, slot) != 0) set(slot, SLOT_SAW_HANGUP);
    int32_t bits = has(slot, SLOT_SAW_ROOM) ? RING_WRITABLE : 0;
    if (has(slot, SLOT_SAW_HANGUP)) bits |= RING_HANGUP;
    if (bits == 0) return;
    put(out, ring_event_of(slot, RING_READY, RING_OP_WRITABLE, bits));
    ring_done(&g->base, slot, RING_OP_WRITABLE);
    clear(slot, SLOT_SAW_ROOM);
    /* A watch beside it tells the hangup too; without one, nobody is left to hear of it. */
    if (!ring_has(slot, RING_OP_WATCH)) clear(slot, SLOT_SAW_HANGUP);
    /* Room in a channel is news with every message that its peer takes: stop listening for it. */
    struct epoll_event event = {.events = interest_of(slot), .data.u32 = fd};
    if (slot->interest != 0 && epoll_ctl(g->epoll_fd, EPOLL_CTL_MOD, (int)fd, &event) == 0) slot->interest = event.events;
}

/* Tries all operations of one descriptor as far as there is room for their events; lists it again when there was not. */
static void step(struct epoll_engine *g, uint32_t fd, struct sink *out)
{
    static const struct {
        enum ring_op op;
        void (*run)(struct epoll_engine *g, uint32_t fd, struct ring_slot *slot, struct sink *out);
    } steps[] = {
        {RING_OP_SEND, step_send},       {RING_OP_RECEIVE, step_receive},   {RING_OP_ACCEPT, step_accept},
        {RING_OP_WRITABLE, step_writable}, {RING_OP_WATCH, step_watch},
    };
    struct ring_slot *slot = &g->base.slots[fd];
    for (uint32_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (!ring_has(slot, steps[i].op)) continue;
        if (out->count == out->max) {
            list_add(g, fd);
            return;
        }
        steps[i].run(g, fd, slot, out);
    }
}

/* One pass: a descriptor that is listed again meanwhile waits for the next. */
static void work_list(struct epoll_engine *g, struct sink *out)
{
    for (uint32_t left = g->list_count; left > 0 && out->count < out->max; left--) step(g, list_take(g), out);
}

/* ---- waiting ---- */

static void mark_ready(struct epoll_engine *g, const struct epoll_event *event)
{
    struct ring_slot *slot = &g->base.slots[event->data.u32];
    const uint32_t hangup = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (event->events & (EPOLLIN | hangup)) {
        clear(slot, SLOT_NOT_READABLE);
        if (ring_has(slot, RING_OP_WATCH)) set(slot, SLOT_SAW_INPUT);
    }
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        clear(slot, SLOT_NOT_WRITABLE);
        if (ring_has(slot, RING_OP_WRITABLE)) set(slot, SLOT_SAW_ROOM);
    }
    if (event->events & hangup) {
        set(slot, SLOT_ENDED);
        if (slot->under_way & (ring_bit(RING_OP_WATCH) | ring_bit(RING_OP_WRITABLE))) set(slot, SLOT_SAW_HANGUP);
    }
    list_add(g, event->data.u32);
}

static void wait_ready(struct epoll_engine *g, uint64_t timeout_ms)
{
    int timeout = timeout_ms == UINT64_MAX ? -1 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    int count = epoll_wait(g->epoll_fd, g->ready, READY_MAX, timeout);
    must(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) mark_ready(g, &g->ready[i]);
}

static uint32_t epoll_engine_wait(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms)
{
    struct epoll_engine *g = engine_of(r);
    struct sink out = {events, 0, max};
    g->free_count = r->options.receive_buffers; /* what was lent is free again; the list holds every index still */
    work_list(g, &out);
    if (out.count < max) {
        wait_ready(g, out.count > 0 || g->list_count > 0 ? 0 : timeout_ms);
        work_list(g, &out);
    }
    return out.count;
}

/* ---- the rest of the engine ---- */

static enum err ask(struct ring *r, uint32_t fd, enum ring_op op)
{
    (void)op;
    list_add(engine_of(r), fd);
    return ERR_NONE;
}

static void cancel(struct ring *r, uint32_t fd, enum ring_op op)
{
    struct ring_slot *slot = &r->slots[fd];
    if (op == RING_OP_ACCEPT) {
        set(slot, SLOT_ENDING);
        list_add(engine_of(r), fd);
        return;
    }
    clear(slot, SLOT_SAW_INPUT | SLOT_SAW_ROOM | SLOT_SAW_HANGUP);
    /* The front has both kinds of watch end together: no registration is needed any more. */
    if (slot->interest != 0) (void)epoll_ctl(engine_of(r)->epoll_fd, EPOLL_CTL_DEL, (int)fd, NULL);
    slot->interest = 0;
}

static enum err confine(struct ring *r)
{
    (void)r; /* epoll can do nothing that the system calls around it cannot; seccomp judges those */
    return ERR_NONE;
}

static void fini(struct ring *r)
{
    struct epoll_engine *g = engine_of(r);
    if (g->epoll_fd >= 0) (void)close(g->epoll_fd);
    free(g->buffers);
    free(g->free_list);
    free(g->list);
    free(g);
}

static const struct ring_methods epoll_methods = {
    .engine = RING_EPOLL,
    .confine = confine,
    .ask = ask,
    .cancel = cancel,
    .forget = forget,
    .wait = epoll_engine_wait,
    .fini = fini,
};

static enum err open_buffers(struct epoll_engine *g, const struct ring_options *o)
{
    if (o->receive_buffers == 0) return ERR_NONE;
    g->buffers = calloc(o->receive_buffers, o->receive_buffer_bytes);
    g->free_list = calloc(o->receive_buffers, sizeof *g->free_list);
    if (!g->buffers || !g->free_list) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < o->receive_buffers; i++) g->free_list[i] = i;
    return ERR_NONE;
}

enum err epoll_open(struct ring **out, const struct ring_options *options)
{
    struct epoll_engine *g = calloc(1, sizeof *g);
    if (!g) return ERR_NO_MEMORY;
    g->base.methods = &epoll_methods;
    g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    enum err e = g->epoll_fd < 0 ? err_from_errno(errno) : open_buffers(g, options);
    g->list = calloc(options->descriptors_max, sizeof *g->list);
    if (e == ERR_NONE && !g->list) e = ERR_NO_MEMORY;
    if (e != ERR_NONE) {
        fini(&g->base);
        return e;
    }
    *out = &g->base;
    return ERR_NONE;
}
