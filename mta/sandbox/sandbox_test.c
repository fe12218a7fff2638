/*
 * Tests of the sandbox: each runs in a child that confines itself, and looks at how that child ends.
 *
 * As root the children change to an uid of their own, as roles do; without root that layer is missing, and the rest must hold.
 */
#include "mta/sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_UID = 64999, OK = 0, FAILED = 1, NOT_CONFINED = 2 };

struct confined {
    struct sandbox_request q;
    uint32_t layers;
    int (*body)(struct confined *c); /* behind all layers; its result is the child's exit code */
    int value;                       /* the body's own */
};

static struct confined confined_of(enum ipc_role role, int (*body)(struct confined *c))
{
    struct confined c = {.body = body};
    sandbox_request_init(&c.q, role);
    if (geteuid() == 0) c.q.identity = (struct sandbox_identity){true, TEST_UID, TEST_UID};
    return c;
}

static int confine_and_run(struct confined *c)
{
    const char *what = "";
    if (sandbox_identity(&c->q, &c->layers) != ERR_NONE) return NOT_CONFINED;
    if (sandbox_files(&c->q, &c->layers) != ERR_NONE) return NOT_CONFINED;
    if (sandbox_selftest(&c->q, c->layers, NULL, &what) != ERR_NONE) {
        (void)fprintf(stderr, "selftest: %s\n", what);
        return NOT_CONFINED;
    }
    if (sandbox_calls(&c->q, &c->layers) != ERR_NONE) return NOT_CONFINED;
    return c->body(c);
}

