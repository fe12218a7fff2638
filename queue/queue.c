/*
 * queue - opening, turning over, and closing the whole.
 */
#include "queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "queue/state.h"

enum {
    SAY_BYTES = 512,
    DISK_CHECK_MS = 1000,
    UNWRITTEN_MS = 50,       /* what waits for room in the log, or for messages to be moved, is tried again so soon */
    FAULT_MS = 1000,
    LOG_FULL_MS = 500,       /* an accept is tried again so long after the log was full */
    TRIAL_MS = 30000,        /* a process that lives so long does not die of its index */
    CLOSE_MS = 5000,         /* how long closing waits for the disk */
    CLOSE_POLL_MS = 20,
    SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
    CACHE_BYTES_DEFAULT = 32 * 1024 * 1024
};

/* ---- small things ---- */

void queue_time(struct queue *q, uint64_t now_ms, int64_t now_wall_us)
{
    q->now_ms = now_ms;
    q->now_wall_us = now_wall_us;
    schedule_time(&q->schedule, now_ms, now_wall_us);
}

void queue_say_id(struct queue *q, bool warning, const char *text, struct message_id id, enum err e)
{
    uint8_t memory[SAY_BYTES];
    struct buf out = BUF_OVER(memory);
    if (!*text) return;
    BUF_LIT(&out, "queue: ");
    if (id.v) {
        message_id_print(&out, id);
        BUF_LIT(&out, ": ");
    }
    buf_put_cstr(&out, text);
    if (e) {
        BUF_LIT(&out, ": ");
        buf_put_cstr(&out, err_text(e));
    }
    q->options.say(q->options.context, warning, buf_bytes(&out));
}

void queue_say(struct queue *q, bool warning, const char *text)
{
    queue_say_id(q, warning, text, (struct message_id){0}, ERR_NONE);
}

void queue_fail(struct queue *q, enum err e, const char *why)
{
    if (q->fault) return;
    q->fault = e;
    /* Before the process is open, recovery says what it does about it. */
    if (q->opened) queue_say_id(q, true, why, (struct message_id){0}, e);
}

enum err queue_fault(const struct queue *q)
{
    return q->fault;
}

uint64_t queue_random(struct queue *q)
{
    q->random ^= q->random << 13; /* Marsaglia's xorshift64 */
    q->random ^= q->random >> 7;
    q->random ^= q->random << 17;
    return q->random;
}

struct message_id queue_new_id(struct queue *q, int64_t now_wall_us)
{
    return ids_next(&q->ids, now_wall_us);
}

/* ---- opening ---- */

static void set_options(struct queue *q, const struct queue_options *options)
{
    int folder_fd = q->options.folder_fd;
    q->options = *options;
    if (q->opened) q->options.folder_fd = folder_fd;
    if (!q->options.segment_bytes) q->options.segment_bytes = SEGMENT_BYTES_DEFAULT;
    if (!q->options.body_cache_bytes) q->options.body_cache_bytes = CACHE_BYTES_DEFAULT;
    retry_set(&q->retry, options->retry_s, options->retry_count, options->retry_max_s, options->retry_exact);
    q->options.retry_s = NULL;
    q->resident_max = options->resident_max ? options->resident_max : RESIDENT_MAX_DEFAULT;
    q->ids.node = options->node & IDS_NODE_MAX;
    q->bodies.bytes_max = q->options.body_cache_bytes;
}

void queue_configure(struct queue *q, const struct queue_options *options)
{
    uint64_t segment_bytes = q->options.segment_bytes;
    set_options(q, options);
    q->options.segment_bytes = segment_bytes;
    q->schedule.limit = options->destination_connections ? options->destination_connections : DESTINATION_LIMIT_DEFAULT;
}

static enum err open_folder(int folder_fd, const char *name, int *fd)
{
    if (mkdirat(folder_fd, name, 0700) != 0 && errno != EEXIST) return err_from_errno(errno);
    *fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 ? err_from_errno(errno) : ERR_NONE;
}

