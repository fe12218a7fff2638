/*
 * quarantine - who has killed a process of ours, or may have, and is served alone: remotes that mail goes to (delivery workers), and clients (receivers).
 *
 * One process of each kind is kept for them (the last index). It has one connection at a time, so whoever kills it is known. Who has gone through a session
 * there to its end is let go. Who goes on killing is waited for longer and longer, and nobody else is. A client chooses itself when it comes, so its deaths
 * are remembered when it is let go: the next one makes it wait. Memory only, and pure; what outlives a manager stands in the records of crashes (crashes.c).
 */
#include <string.h>

#include "base/log.h"
#include "mta/manager/boxes.h"

enum {
    QUARANTINE_PAUSE_MS = 5 * 1000,             /* after the second death; doubles with each */
    QUARANTINE_PAUSE_MOST_MS = 60 * 60 * 1000,
    QUARANTINE_REPEAT_MS = 60 * 1000,           /* so many deaths by different remotes in this time: perhaps memory was ruined by another one */
    QUARANTINE_REPEATS = 3,
    DEADLY_MAX = 64,                            /* messages that were in play when a remote killed */
};

static struct apart tables[QUARANTINE_SIDES][QUARANTINE_MAX];
static uint32_t counts[QUARANTINE_SIDES];      /* without those that were let go */

static struct { struct message_id id; struct net_address remote; } deadly[DEADLY_MAX];
static uint32_t deadly_next;

static struct { struct net_address remote; uint64_t when_ms; } named[QUARANTINE_REPEATS];

/* known_as - a client with IPv6 has a whole network of addresses to come from. */
static struct net_address known_as(enum quarantine_side side, const struct net_address *who)
{
    struct net_address a = *who;
    a.port = 0;
    if (side == QUARANTINE_CLIENTS && a.family == NET_IPV6) memset(a.ip + 8, 0, sizeof a.ip - 8);
    return a;
}

bool quarantine_same(enum quarantine_side side, const struct net_address *a, const struct net_address *b)
{
    struct net_address one = known_as(side, a), other = known_as(side, b);
    return net_same_ip(&one, &other);
}

static struct apart *find(enum quarantine_side side, const struct net_address *who)
{
    struct net_address a = known_as(side, who);
    for (uint32_t i = 0; i < QUARANTINE_MAX; i++)
        if (tables[side][i].who.family && net_same_ip(&tables[side][i].who, &a)) return &tables[side][i];
    return NULL;
}

static bool is_apart(const struct apart *q) { return q && q->who.family && !q->released; }

static void forget(enum quarantine_side side, struct apart *q)
{
    counts[side] -= is_apart(q);
    *q = (struct apart){0};
}

/* worth - who makes room first; among equals who was quiet for longest. */
enum { WORTH_FREE = 0, WORTH_RELEASED, WORTH_SUSPECT, WORTH_CONVICTED };

static uint32_t worth(const struct apart *q)
{
    return !q->who.family ? WORTH_FREE : q->released ? WORTH_RELEASED : !q->kills ? WORTH_SUSPECT : WORTH_CONVICTED;
}

/* place_for - NULL when a mere suspect would take the place of one who was convicted. */
static struct apart *place_for(enum quarantine_side side, const struct net_address *who, bool convicted)
{
    struct apart *best = find(side, who);
    if (!best) {
        best = tables[side];
        for (struct apart *q = best; q < tables[side] + QUARANTINE_MAX; q++)
            if (worth(q) < worth(best) || (worth(q) == worth(best) && q->charged_ms < best->charged_ms)) best = q;
        if (!convicted && worth(best) == WORTH_CONVICTED) return NULL;
        forget(side, best);
        best->who = known_as(side, who);
        best->released = true;
    }
    counts[side] += best->released;
    best->released = false;
    return best;
}

const struct apart *quarantine_charge(enum quarantine_side side, const struct net_address *who, bool convicted, uint64_t when_ms)
{
    if (!who->family) return NULL;
    struct apart *q = place_for(side, who, convicted);
    if (!q) return NULL;
    q->charged_ms = when_ms;
    if (!convicted) return q;
    q->kills++;
    if (q->kills > 1) {
        uint32_t doublings = q->kills - 2 < 16 ? q->kills - 2 : 16;
        uint64_t pause = (uint64_t)QUARANTINE_PAUSE_MS << doublings;
        q->until_ms = when_ms + (pause < QUARANTINE_PAUSE_MOST_MS ? pause : (uint64_t)QUARANTINE_PAUSE_MOST_MS);
    }
    return q;
}

