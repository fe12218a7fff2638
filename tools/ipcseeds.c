/*
 * ipcseeds - fuzz seeds from the message table: for every message, one with nothing in it and one with something in every field.
 *
 * ipcseeds FOLDER writes FOLDER/<name>-empty and FOLDER/<name>-full; the first octet is the message's number, as mta/ipc/ipc_fuzz.c wants it.
 */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "mta/ipc/ipc.h"

static uint8_t memory[IPC_RECORD_BYTES_MAX];

static int write_seed(const char *folder, const char *name, const char *kind, int number, struct bytes body)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s-%s", folder, name, kind);
    FILE *file = n > 0 && (size_t)n < sizeof path ? fopen(path, "wb") : NULL;
    if (!file) {
        perror(folder);
        return 1;
    }
    fputc(number, file);
    fwrite(body.ptr, 1, body.len, file);
    return fclose(file) ? 1 : 0;
}

/* Something legal for each kind of field. */
#define FULL_u8(name, max) m.name = (uint8_t)1;
#define FULL_u16(name, max) m.name = (uint16_t)1;
#define FULL_u32(name, max) m.name = 1;
#define FULL_u64(name, max) m.name = 1;
#define FULL_i64(name, max) m.name = 1;
#define FULL_bytes(name, max) m.name = BYTES("x@y.example");
#define FULL_id(name, max) m.name = (struct message_id){1};
#define FULL_addr(name, max) m.name = (struct net_address){.family = NET_IPV4, .ip = {192, 0, 2, 1}, .port = 25};
#define FULL_FIELD(kind, name, max) FULL_##kind(name, max)

#define SEED(id, NAME, name, from, to, fd, FIELDS) \
    { \
        struct ipc_##name m; \
        memset(&m, 0, sizeof m); \
        struct buf out = BUF_OVER(memory); \
        must(ipc_encode_##name(&out, &m) == ERR_NONE); \
        failed |= write_seed(folder, #name, "empty", id, buf_bytes(&out)); \
        out = BUF_OVER(memory); \
        FIELDS(FULL_FIELD) \
        if (ipc_encode_##name(&out, &m) == ERR_NONE) failed |= write_seed(folder, #name, "full", id, buf_bytes(&out)); \
    }

int main(int count, char **words)
{
    if (count != 2) {
        fprintf(stderr, "usage: ipcseeds FOLDER\n");
        return 64;
    }
    const char *folder = words[1];
    int failed = 0;
    IPC_MESSAGES(SEED)
    return failed;
}
