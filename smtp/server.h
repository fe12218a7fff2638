/*
 * server - the machine behind one client's session: octets and answers of our own policy in, replies and needs out.
 *
 * Sans-I/O: the receiver process calls smtp_server_step() with what it read; the machine eats input until it needs something that only
 * the process can give (a decision about a sender or recipient, room for content, a commit), returns that need, and goes on when the
 * process has answered. The verbs, the phases in which each is allowed, and the move it makes are one table (smtp/server_table.h).
 * 250 after the content is reachable only through smtp_server_committed(): a test asserts that.
 * The machine stores no recipients: the process keeps the list; the machine counts.
 *
 * How the process drives it:
 *   init, greet, then for each read: step() with the octets not eaten yet, act on the need, step() again, until SMTP_NEED_INPUT.
 *   After every answer step() again, with what is left of the input even if that is nothing: it sets the deadline.
 *   A need that was not answered is returned again and nothing is eaten: pipelined input stays unread.
 * The session struct must not be moved or copied: its slices point into itself.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/net.h"
#include "smtp/body.h"
#include "smtp/command.h"
#include "smtp/header.h"
#include "smtp/xclient.h"

enum {
    /* RFC 5321 4.5.3.1.4 says 512; the parameters of RFC 1870, 3461, 6152, 6531 add up to less than 2,000. With CR LF. */
    SMTP_COMMAND_LINE_BYTES_MAX = 4096,
    /* An over-long line is eaten up to here for a polite 500; beyond it the session ends. */
    SMTP_SKIPPED_LINE_BYTES_MAX = 64 * 1024,
    /* Room that must be in fx->out for step() to go on (else SMTP_NEED_OUT), for greet(), and for every answer. */
    SMTP_SERVER_OUT_BYTES_MIN = 4096,
    /* One challenge, in base64; 334 and it must fit into the room that there is. */
    SMTP_CHALLENGE_BYTES_MAX = 3072,
    /* What of a policy answer's text is sent. */
    SMTP_POLICY_TEXT_BYTES_MAX = 512,
    /* Refused content is eaten to its end up to this many times message_bytes_max; beyond it the session ends. */
    SMTP_SERVER_DRAIN_FACTOR = 2,
    /* RCPTs over rcpts_max that are answered 452 in one transaction before each counts as an error (as Postfix's overshoot limit). */
    SMTP_SERVER_OVERSHOOT_MAX = 1000,
    /* The least that a room for content may take: a line end held back from the last read, and then some. */
    SMTP_SERVER_ROOM_BYTES_MIN = 16,
    /* The rate of content is averaged over this time. */
    SMTP_SERVER_RATE_WINDOW_MS = 60 * 1000,
};

struct smtp_server_config { /* shared by all sessions of a listener; outlives them */
    struct bytes hostname;
    struct bytes mail_domain;    /* for sendmail(1), which learns by XMAILDOMAIN what to put behind bare local parts; empty = not said */
    uint32_t auth_mechanisms;    /* SMTP_SASL_BITs (smtp/sasl.h); offered under TLS only (RFC 4954 4); 0 = no AUTH here */
    uint64_t message_bytes_max;  /* > 0 */
    uint32_t rcpts_max;          /* per message, > 0: 452 4.5.3 beyond; said in EHLO as LIMITS RCPTMAX */
    uint32_t line_bytes_max;     /* content lines without CR LF: line-octets, or 998 under strict */
    uint32_t errors_max;         /* error budget of a session: 421 4.7.0 beyond */
    uint32_t junk_max;           /* NOOP, RSET, HELO, EHLO, VRFY, HELP between two committed messages before each counts as an error */
    uint32_t hops_max;           /* Received fields: 554 5.4.6 beyond */
    enum smtp_bare_newline bare_newline; /* in DATA; commands and BDAT always refuse */
    uint64_t command_timeout_ms; /* whole line */
    uint64_t data_timeout_ms;    /* between content octets */
    uint32_t data_rate_min;      /* content octets a second averaged over SMTP_SERVER_RATE_WINDOW_MS; 0 = no minimum */
    bool tls_offered;            /* STARTTLS is in the answer to EHLO, until the session is under TLS */
    bool tls_required;           /* in the clear nothing but EHLO, NOOP, STARTTLS, QUIT and the like (RFC 3207 4): 530 5.7.0 */
};

