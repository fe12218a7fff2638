/*
 * ids - 41 bits of milliseconds since 2020, 10 of node, 13 of counter, most significant first.
 */
#include "queue/ids.h"

#include "base/must.h"

enum { COUNTER_BITS = 13, NODE_BITS = 10, COUNTER_MASK = (1 << COUNTER_BITS) - 1 };
static const int64_t epoch_2020_ms = 1577836800000;

static struct message_id compose(uint64_t ms, uint32_t node, uint32_t counter)
{
    return (struct message_id){ms << (NODE_BITS + COUNTER_BITS) | (uint64_t)node << COUNTER_BITS | counter};
}

struct message_id ids_next(struct ids *ids, int64_t now_wall_us)
{
    must(ids->node <= IDS_NODE_MAX);
    int64_t since = now_wall_us / 1000 - epoch_2020_ms;
    uint64_t now_ms = since > 0 ? (uint64_t)since : 1;
    uint64_t last_ms = ids->last >> (NODE_BITS + COUNTER_BITS);
    struct message_id id = compose(now_ms, ids->node, 0);
    if (now_ms <= last_ms) {
        uint32_t counter = (uint32_t)(ids->last & COUNTER_MASK) + 1;
        /* A full counter, or an id of another node in the same millisecond, borrows from the next one. */
        id = counter > COUNTER_MASK ? compose(last_ms + 1, ids->node, 0) : compose(last_ms, ids->node, counter);
        if (id.v <= ids->last) id = compose(last_ms + 1, ids->node, 0);
    }
    must(id.v > ids->last);
    ids->last = id.v;
    return id;
}

void ids_seen(struct ids *ids, struct message_id id)
{
    if (id.v > ids->last) ids->last = id.v;
}

int64_t ids_wall_us(struct message_id id)
{
    return ((int64_t)(id.v >> (NODE_BITS + COUNTER_BITS)) + epoch_2020_ms) * 1000;
}
