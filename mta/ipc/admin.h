/*
 * admin - the verbs that the control process asks of the manager.
 */
#ifndef MTA_IPC_ADMIN_H
#define MTA_IPC_ADMIN_H

/*    NAME             destructive */
#define ADMIN_VERBS(V) \
    V(STATUS,          0) /* one row: queue totals, destinations suspended, auditor's sums, storage state */ \
    V(QUEUE_LIST,      0) /* a row a message, in slices of at most ADMIN_SLICE messages; cursor goes on */ \
    V(QUEUE_SHOW,      0) \
    V(QUEUE_COUNT,     0) \
    V(QUEUE_HOLD,      1) \
    V(QUEUE_RELEASE,   1) \
    V(QUEUE_FLUSH,     0) /* due now */ \
    V(QUEUE_RETRY_AT,  0) \
    V(QUEUE_BOUNCE,    1) \
    V(QUEUE_DISCARD,   1) \
    V(QUEUE_CHECK,     0) /* walks every invariant of the running queue */ \
    V(SITE_LIST,       0) \
    V(SITE_SHOW,       0) \
    V(SITE_SUSPEND,    1) \
    V(SITE_RESUME,     0)
#define ADMIN_VERB_ENUM(name, destructive) ADMIN_##name,
enum admin_verb { ADMIN_NONE = 0, ADMIN_VERBS(ADMIN_VERB_ENUM) ADMIN_VERB_COUNT };

/* State filter of queue verbs. */
enum admin_state { ADMIN_STATE_ANY = 0, ADMIN_STATE_ACTIVE, ADMIN_STATE_DEFERRED, ADMIN_STATE_HELD };

enum { ADMIN_SLICE = 200 }; /* messages a slice: a listing never holds the loop for longer than these take */

/* Exit codes of mtactl (docs/contract.md), also the status of ADMIN_END. */
enum { ADMIN_OK = 0, ADMIN_NEGATIVE = 1, ADMIN_USAGE = 2, ADMIN_UNREACHABLE = 3, ADMIN_REFUSED = 4, ADMIN_PARTIAL = 5 };

#endif