enum smtp_server_phase {
    SMTP_PHASE_NEW = 0,   /* not greeted yet: input now is an early talker's */
    SMTP_PHASE_CONNECTED, /* greeted, no HELO */
    SMTP_PHASE_HELLO,     /* HELO or EHLO said, no transaction */
    SMTP_PHASE_AUTH,      /* within AUTH: a line is the client's answer to a challenge, and no command */
    SMTP_PHASE_MAIL,      /* sender taken, no recipient yet */
    SMTP_PHASE_RCPT,      /* at least one recipient taken */
    SMTP_PHASE_BDAT,      /* some chunks taken, between two BDAT commands */
    SMTP_PHASE_DATA,      /* content octets of DATA are awaited */
    SMTP_PHASE_CHUNK,     /* content octets of a BDAT chunk are awaited */
    SMTP_PHASE_COMMIT,    /* the content is whole, the process commits it */
    SMTP_PHASE_CLOSED,    /* the last reply is written */
    SMTP_PHASE_COUNT
};

enum smtp_server_need {
    SMTP_NEED_INPUT = 0, /* everything given was eaten */
    SMTP_NEED_OUT,       /* fx->out has less room than SMTP_SERVER_OUT_BYTES_MIN: send, then step again */
    SMTP_NEED_AUTH,      /* AUTH, or a line within it: s->auth says what came; answer with smtp_server_auth() */
    SMTP_NEED_SENDER,    /* s->mail is filled: answer with smtp_server_sender() */
    SMTP_NEED_RCPT,      /* s->rcpt is filled: answer with smtp_server_rcpt() */
    SMTP_NEED_XCLIENT,   /* s->xclient is what it said: answer with smtp_server_xclient() */
    SMTP_NEED_BODY,      /* content begins: smtp_server_room(), or smtp_server_no_room() */
    SMTP_NEED_ROOM,      /* the room is full: take what is in s->room, then smtp_server_room() or smtp_server_no_room() */
    SMTP_NEED_COMMIT,    /* the content is whole: take what is in s->room, commit, answer with smtp_server_committed() or _refused() */
    SMTP_NEED_ABORT,     /* the transaction ended without a commit (RSET, EHLO, fault): forget list and content, then step again */
    SMTP_NEED_TLS,       /* STARTTLS was said: answer with smtp_server_tls() */
    SMTP_NEED_CLOSE,     /* send fx->out, then close; an open transaction is forgotten (no SMTP_NEED_ABORT comes) */
    SMTP_NEED_COUNT
};

struct smtp_server_counts { /* for the disconnect line: done/seen. done counts 2yz answers; DATA and BDAT LAST only when committed */
    uint16_t seen[SMTP_VERB_COUNT], done[SMTP_VERB_COUNT]; /* saturate */
};

/* The process's answer to STARTTLS. */
enum smtp_tls_answer {
    SMTP_TLS_NOT_NOW = 0, /* 454 4.7.0: no key can be used for now */
    SMTP_TLS_GO,          /* 220: from here on the connection's octets are not the machine's, until smtp_server_secured() */
    SMTP_TLS_PIPELINED,   /* there is input behind the command already: somebody's injection, or a client that cannot do it. Closed. */
};

/* An answer of our policy. The machine's table decides nothing about policy. */
struct smtp_policy_answer {
    uint16_t code;            /* 250 accepts; 4yz, 5yz refuse; 421 also closes */
    struct enhanced enhanced; /* class 0: the machine puts in what fits the step and the code */
    struct bytes text;        /* '\n' separates lines; controls become '?'; cut to SMTP_POLICY_TEXT_BYTES_MAX; empty: the machine's words */
};

/* How an authentication goes on, as the process was told by who checks it. */
enum smtp_auth_result {
    SMTP_AUTH_CHALLENGE = 0, /* 334 */
    SMTP_AUTH_DONE,          /* 235 2.7.0: the session is authenticated to its end */
    SMTP_AUTH_FAILED,        /* 535 5.7.8, which costs error budget */
    SMTP_AUTH_MALFORMED,     /* 501 5.5.2 */
    SMTP_AUTH_CANCELLED,     /* 501 5.7.0: the client said `*' */
    SMTP_AUTH_NOT_NOW,       /* 454 4.7.0: it cannot be checked now, or too much was tried */
    SMTP_AUTH_TOO_MUCH,      /* 421 4.7.0, closed: this client has guessed too often */
    SMTP_AUTH_RESULT_COUNT
};

struct smtp_server_auth {   /* at SMTP_NEED_AUTH */
    uint8_t mechanism;      /* enum smtp_sasl_mechanism */
    bool begins;            /* AUTH itself was said; else it is a line behind a challenge */
    bool has_initial;       /* with an initial response */
    bool cancelled;         /* `*', or a line too long to be an answer: nobody need be asked */
    struct bytes text;      /* base64 of the response as it came, not judged yet (smtp_sasl_line()); in `line`, good until the answer */
};

