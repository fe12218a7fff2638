/*
 * uring - the io_uring engine's structure, shared by its two files: uring_setup.c opens, confines and proves, uring.c runs.
 *
 * Private to this folder, and with those two the only place that knows liburing.
 */
#ifndef MTA_RING_URING_H
#define MTA_RING_URING_H

#include <liburing.h>

#include "mta/ring/engine.h"

enum { URING_BUFFER_GROUP = 0 };

struct uring {
    struct ring base; /* first */
    struct io_uring io;
    bool io_is_open;
    struct io_uring_buf_ring *buffer_ring; /* shared with the kernel; NULL = no receives */
    size_t buffer_ring_bytes;
    uint8_t *buffers; /* receive_buffers times receive_buffer_bytes */
    size_t buffers_bytes;
    uint16_t *lent; /* buffers lent with the events of the last turn; at first, all of them: the first turn gives them to the kernel */
    uint32_t lent_count;
    uint64_t *later; /* requests to submit with the next turn */
    uint32_t later_count, later_max;
};

static inline struct uring *uring_of(struct ring *r)
{
    return (struct uring *)(void *)r;
}

/* The running part, as in struct ring_methods. */
enum err uring_ask(struct ring *r, uint32_t fd, enum ring_op op);
void uring_cancel(struct ring *r, uint32_t fd, enum ring_op op);
void uring_forget(struct ring *r, uint32_t fd);
uint32_t uring_wait(struct ring *r, struct ring_event *events, uint32_t max, uint64_t timeout_ms);

#endif
