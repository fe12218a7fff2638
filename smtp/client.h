/*
 * client - the machine behind one connection to a remote server: replies in, commands and verdicts out.
 *
 * Sans-I/O. The whole protocol is one table (smtp/client_table.h): rows are the step whose answer is awaited, columns what came, cells
 * the move. One cell alone is `delivered`. The process owns the socket, the content, the clock; it calls, reads the effects, and acts.
 * A connection carries one message after another: start, ..., done (idle), start, ... quit.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/verdict.h"
#include "smtp/capabilities.h"
#include "smtp/reply.h"

/* Columns of the table. */
enum smtp_answer { SMTP_ANSWER_2XX = 0, SMTP_ANSWER_3XX, SMTP_ANSWER_4XX, SMTP_ANSWER_5XX, SMTP_ANSWER_421, SMTP_ANSWER_JUNK, SMTP_ANSWER_GONE, SMTP_ANSWER_LATE, SMTP_ANSWER_COUNT };

/* Rows of the table. */
enum smtp_client_step { SMTP_CLIENT_BANNER = 0, SMTP_CLIENT_EHLO, SMTP_CLIENT_HELO, SMTP_CLIENT_MAIL, SMTP_CLIENT_RCPT, SMTP_CLIENT_DATA, SMTP_CLIENT_DOT, SMTP_CLIENT_RSET, SMTP_CLIENT_QUIT, SMTP_CLIENT_IDLE, SMTP_CLIENT_STEP_COUNT };

struct smtp_client_config { /* shared, outlives the client */
    uint64_t timeout_ms[SMTP_CLIENT_STEP_COUNT]; /* whole reply, by step; defaults of RFC 5321 4.5.3.2 */
    uint64_t data_block_timeout_ms;              /* while content is being sent */
};

struct smtp_client_job { /* one message for one connection; memory of the process, valid until the job is done */
    struct bytes sender;     /* empty = <> */
    struct bytes rcpts;      /* flat list, base/envelope.h */
    uint32_t rcpt_count;
    uint32_t flags;          /* MAIL_ bits */
    uint8_t ret;
    struct bytes envid;
    uint64_t content_bytes;  /* prefix and body, for SIZE= */
};

enum { SMTP_CLIENT_PIPE_MAX = 256 }; /* commands awaiting their reply; bounds what a pipelined flight may hold */

/* What the process must do, in this order: send out; report verdicts; act on the flag. */
struct smtp_client_effects {
    struct buf out;           /* commands to send */
    bool want_content;        /* pump the content (dot-stuffed), then call smtp_client_content_sent() */
    bool want_empty_content;  /* 354 came though no recipient was taken: end at once with a lone dot (RFC 2920 3.1); the answer is discarded */
    bool job_done;            /* all recipients of the job have a verdict; the connection is idle, or closing */
    bool close;               /* close the connection (QUIT was answered, or it cannot be used) */
    bool next_host;           /* no recipient was judged: the site failed before MAIL; `site` says how */
    struct verdict site;      /* for next_host, and for an idle connection that broke */
};

/* A verdict for one recipient or for all that have none yet. Called from inside smtp_client_feed and friends. v->text is borrowed for the call. */
typedef void smtp_client_verdict_fn(void *context, uint32_t rcpt_first, uint32_t rcpt_count, const struct verdict *v);

struct smtp_client_pending {
    uint8_t step;       /* enum smtp_client_step */
    uint32_t rcpt;      /* index, for RCPT */
};

struct smtp_client {
    const struct smtp_client_config *config;
    smtp_client_verdict_fn *verdict;
    void *verdict_context;
    const struct smtp_client_job *job;     /* NULL = idle */
    struct bytes helo_name, host_name;     /* borrowed from the process: ours; the remote's, for texts */
    struct smtp_capabilities caps;
    struct smtp_reply reply;
    uint64_t deadline_ms;                  /* 0 = none */
    uint32_t pending_head, pending_count;  /* ring of sent commands */
    struct smtp_client_pending pending[SMTP_CLIENT_PIPE_MAX];
    struct cursor rcpt_cursor;             /* next RCPT to send */
    uint32_t rcpt_sent, rcpt_ok, rcpt_judged;
    uint32_t messages;                     /* carried over this connection */
    bool lmtp, no_pipelining;
    bool mail_sent, data_sent, in_content, mail_refused, empty_content, quitting, closed, maybe_duplicate;
    bool greeted;                          /* EHLO or HELO went well */
    uint32_t line_len;                     /* EHLO lines are cut from the raw octets for capabilities */
    uint8_t line[512];
    uint8_t *rcpt_state;                   /* process's memory, one octet for each recipient of the job: 0 open, 1 taken, 2 judged */
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config, struct bytes helo_name, struct bytes host_name,
                      smtp_client_verdict_fn *verdict, void *context, uint64_t now_ms);

/* smtp_client_start - give it a message; only when idle or before the greeting. rcpt_state: rcpt_count octets of the process's memory, zeroed here. */
void smtp_client_start(struct smtp_client *c, const struct smtp_client_job *job, uint8_t *rcpt_state, uint64_t now_ms, struct smtp_client_effects *fx);

/* smtp_client_feed - octets from the remote. smtp_client_gone - EOF or reset. smtp_client_late - the deadline passed. */
void smtp_client_feed(struct smtp_client *c, struct bytes in, uint64_t now_ms, struct smtp_client_effects *fx);
void smtp_client_gone(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);
void smtp_client_late(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);

/* smtp_client_content_sent - the content and its end were submitted: the final answer is awaited from now on. */
void smtp_client_content_sent(struct smtp_client *c, uint64_t now_ms);
/* smtp_client_content_progress - some content was taken by the remote: the block deadline moves. */
void smtp_client_content_progress(struct smtp_client *c, uint64_t now_ms);

/* smtp_client_quit - say QUIT when idle. */
void smtp_client_quit(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);

/* smtp_client_more - room again in fx->out: go on sending a flight that did not fit (many recipients). */
void smtp_client_more(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx);

#endif
