/*
 * memory - see memory.h.
 */
#include "mta/greylist/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum { GREY_ROWS = GREY_PLACES / GREY_WAYS, DAY_S = 86400 };
static_assert((GREY_ROWS & (GREY_ROWS - 1)) == 0, "a row is found by a mask");

enum err greys_init(struct greys *g)
{
    *g = (struct greys){.table = calloc(GREY_PLACES, sizeof *g->table)};
    return g->table ? ERR_NONE : ERR_NO_MEMORY;
}

void greys_fini(struct greys *g)
{
    free(g->table);
    memset(g, 0, sizeof *g);
}

static struct grey *row_of(const struct greys *g, uint64_t hash)
{
    return &g->table[(uint32_t)(hash & (GREY_ROWS - 1)) * GREY_WAYS];
}

struct grey *greys_find(const struct greys *g, uint64_t hash)
{
    struct grey *row = row_of(g, hash);
    for (int i = 0; i < GREY_WAYS; i++) {
        if (row[i].hash == hash) return &row[i];
    }
    return NULL;
}

void greys_put(struct greys *g, const struct grey *entry)
{
    struct grey *place = greys_find(g, entry->hash), *row = row_of(g, entry->hash);
    must(entry->hash != 0);
    if (!place) {
        place = row; /* a free one was never used, and is the oldest */
        for (int i = 1; i < GREY_WAYS; i++) {
            if (row[i].last_s < place->last_s) place = &row[i];
        }
        if (place->hash == 0) g->used++;
    }
    *place = *entry;
}

bool greys_is_old(const struct grey *e, uint32_t now_s, const struct grey_times *times)
{
    uint32_t quiet = now_s > e->last_s ? now_s - e->last_s : 0; /* a clock that was set back makes nothing old */
    return quiet > (e->passes > 0 ? times->keep_s : times->window_s);
}

static uint32_t one_more(uint32_t n)
{
    return n < UINT32_MAX ? n + 1 : n;
}

static bool client_is_proved(const struct grey *c, uint32_t now_s, const struct grey_times *times)
{
    return c && times->clients > 0 && c->passes >= times->clients && !greys_is_old(c, now_s, times);
}

/* pass - let through; the entry is written down when that says something new, or once a day. */
static void pass(struct greys *g, struct grey *e, uint32_t now_s, struct grey *changed)
{
    bool news = e->passes == 0 || now_s - e->last_s > DAY_S;
    e->passes = one_more(e->passes);
    e->last_s = now_s;
    greys_put(g, e);
    if (news) *changed = *e;
}

struct grey_verdict greys_judge(struct greys *g, uint64_t client, uint64_t triplet, uint32_t now_s, const struct grey_times *times, bool peek)
{
    struct grey_verdict v = {0};
    struct grey *c = greys_find(g, client), *t = greys_find(g, triplet), entry;
    v.known_client = client_is_proved(c, now_s, times);
    if (v.known_client) {
        v.pass = true;
        entry = *c;
        if (!peek && now_s - entry.last_s > DAY_S) pass(g, &entry, now_s, &v.changed[1]);
        return v;
    }
    bool known = t && !greys_is_old(t, now_s, times) && now_s >= t->first_s;
    uint32_t waited = known ? now_s - t->first_s : 0;
    entry = known ? *t : (struct grey){triplet, now_s, now_s, 0};
    v.pass = known && (t->passes > 0 || waited >= times->delay_s);
    v.wait_s = v.pass ? 0 : times->delay_s - waited;
    if (peek) return v;
    if (!v.pass) {
        if (known) return v; /* it came too early: the first attempt counts */
        greys_put(g, &entry);
        v.changed[0] = entry;
        return v;
    }
    bool proves = entry.passes == 0 && times->clients > 0;
    pass(g, &entry, now_s, &v.changed[0]);
    if (!proves) return v;
    c = greys_find(g, client); /* the table may have moved things */
    entry = c && !greys_is_old(c, now_s, times) ? *c : (struct grey){client, now_s, now_s, 0};
    entry.passes = one_more(entry.passes);
    entry.last_s = now_s;
    greys_put(g, &entry);
    v.changed[1] = entry;
    return v;
}
