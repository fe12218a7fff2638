/*
 * process - the skeleton that every role has: same phases, same loop, same ways to end.
 *
 * process_main(): arguments and descriptors -> identity -> role->setup() allocates everything -> lock down -> self-test -> READY -> loop -> drain.
 * The loop never acts inside an event: it collects completions, hands each to the role, receives from every readable channel in batches,
 * then calls role->turn() once, then flushes channels and log.
 *
 * A role is a table row, `const struct role role_<name>` in mta/<name>/main.c. Its messages are dispatched by generated code: for each message of
 * mta/ipc/messages.h that the role may receive there must be a handler
 *     void <role>_on_<message>(struct process *p, struct ipc_channel *from, const struct ipc_<message> *m, int fd)
 * (mta/process/dispatch.h): a missing handler is a link error. The handler takes over `fd` (-1 = none) and must close it. What the master says to
 * ANY role (PEER, PING, DRAIN, LOG_TO, DIED, BOX, CONFIG) is handled by the skeleton; a role has no handler for it.
 *
 * A signal never ends a child: SIGINT, SIGTERM, SIGHUP and SIGPIPE are ignored, because the master alone decides when a child drains. When the
 * control channel ends, the master is dead, and the child ends at once.
 */
#ifndef MTA_PROCESS_PROCESS_H
#define MTA_PROCESS_PROCESS_H

#include "base/err.h"
#include "mta/config/config.h"
#include "mta/ipc/ipc.h"
#include "mta/ring/ring.h"
#include "mta/sandbox/sandbox.h"

enum role_state { ROLE_STARTING = 0, ROLE_RUNNING, ROLE_DRAINING, ROLE_BACKING_OFF, ROLE_STOPPED };

/* Token kinds below PROCESS_TOKEN_ROLE_FIRST belong to the skeleton; a role numbers its own from there. */
enum { PROCESS_TOKEN_CHANNEL = 1, PROCESS_TOKEN_ROLE_FIRST = 16 };

/* Descriptors that the master leaves open in a child. ROOT is an empty, already removed folder that becomes the root (only when started as root).
 * Folders follow one another from PROCESS_FOLDER_FD on (mta/process/folders.h). */
enum { PROCESS_LOCAL_MAX = 4 }; /* users of this host that get mail at the same time, each by a process */
enum { PROCESS_CONTROL_FD = 3, PROCESS_CONFIG_FD = 4, PROCESS_LOG_FD = 5, PROCESS_ROOT_FD = 6, PROCESS_FOLDER_FD = 7 };

/* Exit codes of a process of ours (sysexits.h). */
enum { PROCESS_EXIT_OK = 0, PROCESS_EXIT_FAILED = 1, PROCESS_EXIT_USAGE = 64, PROCESS_EXIT_CONFIG = 78 };

struct process; /* what a role sees of its process */

struct role {
    enum ipc_role id;
    struct ring_options ring;      /* engine is filled in from the configuration; descriptors_max (0 = 1024) is cut to the hard limit, and is RLIMIT_NOFILE */
    bool plain_engine;             /* use the epoll engine always (manager, connector, resolver, mailbox, control): plain system calls */
    bool works_in_folder;          /* folder 0 is the working directory, from before setup() and for good: relative paths work (manager) */
    bool starts_threads;           /* in setup(): the file system is closed off before it, since Landlock reaches later threads only (receiver) */
    uint64_t memory_bytes;         /* RLIMIT_AS; 0 = none */

    /* Allocate everything, open what must be opened before lock-down (manager: the queue; resolver: roots). Identity is dropped already.
     * The ring is there; channels are not yet. A failure logs one clear line itself (or calls process_fatal()) and returns an error: exit code 1. */
    enum err (*setup)(struct process *p);
    /* One completion of the ring that is not a channel's. NULL = the role asks the ring for nothing. */
    void (*event)(struct process *p, const struct ring_event *e);
    /* Once a loop turn, after all events and messages: step machines, send. */
    void (*turn)(struct process *p);
    /* When the next turn must come at the latest, monotonic ms; UINT64_MAX = only on events. NULL = never by time. */
    uint64_t (*deadline)(struct process *p);
    /* One message. Generated: PROCESS_DISPATCH(role) makes <role>_message(). false = the octets were a violation: the channel is closed. */
    bool (*message)(struct process *p, struct ipc_channel *from, const struct ipc_record *record);
    /* A channel to a peer came (a new peer, or the restarted one) or went. `c` is still valid in channel_gone, but takes no more messages. */
    void (*channel_open)(struct process *p, struct ipc_channel *c);
    void (*channel_gone)(struct process *p, struct ipc_channel *c);
    /* The master reaped a peer (DIED): manager and acceptor want to know pid and signal. NULL = not interested. It may come before or after
     * channel_gone, which is what says that no more messages come from it. */
    void (*died)(struct process *p, const struct ipc_died *m);
    /* BOX from the master: descriptors of black boxes (mta/box/), before any work comes. It takes over `fd`. NULL = the role has to do with none. */
    void (*box)(struct process *p, const struct ipc_box *m, int fd);
    /* The configuration was read again, its tables only: process_config() is the new image from now on. What was taken from the first one stays
     * good, from any other it does not: a role that keeps a pointer to the configuration takes it anew here. NULL = it keeps none, or needs no table. */
    void (*configured)(struct process *p);
    /* Stop taking new work; return true when nothing is in hand any more (asked once a turn while draining, after turn()). NULL = at once. */
    bool (*drain)(struct process *p, bool time_is_up);
};

