/*
 * file - see file.h. Header: "mtagrey1", 16 octets of secret, u32 zero, u32 checksum. Record: u64 hash, u32 first, u32 last, u32 passes, u32 checksum.
 */
#include "mta/greylist/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

enum { BATCH_RECORDS = 2048, BATCH_BYTES = BATCH_RECORDS * GREY_RECORD_BYTES, CHECKSUM_BYTES = 4 };

static const char name[] = "greylist", name_new[] = "greylist.new";
static const struct bytes magic = BYTES_INIT("mtagrey1");

/* ---- forms ---- */

void grey_record_put(struct buf *out, const struct grey *e)
{
    uint32_t from = out->len;
    buf_put_le(out, e->hash, 8);
    buf_put_le(out, e->first_s, 4);
    buf_put_le(out, e->last_s, 4);
    buf_put_le(out, e->passes, 4);
    buf_put_le(out, crc32c(0, bytes_from(buf_bytes(out), from)), CHECKSUM_BYTES);
}

bool grey_record_get(struct bytes in, struct grey *e)
{
    struct cursor c = cursor_over(in);
    e->hash = cursor_le(&c, 8);
    e->first_s = (uint32_t)cursor_le(&c, 4);
    e->last_s = (uint32_t)cursor_le(&c, 4);
    e->passes = (uint32_t)cursor_le(&c, 4);
    uint32_t sum = (uint32_t)cursor_le(&c, CHECKSUM_BYTES);
    return !c.failed && e->hash != 0 && sum == crc32c(0, bytes_slice(in, 0, GREY_RECORD_BYTES - CHECKSUM_BYTES));
}

static void header_put(struct buf *out, struct hash_key key)
{
    buf_put(out, magic);
    buf_put_le(out, key.a, 8);
    buf_put_le(out, key.b, 8);
    buf_put_le(out, 0, 4);
    buf_put_le(out, crc32c(0, buf_bytes(out)), CHECKSUM_BYTES);
}

static bool header_get(struct bytes in, struct hash_key *key)
{
    struct cursor c = cursor_over(in);
    if (!bytes_equal(cursor_take(&c, magic.len), magic)) return false;
    key->a = cursor_le(&c, 8);
    key->b = cursor_le(&c, 8);
    (void)cursor_le(&c, 4);
    uint32_t sum = (uint32_t)cursor_le(&c, CHECKSUM_BYTES);
    return !c.failed && sum == crc32c(0, bytes_slice(in, 0, GREY_HEADER_BYTES - CHECKSUM_BYTES));
}

/* ---- octets ---- */

