/*
 * ipc - messages over SOCK_SEQPACKET channels: one record is one message, a descriptor travels with the record that needs it.
 *
 * The reader trusts nobody. In this order: size, magic and version, type, direction for this channel, descriptor count, fields, no trailing
 * octets; then the handler checks meaning. The first failure is logged as ipc_violation, descriptors are closed, the channel is closed, and the
 * master restarts the peer. Nobody aborts on a peer's octets.
 * Sending never blocks: what the socket does not take waits in a bounded queue of the channel; EAGAIN is no error.
 */
#ifndef MTA_IPC_IPC_H
#define MTA_IPC_IPC_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/err.h"
#include "base/net.h"
#include "mta/ipc/messages.h"
#include "mta/ipc/roles.h"

#define IPC_T_u8 uint8_t
#define IPC_T_u16 uint16_t
#define IPC_T_u32 uint32_t
#define IPC_T_u64 uint64_t
#define IPC_T_i64 int64_t
#define IPC_T_bytes struct bytes
#define IPC_T_id struct message_id
#define IPC_T_addr struct net_address
#define IPC_FIELD_DECLARE(kind, name, max) IPC_T_##kind name;
#define IPC_STRUCT(id, NAME, name, from, to, fd, FIELDS) struct ipc_##name { FIELDS(IPC_FIELD_DECLARE) };
IPC_MESSAGES(IPC_STRUCT)
#define IPC_TYPE_ENUM(id, NAME, name, from, to, fd, FIELDS) IPC_##NAME = id,
enum ipc_type { IPC_NONE = 0, IPC_MESSAGES(IPC_TYPE_ENUM) };

/*
 * ipc_encode_<name> - append to a buf (header not included). ERR_TOO_LONG: a field, or no room; ERR_BAD_VALUE: a value over its maximum.
 * ipc_decode_<name> - from a slice; *m is zeroed first, and borrows. ERR_SHORT, ERR_TRAILING, ERR_TOO_LONG, ERR_BAD_VALUE.
 */
#define IPC_CODEC_DECLARE(id, NAME, name, from, to, fd, FIELDS) \
    must_use enum err ipc_encode_##name(struct buf *out, const struct ipc_##name *m); \
    must_use enum err ipc_decode_##name(struct bytes in, struct ipc_##name *m);
IPC_MESSAGES(IPC_CODEC_DECLARE)

/* ipc_print - a message's name and fields for trace lines, foreign octets escaped. ipc_type_name - "COMMIT". ipc_list_hash - of the table. */
void ipc_print(struct buf *out, enum ipc_type type, struct bytes body);
const char *ipc_type_name(enum ipc_type type);
uint64_t ipc_list_hash(void);

/* ipc_direction_ok - whether `type` may go from one role to the other. */
bool ipc_direction_ok(enum ipc_type type, enum ipc_role from, enum ipc_role to);

/* ipc_type_known - whether a number is a message of the table. */
bool ipc_type_known(uint16_t type);

struct ipc_channel; /* one end */

struct ipc_options {
    enum ipc_role self, peer;
    uint16_t peer_index;
    uint32_t peer_epoch;
    bool write_only;          /* send with write() alone: a process that reads foreign octets is not allowed sendmsg() (and sends no descriptors) */
};
enum { IPC_QUEUE_BYTES = 8 * 1024 * 1024 }; /* records that wait in one channel, with 8 octets each; pages that were never used cost nothing */

/* ipc_reserve - make the memory of `count` channels now, so that ipc_open() allocates nothing behind the lock-down. ipc_close() gives it back for reuse. */
must_use enum err ipc_reserve(uint32_t count);

/* ipc_open - take over a descriptor (a SOCK_SEQPACKET socket; every call on it says MSG_DONTWAIT or it is non-blocking already).
 * ipc_close - close it and drop what waits, with descriptors. */
must_use enum err ipc_open(struct ipc_channel **out, int fd, const struct ipc_options *options);
void ipc_close(struct ipc_channel *c);
/* ipc_detach - ipc_close(), but the descriptor stays open and is returned: whoever watches it has to close it. */
must_use int ipc_detach(struct ipc_channel *c);

int ipc_fd(const struct ipc_channel *c);
enum ipc_role ipc_peer(const struct ipc_channel *c);
uint16_t ipc_peer_index(const struct ipc_channel *c);
uint32_t ipc_peer_epoch(const struct ipc_channel *c);

/* A place for whatever the owner keeps with a channel. */
void ipc_set_context(struct ipc_channel *c, void *context);
void *ipc_context(const struct ipc_channel *c);

/*
 * ipc_send_<name> - encode and queue a message. fd -1 = none; a descriptor given is duplicated by the kernel when sent: *the channel takes it over and
 * closes it after sending*. Nothing is written to the socket before ipc_flush().
 * Errors   ERR_FULL when the waiting queue is full, ERR_TOO_LONG and ERR_BAD_VALUE for a field over its maximum (logged here), ERR_GONE.
 *          Then nothing was queued and the descriptor still belongs to the caller.
 */
#define IPC_SEND_DECLARE(id, NAME, name, from, to, fd_, FIELDS) \
    must_use enum err ipc_send_##name(struct ipc_channel *c, const struct ipc_##name *m, int fd);
IPC_MESSAGES(IPC_SEND_DECLARE)

/* ipc_flush - write what waits, as much as the socket takes: with sendmmsg(), or one write() a record (write_only). ERR_GONE when the peer is. */
must_use enum err ipc_flush(struct ipc_channel *c);

/* ipc_waiting_bytes - what waits to be sent. */
uint32_t ipc_waiting_bytes(const struct ipc_channel *c);

struct ipc_record {
    enum ipc_type type;
    struct bytes body; /* lent until the next ipc_receive() of any channel in this process */
    int fd;            /* -1 = none; close-on-exec; whoever handles the record takes it over (closes it) */
};

/*
 * ipc_receive - the next records, already checked for size, version, type, direction, descriptors.
 * Returns  how many; fewer than min(max, IPC_BATCH) = nothing more is there now. Records before a failure are good and are returned with it.
 * Out      *e       ERR_NONE, or ERR_GONE (EOF), or a violation: no record comes behind it, the caller closes the channel
 * Cost     one recvmmsg() for up to IPC_BATCH records, into one static buffer of the process
 */
enum { IPC_BATCH = 32 };
uint32_t ipc_receive(struct ipc_channel *c, struct ipc_record *records, uint32_t max, enum err *e);

#endif
