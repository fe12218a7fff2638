/*
 * index - the LMDB environment: made, opened, set aside, opened anew.
 *
 * LMDB's creation is the one moment at which a crash ruins it, so it happens in a temporary folder that gets its name when it is on stable storage.
 */
#include "queue/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/index_internal.h"

enum { SET_ASIDE_MAX = 1000, READERS_MAX = 16, INDEX_FILE_MODE = 0600 };

/* Address space, not memory: the file grows as it is used. 256 GiB hold more than 10^8 messages. */
static const size_t map_bytes = (size_t)256 << 30;

static const char *const table_names[INDEX_TABLE_COUNT] = {"message", "recipient", "queued", "destination", "expire", "located", "segment", "meta"};

enum err index_error(int rc)
{
    switch (rc) {
    case MDB_SUCCESS: return ERR_NONE;
    case MDB_NOTFOUND: return ERR_NOT_FOUND;
    case MDB_MAP_FULL: return ERR_NO_SPACE;
    case MDB_PANIC: return ERR_GONE;
    case MDB_VERSION_MISMATCH: return ERR_BAD_VERSION;
    default: break;
    }
    return rc > 0 ? err_from_errno(rc) : ERR_CORRUPT;
}

static enum err open_tables(struct index *index, unsigned flags)
{
    MDB_txn *txn;
    enum err e = index_error(mdb_txn_begin(index->env, NULL, flags & MDB_CREATE ? 0 : MDB_RDONLY, &txn));
    if (e) return e;
    for (int i = 0; i < INDEX_TABLE_COUNT && !e; i++) {
        e = index_error(mdb_dbi_open(txn, table_names[i], flags, &index->tables[i]));
        if (e == ERR_NOT_FOUND) e = ERR_CORRUPT; /* tables are made together with the file */
    }
    if (e) {
        mdb_txn_abort(txn);
        return e;
    }
    return index_error(mdb_txn_commit(txn));
}

static enum err open_env(struct index *index, const char *path, unsigned table_flags)
{
    enum err e = index_error(mdb_env_create(&index->env));
    if (e) return e;
    e = index_error(mdb_env_set_maxdbs(index->env, INDEX_TABLE_COUNT));
    if (!e) e = index_error(mdb_env_set_maxreaders(index->env, READERS_MAX));
    if (!e) e = index_error(mdb_env_set_mapsize(index->env, map_bytes));
    /* NOTLS: a view belongs to who opened it, not to a thread. NOMEMINIT is not used: pages must not leak old mail. */
    if (!e) e = index_error(mdb_env_open(index->env, path, MDB_NOTLS, INDEX_FILE_MODE));
    if (!e) e = open_tables(index, table_flags);
    if (e) {
        mdb_env_close(index->env);
        index->env = NULL;
    }
    return e;
}

enum err index_env_open(struct index *index)
{
    return open_env(index, "index", 0);
}

void index_env_close(struct index *index)
{
    mdb_env_close(index->env);
    index->env = NULL;
}

enum err index_open(struct index **out)
{
    struct stat st;
    if (stat("index", &st) != 0) return err_from_errno(errno);
    if (stat("index/data.mdb", &st) != 0) return errno == ENOENT ? ERR_CORRUPT : err_from_errno(errno);
    struct index *index = calloc(1, sizeof(*index));
    if (!index) return ERR_NO_MEMORY;
    enum err e = index_env_open(index);
    if (e) {
        free(index);
        return e;
    }
    must(pthread_rwlock_init(&index->lock, NULL) == 0);
    *out = index;
    return ERR_NONE;
}

void index_close(struct index *index)
{
    if (!index) return;
    if (index->env) mdb_env_close(index->env);
    pthread_rwlock_destroy(&index->lock);
    free(index);
}

/* ---- creation ---- */

static enum err sync_folder(int folder_fd, const char *name)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    int failed = fsync(fd);
    enum err e = failed ? err_from_errno(errno) : ERR_NONE;
    close(fd);
    return e;
}

