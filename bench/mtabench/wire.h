/*
 * wire - one io_uring for everything that the generator or the sink waits for.
 *
 * Accepts and receives are multishot, with buffers that the kernel picks from a ring; a turn costs one system call however much happened in it. The
 * daemon's own ring (mta/ring) is confined and single-shot, for the sake of containment; a load generator must cost less than what it measures, so
 * this one is made for that and knows no sandbox. An event names its request by operation and index; an index may be used again only when each of
 * its requests has had its last event.
 */
#ifndef MTABENCH_WIRE_H
#define MTABENCH_WIRE_H

#include <liburing.h>
#include <sys/socket.h>

#include "base/bytes.h"

enum wire_op { WIRE_ACCEPT = 1, WIRE_CONNECT, WIRE_RECEIVE, WIRE_SEND };

struct wire_event {
    uint8_t op;        /* enum wire_op */
    bool more;         /* ACCEPT, RECEIVE: others will come; else this was the last of that request */
    uint32_t index;    /* as given */
    int32_t result;    /* a descriptor, octets, 0, or -errno; RECEIVE with -ENOBUFS: nothing is lost, ask again */
    struct bytes data; /* RECEIVE: lent until the handler returns */
};

struct wire {
    struct io_uring io;
    struct io_uring_buf_ring *ring; /* of receive buffers */
    uint8_t *buffers;
    uint32_t buffer_count, buffer_bytes;
    uint64_t turns; /* system calls so far, for the report */
};

/*
 * wire_open - make it, with `count` receive buffers (a power of two) of `bytes` each.
 * Returns  0, or the errno of what was refused; wire_refusal() has words for it
 */
int wire_open(struct wire *w, uint32_t count, uint32_t bytes);
void wire_close(struct wire *w);
const char *wire_refusal(int error_number);

/* Requests; they reach the kernel with the next turn. What a pointer leads to stays until the event. */
void wire_accept(struct wire *w, int fd, uint32_t index);
void wire_connect(struct wire *w, int fd, uint32_t index, const struct sockaddr *to, socklen_t to_bytes);
void wire_receive(struct wire *w, int fd, uint32_t index);
void wire_send(struct wire *w, int fd, uint32_t index, const struct msghdr *message);

typedef void wire_handler(void *context, const struct wire_event *event);

/* wire_wait - submit, and wait for the first event or for timeout_ns (UINT64_MAX = for ever). A signal ends the wait.
 * wire_reap - hand every event there is to the handler; between the two the caller looks at the clock. */
void wire_wait(struct wire *w, uint64_t timeout_ns);
void wire_reap(struct wire *w, wire_handler *handler, void *context);

#endif
