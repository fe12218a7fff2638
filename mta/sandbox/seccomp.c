/*
 * seccomp - the filter of system calls, made from a role's row in profiles.h.
 *
 * An allow-list: what is not on it kills the process, and the master reports the SIGSYS. Conditions look at arguments as the kernel will:
 * an int is compared by its low 32 bits only, since a register's other half is anybody's. seccomp cannot see behind a pointer, nor into a
 * ring: that is why addresses are forbidden altogether where they can be, and why the ring has a list of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/sandbox/layers.h"
#include "mta/sandbox/profiles.h"

/* ---- the table ---- */

#define CALL_ROW(call, condition) {#call, SCMP_SYS(call), CALL_##condition},
#ifdef BULKHEAD_SANITIZED
#define CALL_ROWS_MORE CALLS_SANITIZER(CALL_ROW)
#else
#define CALL_ROWS_MORE
#endif
#define PROFILE_CALLS(ROLE) static const struct profile_call calls_##ROLE[] = {PROFILE_##ROLE(CALL_ROW) CALL_ROWS_MORE};
SANDBOX_PROFILES(PROFILE_CALLS)

#define PROFILE_ROW(ROLE) [ROLE_##ROLE] = {calls_##ROLE, sizeof calls_##ROLE / sizeof calls_##ROLE[0]},
static const struct profile profiles[ROLE_COUNT] = {SANDBOX_PROFILES(PROFILE_ROW)};

#define CONDITION_TEXT(name, text) [CALL_##name] = text,
static const char *const condition_texts[CALL_CONDITION_COUNT] = {CALL_CONDITIONS(CONDITION_TEXT)};

struct profile profile_of(enum ipc_role role)
{
    must(role < ROLE_COUNT && profiles[role].calls);
    return profiles[role];
}

bool profile_has(enum ipc_role role, int32_t number)
{
    struct profile p = profile_of(role);
    for (uint32_t i = 0; i < p.count; i++) {
        if (p.calls[i].number == number && p.calls[i].condition != CALL_REFUSED) return true;
    }
    return false;
}

void sandbox_describe(struct buf *out, enum ipc_role role)
{
    struct profile p = profile_of(role);
    for (uint32_t i = 0; i < p.count; i++) {
        buf_put_cstr(out, p.calls[i].name);
        if (p.calls[i].condition != CALL_ANY) BUF_LIT(out, ": ");
        buf_put_cstr(out, condition_texts[p.calls[i].condition]);
        buf_put_c(out, '\n');
    }
}

/* ---- conditions ---- */

enum { COMPARES_MAX = 3 };
static const uint64_t int_mask = 0xffffffff;

/* Arguments that must all match for a call to be let through. */
struct match {
    struct scmp_arg_cmp compare[COMPARES_MAX];
    uint32_t count;
};

static void match_bits(struct match *m, unsigned argument, uint64_t mask, uint64_t value)
{
    must(m->count < COMPARES_MAX);
    m->compare[m->count++] = (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, mask, value};
}

static int allow(scmp_filter_ctx filter, int call, const struct match *m)
{
    int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, m->count, m->compare);
    return result == -EEXIST ? 0 : result; /* two groups of a row may name the same call */
}

/* One rule for each of `values` that argument number `argument` may have, beside what *m asks for. */
static int allow_values(scmp_filter_ctx filter, int call, const struct match *m, unsigned argument, const int *values, uint32_t count)
{
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < count; i++) {
        struct match one = *m;
        match_bits(&one, argument, int_mask, (uint32_t)values[i]);
        result = allow(filter, call, &one);
    }
    return result;
}
#define ALLOW_VALUES(filter, call, m, argument, values) \
    allow_values((filter), (call), (m), (argument), (values), sizeof(values) / sizeof((values)[0]))