static int status_of(int (*run)(struct confined *c), struct confined *c)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(run(c));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_exit(int status, int code)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void expect_killed(int status)
{
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* A fresh folder that the children's uid may write to. */
static int make_folder(char path[32])
{
    (void)snprintf(path, 32, "/tmp/sandbox_test_XXXXXX");
    assert_non_null(mkdtemp(path));
    assert_int_equal(chmod(path, 0777), 0);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* What the kernel here can do, told by confining with everything. */
static int report_layers(struct confined *c)
{
    return (int)(c->layers >> 4 & 7); /* the three of Landlock */
}

static uint32_t landlock_layers_here(uint32_t abi_max)
{
    struct confined c = confined_of(ROLE_DELIVER, report_layers);
    c.q.landlock_abi_max = abi_max;
    int status = status_of(confine_and_run, &c);
    assert_true(WIFEXITED(status));
    return (uint32_t)WEXITSTATUS(status) << 4;
}

/* ---- every role ---- */

static int work_a_little(struct confined *c)
{
    (void)c;
    struct timespec now;
    struct stat st;
    void *memory = malloc(1 << 20);
    bool ok = memory && clock_gettime(CLOCK_MONOTONIC, &now) == 0 && getpid() > 0;
    free(memory);
    ok = ok && fstat(STDERR_FILENO, &st) == 0 && fcntl(STDERR_FILENO, F_GETFL) >= 0;
    return ok ? OK : FAILED;
}

static void test_each_role_passes_its_selftest_and_works(void **unused)
{
    (void)unused;
    for (enum ipc_role role = ROLE_MANAGER; role < ROLE_COUNT; role++) {
        for (int has_ring = 0; has_ring <= 1; has_ring++) {
            struct confined c = confined_of(role, work_a_little);
            c.q.has_ring = has_ring != 0;
            expect_exit(status_of(confine_and_run, &c), OK);
        }
    }
}

static int abort_now(struct confined *c)
{
    (void)c;
    abort();
}

static void test_abort_is_told_as_abort(void **unused)
{
    (void)unused;
    struct confined c = confined_of(ROLE_RECEIVER, abort_now);
    int status = status_of(confine_and_run, &c);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- forbidden calls kill ---- */

static void *map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long send_with_address(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    return sendto(-1, "", 0, 0, (const struct sockaddr *)&to, sizeof to);
}

static long send_fast_open(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    return sendto(-1, "", 0, MSG_FASTOPEN, (const struct sockaddr *)&to, sizeof to);
}

static long message_fast_open(void)
{
    struct msghdr m = {.msg_name = NULL};
    return sendmsg(-1, &m, MSG_FASTOPEN);
}

enum trick {
    OPEN, SOCKET, SOCKET_LOCAL, SOCKET_MPTCP, SOCKET_RAW, CONNECT, BIND, LISTEN, EXEC, KILL, TGKILL, CODE, FORK, RING, REGISTER, ENTER, EPOLL,
    ADDRESS, FAST_OPEN, MESSAGE_FAST_OPEN, PTRACE, RECVFROM, ULP, UNLINK, LEASE, CHROOT, MOUNT, UNSHARE, BPF, KEYCTL, USERFAULT, PERSONALITY,
};

static int try_trick(struct confined *c)
{
    switch ((enum trick)c->value) {
    case OPEN: (void)open("/", O_RDONLY | O_CLOEXEC); break;
    case SOCKET: (void)socket(AF_INET, SOCK_STREAM, 0); break;
    case SOCKET_LOCAL: (void)socket(AF_UNIX, SOCK_STREAM, 0); break;
    case SOCKET_MPTCP: (void)socket(AF_INET, SOCK_STREAM, 262); break;
    case SOCKET_RAW: (void)socket(AF_INET, SOCK_RAW, 1); break;
    case CONNECT: (void)connect(-1, NULL, 0); break;
    case BIND: (void)bind(-1, NULL, 0); break;
    case LISTEN: (void)listen(-1, 1); break;
    case EXEC: (void)syscall(SYS_execve, NULL, NULL, NULL); break;
    case KILL: (void)kill(getpid(), 0); break;
    case TGKILL: (void)syscall(SYS_tgkill, 1, 1, 0); break;
    case CODE: (void)map_code(); break;
    case FORK: (void)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); break;
    case RING: (void)syscall(SYS_io_uring_setup, 1, NULL); break;
    case REGISTER: (void)syscall(SYS_io_uring_register, -1, 0, NULL, 0); break;
    case ENTER: (void)syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0); break;
    case EPOLL: (void)syscall(SYS_epoll_wait, -1, NULL, 0, 0); break;
    case ADDRESS: (void)send_with_address(); break;
    case FAST_OPEN: (void)send_fast_open(); break;
    case MESSAGE_FAST_OPEN: (void)message_fast_open(); break;
    case PTRACE: (void)syscall(SYS_ptrace, 0, 0, NULL, NULL); break;
    case RECVFROM: (void)recv(-1, NULL, 0, 0); break;
    case ULP: (void)setsockopt(-1, IPPROTO_TCP, 31, "tls", 3); break;
    case UNLINK: (void)unlinkat(-1, "", 0); break;
    case LEASE: (void)fcntl(-1, F_SETLEASE, F_RDLCK); break;
    case CHROOT: (void)syscall(SYS_chroot, NULL); break;
    case MOUNT: (void)syscall(SYS_mount, NULL, NULL, NULL, 0, NULL); break;
    case UNSHARE: (void)syscall(SYS_unshare, 0); break;
    case BPF: (void)syscall(SYS_bpf, 0, NULL, 0); break;
    case KEYCTL: (void)syscall(SYS_keyctl, 0); break;
    case USERFAULT: (void)syscall(SYS_userfaultfd, 0); break;
    case PERSONALITY: (void)syscall(SYS_personality, 0xffffffff); break;
    }
    return OK;
}

static const enum trick always_forbidden[] = {
    SOCKET_LOCAL, SOCKET_MPTCP, SOCKET_RAW, LISTEN, EXEC, KILL, TGKILL, CODE, RING, REGISTER, FAST_OPEN, MESSAGE_FAST_OPEN, PTRACE,
    CHROOT, MOUNT, UNSHARE, BPF, KEYCTL, USERFAULT, PERSONALITY,
#ifndef BULKHEAD_SANITIZED /* refused there instead, see CALLS_SANITIZER */
    FORK,
#endif
};

static void test_forbidden_everywhere_kills(void **unused)
{
    (void)unused;
    static const enum ipc_role roles[] = {ROLE_MANAGER, ROLE_CONNECTOR, ROLE_DELIVER};
    for (size_t r = 0; r < sizeof roles / sizeof roles[0]; r++) {
        for (size_t i = 0; i < sizeof always_forbidden / sizeof always_forbidden[0]; i++) {
            struct confined c = confined_of(roles[r], try_trick);
            c.value = (int)always_forbidden[i];
            expect_killed(status_of(confine_and_run, &c));
        }
    }
}

static void test_role_may_or_is_killed(void **unused)
{
    (void)unused;
    static const struct {
        enum ipc_role role;
        enum trick trick;
        bool has_ring, allowed;
    } cases[] = {
        {ROLE_DELIVER, SOCKET, false, false},    {ROLE_DELIVER, CONNECT, false, false},   {ROLE_DELIVER, BIND, false, false},
        {ROLE_DELIVER, UNLINK, false, false},    {ROLE_DELIVER, LEASE, false, false},     {ROLE_DELIVER, ADDRESS, false, false},
        {ROLE_DELIVER, RECVFROM, false, true},   {ROLE_DELIVER, RECVFROM, true, false},   {ROLE_DELIVER, EPOLL, true, false},
        {ROLE_DELIVER, EPOLL, false, true},      {ROLE_DELIVER, ENTER, true, true},       {ROLE_DELIVER, ENTER, false, false},
        {ROLE_RECEIVER, ULP, false, false},      {ROLE_RECEIVER, SOCKET, false, false},   {ROLE_CONNECTOR, SOCKET, false, true},
        {ROLE_CONNECTOR, CONNECT, false, true},  {ROLE_CONNECTOR, BIND, false, true},     {ROLE_CONNECTOR, UNLINK, false, false},
        {ROLE_RESOLVER, SOCKET, false, true},    {ROLE_RESOLVER, ADDRESS, false, true},   {ROLE_RESOLVER, OPEN, false, true /* refused */},
        {ROLE_MANAGER, UNLINK, false, true},     {ROLE_MANAGER, LEASE, false, true},      {ROLE_MANAGER, SOCKET, false, false},
        {ROLE_MANAGER, CONNECT, false, false},   {ROLE_MAILBOX, UNLINK, false, true},     {ROLE_MAILBOX, SOCKET, false, false},
        {ROLE_ACCEPTOR, SOCKET, false, false},   {ROLE_ACCEPTOR, RECVFROM, false, false}, {ROLE_CONTROL, UNLINK, false, false},
        {ROLE_KEYHOLDER, SOCKET, false, false}, {ROLE_AUTHD, SOCKET, false, false},
#ifndef BULKHEAD_SANITIZED
        {ROLE_DELIVER, OPEN, false, false},      {ROLE_ACCEPTOR, OPEN, false, false},     {ROLE_CONTROL, OPEN, false, false},
#endif
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct confined c = confined_of(cases[i].role, try_trick);
        c.q.has_ring = cases[i].has_ring;
        c.value = (int)cases[i].trick;
        int status = status_of(confine_and_run, &c);
        if (cases[i].allowed) expect_exit(status, OK);
        else expect_killed(status);
    }
}

static void *socket_in_thread(void *go)
{
    char c;
    if (read(*(int *)go, &c, 1) == 1) (void)socket(AF_UNIX, SOCK_STREAM, 0);
    return NULL;
}

/* A thread that was there before the filter is confined by it. */
static int confine_with_thread(struct confined *c)
{
    int ends[2];
    pthread_t thread;
    if (pipe(ends) != 0 || sandbox_identity(&c->q, &c->layers) != ERR_NONE) return NOT_CONFINED;
    if (pthread_create(&thread, NULL, socket_in_thread, &ends[0]) != 0) return NOT_CONFINED;
    if (sandbox_calls(&c->q, &c->layers) != ERR_NONE || write(ends[1], "x", 1) != 1) return NOT_CONFINED;
    (void)pthread_join(thread, NULL);
    return OK;
}

static void test_filter_reaches_threads(void **unused)
{
    (void)unused;
    struct confined c = confined_of(ROLE_MANAGER, NULL);
    expect_killed(status_of(confine_with_thread, &c));
}

/* Landlock would not reach a thread that runs already, so the files must be closed off before it starts. */
static int close_files_with_thread(struct confined *c)
{
    int ends[2];
    pthread_t thread;
    if (pipe(ends) != 0 || sandbox_identity(&c->q, &c->layers) != ERR_NONE) return NOT_CONFINED;
    if (pthread_create(&thread, NULL, socket_in_thread, &ends[0]) != 0) return NOT_CONFINED;
    return (int)sandbox_files(&c->q, &c->layers);
}

static void test_files_with_threads_is_refused(void **unused)
{
    (void)unused;
    struct confined c = confined_of(ROLE_MANAGER, NULL);
    expect_exit(status_of(close_files_with_thread, &c), ERR_BUSY);
}

/* ---- files ---- */

static int use_folder(struct confined *c)
{
    int at = c->q.writable_fds[0];
    bool ok = mkdirat(at, "body", 0700) == 0;
    int fd = openat(at, "body/one", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ok = ok && fd >= 0 && pwrite(fd, "mail", 4, 0) == 4 && fdatasync(fd) == 0 && ftruncate(fd, 2) == 0 && fallocate(fd, 0, 0, 4096) == 0;
    int again = openat(at, "body/one", O_RDONLY | O_CLOEXEC);
    ok = ok && close(fd) == 0 && again >= 0 && fcntl(again, F_SETLEASE, F_RDLCK) == 0;
    ok = ok && linkat(at, "body/one", at, "two", 0) == 0 && renameat(at, "two", at, "body/three") == 0;
    ok = ok && unlinkat(at, "body/one", 0) == 0 && unlinkat(at, "body/three", 0) == 0 && unlinkat(at, "body", AT_REMOVEDIR) == 0;
    /* and nothing beside it */
    static const char *const outside[] = {"..", "../passwd", "/", "/etc/passwd", "/proc/self/status"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) ok = ok && openat(at, outside[i], O_RDONLY | O_CLOEXEC) < 0;
    return ok ? OK : FAILED;
}

static void test_manager_uses_its_folder_and_no_other(void **unused)
{
    (void)unused;
    char path[32];
    int folder = make_folder(path);
    if (!(landlock_layers_here(UINT32_MAX) & LAYER_LANDLOCK_FS)) skip();
    struct confined c = confined_of(ROLE_MANAGER, use_folder);
    c.q.writable_fds = &folder;
    c.q.writable_count = 1;
    expect_exit(status_of(confine_and_run, &c), OK);
    close(folder);
    assert_int_equal(rmdir(path), 0);
}

static int use_working_folder(struct confined *c)
{
    bool ok = c->layers & LAYER_ROOT;
    int fd = open("here", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ok = ok && fd >= 0 && unlinkat(AT_FDCWD, "here", 0) == 0;
    ok = ok && open("/etc/passwd", O_RDONLY) < 0 && (errno == ENOENT || errno == EACCES);
    return ok ? OK : FAILED;
}

static int enter_and_confine(struct confined *c)
{
    return fchdir(c->value) == 0 ? confine_and_run(c) : NOT_CONFINED;
}

static void test_empty_root_keeps_the_working_folder(void **unused)
{
    (void)unused;
    if (geteuid() != 0) skip();
    char path[32], root_path[32];
    int folder = make_folder(path), root = make_folder(root_path);
    assert_int_equal(rmdir(root_path), 0);
    struct confined c = confined_of(ROLE_MANAGER, use_working_folder);
    c.q.writable_fds = &folder;
    c.q.writable_count = 1;
    c.q.root_fd = root;
    c.q.keep_working_folder = true;
    c.value = folder;
    expect_exit(status_of(enter_and_confine, &c), OK);
    close(folder);
    close(root);
    assert_int_equal(rmdir(path), 0);
}

static int expect_empty_root(struct confined *c)
{
    return c->layers & LAYER_ROOT && openat(AT_FDCWD, "etc", O_PATH) < 0 && errno == ENOENT && openat(AT_FDCWD, "/etc", O_PATH) < 0 ? OK : FAILED;
}

static void test_empty_root_is_the_working_folder(void **unused)
{
    (void)unused;
    if (geteuid() != 0) skip();
    char path[32];
    int root = make_folder(path);
    assert_int_equal(rmdir(path), 0);
    struct confined c = confined_of(ROLE_MAILBOX, expect_empty_root);
    c.q.root_fd = root;
    expect_exit(status_of(confine_and_run, &c), OK);
    close(root);
}

/* ---- network ---- */

static int listen_somewhere(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int connect_to(uint16_t port, bool bind_first)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int result = fd < 0 || (bind_first && bind(fd, (const struct sockaddr *)&a, sizeof a) != 0) ? -1 : 0;
    a.sin_port = htons(port);
    if (result == 0) result = connect(fd, (const struct sockaddr *)&a, sizeof a);
    int error = errno;
    if (fd >= 0) (void)close(fd);
    return result == 0 ? 0 : error;
}

static int connect_both(struct confined *c)
{
    bool ok = connect_to(c->q.connect_ports[0], true) == 0 && connect_to((uint16_t)c->value, false) == EACCES;
    return ok ? OK : FAILED;
}

static void test_connector_connects_to_its_ports_only(void **unused)
{
    (void)unused;
    if (!(landlock_layers_here(UINT32_MAX) & LAYER_LANDLOCK_NET)) skip();
    uint16_t mine, other;
    int a = listen_somewhere(&mine), b = listen_somewhere(&other);
    struct confined c = confined_of(ROLE_CONNECTOR, connect_both);
    c.q.connect_ports = &mine;
    c.q.connect_ports_count = 1;
    c.value = other;
    expect_exit(status_of(confine_and_run, &c), OK);
    close(a);
    close(b);
}

/* ---- old kernels ---- */

static void test_old_kernels_lack_layers_and_say_so(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t abi, layers;
    } cases[] = {
        {0, 0},
        {1, LAYER_LANDLOCK_FS},
        {2, LAYER_LANDLOCK_FS},
        {3, LAYER_LANDLOCK_FS},
        {4, LAYER_LANDLOCK_FS | LAYER_LANDLOCK_NET},
        {5, LAYER_LANDLOCK_FS | LAYER_LANDLOCK_NET},
        {6, LAYER_LANDLOCK_FS | LAYER_LANDLOCK_NET | LAYER_LANDLOCK_SCOPE},
        {UINT32_MAX, LAYER_LANDLOCK_FS | LAYER_LANDLOCK_NET | LAYER_LANDLOCK_SCOPE},
    };
    uint32_t here = landlock_layers_here(UINT32_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(landlock_layers_here(cases[i].abi), cases[i].layers & here);
    }
}

static void test_old_kernels_manager_works_in_its_folder(void **unused)
{
    (void)unused;
    if (!(landlock_layers_here(UINT32_MAX) & LAYER_LANDLOCK_FS)) skip();
    char path[32];
    int folder = make_folder(path);
    for (uint32_t abi = 2; abi <= 7; abi++) { /* without REFER of ABI 2, links between folders are refused */
        struct confined c = confined_of(ROLE_MANAGER, use_folder);
        c.q.writable_fds = &folder;
        c.q.writable_count = 1;
        c.q.landlock_abi_max = abi;
        expect_exit(status_of(confine_and_run, &c), OK);
    }
    close(folder);
    assert_int_equal(rmdir(path), 0);
}

/* ---- the self-test finds holes ---- */

static enum err nothing(void *context)
{
    (void)context;
    return ERR_NONE;
}

static enum err hole(void *context)
{
    return context ? ERR_NONE : ERR_DENIED;
}

static void no_end(void *context) { (void)context; }
static void test_selftest_ring_hole_is_found(void **unused)
{
    (void)unused;
    struct sandbox_request q;
    sandbox_request_init(&q, ROLE_DELIVER);
    const char *what = NULL;
    struct sandbox_probe tight = {nothing, nothing, nothing, no_end, NULL}, leaky = {nothing, nothing, hole, no_end, NULL};
    struct sandbox_probe broken = {nothing, hole, nothing, no_end, NULL};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_true(sandbox_selftest(&q, 0, &tight, &what) == ERR_NONE && !what);
    assert_int_equal(sandbox_selftest(&q, 0, &leaky, &what), ERR_DENIED);
    assert_string_equal(what, "a ring operation that is not on the list");
    assert_int_equal(sandbox_selftest(&q, 0, &broken, &what), ERR_SYSTEM);
}

static void test_selftest_layer_that_does_not_hold_is_found(void **unused)
{
    (void)unused;
    static const struct {
        enum ipc_role role;
        uint32_t layers;
        const char *what;
    } cases[] = {
        {ROLE_MANAGER, LAYER_LANDLOCK_FS, "opening a file outside its folders"},
        {ROLE_CONNECTOR, LAYER_LANDLOCK_NET, "connecting"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sandbox_request q;
        sandbox_request_init(&q, cases[i].role);
        const char *what = NULL;
        assert_int_equal(sandbox_selftest(&q, cases[i].layers, NULL, &what), ERR_DENIED);
        assert_string_equal(what, cases[i].what);
        assert_int_equal(sandbox_selftest(&q, 0, NULL, &what), ERR_NONE);
    }
}

/* ---- identity and the small things ---- */

static int expect_identity(struct confined *c)
{
    bool ok = c->layers & LAYER_NO_NEW_PRIVS && c->layers & LAYER_NOT_DUMPABLE && c->layers & LAYER_LIMITS && c->layers & LAYER_SECCOMP;
    return ok && (!c->q.identity.change || c->layers & LAYER_UID) ? OK : FAILED;
}

static int look_at_identity(struct confined *c)
{
    if (sandbox_identity(&c->q, &c->layers) != ERR_NONE || sandbox_files(&c->q, &c->layers) != ERR_NONE) return NOT_CONFINED;
    struct rlimit files, core;
    bool ok = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max == 77 && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
    ok = ok && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    if (c->q.identity.change) ok = ok && geteuid() == TEST_UID && getuid() == TEST_UID && getegid() == TEST_UID && setuid(0) != 0;
    return ok && (!c->q.identity.change || getgroups(0, NULL) == 0) ? OK : FAILED;
}

static void test_identity_is_changed_for_good(void **unused)
{
    (void)unused;
    struct confined c = confined_of(ROLE_RECEIVER, expect_identity);
    c.q.descriptors_max = 77;
    c.q.memory_bytes = 1ULL << 40;
    c.q.parent_pid = getpid();
    expect_exit(status_of(look_at_identity, &c), OK);
    expect_exit(status_of(confine_and_run, &c), OK);
}

static int identity_only(struct confined *c)
{
    return (int)sandbox_identity(&c->q, &c->layers);
}

static void test_identity_parent_gone_is_told(void **unused)
{
    (void)unused;
    struct confined c = confined_of(ROLE_RECEIVER, NULL);
    c.q.parent_pid = getpid() + 1;
    expect_exit(status_of(identity_only, &c), ERR_GONE);
}

static int close_most(struct confined *c)
{
    (void)c;
    int a = open("/", O_RDONLY), b = open("/", O_RDONLY), d = open("/", O_RDONLY), e = dup2(a, 60);
    const int keep[] = {60, b};
    sandbox_close_others(keep, 2);
    bool ok = fcntl(a, F_GETFD) < 0 && fcntl(b, F_GETFD) >= 0 && fcntl(d, F_GETFD) < 0 && fcntl(e, F_GETFD) >= 0;
    ok = ok && fcntl(STDERR_FILENO, F_GETFD) >= 0;
    sandbox_close_others(NULL, 0);
    return ok && fcntl(b, F_GETFD) < 0 && fcntl(60, F_GETFD) < 0 ? OK : FAILED;
}

static void test_close_others_keeps_what_is_listed(void **unused)
{
    (void)unused;
    struct confined c = confined_of(ROLE_RECEIVER, NULL);
    expect_exit(status_of(close_most, &c), OK);
}

static void expect_layers(uint32_t layers, const char *want)
{
    uint8_t memory[256];
    struct buf out = BUF_OVER(memory);
    sandbox_layers_print(&out, layers);
    assert_true(bytes_equal(buf_bytes(&out), bytes_of_cstr(want)));
}

static void test_layers_print(void **unused)
{
    (void)unused;
    expect_layers(0, "none");
    expect_layers(LAYER_UID, "uid");
    expect_layers(LAYER_SECCOMP | LAYER_UID | LAYER_LANDLOCK_FS, "uid,landlock-files,seccomp");
    struct sandbox_request q;
    sandbox_request_init(&q, ROLE_DELIVER);
    assert_false(sandbox_layers_wanted(&q) & LAYER_RING);
    q.has_ring = true;
    assert_int_equal(sandbox_layers_wanted(&q), 1023);
}

static void test_describe_names_calls_and_conditions(void **unused)
{
    (void)unused;
    static const char *const lines[] = {"\nio_uring_enter: only when io_uring is the engine\n", "\nfutex\n", "\nmmap: never executable memory\n"};
    for (enum ipc_role role = ROLE_MANAGER; role < ROLE_COUNT; role++) {
        char memory[16384] = "";
        struct buf out = buf_over(memory, sizeof memory - 1);
        sandbox_describe(&out, role);
        assert_false(out.overflow);
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) assert_non_null(strstr(memory, lines[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_role_passes_its_selftest_and_works),
        cmocka_unit_test(test_abort_is_told_as_abort),
        cmocka_unit_test(test_forbidden_everywhere_kills),
        cmocka_unit_test(test_role_may_or_is_killed),
        cmocka_unit_test(test_filter_reaches_threads),
        cmocka_unit_test(test_files_with_threads_is_refused),
        cmocka_unit_test(test_manager_uses_its_folder_and_no_other),
        cmocka_unit_test(test_empty_root_keeps_the_working_folder),
        cmocka_unit_test(test_empty_root_is_the_working_folder),
        cmocka_unit_test(test_connector_connects_to_its_ports_only),
        cmocka_unit_test(test_old_kernels_lack_layers_and_say_so),
        cmocka_unit_test(test_old_kernels_manager_works_in_its_folder),
        cmocka_unit_test(test_identity_is_changed_for_good),
        cmocka_unit_test(test_identity_parent_gone_is_told),
        cmocka_unit_test(test_close_others_keeps_what_is_listed),
        cmocka_unit_test(test_layers_print),
        cmocka_unit_test(test_describe_names_calls_and_conditions),
        cmocka_unit_test(test_selftest_layer_that_does_not_hold_is_found),
        cmocka_unit_test(test_selftest_ring_hole_is_found), /* last: takes new privileges from this process */
    };
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
