/*
 * index_write - a checkpoint as one transaction.
 *
 * Rows that depend on one another (a recipient and its queued row; a message, its notice and its place) are changed together: the old row says what
 * has to go. So memory needs to remember nothing of what the index holds.
 */
#include "base/must.h"
#include "queue/index_internal.h"

struct writer {
    struct index *index;
    MDB_txn *txn;
    struct buf key, value;
    uint8_t key_memory[INDEX_KEY_BYTES_MAX], value_memory[INDEX_ROW_BYTES_MAX];
};

static struct bytes fresh_key_u64(struct writer *w, uint64_t a)
{
    w->key.len = w->value.len = 0;
    index_key_u64(&w->key, a);
    return buf_bytes(&w->key);
}

static enum err put_row(struct writer *w, enum index_table table)
{
    must(!w->key.overflow && !w->value.overflow);
    MDB_val k = index_val(buf_bytes(&w->key)), v = index_val(buf_bytes(&w->value));
    return index_error(mdb_put(w->txn, w->index->tables[table], &k, &v, 0));
}

/* delete_row - the row with the key in w->key; fine when there is none. */
static enum err delete_row(struct writer *w, enum index_table table)
{
    MDB_val k = index_val(buf_bytes(&w->key));
    enum err e = index_error(mdb_del(w->txn, w->index->tables[table], &k, NULL));
    return e == ERR_NOT_FOUND ? ERR_NONE : e;
}

static enum err change_pair(struct writer *w, enum index_table table, uint64_t a, uint64_t b, bool put)
{
    w->key.len = w->value.len = 0;
    index_key_pair(&w->key, a, b);
    if (!put) return delete_row(w, table);
    index_empty_encode(&w->value, table, buf_bytes(&w->key));
    return put_row(w, table);
}

static enum err change_queued(struct writer *w, struct message_id id, const struct index_rcpt *r, bool put)
{
    w->key.len = w->value.len = 0;
    index_key_queued(&w->key, &(struct index_queued){r->destination, r->state.due_wall_s, id, r->n});
    if (!put) return delete_row(w, INDEX_QUEUED);
    index_empty_encode(&w->value, INDEX_QUEUED, buf_bytes(&w->key));
    return put_row(w, INDEX_QUEUED);
}

static bool is_queued(const struct index_message *im, const struct index_rcpt *r)
{
    return r->state.state == RCPT_QUEUED && !im->m.held;
}

/* ---- recipients ---- */

static void set_key_rcpt(struct writer *w, struct message_id id, uint32_t n)
{
    w->key.len = w->value.len = 0;
    index_key_rcpt(&w->key, id, n);
}

/* drop_queued - take the queued row of a stored recipient away; *found tells whether there is such a recipient. */
static enum err drop_queued(struct writer *w, struct message_id id, uint32_t n, const struct index_rcpt *keep, bool *found)
{
    struct bytes row;
    struct index_rcpt old;
    set_key_rcpt(w, id, n);
    enum err e = index_row_get(w->index, w->txn, INDEX_RECIPIENT, buf_bytes(&w->key), &row);
    *found = e == ERR_NONE;
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    e = index_rcpt_decode(buf_bytes(&w->key), row, &old);
    if (e || !old.queued) return e;
    if (keep && old.destination == keep->destination && old.state.due_wall_s == keep->state.due_wall_s) return ERR_NONE;
    return change_queued(w, id, &old, false);
}

static enum err put_rcpt(struct writer *w, const struct index_message *im, const struct index_rcpt *r)
{
    bool found;
    bool queued = is_queued(im, r);
    enum err e = im->fresh ? ERR_NONE : drop_queued(w, im->m.id, r->n, queued ? r : NULL, &found);
    if (e) return e;
    set_key_rcpt(w, im->m.id, r->n);
    index_rcpt_encode(&w->value, buf_bytes(&w->key), r);
    e = put_row(w, INDEX_RECIPIENT);
    return e || !queued ? e : change_queued(w, im->m.id, r, true);
}

/* put_rcpts - those that changed; their entries are in the message's list. */
static enum err put_rcpts(struct writer *w, const struct index_message *im)
{
    struct cursor c = cursor_over(im->m.rcpts);
    struct rcpt entry;
    uint32_t at = 0;
    for (uint32_t n = 0; at < im->rcpt_count && rcpt_next(&c, &entry); n++) {
        if (im->rcpts[at].n != n) continue;
        struct index_rcpt r = im->rcpts[at++];
        r.entry = entry;
        r.queued = is_queued(im, &r);
        enum err e = put_rcpt(w, im, &r);
        if (e) return e;
    }
    must(at == im->rcpt_count);
    return ERR_NONE;
}

/* ---- messages ---- */

static enum err get_old(struct writer *w, struct message_id id, struct index_message *old)
{
    struct bytes row;
    struct bytes key = fresh_key_u64(w, id.v);
    enum err e = index_row_get(w->index, w->txn, INDEX_MESSAGE, key, &row);
    return e ? e : index_message_decode(key, row, old);
}

