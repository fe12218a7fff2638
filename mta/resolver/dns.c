/* dns - a bounded parser of DNS answers. Every length is checked before the octets behind it are looked at. */
#include <stddef.h>
#include <string.h>

#include "mta/resolver/dns.h"

enum { HEADER_BYTES = 12, LABEL_BYTES_MAX = 63, ANSWERS_MAX = 65535 / 11 /* a record is no shorter */, CLASS_IN = 1, FLAG_TRUNCATED = 0x0200 };

struct packet { struct bytes all; uint32_t at; };

static bool take_u16(struct packet *p, uint16_t *out)
{
    if (p->all.len - p->at < 2) return false;
    *out = (uint16_t)(p->all.ptr[p->at] << 8 | p->all.ptr[p->at + 1]);
    p->at += 2;
    return true;
}

static bool take_u32(struct packet *p, uint32_t *out)
{
    uint16_t high, low;
    if (!take_u16(p, &high) || !take_u16(p, &low)) return false;
    *out = (uint32_t)high << 16 | low;
    return true;
}

/* put_label - append one label in lower case; false when the name gets too long. */
static bool put_label(struct dns_name *name, const uint8_t *label, uint8_t n)
{
    if ((uint32_t)name->len + n + (name->len ? 1u : 0u) > DNS_NAME_BYTES_MAX) return false;
    if (name->len) name->text[name->len++] = '.';
    for (uint8_t i = 0; i < n; i++) {
        uint8_t c = ascii_lower(label[i]);
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_') name->is_host = false;
        name->text[name->len++] = c;
    }
    return true;
}

/* take_name - a possibly compressed name. A pointer must point before the place it stands at, so that every jump goes back and the walk ends. */
static bool take_name(struct packet *p, struct dns_name *name)
{
    uint32_t at = p->at, lowest = p->at;
    bool jumped = false;
    name->len = 0;
    name->is_host = true;
    for (;;) {
        if (at >= p->all.len) return false;
        uint8_t n = p->all.ptr[at];
        if (n >= 0xc0) {
            if (p->all.len - at < 2) return false;
            uint32_t target = (uint32_t)(n & 0x3f) << 8 | p->all.ptr[at + 1];
            if (!jumped) p->at = at + 2;
            jumped = true;
            if (target >= lowest || target < HEADER_BYTES) return false;
            at = lowest = target;
            continue;
        }
        if (n > LABEL_BYTES_MAX || p->all.len - at - 1 < n) return false;
        if (n == 0) break;
        if (!put_label(name, p->all.ptr + at + 1, n)) return false;
        at += 1u + n;
    }
    if (!jumped) p->at = at + 1;
    return true;
}

static bool same(const struct dns_name *a, const struct dns_name *b) { return a->len == b->len && memcmp(a->text, b->text, a->len) == 0; }

struct rr { struct dns_name owner; uint16_t type, class, data_bytes; uint32_t ttl, data_at; };

static bool take_rr(struct packet *p, struct rr *r)
{
    if (!take_name(p, &r->owner) || !take_u16(p, &r->type) || !take_u16(p, &r->class) || !take_u32(p, &r->ttl) || !take_u16(p, &r->data_bytes)) return false;
    if (p->all.len - p->at < r->data_bytes) return false;
    r->data_at = p->at;
    p->at += r->data_bytes;
    return true;
}

/* name_in - a name that is a record's data from `from` on, and must end where the data ends. */
static bool name_in(const struct packet *p, const struct rr *r, uint32_t from, struct dns_name *name)
{
    struct packet inside = {p->all, r->data_at + from};
    return take_name(&inside, name) && inside.at == r->data_at + r->data_bytes;
}

static bool keep(const struct packet *p, const struct rr *r, struct dns_record *out)
{
    const uint8_t *data = p->all.ptr + r->data_at;
    memset(out, 0, offsetof(struct dns_record, name));
    switch (r->type) {
    case DNS_A:
        if (r->data_bytes != 4) return false;
        out->address.family = NET_IPV4;
        memcpy(out->address.ip, data, 4);
        return true;
    case DNS_AAAA:
        if (r->data_bytes != 16) return false;
        out->address.family = NET_IPV6;
        memcpy(out->address.ip, data, 16);
        return true;
    case DNS_TLSA:
        out->data = bytes_of(data, r->data_bytes);
        return true;
    case DNS_PTR: return name_in(p, r, 0, &out->name);
    case DNS_MX:
        if (r->data_bytes < 3) return false;
        out->preference = (uint16_t)(data[0] << 8 | data[1]);
        return name_in(p, r, 2, &out->name);
    default: return false;
    }
}

/* worst - the record that a list with room for no more can best do without. */
static struct dns_record *worst(struct dns_result *list)
{
    struct dns_record *found = &list->records[0];
    for (uint32_t i = 1; i < list->count; i++)
        if (list->records[i].preference > found->preference) found = &list->records[i];
    return found;
}

/* follow - one pass over the answers: the alias of `name`, when there is one. */
static bool follow(const struct packet *start, uint16_t answers, struct dns_name *name, uint32_t *ttl, bool *moved)
{
    struct packet p = *start;
    struct rr r;
    *moved = false;
    for (uint16_t i = 0; i < answers; i++) {
        if (!take_rr(&p, &r)) return false;
        if (*moved || r.type != DNS_CNAME || r.class != CLASS_IN || !same(&r.owner, name)) continue;
        if (!name_in(&p, &r, 0, name)) return false;
        if (r.ttl < *ttl) *ttl = r.ttl;
        *moved = true;
    }
    return true;
}

bool dns_parse(struct bytes packet, enum dns_type type, struct dns_result *out)
{
    struct packet p = {packet, 0};
    uint16_t id, flags, questions, answers, rest;
    struct dns_name name;
    if (!take_u16(&p, &id) || !take_u16(&p, &flags) || !take_u16(&p, &questions) || !take_u16(&p, &answers) || !take_u16(&p, &rest) ||
        !take_u16(&p, &rest) || questions != 1 || answers > ANSWERS_MAX)
        return false;
    uint16_t asked_type, asked_class;
    if (!take_name(&p, &name) || !take_u16(&p, &asked_type) || !take_u16(&p, &asked_class) || asked_type != type || asked_class != CLASS_IN) return false;
    if (flags & FLAG_TRUNCATED) return false; /* what is missing may be what counts: an empty list would bounce the mail */
    out->rcode = flags & 15;
    out->count = 0;
    out->cut = false;
    out->ttl_s = UINT32_MAX;
    bool moved = true;
    for (uint32_t aliases = 0; moved; aliases++) {
        if (aliases > DNS_CNAMES_MAX || !follow(&p, answers, &name, &out->ttl_s, &moved)) return false;
    }
    struct dns_record candidate;
    for (uint16_t i = 0; i < answers; i++) {
        struct rr r;
        if (!take_rr(&p, &r)) return false;
        if (r.type != type || r.class != CLASS_IN || !same(&r.owner, &name)) continue;
        if (!keep(&p, &r, &candidate)) return false;
        if (out->count < DNS_RECORDS_MAX) {
            out->records[out->count++] = candidate;
        } else {
            out->cut = true;
            struct dns_record *loser = worst(out);
            if (candidate.preference < loser->preference) *loser = candidate;
        }
        if (r.ttl < out->ttl_s) out->ttl_s = r.ttl;
    }
    if (out->ttl_s == UINT32_MAX) out->ttl_s = 0;
    return true;
}
