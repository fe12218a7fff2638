/*
 * proxy - the header that a load balancer puts before a connection's first octet, to say whose connection it is.
 *
 * PROXY protocol, versions 1 (a line of text) and 2 (binary), of HAProxy's proxy-protocol.txt. To be asked of listed peers only, once a
 * connection, before anything else, TLS included; a peer that must send it and does not is refused. Nothing is guessed: what is not by the
 * letter is bad, and the connection ends. Exactly the header's octets are eaten. Extensions (TLVs) are walked over, not read.
 */
#ifndef SMTP_PROXY_H
#define SMTP_PROXY_H

#include "base/net.h"

enum {
    SMTP_PROXY_LINE_BYTES_MAX = 107,  /* version 1 with its CR LF: section 2.1 */
    SMTP_PROXY_FIXED_BYTES = 16,      /* version 2 up to and with its length */
    SMTP_PROXY_ADDRESS_BYTES_MAX = 216, /* two addresses of Unix sockets */
    SMTP_PROXY_BODY_BYTES_MAX = 4096, /* of version 2; addresses and a few names of TLS take some hundred, the format would allow 65,535 */
};

enum smtp_proxy_result { SMTP_PROXY_MORE = 0, SMTP_PROXY_DONE, SMTP_PROXY_BAD };

struct smtp_proxy {
    uint8_t version;                 /* 1 or 2 once the first octet is known */
    bool local;                      /* the balancer speaks for itself (health check): use the connection's own addresses */
    struct net_address source, destination; /* with ports; family 0 = it does not say (UNKNOWN, a Unix socket): as local */
    /* the parser's own */
    uint8_t result;                  /* enum smtp_proxy_result */
    uint8_t tlv_head;                /* octets read of a TLV's type and length: 0..3 */
    uint32_t tlv_left;               /* octets left of its value, or its length as far as read */
    uint32_t body_bytes, body_seen;  /* version 2: octets said, octets eaten behind the fixed part */
    uint32_t store_len;
    uint8_t store[SMTP_PROXY_FIXED_BYTES + SMTP_PROXY_ADDRESS_BYTES_MAX]; /* the line, or what is needed of version 2 */
};

void smtp_proxy_init(struct smtp_proxy *p);

/*
 * smtp_proxy_feed - octets of the connection, in any pieces.
 * Out      *used    octets of the header among them; less than in.len only when the result is final
 * Returns  MORE; DONE and BAD are final: nothing more is eaten
 * Cost     O(n)
 */
enum smtp_proxy_result smtp_proxy_feed(struct smtp_proxy *p, struct bytes in, uint32_t *used);

#endif
