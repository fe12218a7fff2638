/*
 * recover - from what is on disk to a queue in memory: index, log, files.
 *
 * LMDB trusts its file, and a damaged one can kill who reads it. So a child reads it first: for a moment after an orderly life, whole when the last
 * process died young, since then the index may be why.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "queue/state.h"

enum { QUICK_CHECK_MS = 50, WHOLE_CHECK_S = 600 };

static const char trial_name[] = "index.trial"; /* exists while it is open whether this process survives its index */

/* ---- the child's look ---- */

_Noreturn static void look(uint64_t deadline_ms)
{
    struct index *index;
    struct index_view view;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    alarm(WHOLE_CHECK_S);
    enum err e = index_open(&index);
    if (e) _exit(e == ERR_CORRUPT);
    if (index_view_open(index, &view)) _exit(1);
    uint64_t problems = index_check(&view, deadline_ms, NULL, NULL);
    index_view_close(&view);
    index_close(index);
    _exit(problems > 0);
}

static bool is_damaged(const struct queue *q)
{
    struct stat st;
    bool whole = fstatat(q->options.folder_fd, trial_name, &st, 0) == 0;
    if (fstatat(q->options.folder_fd, "index", &st, 0) != 0) return false;
    pid_t child = fork();
    if (child == 0) look(whole ? UINT64_MAX : clock_mono_ms() + QUICK_CHECK_MS);
    if (child < 0) return false; /* then it is read without */
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return false;
    }
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

