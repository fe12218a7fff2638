/*
 * manager - what the files of the manager process share. The card is in main.c.
 *
 * The manager keeps the queue and decides; it reads no foreign octet but through messages that were checked, and never scans mail content.
 * Objects that cross a channel (pending commits, connections, attempts, lookups) live in fixed tables and are named by handles: index and generation
 * in one u64, never reused, so that a late or forged answer finds nothing.
 */
#ifndef MTA_MANAGER_MANAGER_H
#define MTA_MANAGER_MANAGER_H

#include <assert.h>

#include "base/envelope.h"
#include "base/hash.h"
#include "base/verdict.h"
#include "mta/config/config.h"
#include "mta/ipc/admin.h"
#include "mta/ipc/hosts.h"
#include "mta/ipc/ipc.h"
#include "mta/process/process.h"
#include "queue/queue.h"

enum {
    MANAGER_COMMITS_MAX = 8192,       /* COMMITs that wait for their sync: many groups' worth */
    MANAGER_ATTEMPTS_MAX = 16384,     /* jobs in hand: bounds memory and what a manager's death repeats */
    MANAGER_CONNECTIONS_MAX = 16384,  /* outgoing, open or being made */
    MANAGER_SITES_MAX = 65536,        /* destinations that are being worked on */
    MANAGER_MAILBOX_JOBS_MAX = 64,    /* deliveries that the mailbox process has at once */
    MANAGER_SITE_KEEP_MS = 60 * 1000, /* hosts of a destination are asked again after this, or sooner by their TTL */
    MANAGER_IDLE_KEEP_MS = 3000,      /* an idle connection waits so long for another message of its destination */
    MANAGER_PROMPT_MS = 10 * 1000,    /* a connection, or a message over it, that takes longer makes its destination one that is slow */
    MANAGER_PROMPT_MAX = 16384,       /* destinations that are remembered as prompt while no mail is there for them; a later one may push one out */
    MANAGER_PLACES_LATER_MS = 2000,   /* a destination for which no place was free asks again after this */
    MANAGER_LOOKUPS_MAX = 500,        /* destinations that the resolver is asked for at once: fewer than it takes (LOOKUPS_MAX); the others wait */
};

static_assert((int)HOSTS_MAX <= 32, "site.hosts_failed has a bit for each host");

/* ---- handles: a slot table with generations ---- */

struct slots {                        /* free list over an array of objects that begin with struct slot */
    uint8_t *objects;
    uint32_t object_bytes, count_max, count, free_head;
    uint32_t high;                    /* objects below it were in use once: how far a walk goes */
};
struct slot { uint32_t generation, next_free; bool used; };

must_use enum err slots_init(struct slots *s, uint32_t object_bytes, uint32_t count_max);
/* slots_take - a zeroed object, or NULL when all are in use. slots_give - back. */
void *slots_take(struct slots *s);
void slots_give(struct slots *s, void *object);
/* slots_handle - never 0. slots_find - NULL for a handle that is not in use any more. */
uint64_t slots_handle(const struct slots *s, const void *object);
void *slots_find(const struct slots *s, uint64_t handle);
/* slots_next - walk those in use: start with NULL. */
void *slots_next(const struct slots *s, const void *after);

/* ---- intake: COMMIT to COMMITTED ---- */

struct commit {                       /* a COMMIT on its way to the disk; what the log lines need */
    struct slot slot;
    uint16_t receiver;
    uint32_t receiver_epoch;
    uint64_t transaction;
    struct net_address client;
    uint32_t uid;                    /* with by_socket */
    bool by_socket;                  /* a user of this host */
    uint32_t rcpt_count;
    uint64_t bytes;
    uint8_t mechanism;               /* enum smtp_sasl_mechanism; 0 = the client is not authenticated */
    uint8_t login[255];
    uint16_t client_name_len, sender_len, message_id_len, login_len;
    uint8_t client_name[HOST_NAME_BYTES_MAX], sender[MAIL_ADDRESS_BYTES_MAX], message_id[MESSAGE_ID_BYTES_MAX];
};

struct rcpt_list {                    /* RCPTS records of one receiver that wait for their COMMIT */
    uint64_t transaction;
    uint32_t count, len, cap;
    uint8_t *octets;                  /* malloc; at most limits.rcpts entries */
};

/* ---- sites: destinations that are being worked on ---- */

enum site_state { SITE_NEW = 0, SITE_RESOLVING, SITE_READY, SITE_FAILED };

/* What is known of how fast a destination answers, by the last that it did. Connections are counted by it, so that slow ones cannot take every place. */
enum pace { PACE_UNKNOWN = 0, PACE_PROMPT, PACE_SLOW, PACES };

