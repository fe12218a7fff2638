/*
 * send - sends mail and measures: `mtabench send`.
 *
 * Closed loop: each session sends its next message as soon as the last one was answered. Open loop (--rate): message n is due at a time that depends on
 * n alone, and its latency counts from then, whether or not a session was free: a server that stalls shows the stall in every message that it held up.
 * send.c has the loop, the times and the queue of what is to be sent; send_session.c speaks SMTP; send_report.c tells.
 */
#ifndef MTABENCH_SEND_H
#define MTABENCH_SEND_H

#include "base/heap.h"
#include "bench/mtabench/histogram.h"
#include "bench/mtabench/ledger.h"
#include "bench/mtabench/text.h"
#include "bench/mtabench/values.h"
#include "bench/mtabench/wire.h"
#include "smtp/reply.h"

enum { SEND_TARGETS_MAX = 64, SEND_PATTERNS_MAX = 64, SEND_PATTERN_BYTES_MAX = 320 };

/* How far ahead of the answers it speaks, where the server offers PIPELINING. */
enum send_pipelining {
    SEND_LOCKSTEP = 0, /* a command, an answer */
    SEND_FLIGHT,       /* MAIL, RCPT, DATA together */
    SEND_FULL,         /* the end of one message and MAIL, RCPT, DATA of the next together */
};

struct send_options {
    struct net_address targets[SEND_TARGETS_MAX]; /* sessions take them in turn */
    uint32_t target_count;
    uint64_t sessions, idle_sessions;
    uint64_t messages_max, run_ns;  /* end after so many, or that time; 0 = no such end */
    uint64_t interval_ns;           /* open loop: between two messages; 0 = closed loop */
    uint64_t per_connection;        /* messages; 0 = as many as there are */
    uint64_t recipients;            /* a message */
    uint64_t cycle;                 /* {n} counts 0..cycle-1; 0 = on and on */
    uint64_t timeout_ns;            /* for an answer */
    uint64_t give_up_ns;            /* end when no message has come to an end for so long */
    uint64_t resend_ns;             /* what was refused for now, or not answered, is sent again after this; 0 = it is not */
    uint8_t pipelining;             /* enum send_pipelining */
    bool resend, has_source, json, quiet;
    struct address_range source;    /* sessions take its addresses in turn */
    struct size_mix sizes;
    struct bytes from, helo, run;
    struct bytes to[SEND_PATTERNS_MAX]; /* recipients take them in turn */
    uint32_t to_count;
    const char *ledger;
};

struct send_counts {
    uint64_t begun;                     /* messages; one that is sent again counts once */
    uint64_t acknowledged, recipients;  /* taken by the server; their recipients */
    uint64_t later, never, refused_recipients; /* messages refused with 4yz, 5yz; recipients refused of messages that were taken */
    uint64_t unanswered;                /* messages whose end was sent and never answered: they may have been taken */
    uint64_t resent;
    uint64_t connections, failed_connections, lost_connections, timeouts;
    uint64_t bytes;                     /* of acknowledged messages */
};

enum send_phase { PHASE_CONNECT = 0, PHASE_GREETING, PHASE_END_OF_DATA, PHASE_MESSAGE, PHASE_COUNT };

struct send_message {
    bool active;
    uint64_t number, due_ns; /* due_ns: where its latency begins */
    uint64_t end_ns;         /* when its end of data was sent */
    uint32_t bytes;
    uint32_t accepted;       /* recipients */
    uint16_t refusal;        /* the first code that refused anything, 0 = none */
};

