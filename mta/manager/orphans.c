/*
 * orphans - attempts that were in hand when the manager before this one died.
 *
 * Their workers do not die with it: who awaits the answer to a final dot waits for it and leaves it in the box. Each grant that was left behind is settled
 * against its box by the table of mta/box/rules.h. Until then its recipients are given to nobody: the queue, which knows nothing of all this, finds them
 * due and gives them out, and here they are parked; as soon as the verdict is known it is recorded like that of any attempt.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "mta/manager/boxes.h"

enum {
    ORPHANS_TABLE = 4096,
    ORPHANS_LOOK_MS = 100,        /* how often boxes of living workers are looked at again */
    ORPHANS_WAIT_MS = 35 * 1000,  /* a worker waits 30 s for answers; then what stands in the box stands */
};

struct orphan {
    struct message_id message;
    uint32_t grant;               /* index */
    uint16_t worker;
    bool resolved, seen;
    uint32_t left;                /* recipients that the queue has not given out yet */
    uint32_t next_message, next_connection; /* index + 1 */
};

static struct orphan *all;
static uint32_t count, cap, unresolved;
static uint32_t by_message[ORPHANS_TABLE], by_connection[ORPHANS_TABLE];
static uint64_t look_ms, until_ms;
static struct box_slot copy;

static uint32_t bucket(uint64_t key) { return (uint32_t)(hash_mix(key) % ORPHANS_TABLE); }
static struct grants *grants_of(const struct manager *m, const struct orphan *o) { return &m->boxes->deliver[o->worker].grants; }
static struct grant *grant_of(const struct manager *m, const struct orphan *o) { return grant_at(grants_of(m, o), o->grant); }

/* ---- taking over ---- */

/* mark_queued - recipients of a grant that are still to be delivered; the others' outcomes were durable. `zero` = 1: not ours to settle (any more). */
static void mark_queued(void *context, const struct queue_row *row)
{
    struct grant *e = context;
    for (uint32_t i = 0; i < e->rcpt_count; i++)
        if (e->rcpts[i].rcpt < row->message->rcpt_count && row->states[e->rcpts[i].rcpt].state == RCPT_QUEUED) e->rcpts[i].zero = 0;
}

static uint32_t count_left(const struct grant *e)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < e->rcpt_count; i++) left += e->rcpts[i].zero == 0;
    return left;
}

static bool add(struct manager *m, uint16_t worker, uint32_t index, uint32_t left)
{
    if (count == cap) {
        struct orphan *grown = realloc(all, (cap ? 2 * cap : 256) * sizeof *grown);
        if (!grown) return false;
        all = grown;
        cap = cap ? 2 * cap : 256;
    }
    const struct grant *e = grant_at(&m->boxes->deliver[worker].grants, index);
    struct orphan *o = &all[count++];
    *o = (struct orphan){.message = e->message, .grant = index, .worker = worker, .left = left, .resolved = e->state == GRANT_KNOWN};
    uint32_t *head = &by_message[bucket(e->message.v)];
    o->next_message = *head;
    *head = count;
    head = &by_connection[bucket(e->identity.connection)];
    o->next_connection = *head;
    *head = count;
    unresolved += !o->resolved;
    return true;
}

void orphans_adopt(struct manager *m, uint16_t worker)
{
    struct grants *g = &m->boxes->deliver[worker].grants;
    uint32_t adopted = 0;
    for (uint32_t i = grants_next(g, 0); i != GRANT_NONE; i = grants_next(g, i + 1)) {
        struct grant *e = grant_at(g, i);
        if (e->state == GRANT_FREE) continue;
        bool sound = grant_sound(g, i);
        for (uint32_t k = 0; sound && k < e->rcpt_count; k++) e->rcpts[k].zero = 1;
        uint32_t left = sound && queue_find(m->queue, e->message, mark_queued, e) ? count_left(e) : 0;
        if (left && add(m, worker, i, left)) adopted++;
        else grant_done(g, i);
    }
    if (!adopted) return;
    until_ms = process_now_ms(m->process) + ORPHANS_WAIT_MS;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "the manager before this one had ");
    buf_put_u64(line, adopted);
    BUF_LIT(line, " deliveries in hand at deliver/");
    buf_put_u64(line, worker);
    BUF_LIT(line, ": they are settled by its box first");
    log_end();
}

