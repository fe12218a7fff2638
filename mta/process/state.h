/*
 * state - what the files of the skeleton share. Roles see only process.h.
 */
#ifndef MTA_PROCESS_STATE_H
#define MTA_PROCESS_STATE_H

#include "mta/process/process.h"

enum {
    /* The master, and every place of every role that this one could talk to; roles of which there is one count as one. */
    PLACES_MAX = 1 + (int)ROLE_COUNT + 2 * (int)ROLE_INSTANCES_MAX,
    PORTS_MAX = 256, /* different TCP ports that a configuration connects to */
};

/* A peer's place: filled by one process after the other. */
struct place {
    enum ipc_role role;
    uint16_t index;
    uint32_t generation;          /* of the channel, in ring tokens */
    struct ipc_channel *channel;  /* NULL = down */
    bool readable;                /* there may be more to receive */
    bool blocked;                 /* the socket took no more; an event will say when it does */
    bool broken;                  /* to be closed when the present batch is done */
    bool has_next;                /* the next process of this place is there: its channel opens when the present one has been read to its end */
    int next_fd;
    uint32_t next_epoch;
};

struct process {
    const struct role *role;
    struct process_start start;
    const struct config *config, *first_config; /* in use; mapped at the start, into which texts of the log and of roles point */
    struct ring *ring;
    struct ring_options ring_options; /* what it was made with */
    uint32_t layers;              /* LAYER_ bits that are on */
    bool has_own_folder;          /* process_add_folder() */
    int own_folder_fd;
    void *state;                  /* the role's own */
    uint64_t now_ms;
    int64_t now_wall_us;
    bool wake;                    /* another turn comes at once */
    bool draining;
    uint64_t drain_until_ms;
    int log_fd;
    struct place places[PLACES_MAX]; /* [0] is the master */
    uint32_t place_count;
    uint32_t first_place[ROLE_COUNT], role_places[ROLE_COUNT]; /* of a role: where its places begin, and how many */
    uint16_t ports[PORTS_MAX];
    uint32_t port_count;
};

/* process_loop - from READY to the end; returns the exit code. */
int process_loop(struct process *p);

/* process_close_files - empty root and Landlock: before setup() for a role that works in its folder, else a part of process_lock_down(). */
void process_close_files(struct process *p, const struct sandbox_request *q);

/* process_lock_down - everything between setup and the first foreign octet; ends the process when a layer that must be on is not. */
void process_lock_down(struct process *p, struct sandbox_request *q);

/* process_request - what this role's sandbox needs; folders and ports live in p and in static storage. */
void process_request(struct process *p, struct sandbox_request *q);

#endif
