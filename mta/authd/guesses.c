/*
 * guesses - see guesses.h.
 */
#include "mta/authd/guesses.h"

#include <stdlib.h>

enum { WAYS = 4, LOGIN_BYTES_MAX = 256 };

enum err guesses_init(struct guesses *g, struct hash_key key)
{
    *g = (struct guesses){.key = key, .table = calloc(GUESSES_PLACES, sizeof *g->table), .spent = calloc(GUESSES_PLACES, sizeof *g->spent)};
    return g->table && g->spent ? ERR_NONE : ERR_NO_MEMORY;
}

void guesses_fini(struct guesses *g)
{
    free(g->table);
    free(g->spent);
    *g = (struct guesses){0};
}

/* ---- keys ---- */

/* key_of_client - an address, or of IPv6 its /64, which one customer has. */
static uint64_t key_of_client(const struct guesses *g, const struct net_address *client)
{
    uint64_t key = hash_bytes(g->key, bytes_of(client->ip, client->family == NET_IPV6 ? 8 : 4));
    return key | 1;
}

static uint64_t key_of_login(const struct guesses *g, struct bytes login)
{
    uint8_t memory[LOGIN_BYTES_MAX];
    struct buf lower = BUF_OVER(memory);
    buf_put_c(&lower, 'l'); /* no login is hashed as an address is */
    for (uint32_t i = 0; i < login.len && i + 1 < sizeof memory; i++) buf_put_c(&lower, ascii_lower(login.ptr[i]));
    return hash_bytes(g->key, buf_bytes(&lower)) | 1;
}

static struct guess *find(const struct guesses *g, uint64_t key, uint64_t now_ms)
{
    struct guess *set = &g->table[key / 2 % (GUESSES_PLACES / WAYS) * WAYS], *oldest = set;
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) return &set[i];
        if (set[i].seen_ms < oldest->seen_ms) oldest = &set[i];
    }
    *oldest = (struct guess){.key = key, .seen_ms = now_ms};
    return oldest;
}

/* forget - failures fade with time. */
static void forget(struct guess *one, uint64_t now_ms)
{
    uint64_t halves = now_ms > one->seen_ms ? (now_ms - one->seen_ms) / GUESSES_HALF_MS : 0;
    one->failures = halves >= 32 ? 0 : one->failures >> halves;
    if (halves > 0) one->seen_ms = now_ms;
}

/* pause_after - what a failure beyond the free ones costs. */
static uint64_t pause_after(uint32_t failures, uint32_t free_ones, uint64_t most_ms)
{
    if (failures < free_ones) return 0;
    uint32_t doublings = failures - free_ones;
    uint64_t ms = doublings >= 16 ? most_ms : (uint64_t)GUESSES_PAUSE_MS << doublings;
    return ms < most_ms ? ms : most_ms;
}

static uint64_t wait_for(struct guess *one, uint32_t free_ones, uint64_t most_ms, uint64_t now_ms)
{
    forget(one, now_ms);
    if (pause_after(one->failures, free_ones, most_ms) == 0) return 0;
    return one->next_ms > now_ms ? one->next_ms - now_ms : 0;
}

/* claim - the next try comes behind this one. */
static void claim(struct guess *one, uint32_t free_ones, uint64_t most_ms, uint64_t at_ms)
{
    one->next_ms = at_ms + pause_after(one->failures, free_ones, most_ms);
}

uint64_t guesses_wait(struct guesses *g, const struct net_address *client, struct bytes login, uint64_t now_ms)
{
    struct guess *from = find(g, key_of_client(g, client), now_ms), *at = login.len ? find(g, key_of_login(g, login), now_ms) : NULL;
    uint64_t wait = wait_for(from, GUESSES_FREE_CLIENT, GUESSES_PAUSE_CLIENT_MAX_MS, now_ms);
    uint64_t other = at ? wait_for(at, GUESSES_FREE_LOGIN, GUESSES_PAUSE_LOGIN_MAX_MS, now_ms) : 0;
    if (other > wait) wait = other;
    if (wait > GUESSES_WAIT_MAX_MS) return wait;
    claim(from, GUESSES_FREE_CLIENT, GUESSES_PAUSE_CLIENT_MAX_MS, now_ms + wait);
    if (at) claim(at, GUESSES_FREE_LOGIN, GUESSES_PAUSE_LOGIN_MAX_MS, now_ms + wait);
    return wait;
}

static void note(struct guess *one, bool good, uint32_t free_ones, uint64_t most_ms, uint64_t now_ms)
{
    forget(one, now_ms);
    one->seen_ms = now_ms;
    if (good) one->failures /= 2;
    else if (one->failures < UINT32_MAX) one->failures++;
    uint64_t next = now_ms + pause_after(one->failures, free_ones, most_ms);
    if (!good && next > one->next_ms) one->next_ms = next;
}

void guesses_note(struct guesses *g, const struct net_address *client, struct bytes login, bool good, uint64_t now_ms)
{
    note(find(g, key_of_client(g, client), now_ms), good, GUESSES_FREE_CLIENT, GUESSES_PAUSE_CLIENT_MAX_MS, now_ms);
    if (login.len) note(find(g, key_of_login(g, login), now_ms), good, GUESSES_FREE_LOGIN, GUESSES_PAUSE_LOGIN_MAX_MS, now_ms);
}

/* ---- what logins send ---- */

static struct spent *spent_of(const struct guesses *g, uint64_t key, uint64_t now_ms)
{
    struct spent *set = &g->spent[key / 2 % (GUESSES_PLACES / WAYS) * WAYS], *oldest = set;
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) return &set[i];
        if (set[i].seen_ms < oldest->seen_ms) oldest = &set[i];
    }
    *oldest = (struct spent){.key = key, .window_ms = now_ms};
    return oldest;
}

static void turn_window(struct spent *s, uint64_t now_ms)
{
    uint64_t passed = (now_ms - s->window_ms) / SPENT_WINDOW_MS;
    if (passed == 0) return;
    s->messages[1] = passed == 1 ? s->messages[0] : 0;
    s->rcpts[1] = passed == 1 ? s->rcpts[0] : 0;
    s->messages[0] = s->rcpts[0] = 0;
    s->window_ms += passed * SPENT_WINDOW_MS;
    s->told = false;
}

/* within - the last hour, with the window before this one taken in the part that it still covers. */
static uint64_t within(const uint32_t counts[2], uint64_t into_ms)
{
    return counts[0] + (uint64_t)counts[1] * (SPENT_WINDOW_MS - into_ms) / SPENT_WINDOW_MS;
}

bool spend(struct guesses *g, struct bytes login, const struct spending *what, uint64_t now_ms, bool *tell, uint64_t *wait_ms)
{
    struct spent *s = spent_of(g, key_of_login(g, login), now_ms);
    *tell = false;
    *wait_ms = 0;
    s->seen_ms = now_ms;
    turn_window(s, now_ms);
    uint64_t into = now_ms - s->window_ms;
    bool over = (what->messages_max > 0 && what->messages > 0 && within(s->messages, into) + what->messages > what->messages_max) ||
                (what->rcpts_max > 0 && what->rcpts > 0 && within(s->rcpts, into) + what->rcpts > what->rcpts_max);
    if (over) {
        *tell = !s->told;
        s->told = true;
        *wait_ms = SPENT_WINDOW_MS - into;
        return false;
    }
    s->messages[0] += what->messages;
    s->rcpts[0] += what->rcpts;
    return true;
}
