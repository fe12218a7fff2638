/*
 * receiver - what the files of this role share: its state, and one client's session. The card is in main.c.
 *
 * Who may write what: sessions.c owns stage, input, output and timers; mail.c owns the transaction; names.c the client's name.
 * A session that cannot go on has a `wait`: its input stays where it is, and nothing is read from its client until the wait ends.
 */
#ifndef MTA_RECEIVER_RECEIVER_H
#define MTA_RECEIVER_RECEIVER_H

#include "base/hash.h"
#include "base/heap.h"
#include "mta/box/box.h"
#include "mta/process/process.h"
#include "mta/receiver/admission.h"
#include "mta/receiver/judge.h"
#include "mta/receiver/pool.h"
#include "mta/receiver/secure.h"
#include "mta/receiver/writer.h"
#include "smtp/proxy.h"
#include "smtp/server.h"

enum {
    /* Sessions of one receiver, whatever the configuration says: descriptors of a process are limited, and this many
     * fill a gigabit. */
    RECEIVER_SESSIONS_MAX = 32768,
    RECEIVER_DESCRIPTORS_MAX = RECEIVER_SESSIONS_MAX + WRITER_FILES_MAX + 256,
    /* Session numbers in the low bits of transaction and request numbers. */
    RECEIVER_INDEX_BITS = 20,
    /* The sequence above them begins at random, a bit below its half: an epoch is used twice when the master is started
     * twice in a second, and a transaction that the queue knows by number would be answered without being kept. */
    RECEIVER_SEQUENCE_SPARE_BITS = RECEIVER_INDEX_BITS + 1,
    /* Two of the machine's least rooms: replies to a pipelined batch gather in the first before they must be sent. */
    SESSION_REPLY_BYTES = 2 * SMTP_SERVER_OUT_BYTES_MIN,
    /* Recipients that need no chunk: those of nearly every message. */
    SESSION_RCPTS_BYTES = 384,
    /* A content this long goes to a file when the pool is short. */
    CONTENT_SHORT_BYTES_MAX = 16 * 1024,
    /* Chunks that make a job for the writer, and those that may wait while it is busy with earlier ones of the same file. */
    FILE_CHUNKS_JOB = 16,
    FILE_CHUNKS_WAITING_MAX = 32,
    /* A recipient list stops here: it must fit into the channel's waiting queue together with its message. */
    RCPT_CHUNKS_MAX = 1024,
    /* Lists longer than this are not searched for twins any more; the mailbox will see two copies. */
    RCPT_TWINS_MAX = 10000,
    /* From this many recipients on, a filter tells which ones need no search. */
    RCPT_FILTER_FROM = 16,

    NAME_WAIT_MS = 2000,             /* for the client's name, from the connection on: a message waits no longer for it */
    NAME_WAIT_TRUSTED_MS = 300,      /* trusted clients are seldom in the DNS */
    AUTH_WAIT_MS = 90 * 1000,        /* for the auth process: guessers wait there, and Dovecot has its own pauses */
    SPENT_WAIT_MS = 10 * 1000,
    MAILBOX_WAIT_MS = 10 * 1000,     /* for the answer whether a mailbox exists */
    PROXY_WAIT_MS = 10 * 1000,       /* for a proxy's header: it is sent with the connection */
    ACCEPTOR_WAIT_MS = 3 * 1000,     /* for the acceptor's word on a limit */
    INQUIRY_WAIT_MS = 20 * 1000,     /* for what rules ask of the DNS: below the least that clients wait for an answer (RFC 5321 4.5.3.2.3) */
    GREY_WAIT_MS = 5 * 1000,         /* for the greylist's word; without it the mail passes */
    CHUNK_WAIT_MS = 10 * 1000,       /* for room in an exhausted pool */
    FILE_WAIT_MS = 30 * 1000,        /* for a body file */
    WRITER_WAIT_MS = 60 * 1000,      /* for the disk */
    COMMIT_WAIT_MS = 5 * 60 * 1000,  /* for the manager, which is there; clients wait ten minutes (RFC 5321 4.5.3.2.6) */
    MANAGER_WAIT_MS = 60 * 1000,     /* for a new manager to take what the dead one did not answer */
    MANAGER_MISSED_MS = 10 * 1000,   /* without a manager for so long: no new messages are begun */
    LINGER_MS = 1000,                /* after a last reply that the client did not ask for, so that it can be read */
    LINGER_BYTES_MAX = 256 * 1024,   /* what is read and thrown away meanwhile: who sends on does not read */
};

