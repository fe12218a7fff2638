/*
 * rates - see rates.h.
 */
#include "mta/acceptor/rates.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "mta/acceptor/limits.h"

struct rate {
    struct net_prefix who;        /* address family 0 = free */
    uint32_t minute;              /* of `now`, since the process's clock began; 0 = free */
    uint32_t told;                /* the log has it for this one; a bit a kind */
    uint32_t now[RATES_KINDS], before[RATES_KINDS]; /* saturate */
};

enum { RATES_ROWS = RATES_PLACES / RATES_WAYS };
static_assert((RATES_ROWS & (RATES_ROWS - 1)) == 0, "a row is found by a mask");

enum err rates_init(struct rates *r, const uint32_t max[RATES_KINDS][RATES_OFS], struct hash_key key)
{
    bool any = false;
    *r = (struct rates){.key = key};
    memcpy(r->max, max, sizeof r->max);
    for (int kind = 0; kind < RATES_KINDS; kind++) {
        r->counts[kind] = max[kind][RATES_CLIENT] > 0 || max[kind][RATES_PREFIX] > 0;
        any = any || r->counts[kind];
    }
    if (!any) return ERR_NONE;
    r->table = calloc(RATES_PLACES, sizeof *r->table);
    return r->table ? ERR_NONE : ERR_NO_MEMORY;
}

void rates_fini(struct rates *r)
{
    free(r->table);
    memset(r, 0, sizeof *r);
}

static uint32_t minute_of(uint64_t now_ms)
{
    return (uint32_t)(now_ms / RATES_MINUTE_MS) + 1;
}

static struct rate *row_of(struct rates *r, const struct net_prefix *p)
{
    uint8_t octets[18] = {p->address.family, p->bits};
    memcpy(octets + 2, p->address.ip, sizeof p->address.ip);
    return &r->table[((uint32_t)hash_bytes(r->key, bytes_of(octets, sizeof octets)) & (RATES_ROWS - 1)) * RATES_WAYS];
}

/* roll - bring an entry up to this minute. */
static void roll(struct rate *e, uint32_t minute)
{
    if (e->minute == minute) return;
    if (e->minute + 1 == minute) memcpy(e->before, e->now, sizeof e->before);
    else memset(e->before, 0, sizeof e->before);
    memset(e->now, 0, sizeof e->now);
    e->told = 0;
    e->minute = minute;
}

/* entry_of - the entry of a prefix, made when there is none. */
static struct rate *entry_of(struct rates *r, const struct net_prefix *p, uint32_t minute)
{
    struct rate *row = row_of(r, p), *oldest = row;
    for (int i = 0; i < RATES_WAYS; i++) {
        if (row[i].who.bits == p->bits && net_same_ip(&row[i].who.address, &p->address)) {
            roll(&row[i], minute);
            return &row[i];
        }
        if (row[i].minute < oldest->minute) oldest = &row[i];
    }
    *oldest = (struct rate){.who = *p, .minute = minute};
    return oldest;
}

static uint32_t value_of(const struct rate *e, enum rates_kind kind, uint64_t now_ms)
{
    uint64_t left = RATES_MINUTE_MS - now_ms % RATES_MINUTE_MS;
    uint64_t value = e->now[kind] + (uint64_t)e->before[kind] * left / RATES_MINUTE_MS;
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static struct net_prefix prefix_of(const struct net_address *client, int of)
{
    uint8_t whole = client->family == NET_IPV4 ? 32 : 128;
    uint8_t network = client->family == NET_IPV4 ? LIMITS_PREFIX_IPV4_BITS : LIMITS_PREFIX_IPV6_BITS;
    return counts_prefix(client, of == RATES_CLIENT ? whole : network);
}

void rates_add(struct rates *r, enum rates_kind kind, const struct net_address *client, uint32_t n, uint64_t now_ms)
{
    if (!r->counts[kind]) return;
    for (int of = 0; of < RATES_OFS; of++) {
        if (r->max[kind][of] == 0) continue;
        struct net_prefix p = prefix_of(client, of);
        struct rate *e = entry_of(r, &p, minute_of(now_ms));
        e->now[kind] = e->now[kind] > UINT32_MAX - n ? UINT32_MAX : e->now[kind] + n;
    }
}

/* judge - whether `more` of them would be too many. */
static struct rates_judgement judge(struct rates *r, enum rates_kind kind, const struct net_address *client, uint32_t more, uint64_t now_ms)
{
    struct rates_judgement j = {0};
    for (int of = 0; r->counts[kind] && of < RATES_OFS && !j.over; of++) {
        if (r->max[kind][of] == 0) continue;
        struct net_prefix p = prefix_of(client, of);
        struct rate *e = entry_of(r, &p, minute_of(now_ms));
        uint32_t value = value_of(e, kind, now_ms);
        if ((uint64_t)value + more <= r->max[kind][of]) continue;
        j = (struct rates_judgement){true, (enum rates_of)of, value + more, (e->told >> kind & 1) == 0};
        e->told |= 1u << kind;
    }
    return j;
}

struct rates_judgement rates_look(struct rates *r, enum rates_kind kind, const struct net_address *client, uint64_t now_ms)
{
    return judge(r, kind, client, 0, now_ms);
}

struct rates_judgement rates_take(struct rates *r, enum rates_kind kind, const struct net_address *client, uint64_t now_ms)
{
    struct rates_judgement j = judge(r, kind, client, 1, now_ms);
    if (!j.over) rates_add(r, kind, client, 1, now_ms);
    return j;
}
