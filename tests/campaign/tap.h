/*
 * tap - the layout of the file that a tapped process shares with its campaign: a control block, the call sites seen, and a journal of what was done to
 * the queue folder. Read by tap.py as well: change both.
 */
#ifndef TESTS_CAMPAIGN_TAP_H
#define TESTS_CAMPAIGN_TAP_H

#include <stdint.h>

enum { TAP_SITES_AT = 4096, TAP_SITES_MAX = 4000, TAP_JOURNAL_AT = 512 * 1024, TAP_FRAMES = 5, TAP_SHORT = -1 };
#define TAP_MAGIC UINT64_C(0x3170617468756b62)
#define TAP_DIE_ALWAYS 1

struct tap_head {
    uint64_t magic, size;
    uint64_t used;            /* end of the journal in the file */
    uint64_t die_at;          /* the process kills itself right behind the entry that reaches this, once; 0 = never; TAP_DIE_ALWAYS: so does each later one */
    uint32_t lives;           /* processes that were tapped one after the other */
    uint32_t lock;
    uint32_t recording;       /* keep the journal */
    uint32_t injecting;       /* find out call sites, and let them fail */
    uint32_t losing;          /* a sync that is made to fail undoes what was not synced, as a kernel that dropped the pages */
    uint32_t armed_site;      /* fails when armed_left is not 0 */
    int32_t armed_error;      /* an errno, or TAP_SHORT */
    uint32_t armed_left, fired;
    uint32_t site_count;
    int64_t clock_shift_s;    /* added to the wall clock of the process */
};

struct tap_site {             /* a system call or allocation, and who asked for it */
    uint64_t hash;
    uint32_t call;            /* enum tap_call */
    uint32_t count;
    uint64_t frames[TAP_FRAMES]; /* return addresses, less the load address of the module; module number in the upper 16 bits */
};

#define TAP_CALLS(C) \
    C(OPEN) C(READ) C(PREAD) C(WRITE) C(WRITEV) C(PWRITE) C(FDATASYNC) C(FSYNC) C(RENAME) C(UNLINK) C(MKDIR) C(STAT) C(STATVFS) C(FLOCK) C(FCNTL) \
    C(OPENDIR) C(READDIR) C(MMAP) C(MALLOC) C(CALLOC) C(REALLOC) C(THREAD) C(FORK) C(SENDMMSG) C(RECVMMSG) C(EVENTFD) C(EPOLL_CTL) C(EPOLL_WAIT) \
    C(POLL) C(CLOSE) C(FTRUNCATE) C(FCHDIR)
#define TAP_CALL_ENUM(name) TAP_##name,
enum tap_call { TAP_CALLS(TAP_CALL_ENUM) TAP_CALL_COUNT };

enum tap_kind {
    TAP_OPENED = 1,           /* a: handle, b: flags; path */
    TAP_WROTE,                /* a: handle, b: offset; octets */
    TAP_WROTE_THROUGH,        /* the same, and it is on the disk (O_DSYNC) */
    TAP_SYNCED,               /* a: handle, b: journal's end when the sync began */
    TAP_RENAMED,              /* from, 0, to */
    TAP_UNLINKED,             /* path */
    TAP_MADE_FOLDER,          /* path */
    TAP_SYNCED_FOLDER,        /* path */
    TAP_TRUNCATED,            /* a: handle, b: size */
    TAP_SENT,                 /* a record to another process: its first octets */
    TAP_LIFE,                 /* a process began. a: number */
};

struct tap_entry {
    uint32_t kind, bytes;     /* octets behind it, padded to a multiple of 8 */
    uint64_t a, b;
};

#endif