/* ---- settling ---- */

static uint16_t verdict_for(enum box_rule rule, const struct box_view *v)
{
    uint8_t class = v->dot_code < 300 ? VERDICT_DELIVERED : v->dot_code < 500 ? VERDICT_LATER : VERDICT_NEVER;
    if (rule == RULE_COMMIT) return box_rcpt_pack(class, v->dot_code, false);
    if (rule == RULE_MAYBE_DUPLICATE || rule == RULE_REREAD) return box_rcpt_pack(VERDICT_LATER, 0, true);
    return 0;
}

static void resolve(struct manager *m, struct orphan *o, enum box_found found, bool suspect, const struct box_view *v)
{
    struct grant *e = grant_of(m, o);
    static uint16_t each[BOX_RCPTS_MAX];
    enum box_rule rule = box_rule(found, suspect);
    uint16_t verdict = verdict_for(rule, v);
    if (rule == RULE_EACH) box_each(v, suspect, each);
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        bool judged_before = v->rcpts && (v->rcpts[i] & BOX_RCPT_JUDGED);
        if (!e->rcpts[i].verdict && !judged_before) e->rcpts[i].verdict = rule == RULE_EACH ? each[i] : verdict;
    }
    grant_known(grants_of(m, o), o->grant);
    o->resolved = true;
    unresolved--;
}

/* may_change - its worker lives and may still store an answer. */
static bool may_change(struct manager *m, const struct orphan *o, bool *noticed)
{
    struct ipc_channel *c = process_channel(m->process, ROLE_DELIVER, o->worker);
    struct box_header h;
    const struct grant *e = grant_of(m, o);
    bool lives = c && ipc_peer_epoch(c) == e->identity.worker_epoch && process_now_ms(m->process) < until_ms;
    *noticed = !lives;
    if (!lives) return false;
    if (box_copy_header(m->boxes->deliver[o->worker].fd, &h)) *noticed = h.worker_epoch == e->identity.worker_epoch && h.manager_seen == process_epoch(m->process);
    return true;
}

static void look_at(struct manager *m, struct orphan *o, enum box_condition condition, const struct box_view *v, bool spoiled)
{
    const struct grant *e = grant_of(m, o);
    bool noticed, lives = may_change(m, o, &noticed);
    if (!noticed) return; /* it does not know yet that its manager is dead */
    enum box_found found = box_found(condition, v, spoiled, e->attempt, e->rcpt_count);
    bool open_end = found == FOUND_AFTER_SILENT || found == FOUND_AFTER_PARTIAL || found == FOUND_AFTER_UNJUDGED || found == FOUND_AFTER_SOME;
    if (lives && open_end && !v->ended) return;
    resolve(m, o, found, !lives && v->open, v);
}

static struct orphan *orphan_of(const struct manager *m, uint16_t worker, const struct box_identity *id)
{
    for (uint32_t at = by_connection[bucket(id->connection)]; at; at = all[at - 1].next_connection) {
        struct orphan *o = &all[at - 1];
        if (o->worker != worker || o->resolved || !o->left) continue;
        if (memcmp(&grant_of(m, o)->identity, id, sizeof *id) == 0) return o;
    }
    return NULL;
}

const struct grant *orphans_grant(const struct manager *m, uint16_t worker, const struct box_identity *id)
{
    const struct orphan *o = orphan_of(m, worker, id);
    return o ? grant_of(m, o) : NULL;
}

static void look_into(struct manager *m, uint16_t worker)
{
    int box = m->boxes->deliver[worker].fd;
    bool spoiled = false, any = false;
    struct box_view v = {0};
    for (uint32_t i = 0; i < count; i++) {
        all[i].seen = false;
        any |= all[i].worker == worker && !all[i].resolved;
    }
    if (!any) return;
    for (uint32_t i = box >= 0 ? box_next(box, 0) : (uint32_t)BOX_SLOTS_MAX; i < BOX_SLOTS_MAX; i = box_next(box, i + 1)) {
        enum box_condition condition = box_copy(box, i, &copy) ? box_view(&copy, &v) : BOX_UNUSED;
        spoiled |= condition == BOX_SPOILED;
        struct orphan *o = condition == BOX_UNUSED ? NULL : orphan_of(m, worker, &v.identity);
        if (!o) continue;
        o->seen = true;
        look_at(m, o, condition, &v, false);
    }
    v = (struct box_view){0};
    for (uint32_t i = 0; i < count; i++)
        if (all[i].worker == worker && !all[i].resolved && !all[i].seen) look_at(m, &all[i], BOX_UNUSED, &v, spoiled);
}

