/*
 * deliver - what the files of the delivery worker share. The card is in main.c.
 */
#ifndef MTA_DELIVER_DELIVER_H
#define MTA_DELIVER_DELIVER_H

#include "base/heap.h"
#include "mta/box/dot.h"
#include "mta/config/config.h"
#include "mta/ipc/secrecy.h"
#include "mta/ipc/ipc.h"
#include "mta/process/process.h"
#include "smtp/body.h"
#include "mta/tls/client.h"
#include "smtp/client.h"

enum {
    SESSIONS_MAX = 8192,           /* connections of one worker */
    SESSION_TABLE = 16384,         /* hash buckets */
    FLIGHT_BYTES = 64 * 1024,      /* one send: commands, or a piece of content */
    SOCKET_WAIT_MS = 5000,         /* an ATTEMPT whose SOCKET does not come: the connection is gone already */
    JOB_RCPTS_BYTES_MAX = 1 << 20, /* recipients of one attempt */
    /* Under TLS a flight holds what the handshake or the protocol of TLS has to say, and then so many octets of SMTP, encrypted. */
    TLS_OWN_BYTES_MAX = 16 * 1024,
    PLAIN_FLIGHT_BYTES = FLIGHT_BYTES - TLS_OWN_BYTES_MAX - 1024,
    ORPHAN_MS = 30000,             /* the manager is dead: what awaits the answer to its dot waits so long for it */
    ORPHAN_KEEP_MS = 60000,        /* and its slot of the box stands so long for the next manager to read */
};

struct flight { /* memory of one send under way; kept in a free list */
    struct flight *next;
    uint8_t octets[FLIGHT_BYTES];
};

struct job { /* one ATTEMPT, copied out of its message */
    uint64_t attempt;
    struct smtp_client_job said;   /* borrows from `octets` */
    uint8_t *rcpt_state;
    uint64_t body_skip, body_bytes;
    struct bytes prefix, content;  /* borrow from `octets` */
    int body_fd;                   /* -1 = content is inline */
    uint64_t began_us;
    bool started;
    bool has_held;                 /* a verdict that was not sent yet: the last one says so */
    struct ipc_result held;
    uint8_t held_text[REPLY_TEXT_BYTES_MAX];
    uint8_t octets[];              /* sender, envid, rcpts, prefix, content, rcpt_state */
};

enum content_source { CONTENT_NONE = 0, CONTENT_PREFIX, CONTENT_BODY, CONTENT_END };

struct session {
    struct heap_node timer;        /* first, see main.c; the client's deadline */
    bool used;
    uint32_t generation;           /* for the ring's tokens, 24 bits */
    uint32_t hash_next;            /* index + 1 */
    uint64_t connection;           /* the manager's handle */
    int fd;                        /* -1 = the SOCKET has not come */
    bool receiving, sending, closing, closed_said, broken;
    bool listed;                   /* in the table of connections */
    bool orphan;                   /* its manager is dead; it waits for the answer to its dot, to leave it in the box */
    bool dot_awaited;              /* DOT_INTENT was stored, a verdict was not */
    bool pumping;                  /* in the list of those whose content is to go on */
    bool pumped_end;               /* the flight holds the end of the content */
    struct dot dot;                /* its answer, as far as it has come */
    uint32_t pump_next;            /* index + 1 */
    uint64_t freed;                /* in which order slots were freed */
    uint64_t reuse_ms;             /* not taken again before this */
    uint64_t orphan_until_ms;
    struct tls_session *tls;       /* NULL in the clear */
    bool tls_used;                 /* the wire is TLS's from here on */
    bool tls_open;                 /* its handshake is done */
    uint8_t level;                 /* enum secrecy_level */
    uint32_t own_len;              /* octets of TLS itself that wait for the next send; malloc */
    uint8_t *own;
    struct flight *flight;         /* being sent */
    uint32_t flight_len, flight_sent;
    struct job *job;
    uint8_t source;                /* enum content_source: where the pump is */
    uint64_t source_done;          /* octets of it */
    struct smtp_stuffer stuffer;
    uint64_t opened_us, wait_until_ms;
    uint32_t greeting_us;
    struct net_address remote;
    uint16_t label_len, helo_len;
    uint8_t label[HOST_NAME_BYTES_MAX + NET_TEXT_BYTES_MAX + 8]; /* "name[address]:port" */
    uint8_t helo[HOST_NAME_BYTES_MAX];
    struct smtp_client client;
};

struct rcpt_part { /* ATTEMPT_RCPTS that wait for their ATTEMPT */
    uint64_t attempt;
    uint32_t count, len;
    uint8_t *octets;
};

