/*
 * operate - what the files that answer mtactl share. Each request of the control process is one slice of the queue: at most ADMIN_SLICE messages
 * looked at, then ADMIN_END with a cursor from which the control process may ask on. So the manager keeps nothing of a listing between two slices.
 */
#ifndef MTA_MANAGER_OPERATE_H
#define MTA_MANAGER_OPERATE_H

#include "mta/manager/manager.h"

struct operation {                    /* one request, with its texts */
    struct ipc_admin m;
    bool has_client;
    struct net_prefix client;         /* filter, parsed */
    uint32_t epoch;                   /* of the control process that asked */
    uint8_t texts[ADMIN_TEXTS_BYTES_MAX];
};

/* ---- rows.c: JSON, one object a row; docs/contract.md says what the members mean ---- */

/* row_message - queued recipients only (as `postqueue -j`), or all of them with their state. Recipients that do not fit are counted. */
void row_message(struct buf *out, const struct queue_row *row, bool all, int64_t now_wall_us);
void row_site(struct buf *out, const struct config *c, const struct queue_destination *d);
void row_status(struct manager *m, struct buf *out);
/* row_state - where a message is said to be: "hold", "active", "incoming", "deferred"; and the ADMIN_STATE_ it counts as. */
const char *row_state(const struct queue_row *row, int64_t now_wall_us, enum admin_state *state);

/* ---- crash_rows.c ---- */
/* crashes_answer - list, show or clear: rows are built in `memory` and given to row(), which says false when no more can be taken. */
void crashes_answer(const struct ipc_admin *m, struct buf *memory, bool (*row)(void *context, const struct buf *json), void *context, struct ipc_admin_end *end);

/* ---- filter.c ---- */
bool filter_message(const struct operation *o, const struct queue_row *row, int64_t now_wall_us);
/* filter_site - whether a destination is what somebody calls `site`: its whole name, the domain of an MX destination, or its route. */
bool filter_site(struct bytes destination, struct bytes site);
/* filter_queued - how many recipients of a message are still queued. */
uint32_t filter_queued(const struct queue_row *row);

/* ---- change.c: what a verb does to one message; ERR_BUSY = not now ---- */
/* head - the start of its body, for a bounce; empty when it could not be read: the notification goes without. */
must_use enum err change_message(struct manager *m, const struct operation *o, struct message_id id, struct bytes head);

#endif
