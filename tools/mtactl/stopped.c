/*
 * stopped - `mtactl queue check --stopped DIR`: open a queue that no mtad has, as mtad would, and walk every invariant.
 *
 * Opening recovers: what a crash left is mended here just as at a start. It is done as the owner of the folder, so that mtad can use the queue after.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "mtactl.h"
#include "queue/queue.h"

enum { SEGMENT_BYTES = 64 * 1024 * 1024, MIN_FREE_BYTES = 1024 * 1024, CONNECTIONS = 20 };

static int refuse(const char *folder, const char *why)
{
    fprintf(stderr, "mtactl: %s: %s\n", folder, why);
    return ADMIN_REFUSED;
}

static void route(void *context, const struct record_message *m, const struct rcpt *r, struct buf *destination)
{
    (void)context;
    (void)m;
    (void)r;
    BUF_LIT(destination, "none"); /* destinations of mail are in the queue; new ones are not made here */
}

static void say(void *context, bool warning, struct bytes text)
{
    (void)context;
    fprintf(stderr, "mtactl: %s%.*s\n", warning ? "warning: " : "", (int)text.len, (const char *)text.ptr);
}

static void on_problem(void *context, struct bytes text)
{
    const struct ctl *c = context;
    static uint8_t memory[64 * 1024];
    struct buf b = BUF_OVER(memory);
    if (!c->json) {
        show_text(text, 0);
        putchar('\n');
        return;
    }
    json_open(&b, NULL, '{');
    json_text(&b, "problem", text);
    json_close(&b, '}');
    print_json_line(&b);
}

/* become_owner - root takes the folder's owner, so that no file in it comes to belong to root. */
static bool become_owner(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return false;
    if (geteuid() != 0 || st.st_uid == 0) return true;
    return setgroups(0, NULL) == 0 && setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 && setresuid(st.st_uid, st.st_uid, st.st_uid) == 0;
}

int check_stopped(const struct ctl *c)
{
    static const uint64_t steps[] = {60, 300, 900, 1800};
    int fd = open(c->stopped, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return refuse(c->stopped, strerror(errno));
    if (faccessat(fd, "log", F_OK, 0) != 0) return refuse(c->stopped, "there is no queue in this folder");
    if (!become_owner(fd)) return refuse(c->stopped, "cannot become its owner");
    struct queue *q;
    struct queue_options options = {
        .folder_fd = fd, .segment_bytes = SEGMENT_BYTES, .min_free_bytes = MIN_FREE_BYTES, .retry_count = sizeof steps / sizeof *steps, .retry_s = steps,
        .retry_max_s = 4 * 3600, .expire_s = 5 * 86400, .body_cache_bytes = 1 << 20, .destination_connections = CONNECTIONS, .route = route, .say = say,
    };
    enum err e = queue_open(&q, &options, clock_wall_us(), clock_mono_ms());
    if (e == ERR_BUSY) return refuse(c->stopped, "an mtad has this queue; ask it: mtactl queue check");
    if (e != ERR_NONE) return refuse(c->stopped, err_text(e));
    void *context = (void *)(uintptr_t)c;
    uint64_t problems = queue_check(q, on_problem, context);
    queue_close(q, clock_wall_us(), clock_mono_ms());
    if (c->json) {
        printf("{\"problems\":%" PRIu64 "}\n", problems);
    } else {
        show_plural(problems, "problem");
        putchar('\n');
    }
    return problems ? ADMIN_NEGATIVE : ADMIN_OK;
}
