/*
 * sink - takes mail and counts it: `mtabench sink`. The loop, the sockets and the report; a session's protocol is in sink_session.h.
 */
#ifndef MTABENCH_SINK_H
#define MTABENCH_SINK_H

#include "bench/mtabench/sink_session.h"

enum { SINK_LISTENERS_MAX = 1024 };

struct sink_options {
    struct net_address listen[SINK_LISTENERS_MAX];
    uint32_t listen_count;
    uint64_t messages_max; /* end after so many; 0 = no such end */
    uint64_t run_ns;       /* end after that time; 0 = no such end */
    uint64_t idle_ns;      /* a connection that says nothing for so long is closed */
    uint64_t sessions_max; /* at once */
    const char *ledger, *counter; /* files, or NULL */
    bool quick_ack; /* acknowledge segments at once: some clients wait for that between the pieces of a message */
    bool json, quiet;
};

/* sink_main - the subcommand: argv[0] is its name. Returns the exit code. */
int sink_main(int argc, char **argv);

/* sink_parse - the command line; fills `common` with names, personalities and what is offered. TOOL_OK, or what to exit with after a word about it. */
int sink_parse(int argc, char **argv, struct sink_options *o, struct sink_common *common);

/* sink_run - take mail until the end that the options say, or a signal. */
int sink_run(const struct sink_options *o, struct sink_common *common);

/* sink_progress, sink_table, sink_json - what is said while it runs, and at the end. */
struct sink_state {
    const struct sink_common *common;
    uint64_t elapsed_ns;
    uint32_t sessions;
    uint64_t cpu_us, turns;
};
void sink_progress(const struct sink_state *s, uint64_t messages_before, uint64_t span_ns);
void sink_table(const struct sink_state *s);
void sink_json(const struct sink_state *s);

#endif
