/*
 * folders - which folders the master opens for a child, in which order; the same function of the configuration on both sides.
 *
 * manager: the queue folder. greylist: its folder, when some rules greylist. mailbox: the fixed part of each maildir route's path, each
 * different one once. The fixed part is what stands before
 * the first "{", cut at its last "/": of "/srv/mail/{domain}/{local}" the folder is "/srv/mail" and the rest "{domain}/{local}"; of
 * "/home/ann/Maildir" the folder is "/home/ann" and the rest "Maildir".
 */
#ifndef MTA_PROCESS_FOLDERS_H
#define MTA_PROCESS_FOLDERS_H

#include "base/bytes.h"
#include "mta/config/config.h"
#include "mta/ipc/roles.h"

enum { FOLDERS_MAX = 64 }; /* different folders of one role; bounded by descriptors that a child inherits */

/* folder_split - folder and rest of a maildir pattern; both borrow from it. The root folder stays "/". */
void folder_split(struct bytes maildir, struct bytes *folder, struct bytes *rest);

/* folder_count - how many folders a role has; may be more than FOLDERS_MAX, which the master refuses. */
uint32_t folder_count(const struct config *c, enum ipc_role role);

/* folder_path - absolute path of folder n < folder_count(). */
struct bytes folder_path(const struct config *c, enum ipc_role role, uint32_t n);

/* folder_of_route - mailbox: which folder a maildir route's paths are in, and the pattern below it; -1 when the route has no maildir. */
int32_t folder_of_route(const struct config *c, uint32_t route, struct bytes *rest);

#endif
