/*
 * deaths - a delivery worker is dead: what becomes of what it had in hand, and who did it.
 *
 * Begun when both are known: that its channel is read to its end, and that the master has reaped it, so that nothing of it can happen any more. Each
 * connection of ours is looked up in its box, and the table of mta/box/rules.h says what follows. The slot that was open when it died names the culprit.
 */
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/manager/boxes.h"
#include "mta/process/dispatch.h"

static struct box_slot copy; /* the slot at hand */

struct autopsy {
    struct manager *m;
    uint16_t worker;
    uint32_t epoch;
    int box;
    bool spoiled;                 /* something was scribbled over */
    uint32_t open_count;
    struct connection *suspect;   /* whose octets were being looked at, when it is one alone */
    const struct ipc_died *how;
};

/* ---- who has which slot ---- */

static struct connection *connection_at(const struct autopsy *x, const struct box_identity *id)
{
    struct manager *m = x->m;
    if (id->worker_epoch != x->epoch || id->manager_epoch != process_epoch(m->process)) return NULL;
    struct connection *c = slots_find(&m->connections, id->connection);
    return c && c->worker == x->worker && c->worker_epoch == x->epoch ? c : NULL;
}

static void scan_slot(struct autopsy *x, uint32_t index)
{
    struct box_view v;
    enum box_condition condition = box_copy(x->box, index, &copy) ? box_view(&copy, &v) : BOX_UNUSED;
    if (condition == BOX_UNUSED) return;
    if (condition == BOX_SPOILED) x->spoiled = true;
    struct connection *c = connection_at(x, &v.identity);
    if (!c) return;
    if (c->box_slot) x->spoiled = true; /* two slots say that they are the same connection */
    c->box_slot = index + 1;
    if (!v.open) return;
    x->open_count++;
    x->suspect = c;
}

static void scan(struct autopsy *x)
{
    struct box_header header;
    if (x->box < 0) return;
    if (!box_copy_header(x->box, &header)) x->spoiled = box_next(x->box, 0) < BOX_SLOTS_MAX;
    for (uint32_t i = box_next(x->box, 0); i < BOX_SLOTS_MAX; i = box_next(x->box, i + 1)) scan_slot(x, i);
    if (x->open_count != 1) x->suspect = NULL; /* one thread looks at one remote: several can only be a scribble */
}

/* ---- what becomes of an attempt ---- */

static uint8_t covered[BOX_RCPTS_MAX]; /* recipients of the attempt at hand that have a verdict */

/* rest_gets - a verdict for all recipients that have none. */
static void rest_gets(struct attempt *a, const struct verdict *v, const uint16_t *boxed)
{
    memset(covered, 0, a->rcpt_count);
    for (uint32_t i = 0; i < a->run_count; i++) memset(covered + a->runs[i].first, 1, a->runs[i].count);
    /* Who was judged before the dot was not meant by its answer; his own verdict died with its words, and is asked for again. */
    for (uint32_t i = 0; boxed && i < a->rcpt_count; i++) covered[i] |= (boxed[i] & BOX_RCPT_JUDGED) != 0;
    for (uint32_t i = 0, n; i < a->rcpt_count; i += n ? n : 1) {
        for (n = 0; i + n < a->rcpt_count && !covered[i + n];) n++;
        if (n) (void)attempt_run(a, i, n, v);
    }
}

static void put_cause(struct buf *out, const struct ipc_died *how)
{
    if (how->by_master == 1) BUF_LIT(out, "hung");
    else if (how->signal) BUF_LIT(out, "died of signal ");
    else BUF_LIT(out, "ended");
    if (how->by_master != 1 && how->signal) buf_put_u64(out, how->signal);
}

static struct verdict deferral(const struct autopsy *x, const struct box_view *v, struct buf *text)
{
    BUF_LIT(text, "a delivery process of ours ");
    put_cause(text, x->how);
    BUF_LIT(text, " while it was reading this host's answer to ");
    buf_put_cstr(text, v->step == STEP_BANNER || v->step == STEP_NONE ? "our connection" : mail_step_text(v->step));
    BUF_LIT(text, "; it is tried again alone");
    return (struct verdict){.class = VERDICT_LATER, .scope = SCOPE_SITE, .step = (uint8_t)v->step, .enhanced = {4, 3, 0}, .text = buf_bytes(text)};
}

