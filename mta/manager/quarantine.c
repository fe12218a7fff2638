/*
 * quarantine - remotes that have killed a delivery worker, or may have: they are served alone.
 *
 * One delivery process is kept for them (the last index). It has one connection at a time, without pipelining, so whoever kills it is known. A remote is
 * let go when it has carried a message to its end there. While it goes on killing, the pauses between two tries grow, for it alone. Memory only: a new
 * manager begins with nobody apart, and pays one process to learn it again.
 */
#include <string.h>

#include "base/log.h"
#include "mta/manager/boxes.h"

enum {
    QUARANTINE_MAX = 256,                       /* remotes; the one that was quiet for longest makes room */
    QUARANTINE_PAUSE_MS = 5 * 1000,             /* after the second death; doubles with each */
    QUARANTINE_PAUSE_MOST_MS = 60 * 60 * 1000,
    QUARANTINE_SUSPECT_MS = 10 * 60 * 1000,     /* who was merely there, and has not been asked since, is forgotten */
    QUARANTINE_CONVICT_MS = 24 * 60 * 60 * 1000,
    QUARANTINE_REPEAT_MS = 60 * 1000,           /* so many deaths by different remotes in this time: perhaps memory was ruined by another one */
    QUARANTINE_REPEATS = 3,
    DEADLY_MAX = 64,                            /* messages that were in play when a remote killed */
};

struct apart {
    struct net_address remote;                  /* family 0 = free */
    uint32_t kills;
    uint64_t until_ms;                          /* no connection before */
    uint64_t charged_ms;
};

static struct apart aparts[QUARANTINE_MAX];
static uint32_t apart_count;

static struct { struct message_id id; struct net_address remote; } deadly[DEADLY_MAX];
static uint32_t deadly_next;

static struct { struct net_address remote; uint64_t when_ms; } named[QUARANTINE_REPEATS];

static struct apart *find(const struct net_address *remote)
{
    for (uint32_t i = 0; apart_count && i < QUARANTINE_MAX; i++)
        if (aparts[i].remote.family && net_same_ip(&aparts[i].remote, remote)) return &aparts[i];
    return NULL;
}

static struct apart *place_for(const struct net_address *remote)
{
    struct apart *best = find(remote);
    if (best) return best;
    best = &aparts[0];
    for (uint32_t i = 0; i < QUARANTINE_MAX && best->remote.family; i++)
        if (!aparts[i].remote.family || aparts[i].charged_ms < best->charged_ms) best = &aparts[i];
    if (!best->remote.family) apart_count++;
    *best = (struct apart){.remote = *remote};
    return best;
}

static void say(const struct apart *q, struct bytes host)
{
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: quarantine: ");
    log_bytes(line, host);
    buf_put_c(line, '[');
    net_print_ip(line, &q->remote);
    BUF_LIT(line, "] has killed ");
    buf_put_u64(line, q->kills);
    buf_put_cstr(line, q->kills == 1 ? " delivery process: it is served alone" : " delivery processes: it is served alone, after longer and longer pauses");
    log_end();
}

void quarantine_charge(struct manager *m, const struct net_address *remote, struct bytes host, bool convicted)
{
    uint64_t now = process_now_ms(m->process);
    if (!remote->family) return;
    struct apart *q = place_for(remote);
    q->charged_ms = now;
    if (!convicted) return;
    q->kills++;
    if (q->kills > 1) {
        uint32_t doublings = q->kills - 2 < 16 ? q->kills - 2 : 16;
        uint64_t pause = (uint64_t)QUARANTINE_PAUSE_MS << doublings;
        q->until_ms = now + (pause < QUARANTINE_PAUSE_MOST_MS ? pause : (uint64_t)QUARANTINE_PAUSE_MOST_MS);
    }
    say(q, host);
}

void quarantine_release(struct manager *m, const struct net_address *remote)
{
    (void)m;
    struct apart *q = find(remote);
    if (!q) return;
    if (q->kills) {
        struct buf *line = log_begin(LOG_LEVEL_INFO);
        BUF_LIT(line, "quarantine: ");
        net_print_ip(line, remote);
        BUF_LIT(line, " has taken part in a session to its end: it is served like others again");
        log_end();
    }
    *q = (struct apart){0};
    apart_count--;
}

bool quarantine_holds(const struct net_address *remote) { return find(remote) != NULL; }

enum quarantine_answer quarantine_ask(struct manager *m, const struct host *h)
{
    enum quarantine_answer answer = QUARANTINE_FREE;
    uint16_t worker = (uint16_t)m->config->workers.delivers;
    bool idle = process_channel(m->process, ROLE_DELIVER, worker) && m->worker_load[worker] == 0;
    for (uint32_t i = 0; apart_count && i < h->address_count; i++) {
        const struct apart *q = find(&h->addresses[i]);
        if (q && (q->until_ms > process_now_ms(m->process) || !idle)) return QUARANTINE_WAIT;
        if (q) answer = QUARANTINE_ALONE;
    }
    return answer;
}

void quarantine_tidy(struct manager *m)
{
    uint64_t now = process_now_ms(m->process);
    for (uint32_t i = 0; apart_count && i < QUARANTINE_MAX; i++) {
        struct apart *q = &aparts[i];
        uint64_t keep = q->kills ? (uint64_t)QUARANTINE_CONVICT_MS : (uint64_t)QUARANTINE_SUSPECT_MS;
        if (!q->remote.family || now - q->charged_ms < keep) continue;
        *q = (struct apart){0};
        apart_count--;
    }
}

uint32_t quarantine_count(void) { return apart_count; }

bool quarantine_content(struct message_id id, const struct net_address *remote)
{
    for (uint32_t i = 0; i < DEADLY_MAX; i++)
        if (deadly[i].id.v == id.v && !net_same_ip(&deadly[i].remote, remote)) return true;
    deadly[deadly_next % DEADLY_MAX].id = id;
    deadly[deadly_next % DEADLY_MAX].remote = *remote;
    deadly_next++;
    return false;
}

bool quarantine_repeats(struct manager *m, const struct net_address *remote)
{
    uint64_t now = process_now_ms(m->process);
    uint32_t oldest = 0, others = 0;
    for (uint32_t i = 0; i < QUARANTINE_REPEATS; i++) {
        if (named[i].remote.family && net_same_ip(&named[i].remote, remote)) {
            named[i].when_ms = now;
            return false;
        }
        if (named[i].remote.family && now - named[i].when_ms < QUARANTINE_REPEAT_MS) others++;
        if (named[i].when_ms < named[oldest].when_ms) oldest = i;
    }
    named[oldest].remote = *remote;
    named[oldest].when_ms = now;
    return others + 1 >= QUARANTINE_REPEATS;
}