static enum err open_files(struct queue *q)
{
    int folder = q->options.folder_fd;
    if (fchdir(folder) != 0) return err_from_errno(errno);
    q->lock_fd = openat(folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (q->lock_fd < 0) return err_from_errno(errno);
    if (flock(q->lock_fd, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? ERR_BUSY : err_from_errno(errno);
    q->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (q->event_fd < 0) return err_from_errno(errno);
    enum err e = open_folder(folder, "body", &q->bodies_fd);
    if (!e && fsync(folder) != 0) e = err_from_errno(errno);
    return e;
}

static void init_lists(struct queue *q)
{
    struct link *const lists[] = {&q->syncing, &q->waiting, &q->pending, &q->refused, &q->dirty, &q->snapped, &q->clean, &q->fresh};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) link_init(lists[i]);
    kept_init(&q->kept);
    body_cache_init(&q->bodies, q->options.body_cache_bytes);
    q->read_last = &q->read_first;
}

static enum err init_memory(struct queue *q)
{
    uint64_t most = q->options.segment_bytes - QLOG_BLOCK_BYTES - 2 * QLOG_HEADER_BYTES;
    q->record_bytes_max = most < QLOG_RECORD_BYTES_MAX ? (uint32_t)most : QLOG_RECORD_BYTES_MAX;
    q->record_memory = malloc(q->record_bytes_max);
    q->runs_memory = malloc(RUNS_BYTES_MAX);
    q->bounce_memory = malloc(BOUNCE_BYTES_MAX);
    if (!q->record_memory || !q->runs_memory || !q->bounce_memory) return ERR_NO_MEMORY;
    if (getrandom(&q->random, sizeof(q->random), 0) != sizeof(q->random) || q->random == 0) q->random = 1;
    enum err e = message_table_init(&q->table);
    if (!e) e = schedule_init(&q->schedule, q->options.destination_connections);
    if (!e) e = origins_init(&q->origins);
    if (!e) e = heap_init(&q->notices, 0);
    return e;
}

static enum err start_threads(struct queue *q)
{
    enum err e = thread_start(&q->index_thread, q->event_fd);
    if (!e) e = thread_start(&q->read_thread, q->event_fd);
    if (!e) e = thread_start(&q->sync_thread, q->event_fd);
    return e;
}

static void check_disk(struct queue *q)
{
    struct statvfs st;
    if (q->now_ms < q->disk_check_ms || q->options.min_free_bytes == 0) return;
    q->disk_check_ms = q->now_ms + DISK_CHECK_MS;
    if (fstatvfs(q->options.folder_fd, &st) != 0) return;
    bool low = (uint64_t)st.f_bavail * st.f_frsize < q->options.min_free_bytes;
    if (low != q->disk_low) {
        queue_say(q, low, low ? "the file system is nearly full: new mail is refused, deliveries go on" : "there is space again: new mail is taken");
    }
    q->disk_low = low;
}

static enum err open_all(struct queue *q)
{
    enum err e = open_files(q);
    if (!e) e = init_memory(q);
    if (e) return e;
    queue_time(q, q->now_ms, q->now_wall_us);
    e = recover_index(q);
    if (!e) e = recover_log(q);
    if (!e) e = start_threads(q);
    if (e) return e;
    recover_sweep(q);
    qlog_collect(q->log, &q->progress);
    check_disk(q);
    q->checkpoint.done_ms = q->now_ms;
    q->opened_ms = q->now_ms;
    q->opened = true;
    return ERR_NONE;
}

static void free_all(struct queue *q);

enum err queue_open(struct queue **out, const struct queue_options *options, int64_t now_wall_us, uint64_t now_ms)
{
    must(options->route && options->say);
    struct queue *q = calloc(1, sizeof(*q));
    if (!q) return ERR_NO_MEMORY;
    q->lock_fd = q->bodies_fd = q->event_fd = -1;
    q->now_ms = now_ms;
    q->now_wall_us = now_wall_us;
    set_options(q, options);
    init_lists(q);
    enum err e = open_all(q);
    if (e) {
        free_all(q);
        return e;
    }
    *out = q;
    return ERR_NONE;
}

/* ---- turning ---- */

void queue_turn(struct queue *q, int64_t now_wall_us, uint64_t now_ms)
{
    queue_time(q, now_ms, now_wall_us);
    schedule_turn(&q->schedule);
    outcome_flush(q);
    accept_retry(q);
    load_turn(q);
    compact_turn(q);
    checkpoint_turn(q);
    resident_evict_some(q);
    check_disk(q);
    if (q->log_full && now_ms - q->log_full_ms >= LOG_FULL_MS) q->log_full = ERR_NONE;
    if (!q->survived && now_ms - q->opened_ms >= TRIAL_MS && !q->fault) {
        q->survived = true;
        recover_trial(q, false);
    }
    qlog_kick(q->log);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t queue_deadline_ms(const struct queue *q, uint64_t now_ms, int64_t now_wall_us)
{
    const struct checkpoint *c = &q->checkpoint;
    uint64_t next = least(qlog_deadline_ms(q->log), schedule_deadline_ms(&q->schedule));
    const struct heap_node *notice = heap_first(&q->notices);
    (void)now_wall_us;
    if (notice) next = least(next, notice->key);
    if (!q->notices_loading) next = least(next, q->index_notice_ms);
    struct qlog_position last = qlog_last(q->log);
    bool changed = q->dirty_count > 0 || last.sequence != c->position.sequence || last.generation != c->position.generation;
    if (q->fault) return now_ms + FAULT_MS; /* nothing is done any more until the restart */
    if (c->state == CHECKPOINT_IDLE && changed && !q->kept.unwritten && !q->progress.error) next = least(next, c->wanted ? now_ms : c->done_ms + CHECKPOINT_MS);
    if (c->state == CHECKPOINT_FAILED) next = least(next, c->retry_ms);
    if (q->compaction.active || q->kept.unwritten) next = least(next, now_ms + UNWRITTEN_MS);
    if (q->disk_low) next = least(next, q->disk_check_ms);
    return next;
}

/* ---- operating ---- */

void queue_totals(const struct queue *q, struct queue_totals *t)
{
    struct qlog_sizes sizes;
    const struct checkpoint *c = &q->checkpoint;
    const struct audit *a = &q->audit;
    qlog_sizes(q->log, &sizes);
    *t = (struct queue_totals){.messages = q->messages,
                               .rcpts = q->schedule.queued,
                               .bytes = q->message_bytes,
                               .held = q->held,
                               .resident = q->table.count,
                               .destinations = q->schedule.count,
                               .suspended = q->schedule.suspended_count,
                               .log_segments = sizes.segments,
                               .log_bytes = sizes.bytes,
                               .checkpoints = c->count,
                               .groups = q->progress.synced_group,
                               .checkpoint_age_ms = q->now_ms - c->done_ms};
    for (const struct link *l = link_first(&q->schedule.all); l; l = link_after(&q->schedule.all, l)) {
        t->active_rcpts += LINK_OF(l, struct destination, all)->open;
    }
    t->active_rcpts += q->taken;
    t->deferred_rcpts = t->rcpts > t->active_rcpts ? t->rcpts - t->active_rcpts : 0;
    struct message_id oldest = q->index_oldest;
    const struct link *fresh = link_first(&q->fresh);
    if (fresh && (oldest.v == 0 || LINK_OF(fresh, struct message, fresh)->m.id.v < oldest.v)) oldest = LINK_OF(fresh, struct message, fresh)->m.id;
    if (q->messages > 0 && oldest.v) t->oldest_wall_us = ids_wall_us(oldest);
    t->audit.accepted = a->accepted;
    t->audit.delivered = a->delivered;
    t->audit.bounced = a->bounced;
    t->audit.expired = a->expired;
    t->audit.removed = a->removed;
    t->audit.queued = q->schedule.queued;
    t->audit.balanced = a->accepted == a->delivered + a->bounced + a->expired + a->removed + q->schedule.queued;
}

/* ---- closing ---- */

static bool is_settled(const struct queue *q)
{
    return !q->kept.first && link_is_empty(&q->pending) && link_is_empty(&q->syncing) && link_is_empty(&q->waiting) &&
           q->checkpoint.state == CHECKPOINT_IDLE && q->loads == 0 && q->compaction.outstanding == 0;
}

/* settle - wait until the log has what memory has; events tell nobody any more. */
static void settle(struct queue *q)
{
    uint64_t end_ms = clock_mono_ms() + CLOSE_MS;
    struct queue_event e;
    do {
        outcome_flush(q);
        qlog_kick(q->log);
        while (queue_collect(q, &e, q->now_wall_us, clock_mono_ms())) {
            if (e.content.fd >= 0) close(e.content.fd);
        }
        if (is_settled(q)) return;
        struct pollfd p = {q->event_fd, POLLIN, 0};
        poll(&p, 1, CLOSE_POLL_MS);
    } while (clock_mono_ms() < end_ms);
}

static void stop_threads(struct queue *q)
{
    struct queue_event e;
    thread_stop(&q->index_thread);
    thread_stop(&q->read_thread);
    thread_stop(&q->sync_thread);
    if (!q->opened) return;
    q->fault = q->fault ? q->fault : ERR_GONE; /* nothing new begins */
    while (queue_collect(q, &e, q->now_wall_us, q->now_ms)) {
        if (e.content.fd >= 0) close(e.content.fd);
    }
}

static void free_all(struct queue *q)
{
    struct message *m;
    stop_threads(q);
    if (q->log) qlog_close(q->log);
    if (q->index) index_close(q->index);
    while (q->table.buckets && (m = message_table_next(&q->table, NULL)) != NULL) resident_drop(q, m);
    resident_sweep(q);
    message_table_fini(&q->table);
    arena_fini(&q->checkpoint.arena);
    schedule_fini(&q->schedule);
    segments_fini(&q->segments);
    origins_fini(&q->origins);
    heap_fini(&q->notices);
    kept_fini(&q->kept);
    while (q->unlinking) {
        struct unlinking *next = q->unlinking->next;
        free(q->unlinking);
        q->unlinking = next;
    }
    while (q->open_bodies) {
        struct open_body *next = q->open_bodies->next;
        free(q->open_bodies);
        q->open_bodies = next;
    }
    free(q->route_memory);
    free(q->notice_memory);
    free(q->record_memory);
    free(q->runs_memory);
    free(q->bounce_memory);
    if (q->bodies_fd >= 0) close(q->bodies_fd);
    if (q->event_fd >= 0) close(q->event_fd);
    if (q->lock_fd >= 0) close(q->lock_fd);
    free(q);
}

void queue_close(struct queue *q, int64_t now_wall_us, uint64_t now_ms)
{
    queue_time(q, now_ms, now_wall_us);
    settle(q);
    bool whole = is_settled(q) && !q->fault && !q->progress.error;
    stop_threads(q);
    /* Nothing is unsynced now: memory is what the log says, and the next start has nothing to replay. */
    if (whole && checkpoint_now(q, qlog_last(q->log)) == ERR_NONE) recover_trial(q, false);
    free_all(q);
}
