/*
 * queue_model_test - random operations, kills and starts against a simple model.
 *
 * Each life of the queue is a process of its own, which ends in order or is killed. The model is in memory that all lives share: what was confirmed must
 * be there at the next start; what was only asked for may be there or not, and is then taken over as it is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "queue/queue_testing.h"

enum { MAILS_MAX = 20000, OUTCOMES_MAX = 60000, RCPTS_MAX = 6, DOMAINS = 12, BODY_MAX = 60000, JOBS_MAX = 64, NONE = 255 };

enum mail_state { MAIL_FREE = 0, MAIL_ASKED /* not confirmed */, MAIL_QUEUED, MAIL_DONE };

struct model_mail {
    uint64_t id;
    uint32_t bytes;
    uint8_t state, rcpts;
    bool file, held, held_asked;
    uint8_t now[RCPTS_MAX];   /* enum rcpt_state, confirmed */
    uint8_t asked[RCPTS_MAX]; /* NONE or what was asked for since */
    uint32_t bounce[RCPTS_MAX]; /* the notification in the same record, 0 = none */
    bool seen;                /* found by the walk in progress */
};

struct model_outcome { /* what one outcome said; its cookie is its index */
    uint32_t mail, bounce;
    uint8_t states[RCPTS_MAX]; /* NONE or final */
};

struct model {
    uint64_t random;
    uint32_t outcome_count;
    struct model_outcome outcomes[OUTCOMES_MAX];
    uint32_t count;
    uint64_t now_ms;
    int64_t now_wall_us;
    struct model_mail mails[MAILS_MAX];
};

struct life {
    struct rig t;
    struct model *m;
    struct queue_job jobs[JOBS_MAX];
    uint32_t job_mail[JOBS_MAX], job_count;
    uint32_t events_seen;
};

static uint64_t any(struct model *m, uint64_t below)
{
    m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (m->random >> 33) % below;
}

/* ---- mail ---- */

static void fill_body(uint32_t n, uint8_t *body, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) body[i] = (uint8_t)('a' + (n * 31 + i * 7 + i / 97) % 26);
}

static uint32_t mail_of(const struct record_message *m)
{
    uint64_t n;
    must(bytes_to_u64(m->message_id, &n) && n < MAILS_MAX);
    return (uint32_t)n;
}

static uint8_t body_memory[BODY_MAX];

static void make_message(struct model *m, uint32_t n, struct record_message *rm, struct buf *list, struct buf *text)
{
    struct model_mail *mail = &m->mails[n];
    *mail = (struct model_mail){.state = MAIL_ASKED, .rcpts = (uint8_t)(1 + any(m, RCPTS_MAX)), .bytes = (uint32_t)(any(m, 10) ? any(m, 4000) : any(m, BODY_MAX))};
    memset(mail->asked, NONE, sizeof(mail->asked));
    for (uint32_t i = 0; i < mail->rcpts; i++) {
        char address[64];
        snprintf(address, sizeof(address), "r%u@d%u.example", i, (unsigned)any(m, DOMAINS));
        rcpt_put(list, &(struct rcpt){.address = bytes_of_cstr(address)});
    }
    buf_put_u64(text, n);
    fill_body(n, body_memory, mail->bytes);
    *rm = (struct record_message){.sender = BYTES("s@example.org"),
                                  .message_id = buf_bytes(text),
                                  .rcpt_count = mail->rcpts,
                                  .rcpts = buf_bytes(list),
                                  .body = bytes_of(body_memory, mail->bytes),
                                  .body_bytes = mail->bytes};
}

static void do_accept(struct life *l)
{
    struct model *m = l->m;
    if (m->count == MAILS_MAX) return;
    uint32_t n = m->count++;
    uint8_t list_memory[1024], text_memory[32];
    struct buf list = BUF_OVER(list_memory), text = BUF_OVER(text_memory);
    struct record_message rm;
    make_message(m, n, &rm, &list, &text);
    m->mails[n].file = any(m, 8) == 0;
    if (m->mails[n].file) {
        int fd;
        if (queue_body_open(l->t.q, &fd, &rm.body_id)) {
            m->mails[n].state = MAIL_FREE;
            return;
        }
        must(write(fd, rm.body.ptr, rm.body.len) == (ssize_t)rm.body.len);
        close(fd);
        rm.body_kind = BODY_FILE;
        rm.body = (struct bytes){0};
    }
    if (queue_accept(l->t.q, &rm, NULL, 0, n + 1, l->t.now_wall_us, l->t.now_ms)) m->mails[n].state = MAIL_FREE;
    else m->mails[n].id = rm.id.v;
}