struct site {
    struct slot slot;
    uint64_t destination;             /* queue's id */
    uint32_t hash_next;               /* index + 1 in the table of sites */
    uint8_t state;                    /* enum site_state */
    uint8_t action;                   /* enum config_action */
    uint8_t pace;                     /* enum pace */
    int32_t route;                    /* index, or -1 when the route is gone */
    uint64_t lookup;                  /* request under way */
    uint64_t fresh_until_ms;          /* hosts are good until then */
    uint64_t used_ms;
    uint32_t connecting, open;        /* connections */
    struct connection *idle;          /* first of its idle connections */
    uint32_t hosts_failed;            /* bits by place in the list: not to be tried again before the site is looked up anew or was down */
    uint32_t rotation;                /* spreads connections over hosts of equal preference (RFC 5321 5.1) */
    bool helo_only, reuse_off;
    bool clear;                       /* TLS was tried, and failed where it is not demanded: not again before the next look-up */
    bool may_recover;                 /* some host of this round failed in a way that a later try may mend */
    bool secure;
    uint8_t resolver_deaths;          /* while it was being asked for */
    struct verdict failure;           /* when SITE_FAILED: what every recipient gets; text in failure_text */
    uint16_t name_len, domain_len, hosts_count;
    uint32_t hosts_len;
    uint8_t *hosts;                   /* malloc: list of mta/ipc/hosts.h */
    uint8_t name[QUEUE_DESTINATION_BYTES_MAX];
    uint8_t failure_text[256];
};

enum connection_state { CONNECTION_CONNECTING = 1, CONNECTION_IDLE, CONNECTION_BUSY, CONNECTION_CLOSING };

struct connection {
    struct slot slot;
    uint64_t site;                    /* handle */
    uint64_t attempt;                 /* handle while BUSY */
    uint8_t state;
    uint8_t pace;                     /* enum pace: as what it is counted */
    uint16_t worker;
    uint32_t worker_epoch;
    uint16_t host;                    /* index in the site's hosts */
    uint32_t uses;                    /* messages carried or being carried */
    uint32_t connect_us;
    uint64_t since_ms;                /* idle, being made, or at work on its message */
    bool listed;                      /* in the idle list of its site */
    struct connection *idle_next, *idle_previous;
    struct net_address remote;
    bool alone;                       /* in the quarantine worker */
    bool carried;                     /* a message came to its end over it */
    bool was_parsed;                  /* one of the last that its worker looked at (deaths.c) */
    uint32_t box_slot;                /* where the box of its dead worker has it, index + 1 */
    uint16_t host_len;
    uint8_t host_name[HOST_NAME_BYTES_MAX];
};

/* ---- attempts: one job with a worker or the mailbox process ---- */

enum attempt_state { ATTEMPT_BODY = 1, ATTEMPT_SENT, ATTEMPT_SETTLING, ATTEMPT_WARNING /* a delay warning waits for the header that it quotes */,
                     ATTEMPT_OPERATOR /* the same for a bounce that the operator wants */,
                     ATTEMPT_PARKED /* an earlier manager had it in hand; what became of it is not clear yet */,
                     ATTEMPT_REREAD /* its worker is dead; the answer in its box is being read by another one */ };

struct attempt_run {                  /* a verdict of the worker for a run of recipients; text points into `texts` of the attempt */
    uint32_t first, count;
    struct verdict verdict;
};

struct attempt {
    struct slot slot;
    uint8_t state;                    /* enum attempt_state */
    bool to_mailbox;
    bool blocked;                     /* its outcome could not be written: again next turn */
    bool dsn_passed;                  /* the next hop takes over what NOTIFY asks */
    uint16_t relay_len;               /* when there is no connection: the host for the log line, in relay_name */
    uint8_t relay_name[HOST_NAME_BYTES_MAX];
    struct net_address relay;
    const char *daemon;               /* whose name its log lines bear: "smtp", "virtual", "discard", "error" */
    const struct record_message *record; /* the queue's, until outcome or return */
    uint64_t destination, connection; /* connection: handle, 0 for mailbox and for actions of our own */
    struct message_id message;
    uint32_t rcpt_count;
    uint32_t *rcpts;                  /* indexes in the message; malloc */
    uint32_t run_count, run_cap;
    struct attempt_run *runs;         /* malloc; NULL until needed */
    uint8_t *texts;                   /* malloc: texts of the runs */
    uint32_t texts_len, texts_cap;
    int64_t queued_wall_us, taken_wall_us;
    uint64_t active_ms, taken_ms;
    uint32_t connection_uses, connect_us, greeting_us, transfer_us;
    uint16_t mailbox_worker;
    uint64_t grant;                   /* its entry in the grants of its worker (boxes.h), 0 = none */
};

