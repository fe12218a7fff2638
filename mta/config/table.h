/*
 * table - looking into the tables of an image: pure, in memory, without a system call.
 *
 * Every process has all tables in its image, so a look-up there is a binary search. A table of regular expressions is not answered here,
 * since a pattern may take its time: the tables process is asked (TABLE_LOOKUP in mta/ipc/messages.h), and that is where tables that live on
 * other machines will be asked for. Keys are compared without case, in ASCII.
 */
#ifndef MTA_CONFIG_TABLE_H
#define MTA_CONFIG_TABLE_H

#include "mta/config/config.h"

enum table_answer {
    TABLE_NO = 0,    /* the key is not in it */
    TABLE_YES,
    TABLE_ELSEWHERE, /* ask the tables process */
};

struct table_hit { /* the values of a key: entries first .. first + count of the table */
    uint32_t table, first, count;
};

/* table_by_name - the place of a table in config.tables, or -1. */
int32_t table_by_name(const struct config *c, struct bytes name);

/* table_find - look a key up. Out: *hit on YES. An index that is not there has no keys. */
enum table_answer table_find(const struct config *c, uint32_t table, struct bytes key, struct table_hit *hit);

/* table_value - value n < hit->count; empty for a name alone. *kind is its enum config_entry_kind; NULL = not asked. */
struct bytes table_value(const struct config *c, const struct table_hit *hit, uint32_t n, uint8_t *kind);

/* table_entry_at - entry n of a table, or NULL. */
const struct config_entry *table_entry_at(const struct config *c, uint32_t table, uint32_t n);

/* table_print_value - one value as a file has it: an alias's kind is put back in front of it, and what needs quotes gets them. */
void table_print_value(struct buf *out, struct bytes value, uint8_t kind);

/* table_compare_keys - the order of keys: octets, capital letters of ASCII as small ones. */
int table_compare_keys(struct bytes a, struct bytes b);

#endif