/* ---- events ---- */

static void confirm(struct model *m, const struct model_outcome *o)
{
    struct model_mail *mail = &m->mails[o->mail];
    bool queued = false;
    for (uint32_t i = 0; i < mail->rcpts; i++) {
        if (o->states[i] != NONE) {
            must(mail->asked[i] == o->states[i]);
            mail->now[i] = o->states[i];
            mail->asked[i] = NONE;
        }
        queued |= mail->now[i] == RCPT_QUEUED;
    }
    if (o->bounce && m->mails[o->bounce].state == MAIL_ASKED) m->mails[o->bounce].state = MAIL_QUEUED;
    if (!queued) mail->state = MAIL_DONE;
}

/* Cookies: n + 1 of an accept, and with the high bit of an outcome. */
static const uint64_t outcome_cookie = (uint64_t)1 << 40;

static void on_event(struct life *l, const struct queue_event *e)
{
    struct model *m = l->m;
    if (e->type == QUEUE_COMMITTED) {
        struct model_mail *mail = &m->mails[e->cookie - 1];
        must(mail->state == MAIL_ASKED && mail->id == e->id.v);
        mail->state = MAIL_QUEUED;
    }
    if (e->type == QUEUE_REFUSED) m->mails[e->cookie - 1].state = MAIL_FREE;
    if (e->type == QUEUE_OUTCOME_DURABLE) confirm(m, &m->outcomes[e->cookie - outcome_cookie]);
    must(e->type != QUEUE_BODY_FAILED);
}

static void turn(struct life *l, int wait_ms)
{
    rig_turn(&l->t, wait_ms);
    for (; l->events_seen < l->t.event_count; l->events_seen++) on_event(l, &l->t.events[l->events_seen]);
    rig_forget(&l->t);
    l->events_seen = 0;
    l->m->now_ms = l->t.now_ms;
    l->m->now_wall_us = l->t.now_wall_us;
}

/* ---- jobs ---- */

static void do_take(struct life *l)
{
    struct queue_job *job = &l->jobs[l->job_count];
    if (l->job_count == JOBS_MAX) return;
    uint64_t destination = queue_next_destination(l->t.q, l->t.now_ms, l->t.now_wall_us);
    if (!destination || !queue_job_take(l->t.q, destination, (uint32_t)(1 + any(l->m, 4)), job)) return;
    uint32_t n = mail_of(job->message);
    const struct model_mail *mail = &l->m->mails[n];
    must(mail->id == job->id.v && !mail->held && !mail->held_asked);
    for (uint32_t i = 0; i < job->rcpt_count; i++) {
        must(job->rcpts[i] < mail->rcpts && mail->now[job->rcpts[i]] == RCPT_QUEUED);
        must(mail->asked[job->rcpts[i]] == NONE);
    }
    l->job_mail[l->job_count++] = n;
}

static void check_content(struct life *l, const struct queue_job *job, uint32_t n)
{
    const struct model_mail *mail = &l->m->mails[n];
    struct queue_content c;
    static uint64_t cookies = (uint64_t)1 << 50;
    uint64_t cookie = ++cookies;
    fill_body(n, body_memory, mail->bytes);
    if (queue_body(l->t.q, job->id, cookie, &c)) {
        must(bytes_equal(c.body, bytes_of(body_memory, mail->bytes)));
        return;
    }
    for (int i = 0; i < 400; i++) {
        rig_turn(&l->t, 5);
        bool ready = false;
        for (; l->events_seen < l->t.event_count; l->events_seen++) {
            const struct queue_event *e = &l->t.events[l->events_seen];
            on_event(l, e);
            ready |= e->type == QUEUE_BODY_READY && e->cookie == cookie;
        }
        if (!ready) continue;
        static uint8_t got[BODY_MAX];
        uint32_t bytes = mail->file ? (uint32_t)pread(l->t.body_fd, got, sizeof(got), 0) : l->t.body_bytes;
        must(bytes == mail->bytes && memcmp(mail->file ? got : l->t.body, body_memory, bytes) == 0);
        return;
    }
    bool content_came = false;
    must(content_came);
}

