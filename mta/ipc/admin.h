/*
 * admin - what mtactl may ask: verbs, filters, and the line that carries them to the control process.
 *
 * A request is one line: "mta1 VERB key=value ...\n". Words are those of the tables below; blanks, `%`, control octets and all that is not ASCII
 * are written as %XX in values. The answer is lines of JSON, one object each, the last of which is {"end":{...}} with the exit code of mtactl.
 * The control process reads the line from somebody it does not trust: admin_line_parse() is fuzzed, and judges every value.
 */
#ifndef MTA_IPC_ADMIN_H
#define MTA_IPC_ADMIN_H

#include "base/bytes.h"
#include "base/err.h"

/*    NAME             word             changes  destructive: mtactl counts first and wants --yes */
#define ADMIN_VERBS(V) \
    V(STATUS,          "status",        0, 0) /* one row: queue totals, destinations suspended, auditor's sums, storage state */ \
    V(QUEUE_LIST,      "queue-list",    0, 0) /* a row a message, in slices of at most ADMIN_SLICE messages; cursor goes on */ \
    V(QUEUE_SHOW,      "queue-show",    0, 0) \
    V(QUEUE_COUNT,     "queue-count",   0, 0) \
    V(QUEUE_HOLD,      "queue-hold",    1, 1) \
    V(QUEUE_RELEASE,   "queue-release", 1, 1) \
    V(QUEUE_FLUSH,     "queue-flush",   1, 0) /* due now */ \
    V(QUEUE_RETRY_AT,  "queue-retry-at",1, 0) \
    V(QUEUE_BOUNCE,    "queue-bounce",  1, 1) \
    V(QUEUE_DISCARD,   "queue-discard", 1, 1) \
    V(QUEUE_CHECK,     "queue-check",   0, 0) /* walks every invariant of the running queue */ \
    V(SITE_LIST,       "site-list",     0, 0) \
    V(SITE_SHOW,       "site-show",     0, 0) \
    V(SITE_SUSPEND,    "site-suspend",  1, 1) \
    V(SITE_RESUME,     "site-resume",   1, 0) \
    V(CRASH_LIST,      "crash-list",    0, 0) /* without the octets */ \
    V(CRASH_SHOW,      "crash-show",    0, 0) \
    V(CRASH_CLEAR,     "crash-clear",   1, 1) /* one, or all */ \
    V(TABLE_LIST,      "table-list",    0, 0) /* the control process answers these */ \
    V(TABLE_LOOKUP,    "table-lookup",  0, 0) /* site = the table, to = the key */ \
    V(TABLE_RELOAD,    "table-reload",  1, 0) \
    V(TLS_RELOAD,      "tls-reload",    1, 0) /* the master's: certificates and keys are read again */ \
    V(EXPLAIN,         "explain",       0, 0) /* a receiver answers; to, from, client; domain = HELO, reason = login, site = listener */
#define ADMIN_VERB_ENUM(name, word, changes, destructive) ADMIN_##name,
enum admin_verb { ADMIN_NONE = 0, ADMIN_VERBS(ADMIN_VERB_ENUM) ADMIN_VERB_COUNT };

/*    kind    member of struct ipc_admin, key in the line */
#define ADMIN_KEYS(K) \
    K(flag,   dry_run,      "dry-run") \
    K(id,     message,      "id") \
    K(state,  state,        "state") \
    K(signed, older_s,      "older") \
    K(number, larger_bytes, "larger") \
    K(number, limit,        "limit") \
    K(number, number,       "number") \
    K(signed, at_wall_s,    "at") \
    K(text,   to,           "to") \
    K(text,   from,         "from") \
    K(text,   domain,       "domain") \
    K(text,   site,         "site") \
    K(text,   route,        "route") \
    K(text,   client,       "client") \
    K(text,   reason,       "reason")

/* State filter of queue verbs; the words are those of --state. */
enum admin_state { ADMIN_STATE_ANY = 0, ADMIN_STATE_ACTIVE, ADMIN_STATE_DEFERRED, ADMIN_STATE_HELD, ADMIN_STATE_COUNT };

enum {
    ADMIN_SLICE = 200,                  /* messages a slice: a listing never holds the loop for longer than these take */
    ADMIN_SLICE_BYTES = 256 * 1024,     /* rows of a slice; it ends behind the row that reaches this */
    ADMIN_LINE_BYTES_MAX = 8 * 1024,    /* a request line: all texts at their longest, every octet escaped, is less */
    ADMIN_TEXTS_BYTES_MAX = 2 * 1024,   /* all texts of a request, unescaped */
};

/* Exit codes of mtactl (docs/contract.md), also the status of ADMIN_END. */
enum { ADMIN_OK = 0, ADMIN_NEGATIVE = 1, ADMIN_USAGE = 2, ADMIN_UNREACHABLE = 3, ADMIN_REFUSED = 4, ADMIN_PARTIAL = 5 };

/* admin_verb_word - "queue-list". admin_verb_changes - needs the right to operate. admin_verb_destructive - mtactl wants --yes. */
const char *admin_verb_word(enum admin_verb verb);
bool admin_verb_changes(enum admin_verb verb);
bool admin_verb_destructive(enum admin_verb verb);
/* admin_state_find - ADMIN_STATE_COUNT for an unknown word. admin_state_word - "active". */
enum admin_state admin_state_find(struct bytes word);
const char *admin_state_word(enum admin_state state);

struct ipc_admin;
/* admin_line_put - the request as a line with its newline; members without a key (uid, cursor, request) are left out. Overflow as any buf. */
void admin_line_put(struct buf *line, const struct ipc_admin *m);

/*
 * admin_line_parse - a line, without its newline.
 * Out      *m      zeroed first; its texts lie in `texts`, a builder over ADMIN_TEXTS_BYTES_MAX octets
 *          *why    on failure: what is wrong, static storage
 * Errors   ERR_BAD_VERSION, ERR_BAD_TYPE (verb), ERR_BAD_VALUE, ERR_TOO_LONG
 */
must_use enum err admin_line_parse(struct bytes line, struct buf *texts, struct ipc_admin *m, const char **why);

#endif
