/*
 * resolver - what the files of the resolver process share. The card is in main.c.
 */
#ifndef MTA_RESOLVER_RESOLVER_H
#define MTA_RESOLVER_RESOLVER_H

#include "base/heap.h"
#include "mta/config/config.h"
#include "mta/ipc/hosts.h"
#include "mta/ipc/ipc.h"
#include "mta/process/process.h"
#include "mta/resolver/dns.h"

struct ub_ctx;
struct ub_event_base;

enum {
    LOOKUPS_MAX = 1024,           /* MX and address look-ups at once */
    GUEST_LOOKUPS_MAX = LOOKUPS_MAX / 2, /* of these, receivers': strangers cause them, and may not keep mail from going out */
    NAMINGS_MAX = 2048,           /* clients whose names are being looked for */
    PTR_NAMES_MAX = 4,            /* names of one client that are confirmed */
    INTERFACES_MAX = 256,
    HOSTS_FILE_BYTES_MAX = 256 * 1024,
    HOSTS_FILE_ENTRIES_MAX = 4096,
};

/* ---- events.c: libunbound's events on an epoll of our own, itself watched by the process's loop ---- */
struct ub_event_base *events_open(int *epoll_fd);
/* events_run - what is ready, and the timers that are due. False when more is waiting. */
bool events_run(uint64_t now_ms);
uint64_t events_deadline(void);

/* ---- unbound.c: the library's context ---- */
/* An anchor that the configuration names makes a stub's answers be validated too. */
struct ub_ctx *unbound_open(struct process *p, struct ub_event_base *base);

/* ---- fastopen.c: calling this makes its sendmsg() part of the program, and so the library's ---- */
void fastopen_replace(void);

/* ---- question.c: one DNS question; the answer comes by callback, always later or at once, exactly once ---- */
enum question_status { QUESTION_FOUND = 1, QUESTION_NO_DOMAIN, QUESTION_NO_DATA, QUESTION_TEMPORARY, QUESTION_BOGUS };
typedef void question_fn(void *context, uint32_t tag, enum question_status status, bool secure, const struct dns_result *result);
/* question_ask - `name` is text without a dot at its end; a name that cannot be asked answers NO_DOMAIN. */
void question_ask(struct ub_ctx *unbound, struct bytes name, enum dns_type type, void *context, uint32_t tag, question_fn *answer);

/* ---- etc_hosts.c: /etc/hosts, read before lock-down ---- */
void etc_hosts_read(void);
/* etc_hosts_find - addresses of a name; false when the file does not have it. */
bool etc_hosts_find(struct bytes name, struct host *out);

struct looking { /* one LOOKUP */
    uint32_t next_free;
    bool used, expired;
    uint64_t request;
    uint32_t manager_epoch;      /* or the receiver's */
    bool of_receiver;
    uint16_t receiver;
    uint8_t kind, family;
    bool implicit, insecure, temporary;
    bool mx_insecure;              /* the list of hosts is not vouched for: DANE speaks of none of them */
    bool tlsa_asked, tlsa_failed;
    uint16_t dane_port;
    uint32_t ttl_s, pending, host_count;
    struct heap_node timer;
    struct bytes name;
    uint8_t name_store[HOST_NAME_BYTES_MAX];
    struct looked_host {
        uint16_t preference;
        uint8_t len, address_count, dane;
        bool insecure;             /* its addresses are not vouched for */
        uint16_t tlsa_len;
        uint8_t text[DNS_NAME_BYTES_MAX];
        struct net_address addresses[HOST_ADDRESSES_MAX];
        uint8_t tlsa[HOST_TLSA_BYTES_MAX];
    } hosts[HOSTS_MAX];
};

struct naming { /* one CLIENT_NAME */
    bool used, answered;
    bool temporary;              /* some question was not answered */
    uint64_t request;
    uint16_t receiver;
    uint32_t receiver_epoch, pending, name_count;
    struct net_address client;
    struct heap_node timer;
    struct dns_name names[PTR_NAMES_MAX];
};

struct resolver {
    struct process *process;
    const struct config *config;
    struct ub_ctx *unbound;
    struct looking *lookings;
    struct naming *namings;
    struct heap looking_timers, naming_timers;
    struct net_address interfaces[INTERFACES_MAX];
    uint32_t interface_count;
    uint32_t guests;             /* look-ups of receivers */
};

/* dane.c - TLSA records of the hosts of a look-up, where the DNS vouches for list and addresses; done(l) is called once, perhaps at once. */
void dane_ask(struct resolver *r, struct looking *l, void (*done)(struct resolver *r, struct looking *l));

/* lookup.c */
void lookup_begin(struct resolver *r, const struct ipc_lookup *m, uint32_t manager_epoch);
/* lookup_begin_for_rules - the same for a receiver, which wants less of the answer. */
void lookup_begin_for_rules(struct resolver *r, const struct ipc_name_ask *m, uint16_t receiver, uint32_t epoch);
void lookup_timers(struct resolver *r, uint64_t now_ms);
/* naming.c */
void naming_begin(struct resolver *r, struct ipc_channel *from, const struct ipc_client_name *m);
void naming_timers(struct resolver *r, uint64_t now_ms);
/* self.c - whether an address is where we listen ourselves, on the port that MX targets are connected to. */
void self_learn(struct resolver *r);
bool self_is(const struct resolver *r, const struct net_address *a);

#endif
