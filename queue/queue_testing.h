/*
 * queue_testing - what tests of the queue share: a queue in a temporary folder with a clock of its own, and messages to put into it.
 */
#ifndef QUEUE_QUEUE_RIG_H
#define QUEUE_QUEUE_RIG_H

#include "queue/queue.h"

enum { RIG_EVENTS_MAX = 4096, RIG_SAID_BYTES = 8192 };

struct rig {
    char folder[64];
    int folder_fd;
    struct queue *q;
    struct queue_options options;
    uint64_t retry_s[8];
    uint64_t now_ms;
    int64_t now_wall_us;
    struct queue_event events[RIG_EVENTS_MAX]; /* since rig_forget(); contents are not valid any more */
    uint32_t event_count;
    uint8_t body[BODY_INLINE_BYTES_MAX + 4096];    /* copy of the last content: prefix, body */
    uint32_t body_bytes;
    int body_fd;
    char said[RIG_SAID_BYTES];                 /* every sentence for the operator, one a line */
    uint32_t said_bytes;
};

/* rig_begin - a temporary folder, options for tests, the queue open. rig_end - closed, folder removed. */
void rig_begin(struct rig *t);
void rig_end(struct rig *t);
void rig_open(struct rig *t);
void rig_close(struct rig *t);

/* rig_pass - the clocks go on. rig_turn - one turn of the loop; waits up to wait_ms for the threads. */
void rig_pass(struct rig *t, uint64_t ms);
void rig_turn(struct rig *t, int wait_ms);
/* rig_until - turns until an event of this type and cookie came (cookie 0: any); false after two seconds. */
bool rig_until(struct rig *t, uint8_t type, uint64_t cookie, struct queue_event *e);
/* rig_settle - turns until nothing happens for a while; checkpoints included. */
void rig_settle(struct rig *t);
void rig_forget(struct rig *t);

struct rig_mail {
    const char *sender;
    const char *const *rcpts; /* NULL-terminated */
    struct bytes body;
    uint64_t transaction;     /* origin; 0 = none */
    int64_t expire_wall_s, warn_wall_s;
};
/* rig_accept - start accepting; commit with rig_until(). rig_commit - accept and wait; the id, 0 when refused. */
enum err rig_accept(struct rig *t, const struct rig_mail *mail, uint64_t cookie, struct message_id *id);
struct message_id rig_commit(struct rig *t, const char *rcpt);

/* rig_take - a job of any destination; false when there is none now. */
bool rig_take(struct rig *t, struct queue_job *job);
/* rig_result - the same verdict for all recipients of a job. */
enum err rig_result(struct rig *t, const struct queue_job *job, uint8_t class, uint8_t scope);
/* rig_content - ask for a job's content and wait for it: t->body. */
bool rig_content(struct rig *t, struct message_id id);

/* rig_check - queue_check() without problems, and balanced sums; problems are printed. */
bool rig_check(struct rig *t);

/* rig_remove_tree - a folder and what is in it, two levels deep. */
void rig_remove_tree(const char *path);

#endif