static enum err write_first_meta(struct index *index)
{
    uint8_t key_memory[INDEX_KEY_BYTES_MAX], value_memory[INDEX_ROW_BYTES_MAX];
    struct buf key = BUF_OVER(key_memory), value = BUF_OVER(value_memory);
    index_key_u64(&key, 0);
    index_meta_encode(&value, buf_bytes(&key), &(struct index_meta){0});
    MDB_txn *txn;
    enum err e = index_error(mdb_txn_begin(index->env, NULL, 0, &txn));
    if (e) return e;
    MDB_val k = index_val(buf_bytes(&key)), v = index_val(buf_bytes(&value));
    e = index_error(mdb_put(txn, index->tables[INDEX_META], &k, &v, 0));
    if (e) {
        mdb_txn_abort(txn);
        return e;
    }
    return index_error(mdb_txn_commit(txn));
}

static void remove_unfinished(int folder_fd)
{
    unlinkat(folder_fd, "index.new/data.mdb", 0);
    unlinkat(folder_fd, "index.new/lock.mdb", 0);
    unlinkat(folder_fd, "index.new", AT_REMOVEDIR);
}

enum err index_create(int folder_fd)
{
    struct index index = {0};
    remove_unfinished(folder_fd);
    if (mkdirat(folder_fd, "index.new", 0700) != 0) return err_from_errno(errno);
    enum err e = open_env(&index, "index.new", MDB_CREATE);
    if (!e) {
        e = write_first_meta(&index);
        if (!e) e = index_error(mdb_env_sync(index.env, 1));
        mdb_env_close(index.env);
    }
    if (!e) e = sync_folder(folder_fd, "index.new");
    if (!e && renameat(folder_fd, "index.new", folder_fd, "index") != 0) e = err_from_errno(errno);
    if (!e) e = sync_folder(folder_fd, ".");
    if (e) remove_unfinished(folder_fd);
    return e;
}

enum err index_set_aside(int folder_fd, uint32_t *number)
{
    for (uint32_t n = 1; n <= SET_ASIDE_MAX; n++) {
        char name[32];
        struct stat st;
        snprintf(name, sizeof(name), "index.damaged-%u", n);
        if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) continue;
        if (renameat(folder_fd, "index", folder_fd, name) != 0) return err_from_errno(errno);
        *number = n;
        return sync_folder(folder_fd, ".");
    }
    return ERR_FULL;
}

/* ---- views ---- */

enum err index_view_open(struct index *index, struct index_view *view)
{
    MDB_txn *txn;
    pthread_rwlock_rdlock(&index->lock);
    enum err e = index->env ? index_error(mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn)) : ERR_IO;
    if (e) {
        pthread_rwlock_unlock(&index->lock);
        return e == ERR_GONE ? ERR_IO : e;
    }
    *view = (struct index_view){index, txn};
    return ERR_NONE;
}

void index_view_close(struct index_view *view)
{
    mdb_txn_abort(view->txn);
    pthread_rwlock_unlock(&view->index->lock);
    *view = (struct index_view){0};
}

enum err index_row_get(const struct index *index, MDB_txn *txn, enum index_table table, struct bytes key, struct bytes *value)
{
    MDB_val k = index_val(key), v;
    enum err e = index_error(mdb_get(txn, index->tables[table], &k, &v));
    if (!e) *value = index_bytes(v);
    return e;
}

enum err index_cursor_at(const struct index_view *view, enum index_table table, struct bytes key, MDB_cursor **cursor, struct bytes *found, struct bytes *value)
{
    enum err e = index_error(mdb_cursor_open(view->txn, view->index->tables[table], cursor));
    if (e) return e;
    MDB_val k = index_val(key), v;
    e = index_error(mdb_cursor_get(*cursor, &k, &v, key.len ? MDB_SET_RANGE : MDB_FIRST));
    if (e) {
        mdb_cursor_close(*cursor);
        return e;
    }
    *found = index_bytes(k);
    *value = index_bytes(v);
    return ERR_NONE;
}

enum err index_cursor_next(MDB_cursor *cursor, struct bytes *key, struct bytes *value)
{
    MDB_val k, v;
    enum err e = index_error(mdb_cursor_get(cursor, &k, &v, MDB_NEXT));
    if (e) return e;
    *key = index_bytes(k);
    *value = index_bytes(v);
    return ERR_NONE;
}
