/* Fuzzer of every message decoder: the first octet picks a message; what decodes must encode to the same octets, and can be printed. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/must.h"
#include "mta/ipc/hosts.h"
#include "mta/ipc/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[IPC_RECORD_BYTES_MAX];

static void walk_lists(struct bytes in)
{
    struct cursor c = cursor_over(in);
    struct host h;
    struct net_address a;
    while (host_next(&c, &h)) must(h.address_count <= HOST_ADDRESSES_MAX);
    c = cursor_over(in);
    while (address_next(&c, &a)) must(a.family == NET_IPV4 || a.family == NET_IPV6 || a.family == NET_UNIX);
}

#define FUZZ_CASE(id, NAME, name, from, to, fd, FIELDS) \
    case IPC_##NAME: { \
        struct ipc_##name m; \
        if (ipc_decode_##name(body, &m) != ERR_NONE) break; \
        must(ipc_encode_##name(&out, &m) == ERR_NONE); \
        must(bytes_equal(buf_bytes(&out), body)); \
        break; \
    }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > IPC_RECORD_BYTES_MAX) return 0;
    struct bytes body = bytes_of(data + 1, (uint32_t)size - 1);
    struct buf out = BUF_OVER(memory);
    switch ((enum ipc_type)data[0]) {
        IPC_MESSAGES(FUZZ_CASE)
    case IPC_NONE:
    default:
        walk_lists(body);
        break;
    }
    out = BUF_OVER(memory);
    ipc_print(&out, (enum ipc_type)data[0], body);
    return 0;
}
