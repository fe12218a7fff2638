/*
 * log - the loop's side of the commit log: appending, handing over, collecting, and what a failure means.
 *
 * Two batches: the loop fills one while the log thread writes the other. Whether the next record begins a new group is decided when a batch is handed
 * over, so places and groups are known at once. When a batch fails, everything after the last sync is void: the batch, what was lazily written before it
 * in the same group, and what is being filled. Then nothing is taken until void records are on stable storage in another segment.
 */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

static void log_check(const struct qlog *log)
{
    const struct batch *b = log->filling;
    must(b == &log->batches[0] || b == &log->batches[1]);
    must(b->extent_count <= EXTENTS_MAX && b->used <= BATCH_MEMORY_BYTES);
    must(log->failing || (log->current && log->at >= QLOG_BLOCK_BYTES && log->at <= log->current->bytes));
    must(log->at % RECORD_ALIGN_BYTES == 0);
}

/* pad_extent - zeroes up to the end of the block, so that the kernel need not read it before it is written. Gives the place behind. */
static void pad_extent(struct batch *b)
{
    if (b->extent_count == 0) return;
    struct extent *x = &b->extents[b->extent_count - 1];
    uint32_t padding = block_up(x->offset + x->bytes) - (x->offset + x->bytes);
    must(x->start + x->bytes == b->used && padding <= BATCH_MEMORY_BYTES - b->used);
    memset(b->memory + b->used, 0, padding);
    x->bytes += padding;
    b->used += padding;
}

static void reset_batch(struct batch *b, uint64_t group)
{
    b->used = 0;
    b->extent_count = 0;
    b->group = group;
    b->sync = false;
}

/* change_segment - the next record does not fit behind `at`. The batch is synced then, so that a group touches two segments at most. */
static enum err change_segment(struct qlog *log)
{
    struct batch *b = log->filling;
    struct segment *s;
    if (b->extent_count == EXTENTS_MAX) return ERR_AGAIN;
    enum err e = qlog_segment_take(log, &s);
    if (e != ERR_NONE) return e;
    pad_extent(b);
    b->sync = true;
    log->current = s;
    log->at = QLOG_BLOCK_BYTES;
    return ERR_NONE;
}

/* extend - the batch's extent that ends at `at` of the current segment, a new one if there is none. */
static struct extent *extend(struct qlog *log)
{
    struct batch *b = log->filling;
    struct extent *x = b->extent_count > 0 ? &b->extents[b->extent_count - 1] : NULL;
    if (x && x->segment == log->current && x->offset + x->bytes == log->at) return x;
    must(b->extent_count < EXTENTS_MAX);
    x = &b->extents[b->extent_count++];
    *x = (struct extent){.segment = log->current, .offset = log->at, .start = b->used, .bytes = 0};
    return x;
}

/* put_record - the record into the batch; there is room in both batch and segment. */
static void put_record(struct qlog *log, enum record_type type, const struct bytes *parts, uint32_t part_count, uint32_t body_bytes,
                       struct qlog_place *place)
{
    struct batch *b = log->filling;
    struct extent *x = extend(log);
    uint8_t *start = b->memory + b->used, *to = start + QLOG_HEADER_BYTES;
    for (uint32_t i = 0; i < part_count; i++) {
        if (parts[i].len > 0) memcpy(to, parts[i].ptr, parts[i].len);
        to += parts[i].len;
    }
    uint32_t span = record_span(body_bytes);
    memset(to, 0, span - QLOG_HEADER_BYTES - body_bytes);
    struct record_head h = {
        .type = (uint8_t)type,
        .body_bytes = body_bytes,
        .offset = log->at,
        .log_id = log->uuid[0],
        .generation = log->current->generation,
        .group = log->group,
        .sequence = log->sequence,
        .index = log->index,
        .body_crc = crc32c(0, bytes_of(start + QLOG_HEADER_BYTES, body_bytes)),
    };
    record_head_put(start, &h);
    *place = (struct qlog_place){h.generation, h.offset, QLOG_HEADER_BYTES + body_bytes};
    log->last = (struct qlog_position){h.generation, h.group, h.sequence, h.offset + place->bytes};
    log->sequence++;
    log->index++;
    log->at += span;
    b->used += span;
    x->bytes += span;
}

