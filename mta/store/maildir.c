/*
 * maildir - tmp, sync, link, sync: the order that makes a delivery durable.
 *
 * Plain blocking system calls: this process has one message and one mailbox at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/store/text.h"

enum { MAILDIR_MODE = 0700, MAILDIR_FILE_MODE = 0600, NAME_BYTES_MAX = 400 };

static enum err failed(const char **what, const char *call)
{
    *what = call;
    return err_from_errno(errno);
}

/* step_into - open the folder `name` below `at`, making it when asked. A link is not followed. */
static enum err step_into(int at, const char *name, bool create, int *out, const char **what)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && create) {
        if (mkdirat(at, name, MAILDIR_MODE) && errno != EEXIST) return failed(what, "mkdir");
        if (fsync(at)) return failed(what, "fsync of a folder");
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) return failed(what, "open of a folder");
    *out = fd;
    return ERR_NONE;
}

/* walk - open the mailbox's folder, component by component. */
static enum err walk(int folder, struct bytes path, bool create, int *out, const char **what)
{
    /* The folder itself came as O_PATH, which cannot be synced: open it for reading. */
    int at = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return failed(what, "open of the mail folder");
    struct bytes rest = path;
    while (rest.len) {
        char name[256];
        uint32_t end = bytes_find(rest, '/');
        struct bytes one = bytes_slice(rest, 0, end);
        if (one.len >= sizeof name) {
            close(at);
            return ERR_TOO_LONG;
        }
        memcpy(name, one.ptr, one.len);
        name[one.len] = 0;
        int next = -1;
        enum err e = step_into(at, name, create, &next, what);
        close(at);
        if (e != ERR_NONE) return e;
        at = next;
        rest = bytes_from(rest, end + 1);
    }
    *out = at;
    return ERR_NONE;
}

enum err maildir_exists(int folder, struct bytes path)
{
    int at = -1;
    const char *what = NULL;
    enum err e = walk(folder, path, false, &at, &what);
    if (e == ERR_NONE) close(at);
    return e;
}

/* file_name - seconds of the id, the id, the recipient: never made twice. */
static void file_name(const struct maildir_message *m, char name[NAME_BYTES_MAX])
{
    struct buf out = buf_over(name, NAME_BYTES_MAX - 1);
    buf_put_u64(&out, (m->id.v >> 23) / 1000 + 1577836800u);
    BUF_LIT(&out, ".Q");
    message_id_print(&out, m->id);
    buf_put_c(&out, 'R');
    buf_put_u64(&out, m->rcpt_index);
    buf_put_c(&out, '.');
    for (uint32_t i = 0; i < m->host.len && i < 64; i++) {
        uint8_t c = m->host.ptr[i];
        buf_put_c(&out, ascii_is_digit(c) || ascii_is_alpha(c) || c == '.' || c == '-' ? c : '_');
    }
    name[out.len] = 0;
}

static enum err deliver_into(int tmp, int fresh, const char *name, const struct maildir_message *m, const char **what)
{
    if (unlinkat(tmp, name, 0) && errno != ENOENT) return failed(what, "unlink"); /* of a delivery that a crash cut short */
    int fd = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MAILDIR_FILE_MODE);
    if (fd < 0) return failed(what, "open");
    *what = "write";
    struct text text = {.fd = fd};
    enum err e = text_message(&text, m);
    if (e == ERR_NONE && fsync(fd)) e = failed(what, "fsync");
    if (close(fd) && e == ERR_NONE) e = failed(what, "close");
    if (e == ERR_NONE && linkat(tmp, name, fresh, name, 0) && errno != EEXIST) e = failed(what, "link");
    if (e == ERR_NONE && fsync(fresh)) e = failed(what, "fsync of a folder");
    unlinkat(tmp, name, 0); /* left over: removed with the next delivery of the same name, or by the mailbox's owner; harmless */
    return e;
}

enum err maildir_deliver(int folder, struct bytes path, bool create, const struct maildir_message *m, const char **what)
{
    int box = -1, tmp = -1, fresh = -1, seen = -1;
    char name[NAME_BYTES_MAX];
    *what = "open";
    enum err e = walk(folder, path, create, &box, what);
    if (e != ERR_NONE) return e;
    e = step_into(box, "tmp", true, &tmp, what);
    if (e == ERR_NONE) e = step_into(box, "new", true, &fresh, what);
    if (e == ERR_NONE) e = step_into(box, "cur", true, &seen, what);
    if (e == ERR_NONE) {
        file_name(m, name);
        e = deliver_into(tmp, fresh, name, m, what);
    }
    if (seen >= 0) close(seen);
    if (fresh >= 0) close(fresh);
    if (tmp >= 0) close(tmp);
    close(box);
    return e;
}
