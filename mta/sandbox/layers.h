/*
 * layers - what the parts of the sandbox offer one another. Private to this folder.
 */
#ifndef MTA_SANDBOX_LAYERS_H
#define MTA_SANDBOX_LAYERS_H

#include "mta/sandbox/sandbox.h"

/* What the twin's filter answers to a forbidden call; no real call of the self-test fails in this way. */
enum { SANDBOX_REFUSED_ERRNO = 131 /* ENOTRECOVERABLE */ };

/* landlock_confine - rights to the request's folders, TCP ports, and scopes, as far as the kernel's version goes. Sets bits in *layers. */
must_use enum err landlock_confine(const struct sandbox_request *q, uint32_t *layers);

/*
 * seccomp_prepare - make the role's filter; takes memory, so not in a fork of a process with threads.
 * In       refuse  true: a forbidden call fails with SANDBOX_REFUSED_ERRNO; false: it kills the process
 *          self    the process that it may signal; 0 = none, for a twin, whose number is not known before the fork
 */
must_use enum err seccomp_prepare(const struct sandbox_request *q, bool refuse, int32_t self);

/* seccomp_enter - put the filter that was prepared last on all threads. System calls only. */
must_use enum err seccomp_enter(void);

/* identity_drop_capabilities - without any from here on, but those named (bits 1 << CAP_...). */
must_use enum err identity_drop_capabilities(uint64_t keep);

/* identity_has_capability - whether this one (CAP_...) is effective. */
bool identity_has_capability(uint32_t capability);

#endif