struct deliver {
    struct process *process;
    const struct config *config;
    struct smtp_client_config timeouts;
    struct session *sessions;      /* SESSIONS_MAX; pages that were never used cost nothing */
    uint32_t table[SESSION_TABLE];
    uint32_t free_head, free_tail; /* index + 1 of the free list through hash_next, oldest first; 0 = the high mark grows */
    uint64_t freed, freed_told;    /* slots freed so far; those up to freed_told: what was said of them has left this process */
    uint32_t pump_head;            /* index + 1 of the list of those to pump */
    uint32_t high, count;
    struct heap timers;
    struct flight *flights;        /* free ones */
    struct rcpt_part part;
    uint8_t *scratch;              /* FLIGHT_BYTES: commands under construction */
    uint8_t *plain;                /* FLIGHT_BYTES: what was decrypted, or is to be encrypted */
    uint8_t *wire;                 /* TLS_FLIGHT_BYTES_MAX: what a TLS session has to say */
    struct tls_client *tls;        /* NULL when no route uses TLS */
    struct box box;
    bool alone;                    /* this is the quarantine worker */
};

enum { DELIVER_TOKEN_SESSION = PROCESS_TOKEN_ROLE_FIRST };

static inline struct deliver *deliver_of(struct process *p) { return process_state(p); }

/* slots.c */
struct session *session_find(struct deliver *d, uint64_t connection);
struct session *session_make(struct deliver *d, uint64_t connection);
/* session_unlist - it is not found any more. session_give_free - its place may be taken, when what was said of it has left. */
void session_unlist(struct deliver *d, struct session *s);
void session_give_free(struct deliver *d, struct session *s);

/* session.c */
void session_socket(struct deliver *d, struct session *s, const struct ipc_socket *m, int fd);
void session_job(struct deliver *d, struct session *s, struct job *job);
void session_quit(struct deliver *d, struct session *s);
void session_event(struct deliver *d, const struct ring_event *e);
void session_late(struct deliver *d, struct session *s);
/* session_orphan - the manager that gave the job is gone. Who awaits the answer to its dot goes on for that; the others end. */
void session_orphan(struct deliver *d, struct session *s);
/* sessions_pump - once a turn, after all parsing: content of those that may send goes on. First all of it is read and stuffed, then DOT_INTENT is stored
 * where the end is in it, then it is submitted: a death while parsing finds no session between the intent and the send. */
void sessions_pump(struct deliver *d);
static inline struct box_slot *session_slot(const struct deliver *d, const struct session *s) { return box_slot(&d->box, (uint32_t)(s - d->sessions)); }

struct deliver *deliver_of_session(const struct session *s);

/* secrecy.c: TLS of a connection */
/* secrecy_begin - the handshake's first octets wait to be sent. False when it cannot be. */
bool secrecy_begin(struct deliver *d, struct session *s);
/* secrecy_use - what SOCKET said of it; makes the session, when TLS comes first. False when it makes no sense. */
bool secrecy_use(struct deliver *d, struct session *s, struct bytes secrecy);
/* secrecy_in - octets of the wire become octets of SMTP, valid until the next call. */
enum tls_state secrecy_in(struct deliver *d, struct session *s, struct bytes in, struct bytes *plain);
/* secrecy_out - into the flight: what TLS itself has to say, and `plain`, encrypted. False: the session is broken. */
bool secrecy_out(struct deliver *d, struct session *s, struct bytes plain);
void secrecy_end(struct session *s);
/* secrecy_policy - the name of what wants TLS so, for texts. */
struct bytes secrecy_policy(uint8_t level);

/* job.c */
/* job_make - copy an ATTEMPT; NULL when memory is short. job_valid - what decoding cannot see: lengths against each other, the recipient list. */
struct job *job_make(struct deliver *d, const struct ipc_attempt *m, int fd);
bool job_valid(const struct deliver *d, const struct ipc_attempt *m, int fd);
void job_free(struct job *job);
/* job_verdict - a verdict of the client machine; context is the session. */
void job_verdict(void *context, uint32_t first, uint32_t count, const struct verdict *v);
/* job_flush - send the held verdict; last closes the attempt. */
void job_flush(struct deliver *d, struct session *s, bool last);
/* job_untried - tell the manager that nothing was tried. */
void job_untried(struct deliver *d, uint64_t attempt, uint32_t rcpt_count);

/* pump.c */
/* pump_begin, pump_fill - pump the message, dot-stuffed, into a flight; *end when its last octets are in it. ERR_IO when the body cannot be read. */
void pump_begin(struct session *s);
must_use enum err pump_fill(struct session *s, struct buf *out, bool *end);

#endif