/* What a role asks of its process. */
const struct config *process_config(const struct process *p);
struct ring *process_ring(struct process *p);
enum ring_engine process_engine(const struct process *p);
uint16_t process_index(const struct process *p);   /* which of several */
uint32_t process_epoch(const struct process *p);   /* grows with every start of this place, over restarts of the master too */
uint64_t process_now_ms(const struct process *p);  /* monotonic, read once a loop turn */
int64_t process_now_wall_us(const struct process *p); /* wall, read once a loop turn */
bool process_draining(const struct process *p);
void process_set_state(struct process *p, void *state); /* the role's own */
void *process_state(struct process *p);
/* process_channel - the channel to a single peer (manager, resolver, ...; index 0), or to number `index` of several; NULL while it is down.
 * ipc_send_<name>() on it queues; the skeleton flushes once at the end of the turn. */
struct ipc_channel *process_channel(struct process *p, enum ipc_role role, uint16_t index);
/* process_places - how many processes of a role there are by the configuration: 1, but for receiver, deliver and local, no keyholder without keys, no authd
 * without an auth block, and no greylist without rules that ask for it. Behind the workers that it asks for stands one more receiver and one more deliver,
 * the quarantine worker, whose index is workers.delivers or workers.receivers: it has one connection at a time, of who has killed one.
 * process_instances - the same for this process's configuration. */
uint16_t process_places(const struct config *c, enum ipc_role role);
uint16_t process_instances(const struct process *p, enum ipc_role role);
/* process_violation - a peer's message made no sense: log ipc_violation with `why`, close the channel when the handler has returned, and tell the
 * master, who restarts the peer. channel_gone() follows. */
void process_violation(struct process *p, struct ipc_channel *c, const char *why);
/* process_wake - another turn comes at once, without waiting for an event: work was left over on purpose. */
void process_wake(struct process *p);

/*
 * process_folder - a folder that the master opened (O_PATH) for this role, with its rights to make files there; the way to it may be closed to
 * this uid (a home folder of mode 0700), so everything below is reached with openat(), fchdir() and relative paths, never by its whole path.
 * In       n   manager: 0 = the queue folder, which is its working directory (works_in_folder)
 *              mailbox: folder_of_route() of mta/process/folders.h
 * Returns  the descriptor, or -1 when there is no such folder. Sandbox rules for it are made by the skeleton.
 */
int process_folder(const struct process *p, uint32_t n);

/* process_add_folder - in setup(): one more folder, behind those of the master, that the role has opened itself by the rights of its user. True: it takes
 * over fd. */
bool process_add_folder(struct process *p, int fd);

/* process_start_of - what the master said when it started this process. */
struct process_start;
const struct process_start *process_start_of(const struct process *p);

/* process_fatal - log one clear line "<text>: <what>: <sentence of e>" and end the process: our own resources are unusable. During start the
 * master adds nothing to this line, and ends with the same exit code. */
_Noreturn void process_fatal(struct process *p, int exit_code, const char *text, struct bytes what, enum err e);

struct process_start { /* what the master says in the arguments of a child (mta/master/main.c) */
    uint16_t index;
    uint32_t epoch;
    uint32_t folder_count;
    bool change_identity;
    uint32_t uid, gid;
    uint32_t landlock_max; /* of sandbox_request.landlock_abi_max */
    uint32_t route;        /* local: where it delivers */
    const char *user, *home; /* who it is, and the user's home folder */
};

/* process_main - run a role; never returns before the end. Returns the exit code. */
int process_main(const struct role *role, const struct process_start *start);

#endif
