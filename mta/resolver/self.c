/* self - which addresses lead back to us: a listener of ours on the port that MX targets are connected to. */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "mta/resolver/resolver.h"

void self_learn(struct resolver *r)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list)) return;
    for (const struct ifaddrs *i = list; i && r->interface_count < INTERFACES_MAX; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)) continue;
        struct sockaddr_storage copy;
        memset(&copy, 0, sizeof copy);
        memcpy(&copy, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        if (net_from_sockaddr(&copy, &r->interfaces[r->interface_count])) r->interface_count++;
    }
    freeifaddrs(list);
}

static bool any_address(const struct net_address *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, sizeof zero) == 0;
}

static bool on_interface(const struct resolver *r, const struct net_address *a)
{
    for (uint32_t i = 0; i < r->interface_count; i++)
        if (net_same_ip(&r->interfaces[i], a)) return true;
    return false;
}

bool self_is(const struct resolver *r, const struct net_address *a)
{
    const struct config *c = r->config;
    const struct config_listener *l = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    for (uint32_t i = 0; l && i < c->listeners.count; i++) {
        const struct net_address *ours = CONFIG_ITEMS(c, l[i].addresses, struct net_address);
        for (uint32_t k = 0; ours && k < l[i].addresses.count; k++) {
            if (ours[k].port != c->connect.mx_port || ours[k].family != a->family) continue;
            if (net_same_ip(&ours[k], a) || (any_address(&ours[k]) && on_interface(r, a))) return true;
        }
    }
    return false;
}