static struct queue_job take_out(struct life *l, uint32_t *n)
{
    uint32_t at = (uint32_t)any(l->m, l->job_count);
    struct queue_job job = l->jobs[at];
    *n = l->job_mail[at];
    l->jobs[at] = l->jobs[--l->job_count];
    l->job_mail[at] = l->job_mail[l->job_count];
    return job;
}

static void make_bounce(struct life *l, struct record_message *rm, struct buf *list, struct buf *text)
{
    struct model *m = l->m;
    uint32_t n = m->count++;
    make_message(m, n, rm, list, text);
    rm->sender = (struct bytes){0};
    rm->id = queue_new_id(l->t.q, l->t.now_wall_us);
    m->mails[n].id = rm->id.v;
}

static void do_outcome(struct life *l, bool deliver)
{
    struct model *m = l->m;
    uint32_t n;
    if (l->job_count == 0) return;
    struct queue_job job = take_out(l, &n);
    struct model_mail *mail = &m->mails[n];
    if (any(m, 4) == 0) check_content(l, &job, n);
    if (!deliver && any(m, 10) == 0) {
        queue_return(l->t.q, job.id, job.rcpts, job.rcpt_count);
        return;
    }
    struct queue_result r[RCPTS_MAX];
    bool never = false;
    must(m->outcome_count < OUTCOMES_MAX);
    struct model_outcome *o = &m->outcomes[m->outcome_count++];
    *o = (struct model_outcome){.mail = n};
    memset(o->states, NONE, sizeof(o->states));
    for (uint32_t i = 0; i < job.rcpt_count; i++) {
        uint8_t class = deliver || any(m, 2) ? VERDICT_DELIVERED : (uint8_t)any(m, VERDICT_CLASS_COUNT);
        uint8_t scope = any(m, 4) ? SCOPE_RECIPIENT : SCOPE_SITE;
        r[i] = (struct queue_result){.rcpt = job.rcpts[i], .verdict = {.class = class, .scope = scope, .code = 250, .text = BYTES("as it is")}};
        never |= class == VERDICT_NEVER;
        if (class == VERDICT_DELIVERED) o->states[job.rcpts[i]] = RCPT_DELIVERED;
        if (class == VERDICT_NEVER) o->states[job.rcpts[i]] = RCPT_BOUNCED;
        if (o->states[job.rcpts[i]] != NONE) mail->asked[job.rcpts[i]] = o->states[job.rcpts[i]];
    }
    uint8_t list_memory[1024], text_memory[32];
    struct buf list = BUF_OVER(list_memory), text = BUF_OVER(text_memory);
    struct record_message bounce;
    bool bounces = never && m->count < MAILS_MAX;
    if (bounces) make_bounce(l, &bounce, &list, &text);
    queue_settle(l->t.q, job.id, r, job.rcpt_count, l->t.now_wall_us);
    if (bounces) o->bounce = m->count - 1;
    for (uint32_t i = 0; i < job.rcpt_count; i++) mail->bounce[job.rcpts[i]] = o->bounce;
    enum err e = queue_outcome(l->t.q, job.id, r, job.rcpt_count, bounces ? &bounce : NULL, outcome_cookie + (uint64_t)(o - m->outcomes), l->t.now_wall_us, l->t.now_ms);
    must(e == ERR_NONE);
}

/* ---- operators ---- */

