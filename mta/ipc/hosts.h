/*
 * hosts - the list of hosts in ANSWER: each entry is u16 preference | u8 name octets | name | u8 addresses | 17 octets each: family, ip[16]
 * | u8 dane | u16 octets | TLSA records as in mta/ipc/secrecy.h.
 */
#ifndef MTA_IPC_HOSTS_H
#define MTA_IPC_HOSTS_H

#include "base/bytes.h"
#include "base/net.h"

enum lookup_kind { LOOKUP_NONE = 0, LOOKUP_MX, LOOKUP_ADDRESS };
enum answer_status { ANSWER_NONE = 0, ANSWER_FOUND, ANSWER_NO_DOMAIN, ANSWER_NO_DATA, ANSWER_NULL_MX, ANSWER_TEMPORARY, ANSWER_BOGUS, ANSWER_LOOP };

enum naming_result { NAMING_CONFIRMED = 0, NAMING_NO_NAME, NAMING_UNCONFIRMED, NAMING_TEMPORARY };

enum host_dane {
    HOST_DANE_NONE = 0, /* DANE does not speak of it: no records, or the DNS does not vouch for them */
    HOST_DANE_TLSA,     /* it does: TLS is a must; with the records that are usable, if any */
};

enum { HOSTS_MAX = 20, HOST_ADDRESSES_MAX = 10, HOSTS_ADDRESSES_MAX = 50, HOST_TLSA_BYTES_MAX = 2048 };

struct host {
    uint16_t preference;
    struct bytes name;        /* borrowed from the list */
    uint8_t address_count;
    struct net_address addresses[HOST_ADDRESSES_MAX]; /* port 0 */
    uint8_t dane;             /* enum host_dane */
    struct bytes tlsa;        /* borrowed from the list; at most HOST_TLSA_BYTES_MAX */
};

void host_put(struct buf *list, const struct host *h);
/* host_next - like rcpt_next(): false at the end, c->failed tells whether the list was broken. */
bool host_next(struct cursor *c, struct host *h);

/* The address list of CONNECT: family | ip[16] | port, 19 octets each. */
void address_put(struct buf *list, const struct net_address *a);
bool address_next(struct cursor *c, struct net_address *a);

#endif
