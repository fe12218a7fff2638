/*
 * hop - the value of a transport table: where mail for a recipient or a domain goes, as Postfix's transport(5) and Mailman's postfix_lmtp have it.
 */
#ifndef MTA_CONFIG_HOP_H
#define MTA_CONFIG_HOP_H

#include "mta/config/config.h"

struct hop {
    uint8_t action;             /* ACTION_RELAY, ACTION_MX, ACTION_LMTP or ACTION_DISCARD */
    bool is_address;
    struct bytes host;          /* borrowed, without brackets; empty with ACTION_MX: the recipient's own domain */
    uint16_t port;              /* 0 = that of connect { mx-port } (ACTION_MX only) */
    struct net_address address; /* when it is one; port set */
};

/*
 * hop_parse - judge a value.
 * Forms    smtp:[HOST]:PORT, relay:[HOST]:PORT   that host; its MX are not asked; 25 without a port
 *          smtp:HOST:PORT, relay:HOST:PORT       the MX of that domain
 *          smtp:, relay:                         the MX of the recipient's domain
 *          lmtp:[HOST]:PORT, lmtp:HOST:PORT, lmtp:inet:HOST:PORT   that host by LMTP; 24 without a port
 *          discard:                              taken and dropped; whatever follows is a remark
 * Returns  false for anything else
 */
bool hop_parse(struct bytes value, struct hop *out);

/* hop_host_port - "HOST", "HOST:PORT", "[IPv6]:PORT"; with `bracketed` the host may also stand in brackets. The address is judged too. */
bool hop_host_port(struct bytes text, uint16_t default_port, struct hop *out);

/* hop_find - the value for a recipient in a transport table: its address, its domain, then .DOMAIN of each domain above. False when there is none. */
bool hop_find(const struct config *c, uint32_t table, struct bytes rcpt, struct bytes *value);

#endif
