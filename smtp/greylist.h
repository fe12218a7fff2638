/*
 * greylist - the key under which a first delivery attempt is remembered, so that the second is known.
 *
 * Large senders retry from another machine of the same network, and with another tag in the sender; both must come to the same key. So
 * the client is its network, and of the sender the parts that change from message to message are taken out: what follows a '+', numbers
 * (VERP), and the tag of BATV. The recipient stays whole. Memory and times are the business of others.
 */
#ifndef SMTP_GREYLIST_H
#define SMTP_GREYLIST_H

#include "base/limits.h"
#include "base/net.h"

enum {
    SMTP_GREYLIST_IPV4_BITS = 24, /* networks in which a site's outgoing servers usually stand */
    SMTP_GREYLIST_IPV6_BITS = 64,
    SMTP_GREYLIST_KEY_BYTES_MAX = NET_TEXT_BYTES_MAX + 2 * MAIL_ADDRESS_BYTES_MAX + 2,
};

/* smtp_greylist_client - append the client's network, "192.0.2.0/24": the key of clients that proved good. bits past the address's are cut. */
void smtp_greylist_client(struct buf *out, const struct net_address *client, uint32_t ipv4_bits, uint32_t ipv6_bits);

/*
 * smtp_greylist_key - append the triplet: network, sender and recipient, in lower case, a newline between.
 * In       sender, recipient  canonical (smtp/address.h); sender may be empty
 * Errors   out->overflow; SMTP_GREYLIST_KEY_BYTES_MAX is always enough
 */
void smtp_greylist_key(struct buf *out, const struct net_address *client, uint32_t ipv4_bits, uint32_t ipv6_bits, struct bytes sender,
                       struct bytes recipient);

#endif
