/*
 * judge - whether a stranger's recipient is refused by the rules of its listener: pure, the order of docs/policy.md in one place.
 *
 * Facts in, a judgement out. What must be looked up first is asked for by a need, one at a time; the process finds the fact, and judges again. So
 * a session and `mtactl explain` go through the same code. Whether the recipient may be written to at all (relay, routes, mailboxes) is admission's.
 */
#ifndef MTA_RECEIVER_JUDGE_H
#define MTA_RECEIVER_JUDGE_H

#include "mta/config/rules.h"
#include "smtp/dnsbl.h"
#include "smtp/server.h"

enum judge_reverse { REVERSE_UNKNOWN = 0, REVERSE_NAMED, REVERSE_NONE, REVERSE_UNCONFIRMED, REVERSE_FAILED };
enum judge_fact { FACT_UNKNOWN = 0, FACT_GOOD, FACT_BAD, FACT_NULL_MX, FACT_FAILED };

struct judge_facts {
    uint8_t reverse;                        /* enum judge_reverse: of the client's name */
    uint8_t helo, sender;                   /* enum judge_fact: whether the DNS knows HELO's name, and the sender's domain */
    bool lists_known;
    uint8_t lists[CONFIG_DNSLISTS_MAX];     /* enum smtp_dnsbl_answer, one a list; UNLISTED when it did not answer */
};

struct judge_question {
    const struct config_rules *rules;       /* NULL = none: nothing is refused */
    bool exempt;                            /* a trusted client, when the rules are not for such */
    struct rules_question who;
    const struct judge_facts *facts;
};

enum judge_need { JUDGE_SETTLED = 0, JUDGE_NEEDS_NAME, JUDGE_NEEDS_HELO, JUDGE_NEEDS_SENDER, JUDGE_NEEDS_LISTS };

struct judgement {
    uint8_t need;                           /* enum judge_need; the rest counts when it is SETTLED */
    bool refused;
    bool known_good;                        /* an allow line, or the score: it is not greylisted */
    int64_t score;
    const char *rule;                       /* that refused or allowed: "deny client", "helo", ...; NULL = none */
    uint32_t line, table_line;              /* in the rules' file, and in a table's; 0 = a default */
    struct smtp_policy_answer answer;       /* when refused; its text borrows from `text` */
    uint8_t text[SMTP_POLICY_TEXT_BYTES_MAX];
};

/* What explain shows of each rule that was asked, in their order. */
struct judge_trace {
    void (*step)(void *context, const char *rule, const char *verdict, struct bytes words, uint32_t line);
    void *context;
};

/* judge_decide - In: out must stay where it is as long as out->answer is used; trace may be NULL. O(lines + lists). */
void judge_decide(const struct config *c, const struct judge_question *q, const struct judge_trace *trace, struct judgement *out);

/* judge_list_name - the name to ask a list for; false when there is nothing to ask it. */
bool judge_list_name(const struct config *c, const struct config_dnslist *list, const struct rules_question *who, struct buf *out);
/* judge_list_answer - what the addresses of its answer mean. */
enum smtp_dnsbl_answer judge_list_answer(const struct config *c, const struct config_dnslist *list, const struct net_address *answers, uint32_t count);

#endif
