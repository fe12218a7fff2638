/*
 * Any octets as a password file: whoever is found can be written down again as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "mta/authd/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64 * 1024) return 0;
    struct users u = {0};
    uint32_t line = 0;
    const char *why = NULL;
    uint8_t *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    enum err e = users_parse(&u, text, (uint32_t)size, &line, &why);
    must((e == ERR_NONE) == (why == NULL));
    for (uint32_t i = 0; i < u.count; i++) {
        uint8_t memory[USERS_LINE_BYTES_MAX + 8];
        struct buf out = BUF_OVER(memory);
        must(users_find(&u, u.table[i].name) == &u.table[i]);
        user_put(&out, u.table[i].name, u.table[i].hash, u.table[i].verifier);
        must(!out.overflow);
    }
    users_fini(&u);
    return 0;
}
