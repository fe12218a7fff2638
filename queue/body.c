/*
 * body - cache and files of contents.
 *
 * A large body is filled by a process that may be compromised, through a descriptor that it might keep. The kernel grants a read lease only when
 * nobody has the file open for writing, descriptors in flight and mappings included; that is what makes a file final. The lease is given back at once.
 */
#include "queue/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

/* ---- cache ---- */

struct body *body_new(struct bytes prefix, struct bytes body)
{
    struct body *b = malloc(sizeof(*b) + prefix.len + body.len);
    if (!b) return NULL;
    memset(b, 0, sizeof(*b));
    b->prefix_bytes = prefix.len;
    b->body_bytes = body.len;
    if (prefix.len) memcpy(b->data, prefix.ptr, prefix.len);
    if (body.len) memcpy(b->data + prefix.len, body.ptr, body.len);
    return b;
}

static uint64_t size_of(const struct body *b)
{
    return sizeof(*b) + b->prefix_bytes + b->body_bytes;
}

void body_cache_init(struct body_cache *c, uint64_t bytes_max)
{
    *c = (struct body_cache){.bytes_max = bytes_max};
    link_init(&c->list);
}

void body_bury(struct body_cache *c, struct body *b)
{
    b->next_grave = c->graves;
    c->graves = b;
}

void body_cache_drop(struct body_cache *c, struct message *m)
{
    struct body *b = m->body;
    if (!b) return;
    if (link_is_in(&b->cache)) {
        link_take(&b->cache);
        c->bytes -= size_of(b);
    }
    m->body = NULL;
    body_bury(c, b);
}

void body_cache_put(struct body_cache *c, struct message *m)
{
    must(m->body && !link_is_in(&m->body->cache));
    m->body->owner = m;
    link_put_last(&c->list, &m->body->cache);
    c->bytes += size_of(m->body);
    while (c->bytes > c->bytes_max) body_cache_drop(c, LINK_OF(link_first(&c->list), struct body, cache)->owner);
}

void body_cache_sweep(struct body_cache *c)
{
    while (c->graves) {
        struct body *next = c->graves->next_grave;
        free(c->graves);
        c->graves = next;
    }
}

/* ---- files ---- */

void body_file_name(char name[BODY_NAME_BYTES], uint64_t id)
{
    struct buf out = buf_over(name, BODY_NAME_BYTES - 1);
    buf_put_hex(&out, id, BODY_NAME_BYTES - 1);
    name[BODY_NAME_BYTES - 1] = 0;
}

uint64_t body_file_id(const char *name)
{
    struct message_id id;
    char again[BODY_NAME_BYTES];
    if (strlen(name) != BODY_NAME_BYTES - 1 || !message_id_parse(bytes_of_cstr(name), &id)) return 0;
    body_file_name(again, id.v);
    return strcmp(again, name) == 0 ? id.v : 0;
}

enum err body_file_create(int folder_fd, uint64_t id, int *fd)
{
    char name[BODY_NAME_BYTES];
    body_file_name(name, id);
    int made = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (made < 0) return err_from_errno(errno);
    *fd = made;
    return ERR_NONE;
}

static enum err open_file(int folder_fd, uint64_t id, int *fd)
{
    char name[BODY_NAME_BYTES];
    body_file_name(name, id);
    *fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 ? err_from_errno(errno) : ERR_NONE;
}

static enum err check_size(int fd, uint64_t bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_from_errno(errno);
    if (!S_ISREG(st.st_mode)) return ERR_CORRUPT;
    return st.st_size >= 0 && (uint64_t)st.st_size >= bytes ? ERR_NONE : ERR_SHORT;
}

