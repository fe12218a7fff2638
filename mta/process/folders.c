/*
 * folders - which folders a role is handed, as a function of the configuration. Opens nothing.
 */
#include "mta/process/folders.h"

#include <stddef.h>

#include "base/must.h"

void folder_split(struct bytes maildir, struct bytes *folder, struct bytes *rest)
{
    struct bytes fixed = bytes_slice(maildir, 0, bytes_find(maildir, '{'));
    if (fixed.len == maildir.len && fixed.len > 1 && fixed.ptr[fixed.len - 1] == '/') fixed.len--; /* "/home/ann/Maildir/" names the same folder */
    uint32_t slash = bytes_find_last(fixed, '/');
    must(slash < fixed.len); /* the configuration takes absolute paths only */
    *folder = bytes_slice(maildir, 0, slash == 0 ? 1 : slash);
    *rest = bytes_from(maildir, slash + 1);
}

/* route_folder - false for a route that has none. */
static bool route_folder(const struct config *c, uint32_t route, struct bytes *folder, struct bytes *rest)
{
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    if (routes == NULL || route >= c->routes.count || routes[route].action != ACTION_MAILDIR) return false;
    folder_split(config_bytes(c, routes[route].maildir), folder, rest);
    return true;
}

/* is_first - whether no earlier route has the same folder. */
static bool is_first(const struct config *c, uint32_t route, struct bytes folder)
{
    struct bytes other, rest;
    for (uint32_t i = 0; i < route; i++) {
        if (route_folder(c, i, &other, &rest) && bytes_equal(other, folder)) return false;
    }
    return true;
}

/* greylists - whether some rules block has greylisting on. */
static bool greylists(const struct config *c)
{
    const struct config_rules *rules = CONFIG_ITEMS(c, c->rules, struct config_rules);
    for (uint32_t i = 0; rules && i < c->rules.count; i++) {
        if (rules[i].greylist) return true;
    }
    return false;
}

uint32_t folder_count(const struct config *c, enum ipc_role role)
{
    if (role == ROLE_MANAGER) return 1;
    if (role == ROLE_GREYLIST) return greylists(c) ? 1 : 0;
    if (role != ROLE_MAILBOX) return 0;
    uint32_t count = 0;
    struct bytes folder, rest;
    for (uint32_t i = 0; i < c->routes.count; i++) {
        if (route_folder(c, i, &folder, &rest) && is_first(c, i, folder)) count++;
    }
    return count;
}

struct bytes folder_path(const struct config *c, enum ipc_role role, uint32_t n)
{
    must(n < folder_count(c, role));
    if (role == ROLE_MANAGER) return config_bytes(c, c->queue.path);
    if (role == ROLE_GREYLIST) return config_bytes(c, c->greylist.path);
    struct bytes folder = {0}, rest;
    for (uint32_t i = 0; i < c->routes.count; i++) {
        if (!route_folder(c, i, &folder, &rest) || !is_first(c, i, folder)) continue;
        if (n == 0) break;
        n--;
    }
    return folder;
}

int32_t folder_of_route(const struct config *c, uint32_t route, struct bytes *rest)
{
    struct bytes folder;
    if (!route_folder(c, route, &folder, rest)) return -1;
    uint32_t count = folder_count(c, ROLE_MAILBOX);
    for (uint32_t n = 0; n < count; n++) {
        if (bytes_equal(folder_path(c, ROLE_MAILBOX, n), folder)) return (int32_t)n;
    }
    must(false); /* every folder of a route is in the list */
    return -1;
}
