/*
 * mtactl - what the files of the operator's tool share.
 *
 * mtactl sends one request line (mta/ipc/admin.h) to the control socket and shows the rows that come back: as they are with --json, else as tables.
 * It decides nothing about rights; it asks for --yes before what cannot be taken back. Exit codes are ADMIN_ values.
 */
#ifndef TOOLS_MTACTL_H
#define TOOLS_MTACTL_H

#include <stdbool.h>
#include <stdio.h>

#include "base/json.h"
#include "mta/ipc/admin.h"
#include "mta/ipc/ipc.h"

enum { WORDS_MAX = 256 };             /* of the command line; ids mostly */

enum format { FORMAT_TABLE = 0, FORMAT_JSON, FORMAT_POSTFIX_JSON, FORMAT_MAILQ };

struct ctl {                          /* the command line */
    bool json, yes, no_color, quiet, help;
    enum format format;               /* of queue list */
    const char *socket;               /* --socket, or NULL */
    const char *config;               /* -c, or NULL */
    const char *auth;                 /* --auth, or NULL */
    const char *stopped;              /* --stopped DIR, or NULL */
    struct ipc_admin ask;             /* filters */
    const char *words[WORDS_MAX];     /* command and its arguments */
    uint32_t word_count;
};

/* Each command: from its arguments (words behind the command's own) to the exit code. */
int command_status(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_list(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_show(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_count(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_check(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_hold(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_release(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_flush(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_retry_at(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_bounce(struct ctl *c, const char *const *arguments, uint32_t count);
int command_queue_discard(struct ctl *c, const char *const *arguments, uint32_t count);
int command_site_list(struct ctl *c, const char *const *arguments, uint32_t count);
int command_site_show(struct ctl *c, const char *const *arguments, uint32_t count);
int command_site_suspend(struct ctl *c, const char *const *arguments, uint32_t count);
int command_site_resume(struct ctl *c, const char *const *arguments, uint32_t count);
int command_crash_list(struct ctl *c, const char *const *arguments, uint32_t count);
int command_crash_show(struct ctl *c, const char *const *arguments, uint32_t count);
int command_crash_export(struct ctl *c, const char *const *arguments, uint32_t count);
int command_crash_clear(struct ctl *c, const char *const *arguments, uint32_t count);
int command_explain(struct ctl *c, const char *const *arguments, uint32_t count);
int command_user_add(struct ctl *c, const char *const *arguments, uint32_t count);
int command_user_passwd(struct ctl *c, const char *const *arguments, uint32_t count);
int command_user_del(struct ctl *c, const char *const *arguments, uint32_t count);
int command_user_list(struct ctl *c, const char *const *arguments, uint32_t count);
int command_table_list(struct ctl *c, const char *const *arguments, uint32_t count);
int command_table_lookup(struct ctl *c, const char *const *arguments, uint32_t count);
int command_table_reload(struct ctl *c, const char *const *arguments, uint32_t count);
int command_tls_reload(struct ctl *c, const char *const *arguments, uint32_t count);
int command_config_check(struct ctl *c, const char *const *arguments, uint32_t count);
int command_config_show(struct ctl *c, const char *const *arguments, uint32_t count);

/* usage - one line to standard error; ADMIN_USAGE. */
int usage(const char *text, const char *word);

/* ---- link.c ---- */
struct ending { int status; uint64_t messages, recipients, octets, left; };
/*
 * link_ask - one request and its answer.
 * In       row      called with each row (one JSON object, no newline), may be NULL
 * Out      *end     sums; end->status is the exit code. What is wrong was said on standard error.
 * Returns  end->status
 */
int link_ask(const struct ctl *c, const struct ipc_admin *m, void (*row)(void *context, struct bytes json), void *context, struct ending *end);

/* ---- show.c: text for people ---- */
/* Texts of foreign origin are printed with control octets escaped. Columns are padded; a text that is too long moves the rest of its line. */
void show_text(struct bytes text, int width);
void show_member(struct bytes object, const char *key, int width);
void show_age(int64_t seconds, int width);
void show_size(uint64_t octets, int width);
void show_time(int64_t wall_s);
/* show_plural - "3 messages". */
void show_plural(uint64_t n, const char *one);
void show_counts(uint64_t messages, uint64_t recipients, uint64_t octets);
/* show_alarm - red when standard output is a terminal; show_plain ends it. */
void show_alarm(const struct ctl *c);
void show_plain(const struct ctl *c);
int64_t show_now(void);
/* member_number, member_is_true, member_text - of a row; 0, false, "" when it is not there. The text is good until the next call. */
int64_t member_number(struct bytes object, const char *key);
bool member_is_true(struct bytes object, const char *key);
struct bytes member_text(struct bytes object, const char *key);
void print_json_line(const struct buf *b);

/* ---- stopped.c ---- */
int check_stopped(const struct ctl *c);

#endif
