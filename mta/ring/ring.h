/*
 * ring - what a process waits for: sockets it reads and sends on, connections it accepts, channels that become readable.
 *
 * Two engines behind one interface, io_uring and epoll, chosen at start: containers often refuse io_uring. Everything is a completion:
 * a request is made, and later ring_wait() returns its event. No callbacks: the caller collects events, steps its machines, flushes.
 * Requests carry a token (operation of the caller, generation, index) instead of a pointer, so that a late completion for a recycled
 * connection is recognised. Only this folder includes liburing. Timers are the caller's (base/heap.h) through timeout_ms.
 */
#ifndef MTA_RING_RING_H
#define MTA_RING_RING_H

#include "base/bytes.h"
#include "base/err.h"

enum ring_engine { RING_AUTO = 0, RING_URING, RING_EPOLL };

struct ring_token {
    uint8_t kind;        /* the caller's own meaning; 0xff is the ring's */
    uint32_t generation; /* 24 bits */
    uint32_t index;
};

enum ring_event_type { RING_READY = 1, RING_ACCEPTED, RING_RECEIVED, RING_SENT, RING_CANCELLED };

enum { RING_READABLE = 1, RING_WRITABLE = 2, RING_HANGUP = 4 };

struct ring_event {
    uint8_t type;            /* enum ring_event_type */
    struct ring_token token;
    int32_t result;          /* READY: RING_ bits. ACCEPTED: the new descriptor or -errno. RECEIVED: octets, 0 = EOF, -errno. SENT: octets or -errno */
    struct bytes data;       /* RECEIVED: the octets, lent until the next ring_wait() */
};

struct ring_options {
    enum ring_engine engine;
    uint32_t entries;            /* submission entries; also bounds events per wait */
    uint32_t receive_buffers;    /* how many buffers are lent out at most; 0 = this process receives nothing on the ring */
    uint32_t receive_buffer_bytes;
    uint32_t descriptors_max;    /* highest descriptor number used + 1 (epoll engine's table) */
    bool accepts;                /* needs ACCEPT on the allow-list */
};

struct ring;

/*
 * ring_open - make the engine; before lock-down. With RING_AUTO tries io_uring and falls back to epoll.
 * The io_uring instance is created disabled: ring_confine() restricts and enables it.
 * Errors   ERR_UNSUPPORTED when RING_URING was asked for and is refused here
 */
must_use enum err ring_open(struct ring **out, const struct ring_options *options);

/* ring_confine - register restrictions (allow-list of exactly the operations the options need) and enable. Call once, before the seccomp filter. */
must_use enum err ring_confine(struct ring *r);

enum ring_engine ring_engine_of(const struct ring *r);
/* ring_is_restricted - whether the kernel took the restrictions; for status. */
bool ring_is_restricted(const struct ring *r);

/* ring_watch - READY events, edge-triggered, for a channel or eventfd, until ring_unwatch or close. The caller reads until EAGAIN. */
must_use enum err ring_watch(struct ring *r, int fd, struct ring_token token);
void ring_unwatch(struct ring *r, int fd, struct ring_token token);

/* ring_accept - ACCEPTED events, multishot, non-blocking close-on-exec descriptors, until an error event; then ask again. */
must_use enum err ring_accept(struct ring *r, int listen_fd, struct ring_token token);

/* ring_receive - one RECEIVED event when octets (or EOF, or an error) are there. At most one under way for a descriptor. */
must_use enum err ring_receive(struct ring *r, int fd, struct ring_token token);

/* ring_send - one SENT event; octets must stay until then. At most one under way for a descriptor. May send less than n. */
must_use enum err ring_send(struct ring *r, int fd, struct ring_token token, const uint8_t *ptr, uint32_t n);

/* ring_shut - shutdown both ways, so that what is under way ends with its event soon. Then close(fd) when none is under way (ring_close does that). */
void ring_shut(struct ring *r, int fd);
/* ring_close - close a descriptor with nothing under way. */
void ring_close(struct ring *r, int fd);

/*
 * ring_wait - submit everything asked for and wait.
 * In       timeout_ms  0 = only look, UINT64_MAX = for ever
 * Out      events[0..max)
 * Returns  how many; 0 on timeout or signal
 * Owner    data of the previous call's events is given back here
 */
uint32_t ring_wait(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms);

/* ring_in_flight - requests made whose last event has not come; 0 at a clean drain. */
uint32_t ring_in_flight(const struct ring *r);

void ring_fini(struct ring *r);

#endif