struct send_session {
    int fd; /* -1 = no connection */
    uint32_t index;
    bool connecting, receiving, sending, shut; /* under way */
    bool starting;      /* counted in starting_count */
    bool idle;          /* one of --idle: never sends a message */
    bool ready;         /* greeted, and nothing to do */
    bool in_ready_list;
    bool extended, pipelining; /* of this server */
    bool reset_due;     /* a transaction is open over there that nobody wants */
    bool asked_to_quit;
    bool useful;        /* a message came to its end on this connection; after one that was not, there is a pause */
    uint8_t awaits;     /* enum send_answer */
    uint8_t todo;       /* enum send_todo: to be said as soon as the last send has left */
    uint8_t follows;    /* enum send_answer: what was said behind the end of data, whose answer comes next */
    uint32_t rcpt;      /* the recipient that is awaited or to be said */
    uint32_t messages;  /* begun on this connection */
    uint64_t began_ns, heard_ns;
    struct send_message open;    /* between MAIL and the end of data */
    struct send_message closing; /* its end of data was sent */
    struct heap_node timer;      /* when to connect again */
    struct msghdr message;
    struct iovec iov[3];
    struct buf commands;
    struct smtp_reply reply;
    uint8_t head[TEXT_HEAD_BYTES_MAX];
};

struct send_waiting { /* to be sent (again) */
    uint64_t number, due_ns, not_before_ns;
};

struct send {
    const struct send_options *options;
    struct wire wire;
    struct text text;
    struct ledger ledger;
    struct send_session *sessions;
    uint32_t session_count, open_count;
    uint32_t starting_count;                /* connections that are not greeted yet: each will take a message */
    uint32_t *ready_list, ready_count;      /* sessions that wait for a message; some may be gone or busy again */
    uint32_t *closed_list, closed_count;    /* sessions without a connection that may have one at any time */
    struct heap timers;
    struct send_waiting *waiting; /* a ring */
    uint64_t waiting_first, waiting_count, waiting_cap;
    uint64_t began_ns, now_ns, last_end_ns;
    uint64_t taken;    /* numbers given out */
    bool over;         /* no new message begins */
    const char *fatal; /* why it ends early; NULL = it does not */
    struct send_counts counts;
    struct histogram latency[PHASE_COUNT], before; /* before: PHASE_MESSAGE at the last progress line */
};

/* ---- send.c ---- */

/* send_main - the subcommand: argv[0] is its name. Returns the exit code. */
int send_main(int argc, char **argv);
int send_run(const struct send_options *o);

/* send_take - the next message that is due, if there is one and it may begin. */
bool send_take(struct send *k, struct send_message *m);
/* send_give_back - a message that the server has never seen the end of: it goes on another connection. */
void send_give_back(struct send *k, const struct send_message *m);
/* send_end - a message came to its end: acknowledged, refused with a code, or (code 0) unanswered. */
void send_end(struct send *k, const struct send_message *m, uint16_t code);

/* ---- send_session.c ---- */

void send_session_connect(struct send *k, struct send_session *s);
void send_session_event(struct send *k, const struct wire_event *e);
/* send_session_go - a ready session looks for something to do: the next message, or QUIT. */
void send_session_go(struct send *k, struct send_session *s);
/* send_session_late - no answer came in time. send_session_end - the run is over: hang up. */
void send_session_late(struct send *k, struct send_session *s);
void send_session_end(struct send *k, struct send_session *s);
/* send_session_commands_bytes - the room that s->commands needs. */
uint32_t send_session_commands_bytes(const struct send_options *o);

/* ---- send_options.c ---- */

/* send_parse - the command line. TOOL_OK; -1 when only help was wanted; else what to exit with, after a word about it. */
int send_parse(int argc, char **argv, struct send_options *o);

/* send_pattern - append `pattern` with {n} and {r} replaced by these numbers. */
void send_pattern(struct buf *out, struct bytes pattern, uint64_t n, uint64_t r);
/* send_pattern_valid - no blank, bracket or control octet that could end the command, and not too long. */
bool send_pattern_valid(struct bytes pattern);

/* ---- send_report.c ---- */

void send_progress(struct send *k, uint64_t acknowledged_before, uint64_t span_ns);
void send_table(const struct send *k);
void send_json(const struct send *k);

#endif