static enum err write_all(int fd, struct bytes what)
{
    while (what.len > 0) {
        ssize_t n = write(fd, what.ptr, what.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_from_errno(n < 0 ? errno : ENOSPC);
        what = bytes_from(what, (uint32_t)n);
    }
    return ERR_NONE;
}

/* read_some - up to `want` octets at `at`; fewer only at the end. */
static bool read_some(int fd, uint8_t *to, uint32_t want, uint64_t at, uint32_t *got)
{
    *got = 0;
    while (*got < want) {
        ssize_t n = pread(fd, to + *got, want - *got, (off_t)(at + *got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) return true;
        *got += (uint32_t)n;
    }
    return true;
}

/* ---- reading ---- */

static bool read_records(struct grey_file *f, struct greys *g, uint8_t *batch, uint32_t *damaged)
{
    uint64_t at = GREY_HEADER_BYTES;
    uint32_t got = BATCH_BYTES;
    while (got == BATCH_BYTES) {
        if (!read_some(f->fd, batch, BATCH_BYTES, at, &got)) return false;
        for (uint32_t i = 0; i < got; i += GREY_RECORD_BYTES) {
            struct grey e;
            if (grey_record_get(bytes_slice(bytes_of(batch, got), i, GREY_RECORD_BYTES), &e)) greys_put(g, &e);
            else ++*damaged;
            f->records++;
        }
        at += got;
    }
    return true;
}

/* read_file - false when it has no header that can be used. A cut record at its end would put all later ones out of step: the file is written anew then. */
static bool read_file(struct grey_file *f, struct greys *g, uint32_t *damaged)
{
    uint8_t head[GREY_HEADER_BYTES];
    uint32_t got;
    if (!read_some(f->fd, head, sizeof head, 0, &got) || !header_get(bytes_of(head, got), &f->key)) return false;
    uint8_t *batch = malloc(BATCH_BYTES);
    bool done = batch && read_records(f, g, batch, damaged);
    free(batch);
    return done;
}

/* ---- writing ---- */

/* fill - a new file's content: header, and what of g is not old. */
static enum err fill(int fd, struct grey_file *f, const struct greys *g, uint32_t now_s, const struct grey_times *times)
{
    static uint8_t batch[BATCH_BYTES];
    struct buf out = BUF_OVER(batch);
    f->records = 0;
    header_put(&out, f->key);
    for (uint32_t i = 0; i < GREY_PLACES; i++) {
        if (g->table[i].hash == 0 || (times && greys_is_old(&g->table[i], now_s, times))) continue;
        if (buf_room(&out) < GREY_RECORD_BYTES) {
            enum err e = write_all(fd, buf_bytes(&out));
            if (e != ERR_NONE) return e;
            out.len = 0;
        }
        grey_record_put(&out, &g->table[i]);
        f->records++;
    }
    return write_all(fd, buf_bytes(&out));
}

enum err grey_file_rewrite(struct grey_file *f, const struct greys *g, uint32_t now_s, const struct grey_times *times)
{
    int fd = openat(f->folder, name_new, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_from_errno(errno);
    enum err e = fill(fd, f, g, now_s, times);
    if (e == ERR_NONE && (fdatasync(fd) != 0 || renameat(f->folder, name_new, f->folder, name) != 0)) e = err_from_errno(errno);
    if (e != ERR_NONE) {
        close(fd);
        return e;
    }
    int folder = openat(f->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)fsync(folder); /* without it the old file may be there again after a crash of the machine, which is as good */
        close(folder);
    }
    if (f->fd >= 0) close(f->fd);
    f->fd = fd;
    f->unsynced = false;
    return ERR_NONE;
}

enum err grey_file_open(struct grey_file *f, int folder, struct greys *g, uint32_t *damaged)
{
    *f = (struct grey_file){.folder = folder, .fd = openat(folder, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC)};
    int why = errno;
    *damaged = 0;
    bool usable = f->fd >= 0 && read_file(f, g, damaged);
    if (usable && *damaged == 0) return ERR_NONE;
    if (!usable) f->key = hash_key_random();
    enum err e = f->fd < 0 && why != ENOENT ? err_from_errno(why) : grey_file_rewrite(f, g, 0, NULL);
    if (e != ERR_NONE && f->fd >= 0) close(f->fd);
    if (e != ERR_NONE) f->fd = -1;
    return e;
}

enum err grey_file_append(struct grey_file *f, const struct grey *entries, uint32_t count)
{
    uint8_t memory[4 * GREY_RECORD_BYTES];
    struct buf out = BUF_OVER(memory);
    must(count <= 4);
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].hash != 0) grey_record_put(&out, &entries[i]);
    }
    if (f->fd < 0 || out.len == 0) return ERR_NONE;
    f->records += out.len / GREY_RECORD_BYTES;
    f->unsynced = true;
    return write_all(f->fd, buf_bytes(&out));
}

enum err grey_file_sync(struct grey_file *f)
{
    if (f->fd < 0 || !f->unsynced) return ERR_NONE;
    f->unsynced = false;
    return fdatasync(f->fd) == 0 ? ERR_NONE : err_from_errno(errno);
}

bool grey_file_wants_rewrite(const struct grey_file *f, const struct greys *g)
{
    return f->fd >= 0 && f->records > 2 * (uint64_t)g->used + GREY_RECORDS_SPARE;
}
