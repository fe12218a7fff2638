/*
 * sandbox - what confines a child: own uid, no new privileges, limits, empty root, Landlock, seccomp; and the proof that it does.
 *
 * Order (docs/security.md): sandbox_identity() -> sandbox_files() -> ring_confine() by the caller -> sandbox_calls().
 * A profile is a row of one table in profiles.h: system calls, whether sockets may be made, which folders stay reachable, limits.
 * Before a role says READY a throw-away twin, forked after all layers are on, tries one forbidden thing of each kind: sandbox_selftest().
 * Seccomp is mandatory. Landlock is used as far as this kernel's version goes; what is missing is said in the layer mask.
 */
#ifndef MTA_SANDBOX_SANDBOX_H
#define MTA_SANDBOX_SANDBOX_H

#include "base/bytes.h"
#include "base/err.h"
#include "mta/ipc/roles.h"

/* Layers, as bits, for READY, for `status`, and for sandbox { require all }. */
enum {
    LAYER_UID = 1,            /* own uid, no supplementary groups, no capabilities but those of the profile */
    LAYER_NO_NEW_PRIVS = 2,
    LAYER_LIMITS = 4,
    LAYER_ROOT = 8,           /* empty root folder */
    LAYER_LANDLOCK_FS = 16,
    LAYER_LANDLOCK_NET = 32,  /* TCP bind and connect (ABI 4) */
    LAYER_LANDLOCK_SCOPE = 64,/* abstract sockets and signals (ABI 6) */
    LAYER_SECCOMP = 128,
    LAYER_RING = 256,         /* restricted ring; set by the process when it has a ring */
    LAYER_NOT_DUMPABLE = 512,
};

struct sandbox_identity {
    bool change;      /* started as root: become uid and gid */
    uint32_t uid, gid;
};

struct sandbox_request {
    enum ipc_role role;
    struct sandbox_identity identity;
    const char *const *writable_paths; /* folders that stay reachable for read and write: queue folder (manager), mail folder (mailbox); NULL-terminated or NULL */
    const char *const *readable_paths; /* read only: resolver's /etc/hosts is read before; normally NULL */
    int keep_root_fd;                  /* -1 = empty root; else chroot is skipped because paths are needed (writable_paths) */
    bool has_ring;                     /* allow io_uring_enter */
    uint64_t memory_bytes;             /* RLIMIT_AS, 0 = none; never set in sanitizer builds */
    uint32_t landlock_abi_max;         /* test switch: act as if the kernel had no more; UINT32_MAX = none */
};

/* sandbox_identity - no_new_privs, not dumpable, groups, uid, limits, parent-death signal. First, before memory is touched by anything foreign. */
must_use enum err sandbox_identity(const struct sandbox_request *q, uint32_t *layers);

/* sandbox_files - empty root (when root and no paths are needed) and Landlock. After all files are open. */
must_use enum err sandbox_files(const struct sandbox_request *q, uint32_t *layers);

/* sandbox_calls - the seccomp filter (SCMP_ACT_KILL_PROCESS; for roles with libraries that probe, ERRNO on the named calls of the profile). Last. */
must_use enum err sandbox_calls(const struct sandbox_request *q, uint32_t *layers);

/* sandbox_selftest - fork a twin that tries: open a file, make a socket, connect, signal the parent, exec, new ring, forbidden ring operation
 * (through try_ring when given). ERR_DENIED when one was allowed; *what says which. The twin must be made before sandbox_calls() forbids fork:
 * it applies sandbox_calls() itself, exactly as the role will. */
must_use enum err sandbox_selftest(const struct sandbox_request *q, int (*try_ring)(void *context), void *context, const char **what);

/* sandbox_layers_print - "uid,no-new-privs,..." */
void sandbox_layers_print(struct buf *out, uint32_t layers);

/* sandbox_close_others - close every descriptor but 0..2 and those listed. */
void sandbox_close_others(const int *keep, uint32_t count);

#endif