static void do_operate(struct life *l)
{
    struct model *m = l->m;
    if (m->count == 0) return;
    uint32_t n = (uint32_t)any(m, m->count);
    struct model_mail *mail = &m->mails[n];
    struct message_id id = {mail->id};
    if (mail->state != MAIL_QUEUED) return;
    uint64_t what = any(m, 5);
    enum err e = ERR_NONE;
    for (uint32_t i = 0; i < mail->rcpts; i++) {
        if (mail->asked[i] != NONE) return; /* one thing at a time */
    }
    if (what == 0) {
        e = queue_hold(l->t.q, id, BYTES("for a while"), l->t.now_wall_us);
        if (!e) mail->held_asked = true;
    } else if (what <= 2) {
        e = queue_release(l->t.q, id, l->t.now_wall_us, l->t.now_ms);
        if (!e) mail->held_asked = false;
    } else if (what == 3) {
        e = queue_due(l->t.q, id, 0, l->t.now_wall_us, l->t.now_ms);
    } else {
        e = queue_remove(l->t.q, id, NULL, l->t.now_wall_us, l->t.now_ms);
        for (uint32_t i = 0; i < mail->rcpts && !e; i++) {
            if (mail->now[i] == RCPT_QUEUED) mail->asked[i] = RCPT_REMOVED;
        }
    }
    must(e == ERR_NONE || e == ERR_BUSY);
    if (what <= 2) turn(l, 0), mail->held = mail->held_asked; /* uncertain until synced: see compare() */
}

static void do_site(struct life *l)
{
    struct queue_destination d;
    uint64_t cursor = any(l->m, 20);
    if (!queue_destinations(l->t.q, &cursor, &d)) return;
    switch (any(l->m, 4)) {
    case 0: queue_site_failed(l->t.q, d.id, BYTES("no route"), l->t.now_wall_us); break;
    case 1: must(queue_suspend(l->t.q, d.name, any(l->m, 3) == 0, BYTES("by hand")) == ERR_NONE); break;
    default: queue_site_ok(l->t.q, d.id); break;
    }
}

/* ---- comparing ---- */

/* adopt - recipient i is found in this state. What was recorded with it must be there as well: it is the same record. */
static void adopt(struct model *m, struct model_mail *mail, uint32_t i, uint8_t state)
{
    must(state == mail->now[i] || (mail->asked[i] != NONE && state == mail->asked[i]));
    bool happened = mail->asked[i] != NONE && mail->asked[i] != RCPT_QUEUED && state == mail->asked[i];
    if (happened && mail->bounce[i] && m->mails[mail->bounce[i]].state == MAIL_ASKED) m->mails[mail->bounce[i]].state = MAIL_QUEUED;
    mail->now[i] = state;
    mail->asked[i] = NONE;
}

static void on_row(void *context, const struct queue_row *row)
{
    struct life *l = context;
    struct model_mail *mail = &l->m->mails[mail_of(row->message)];
    must(mail->id == row->message->id.v && mail->rcpts == row->message->rcpt_count && !mail->seen);
    must(mail->state == MAIL_ASKED || mail->state == MAIL_QUEUED);
    mail->seen = true;
    mail->state = MAIL_QUEUED;
    mail->held = mail->held_asked = row->message->held;
    for (uint32_t i = 0; i < mail->rcpts; i++) {
        adopt(l->m, mail, i, row->states[i].state);
    }
}

/* compare - the queue just after a start and the model; what was uncertain is certain then. */
static void compare(struct life *l)
{
    struct model *m = l->m;
    struct message_id after = {0};
    for (uint32_t i = 0; i < m->count; i++) m->mails[i].seen = false;
    do {
        after = queue_walk(l->t.q, after, 7, on_row, l);
    } while (after.v);
    for (uint32_t i = 0; i < m->count; i++) {
        struct model_mail *mail = &m->mails[i];
        if (mail->seen || mail->state == MAIL_FREE || mail->state == MAIL_DONE) continue;
        bool asked = mail->state == MAIL_ASKED, may_be_done = true;
        mail->state = MAIL_DONE;
        for (uint32_t r = 0; r < mail->rcpts; r++) {
            uint8_t state = mail->asked[r] == NONE ? mail->now[r] : mail->asked[r];
            may_be_done &= state != RCPT_QUEUED;
            if (!asked) adopt(m, mail, r, state);
        }
        must(may_be_done || asked);
    }
    for (uint32_t i = 0; i < m->count; i++) must(m->mails[i].seen || m->mails[i].state == MAIL_FREE || m->mails[i].state == MAIL_DONE);
    must(rig_check(&l->t));
}

/* ---- lives ---- */

