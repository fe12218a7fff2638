/*
 * log_segment - segment files: made, filled with zeroes, taken into use, found for readers, retired; and the thread that prepares them.
 *
 * A file is filled once and reused for ever. Before it can be reused its head says durably that all in it is dead. A new file gets its name only when
 * it is whole, so a crash leaves *.new files at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

/* Zeroes are synced in slices, so that a commit never waits for more than one of them. */
enum { SLICE_BYTES = 4 * 1024 * 1024, ZEROES_BYTES = 256 * 1024, SLICE_PAUSE_MS = 2 };

void qlog_segment_name(char out[FILE_NAME_BYTES], uint32_t number, const char *suffix)
{
    int n = snprintf(out, FILE_NAME_BYTES, "%04u.%s", number, suffix);
    must(n > 0 && n < FILE_NAME_BYTES);
}

enum err qlog_segment_write_head(const struct qlog *log, const struct segment *s)
{
    /* The whole block, so that the kernel need not read it first. */
    uint8_t block[QLOG_BLOCK_BYTES] = {0};
    struct segment_head h = {
        .uuid = {log->uuid[0], log->uuid[1]},
        .generation = s->generation,
        .retired = s->retired,
        .oldest = s->oldest,
        .segment_bytes = s->bytes,
        .first_group = s->first_group,
        .first_sequence = s->first_sequence,
    };
    segment_head_put(block, &h);
    return qfile_write(s->fd, 0, block, sizeof(block));
}

void qlog_segment_free(struct segment *s)
{
    if (!s) return;
    close(s->fd);
    free(s);
}

static enum err segments_reserve(struct qlog *log)
{
    if (log->live_count + log->idle_count < log->segments_cap) return ERR_NONE;
    uint32_t cap = log->segments_cap ? log->segments_cap * 2 : 64;
    struct segment **live = reallocarray(log->live, cap, sizeof(struct segment *));
    if (live) log->live = live;
    struct segment **idle = reallocarray(log->idle, cap, sizeof(struct segment *));
    if (idle) log->idle = idle;
    if (!live || !idle) return ERR_NO_MEMORY;
    log->segments_cap = cap;
    return ERR_NONE;
}

enum err qlog_segments_add_idle(struct qlog *log, struct segment *s)
{
    enum err e = segments_reserve(log);
    if (e == ERR_NONE) log->idle[log->idle_count++] = s;
    return e;
}

enum err qlog_segments_add_live(struct qlog *log, struct segment *s)
{
    enum err e = segments_reserve(log);
    if (e == ERR_NONE) log->live[log->live_count++] = s;
    return e;
}

static void remove_idle(struct qlog *log, const struct segment *s)
{
    uint32_t i = 0;
    while (log->idle[i] != s) {
        i++;
        must(i < log->idle_count);
    }
    log->idle[i] = log->idle[--log->idle_count];
}

static struct segment *find_idle(const struct qlog *log, enum segment_state state)
{
    for (uint32_t i = 0; i < log->idle_count; i++) {
        if (log->idle[i]->state == state) return log->idle[i];
    }
    return NULL;
}

static uint32_t count_idle(const struct qlog *log, enum segment_state state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < log->idle_count; i++) n += log->idle[i]->state == state;
    return n;
}

static void sleep_ms(uint32_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR) continue;
}

static bool is_stopping(struct qlog *log)
{
    pthread_mutex_lock(&log->lock);
    bool stop = log->stop;
    pthread_mutex_unlock(&log->lock);
    return stop;
}

static enum err fill_with_zeroes(struct qlog *log, int fd, uint64_t bytes, uint32_t pause_ms)
{
    static const uint8_t zeroes[ZEROES_BYTES];
    enum err e = ERR_NONE;
    for (uint64_t at = 0; at < bytes && e == ERR_NONE;) {
        uint64_t n = bytes - at < ZEROES_BYTES ? bytes - at : ZEROES_BYTES;
        e = qfile_write(fd, at, zeroes, n);
        at += n;
        if (e != ERR_NONE || pause_ms == 0 || at % SLICE_BYTES != 0) continue;
        e = qfile_sync(fd);
        if (e == ERR_NONE && is_stopping(log)) e = ERR_GONE;
        sleep_ms(pause_ms);
    }
    return e;
}

