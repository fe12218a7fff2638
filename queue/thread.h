/*
 * thread - a thread that does tasks one after the other, and gives them back in the same order.
 *
 * A task touches nothing but what it carries and what is safe by itself (the log's qlog_read(), the index). The order of results is a promise:
 * what was read from the index before a checkpoint comes back before that checkpoint does.
 */
#ifndef QUEUE_THREAD_H
#define QUEUE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct task {
    struct task *next;
    void (*run)(struct task *t); /* on the thread */
    uint8_t kind;                /* the owner's, to tell tasks apart when they come back */
};

struct task_list {
    struct task *first, **last;
};

struct thread {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task_list waiting, done; /* under lock */
    bool stop;                      /* under lock */
    bool started;
    uint32_t given;                 /* tasks not collected yet; the owner's side only */
    int event_fd;                   /* written when a task is done; not owned */
};

must_use enum err thread_start(struct thread *t, int event_fd);

/* thread_stop - finishes what waits, ends the thread; then thread_collect() gives the rest. */
void thread_stop(struct thread *t);

void thread_give(struct thread *t, struct task *task);

/* thread_collect - the next task that is done, or NULL. Owner: the caller's again. */
struct task *thread_collect(struct thread *t);

#endif
