/*
 * log_testing - see the header.
 */
#include "queue/log_testing.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"

int testing_folder(char path[64])
{
    const char *where = getenv("TMPDIR");
    int n = snprintf(path, 64, "%s/bulkhead-log-XXXXXX", where ? where : "/tmp");
    must(n > 0 && n < 64 && mkdtemp(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0);
    return fd;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void testing_remove(const char *path)
{
    must(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static uint8_t octet_of(uint64_t number, uint32_t i)
{
    return (uint8_t)(number * 131 + i * 7 + 1);
}

bool testing_body_is_right(struct bytes body)
{
    struct cursor c = cursor_over(body);
    uint64_t number = cursor_le(&c, 8);
    for (uint32_t i = 8; i < body.len; i++) {
        if (body.ptr[i] != octet_of(number, i)) return false;
    }
    return !c.failed;
}

void testing_apply(void *context, const struct qlog_found *found)
{
    struct seen *s = context;
    if (found->damaged) {
        s->damaged++;
        s->missing += found->missing;
        return;
    }
    must(s->count < SEEN_MAX);
    must(testing_body_is_right(found->body));
    s->number[s->count] = record_peek_id(found->body).v;
    s->place[s->count] = found->place;
    s->at[s->count] = found->at;
    s->count++;
}

bool testing_saw(const struct seen *s, uint64_t number)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->number[i] == number) return true;
    }
    return false;
}

struct qlog *testing_open(int folder, int event_fd, struct qlog_position from, struct seen *seen, struct qlog_recovery *recovery)
{
    struct qlog *log = NULL;
    struct qlog_options options = {.folder_fd = folder, .segment_bytes = SMALL_SEGMENT, .event_fd = event_fd};
    memset(seen, 0, sizeof(*seen));
    enum err e = qlog_open(&log, &options, from, testing_apply, seen, recovery);
    must(e == ERR_NONE && log);
    return log;
}

enum err testing_append(struct qlog *log, enum record_type type, uint64_t number, uint32_t bytes, bool sync, struct qlog_place *place, uint64_t *group)
{
    static uint8_t memory[QLOG_RECORD_BYTES_MAX];
    must(bytes >= 8 && bytes <= sizeof(memory));
    struct buf b = BUF_OVER(memory);
    buf_put_le(&b, number, 8);
    for (uint32_t i = 8; i < bytes; i++) memory[i] = octet_of(number, i);
    struct bytes parts[2] = {bytes_of(memory, 5), bytes_of(memory + 5, bytes - 5)};
    return qlog_append(log, type, parts, 2, sync, place, group);
}

struct qlog_progress testing_sync(struct qlog *log, uint64_t group)
{
    struct qlog_progress p = {0};
    for (int turns = 0; turns < 5000; turns++) {
        qlog_collect(log, &p);
        if (p.voided_group != 0 || p.synced_group >= group) return p;
        qlog_kick(log);
        struct timespec pause = {.tv_nsec = 200000};
        nanosleep(&pause, NULL);
    }
    return p;
}
