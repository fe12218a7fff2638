/*
 * limits - see limits.h.
 */
#include "mta/acceptor/limits.h"

#include <stddef.h>

#include "base/must.h"

uint32_t limits_places(uint32_t total_max)
{
    must(total_max <= UINT32_MAX / 2);
    return total_max + total_max / 8 + LIMITS_RESERVE_MIN;
}

enum err limits_init(struct limits *l, uint32_t total_max, uint32_t client_max, uint32_t prefix_max, struct hash_key key)
{
    uint32_t places = limits_places(total_max);
    *l = (struct limits){.total_max = total_max, .client_max = client_max, .prefix_max = prefix_max, .places_max = places};
    l->refused_max = (places - total_max) / 2;
    return counts_init(&l->counts, 2 * places, key);
}

void limits_fini(struct limits *l)
{
    counts_fini(&l->counts);
}

static struct net_prefix client_of(const struct net_address *a)
{
    return counts_prefix(a, a->family == NET_IPV4 ? 32 : 128);
}

static struct net_prefix prefix_of(const struct net_address *a)
{
    return counts_prefix(a, a->family == NET_IPV4 ? LIMITS_PREFIX_IPV4_BITS : LIMITS_PREFIX_IPV6_BITS);
}

/* exceeds - whether one more goes beyond a limit of a client or prefix; fills the judgement then. */
static bool exceeds(struct limits *l, const struct net_prefix *p, uint32_t max, enum limits_cause cause,
                    struct limits_judgement *j)
{
    struct count *count = counts_find(&l->counts, p);
    if (!count || count->value < max) {
        if (count && count->value < max / 2) count->told = false; /* half: at the limit itself it would be told again and again */
        return false;
    }
    j->cause = cause;
    j->count = count->value + 1;
    j->verdict = count->value / LIMITS_HARD_FACTOR >= max ? LIMITS_CLOSE : LIMITS_REFUSE;
    j->tell = !count->told;
    count->told = true;
    return true;
}

struct limits_judgement limits_judge(struct limits *l, const struct limits_question *q)
{
    struct limits_judgement j = {LIMITS_SERVE, LIMITS_NONE, 0, false};
    if (l->total >= l->places_max) return (struct limits_judgement){LIMITS_CLOSE, LIMITS_TOTAL, l->total + 1, true};
    if (q->trusted) return j;
    struct net_prefix client = client_of(&q->client), prefix = prefix_of(&q->client);
    if (l->total - l->refused >= l->total_max) j = (struct limits_judgement){LIMITS_REFUSE, LIMITS_TOTAL, l->total + 1, true};
    else if (q->listener_max > 0 && q->listener_count >= q->listener_max)
        j = (struct limits_judgement){LIMITS_REFUSE, LIMITS_LISTENER, q->listener_count + 1, true};
    else if (!exceeds(l, &client, l->client_max, LIMITS_CLIENT, &j)) (void)exceeds(l, &prefix, l->prefix_max, LIMITS_PREFIX, &j);
    if (j.verdict == LIMITS_REFUSE && l->refused >= l->refused_max) j.verdict = LIMITS_CLOSE;
    return j;
}

void limits_enter(struct limits *l, const struct net_address *client, bool trusted, bool refused)
{
    must(l->total < l->places_max);
    l->total++;
    l->refused += refused;
    if (trusted) return;
    struct net_prefix whole = client_of(client), prefix = prefix_of(client);
    counts_raise(&l->counts, &whole);
    counts_raise(&l->counts, &prefix);
}

void limits_leave(struct limits *l, const struct net_address *client, bool trusted, bool refused)
{
    must(l->total > 0 && (!refused || l->refused > 0));
    l->total--;
    l->refused -= refused;
    if (trusted) return;
    struct net_prefix whole = client_of(client), prefix = prefix_of(client);
    counts_lower(&l->counts, &whole);
    counts_lower(&l->counts, &prefix);
}