enum { TOKEN_RECEIVE = PROCESS_TOKEN_ROLE_FIRST, TOKEN_SEND, TOKEN_WRITER };

enum session_stage {
    STAGE_FREE = 0,
    STAGE_EXPLAIN,/* no client: an operator asks what would become of one */
    STAGE_PROXY,  /* a proxy's header is awaited, and then the acceptor's word about whom it names */
    STAGE_FRESH,  /* a stranger who is watched for one turn before the banner: early talkers show themselves */
    STAGE_OPEN,   /* the machine runs */
    STAGE_LAST,   /* the last reply is being sent */
    STAGE_LINGER, /* it is sent; what still comes is thrown away for a moment */
    STAGE_SHUT,   /* the socket is shut: its completions are awaited, then it is freed */
};

enum session_wait {
    WAIT_NONE = 0,
    WAIT_OUT,       /* replies must be sent before more can be said */
    WAIT_MAILBOX,   /* MAILBOX_CHECKED */
    WAIT_AUTH,      /* AUTH_RESULT */
    WAIT_SPENT,     /* LOGIN_SPENT, for MAIL or RCPT */
    WAIT_ACCEPTOR,  /* CLIENT_MAY */
    WAIT_GREY,      /* GREY_SAID */
    WAIT_INQUIRY,   /* NAME_SAID, or the client's name: rules want to know */
    WAIT_CHUNK,     /* room in the pool */
    WAIT_FILE,      /* BODY_FILE */
    WAIT_WRITER,    /* the writer is behind */
    WAIT_NAME,      /* the client's name, before COMMIT */
    WAIT_SYNC,      /* the writer syncs the body, before COMMIT */
    WAIT_MANAGER,   /* COMMIT could not be sent yet */
    WAIT_COMMITTED, /* COMMIT is with the manager */
    WAIT_TLS,       /* the handshake; what comes is the client's part of it */
};

struct inquiry { /* what the rules know of a session, and what is being asked */
    struct judge_facts facts;
    uint64_t helo_request, sender_request, list_requests[CONFIG_DNSLISTS_MAX]; /* NAME_ASKs under way */
    uint32_t lists_pending;
};

struct session { /* lies in pages of its own; an idle one has touched two of them */
    struct heap_node timer;    /* first: heap gives it back */
    uint32_t index, generation;
    uint32_t next;             /* in the list of free ones, or of those to be run */
    int fd;
    uint8_t stage, wait;       /* enum session_stage, enum session_wait */
    bool local;                /* a user of this host, by a Unix socket: uid says which */
    bool trusted, queued, running, receiving, sending;
    bool watched;              /* had its turn as a stranger */
    bool gone;                 /* the client, or the connection */
    bool refused;              /* by the acceptor: over a limit */
    bool well;                 /* ended as the client wished: QUIT, or it left between two transactions */
    bool connect_said, name_asked, by_bdat;
    bool unnamed;              /* its proxy names no client: while it says nothing, it only looks whether we are there */
    bool counted;              /* the acceptor has let the message or recipient at hand pass */
    uint8_t ask_what;          /* enum client_ask, of ask_request */
    uint16_t listener;
    uint64_t fresh_until_ms;   /* a stranger is watched until then */
    uint64_t wait_until_ms, write_until_ms, name_until_ms, linger_until_ms;