/* reserve - room for `span` octets in the batch and in a segment. */
static enum err reserve(struct qlog *log, enum record_type type, uint32_t span)
{
    const struct batch *b = log->filling;
    enum err why;
    if (type == RECORD_ACCEPT && b->used >= QLOG_BATCH_BYTES_MAX) return ERR_AGAIN;
    if (BATCH_MEMORY_BYTES - b->used < span + 2 * QLOG_BLOCK_BYTES) return ERR_AGAIN;
    if (type == RECORD_ACCEPT && !qlog_accepts_welcome(log, &why)) return why;
    return log->current->bytes - log->at < span ? change_segment(log) : ERR_NONE;
}

enum err qlog_append(struct qlog *log, enum record_type type, const struct bytes *parts, uint32_t part_count, bool sync, struct qlog_place *place,
                     uint64_t *group)
{
    uint64_t body_bytes = 0;
    must(type > RECORD_NONE && type < RECORD_TYPE_COUNT && part_count <= QLOG_PARTS_MAX);
    log_check(log);
    for (uint32_t i = 0; i < part_count; i++) body_bytes += parts[i].len;
    uint64_t most = log->options.segment_bytes - QLOG_BLOCK_BYTES - QLOG_HEADER_BYTES;
    if (body_bytes > QLOG_RECORD_BYTES_MAX || body_bytes > most) return ERR_TOO_LONG;
    if (log->failing) return log->error;

    enum err e = reserve(log, type, record_span((uint32_t)body_bytes));
    if (e != ERR_NONE) return e;
    put_record(log, type, parts, part_count, (uint32_t)body_bytes, place);
    *group = log->group;
    if (sync) log->filling->sync = true;
    else if (log->lazy_due_ms == UINT64_MAX) log->lazy_due_ms = clock_mono_ms() + QLOG_LAZY_MS;
    log_check(log);
    return ERR_NONE;
}

static void begin_group(struct qlog *log)
{
    log->group++;
    log->group_sequence = log->sequence;
    log->index = 0;
    log->at = block_up(log->at);
    log->lazy_due_ms = UINT64_MAX;
}

void qlog_hand_over(struct qlog *log, bool sync)
{
    struct batch *b = log->filling;
    pad_extent(b);
    b->sync = sync;
    log->job_group = b->group;
    log->job_sequence = log->group_sequence;
    log->job_end = log->last;
    log->job_watch_ms = clock_mono_ms() + WATCH_MS;
    log->filling = b == &log->batches[0] ? &log->batches[1] : &log->batches[0];
    if (sync) begin_group(log);
    reset_batch(log->filling, log->group);

    pthread_mutex_lock(&log->lock);
    must(log->job_state == JOB_IDLE);
    log->job = b;
    log->job_state = JOB_READY;
    log->wake = false;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
}

/* ask_if_idle - whether a batch can be handed over; if not, the thread will wake the loop when one can. */
static bool ask_if_idle(struct qlog *log)
{
    pthread_mutex_lock(&log->lock);
    /* A lazy batch that went well tells nobody, so nobody may have collected it. */
    if (log->job_state == JOB_DONE && log->job_error == ERR_NONE && !log->job->sync) log->job_state = JOB_IDLE;
    bool idle = log->job_state == JOB_IDLE;
    if (!idle) log->wake = true;
    pthread_mutex_unlock(&log->lock);
    return idle;
}

/* restart - after a failure: void records for all that failed, alone in another segment. */
static void restart(struct qlog *log)
{
    struct segment *s;
    log->retry_ms = clock_mono_ms() + RETRY_MS;
    if (qlog_segment_take(log, &s) != ERR_NONE) return;
    log->current = s;
    log->at = QLOG_BLOCK_BYTES;
    log->index = 0;
    reset_batch(log->filling, log->group);
    for (uint64_t n = log->void_first; n <= log->void_last; n++) {
        uint8_t memory[8];
        struct buf body = BUF_OVER(memory);
        struct qlog_place place;
        buf_put_le(&body, n, 8);
        struct bytes part = buf_bytes(&body);
        put_record(log, RECORD_VOID, &part, 1, part.len, &place);
    }
    log->restarting = true;
    qlog_hand_over(log, true);
}

