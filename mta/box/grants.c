/* grants - see grants.h. */
#include "mta/box/grants.h"

#include "base/must.h"

static struct grants_free *size_of(struct grants *g, uint32_t index) { return index < GRANTS_MAX ? &g->small : &g->large; }

static void put_free(struct grants *g, uint32_t index)
{
    struct grants_free *f = size_of(g, index);
    g->next_free[index] = f->first_free;
    f->first_free = index;
}

/* take_free - a place of those that begin at number `from`. */
static uint32_t take_free(struct grants *g, uint32_t from)
{
    struct grants_free *f = size_of(g, from);
    uint32_t index = f->first_free;
    if (index != GRANT_NONE) f->first_free = g->next_free[index];
    else if (f->high < from + GRANTS_MAX) index = f->high++;
    return index;
}

void grants_open(struct grants *g, uint8_t *memory, uint32_t *next_free, uint32_t small, uint32_t large)
{
    uint32_t most = GRANTS_MAX;
    *g = (struct grants){.memory = memory, .next_free = next_free};
    g->small = (struct grants_free){GRANT_NONE, small < most ? small : most};
    g->large = (struct grants_free){GRANT_NONE, most + (large < most ? large : most)};
    for (uint32_t i = g->large.high; i-- > most;)
        if (grant_at(g, i)->state == GRANT_FREE) put_free(g, i);
    for (uint32_t i = g->small.high; i-- > 0;)
        if (grant_at(g, i)->state == GRANT_FREE) put_free(g, i);
}

uint32_t grants_next(const struct grants *g, uint32_t index)
{
    if (index < g->small.high) return index;
    if (index < GRANTS_MAX) index = GRANTS_MAX;
    return index < g->large.high ? index : (uint32_t)GRANT_NONE;
}

uint32_t grant_give(struct grants *g, const struct box_identity *id, uint64_t attempt, struct message_id message, const uint32_t *rcpts, uint32_t count,
                    const struct net_address *remote, struct bytes host)
{
    must(count <= BOX_RCPTS_MAX && host.len <= HOST_NAME_BYTES_MAX);
    uint32_t index = count <= GRANT_SMALL_RCPTS ? take_free(g, 0) : GRANT_NONE;
    if (index == GRANT_NONE) index = take_free(g, GRANTS_MAX);
    if (index == GRANT_NONE) return GRANT_NONE;
    struct grant *e = grant_at(g, index);
    e->identity = *id;
    e->attempt = attempt;
    e->message = message;
    e->remote = *remote;
    e->host_len = (uint16_t)host.len;
    if (host.len) memcpy(e->host, host.ptr, host.len);
    e->rcpt_count = count;
    for (uint32_t i = 0; i < count; i++) e->rcpts[i] = (struct grant_rcpt){.rcpt = rcpts[i]};
    box_fence();
    e->state = GRANT_GIVEN;
    return index;
}

void grant_result(struct grants *g, uint32_t index, uint32_t first, uint32_t count, uint16_t verdict)
{
    struct grant *e = grant_at(g, index);
    must(e->state != GRANT_FREE && first <= e->rcpt_count && count <= e->rcpt_count - first);
    for (uint32_t i = first; i < first + count; i++) e->rcpts[i].verdict = verdict;
}

void grant_known(struct grants *g, uint32_t index)
{
    box_fence();
    grant_at(g, index)->state = GRANT_KNOWN;
}

void grant_done(struct grants *g, uint32_t index)
{
    must(grant_at(g, index)->state != GRANT_FREE);
    grant_at(g, index)->state = GRANT_FREE;
    put_free(g, index);
}

bool grant_sound(const struct grants *g, uint32_t index)
{
    const struct grant *e = grant_at(g, index);
    if (e->state == GRANT_FREE || e->state >= GRANT_STATE_COUNT || e->message.v == 0) return false;
    if (e->rcpt_count == 0 || e->rcpt_count > grant_room(index) || e->host_len > HOST_NAME_BYTES_MAX) return false;
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        if (e->rcpts[i].rcpt >= RECIPIENTS_HARD_MAX || (i > 0 && e->rcpts[i].rcpt <= e->rcpts[i - 1].rcpt)) return false;
    }
    return true;
}
