/*
 * writer - see writer.h. A job that fails leaves its reason in the file's record; the session answers 4yz, and the
 * manager removes the file.
 */
#include "mta/receiver/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/must.h"

enum {
    PIECES_MAX = 64,            /* chunks in one writev(): 256 KiB */
    PUSH_BYTES = 256 * 1024,    /* what goes to the disk in one go while a body comes in: whole pages, so that none is written twice */
};

/* write_pieces - all of them, whatever number of calls that takes. */
static enum err write_pieces(int fd, struct iovec *pieces, int count)
{
    while (count > 0) {
        ssize_t n = writev(fd, pieces, count);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0 ? ERR_IO : err_from_errno(errno);
        size_t left = (size_t)n;
        while (count > 0 && left >= pieces->iov_len) {
            left -= pieces->iov_len;
            pieces++;
            count--;
        }
        if (count > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + left;
            pieces->iov_len -= left;
        }
    }
    return ERR_NONE;
}

static enum err write_chunks(const struct pool *pool, struct body_file *f)
{
    struct iovec pieces[PIECES_MAX];
    uint32_t chunk = f->chunks.first;
    while (chunk != POOL_NONE) {
        int count = 0;
        while (chunk != POOL_NONE && count < PIECES_MAX) {
            if (pool->chunks[chunk].used > 0)
                pieces[count++] = (struct iovec){pool_memory(pool, chunk), pool->chunks[chunk].used};
            f->written += pool->chunks[chunk].used;
            chunk = pool->chunks[chunk].next;
        }
        enum err e = write_pieces(f->fd, pieces, count);
        if (e != ERR_NONE) return e;
    }
    return ERR_NONE;
}

/*
 * push - send what is whole of a body that is still coming in on its way to the disk, and wait for what was sent before. So its sync finds little to do, and
 * the device never has more of one body before it than two pieces: the log's sync, which small mail waits for, stands behind those and not behind 25 MiB.
 * Waiting takes the file's write error as a sync would, and the kernel tells it once only: so it fails the job here.
 */
static enum err push(struct body_file *f)
{
    uint64_t whole = f->written / PUSH_BYTES * PUSH_BYTES;
    if (whole == f->pushed) return ERR_NONE;
    if (f->pushed > f->push_begun && sync_file_range(f->fd, (off_t)f->push_begun, (off_t)(f->pushed - f->push_begun), SYNC_FILE_RANGE_WAIT_BEFORE) != 0)
        return err_from_errno(errno);
    if (sync_file_range(f->fd, (off_t)f->pushed, (off_t)(whole - f->pushed), SYNC_FILE_RANGE_WRITE) != 0) return err_from_errno(errno);
    f->push_begun = f->pushed;
    f->pushed = whole;
    return ERR_NONE;
}

static void do_job(const struct writer *w, struct body_file *f)
{
    enum err e = f->failed;
    if (e == ERR_NONE) e = write_chunks(w->pool, f);
    if (e == ERR_NONE) e = push(f);
    if (e == ERR_NONE && f->sync && fdatasync(f->fd) != 0) e = err_from_errno(errno);
    if (f->shut) {
        /* A write error that is told here is one that the sync would have told. */
        (void)close(f->fd);
        f->fd = -1;
    }
    f->failed = e;
}

static void *run(void *context)
{
    struct writer *w = context;
    (void)pthread_mutex_lock(&w->lock);
    w->running++;
    (void)pthread_cond_signal(&w->started);
    (void)pthread_mutex_unlock(&w->lock);
    for (;;) {
        (void)pthread_mutex_lock(&w->lock);
        while (!w->todo) (void)pthread_cond_wait(&w->work, &w->lock);
        struct body_file *f = w->todo;
        w->todo = f->next;
        if (!w->todo) w->todo_end = &w->todo;
        (void)pthread_mutex_unlock(&w->lock);
        do_job(w, f);
        (void)pthread_mutex_lock(&w->lock);
        f->next = w->done;
        w->done = f;
        (void)pthread_mutex_unlock(&w->lock);
        uint64_t one = 1;
        /* It can only fail when the counter is full, and then the loop has been woken already. */
        if (write(w->event_fd, &one, sizeof one) < 0) continue;
    }
    return NULL;
}

enum err writer_init(struct writer *w, const struct pool *pool)
{
    memset(w, 0, sizeof *w);
    w->pool = pool;
    w->todo_end = &w->todo;
    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->event_fd < 0) return err_from_errno(errno);
    if (pthread_mutex_init(&w->lock, NULL) != 0 || pthread_cond_init(&w->work, NULL) != 0 ||
        pthread_cond_init(&w->started, NULL) != 0)
        return ERR_NO_MEMORY;
    for (int i = 0; i < WRITER_THREADS; i++) {
        pthread_t thread;
        int refused = pthread_create(&thread, NULL, run, w);
        if (refused != 0) return err_from_errno(refused);
        (void)pthread_detach(thread);
    }
    /* The self-test forks soon: no thread may then be in the middle of its start, holding some lock of a library. */
    (void)pthread_mutex_lock(&w->lock);
    while (w->running < WRITER_THREADS) (void)pthread_cond_wait(&w->started, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
    return ERR_NONE;
}

struct body_file *writer_file_take(struct writer *w)
{
    for (uint32_t i = 0; i < WRITER_FILES_MAX; i++) {
        struct body_file *f = &w->files[i];
        if (f->state != FILE_FREE) continue;
        *f = (struct body_file){.state = FILE_ASKED, .fd = -1, .chunks = chain_empty()};
        return f;
    }
    return NULL;
}

void writer_file_give(struct body_file *f)
{
    must(f->state != FILE_FREE && !f->busy && f->fd < 0 && f->chunks.count == 0);
    f->state = FILE_FREE;
}

void writer_submit(struct writer *w, struct body_file *f, struct chain *chunks, bool sync, bool shut)
{
    must(f->state == FILE_OPEN && !f->busy && f->fd >= 0 && f->chunks.count == 0);
    f->bytes += chain_bytes(w->pool, chunks);
    f->chunks = *chunks;
    *chunks = chain_empty();
    f->sync = sync;
    f->shut = shut;
    f->busy = true;
    f->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    *w->todo_end = f;
    w->todo_end = &f->next;
    (void)pthread_cond_signal(&w->work);
    (void)pthread_mutex_unlock(&w->lock);
}

struct body_file *writer_collect(struct writer *w)
{
    uint64_t count;
    if (read(w->event_fd, &count, sizeof count) < 0 && errno != EAGAIN) return NULL;
    (void)pthread_mutex_lock(&w->lock);
    struct body_file *list = w->done;
    w->done = NULL;
    (void)pthread_mutex_unlock(&w->lock);
    for (struct body_file *f = list; f; f = f->next) f->busy = false;
    return list;
}