/* The protocol is compared too: Landlock does not judge MPTCP. */
static int allow_socket(scmp_filter_ctx filter, int call, int type, int protocol)
{
    enum { TYPE_MASK = 0xf };
    const int protocols[] = {0, protocol};
    const int families[] = {AF_INET, AF_INET6};
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < 2; i++) {
        struct match m = {.count = 0};
        match_bits(&m, 0, int_mask, (uint32_t)families[i]);
        match_bits(&m, 1, TYPE_MASK, (uint32_t)type);
        result = ALLOW_VALUES(filter, call, &m, 2, protocols);
    }
    return result;
}

static int allow_options(scmp_filter_ctx filter, int call, int level, const int *options, uint32_t count)
{
    struct match m = {.count = 0};
    match_bits(&m, 1, int_mask, (uint32_t)level);
    return allow_values(filter, call, &m, 2, options, count);
}

static int allow_fcntl(scmp_filter_ctx filter, int call, enum call_condition condition)
{
    static const int look[] = {F_GETFD, F_GETFL, F_GET_SEALS};
    static const int flags[] = {F_SETFD, F_SETFL};
    static const int file_commands[] = {F_SETFD, F_DUPFD_CLOEXEC, F_SETLEASE, F_GETLEASE, F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK,
                                        F_ADD_SEALS};
    struct match m = {.count = 0};
    int result = ALLOW_VALUES(filter, call, &m, 1, look);
    if (result == 0 && condition == CALL_FCNTL_FLAGS) result = ALLOW_VALUES(filter, call, &m, 1, flags);
    if (result == 0 && condition == CALL_FCNTL_FILES) result = ALLOW_VALUES(filter, call, &m, 1, file_commands);
    return result;
}

static int allow_send(scmp_filter_ctx filter, int call, unsigned flags_argument, bool address)
{
    struct match m = {.count = 0};
    match_bits(&m, flags_argument, MSG_FASTOPEN, 0);
    if (!address) match_bits(&m, 4, UINT64_MAX, 0);
    return allow(filter, call, &m);
}

/* Where another group of the row allows the call, that stands. */
static int refuse(scmp_filter_ctx filter, enum ipc_role role, int call)
{
    return profile_has(role, call) ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), call, 0, NULL);
}

static bool has_condition(enum ipc_role role, int call, enum call_condition condition)
{
    struct profile p = profile_of(role);
    for (uint32_t i = 0; i < p.count; i++) {
        if (p.calls[i].number == call && p.calls[i].condition == condition) return true;
    }
    return false;
}

static int refuse_stat(scmp_filter_ctx filter, enum ipc_role role, int call)
{
    if (has_condition(role, call, CALL_ANY)) return 0;
    struct scmp_arg_cmp by_path = {.arg = 3, .op = SCMP_CMP_NE, .datum_a = AT_EMPTY_PATH};
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), call, 1, &by_path);
}