static struct verdict of_dot(const struct box_view *v)
{
    bool taken = v->dot_code < 300, later = !taken && v->dot_code < 500;
    return (struct verdict){
        .class = taken ? VERDICT_DELIVERED : later ? VERDICT_LATER : VERDICT_NEVER,
        .scope = SCOPE_MESSAGE, .step = STEP_DOT, .code = v->dot_code, .enhanced = {taken ? 2 : later ? 4 : 5, 0, 0}, .remote = true,
        .text = BYTES("(the words of this answer died with the process that was reading it)"),
    };
}

static struct verdict unclear(void)
{
    return (struct verdict){
        .class = VERDICT_LATER, .scope = SCOPE_MESSAGE, .step = STEP_DOT, .maybe_duplicate = true, .enhanced = {4, 4, 2},
        .text = BYTES("a delivery process of ours died before it had read the answer to the end of the message -- message may be sent more than once"),
    };
}

/* reread - the answer that nobody judged is read where it can hurt nobody else; until then the attempt stays in hand. False when that cannot be asked. */
static bool reread(const struct autopsy *x, struct attempt *a, const struct box_view *v)
{
    struct manager *m = x->m;
    uint16_t worker = (uint16_t)m->config->workers.delivers;
    struct ipc_channel *to = x->worker == worker ? NULL : process_channel(m->process, ROLE_DELIVER, worker);
    struct ipc_reread ask = {.attempt = slots_handle(&m->attempts, a), .octets = v->bytes};
    static const struct verdict asked_again = {.class = VERDICT_NONE};
    if (!to || ipc_send_reread(to, &ask, -1) != ERR_NONE) return false;
    for (uint32_t i = 0; i < a->rcpt_count; i++)
        if (v->rcpts[i] & BOX_RCPT_JUDGED) (void)attempt_run(a, i, 1, &asked_again);
    a->state = ATTEMPT_REREAD;
    return true;
}

void manager_on_reread_done(struct process *p, struct ipc_channel *from, const struct ipc_reread_done *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    struct attempt *a = slots_find(&m->attempts, in->attempt);
    if (!a || a->state != ATTEMPT_REREAD || ipc_peer_index(from) != m->config->workers.delivers) {
        process_violation(p, from, "a REREAD_DONE for what was not asked");
        return;
    }
    struct box_view v = {.dot_code = in->code};
    struct verdict verdict = in->code >= 200 ? of_dot(&v) : unclear();
    rest_gets(a, &verdict, NULL);
    attempt_settle(m, a);
}

/* rereads_lost - the quarantine worker died over one of them: what that answer was stays open. */
static void rereads_lost(struct manager *m)
{
    struct verdict verdict = unclear();
    struct attempt *next;
    for (struct attempt *a = slots_next(&m->attempts, NULL); a; a = next) {
        next = slots_next(&m->attempts, a);
        if (a->state != ATTEMPT_REREAD) continue;
        rest_gets(a, &verdict, NULL);
        attempt_settle(m, a);
    }
}

/* each_gets - LMTP: every recipient that has no verdict yet, by his own answer. */
static void each_gets(const struct autopsy *x, struct attempt *a, const struct box_view *v, bool suspect)
{
    static uint16_t packed[BOX_RCPTS_MAX];
    uint8_t store[512];
    struct buf text = BUF_OVER(store);
    struct verdict again = deferral(x, v, &text), open_end = unclear();
    box_each(v, suspect, packed);
    memset(covered, 0, a->rcpt_count);
    for (uint32_t i = 0; i < a->run_count; i++) memset(covered + a->runs[i].first, 1, a->runs[i].count);
    for (uint32_t i = 0; i < a->rcpt_count; i++) {
        struct box_view one = {.dot_code = box_rcpt_code(packed[i])};
        struct verdict verdict = packed[i] & BOX_RCPT_DUPLICATE ? open_end : one.dot_code ? of_dot(&one) : again;
        if (one.dot_code) verdict.scope = SCOPE_RECIPIENT;
        if (packed[i] && !covered[i]) (void)attempt_run(a, i, 1, &verdict);
    }
    if (suspect) queue_site_failed(x->m->queue, a->destination, again.text, process_now_wall_us(x->m->process));
    attempt_settle(x->m, a);
}

static void apply(const struct autopsy *x, struct attempt *a, enum box_rule rule, const struct box_view *v, bool suspect)
{
    uint8_t store[512];
    struct buf text = BUF_OVER(store);
    struct verdict verdict;
    switch (rule) {
    case RULE_COMMIT:
        verdict = of_dot(v);
        break;
    case RULE_DEFER:
        verdict = deferral(x, v, &text);
        queue_site_failed(x->m->queue, a->destination, verdict.text, process_now_wall_us(x->m->process));
        break;
    case RULE_REREAD:
        if (reread(x, a, v)) return;
        verdict = unclear();
        break;
    case RULE_MAYBE_DUPLICATE:
        verdict = unclear();
        break;
    case RULE_EACH:
        each_gets(x, a, v, suspect);
        return;
    default:
        if (a->run_count) attempt_settle(x->m, a); /* those without a verdict are due again at once */
        else attempt_return(x->m, a);
        return;
    }
    rest_gets(a, &verdict, v->rcpts);
    attempt_settle(x->m, a);
}

