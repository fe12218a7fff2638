/*
 * boxes - what the manager's files about dead workers share: boxes and grants (boxes.c), what a death means for attempts (deaths.c), what a dead manager
 * left behind (orphans.c), receivers and their clients (doors.c), records of crashes (crashes.c), and who is kept apart (quarantine.c).
 */
#ifndef MTA_MANAGER_BOXES_H
#define MTA_MANAGER_BOXES_H

#include "mta/box/grants.h"
#include "mta/box/rules.h"
#include "mta/manager/manager.h"

struct worker_box {
    int fd;                   /* the box, for reading; -1 = none */
    uint32_t epoch;           /* workers from this one on write it */
    int fd_before;            /* what those before wrote; -1 = the same, or none */
    struct grants grants;     /* of a delivery worker */
};

struct death {                /* of a worker; what belongs together comes by two channels */
    bool gone;                /* its channel was read to its end */
    bool died;                /* the master has reaped it */
    uint32_t epoch;
    struct ipc_died how;
};

struct boxes {
    struct worker_box deliver[ROLE_INSTANCES_MAX], receivers[ROLE_INSTANCES_MAX];
    struct death deaths[2][ROLE_INSTANCES_MAX]; /* [0] delivery workers, [1] receivers */
};

/* ---- boxes.c ---- */
static inline uint64_t boxes_cookie(uint32_t worker, uint32_t index) { return (uint64_t)worker << 32 | (index + 1); }
/* box_copy - a slot, once. box_copy_header - false when it cannot be believed. box_next - the first slot from `slot` on that may be used. */
bool box_copy(int fd, uint32_t slot, struct box_slot *copy);
bool box_copy_header(int fd, struct box_header *copy);
uint32_t box_next(int fd, uint32_t slot);

/* death_is_crash - whether such an end can be a stranger's doing. death_crash - a record to be filled. */
bool death_is_crash(const struct ipc_died *how);
struct crash death_crash(const struct manager *m, const struct ipc_died *how);
/* box_of - the file that a worker of this epoch wrote; -1 = none. box_culprit - the slot of that worker that was open when it died, when it is one alone. */
int box_of(const struct worker_box *w, uint32_t epoch);
bool box_culprit(int fd, uint32_t epoch, struct box_slot *out);

/* ---- doors.c: receivers and their clients ---- */
/* doors_death - a receiver is dead. doors_acceptor_came - tell it who is kept apart. doors_acceptor_gone, doors_tidy - answers that do not come any more. */
void doors_death(struct manager *m, uint16_t receiver, const struct death *d);
void doors_acceptor_came(struct manager *m);
void doors_acceptor_gone(struct manager *m);
void doors_tidy(struct manager *m);

/* ---- quarantine.c: pure ---- */
enum quarantine_side { QUARANTINE_REMOTES = 0, QUARANTINE_CLIENTS, QUARANTINE_SIDES };
enum {
    QUARANTINE_MAX = 256,                       /* on each side; the one that was quiet for longest makes room */
    QUARANTINE_SUSPECT_MS = 10 * 60 * 1000,     /* who was merely there, and has not been asked since, is forgotten */
    QUARANTINE_CONVICT_MS = 24 * 60 * 60 * 1000,
};
struct apart {
    struct net_address who;                     /* family 0 = free; of a client with IPv6 its /64 */
    uint32_t kills;                             /* 0 = a suspect */
    uint64_t until_ms;                          /* no connection before */
    uint64_t charged_ms;
    bool released;                              /* served like others again; its kills still count */
};
/* quarantine_charge - somebody has killed a worker (convicted), or may have; when_ms may be past. NULL without an address, and for a suspect without a place.
 * quarantine_say - so in the log. quarantine_release - he has gone through a session to its end, alone; true when he was convicted.
 * quarantine_keeps_ms - how long he is kept at most. */
const struct apart *quarantine_charge(enum quarantine_side side, const struct net_address *who, bool convicted, uint64_t when_ms);
void quarantine_say(enum quarantine_side side, const struct net_address *who, struct bytes host);
bool quarantine_release(enum quarantine_side side, const struct net_address *who);
/* quarantine_same - whether two addresses are the same one to that side. */
bool quarantine_same(enum quarantine_side side, const struct net_address *a, const struct net_address *b);
bool quarantine_holds(enum quarantine_side side, const struct net_address *who);
uint64_t quarantine_keeps_ms(const struct apart *q);
/* quarantine_at - who is apart in that place of the table, or NULL. */
const struct apart *quarantine_at(enum quarantine_side side, uint32_t index);
/* quarantine_ask - where a connection to a host may be made: anywhere, in the quarantine worker (which is idle or not), or nowhere yet. */
enum quarantine_answer { QUARANTINE_FREE = 0, QUARANTINE_ALONE, QUARANTINE_WAIT };
enum quarantine_answer quarantine_ask(const struct host *h, bool idle, uint64_t now_ms);
void quarantine_tidy(uint64_t now_ms);
uint32_t quarantine_count(enum quarantine_side side);
/* quarantine_content - a message's content was in play when this remote killed; true when another remote has killed over it before. */
bool quarantine_content(struct message_id id, const struct net_address *remote);
/* quarantine_repeats - this remote was named for a death; true when several others were named of late: then the naming itself is in doubt. */
bool quarantine_repeats(const struct net_address *remote, uint64_t now_ms);

/* ---- crashes.c ---- */
struct crash {                /* one record */
    int64_t when_wall_us;
    uint8_t role;
    uint16_t index;
    uint32_t pid, epoch;
    uint8_t signal, by_master;
    uint8_t step;             /* enum mail_step */
    uint8_t found, rule;      /* enum box_found, enum box_rule */
    bool named;               /* the remote was caught in the act; else it is one of many that were talked to last, and is not named */
    uint64_t attempt;
    struct message_id message;
    struct net_address remote;
    bool released;            /* the remote was let go since */
    uint32_t suspects;        /* remotes that are kept apart because of it */
    struct bytes host, bytes; /* borrowed */
};
/* crashes_open - read what is there, and keep apart who was not let go since; call before lock-down. crash_record - a line, a file, a place in memory.
 * crash_known - there is a record of that process. crashes_release - note in its records that somebody was let go. */
void crashes_open(struct manager *m);
bool crash_known(const struct ipc_died *how);
void crashes_release(enum quarantine_side side, const struct net_address *remote);
void crash_record(struct manager *m, const struct crash *c);
/* crashes_status - a member "crashes" of the status. crash_at - the first record behind a number; NULL at the end. crash_row - as JSON; all = with octets. */
void crashes_status(struct buf *out);
const struct crash *crash_at(uint64_t after, uint64_t *number);
void crash_row(struct buf *out, uint64_t number, const struct crash *c, bool all);
bool crash_remove(uint64_t number);

/* ---- orphans.c ---- */
/* orphans_adopt - grants of a worker that an earlier manager left: what they name is not given out again before it is settled. */
void orphans_adopt(struct manager *m, uint16_t worker);
/* orphans_grant - what an earlier manager gave to this connection and is not settled yet, or NULL. */
const struct grant *orphans_grant(const struct manager *m, uint16_t worker, const struct box_identity *id);

#endif
