/*
 * route - the routing decision: a pure function of image and question.
 *
 * Names in the image are in lower case and sorted; the question's addresses are folded once, then every match is a binary search.
 * Who may send to a recipient without trust is decided here too, so that no other code can disagree (see route_admits_stranger).
 */
#include <stddef.h>

#include "mta/config/config.h"

struct folded { /* a question's texts in lower case */
    struct bytes rcpt, rcpt_domain, sender, sender_domain;
    bool too_long; /* longer than any address in an image: matches no name */
    uint8_t rcpt_memory[MAIL_ADDRESS_BYTES_MAX], sender_memory[MAIL_ADDRESS_BYTES_MAX];
};

static struct bytes fold(struct bytes address, uint8_t *memory, bool *too_long)
{
    if (address.len > MAIL_ADDRESS_BYTES_MAX) {
        *too_long = true;
        return (struct bytes){0};
    }
    for (uint32_t i = 0; i < address.len; i++) memory[i] = ascii_lower(address.ptr[i]);
    return bytes_of(memory, address.len);
}

static void fold_question(const struct route_question *q, struct folded *f)
{
    f->too_long = false;
    f->rcpt = fold(q->rcpt, f->rcpt_memory, &f->too_long);
    f->rcpt_domain = mail_domain(f->rcpt);
    f->sender = fold(q->sender, f->sender_memory, &f->too_long);
    f->sender_domain = mail_domain(f->sender);
}

static bool has_name(const struct config *c, struct config_list names, struct bytes name)
{
    const struct config_text *items = CONFIG_ITEMS(c, names, struct config_text);
    uint32_t low = 0, high = items ? names.count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bytes_compare(config_bytes(c, items[middle]), name);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

bool config_in_prefixes(const struct config *c, struct config_list list, const struct net_address *address)
{
    const struct net_prefix *items = CONFIG_ITEMS(c, list, struct net_prefix);
    if (!address || address->family == NET_NONE) return false;
    for (uint32_t i = 0; items && i < list.count; i++) {
        if (net_in_prefix(address, &items[i])) return true;
    }
    return false;
}

/* either_holds - one of several kinds without words. */
static bool either_holds(uint32_t kinds, const struct route_question *q)
{
    return (kinds & 1u << MATCH_ANY) || ((kinds & 1u << MATCH_LOCAL) && q->local) || ((kinds & 1u << MATCH_TRUSTED) && q->trusted) ||
           ((kinds & 1u << MATCH_AUTHENTICATED) && q->authenticated);
}

static bool match_holds(const struct config *c, const struct config_match *m, const struct route_question *q,
                        const struct folded *f)
{
    if (m->either) return either_holds(m->either, q);
    switch ((enum config_match_kind)m->kind) {
    case MATCH_ANY: return true;
    case MATCH_LOCAL: return q->local;
    case MATCH_TRUSTED: return q->trusted;
    case MATCH_AUTHENTICATED: return q->authenticated;
    case MATCH_CLIENT: return config_in_prefixes(c, m->prefixes, q->client);
    case MATCH_RCPT_DOMAIN: return f->rcpt_domain.len > 0 && has_name(c, m->names, f->rcpt_domain);
    case MATCH_RCPT: return f->rcpt.len > 0 && has_name(c, m->names, f->rcpt);
    case MATCH_SENDER_DOMAIN: return f->sender_domain.len > 0 && has_name(c, m->names, f->sender_domain);
    case MATCH_SENDER: return !f->too_long && has_name(c, m->names, f->sender);
    case MATCH_NONE: break;
    }
    return false;
}

static bool route_holds(const struct config *c, const struct config_route *r, const struct route_question *q,
                        const struct folded *f)
{
    const struct config_match *matches = CONFIG_ITEMS(c, r->matches, struct config_match);
    if (!matches) return false;
    for (uint32_t i = 0; i < r->matches.count; i++) {
        if (!match_holds(c, &matches[i], q, f)) return false;
    }
    return true;
}

int32_t route_find(const struct config *c, const struct route_question *q)
{
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    struct folded f;
    fold_question(q, &f);
    for (uint32_t i = 0; routes && i < c->routes.count; i++) {
        if (route_holds(c, &routes[i], q, &f)) return (int32_t)i;
    }
    return -1;
}

bool route_admits_stranger(const struct config *c, const struct route_question *q, int32_t *route)
{
    struct route_question strange = *q;
    strange.trusted = false;
    strange.local = strange.authenticated = false;
    *route = route_find(c, &strange);
    if (*route < 0) return false;
    const struct config_route *r = &CONFIG_ITEMS(c, c->routes, struct config_route)[*route];
    const struct config_match *matches = CONFIG_ITEMS(c, r->matches, struct config_match);
    for (uint32_t i = 0; matches && i < r->matches.count; i++) {
        if (matches[i].kind == MATCH_RCPT_DOMAIN || matches[i].kind == MATCH_RCPT) return true;
    }
    return false;
}

bool config_admits_peer(const struct config *c, const struct config_listener *l, uint32_t uid)
{
    const uint32_t *uids = CONFIG_ITEMS(c, l->peers, uint32_t);
    if (l->socket.len == 0) return false;
    if (l->peers.count == 0) return true;
    for (uint32_t i = 0; uids && i < l->peers.count; i++) {
        if (uids[i] == uid) return true;
    }
    return false;
}

bool config_trusts(const struct config *c, const struct config_listener *l, const struct net_address *client)
{
    return config_in_prefixes(c, l->trust, client);
}