/* ---- blame ---- */

struct crash death_crash(const struct manager *m, const struct ipc_died *how)
{
    return (struct crash){
        .when_wall_us = process_now_wall_us(m->process), .role = how->role, .index = how->index, .pid = how->pid, .epoch = how->epoch, .signal = how->signal,
        .by_master = how->by_master,
    };
}

static void convict(const struct autopsy *x, const struct crash *c)
{
    crash_record(x->m, c);
    if (quarantine_charge(QUARANTINE_REMOTES, &c->remote, true, process_now_ms(x->m->process))) quarantine_say(QUARANTINE_REMOTES, &c->remote, c->host);
}

static void accuse(const struct autopsy *x, const struct connection *c, const struct attempt *a, const struct box_view *v, enum box_found found,
                   enum box_rule rule)
{
    struct crash crash = death_crash(x->m, x->how);
    crash.named = true;
    crash.remote = c->remote.family ? c->remote : v->peer;
    crash.host = bytes_of(c->host_name, c->host_len);
    crash.step = (uint8_t)v->step;
    crash.found = (uint8_t)found;
    crash.rule = (uint8_t)rule;
    crash.bytes = v->bytes;
    crash.attempt = c->attempt;
    if (a) crash.message = a->message;
    convict(x, &crash);
}

static void hold_if_deadly(const struct autopsy *x, const struct net_address *remote, struct message_id id, const struct box_view *v)
{
    if (v->step != STEP_BODY && v->step != STEP_DOT) return;
    if (!quarantine_content(id, remote)) return;
    static const struct bytes reason = BYTES_INIT("its content has killed delivery processes at two different hosts");
    enum err e = queue_hold(x->m->queue, id, reason, process_now_wall_us(x->m->process));
    struct buf *line = log_begin(LOG_LEVEL_ERROR);
    BUF_LIT(line, "error: ");
    message_id_print(line, id);
    BUF_LIT(line, ": held: ");
    buf_put(line, reason);
    log_end();
    if (e != ERR_NONE) log_err(LOG_LEVEL_ERROR, "a message could not be held", BYTES("queue"), e);
}

/* A plain SIGKILL is an operator's, or that of a system without memory. */
bool death_is_crash(const struct ipc_died *how)
{
    enum { SIGNAL_KILL = 9 };
    return how->signal && (how->signal != SIGNAL_KILL || how->by_master);
}

/* suspect_all - nobody was caught in the act: whoever was talked to last goes on alone, and who kills alone is convicted. */
static void suspect_all(const struct autopsy *x, bool told)
{
    struct manager *m = x->m;
    struct box_header header;
    bool known = x->box >= 0 && box_copy_header(x->box, &header) && !x->spoiled;
    struct crash crash = death_crash(x->m, x->how);
    for (uint32_t i = 0; known && i < BOX_PARSES && i < header.parse_next; i++) {
        struct box_identity id = {x->epoch, header.parses[i].manager_epoch, header.parses[i].connection};
        struct connection *c = connection_at(x, &id);
        if (c) c->was_parsed = true;
    }
    for (struct connection *c = slots_next(&m->connections, NULL); c; c = slots_next(&m->connections, c)) {
        if (c->worker != x->worker || c->worker_epoch != x->epoch || !c->remote.family || (known && !c->was_parsed)) continue;
        (void)quarantine_charge(QUARANTINE_REMOTES, &c->remote, false, process_now_ms(m->process));
        crash.suspects++;
    }
    if (!told) crash_record(m, &crash);
}

/* accuse_by_box - the connection was one of an earlier manager: the box says who it was, and what is left of the grants says it better. */
static bool accuse_by_box(const struct autopsy *x)
{
    static struct box_slot open;
    struct box_view v;
    if (!box_culprit(x->box, x->epoch, &open)) return false;
    enum box_condition condition = box_view(&open, &v);
    const struct grant *g = orphans_grant(x->m, x->worker, &v.identity);
    struct crash crash = death_crash(x->m, x->how);
    enum box_found found = box_found(condition, &v, false, g ? g->attempt : 0, g ? g->rcpt_count : 0);
    crash.named = true;
    crash.remote = g && g->remote.family ? g->remote : v.peer;
    crash.step = (uint8_t)v.step;
    crash.found = (uint8_t)found;
    crash.rule = (uint8_t)box_rule(found, true);
    crash.bytes = v.bytes;
    if (g) {
        crash.attempt = g->attempt;
        crash.message = g->message;
        crash.host = bytes_of(g->host, g->host_len);
    }
    convict(x, &crash);
    return true;
}

