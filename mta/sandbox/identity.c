/*
 * identity - who a child is and what it may use up: uid, groups, capabilities, limits, root folder.
 *
 * The order is the kernel's, not ours: a change of uid forgets the parent-death signal and makes the process dumpable according to
 * fs.suid_dumpable, so both are set behind it; chroot() needs a capability, so one outlives the uid until sandbox_files().
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/sandbox/layers.h"

enum {
    /* io_uring charges its rings to the uid: 512 KiB hold 16 rings of 256 entries. The usual 8 MiB are enough for every role; this is for places
     * that start services with less. */
    LOCKED_MEMORY_BYTES = 8 * 1024 * 1024,
};

void sandbox_request_init(struct sandbox_request *q, enum ipc_role role)
{
    *q = (struct sandbox_request){.role = role, .root_fd = -1, .landlock_abi_max = UINT32_MAX};
}

static enum err limit(int resource, uint64_t value)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0) return ERR_SYSTEM;
    if (value > now.rlim_max && geteuid() != 0) value = now.rlim_max;
    struct rlimit wanted = {value, value};
    return setrlimit((__rlimit_resource_t)resource, &wanted) == 0 ? ERR_NONE : err_from_errno(errno);
}

static enum err raise_locked_memory(void)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_MEMLOCK, &now) != 0) return ERR_SYSTEM;
    if (now.rlim_cur >= LOCKED_MEMORY_BYTES) return ERR_NONE;
    enum err e = limit(RLIMIT_MEMLOCK, LOCKED_MEMORY_BYTES);
    /* Root in a container may not raise it: then a ring that needs more cannot be made, and epoll is the engine. */
    return e == ERR_DENIED ? ERR_NONE : e;
}

/* A sanitizer reserves terabytes of addresses: there the limit would end the process at once. */
static uint64_t memory_limit(const struct sandbox_request *q)
{
#ifdef BULKHEAD_SANITIZED
    (void)q;
    return 0;
#else
    return q->memory_bytes;
#endif
}

static enum err set_limits(const struct sandbox_request *q)
{
    enum err e = limit(RLIMIT_CORE, 0);
    if (e == ERR_NONE && q->descriptors_max > 0) e = limit(RLIMIT_NOFILE, q->descriptors_max);
    if (e == ERR_NONE && memory_limit(q) > 0) e = limit(RLIMIT_AS, memory_limit(q));
    if (e == ERR_NONE) e = raise_locked_memory();
    return e;
}

bool identity_has_capability(uint32_t capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0) return false;
    return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

enum err identity_drop_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    data[0].effective = data[0].permitted = (uint32_t)keep;
    data[1].effective = data[1].permitted = (uint32_t)(keep >> 32);
    return syscall(SYS_capset, &header, data) == 0 ? ERR_NONE : err_from_errno(errno);
}

static bool is_only(uint32_t id, const uint32_t ids[3])
{
    return ids[0] == id && ids[1] == id && ids[2] == id;
}

/* Trusts no return value: asks who we are, and whether root can be had back. */
static enum err change_identity(const struct sandbox_identity *to)
{
    must(to->uid != 0 && to->gid != 0);
    if (setgroups(0, NULL) != 0 || setresgid(to->gid, to->gid, to->gid) != 0 || setresuid(to->uid, to->uid, to->uid) != 0) return ERR_DENIED;
    uint32_t uids[3], gids[3];
    if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 || getresgid(&gids[0], &gids[1], &gids[2]) != 0) return ERR_SYSTEM;
    if (!is_only(to->uid, uids) || !is_only(to->gid, gids) || getgroups(0, NULL) != 0) return ERR_DENIED;
    return ERR_NONE;
}

