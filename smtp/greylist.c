/*
 * greylist - see smtp/greylist.h.
 */
#include "smtp/greylist.h"

static void put_lower(struct buf *out, struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) buf_put_c(out, ascii_lower(text.ptr[i]));
}

void smtp_greylist_client(struct buf *out, const struct net_address *client, uint32_t ipv4_bits, uint32_t ipv6_bits)
{
    struct net_address network = *client;
    uint32_t all = client->family == NET_IPV6 ? 128 : client->family == NET_IPV4 ? 32 : 0;
    uint32_t bits = client->family == NET_IPV6 ? ipv6_bits : ipv4_bits;
    if (bits > all) bits = all;
    for (uint32_t i = bits; i < all; i++) network.ip[i / 8] &= (uint8_t)~(0x80u >> i % 8);
    net_print_ip(out, &network);
    buf_put_c(out, '/');
    buf_put_u64(out, bits);
}

/* without_batv - what stands behind "prvs=tag=". */
static struct bytes without_batv(struct bytes local)
{
    struct bytes prefix = BYTES("prvs=");
    if (!bytes_starts_nocase(local, prefix)) return local;
    struct bytes rest = bytes_from(local, prefix.len);
    uint32_t end = bytes_find(rest, '=');
    return end + 1 < rest.len ? bytes_from(rest, end + 1) : local;
}

/* put_sender - its local part without what changes; each number becomes '#'. */
static void put_sender(struct buf *out, struct bytes sender)
{
    uint32_t at = bytes_find_last(sender, '@');
    struct bytes local = without_batv(bytes_slice(sender, 0, at));
    uint32_t plus = bytes_find(local, '+');
    if (plus > 0) local = bytes_slice(local, 0, plus);
    for (uint32_t i = 0; i < local.len; i++) {
        bool digit = ascii_is_digit(local.ptr[i]);
        if (!digit) buf_put_c(out, ascii_lower(local.ptr[i]));
        else if (i == 0 || !ascii_is_digit(local.ptr[i - 1])) buf_put_c(out, '#');
    }
    put_lower(out, bytes_from(sender, at));
}

void smtp_greylist_key(struct buf *out, const struct net_address *client, uint32_t ipv4_bits, uint32_t ipv6_bits, struct bytes sender,
                       struct bytes recipient)
{
    smtp_greylist_client(out, client, ipv4_bits, ipv6_bits);
    buf_put_c(out, '\n'); /* no address has one */
    put_sender(out, sender);
    buf_put_c(out, '\n');
    put_lower(out, recipient);
}
