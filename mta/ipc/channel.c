/*
 * channel - one end of a SOCK_SEQPACKET pair: a queue of finished records on the way out, one batch at a time on the way in.
 *
 * Records are built in place, in one block of memory used as a ring whose records never cross its end; it starts over at its first octet
 * whenever it is empty, so that a channel that keeps up touches few pages. All channels of a process receive into the same buffers.
 * The sequence number in the header counts a direction's records from 1: a gap would mean that one of us lost a record.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/ipc/codec.h"
#include "mta/ipc/ipc.h"

enum {
    SLOT_ALIGN = 8,
    SEND_BATCH = 32,     /* records a sendmmsg() */
    FDS_RECORD_MAX = 2,  /* room for one more than any message has; what is beyond is closed by the kernel and reported as MSG_CTRUNC */
    /* Buffers begin at different places of the processor's cache sets: a stride of 96 KiB would put all headers into one. */
    BUFFER_STRIDE = IPC_RECORD_BYTES_MAX + 65 * 64,
};

struct slot { /* in front of each waiting record */
    uint32_t record_bytes;
    int32_t fd; /* -1 = none; ours */
};
static_assert(sizeof(struct slot) == SLOT_ALIGN, "a record begins on an aligned octet behind its slot");

struct ipc_channel {
    int fd;
    struct ipc_options options;
    void *context;
    bool gone;                       /* a send found no peer */
    uint64_t sent, received;         /* records, for the header's sequence number */
    uint8_t *memory;                 /* IPC_QUEUE_BYTES, kept over ipc_close() */
    uint32_t head, tail;             /* first waiting slot, and behind the last one */
    bool over;                       /* tail has started over at octet 0 and head has not: the records up to wrap come first */
    uint32_t wrap;                   /* while over: where the records before the start-over end */
    uint32_t count, waiting_bytes;   /* records, and octets of them */
    struct ipc_channel *next_free;
};

static struct ipc_channel *free_channels;

/* ---- life ---- */

static enum err make_channel(struct ipc_channel **out)
{
    /* One mapping for both: the struct, then its queue. Pages come when they are first used. */
    size_t head_bytes = (sizeof(struct ipc_channel) + 63) & ~(size_t)63;
    void *memory = mmap(NULL, head_bytes + IPC_QUEUE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    struct ipc_channel *c = memory;
    c->memory = (uint8_t *)memory + head_bytes;
    *out = c;
    return ERR_NONE;
}

enum err ipc_reserve(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ipc_channel *c;
        enum err e = make_channel(&c);
        if (e != ERR_NONE) return e;
        c->next_free = free_channels;
        free_channels = c;
    }
    return ERR_NONE;
}

enum err ipc_open(struct ipc_channel **out, int fd, const struct ipc_options *options)
{
    must(fd >= 0);
    if (free_channels == NULL) {
        enum err e = ipc_reserve(1);
        if (e != ERR_NONE) return e;
    }
    struct ipc_channel *c = free_channels;
    free_channels = c->next_free;
    *c = (struct ipc_channel){.fd = fd, .options = *options, .memory = c->memory};
    *out = c;
    return ERR_NONE;
}

/* first - the slot at the head of a queue that is not empty. */
static struct slot *first(struct ipc_channel *c)
{
    must(c->count > 0);
    if (c->over && c->head == c->wrap) {
        c->head = 0;
        c->over = false;
    }
    return (struct slot *)(void *)(c->memory + c->head);
}

static uint32_t slot_bytes(uint32_t record_bytes)
{
    return (uint32_t)sizeof(struct slot) + ((record_bytes + SLOT_ALIGN - 1) & ~(uint32_t)(SLOT_ALIGN - 1));
}

/* pop - the first record is sent or dropped. */
static void pop(struct ipc_channel *c)
{
    struct slot *s = first(c);
    if (s->fd >= 0) close(s->fd);
    c->head += slot_bytes(s->record_bytes);
    c->waiting_bytes -= s->record_bytes;
    c->count--;
    if (c->count > 0) return;
    c->head = c->tail = 0;
    c->over = false;
}

