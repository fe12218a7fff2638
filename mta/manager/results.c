/* results - what workers and the mailbox process say became of an attempt. */
#include "base/log.h"
#include "mta/manager/manager.h"
#include "mta/process/dispatch.h"

static struct verdict verdict_of(const struct ipc_result *in)
{
    return (struct verdict){
        .class = in->class, .scope = in->scope, .step = in->step, .maybe_duplicate = in->maybe_duplicate, .remote = in->remote, .code = in->code,
        .enhanced = {in->enhanced_class, in->enhanced_subject, in->enhanced_detail}, .text = in->text,
    };
}

/* judge_full - what the route says of a mailbox that is full: servers answer with 4yz and 5yz alike. */
static void judge_full(const struct manager *m, const struct connection *c, struct verdict *v)
{
    const struct site *s = slots_find(&m->sites, c->site);
    bool full = v->scope == SCOPE_RECIPIENT && v->remote && (v->class == VERDICT_LATER || v->class == VERDICT_NEVER) &&
                ((v->enhanced.subject == 2 && v->enhanced.detail == 2) || v->code == 552);
    if (!s || s->action != ACTION_LMTP || s->route < 0 || !full) return;
    uint8_t rule = CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[s->route].mailbox_full;
    if (rule == FULL_AS_IS) return;
    v->class = rule == FULL_DEFER ? VERDICT_LATER : VERDICT_NEVER;
    v->enhanced.class = rule == FULL_DEFER ? 4 : 5;
}

/* site_news - what a result says about its destination as a whole. */
static void site_news(struct manager *m, const struct attempt *a, const struct verdict *v)
{
    if (v->class == VERDICT_DELIVERED || (v->class != VERDICT_NONE && v->scope != SCOPE_SITE)) {
        queue_site_ok(m->queue, a->destination);
    } else if (v->class == VERDICT_LATER) {
        queue_site_failed(m->queue, a->destination, v->text, process_now_wall_us(m->process));
    }
}

void manager_on_result(struct process *p, struct ipc_channel *from, const struct ipc_result *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    if (in->attempt >> PROBES_BIT) {
        if (!probes_result(m, from, in)) process_violation(p, from, "a RESULT for a recipient that this worker was not asked for");
        return;
    }
    struct attempt *a = slots_find(&m->attempts, in->attempt);
    if (!a || a->to_mailbox) return;
    struct connection *c = slots_find(&m->connections, a->connection);
    if (!c || c->worker != ipc_peer_index(from) || c->worker_epoch != ipc_peer_epoch(from) || c->attempt != in->attempt) {
        process_violation(p, from, "a RESULT for an attempt that this worker was not given");
        return;
    }
    struct verdict v = verdict_of(in);
    if (v.class == VERDICT_DELIVERED && v.code / 100 != 2) {
        process_violation(p, from, "a delivery without a positive reply");
        return;
    }
    if (a->state != ATTEMPT_SENT) return;
    judge_full(m, c, &v);
    if (v.class != VERDICT_NONE && !attempt_run(a, in->first, in->count, &v)) {
        process_violation(p, from, "a RESULT for recipients that the attempt has not");
        return;
    }
    boxes_result(m, a, in->first, in->count, &v);
    if (in->dsn_passed) a->dsn_passed = true;
    site_news(m, a, &v);
    if (!in->last) return;
    boxes_known(m, a);
    if (v.class != VERDICT_NONE) c->carried = true;
    a->greeting_us = in->greeting_us;
    a->transfer_us = in->transfer_us;
    attempt_settle(m, a);
    c->attempt = 0;
    connection_free_for_next(m, c);
}

void manager_on_delivered(struct process *p, struct ipc_channel *from, const struct ipc_delivered *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    struct attempt *a = slots_find(&m->attempts, in->attempt);
    if (!a || !a->to_mailbox || a->state != ATTEMPT_SENT) {
        process_violation(p, from, "a DELIVERED for an attempt that was not given");
        return;
    }
    struct verdict v = {
        .class = in->class, .scope = SCOPE_RECIPIENT, .step = in->step, .code = in->code,
        .enhanced = {in->enhanced_class, in->enhanced_subject, in->enhanced_detail}, .text = in->text,
    };
    uint64_t destination = a->destination;
    a->transfer_us = in->transfer_us;
    if (v.class == VERDICT_NONE) {
        attempt_return(m, a);
    } else {
        attempt_all(m, a, &v);
    }
    queue_site_ok(m->queue, destination);
    local_room(m, destination);
}
