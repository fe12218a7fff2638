/*
 * admission - who may send what to whom, as a pure function of the configuration: the one place that keeps this host
 * from being an open relay.
 *
 * A trusted client may send to whatever has a route. A stranger's recipient is taken only where the first matching
 * route names its domain or address (route_admits_stranger), and never when its local part asks somebody to route on
 * (user%host, host!user, "user@host"): nothing here would do so, but the next hop might. Bare <postmaster> (RFC 5321
 * 4.5.1) means the configured address, which everybody may write to.
 */
#ifndef MTA_RECEIVER_ADMISSION_H
#define MTA_RECEIVER_ADMISSION_H

#include "mta/config/config.h"
#include "smtp/address.h"
#include "smtp/server.h"

struct admission_question {
    const struct smtp_address *rcpt;  /* as the parser left it; an empty domain is bare postmaster */
    struct bytes sender;              /* empty = <> */
    const struct net_address *client;
    bool trusted, authenticated, local; /* local: a user of this host; both are trusted too */
};

struct admission {
    bool taken;
    bool ask_mailbox;                 /* taken only if the mailbox process knows it: Maildirs are not made here */
    int32_t route;                    /* first matching one, or -1 */
    struct bytes rcpt;                /* the address to be kept; borrows from the question or the configuration */
    struct smtp_policy_answer answer; /* when not taken; its text borrows from `text` */
    uint8_t text[SMTP_POLICY_TEXT_BYTES_MAX];
};

/* admission_decide - judge one recipient. In: out must stay where it is as long as out->answer is used. */
void admission_decide(const struct config *c, const struct admission_question *q, struct admission *out);

/* admission_refuse - put "<rcpt>: words" and its codes into out, as the reply and the log have it. */
void admission_refuse(struct admission *out, uint16_t code, struct enhanced e, struct bytes rcpt, struct bytes words,
                      struct bytes more);

#endif