int ipc_detach(struct ipc_channel *c)
{
    int fd = c->fd;
    while (c->count > 0) pop(c);
    c->fd = -1;
    c->next_free = free_channels;
    free_channels = c;
    return fd;
}

void ipc_close(struct ipc_channel *c)
{
    if (c != NULL) close(ipc_detach(c));
}

int ipc_fd(const struct ipc_channel *c) { return c->fd; }
enum ipc_role ipc_peer(const struct ipc_channel *c) { return c->options.peer; }
uint16_t ipc_peer_index(const struct ipc_channel *c) { return c->options.peer_index; }
uint32_t ipc_peer_epoch(const struct ipc_channel *c) { return c->options.peer_epoch; }
void ipc_set_context(struct ipc_channel *c, void *context) { c->context = context; }
void *ipc_context(const struct ipc_channel *c) { return c->context; }
uint32_t ipc_waiting_bytes(const struct ipc_channel *c) { return c->waiting_bytes; }

/* ---- out ---- */

/* reserve - a place for a record of that size, or NULL when the queue is full. Nothing changes before push(). */
static struct slot *reserve(struct ipc_channel *c, uint32_t record_bytes)
{
    uint32_t need = slot_bytes(record_bytes);
    uint32_t room_at_tail = (c->over ? c->head : (uint32_t)IPC_QUEUE_BYTES) - c->tail;
    if (need <= room_at_tail) return (struct slot *)(void *)(c->memory + c->tail);
    return !c->over && need <= c->head ? (struct slot *)(void *)c->memory : NULL;
}

/* push - the record at the place that reserve() gave is finished. */
static void push(struct ipc_channel *c, struct slot *s)
{
    uint32_t at = (uint32_t)((uint8_t *)s - c->memory);
    if (at != c->tail) {
        c->over = true;
        c->wrap = c->tail;
    }
    c->tail = at + slot_bytes(s->record_bytes);
    c->waiting_bytes += s->record_bytes;
    c->count++;
    c->sent++;
}

static void put_header(struct buf *record, const struct ipc_channel *c, enum ipc_type type, uint32_t body_bytes)
{
    buf_put_le(record, IPC_MAGIC, 2);
    buf_put_le(record, IPC_VERSION, 2);
    buf_put_le(record, (uint64_t)type, 2);
    buf_put_le(record, 0, 2);
    buf_put_le(record, body_bytes, 4);
    buf_put_le(record, 0, 4);
    buf_put_le(record, c->sent + 1, 8);
    must(record->len == IPC_HEADER_BYTES);
}

/* start_record - header written, *record ready for the body. */
static enum err start_record(struct ipc_channel *c, enum ipc_type type, uint32_t body_bytes, int fd, struct slot **s, struct buf *record)
{
    const struct ipc_row *row = ipc_row((uint16_t)type);
    must(row != NULL && ipc_direction_ok(type, c->options.self, c->options.peer));
    must(fd >= 0 ? row->fd != FD_NEVER : row->fd != FD_ALWAYS);
    must(fd < 0 || !c->options.write_only);
    if (c->gone) return ERR_GONE;
    if (body_bytes > (uint32_t)IPC_RECORD_BYTES_MAX - (uint32_t)IPC_HEADER_BYTES) return ERR_TOO_LONG;

    uint32_t record_bytes = (uint32_t)IPC_HEADER_BYTES + body_bytes;
    *s = reserve(c, record_bytes);
    if (*s == NULL) return ERR_FULL;
    **s = (struct slot){record_bytes, fd};
    *record = buf_over(*s + 1, record_bytes);
    put_header(record, c, type, body_bytes);
    return ERR_NONE;
}

