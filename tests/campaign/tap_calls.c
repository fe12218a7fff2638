/*
 * tap_calls - the calls that the tap takes the place of. A write and its entry in the journal are made under one lock.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "tap_internal.h"

enum { SENT_BYTES_MAX = 64 };

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t each);
extern void *__libc_realloc(void *p, size_t n);
ssize_t __pread64_chk(int fd, void *to, size_t n, off_t offset, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);

static void *real(void **known, const char *name)
{
    if (!*known) *known = dlsym(RTLD_NEXT, name);
    return *known;
}
#define REAL(name) ((__typeof__(&name))real(&real_##name, #name))
#define DECLARE_REAL(name) static void *real_##name;
#define WRAPPED(C) \
    C(openat64) C(open64) C(open) C(read) C(pread64) C(pread) C(write) C(writev) C(pwrite64) C(pwrite) C(fdatasync) C(fsync) C(renameat) C(renameat2) \
    C(unlinkat) C(mkdirat) C(fstatat64) C(fstat64) C(fstatvfs64) C(flock) C(fcntl64) C(fdopendir) C(readdir64) C(mmap64) C(mmap) C(pthread_create) \
    C(fork) C(sendmmsg) C(recvmmsg) C(eventfd) C(epoll_ctl) C(epoll_wait) C(poll) C(close) C(ftruncate) C(fchdir) \
    C(clock_gettime)
WRAPPED(DECLARE_REAL)


#define RESOLVE(name) (void)REAL(name);
void tap_resolve(void)
{
    WRAPPED(RESOLVE)
}

#define FAIL(call, result) \
    int error = tap_fails(TAP_##call); \
    if (error > 0) { \
        errno = error; \
        return result; \
    }

/* ---- files ---- */

int openat64(int folder, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = va_arg(args, unsigned);
    va_end(args);
    FAIL(OPEN, -1)
    if (tap_head) tap_lock(); /* a file that another thread's death left without its entry would be unknown to who plays the journal */
    int fd = REAL(openat64)(folder, name, flags, mode);
    tap_opened(fd, folder, name, flags);
    if (tap_head) tap_unlock();
    return fd;
}

int open64(const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = va_arg(args, unsigned);
    va_end(args);
    FAIL(OPEN, -1)
    if (tap_head) tap_lock();
    int fd = REAL(open64)(name, flags, mode);
    tap_opened(fd, AT_FDCWD, name, flags);
    if (tap_head) tap_unlock();
    return fd;
}

int open(const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = va_arg(args, unsigned);
    va_end(args);
    FAIL(OPEN, -1)
    if (tap_head) tap_lock();
    int fd = REAL(open)(name, flags, mode);
    tap_opened(fd, AT_FDCWD, name, flags);
    if (tap_head) tap_unlock();
    return fd;
}

int close(int fd)
{
    int error = tap_fails(TAP_CLOSE);
    struct tapped *f = tap_known(fd);
    if (f) {
        tap_lock();
        tap_settle(fd, f->handle, false);
        f->known = false;
        tap_unlock();
    }
    int result = REAL(close)(fd);
    if (error > 0) errno = error;
    return error > 0 ? -1 : result;
}

ssize_t read(int fd, void *to, size_t n)
{
    FAIL(READ, -1)
    return REAL(read)(fd, to, n);
}

ssize_t pread64(int fd, void *to, size_t n, off_t offset)
{
    FAIL(PREAD, -1)
    return REAL(pread64)(fd, to, error == TAP_SHORT ? n / 2 + 1 : n, offset);
}

ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
    FAIL(PREAD, -1)
    return REAL(pread64)(fd, to, error == TAP_SHORT ? n / 2 + 1 : n, offset);
}

ssize_t __pread64_chk(int fd, void *to, size_t n, off_t offset, size_t room)
{
    if (n > room) abort();
    FAIL(PREAD, -1)
    return REAL(pread64)(fd, to, error == TAP_SHORT ? n / 2 + 1 : n, offset);
}

static ssize_t write_at(int fd, const void *from, size_t n, int64_t offset)
{
    struct tapped *f = tap_file(fd);
    if (!f) return REAL(pwrite64)(fd, from, n, offset);
    tap_lock();
    tap_remember(fd, f, n, offset);
    ssize_t wrote = REAL(pwrite64)(fd, from, n, offset);
    struct iovec part = {(void *)(uintptr_t)from, wrote > 0 ? (size_t)wrote : 0};
    if (wrote > 0) tap_append(f->through ? TAP_WROTE_THROUGH : TAP_WROTE, f->handle, (uint64_t)offset, &part, 1);
    tap_unlock();
    return wrote;
}

