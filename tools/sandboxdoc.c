/*
 * sandboxdoc - prints the system calls that each role may make, "role<tab>call: condition" a line, for docs/security.md (tools/docs-generate).
 */
#include <stdio.h>

#include "mta/sandbox/sandbox.h"

enum { DESCRIPTION_BYTES_MAX = 64 * 1024 }; /* of one role: some hundred lines */

static void print_role(enum ipc_role role)
{
    static uint8_t memory[DESCRIPTION_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    sandbox_describe(&text, role);
    for (struct bytes rest = buf_bytes(&text); rest.len > 0;) {
        struct bytes line = bytes_slice(rest, 0, bytes_find(rest, '\n'));
        rest = bytes_from(rest, line.len + 1);
        if (line.len > 0) printf("%s\t%.*s\n", ipc_role_name(role), (int)line.len, (const char *)line.ptr);
    }
}

int main(void)
{
    for (enum ipc_role role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
        if (role != ROLE_KEYHOLDER) print_role(role);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