static enum err refuse_record(enum ipc_type type, enum err e)
{
    if (e == ERR_TOO_LONG || e == ERR_BAD_VALUE) log_err(LOG_LEVEL_ERROR, "a message could not be sent", bytes_of_cstr(ipc_type_name(type)), e);
    return e;
}

#define MESSAGE_SEND(id, NAME, name, from, to, fd_, FIELDS) \
    enum err ipc_send_##name(struct ipc_channel *c, const struct ipc_##name *m, int fd) \
    { \
        struct slot *s; \
        struct buf record; \
        enum err e = start_record(c, IPC_##NAME, ipc_size_##name(m), fd, &s, &record); \
        if (e == ERR_NONE) e = ipc_encode_##name(&record, m); \
        if (e != ERR_NONE) return refuse_record(IPC_##NAME, e); \
        must(record.len == record.cap); \
        push(c, s); \
        return ERR_NONE; \
    }
IPC_MESSAGES(MESSAGE_SEND)

/* sent_nothing - what a failed send means; ERR_AGAIN for "not now". */
static enum err sent_nothing(struct ipc_channel *c)
{
    /* ETOOMANYREFS: too many descriptors are on their way between processes; they will arrive. */
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) return ERR_AGAIN;
    c->gone = true;
    return ERR_GONE;
}

static enum err write_one(struct ipc_channel *c)
{
    struct slot *s = first(c);
    if (write(c->fd, s + 1, s->record_bytes) < 0) return sent_nothing(c);
    pop(c);
    return ERR_NONE;
}

union control {
    struct cmsghdr align;
    uint8_t octets[CMSG_SPACE(FDS_RECORD_MAX * sizeof(int))];
};

static void attach_fd(struct msghdr *m, union control *control, int fd)
{
    memset(control, 0, sizeof(*control));
    m->msg_control = control->octets;
    m->msg_controllen = CMSG_SPACE(sizeof(int));
    struct cmsghdr *head = CMSG_FIRSTHDR(m);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
}

static enum err send_batch(struct ipc_channel *c)
{
    struct mmsghdr batch[SEND_BATCH];
    struct iovec pieces[SEND_BATCH];
    union control controls[SEND_BATCH];
    uint32_t count = c->count < SEND_BATCH ? c->count : SEND_BATCH;
    uint32_t at = (uint32_t)((uint8_t *)first(c) - c->memory);
    for (uint32_t i = 0; i < count; i++) {
        if (c->over && at == c->wrap) at = 0;
        struct slot *s = (struct slot *)(void *)(c->memory + at);
        pieces[i] = (struct iovec){s + 1, s->record_bytes};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
        if (s->fd >= 0) attach_fd(&batch[i].msg_hdr, &controls[i], s->fd);
        at += slot_bytes(s->record_bytes);
    }
    int sent = sendmmsg(c->fd, batch, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return sent_nothing(c);
    for (int i = 0; i < sent; i++) pop(c);
    return ERR_NONE;
}

enum err ipc_flush(struct ipc_channel *c)
{
    while (c->count > 0) {
        if (c->gone) return ERR_GONE;
        enum err e = c->options.write_only ? write_one(c) : send_batch(c);
        if (e == ERR_AGAIN) return ERR_NONE;
        if (e != ERR_NONE) return e;
    }
    return ERR_NONE;
}

/* ---- in ---- */

static uint8_t buffers[IPC_BATCH * BUFFER_STRIDE];
static union control received_controls[IPC_BATCH];

/* take_fds - the descriptors of a received record: how many, and the first. Those beyond the first are closed. */
static uint32_t take_fds(struct msghdr *m, int *fd)
{
    uint32_t count = 0;
    *fd = -1;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(m); head != NULL; head = CMSG_NXTHDR(m, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        uint32_t here = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (uint32_t i = 0; i < here; i++, count++) {
            int got;
            memcpy(&got, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
            if (*fd < 0) *fd = got;
            else close(got);
        }
    }
    return count;
}

/* judge_header - size, magic and version, type, direction, in this order. */
static enum err judge_header(const struct ipc_channel *c, struct bytes record, uint16_t *type)
{
    struct cursor in = cursor_over(record);
    uint64_t magic = cursor_le(&in, 2), version = cursor_le(&in, 2);
    *type = (uint16_t)cursor_le(&in, 2);
    uint64_t flags = cursor_le(&in, 2), body_bytes = cursor_le(&in, 4), zero = cursor_le(&in, 4), sequence = cursor_le(&in, 8);
    if (in.failed) return ERR_SHORT;
    if (body_bytes != cursor_left(&in)) return body_bytes > cursor_left(&in) ? ERR_SHORT : ERR_TRAILING;
    if (magic != IPC_MAGIC || version != IPC_VERSION) return ERR_BAD_VERSION;
    if (!ipc_type_known(*type)) return ERR_BAD_TYPE;
    if (!ipc_direction_ok((enum ipc_type)*type, c->options.peer, c->options.self)) return ERR_BAD_DIRECTION;
    if (flags != 0 || zero != 0 || sequence != c->received + 1) return ERR_BAD_VALUE;
    return ERR_NONE;
}

static enum err judge(struct ipc_channel *c, struct mmsghdr *got, const uint8_t *octets, struct ipc_record *record)
{
    uint16_t type = 0;
    uint32_t fds = take_fds(&got->msg_hdr, &record->fd);
    enum err e = judge_header(c, bytes_of(octets, got->msg_len), &type);
    if (got->msg_len == 0) e = ERR_GONE; /* a record of ours is never empty: this is the end */
    if (got->msg_hdr.msg_flags & MSG_TRUNC) e = ERR_TOO_LONG;
    if (e == ERR_NONE) {
        uint8_t want = ipc_row(type)->fd;
        bool right = fds == 0 ? want != FD_ALWAYS : fds == 1 && want != FD_NEVER;
        if (!right || (got->msg_hdr.msg_flags & MSG_CTRUNC)) e = ERR_BAD_DESCRIPTOR;
    }
    if (e != ERR_NONE) {
        if (record->fd >= 0) close(record->fd);
        return e;
    }
    c->received++;
    record->type = (enum ipc_type)type;
    record->body = bytes_of(octets + IPC_HEADER_BYTES, got->msg_len - (uint32_t)IPC_HEADER_BYTES);
    return ERR_NONE;
}

/* drop_rest - records behind a violation are not looked at; their descriptors are closed. */
static void drop_rest(struct mmsghdr *got, int from, int count)
{
    for (int i = from; i < count; i++) {
        int fd;
        (void)take_fds(&got[i].msg_hdr, &fd);
        if (fd >= 0) close(fd);
    }
}

uint32_t ipc_receive(struct ipc_channel *c, struct ipc_record *records, uint32_t max, enum err *e)
{
    struct mmsghdr batch[IPC_BATCH];
    struct iovec pieces[IPC_BATCH];
    if (max > IPC_BATCH) max = IPC_BATCH;
    for (uint32_t i = 0; i < max; i++) {
        pieces[i] = (struct iovec){buffers + i * (size_t)BUFFER_STRIDE, IPC_RECORD_BYTES_MAX};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1, .msg_control = received_controls[i].octets,
            .msg_controllen = sizeof(received_controls[i])}};
    }
    /* A peer that ended with unread records leaves ECONNRESET, once, in front of what it had sent before: that must still be read. */
    int got = recvmmsg(c->fd, batch, max, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
    if (got < 0 && errno == ECONNRESET) got = recvmmsg(c->fd, batch, max, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
    *e = ERR_NONE;
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM) *e = ERR_GONE;
        return 0;
    }
    uint32_t count = 0;
    for (int i = 0; i < got && *e == ERR_NONE; i++) {
        *e = judge(c, &batch[i], buffers + (size_t)i * BUFFER_STRIDE, &records[count]);
        if (*e == ERR_NONE) count++;
        else drop_rest(batch, i + 1, got);
    }
    return count;
}
