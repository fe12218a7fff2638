/*
 * boxes - what the manager's files about dead workers share: boxes and grants (boxes.c), what a death means for attempts (deaths.c), what a dead manager
 * left behind (orphans.c), records of crashes (crashes.c), and remotes that are kept apart (quarantine.c).
 */
#ifndef MTA_MANAGER_BOXES_H
#define MTA_MANAGER_BOXES_H

#include "mta/box/grants.h"
#include "mta/box/rules.h"
#include "mta/manager/manager.h"

struct worker_box {
    int fd;                   /* the box, for reading; -1 = none */
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

/* ---- quarantine.c ---- */
/* quarantine_charge - a remote has killed a worker (convicted), or may have. quarantine_release - it has carried a message to its end, alone. */
void quarantine_charge(struct manager *m, const struct net_address *remote, struct bytes host, bool convicted);
void quarantine_release(struct manager *m, const struct net_address *remote);
bool quarantine_holds(const struct net_address *remote);
/* quarantine_ask - where a connection to a host may be made: anywhere, in the quarantine worker, or nowhere yet. */
enum quarantine_answer { QUARANTINE_FREE = 0, QUARANTINE_ALONE, QUARANTINE_WAIT };
enum quarantine_answer quarantine_ask(struct manager *m, const struct host *h);
void quarantine_tidy(struct manager *m);
uint32_t quarantine_count(void);
/* quarantine_content - a message's content was in play when this remote killed; true when another remote has killed over it before. */
bool quarantine_content(struct message_id id, const struct net_address *remote);
/* quarantine_repeats - this remote was named for a death; true when several others were named of late: then the naming itself is in doubt. */
bool quarantine_repeats(struct manager *m, const struct net_address *remote);

/* ---- crashes.c ---- */
struct crash {                /* one record */
    int64_t when_wall_us;
    uint8_t role;
    uint16_t index;
    uint32_t pid;
    uint8_t signal, by_master;
    uint8_t step;             /* enum mail_step */
    uint8_t found, rule;      /* enum box_found, enum box_rule */
    bool named;               /* the remote was caught in the act; else it is one of many that were talked to last, and is not named */
    uint64_t attempt;
    struct message_id message;
    struct net_address remote;
    uint32_t suspects;        /* remotes that are kept apart because of it */
    struct bytes host, bytes; /* borrowed */
};
/* crashes_open - read what is there; call before lock-down. crash_record - a line, a file, a place in memory. */
void crashes_open(struct manager *m);
void crash_record(struct manager *m, const struct crash *c);
/* crashes_status - a member "crashes" of the status. crash_at - the first record behind a number; NULL at the end. crash_row - as JSON; all = with octets. */
void crashes_status(struct buf *out);
const struct crash *crash_at(uint64_t after, uint64_t *number);
void crash_row(struct buf *out, uint64_t number, const struct crash *c, bool all);
bool crash_remove(uint64_t number);

/* ---- orphans.c ---- */
/* orphans_adopt - grants of a worker that an earlier manager left: what they name is not given out again before it is settled. */
void orphans_adopt(struct manager *m, uint16_t worker);

#endif