/* ---- a connection ---- */

static void settle(const struct autopsy *x, struct connection *c)
{
    struct manager *m = x->m;
    struct box_view v = {0};
    struct attempt *a = c->attempt ? slots_find(&m->attempts, c->attempt) : NULL;
    bool suspect = c == x->suspect;
    enum box_condition condition = BOX_UNUSED;
    if (c->box_slot && box_copy(x->box, c->box_slot - 1, &copy)) condition = box_view(&copy, &v);
    if (a && a->state == ATTEMPT_SETTLING) a = NULL;
    if (a && a->state != ATTEMPT_SENT) {
        attempt_return(m, a);
        a = NULL;
    }
    enum box_found found = box_found(condition, &v, x->spoiled, a ? c->attempt : 0, a ? a->rcpt_count : 0);
    enum box_rule rule = box_rule(found, suspect);
    struct message_id id = a ? a->message : (struct message_id){0};
    struct net_address remote = c->remote;
    uint64_t site = c->site;
    if (suspect) accuse(x, c, a, &v, found, rule);
    if (a) apply(x, a, rule, &v, suspect);
    if (suspect && a) hold_if_deadly(x, &remote, id, &v);
    connection_drop(m, c);
    const struct site *s = slots_find(&m->sites, site);
    if (s) queue_destination_wait(m->queue, s->destination, 0);
}

static void dissect(struct manager *m, uint16_t worker, const struct death *d)
{
    struct autopsy x = {.m = m, .worker = worker, .epoch = d->epoch, .box = box_of(&m->boxes->deliver[worker], d->epoch), .how = &d->how};
    scan(&x);
    bool alone = worker == m->config->workers.delivers;
    bool by_box = !x.suspect && x.open_count == 0 && accuse_by_box(&x);
    if (!x.suspect && !by_box && death_is_crash(x.how)) suspect_all(&x, false);
    else if (x.suspect && death_is_crash(x.how) && !alone && quarantine_repeats(&x.suspect->remote, process_now_ms(m->process))) suspect_all(&x, true);
    struct connection *next;
    for (struct connection *c = slots_next(&m->connections, NULL); c; c = next) {
        next = slots_next(&m->connections, c);
        if (c->worker == worker && c->worker_epoch == d->epoch) settle(&x, c);
    }
    m->worker_load[worker] = 0;
    if (alone) rereads_lost(m);
}

/* ---- the two news ---- */

static void when_both(struct manager *m, struct death *d, uint8_t role, uint16_t index)
{
    if (!d->gone || !d->died) return;
    if (role == ROLE_DELIVER) dissect(m, index, d);
    else doors_death(m, index, d);
    *d = (struct death){0};
}

static struct death *death_of(struct manager *m, uint8_t role, uint16_t index, uint32_t epoch)
{
    if ((role != ROLE_DELIVER && role != ROLE_RECEIVER) || index >= ROLE_INSTANCES_MAX) return NULL;
    struct death *d = &m->boxes->deaths[role == ROLE_RECEIVER][index];
    if (d->epoch != epoch) *d = (struct death){.epoch = epoch};
    return d;
}

void deaths_channel_gone(struct manager *m, const struct ipc_channel *c)
{
    struct death *d = death_of(m, (uint8_t)ipc_peer(c), ipc_peer_index(c), ipc_peer_epoch(c));
    d->gone = true;
    when_both(m, d, (uint8_t)ipc_peer(c), ipc_peer_index(c));
}

void deaths_died(struct process *p, const struct ipc_died *how)
{
    struct manager *m = manager_of(p);
    if (crash_known(how)) return; /* an earlier manager has seen to it */
    struct death *d = death_of(m, how->role, how->index, how->epoch);
    if (!d && death_is_crash(how)) { /* a role without a box: whose octets it was is not known */
        struct crash crash = death_crash(m, how);
        crash_record(m, &crash);
    }
    if (!d) return;
    d->died = true;
    d->how = *how;
    struct ipc_channel *still = process_channel(p, (enum ipc_role)how->role, how->index);
    if (!still || ipc_peer_epoch(still) != how->epoch) d->gone = true; /* before we were there, or read to its end already */
    when_both(m, d, how->role, how->index);
}
