/*
 * disk - a model of the disk below a queue folder, played from a tap's journal: what was synced is certain; of what was not, a disk that is written out
 * has any part, by sectors of 512 octets in files and by entries in folders.
 */
#ifndef TESTS_CAMPAIGN_DISK_H
#define TESTS_CAMPAIGN_DISK_H

#include <stdbool.h>

#include "tap.h"

/* disk_lying - set it, and syncs of files count for nothing. */
extern bool disk_lying;

/* disk_play - the next entry of the journal, which begins at `at`. Its octets must stay where they are. */
void disk_play(const struct tap_entry *e, uint64_t at);

/* disk_write - one of the disks that a power cut now could leave, into a folder that is made; chosen by random(). */
void disk_write(const char *folder);

#endif
