/* library - see library.h. */
#include "mta/resolver/library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct resolver_library library;

/* fill - a function's address into a member of `library`; POSIX has both in a void *, and C no conversion between them. */
static const char *fill(void *handle, const char *symbol, void *member)
{
    void *at = dlsym(handle, symbol);
    if (!at) return dlerror();
    memcpy(member, &at, sizeof at);
    return NULL;
}

const char *library_open(void)
{
    void *unbound = dlopen("libunbound.so.8", RTLD_NOW | RTLD_LOCAL);
    void *idn = unbound ? dlopen("libidn2.so.0", RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!unbound || !idn) return dlerror();
    const char *wrong = NULL;
#define FILL(from, name, symbol) \
    if (!wrong) wrong = fill(from, #symbol, &library.name);
    RESOLVER_LIBRARY(FILL)
#undef FILL
    return wrong;
}
