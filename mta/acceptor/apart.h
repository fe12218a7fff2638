/*
 * apart - clients that are kept apart from the others, as the manager told. Pure: it is the manager who decides, and this is a copy.
 *
 * An entry ends by itself, so that what the manager forgets without a word (the one that was quiet for longest, when there are too many) is forgotten here.
 */
#ifndef MTA_ACCEPTOR_APART_H
#define MTA_ACCEPTOR_APART_H

#include "base/net.h"

enum { APART_MAX = 256 }; /* as many as the manager keeps */

struct apart_client {
    struct net_prefix who;   /* address family 0 = free */
    uint64_t end_ms;         /* served like others from then on */
    uint64_t pause_ms;       /* not served at all before */
    bool told;               /* the log knows that it is sent away */
};

struct aparts { struct apart_client clients[APART_MAX]; uint32_t count; };

/* apart_set - until end_ms (0 = no longer), and not at all before pause_ms; when there is no room, the one that would end first makes it. */
void apart_set(struct aparts *a, const struct net_address *client, uint64_t end_ms, uint64_t pause_ms);
/* apart_find - the entry that means this client, or NULL. */
struct apart_client *apart_find(struct aparts *a, const struct net_address *client, uint64_t now_ms);

#endif
