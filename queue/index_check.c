/*
 * index_check - every row by its checksum, and the rows that depend on one another.
 */
#include "base/clock.h"
#include "queue/index_internal.h"

enum { CLOCK_EVERY_ROWS = 256, TEXT_BYTES = 200 };

struct checker {
    const struct index_view *view;
    uint64_t deadline_ms, rows, problems;
    void (*report)(void *context, struct bytes text);
    void *context;
    bool late;
};

static void problem(struct checker *c, enum index_table table, struct bytes key, const char *what)
{
    static const char *const names[INDEX_TABLE_COUNT] = {"message", "recipient", "queued", "destination", "expire", "located", "segment", "meta"};
    uint8_t memory[TEXT_BYTES];
    struct buf text = BUF_OVER(memory);
    c->problems++;
    if (!c->report) return;
    BUF_LIT(&text, "index: row ");
    for (uint32_t i = 0; i < key.len && i < INDEX_KEY_BYTES_MAX; i++) buf_put_hex(&text, key.ptr[i], 2);
    BUF_LIT(&text, " of ");
    buf_put_cstr(&text, names[table]);
    BUF_LIT(&text, ": ");
    buf_put_cstr(&text, what);
    c->report(c->context, buf_bytes(&text));
}

static bool has_row(const struct checker *c, enum index_table table, const struct buf *key)
{
    struct bytes row;
    return index_row_get(c->view->index, c->view->txn, table, buf_bytes(key), &row) == ERR_NONE;
}

static void check_message(struct checker *c, struct bytes key, struct bytes row)
{
    uint8_t memory[INDEX_KEY_BYTES_MAX];
    struct index_message im;
    if (index_message_decode(key, row, &im)) return;
    struct buf k = BUF_OVER(memory);
    index_key_pair(&k, im.place.generation, im.m.id.v);
    if (!has_row(c, INDEX_LOCATED, &k)) problem(c, INDEX_MESSAGE, key, "no row tells its segment");
    int64_t when = index_notice(&im.m);
    k.len = 0;
    index_key_pair(&k, (uint64_t)when, im.m.id.v);
    if (when && !has_row(c, INDEX_EXPIRE, &k)) problem(c, INDEX_MESSAGE, key, "no row tells when it expires");
    for (uint32_t n = 0; n < im.m.rcpt_count; n++) {
        k.len = 0;
        index_key_rcpt(&k, im.m.id, n);
        if (!has_row(c, INDEX_RECIPIENT, &k)) problem(c, INDEX_MESSAGE, key, "a recipient is missing");
    }
}

static void check_rcpt(struct checker *c, struct bytes key, struct bytes row)
{
    uint8_t memory[INDEX_KEY_BYTES_MAX];
    struct index_rcpt r;
    struct message_id id;
    uint32_t n;
    if (index_rcpt_decode(key, row, &r) || !index_key_rcpt_get(key, &id, &n)) return;
    struct buf k = BUF_OVER(memory);
    index_key_u64(&k, id.v);
    if (!has_row(c, INDEX_MESSAGE, &k)) problem(c, INDEX_RECIPIENT, key, "its message is missing");
    if (!r.queued) return;
    k.len = 0;
    index_key_queued(&k, &(struct index_queued){r.destination, r.state.due_wall_s, id, n});
    if (!has_row(c, INDEX_QUEUED, &k)) problem(c, INDEX_RECIPIENT, key, "no row tells when it is due");
    k.len = 0;
    index_key_u64(&k, r.destination);
    if (!has_row(c, INDEX_DESTINATION, &k)) problem(c, INDEX_RECIPIENT, key, "its destination is missing");
}

static void check_queued(struct checker *c, struct bytes key)
{
    uint8_t memory[INDEX_KEY_BYTES_MAX];
    struct index_queued q;
    struct bytes row;
    struct index_rcpt r;
    if (!index_key_queued_get(key, &q)) return;
    struct buf k = BUF_OVER(memory);
    index_key_rcpt(&k, q.id, q.n);
    if (index_row_get(c->view->index, c->view->txn, INDEX_RECIPIENT, buf_bytes(&k), &row) || index_rcpt_decode(buf_bytes(&k), row, &r) || !r.queued ||
        r.destination != q.destination || (r.state.due_wall_s > 0 ? r.state.due_wall_s : 0) != q.due_wall_s) {
        problem(c, INDEX_QUEUED, key, "no recipient belongs to it");
    }
}

static void check_row(struct checker *c, enum index_table table, struct bytes key, struct bytes row)
{
    if (c->rows++ % CLOCK_EVERY_ROWS == 0 && c->deadline_ms != UINT64_MAX && clock_mono_ms() >= c->deadline_ms) c->late = true;
    if (index_row_check(table, key, row)) {
        problem(c, table, key, "fails its check");
        return;
    }
    if (table == INDEX_MESSAGE) check_message(c, key, row);
    if (table == INDEX_RECIPIENT) check_rcpt(c, key, row);
    if (table == INDEX_QUEUED) check_queued(c, key);
}

static void check_table(struct checker *c, enum index_table table)
{
    struct bytes key, row;
    MDB_cursor *cursor;
    enum err e = index_cursor_at(c->view, table, (struct bytes){0}, &cursor, &key, &row);
    if (e == ERR_NONE) {
        for (; !e && !c->late; e = index_cursor_next(cursor, &key, &row)) check_row(c, table, key, row);
        mdb_cursor_close(cursor);
    }
    if (e && e != ERR_NOT_FOUND) problem(c, table, (struct bytes){0}, err_text(e));
}

uint64_t index_check(const struct index_view *view, uint64_t deadline_ms, void (*report)(void *context, struct bytes text), void *context)
{
    struct checker c = {.view = view, .deadline_ms = deadline_ms, .report = report, .context = context};
    struct index_meta meta;
    if (index_meta_get(view, &meta)) problem(&c, INDEX_META, (struct bytes){0}, "cannot be read");
    /* Small tables first: a start that gives the check little time has then seen all that it reads itself. */
    static const enum index_table order[INDEX_TABLE_COUNT] = {INDEX_META,    INDEX_SEGMENT, INDEX_DESTINATION, INDEX_MESSAGE,
                                                              INDEX_EXPIRE, INDEX_LOCATED, INDEX_QUEUED,      INDEX_RECIPIENT};
    for (int i = 0; i < INDEX_TABLE_COUNT && !c.late; i++) check_table(&c, order[i]);
    return c.problems;
}