enum err qlog_segment_create(struct qlog *log, uint32_t number, uint32_t pause_ms, struct segment **out)
{
    char temporary[FILE_NAME_BYTES], name[FILE_NAME_BYTES];
    qlog_segment_name(temporary, number, "new");
    qlog_segment_name(name, number, "seg");
    struct segment *s = calloc(1, sizeof(*s));
    if (!s) return ERR_NO_MEMORY;
    *s = (struct segment){.fd = -1, .number = number, .bytes = log->options.segment_bytes, .state = SEGMENT_SPARE};
    enum err e = qfile_open(log->folder, temporary, O_RDWR | O_CREAT | O_EXCL, &s->fd);
    if (e != ERR_NONE) {
        free(s);
        return e;
    }

    e = fill_with_zeroes(log, s->fd, s->bytes, pause_ms);
    if (e == ERR_NONE) e = qlog_segment_write_head(log, s);
    if (e == ERR_NONE) e = qfile_sync_all(s->fd);
    if (e == ERR_NONE && renameat(log->folder, temporary, log->folder, name) != 0) e = err_from_errno(errno);
    if (e == ERR_NONE) e = qfile_sync_all(log->folder);
    if (e == ERR_NONE) {
        *out = s;
        return ERR_NONE;
    }
    /* One of the two names exists; a file that stays because this fails too is found as a spare, or cleared away, at the next start. */
    unlinkat(log->folder, temporary, 0);
    unlinkat(log->folder, name, 0);
    qlog_segment_free(s);
    return e;
}

enum err qlog_segment_take(struct qlog *log, struct segment **out)
{
    pthread_mutex_lock(&log->lock);
    struct segment *s = find_idle(log, SEGMENT_SPARE);
    enum err e = ERR_NONE;
    if (!s) {
        e = log->prepare_error != ERR_NONE ? log->prepare_error : ERR_AGAIN;
    } else {
        remove_idle(log, s);
        s->state = SEGMENT_LIVE;
        s->generation = ++log->newest;
        s->oldest = log->live_count > 0 ? log->live[0]->generation : s->generation;
        s->first_group = log->group;
        s->first_sequence = log->sequence;
        s->head_pending = true;
        log->live[log->live_count++] = s;
        *out = s;
    }
    pthread_cond_signal(&log->prepare);
    pthread_mutex_unlock(&log->lock);
    return e;
}

/* retire - from the list of live ones, where it is at `place`. */
static void retire(struct qlog *log, uint32_t place)
{
    struct segment *s = log->live[place];
    log->live_count--;
    for (uint32_t i = place; i < log->live_count; i++) log->live[i] = log->live[i + 1];
    s->retired = s->generation;
    s->generation = 0;
    s->oldest = s->first_group = s->first_sequence = 0;
    s->head_pending = false;
    s->state = SEGMENT_RETIRED;
    log->idle[log->idle_count++] = s;
}

void qlog_segment_give_back(struct qlog *log, struct segment *s)
{
    pthread_mutex_lock(&log->lock);
    must(log->live_count > 0 && log->live[log->live_count - 1] == s);
    retire(log, log->live_count - 1);
    pthread_cond_signal(&log->prepare);
    pthread_mutex_unlock(&log->lock);
}

void qlog_recycle(struct qlog *log, uint64_t generation)
{
    /* What is not synced yet lies in the last synced record's segment or behind it. */
    if (generation > log->synced.generation) generation = log->synced.generation;
    pthread_mutex_lock(&log->lock);
    uint32_t n = 0;
    while (log->live_count > 0 && log->live[0]->generation < generation && log->live[0] != log->current) {
        retire(log, 0);
        n++;
    }
    if (n > 0) {
        log->prepare_due_ms = 0;
        log->prepare_error = ERR_NONE;
        pthread_cond_signal(&log->prepare);
    }
    pthread_mutex_unlock(&log->lock);
}

struct segment *qlog_segment_hold(struct qlog *log, uint64_t generation)
{
    struct segment *found = NULL;
    pthread_mutex_lock(&log->lock);
    uint32_t low = 0, high = log->live_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log->live[middle]->generation < generation) low = middle + 1;
        else high = middle;
    }
    if (low < log->live_count && log->live[low]->generation == generation) found = log->live[low];
    if (found) found->readers++;
    pthread_mutex_unlock(&log->lock);
    return found;
}

void qlog_segment_let_go(struct qlog *log, struct segment *s)
{
    pthread_mutex_lock(&log->lock);
    must(s->readers > 0);
    s->readers--;
    pthread_mutex_unlock(&log->lock);
}

