/*
 * log_open - beginning and end of the commit log: recovery in its order, the first group of a run, the last one, threads.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

/* The threads call a few functions with small frames. */
enum { STACK_BYTES = 256 * 1024 };
/* With less than this left there is no use in going on in a segment: marks of start and end need a block each. */
enum { GO_ON_BYTES_MIN = 4 * QLOG_BLOCK_BYTES };

static enum err check_options(const struct qlog_options *o)
{
    bool fits = o->segment_bytes >= QLOG_SEGMENT_BYTES_MIN && o->segment_bytes <= QLOG_SEGMENT_BYTES_MAX &&
                o->segment_bytes % QLOG_BLOCK_BYTES == 0;
    if (!fits || (o->max_bytes != 0 && o->max_bytes / 2 < o->segment_bytes)) return ERR_BAD_VALUE;
    return ERR_NONE;
}

static void stop_threads(struct qlog *log)
{
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_signal(&log->work);
    pthread_cond_signal(&log->prepare);
    pthread_mutex_unlock(&log->lock);
    if (log->writer_runs) pthread_join(log->writer, NULL);
    if (log->preparer_runs) pthread_join(log->preparer, NULL);
}

static void free_all(struct qlog *log)
{
    for (uint32_t i = 0; i < log->live_count; i++) qlog_segment_free(log->live[i]);
    for (uint32_t i = 0; i < log->idle_count; i++) qlog_segment_free(log->idle[i]);
    free(log->live);
    free(log->idle);
    free(log->voids.v);
    free(log->batches[0].memory);
    free(log->batches[1].memory);
    if (log->folder >= 0) close(log->folder);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->done);
    pthread_cond_destroy(&log->prepare);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static struct qlog *allocate(const struct qlog_options *options)
{
    pthread_condattr_t monotonic;
    struct qlog *log = calloc(1, sizeof(*log));
    if (!log) return NULL;
    log->options = *options;
    log->folder = -1;
    log->lazy_due_ms = UINT64_MAX;
    log->filling = &log->batches[0];
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->work, NULL);
    pthread_cond_init(&log->done, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->prepare, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Pages that were never written to cost nothing. */
    for (int i = 0; i < 2; i++) log->batches[i].memory = malloc(BATCH_MEMORY_BYTES);
    if (log->batches[0].memory && log->batches[1].memory) return log;
    free_all(log);
    return NULL;
}

/* start_threads - with all signals blocked: they are the loop's. */
static enum err start_threads(struct qlog *log)
{
    sigset_t all, old;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_attr_init(&attr);
    if (failed == 0) failed = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (failed == 0) {
        failed = pthread_create(&log->writer, &attr, qlog_writer_main, log);
        log->writer_runs = failed == 0;
    }
    if (failed == 0) {
        failed = pthread_create(&log->preparer, &attr, qlog_preparer_main, log);
        log->preparer_runs = failed == 0;
    }
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err_from_errno(failed);
}

/* ready_spare - there is one, or one is made now: of a segment that was free already, or a new file. */
static enum err ready_spare(struct qlog *log)
{
    struct segment *s = NULL;
    for (uint32_t i = 0; i < log->idle_count; i++) {
        if (log->idle[i]->state == SEGMENT_SPARE) return ERR_NONE;
        if (log->idle[i]->bytes == log->options.segment_bytes) s = log->idle[i];
    }
    if (s) {
        enum err e = qlog_segment_write_head(log, s);
        if (e == ERR_NONE) e = qfile_sync(s->fd);
        if (e == ERR_NONE) s->state = SEGMENT_SPARE;
        return e;
    }
    /* Even over max_bytes: a queue that cannot start cannot shrink. */
    enum err e = qlog_segment_create(log, log->next_number++, 0, &s);
    if (e != ERR_NONE) return e;
    e = qlog_segments_add_idle(log, s);
    if (e != ERR_NONE) qlog_segment_free(s);
    else log->file_bytes += s->bytes;
    return e;
}

