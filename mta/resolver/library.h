/*
 * library - libunbound and libidn2, loaded by the process that uses them and by no other.
 *
 * All processes are one program. Were these linked to it, each of a dozen would map and relocate them, and what they need in turn, at every start and after
 * every death, only to have more code in it that can be jumped to.
 */
#ifndef MTA_RESOLVER_LIBRARY_H
#define MTA_RESOLVER_LIBRARY_H

#include <idn2.h>
#include <unbound.h>
#include <unbound-event.h>

/* name here, name there: all that is used of the two. */
#define RESOLVER_LIBRARY(F) \
    F(unbound, create, ub_ctx_create_ub_event) \
    F(unbound, settings, ub_ctx_config) \
    F(unbound, anchor, ub_ctx_add_ta) \
    F(unbound, resolve, ub_resolve_event) \
    F(unbound, explain, ub_strerror) \
    F(idn, to_ascii, idn2_to_ascii_8z) \
    F(idn, free, idn2_free)

struct resolver_library {
#define MEMBER(from, name, symbol) __typeof__(&symbol) name;
    RESOLVER_LIBRARY(MEMBER)
#undef MEMBER
};

extern struct resolver_library library;

/*
 * library_open - load both and fill `library`; before lock-down, once.
 * Returns NULL, or what is wrong, in words that name the file (static text of the loader, good until its next call).
 */
const char *library_open(void);

#endif
