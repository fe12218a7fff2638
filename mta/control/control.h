/*
 * control - what the files of the control process share. The card is in main.c.
 */
#ifndef MTA_CONTROL_CONTROL_H
#define MTA_CONTROL_CONTROL_H

#include "mta/ipc/admin.h"
#include "mta/ipc/ipc.h"
#include "mta/process/process.h"

enum {
    CLIENTS_MAX = 32,                /* mtactl is run by people and by health checks; the manager takes 64 requests */
    CLIENT_OUT_BYTES = ADMIN_SLICE_BYTES + 2 * IPC_JSON_BYTES_MAX, /* a slice's rows, the row that ended it, and the end */
    REQUEST_WITHIN_MS = 10 * 1000,   /* a client says what it wants within this */
    PROGRESS_WITHIN_MS = 60 * 1000,  /* a reader takes something within this, or is gone */
    ROLE_PLACES_MAX = (int)ROLE_COUNT * (int)ROLE_INSTANCES_MAX,
    CONTROL_TOKEN_LISTENER = PROCESS_TOKEN_ROLE_FIRST, CONTROL_TOKEN_RECEIVE, CONTROL_TOKEN_SEND
};

enum right { RIGHT_NONE = 0, RIGHT_READ, RIGHT_OPERATE };

enum client_state {
    CLIENT_FREE = 0,
    CLIENT_READING,                  /* its line is not complete */
    CLIENT_ASKED,                    /* somebody has its request */
    CLIENT_READY,                    /* a slice is here; the next is asked for when the client has read this one */
    CLIENT_LAST,                     /* the end is written: closed when it is sent */
    CLIENT_CLOSING                   /* waits for what the ring has under way */
};

struct client {
    uint8_t state;                   /* enum client_state */
    uint8_t right;                   /* enum right */
    uint8_t asked;                   /* enum ipc_role: who has its request */
    int fd;
    uint32_t index, generation;
    uint32_t uid, pid;               /* of the peer, by the kernel's word */
    bool receiving, sending;
    bool rows_written;               /* of the present slice */
    uint64_t until_ms;               /* when patience ends; UINT64_MAX while it waits for the manager */
    uint64_t request;                /* under way at the manager; 0 = none */
    struct ipc_admin ask;            /* its texts lie in `texts` */
    struct ipc_admin_end sum;        /* of all slices so far */
    uint32_t line_len;
    uint8_t line[ADMIN_LINE_BYTES_MAX];
    uint8_t texts[ADMIN_TEXTS_BYTES_MAX];
    struct buf out;                  /* over CLIENT_OUT_BYTES of its own */
    uint32_t out_sent;
};

struct control {
    struct process *process;
    const struct config *config;
    struct ring *ring;
    int listener;                    /* -1 = not yet */
    bool accepting;
    uint64_t next_request;
    uint32_t own_uid;                /* without root, the user that runs mtad */
    bool has_operators, has_viewers; /* the groups exist */
    uint32_t operators, viewers;     /* their ids */
    struct ipc_role_state roles[ROLE_PLACES_MAX]; /* by role and index; pid and started 0 = never heard of */
    struct client clients[CLIENTS_MAX];
};

static inline struct control *control_of(struct process *p) { return (struct control *)process_state(p); }

/* rights.c */
/* rights_prepare - look the groups up, before the lock-down. rights_of - who is at the other end of a socket, and what that allows. */
void rights_prepare(struct control *c);
enum right rights_of(const struct control *c, int fd, uint32_t *uid, uint32_t *pid);

/* clients.c */
void client_accepted(struct control *c, int fd);
void client_event(struct control *c, const struct ring_event *e);
void clients_turn(struct control *c);
uint64_t clients_deadline(const struct control *c);
struct client *client_of_request(struct control *c, uint64_t request);
/* client_end - write the last line; the client is closed when it has read it. */
void client_end(struct control *c, struct client *k, uint8_t status, struct bytes text);
void client_drop(struct control *c, struct client *k);
bool clients_idle(const struct control *c);

/* requests.c - between a client and the manager */
void request_begin(struct control *c, struct client *k);
void request_next(struct control *c, struct client *k);
void requests_manager_gone(struct control *c);
/* request_logged - one line for what changed something, also when it was refused or broken off. */
void request_logged(const struct client *k, uint8_t status);

/* tables.c - what is answered from the configuration, by the tables process, or by the master */
void tables_request(struct control *c, struct client *k);
void tables_gone(struct control *c);

/* explain.c - what a receiver says would become of a recipient */
void explain_request(struct control *c, struct client *k);
void explain_receiver_gone(struct control *c, uint16_t index);

/* status.c */
void status_note(struct control *c, const struct ipc_role_state *m);
bool status_all_running(const struct control *c);
/* status_begin - the object up to where the manager's part goes on; its brace is left open. */
void status_begin(const struct control *c, struct buf *out);

#endif
