/*
 * sandbox - what confines a child: own uid, no new privileges, limits, empty root, Landlock, seccomp; and the proof that it does.
 *
 * Order (docs/security.md): sandbox_identity() -> open what is needed -> sandbox_files() -> start threads -> ring_confine() by the
 * caller -> sandbox_selftest() -> sandbox_calls(). Landlock confines the calling thread and those it starts later, hence the place
 * of the threads; the seccomp filter reaches all of them.
 * A profile is a row of one table in profiles.h: the system calls of a role. Seccomp is mandatory. Landlock is used as far as this
 * kernel's version goes; what is missing is said in the layer mask, and only the caller knows whether that is acceptable.
 */
#ifndef MTA_SANDBOX_SANDBOX_H
#define MTA_SANDBOX_SANDBOX_H

#include "base/bytes.h"
#include "base/err.h"
#include "mta/ipc/roles.h"

/* Layers, as bits, for READY, for `status`, and for sandbox { require all }. */
enum {
    LAYER_UID = 1,            /* own uid, no supplementary groups, no capabilities */
    LAYER_NO_NEW_PRIVS = 2,
    LAYER_LIMITS = 4,
    LAYER_ROOT = 8,           /* empty root folder */
    LAYER_LANDLOCK_FS = 16,
    LAYER_LANDLOCK_NET = 32,  /* TCP bind and connect (ABI 4, Linux 6.7) */
    LAYER_LANDLOCK_SCOPE = 64,/* abstract sockets and signals (ABI 6, Linux 6.12) */
    LAYER_SECCOMP = 128,
    LAYER_RING = 256,         /* restricted ring; set by the process when ring_is_restricted() */
    LAYER_NOT_DUMPABLE = 512,
};

struct sandbox_identity {
    bool change;      /* started as root: become uid and gid */
    uint32_t uid, gid;
};

struct sandbox_request {
    enum ipc_role role;                /* whose profile; never ROLE_MASTER, which has none */
    struct sandbox_identity identity;
    /* Folders that stay reachable, as descriptors (O_PATH is enough), since the way to them may be closed to the role's uid: everything
     * below is reached with openat() and relative paths. Files in them may be made, read, written, linked, renamed and removed, no more. */
    const int *writable_fds;
    uint32_t writable_count;
    const int *readable_fds;           /* the same, but read only */
    uint32_t readable_count;
    bool keep_working_folder;          /* the working directory stays what it is, outside the empty root; else it is the root */
    const uint16_t *connect_ports;     /* TCP ports that may be connected to, host order (connector, resolver); NULL = none */
    uint32_t connect_ports_count;
    int root_fd;                       /* an open empty folder that becomes the root; -1 = none (not started as root). Closed by the caller */
    bool has_ring;                     /* io_uring is the engine: LAYER_RING is wanted, and io_uring_enter takes the place of epoll, recv and send */
    uint64_t memory_bytes;             /* RLIMIT_AS, 0 = none; ignored in sanitizer builds, which reserve terabytes */
    uint32_t descriptors_max;          /* RLIMIT_NOFILE, 0 = leave */
    int32_t parent_pid;                /* whose death is ours; 0 = none (tests) */
    uint32_t landlock_abi_max;         /* act as if the kernel had no more (mtad --landlock-max, for tests and diagnosis); UINT32_MAX = no such limit */
};

/* sandbox_request_init - the strictest request for a role: no folders, no ports, no root, no ring, no limits of its own. */
void sandbox_request_init(struct sandbox_request *q, enum ipc_role role);

/*
 * sandbox_identity - parent-death signal, limits, groups, uid, capabilities, not dumpable, no_new_privs. First, before memory is
 * touched by anything foreign. Sets bits in *layers. When root_fd is set, CAP_SYS_CHROOT stays until sandbox_files().
 * Errors   ERR_DENIED (uid could not be changed, or could be changed back), ERR_GONE (the parent is dead), ERR_SYSTEM
 */
must_use enum err sandbox_identity(const struct sandbox_request *q, uint32_t *layers);

/*
 * sandbox_files - empty root (with root_fd) and Landlock. After all files are open that the folders do not cover.
 * A kernel without Landlock, or with an old one, is no error: the bits in *layers are missing.
 * Errors   ERR_BUSY when other threads run already, which would stay outside; ERR_DENIED; ERR_SYSTEM
 */
must_use enum err sandbox_files(const struct sandbox_request *q, uint32_t *layers);

/* sandbox_calls - no more processes, and the seccomp filter of the role's profile: what is not listed kills the process (SIGSYS). Last. */
must_use enum err sandbox_calls(const struct sandbox_request *q, uint32_t *layers);

/* What another module adds to the self-test; see struct ring_probe. */
struct sandbox_probe {
    enum err (*make)(void *context);    /* in the process itself, before the fork: the one place where it may take memory */
    enum err (*enter)(void *context);   /* in the twin, before its filter */
    enum err (*attempt)(void *context); /* behind it; ERR_DENIED when something forbidden was possible */
    void (*unmake)(void *context);      /* in the process itself, when the twin is gone; also after make() has failed */
    void *context;
};

/*
 * sandbox_selftest - a throw-away twin, forked with the layers that are on, puts the role's filter on (which in the twin refuses instead of
 * killing, so that it can go on, and the kernel log stays quiet), and tries: open a file, make sockets, connect, signal the parent, exec,
 * fork, executable memory, a new ring, a forbidden ring operation. Call it before sandbox_calls(), which forbids fork.
 * In       layers  those that are on: what only a missing layer would refuse is not tried
 *          probe   may be NULL
 * Out      *what   on ERR_DENIED the thing that was allowed; static storage
 */
must_use enum err sandbox_selftest(const struct sandbox_request *q, uint32_t layers, const struct sandbox_probe *probe, const char **what);

/* sandbox_layers_wanted - the layers that a role with this request has on a kernel with everything, started as root; for `require all`. */
uint32_t sandbox_layers_wanted(const struct sandbox_request *q);

/* sandbox_layers_print - "uid,no-new-privs,...", or "none". */
void sandbox_layers_print(struct buf *out, uint32_t layers);

/*
 * sandbox_layer_open - what a missing layer leaves open, for the log and for status.
 * In       number  0.. in the order of sandbox_layers_print()
 * Out      *bit    the layer
 * Returns  one sentence that begins with the layer's name; NULL when a process does not start without that layer
 */
const char *sandbox_layer_open(uint32_t number, uint32_t *bit);
enum { SANDBOX_LAYERS = 10 };

/* sandbox_describe - the role's system calls, one a line with its condition: "sendto: without address"; for docs/security.md. */
void sandbox_describe(struct buf *out, enum ipc_role role);

/* sandbox_close_others - close every descriptor but 0..2 and those listed (in any order). */
void sandbox_close_others(const int *keep, uint32_t count);

#endif
