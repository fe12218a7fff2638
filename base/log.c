/*
 * log - one buffer of finished lines, and its way out.
 *
 * A line is built in memory of its own, cleaned (no control octet survives, so no foreigner can begin a line), and appended to
 * the buffer. What the reader does not take stays there; when it is full, new lines are dropped and counted, and a line that
 * says how many follows the last one kept. A line is at most PIPE_BUF octets, so that lines of several processes on one pipe
 * never mix. After log_open() only write, poll and sendto are called, so that it works behind a system call filter.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"

enum {
    OUT_BYTES = 64 * 1024,     /* lines of a busy loop turn; also what a stalled reader may lag behind */
    LINE_BYTES_MAX = PIPE_BUF, /* with its newline */
    LINE_END_BYTES = 4,        /* kept free for "..." and the newline */
    IDENT_BYTES_MAX = 32,
    HOST_BYTES_MAX = 255,
    STAMP_BYTES = 15, /* "Nov 22 10:00:00" */
    SYSLOG_FACILITY_MAIL = 2,
};

static_assert(LINE_BYTES_MAX <= OUT_BYTES / 4, "the buffer holds several lines of any length");

/* How a descriptor is written to without ever waiting for its reader. */
enum way {
    WAY_POLL = 0, /* pipes, terminals: only while poll() says that there is room, PIPE_BUF octets at a time */
    WAY_FILE,     /* regular files do not stall: everything at once */
    WAY_SOCKET,   /* MSG_DONTWAIT */
};

struct name {
    uint8_t text[HOST_BYTES_MAX];
    uint32_t text_bytes;
};

static uint8_t out_memory[OUT_BYTES];
static uint8_t line_memory[LINE_BYTES_MAX];
static uint8_t stamp_memory[STAMP_BYTES];

static struct {
    int fd;
    enum way way;
    enum log_sink sink;
    enum log_level level_most; /* lines above are not written */
    int pid;
    struct name ident, host, daemon;
    struct buf out;           /* finished lines that wait for log_flush() */
    struct buf line;          /* the line between log_begin() and log_end() */
    enum log_level line_level;
    bool line_open;
    bool torn;                /* the last octet written was not a newline, and the rest of that line is lost */
    int64_t stamp_s;          /* the second that stamp_memory shows */
    uint64_t dropped, said;   /* lines dropped since the start, and those of them that were told */
} state = {
    .fd = STDERR_FILENO,
    .level_most = LOG_LEVEL_INFO,
    .ident = {"mta", 3},
    .host = {"localhost", 9},
    .out = {out_memory, 0, OUT_BYTES, false},
    .stamp_s = INT64_MIN,
};

static struct bytes name_bytes(const struct name *n)
{
    return bytes_of(n->text, n->text_bytes);
}

static void set_name(struct name *n, struct bytes text, uint32_t max)
{
    struct buf copy = buf_over(n->text, max);
    buf_put_cut(&copy, text);
    n->text_bytes = copy.len;
}

static enum way way_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return WAY_POLL;
    return S_ISREG(st.st_mode) ? WAY_FILE : S_ISSOCK(st.st_mode) ? WAY_SOCKET : WAY_POLL;
}

void log_open(int fd, enum log_sink sink, struct bytes ident, struct bytes host, struct bytes daemon)
{
    tzset(); /* reads the time zone's file now; localtime_r() does not open it again */
    state.fd = fd;
    state.way = way_of(fd);
    state.sink = sink;
    state.pid = (int)getpid();
    state.stamp_s = INT64_MIN;
    set_name(&state.ident, ident, IDENT_BYTES_MAX);
    set_name(&state.host, bytes_slice(host, 0, bytes_find(host, '.')), HOST_BYTES_MAX);
    set_name(&state.daemon, daemon, IDENT_BYTES_MAX);
}

void log_set_fd(int fd)
{
    state.fd = fd;
}

void log_set_level(enum log_level most)
{
    state.level_most = most;
}

