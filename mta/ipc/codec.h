/*
 * codec - what the channel needs of the message table beyond ipc.h: rows, and exact sizes.
 */
#ifndef MTA_IPC_CODEC_H
#define MTA_IPC_CODEC_H

#include "mta/ipc/ipc.h"

enum { IPC_TYPES_MAX = 128, IPC_MAGIC = 0x4b42 };

enum { FD_NEVER = 0, FD_ALWAYS = 1, FD_MAY = 2 }; /* the `fd` column */

struct ipc_row {
    const char *name;  /* "COMMIT" */
    uint8_t from, to;  /* enum ipc_role */
    uint8_t fd;        /* FD_ */
};

/* ipc_row - the row of a type; NULL when there is none. */
const struct ipc_row *ipc_row(uint16_t type);

/* ipc_size_<name> - octets that ipc_encode_<name>() will write. */
#define IPC_SIZE_DECLARE(id, NAME, name, from, to, fd, FIELDS) uint32_t ipc_size_##name(const struct ipc_##name *m);
IPC_MESSAGES(IPC_SIZE_DECLARE)

#endif
