/*
 * table - see table.h.
 */
#include "mta/config/table.h"

#include <stddef.h>

int table_compare_keys(struct bytes a, struct bytes b)
{
    uint32_t common = a.len < b.len ? a.len : b.len;
    for (uint32_t i = 0; i < common; i++) {
        uint8_t left = ascii_lower(a.ptr[i]), right = ascii_lower(b.ptr[i]);
        if (left != right) return left < right ? -1 : 1;
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

static const struct config_table *table_at(const struct config *c, uint32_t table)
{
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    return tables && table < c->tables.count ? &tables[table] : NULL;
}

int32_t table_by_name(const struct config *c, struct bytes name)
{
    for (uint32_t i = 0; i < c->tables.count; i++) {
        const struct config_table *t = table_at(c, i);
        if (t && bytes_equal(config_bytes(c, t->name), name)) return (int32_t)i;
    }
    return -1;
}

const struct config_entry *table_entry_at(const struct config *c, uint32_t table, uint32_t n)
{
    const struct config_table *t = table_at(c, table);
    const struct config_entry *entries = t ? CONFIG_ITEMS(c, t->entries, struct config_entry) : NULL;
    return entries && n < t->entries.count ? &entries[n] : NULL;
}

enum table_answer table_find(const struct config *c, uint32_t table, struct bytes key, struct table_hit *hit)
{
    const struct config_table *t = table_at(c, table);
    const struct config_entry *entries = t ? CONFIG_ITEMS(c, t->entries, struct config_entry) : NULL;
    if (!entries) return TABLE_NO;
    if (t->format == CONFIG_TABLE_REGEX) return TABLE_ELSEWHERE;
    uint32_t low = 0, high = t->entries.count;
    while (low < high) { /* the first that is not before the key */
        uint32_t middle = low + (high - low) / 2;
        if (table_compare_keys(config_bytes(c, entries[middle].key), key) < 0) low = middle + 1;
        else high = middle;
    }
    *hit = (struct table_hit){table, low, 0};
    while (low + hit->count < t->entries.count && table_compare_keys(config_bytes(c, entries[low + hit->count].key), key) == 0) hit->count++;
    return hit->count > 0 ? TABLE_YES : TABLE_NO;
}

struct bytes table_value(const struct config *c, const struct table_hit *hit, uint32_t n, uint8_t *kind)
{
    const struct config_entry *e = n < hit->count ? table_entry_at(c, hit->table, hit->first + n) : NULL;
    if (kind) *kind = e ? e->kind : (uint8_t)ENTRY_TEXT;
    return e ? config_bytes(c, e->value) : (struct bytes){0};
}

static void put_quoted(struct buf *out, const char *front, struct bytes value)
{
    buf_put_c(out, '"');
    buf_put_cstr(out, front);
    for (uint32_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\') buf_put_c(out, '\\');
        buf_put_c(out, value.ptr[i]);
    }
    buf_put_c(out, '"');
}

static bool is_simple(struct bytes value)
{
    for (uint32_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c <= ' ' || c == ',' || c == '"' || c == '\\') return false;
    }
    return true;
}

void table_print_value(struct buf *out, struct bytes value, uint8_t kind)
{
    static const char *const fronts[] = {
        [ENTRY_TEXT] = "", [ENTRY_ADDRESS] = "", [ENTRY_EXACT] = "\\", [ENTRY_COMMAND] = "|", [ENTRY_FILE] = "", [ENTRY_INCLUDE] = ":include:",
    };
    const char *front = kind < sizeof fronts / sizeof *fronts ? fronts[kind] : "";
    bool quoted = (kind == ENTRY_COMMAND || kind == ENTRY_FILE || kind == ENTRY_INCLUDE) && !is_simple(value);
    if (quoted) {
        put_quoted(out, front, value);
        return;
    }
    buf_put_cstr(out, front);
    buf_put(out, value);
}
