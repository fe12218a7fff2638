/*
 * index_load - reading the index: whole messages, and what is due.
 */
#include <string.h>

#include "base/must.h"
#include "queue/index_internal.h"

/* ---- one message ---- */

static bool copy_texts(struct arena *arena, struct record_message *m)
{
    return arena_copy(arena, &m->client_name) && arena_copy(arena, &m->helo) && arena_copy(arena, &m->sender) && arena_copy(arena, &m->envid) &&
           arena_copy(arena, &m->message_id) && arena_copy(arena, &m->hold_reason);
}

/* get_rcpts - the recipients' rows, and from them the list. */
static enum err get_rcpts(const struct index_view *view, struct arena *arena, struct index_message *im)
{
    uint8_t *list_memory = arena_take(arena, im->m.rcpts.len + 1);
    im->rcpts = arena_take(arena, im->m.rcpt_count * sizeof(*im->rcpts));
    if (!list_memory || !im->rcpts) return ERR_NO_MEMORY;
    struct buf list = buf_over(list_memory, im->m.rcpts.len);

    uint8_t key_memory[INDEX_KEY_BYTES_MAX];
    struct buf key = BUF_OVER(key_memory);
    index_key_rcpt(&key, im->m.id, 0);
    struct bytes found, row;
    MDB_cursor *cursor;
    enum err e = index_cursor_at(view, INDEX_RECIPIENT, buf_bytes(&key), &cursor, &found, &row);
    if (e) return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    for (uint32_t n = 0; n < im->m.rcpt_count; n++) {
        struct index_rcpt *r = &im->rcpts[n];
        struct message_id id;
        uint32_t place;
        e = n == 0 ? ERR_NONE : index_cursor_next(cursor, &found, &row);
        if (!e && (!index_key_rcpt_get(found, &id, &place) || id.v != im->m.id.v || place != n)) e = ERR_CORRUPT;
        if (!e) e = index_rcpt_decode(found, row, r);
        if (!e && !arena_copy(arena, &r->reason)) e = ERR_NO_MEMORY;
        if (e) break;
        rcpt_put(&list, &r->entry);
        r->entry = (struct rcpt){0};
    }
    mdb_cursor_close(cursor);
    if (e) return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    if (list.overflow || list.len != list.cap) return ERR_CORRUPT;
    im->m.rcpts = buf_bytes(&list);
    im->rcpt_count = im->m.rcpt_count;
    return ERR_NONE;
}

enum err index_get(const struct index_view *view, struct message_id id, struct arena *arena, struct index_message *im)
{
    uint8_t key_memory[INDEX_KEY_BYTES_MAX];
    struct buf key = BUF_OVER(key_memory);
    struct bytes row;
    struct index_message got;
    index_key_u64(&key, id.v);
    enum err e = index_row_get(view->index, view->txn, INDEX_MESSAGE, buf_bytes(&key), &row);
    if (!e) e = index_message_decode(buf_bytes(&key), row, &got);
    if (!e && !copy_texts(arena, &got.m)) e = ERR_NO_MEMORY;
    if (!e) e = get_rcpts(view, arena, &got);
    if (!e) *im = got;
    return e;
}

/* ---- small tables ---- */

enum err index_meta_get(const struct index_view *view, struct index_meta *meta)
{
    uint8_t key_memory[INDEX_KEY_BYTES_MAX];
    struct buf key = BUF_OVER(key_memory);
    struct bytes row;
    index_key_u64(&key, 0);
    enum err e = index_row_get(view->index, view->txn, INDEX_META, buf_bytes(&key), &row);
    if (e) return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    return index_meta_decode(buf_bytes(&key), row, meta);
}

/* walk - every row of a table, until `each` fails. */
static enum err walk(const struct index_view *view, enum index_table table, enum err (*each)(void *context, struct bytes key, struct bytes row), void *context)
{
    struct bytes key, row;
    MDB_cursor *cursor;
    enum err e = index_cursor_at(view, table, (struct bytes){0}, &cursor, &key, &row);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    while (!e) {
        e = each(context, key, row);
        if (e) break;
        e = index_cursor_next(cursor, &key, &row);
        if (e == ERR_NOT_FOUND) {
            mdb_cursor_close(cursor);
            return ERR_NONE;
        }
    }
    mdb_cursor_close(cursor);
    return e;
}

struct destinations_walk {
    enum err (*each)(void *context, const struct index_destination *d);
    void *context;
};

static enum err on_destination(void *context, struct bytes key, struct bytes row)
{
    struct destinations_walk *walk_context = context;
    struct index_destination d;
    enum err e = index_destination_decode(key, row, &d);
    return e ? e : walk_context->each(walk_context->context, &d);
}

