/*
 * acceptor - what the files of this role share. The card is in main.c.
 */
#ifndef MTA_ACCEPTOR_ACCEPTOR_H
#define MTA_ACCEPTOR_ACCEPTOR_H

#include "mta/acceptor/apart.h"
#include "mta/acceptor/limits.h"
#include "mta/acceptor/rates.h"
#include "mta/process/process.h"

enum {
    ACCEPTOR_INDEX_BITS = 20,           /* a connection's place in its number */
    /* As many as all receivers together hold at most. */
    ACCEPTOR_CONNECTIONS_MAX = 500000,
    /* The same as a receiver's, and cut to the same hard limit: from what is left of it here follows how many sockets
     * a receiver can hold. */
    ACCEPTOR_DESCRIPTORS_MAX = 33280,
    /* Of those, what a receiver needs for channels, files and the log. */
    RECEIVER_OTHER_DESCRIPTORS = 512,
    LISTENERS_MAX = 256,                /* addresses of all listen blocks */
    RETRY_MS = 200,                     /* after accepting failed for want of descriptors or memory */
    TELL_EVERY_MS = 1000,               /* lines about limits in all and of listeners, which have no entry that remembers */
};

enum { TOKEN_ACCEPT = PROCESS_TOKEN_ROLE_FIRST };

struct place {           /* a listening socket */
    int fd;              /* -1 = none */
    uint16_t listener;   /* in the configuration */
    bool accepting, stopping;
    uint64_t retry_ms;   /* not before */
    struct net_address address;
};

struct connection {
    uint64_t number;     /* 0 = free */
    uint32_t next;       /* free list */
    uint16_t receiver, listener;
    bool trusted, refused;
    bool proxied;        /* the client is a proxy that has not said yet for whom it stands */
    bool exempt;         /* from the limits of clients and networks */
    struct net_address client; /* of a user of this host: net_of_user() */
    uint32_t uid;        /* of a Unix socket */
};

struct refusal { uint16_t code; bool close; struct bytes words; }; /* close: without a word */

struct lost {            /* whose connections a receiver had when it died */
    uint32_t epoch;      /* 0 = none died */
    uint32_t count;
    struct net_address clients[APART_MAX]; /* each once; more are not kept apart */
};

struct acceptor {
    struct process *process;
    const struct config *config;
    struct ring *ring;
    struct limits limits;
    struct rates rates;
    struct connection *connections; /* owned; limits.places_max */
    uint32_t connection_fresh, connection_free;
    uint64_t sequence;
    uint32_t *listener_counts;      /* owned; connections by listen block */
    struct place places[LISTENERS_MAX];
    uint32_t place_count;
    uint32_t loads[ROLE_INSTANCES_MAX]; /* connections of each receiver */
    uint32_t receiver_max;          /* connections that one receiver can hold */
    uint16_t turn_of;               /* who is asked first among equally loaded receivers */
    uint64_t told_ms;
    struct aparts apart;
    struct lost lost[ROLE_INSTANCES_MAX]; /* by receiver */
};

static inline struct acceptor *acceptor_of(struct process *p) { return (struct acceptor *)process_state(p); }

/* ---- hand.c: from an accepted socket to a receiver ---- */
must_use enum err hand_init(struct acceptor *a);
/* hand_socket - judge a connection and hand it on; takes over fd. */
void hand_socket(struct acceptor *a, const struct place *from, int fd);
/* hand_find - the connection of this number that this receiver has, or NULL: it was lost with a former acceptor. */
struct connection *hand_find(struct acceptor *a, uint16_t receiver, uint64_t number);
/* hand_judge - whether a client may come in over `listener`; logged when not. 0, 421 or 554, and its words. Counts towards the rate. */
struct refusal hand_judge(struct acceptor *a, const struct connection *c);
/* hand_tell_rate - log that a rate is over its limit; `what` is Connection, Message delivery, ... */
void hand_tell_rate(struct acceptor *a, const char *what, const struct rates_judgement *j, const struct connection *c);
/* hand_come - the connection is another client's, behind a proxy: the counts are moved, and it is judged as if it had connected. */
struct refusal hand_come(struct acceptor *a, struct connection *c, const struct net_address *client);
/* hand_closed - a receiver has closed it. hand_receiver_gone - all of a receiver's are closed. */
void hand_closed(struct acceptor *a, uint16_t receiver, const struct ipc_client_closed *m);
void hand_receiver_gone(struct acceptor *a, const struct ipc_channel *receiver);
/* hand_possible - whether some receiver is there. */
bool hand_possible(struct acceptor *a);

/* ---- lone.c: clients that are kept apart, and the receiver that is for them ---- */
static inline uint16_t lone_receiver(const struct acceptor *a) { return (uint16_t)a->config->workers.receivers; }
/* lone_serves - a client that is kept apart can be served now; else it is told so, and to come later. */
bool lone_serves(struct acceptor *a, struct apart_client *c, int fd);
/* lone_behaved - a session of a client there has ended well. */
void lone_behaved(struct acceptor *a, const struct net_address *client);
/* lone_gather - note whose connections a receiver has that is dead. */
void lone_gather(struct acceptor *a, uint16_t receiver, uint32_t epoch);

#endif