    uint64_t connection;       /* the acceptor's number, and which acceptor gave it */
    uint32_t acceptor_epoch;
    struct net_address client; /* of a user of this host: net_of_user() */
    uint32_t uid;
    struct net_address local_address; /* that it came to */
    struct smtp_proxy proxy;   /* the header, in STAGE_PROXY */
    struct inquiry inquiry;
    bool known_good;           /* the recipient at hand is not greylisted */
    uint8_t grey;              /* enum grey_state, of STAGE_EXPLAIN */
    uint64_t grey_request;     /* GREY_ASK under way */
    uint64_t explain_request;  /* of STAGE_EXPLAIN */
    uint32_t explain_epoch;    /* of the control process */
    uint64_t auth_request;     /* names an authentication under way; 0 = none */
    uint64_t spend_request;    /* LOGIN_SPEND under way */
    uint32_t login_len;        /* as whom it is authenticated; 0 = not */
    uint8_t login_by;          /* enum smtp_sasl_mechanism */
    bool spent;                /* the recipient or message that is being judged is counted for its login */
    uint8_t login[LOGIN_BYTES_MAX];

    struct bytes fresh;        /* what the ring lends for this turn */
    struct chain held;         /* input that waits */
    uint32_t held_at;          /* octets of its first chunk that are eaten */
    uint32_t sent;             /* octets of the replies that are sent; under TLS they are encrypted at once, and this is 0 */
    uint32_t lingered;         /* octets thrown away */

    struct tls_session *tls;   /* NULL in the clear */
    struct flight flight, flight_next; /* of TLS: being sent, or to be sent next; and behind that */
    bool secured;              /* the handshake is done */
    bool sending_flight;       /* `sending` is of the flight, not of the replies */
    bool tls_ended;            /* the client has said that nothing more comes: so ends the connection */
    bool end_said;             /* ... and so have we */

    uint64_t transaction;      /* 0 = none */
    uint64_t name_request, mailbox_request; /* CLIENT_NAME and MAILBOX_CHECK under way */
    uint64_t ask_request;      /* CLIENT_ASK under way */
    uint32_t rcpt_count, rcpts_here_count, rcpts_here_bytes;
    struct chain rcpts;        /* behind those that are here */
    bool copied;               /* who gets copies of this sender's mail, or of all mail, is in the list */
    bool rcpt_non_ascii;       /* some recipient needs SMTPUTF8 */
    uint32_t filter;           /* chunk with the filter of recipients, or POOL_NONE */
    struct chain content;      /* chunks of the body; of a large one, those that the writer does not have yet */
    struct body_file *file;    /* of a large body */

    uint32_t name_len;
    uint8_t name[HOST_NAME_BYTES_MAX];
    uint8_t rcpts_here[SESSION_RCPTS_BYTES];
    struct smtp_server_effects fx;
    struct smtp_server server; /* its line buffer is last */
    uint8_t reply[SESSION_REPLY_BYTES];
};

enum { SESSION_STRIDE = (sizeof(struct session) + 4095) / 4096 * 4096 };

struct names; /* names.c */

struct receiver {
    struct process *process;
    const struct config *config;
    struct ring *ring;
    uint64_t now_ms;
    uint8_t *sessions;         /* SESSION_STRIDE each; pages appear when used */
    uint32_t session_max, session_fresh, session_free; /* all; first never used; list of free ones */
    uint32_t session_count;    /* in use */
    struct box box;            /* what we were reading when we died */
    uint32_t run_head, run_tail, run_count; /* sessions to be looked at this turn */
    struct heap timers;
    struct smtp_server_config *listeners; /* of config->listeners */
    struct smtp_server_config *strangers; /* the same for untrusted clients, who wait less long under stress */
    bool stressed;
    struct secure secure;
    struct pool pool;
    struct writer writer;
    struct names *names;
    struct hash_key key;
    uint64_t sequence;         /* of transactions and requests; from a random number on */
    uint64_t list_told_ms;     /* when a list that refuses us was told of last */
    uint32_t waiting_chunk;    /* sessions in WAIT_CHUNK */
    uint32_t waiting_manager;  /* sessions in WAIT_MANAGER */
    uint64_t manager_gone_ms;  /* since when there is none; 0 = it is there */
    bool accepting, draining;
    uint8_t *scratch;          /* RECEIVER_SCRATCH_BYTES: records under construction */
};
enum { RECEIVER_SCRATCH_BYTES = BODY_INLINE_BYTES_MAX + RCPTS_RECORD_BYTES_MAX + PREFIX_BYTES_MAX };

