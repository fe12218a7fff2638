/*
 * ring - the front of both engines: rules, slots, counts. See ring.h; the engines are uring.c and epoll.c.
 */
#include "mta/ring/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/ring/engine.h"

/* io_uring takes at most 32768 buffers in a ring; a million descriptors is what Linux allows a process by default (fs.nr_open). */
enum { ENTRIES_MIN = 8, ENTRIES_DEFAULT = 256, ENTRIES_MAX = 4096, BUFFERS_MAX = 32768, DESCRIPTORS_MAX = 1 << 20 };

static void options_check(const struct ring_options *o)
{
    must(o->entries >= ENTRIES_MIN && o->entries <= ENTRIES_MAX);
    must(o->receive_buffers <= BUFFERS_MAX && (o->receive_buffers & (o->receive_buffers - 1)) == 0);
    must(o->receive_buffers == 0 || (o->receive_buffer_bytes > 0 && o->receive_buffer_bytes <= INT32_MAX));
    must(o->descriptors_max > 0 && o->descriptors_max <= DESCRIPTORS_MAX);
}

static enum err open_engine(struct ring **out, const struct ring_options *options)
{
    if (options->engine == RING_EPOLL) return epoll_open(out, options);
    enum err e = uring_open(out, options);
    if (e == ERR_NONE || options->engine == RING_URING) return e;
    return epoll_open(out, options);
}

enum err ring_open(struct ring **out, const struct ring_options *wanted)
{
    struct ring_options options = *wanted;
    if (options.entries == 0) options.entries = ENTRIES_DEFAULT;
    options_check(&options);
    struct ring_slot *slots = calloc(options.descriptors_max, sizeof *slots);
    if (!slots) return ERR_NO_MEMORY;
    struct ring *r = NULL;
    enum err e = open_engine(&r, &options);
    if (e != ERR_NONE) {
        free(slots);
        return e;
    }
    r->options = options;
    r->slots = slots;
    *out = r;
    return ERR_NONE;
}

enum err ring_confine(struct ring *r)
{
    must(!r->confined);
    enum err e = r->methods->confine(r);
    r->confined = e == ERR_NONE;
    return e;
}

enum ring_engine ring_engine_of(const struct ring *r)
{
    return r->methods->engine;
}

const char *ring_engine_name(enum ring_engine engine)
{
    return engine == RING_URING ? "io_uring" : engine == RING_EPOLL ? "epoll" : "auto";
}

bool ring_is_restricted(const struct ring *r)
{
    return r->restricted;
}

static bool has_slot(const struct ring *r, int fd)
{
    must(fd >= 0);
    return (uint32_t)fd < r->options.descriptors_max;
}

/* Starts an operation, unless something that it cannot stand beside is under way: that is the caller's bug. */
static enum err ask(struct ring *r, int fd, enum ring_op op, struct ring_token token, uint16_t excluded)
{
    if (!has_slot(r, fd)) return ERR_FULL;
    struct ring_slot *slot = &r->slots[fd];
    must(!(slot->under_way & excluded));
    slot->token[op - 1] = ring_pack_token(token);
    if (ring_has(slot, op)) return ERR_NONE;
    slot->under_way |= ring_bit(op);
    enum err e = r->methods->ask(r, (uint32_t)fd, op);
    if (e != ERR_NONE) slot->under_way &= (uint16_t)~ring_bit(op);
    return e;
}

static enum err ask_counted(struct ring *r, int fd, enum ring_op op, struct ring_token token, uint16_t excluded)
{
    enum err e = ask(r, fd, op, token, (uint16_t)(excluded | ring_bit(op)));
    if (e == ERR_NONE) r->in_flight++;
    return e;
}

enum {
    STREAM_BITS = 1 << RING_OP_RECEIVE | 1 << RING_OP_SEND,
    WATCH_BITS = 1 << RING_OP_WATCH | 1 << RING_OP_WRITABLE,
    COUNTED_BITS = STREAM_BITS | 1 << RING_OP_ACCEPT,
};

enum err ring_watch(struct ring *r, int fd, struct ring_token token)
{
    return ask(r, fd, RING_OP_WATCH, token, COUNTED_BITS | 1 << RING_OP_WATCH);
}

