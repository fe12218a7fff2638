/*
 * profiles - which system calls each role may make: one row a role, made of groups. What is not here kills the process.
 *
 * To extend a role, add C(name, CONDITION) to its row, with the reason at the row or the group when it is not plain. A call that takes an
 * address, a path, a process or a protection must carry a condition, or be worth its place on the role's card. Rows are read by seccomp.c
 * (the filter), by selftest.c (what must be refused), and by sandbox_describe() (docs/security.md). Private to this folder.
 */
#ifndef MTA_SANDBOX_PROFILES_H
#define MTA_SANDBOX_PROFILES_H

/*    condition        what it means, in words for documents */
#define CALL_CONDITIONS(D) \
    D(ANY,             "") \
    D(WITH_RING,       "only when io_uring is the engine") \
    D(WITHOUT_RING,    "only when epoll is the engine") \
    D(NOT_EXEC,        "never executable memory") \
    D(SELF,            "only to itself") \
    D(NO_ADDRESS,      "without address, never MSG_FASTOPEN") \
    D(SEND,            "never MSG_FASTOPEN") \
    D(SENDMSG,         "never MSG_FASTOPEN") \
    D(SOCKET_TCP,      "TCP over IPv4 or IPv6 only, not MPTCP") \
    D(SOCKET_UDP,      "UDP over IPv4 or IPv6 only") \
    D(FCNTL_LOOK,      "only to look at flags and seals") \
    D(FCNTL_FLAGS,     "flags only") \
    D(FCNTL_FILES,     "a copy, locks, leases, seals; never O_APPEND off") \
    D(OPTION_TCP,      "TCP_NODELAY, TCP_CORK, TCP_QUICKACK") \
    D(OPTION_BIND,     "IP_BIND_ADDRESS_NO_PORT") \
    D(OPTION_SOCKET,   "keep-alive, linger, urgent data inline, buffer sizes") \
    D(STAT_FD,         "with AT_EMPTY_PATH: of a descriptor") \
    D(STAT_REFUSED,    "answered with EACCES otherwise") \
    D(REFUSED,         "answered with EACCES: a library asks and can do without")

/*
 * fstat(3) is newfstatat(2) in glibc 2.36. Time, memory without code, threads that are there already, abort(), and the log (a file, a pipe, a
 * terminal or a connected datagram socket). The log is open for appending in every process, and all share one file position: who may take
 * O_APPEND off (F_SETFL) must not have lseek or pwrite, and who may shorten files could empty it. Only the manager may.
 */
#define CALLS_BASE(C) \
    C(read, ANY) C(write, ANY) C(writev, ANY) C(close, ANY) C(poll, ANY) C(ppoll, ANY) C(sendto, NO_ADDRESS) C(fcntl, FCNTL_LOOK) \
    C(fstat, ANY) C(newfstatat, STAT_FD) C(brk, ANY) C(mmap, NOT_EXEC) C(mprotect, NOT_EXEC) C(munmap, ANY) C(mremap, ANY) \
    C(madvise, ANY) C(futex, ANY) C(rseq, ANY) C(set_robust_list, ANY) C(sched_yield, ANY) C(sched_getaffinity, ANY) C(sysinfo, ANY) \
    C(clock_gettime, ANY) C(clock_nanosleep, ANY) C(nanosleep, ANY) C(gettimeofday, ANY) C(time, ANY) C(getrandom, ANY) C(getrusage, ANY) \
    C(rt_sigaction, ANY) C(rt_sigprocmask, ANY) C(rt_sigreturn, ANY) C(restart_syscall, ANY) C(getpid, ANY) C(gettid, ANY) \
    C(tgkill, SELF) C(exit, ANY) C(exit_group, ANY)

/* ring_wait() and its own descriptors. */
#define CALLS_WAIT(C) \
    C(io_uring_enter, WITH_RING) C(epoll_wait, WITHOUT_RING) C(epoll_pwait, WITHOUT_RING) C(epoll_ctl, WITHOUT_RING)

/* Channels to other processes, descriptors included. sendmmsg and sendmsg could name an address, but without a socket that takes one. */
#define CALLS_CHANNEL(C) C(recvmsg, ANY) C(recvmmsg, ANY) C(sendmsg, SENDMSG) C(sendmmsg, SEND)

/* Streams through the ring: with io_uring only the end of one is a system call. */
#define CALLS_STREAM(C) C(recvfrom, WITHOUT_RING) C(shutdown, ANY) C(getsockname, ANY) C(getpeername, ANY) C(setsockopt, OPTION_TCP)

/* Files below folders that Landlock leaves reachable. */
#define CALLS_FILES(C) \
    C(openat, ANY) C(newfstatat, ANY) C(statx, ANY) C(lseek, ANY) C(fstatfs, ANY) C(faccessat, ANY) C(faccessat2, ANY) C(getdents64, ANY) C(mkdirat, ANY) \
    C(linkat, ANY) C(unlinkat, ANY) C(renameat, ANY) C(renameat2, ANY) C(ftruncate, ANY) C(fallocate, ANY) C(fadvise64, ANY) \
    C(pread64, ANY) C(preadv, ANY) C(pwrite64, ANY) C(pwritev, ANY) C(fsync, ANY) C(fdatasync, ANY) C(sync_file_range, ANY) C(fchmod, ANY) \
    C(flock, ANY) C(fcntl, FCNTL_FILES)

