/*
 * dispatch - from the message table to a role's handlers: prototypes for every message that a role may receive, and its switch.
 *
 * PROCESS_DISPATCH(manager) in mta/manager/main.c defines manager_message(), the `message` of its struct role: it decodes each record and calls
 * manager_on_<message>(). A handler that is missing does not link; a handler for a message that the role never gets has no prototype.
 * Messages to ANY role are the skeleton's and do not appear here.
 *
 * How a row is left out: PROCESS_HEARS(manager, MANAGER) is 1 because PROCESS_HEARS_manager_MANAGER is defined as a probe, and 0 for every other
 * pair, which is not defined.
 */
#ifndef MTA_PROCESS_DISPATCH_H
#define MTA_PROCESS_DISPATCH_H

#include "mta/process/process.h"

#define PROCESS_HEARS_manager_MANAGER ~, 1
#define PROCESS_HEARS_resolver_RESOLVER ~, 1
#define PROCESS_HEARS_mailbox_MAILBOX ~, 1
#define PROCESS_HEARS_connector_CONNECTOR ~, 1
#define PROCESS_HEARS_deliver_DELIVER ~, 1
#define PROCESS_HEARS_receiver_RECEIVER ~, 1
#define PROCESS_HEARS_acceptor_ACCEPTOR ~, 1
#define PROCESS_HEARS_control_CONTROL ~, 1
#define PROCESS_HEARS_keyholder_KEYHOLDER ~, 1
#define PROCESS_HEARS_authd_AUTHD ~, 1
#define PROCESS_HEARS_tables_TABLES ~, 1
#define PROCESS_HEARS_greylist_GREYLIST ~, 1
#define PROCESS_HEARS_local_LOCAL ~, 1

#define PROCESS_SECOND(a, b, ...) b
#define PROCESS_PICK(...) PROCESS_SECOND(__VA_ARGS__, 0, 0)
#define PROCESS_HEARS(role, to) PROCESS_PICK(PROCESS_HEARS_##role##_##to)
#define PROCESS_JOIN(a, b) PROCESS_JOIN_NOW(a, b)
#define PROCESS_JOIN_NOW(a, b) a##b

/* Prototypes. */
#define PROCESS_PROTOTYPE_0(role, name)
#define PROCESS_PROTOTYPE_1(role, name) \
    void role##_on_##name(struct process *p, struct ipc_channel *from, const struct ipc_##name *m, int fd);
#define PROCESS_PROTOTYPE(role, name, to) PROCESS_JOIN(PROCESS_PROTOTYPE_, PROCESS_HEARS(role, to))(role, name)
#define PROCESS_PROTOTYPES(id, NAME, name, from, to, fd, FIELDS) \
    PROCESS_PROTOTYPE(manager, name, to) \
    PROCESS_PROTOTYPE(resolver, name, to) \
    PROCESS_PROTOTYPE(mailbox, name, to) \
    PROCESS_PROTOTYPE(connector, name, to) \
    PROCESS_PROTOTYPE(deliver, name, to) \
    PROCESS_PROTOTYPE(receiver, name, to) \
    PROCESS_PROTOTYPE(acceptor, name, to) \
    PROCESS_PROTOTYPE(control, name, to) \
    PROCESS_PROTOTYPE(keyholder, name, to) \
    PROCESS_PROTOTYPE(authd, name, to) \
    PROCESS_PROTOTYPE(tables, name, to) \
    PROCESS_PROTOTYPE(greylist, name, to) \
    PROCESS_PROTOTYPE(local, name, to)
IPC_MESSAGES(PROCESS_PROTOTYPES)

/* The switch. */
#define PROCESS_CASE_0(role, NAME, name)
#define PROCESS_CASE_1(role, NAME, name) \
    case IPC_##NAME: { \
        struct ipc_##name m; \
        if (ipc_decode_##name(record->body, &m) != ERR_NONE) return false; \
        role##_on_##name(p, from, &m, record->fd); \
        return true; \
    }
#define PROCESS_CASE(role, NAME, name, to) PROCESS_JOIN(PROCESS_CASE_, PROCESS_HEARS(role, to))(role, NAME, name)
#define PROCESS_CASES_manager(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(manager, NAME, name, to)
#define PROCESS_CASES_resolver(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(resolver, NAME, name, to)
#define PROCESS_CASES_mailbox(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(mailbox, NAME, name, to)
#define PROCESS_CASES_connector(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(connector, NAME, name, to)
#define PROCESS_CASES_deliver(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(deliver, NAME, name, to)
#define PROCESS_CASES_receiver(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(receiver, NAME, name, to)
#define PROCESS_CASES_acceptor(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(acceptor, NAME, name, to)
#define PROCESS_CASES_control(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(control, NAME, name, to)
#define PROCESS_CASES_keyholder(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(keyholder, NAME, name, to)
#define PROCESS_CASES_authd(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(authd, NAME, name, to)
#define PROCESS_CASES_local(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(local, NAME, name, to)
#define PROCESS_CASES_tables(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(tables, NAME, name, to)
#define PROCESS_CASES_greylist(id, NAME, name, from, to, fd, FIELDS) PROCESS_CASE(greylist, NAME, name, to)

#define PROCESS_DISPATCH(role) \
    static bool role##_message(struct process *p, struct ipc_channel *from, const struct ipc_record *record) \
    { \
        switch (record->type) { \
            IPC_MESSAGES(PROCESS_CASES_##role) \
        default: \
            return false; \
        } \
    }

#endif
