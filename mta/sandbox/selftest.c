/*
 * selftest - the proof that the layers hold: a twin tries what must not be possible.
 *
 * The twin is a fork of the role with all its layers, and puts the role's own filter on, made from the same row; only the answer to a
 * forbidden call differs, an error number that nothing else gives, so that one twin can try everything. Calls are made with arguments that
 * would fail harmlessly if they were let through: any other answer than the filter's own means that the kernel looked at them.
 * The role may have threads already: what needs memory is made before the fork, and the twin makes system calls only.
 * What is refused by Landlock instead (roles that may open files, or connect) is tried only when that layer is on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/sandbox/layers.h"
#include "mta/sandbox/profiles.h"

/* Exit codes of the twin: 0 = all refused, 1.. = number of the attempt that was allowed + 1. */
enum { TWIN_BROKEN = 100 };

struct trial {
    const struct sandbox_request *q;
    uint32_t layers;
    const struct sandbox_probe *probe; /* may be NULL */
    int tcp_fd;                        /* a socket made before the filter; -1 = none could be made */
};

/* Whether the filter itself refused: result and errno of a call just made. EACCES is its answer where a row says REFUSED. */
static bool is_refused(long result)
{
    return result == -1 && (errno == SANDBOX_REFUSED_ERRNO || errno == EACCES);
}

/* A folder that was granted may be the root itself (a maildir right below it, started without root): then nothing is wrong. */
static bool is_granted(int fd, const struct sandbox_request *q)
{
    struct stat opened, granted;
    if (fstat(fd, &opened) != 0) return false;
    for (uint32_t i = 0; i < q->writable_count + q->readable_count; i++) {
        int folder = i < q->writable_count ? q->writable_fds[i] : q->readable_fds[i - q->writable_count];
        if (fstat(folder, &granted) == 0 && granted.st_dev == opened.st_dev && granted.st_ino == opened.st_ino) return true;
    }
    return false;
}

static bool can_open_files(const struct trial *t)
{
    if (profile_has(t->q->role, SYS_openat) && !(t->layers & LAYER_LANDLOCK_FS)) return false;
    int fd = openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && !is_granted(fd, t->q);
}

static bool can_make_files(const struct trial *t)
{
    if (profile_has(t->q->role, SYS_openat)) return false; /* tried above, and in folders it is its work */
    return !is_refused(syscall(SYS_unlinkat, -1, NULL, 0)) || !is_refused(syscall(SYS_renameat2, -1, NULL, -1, NULL, 0));
}

static bool can_make_local_sockets(const struct trial *t)
{
    (void)t;
    return !is_refused(socket(AF_UNIX, SOCK_STREAM, 0)) || !is_refused(socket(AF_NETLINK, SOCK_RAW, 0));
}

