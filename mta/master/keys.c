/*
 * keys - certificates and private keys: read from their files, handed to the keyholder, and not kept.
 *
 * Keys are read straight into a memory file that goes to the keyholder, which wipes it when it has read it. No octet of them is ever in another
 * memory of the master, and the master parses none. Certificates are public; receivers get them, and the file stays for receivers started later.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/master/master.h"

enum { ITEM_BYTES_MAX = 4 + TLS_CHAIN_BYTES_MAX + 4 + TLS_KEY_BYTES_MAX };

struct pouch { /* a memory file that is being filled */
    int fd;
    uint8_t *memory;
    uint64_t room, len;
};

static bool pouch_open(struct pouch *p, const char *name, uint64_t room)
{
    *p = (struct pouch){.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), .memory = MAP_FAILED, .room = room};
    if (p->fd >= 0 && ftruncate(p->fd, (off_t)room) == 0) p->memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (p->memory != MAP_FAILED) return true;
    if (p->fd >= 0) close(p->fd);
    return false;
}

/* pouch_close - unmap; the file stays when it is wanted, cut to what is in it. */
static int pouch_close(struct pouch *p, bool wanted)
{
    if (!wanted) explicit_bzero(p->memory, p->len);
    munmap(p->memory, p->room);
    if (wanted && ftruncate(p->fd, (off_t)p->len) == 0 && fcntl(p->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) return p->fd;
    close(p->fd);
    return -1;
}

static void say(enum log_level level, const char *what, struct bytes path, const char *why)
{
    struct buf *line = log_begin(level);
    buf_put_cstr(line, level == LOG_LEVEL_WARNING ? "warning: " : "error: ");
    buf_put_cstr(line, what);
    buf_put_c(line, ' ');
    log_bytes(line, path);
    BUF_LIT(line, ": ");
    buf_put_cstr(line, why);
    log_end();
}

static void put_length(struct pouch *p, uint64_t at, uint32_t n)
{
    struct buf four = buf_over(p->memory + at, 4);
    buf_put_le(&four, n, 4);
}

/* read_into - a file behind its length, straight into the pouch. */
static bool read_into(struct pouch *p, const char *what, struct bytes path, uint32_t most, bool secret)
{
    char name[PATH_MAX];
    struct stat st;
    if (path.len >= sizeof name) return false;
    memcpy(name, path.ptr, path.len);
    name[path.len] = 0;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *problem = fd < 0 || fstat(fd, &st) != 0 ? strerror(errno) : NULL;
    if (problem == NULL && !S_ISREG(st.st_mode)) problem = "it is no file";
    if (problem == NULL && st.st_size > most) problem = "it is too large";
    uint64_t at = p->len;
    must(p->room - at >= 4 + (uint64_t)most);
    p->len += 4;
    while (problem == NULL) {
        ssize_t n = read(fd, p->memory + p->len, (size_t)(at + 4 + most - p->len));
        if (n < 0) problem = strerror(errno);
        if (n <= 0) break;
        p->len += (uint64_t)n;
    }
    put_length(p, at, (uint32_t)(p->len - at - 4));
    if (problem != NULL) say(LOG_LEVEL_ERROR, what, path, problem);
    else if (secret && (st.st_mode & 07)) say(LOG_LEVEL_WARNING, what, path, "everybody on this machine can read it; chmod o-rwx is advised");
    if (fd >= 0) close(fd);
    return problem == NULL;
}

static uint32_t certificate_total(const struct config *c)
{
    const struct config_tls *tls = CONFIG_ITEMS(c, c->tls, struct config_tls);
    uint32_t count = 0;
    for (uint32_t i = 0; tls && i < c->tls.count; i++) count += tls[i].certificate_count;
    return count;
}

/* read_all - every certificate, with its key or without. */
static bool read_all(const struct config *c, struct pouch *p, bool with_keys)
{
    const struct config_tls *tls = CONFIG_ITEMS(c, c->tls, struct config_tls);
    bool good = true;
    for (uint32_t i = 0; tls && i < c->tls.count; i++) {
        for (uint32_t k = 0; k < tls[i].certificate_count; k++) {
            const struct config_certificate *one = &tls[i].certificates[k];
            good &= read_into(p, "cannot read the certificate", config_bytes(c, one->chain), TLS_CHAIN_BYTES_MAX, false);
            if (with_keys) good &= read_into(p, "private key", config_bytes(c, one->key), TLS_KEY_BYTES_MAX, true);
        }
    }
    return good;
}

/* pack - a memory file with all of them; -1 after it was said why not. */
static int pack(const struct config *c, bool with_keys)
{
    struct pouch p;
    if (!pouch_open(&p, with_keys ? "mta-keys" : "mta-certificates", (uint64_t)ITEM_BYTES_MAX * certificate_total(c))) {
        log_err(LOG_LEVEL_ERROR, "no memory for certificates", BYTES(""), err_from_errno(errno));
        return -1;
    }
    return pouch_close(&p, read_all(c, &p, with_keys));
}

int keys_open(struct master *m)
{
    m->certificate_count = certificate_total(m->config);
    m->keys_good = m->config->tls.count == 0;
    if (m->keys_good) return 0;
    if (m->certificate_count > TLS_CERTIFICATES_ALL_MAX) {
        log_text(LOG_LEVEL_FATAL, "fatal: more than 512 certificates in all tls blocks");
        return PROCESS_EXIT_CONFIG;
    }
    m->certificates_fd = pack(m->config, false);
    m->keys_generation = 1;
    return m->certificates_fd >= 0 ? 0 : PROCESS_EXIT_FAILED;
}

/* reload_end - say how it went, to the log and to who asked. */
static void reload_end(struct master *m, bool good, struct bytes why)
{
    struct buf *line = log_begin(good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    buf_put_cstr(line, good ? "certificates and keys were read again and are in use" : "error: certificates and keys stay as they were: ");
    log_bytes(line, why);
    log_end();
    if (m->certificates_next_fd >= 0) close(m->certificates_next_fd);
    m->certificates_next_fd = -1;
    const struct child *control = child_find(m, ROLE_CONTROL, 0);
    struct ipc_tls_reloaded r = {.request = m->reload_request, .good = good, .text = why};
    /* A control process that is gone has no client any more. */
    if (m->reload_request != 0 && control->channel != NULL) (void)!ipc_send_tls_reloaded(control->channel, &r, -1);
    m->reload_request = 0;
}

static enum err give_keys(const struct master *m, const struct child *c, uint64_t generation)
{
    int fd = pack(m->config, true);
    if (fd < 0) return ERR_NOT_FOUND;
    struct ipc_keys k = {.generation = generation, .count = m->certificate_count};
    enum err e = ipc_send_keys(c->channel, &k, fd);
    if (e != ERR_NONE) close(fd);
    return e == ERR_NONE ? ipc_flush(c->channel) : e;
}

static enum err give_certificates(const struct master *m, const struct child *c)
{
    struct ipc_certificates k = {.generation = m->keys_generation, .count = m->certificate_count};
    int copy = fcntl(m->certificates_fd, F_DUPFD_CLOEXEC, 3);
    enum err e = copy >= 0 ? ipc_send_certificates(c->channel, &k, copy) : err_from_errno(errno);
    if (e != ERR_NONE && copy >= 0) close(copy);
    return e == ERR_NONE ? ipc_flush(c->channel) : e;
}

enum err keys_give(struct master *m, struct child *c)
{
    if (m->config->tls.count == 0) return ERR_NONE;
    if (c->role == ROLE_KEYHOLDER) {
        if (m->certificates_next_fd >= 0) reload_end(m, false, BYTES("the keyholder was started again meanwhile"));
        return give_keys(m, c, m->keys_generation);
    }
    return c->role == ROLE_RECEIVER ? give_certificates(m, c) : ERR_NONE;
}

/* ---- again ---- */

void keys_reload(struct master *m, uint64_t request)
{
    const struct child *holder = child_find(m, ROLE_KEYHOLDER, 0);
    if (m->config->tls.count == 0 && request == 0) return;
    if (m->certificates_next_fd >= 0) reload_end(m, false, BYTES("certificates were to be read again before the last time was over"));
    m->reload_request = request;
    if (m->config->tls.count == 0 || !holder || !holder->channel || !m->ready) {
        reload_end(m, false, m->config->tls.count == 0 ? BYTES("no tls block is configured") : BYTES("the keyholder is not there now"));
        return;
    }
    m->certificates_next_fd = pack(m->config, false);
    if (m->certificates_next_fd < 0) reload_end(m, false, BYTES("a certificate cannot be read; the log says which"));
    else if (give_keys(m, holder, m->keys_generation + 1) != ERR_NONE) reload_end(m, false, BYTES("a key cannot be read; the log says which"));
}

/* use_next - the keyholder has the keys: from now on receivers serve the certificates that belong to them. */
static void use_next(struct master *m)
{
    close(m->certificates_fd);
    m->certificates_fd = m->certificates_next_fd;
    m->certificates_next_fd = -1;
    m->keys_generation++;
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (c->role == ROLE_RECEIVER && c->channel != NULL && give_certificates(m, c) != ERR_NONE) child_kill(c, "it does not take its certificates");
    }
    reload_end(m, true, BYTES(""));
}

bool keys_read(struct master *m, const struct ipc_keys_read *k)
{
    if (m->certificates_next_fd >= 0 && k->generation == m->keys_generation + 1) {
        if (k->good) use_next(m);
        else reload_end(m, false, k->text);
        return true;
    }
    if (k->generation != m->keys_generation) return k->generation <= m->keys_generation + 1; /* of a time that was given up */
    if (k->good) {
        m->keys_good = true;
        watch_all_ready(m);
        return true;
    }
    struct buf *line = log_begin(m->ready ? LOG_LEVEL_ERROR : LOG_LEVEL_FATAL);
    buf_put_cstr(line, m->ready ? "error: " : "fatal: ");
    log_bytes(line, k->text);
    log_end();
    if (!m->ready && !m->stopping) stop_at_once(m, PROCESS_EXIT_CONFIG);
    return true;
}