struct manager {
    struct process *process;
    const struct config *config;
    struct queue *queue;
    int folder_fd;                    /* the queue folder */
    struct slots commits, sites, connections, attempts;
    struct rcpt_list lists[ROLE_INSTANCES_MAX];
    uint32_t site_table[MANAGER_SITES_MAX]; /* hash buckets by destination id: index + 1 */
    struct hash_key prompt_key;
    uint64_t prompt[MANAGER_PROMPT_MAX]; /* hashes of names, each in its one place */
    uint32_t worker_load[ROLE_INSTANCES_MAX];
    uint32_t mailbox_jobs;            /* deliveries that the mailbox process has in hand */
    uint64_t mailbox_next;            /* destination that found no room there last; 0 = none */
    uint32_t resolving;               /* sites in SITE_RESOLVING */
    uint32_t connections_total, connections_by[PACES];
    bool accepting;
    bool blocked;                     /* some attempt is blocked */
    uint64_t tidy_ms;                 /* when idle connections and sites are looked at again */
    uint8_t *scratch;                 /* MANAGER_SCRATCH_BYTES for lists and DSNs under construction */
    uint64_t started_ms;
    struct boxes *boxes;
};
enum { MANAGER_SCRATCH_BYTES = 512 * 1024 };

static inline struct manager *manager_of(struct process *p) { return (struct manager *)process_state(p); }

/* names.c - names of destinations: "mx:ROUTE:domain", "relay:ROUTE", "maildir:ROUTE", "discard:ROUTE", "reject:ROUTE", "none". */
void names_route(void *context, const struct record_message *m, const struct rcpt *r, struct buf *destination);
/* names_parse - action, route (-1 when the configuration has it no more, or with another action) and the domain of an MX destination. */
void names_parse(const struct config *c, struct bytes name, uint8_t *action, int32_t *route, struct bytes *domain);

/* intake.c */
void intake_committed(struct manager *m, const struct queue_event *e);
void intake_refused(struct manager *m, const struct queue_event *e);
void intake_storage(struct manager *m);
void intake_receiver_gone(struct manager *m, uint16_t receiver);

/* sites.c */
struct site *site_get(struct manager *m, uint64_t destination);
void site_feed(struct manager *m, uint64_t destination);
void site_touch(struct manager *m, struct site *s);
void sites_tidy(struct manager *m);
void sites_resolver_gone(struct manager *m);
/* site_paced - remember how fast it answers, by its name too: a destination without mail is forgotten, and comes back under another number. */
void site_paced(struct manager *m, struct site *s, enum pace pace);
/* site_fail - the site can take no mail at all: every due message gets this verdict. */
void site_fail(struct manager *m, struct site *s, const struct verdict *v);
/* site_host - host `index` of a ready site. site_down - every host failed: the destination backs off, one message is told why. */
bool site_host(const struct site *s, uint16_t index, struct host *out);
void site_down(struct manager *m, struct site *s, const struct verdict *v, struct bytes host, const struct net_address *remote);

/* connections.c */
bool connection_open(struct manager *m, struct site *s, uint16_t host);
/*
 * connection_place - whether one more connection to this destination may be open. However many destinations hold each connection until its timeout, mail to
 * those that answer goes on: slow ones have three quarters of all places, they and those that nothing is known of yet seven eighths; and of the latter only
 * an eighth at once when half is taken, since they may all turn out to be slow, which takes MANAGER_PROMPT_MS to see.
 */
bool connection_place(const struct manager *m, const struct site *s);
/* connection_make - to the most preferred host that has not failed, equal ones in turn; false when there is none, or nothing can be made now. */
bool connection_make(struct manager *m, struct site *s);
bool connection_next(struct manager *m, struct connection *c);
void connection_free_for_next(struct manager *m, struct connection *c);
/* connection_lost_job - its job could not be sent: idle again, without looking for another at once. */
void connection_lost_job(struct manager *m, struct connection *c);
void connections_tidy(struct manager *m);
/* connection_drop - it is no more. Its attempt, if it still has one, keeps the host's name for its log lines. */
void connection_drop(struct manager *m, struct connection *c);
void connections_connector_gone(struct manager *m);

