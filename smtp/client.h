/*
 * client - the machine behind one connection to a remote server: replies in, commands and verdicts out.
 *
 * Sans-I/O. The whole protocol is one table (smtp/client_table.h): rows are the step whose answer is awaited, columns what came, cells
 * the move. One cell alone is `delivered`. The process owns the socket, the content, the clock; it calls, reads the effects, and acts.
 * A connection carries one message after another: start, ..., job_done, start, ... quit.
 *
 * Every recipient of a job ends in exactly one of these ways:
 *   - a verdict (delivered, later, never) was reported for it;
 *   - a verdict of class VERDICT_NONE was reported: it was not tried, since the remote takes only so many in one transaction
 *     (LIMITS RCPTMAX); the process puts it into another job, on this connection or another, at once and without blame;
 *   - nothing was reported and fx->next_host is set with fx->job_done: the host failed before anything could be delivered; the process
 *     tries the next host, or gives the recipient the verdict in fx->site when there is none.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/verdict.h"
#include "smtp/capabilities.h"
#include "smtp/reply.h"

/* Columns of the table. */
enum smtp_answer {
    SMTP_ANSWER_2XX = 0,
    SMTP_ANSWER_3XX,
    SMTP_ANSWER_4XX,
    SMTP_ANSWER_5XX,
    SMTP_ANSWER_421,  /* the service closes the connection */
    SMTP_ANSWER_JUNK, /* no reply by the grammar, or one that nobody asked for */
    SMTP_ANSWER_GONE, /* end of file or reset */
    SMTP_ANSWER_LATE, /* the deadline passed */
    SMTP_ANSWER_COUNT
};

/* Rows of the table: the step whose answer is awaited. BODY and IDLE await none: anything that comes there comes unasked. */
enum smtp_client_step {
    SMTP_CLIENT_BANNER = 0,
    SMTP_CLIENT_EHLO,
    SMTP_CLIENT_HELO,
    SMTP_CLIENT_STARTTLS,
    SMTP_CLIENT_TLS,  /* the handshake: no reply can come there, the process says how it went */
    SMTP_CLIENT_MAIL,
    SMTP_CLIENT_RCPT,
    SMTP_CLIENT_DATA,
    SMTP_CLIENT_BODY, /* content is being sent, its end is not */
    SMTP_CLIENT_DOT,
    SMTP_CLIENT_RSET,
    SMTP_CLIENT_QUIT,
    SMTP_CLIENT_IDLE,
    SMTP_CLIENT_STEP_COUNT
};

/* How much TLS the mail at hand wants. */
enum smtp_client_tls {
    SMTP_TLS_NEVER = 0,
    SMTP_TLS_MAY,      /* where it is offered and works; in the clear otherwise (RFC 7435) */
    SMTP_TLS_MUST,     /* never in the clear: not offered, refused and failed are failures of the host */
};

struct smtp_client_config { /* shared, outlives the client */
    /* By step, for the whole reply; BODY: between two reports of progress; IDLE: until QUIT is said. smtp_client_config_init() fills in. */
    uint64_t timeout_ms[SMTP_CLIENT_STEP_COUNT];
    uint32_t content_rate_min; /* octets a second that the remote must take, averaged over SMTP_CLIENT_RATE_WINDOW_MS; 0 = no minimum */
};

/* smtp_client_config_init - the timeouts of the table (RFC 5321 4.5.3.2). */
void smtp_client_config_init(struct smtp_client_config *config);

struct smtp_client_job { /* one message for one connection; memory of the process, valid until fx->job_done */
    struct bytes sender;     /* empty = <> */
    struct bytes rcpts;      /* flat list, base/envelope.h */
    uint32_t rcpt_count;     /* > 0 */
    uint32_t flags;          /* MAIL_ bits */
    uint8_t ret;             /* RET_ value */
    struct bytes envid;      /* xtext, or empty */
    uint64_t content_bytes;  /* prefix and body, for SIZE= */
};

/* smtp_client_job_check - whether a job that came from another process can be said on the wire: lengths, counts, no control octet, no
 * space in a parameter. smtp_client_start() takes only jobs that pass. O(recipients). */
must_use enum err smtp_client_job_check(const struct smtp_client_job *job);