enum err index_destinations(const struct index_view *view, enum err (*each)(void *context, const struct index_destination *d), void *context)
{
    return walk(view, INDEX_DESTINATION, on_destination, &(struct destinations_walk){each, context});
}

struct segments_walk {
    enum err (*each)(void *context, const struct segment_use *s);
    void *context;
};

static enum err on_segment(void *context, struct bytes key, struct bytes row)
{
    struct segments_walk *walk_context = context;
    struct segment_use s;
    enum err e = index_segment_decode(key, row, &s);
    return e ? e : walk_context->each(walk_context->context, &s);
}

enum err index_segments(const struct index_view *view, enum err (*each)(void *context, const struct segment_use *s), void *context)
{
    return walk(view, INDEX_SEGMENT, on_segment, &(struct segments_walk){each, context});
}

/* ---- scans ---- */

enum err index_scan_queued(const struct index_view *view, const struct index_queued *from, int64_t until_wall_s, struct index_queued *out, uint32_t max,
                           uint32_t *count, int64_t *next_due_wall_s)
{
    uint8_t key_memory[INDEX_KEY_BYTES_MAX];
    struct buf start = BUF_OVER(key_memory);
    struct bytes key, row;
    MDB_cursor *cursor;
    uint32_t n = 0;
    index_key_queued(&start, from);
    *count = 0;
    *next_due_wall_s = INT64_MAX;
    enum err e = index_cursor_at(view, INDEX_QUEUED, buf_bytes(&start), &cursor, &key, &row);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    for (; !e; e = index_cursor_next(cursor, &key, &row)) {
        struct index_queued q;
        if (!index_key_queued_get(key, &q) || index_empty_decode(INDEX_QUEUED, key, row)) {
            e = ERR_CORRUPT;
            break;
        }
        if (q.destination != from->destination) break;
        if (bytes_equal(key, buf_bytes(&start))) continue; /* where the last scan ended */
        if (q.due_wall_s > until_wall_s || n == max) {
            *next_due_wall_s = q.due_wall_s;
            break;
        }
        out[n++] = q;
    }
    mdb_cursor_close(cursor);
    *count = n;
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

/* scan_pairs - second halves of the rows of `table` whose first half is from..until. */
static enum err scan_pairs(const struct index_view *view, enum index_table table, uint64_t from, uint64_t after, uint64_t until, struct message_id *out, uint32_t max,
                           uint32_t *count, uint64_t *next)
{
    uint8_t key_memory[INDEX_KEY_BYTES_MAX];
    struct buf start = BUF_OVER(key_memory);
    struct bytes key, row;
    MDB_cursor *cursor;
    uint32_t n = 0;
    index_key_pair(&start, from, after);
    *count = 0;
    *next = UINT64_MAX;
    enum err e = index_cursor_at(view, table, buf_bytes(&start), &cursor, &key, &row);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    for (; !e; e = index_cursor_next(cursor, &key, &row)) {
        uint64_t first, second;
        if (!index_key_pair_get(key, &first, &second) || index_empty_decode(table, key, row)) {
            e = ERR_CORRUPT;
            break;
        }
        if (first == from && second == after) continue;
        if (first > until || n == max) {
            *next = first;
            break;
        }
        out[n++].v = second;
    }
    mdb_cursor_close(cursor);
    *count = n;
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

enum err index_scan_notices(const struct index_view *view, int64_t until_wall_s, struct message_id *out, uint32_t max, uint32_t *count, int64_t *next_wall_s)
{
    uint64_t next;
    enum err e = scan_pairs(view, INDEX_EXPIRE, 0, 0, until_wall_s > 0 ? (uint64_t)until_wall_s : 0, out, max, count, &next);
    *next_wall_s = next < INT64_MAX ? (int64_t)next : INT64_MAX;
    return e;
}

enum err index_scan_located(const struct index_view *view, uint64_t generation, struct message_id after, struct message_id *out, uint32_t max, uint32_t *count)
{
    uint64_t next;
    return scan_pairs(view, INDEX_LOCATED, generation, after.v, generation, out, max, count, &next);
}

enum err index_next_message(const struct index_view *view, struct message_id after, struct message_id *id)
{
    uint8_t key_memory[INDEX_KEY_BYTES_MAX];
    struct buf start = BUF_OVER(key_memory);
    struct bytes key, row;
    MDB_cursor *cursor;
    id->v = 0;
    if (after.v == UINT64_MAX) return ERR_NONE;
    index_key_u64(&start, after.v + 1);
    enum err e = index_cursor_at(view, INDEX_MESSAGE, buf_bytes(&start), &cursor, &key, &row);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    mdb_cursor_close(cursor);
    return index_key_u64_get(key, &id->v) ? ERR_NONE : ERR_CORRUPT;
}
