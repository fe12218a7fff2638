/*
 * authd - what the files of the auth process share. The card is in main.c.
 *
 * Who may write what: exchanges.c owns exchanges; dovecot.c the connections to Dovecot; guesses.c the counts.
 */
#ifndef MTA_AUTHD_AUTHD_H
#define MTA_AUTHD_AUTHD_H

#include "mta/authd/crypting.h"
#include "mta/authd/guesses.h"
#include "mta/authd/users.h"
#include "mta/process/process.h"
#include "smtp/authd.h"
#include "smtp/sasl_server.h"
#include "smtp/server.h"

enum {
    EXCHANGES_MAX = 1024,                 /* authentications under way; 10 MiB */
    BLOCKS_MAX = CONFIG_AUTHS_MAX,
    FAILURE_AFTER_MS = 1000,              /* a refusal comes so long after its try was looked at, whatever was wrong */
    DOVECOT_OUT_BYTES = 256 * 1024,
    DOVECOT_RETRY_MS = 2000,              /* between two tries to connect */
    DOVECOT_WITHIN_MS = 60 * 1000,        /* it lets failures wait, but not so long */
};

enum { TOKEN_CRYPTING = PROCESS_TOKEN_ROLE_FIRST, TOKEN_DOVECOT_RECEIVE, TOKEN_DOVECOT_SEND };

enum exchange_state {
    EXCHANGE_FREE = 0,
    EXCHANGE_CLIENT,      /* a challenge is with the client */
    EXCHANGE_PAUSE,       /* too much was tried: what is to be done next waits */
    EXCHANGE_CRYPT,       /* a thread has it */
    EXCHANGE_DOVECOT,     /* Dovecot has it */
    EXCHANGE_HELD,        /* refused; the answer waits for its time */
};

enum exchange_next { NEXT_PASSWORD = 0, NEXT_VERIFIER, NEXT_IDENTITY, NEXT_DOVECOT }; /* behind a pause */

struct exchange {
    uint8_t state, next;
    uint8_t mechanism;             /* enum smtp_sasl_mechanism */
    bool paused_once;              /* the login was known and its pause is over */
    bool begins, has_initial;      /* of `line` */
    bool cancel_dovecot;           /* Dovecot knows of it */
    uint16_t block;
    uint16_t receiver;
    uint32_t receiver_epoch;
    uint32_t index, generation;
    uint32_t dovecot_id;
    uint64_t request;              /* the receiver's */
    uint64_t until_ms;             /* PAUSE, HELD: then it goes on; DOVECOT: then it is given up */
    uint64_t looked_ms;            /* when its try was looked at */
    struct net_address client, local;
    uint32_t certificate_bytes, line_bytes;
    uint8_t certificate[SMTP_SASL_NAME_BYTES_MAX]; /* the user that its certificate names */
    uint8_t line[SMTP_COMMAND_LINE_BYTES_MAX];     /* of the client, for Dovecot */
    struct smtp_sasl_server sasl;
};

struct dovecot {
    int fd;                        /* -1 = none */
    bool ready;                    /* its handshake is over */
    bool asked;                    /* the master is connecting */
    bool receiving, sending, closing, told;
    uint32_t index;
    uint64_t retry_ms;
    uint32_t in_bytes, out_sent;
    uint8_t *in;                   /* owned; SMTP_AUTHD_LINE_BYTES_MAX and a line end */
    struct buf out;                /* over owned memory */
};

struct block {
    const struct config_auth *config;
    struct users users;            /* of a file */
    bool loaded;
    struct dovecot dovecot;
};

struct authd {
    struct process *process;
    const struct config *config;
    struct ring *ring;
    struct guesses guesses;
    struct crypting crypting;
    struct block blocks[BLOCKS_MAX];
    uint32_t next_dovecot_id;
    uint32_t fake_hash_bytes;
    uint8_t fake_hash[SECRETS_HASH_BYTES_MAX]; /* what passwords of users that do not exist are compared with */
    uint8_t secret[SMTP_SHA256_BYTES];         /* of their SCRAM salts */
    struct exchange exchanges[EXCHANGES_MAX];
};

static inline struct authd *authd_of(struct process *p) { return (struct authd *)process_state(p); }

/* ---- exchanges.c ---- */
void exchange_begin(struct authd *a, struct ipc_channel *from, const struct ipc_auth_begin *m);
/* exchange_line - the client's answer to a challenge. exchange_cancel - it gave up, or is gone. */
void exchange_line(struct authd *a, struct ipc_channel *from, const struct ipc_auth_line *m);
void exchange_crypted(void *authd, uint64_t owner, bool fits);
/* exchange_dovecot - a line of Dovecot about one. exchanges_dovecot_gone - it will say nothing more. */
void exchange_dovecot(struct authd *a, uint16_t block, const struct smtp_authd_line *line);
void exchanges_dovecot_gone(struct authd *a, uint16_t block);
void exchanges_receiver_gone(struct authd *a, uint16_t receiver);
/* exchanges_turn - pauses that are over, answers that are due. */
void exchanges_turn(struct authd *a);
uint64_t exchanges_deadline(const struct authd *a);

/* ---- dovecot.c ---- */
must_use enum err dovecot_init(struct authd *a, uint16_t block);
/* dovecot_connected - the master's answer: a socket, or -1 and why. */
void dovecot_connected(struct authd *a, uint16_t block, int fd, struct bytes why);
bool dovecot_begin(struct authd *a, struct exchange *x);
bool dovecot_line(struct authd *a, struct exchange *x);
void dovecot_cancel(struct authd *a, const struct exchange *x);
void dovecot_event(struct authd *a, const struct ring_event *e);
void dovecot_turn(struct authd *a);
uint64_t dovecot_deadline(const struct authd *a);

#endif
