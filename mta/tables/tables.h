/*
 * tables - what the files of the tables process share. The card is in main.c.
 */
#ifndef MTA_TABLES_TABLES_H
#define MTA_TABLES_TABLES_H

#include "mta/config/pattern.h"
#include "mta/config/table.h"
#include "mta/ipc/ipc.h"

enum { LOOKUP_MS_MAX = 1000 }; /* for all patterns of a table together: a look-up that needs longer has no answer for now */

struct compiled { /* a table's patterns, in its order */
    struct pattern **patterns; /* owned; NULL entries could not be compiled here: no memory */
    uint32_t count;
};

struct tables {
    struct process *process;
    const struct config *config;
    struct compiled *tables; /* owned; config->tables.count */
    uint32_t count;
};

enum lookup_status { LOOKUP_NO = 0, LOOKUP_YES, LOOKUP_UNKNOWN };

/* tables_compile - the patterns of every table of a configuration; those of the one before are freed. */
void tables_compile(struct tables *t, const struct config *c);

/* tables_lookup - the value of a key in any table; several values of one are joined by ", ". *line is that of the entry. */
enum lookup_status tables_lookup(const struct tables *t, uint32_t table, struct bytes key, struct buf *value, uint32_t *line);

#endif
