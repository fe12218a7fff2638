/*
 * server - the machine behind one client's session: bytes and answers of our own policy in, replies and needs out.
 *
 * Sans-I/O: the receiver process calls smtp_server_step() with what it read; the machine eats input until it needs something that only
 * the process can give (a decision about a sender or recipient, room for content, a commit), returns that need, and goes on when the
 * process has answered. The verbs, the phases in which each is allowed, and the move it makes are one table (smtp/server_table.h).
 * 250 after the content is reachable only through smtp_server_committed(): a test asserts that.
 * The machine stores no recipients: the process keeps the list; the machine counts.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/net.h"
#include "smtp/body.h"
#include "smtp/command.h"
#include "smtp/header.h"

enum { SMTP_COMMAND_LINE_BYTES_MAX = 4096 }; /* RFC 5321 4.5.3.1.4 (512) + RFC 1870, 3461, 6531 parameters, rounded up */
enum { SMTP_SERVER_OUT_BYTES_MIN = 4096 };   /* room that must be in fx->out for a step to produce replies */

struct smtp_server_config { /* shared by all sessions of a listener; outlives them */
    struct bytes hostname;
    uint64_t message_bytes_max;
    uint32_t rcpts_max;          /* per message: 452 4.5.3 beyond */
    uint32_t line_bytes_max;     /* content lines: line-octets, or 998 under strict */
    uint32_t errors_max;         /* error budget of a session: 421 4.7.0 beyond */
    uint32_t junk_max;           /* NOOP, RSET, HELO, VRFY without a transaction before it counts as an error */
    uint32_t hops_max;           /* Received fields: 554 5.4.6 beyond */
    enum smtp_bare_newline bare_newline;
    uint64_t command_timeout_ms; /* whole line */
    uint64_t data_timeout_ms;    /* between content octets */
    uint32_t data_rate_min;      /* content octets a second averaged over a minute; 0 = no minimum */
};

enum smtp_server_phase { SMTP_PHASE_CONNECTED = 0, SMTP_PHASE_HELLO, SMTP_PHASE_MAIL, SMTP_PHASE_RCPT, SMTP_PHASE_DATA, SMTP_PHASE_BDAT, SMTP_PHASE_WAIT, SMTP_PHASE_CLOSED, SMTP_PHASE_COUNT };

enum smtp_server_need {
    SMTP_NEED_INPUT = 0, /* everything given was eaten */
    SMTP_NEED_OUT,       /* fx->out has too little room: send, then step again */
    SMTP_NEED_SENDER,    /* s->mail is filled: answer with smtp_server_sender() */
    SMTP_NEED_RCPT,      /* s->rcpt is filled: answer with smtp_server_rcpt() */
    SMTP_NEED_BODY,      /* content begins: give room by smtp_server_room() */
    SMTP_NEED_ROOM,      /* the room is full: take what is in it, give new room by smtp_server_room() */
    SMTP_NEED_COMMIT,    /* the content is whole: take what is in the room, commit, answer with smtp_server_committed() or _refused() */
    SMTP_NEED_ABORT,     /* the transaction ended without a commit (RSET, EHLO, fault, error): forget list and content, then step again */
    SMTP_NEED_CLOSE,     /* send fx->out, then close */
};

struct smtp_server_counts { /* for the disconnect line: done/seen */
    uint16_t seen[SMTP_VERB_COUNT], done[SMTP_VERB_COUNT];
};

struct smtp_server {
    const struct smtp_server_config *config; /* borrowed */
    uint8_t phase;         /* enum smtp_server_phase */
    uint8_t awaiting;      /* the need that was returned and not answered yet */
    bool extended;         /* EHLO was said */
    bool skip_line;        /* an over-long line is being eaten */
    bool closing;
    uint32_t errors, junk;
    uint32_t rcpts;        /* accepted in this transaction */
    uint32_t line_len;     /* octets of an incomplete line in `line` */
    uint64_t deadline_ms;  /* monotonic; the process calls smtp_server_late() when it has passed; 0 = none */
    uint64_t data_began_ms, data_bytes;
    struct smtp_mail_args mail;   /* of the current or proposed transaction; envid borrows from envid_store */
    struct smtp_rcpt_args rcpt;   /* proposed recipient; orcpt borrows from the line until answered */
    struct smtp_body_reader body;
    struct smtp_chunk_reader chunk;
    struct smtp_header_scan header;
    uint32_t helo_len, envid_len;
    bool bdat, bdat_last;         /* the content comes by BDAT; the current chunk is the last */
    struct buf room;              /* where content goes; the process's memory */
    struct smtp_server_counts counts;
    uint8_t last_verb;            /* for "lost connection after X" */
    uint8_t helo[HOST_NAME_BYTES_MAX];
    uint8_t envid_store[MAIL_ENVID_BYTES_MAX];
    uint8_t line[SMTP_COMMAND_LINE_BYTES_MAX];
};

struct smtp_server_effects {
    struct buf out; /* replies; the process's memory; sent before anything else that the need asks for */
};

/* smtp_server_init - a new session. now_ms monotonic. */
void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config, uint64_t now_ms);

/* smtp_server_greet - write the 220 banner (or, with a refusal text, 421/554 and close). early_talker: the client spoke first (RFC 5321 3.1). */
void smtp_server_greet(struct smtp_server *s, struct smtp_server_effects *fx);

/*
 * smtp_server_step - eat input.
 * In       in      what was read and not eaten yet
 * Out      *used   octets eaten
 * Returns  the need that stopped it. SMTP_NEED_INPUT only when all was eaten.
 */
enum smtp_server_need smtp_server_step(struct smtp_server *s, struct bytes in, uint32_t *used, uint64_t now_ms, struct smtp_server_effects *fx);

/* Answers to needs. A policy verdict is a reply code and text: code 250 accepts. The session's tables decide nothing about policy. */
struct smtp_policy_answer {
    uint16_t code; /* 250, 4yz, 5yz; 421 also closes */
    struct enhanced enhanced;
    struct bytes text;
};
void smtp_server_sender(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);
void smtp_server_rcpt(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);
void smtp_server_room(struct smtp_server *s, struct buf room);
/* smtp_server_no_room - at SMTP_NEED_BODY: content cannot be taken now: the answer (452 4.3.1 ...) is given, the transaction ends. */
void smtp_server_no_room(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);
void smtp_server_committed(struct smtp_server *s, struct message_id id, uint64_t now_ms, struct smtp_server_effects *fx);
void smtp_server_refused(struct smtp_server *s, const struct smtp_policy_answer *a, uint64_t now_ms, struct smtp_server_effects *fx);

/* smtp_server_late - the deadline passed: 421 4.4.2, close. smtp_server_shutdown - we stop: 421 4.3.2 unless content is coming in or a commit is awaited (returns false then). */
void smtp_server_late(struct smtp_server *s, struct smtp_server_effects *fx);
bool smtp_server_shutdown(struct smtp_server *s, struct smtp_server_effects *fx);

/* smtp_server_check - invariants (must_slow inside): phase against counts. */
void smtp_server_check(const struct smtp_server *s);

#endif