/* ---- recording ---- */

static struct verdict verdict_of(uint16_t packed)
{
    uint8_t class = box_rcpt_class(packed);
    bool again = packed & BOX_RCPT_DUPLICATE;
    struct verdict v = {
        .class = class, .scope = SCOPE_MESSAGE, .step = STEP_DOT, .code = box_rcpt_code(packed), .maybe_duplicate = again,
        .enhanced = {class == VERDICT_DELIVERED ? 2 : class == VERDICT_NEVER ? 5 : 4, 0, 0}, .remote = box_rcpt_code(packed) != 0,
    };
    v.text = again ? BYTES("the manager died while the answer to the end of the message was awaited -- message may be sent more than once")
                   : BYTES("(the words of this answer died with the manager that they were for)");
    return v;
}

/* entry_for - a recipient's place in a grant, or UINT32_MAX. */
static uint32_t entry_for(const struct grant *e, uint32_t rcpt)
{
    for (uint32_t i = 0; i < e->rcpt_count; i++)
        if (e->rcpts[i].rcpt == rcpt) return e->rcpts[i].zero ? UINT32_MAX : i;
    return UINT32_MAX;
}

/* record - what the grants say of this attempt's recipients; those of whom they say nothing are due again at once. */
static void record(struct manager *m, struct attempt *a)
{
    for (uint32_t at = by_message[bucket(a->message.v)]; at; at = all[at - 1].next_message) {
        struct orphan *o = &all[at - 1];
        if (o->message.v != a->message.v || !o->left) continue;
        struct grant *e = grant_of(m, o);
        for (uint32_t i = 0; i < a->rcpt_count; i++) {
            uint32_t place = entry_for(e, a->rcpts[i]);
            if (place == UINT32_MAX) continue;
            struct verdict v = verdict_of(e->rcpts[place].verdict);
            if (v.class != VERDICT_NONE) (void)attempt_run(a, i, 1, &v);
            e->rcpts[place].zero = 1;
            o->left--;
        }
        attempt_by(a, "smtp", bytes_of(e->host, e->host_len));
        a->relay = e->remote;
        if (o->left) continue;
        if (a->grant) grant_done(grants_of(m, o), o->grant);
        else a->grant = boxes_cookie(o->worker, o->grant); /* free when the outcome is durable */
    }
    if (a->run_count) attempt_settle(m, a);
    else attempt_return(m, a);
}

bool orphans_claim(struct manager *m, struct attempt *a)
{
    bool ours = false, wait = false;
    if (!count) return false;
    for (uint32_t at = by_message[bucket(a->message.v)]; at; at = all[at - 1].next_message) {
        const struct orphan *o = &all[at - 1];
        if (o->message.v != a->message.v || !o->left) continue;
        for (uint32_t i = 0; i < a->rcpt_count; i++) {
            if (entry_for(grant_of(m, o), a->rcpts[i]) == UINT32_MAX) continue;
            ours = true;
            wait |= !o->resolved;
        }
    }
    if (!ours) return false;
    if (wait) a->state = ATTEMPT_PARKED;
    else record(m, a);
    return true;
}

void orphans_turn(struct manager *m)
{
    uint64_t now = process_now_ms(m->process);
    if (!unresolved || now < look_ms) return;
    uint32_t before = unresolved;
    look_ms = now + ORPHANS_LOOK_MS;
    for (uint16_t i = 0; i < ROLE_INSTANCES_MAX; i++) look_into(m, i);
    if (unresolved == before) return;
    struct attempt *next;
    for (struct attempt *a = slots_next(&m->attempts, NULL); a; a = next) {
        next = slots_next(&m->attempts, a);
        if (a->state != ATTEMPT_PARKED) continue;
        a->state = ATTEMPT_SENT;
        if (!orphans_claim(m, a)) attempt_return(m, a);
    }
}

uint64_t orphans_deadline(void) { return unresolved ? look_ms : UINT64_MAX; }
