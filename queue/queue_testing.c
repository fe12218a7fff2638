/*
 * queue_testing - the shared part of the queue's tests.
 */
#include "queue/queue_testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"

enum { SEGMENT_BYTES = 1024 * 1024, UNTIL_MS = 2000, SETTLE_TURNS = 12 };

static const char prefix_text[] = "Received: by test id 0000000000000000;\r\n";
enum { PREFIX_ID_OFFSET = 21 };

/* Recipients go to the destination "mx:" and their domain. */
static void route(void *context, const struct record_message *m, const struct rcpt *r, struct buf *destination)
{
    (void)context;
    (void)m;
    BUF_LIT(destination, "mx:");
    buf_put(destination, mail_domain(r->address));
}

static void say(void *context, bool warning, struct bytes text)
{
    struct rig *t = context;
    (void)warning;
    uint32_t room = RIG_SAID_BYTES - 2 - t->said_bytes;
    uint32_t n = text.len < room ? text.len : room;
    memcpy(t->said + t->said_bytes, text.ptr, n);
    t->said_bytes += n;
    if (n) t->said[t->said_bytes++] = '\n';
    t->said[t->said_bytes] = 0;
}

void rig_open(struct rig *t)
{
    enum err e = queue_open(&t->q, &t->options, t->now_wall_us, t->now_ms);
    if (e) fprintf(stderr, "queue_open: %s\n%s", err_text(e), t->said);
    must(e == ERR_NONE);
}

void rig_close(struct rig *t)
{
    queue_close(t->q, t->now_wall_us, t->now_ms);
    t->q = NULL;
}

void rig_begin(struct rig *t)
{
    memset(t, 0, sizeof(*t));
    strcpy(t->folder, "/tmp/bulkhead-queue-XXXXXX");
    must(mkdtemp(t->folder) != NULL);
    t->folder_fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(t->folder_fd >= 0);
    t->body_fd = -1;
    t->now_ms = clock_mono_ms();
    t->now_wall_us = clock_wall_us();
    t->retry_s[0] = 1;
    t->retry_s[1] = 2;
    t->retry_s[2] = 5;
    t->options = (struct queue_options){.folder_fd = t->folder_fd,
                                        .segment_bytes = SEGMENT_BYTES,
                                        .retry_count = 3,
                                        .retry_s = t->retry_s,
                                        .retry_max_s = 60,
                                        .retry_exact = true,
                                        .expire_s = 86400,
                                        .body_cache_bytes = 1024 * 1024,
                                        .destination_connections = 20,
                                        .route = route,
                                        .say = say,
                                        .context = t};
    rig_open(t);
}

void rig_remove_tree(const char *path)
{
    char name[512];
    DIR *folder = opendir(path);
    for (const struct dirent *d = folder ? readdir(folder) : NULL; d; d = readdir(folder)) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        snprintf(name, sizeof(name), "%.200s/%.255s", path, d->d_name);
        if (unlink(name) == 0) continue;
        DIR *inner = opendir(name);
        for (const struct dirent *e = inner ? readdir(inner) : NULL; e; e = readdir(inner)) unlinkat(dirfd(inner), e->d_name, 0);
        if (inner) closedir(inner);
        rmdir(name);
    }
    if (folder) closedir(folder);
    rmdir(path);
}

void rig_end(struct rig *t)
{
    if (t->q) rig_close(t);
    if (t->body_fd >= 0) close(t->body_fd);
    close(t->folder_fd);
    must(chdir("/") == 0);
    rig_remove_tree(t->folder);
}

/* ---- turns ---- */

void rig_pass(struct rig *t, uint64_t ms)
{
    t->now_ms += ms;
    t->now_wall_us += (int64_t)ms * 1000;
}

static void keep_content(struct rig *t, const struct queue_content *c)
{
    t->body_bytes = c->prefix.len + c->body.len;
    must(t->body_bytes <= sizeof(t->body));
    if (c->prefix.len) memcpy(t->body, c->prefix.ptr, c->prefix.len);
    if (c->body.len) memcpy(t->body + c->prefix.len, c->body.ptr, c->body.len);
    if (t->body_fd >= 0) close(t->body_fd);
    t->body_fd = c->fd;
}

void rig_turn(struct rig *t, int wait_ms)
{
    struct pollfd p = {queue_event_fd(t->q), POLLIN, 0};
    if (wait_ms) poll(&p, 1, wait_ms);
    struct queue_event e;
    while (queue_collect(t->q, &e, t->now_wall_us, t->now_ms)) {
        if (e.type == QUEUE_BODY_READY) keep_content(t, &e.content);
        must(t->event_count < RIG_EVENTS_MAX);
        t->events[t->event_count++] = e;
    }
    queue_turn(t->q, t->now_wall_us, t->now_ms);
}

