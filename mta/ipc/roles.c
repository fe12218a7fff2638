/*
 * roles - names of the roles.
 */
#include "mta/ipc/roles.h"

#include <stddef.h>

#include "base/must.h"

static const struct {
    const char *name, *user;
    bool several;
} roles[ROLE_COUNT] = {
#define ROLE_ROW(NAME, name, user, several) [ROLE_##NAME] = {#name, user, several},
    IPC_ROLES(ROLE_ROW)
};

const char *ipc_role_name(enum ipc_role role)
{
    return role < ROLE_COUNT ? roles[role].name : "unknown"; /* also asked for numbers that a peer sent */
}

const char *ipc_role_user(enum ipc_role role)
{
    must(role < ROLE_COUNT);
    return roles[role].user;
}

bool ipc_role_several(enum ipc_role role)
{
    must(role < ROLE_COUNT);
    return roles[role].several;
}