static int allow_if(scmp_filter_ctx filter, const struct sandbox_request *q, const struct profile_call *c, int32_t self)
{
    static const int tcp_options[] = {TCP_NODELAY, TCP_CORK, TCP_QUICKACK};
    static const int bind_options[] = {IP_BIND_ADDRESS_NO_PORT};
    static const int socket_options[] = {SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE, SO_SNDBUF, SO_RCVBUF};
    struct match m = {.count = 0};
    switch (c->condition) {
    case CALL_ANY: return allow(filter, c->number, &m);
    case CALL_WITH_RING: return q->has_ring ? allow(filter, c->number, &m) : 0;
    case CALL_WITHOUT_RING: return q->has_ring ? 0 : allow(filter, c->number, &m);
    case CALL_NOT_EXEC: match_bits(&m, 2, PROT_EXEC, 0); return allow(filter, c->number, &m);
    case CALL_SELF: match_bits(&m, 0, int_mask, (uint32_t)self); return allow(filter, c->number, &m);
    case CALL_NO_ADDRESS: return allow_send(filter, c->number, 3, false);
    case CALL_SEND: return allow_send(filter, c->number, 3, true);
    case CALL_SENDMSG: return allow_send(filter, c->number, 2, true);
    case CALL_SOCKET_TCP: return allow_socket(filter, c->number, SOCK_STREAM, IPPROTO_TCP);
    case CALL_SOCKET_UDP: return allow_socket(filter, c->number, SOCK_DGRAM, IPPROTO_UDP);
    case CALL_FCNTL_LOOK:
    case CALL_FCNTL_FLAGS:
    case CALL_FCNTL_FILES: return allow_fcntl(filter, c->number, c->condition);
    case CALL_OPTION_TCP: return allow_options(filter, c->number, IPPROTO_TCP, tcp_options, sizeof tcp_options / sizeof tcp_options[0]);
    case CALL_OPTION_BIND: return allow_options(filter, c->number, IPPROTO_IP, bind_options, sizeof bind_options / sizeof bind_options[0]);
    case CALL_OPTION_SOCKET:
        return allow_options(filter, c->number, SOL_SOCKET, socket_options, sizeof socket_options / sizeof socket_options[0]);
    case CALL_STAT_FD: match_bits(&m, 3, int_mask, AT_EMPTY_PATH); return allow(filter, c->number, &m);
    case CALL_STAT_REFUSED: return refuse_stat(filter, q->role, c->number);
    case CALL_REFUSED: return refuse(filter, q->role, c->number);
    case CALL_CONDITION_COUNT: break;
    }
    must(false);
    return -EINVAL;
}

/* ---- loading ---- */

/*
 * The program, made before it is needed: libseccomp takes memory, which a fork of a process with threads must not do (another thread may have
 * held the allocator's lock). One at a time, since a process prepares one for its twin, and then its own.
 */
static struct sock_filter program[BPF_MAXINSNS];
static uint16_t program_count;

static int add_rules(scmp_filter_ctx filter, const struct sandbox_request *q, int32_t self)
{
    struct profile p = profile_of(q->role);
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < p.count; i++) {
        if (p.calls[i].number >= 0) result = allow_if(filter, q, &p.calls[i], self);
    }
    return result;
}

/* libseccomp gives its program to a descriptor only. */
static enum err take_program(scmp_filter_ctx filter)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    enum err e = ERR_SYSTEM;
    if (seccomp_export_bpf(filter, fd) == 0) {
        ssize_t got = pread(fd, program, sizeof program, 0);
        off_t end = lseek(fd, 0, SEEK_END);
        if (got > 0 && got == end && (size_t)got % sizeof program[0] == 0) {
            program_count = (uint16_t)((size_t)got / sizeof program[0]);
            e = ERR_NONE;
        }
    }
    (void)close(fd);
    return e;
}

enum err seccomp_prepare(const struct sandbox_request *q, bool refuse, int32_t self)
{
    enum { BINARY_TREE = 2 };
    program_count = 0;
    scmp_filter_ctx filter = seccomp_init(refuse ? SCMP_ACT_ERRNO(SANDBOX_REFUSED_ERRNO) : SCMP_ACT_KILL_PROCESS);
    if (!filter) return ERR_NO_MEMORY;
    /* A search tree, since io_uring_enter or write should not pay for forty comparisons. */
    enum err e = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE) == 0 ? ERR_NONE : ERR_UNSUPPORTED;
    if (e == ERR_NONE && add_rules(filter, q, self) != 0) e = ERR_SYSTEM;
    if (e == ERR_NONE) e = take_program(filter);
    seccomp_release(filter);
    return e;
}

enum err seccomp_enter(void)
{
    must(program_count > 0);
    struct sock_fprog filter = {.len = program_count, .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ERR_UNSUPPORTED;
    /* All threads at once; a positive result is a thread that could not be reached. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0 ? ERR_NONE : ERR_UNSUPPORTED;
}
