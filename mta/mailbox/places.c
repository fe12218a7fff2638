/*
 * places - deliveries to users of this host. This process is none of them: each delivery goes to a process that the master makes, which becomes the user
 * before it opens anything. It stays for the next message of that user for a moment. Four at once; a user has one at a time.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/mailbox/mailbox.h"
#include "mta/process/dispatch.h"

enum {
    JOBS_MAX = 64,           /* what the manager gives at once (MANAGER_MAILBOX_JOBS_MAX) */
    JOB_BYTES = 2 * MAIL_ADDRESS_BYTES_MAX + PREFIX_BYTES_MAX + BODY_INLINE_BYTES_MAX,
    IDLE_MS = 1000,          /* a process without work ends after this */
    ASK_AGAIN_MS = 20,       /* the one before is just ending */
    START_MS = 20000,        /* a process that was asked for and does not come */
};

struct job {
    bool used;
    bool given;              /* some place has it */
    bool mute;               /* its manager is dead: nobody waits for the answer */
    uint64_t order;
    struct ipc_deliver m;    /* borrows from octets */
    int fd;
    uint32_t user_len;
    uint8_t user[LOCAL_USER_BYTES_MAX];
    uint8_t *octets;         /* JOB_BYTES */
};

enum place_state { PLACE_FREE = 0, PLACE_ASKED, PLACE_THERE, PLACE_ENDING };

struct user_place {
    uint8_t state;           /* enum place_state */
    uint16_t route;
    uint32_t user_len;
    uint8_t user[LOCAL_USER_BYTES_MAX];
    struct job *job;
    uint64_t until_ms;       /* ASKED: when to give up or, with `again`, to ask again; THERE and idle: when to end it */
    bool again;
};

static struct users users;
static struct job *jobs;     /* JOBS_MAX, or NULL without a route that needs them */
static struct user_place all[PROCESS_LOCAL_MAX];
static uint64_t order, now_ms;

static struct bytes user_of(const struct user_place *s) { return bytes_of(s->user, s->user_len); }

static bool has_local_route(const struct config *c)
{
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    for (uint32_t i = 0; routes && i < c->routes.count; i++)
        if (routes[i].action == ACTION_LOCAL) return true;
    return false;
}

enum err places_init(struct process *p)
{
    if (!has_local_route(process_config(p))) return ERR_NONE;
    jobs = calloc(JOBS_MAX, sizeof *jobs);
    for (uint32_t i = 0; jobs && i < JOBS_MAX; i++)
        if (!(jobs[i].octets = malloc(JOB_BYTES))) return ERR_NO_MEMORY;
    return jobs ? ERR_NONE : ERR_NO_MEMORY;
}

/* ---- answers ---- */

static void answer(struct process *p, uint64_t attempt, uint8_t class, uint16_t code, struct enhanced e, struct bytes text)
{
    struct ipc_delivered m = {
        .attempt = attempt, .class = class, .scope = SCOPE_RECIPIENT, .step = STEP_MAILBOX, .code = code, .enhanced_class = e.class,
        .enhanced_subject = e.subject, .enhanced_detail = e.detail, .text = text,
    };
    mailbox_answer(p, &m);
}

static void forget(struct job *j)
{
    if (j->fd >= 0) close(j->fd);
    j->used = j->given = false;
}

static void put_off(struct process *p, struct job *j, struct bytes why)
{
    uint8_t class = process_draining(p) ? VERDICT_NONE : VERDICT_LATER; /* not tried: the next start does */
    if (!j->mute) answer(p, j->m.attempt, class, 451, (struct enhanced){4, 3, 0}, why);
    forget(j);
}

/* ---- users ---- */

void mailbox_on_local_users(struct process *p, struct ipc_channel *from, const struct ipc_local_users *m, int fd)
{
    (void)p;
    (void)from;
    (void)m;
    enum err e = users_read(&users, fd);
    if (e != ERR_NONE) log_err(LOG_LEVEL_WARNING, "the list of users cannot be read", BYTES("/etc/passwd"), e);
}

enum places_known places_knows(struct bytes rcpt)
{
    uint8_t memory[LOCAL_USER_BYTES_MAX];
    struct buf name = BUF_OVER(memory);
    uint32_t uid;
    if (!users.known) return PLACES_UNCLEAR;
    if (!users_of(&users, rcpt, &name, &uid)) return PLACES_NO;
    return uid == 0 ? PLACES_UNCLEAR : PLACES_YES; /* root's mail needs another address: it waits until somebody gives it one */
}

/* ---- jobs ---- */