ssize_t pwrite64(int fd, const void *from, size_t n, off_t offset)
{
    FAIL(PWRITE, -1)
    return write_at(fd, from, error == TAP_SHORT ? n / 2 + 1 : n, offset);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t offset)
{
    FAIL(PWRITE, -1)
    return write_at(fd, from, error == TAP_SHORT ? n / 2 + 1 : n, offset);
}

ssize_t write(int fd, const void *from, size_t n)
{
    FAIL(WRITE, -1)
    if (error == TAP_SHORT) n = n / 2 + 1;
    struct tapped *f = tap_file(fd);
    if (!f) return REAL(write)(fd, from, n);
    tap_lock();
    int64_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t wrote = REAL(write)(fd, from, n);
    struct iovec part = {(void *)(uintptr_t)from, wrote > 0 ? (size_t)wrote : 0};
    if (wrote > 0) tap_append(f->through ? TAP_WROTE_THROUGH : TAP_WROTE, f->handle, (uint64_t)offset, &part, 1);
    tap_unlock();
    return wrote;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    FAIL(WRITEV, -1)
    struct tapped *f = tap_file(fd);
    if (!f) return REAL(writev)(fd, parts, error == TAP_SHORT ? count / 2 + 1 : count);
    size_t n = 0;
    for (int i = 0; i < count; i++) n += parts[i].iov_len;
    tap_lock();
    int64_t offset = lseek(fd, 0, SEEK_CUR);
    tap_remember(fd, f, n, offset);
    ssize_t wrote = REAL(writev)(fd, parts, error == TAP_SHORT ? count / 2 + 1 : count);
    ssize_t left = wrote;
    for (int i = 0; i < count && left > 0; i++) {
        struct iovec part = {parts[i].iov_base, (ssize_t)parts[i].iov_len < left ? parts[i].iov_len : (size_t)left};
        tap_append(f->through ? TAP_WROTE_THROUGH : TAP_WROTE, f->handle, (uint64_t)offset, &part, 1);
        offset += (int64_t)part.iov_len;
        left -= (ssize_t)part.iov_len;
    }
    tap_unlock();
    return wrote;
}

static int synced(int fd, int error, int (*sync)(int fd))
{
    struct tapped *f = tap_known(fd);
    uint64_t began = tap_head ? __atomic_load_n(&tap_head->used, __ATOMIC_ACQUIRE) : 0;
    int result = error > 0 ? -1 : sync(fd);
    if (f) {
        tap_lock();
        if (!f->is_folder && error != EINTR) tap_settle(fd, f->handle, error > 0);
        if (result == 0 && !f->is_folder) tap_append(TAP_SYNCED, f->handle, began, NULL, 0);
        if (result == 0 && f->is_folder) tap_append_text(TAP_SYNCED_FOLDER, 0, 0, f->path, NULL);
        tap_unlock();
    }
    if (error > 0) errno = error;
    return result;
}

int fdatasync(int fd)
{
    return synced(fd, tap_fails(TAP_FDATASYNC), REAL(fdatasync));
}

int fsync(int fd)
{
    return synced(fd, tap_fails(TAP_FSYNC), REAL(fsync));
}

int ftruncate(int fd, off_t size)
{
    FAIL(FTRUNCATE, -1)
    struct tapped *f = tap_file(fd);
    if (!f) return REAL(ftruncate)(fd, size);
    tap_lock();
    int result = REAL(ftruncate)(fd, size);
    if (result == 0) tap_append(TAP_TRUNCATED, f->handle, (uint64_t)size, NULL, 0);
    tap_unlock();
    return result;
}

/* ---- folders ---- */

static int renamed(int from_folder, const char *from, int to_folder, const char *to, unsigned flags, bool two)
{
    char a[TAP_PATH_BYTES], b[TAP_PATH_BYTES];
    if (tap_head) tap_lock();
    int result = two ? REAL(renameat2)(from_folder, from, to_folder, to, flags) : REAL(renameat)(from_folder, from, to_folder, to);
    if (result == 0 && tap_head && tap_path(from_folder, from, a) && tap_path(to_folder, to, b)) tap_append_text(TAP_RENAMED, 0, 0, a, b);
    if (tap_head) tap_unlock();
    return result;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    FAIL(RENAME, -1)
    return renamed(from_folder, from, to_folder, to, 0, false);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    FAIL(RENAME, -1)
    return renamed(from_folder, from, to_folder, to, flags, true);
}

