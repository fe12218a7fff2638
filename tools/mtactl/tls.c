/*
 * tls - certificates and keys of the running mtad.
 */
#include "mtactl.h"

int command_tls_reload(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    struct ipc_admin ask = c->ask;
    ask.verb = ADMIN_TLS_RELOAD;
    if (count > 0) return usage("too many words", arguments[0]);
    int code = link_ask(c, &ask, NULL, NULL, &end);
    if (c->json) printf("{\"reloaded\":%s}\n", code == ADMIN_OK ? "true" : "false");
    else if (code == ADMIN_OK) puts("certificates and keys were read again and are in use");
    return code;
}
