/*
 * index_internal - what the files of the index share: environment, tables, and calls of LMDB with our types.
 */
#ifndef QUEUE_INDEX_INTERNAL_H
#define QUEUE_INDEX_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "queue/index.h"

struct index {
    MDB_env *env;
    MDB_dbi tables[INDEX_TABLE_COUNT];
    pthread_rwlock_t lock; /* read: a view is open; write: the environment is being opened anew */
};

enum err index_error(int rc);

/* index_env_open / index_env_close - the environment of an index that stays; under the write lock. */
enum err index_env_open(struct index *index);
void index_env_close(struct index *index);

static inline MDB_val index_val(struct bytes b) { return (MDB_val){b.len, (void *)(uintptr_t)b.ptr}; }
static inline struct bytes index_bytes(MDB_val v) { return bytes_of(v.mv_data, v.mv_size < UINT32_MAX ? (uint32_t)v.mv_size : 0); }

/* index_row_get - a row's value, borrowed from the map for the transaction. */
enum err index_row_get(const struct index *index, MDB_txn *txn, enum index_table table, struct bytes key, struct bytes *value);

/* index_cursor_at - open a cursor at the first row whose key is not below `key`; ERR_NOT_FOUND (no cursor left open) when there is none. */
enum err index_cursor_at(const struct index_view *view, enum index_table table, struct bytes key, MDB_cursor **cursor, struct bytes *found, struct bytes *value);

/* index_cursor_next - the row after. */
enum err index_cursor_next(MDB_cursor *cursor, struct bytes *key, struct bytes *value);

#endif
