/*
 * ring - what a process waits for: sockets it reads and sends on, connections it accepts, channels that become readable.
 *
 * Two engines behind one interface, io_uring and epoll, chosen at start: containers often refuse io_uring. Everything is a completion:
 * a request is made, and later ring_wait() returns its event. No callbacks: the caller collects events, steps its machines, flushes.
 * Requests carry a token (operation of the caller, generation, index) instead of a pointer, so that a late completion for a recycled
 * connection is recognised. Only this folder includes liburing. Timers are the caller's (base/heap.h) through timeout_ms.
 * Nothing is submitted before ring_wait(): a request costs no system call of its own.
 */
#ifndef MTA_RING_RING_H
#define MTA_RING_RING_H

#include "base/bytes.h"
#include "base/err.h"

enum ring_engine { RING_AUTO = 0, RING_URING, RING_EPOLL };

struct ring_token {
    uint8_t kind;        /* the caller's own meaning */
    uint32_t generation; /* 24 bits */
    uint32_t index;
};

enum ring_event_type { RING_READY = 1, RING_ACCEPTED, RING_RECEIVED, RING_SENT };

enum { RING_READABLE = 1, RING_WRITABLE = 2, RING_HANGUP = 4 };

struct ring_event {
    uint8_t type;            /* enum ring_event_type */
    struct ring_token token; /* as given with the request */
    int32_t result;          /* READY: RING_ bits. ACCEPTED: the new descriptor or -errno. RECEIVED: octets, 0 = EOF, -errno. SENT: octets or -errno */
    struct bytes data;       /* RECEIVED: the octets, lent until the next ring_wait() */
};

struct ring_options {
    enum ring_engine engine;
    uint32_t entries;              /* submission entries, 8..4096, 0 = 256; more requests in one turn cost another system call */
    uint32_t receive_buffers;      /* how many buffers are lent out at most, a power of two up to 32768; 0 = this process never receives */
    uint32_t receive_buffer_bytes; /* size of each; what one RECEIVED event carries at most */
    uint32_t descriptors_max;      /* highest descriptor number used + 1; set RLIMIT_NOFILE to it (sandbox_request.descriptors_max) */
    bool sends;                    /* needs SEND on the allow-list */
    bool accepts;                  /* needs ACCEPT on the allow-list */
};

struct ring;

/*
 * ring_open - make the engine; before lock-down. With RING_AUTO tries io_uring and falls back to epoll.
 * The io_uring instance is created disabled: ring_confine() restricts and enables it. Memory for everything is taken here.
 * Errors   ERR_UNSUPPORTED when RING_URING was asked for and is refused here; ERR_NO_MEMORY
 */
must_use enum err ring_open(struct ring **out, const struct ring_options *options);

/*
 * ring_confine - register restrictions (allow-list of exactly the operations the options need) and enable. Call once, before the
 * seccomp filter, in the thread that will call ring_wait(): that one alone may use the ring from now on.
 */
must_use enum err ring_confine(struct ring *r);

/* ring_engine_of - RING_URING or RING_EPOLL. */
enum ring_engine ring_engine_of(const struct ring *r);
/* ring_engine_name - "io_uring" or "epoll"; for status. */
const char *ring_engine_name(enum ring_engine engine);
/* ring_is_restricted - whether the kernel took the restrictions; for status. Always false with epoll: there is nothing to restrict. */
bool ring_is_restricted(const struct ring *r);

/*
 * Requests. All of them take a descriptor below descriptors_max and a token; a descriptor serves either as a channel (watch), or as a
 * listener (accept), or as a stream (receive, send).
 * Errors   ERR_FULL when the descriptor's number is too high or no submission entry can be had; nothing was asked for then
 */

/*
 * ring_watch - READY events with RING_READABLE and RING_HANGUP, edge-triggered, for a channel or eventfd, until ring_unwatch() or
 * ring_close(). The caller reads until EAGAIN. What is readable already gives an event too.
 */
must_use enum err ring_watch(struct ring *r, int fd, struct ring_token token);

/*
 * ring_await_writable - one READY event with RING_WRITABLE (or RING_HANGUP): a channel that said EAGAIN, a connect() under way.
 * May be asked for beside ring_watch(), with a token of its own. Asked again before it came, it replaces the token.
 */
must_use enum err ring_await_writable(struct ring *r, int fd, struct ring_token token);

/*
 * ring_unwatch - end ring_watch() and ring_await_writable(): no event of theirs comes any more. On a listener it ends ring_accept():
 * connections that the kernel has handed out already still come, and the last event is ACCEPTED with -ECANCELED.
 */
void ring_unwatch(struct ring *r, int fd);

/*
 * ring_accept - ACCEPTED events, many, with non-blocking close-on-exec descriptors, until an event with an error; then ask again.
 * Errors of a single connection (it was reset before we took it) are not told. The listener must be non-blocking.
 */
must_use enum err ring_accept(struct ring *r, int listen_fd, struct ring_token token);

/* ring_receive - one RECEIVED event when octets (or EOF, or an error) are there. At most one under way for a descriptor. */
must_use enum err ring_receive(struct ring *r, int fd, struct ring_token token);

/* ring_send - one SENT event; octets must stay until then. At most one under way for a descriptor. May send less than n (n >= 1). */
must_use enum err ring_send(struct ring *r, int fd, struct ring_token token, const uint8_t *ptr, uint32_t n);

/*
 * ring_shut - shutdown both ways, so that what is under way ends with its event soon. Keep the connection until its events have come,
 * then ring_close().
 */
void ring_shut(struct ring *r, int fd);

/* ring_is_idle - whether neither a receive nor a send nor an accept is under way for a descriptor, so that ring_close() is allowed. */
bool ring_is_idle(const struct ring *r, int fd);

/* ring_close - close a descriptor that is idle; ends watches. Use it for every descriptor that the ring has ever been given. */
void ring_close(struct ring *r, int fd);

/* ring_release - like ring_close(), but the descriptor stays open: it goes to another process. */
void ring_release(struct ring *r, int fd);

/*
 * ring_wait - submit everything asked for and wait.
 * In       timeout_ms  0 = only look, UINT64_MAX = for ever
 * Out      events[0..max)  max >= 1; what does not fit comes with the next call
 * Returns  how many; 0 on timeout or signal, and sometimes early: 0 does not prove that the time has passed
 * Owner    data of the previous call's events is given back here
 * Cost     io_uring: one system call. epoll: one, and one for each send, receive and accept.
 */
uint32_t ring_wait(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms);

/* ring_in_flight - receives, sends and accepts whose last event has not come; 0 at a clean drain. */
uint32_t ring_in_flight(const struct ring *r);

void ring_fini(struct ring *r);

/*
 * The ring's part of sandbox_selftest(): a second ring, opened like ours before the fork, which the twin confines as ours is, and on which it tries
 * what is not on the list. ring_probe_make and ring_probe_unmake in the process itself, around the fork; in the twin ring_probe_enter before its
 * seccomp filter (who enables a ring is the one who may use it), and ring_probe_try behind it. With epoll there is nothing to try.
 */
struct ring_probe {
    struct ring_options options; /* as for ring_open(), with engine = ring_engine_of() of the ring in use */
    struct ring *ring;           /* NULL at first */
};
must_use enum err ring_probe_make(void *probe);
must_use enum err ring_probe_enter(void *probe);
/* ERR_DENIED when a forbidden operation was carried out. */
must_use enum err ring_probe_try(void *probe);
void ring_probe_unmake(void *probe);

#endif
