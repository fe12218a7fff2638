/*
 * rules - what is done with an attempt whose worker died, by what its box says. One table, a test for each row (rules_test.c).
 *
 * Rows are what was found, in the order in which a session comes to them. Two columns: for a connection that nobody suspects, and for the prime suspect,
 * whose octets were being looked at. A crash of ours never bounces mail: the suspect's refusal is not believed. Its taking of the message is, since that
 * was decided before anything that could crash.
 */
#ifndef MTA_BOX_RULES_H
#define MTA_BOX_RULES_H

#include "mta/box/box.h"

enum box_rule {
    RULE_NOTHING = 0,     /* no mail is concerned */
    RULE_RETRY,           /* not delivered: to another worker at once */
    RULE_DEFER,           /* not delivered: later, and alone in the quarantine worker */
    RULE_COMMIT,          /* the verdict stands */
    RULE_REREAD,          /* a whole reply that nobody judged: read again in the quarantine worker */
    RULE_MAYBE_DUPLICATE, /* SMTP itself leaves it open (RFC 5321 4.5.3.2.6, RFC 1047): later, and said so */
    RULE_EACH,            /* LMTP: each recipient by his own answer, box_each() */
    RULE_COUNT
};

/*    found            not suspected         prime suspect */
#define BOX_RULES(R) \
    R(NO_ATTEMPT,      NOTHING,              NOTHING)         /* greeting, idle, QUIT */ \
    R(NOT_BEGUN,       RETRY,                RETRY)           /* the attempt never reached its slot */ \
    R(BEFORE_DOT,      RETRY,                DEFER)           /* the remote has no whole message */ \
    R(AFTER_SILENT,    MAYBE_DUPLICATE,      MAYBE_DUPLICATE) /* DOT_INTENT, and no octet of an answer */ \
    R(AFTER_PARTIAL,   MAYBE_DUPLICATE,      MAYBE_DUPLICATE) /* part of an answer */ \
    R(AFTER_UNJUDGED,  REREAD,               REREAD)          /* a whole answer stands in the box, its verdict does not */ \
    R(AFTER_TAKEN,     COMMIT,               COMMIT)          /* 2yz: delivered */ \
    R(AFTER_LATER,     COMMIT,               DEFER)           /* 3yz, 4yz: not taken */ \
    R(AFTER_REFUSED,   COMMIT,               DEFER)           /* 5yz */ \
    R(AFTER_JUNK,      MAYBE_DUPLICATE,      MAYBE_DUPLICATE) /* an answer that is no reply */ \
    R(SPOILED,         MAYBE_DUPLICATE,      MAYBE_DUPLICATE) /* the slot, or the box around a slot that is missing, was scribbled over */ \
    R(AFTER_SOME,      EACH,                 EACH)            /* LMTP: answers for some recipients, or for none; more may come */ \
    R(AFTER_EACH,      EACH,                 EACH)            /* LMTP: an answer for each, or one after which no more can come */

#define BOX_FOUND_ENUM(found, plain, suspect) FOUND_##found,
enum box_found { BOX_RULES(BOX_FOUND_ENUM) FOUND_COUNT };

/*
 * box_found - which row it is.
 * In       condition, v  of the slot that has the connection's identity; BOX_UNUSED = there is none
 *          spoiled       something in this box was scribbled over
 *          attempt       that the manager gave to the connection; 0 = none
 *          rcpt_count    of that attempt
 */
enum box_found box_found(enum box_condition condition, const struct box_view *v, bool spoiled, uint64_t attempt, uint32_t rcpt_count);
enum box_rule box_rule(enum box_found found, bool suspect);
/*
 * box_each - of an LMTP attempt (FOUND_AFTER_SOME, FOUND_AFTER_EACH): what each recipient gets, packed as in a box. 0 = judged before the end of the message,
 * not by its answers. Who has no answer may have the message; a refusal that killed its reader (suspect) is not believed, and comes out as VERDICT_LATER
 * without code.
 */
void box_each(const struct box_view *v, bool suspect, uint16_t out[BOX_RCPTS_MAX]);
/* box_found_name - "BEFORE_DOT", for crash records and tests. */
const char *box_found_name(enum box_found found);

#endif