static inline struct receiver *receiver_of(struct process *p) { return (struct receiver *)process_state(p); }
static inline struct session *session_at(const struct receiver *r, uint32_t index)
{
    return (struct session *)(void *)(r->sessions + (uint64_t)index * SESSION_STRIDE);
}
/* session_is_secure - whether the client is under TLS: what asks for a password asks this first. */
static inline bool session_is_secure(const struct session *s) { return s->server.tls; }
/* receiver_number - a number never used before by this process, which names a session. receiver_session_of - that
 * session, if it is in use. */
uint64_t receiver_number(struct receiver *r, const struct session *s);
struct session *receiver_session_of(const struct receiver *r, uint64_t number);

/* ---- sessions.c ---- */
must_use enum err sessions_init(struct receiver *r);
/* session_open - a client that the acceptor handed over; takes over fd. False when there is no place for it. */
bool session_open(struct receiver *r, const struct ipc_client *m, uint32_t acceptor_epoch, int fd);
/* session_take - a slot without a connection; NULL when there is none. session_release - the same back. */
struct session *session_take(struct receiver *r);
void session_release(struct receiver *r, struct session *s);
/* session_wait - the machine's need cannot be answered now. session_resume - it was answered: run the session this turn. */
void session_wait(struct receiver *r, struct session *s, enum session_wait wait, uint64_t within_ms);
void session_resume(struct receiver *r, struct session *s);
/* session_queue - look at it this turn. */
void session_queue(struct receiver *r, struct session *s);
void session_set_wait(struct receiver *r, struct session *s, enum session_wait wait);
/* session_goes_on - the machine may be stepped. */
static inline bool session_goes_on(const struct session *s) { return s->stage == STAGE_OPEN && s->wait == WAIT_NONE; }
/* session_timer - its earliest deadline may have come nearer. */
void session_timer(struct receiver *r, struct session *s);
/* session_greet - the banner, or instead of it a refusal (may be NULL). */
void session_greet(struct receiver *r, struct session *s, const struct smtp_policy_answer *refusal);
/* session_keep_input - keep input that cannot be eaten now; what the ring lent ends with the turn. False without memory. */
must_use bool session_keep_input(struct receiver *r, struct session *s, struct bytes in);
/* session_listen - ask for input; without a place in the ring the session cannot go on. */
void session_listen(struct receiver *r, struct session *s);
/* session_shut - nothing more is said or heard. session_free - the ring is done with it: the slot is free. */
void session_shut(struct receiver *r, struct session *s);
void session_free(struct receiver *r, struct session *s);
/* sessions_late - deadlines that have passed. */
void sessions_late(struct receiver *r);
/* sessions_stop - we are to end: 421 to all that have nothing in hand; the others get it when they are done. */
void sessions_stop(struct receiver *r);
/* sessions_each - call for every session in use. */
void sessions_each(struct receiver *r, void (*call)(struct receiver *r, struct session *s));

/* ---- main.c ---- */
/* receiver_hear - one record of a channel, outside of the loop; false when it is malformed. */
bool receiver_hear(struct process *p, struct ipc_channel *from, const struct ipc_record *record);

/* ---- steps.c ---- */
/* session_finish - the last words are said; they are sent, and the session ends. */
void session_finish(struct receiver *r, struct session *s);
void sessions_event(struct receiver *r, const struct ring_event *e);
/* sessions_run - step what was queued. */
void sessions_run(struct receiver *r);

/* ---- mail.c: needs of the machine; each answers, or sets a wait ---- */
void mail_sender(struct receiver *r, struct session *s);
void mail_rcpt(struct receiver *r, struct session *s);
/* mail_refuse - refuse the sender or recipient that is being judged. */
void mail_refuse(struct session *s, const struct smtp_policy_answer *a);
void mail_mailbox_checked(struct receiver *r, struct session *s, uint8_t known);
/* mail_mailbox_came - a new mailbox process: what the old one did not answer is asked again. */
void mail_mailbox_came(struct receiver *r);
/* mail_forget - the transaction is over: chunks, file and number go. */
void mail_forget(struct receiver *r, struct session *s);

