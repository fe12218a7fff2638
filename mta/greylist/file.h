/*
 * file - the greylist on disk: a secret, then records that are appended as they come; the last one of a hash counts.
 *
 * A record says its own checksum, so that a half-written or damaged one is left out and nothing else. When most records are old, the file is
 * written anew beside itself and takes its place. What was appended is synced within a second: a crash of the machine costs that much, which makes
 * some clients wait once more.
 */
#ifndef MTA_GREYLIST_FILE_H
#define MTA_GREYLIST_FILE_H

#include "base/hash.h"
#include "mta/greylist/memory.h"

enum { GREY_RECORD_BYTES = 24, GREY_HEADER_BYTES = 32, GREY_RECORDS_SPARE = 65536 };

struct grey_file {
    int folder;              /* borrowed */
    int fd;                  /* -1 = it cannot be written: memory alone serves */
    struct hash_key key;     /* the file's secret */
    uint32_t records;        /* in the file */
    bool unsynced;
};

/* record_put / record_get - one record; get is false for one that is damaged. */
void grey_record_put(struct buf *out, const struct grey *e);
bool grey_record_get(struct bytes in, struct grey *e);

/*
 * grey_file_open - read what is there into g, or begin a new file; before lock-down.
 * Out      *damaged   records that were left out
 * Returns  ERR_NONE; else the file is not usable, f->fd is -1, and memory alone serves, with a new secret
 */
must_use enum err grey_file_open(struct grey_file *f, int folder, struct greys *g, uint32_t *damaged);
/* grey_file_append - write entries down; those with hash 0 are none. */
must_use enum err grey_file_append(struct grey_file *f, const struct grey *entries, uint32_t count);
/* grey_file_sync - what was appended is on the disk. */
must_use enum err grey_file_sync(struct grey_file *f);
/* grey_file_wants_rewrite - most records are of no use. grey_file_rewrite - what is in memory and not old becomes the file. */
bool grey_file_wants_rewrite(const struct grey_file *f, const struct greys *g);
must_use enum err grey_file_rewrite(struct grey_file *f, const struct greys *g, uint32_t now_s, const struct grey_times *times);

#endif
