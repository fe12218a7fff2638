/* grants - see grants.h. */
#include "mta/box/grants.h"

#include "base/must.h"

void grants_open(struct grants *g, uint8_t *memory, uint32_t *next_free, uint32_t high)
{
    *g = (struct grants){memory, next_free, GRANT_NONE, high < GRANTS_MAX ? high : (uint32_t)GRANTS_MAX};
    for (uint32_t i = g->high; i-- > 0;) {
        if (grant_at(g, i)->state != GRANT_FREE) continue;
        next_free[i] = g->first_free;
        g->first_free = i;
    }
}

uint32_t grant_give(struct grants *g, const struct box_identity *id, uint64_t attempt, struct message_id message, const uint32_t *rcpts, uint32_t count,
                    const struct net_address *remote, struct bytes host)
{
    uint32_t index = g->first_free;
    must(count <= BOX_RCPTS_MAX && host.len <= HOST_NAME_BYTES_MAX);
    if (index != GRANT_NONE) g->first_free = g->next_free[index];
    else if (g->high < GRANTS_MAX) index = g->high++;
    else return GRANT_NONE;
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
    g->next_free[index] = g->first_free;
    g->first_free = index;
}

bool grant_sound(const struct grant *e)
{
    if (e->state == GRANT_FREE || e->state >= GRANT_STATE_COUNT || e->message.v == 0) return false;
    if (e->rcpt_count == 0 || e->rcpt_count > BOX_RCPTS_MAX || e->host_len > HOST_NAME_BYTES_MAX) return false;
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        if (e->rcpts[i].rcpt >= RECIPIENTS_HARD_MAX || (i > 0 && e->rcpts[i].rcpt <= e->rcpts[i - 1].rcpt)) return false;
    }
    return true;
}
