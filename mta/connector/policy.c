/* policy - which addresses may be connected to. */
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "mta/connector/connector.h"

void policy_own_addresses(struct connector *c)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list)) return; /* loopback and special ranges are refused all the same */
    for (const struct ifaddrs *i = list; i && c->own_count < OWN_ADDRESSES_MAX; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)) continue;
        struct sockaddr_storage copy;
        memset(&copy, 0, sizeof copy);
        memcpy(&copy, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        if (net_from_sockaddr(&copy, &c->own[c->own_count])) c->own_count++;
    }
    freeifaddrs(list);
}

static bool is_own(const struct connector *c, const struct net_address *target)
{
    for (uint32_t i = 0; i < c->own_count; i++)
        if (net_same_ip(&c->own[i], target)) return true;
    const struct config_listener *l = CONFIG_ITEMS(c->config, c->config->listeners, struct config_listener);
    for (uint32_t i = 0; l && i < c->config->listeners.count; i++) {
        const struct net_address *a = CONFIG_ITEMS(c->config, l[i].addresses, struct net_address);
        for (uint32_t k = 0; a && k < l[i].addresses.count; k++)
            if (net_same_ip(&a[k], target)) return true;
    }
    return false;
}

bool policy_allows(const struct connector *c, const struct net_address *target, bool from_mx, const char **why)
{
    if (!from_mx) return true;
    const struct net_prefix *allow = CONFIG_ITEMS(c->config, c->config->connect.allow, struct net_prefix);
    for (uint32_t i = 0; allow && i < c->config->connect.allow.count; i++)
        if (net_in_prefix(target, &allow[i])) return true;
    *why = "Mail may not be sent to a loopback, link-local, multicast or reserved address";
    if (net_is_special(target)) return false;
    *why = "Mail loops back to myself: the address is ours";
    return !is_own(c, target);
}