/* put_stamp - the local time, as syslog writes it; the text is made once a second. */
static void put_stamp(struct buf *line)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t now_s = clock_wall_us() / 1000000;
    if (now_s != state.stamp_s) {
        struct buf stamp = BUF_OVER(stamp_memory);
        struct tm local;
        time_t t = (time_t)now_s;
        must(localtime_r(&t, &local) != NULL);
        buf_put(&stamp, bytes_of(months + 3 * local.tm_mon, 3));
        buf_put_cstr(&stamp, local.tm_mday < 10 ? "  " : " ");
        buf_put_u64(&stamp, (uint64_t)local.tm_mday);
        buf_put_c(&stamp, ' ');
        buf_put_pad(&stamp, (uint64_t)local.tm_hour, 2);
        buf_put_c(&stamp, ':');
        buf_put_pad(&stamp, (uint64_t)local.tm_min, 2);
        buf_put_c(&stamp, ':');
        buf_put_pad(&stamp, (uint64_t)local.tm_sec, 2);
        must(stamp.len == STAMP_BYTES);
        state.stamp_s = now_s;
    }
    buf_put(line, bytes_of(stamp_memory, STAMP_BYTES));
}

static uint32_t syslog_priority(enum log_level level)
{
    static const uint8_t severity[] = {
        [LOG_LEVEL_FATAL] = 2, [LOG_LEVEL_ERROR] = 3, [LOG_LEVEL_WARNING] = 4, [LOG_LEVEL_INFO] = 6, [LOG_LEVEL_TRACE] = 7};
    must(level <= LOG_LEVEL_TRACE);
    return SYSLOG_FACILITY_MAIL * 8 + severity[level];
}

/* start_line - everything that stands before the text. */
static void start_line(enum log_level level, struct bytes daemon, int pid)
{
    must(!state.line_open);
    struct buf *line = &state.line;
    *line = buf_over(line_memory, LINE_BYTES_MAX - LINE_END_BYTES);
    state.line_level = level;
    state.line_open = true;

    if (state.sink == LOG_SINK_SYSLOG) {
        buf_put_c(line, '<');
        buf_put_u64(line, syslog_priority(level));
        buf_put_c(line, '>');
    } else {
        put_stamp(line);
        buf_put_c(line, ' ');
        buf_put(line, name_bytes(&state.host));
        buf_put_c(line, ' ');
    }
    buf_put(line, name_bytes(&state.ident));
    if (daemon.len > 0) {
        buf_put_c(line, '/');
        buf_put(line, bytes_slice(daemon, 0, IDENT_BYTES_MAX));
    }
    buf_put_c(line, '[');
    buf_put_i64(line, pid);
    BUF_LIT(line, "]: ");
}

static bool is_control(uint8_t c)
{
    return c < 0x20 || c == 0x7F;
}

static bool has_control(struct bytes text)
{
    bool found = false;
    for (uint32_t i = 0; i < text.len; i++) found |= is_control(text.ptr[i]);
    return found;
}

/* clean_line - the slow way for a line with control octets: it comes out with \xNN in their place. */
static void clean_line(struct buf *line)
{
    uint8_t memory[LINE_BYTES_MAX];
    struct buf clean = buf_over(memory, line->cap);
    for (uint32_t i = 0; i < line->len; i++) {
        struct bytes c = bytes_of(line->ptr + i, 1);
        if (is_control(line->ptr[i])) buf_put_escaped(&clean, c, 1);
        else buf_put(&clean, c);
    }
    line->len = 0;
    buf_put(line, buf_bytes(&clean));
    line->overflow = line->overflow || clean.overflow;
}

/* finish_line - give the line its end, and append it to the buffer or drop it. */
static void finish_line(void)
{
    struct buf *line = &state.line;
    must(state.line_open);
    state.line_open = false;
    if (has_control(buf_bytes(line))) clean_line(line);

    line->cap += LINE_END_BYTES;
    if (line->overflow) BUF_LIT(line, "...");
    buf_put_c(line, '\n');
    if (state.torn && buf_room(&state.out) > line->len) {
        buf_put_c(&state.out, '\n');
        state.torn = false;
    }
    if (line->len <= buf_room(&state.out)) buf_put(&state.out, buf_bytes(line));
    else state.dropped++;
}

struct buf *log_begin(enum log_level level)
{
    return log_begin_as(level, name_bytes(&state.daemon), state.pid);
}

struct buf *log_begin_as(enum log_level level, struct bytes daemon, int pid)
{
    if (buf_room(&state.out) < LINE_BYTES_MAX + 1) log_flush();
    start_line(level, daemon, pid ? pid : state.pid);
    return &state.line;
}

void log_end(void)
{
    if (state.line_level > state.level_most) {
        must(state.line_open);
        state.line_open = false;
        return;
    }
    finish_line();
    if (state.line_level == LOG_LEVEL_FATAL) log_flush(); /* the process may not live to its next loop turn */
}

