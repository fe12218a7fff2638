/*
 * open - folders for children: the queue, the folders of mailboxes, and an empty root.
 *
 * A child cannot go through a home folder of mode 0700, so it is handed each folder as a descriptor that allows nothing by itself (O_PATH):
 * what the child may do below it is still judged by its own uid, and by its sandbox.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/master/master.h"

enum { FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_CLOEXEC };

static int refuse(const char *what, struct bytes path, const char *why)
{
    struct buf *line = log_begin(LOG_LEVEL_FATAL);
    BUF_LIT(line, "fatal: ");
    buf_put_cstr(line, what);
    BUF_LIT(line, " ");
    log_bytes(line, path);
    BUF_LIT(line, ": ");
    buf_put_cstr(line, why);
    log_end();
    return PROCESS_EXIT_FAILED;
}

/* make_folder - one component that is missing. Its owner is changed through the descriptor, so that nobody can slip in another one. */
static int make_folder(int at, const char *name, const struct account *owner, mode_t mode)
{
    if (mkdirat(at, name, mode) != 0) return -1;
    int fd = openat(at, name, FOLDER_FLAGS | O_NOFOLLOW);
    if (fd >= 0 && fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH) != 0) {
        int kept = errno;
        close(fd);
        errno = kept;
        return -1;
    }
    return fd;
}

int path_open(struct bytes path, const struct account *owner, mode_t mode, bool *made)
{
    char name[NAME_MAX + 1];
    int at = open("/", FOLDER_FLAGS);
    *made = false;
    while (at >= 0) {
        while (path.len > 0 && path.ptr[0] == '/') path = bytes_from(path, 1);
        if (path.len == 0) return at;
        struct bytes part = bytes_slice(path, 0, bytes_find(path, '/'));
        path = bytes_from(path, part.len);
        int next = -1;
        errno = ENAMETOOLONG;
        if (part.len <= NAME_MAX) {
            memcpy(name, part.ptr, part.len);
            name[part.len] = 0;
            next = openat(at, name, FOLDER_FLAGS);
            *made = next < 0 && errno == ENOENT;
            if (*made) next = make_folder(at, name, owner, mode);
        }
        int kept = errno;
        close(at);
        errno = kept;
        at = next;
    }
    return -1;
}

static bool is_empty(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) return false;
    uint32_t entries = 0;
    while (readdir(d) != NULL) entries++;
    closedir(d);
    return entries <= 2; /* . and .. */
}

/* settle_queue - the queue folder belongs to the manager, and to nobody else. */
static int settle_queue(const struct master *m, struct bytes path, int folder)
{
    const struct account *owner = &m->accounts[ROLE_MANAGER];
    struct stat st;
    if (fstat(folder, &st) != 0) return refuse("queue folder", path, strerror(errno));
    if (st.st_uid != owner->uid) {
        if (!is_empty(folder)) {
            char why[200];
            snprintf(why, sizeof(why), "it belongs to uid %u and is not empty, but the manager runs as uid %u; if this is the right queue: chown -R %u:%u",
                st.st_uid, owner->uid, owner->uid, owner->gid);
            return refuse("queue folder", path, why);
        }
        if (fchownat(folder, "", owner->uid, owner->gid, AT_EMPTY_PATH) != 0) return refuse("queue folder", path, strerror(errno));
    }
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* modes cannot be changed through O_PATH */
    bool done = fd >= 0 && fchmod(fd, 0700) == 0;
    int kept = errno;
    if (fd >= 0) close(fd);
    return done ? 0 : refuse("queue folder", path, strerror(kept));
}

static int open_queue(struct master *m)
{
    struct bytes path = folder_path(m->config, ROLE_MANAGER, 0);
    struct account self = {geteuid(), getegid()};
    bool made;
    int folder = path_open(path, &self, 0755, &made);
    if (folder < 0) return refuse("cannot open or make the queue folder", path, strerror(errno));
    m->folders[ROLE_MANAGER][0] = folder;
    m->folder_counts[ROLE_MANAGER] = 1;
    return settle_queue(m, path, folder);
}

static int open_mail(struct master *m)
{
    uint32_t count = folder_count(m->config, ROLE_MAILBOX);
    if (count > FOLDERS_MAX) return refuse("maildir routes", BYTES(""), "they name more than 64 different folders before the first `{`");
    for (uint32_t i = 0; i < count; i++) {
        struct bytes path = folder_path(m->config, ROLE_MAILBOX, i);
        bool made;
        int folder = path_open(path, &m->accounts[ROLE_MAILBOX], 0700, &made);
        if (folder < 0) return refuse("cannot open or make the mail folder", path, strerror(errno));
        m->folders[ROLE_MAILBOX][i] = folder;
        m->folder_counts[ROLE_MAILBOX] = i + 1;
    }
    return 0;
}

/* open_greylist - its folder belongs to the greylist's process alone. */
static int open_greylist(struct master *m)
{
    if (folder_count(m->config, ROLE_GREYLIST) == 0) return 0;
    struct bytes path = folder_path(m->config, ROLE_GREYLIST, 0);
    bool made;
    int folder = path_open(path, &m->accounts[ROLE_GREYLIST], 0700, &made);
    if (folder < 0) return refuse("cannot open or make the greylist folder", path, strerror(errno));
    m->folders[ROLE_GREYLIST][0] = folder;
    m->folder_counts[ROLE_GREYLIST] = 1;
    return 0;
}

int folders_open(struct master *m)
{
    int code = open_queue(m);
    if (code == 0) code = open_greylist(m);
    return code != 0 ? code : open_mail(m);
}

/* root_open - a folder that is removed as soon as it is open: it is empty, and nothing can ever be made in it. */
int root_open(struct master *m)
{
    m->root_fd = -1;
    if (!m->is_root) return 0;
    char path[] = "/tmp/mta-root-XXXXXX";
    if (mkdtemp(path) == NULL) return refuse("cannot make an empty folder", bytes_of_cstr(path), strerror(errno));
    m->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    bool done = m->root_fd >= 0 && fchmod(m->root_fd, 0555) == 0; /* every uid enters it, none writes */
    int kept = errno;
    rmdir(path);
    return done ? 0 : refuse("cannot open an empty folder", bytes_of_cstr(path), strerror(kept));
}

int secrets_read(struct master *m)
{
    enum { PATH_BYTES = 4096 };
    char path[PATH_BYTES + 1] = {0};
    struct bytes name = config_bytes(m->config, m->config->srs.secret);
    struct stat st;
    if (name.len == 0) return 0;
    if (name.len <= PATH_BYTES) memcpy(path, name.ptr, name.len);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    bool open_to_others = good && (st.st_mode & 077) != 0;
    ssize_t n = good && !open_to_others ? read(fd, m->secrets, sizeof m->secrets) : -1;
    enum err e = n < 0 ? err_from_errno(errno) : n == 0 ? ERR_SHORT : (size_t)n == sizeof m->secrets ? ERR_TOO_LONG : ERR_NONE;
    if (open_to_others) e = ERR_DENIED;
    if (fd >= 0) close(fd);
    if (e == ERR_NONE) {
        m->secrets_bytes = (uint32_t)n;
        return 0;
    }
    const char *why = open_to_others ? "the secrets of srs can be read by others than their owner: chmod 600" : "cannot read the secrets of srs";
    log_err(LOG_LEVEL_FATAL, why, name, e);
    return PROCESS_EXIT_CONFIG;
}