void quarantine_say(enum quarantine_side side, const struct net_address *who, struct bytes host)
{
    static const char *const kinds[QUARANTINE_SIDES] = {"delivery process", "receiver"};
    const struct apart *q = find(side, who);
    if (!q) return;
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: quarantine: ");
    log_bytes(line, host);
    buf_put_c(line, '[');
    net_print_ip(line, &q->who);
    BUF_LIT(line, "] has killed ");
    buf_put_u64(line, q->kills);
    buf_put_c(line, ' ');
    buf_put_cstr(line, kinds[side]);
    if (q->kills > 1) buf_put_cstr(line, side == QUARANTINE_CLIENTS ? "s" : "es");
    buf_put_cstr(line, q->kills == 1 ? ": it is served alone" : ": it is served alone, after longer and longer pauses");
    log_end();
}

bool quarantine_release(enum quarantine_side side, const struct net_address *who)
{
    struct apart *q = find(side, who);
    if (!is_apart(q)) return false;
    bool convicted = q->kills > 0;
    if (convicted) {
        struct buf *line = log_begin(LOG_LEVEL_INFO);
        BUF_LIT(line, "quarantine: ");
        net_print_ip(line, who);
        BUF_LIT(line, " has taken part in a session to its end: it is served like others again");
        log_end();
    }
    if (side == QUARANTINE_CLIENTS && convicted) {
        q->released = true;
        counts[side]--;
    } else {
        forget(side, q);
    }
    return convicted;
}

bool quarantine_holds(enum quarantine_side side, const struct net_address *who) { return counts[side] && is_apart(find(side, who)); }

uint64_t quarantine_keeps_ms(const struct apart *q) { return q->kills ? (uint64_t)QUARANTINE_CONVICT_MS : (uint64_t)QUARANTINE_SUSPECT_MS; }

const struct apart *quarantine_at(enum quarantine_side side, uint32_t index)
{
    return index < QUARANTINE_MAX && is_apart(&tables[side][index]) ? &tables[side][index] : NULL;
}

enum quarantine_answer quarantine_ask(const struct host *h, bool idle, uint64_t now_ms)
{
    enum quarantine_answer answer = QUARANTINE_FREE;
    for (uint32_t i = 0; counts[QUARANTINE_REMOTES] && i < h->address_count; i++) {
        const struct apart *q = find(QUARANTINE_REMOTES, &h->addresses[i]);
        if (q && (q->until_ms > now_ms || !idle)) return QUARANTINE_WAIT;
        if (q) answer = QUARANTINE_ALONE;
    }
    return answer;
}

void quarantine_tidy(uint64_t now_ms)
{
    for (uint32_t side = 0; side < QUARANTINE_SIDES; side++) {
        for (struct apart *q = tables[side]; q < tables[side] + QUARANTINE_MAX; q++)
            if (q->who.family && now_ms > q->charged_ms && now_ms - q->charged_ms >= quarantine_keeps_ms(q)) forget((enum quarantine_side)side, q);
    }
}

uint32_t quarantine_count(enum quarantine_side side) { return counts[side]; }

bool quarantine_content(struct message_id id, const struct net_address *remote)
{
    for (uint32_t i = 0; i < DEADLY_MAX; i++)
        if (deadly[i].id.v == id.v && !net_same_ip(&deadly[i].remote, remote)) return true;
    deadly[deadly_next % DEADLY_MAX].id = id;
    deadly[deadly_next % DEADLY_MAX].remote = *remote;
    deadly_next++;
    return false;
}

bool quarantine_repeats(const struct net_address *remote, uint64_t now_ms)
{
    uint32_t oldest = 0, others = 0;
    for (uint32_t i = 0; i < QUARANTINE_REPEATS; i++) {
        if (named[i].remote.family && net_same_ip(&named[i].remote, remote)) {
            named[i].when_ms = now_ms;
            return false;
        }
        if (named[i].remote.family && now_ms - named[i].when_ms < QUARANTINE_REPEAT_MS) others++;
        if (named[i].when_ms < named[oldest].when_ms) oldest = i;
    }
    named[oldest].remote = *remote;
    named[oldest].when_ms = now_ms;
    return others + 1 >= QUARANTINE_REPEATS;
}
