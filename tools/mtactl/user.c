/*
 * user - logins of the password file: add, change, remove, list. It works on the file itself, without a running mtad, which reads it again within a second.
 *
 * The file is written anew beside the old one, synced, and put in its place, under a lock: at every moment there is one whole file, and mtad never reads half.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "mta/authd/secrets.h"
#include "mta/authd/users.h"
#include "mta/config/config.h"
#include "mtactl.h"
#include "smtp/sasl.h"

#define CONFIG_FILE_DEFAULT "/etc/mta/mta.conf"

struct store {             /* the password file while it is worked on */
    char path[4096], next[4096 + 8];
    int lock_fd;
    struct users users;
    uint64_t bytes;        /* of the file */
    struct stat st;        /* of the file, when there is one */
    bool is_there;
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "mtactl: %s: %s\n", what, why);
    return ADMIN_NEGATIVE;
}

/* ---- which file ---- */

static void print_problem(void *context, bool is_error, struct bytes text)
{
    (void)context;
    if (is_error) fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.ptr);
}

/* find_path - that of the one auth block that has a file. */
static int find_path(const struct ctl *c, char *path, size_t room)
{
    const char *file = c->config ? c->config : CONFIG_FILE_DEFAULT;
    const struct config_problem_sink sink = {print_problem, NULL};
    const struct config *config;
    uint32_t found = 0;
    int fd;
    if (access(file, R_OK) != 0) return fail(file, strerror(errno));
    if (config_load(file, NULL, 1, &sink, &fd) != ERR_NONE) return fail(file, "the configuration has errors");
    bool mapped = config_map(fd, &config) == ERR_NONE;
    close(fd);
    const struct config_auth *auths = mapped ? CONFIG_ITEMS(config, config->auths, struct config_auth) : NULL;
    for (uint32_t i = 0; auths && i < config->auths.count; i++) {
        struct bytes text = config_bytes(config, auths[i].file);
        if (text.len == 0 || text.len >= room) continue;
        if (c->auth && !bytes_equal(config_bytes(config, auths[i].name), bytes_of_cstr(c->auth))) continue;
        found++;
        snprintf(path, room, "%.*s", (int)text.len, (const char *)text.ptr);
    }
    if (mapped) config_unmap(config);
    if (found == 1) return ADMIN_OK;
    return fail(file, found ? "several auth blocks have a password file; say which with --auth NAME"
                            : "no auth block with a password file: auth NAME { file PATH }");
}

/* ---- reading and writing ---- */

static int lock_file(struct store *s)
{
    char path[4096 + 8];
    snprintf(path, sizeof path, "%s.lock", s->path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0) return errno == EACCES || errno == EPERM ? (fail(path, strerror(errno)), ADMIN_REFUSED) : fail(path, strerror(errno));
    return flock(s->lock_fd, LOCK_EX) == 0 ? ADMIN_OK : fail(path, strerror(errno));
}

static int read_file(struct store *s)
{
    uint32_t line = 0;
    const char *why = NULL;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return ADMIN_OK;
    if (fd < 0) return errno == EACCES ? (fail(s->path, strerror(errno)), ADMIN_REFUSED) : fail(s->path, strerror(errno));
    bool good = fstat(fd, &s->st) == 0 && S_ISREG(s->st.st_mode) && s->st.st_size <= USERS_FILE_BYTES_MAX;
    uint8_t *text = good ? malloc((size_t)s->st.st_size + 1) : NULL;
    ssize_t n = text ? read(fd, text, (size_t)s->st.st_size) : -1;
    close(fd);
    if (n != s->st.st_size) return free(text), fail(s->path, "it cannot be read whole");
    s->is_there = true;
    s->bytes = (uint64_t)n;
    if (users_parse(&s->users, text, (uint32_t)n, &line, &why) == ERR_NONE) return ADMIN_OK;
    fprintf(stderr, "mtactl: %s:%u: %s\n", s->path, line, why ? why : "no memory");
    return ADMIN_NEGATIVE;
}

static int open_store(const struct ctl *c, struct store *s, bool to_change)
{
    int code = find_path(c, s->path, sizeof s->path);
    s->lock_fd = -1;
    if (code == ADMIN_OK && to_change) code = lock_file(s);
    return code == ADMIN_OK ? read_file(s) : code;
}

static void close_store(struct store *s)
{
    users_fini(&s->users);
    if (s->lock_fd >= 0) close(s->lock_fd);
}

/* put_all - every line but that of `name`; comments go, which only we write. */
static void put_all(const struct store *s, struct bytes name, struct buf *out)
{
    for (uint32_t i = 0; i < s->users.count; i++) {
        const struct user *u = &s->users.table[i];
        if (!bytes_equal(u->name, name)) user_put(out, u->name, u->hash, u->verifier);
    }
}

static bool write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text = bytes_from(text, (uint32_t)n);
    }
    return true;
}

/* sync_folder - the new name is on the disk, too. */
static bool sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    return done;
}

