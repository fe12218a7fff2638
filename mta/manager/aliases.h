/*
 * aliases - a new message's recipients become those whom they stand for, before its record is written; and whose message it is for each of them.
 *
 * What was expanded is in the record: no later change of a table, and no crash, makes a difference to a message that was accepted. An entry of
 * the list says by its flags how it got there (base/envelope.h): it needs no other alias, and a bounce finds the right sender.
 */
#ifndef MTA_MANAGER_ALIASES_H
#define MTA_MANAGER_ALIASES_H

#include "mta/config/expand.h"
#include "mta/manager/manager.h"

enum { ALIASES_RCPTS_MAX = 20000 }; /* of one message, after expansion */

/*
 * aliases_apply - expand r->rcpts; r->rcpt_count, r->rcpts (then memory of ours, until the next call) and r->flags change.
 * Returns  EXPAND_NONE when nothing had to be done, EXPAND_DONE, or why it cannot be done: then *culprit is the recipient, and r is as it was
 */
enum expand_answer aliases_apply(struct manager *m, struct record_message *r, struct bytes *culprit);

/* aliases_same_sender - of ascending recipient indexes, how many from the first on can go together, since they have one envelope sender: those are
 * moved to the front, the others behind them, both in order. */
uint32_t aliases_same_sender(const struct record_message *r, uint32_t *rcpts, uint32_t count);

/*
 * aliases_record - the message as its recipient `index` has it: the same record, or a copy with another sender, valid until the next call.
 * In       for_bounce   whom to tell of a failure, and not what the envelope says: a forwarded message's own sender
 */
const struct record_message *aliases_record(struct manager *m, const struct record_message *r, uint32_t index, bool for_bounce);

struct smtp_address;
/* aliases_masquerade - an envelope sender as masquerade { envelope-from } wants it: *out's, or the same when no rule matches. */
struct bytes aliases_masquerade(const struct config *c, struct bytes sender, struct smtp_address *out);

/* ---- srs.c ---- */

/* srs_is_awaited - srs is asked for, and the secrets have not come yet: nothing is given out before. */
bool srs_is_awaited(const struct manager *m);
/* srs_forward - the envelope sender with which a message goes on to another host: *out's, or the same when nothing is to be done. */
struct bytes srs_forward(const struct manager *m, struct bytes sender, struct smtp_address *out);
/* srs_reverse - where a bounce to an address of ours goes. EXPAND_NONE: it is none; DONE: *out; FORGED; BAD: that cannot be told now. */
enum expand_answer srs_reverse(const struct manager *m, struct bytes rcpt, struct smtp_address *out);

#endif
