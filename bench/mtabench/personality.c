/*
 * personality - see personality.h.
 */
#include "bench/mtabench/personality.h"

#include <stdlib.h>

#include "base/hash.h"
#include "bench/mtabench/values.h"

enum { GREYLIST_FIRST_CAP = 1024, CODE_GREYLISTED = 450, CODE_TOO_FAST = 450 };

static const uint64_t ns_per_s = UINT64_C(1000000000);

/* "450", "4xx", "5XX": the code to refuse with. */
static bool parse_code(struct bytes text, uint16_t *code)
{
    uint64_t number;
    if (bytes_equal_nocase(text, BYTES("4xx"))) return *code = 450, true;
    if (bytes_equal_nocase(text, BYTES("5xx"))) return *code = 550, true;
    if (text.len != 3 || !bytes_to_u64(text, &number) || number < 400 || number > 599) return false;
    *code = (uint16_t)number;
    return true;
}

/* The time of a kind that has one, or the usual. */
static bool parse_time(struct bytes value, bool given, uint64_t usual_ns, uint64_t *ns)
{
    *ns = usual_ns;
    return !given || (value_ns(value, ns) && *ns > 0);
}

static bool parse_kind(struct bytes text, struct personality *one)
{
    static const struct bytes late = BYTES_INIT("-data");
    uint32_t equals = bytes_find(text, '=');
    bool given = equals < text.len;
    struct bytes kind = bytes_slice(text, 0, equals), value = bytes_from(text, equals + 1);
    one->at_data = bytes_ends_nocase(kind, late);
    if (one->at_data) kind.len -= late.len;
    if (!given && parse_code(kind, &one->code)) return one->kind = PERSONALITY_REFUSE, true;
    if (!given && bytes_equal_nocase(kind, BYTES("disconnect"))) return one->kind = PERSONALITY_DISCONNECT, true;
    if (one->at_data) return false;
    if (!given && bytes_equal_nocase(kind, BYTES("fast"))) return one->kind = PERSONALITY_FAST, true;
    if (given && bytes_equal_nocase(kind, BYTES("slow"))) return one->kind = PERSONALITY_SLOW, parse_time(value, given, 0, &one->ns);
    if (bytes_equal_nocase(kind, BYTES("tarpit"))) return one->kind = PERSONALITY_TARPIT, parse_time(value, given, 10 * ns_per_s, &one->ns);
    if (bytes_equal_nocase(kind, BYTES("greylist"))) return one->kind = PERSONALITY_GREYLIST, parse_time(value, given, 60 * ns_per_s, &one->ns);
    if (given && bytes_equal_nocase(kind, BYTES("ratelimit"))) return one->kind = PERSONALITY_RATELIMIT, value_rate(value, &one->ns);
    return false;
}

static bool parse_whom(struct bytes text, struct personality *one)
{
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') return net_parse_ip(bytes_slice(text, 1, text.len - 2), &one->own);
    one->pattern = text;
    uint32_t star = bytes_find(text, '*');
    return text.len > 0 && bytes_find(bytes_from(text, star + 1), '*') == bytes_from(text, star + 1).len;
}

bool personality_parse(struct personalities *p, struct bytes text)
{
    struct personality one = {0};
    uint32_t equals = bytes_find(text, '=');
    if (p->count == PERSONALITIES_MAX || equals == text.len) return false;
    if (!parse_whom(bytes_slice(text, 0, equals), &one) || !parse_kind(bytes_from(text, equals + 1), &one)) return false;
    p->by_address = p->by_address || one.own.family != NET_NONE;
    p->by_domain = p->by_domain || one.own.family == NET_NONE;
    p->list[p->count++] = one;
    return true;
}

void personalities_fini(struct personalities *p)
{
    free(p->greylist.keys);
    free(p->greylist.first_ns);
    *p = (struct personalities){0};
}

static bool fits(struct bytes pattern, struct bytes domain)
{
    uint32_t star = bytes_find(pattern, '*');
    if (star == pattern.len) return bytes_equal_nocase(pattern, domain);
    struct bytes tail = bytes_from(pattern, star + 1);
    return domain.len >= star + tail.len && bytes_starts_nocase(domain, bytes_slice(pattern, 0, star)) && bytes_ends_nocase(domain, tail);
}

struct personality *personality_for_domain(struct personalities *p, struct bytes domain)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->list[i].own.family == NET_NONE && fits(p->list[i].pattern, domain)) return &p->list[i];
    }
    return NULL;
}

struct personality *personality_for_address(struct personalities *p, const struct net_address *own)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->list[i].own.family != NET_NONE && net_same_ip(&p->list[i].own, own)) return &p->list[i];
    }
    return NULL;
}

/* ---- greylist ---- */

static uint64_t place_of(const struct greylist *g, uint64_t key)
{
    uint64_t at = hash_mix(key) & (g->cap - 1);
    while (g->keys[at] != 0 && g->keys[at] != key) at = (at + 1) & (g->cap - 1);
    return at;
}

static bool grow(struct greylist *g)
{
    struct greylist wider = {.cap = g->cap ? 2 * g->cap : GREYLIST_FIRST_CAP};
    wider.keys = calloc(wider.cap, sizeof *wider.keys);
    wider.first_ns = calloc(wider.cap, sizeof *wider.first_ns);
    if (!wider.keys || !wider.first_ns) {
        free(wider.keys);
        free(wider.first_ns);
        return false;
    }
    for (uint64_t i = 0; i < g->cap; i++) {
        if (g->keys[i] == 0) continue;
        uint64_t at = place_of(&wider, g->keys[i]);
        wider.keys[at] = g->keys[i];
        wider.first_ns[at] = g->first_ns[i];
    }
    wider.count = g->count;
    free(g->keys);
    free(g->first_ns);
    *g = wider;
    return true;
}

/* Whether a pair has waited long enough. Without memory to remember it, it has. */
static bool has_waited(struct greylist *g, uint64_t pair, uint64_t wait_ns, uint64_t now_ns)
{
    uint64_t key = pair | 1;
    if (2 * (g->count + 1) > g->cap && !grow(g)) return true;
    uint64_t at = place_of(g, key);
    if (g->keys[at] == key) return now_ns - g->first_ns[at] >= wait_ns;
    g->keys[at] = key;
    g->first_ns[at] = now_ns;
    g->count++;
    return false;
}

static bool is_too_fast(struct personality *one, uint64_t now_ns)
{
    uint64_t earliest = now_ns > ns_per_s ? now_ns - ns_per_s : 0;
    if (one->next_ns < earliest) one->next_ns = earliest;
    if (one->next_ns > now_ns) return true;
    one->next_ns += one->ns;
    return false;
}

uint16_t personality_refusal(struct personalities *p, struct personality *one, uint64_t pair, uint64_t now_ns)
{
    switch (one->kind) {
    case PERSONALITY_REFUSE: return one->at_data ? 0 : one->code;
    case PERSONALITY_GREYLIST: return has_waited(&p->greylist, pair, one->ns, now_ns) ? 0 : CODE_GREYLISTED;
    case PERSONALITY_RATELIMIT: return is_too_fast(one, now_ns) ? CODE_TOO_FAST : 0;
    default: return 0;
    }
}
