/*
 * local - actions that need no connection: into a mailbox, discard, reject, and recipients that no route takes (any more).
 */
#include <stddef.h>

#include "mta/manager/manager.h"

enum {
    LOCAL_BATCH = 64,            /* messages of one destination in one turn */
    MAILBOX_LOOK_AGAIN_MS = 200, /* when the mailbox process is away, or has all that it can have in hand */
};

static void own_words(struct manager *m, struct site *s, const struct verdict *v, const char *daemon, const char *relay)
{
    for (uint32_t i = 0; i < LOCAL_BATCH; i++) {
        struct attempt *a = attempt_take(m, s->destination, UINT32_MAX);
        if (!a) return;
        attempt_by(a, daemon, bytes_of_cstr(relay));
        attempt_all(m, a, v);
    }
    queue_destination_wait(m->queue, s->destination, 0);
    process_wake(m->process);
}

static void reject(struct manager *m, struct site *s)
{
    const struct config_route *route = &CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[s->route];
    bool permanent = route->reject_code / 100 == 5;
    struct verdict v = {
        .class = permanent ? VERDICT_NEVER : VERDICT_LATER,
        .scope = SCOPE_RECIPIENT,
        .step = STEP_ROUTE,
        .enhanced = {permanent ? 5 : 4, 7, 1},
        .text = config_bytes(m->config, route->reject_text),
    };
    own_words(m, s, &v, "error", "none");
}

static void mailbox(struct manager *m, struct site *s)
{
    bool there = process_channel(m->process, ROLE_MAILBOX, 0) && !process_draining(m->process);
    while (there && m->mailbox_jobs < MANAGER_MAILBOX_JOBS_MAX) {
        struct attempt *a = attempt_take(m, s->destination, 1);
        if (!a) return;
        a->to_mailbox = true;
        if (s->action == ACTION_LOCAL) attempt_by(a, "local", BYTES("local"));
        else attempt_by(a, "virtual", BYTES("virtual"));
        uint32_t jobs = ++m->mailbox_jobs;
        attempt_begin(m, a);
        if (m->mailbox_jobs < jobs) break; /* it came back at once: the channel takes no more */
    }
    /* Asked in every turn it would be the only thing that the manager does. The next delivery that ends makes room for it. */
    m->mailbox_next = s->destination;
    queue_destination_wait(m->queue, s->destination, process_now_ms(m->process) + MAILBOX_LOOK_AGAIN_MS);
}

void local_room(struct manager *m, uint64_t destination)
{
    uint64_t first = m->mailbox_next ? m->mailbox_next : destination;
    m->mailbox_jobs--;
    m->mailbox_next = 0;
    queue_destination_wait(m->queue, destination, 0);
    site_feed(m, first);
}

void local_feed(struct manager *m, struct site *s)
{
    static const struct verdict discarded = {.class = VERDICT_DELIVERED, .scope = SCOPE_RECIPIENT, .step = STEP_ROUTE, .enhanced = {2, 0, 0},
                                             .text = BYTES_INIT("discarded by the route")};
    static const struct verdict unrouted = {.class = VERDICT_LATER, .scope = SCOPE_RECIPIENT, .step = STEP_ROUTE, .enhanced = {4, 4, 4},
                                            .text = BYTES_INIT("no route of the configuration takes this recipient")};
    switch (s->action) {
    case ACTION_MAILDIR:
    case ACTION_LOCAL: mailbox(m, s); break;
    case ACTION_DISCARD: own_words(m, s, &discarded, "discard", "none"); break;
    case ACTION_REJECT: reject(m, s); break;
    default: own_words(m, s, &unrouted, "error", "none"); break;
    }
}

/* in_hand_before - whether this delivery was in the mailbox process's hand already when that died the last times. */
static bool in_hand_before(const struct attempt *a)
{
    static struct { struct message_id id; uint32_t rcpt; } seen[MANAGER_MAILBOX_JOBS_MAX];
    static uint32_t next;
    for (uint32_t i = 0; i < MANAGER_MAILBOX_JOBS_MAX; i++)
        if (seen[i].id.v == a->message.v && seen[i].rcpt == a->rcpts[0]) return true;
    seen[next].id = a->message;
    seen[next].rcpt = a->rcpts[0];
    next = (next + 1) % MANAGER_MAILBOX_JOBS_MAX;
    return false;
}

/* The mailbox process died: what it had is due again, but for what it had the last time too: that waits for its next try, so that others get through. Its file, if it was made already, has the same unique name the next time. */
void local_mailbox_gone(struct manager *m)
{
    static const struct verdict deadly = {.class = VERDICT_LATER, .scope = SCOPE_RECIPIENT, .step = STEP_MAILBOX, .enhanced = {4, 3, 0},
                                          .text = BYTES_INIT("the process that writes mailboxes died twice with this message in hand")};
    struct attempt *next;
    for (struct attempt *a = slots_next(&m->attempts, NULL); a; a = next) {
        next = slots_next(&m->attempts, a);
        if (!a->to_mailbox || a->state != ATTEMPT_SENT) continue;
        uint64_t destination = a->destination;
        m->mailbox_jobs--;
        if (in_hand_before(a)) attempt_all(m, a, &deadly);
        else attempt_return(m, a);
        queue_destination_wait(m->queue, destination, 0);
    }
}