enum {
    SMTP_CLIENT_PIPE_MAX = 256,            /* commands awaiting their reply; bounds what a pipelined flight may hold */
    SMTP_CLIENT_COMMAND_BYTES_MAX = 1536,  /* RCPT with address 320, ORCPT 500, NOTIFY; MAIL with address 320, ENVID 100, and the rest: < 1,000 */
    SMTP_CLIENT_RATE_WINDOW_MS = 60 * 1000, /* as for clients' content: short enough to end a sipper, long enough for a slow line */
    SMTP_CLIENT_TEXT_BYTES_MAX = 640,      /* our own words about a failure: a sentence and a host name with address */
};

/*
 * What the process must do, in this order: send out; act on the flags.
 * The machine only sets flags; the process clears them when it has acted. Verdicts come by callback.
 */
struct smtp_client_effects {
    struct buf out;       /* commands to send; the process's memory. Give SMTP_CLIENT_COMMAND_BYTES_MAX or more: with less nothing is written */
    bool more;            /* commands wait for room in out: call smtp_client_more() when there is some */
    bool want_tls;        /* begin the handshake; then smtp_client_secured() or smtp_client_tls_failed() */
    bool clear_next;      /* with next_host: TLS failed where it was not demanded: a new connection without it may work */
    bool want_content;    /* pump the content (dot-stuffed); see smtp_client_content_sent() */
    bool job_done;        /* the machine is through with the job; the connection is idle, or close is set too */
    bool close;           /* close the connection at once, after sending out if that is possible without waiting */
    bool next_host;       /* with job_done: recipients that have no verdict go to the next host */
    bool same_host;       /* with next_host: a reused connection broke before its MAIL was answered: no blame, try the same host anew first */
    bool helo_only_next;  /* with next_host: the remote closed upon EHLO: one new connection with smtp_client_helo_only() may work */
    struct verdict site;  /* with close: what the host did: class VERDICT_LATER, scope SITE; class VERDICT_NONE when it is not to blame
                             (idle, QUIT). Its text is borrowed until the next call */
};

/*
 * A verdict for recipients rcpt_first .. rcpt_first + rcpt_count - 1 (places in the job's list). Called from inside the functions below;
 * must not call the client. v->text is borrowed for the call.
 */
typedef void smtp_client_verdict_fn(void *context, uint32_t rcpt_first, uint32_t rcpt_count, const struct verdict *v);

struct smtp_client_pending {
    uint8_t step;       /* enum smtp_client_step */
    uint32_t rcpt;      /* index, for RCPT */
};

enum smtp_client_rcpt_state { SMTP_RCPT_OPEN = 0, SMTP_RCPT_TAKEN, SMTP_RCPT_JUDGED };

struct smtp_client {
    const struct smtp_client_config *config;
    smtp_client_verdict_fn *verdict;
    void *verdict_context;
    const struct smtp_client_job *job;     /* NULL = none */
    struct bytes helo_name, host_name;     /* borrowed from the process: ours; the remote's "name[address]", for texts */
    struct smtp_capabilities caps;
    struct smtp_reply reply;               /* the reply that is being read, or the last one */
    uint64_t deadline_ms;                  /* monotonic; call smtp_client_late() when it has passed; 0 = none */
    uint64_t rate_began_ms, rate_bytes;    /* content taken in the current window of the minimum rate; 0 = no window is open */
    uint32_t pending_head, pending_count;  /* ring of sent commands: the only receive state */
    struct smtp_client_pending pending[SMTP_CLIENT_PIPE_MAX];
    uint8_t say;                           /* what is to be said next (smtp/client_table.h) */
    uint8_t last_step, last_answer, last_move; /* of the last look-up, for a trace line */
    bool lmtp;                             /* reserved: LHLO, and one answer a recipient after the content */
    bool helo_only;                        /* EHLO is not tried */
    bool one_by_one;                       /* each command waits for the answer to the last, whatever is offered */
    uint8_t tls;                           /* enum smtp_client_tls */
    bool secured;                          /* the connection is under TLS */
    struct bytes tls_policy;               /* what wants it so, for texts; borrowed from the process */
    bool greeted;                          /* EHLO or HELO went well */
    bool closed;                           /* fx->close was given; nothing more happens */
    bool mail_sent, in_content;            /* for the job at hand */
    bool early;                            /* a reply began before the end of the content was sent: it cannot say that the content was taken */
    bool dirty;                            /* the remote may have an open transaction: RSET before the next */
    struct cursor rcpt_cursor;             /* next RCPT to send */
    uint32_t rcpt_sent, rcpt_limit;        /* RCPTs looked at so far; how many this transaction may hold */
    uint32_t rcpt_taken;                   /* in state TAKEN */
    uint8_t *rcpt_state;                   /* process's memory, enum smtp_client_rcpt_state for each recipient of the job */
    uint32_t messages;                     /* jobs begun (MAIL said) on this connection */
    uint32_t ehlo_line_len;                /* EHLO lines are cut from the raw octets for capabilities */
    uint32_t ehlo_lines;
    uint8_t ehlo_line[512];                /* RFC 5321 4.5.3.1.5; longer lines are cut, and then ignored */
    uint8_t text[SMTP_CLIENT_TEXT_BYTES_MAX]; /* our own words, for fx->site */
};