static enum err make_certain(const struct body_sync *t)
{
    int fd;
    enum err e = open_file(t->folder_fd, t->body_id, &fd);
    if (e) return e;
    e = check_size(fd, t->bytes);
    if (!e && fcntl(fd, F_SETLEASE, F_RDLCK) != 0) e = errno == EAGAIN ? ERR_BUSY : err_from_errno(errno);
    if (!e && fcntl(fd, F_SETLEASE, F_UNLCK) != 0) e = err_from_errno(errno);
    if (!e && fsync(fd) != 0) e = err_from_errno(errno);
    if (!e && fsync(t->folder_fd) != 0) e = err_from_errno(errno);
    close(fd);
    return e;
}

void body_sync_run(struct task *task)
{
    struct body_sync *t = (struct body_sync *)task;
    if (!t->unlink) {
        t->error = make_certain(t);
        return;
    }
    char name[BODY_NAME_BYTES];
    body_file_name(name, t->body_id);
    t->error = unlinkat(t->folder_fd, name, 0) == 0 || errno == ENOENT ? ERR_NONE : err_from_errno(errno);
}

/* ---- reading back ---- */

enum err body_of_record(struct bytes record, bool in_outcome, struct record_message *m)
{
    struct record_outcome outcome;
    if (!in_outcome) return record_message_decode(record, m);
    enum err e = record_outcome_decode(record, &outcome);
    return e ? e : record_message_decode(outcome.bounce, m);
}

/* read_head - the start of a file's body, behind the prefix in one block. */
static enum err read_head(struct body_read *t, struct bytes prefix, int fd)
{
    uint64_t n = t->body_bytes < t->bytes_max ? t->body_bytes : t->bytes_max;
    struct body *b = n < UINT32_MAX / 2 ? malloc(sizeof(*b) + prefix.len + n) : NULL;
    if (!b) return ERR_NO_MEMORY;
    memset(b, 0, sizeof(*b));
    b->prefix_bytes = prefix.len;
    if (prefix.len) memcpy(b->data, prefix.ptr, prefix.len);
    uint64_t got = 0;
    while (got < n) {
        ssize_t more = pread(fd, b->data + prefix.len + got, n - got, (off_t)(t->body_skip + got));
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0) {
            free(b);
            return more == 0 ? ERR_CORRUPT : err_from_errno(errno);
        }
        got += (uint64_t)more;
    }
    b->body_bytes = (uint32_t)n;
    t->body = b;
    return ERR_NONE;
}

static enum err read_file(struct body_read *t, struct bytes prefix)
{
    int fd;
    enum err e = open_file(t->folder_fd, t->body_id, &fd);
    if (e) return e;
    e = check_size(fd, t->body_skip + t->body_bytes);
    if (e == ERR_SHORT) e = ERR_CORRUPT;
    if (!e && t->head) e = read_head(t, prefix, fd);
    if (!e && !t->head && !(t->body = body_new(prefix, (struct bytes){0}))) e = ERR_NO_MEMORY;
    if (e || t->head) close(fd);
    else t->fd = fd;
    return e;
}

void body_read_run(struct task *task)
{
    struct body_read *t = (struct body_read *)task;
    struct record_message m;
    uint32_t n = t->place.bytes - QLOG_HEADER_BYTES;
    uint8_t *record = n > 0 && n <= QLOG_RECORD_BYTES_MAX ? malloc(n) : NULL;
    t->fd = -1;
    t->body = NULL;
    if (!record) {
        t->error = ERR_NO_MEMORY;
        return;
    }
    t->error = qlog_read(t->log, &t->place, 0, record, n);
    if (!t->error) t->error = body_of_record(bytes_of(record, n), t->in_outcome, &m);
    if (!t->error && m.id.v != t->id.v) t->error = ERR_CORRUPT;
    if (!t->error && t->body_kind == BODY_FILE && !t->to_move) {
        t->error = read_file(t, m.prefix);
    } else if (!t->error) {
        struct bytes body = t->head ? bytes_slice(m.body, 0, (uint32_t)(t->bytes_max < UINT32_MAX ? t->bytes_max : UINT32_MAX)) : m.body;
        t->body = body_new(m.prefix, body);
        if (!t->body) t->error = ERR_NO_MEMORY;
    }
    free(record);
}
