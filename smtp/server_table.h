/*
 * server_table - the server's side of the protocol on one screen: each verb, where it is allowed, the move it makes there and elsewhere.
 *
 * Private to the server machine (server.c drives, server_moves.c and server_content.c move) and its test, which asserts that no verb
 * lacks a row.
 */
#ifndef SMTP_SERVER_TABLE_H
#define SMTP_SERVER_TABLE_H

#include "smtp/server.h"

/* Phases in which commands are read, as bits: Connected, Hello, Mail, Rcpt, Bdat. */
enum {
    AT_C = 1 << SMTP_PHASE_CONNECTED,
    AT_H = 1 << SMTP_PHASE_HELLO,
    AT_M = 1 << SMTP_PHASE_MAIL,
    AT_R = 1 << SMTP_PHASE_RCPT,
    AT_B = 1 << SMTP_PHASE_BDAT,
    AT_ANY = AT_C | AT_H | AT_M | AT_R | AT_B,
};

enum {
    VERB_JUNK = 1,     /* costs nothing and moves no mail: counted against junk_max */
    VERB_ARGLESS = 2,  /* takes no argument: 501 with one */
    VERB_CLEAR = 4,    /* allowed in the clear where TLS is required; BDAT is, since its chunk must be eaten: without RCPT it is refused */
};

/*    verb      allowed in      move       elsewhere      flags          words for "elsewhere"                                  RFC */
#define SMTP_SERVER_ROWS(R) \
    R(UNKNOWN,  AT_ANY,         unknown,   unknown,       VERB_CLEAR,    "")                                                 /* 5321 4.2.4 */ \
    R(EHLO,     AT_ANY,         ehlo,      bad_order,     VERB_JUNK | VERB_CLEAR, "")                                       /* 5321 4.1.1.1 */ \
    R(HELO,     AT_ANY,         helo,      bad_order,     VERB_JUNK | VERB_CLEAR, "")                                       /* 5321 4.1.1.1 */ \
    R(MAIL,     AT_H,           mail,      bad_order,     0,             "nested MAIL command; finish or RSET the first")    /* 5321 4.1.1.2 */ \
    R(RCPT,     AT_M | AT_R,    rcpt,      bad_order,     0,             "need MAIL command first")                          /* 5321 4.1.1.3 */ \
    R(DATA,     AT_R,           data,      data_early,    VERB_ARGLESS,  "need RCPT command first")                          /* 5321 4.1.1.4 */ \
    R(BDAT,     AT_R | AT_B,    bdat,      bdat_early,    VERB_CLEAR,    "need RCPT command first")                          /* 3030 2 */ \
    R(RSET,     AT_ANY,         rset,      bad_order,     VERB_JUNK | VERB_ARGLESS | VERB_CLEAR, "")                                /* 5321 4.1.1.5 */ \
    R(VRFY,     AT_ANY,         vrfy,      bad_order,     VERB_JUNK,     "")                                                 /* 5321 4.1.1.6 */ \
    R(EXPN,     AT_ANY,         not_here,  bad_order,     0,             "")                                                 /* 5321 4.1.1.7 */ \
    R(HELP,     AT_ANY,         help,      bad_order,     VERB_JUNK | VERB_CLEAR, "")                                       /* 5321 4.1.1.8 */ \
    R(NOOP,     AT_ANY,         noop,      bad_order,     VERB_JUNK | VERB_CLEAR, "")                                       /* 5321 4.1.1.9 */ \
    R(QUIT,     AT_ANY,         quit,      bad_order,     VERB_ARGLESS | VERB_CLEAR, "")                                    /* 5321 4.1.1.10 */ \
    R(STARTTLS, AT_C | AT_H,    starttls,  starttls_late, VERB_ARGLESS | VERB_CLEAR, "STARTTLS within a transaction; RSET first") /* 3207 4 */ \
    R(AUTH,     AT_H,           smtp_server_begin_auth, bad_order, 0,    "AUTH within a transaction; RSET first")                                                 /* 4954 4 */ \
    R(ETRN,     AT_ANY,         not_here,  bad_order,     0,             "")                                                 /* 1985 5 */ \
    R(TURN,     AT_ANY,         not_here,  bad_order,     0,             "")                                                 /* 5321 F.1 */ \
    R(XCLIENT,  AT_C | AT_H,    xclient,   xclient_late,  0,             "finish or RSET the transaction first")             /* XCLIENT_README */

