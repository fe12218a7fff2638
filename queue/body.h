/*
 * body - contents of messages: the cache of those that are fresh, the files of large ones, and reading both back.
 *
 * A content is prefix and inline body in one block. What a caller was lent lives until the next queue_collect(): dropped contents wait in a grave
 * until then. Files are named by the id that their message gets; they are made on the loop, and checked, synced and unlinked on a thread.
 */
#ifndef QUEUE_BODY_H
#define QUEUE_BODY_H

#include "queue/link.h"
#include "queue/log.h"
#include "queue/message.h"
#include "queue/thread.h"

struct body {
    struct link cache;       /* in the cache, oldest first */
    struct message *owner;   /* whose `body` this is */
    struct body *next_grave;
    uint32_t prefix_bytes, body_bytes;
    uint8_t data[];          /* prefix, body */
};

static inline struct bytes body_prefix(const struct body *b) { return bytes_of(b->data, b->prefix_bytes); }
static inline struct bytes body_inline(const struct body *b) { return bytes_of(b->data + b->prefix_bytes, b->body_bytes); }

/* body_new - a copy of both; NULL when there is no memory. */
struct body *body_new(struct bytes prefix, struct bytes body);

struct body_cache {
    struct link list;
    uint64_t bytes, bytes_max;
    struct body *graves;
};

void body_cache_init(struct body_cache *c, uint64_t bytes_max);
/* body_cache_put - m's body counts and may be dropped from now on; older ones are dropped to make room. */
void body_cache_put(struct body_cache *c, struct message *m);
/* body_cache_drop - m has no body in memory any more. body_bury - the same for one without owner. */
void body_cache_drop(struct body_cache *c, struct message *m);
void body_bury(struct body_cache *c, struct body *b);
/* body_cache_sweep - free what nobody can hold any more. */
void body_cache_sweep(struct body_cache *c);

enum { BODY_NAME_BYTES = 17 };
/* body_file_name - 16 digits and a NUL. body_file_id - 0 when a name is none of ours. */
void body_file_name(char name[BODY_NAME_BYTES], uint64_t id);
uint64_t body_file_id(const char *name);
/* body_file_create - a new empty file, readable and writable by us alone. */
must_use enum err body_file_create(int folder_fd, uint64_t id, int *fd);

struct body_read {           /* task: content of a message from the log and its file */
    struct task task;
    struct body_read *next;
    struct qlog *log;
    int folder_fd;
    struct message_id id;
    uint64_t cookie;
    struct qlog_place place;
    bool in_outcome, head, to_move;
    uint8_t tries;
    uint8_t body_kind;
    uint64_t body_id, body_skip, body_bytes;
    uint64_t bytes_max;      /* head: of the body */
    enum err error;          /* out */
    struct body *body;       /* out; owned by who collects the task */
    int fd;                  /* out; likewise, -1 = none */
};
void body_read_run(struct task *t);

/* body_of_record - the message in a record's body, whether it stands alone or in the outcome that caused it. */
must_use enum err body_of_record(struct bytes record, bool in_outcome, struct record_message *m);

struct body_sync {           /* task: make a filled file certain before a record refers to it; or unlink it */
    struct task task;
    int folder_fd;
    uint64_t body_id;
    uint64_t bytes;          /* it must have at least these */
    bool unlink;
    struct message_id id;
    enum err error;          /* out */
};
void body_sync_run(struct task *t);

#endif
