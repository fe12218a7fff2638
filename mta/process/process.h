/*
 * process - the skeleton that every role has: same phases, same loop, same ways to end.
 *
 * main(): arguments and descriptors -> role->setup() allocates everything -> lock down -> self-test -> READY -> loop -> drain.
 * The loop never acts inside an event: it collects completions, hands each to the role, then calls role->turn() once, then flushes channels and log.
 *
 * A role is a table row (struct role). Its messages are dispatched by generated code: for each message of mta/ipc/messages.h that the role may
 * receive there must be a handler `void <role>_on_<message>(struct process *p, struct ipc_channel *from, const struct ipc_<message> *m, int fd)`
 * (mta/process/dispatch.h): a missing handler is a link error. Messages from the master (CHANNEL, PING, DRAIN, LOG_TO) are handled by the skeleton.
 */
#ifndef MTA_PROCESS_PROCESS_H
#define MTA_PROCESS_PROCESS_H

#include "base/err.h"
#include "mta/config/config.h"
#include "mta/ipc/ipc.h"
#include "mta/ring/ring.h"
#include "mta/sandbox/sandbox.h"

enum role_state { ROLE_STARTING = 0, ROLE_RUNNING, ROLE_DRAINING, ROLE_BACKING_OFF, ROLE_STOPPED };

/* Token kinds below this belong to the skeleton; a role numbers its own from here. */
enum { PROCESS_TOKEN_CHANNEL = 1, PROCESS_TOKEN_ROLE_FIRST = 16 };

struct process; /* what a role sees of its process */

struct role {
    enum ipc_role id;
    struct ring_options ring;      /* engine is filled in from the configuration; entries 0 = default */
    bool plain_engine;             /* use the epoll engine always (manager, connector, resolver, mailbox, control): plain system calls */
    uint64_t memory_bytes;         /* RLIMIT_AS; 0 = none */

    /* Allocate everything, open what must be opened before lock-down (manager: the queue; resolver: roots). *writable_paths for the sandbox may be
     * set. A failure logs one clear line itself and ends the process with exit code 1 (78 for configuration). */
    enum err (*setup)(struct process *p);
    /* One completion of the ring that is not a channel's. */
    void (*event)(struct process *p, const struct ring_event *e);
    /* Once a loop turn, after all events and messages: step machines, send. */
    void (*turn)(struct process *p);
    /* When the next turn must come at the latest, monotonic ms; UINT64_MAX = only on events. NULL = never by time. */
    uint64_t (*deadline)(struct process *p);
    /* One message. Generated: PROCESS_DISPATCH(role). false = the message's meaning was a violation: the channel is closed. */
    bool (*message)(struct process *p, struct ipc_channel *from, const struct ipc_record *record);
    /* A channel to a peer came (a new peer, or the restarted one) or went. */
    void (*channel_open)(struct process *p, struct ipc_channel *c);
    void (*channel_gone)(struct process *p, struct ipc_channel *c);
    /* Stop taking new work; return true when nothing is in hand any more (asked once a turn while draining). */
    bool (*drain)(struct process *p, bool time_is_up);
};

/* What a role asks of its process. */
const struct config *process_config(const struct process *p);
struct ring *process_ring(struct process *p);
enum ring_engine process_engine(const struct process *p);
uint16_t process_index(const struct process *p);   /* which of several */
uint32_t process_epoch(const struct process *p);   /* counts the starts of this place */
uint64_t process_now_ms(const struct process *p);  /* monotonic, read once a loop turn */
int64_t process_now_wall_us(const struct process *p); /* wall, read once a loop turn */
bool process_draining(const struct process *p);
void process_set_state(struct process *p, void *state); /* the role's own */
void *process_state(struct process *p);
/* process_channel - the channel to a single peer (manager, resolver, ...), or to number `index` of several; NULL while it is down. */
struct ipc_channel *process_channel(struct process *p, enum ipc_role role, uint16_t index);
/* process_violation - a peer's message made no sense: log ipc_violation with `why`, close the channel (the master restarts the peer). */
void process_violation(struct process *p, struct ipc_channel *c, const char *why);
/* process_writable - a folder that must stay reachable after lock-down; during setup only. */
void process_writable(struct process *p, const char *path);
/* process_fatal - log one clear line and end the process: our own resources are unusable. */
_Noreturn void process_fatal(struct process *p, int exit_code, const char *text, struct bytes what, enum err e);

/* process_main - run a role; never returns before the end. Descriptors: 3 = control channel to the master, 4 = configuration image, 5 = log. */
int process_main(const struct role *role, uint16_t index, uint32_t epoch);

#endif