/* ---- logins.c ---- */
/* login_go_on - SMTP_NEED_AUTH: pass on what came. login_result - the auth process's answer. login_forget - the session ends. */
void login_go_on(struct receiver *r, struct session *s);
void login_result(struct receiver *r, struct session *s, const struct ipc_auth_result *m);
void login_late(struct receiver *r, struct session *s);
void login_forget(struct receiver *r, struct session *s);
/* login_gone - there is no auth process any more: what it was asked is not answered. */
void login_gone(struct receiver *r);
/* login_may_send - what is to be answered to MAIL for the sake of logins; code 250 = nothing. */
struct smtp_policy_answer login_may_send(const struct receiver *r, const struct session *s);
/* login_spend - whether a login's limits must be asked; then the answer is awaited. */
bool login_spend(struct receiver *r, struct session *s, uint32_t messages, uint32_t rcpts);
void login_spent(struct receiver *r, struct session *s, bool allowed, uint32_t wait_s);
/* session_is_ours - trusted, or authenticated: may send to any route. */
static inline bool session_is_ours(const struct session *s) { return s->trusted || s->login_len > 0; }

/* ---- content.c ---- */
void content_begin(struct receiver *r, struct session *s);
void content_room(struct receiver *r, struct session *s);
/* content_take - the machine has left the chunk at hand: note how far it is filled. */
void content_take(struct receiver *r, struct session *s);
/* content_refuse - content cannot be taken; log and answer. */
void content_refuse(struct receiver *r, struct session *s, uint16_t code, struct enhanced e, struct bytes text);
/* content_file_came / content_file_refused - the manager's answer to BODY_OPEN. content_written - the writer gave a file back. */
void content_file_came(struct receiver *r, uint64_t transaction, uint64_t body, int fd);
void content_file_refused(struct receiver *r, uint64_t transaction, uint16_t code, struct bytes text);
void content_written(struct receiver *r, struct body_file *f);
/* content_drop_file - the session forgets its file. */
void content_drop_file(struct receiver *r, struct session *s);
/* content_ask_file - say BODY_OPEN if it has not been said to this manager. */
void content_ask_file(struct receiver *r, struct session *s);
/* content_turn - once a turn: sessions that waited for chunks. */
void content_turn(struct receiver *r);

/* ---- commit.c ---- */
/* commit_begin - SMTP_NEED_COMMIT: gather what is missing (name, sync), then COMMIT. commit_go_on - something of that
 * has come. */
void commit_begin(struct receiver *r, struct session *s);
void commit_go_on(struct receiver *r, struct session *s);
void commit_refuse(struct receiver *r, struct session *s, uint16_t code, struct enhanced e, struct bytes text);
/* commit_done - COMMITTED: the one way to 250. */
void commit_done(struct receiver *r, struct session *s, struct message_id id);
/* commit_turn - once a turn: COMMITs that the manager's channel had no room for. */
void commit_turn(struct receiver *r);
/* commit_manager_came / commit_manager_gone - COMMITs without an answer are repeated to the next manager. */
void commit_manager_came(struct receiver *r);
void commit_manager_gone(struct receiver *r);

/* ---- names.c ---- */
must_use enum err names_init(struct receiver *r);
/* names_ask - know the client's name from the cache, or ask the resolver. */
void names_ask(struct receiver *r, struct session *s);
void names_came(struct receiver *r, struct session *s, struct bytes name, uint8_t why);
/* names_give_up - it did not come in time: "unknown". */
void names_give_up(struct receiver *r, struct session *s);
/* names_resolver_gone - nobody answers any more. */
void names_resolver_gone(struct receiver *r);
static inline struct bytes session_name(const struct session *s)
{
    return s->name_len ? bytes_of(s->name, s->name_len) : BYTES("unknown");
}

/* ---- rates.c ---- */
/* rates_ask - ask the acceptor (enum client_ask). True: the session waits. False: there is nobody to ask. */
must_use bool rates_ask(struct receiver *r, struct session *s, uint8_t what);
/* rates_count - the same for a message or recipient, when it is limited at all and was not asked yet. */
must_use bool rates_count(struct receiver *r, struct session *s, uint8_t what);
/* rates_came - CLIENT_MAY, or code 0 when it does not come. rates_acceptor_gone - nobody answers any more. */
void rates_came(struct receiver *r, struct session *s, uint16_t code, struct bytes text);
void rates_acceptor_gone(struct receiver *r);

