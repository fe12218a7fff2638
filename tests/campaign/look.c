/*
 * look - see the header.
 */
#include "look.h"

#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/must.h"

enum { SEGMENT_BYTES = 1024 * 1024, WAIT_MS = 5000 };

static void route(void *context, const struct record_message *m, const struct rcpt *r, struct buf *destination)
{
    (void)context;
    (void)m;
    (void)r;
    BUF_LIT(destination, "mx:there.example");
}

static void say(void *context, bool warning, struct bytes text)
{
    (void)context;
    (void)warning;
    fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.ptr);
}

static void on_problem(void *context, struct bytes text)
{
    (void)context;
    fprintf(stderr, "queue_check: %.*s\n", (int)text.len, (const char *)text.ptr);
}

uint64_t look_problems(struct queue *q)
{
    return queue_check(q, on_problem, NULL);
}

struct queue *look_open(const char *folder)
{
    static const uint64_t steps[] = {60, 300};
    struct queue *q = NULL;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct queue_options options = {.folder_fd = fd, .segment_bytes = SEGMENT_BYTES, .retry_count = 2, .retry_s = steps, .retry_max_s = 3600,
                                    .expire_s = 86400 * 5, .body_cache_bytes = 1 << 20, .destination_connections = 20, .route = route, .say = say};
    enum err e = queue_open(&q, &options, clock_wall_us(), clock_mono_ms());
    if (e != ERR_NONE) fprintf(stderr, "queue_open: %s\n", err_text(e));
    return e == ERR_NONE ? q : NULL;
}

uint8_t look_until(struct queue *q, struct queue_event *out, uint64_t cookie)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct queue_event event;
    while (clock_mono_ms() < end) {
        while (queue_collect(q, &event, clock_wall_us(), clock_mono_ms())) {
            if (event.cookie != cookie) continue;
            if (out) *out = event;
            return event.type;
        }
        queue_turn(q, clock_wall_us(), clock_mono_ms());
        poll(&(struct pollfd){queue_event_fd(q), POLLIN, 0}, 1, 5);
    }
    return QUEUE_EVENT_NONE;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void look_remove(const char *folder)
{
    must(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void look_settle_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, 4 << 20);
}
