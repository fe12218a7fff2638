/*
 * maildir - one message into one Maildir, durably; and whether a mailbox exists.
 *
 * Everything happens below a folder descriptor that the master handed over; no path is followed through a link. The file's name comes from the queue id and
 * the recipient's index, so it is unique for ever, and a delivery that is repeated after a crash finds its own file.
 */
#ifndef MTA_STORE_MAILDIR_H
#define MTA_STORE_MAILDIR_H

#include "base/bytes.h"
#include "base/envelope.h"
#include "base/err.h"

enum { MAILDIR_PATH_BYTES_MAX = 1024, MAILDIR_COMPONENTS_MAX = 16 };

/*
 * maildir_path - expand a route's pattern below its folder: {local} and {domain} become the recipient's parts in lower case.
 * In       pattern  what folder_of_route() gave, e.g. "{domain}/{local}"
 * Out      *path    components separated by '/'; never absolute, never with "." or ".." or an empty component
 * Returns  false when a part cannot be a file name: it has a slash or a control octet, begins with a dot, is empty or longer than 255 octets
 */
bool maildir_path(struct bytes pattern, struct bytes rcpt, struct buf *path);

/* maildir_exists - ERR_NONE when the mailbox is there, ERR_NOT_FOUND when it is not, others when that cannot be told now. */
must_use enum err maildir_exists(int folder, struct bytes path);

struct maildir_message {
    struct message_id id;
    uint32_t rcpt_index;
    struct bytes host;                     /* ours, the last part of the name */
    struct bytes sender, rcpt;             /* for Return-Path and Delivered-To */
    struct bytes prefix;
    struct bytes content;                  /* the body when fd is -1 */
    int fd;                                /* else here, body_bytes from body_skip on */
    uint64_t body_skip, body_bytes;
};

/*
 * maildir_deliver - write to tmp, sync, link to new, sync the folder. Line ends become LF, as mailboxes have them.
 * In       create   make the folders of the mailbox when they are missing
 * Out      *what    name of the call that failed, for the operator
 * Returns  ERR_NONE once it is on stable storage (or was already); ERR_NOT_FOUND no such mailbox; ERR_NO_SPACE; ERR_DENIED; ERR_IO...
 */
must_use enum err maildir_deliver(int folder, struct bytes path, bool create, const struct maildir_message *m, const char **what);

#endif
