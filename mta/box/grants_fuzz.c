/*
 * grants_fuzz - a grants file as a dying manager could leave it: the free places are exactly those that say so, what is called sound stays within its bounds,
 * and work goes on over what is there until every place is free again.
 */
#include <stddef.h>

#include "base/must.h"
#include "mta/box/grants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 6, LARGE = 2, PLACES = SMALL + LARGE, SCRIBBLED = SMALL * GRANT_SMALL_BYTES + LARGE * GRANT_LARGE_BYTES };

static uint8_t memory[GRANTS_LARGE_AT + (uint64_t)LARGE * GRANT_LARGE_BYTES] __attribute__((aligned(64))); /* its middle is never touched */
static uint32_t next_free[2 * GRANTS_MAX];

static uint32_t number(uint32_t place) { return place < SMALL ? place : GRANTS_MAX + (place - SMALL); }

/* octet - number `at` of those that places consist of. */
static uint8_t *octet(uint32_t at) { return at < SMALL * GRANT_SMALL_BYTES ? memory + at : memory + GRANTS_LARGE_AT + (at - SMALL * GRANT_SMALL_BYTES); }

/* fill - places from the input: a sound grant each, or none; then octets over them. */
static void fill(const struct grants *g, struct cursor *c)
{
    memset(memory, 0, (size_t)SMALL * GRANT_SMALL_BYTES);
    memset(memory + GRANTS_LARGE_AT, 0, (size_t)LARGE * GRANT_LARGE_BYTES);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct grant *e = grant_at(g, number(i));
        e->state = (uint32_t)cursor_le(c, 1) % (GRANT_STATE_COUNT + 1);
        e->rcpt_count = (uint32_t)cursor_le(c, 1) * (i < SMALL ? 1 : 3);
        e->message.v = cursor_le(c, 1);
        for (uint32_t k = 0, rcpt = 0; k < e->rcpt_count && k < grant_room(number(i)); k++, rcpt += 1 + k % 3) e->rcpts[k].rcpt = rcpt;
    }
    while (cursor_left(c) > 4) {
        uint32_t at = (uint32_t)cursor_le(c, 2) % SCRIBBLED, n = (uint32_t)cursor_le(c, 1) % 32;
        struct bytes octets = cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
        for (uint32_t i = 0; i < octets.len && at + i < SCRIBBLED; i++) *octet(at + i) = octets.ptr[i];
    }
}

static void check_sound(const struct grant *e, uint32_t room)
{
    must(e->state > GRANT_FREE && e->state < GRANT_STATE_COUNT && e->message.v != 0 && e->host_len <= sizeof e->host);
    must(e->rcpt_count > 0 && e->rcpt_count <= room);
    for (uint32_t i = 0; i < e->rcpt_count; i++) must(e->rcpts[i].rcpt < RECIPIENTS_HARD_MAX && (i == 0 || e->rcpts[i].rcpt > e->rcpts[i - 1].rcpt));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint32_t few[3] = {1, 4, 9}, many[BOX_RCPTS_MAX];
    const struct box_identity id = {1, 2, 3};
    struct net_address remote = {0};
    struct grants g = {.memory = memory};
    uint32_t given = 0, used = 0, seen = 0;
    if (size < 2 || size > SCRIBBLED) return 0;
    struct cursor c = cursor_over(bytes_of(data, (uint32_t)size));
    for (uint32_t i = 0; i < BOX_RCPTS_MAX; i++) many[i] = i;
    fill(&g, &c);
    for (uint32_t i = 0; i < PLACES; i++) used += grant_at(&g, number(i))->state != GRANT_FREE;

    grants_open(&g, memory, next_free, SMALL, LARGE);
    for (uint32_t i = grants_next(&g, 0); i != GRANT_NONE; i = grants_next(&g, i + 1), seen++)
        if (grant_sound(&g, i)) check_sound(grant_at(&g, i), grant_room(i));
    must(seen == PLACES);
    while ((g.small.first_free != GRANT_NONE || g.large.first_free != GRANT_NONE) && given <= PLACES) {
        bool small = g.small.first_free != GRANT_NONE;
        uint32_t count = small ? 3 : BOX_RCPTS_MAX;
        uint32_t index = grant_give(&g, &id, 5, (struct message_id){6}, small ? few : many, count, &remote, BYTES("mx.example"));
        must(small ? index < SMALL : index >= GRANTS_MAX && index < GRANTS_MAX + LARGE);
        grant_result(&g, index, 1, 2, box_rcpt_pack(1, 250, false));
        grant_known(&g, index);
        must(grant_sound(&g, index));
        given++;
    }
    must(given + used == PLACES);
    for (uint32_t i = 0; i < PLACES; i++) grant_done(&g, number(i));
    for (uint32_t i = 0; i < PLACES; i++) must(!grant_sound(&g, number(i)));
    return 0;
}