void recover_trial(struct queue *q, bool begin)
{
    if (!begin) {
        unlinkat(q->options.folder_fd, trial_name, 0);
        return;
    }
    int fd = openat(q->options.folder_fd, trial_name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

/* ---- index ---- */

static enum err on_destination(void *context, const struct index_destination *d)
{
    struct queue *q = context;
    return destination_restore(&q->schedule, d);
}

static enum err on_segment(void *context, const struct segment_use *s)
{
    struct queue *q = context;
    return segments_set(&q->segments, s);
}

static void take_meta(struct queue *q, const struct index_meta *meta)
{
    q->audit = (struct audit){meta->accepted, meta->delivered, meta->bounced, meta->expired, meta->removed};
    q->messages = meta->messages;
    q->held = meta->held;
    q->message_bytes = meta->bytes;
    q->checkpoint.position = meta->position;
    if (meta->destinations_made > q->schedule.made) q->schedule.made = meta->destinations_made;
    ids_seen(&q->ids, (struct message_id){meta->id_floor});
}

static enum err read_index(struct queue *q)
{
    struct index_view view;
    struct index_meta meta;
    enum err e = index_view_open(q->index, &view);
    if (e) return e;
    e = index_meta_get(&view, &meta);
    if (!e) e = index_destinations(&view, on_destination, q);
    if (!e) e = index_segments(&view, on_segment, q);
    if (!e) e = index_next_message(&view, (struct message_id){0}, &q->index_oldest);
    index_view_close(&view);
    if (!e) take_meta(q, &meta);
    return e;
}

/* forget - memory as it was before anything was read. */
static enum err forget(struct queue *q)
{
    struct message *m;
    while ((m = message_table_next(&q->table, NULL)) != NULL) resident_drop(q, m);
    resident_sweep(q);
    schedule_fini(&q->schedule);
    segments_fini(&q->segments);
    q->audit = (struct audit){0};
    q->messages = q->held = q->message_bytes = 0;
    q->checkpoint.position = (struct qlog_position){0};
    q->fault = ERR_NONE;
    enum err e = schedule_init(&q->schedule, q->options.destination_connections);
    schedule_time(&q->schedule, q->now_ms, q->now_wall_us);
    return e;
}

/* start_anew - set a bad index aside, and begin with an empty one that the log will fill. */
static enum err start_anew(struct queue *q, const char *why)
{
    uint32_t number;
    struct stat st;
    if (q->index) index_close(q->index);
    q->index = NULL;
    enum err e = forget(q);
    if (!e && fstatat(q->options.folder_fd, "index", &st, 0) == 0) {
        e = index_set_aside(q->options.folder_fd, &number);
        if (!e) queue_say(q, true, why);
    }
    if (!e) e = index_create(q->options.folder_fd);
    if (!e) e = index_open(&q->index);
    if (!e) q->rebuilt = true;
    return e;
}

enum err recover_index(struct queue *q)
{
    if (is_damaged(q)) return start_anew(q, "the index is damaged; it was renamed to index.damaged-N and is being rebuilt from the commit log");
    recover_trial(q, true);
    enum err e = index_open(&q->index);
    if (e == ERR_NOT_FOUND) return start_anew(q, "");
    if (!e) e = read_index(q);
    if (e == ERR_CORRUPT) return start_anew(q, "the index cannot be read; it was renamed to index.damaged-N and is being rebuilt from the commit log");
    return e;
}

/* ---- log ---- */

static enum err open_log(struct queue *q, struct qlog_recovery *recovery)
{
    const struct queue_options *o = &q->options;
    struct qlog_options options = {o->folder_fd, o->segment_bytes, o->max_bytes, o->min_free_bytes, q->event_fd};
    *recovery = (struct qlog_recovery){0};
    enum err e = qlog_open(&q->log, &options, q->checkpoint.position, apply_found, q, recovery);
    if (e) q->log = NULL;
    return e;
}

static void say_recovery(struct queue *q, const struct qlog_recovery *r)
{
    uint8_t memory[512];
    struct buf text = BUF_OVER(memory);
    if (r->records == 0 && !q->rebuilt) return;
    BUF_LIT(&text, "queue: ");
    buf_put_u64(&text, r->records);
    buf_put_cstr(&text, q->rebuilt ? " records read to build the index, " : " records replayed, ");
    buf_put_u64(&text, q->messages);
    BUF_LIT(&text, " messages queued");
    if (r->torn_records) {
        BUF_LIT(&text, ", ");
        buf_put_u64(&text, r->torn_records);
        BUF_LIT(&text, " unfinished records at the end");
    }
    if (r->damaged_records) {
        BUF_LIT(&text, ", ");
        buf_put_u64(&text, r->damaged_records);
        BUF_LIT(&text, " damaged records set aside");
    }
    bool damage = r->damaged_records || r->damaged_files;
    if (r->damaged_files) {
        BUF_LIT(&text, ", ");
        buf_put_u64(&text, r->damaged_files);
        BUF_LIT(&text, " damaged segments");
    }
    if (q->messages > 0 || r->records > 0 || damage) q->options.say(q->options.context, damage, buf_bytes(&text));
}

enum err recover_log(struct queue *q)
{
    struct qlog_recovery recovery;
    enum err e = open_log(q, &recovery);
    bool again = !e && (recovery.position_missing || q->fault == ERR_CORRUPT);
    if (again) {
        qlog_close(q->log);
        q->log = NULL;
        e = start_anew(q, "the index does not fit the commit log; it was renamed to index.damaged-N and is being rebuilt");
        if (!e) e = open_log(q, &recovery);
    }
    if (!e && q->fault) e = q->fault;
    if (!e) say_recovery(q, &recovery);
    if (!e && q->rebuilt) e = checkpoint_now(q, qlog_last(q->log));
    return e;
}

/* ---- body files ---- */

/* is_needed - whether a live message has this file; also when that cannot be found out. */
static bool is_needed(struct queue *q, const struct index_view *view, uint64_t body_id)
{
    struct message_id id = {body_id};
    const struct message *m = message_table_find(&q->table, id);
    if (m) return m->state != MESSAGE_GONE && m->m.body_kind == BODY_FILE;
    struct arena arena = {0};
    struct index_message im;
    enum err e = index_get(view, id, &arena, &im);
    bool needed = e ? e != ERR_NOT_FOUND : im.m.body_kind == BODY_FILE;
    arena_fini(&arena);
    return needed;
}

void recover_sweep(struct queue *q)
{
    struct index_view view;
    int fd = openat(q->bodies_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    if (index_view_open(q->index, &view) == ERR_NONE) {
        for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
            uint64_t id = body_file_id(entry->d_name);
            if (id == 0 || is_needed(q, &view, id)) continue;
            if (message_table_find(&q->table, (struct message_id){id})) accept_unlink(q, id, q->checkpoint.number + 1);
            else unlinkat(q->bodies_fd, entry->d_name, 0);
        }
        index_view_close(&view);
    }
    closedir(folder);
}