int unlinkat(int folder, const char *name, int flags)
{
    char path[TAP_PATH_BYTES];
    FAIL(UNLINK, -1)
    if (tap_head) tap_lock();
    int result = REAL(unlinkat)(folder, name, flags);
    if (result == 0 && tap_head && tap_path(folder, name, path)) tap_append_text(TAP_UNLINKED, 0, 0, path, NULL);
    if (tap_head) tap_unlock();
    return result;
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    char path[TAP_PATH_BYTES];
    FAIL(MKDIR, -1)
    if (tap_head) tap_lock();
    int result = REAL(mkdirat)(folder, name, mode);
    if (result == 0 && tap_head && tap_path(folder, name, path)) tap_append_text(TAP_MADE_FOLDER, 0, 0, path, NULL);
    if (tap_head) tap_unlock();
    return result;
}

int fchdir(int fd)
{
    FAIL(FCHDIR, -1)
    int result = REAL(fchdir)(fd);
    if (result == 0 && tap_head) tap_entered(fd);
    return result;
}

int fcntl64(int fd, int what, ...)
{
    va_list args;
    va_start(args, what);
    void *argument = va_arg(args, void *);
    va_end(args);
    FAIL(FCNTL, -1)
    int result = REAL(fcntl64)(fd, what, argument);
    if (tap_head && result >= 0 && result < TAP_FDS_MAX && fd >= 0 && fd < TAP_FDS_MAX && (what == F_DUPFD || what == F_DUPFD_CLOEXEC)) tap_fds[result] = tap_fds[fd];
    return result;
}

/* ---- calls that only may fail ---- */

int fstatat64(int folder, const char *restrict name, struct stat64 *restrict st, int flags)
{
    FAIL(STAT, -1)
    return REAL(fstatat64)(folder, name, st, flags);
}

int fstat64(int fd, struct stat64 *st)
{
    FAIL(STAT, -1)
    return REAL(fstat64)(fd, st);
}

int fstatvfs64(int fd, struct statvfs64 *st)
{
    FAIL(STATVFS, -1)
    return REAL(fstatvfs64)(fd, st);
}

int flock(int fd, int what)
{
    FAIL(FLOCK, -1)
    return REAL(flock)(fd, what);
}

DIR *fdopendir(int fd)
{
    FAIL(OPENDIR, NULL)
    return REAL(fdopendir)(fd);
}

struct dirent64 *readdir64(DIR *folder)
{
    FAIL(READDIR, NULL)
    return REAL(readdir64)(folder);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    FAIL(MMAP, MAP_FAILED)
    return REAL(mmap64)(at, n, protection, flags, fd, offset);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    FAIL(MMAP, MAP_FAILED)
    return REAL(mmap64)(at, n, protection, flags, fd, offset);
}

void *malloc(size_t n)
{
    FAIL(MALLOC, NULL)
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
    FAIL(CALLOC, NULL)
    return __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
    FAIL(REALLOC, NULL)
    return __libc_realloc(p, n);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    int error = tap_fails(TAP_THREAD);
    return error > 0 ? error : REAL(pthread_create)(thread, attributes, run, context);
}

pid_t fork(void)
{
    FAIL(FORK, -1)
    return REAL(fork)();
}

static void note_sent(const struct mmsghdr *messages, int count)
{
    tap_lock();
    for (int i = 0; i < count; i++) {
        struct iovec part = messages[i].msg_hdr.msg_iovlen > 0 ? messages[i].msg_hdr.msg_iov[0] : (struct iovec){0};
        if (part.iov_len > SENT_BYTES_MAX) part.iov_len = SENT_BYTES_MAX;
        tap_append(TAP_SENT, 0, 0, &part, 1);
    }
    tap_unlock();
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    FAIL(SENDMMSG, -1)
    if (tap_head && tap_head->recording) note_sent(messages, (int)count); /* before, so that nobody has heard it earlier than the journal says */
    return REAL(sendmmsg)(fd, messages, count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    FAIL(RECVMMSG, -1)
    return REAL(recvmmsg)(fd, messages, count, flags, timeout);
}

int eventfd(unsigned value, int flags)
{
    FAIL(EVENTFD, -1)
    return REAL(eventfd)(value, flags);
}

int epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    FAIL(EPOLL_CTL, -1)
    return REAL(epoll_ctl)(fd, what, of, event);
}

int epoll_wait(int fd, struct epoll_event *events, int count, int ms)
{
    FAIL(EPOLL_WAIT, -1)
    return REAL(epoll_wait)(fd, events, count, ms);
}

int poll(struct pollfd *which, nfds_t count, int ms)
{
    FAIL(POLL, -1)
    return REAL(poll)(which, count, ms);
}

int __poll_chk(struct pollfd *which, nfds_t count, int ms, size_t room)
{
    if (count * sizeof(*which) > room) abort();
    FAIL(POLL, -1)
    return REAL(poll)(which, count, ms);
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = REAL(clock_gettime)(which, now);
    if (result == 0 && tap_head && which == CLOCK_REALTIME) now->tv_sec += tap_head->clock_shift_s;
    return result;
}