void qlog_kick(struct qlog *log)
{
    log_check(log);
    const struct batch *b = log->filling;
    bool lazy_is_due = log->lazy_due_ms != UINT64_MAX && clock_mono_ms() >= log->lazy_due_ms;
    if (log->failing) {
        if (!log->restarting && clock_mono_ms() >= log->retry_ms) restart(log);
        return;
    }
    if (b->used == 0 && !lazy_is_due) return;
    if (ask_if_idle(log)) qlog_hand_over(log, b->sync || lazy_is_due);
}

/* void_unsynced - everything since the last sync counts for nothing; its sequences are used again. */
static void void_unsynced(struct qlog *log)
{
    const struct batch *b = log->filling;
    log->void_first = log->job_group;
    log->void_told = log->job_group - 1;
    log->void_last = b->used > 0 ? b->group : log->job_group;
    log->group = log->void_last + 1;
    pthread_mutex_lock(&log->lock);
    for (uint64_t n = log->void_first; n <= log->void_last; n++) {
        /* Only readers of whole segments ask for it: without memory they see void records, whose messages nobody knows. */
        if (qlog_numbers_add(&log->voids, n) != ERR_NONE) break;
    }
    pthread_mutex_unlock(&log->lock);
}

static void on_failure(struct qlog *log, enum err e)
{
    log->error = e;
    if (log->restarting) {
        /* Only void records were in it: the same group says the same again elsewhere. */
        qlog_segment_give_back(log, log->current);
        log->group = log->job_group;
        log->restarting = false;
    } else {
        void_unsynced(log);
        log->failing = true;
        log->retry_ms = 0;
    }
    log->current = NULL;
    log->at = 0;
    log->sequence = log->group_sequence = log->job_sequence;
    log->index = 0;
    log->last = log->synced;
    log->lazy_due_ms = UINT64_MAX;
    reset_batch(log->filling, log->group);
    qlog_kick(log);
}

static void on_success(struct qlog *log, const struct batch *b, struct qlog_position end)
{
    if (!b->sync) return;
    log->synced = end;
    log->synced_group = b->group;
    if (!log->restarting) return;
    log->restarting = false;
    log->failing = false;
    log->error = ERR_NONE;
}

void qlog_collect(struct qlog *log, struct qlog_progress *p)
{
    log_check(log);
    pthread_mutex_lock(&log->lock);
    bool done = log->job_state == JOB_DONE && log->void_told == log->void_last; /* one failure at a time */
    const struct batch *b = log->job;
    enum err e = log->job_error;
    if (done) log->job_state = JOB_IDLE;
    pthread_mutex_unlock(&log->lock);
    /* A sync that takes longer than the watch: looked at, and to be looked at again later, not at once for ever. */
    if (!done && clock_mono_ms() >= log->job_watch_ms) log->job_watch_ms = clock_mono_ms() + WATCH_MS;

    if (done && e == ERR_NONE) on_success(log, b, log->job_end);
    else if (done) on_failure(log, e);

    *p = (struct qlog_progress){.synced_group = log->synced_group, .error = log->error, .position = log->synced};
    if (log->void_told < log->void_last) p->voided_group = ++log->void_told;
    log_check(log);
}

struct qlog_position qlog_last(const struct qlog *log)
{
    return log->last;
}

uint64_t qlog_deadline_ms(const struct qlog *log)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&log->lock;
    pthread_mutex_lock(lock);
    bool works = log->job_state != JOB_IDLE;
    bool wakes = log->wake || log->job_state == JOB_IDLE || log->job->sync;
    pthread_mutex_unlock(lock);
    if (works && wakes) return log->job_watch_ms;
    if (log->failing) return log->retry_ms;
    return log->lazy_due_ms;
}