/* go_on - no space for a fresh segment: behind the end of the newest one, so that deliveries can be recorded and make room. */
static bool go_on(struct qlog *log)
{
    if (log->live_count == 0) return false;
    struct segment *s = log->live[log->live_count - 1];
    uint32_t at = block_up(s->known_end > QLOG_BLOCK_BYTES ? s->known_end : QLOG_BLOCK_BYTES);
    if (at >= s->bytes || s->bytes - at < GO_ON_BYTES_MIN) return false;
    log->current = s;
    log->at = at;
    return true;
}

static enum err begin(struct qlog *log, struct qlog_recovery *recovery)
{
    log->group_sequence = log->sequence;
    log->filling->group = log->group;
    enum err e = ready_spare(log);
    log->newest = (log->newest / GENERATIONS_A_START + 1) * GENERATIONS_A_START;
    if (e == ERR_NONE) e = qlog_segment_take(log, &log->current);
    if (e == ERR_NONE) {
        log->at = QLOG_BLOCK_BYTES;
        return ERR_NONE;
    }
    if (e != ERR_NO_SPACE || !go_on(log)) return e;
    log->prepare_error = ERR_NO_SPACE;
    recovery->no_space = true;
    return ERR_NONE;
}

/* finish_job - wait for what the log thread has, and take it in. */
static struct qlog_progress finish_job(struct qlog *log)
{
    struct qlog_progress p;
    pthread_mutex_lock(&log->lock);
    while (log->job_state == JOB_READY || log->job_state == JOB_BUSY) pthread_cond_wait(&log->done, &log->lock);
    pthread_mutex_unlock(&log->lock);
    qlog_collect(log, &p);
    return p;
}

/* flush - everything appended is on stable storage, or the error is given. */
static enum err flush(struct qlog *log)
{
    struct qlog_progress p = finish_job(log);
    while (p.error == ERR_NONE && (log->filling->used > 0 || log->lazy_due_ms != UINT64_MAX)) {
        qlog_hand_over(log, true);
        p = finish_job(log);
    }
    return p.error;
}

/* mark - a record about the log itself, on stable storage. */
static enum err mark(struct qlog *log, enum record_type type, uint64_t group)
{
    uint8_t memory[8];
    struct buf body = BUF_OVER(memory);
    struct qlog_place place;
    uint64_t of_group;
    buf_put_le(&body, group, 8);
    struct bytes part = buf_bytes(&body);
    enum err e = qlog_append(log, type, &part, 1, true, &place, &of_group);
    return e == ERR_NONE ? flush(log) : e;
}

enum err qlog_open(struct qlog **out, const struct qlog_options *options, struct qlog_position from, qlog_apply_fn *apply, void *context,
                   struct qlog_recovery *recovery)
{
    *recovery = (struct qlog_recovery){0};
    enum err e = check_options(options);
    if (e != ERR_NONE) return e;
    struct qlog *log = allocate(options);
    if (!log) return ERR_NO_MEMORY;

    e = qfile_folder(options->folder_fd, "log", &log->folder);
    if (e == ERR_NONE) e = qlog_recover_segments(log, recovery);
    if (e == ERR_NONE) e = qlog_replay(log, from, apply, context, recovery);
    if (e == ERR_NONE) e = begin(log, recovery);
    if (e == ERR_NONE) e = start_threads(log);
    if (e == ERR_NONE) e = mark(log, RECORD_RECOVERED, log->uncertain_group);
    if (e == ERR_NONE) {
        *out = log;
        return ERR_NONE;
    }
    stop_threads(log);
    free_all(log);
    return e;
}

void qlog_close(struct qlog *log)
{
    enum err e = flush(log);
    if (e == ERR_NONE) e = mark(log, RECORD_CLOSED, log->synced_group);
    /* A close that fails is a crash: recovery knows what to do, and nobody here could do more. */
    (void)e;
    stop_threads(log);
    free_all(log);
}
