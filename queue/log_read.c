/*
 * log_read - reading records by place or in order, and numbers about the log. Reading needs the lock only to find and keep the segment.
 */
#include "base/hash.h"
#include "base/must.h"
#include "queue/log_file.h"
#include "queue/log_internal.h"

enum { SEARCH_BYTES = 64 * 1024 };

static bool is_at(const struct qlog *log, const struct record_head *h, uint64_t generation, uint32_t offset)
{
    return h->log_id == log->uuid[0] && h->generation == generation && h->offset == offset;
}

static enum err read_exactly(int fd, uint64_t offset, uint8_t *to, uint32_t n)
{
    uint64_t got;
    enum err e = qfile_read(fd, offset, to, n, &got);
    if (e != ERR_NONE) return e;
    return got == n ? ERR_NONE : ERR_CORRUPT;
}

enum err qlog_read(struct qlog *log, const struct qlog_place *place, uint32_t body_offset, uint8_t *out, uint32_t n)
{
    uint8_t memory[QLOG_HEADER_BYTES];
    struct record_head h;
    if (place->bytes < QLOG_HEADER_BYTES) return ERR_CORRUPT; /* places come from the index, which is on disk */
    uint32_t body_bytes = place->bytes - QLOG_HEADER_BYTES;
    if (body_offset > body_bytes || n > body_bytes - body_offset) return ERR_BAD_VALUE;
    struct segment *s = qlog_segment_hold(log, place->generation);
    if (!s) return ERR_NOT_FOUND;

    enum err e = read_exactly(s->fd, place->offset, memory, sizeof(memory));
    bool is_it = e == ERR_NONE && record_head_get(memory, &h) && is_at(log, &h, place->generation, place->offset) && h.body_bytes == body_bytes;
    if (e == ERR_NONE && !is_it) e = ERR_CORRUPT;
    if (e == ERR_NONE) e = read_exactly(s->fd, (uint64_t)place->offset + QLOG_HEADER_BYTES + body_offset, out, n);
    if (e == ERR_NONE && n == body_bytes && crc32c(0, bytes_of(out, n)) != h.body_crc) e = ERR_CORRUPT;
    qlog_segment_let_go(log, s);
    return e;
}

static bool is_void(struct qlog *log, uint64_t group)
{
    pthread_mutex_lock(&log->lock);
    bool found = qlog_numbers_have(&log->voids, group);
    pthread_mutex_unlock(&log->lock);
    return found;
}

/* find_head - the first whole head at or behind *offset; there is room for SEARCH_BYTES at memory. */
static enum err find_head(const struct qlog *log, const struct segment *s, uint64_t generation, uint32_t *offset, uint8_t *memory,
                          struct record_head *h)
{
    struct bytes body;
    bool whole;
    uint32_t at = *offset;
    while (at < s->bytes && s->bytes - at >= QLOG_HEADER_BYTES) {
        uint64_t got, want = s->bytes - at < SEARCH_BYTES ? s->bytes - at : SEARCH_BYTES;
        enum err e = qfile_read(s->fd, at, memory, want, &got);
        if (e != ERR_NONE) return e;
        if (got < QLOG_HEADER_BYTES) break;
        struct record_scan scan = {.in = bytes_of(memory, (uint32_t)got), .base = at, .log_id = log->uuid[0], .generation = generation};
        if (record_scan_next(&scan, h, &body, &whole)) {
            *offset = h->offset;
            return ERR_NONE;
        }
        at += (uint32_t)(got - QLOG_HEADER_BYTES + RECORD_ALIGN_BYTES) & ~(uint32_t)(RECORD_ALIGN_BYTES - 1);
    }
    return ERR_NOT_FOUND;
}

enum err qlog_next(struct qlog *log, uint64_t generation, uint32_t *offset, struct qlog_found *found)
{
    uint8_t memory[SEARCH_BYTES];
    struct record_head h;
    uint32_t at = *offset < QLOG_BLOCK_BYTES ? QLOG_BLOCK_BYTES : (*offset + RECORD_ALIGN_BYTES - 1) & ~(uint32_t)(RECORD_ALIGN_BYTES - 1);
    struct segment *s = qlog_segment_hold(log, generation);
    if (!s) return ERR_NOT_FOUND;

    enum err e;
    do {
        /* Most records follow one another: one small read tells. */
        uint64_t got;
        e = qfile_read(s->fd, at, memory, QLOG_HEADER_BYTES, &got);
        bool here = e == ERR_NONE && got == QLOG_HEADER_BYTES && record_head_get(memory, &h) && is_at(log, &h, generation, at);
        if (e == ERR_NONE && !here) e = find_head(log, s, generation, &at, memory, &h);
        if (e == ERR_NONE) at += record_span(h.body_bytes);
    } while (e == ERR_NONE && is_void(log, h.group));
    qlog_segment_let_go(log, s);
    if (e != ERR_NONE) return e;

    *offset = at;
    *found = (struct qlog_found){
        .type = (enum record_type)h.type,
        .place = {generation, h.offset, QLOG_HEADER_BYTES + h.body_bytes},
        .at = {generation, h.group, h.sequence, h.offset + QLOG_HEADER_BYTES + h.body_bytes},
    };
    return ERR_NONE;
}

void qlog_sizes(const struct qlog *log, struct qlog_sizes *s)
{
    struct qlog *l = (struct qlog *)log; /* for the lock only */
    enum err why;
    bool welcome = qlog_accepts_welcome(l, &why);
    pthread_mutex_lock(&l->lock);
    *s = (struct qlog_sizes){.segments = log->live_count, .bytes = log->file_bytes};
    if (log->live_count > 0) {
        s->oldest_generation = log->live[0]->generation;
        s->newest_generation = log->live[log->live_count - 1]->generation;
    }
    for (uint32_t i = 0; i < log->idle_count; i++) s->spare_segments += log->idle[i]->state == SEGMENT_SPARE;
    s->room = s->spare_segments * log->options.segment_bytes + (log->current ? log->current->bytes - log->at : 0);
    /* Near the limit: another spare could not be made any more once the one that is ready is used. */
    uint64_t more = log->options.segment_bytes * (s->spare_segments > 0 ? 1 : 0) + log->options.segment_bytes;
    bool tight = log->options.max_bytes != 0 && log->file_bytes + more > log->options.max_bytes && s->spare_segments <= 1;
    s->nearly_full = !welcome || tight || log->prepare_error != ERR_NONE;
    pthread_mutex_unlock(&l->lock);
}

uint64_t qlog_generation(const struct qlog *log, uint32_t n)
{
    struct qlog *l = (struct qlog *)log;
    pthread_mutex_lock(&l->lock);
    uint64_t generation = n < log->live_count ? log->live[n]->generation : 0;
    pthread_mutex_unlock(&l->lock);
    return generation;
}
