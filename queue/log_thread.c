/*
 * log_thread - the thread that writes batches and syncs groups.
 *
 * It owns nothing but the list of segments that have unsynced octets. After a failure that list is empty: what was written since the last sync is
 * lost ground, and is never synced later as if it had worked.
 */
#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

static void mark_dirty(struct qlog *log, struct segment *s)
{
    for (uint32_t i = 0; i < log->dirty_count; i++) {
        if (log->dirty[i] == s) return;
    }
    must(log->dirty_count < EXTENTS_MAX);
    log->dirty[log->dirty_count++] = s;
}

static enum err write_extent(struct qlog *log, const struct batch *b, const struct extent *x)
{
    struct segment *s = x->segment;
    must(x->offset >= QLOG_BLOCK_BYTES && (uint64_t)x->offset + x->bytes <= s->bytes);
    mark_dirty(log, s);
    if (s->head_pending) {
        enum err e = qlog_segment_write_head(log, s);
        if (e != ERR_NONE) return e;
        s->head_pending = false;
    }
    return qfile_write(s->fd, x->offset, b->memory + x->start, x->bytes);
}

enum err qlog_write_batch(struct qlog *log, const struct batch *b)
{
    enum err e = ERR_NONE;
    for (uint32_t i = 0; i < b->extent_count && e == ERR_NONE; i++) e = write_extent(log, b, &b->extents[i]);
    for (uint32_t i = 0; b->sync && i < log->dirty_count && e == ERR_NONE; i++) e = qfile_sync(log->dirty[i]->fd);
    if (b->sync || e != ERR_NONE) log->dirty_count = 0;
    return e;
}

/* wake_loop - an eventfd refuses only when it is readable already; any other failure is made good by the loop's watch time. */
static void wake_loop(const struct qlog *log)
{
    const uint64_t one = 1;
    for (int tries = 0; tries < 3; tries++) {
        if (write(log->options.event_fd, &one, sizeof(one)) == (ssize_t)sizeof(one) || errno == EAGAIN) return;
    }
}

void *qlog_writer_main(void *context)
{
    struct qlog *log = context;
    pthread_mutex_lock(&log->lock);
    while (!log->stop) {
        if (log->job_state != JOB_READY) {
            pthread_cond_wait(&log->work, &log->lock);
            continue;
        }
        log->job_state = JOB_BUSY;
        struct batch *b = log->job;
        pthread_mutex_unlock(&log->lock);

        enum err e = qlog_write_batch(log, b);

        pthread_mutex_lock(&log->lock);
        log->job_error = e;
        log->job_state = JOB_DONE;
        bool tell = b->sync || e != ERR_NONE || log->wake;
        log->wake = false;
        pthread_cond_signal(&log->done);
        if (tell) {
            pthread_mutex_unlock(&log->lock);
            wake_loop(log);
            pthread_mutex_lock(&log->lock);
        }
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}
