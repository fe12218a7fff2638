/*
 * log_file - plain system calls on files, made whole.
 */
#include "queue/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* One call moves at most this much, so that sizes fit ssize_t everywhere and a stop is noticed. */
enum { STEP_BYTES_MAX = 8 * 1024 * 1024 };

static size_t step(uint64_t left)
{
    return (size_t)(left < STEP_BYTES_MAX ? left : STEP_BYTES_MAX);
}

enum err qfile_write(int fd, uint64_t offset, const uint8_t *from, uint64_t n)
{
    uint64_t done = 0;
    while (done < n) {
        ssize_t wrote = pwrite(fd, from + done, step(n - done), (off_t)(offset + done));
        if (wrote > 0) done += (uint64_t)wrote;
        else if (wrote == 0) return ERR_IO;
        else if (errno != EINTR) return err_from_errno(errno);
    }
    return ERR_NONE;
}

enum err qfile_read(int fd, uint64_t offset, uint8_t *to, uint64_t n, uint64_t *got)
{
    uint64_t done = 0;
    while (done < n) {
        ssize_t have = pread(fd, to + done, step(n - done), (off_t)(offset + done));
        if (have > 0) done += (uint64_t)have;
        else if (have == 0) break;
        else if (errno != EINTR) return err_from_errno(errno);
    }
    *got = done;
    return ERR_NONE;
}

enum err qfile_sync(int fd)
{
    while (fdatasync(fd) != 0) {
        if (errno != EINTR) return err_from_errno(errno);
    }
    return ERR_NONE;
}

enum err qfile_sync_all(int fd)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR) return err_from_errno(errno);
    }
    return ERR_NONE;
}

enum err qfile_open(int folder, const char *name, int flags, int *fd)
{
    int found;
    do {
        found = openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (found < 0 && errno == EINTR);
    if (found < 0) return err_from_errno(errno);
    *fd = found;
    return ERR_NONE;
}

enum err qfile_folder(int parent, const char *name, int *fd)
{
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST) return err_from_errno(errno);
    enum err e = qfile_sync_all(parent); /* also when it was there: whoever made it may have died before this */
    if (e != ERR_NONE) return e;
    return qfile_open(parent, name, O_RDONLY | O_DIRECTORY, fd);
}
