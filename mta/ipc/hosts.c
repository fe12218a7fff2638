/*
 * hosts - lists of hosts and of addresses inside messages. The readers judge every octet, since the resolver's answers pass through here.
 */
#include "mta/ipc/hosts.h"

#include "base/limits.h"
#include "base/must.h"

enum { IP_BYTES = 17 }; /* family and ip */

static void put_ip(struct buf *list, const struct net_address *a)
{
    must(a->family == NET_IPV4 || a->family == NET_IPV6);
    buf_put_c(list, a->family);
    buf_put(list, bytes_of(a->ip, 16));
}

/* get_ip - false, and c->failed, for anything but an IPv4 or IPv6 address in its one form. */
static bool get_ip(struct cursor *c, struct net_address *a)
{
    uint8_t family = (uint8_t)cursor_le(c, 1);
    struct bytes ip = cursor_take(c, 16);
    if (c->failed) return false;
    *a = (struct net_address){.family = family};
    uint32_t used = family == NET_IPV4 ? 4 : family == NET_IPV6 ? 16 : 0;
    c->failed = used == 0;
    for (uint32_t i = 0; i < 16; i++) {
        a->ip[i] = ip.ptr[i];
        if (i >= used && ip.ptr[i] != 0) c->failed = true;
    }
    return !c->failed;
}

void host_put(struct buf *list, const struct host *h)
{
    must(h->name.len <= HOST_NAME_BYTES_MAX && h->address_count <= HOST_ADDRESSES_MAX);
    must(h->tlsa.len <= HOST_TLSA_BYTES_MAX);
    uint32_t bytes = 2 + 1 + h->name.len + 1 + h->address_count * (uint32_t)IP_BYTES + 1 + 2 + h->tlsa.len;
    if (buf_room(list) < bytes) {
        list->overflow = true; /* an entry is there whole or not at all */
        return;
    }
    buf_put_le(list, h->preference, 2);
    buf_put_c(list, (uint8_t)h->name.len);
    buf_put(list, h->name);
    buf_put_c(list, h->address_count);
    for (uint32_t i = 0; i < h->address_count; i++) put_ip(list, &h->addresses[i]);
    buf_put_c(list, h->dane);
    buf_put_le(list, h->tlsa.len, 2);
    buf_put(list, h->tlsa);
}

bool host_next(struct cursor *c, struct host *h)
{
    if (c->failed || cursor_left(c) == 0) return false;
    *h = (struct host){.preference = (uint16_t)cursor_le(c, 2)};
    uint32_t name_bytes = (uint32_t)cursor_le(c, 1);
    h->name = cursor_take(c, name_bytes);
    h->address_count = (uint8_t)cursor_le(c, 1);
    if (h->address_count > HOST_ADDRESSES_MAX) c->failed = true;
    if (c->failed) return false;
    for (uint32_t i = 0; i < h->address_count; i++) {
        if (!get_ip(c, &h->addresses[i])) return false;
    }
    h->dane = (uint8_t)cursor_le(c, 1);
    uint32_t tlsa_bytes = (uint32_t)cursor_le(c, 2);
    h->tlsa = cursor_take(c, tlsa_bytes);
    if (h->dane > HOST_DANE_TLSA || tlsa_bytes > HOST_TLSA_BYTES_MAX) c->failed = true;
    return !c->failed;
}

void address_put(struct buf *list, const struct net_address *a)
{
    if (buf_room(list) < IP_BYTES + 2) {
        list->overflow = true;
        return;
    }
    put_ip(list, a);
    buf_put_le(list, a->port, 2);
}

bool address_next(struct cursor *c, struct net_address *a)
{
    if (c->failed || cursor_left(c) == 0) return false;
    if (!get_ip(c, a)) return false;
    a->port = (uint16_t)cursor_le(c, 2);
    return !c->failed;
}