static void live(struct life *l, uint32_t ops, bool drain)
{
    struct model *m = l->m;
    compare(l);
    for (uint32_t i = 0; i < ops; i++) {
        uint64_t what = any(m, 100);
        if (what < 25) do_accept(l);
        else if (what < 55) do_take(l);
        else if (what < 80) do_outcome(l, false);
        else if (what < 84) do_operate(l);
        else if (what < 86) do_site(l);
        else if (what < 90) rig_pass(&l->t, any(m, 2000));
        else turn(l, (int)any(m, 4));
    }
    uint64_t cursor = 0;
    struct queue_destination d;
    for (uint32_t i = 0; drain && i < 3000; i++) {
        struct queue_totals totals;
        queue_totals(l->t.q, &totals);
        if (totals.messages == 0) break;
        if (i % 50 == 0) {
            for (cursor = 0; queue_destinations(l->t.q, &cursor, &d);) (void)!queue_suspend(l->t.q, d.name, false, (struct bytes){0});
            for (uint32_t n = 0; n < m->count; n++) {
                struct model_mail *mail = &m->mails[n];
                if (mail->state != MAIL_QUEUED || !mail->held) continue;
                if (queue_release(l->t.q, (struct message_id){mail->id}, l->t.now_wall_us, l->t.now_ms) == ERR_NONE) mail->held = mail->held_asked = false;
            }
        }
        for (int n = 0; n < 20; n++) do_take(l);
        while (l->job_count) do_outcome(l, true);
        turn(l, 2);
        rig_pass(&l->t, 200);
    }
}

static void run_life(struct model *m, const struct rig *base, uint32_t ops, uint32_t resident_max, bool killed, bool drain)
{
    static struct life l;
    memset(&l, 0, sizeof(l));
    l.m = m;
    l.t = *base;
    l.t.options.context = &l.t;
    l.t.options.resident_max = resident_max;
    l.t.now_ms = m->now_ms;
    l.t.now_wall_us = m->now_wall_us;
    rig_open(&l.t);
    live(&l, ops, drain);
    if (drain) {
        struct queue_totals totals;
        rig_settle(&l.t);
        queue_totals(l.t.q, &totals);
        must(totals.messages == 0 && totals.audit.balanced && totals.audit.queued == 0);
        must(rig_check(&l.t));
    }
    if (killed) kill(getpid(), SIGKILL);
    rig_close(&l.t);
    _exit(0);
}

static bool one_life(struct model *m, const struct rig *base, uint32_t ops, uint32_t resident_max, bool killed, bool drain)
{
    int status = 0;
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) run_life(m, base, ops, resident_max, killed, drain);
    must(waitpid(child, &status, 0) == child);
    return killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void run_model(uint64_t seed, uint32_t lives, uint32_t ops)
{
    struct model *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(m != MAP_FAILED);
    struct rig base;
    rig_begin(&base);
    base.options.segment_bytes = 256 * 1024;
    base.options.body_cache_bytes = 256 * 1024;
    rig_close(&base);
    rig_remove_tree("log");
    rig_remove_tree("index");
    m->random = seed;
    m->now_ms = base.now_ms;
    m->now_wall_us = base.now_wall_us;
    for (uint32_t i = 0; i < lives; i++) {
        uint32_t resident_max = any(m, 2) ? 1 : 1000;
        bool killed = any(m, 3) > 0;
        bool index_lost = any(m, 8) == 0;
        m->now_ms += 1000;
        m->now_wall_us += 1000000;
        if (index_lost) rig_remove_tree("index");
        if (!one_life(m, &base, ops / 2 + (uint32_t)any(m, ops), resident_max, killed, false)) fail_msg("seed %llu, life %u", (unsigned long long)seed, i);
    }
    if (!one_life(m, &base, 0, 1, false, true)) fail_msg("seed %llu, last life", (unsigned long long)seed);
    rig_end(&base);
    munmap(m, sizeof(*m));
}

static void test_queue_random_lives_agree_with_the_model(void **state)
{
    (void)state;
    const char *seed = getenv("QUEUE_MODEL_SEED"), *rounds = getenv("QUEUE_MODEL_ROUNDS");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1, count = rounds ? strtoull(rounds, NULL, 10) : 3;
    for (uint64_t i = 0; i < count; i++) run_model(first + i, 12, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_queue_random_lives_agree_with_the_model)};
    return cmocka_run_group_tests_name("queue_model", tests, NULL, NULL);
}