/* smtp_client_init - a connection was made: the banner is awaited. */
void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config, struct bytes helo_name, struct bytes host_name,
                      smtp_client_verdict_fn *verdict, void *context, uint64_t now_ms);

/* smtp_client_helo_only - right after init: say HELO, not EHLO. */
void smtp_client_helo_only(struct smtp_client *c);

/* smtp_client_one_by_one - right after init: never pipeline. For a remote whose every answer is to be seen alone. */
void smtp_client_one_by_one(struct smtp_client *c);

/*
 * smtp_client_use_tls - right after init: use TLS so. policy: its name, for the texts of failures; borrowed. Without this call: never.
 * smtp_client_secured - the handshake is done: after want_tls, or before the banner where TLS comes first (then call it before any feed).
 *   What the remote offered in the clear is forgotten (RFC 3207 4.2).
 * smtp_client_tls_failed - it was not: the connection is of no more use. why: for the text.
 */
void smtp_client_use_tls(struct smtp_client *c, enum smtp_client_tls tls, struct bytes policy);
void smtp_client_secured(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);
void smtp_client_tls_failed(struct smtp_client *c, struct bytes why, struct smtp_client_effects *fx);

/*
 * smtp_client_start - give it a message; only when smtp_client_can_start().
 * In       job, rcpt_state   valid until fx->job_done; rcpt_state is job->rcpt_count octets of the process's memory, zeroed here
 * May end the job at once (too large for SIZE, SMTPUTF8 not offered).
 */
void smtp_client_start(struct smtp_client *c, const struct smtp_client_job *job, uint8_t *rcpt_state, uint64_t now_ms,
                       struct smtp_client_effects *fx);

/* smtp_client_can_start - no job is there, nothing is awaited but the greeting, and neither the remote nor we end the connection.
 * False also when the remote's LIMITS MAILMAX is reached: say QUIT. */
bool smtp_client_can_start(const struct smtp_client *c);

/* smtp_client_feed - octets from the remote. smtp_client_gone - EOF or reset. smtp_client_late - the deadline passed. Ignored once closed. */
void smtp_client_feed(struct smtp_client *c, struct bytes in, uint64_t now_ms, struct smtp_client_effects *fx);
void smtp_client_gone(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);
void smtp_client_late(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);

/*
 * smtp_client_content_sent - the end of the content is about to be submitted: call it before that send is submitted, so that an answer, or a
 * loss, from then on is judged as one to the final dot. Only after want_content, once, and not after close.
 * smtp_client_content_progress - so many octets of content were taken by the network: the deadline moves, unless a whole window had too few.
 */
void smtp_client_content_sent(struct smtp_client *c, uint64_t now_ms);
void smtp_client_content_progress(struct smtp_client *c, uint32_t bytes, uint64_t now_ms);

/* smtp_client_quit - say QUIT; without a job only. Before the greeting it just closes. */
void smtp_client_quit(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);

/* smtp_client_more - room again in fx->out: go on saying what did not fit. */
void smtp_client_more(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);

/* smtp_client_check - invariants: ring, flags and counts. */
void smtp_client_check(const struct smtp_client *c);

#endif
