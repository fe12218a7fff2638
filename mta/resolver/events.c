/*
 * events - libunbound's event interface on an epoll descriptor of our own.
 *
 * The library wants level-triggered readiness, writability and timeouts for each of its events; the process's loop watches the epoll descriptor as a
 * whole. One event is taken at a time, since a callback may free any other.
 */
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include <unbound.h>
#include <unbound-event.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/must.h"
#include "mta/resolver/resolver.h"

enum { RUNS_MAX = 256 }; /* callbacks in one turn */

struct timed_event {
    struct heap_node timer; /* first */
    struct ub_event event;
    int fd;
    short bits;
    void (*callback)(int fd, short bits, void *argument);
    void *argument;
    uint64_t interval_ms;   /* of a persistent event's timeout; 0 = none */
    bool polled;
};

static int epoll_fd = -1;
static struct heap timers;

static struct timed_event *of(struct ub_event *e)
{
    return (struct timed_event *)(void *)((char *)e - offsetof(struct timed_event, event));
}

static void stop(struct timed_event *e)
{
    if (e->polled) (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, e->fd, NULL);
    e->polled = false;
    heap_remove(&timers, &e->timer);
}

static int start(struct timed_event *e, const struct timeval *timeout)
{
    stop(e);
    uint32_t wanted = ((e->bits & UB_EV_READ) ? (uint32_t)EPOLLIN : 0u) | ((e->bits & UB_EV_WRITE) ? (uint32_t)EPOLLOUT : 0u);
    if (wanted && e->fd >= 0) {
        struct epoll_event event = {.events = wanted, .data.ptr = e};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e->fd, &event)) return -1;
        e->polled = true;
    }
    e->interval_ms = 0;
    if (!timeout) return 0;
    uint64_t ms = (uint64_t)timeout->tv_sec * 1000 + (uint64_t)timeout->tv_usec / 1000 + 1;
    e->interval_ms = ms;
    return heap_put(&timers, &e->timer, clock_mono_ms() + ms) == ERR_NONE ? 0 : -1;
}

static void add_bits(struct ub_event *e, short bits) { of(e)->bits |= bits; }
static void del_bits(struct ub_event *e, short bits) { of(e)->bits = (short)(of(e)->bits & ~bits); }
static void set_fd(struct ub_event *e, int fd) { of(e)->fd = fd; }
static int add(struct ub_event *e, struct timeval *timeout) { return start(of(e), (of(e)->bits & UB_EV_TIMEOUT) || timeout ? timeout : NULL); }

static void free_event(struct ub_event *e)
{
    stop(of(e));
    free(of(e));
}

static int del(struct ub_event *e)
{
    stop(of(e));
    return 0;
}

static int add_timer(struct ub_event *e, struct ub_event_base *base, void (*callback)(int, short, void *), void *argument, struct timeval *timeout)
{
    (void)base;
    of(e)->callback = callback;
    of(e)->argument = argument;
    return start(of(e), timeout);
}

/* Signals are never asked for: libunbound runs inside our loop. */
static int no_signal(struct ub_event *e, struct timeval *timeout)
{
    (void)e;
    (void)timeout;
    return -1;
}

static int no_signal_del(struct ub_event *e)
{
    (void)e;
    return -1;
}

static struct ub_event_vmt event_methods = {
    .add_bits = add_bits, .del_bits = del_bits, .set_fd = set_fd, .free = free_event, .add = add, .del = del, .add_timer = add_timer,
    .del_timer = del, .add_signal = no_signal, .del_signal = no_signal_del,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits, void (*callback)(int, short, void *), void *argument)
{
    (void)base;
    struct timed_event *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->event.magic = UB_EVENT_MAGIC;
    e->event.vmt = &event_methods;
    e->fd = fd;
    e->bits = bits;
    e->callback = callback;
    e->argument = argument;
    return &e->event;
}

static struct ub_event_base_vmt base_methods = {.new_event = new_event};
static struct ub_event_base the_base = {.magic = UB_EVENT_MAGIC, .vmt = &base_methods};

struct ub_event_base *events_open(int *fd)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || heap_init(&timers, 1024) != ERR_NONE) return NULL;
    *fd = epoll_fd;
    return &the_base;
}

static void fire(struct timed_event *e, short bits)
{
    if (!(e->bits & UB_EV_PERSIST)) stop(e);
    else if (e->interval_ms) (void)!heap_put(&timers, &e->timer, clock_mono_ms() + e->interval_ms);
    e->callback(e->fd, bits, e->argument);
}

bool events_run(uint64_t now_ms)
{
    for (struct heap_node *n = heap_first(&timers); n && n->key <= now_ms; n = heap_first(&timers)) {
        heap_remove(&timers, n);
        fire((struct timed_event *)(void *)n, UB_EV_TIMEOUT);
    }
    for (uint32_t i = 0; i < RUNS_MAX; i++) {
        struct epoll_event ready;
        if (epoll_wait(epoll_fd, &ready, 1, 0) <= 0) return true;
        struct timed_event *e = ready.data.ptr;
        short bits = 0;
        if ((ready.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && (e->bits & UB_EV_READ)) bits |= UB_EV_READ;
        if ((ready.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) && (e->bits & UB_EV_WRITE)) bits |= UB_EV_WRITE;
        if (bits) fire(e, bits);
        else stop(e);
    }
    return false;
}

uint64_t events_deadline(void)
{
    const struct heap_node *first = heap_first(&timers);
    return first ? first->key : UINT64_MAX;
}
