/*
 * crypting - threads that compute hashes, since one takes tens of milliseconds and the loop has others to serve. They open nothing and talk to nobody.
 */
#ifndef MTA_AUTHD_CRYPTING_H
#define MTA_AUTHD_CRYPTING_H

#include <pthread.h>

#include "base/err.h"
#include "mta/authd/secrets.h"
#include "smtp/sasl.h"

enum { CRYPTING_THREADS = 2, CRYPTING_JOBS_MAX = 64 /* more wait than are worth waiting for: 454 */ };

struct crypting_job {
    struct crypting_job *next;
    uint64_t owner;          /* the caller's */
    bool busy, fits;
    uint32_t password_bytes, hash_bytes;
    uint8_t password[SMTP_SASL_PASSWORD_BYTES_MAX], hash[SECRETS_HASH_BYTES_MAX];
};

struct crypting {
    int event_fd;            /* readable when something is done */
    pthread_mutex_t lock;
    pthread_cond_t work, started;
    uint32_t running;
    struct crypting_job *todo, **todo_end, *done;
    struct crypting_job jobs[CRYPTING_JOBS_MAX];
};

must_use enum err crypting_init(struct crypting *c);
/* crypting_submit - whether password has hash; the answer comes by crypting_collect(). False when too many wait. */
bool crypting_submit(struct crypting *c, uint64_t owner, struct bytes password, struct bytes hash);
/* crypting_collect - call for each job that is done. */
void crypting_collect(struct crypting *c, void (*done)(void *context, uint64_t owner, bool fits), void *context);

#endif
