/*
 * notify - the service manager's notification socket (sd_notify(3)), in the few lines that it takes.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mta/master/master.h"

static struct {
    int fd;                  /* connected; -1 = nobody asked */
    uint64_t every_ms;       /* WATCHDOG=1; 0 = never */
    uint64_t next_ms;
} state = {.fd = -1};

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const char *interval = getenv("WATCHDOG_USEC");
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    uint64_t usec = 0;
    if (path != NULL && (path[0] == '/' || path[0] == '@') && strlen(path) < sizeof(where.sun_path)) {
        size_t n = strlen(path);
        memcpy(where.sun_path, path, n);
        if (path[0] == '@') where.sun_path[0] = 0; /* the abstract namespace */
        state.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        socklen_t where_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        if (state.fd >= 0 && connect(state.fd, (const struct sockaddr *)&where, where_bytes) != 0) {
            close(state.fd);
            state.fd = -1;
        }
        if (interval != NULL && bytes_to_u64(bytes_of_cstr(interval), &usec)) state.every_ms = usec / 2000; /* twice as often as asked for */
    }
    unsetenv("NOTIFY_SOCKET"); /* children have nothing to say there */
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void say(const char *text)
{
    if (state.fd >= 0) (void)!send(state.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT); /* a loss shows as a missed watchdog */
}

void notify_ready(void) { say("READY=1"); }
void notify_stopping(void) { say("STOPPING=1"); }

void notify_alive(uint64_t now_ms)
{
    if (state.fd < 0 || state.every_ms == 0 || now_ms < state.next_ms) return;
    say("WATCHDOG=1");
    state.next_ms = now_ms + state.every_ms;
}

uint64_t notify_deadline(void)
{
    return state.fd < 0 || state.every_ms == 0 ? UINT64_MAX : state.next_ms;
}