/* drop_pairs - notice and place of a stored message. */
static enum err drop_pairs(struct writer *w, const struct index_message *old)
{
    int64_t when = index_notice(&old->m);
    enum err e = when ? change_pair(w, INDEX_EXPIRE, (uint64_t)when, old->m.id.v, false) : ERR_NONE;
    return e ? e : change_pair(w, INDEX_LOCATED, old->place.generation, old->m.id.v, false);
}

static enum err delete_message(struct writer *w, struct message_id id)
{
    struct index_message old;
    enum err e = get_old(w, id, &old);
    if (e) return e == ERR_NOT_FOUND ? ERR_NONE : e;
    uint32_t rcpt_count = old.m.rcpt_count;
    e = drop_pairs(w, &old);
    for (uint32_t n = 0; n < rcpt_count && !e; n++) {
        bool found;
        e = drop_queued(w, id, n, NULL, &found);
        set_key_rcpt(w, id, n);
        if (!e && found) e = delete_row(w, INDEX_RECIPIENT);
    }
    if (e) return e;
    fresh_key_u64(w, id.v);
    return delete_row(w, INDEX_MESSAGE);
}

static enum err put_message(struct writer *w, const struct index_message *im)
{
    struct index_message old;
    enum err e = im->fresh ? ERR_NOT_FOUND : get_old(w, im->m.id, &old);
    if (e && e != ERR_NOT_FOUND) return e;
    if (!e) e = drop_pairs(w, &old);
    if (e && e != ERR_NOT_FOUND) return e;
    struct bytes key = fresh_key_u64(w, im->m.id.v);
    index_message_encode(&w->value, key, im);
    e = put_row(w, INDEX_MESSAGE);
    int64_t when = index_notice(&im->m);
    if (!e && when) e = change_pair(w, INDEX_EXPIRE, (uint64_t)when, im->m.id.v, true);
    if (!e) e = change_pair(w, INDEX_LOCATED, im->place.generation, im->m.id.v, true);
    return e ? e : put_rcpts(w, im);
}

/* ---- the rest ---- */

static enum err put_destination(struct writer *w, const struct index_destination *d)
{
    struct bytes key = fresh_key_u64(w, d->id);
    if (d->gone) return delete_row(w, INDEX_DESTINATION);
    index_destination_encode(&w->value, key, d);
    return put_row(w, INDEX_DESTINATION);
}

/* put_segments - the table is as long as the log has segments: it is written anew. */
static enum err put_segments(struct writer *w, const struct index_change *change)
{
    enum err e = index_error(mdb_drop(w->txn, w->index->tables[INDEX_SEGMENT], 0));
    for (uint32_t i = 0; i < change->segment_count && !e; i++) {
        struct bytes key = fresh_key_u64(w, change->segments[i].generation);
        index_segment_encode(&w->value, key, &change->segments[i]);
        e = put_row(w, INDEX_SEGMENT);
    }
    return e;
}

static enum err put_all(struct writer *w, const struct index_change *change)
{
    enum err e = ERR_NONE;
    for (uint32_t i = 0; i < change->message_count && !e; i++) {
        const struct index_message *im = change->messages[i];
        e = im->gone ? delete_message(w, im->m.id) : put_message(w, im);
    }
    for (uint32_t i = 0; i < change->destination_count && !e; i++) e = put_destination(w, &change->destinations[i]);
    if (!e) e = put_segments(w, change);
    if (e) return e;
    struct bytes key = fresh_key_u64(w, 0);
    index_meta_encode(&w->value, key, &change->meta);
    return put_row(w, INDEX_META);
}

static enum err write_once(struct index *index, const struct index_change *change, struct message_id *oldest_id)
{
    struct writer w = {.index = index};
    w.key = BUF_OVER(w.key_memory);
    w.value = BUF_OVER(w.value_memory);
    enum err e = index_error(mdb_txn_begin(index->env, NULL, 0, &w.txn));
    if (e) return e;
    e = put_all(&w, change);
    struct index_view view = {index, w.txn};
    struct message_id oldest = {0};
    if (!e) e = index_next_message(&view, (struct message_id){0}, &oldest);
    if (e) {
        mdb_txn_abort(w.txn);
        return e;
    }
    e = index_error(mdb_txn_commit(w.txn));
    if (!e) *oldest_id = oldest;
    return e;
}

enum err index_write(struct index *index, const struct index_change *change, struct message_id *oldest_id)
{
    if (!index->env) {
        pthread_rwlock_wrlock(&index->lock);
        enum err e = index_env_open(index);
        pthread_rwlock_unlock(&index->lock);
        if (e) return e;
    }
    enum err e = write_once(index, change, oldest_id);
    if (e != ERR_GONE) return e;
    /* LMDB could not say whether its last page was written, and refuses everything until it is opened anew. What is there then is either the old
     * state or the new one; the next try finds out and goes on from it. */
    pthread_rwlock_wrlock(&index->lock);
    index_env_close(index);
    pthread_rwlock_unlock(&index->lock);
    return ERR_IO;
}
