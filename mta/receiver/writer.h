/*
 * writer - large bodies on their way into files, without ever stopping the loop: a few threads write, sync and close.
 *
 * The manager made the file and handed over its descriptor. A session fills chunks; full ones are given to the writer
 * as a job, one at a time for a file, and come back when they are written. The threads touch the job, its chunks and
 * its descriptor, and nothing else of this process.
 */
#ifndef MTA_RECEIVER_WRITER_H
#define MTA_RECEIVER_WRITER_H

#include <pthread.h>

#include "mta/receiver/pool.h"

enum {
    WRITER_THREADS = 2,     /* one may sit in fdatasync() while the other writes */
    WRITER_FILES_MAX = 256, /* large messages at once in one receiver; further ones are told 452 */
};

enum file_state { FILE_FREE = 0, FILE_ASKED, FILE_OPEN };

struct body_file {
    uint8_t state;         /* enum file_state */
    bool busy;             /* the writer has it: job, fd, sync and shut are not to be touched */
    bool orphan;           /* its session has forgotten it: to be closed and dropped */
    bool lost;             /* the manager that made it is gone */
    bool given;            /* COMMIT has named it: it is the manager's from then on */
    bool asked_of_manager; /* BODY_OPEN has been sent to the present manager */
    uint32_t session;      /* index */
    uint64_t transaction;
    uint64_t body;         /* the manager's number for it */
    int fd;
    uint64_t bytes;        /* given to the writer so far */
    enum err failed;       /* of the first job that failed */
    uint64_t written;      /* the threads': octets in the file */
    uint64_t push_begun, pushed; /* the threads': what is before `pushed` is on its way to the disk, and before `push_begun` is there */
    /* The job. */
    struct chain chunks;
    bool sync, shut;       /* after the chunks: sync; close */
    struct body_file *next;
};

struct writer {
    const struct pool *pool;
    pthread_mutex_t lock;  /* guards the two lists and `running` */
    pthread_cond_t work, started;
    uint32_t running;      /* threads that are at work */
    struct body_file *todo, **todo_end, *done;
    int event_fd;          /* readable when something is done */
    struct body_file files[WRITER_FILES_MAX];
};

/* writer_init - start the threads; before lock-down, since they could not be made later. */
must_use enum err writer_init(struct writer *w, const struct pool *pool);

/* writer_file_take - a file record in state ASKED, or NULL. writer_file_give - back; its descriptor is closed and it
 * is not busy. */
struct body_file *writer_file_take(struct writer *w);
void writer_file_give(struct body_file *f);

/* writer_submit - give chunks (perhaps none) to the threads; the chain becomes empty. sync and shut: what to do behind them. */
void writer_submit(struct writer *w, struct body_file *f, struct chain *chunks, bool sync, bool shut);

/* writer_collect - files whose job is done, as a list by `next`; call when event_fd is readable. busy is false again,
 * f->chunks are the caller's. */
struct body_file *writer_collect(struct writer *w);

#endif
