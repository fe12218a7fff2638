/*
 * rules - the allow, deny and check lines of a rules block: which of them decides about a client, HELO, sender or recipient. Pure.
 *
 * A value (a name, an address) stands for a few keys, from the narrowest to the widest, and a line matches when it has one of them:
 *   client     its address (192.0.2.1), in tables also each network that it is in (192.0.2.0/24); its confirmed name as below, or `unknown'
 *   HELO       mail.example.org, *.example.org, *.org
 *   sender     a@b.example.org, *@b.example.org, *@*.example.org, *@*.org, a@*; <> for the empty one
 *   recipient  the same
 */
#ifndef MTA_CONFIG_RULES_H
#define MTA_CONFIG_RULES_H

#include "mta/config/config.h"

enum { RULES_KEY_BYTES_MAX = MAIL_ADDRESS_BYTES_MAX + 4 };

struct rules_question {
    const struct net_address *client;
    struct bytes client_name;      /* forward-confirmed; empty = unknown */
    struct bytes helo, sender, recipient;
};

struct rules_answer {
    uint8_t verdict;               /* enum config_rule_verdict: ACCESS_ALLOW, ACCESS_DENY, or ACCESS_NOTHING when no line matches */
    uint16_t code;                 /* of ACCESS_DENY: 4yz or 5yz */
    struct bytes text;             /* may begin with an enhanced status; empty = the usual words */
    const struct config_rule *line;/* that decided; NULL = none */
    uint32_t table_line;           /* in the table's file; 0 = none */
};

/* rules_find - the first line that matches. O(lines x labels x log names). */
struct rules_answer rules_find(const struct config *c, const struct config_rules *rules, const struct rules_question *q);

/* rules_need_name - whether some line asks for a client's name, which takes the DNS. */
bool rules_need_name(const struct config *c, const struct config_rules *rules);

/*
 * rules_parse_verdict - the value of a table that `check' names: "allow", "OK"; "deny TEXT", "REJECT TEXT"; "defer TEXT"; "CODE TEXT"; "pass", "DUNNO".
 * Returns  false when it is none of them
 */
bool rules_parse_verdict(struct bytes value, uint8_t *verdict, uint16_t *code, struct bytes *text);

/* rules_subject_word - "client", "helo", "sender", "recipient". */
struct bytes rules_subject_word(uint8_t subject);

/* rules_of_listener - the block that a listener names, or NULL. */
const struct config_rules *rules_of_listener(const struct config *c, const struct config_listener *l);

#endif
