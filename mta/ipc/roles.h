/*
 * roles - the processes of Bulkhead, by number. Order is start order; stop order is the reverse.
 */
#ifndef MTA_IPC_ROLES_H
#define MTA_IPC_ROLES_H

#include <stdbool.h>

/*    NAME       name          user            several */
#define IPC_ROLES(R) \
    R(MASTER,    master,    "root",          0) \
    R(MANAGER,   manager,   "_mta-manager",  0) \
    R(RESOLVER,  resolver,  "_mta-resolver", 0) \
    R(MAILBOX,   mailbox,   "_mta-mailbox",  0) \
    R(CONNECTOR, connector, "_mta-connector",0) \
    R(DELIVER,   deliver,   "_mta-deliver",  1) \
    R(RECEIVER,  receiver,  "_mta-receiver", 1) \
    R(ACCEPTOR,  acceptor,  "_mta-acceptor", 0) \
    R(CONTROL,   control,   "_mta-control",  0) \
    R(KEYHOLDER, keyholder, "_mta-keyholder",0) \
    R(AUTHD,     authd,     "_mta-authd",    0) \
    R(TABLES,    tables,    "_mta-tables",   0) \
    R(GREYLIST,  greylist,  "_mta-greylist", 0) \
    R(LOCAL,     local,     "-",             1) /* as a user of this host, another one each time */

#define IPC_ROLE_ENUM(NAME, name, user, several) ROLE_##NAME,
enum ipc_role { IPC_ROLES(IPC_ROLE_ENUM) ROLE_COUNT, ROLE_ANY = 31 /* in the message table: every role but the master */ };

enum { ROLE_INSTANCES_MAX = 17 }; /* receivers or delivery workers, with the one in quarantine, of one machine; bounded by what channels cost the manager */

/* ipc_role_name - "master", "manager", ... */
const char *ipc_role_name(enum ipc_role role);
/* ipc_role_user - passwd name that a role runs as when it exists. */
const char *ipc_role_user(enum ipc_role role);
/* ipc_role_several - whether the role has more than one process. */
bool ipc_role_several(enum ipc_role role);
/* ipc_roles_talk - whether the table has a message between the two, either way; the master makes channels for these pairs only. */
bool ipc_roles_talk(enum ipc_role a, enum ipc_role b);

#endif