static bool can_make_sockets(const struct trial *t)
{
    enum { PROTOCOL_MPTCP = 262 };
    bool mptcp = !is_refused(socket(AF_INET, SOCK_STREAM, PROTOCOL_MPTCP)) || !is_refused(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    if (profile_has(t->q->role, SYS_socket)) return mptcp;
    return mptcp || !is_refused(socket(AF_INET, SOCK_STREAM, 0)) || !is_refused(socket(AF_INET6, SOCK_DGRAM, 0));
}

/* The lowest port that the role was not given. */
static uint16_t foreign_port(const struct sandbox_request *q)
{
    for (uint16_t port = 1;; port++) {
        bool given = false;
        for (uint32_t i = 0; i < q->connect_ports_count; i++) given = given || q->connect_ports[i] == port;
        if (!given) return port;
        must(port < UINT16_MAX);
    }
}

static bool can_connect(const struct trial *t)
{
    if (!profile_has(t->q->role, SYS_connect)) return !is_refused(connect(-1, NULL, 0));
    if (!(t->layers & LAYER_LANDLOCK_NET) || t->tcp_fd < 0) return false;
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(foreign_port(t->q)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(t->tcp_fd, (const struct sockaddr *)&there, sizeof there) == 0 || errno != EACCES;
}

static bool can_connect_with_data(const struct trial *t)
{
    (void)t;
    struct sockaddr_in there = {.sin_family = AF_INET};
    return !is_refused(sendto(-1, "", 0, MSG_FASTOPEN, (const struct sockaddr *)&there, sizeof there));
}

static bool can_signal(const struct trial *t)
{
    (void)t;
    return !is_refused(kill(getppid(), 0)) || !is_refused(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static bool can_execute(const struct trial *t)
{
    (void)t;
    return !is_refused(syscall(SYS_execve, NULL, NULL, NULL)) || !is_refused(syscall(SYS_execveat, -1, NULL, NULL, NULL, 0));
}

static bool can_fork(const struct trial *t)
{
    (void)t;
    /* Shared signal handlers without shared memory: the kernel says EINVAL and makes nothing. */
    return !is_refused(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL, NULL)) || !is_refused(syscall(SYS_clone3, NULL, 0));
}

static bool can_make_code(const struct trial *t)
{
    (void)t;
    void *page = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED || !is_refused(mprotect(NULL, 0, PROT_EXEC));
}

static bool can_make_ring(const struct trial *t)
{
    (void)t;
    return !is_refused(syscall(SYS_io_uring_setup, 0, NULL)) || !is_refused(syscall(SYS_io_uring_register, -1, 0, NULL, 0));
}

static bool can_escape_ring(const struct trial *t)
{
    return t->probe && t->probe->attempt(t->probe->context) != ERR_NONE;
}

static bool can_watch_others(const struct trial *t)
{
    (void)t;
    return !is_refused(syscall(SYS_ptrace, 0, 0, NULL, NULL)) || !is_refused(syscall(SYS_process_vm_readv, 0, NULL, 0, NULL, 0, 0));
}

static const struct {
    const char *what;
    bool (*is_possible)(const struct trial *t);
} attempts[] = {
    {"opening a file outside its folders", can_open_files},
    {"removing files", can_make_files},
    {"making a local socket", can_make_local_sockets},
    {"making a network socket", can_make_sockets},
    {"connecting", can_connect},
    {"connecting by sending (TCP fast open)", can_connect_with_data},
    {"signalling its parent", can_signal},
    {"executing a program", can_execute},
    {"making a process", can_fork},
    {"making executable memory", can_make_code},
    {"reading another process", can_watch_others},
    {"making an io_uring instance", can_make_ring},
    {"a ring operation that is not on the list", can_escape_ring},
};
enum { ATTEMPTS = sizeof attempts / sizeof attempts[0] };

static _Noreturn void be_the_twin(struct trial *t)
{
    if (t->probe && t->probe->enter(t->probe->context) != ERR_NONE) _exit(TWIN_BROKEN);
    t->tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (seccomp_enter() != ERR_NONE) _exit(TWIN_BROKEN);
    for (int i = 0; i < ATTEMPTS; i++) {
        if (attempts[i].is_possible(t)) _exit(i + 1);
    }
    _exit(0);
}

static enum err wait_for(pid_t twin, int *status)
{
    while (waitpid(twin, status, 0) < 0) {
        if (errno != EINTR) return ERR_SYSTEM;
    }
    return ERR_NONE;
}

static enum err run_twin(struct trial *t, int *status)
{
    enum err e = seccomp_prepare(t->q, true, 0);
    if (e != ERR_NONE) return e;
    pid_t twin = fork();
    if (twin < 0) return err_from_errno(errno);
    if (twin == 0) be_the_twin(t);
    return wait_for(twin, status);
}

enum err sandbox_selftest(const struct sandbox_request *q, uint32_t layers, const struct sandbox_probe *probe, const char **what)
{
    struct trial t = {.q = q, .layers = layers, .probe = probe, .tcp_fd = -1};
    int status = 0;
    enum err e = probe ? probe->make(probe->context) : ERR_NONE;
    if (e == ERR_NONE) e = run_twin(&t, &status);
    if (probe) probe->unmake(probe->context);
    if (e != ERR_NONE) return e;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > ATTEMPTS) return ERR_SYSTEM;
    if (WEXITSTATUS(status) == 0) return ERR_NONE;
    *what = attempts[WEXITSTATUS(status) - 1].what;
    return ERR_DENIED;
}