/* A move: takes what follows the verb, writes its reply or sets s->awaiting. */
typedef void smtp_server_move_fn(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx);

struct smtp_server_row {
    uint32_t phases;                /* AT_ bits */
    smtp_server_move_fn *move;      /* in these phases */
    smtp_server_move_fn *elsewhere; /* in all others */
    uint32_t flags;                 /* VERB_ bits */
    const char *words;              /* what bad_order says */
};
/* server_auth.c: AUTH, and a line behind a challenge. */
smtp_server_move_fn smtp_server_begin_auth;
void smtp_server_auth_line(struct smtp_server *s, struct bytes line);
/* smtp_server_put_auth - the line of EHLO's answer that names the mechanisms, if they are offered now. */
void smtp_server_put_auth(const struct smtp_server *s, struct buf *text);

extern const struct smtp_server_row smtp_server_rows[SMTP_VERB_COUNT];

#define ENHANCED(c, s, d) ((struct enhanced){(c), (s), (d)})

/* smtp_server_say - one reply; counts a 2yz as done for the last verb. */
void smtp_server_say(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text);
/* smtp_server_fault - one reply that costs the client a part of its error budget; beyond the budget the session ends. */
void smtp_server_fault(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text);
/* smtp_server_end - the last reply: the session is closed. */
void smtp_server_end(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text);
/* smtp_server_end_host - the same with our host name before the text, as 421 wants it (RFC 5321 4.2.3). */
void smtp_server_end_host(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, const char *text);
/* smtp_server_policy - a policy answer: its words made safe; 5yz costs budget, 421 ends. `ok`, `no` are the status codes when it has none. */
void smtp_server_policy(struct smtp_server *s, struct smtp_server_effects *fx, const struct smtp_policy_answer *a, struct enhanced ok,
                        struct enhanced no);
/* smtp_server_reset - the one way out of a transaction. The process is told by SMTP_NEED_ABORT, unless it knows (s->transaction false). */
void smtp_server_reset(struct smtp_server *s);

/* smtp_server_refuse_chunk - end the transaction, eat `bytes` octets unseen, and then give the answer (RFC 3030 2: discard before the reply). */
void smtp_server_refuse_chunk(struct smtp_server *s, struct smtp_server_effects *fx, uint64_t bytes, const struct smtp_policy_answer *a);
/* smtp_server_draining - octets of a refused chunk are being eaten: they are never commands. */
bool smtp_server_draining(const struct smtp_server *s);
/* smtp_server_drain / _feed_data / _feed_chunk - eat content. Return the octets eaten; 0 with s->awaiting unset and input left never happens. */
uint32_t smtp_server_drain(struct smtp_server *s, struct bytes in, struct smtp_server_effects *fx);
uint32_t smtp_server_feed_data(struct smtp_server *s, struct bytes in, uint64_t now_ms, struct smtp_server_effects *fx);
uint32_t smtp_server_feed_chunk(struct smtp_server *s, struct bytes in, uint64_t now_ms, struct smtp_server_effects *fx);
/* smtp_server_begin_content - for DATA and the first BDAT: readers made fresh, SMTP_NEED_BODY. */
void smtp_server_begin_content(struct smtp_server *s);

/* smtp_server_hello - HELO or EHLO was said. */
void smtp_server_hello(struct smtp_server *s, struct bytes name, bool extended);
/* smtp_server_banner - 220, and HELO is awaited. */
void smtp_server_banner(struct smtp_server *s, struct smtp_server_effects *fx);

#endif