static void put_level(struct buf *line, enum log_level level)
{
    if (level == LOG_LEVEL_FATAL) BUF_LIT(line, "fatal: ");
    else if (level == LOG_LEVEL_ERROR) BUF_LIT(line, "error: ");
    else if (level == LOG_LEVEL_WARNING) BUF_LIT(line, "warning: ");
}

void log_text(enum log_level level, const char *text)
{
    struct buf *line = log_begin(level);
    put_level(line, level);
    buf_put_cut(line, bytes_of_cstr(text));
    log_end();
}

void log_err(enum log_level level, const char *text, struct bytes what, enum err e)
{
    struct buf *line = log_begin(level);
    put_level(line, level);
    buf_put_cstr(line, text);
    if (what.len > 0) {
        BUF_LIT(line, ": ");
        log_bytes(line, what);
    }
    BUF_LIT(line, ": ");
    buf_put_cstr(line, err_text(e));
    log_end();
}

void log_bytes(struct buf *line, struct bytes text)
{
    buf_put_escaped(line, text, LOG_FIELD_BYTES_MAX);
}

uint64_t log_dropped(void)
{
    return state.dropped;
}

/* next_chunk - what one system call is to take: a line for syslog, all for a file, else whole lines up to PIPE_BUF octets. */
static struct bytes next_chunk(struct bytes waiting)
{
    if (state.sink == LOG_SINK_SYSLOG) return bytes_slice(waiting, 0, bytes_find(waiting, '\n') + 1);
    if (state.way == WAY_FILE) return waiting;
    struct bytes window = bytes_slice(waiting, 0, LINE_BYTES_MAX);
    uint32_t last = bytes_find_last(window, '\n');
    must(last < window.len);
    return bytes_slice(window, 0, last + 1);
}

static bool has_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1; /* POLLERR counts: the write then says what is wrong */
}

/* write_chunk - one attempt. Returns octets of chunk that are done with, 0 for "not now", -1 for "not these, ever". */
static int64_t write_chunk(struct bytes chunk)
{
    uint32_t newline = state.sink == LOG_SINK_SYSLOG ? 1 : 0; /* a datagram has its own end */
    ssize_t n;
    if (state.way == WAY_POLL && !has_room(state.fd)) return 0;
    do {
        if (state.way == WAY_SOCKET) n = send(state.fd, chunk.ptr, chunk.len - newline, MSG_DONTWAIT | MSG_NOSIGNAL);
        else n = write(state.fd, chunk.ptr, chunk.len - newline);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return (int64_t)n + newline;
    return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
}

/* starts_torn - whether chunk begins with the newline that ends a torn line; no line of ours is empty. */
static bool starts_torn(struct bytes chunk)
{
    return chunk.ptr[0] == '\n';
}

static uint64_t count_lines(struct bytes chunk)
{
    uint64_t lines = 0;
    for (uint32_t i = starts_torn(chunk); i < chunk.len; i++) lines += chunk.ptr[i] == '\n';
    return lines;
}

/* drain - write until the buffer is empty or the reader wants no more. Returns whether anything was taken. */
static bool drain(void)
{
    bool wrote = false;
    bool mid_line = false;
    uint32_t pos = 0;
    while (pos < state.out.len) {
        struct bytes chunk = next_chunk(bytes_from(buf_bytes(&state.out), pos));
        int64_t taken = write_chunk(chunk);
        if (taken == 0) break;
        if (taken < 0) {
            state.dropped += count_lines(chunk);
            state.torn = state.torn || mid_line || starts_torn(chunk);
            mid_line = false;
            taken = chunk.len;
        } else {
            wrote = true;
            mid_line = chunk.ptr[taken - 1] != '\n';
        }
        pos += (uint32_t)taken;
    }
    state.out.len -= pos;
    memmove(state.out.ptr, state.out.ptr + pos, state.out.len);
    return wrote;
}

/* say_dropped - write the line that follows a gap, once the buffer is empty again. When it is lost too, it is said later. */
static void say_dropped(void)
{
    uint64_t dropped = state.dropped;
    uint64_t lines = dropped - state.said;
    start_line(LOG_LEVEL_WARNING, name_bytes(&state.daemon), state.pid);
    BUF_LIT(&state.line, "warning: log: ");
    buf_put_u64(&state.line, lines);
    BUF_LIT(&state.line, " lines were dropped here, since they could not be written in time");
    finish_line();
    drain();
    if (state.dropped == dropped) state.said = dropped;
    state.dropped = dropped;
}

void log_flush(void)
{
    bool wrote = drain();
    if (!wrote || state.out.len > 0 || state.dropped == state.said) return;
    say_dropped();
}