/* attempts.c */
struct attempt *attempt_take(struct manager *m, uint64_t destination, uint32_t rcpts_max);
void attempt_begin(struct manager *m, struct attempt *a);
void attempt_body(struct manager *m, const struct queue_event *e);
void attempts_retry(struct manager *m);
/* attempt_rcpt_list - append the flat entries of an attempt's recipients. */
void attempt_rcpt_list(const struct attempt *a, struct buf *list);
void attempt_return(struct manager *m, struct attempt *a);
/* attempt_by - whose name its log lines bear, and what stands as its relay when no connection does. */
void attempt_by(struct attempt *a, const char *daemon, struct bytes relay);
bool attempt_run(struct attempt *a, uint32_t first, uint32_t count, const struct verdict *v);
void attempt_settle(struct manager *m, struct attempt *a);
void attempt_all(struct manager *m, struct attempt *a, const struct verdict *v);
/* attempt_results - one result for each recipient, ascending; malloc; texts borrow from the attempt. attempt_give_back - free it; the queue was told. */
struct queue_result *attempt_results(const struct attempt *a);
void attempt_give_back(struct manager *m, struct attempt *a);
struct attempt *attempt_of_notice(struct manager *m, const struct queue_notice *n);

/* local.c - actions that need no connection: maildir, discard, reject, and destinations without a route. */
void local_feed(struct manager *m, struct site *s);
/* local_room - a delivery into a mailbox of `destination` has ended: who found no room gets it, so that busy destinations leave some to others. */
void local_room(struct manager *m, uint64_t destination);
void local_mailbox_gone(struct manager *m);

/* bounces.c */
/*
 * bounce_wanted - whether any of these outcomes has to be told to the sender (RFC 3461 4.1). Results are in ascending order of recipients.
 * bounce_build - build the notification as a message of ours, in scratch; false when it goes to nobody (null sender: logged).
 *                `head` is the start of the original body. The record is valid until the next use of scratch.
 */
enum bounce_kind { BOUNCE_OUTCOME = 0, BOUNCE_WARNING };
struct bounce_of {
    enum bounce_kind kind;
    struct message_id id;
    const struct record_message *original;
    const struct queue_result *results;
    uint32_t count;
    bool dsn_passed;
    bool final_here;                  /* delivered into a mailbox or discarded, not relayed */
    struct bytes remote_mta;
    struct bytes head;
};
bool bounce_wanted(const struct bounce_of *b);
bool bounce_build(struct manager *m, const struct bounce_of *b, struct record_message *out);
/* bounce_logged - the line that links the original to its notification, then the notification's own. */
void bounce_logged(const struct bounce_of *b, const struct record_message *bounce);

/* notices.c - delay warnings and expiries that are due by time. */
void notices_turn(struct manager *m);
void notice_head(struct manager *m, struct attempt *a, struct bytes head);

/* lines.c - the log lines of messages, in Postfix's shapes. */
void line_committed(struct manager *m, const struct commit *c, struct message_id id);
struct line_outcome {
    struct message_id id;
    struct bytes rcpt;
    struct bytes original;            /* "rfc822;alias@domain", when an alias led here */
    const char *daemon;               /* "smtp", "virtual", "discard", "error" */
    struct bytes relay_host;          /* empty = "none" */
    const struct net_address *relay;  /* family 0: no address printed */
    const struct verdict *verdict;
    bool expired;
    uint32_t connection_uses;
    int64_t delay_us, queue_us, active_us, connect_us, transfer_us;
};
void line_outcome(const struct line_outcome *o);
void line_removed(struct message_id id);
/* reason_write - the text of a verdict as it stands in log lines and DSNs: "host H[IP] said: 550 5.1.1 No (in reply to RCPT TO command)". */
void reason_write(struct buf *out, const struct verdict *v, struct bytes host, const struct net_address *address);

/* boxes.c (see boxes.h), deaths.c, orphans.c - workers' black boxes; what became of an attempt is noted in the grants as it becomes known. */
bool boxes_init(struct manager *m);
void manager_box(struct process *p, const struct ipc_box *b, int fd);
void boxes_grant(struct manager *m, struct attempt *a, const struct connection *c);
void boxes_result(struct manager *m, const struct attempt *a, uint32_t first, uint32_t count, const struct verdict *v);
void boxes_known(struct manager *m, const struct attempt *a);
void boxes_done(struct manager *m, uint64_t cookie);
void deaths_channel_gone(struct manager *m, const struct ipc_channel *c);
void deaths_died(struct process *p, const struct ipc_died *how);
/* orphans_claim - whether recipients of this fresh attempt were in an earlier manager's hand: then it is parked, or settled, and no longer the caller's. */
bool orphans_claim(struct manager *m, struct attempt *a);
void orphans_turn(struct manager *m);
uint64_t orphans_deadline(void);

/* operate.c - what mtactl asks. */
void operate_turn(struct manager *m);
void operate_head(struct manager *m, struct attempt *a, struct bytes head);

#endif
