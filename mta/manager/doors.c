/*
 * doors - a receiver is dead: whose octets it was reading, and which clients are served alone from now on.
 *
 * No mail is to be settled: clients saw their connections break, and what they were not told 250 for was never promised. The box alone knows the culprit,
 * since connections of clients are not given by us. When it does not (something was scribbled over it, or memory was ruined earlier), the acceptor says whose
 * connections that receiver had: all of them are served alone for a while, and who kills alone is convicted. The acceptor obeys what is said here.
 */
#include "base/log.h"
#include "mta/manager/boxes.h"
#include "mta/process/dispatch.h"

enum { DOORS_WAIT_MS = 10 * 1000 }; /* for the acceptor's answer; after that the record names nobody */

static struct asked {
    uint64_t until_ms;            /* 0 = nothing was asked */
    struct crash crash;
    uint32_t count;
    struct net_address clients[QUARANTINE_MAX];
} asked[ROLE_INSTANCES_MAX];      /* by receiver */

/* ---- telling the acceptor ---- */

static void tell(struct manager *m, const struct net_address *client, const struct apart *q)
{
    uint64_t now = process_now_ms(m->process);
    struct ipc_channel *acceptor = process_channel(m->process, ROLE_ACCEPTOR, 0);
    struct ipc_client_apart news = {.client = *client};
    uint64_t end = q ? q->charged_ms + quarantine_keeps_ms(q) : 0;
    if (end > now) news.apart_ms = end - now;
    if (q && q->until_ms > now) news.pause_ms = q->until_ms - now;
    if (acceptor && ipc_send_client_apart(acceptor, &news, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the acceptor does not take news");
}

void doors_acceptor_came(struct manager *m)
{
    for (uint32_t i = 0; i < QUARANTINE_MAX; i++) {
        const struct apart *q = quarantine_at(QUARANTINE_CLIENTS, i);
        if (q) tell(m, &q->who, q);
    }
}

/* ---- charging ---- */

static void charge(struct manager *m, const struct net_address *client, bool convicted)
{
    const struct apart *q = quarantine_charge(QUARANTINE_CLIENTS, client, convicted, process_now_ms(m->process));
    if (!q) return;
    if (convicted) quarantine_say(QUARANTINE_CLIENTS, client, (struct bytes){0});
    tell(m, &q->who, q);
}

/* conclude - all that can be known is known. Whoever was alone there did it. */
static void conclude(struct manager *m, struct asked *a)
{
    bool alone = a->count == 1;
    a->until_ms = 0;
    if (alone) {
        a->crash.named = true;
        a->crash.remote = a->clients[0];
    } else {
        a->crash.suspects = a->count;
    }
    crash_record(m, &a->crash);
    for (uint32_t i = 0; i < a->count; i++) charge(m, &a->clients[i], alone);
}

void doors_death(struct manager *m, uint16_t receiver, const struct death *d)
{
    static struct box_slot open;
    struct box_view v;
    struct crash crash = death_crash(m, &d->how);
    if (box_culprit(box_of(&m->boxes->receivers[receiver], d->epoch), d->epoch, &open) && box_view(&open, &v) == BOX_SOUND) {
        crash.named = true;
        crash.remote = v.peer;
        crash.step = (uint8_t)v.step;
        crash.bytes = v.bytes;
        crash_record(m, &crash);
        charge(m, &crash.remote, true);
        return;
    }
    if (!death_is_crash(&d->how)) return;
    struct asked *a = &asked[receiver];
    if (a->until_ms) conclude(m, a);
    a->crash = crash;
    a->count = 0;
    a->until_ms = process_now_ms(m->process) + DOORS_WAIT_MS;
    struct ipc_channel *acceptor = process_channel(m->process, ROLE_ACCEPTOR, 0);
    struct ipc_clients_ask ask = {.receiver = receiver, .epoch = d->epoch};
    if (!acceptor || ipc_send_clients_ask(acceptor, &ask, -1) != ERR_NONE) conclude(m, a);
}

void doors_acceptor_gone(struct manager *m)
{
    for (uint32_t i = 0; i < ROLE_INSTANCES_MAX; i++)
        if (asked[i].until_ms) conclude(m, &asked[i]);
}

void doors_tidy(struct manager *m)
{
    for (uint32_t i = 0; i < ROLE_INSTANCES_MAX; i++)
        if (asked[i].until_ms && asked[i].until_ms <= process_now_ms(m->process)) conclude(m, &asked[i]);
}

/* ---- the acceptor's words ---- */

void manager_on_client_lost(struct process *p, struct ipc_channel *from, const struct ipc_client_lost *in, int fd)
{
    (void)from;
    (void)fd;
    struct asked *a = in->receiver < ROLE_INSTANCES_MAX ? &asked[in->receiver] : NULL;
    if (!a || !a->until_ms || a->crash.epoch != in->epoch) return; /* it came too late */
    if (in->client.family && a->count < QUARANTINE_MAX) a->clients[a->count++] = in->client;
    if (in->last) conclude(manager_of(p), a);
}

void manager_on_client_behaved(struct process *p, struct ipc_channel *from, const struct ipc_client_behaved *in, int fd)
{
    (void)from;
    (void)fd;
    struct manager *m = manager_of(p);
    if (quarantine_release(QUARANTINE_CLIENTS, &in->client)) crashes_release(QUARANTINE_CLIENTS, &in->client);
    tell(m, &in->client, NULL);
}
