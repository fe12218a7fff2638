/*
 * tap_internal - between the parts of the tap: tap.c (what is known of descriptors, journal, call sites) and tap_calls.c (the calls themselves).
 */
#ifndef TESTS_CAMPAIGN_TAP_INTERNAL_H
#define TESTS_CAMPAIGN_TAP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "tap.h"

enum { TAP_FDS_MAX = 4096, TAP_PATH_BYTES = 128 };

struct tapped { bool known, is_folder, through; uint64_t handle; char path[TAP_PATH_BYTES]; }; /* through: O_DSYNC */

extern struct tap_head *tap_head; /* NULL: this process is not tapped */
extern struct tapped tap_fds[TAP_FDS_MAX];

void tap_lock(void);
void tap_unlock(void);

/* Under the lock: an entry of the journal; one whose octets are one or two texts. The process may die in it. */
void tap_append(enum tap_kind kind, uint64_t a, uint64_t b, const struct iovec *parts, int count);
void tap_append_text(enum tap_kind kind, uint64_t a, uint64_t b, const char *one, const char *two);

/* tap_path - a name's path below the queue folder; false when it is elsewhere. */
bool tap_path(int folder, const char *name, char path[TAP_PATH_BYTES]);
void tap_opened(int fd, int folder, const char *name, int flags);
void tap_entered(int fd);
/* tap_known / tap_file - what is known of a descriptor, of a regular file's; or NULL. */
struct tapped *tap_known(int fd);
struct tapped *tap_file(int fd);

/* Under the lock: keep what a write is going to cover; forget that at a sync, or put it back as if the kernel had dropped the pages. */
void tap_remember(int fd, const struct tapped *f, size_t n, int64_t offset);
void tap_settle(int fd, uint64_t handle, bool lost);

/* tap_fails - 0, or the errno or TAP_SHORT that the call which asks has to fail with. */
int tap_fails(enum tap_call call);

/* tap_resolve - find the real calls, before the lock-down. */
void tap_resolve(void);

#endif
