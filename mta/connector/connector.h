/*
 * connector - what the files of the connector process share. The card is in main.c.
 */
#ifndef MTA_CONNECTOR_CONNECTOR_H
#define MTA_CONNECTOR_CONNECTOR_H

#include "base/heap.h"
#include "base/net.h"
#include "mta/config/config.h"
#include "mta/ipc/ipc.h"
#include "mta/process/process.h"

enum {
    RACES_MAX = 4096,          /* connections being made at once; the manager's own limit is lower in practice */
    RACE_SOCKETS_MAX = 3,      /* addresses of one host tried at the same time */
    RACE_ADDRESSES_MAX = 50,   /* of one host: what CONNECT can carry */
    RACE_STAGGER_MS = 250,     /* RFC 8305 5: the next address starts when the one before has not answered */
    OWN_ADDRESSES_MAX = 256,   /* of this machine's interfaces */
    FAILURE_BYTES_MAX = 512,
};

struct race_socket {
    int fd;                    /* -1 = none */
    uint32_t address;          /* index */
};

struct race {                  /* one CONNECT: addresses tried in order, the first that answers wins */
    struct heap_node timer;    /* next stagger or the deadline */
    bool used;
    uint32_t generation;       /* for the ring's tokens: 24 bits */
    uint64_t connection;       /* the manager's */
    uint16_t worker, route;
    uint32_t worker_epoch;
    bool from_mx, helo_only;
    bool forbidden_only;       /* every address so far was refused by policy */
    uint64_t began_us, deadline_ms, next_ms;
    uint32_t address_count, next_address;
    struct race_socket sockets[RACE_SOCKETS_MAX];
    struct net_address addresses[RACE_ADDRESSES_MAX];
    uint8_t host_len, helo_len;
    uint16_t secrecy_len;
    uint8_t secrecy[IPC_SECRECY_BYTES_MAX]; /* carried on as it came */
    uint32_t failure_len;
    struct net_address failed;
    uint8_t host[HOST_NAME_BYTES_MAX], helo[HOST_NAME_BYTES_MAX];
    uint8_t failure[FAILURE_BYTES_MAX];
};

struct connector {
    struct process *process;
    const struct config *config;
    struct race *races;        /* RACES_MAX */
    uint32_t race_count;
    uint32_t free[RACES_MAX];  /* indexes of unused races */
    uint32_t free_count;
    struct heap timers;
    struct net_address own[OWN_ADDRESSES_MAX];
    uint32_t own_count;
};

enum { CONNECTOR_TOKEN_SOCKET = PROCESS_TOKEN_ROLE_FIRST };

/* policy.c */
/* policy_own_addresses - learn this machine's addresses; before lock-down. */
void policy_own_addresses(struct connector *c);
/* policy_allows - whether a target may be connected to; *why says what forbids it. Targets from MX records are never special or our own addresses, unless
 * connect { allow } names them; addresses and hosts written in a route are the operator's word. */
bool policy_allows(const struct connector *c, const struct net_address *target, bool from_mx, const char **why);

/* race.c */
void race_begin(struct connector *c, const struct ipc_connect *m);
void race_cancel(struct connector *c, uint64_t connection);
void race_ready(struct connector *c, const struct ring_event *e);
void race_timers(struct connector *c);
void race_end_all(struct connector *c);

#endif
