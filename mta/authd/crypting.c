/*
 * crypting - see crypting.h.
 */
#include "mta/authd/crypting.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/must.h"

static void *run(void *context)
{
    struct crypting *c = context;
    (void)pthread_mutex_lock(&c->lock);
    c->running++;
    (void)pthread_cond_signal(&c->started);
    for (;;) {
        while (!c->todo) (void)pthread_cond_wait(&c->work, &c->lock);
        struct crypting_job *j = c->todo;
        c->todo = j->next;
        if (!c->todo) c->todo_end = &c->todo;
        (void)pthread_mutex_unlock(&c->lock);
        j->fits = secrets_fits(bytes_of(j->password, j->password_bytes), bytes_of(j->hash, j->hash_bytes));
        explicit_bzero(j->password, sizeof j->password);
        (void)pthread_mutex_lock(&c->lock);
        j->next = c->done;
        c->done = j;
        uint64_t one = 1;
        /* It can only fail when the counter is full, and then the loop has been woken already. */
        if (write(c->event_fd, &one, sizeof one) < 0) continue;
    }
    return NULL;
}

enum err crypting_init(struct crypting *c)
{
    memset(c, 0, sizeof *c);
    c->todo_end = &c->todo;
    c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->event_fd < 0) return err_from_errno(errno);
    if (pthread_mutex_init(&c->lock, NULL) != 0 || pthread_cond_init(&c->work, NULL) != 0 || pthread_cond_init(&c->started, NULL) != 0) return ERR_NO_MEMORY;
    for (int i = 0; i < CRYPTING_THREADS; i++) {
        pthread_t thread;
        int refused = pthread_create(&thread, NULL, run, c);
        if (refused != 0) return err_from_errno(refused);
        (void)pthread_detach(thread);
    }
    /* The self-test forks soon: no thread may then be in the middle of its start, holding some lock of a library. */
    (void)pthread_mutex_lock(&c->lock);
    while (c->running < CRYPTING_THREADS) (void)pthread_cond_wait(&c->started, &c->lock);
    (void)pthread_mutex_unlock(&c->lock);
    return ERR_NONE;
}

bool crypting_submit(struct crypting *c, uint64_t owner, struct bytes password, struct bytes hash)
{
    struct crypting_job *j = NULL;
    for (uint32_t i = 0; i < CRYPTING_JOBS_MAX && !j; i++) {
        if (!c->jobs[i].busy) j = &c->jobs[i];
    }
    if (!j || password.len > sizeof j->password || hash.len > sizeof j->hash) return false;
    *j = (struct crypting_job){.owner = owner, .busy = true, .password_bytes = password.len, .hash_bytes = hash.len};
    if (password.len) memcpy(j->password, password.ptr, password.len);
    if (hash.len) memcpy(j->hash, hash.ptr, hash.len);
    (void)pthread_mutex_lock(&c->lock);
    *c->todo_end = j;
    c->todo_end = &j->next;
    (void)pthread_cond_signal(&c->work);
    (void)pthread_mutex_unlock(&c->lock);
    return true;
}

void crypting_collect(struct crypting *c, void (*done)(void *context, uint64_t owner, bool fits), void *context)
{
    uint64_t count;
    if (read(c->event_fd, &count, sizeof count) < 0 && errno != EAGAIN) return;
    (void)pthread_mutex_lock(&c->lock);
    struct crypting_job *list = c->done;
    c->done = NULL;
    (void)pthread_mutex_unlock(&c->lock);
    for (struct crypting_job *j = list; j;) {
        struct crypting_job *next = j->next;
        j->busy = false;
        done(context, j->owner, j->fits);
        j = next;
    }
}