bool rig_until(struct rig *t, uint8_t type, uint64_t cookie, struct queue_event *e)
{
    uint64_t end_ms = clock_mono_ms() + UNTIL_MS;
    uint32_t seen = 0;
    do {
        for (; seen < t->event_count; seen++) {
            if (t->events[seen].type != type || (cookie && t->events[seen].cookie != cookie)) continue;
            if (e) *e = t->events[seen];
            return true;
        }
        rig_turn(t, 10);
    } while (clock_mono_ms() < end_ms);
    return false;
}

void rig_settle(struct rig *t)
{
    rig_pass(t, 1100);
    for (int i = 0; i < SETTLE_TURNS; i++) rig_turn(t, 8);
}

void rig_forget(struct rig *t)
{
    t->event_count = 0;
}

/* ---- mail ---- */

enum err rig_accept(struct rig *t, const struct rig_mail *mail, uint64_t cookie, struct message_id *id)
{
    uint8_t list_memory[16384], prefix[sizeof(prefix_text)];
    struct buf list = BUF_OVER(list_memory);
    struct record_message m = {.sender = bytes_of_cstr(mail->sender),
                               .helo = BYTES("client.example"),
                               .client_name = BYTES("unknown"),
                               .origin = {1, 1, mail->transaction},
                               .expire_wall_s = mail->expire_wall_s,
                               .warn_wall_s = mail->warn_wall_s,
                               .body = mail->body,
                               .body_bytes = mail->body.len};
    if (!mail->transaction) m.origin.receiver = 0, m.origin.epoch = 0;
    for (; mail->rcpts[m.rcpt_count]; m.rcpt_count++) rcpt_put(&list, &(struct rcpt){.address = bytes_of_cstr(mail->rcpts[m.rcpt_count])});
    must(!list.overflow);
    m.rcpts = buf_bytes(&list);
    memcpy(prefix, prefix_text, sizeof(prefix_text) - 1);
    m.prefix = bytes_of(prefix, sizeof(prefix_text) - 1);
    enum err e = queue_accept(t->q, &m, prefix, PREFIX_ID_OFFSET, cookie, t->now_wall_us, t->now_ms);
    if (id) *id = m.id;
    return e;
}

struct message_id rig_commit(struct rig *t, const char *rcpt)
{
    static uint64_t cookies = 1000;
    struct queue_event e;
    struct rig_mail mail = {.sender = "sender@example.org", .rcpts = (const char *const[]){rcpt, NULL}, .body = BYTES("Subject: x\r\n\r\nhello\r\n")};
    uint64_t cookie = ++cookies;
    if (rig_accept(t, &mail, cookie, NULL)) return (struct message_id){0};
    return rig_until(t, QUEUE_COMMITTED, cookie, &e) ? e.id : (struct message_id){0};
}

bool rig_take(struct rig *t, struct queue_job *job)
{
    uint64_t destination = queue_next_destination(t->q, t->now_ms, t->now_wall_us);
    return destination && queue_job_take(t->q, destination, 100, job);
}

enum err rig_result(struct rig *t, const struct queue_job *job, uint8_t class, uint8_t scope)
{
    enum { MOST = 1000 };
    struct queue_result r[MOST];
    must(job->rcpt_count <= MOST);
    for (uint32_t i = 0; i < job->rcpt_count; i++) {
        r[i] = (struct queue_result){.rcpt = job->rcpts[i], .verdict = {.class = class, .scope = scope, .code = 450, .text = BYTES("450 try later")}};
    }
    struct message_id id = job->id;
    uint32_t count = job->rcpt_count;
    queue_settle(t->q, id, r, count, t->now_wall_us);
    return queue_outcome(t->q, id, r, count, NULL, 0, t->now_wall_us, t->now_ms);
}

bool rig_content(struct rig *t, struct message_id id)
{
    static uint64_t cookies = 500000;
    struct queue_content c;
    uint64_t cookie = ++cookies;
    if (queue_body(t->q, id, cookie, &c)) {
        keep_content(t, &c);
        return true;
    }
    return rig_until(t, QUEUE_BODY_READY, cookie, NULL);
}

static void on_problem(void *context, struct bytes text)
{
    (void)context;
    fprintf(stderr, "queue_check: %.*s\n", (int)text.len, text.ptr);
}

bool rig_check(struct rig *t)
{
    struct queue_totals totals;
    queue_totals(t->q, &totals);
    if (!totals.audit.balanced) fprintf(stderr, "audit: not balanced\n");
    return queue_check(t->q, on_problem, NULL) == 0 && totals.audit.balanced;
}