/* A Maildir is filled with these. Nothing here shortens a file: the log is open for writing in every process. */
#define CALLS_MAILDIR(C) \
    C(openat, ANY) C(getdents64, ANY) C(mkdirat, ANY) C(linkat, ANY) C(unlinkat, ANY) C(pread64, ANY) C(fsync, ANY)

/* The same as the user whose mailbox it is, whose log line goes nowhere; an mbox is locked, and cut back when its disk is full. */
#define CALLS_LOCAL(C) C(newfstatat, ANY) C(geteuid, ANY) C(fcntl, FCNTL_FILES) C(ftruncate, ANY)

/* LMDB: the map is shared memory, its lock file a robust mutex; system V or POSIX semaphores are not used. */
#define CALLS_INDEX(C) C(msync, ANY) C(mlock, ANY) C(dup, ANY)

/* openat for what its libraries look up again: refused, since all that matters was read before. */
#define CALLS_RESOLVE(C) \
    C(socket, SOCKET_UDP) C(socket, SOCKET_TCP) C(bind, ANY) C(connect, ANY) C(sendto, SEND) C(recvfrom, ANY) C(shutdown, ANY) \
    C(setsockopt, ANY) C(getsockopt, ANY) C(getsockname, ANY) C(getpeername, ANY) C(select, ANY) C(pselect6, ANY) C(pipe2, ANY) C(eventfd2, ANY) \
    C(uname, ANY) C(fcntl, FCNTL_FLAGS) C(openat, REFUSED) C(newfstatat, STAT_REFUSED) C(ioctl, REFUSED) C(socketpair, REFUSED)

/*    role        calls */
#define PROFILE_MANAGER(C)   CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_FILES(C) CALLS_INDEX(C)
#define PROFILE_RESOLVER(C)  CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_RESOLVE(C)
#define PROFILE_MAILBOX(C)   CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_MAILDIR(C)
#define PROFILE_LOCAL(C)     CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_MAILDIR(C) CALLS_LOCAL(C)
#define PROFILE_CONNECTOR(C) CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_STREAM(C) C(socket, SOCKET_TCP) C(bind, ANY) C(connect, ANY) \
                             C(getsockopt, ANY) C(setsockopt, OPTION_BIND)
#define PROFILE_DELIVER(C)   CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_STREAM(C) C(pread64, ANY) C(preadv, ANY)
#define PROFILE_RECEIVER(C)  CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_STREAM(C) C(pwrite64, ANY) C(pwritev, ANY) C(fsync, ANY) \
                             C(fdatasync, ANY) C(sync_file_range, ANY) C(pread64, ANY)
#define PROFILE_ACCEPTOR(C)  CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) C(accept4, WITHOUT_RING) C(shutdown, ANY) C(getsockname, ANY) \
                             C(getpeername, ANY) C(getsockopt, ANY) C(setsockopt, OPTION_TCP) C(setsockopt, OPTION_SOCKET)
#define PROFILE_CONTROL(C)   CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_STREAM(C) C(accept4, WITHOUT_RING) C(getsockopt, ANY)
#define PROFILE_KEYHOLDER(C) CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C)
#define PROFILE_AUTHD(C)     CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) CALLS_STREAM(C) C(pread64, ANY)
#define PROFILE_TABLES(C)    CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C)
/* Its file is only appended to, and written anew beside itself. */
#define PROFILE_GREYLIST(C)  CALLS_BASE(C) CALLS_WAIT(C) CALLS_CHANNEL(C) C(openat, ANY) C(pread64, ANY) C(fsync, ANY) C(fdatasync, ANY) C(renameat, ANY)

/* The master has none: it makes the others, and reads nothing from the network. */
#define SANDBOX_PROFILES(P) \
    P(MANAGER) P(RESOLVER) P(MAILBOX) P(CONNECTOR) P(DELIVER) P(RECEIVER) P(ACCEPTOR) P(CONTROL) P(KEYHOLDER) P(AUTHD) P(TABLES) P(GREYLIST) P(LOCAL)

/* Sanitizers look around to write a report; the report matters more than the looking. Never in a build that is installed. */
#define CALLS_SANITIZER(C) \
    C(sigaltstack, ANY) C(getrlimit, ANY) C(prlimit64, ANY) C(dup, ANY) C(dup2, ANY) C(lseek, ANY) C(fcntl, FCNTL_FLAGS) \
    C(openat, REFUSED) C(open, REFUSED) C(readlink, REFUSED) C(readlinkat, REFUSED) C(prctl, REFUSED) C(ioctl, REFUSED) C(newfstatat, STAT_REFUSED) C(stat, REFUSED) C(clone, REFUSED) C(pipe, REFUSED)

#include <stdbool.h>
#include <stdint.h>

#include "mta/ipc/roles.h"

#define CALL_CONDITION_ENUM(name, text) CALL_##name,
enum call_condition { CALL_CONDITIONS(CALL_CONDITION_ENUM) CALL_CONDITION_COUNT };

struct profile_call {
    const char *name;
    int32_t number; /* of this architecture; negative = it does not have the call */
    enum call_condition condition;
};

struct profile {
    const struct profile_call *calls; /* static; NULL = the role has no profile */
    uint32_t count;
};

/* profile_of - the row of a role. */
struct profile profile_of(enum ipc_role role);

/* profile_has - whether a role may make a call at all, under whatever condition but REFUSED. */
bool profile_has(enum ipc_role role, int32_t number);

#endif