bool qlog_accepts_welcome(struct qlog *log, enum err *why)
{
    if (log->current && (log->current->bytes - log->at) >= log->current->bytes / RESERVE_PART) return true;
    pthread_mutex_lock(&log->lock);
    bool ready = find_idle(log, SEGMENT_SPARE) != NULL;
    if (!ready) *why = log->prepare_error != ERR_NONE ? log->prepare_error : ERR_AGAIN;
    pthread_mutex_unlock(&log->lock);
    return ready;
}

/* ---- the preparing thread; all of it is entered and left with the lock held ---- */

static void failed(struct qlog *log, enum err e)
{
    log->prepare_error = e;
    log->prepare_due_ms = clock_mono_ms() + PREPARE_RETRY_MS;
}

/* remove_file - a spare too many, or of a size that is not wanted any more. Its head is a spare's already, should the name come back. */
static bool remove_file(struct qlog *log, struct segment *s)
{
    char name[FILE_NAME_BYTES];
    if (s->readers > 0) return false;
    qlog_segment_name(name, s->number, "seg");
    pthread_mutex_unlock(&log->lock);
    bool gone = unlinkat(log->folder, name, 0) == 0 || errno == ENOENT;
    pthread_mutex_lock(&log->lock);
    if (!gone) return false;
    remove_idle(log, s);
    log->file_bytes -= s->bytes;
    qlog_segment_free(s);
    return true;
}

/* make_spare - false when it must be tried again later. */
static bool make_spare(struct qlog *log, struct segment *s)
{
    s->state = SEGMENT_BEING_PREPARED;
    pthread_mutex_unlock(&log->lock);
    enum err e = qlog_segment_write_head(log, s);
    if (e == ERR_NONE) e = qfile_sync(s->fd);
    pthread_mutex_lock(&log->lock);

    bool wanted = s->bytes == log->options.segment_bytes && count_idle(log, SEGMENT_SPARE) < SPARES_KEPT;
    if (e == ERR_NONE && !wanted && remove_file(log, s)) return true;
    if (e == ERR_NONE && wanted) {
        s->state = SEGMENT_SPARE;
        return true;
    }
    s->state = SEGMENT_RETIRED;
    log->prepare_due_ms = clock_mono_ms() + PREPARE_RETRY_MS;
    if (e != ERR_NONE) log->prepare_error = e;
    return false;
}

static enum err room_for_file(const struct qlog *log)
{
    struct statvfs fs;
    if (fstatvfs(log->folder, &fs) != 0) return err_from_errno(errno);
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t need = log->options.min_free_bytes + log->options.segment_bytes;
    return available >= need ? ERR_NONE : ERR_NO_SPACE;
}

static void make_file(struct qlog *log)
{
    uint64_t bytes = log->options.segment_bytes;
    struct segment *s = NULL;
    if (log->options.max_bytes != 0 && log->file_bytes + bytes > log->options.max_bytes) {
        failed(log, ERR_FULL);
        return;
    }
    uint32_t number = log->next_number++;
    log->file_bytes += bytes;
    pthread_mutex_unlock(&log->lock);
    enum err e = log->options.min_free_bytes > 0 ? room_for_file(log) : ERR_NONE;
    if (e == ERR_NONE) e = qlog_segment_create(log, number, SLICE_PAUSE_MS, &s);
    pthread_mutex_lock(&log->lock);

    if (e == ERR_NONE) e = qlog_segments_add_idle(log, s);
    if (e == ERR_NONE) {
        log->prepare_error = ERR_NONE;
        return;
    }
    log->file_bytes -= bytes;
    qlog_segment_free(s);
    failed(log, e);
}

static void wait_until(struct qlog *log, uint64_t due_ms)
{
    struct timespec until = {.tv_sec = (time_t)(due_ms / 1000), .tv_nsec = (long)(due_ms % 1000) * 1000000};
    pthread_cond_timedwait(&log->prepare, &log->lock, &until);
}

void *qlog_preparer_main(void *context)
{
    struct qlog *log = context;
    bool file_first = false; /* a used file that cannot be made a spare must not stand in the way of a new one */
    pthread_mutex_lock(&log->lock);
    while (!log->stop) {
        struct segment *used = find_idle(log, SEGMENT_RETIRED);
        bool few = count_idle(log, SEGMENT_SPARE) < SPARES_WANTED;
        if (!used && !few) {
            pthread_cond_wait(&log->prepare, &log->lock);
        } else if (clock_mono_ms() < log->prepare_due_ms) {
            wait_until(log, log->prepare_due_ms);
        } else if (used && !(few && file_first)) {
            file_first = !make_spare(log, used);
        } else {
            make_file(log);
            file_first = false;
        }
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}