struct smtp_server {
    const struct smtp_server_config *config; /* borrowed */
    uint8_t phase;         /* enum smtp_server_phase */
    uint8_t awaiting;      /* the need that was returned and not answered yet; SMTP_NEED_INPUT = none */
    uint8_t last_verb;     /* enum smtp_verb, for "lost connection after X" */
    uint8_t foreign;       /* enum smtp_foreign: it spoke another protocol, and the session has ended for it */
    bool xclient_offered;  /* by the process, to peers that may say XCLIENT */
    bool extended;         /* EHLO was said */
    bool transaction;      /* the process holds a sender, and perhaps recipients and content */
    bool abort_due;        /* SMTP_NEED_ABORT is to be returned next */
    bool tls;              /* the session is under TLS: set by smtp_server_secured(), kept to its end */
    bool authenticated;    /* SMTP_AUTH_DONE was answered */
    bool certificate;      /* set by the process: the client has shown a certificate that leads to a user, so EXTERNAL is offered */
    struct smtp_server_auth auth;
    bool handshaking;      /* 220 was said to STARTTLS, and smtp_server_secured() has not been called yet */
    bool stopping;         /* shutdown was asked for: 421 as soon as no content is under way */
    bool room_given;       /* smtp_server_room() answered SMTP_NEED_BODY: 354 or chunk octets come next */
    bool bdat, bdat_last;  /* the content comes by BDAT; the current chunk is the last */
    uint32_t errors, junk; /* against the budgets of the configuration */
    uint32_t rcpts;        /* accepted in this transaction */
    uint32_t rcpts_refused, rcpts_over; /* refused by policy; refused as too many */
    uint32_t line_len;     /* octets of an incomplete line in `line` */
    uint32_t line_skipped; /* octets eaten of an over-long line; 0 = not skipping */
    uint64_t deadline_ms;  /* monotonic; call smtp_server_late() when it has passed; 0 = none (the process is awaited) */
    uint64_t drain_bytes;  /* octets of a refused BDAT chunk that are still to be eaten unseen */
    uint64_t data_bytes;   /* content octets read in this transaction, with stuffing and ends */
    uint64_t rate_began_ms, rate_bytes; /* the current window of the minimum rate; 0 = no window is open */
    struct smtp_mail_args mail;   /* of the current or proposed transaction; envid borrows from envid_store */
    struct smtp_rcpt_args rcpt;   /* proposed recipient; orcpt borrows from `line` until answered */
    struct bytes xclient;         /* what follows XCLIENT; borrows from `line` until answered */
    struct smtp_body_reader body;
    struct smtp_chunk_reader chunk;
    struct smtp_header_scan header;
    struct buf room;              /* where content goes; the process's memory */
    struct smtp_policy_answer content_refusal; /* from smtp_server_no_room() in the middle of content, sent at its end; code 0 = none */
    struct smtp_server_counts counts;
    uint32_t helo_len;
    uint8_t helo[HOST_NAME_BYTES_MAX]; /* as given: printable ASCII */
    uint8_t envid_store[MAIL_ENVID_BYTES_MAX];
    uint8_t refusal_store[SMTP_POLICY_TEXT_BYTES_MAX]; /* text of content_refusal */
    uint8_t line[SMTP_COMMAND_LINE_BYTES_MAX];
};

struct smtp_server_effects {
    struct buf out; /* replies; the process's memory; sent before anything else that the need asks for. Never overflows. */
};

/* smtp_server_init - a new session; nothing is said yet. */
void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config);

/*
 * smtp_server_greet - write the 220 banner.
 * In       refusal  NULL; or 421 or 554 with its text, which is written instead, and the session closes (step gives SMTP_NEED_CLOSE)
 * Input given to step() before the greeting is an early talker's (RFC 5321 3.1): 554 5.5.1, closed, never executed.
 */
void smtp_server_greet(struct smtp_server *s, const struct smtp_policy_answer *refusal, uint64_t now_ms, struct smtp_server_effects *fx);

/*
 * smtp_server_step - eat input.
 * In       in      what was read and not eaten yet; may be empty
 * Out      *used   octets eaten, 0 <= *used <= in.len
 * Returns  the need that stopped it. SMTP_NEED_INPUT only when all was eaten.
 * Cost     O(octets eaten), no allocation
 */
