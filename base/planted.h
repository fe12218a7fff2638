/*
 * planted - a fault on purpose, so that the containment of faults can be tested. Built only with the option planted_fault; a release has nothing of it
 * (tests/test_containment.py looks).
 *
 * A process that meets "planted-WHERE-FORM" in octets of a stranger really dies: by a wild write, abort(), an endless loop, memory that ends, a system call
 * that its sandbox has not, or by one of these after it has scribbled over its black box. No polite exit, nothing that other code could notice before.
 */
#ifndef BASE_PLANTED_H
#define BASE_PLANTED_H

#include "base/bytes.h"

#ifdef BULKHEAD_PLANTED_FAULT
/* planted_fault - `where` is "reply", "content", "command", "dns", "mailbox"; `box` is what the scribbling form writes over, or NULL. */
void planted_fault(const char *where, struct bytes in, void *box, uint64_t box_bytes);
#else
#define planted_fault(where, in, box, box_bytes) ((void)0)
#endif

#endif
