/* apart - see apart.h. */
#include "mta/acceptor/apart.h"

#include <stddef.h>

#include "mta/acceptor/limits.h"

static struct net_prefix name_of(const struct net_address *client)
{
    return counts_prefix(client, client->family == NET_IPV4 ? 32 : LIMITS_PREFIX_IPV6_BITS);
}

static struct apart_client *find(struct aparts *a, const struct net_prefix *who)
{
    for (uint32_t i = 0; a->count && i < APART_MAX; i++)
        if (a->clients[i].who.address.family && net_same_ip(&a->clients[i].who.address, &who->address)) return &a->clients[i];
    return NULL;
}

static void forget(struct aparts *a, struct apart_client *c)
{
    a->count -= c->who.address.family != NET_NONE;
    *c = (struct apart_client){0};
}

void apart_set(struct aparts *a, const struct net_address *client, uint64_t end_ms, uint64_t pause_ms)
{
    struct net_prefix who = name_of(client);
    struct apart_client *c = find(a, &who);
    if (!end_ms) {
        if (c) forget(a, c);
        return;
    }
    if (!c) {
        c = a->clients; /* a free one has the end 0 */
        for (uint32_t i = 1; i < APART_MAX; i++)
            if (a->clients[i].end_ms < c->end_ms) c = &a->clients[i];
        forget(a, c);
        a->count++;
    }
    *c = (struct apart_client){.who = who, .end_ms = end_ms, .pause_ms = pause_ms};
}

struct apart_client *apart_find(struct aparts *a, const struct net_address *client, uint64_t now_ms)
{
    if (!a->count) return NULL;
    struct net_prefix who = name_of(client);
    struct apart_client *c = find(a, &who);
    if (!c || c->end_ms > now_ms) return c;
    forget(a, c);
    return NULL;
}
