/*
 * sink_session - the sink's side of one SMTP session: octets in, answers out. No sockets, and time comes in.
 *
 * It takes what any client may say and is lax about it: it is there to be cheap and to count. Content is scanned (bench/mtabench/scan.h) and thrown
 * away. Answers wait in `out`; when they may leave is decided here (personalities), and done by sink.c.
 */
#ifndef MTABENCH_SINK_SESSION_H
#define MTABENCH_SINK_SESSION_H

#include "bench/mtabench/ledger.h"
#include "bench/mtabench/personality.h"
#include "bench/mtabench/scan.h"

enum {
    SINK_LINE_BYTES_MAX = 2048,       /* of a command, as much as is looked at; longer ones get a 500 */
    SINK_OUT_BYTES_MAX = 1024 * 1024, /* answers that a client has not read; then the connection ends */
};

struct sink_counts {
    uint64_t connections, messages, recipients, bytes;
    uint64_t refused_recipients, refused_messages; /* by a personality */
    uint64_t dropped;                              /* connections, by a personality */
    uint64_t unnamed;                              /* messages without a name of the generator's */
    uint64_t damaged;                              /* messages whose last line is not the name of their header */
};

/* What all sessions share. */
struct sink_common {
    struct bytes hostname;
    bool no_pipelining, no_ehlo; /* offer less */
    struct personalities people;
    struct ledger ledger;
    struct sink_counts counts;
    struct hash_key *key; /* for the greylist */
    uint64_t now_ns;      /* of this turn */
};

struct sink_out {
    uint8_t *ptr; /* owned */
    uint32_t len, cap;
};

struct sink_session {
    bool content;        /* octets of a message are read, no commands */
    bool mail;           /* a transaction is open */
    bool too_long;       /* the current line has more than is kept */
    bool ending;         /* nothing more is read; what is in `out` still leaves */
    uint32_t rcpts;      /* taken in this transaction */
    uint32_t line_len;
    uint16_t late_code;  /* the message is refused with it at its end; 0 = it is taken */
    bool late_drop;      /* the connection ends with the message's end */
    uint64_t slow_ns;    /* the answer to the message's end comes that much later */
    uint64_t tarpit_ns;  /* a line each ...; 0 = all at once */
    uint64_t hold_ns;    /* nothing leaves before that time */
    uint64_t sender;     /* hash, for the greylist */
    struct sink_out out;
    struct scan scan;
    uint8_t line[SINK_LINE_BYTES_MAX];
};

/* sink_session_greet - a new session; `own` is the address that the client has come to. */
void sink_session_greet(struct sink_session *s, struct sink_common *k, const struct net_address *own);

/* sink_session_input - everything that was read. */
void sink_session_input(struct sink_session *s, struct sink_common *k, struct bytes in);

/* sink_session_leaving - how many octets of s->out may leave now; with a tarpit, a line, and the next one waits. */
uint32_t sink_session_leaving(struct sink_session *s, uint64_t now_ns);

#endif