static struct bytes keep(uint8_t **at, struct bytes text)
{
    struct bytes kept = bytes_of(*at, text.len);
    if (text.len) memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static struct job *free_job(void)
{
    for (uint32_t i = 0; jobs && i < JOBS_MAX; i++)
        if (!jobs[i].used) return &jobs[i];
    return NULL;
}

void places_take(struct process *p, const struct ipc_deliver *m, int fd)
{
    struct job *j = free_job();
    struct buf name = {0};
    uint32_t uid = 0;
    if (j) name = buf_over(j->user, sizeof j->user);
    bool ready = j && users.known, known = ready && users_of(&users, m->rcpt, &name, &uid);
    if (!known || uid == 0) {
        if (fd >= 0) close(fd);
        if (!ready) answer(p, m->attempt, VERDICT_LATER, 451, (struct enhanced){4, 3, 0}, BYTES("the users of this host are not known yet"));
        else if (!known) answer(p, m->attempt, VERDICT_NEVER, 550, (struct enhanced){5, 1, 1}, BYTES("unknown user: this host has none of that name"));
        else answer(p, m->attempt, VERDICT_LATER, 451, (struct enhanced){4, 2, 0}, BYTES("mail is not delivered as root: give root another address"));
        return;
    }
    uint8_t *at = j->octets;
    j->m = *m;
    j->m.rcpt = keep(&at, m->rcpt);
    j->m.sender = keep(&at, m->sender);
    j->m.prefix = keep(&at, m->prefix);
    j->m.content = keep(&at, m->content);
    j->fd = fd;
    j->user_len = name.len;
    j->used = true;
    j->given = j->mute = false;
    j->order = ++order;
    process_wake(p);
}

/* ---- places ---- */

static void end_place(struct process *p, struct user_place *s)
{
    struct ipc_local_end m = {0};
    struct ipc_channel *to = process_channel(p, ROLE_LOCAL, (uint16_t)(s - all));
    s->state = PLACE_ENDING;
    if (to && ipc_send_local_end(to, &m, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a process of a user does not take messages: channel full");
}

static void ask(struct process *p, struct user_place *s)
{
    struct ipc_local_ask m = {.place = (uint16_t)(s - all), .route = s->route, .user = user_of(s)};
    s->state = PLACE_ASKED;
    s->again = false;
    s->until_ms = now_ms + START_MS;
    if (ipc_send_local_ask(process_channel(p, ROLE_MASTER, 0), &m, -1) != ERR_NONE)
        log_text(LOG_LEVEL_WARNING, "the master does not take messages: channel full");
}

/* give - to the process that is the user. */
static void give(struct process *p, struct user_place *s)
{
    struct job *j = s->job;
    struct ipc_local_deliver m = {
        .attempt = j->m.attempt, .message = j->m.message, .route = j->m.route, .rcpt_index = j->m.rcpt_index, .rcpt = j->m.rcpt, .sender = j->m.sender,
        .prefix = j->m.prefix, .body_skip = j->m.body_skip, .body_bytes = j->m.body_bytes, .content = j->m.content,
    };
    struct ipc_channel *to = process_channel(p, ROLE_LOCAL, (uint16_t)(s - all));
    if (to && ipc_send_local_deliver(to, &m, j->fd) == ERR_NONE) {
        j->fd = -1; /* the channel's now */
        return;
    }
    s->job = NULL;
    put_off(p, j, BYTES("the process that is the user takes no messages"));
}

/* place_for - who may have a job: the user's own place and no other, else a free one, else one that is idle has to end first. */
static struct user_place *place_for(const struct job *j)
{
    struct user_place *free_place = NULL, *idle = NULL;
    for (uint32_t i = 0; i < PROCESS_LOCAL_MAX; i++) {
        struct user_place *s = &all[i];
        bool same = s->state != PLACE_FREE && bytes_equal(user_of(s), bytes_of(j->user, j->user_len));
        if (same && s->route == j->m.route) return s->job || s->state == PLACE_ENDING ? NULL : s;
        if (same) return !s->job && s->state == PLACE_THERE ? s : NULL; /* by another route: it ends first */
        if (s->state == PLACE_FREE && !free_place) free_place = s;
        if (s->state == PLACE_THERE && !s->job && !idle) idle = s;
    }
    return free_place ? free_place : idle;
}

static void start_job(struct process *p, struct job *j)
{
    struct user_place *s = place_for(j);
    if (!s) return;
    bool same = bytes_equal(user_of(s), bytes_of(j->user, j->user_len)) && s->route == j->m.route;
    if (s->state == PLACE_THERE && !same) {
        end_place(p, s);
        return;
    }
    j->given = true;
    s->job = j;
    if (s->state == PLACE_THERE) {
        give(p, s);
        return;
    }
    if (s->state != PLACE_FREE) return; /* it comes, and gets it then */
    s->route = j->m.route;
    s->user_len = j->user_len;
    memcpy(s->user, j->user, j->user_len);
    ask(p, s);
}

static struct job *next_job(uint64_t after)
{
    struct job *best = NULL;
    for (uint32_t i = 0; jobs && i < JOBS_MAX; i++)
        if (jobs[i].used && !jobs[i].given && jobs[i].order > after && (!best || jobs[i].order < best->order)) best = &jobs[i];
    return best;
}

static void place_due(struct process *p, struct user_place *s)
{
    if (s->state == PLACE_ASKED && s->again) {
        ask(p, s);
    } else if (s->state == PLACE_ASKED) {
        struct job *j = s->job;
        s->job = NULL;
        s->state = PLACE_ENDING; /* should it come after all */
        if (j) put_off(p, j, BYTES("the process that is to be the user did not start in time"));
    } else if (s->state == PLACE_THERE && !s->job) {
        end_place(p, s);
    }
}

void places_turn(struct process *p)
{
    now_ms = process_now_ms(p);
    for (uint32_t i = 0; i < PROCESS_LOCAL_MAX; i++)
        if (all[i].until_ms <= now_ms && all[i].state != PLACE_FREE) place_due(p, &all[i]);
    for (struct job *j = next_job(0); j; j = next_job(j->order)) start_job(p, j);
}

uint64_t places_deadline(void)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < PROCESS_LOCAL_MAX; i++) {
        bool waits = all[i].state == PLACE_ASKED || (all[i].state == PLACE_THERE && !all[i].job);
        if (waits && all[i].until_ms < first) first = all[i].until_ms;
    }
    return first;
}

void places_channel(struct process *p, struct ipc_channel *c, bool open)
{
    struct user_place *s = &all[ipc_peer_index(c)];
    struct job *j = s->job;
    if (open && s->state == PLACE_ASKED) {
        s->state = PLACE_THERE;
        s->until_ms = process_now_ms(p) + IDLE_MS;
        if (j) give(p, s);
    } else if (open) {
        end_place(p, s); /* nobody waits for it any more */
    } else {
        s->state = PLACE_FREE;
        s->job = NULL;
        if (j) put_off(p, j, BYTES("the process that was the user has died"));
        process_wake(p);
    }
}

void mailbox_on_local_no(struct process *p, struct ipc_channel *from, const struct ipc_local_no *m, int fd)
{
    (void)from;
    (void)fd;
    struct user_place *s = m->place < PROCESS_LOCAL_MAX ? &all[m->place] : NULL;
    if (!s || (s->state != PLACE_ASKED && s->state != PLACE_ENDING)) return;
    struct job *j = s->job;
    if (m->again && s->state == PLACE_ASKED) {
        s->again = true;
        s->until_ms = process_now_ms(p) + ASK_AGAIN_MS;
        return;
    }
    s->state = PLACE_FREE;
    s->job = NULL;
    if (j) put_off(p, j, m->text);
}

void mailbox_on_local_delivered(struct process *p, struct ipc_channel *from, const struct ipc_local_delivered *m, int fd)
{
    (void)fd;
    struct user_place *s = &all[ipc_peer_index(from)];
    struct job *j = s->job;
    if (!j || j->m.attempt != m->attempt) {
        process_violation(p, from, "an answer to a delivery that it does not have");
        return;
    }
    struct ipc_delivered out = {
        .attempt = m->attempt, .transfer_us = m->transfer_us, .class = m->class, .scope = m->scope, .step = m->step, .code = m->code,
        .enhanced_class = m->enhanced_class, .enhanced_subject = m->enhanced_subject, .enhanced_detail = m->enhanced_detail, .text = m->text,
    };
    s->job = NULL;
    s->until_ms = process_now_ms(p) + IDLE_MS;
    if (!j->mute) mailbox_answer(p, &out);
    forget(j);
    process_wake(p);
}

void places_manager_gone(void)
{
    for (uint32_t i = 0; jobs && i < JOBS_MAX; i++)
        if (jobs[i].used && jobs[i].given) jobs[i].mute = true;
        else if (jobs[i].used) forget(&jobs[i]);
}

bool places_idle(void)
{
    for (uint32_t i = 0; jobs && i < JOBS_MAX; i++)
        if (jobs[i].used) return false;
    return true;
}
