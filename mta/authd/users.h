/*
 * users - the password file: one login a line, "name:hash:verifier".
 *
 * hash is one of crypt(5), yescrypt when mtactl wrote it, for PLAIN and LOGIN; verifier is that of RFC 5803, for SCRAM-SHA-256. Either may be empty:
 * then that way in is closed. Lines that begin with # and empty lines are passed over. The form is strict, and a file is taken whole or not at all.
 */
#ifndef MTA_AUTHD_USERS_H
#define MTA_AUTHD_USERS_H

#include "base/err.h"
#include "smtp/scram.h"

enum {
    USERS_FILE_BYTES_MAX = 64 * 1024 * 1024, /* a quarter of a million logins */
    USERS_LINE_BYTES_MAX = 2048,
};

struct user {
    struct bytes name, hash, verifier; /* of the text */
};

struct users {
    uint8_t *text;         /* owned */
    struct user *table;    /* owned; sorted by name */
    uint32_t count;
};

/* user_name_valid - a name that a line can hold: no colon, and what a login may be. It does not begin with #. */
bool user_name_valid(struct bytes name);

/*
 * users_parse - a file's text.
 * In       text    malloc memory; taken over, on failure too
 * Out      *line, *why   where and what is wrong, on ERR_BAD_VALUE
 */
must_use enum err users_parse(struct users *u, uint8_t *text, uint32_t bytes, uint32_t *line, const char **why);
/* users_fini - forget them; the text is wiped. */
void users_fini(struct users *u);

/* users_find - by name, octet by octet; NULL when there is none. */
const struct user *users_find(const struct users *u, struct bytes name);

/* user_put - one line, with its line end. */
void user_put(struct buf *out, struct bytes name, struct bytes hash, struct bytes verifier);

#endif
