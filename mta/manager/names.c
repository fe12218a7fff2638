/*
 * names - how a recipient's destination is written down, so that it survives restarts and changes of the configuration.
 *
 * A destination is a queue of its own: its concurrency, its back-off. For `mx` it is a domain by a route; for the others the route itself.
 */
#include "mta/manager/manager.h"

static const struct { uint8_t action; struct bytes word; } words[] = {
    {ACTION_MX, BYTES_INIT("mx")},           {ACTION_RELAY, BYTES_INIT("relay")},   {ACTION_MAILDIR, BYTES_INIT("maildir")},
    {ACTION_DISCARD, BYTES_INIT("discard")}, {ACTION_REJECT, BYTES_INIT("reject")},
};
enum { WORD_COUNT = sizeof words / sizeof *words };

void names_route(void *context, const struct record_message *m, const struct rcpt *r, struct buf *destination)
{
    const struct config *c = ((const struct manager *)context)->config;
    struct route_question q = {
        .rcpt = r->address,
        .sender = m->sender,
        .client = &m->client,
        .trusted = (m->flags & MAIL_TRUSTED) != 0 || (r->flags & RCPT_EXPANDED) != 0,
        .local = (m->flags & MAIL_LOCAL) != 0,
        .authenticated = (m->flags & MAIL_AUTHENTICATED) != 0,
    };
    int32_t route = route_find(c, &q);
    if (route < 0) {
        BUF_LIT(destination, "none");
        return;
    }
    const struct config_route *found = &CONFIG_ITEMS(c, c->routes, struct config_route)[route];
    for (uint32_t i = 0; i < WORD_COUNT; i++)
        if (words[i].action == found->action) buf_put(destination, words[i].word);
    buf_put_c(destination, ':');
    buf_put(destination, config_bytes(c, found->name));
    if (found->action != ACTION_MX) return;
    buf_put_c(destination, ':');
    buf_put(destination, mail_domain(r->address));
}

void names_parse(const struct config *c, struct bytes name, uint8_t *action, int32_t *route, struct bytes *domain)
{
    *action = ACTION_NONE;
    *route = -1;
    *domain = (struct bytes){0};
    uint32_t colon = bytes_find(name, ':');
    struct bytes word = bytes_slice(name, 0, colon), rest = bytes_from(name, colon + 1);
    uint8_t wanted = ACTION_NONE;
    for (uint32_t i = 0; i < WORD_COUNT; i++)
        if (bytes_equal(words[i].word, word)) wanted = words[i].action;
    uint32_t second = bytes_find(rest, ':');
    struct bytes route_name = bytes_slice(rest, 0, second);
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    for (uint32_t i = 0; wanted && i < c->routes.count; i++) {
        if (routes[i].action != wanted || !bytes_equal(config_bytes(c, routes[i].name), route_name)) continue;
        *action = wanted;
        *route = (int32_t)i;
        *domain = bytes_from(rest, second + 1);
        return;
    }
}
