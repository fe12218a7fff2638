/*
 * log_testing - what the tests of the commit log share: a folder to work in, records that say their number, and a list of what recovery found.
 */
#ifndef QUEUE_LOG_TESTING_H
#define QUEUE_LOG_TESTING_H

#include "queue/log.h"

enum { SEEN_MAX = 4096, SMALL_SEGMENT = QLOG_SEGMENT_BYTES_MIN };

struct seen {                 /* what qlog_open() called back with */
    uint32_t count;
    uint64_t number[SEEN_MAX]; /* first 8 octets of each body */
    struct qlog_place place[SEEN_MAX];
    struct qlog_position at[SEEN_MAX];
    uint32_t damaged;
    uint64_t missing;
};

/* testing_folder - a fresh empty folder; testing_remove - it and all in it. */
int testing_folder(char path[64]);
void testing_remove(const char *path);

void testing_apply(void *context, const struct qlog_found *found);
bool testing_saw(const struct seen *s, uint64_t number);

/* testing_open - must succeed. */
struct qlog *testing_open(int folder, int event_fd, struct qlog_position from, struct seen *seen, struct qlog_recovery *recovery);

/* testing_append - a record whose body begins with `number` and has `bytes` octets that follow from it. */
enum err testing_append(struct qlog *log, enum record_type type, uint64_t number, uint32_t bytes, bool sync, struct qlog_place *place, uint64_t *group);

/* testing_body_is_right - whether octets are what testing_append() made for the number in them. */
bool testing_body_is_right(struct bytes body);

/* testing_sync - kick and collect until nothing is unsynced or a group is void; the last progress. */
struct qlog_progress testing_sync(struct qlog *log, uint64_t group);

#endif
