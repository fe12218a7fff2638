/*
 * client_table - the client's side of the protocol on one screen: the step whose answer is awaited, what may come, and the move it makes.
 *
 * Private to the client machine (client.c drives, client_moves.c moves, client_say.c speaks) and its test. A row with a missing cell does
 * not compile. `delivered` stands in one cell only, `maybe_dup` in the three beside it; the test asserts both.
 */
#ifndef SMTP_CLIENT_TABLE_H
#define SMTP_CLIENT_TABLE_H

#include "smtp/client.h"

#define SMTP_CLIENT_MOVES(M) \
    M(say_hello)   /* EHLO, or HELO when that is all we may try */ \
    M(read_caps)   /* greeted, with what the remote offers */ \
    M(say_helo)    /* EHLO is not known there */ \
    M(greeted)     /* greeted, nothing is offered */ \
    M(begin_tls)   /* the remote waits for the handshake */ \
    M(no_tls)      /* it does not want to: in the clear, unless the policy forbids that */ \
    M(next_host)   /* the host failed; recipients without a verdict go on to the next */ \
    M(helo_next)   /* the same, and HELO on a new connection may work */ \
    M(mail_ok)     /* a transaction is open over there */ \
    M(rcpt_ok)     /* one recipient taken */ \
    M(rcpt_temp)   /* one recipient later */ \
    M(rcpt_perm)   /* one recipient never */ \
    M(mesg_temp)   /* all recipients later, because of the message */ \
    M(mesg_perm)   /* all recipients never, because of the message */ \
    M(mesg_close)  /* all recipients later, and the connection cannot be used on */ \
    M(site_temp)   /* all recipients later, because of the host */ \
    M(send_body)   /* content wanted */ \
    M(delivered)   /* the remote has taken the message over for every recipient that it took */ \
    M(maybe_dup)   /* the remote may have: later, perhaps twice */ \
    M(idle)        /* ready for the next message */ \
    M(say_quit)    /* nobody needs the connection */ \
    M(close)       /* closed; nobody is to blame */
#define SMTP_CLIENT_MOVE_ENUM(m) SMTP_MOVE_##m,
enum smtp_client_move { SMTP_CLIENT_MOVES(SMTP_CLIENT_MOVE_ENUM) SMTP_MOVE_COUNT };

/*    step    wait_s  2xx        3xx         4xx        5xx        421         junk       gone       late        while ...                                  RFC 5321 */
#define SMTP_CLIENT_ROWS(R) \
    R(BANNER, 300, say_hello, next_host,  next_host, next_host, next_host,  next_host, next_host, next_host, "receiving the initial server greeting") /* 3.1, 4.5.3.2.1 */ \
    R(EHLO,   300, read_caps, next_host,  next_host, say_helo,  next_host,  next_host, helo_next, next_host, "performing the EHLO handshake")         /* 4.1.1.1 */ \
    R(HELO,   300, greeted,   next_host,  next_host, next_host, next_host,  next_host, next_host, next_host, "performing the HELO handshake")         /* 4.1.1.1 */ \
    R(STARTTLS, 300, begin_tls, next_host, no_tls,   no_tls,    next_host,  next_host, next_host, next_host, "performing STARTTLS")                  /* 3207 4 */ \
    R(TLS,     60, next_host, next_host,  next_host, next_host, next_host,  next_host, next_host, next_host, "performing the TLS handshake")         /* 3207 4.1 */ \
    R(MAIL,   300, mail_ok,   site_temp,  mesg_temp, mesg_perm, site_temp,  site_temp, next_host, next_host, "sending MAIL FROM")                     /* 4.1.1.2 */ \
    R(RCPT,   300, rcpt_ok,   site_temp,  rcpt_temp, rcpt_perm, site_temp,  site_temp, next_host, next_host, "sending RCPT TO")                       /* 4.1.1.3 */ \
    R(DATA,   120, site_temp, send_body,  mesg_temp, mesg_perm, site_temp,  site_temp, next_host, next_host, "sending DATA command")                  /* 4.1.1.4 */ \
    R(BODY,   180, site_temp, site_temp,  mesg_temp, mesg_perm, site_temp,  site_temp, next_host, next_host, "sending message body")                  /* 4.5.3.2.5 */ \
    R(DOT,    600, delivered, mesg_close, mesg_temp, mesg_perm, mesg_close, maybe_dup, maybe_dup, maybe_dup, "sending end of data")                   /* 4.5.3.2.6, RFC 1047 */ \
    R(RSET,    60, idle,      close,      close,     close,     close,      close,     close,     close,     "sending RSET")                          /* 4.1.1.5 */ \
    R(QUIT,    10, close,     close,      close,     close,     close,      close,     close,     close,     "sending QUIT")                          /* 4.1.1.10 */ \
    R(IDLE,    60, close,     close,      close,     close,     close,      close,     close,     say_quit,  "being idle")                            /* 3.8 */

struct smtp_client_row {
    uint32_t wait_s;                /* default of the configuration */
    uint8_t on[SMTP_ANSWER_COUNT];  /* enum smtp_client_move */
    const char *doing;              /* for "lost connection with X while ..." */
};
extern const struct smtp_client_row smtp_client_rows[SMTP_CLIENT_STEP_COUNT];

/* A move: p is the command whose answer came (for a row that awaits none: the row itself). */
typedef void smtp_client_move_fn(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx);
extern smtp_client_move_fn *const smtp_client_moves[SMTP_MOVE_COUNT];

/* What is to be said next. Moves choose; client_say.c writes it as soon as there is room, and the remote may be spoken to. */
enum smtp_client_say {
    SMTP_SAY_NOTHING = 0,
    SMTP_SAY_EHLO,
    SMTP_SAY_HELO,
    SMTP_SAY_STARTTLS,
    SMTP_SAY_FLIGHT,    /* MAIL, RCPTs and DATA of the job */
    SMTP_SAY_EMPTY_DOT, /* DATA was taken though no recipient was */
    SMTP_SAY_RSET,
    SMTP_SAY_QUIT,
    SMTP_SAY_COUNT
};

/* smtp_client_speak - write what is to be said, as far as room, ring and PIPELINING allow. */
void smtp_client_speak(struct smtp_client *c, struct smtp_client_effects *fx);
/* smtp_client_push - a command was written, or the end of the content: its answer is awaited. */
void smtp_client_push(struct smtp_client *c, enum smtp_client_step step, uint32_t rcpt);
/* smtp_client_begin_job - greeted and given a job: judge what the remote's offers rule out, and make the flight ready. */
void smtp_client_begin_job(struct smtp_client *c);
/* smtp_client_settle - the end of a job, when nothing of it is under way any more. */
void smtp_client_settle(struct smtp_client *c, struct smtp_client_effects *fx);
/* smtp_client_hang_up - nothing more can be done on this connection. */
void smtp_client_hang_up(struct smtp_client *c, const struct verdict *site, struct smtp_client_effects *fx);

#endif