static int replace(struct store *s, struct bytes text)
{
    snprintf(s->next, sizeof s->next, "%s.new", s->path);
    (void)unlink(s->next);
    int fd = open(s->next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fail(s->next, strerror(errno));
    bool done = !s->is_there || (fchown(fd, s->st.st_uid, s->st.st_gid) == 0 && fchmod(fd, s->st.st_mode & 0777) == 0);
    done = done && write_all(fd, text) && fsync(fd) == 0;
    const char *why = strerror(errno);
    if (close(fd) != 0 || !done || rename(s->next, s->path) != 0) {
        (void)unlink(s->next);
        return fail(s->path, done ? strerror(errno) : why);
    }
    return sync_folder(s->path) ? ADMIN_OK : fail(s->path, strerror(errno));
}

/* save - the file with `name` changed to this line, or removed when it is empty. */
static int save(struct store *s, struct bytes name, struct bytes hash, struct bytes verifier)
{
    uint32_t room = (uint32_t)s->bytes + USERS_LINE_BYTES_MAX + 8;
    uint8_t *memory = malloc(room);
    struct buf out = buf_over(memory, memory ? room : 0);
    if (!memory) return fail(s->path, "no memory");
    put_all(s, name, &out);
    if (hash.len > 0) user_put(&out, name, hash, verifier);
    int code = out.overflow ? fail(s->path, "no memory") : replace(s, buf_bytes(&out));
    explicit_bzero(memory, room);
    free(memory);
    return code;
}

/* ---- passwords ---- */

/* read_line - of standard input, without its end; false at the end of input or when it is too long. */
static bool read_line(uint8_t *memory, uint32_t room, uint32_t *bytes)
{
    uint8_t c;
    for (*bytes = 0; read(STDIN_FILENO, &c, 1) == 1;) {
        if (c == '\n') return true;
        if (*bytes == room) return false;
        memory[(*bytes)++] = c;
    }
    return *bytes > 0;
}

/* ask - with a prompt and without echo on a terminal; a line of standard input otherwise. */
static bool ask(const char *prompt, uint8_t *memory, uint32_t room, uint32_t *bytes)
{
    struct termios before, mute;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        mute = before;
        mute.c_lflag &= ~(tcflag_t)ECHO;
        fputs(prompt, stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &mute);
    }
    bool good = read_line(memory, room, bytes);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return good;
}

static int take_password(uint8_t *password, uint32_t *bytes)
{
    uint8_t again[SMTP_SASL_PASSWORD_BYTES_MAX];
    uint32_t again_bytes = 0;
    if (!ask("Password: ", password, SMTP_SASL_PASSWORD_BYTES_MAX, bytes) || !smtp_sasl_text_valid(bytes_of(password, *bytes), SMTP_SASL_PASSWORD_BYTES_MAX))
        return fail("password", "expected 1 to 511 octets of UTF-8 without control characters");
    if (!isatty(STDIN_FILENO)) return ADMIN_OK;
    bool same = ask("Once more: ", again, sizeof again, &again_bytes) && bytes_equal(bytes_of(password, *bytes), bytes_of(again, again_bytes));
    explicit_bzero(again, sizeof again);
    return same ? ADMIN_OK : fail("password", "they differ; nothing was changed");
}

/* set_password - write the line of a login. */
static int set_password(struct store *s, struct bytes name)
{
    uint8_t password[SMTP_SASL_PASSWORD_BYTES_MAX], salt[SECRETS_SALT_BYTES], memory[SMTP_SCRAM_VERIFIER_BYTES_MAX];
    char hash[SECRETS_HASH_BYTES_MAX];
    struct smtp_scram_verifier v;
    struct buf verifier = BUF_OVER(memory);
    uint32_t bytes = 0;
    int code = take_password(password, &bytes);
    struct bytes text = bytes_of(password, bytes);
    bool made = code == ADMIN_OK && secrets_random(salt, sizeof salt) && secrets_hash(text, hash) &&
                smtp_scram_verifier_make(&secrets_digest, text, bytes_of(salt, sizeof salt), SECRETS_ITERATIONS, &v);
    explicit_bzero(password, sizeof password);
    if (code != ADMIN_OK) return code;
    if (!made) return fail("password", "its hash could not be made");
    smtp_scram_verifier_print(&verifier, &v);
    return save(s, name, bytes_of_cstr(hash), buf_bytes(&verifier));
}

/* ---- commands ---- */

static int take_name(const char *const *arguments, uint32_t count, struct bytes *name)
{
    if (count != 1) return usage("one login name is wanted", count > 1 ? arguments[1] : NULL);
    *name = bytes_of_cstr(arguments[0]);
    return user_name_valid(*name) ? ADMIN_OK : usage("this can be no login name", arguments[0]);
}

static int change(const struct ctl *c, const char *const *arguments, uint32_t count, bool is_new, bool remove)
{
    static struct store s;
    struct bytes name;
    int code = take_name(arguments, count, &name);
    if (code != ADMIN_OK) return code;
    code = open_store(c, &s, true);
    bool known = code == ADMIN_OK && users_find(&s.users, name) != NULL;
    if (code == ADMIN_OK && known == is_new)
        code = fail(arguments[0], is_new ? "there is such a login; mtactl user passwd changes its password" : "there is no such login");
    if (code == ADMIN_OK) code = remove ? save(&s, name, (struct bytes){0}, (struct bytes){0}) : set_password(&s, name);
    close_store(&s);
    return code;
}

int command_user_add(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, arguments, count, true, false); }
int command_user_passwd(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, arguments, count, false, false); }
int command_user_del(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, arguments, count, false, true); }

int command_user_list(struct ctl *c, const char *const *arguments, uint32_t count)
{
    static struct store s;
    if (count) return usage("too many words", arguments[0]);
    int code = open_store(c, &s, false);
    for (uint32_t i = 0; code == ADMIN_OK && i < s.users.count; i++) {
        const struct user *u = &s.users.table[i];
        uint8_t memory[1024];
        struct buf b = BUF_OVER(memory);
        if (!c->json) {
            show_text(u->name, 0);
            printf("%s%s\n", u->hash.len ? "" : "  no password for plain and login", u->verifier.len ? "" : "  none for scram-sha-256");
            continue;
        }
        json_open(&b, NULL, '{');
        json_text(&b, "name", u->name);
        json_bool(&b, "password", u->hash.len > 0);
        json_bool(&b, "scram_sha_256", u->verifier.len > 0);
        json_close(&b, '}');
        print_json_line(&b);
    }
    close_store(&s);
    return code;
}
