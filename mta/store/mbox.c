/* mbox - see mbox.h. */
#include "mta/store/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "mta/store/text.h"

enum { MBOX_MODE = 0660, LOCK_MODE = 0444, LOOK_AGAIN_MS = 100 };

struct lock { bool dot; char name[MBOX_NAME_BYTES_MAX + 8]; };

static enum err failed(const char **what, const char *call)
{
    *what = call;
    return err_from_errno(errno);
}

static bool wait_until(uint64_t end_ms)
{
    if (clock_mono_ms() >= end_ms) return false;
    struct timespec moment = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
    nanosleep(&moment, NULL);
    return true;
}

/* remove_stale - a lock file that its owner left behind. */
static void remove_stale(int folder, const char *name)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && clock_wall_us() / 1000000 - st.st_mtime > MBOX_LOCK_STALE_S) unlinkat(folder, name, 0);
}

static enum err lock_by_file(int folder, struct lock *lock, uint64_t end_ms, const char **what)
{
    for (;;) {
        int fd = openat(folder, lock->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, LOCK_MODE);
        if (fd >= 0) {
            close(fd);
            lock->dot = true;
            return ERR_NONE;
        }
        /* A folder that its users may not write to has no lock files: then fcntl(2) is what everybody there agrees on. */
        if (errno == EACCES || errno == EPERM || errno == EROFS) return ERR_NONE;
        if (errno != EEXIST) return failed(what, "making the lock file");
        remove_stale(folder, lock->name);
        if (wait_until(end_ms)) continue;
        *what = "the lock file is there";
        return ERR_BUSY;
    }
}

static enum err lock_by_call(int fd, uint64_t end_ms, const char **what)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    while (fcntl(fd, F_SETLK, &all) != 0) {
        if (errno != EACCES && errno != EAGAIN) return failed(what, "locking");
        if (wait_until(end_ms)) continue;
        *what = "it is locked";
        return ERR_BUSY;
    }
    return ERR_NONE;
}

/* is_own - a plain file with one name, of who we are. Links are how a mail spool makes somebody write into another's file. */
static enum err is_own(int fd, struct stat *st, const char **what)
{
    if (fstat(fd, st) != 0) return failed(what, "stat");
    *what = "it is not a plain file of its user with one name";
    return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid() ? ERR_NONE : ERR_DENIED;
}

static bool still_named(int folder, const char *name, const struct stat *st)
{
    struct stat now;
    return fstatat(folder, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/* open_locked - the file under both locks; opened again when another one has taken its name meanwhile. */
static enum err open_locked(int folder, const char *name, struct lock *lock, uint64_t end_ms, int *out, struct stat *st, const char **what)
{
    for (;;) {
        int fd = openat(folder, name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, MBOX_MODE);
        if (fd < 0 && errno == ELOOP) return *what = "it is a link", ERR_DENIED;
        if (fd < 0) return failed(what, "open");
        enum err e = is_own(fd, st, what);
        if (e == ERR_NONE) e = lock_by_call(fd, end_ms, what);
        if (e == ERR_NONE) e = lock_by_file(folder, lock, end_ms, what);
        if (e == ERR_NONE) e = is_own(fd, st, what);
        if (e == ERR_NONE && still_named(folder, name, st)) {
            *out = fd;
            return ERR_NONE;
        }
        close(fd);
        if (lock->dot) unlinkat(folder, lock->name, 0);
        lock->dot = false;
        if (e != ERR_NONE && e != ERR_DENIED) return e;
        if (e == ERR_DENIED && still_named(folder, name, st)) return e;
        if (!wait_until(end_ms)) return *what = "its name changes all the time", ERR_BUSY;
    }
}

/* put_from - the line that a message begins with: "From SENDER Mon Nov 30 20:18:19 2026", in UTC. */
static enum err put_from(int fd, const struct maildir_message *m, const struct stat *st)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX + 64];
    char when[32];
    struct buf out = BUF_OVER(memory);
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm utc;
    char last = '\n';
    if (st->st_size > 0 && pread(fd, &last, 1, st->st_size - 1) == 1 && last != '\n') BUF_LIT(&out, "\n\n"); /* somebody left half a line */
    BUF_LIT(&out, "From ");
    if (m->sender.len == 0) BUF_LIT(&out, "MAILER-DAEMON");
    for (uint32_t i = 0; i < m->sender.len; i++) buf_put_c(&out, m->sender.ptr[i] <= ' ' ? '_' : m->sender.ptr[i]);
    if (gmtime_r(&now, &utc) == NULL || strftime(when, sizeof when, " %a %b %e %H:%M:%S %Y\n", &utc) == 0) return ERR_BAD_VALUE;
    buf_put_cstr(&out, when);
    return text_write(fd, buf_bytes(&out));
}

enum err mbox_deliver(int folder, const char *name, uint64_t wait_ms, const struct maildir_message *m, const char **what)
{
    struct lock lock = {0};
    struct stat st;
    int fd = -1;
    if (strlen(name) > MBOX_NAME_BYTES_MAX) return ERR_TOO_LONG;
    snprintf(lock.name, sizeof lock.name, "%s.lock", name);
    enum err e = open_locked(folder, name, &lock, clock_mono_ms() + wait_ms, &fd, &st, what);
    if (e != ERR_NONE) return e;
    struct text text = {.fd = fd, .mbox = true};
    *what = "write";
    e = put_from(fd, m, &st);
    if (e == ERR_NONE) e = text_message(&text, m);
    if (e == ERR_NONE && fsync(fd) != 0) e = failed(what, "fsync");
    if (e != ERR_NONE && ftruncate(fd, st.st_size) != 0) *what = "write, and cutting off what was written of it";
    if (st.st_size == 0) { /* its name must be as durable as its content */
        int self = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (self < 0 || fsync(self) != 0) e = e == ERR_NONE ? failed(what, "fsync of the folder") : e;
        if (self >= 0) close(self);
    }
    if (lock.dot) unlinkat(folder, lock.name, 0);
    close(fd);
    return e;
}
