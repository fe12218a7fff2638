/*
 * grants_fuzz - a grants file as a dying manager could leave it: the free places are exactly those that say so, what is called sound stays within its bounds,
 * and work goes on over what is there until every place is free again.
 */
#include <stddef.h>

#include "base/must.h"
#include "mta/box/grants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLACES = 6 };

static uint8_t memory[PLACES * GRANT_BYTES] __attribute__((aligned(64)));
static uint32_t next_free[PLACES];

/* fill - places from the input: a sound grant each, or none; then octets over them. */
static void fill(struct cursor *c)
{
    memset(memory, 0, sizeof memory);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct grant *e = (struct grant *)(void *)(memory + (size_t)i * GRANT_BYTES);
        e->state = (uint32_t)cursor_le(c, 1) % (GRANT_STATE_COUNT + 1);
        e->rcpt_count = (uint32_t)cursor_le(c, 1) * 3;
        e->message.v = cursor_le(c, 1);
        for (uint32_t k = 0, rcpt = 0; k < e->rcpt_count && k < BOX_RCPTS_MAX; k++, rcpt += 1 + k % 3) e->rcpts[k].rcpt = rcpt;
    }
    while (cursor_left(c) > 4) {
        uint32_t at = (uint32_t)cursor_le(c, 2) % sizeof memory, n = (uint32_t)cursor_le(c, 1) % 32;
        struct bytes octets = cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
        if (octets.len > 0 && octets.len <= sizeof memory - at) memcpy(memory + at, octets.ptr, octets.len);
    }
}

static void check_sound(const struct grant *e)
{
    must(e->state > GRANT_FREE && e->state < GRANT_STATE_COUNT && e->message.v != 0 && e->host_len <= sizeof e->host);
    must(e->rcpt_count > 0 && e->rcpt_count <= BOX_RCPTS_MAX);
    for (uint32_t i = 0; i < e->rcpt_count; i++) must(e->rcpts[i].rcpt < RECIPIENTS_HARD_MAX && (i == 0 || e->rcpts[i].rcpt > e->rcpts[i - 1].rcpt));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rcpts[] = {1, 4, 9};
    const struct box_identity id = {1, 2, 3};
    struct net_address remote = {0};
    struct grants g;
    uint32_t given = 0, used = 0;
    if (size < 2 || size > sizeof memory) return 0;
    struct cursor c = cursor_over(bytes_of(data, (uint32_t)size));
    fill(&c);
    for (uint32_t i = 0; i < PLACES; i++) used += ((struct grant *)(void *)(memory + (size_t)i * GRANT_BYTES))->state != GRANT_FREE;

    grants_open(&g, memory, next_free, PLACES);
    for (uint32_t i = 0; i < PLACES; i++)
        if (grant_sound(grant_at(&g, i))) check_sound(grant_at(&g, i));
    while (g.first_free != GRANT_NONE && given <= PLACES) {
        uint32_t index = grant_give(&g, &id, 5, (struct message_id){6}, rcpts, 3, &remote, BYTES("mx.example"));
        must(index < PLACES && grant_sound(grant_at(&g, index)));
        grant_result(&g, index, 1, 2, box_rcpt_pack(1, 250, false));
        grant_known(&g, index);
        must(grant_sound(grant_at(&g, index)));
        given++;
    }
    must(given + used == PLACES);
    for (uint32_t i = 0; i < PLACES; i++) grant_done(&g, i);
    for (uint32_t i = 0; i < PLACES; i++) must(!grant_sound(grant_at(&g, i)));
    return 0;
}
