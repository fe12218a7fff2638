/*
 * mailbox - what the files of the mailbox process share. The card is in main.c.
 */
#ifndef MTA_MAILBOX_MAILBOX_H
#define MTA_MAILBOX_MAILBOX_H

#include "base/envelope.h"
#include "base/verdict.h"
#include "mta/config/config.h"
#include "mta/ipc/ipc.h"
#include "mta/process/process.h"

/* ---- users.c: who is a user of this host; pure but for users_read() ---- */

enum { USERS_BYTES_MAX = 16 * 1024 * 1024 }; /* of /etc/passwd: a hundred thousand users and more */

struct users { uint8_t *text; uint32_t len; bool known; }; /* the file as it was read last */

/* users_read - take over a file of passwd(5); takes fd. What was known stays when it cannot be read. */
must_use enum err users_read(struct users *u, int fd);
/*
 * users_of - the user that an address is for: its local part in lower case, without what stands behind a "+" unless that is a user's name as a whole.
 * Returns  false when there is no such user, or the name is not one that a user can have
 */
bool users_of(const struct users *u, struct bytes rcpt, struct buf *name, uint32_t *uid);

/* ---- places.c: deliveries that wait for, or are with, a process that is the user ---- */

/* places_init - memory for all jobs, before lock-down. */
must_use enum err places_init(struct process *p);
/* places_take - a delivery for a user; a copy is made, fd is taken over. The answer goes to the manager, now or later. */
void places_take(struct process *p, const struct ipc_deliver *m, int fd);
enum places_known { PLACES_NO = 0, PLACES_YES, PLACES_UNCLEAR };
/* places_knows - whether a recipient is a user that can get mail. */
enum places_known places_knows(struct bytes rcpt);
void places_turn(struct process *p);
uint64_t places_deadline(void);
void places_channel(struct process *p, struct ipc_channel *c, bool open);
/* places_manager_gone - nobody waits for answers any more. */
void places_manager_gone(void);
bool places_idle(void);

/* ---- main.c ---- */
/* mailbox_answer - to the manager. */
void mailbox_answer(struct process *p, const struct ipc_delivered *answer);

#endif
