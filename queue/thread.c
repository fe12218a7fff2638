/*
 * thread - one lock, one condition, two lists.
 */
#include "queue/thread.h"

#include <signal.h>
#include <unistd.h>

#include "base/must.h"

static void list_init(struct task_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_put(struct task_list *list, struct task *t)
{
    t->next = NULL;
    *list->last = t;
    list->last = &t->next;
}

static struct task *list_take(struct task_list *list)
{
    struct task *t = list->first;
    if (!t) return NULL;
    list->first = t->next;
    if (!list->first) list->last = &list->first;
    return t;
}

static void *run_tasks(void *context)
{
    struct thread *t = context;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        struct task *task = list_take(&t->waiting);
        if (!task) {
            if (t->stop) break;
            pthread_cond_wait(&t->wake, &t->lock);
            continue;
        }
        pthread_mutex_unlock(&t->lock);
        task->run(task);
        pthread_mutex_lock(&t->lock);
        list_put(&t->done, task);
        uint64_t one = 1;
        /* A full counter is readable already. */
        (void)!write(t->event_fd, &one, sizeof(one));
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

enum err thread_start(struct thread *t, int event_fd)
{
    *t = (struct thread){.event_fd = event_fd};
    list_init(&t->waiting);
    list_init(&t->done);
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    must(pthread_cond_init(&t->wake, NULL) == 0);
    sigset_t all, before;
    sigfillset(&all); /* signals belong to the loop */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&t->id, NULL, run_tasks, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->started = failed == 0;
    return failed ? ERR_NO_MEMORY : ERR_NONE;
}

void thread_stop(struct thread *t)
{
    if (!t->started) return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->id, NULL);
    t->started = false;
}

void thread_give(struct thread *t, struct task *task)
{
    must(t->started);
    t->given++;
    pthread_mutex_lock(&t->lock);
    list_put(&t->waiting, task);
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

struct task *thread_collect(struct thread *t)
{
    if (t->given == 0) return NULL;
    pthread_mutex_lock(&t->lock);
    struct task *task = list_take(&t->done);
    pthread_mutex_unlock(&t->lock);
    if (task) t->given--;
    return task;
}