enum smtp_server_need smtp_server_step(struct smtp_server *s, struct bytes in, uint32_t *used, uint64_t now_ms,
                                       struct smtp_server_effects *fx);

/*
 * smtp_server_sender / smtp_server_rcpt - answer SMTP_NEED_SENDER / SMTP_NEED_RCPT. Code 250: the process keeps s->mail's or s->rcpt's
 * values (copied, at the latest now). An answer to a session that closed meanwhile (late, shutdown) is ignored.
 */
void smtp_server_sender(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);
void smtp_server_rcpt(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);

/*
 * smtp_server_xclient - answer SMTP_NEED_XCLIENT.
 * In       a  220: the session begins anew with the banner, as that of the client that x describes; its HELO counts as said. Anything else
 *             refuses: 501, 421, 554; the last two end the session
 */
void smtp_server_xclient(struct smtp_server *s, const struct smtp_policy_answer *a, const struct smtp_xclient *x, struct smtp_server_effects *fx);

/* smtp_server_room - answer SMTP_NEED_BODY or SMTP_NEED_ROOM: a builder with SMTP_SERVER_ROOM_BYTES_MIN or more free, the machine's until the
 * next need. */
void smtp_server_room(struct smtp_server *s, struct buf room);

/*
 * smtp_server_no_room - answer SMTP_NEED_BODY or SMTP_NEED_ROOM: content cannot be taken; the process forgets list and content now.
 * At SMTP_NEED_BODY for DATA the answer (452 4.3.1 ...) is given at once; later, and for BDAT, at the end of the content, which is
 * eaten unseen.
 */
void smtp_server_no_room(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);

/* smtp_server_committed / smtp_server_refused - answer SMTP_NEED_COMMIT: "250 2.0.0 Ok: queued as ID", or the refusal. The process forgets
 * list and content. */
void smtp_server_committed(struct smtp_server *s, struct message_id id, struct smtp_server_effects *fx);
void smtp_server_refused(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx);

/*
 * smtp_server_auth - answer SMTP_NEED_AUTH (RFC 4954 4, 6). The octets of the client's line are wiped.
 * In       challenge  base64, for SMTP_AUTH_CHALLENGE; at most SMTP_CHALLENGE_BYTES_MAX
 */
void smtp_server_auth(struct smtp_server *s, enum smtp_auth_result result, struct bytes challenge, struct smtp_server_effects *fx);

/*
 * smtp_server_tls - answer SMTP_NEED_TLS (RFC 3207 4). After SMTP_TLS_GO step() eats nothing and returns SMTP_NEED_TLS until
 * smtp_server_secured(); the process sends what is in fx->out in the clear, and the handshake begins.
 */
void smtp_server_tls(struct smtp_server *s, enum smtp_tls_answer a, struct smtp_server_effects *fx);

/*
 * smtp_server_secured - the connection is under TLS now: after STARTTLS, or before the greeting where TLS comes first (RFC 8314 3.3).
 * Whatever the client said in the clear is forgotten (RFC 3207 4.2): EHLO has to be said again.
 */
void smtp_server_secured(struct smtp_server *s, uint64_t now_ms);

/* smtp_server_late - the deadline passed: 421 4.4.2 (if fx->out has room), close. */
void smtp_server_late(struct smtp_server *s, struct smtp_server_effects *fx);

/*
 * smtp_server_shutdown - we stop: 421 4.3.2 (if fx->out has room) and close.
 * Returns  true when that is said; false when content is coming in or a commit is awaited: the session goes on to the end of it,
 *          and then step() says it by itself
 */
bool smtp_server_shutdown(struct smtp_server *s, struct smtp_server_effects *fx);

/* smtp_server_content_8bit - at SMTP_NEED_COMMIT: the content (header or body) has octets over 127. */
bool smtp_server_content_8bit(const struct smtp_server *s);

/* smtp_server_protocol - what Received says behind "with" (RFC 3848, RFC 6531 4.3): SMTP, ESMTP or UTF8SMTP, with S behind ESMTP and
 * UTF8SMTP under TLS, and then A when the client is authenticated. */
struct bytes smtp_server_protocol(const struct smtp_server *s);

/* smtp_server_last_words - for the log's "lost connection after X": the last verb ("CONNECT" before any), "END-OF-MESSAGE" while a commit
 * is awaited. */
const char *smtp_server_last_words(const struct smtp_server *s);

/* smtp_server_check - invariants: phase against counts and flags. */
void smtp_server_check(const struct smtp_server *s);

#endif