static enum err become(const struct sandbox_request *q)
{
    bool needs_chroot = q->root_fd >= 0;
    if (!q->identity.change) return identity_drop_capabilities(needs_chroot && identity_has_capability(CAP_SYS_CHROOT) ? 1ULL << CAP_SYS_CHROOT : 0);
    if (needs_chroot && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return ERR_SYSTEM;
    enum err e = change_identity(&q->identity);
    if (e == ERR_NONE) e = identity_drop_capabilities(needs_chroot ? 1ULL << CAP_SYS_CHROOT : 0);
    if (e == ERR_NONE && (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)) e = ERR_DENIED;
    return e;
}

static enum err die_with_parent(int32_t parent_pid)
{
    if (parent_pid == 0) return ERR_NONE;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return ERR_SYSTEM;
    return getppid() == parent_pid ? ERR_NONE : ERR_GONE; /* it may have died just before */
}

enum err sandbox_identity(const struct sandbox_request *q, uint32_t *layers)
{
    enum err e = set_limits(q);
    if (e != ERR_NONE) return e;
    *layers |= LAYER_LIMITS;
    e = become(q);
    if (e != ERR_NONE) return e;
    if (q->identity.change) *layers |= LAYER_UID;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return ERR_SYSTEM;
    *layers |= LAYER_NOT_DUMPABLE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ERR_SYSTEM;
    *layers |= LAYER_NO_NEW_PRIVS;
    return die_with_parent(q->parent_pid);
}

/* The working directory stays outside the new root when it is to be kept: relative paths go on working, and Landlock guards the way up. */
static enum err change_root(const struct sandbox_request *q)
{
    int work_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool ok = work_fd >= 0 || !q->keep_working_folder;
    ok = ok && fchdir(q->root_fd) == 0 && chroot(".") == 0;
    ok = ok && (!q->keep_working_folder || fchdir(work_fd) == 0);
    enum err e = ok ? ERR_NONE : err_from_errno(errno);
    if (work_fd >= 0) (void)close(work_fd);
    return e;
}

/* A folder has two links, and one more for each folder in it: here one a thread. Without /proc, nobody knows. */
static bool has_other_threads(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3;
}

enum err sandbox_files(const struct sandbox_request *q, uint32_t *layers)
{
    if (has_other_threads()) return ERR_BUSY;
    if (q->root_fd >= 0 && identity_has_capability(CAP_SYS_CHROOT)) {
        enum err e = change_root(q);
        if (e != ERR_NONE) return e;
        *layers |= LAYER_ROOT;
    }
    enum err e = identity_drop_capabilities(0);
    return e == ERR_NONE ? landlock_confine(q, layers) : e;
}

enum err sandbox_calls(const struct sandbox_request *q, uint32_t *layers)
{
    /* No process and no thread from here on. Rings go on working: what they may do needs no kernel thread (uring_setup.c). */
    enum err e = limit(RLIMIT_NPROC, 0);
    if (e == ERR_NONE) e = seccomp_prepare(q, false, (int32_t)getpid());
    if (e == ERR_NONE) e = seccomp_enter();
    if (e == ERR_NONE) *layers |= LAYER_SECCOMP;
    return e;
}

/* The least descriptor of the list that is at least `from`, or -1. */
static int next_kept(const int *keep, uint32_t count, int from)
{
    int least = -1;
    for (uint32_t i = 0; i < count; i++) {
        if (keep[i] >= from && (least < 0 || keep[i] < least)) least = keep[i];
    }
    return least;
}

void sandbox_close_others(const int *keep, uint32_t count)
{
    int from = STDERR_FILENO + 1;
    for (int kept = next_kept(keep, count, from); kept >= 0; kept = next_kept(keep, count, from)) {
        if (kept > from) must(close_range((unsigned)from, (unsigned)kept - 1, 0) == 0);
        from = kept + 1;
    }
    must(close_range((unsigned)from, ~0U, 0) == 0);
}

/* A sentence only for layers without which a process starts all the same: by the kernel's age, or not as root. */
static const struct {
    uint32_t bit;
    const char *name;
    const char *open;
} layer_names[] = {
    {LAYER_UID, "uid", "uid is off: all processes are the same user, and the kernel keeps their files and memory apart by the other layers only"},
    {LAYER_NO_NEW_PRIVS, "no-new-privs", NULL},
    {LAYER_NOT_DUMPABLE, "not-dumpable", NULL},
    {LAYER_LIMITS, "limits", NULL},
    {LAYER_ROOT, "root", "root is off: paths of this system can be named in every process, and only Landlock and the filter of system calls keep them shut"},
    {LAYER_LANDLOCK_FS, "landlock-files",
        "landlock-files is off: manager and mailbox could open files outside their folders, as far as file permissions allow"},
    {LAYER_LANDLOCK_NET, "landlock-net", "landlock-net is off: connector and resolver could connect to any TCP port"},
    {LAYER_LANDLOCK_SCOPE, "landlock-scope",
        "landlock-scope is off: with log { to syslog } a process could send datagrams to abstract Unix sockets of other programs"},
    {LAYER_RING, "ring", NULL},
    {LAYER_SECCOMP, "seccomp", NULL},
};
static_assert(sizeof layer_names / sizeof layer_names[0] == SANDBOX_LAYERS, "the header says how many");

const char *sandbox_layer_open(uint32_t number, uint32_t *bit)
{
    must(number < SANDBOX_LAYERS);
    *bit = layer_names[number].bit;
    return layer_names[number].open;
}

void sandbox_layers_print(struct buf *out, uint32_t layers)
{
    bool first = true;
    for (uint32_t i = 0; i < sizeof layer_names / sizeof layer_names[0]; i++) {
        if (!(layers & layer_names[i].bit)) continue;
        if (!first) buf_put_c(out, ',');
        buf_put_cstr(out, layer_names[i].name);
        first = false;
    }
    if (first) BUF_LIT(out, "none");
}

uint32_t sandbox_layers_wanted(const struct sandbox_request *q)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < sizeof layer_names / sizeof layer_names[0]; i++) all |= layer_names[i].bit;
    return q->has_ring ? all : all & ~(uint32_t)LAYER_RING;
}