/* ---- proxied.c ---- */
/* proxied_begin - at the start of a session: whether a proxy's header comes first, and whether XCLIENT may be said. */
void proxied_begin(struct receiver *r, struct session *s);
/* proxied_run - STAGE_PROXY: eat the header. proxied_late - it did not come. */
void proxied_run(struct receiver *r, struct session *s);
void proxied_late(struct receiver *r, struct session *s);
/* proxied_xclient - SMTP_NEED_XCLIENT. */
void proxied_xclient(struct receiver *r, struct session *s);
/* proxied_may - the acceptor's word about the client that the proxy or XCLIENT named; code 0: it may come in. */
void proxied_may(struct receiver *r, struct session *s, uint16_t code, struct bytes text);

/* ---- inquiry.c: what rules must know, from the resolver ---- */
/* inquiry_judge - judge the recipient at hand. True: the session waits, and will be asked again. */
must_use bool inquiry_judge(struct receiver *r, struct session *s, const struct judge_trace *trace, struct judgement *out);
/* inquiry_new_client / inquiry_new_mail - what is known is about somebody else. */
void inquiry_new_client(struct session *s);
void inquiry_new_mail(struct receiver *r, struct session *s);
/* inquiry_came - NAME_SAID. inquiry_late - what has not come counts as failed. inquiry_resolver_gone - nobody answers any more. */
void inquiry_came(struct receiver *r, struct session *s, const struct ipc_name_said *m);
void inquiry_late(struct receiver *r, struct session *s);
void inquiry_resolver_gone(struct receiver *r);

/* ---- grey.c ---- */
enum grey_state { GREY_NOT_ASKED = 0, GREY_PASSES, GREY_WAITS };
/* grey_ask - ask the greylist about the recipient at hand. True: the session waits. False: nobody is asked, and it passes. */
must_use bool grey_ask(struct receiver *r, struct session *s, struct bytes rcpt);
/* grey_came - GREY_SAID. grey_late - it did not come: it passes. grey_gone - nobody answers any more. */
void grey_came(struct receiver *r, struct session *s, const struct ipc_grey_said *m);
void grey_late(struct receiver *r, struct session *s);
void grey_gone(struct receiver *r);
/* mail_grey - the answer about the recipient at hand. */
void mail_grey(struct receiver *r, struct session *s, bool pass, uint32_t wait_s);

/* ---- explain.c ---- */
void explain_begin(struct receiver *r, struct ipc_channel *from, const struct ipc_explain *m);
void explain_run(struct receiver *r, struct session *s);

/* ---- stress.c: nearly all connections are in use ---- */
must_use enum err stress_init(struct receiver *r);
/* stress_config - what a client's machine goes by. */
static inline const struct smtp_server_config *stress_config(const struct receiver *r, uint16_t listener, bool trusted)
{
    return trusted ? &r->listeners[listener] : &r->strangers[listener];
}
/* stress_turn - once a turn: whether it begins or ends. */
void stress_turn(struct receiver *r);

/* ---- lines.c ---- */
void line_connect(struct session *s);
/* line_list_refuses - a list in the DNS says that it does not serve us. */
void line_list_refuses(struct receiver *r, const struct session *s, struct bytes zone);
/* line_is_quiet - no lines about its coming and going. */
bool line_is_quiet(const struct session *s);
void line_disconnect(struct session *s);
/* line_secured - "Anonymous TLS connection established from". line_tls_failed - "SSL_accept error from", with the reason. */
void line_secured(struct session *s);
void line_tls_failed(struct session *s, struct bytes why);
/* line_end - "lost connection after X from", "timeout after X from", "too many errors after X from". */
void line_end(struct session *s, const char *what);
/* line_auth_failed - "SASL PLAIN authentication failed", as fail2ban knows it. */
void line_auth_failed(struct session *s, bool locked);
/* line_reject - NOQUEUE: what is RCPT, MAIL, DATA, END-OF-MESSAGE or CONNECT. */
void line_reject(struct session *s, const char *what, const struct smtp_policy_answer *a, struct bytes rcpt);

#endif