enum err ring_await_writable(struct ring *r, int fd, struct ring_token token)
{
    return ask(r, fd, RING_OP_WRITABLE, token, COUNTED_BITS);
}

enum err ring_accept(struct ring *r, int listen_fd, struct ring_token token)
{
    must(r->options.accepts);
    return ask_counted(r, listen_fd, RING_OP_ACCEPT, token, STREAM_BITS | WATCH_BITS);
}

enum err ring_receive(struct ring *r, int fd, struct ring_token token)
{
    must(r->options.receive_buffers > 0);
    return ask_counted(r, fd, RING_OP_RECEIVE, token, 1 << RING_OP_ACCEPT | WATCH_BITS);
}

enum err ring_send(struct ring *r, int fd, struct ring_token token, const uint8_t *ptr, uint32_t n)
{
    must(r->options.sends && n > 0);
    if (!has_slot(r, fd)) return ERR_FULL;
    must(!ring_has(&r->slots[fd], RING_OP_SEND));
    r->slots[fd].send_ptr = ptr;
    r->slots[fd].send_bytes = n;
    return ask_counted(r, fd, RING_OP_SEND, token, 1 << RING_OP_ACCEPT | WATCH_BITS);
}

static void next_generation(struct ring_slot *slot)
{
    slot->generation = (slot->generation + 1) & RING_GENERATION_MASK;
}

/* Ends both kinds of watch. The generation goes up, so that an event of theirs that is on its way finds nobody. */
static void end_watches(struct ring *r, uint32_t fd)
{
    struct ring_slot *slot = &r->slots[fd];
    if (!(slot->under_way & WATCH_BITS)) return;
    for (enum ring_op op = RING_OP_WATCH; op <= RING_OP_WRITABLE; op++) {
        if (!ring_has(slot, op)) continue;
        ring_done(r, slot, op);
        r->methods->cancel(r, fd, op);
    }
    next_generation(slot);
}

void ring_unwatch(struct ring *r, int fd)
{
    if (!has_slot(r, fd)) return;
    end_watches(r, (uint32_t)fd);
    if (ring_has(&r->slots[fd], RING_OP_ACCEPT)) r->methods->cancel(r, (uint32_t)fd, RING_OP_ACCEPT);
}

void ring_shut(struct ring *r, int fd)
{
    (void)r;
    /* It may fail when the socket never was connected, or the peer is gone: then what is under way ends by itself. */
    (void)shutdown(fd, SHUT_RDWR);
}

bool ring_is_idle(const struct ring *r, int fd)
{
    return !has_slot(r, fd) || !(r->slots[fd].under_way & COUNTED_BITS);
}

void ring_release(struct ring *r, int fd)
{
    must(ring_is_idle(r, fd));
    if (!has_slot(r, fd)) return;
    end_watches(r, (uint32_t)fd);
    r->methods->forget(r, (uint32_t)fd);
    next_generation(&r->slots[fd]);
}

void ring_close(struct ring *r, int fd)
{
    ring_release(r, fd);
    /* Linux closes the descriptor whatever close() says; nothing of ours is lost with an error here. */
    (void)close(fd);
}

uint32_t ring_wait(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms)
{
    must(r->confined && max > 0);
    uint32_t count = r->methods->wait(r, events, max, timeout_ms);
    must(count <= max);
    return count;
}

uint32_t ring_in_flight(const struct ring *r)
{
    return r->in_flight;
}

void ring_fini(struct ring *r)
{
    if (!r) return;
    struct ring_slot *slots = r->slots;
    r->methods->fini(r);
    free(slots);
}

bool ring_accept_is_transient(int error_number)
{
    switch (error_number) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: /* a firewall rule */
        return true;
    default:
        return false;
    }
}

enum err ring_probe_make(void *probe)
{
    struct ring_probe *p = probe;
    return ring_open(&p->ring, &p->options);
}

enum err ring_probe_enter(void *probe)
{
    return ring_confine(((struct ring_probe *)probe)->ring);
}

enum err ring_probe_try(void *probe)
{
    const struct ring_probe *p = probe;
    return ring_engine_of(p->ring) == RING_URING ? uring_try_forbidden(p->ring) : ERR_NONE;
}

void ring_probe_unmake(void *probe)
{
    struct ring_probe *p = probe;
    if (p->ring) ring_fini(p->ring);
    p->ring = NULL;
}
