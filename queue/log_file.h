/*
 * log_file - plain system calls on files, made whole: interrupted ones are repeated, short ones continued. Knows nothing of the log.
 *
 * Each gives the enum err of the first failure. Nothing here repeats a sync that failed: after that the kernel may call lost pages clean.
 */
#ifndef QUEUE_LOG_FILE_H
#define QUEUE_LOG_FILE_H

#include "base/bytes.h"
#include "base/err.h"

must_use enum err qfile_write(int fd, uint64_t offset, const uint8_t *from, uint64_t n);

/* qfile_read - *got < n only at the end of the file. */
must_use enum err qfile_read(int fd, uint64_t offset, uint8_t *to, uint64_t n, uint64_t *got);

/* qfile_sync - fdatasync(2); qfile_sync_all - fsync(2), for folders and new files. Only an interruption is repeated. */
must_use enum err qfile_sync(int fd);
must_use enum err qfile_sync_all(int fd);

/* qfile_open - openat(2) with O_CLOEXEC and O_NOFOLLOW. */
must_use enum err qfile_open(int folder, const char *name, int flags, int *fd);

/* qfile_folder - open a folder below another; made when it is not there; its name is on stable storage then. */
must_use enum err qfile_folder(int parent, const char *name, int *fd);

#endif
