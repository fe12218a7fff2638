/*
 * reload - the files of tables are read again: on SIGHUP, when mtactl asks, and when one has changed. All of them or none.
 *
 * A new image is built from the configuration as it was at the start and the tables as they are now. When anything is wrong with it, all goes on
 * with the old one. Else every process is given the new one, and processes that start later get it too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "mta/master/master.h"

enum {
    LOOK_EVERY_MS = 2000,     /* a change is noticed within this; it costs a stat(2) a file */
    SETTLED_US = 1000 * 1000, /* a file that was written to a moment ago may not be whole yet */
};

struct problems { struct buf text; };

static void on_problem(void *context, bool is_error, struct bytes text)
{
    struct problems *p = context;
    struct buf *line = log_begin(is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING);
    BUF_LIT(line, "tables: ");
    log_bytes(line, text);
    log_end();
    if (text.len + 1 > buf_room(&p->text)) return; /* whoever asked sees the first ones; all are in the log */
    buf_put(&p->text, text);
    buf_put_c(&p->text, '\n');
}

/* ---- whether something has changed ---- */

static int64_t us_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct look { uint64_t mark; bool changed, settled; }; /* mark: of how the files are now */

static void look_at(const struct config *c, const struct config_source *s, int64_t now_us, struct look *l)
{
    char path[PATH_MAX];
    struct stat st;
    struct bytes text = config_bytes(c, s->path);
    if (text.len >= sizeof path) return;
    memcpy(path, text.ptr, text.len);
    path[text.len] = 0;
    bool there = stat(path, &st) == 0;
    int64_t modified = there ? us_of(st.st_mtim) : 0, changed = there ? us_of(st.st_ctim) : 0;
    bool same = there && st.st_dev == s->device && st.st_ino == s->inode && (uint64_t)st.st_size == s->bytes && modified == s->modified_us &&
                changed == s->changed_us;
    if (!same) l->changed = true;
    /* A time in the future is no reason to wait for it. */
    if (there && modified <= now_us && now_us - modified < SETTLED_US) l->settled = false;
    l->mark = hash_mix(l->mark ^ (uint64_t)modified) + hash_mix((there ? (uint64_t)st.st_ino ^ (uint64_t)st.st_size << 32 : 1) ^ l->mark);
    l->mark = hash_mix(l->mark ^ (uint64_t)changed);
}

static struct look look(const struct master *m)
{
    const struct config *c = m->config;
    const struct config_source *sources = CONFIG_ITEMS(c, c->table_sources, struct config_source);
    struct look l = {.mark = 1, .settled = true};
    for (uint32_t i = 0; sources && i < c->table_sources.count; i++) look_at(c, &sources[i], clock_wall_us(), &l);
    return l;
}

/* ---- handing out ---- */

static void hand_out(struct master *m, uint64_t generation)
{
    for (uint32_t i = 0; i < m->child_count; i++) {
        struct child *c = &m->children[i];
        if (c->channel == NULL) continue;
        int copy = fcntl(m->config_fd, F_DUPFD_CLOEXEC, 3);
        if (copy >= 0 && ipc_send_config(c->channel, &(struct ipc_config){generation}, copy) == ERR_NONE) {
            (void)!ipc_flush(c->channel); /* before anybody is told that it is done */
            continue;
        }
        if (copy >= 0) close(copy);
        child_kill(c, "it could not be given the new tables"); /* it starts again, with them */
    }
}

/* take_over - use an image; false when it cannot be used after all. */
static bool take_over(struct master *m, int fd, uint64_t generation)
{
    const struct config *next, *before = m->config;
    if (config_map(fd, &next) != ERR_NONE) return false;
    if (!config_same_shape(next, before)) { /* it is made from the same text */
        config_unmap(next);
        return false;
    }
    close(m->config_fd);
    m->config_fd = fd;
    m->config = next;
    hand_out(m, generation);
    if (before != m->first_config) config_unmap(before);
    return true;
}

/* reload - returns whether the tables are those on disk now. */
static bool reload(struct master *m, struct problems *p)
{
    uint64_t generation = m->config->generation + 1, began_ms = clock_mono_ms();
    struct config_problem_sink sink = {on_problem, p};
    int fd = -1;
    struct look before = look(m);
    enum err e = config_reload(m->texts, generation, &sink, &fd);
    bool done = e == ERR_NONE && take_over(m, fd, generation);
    if (!done && e == ERR_NONE) close(fd);
    m->reload.refused = done ? 0 : before.mark;
    struct buf *line = log_begin(done ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    if (done) {
        BUF_LIT(line, "tables are read again: generation ");
        buf_put_u64(line, generation);
        BUF_LIT(line, ", in ");
        buf_put_u64(line, clock_mono_ms() - began_ms);
        BUF_LIT(line, " ms");
    } else {
        BUF_LIT(line, "error: tables cannot be read again; all of them stay as they were: generation ");
        buf_put_u64(line, m->config->generation);
    }
    log_end();
    return done;
}

void reload_now(struct master *m, struct child *control, uint64_t request)
{
    static uint8_t memory[IPC_PROBLEMS_BYTES_MAX];
    struct problems p = {BUF_OVER(memory)};
    bool done = reload(m, &p);
    if (control == NULL || control->channel == NULL) return;
    struct ipc_reloaded answer = {.request = request, .done = done, .generation = m->config->generation, .problems = buf_bytes(&p.text)};
    (void)!ipc_send_reloaded(control->channel, &answer, -1); /* who asked gives up when the process does not take it */
}

void reload_due(struct master *m)
{
    if (!m->ready || m->stopping || m->config->table_sources.count == 0 || m->now_ms < m->reload.look_ms) return;
    m->reload.look_ms = m->now_ms + LOOK_EVERY_MS;
    struct look l = look(m);
    if (l.changed && l.settled && l.mark != m->reload.refused) reload_now(m, NULL, 0);
}

uint64_t reload_deadline(const struct master *m)
{
    return m->ready && !m->stopping && m->config->table_sources.count > 0 ? m->reload.look_ms : UINT64_MAX;
}
