/*
 * landlock - files, TCP ports and scopes that a child keeps; everything else of their kind is refused by the kernel.
 *
 * Landlock grew: files came with ABI 1 (rights added in 2, 3, 5), TCP with 4 (Linux 6.7), scopes with 6 (6.12). A kernel refuses rights that
 * it does not know, so each is asked for from its version on only. Debian 12's header ends before most of them: the ABI's structures and
 * numbers are written down here (include/uapi/linux/landlock.h of Linux 6.18), and the three calls are made by number.
 * It does not cover UDP, pathname sockets, nor MSG_FASTOPEN to another port; those are seccomp's part.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mta/sandbox/layers.h"

#ifndef SYS_landlock_create_ruleset /* the same on all architectures but Alpha */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,     /* ABI 2: link and rename between folders */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_BIND_TCP = 1 << 0,
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_SOCKET = 1 << 0,
    SCOPE_SIGNAL = 1 << 1,
};

enum {
    FS_ALL = (1 << 16) - 1,
    FS_READ = FS_READ_FILE | FS_READ_DIR,
    FS_WRITE = FS_READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE,
    ABI_REFER = 2,
    ABI_TRUNCATE = 3,
    ABI_NET = 4,
    ABI_IOCTL_DEV = 5,
    ABI_SCOPE = 6,
};

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct net_port_attr {
    uint64_t allowed_access;
    uint64_t port;
};

/* 0 = this kernel has no Landlock, or was started without it. */
static uint32_t abi_of_kernel(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    return version < 0 ? 0 : (uint32_t)version;
}

static struct ruleset_attr handled(uint32_t abi, bool moves_files)
{
    /* Version 1 forbids link and rename between folders to everybody: no Maildir could be filled behind it. */
    uint64_t fs = abi < ABI_REFER && moves_files ? 0 : FS_ALL;
    if (abi < ABI_IOCTL_DEV) fs &= ~(uint64_t)FS_IOCTL_DEV;
    if (abi < ABI_TRUNCATE) fs &= ~(uint64_t)FS_TRUNCATE;
    if (abi < ABI_REFER) fs &= ~(uint64_t)FS_REFER;
    return (struct ruleset_attr){
        .handled_access_fs = fs,
        .handled_access_net = abi >= ABI_NET ? NET_BIND_TCP | NET_CONNECT_TCP : 0,
        .scoped = abi >= ABI_SCOPE ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0,
    };
}

static enum err allow_folders(int ruleset, const int *fds, uint32_t count, uint64_t access)
{
    for (uint32_t i = 0; i < count; i++) {
        struct path_beneath_attr rule = {.allowed_access = access, .parent_fd = fds[i]};
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0) return err_from_errno(errno);
    }
    return ERR_NONE;
}

static enum err allow_port(int ruleset, uint16_t port, uint64_t access)
{
    struct net_port_attr rule = {.allowed_access = access, .port = port};
    return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) == 0 ? ERR_NONE : err_from_errno(errno);
}

/* Who may connect may also choose the source address: bind() to port 0, which means any free port. */
static enum err allow_ports(int ruleset, const struct sandbox_request *q)
{
    if (q->connect_ports_count == 0) return ERR_NONE;
    enum err e = allow_port(ruleset, 0, NET_BIND_TCP);
    for (uint32_t i = 0; e == ERR_NONE && i < q->connect_ports_count; i++) e = allow_port(ruleset, q->connect_ports[i], NET_CONNECT_TCP);
    return e;
}

static enum err fill(int ruleset, const struct sandbox_request *q, const struct ruleset_attr *attr)
{
    enum err e = allow_folders(ruleset, q->writable_fds, q->writable_count, FS_WRITE & attr->handled_access_fs);
    if (e == ERR_NONE) e = allow_folders(ruleset, q->readable_fds, q->readable_count, FS_READ);
    if (e == ERR_NONE && attr->handled_access_net != 0) e = allow_ports(ruleset, q);
    return e;
}

enum err landlock_confine(const struct sandbox_request *q, uint32_t *layers)
{
    uint32_t abi = abi_of_kernel();
    if (abi > q->landlock_abi_max) abi = q->landlock_abi_max;
    if (abi == 0) return ERR_NONE;
    struct ruleset_attr attr = handled(abi, q->writable_count > 0);
    if (attr.handled_access_fs == 0) return ERR_NONE;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0) return err_from_errno(errno);
    enum err e = fill(ruleset, q, &attr);
    if (e == ERR_NONE && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) e = err_from_errno(errno);
    (void)close(ruleset);
    if (e != ERR_NONE) return e;
    *layers |= LAYER_LANDLOCK_FS;
    if (attr.handled_access_net != 0) *layers |= LAYER_LANDLOCK_NET;
    if (attr.scoped != 0) *layers |= LAYER_LANDLOCK_SCOPE;
    return ERR_NONE;
}
