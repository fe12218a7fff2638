/*
 * mbox - one message at the end of a file that others read and write too: locked by fcntl(2) and by NAME.lock, in this order, as Debian's policy (11.6) has it.
 *
 * The process runs as the owner of the file. A delivery that fails leaves the file as long as it was; one that a crash cuts short may leave a part of the
 * message, and one that is repeated after a crash stands there twice: an mbox has no names to tell them by.
 */
#ifndef MTA_STORE_MBOX_H
#define MTA_STORE_MBOX_H

#include "mta/store/maildir.h"

enum {
    MBOX_NAME_BYTES_MAX = 64,
    MBOX_LOCK_STALE_S = 300, /* NAME.lock of who has died: older than anybody writes */
};

/*
 * mbox_deliver - append, sync.
 * In       folder   where the file is, or will be
 *          name     its name, NUL-terminated, without a slash
 *          wait_ms  for locks that others hold, all together
 * Out      *what    what failed, for the operator
 * Returns  ERR_NONE once it is on stable storage; ERR_BUSY locked for too long; ERR_DENIED also when the file is a link, has two names, or belongs to
 *          somebody else; ERR_NO_SPACE; ERR_IO...
 */
must_use enum err mbox_deliver(int folder, const char *name, uint64_t wait_ms, const struct maildir_message *m, const char **what);

#endif
