/*
 * lookup - the answer to one look-up, within a bound of time.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "mta/tables/tables.h"

static void forget(struct tables *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        for (uint32_t n = 0; n < t->tables[i].count; n++) pattern_free(t->tables[i].patterns[n]);
        free(t->tables[i].patterns);
    }
    free(t->tables);
    t->tables = NULL;
    t->count = 0;
}

/* compile_table - the configuration was checked: what does not compile now lacks memory, and its look-ups have no answer. */
static void compile_table(const struct config *c, uint32_t table, struct compiled *out)
{
    const struct config_table *of = &CONFIG_ITEMS(c, c->tables, struct config_table)[table];
    if (of->format != CONFIG_TABLE_REGEX || of->entries.count == 0) return;
    out->patterns = calloc(of->entries.count, sizeof(struct pattern *));
    if (!out->patterns) return;
    out->count = of->entries.count;
    for (uint32_t i = 0; i < out->count; i++) {
        uint8_t memory[256];
        struct buf why = BUF_OVER(memory);
        uint32_t offset;
        const struct config_entry *e = table_entry_at(c, table, i);
        if (!e || pattern_compile(config_bytes(c, e->key), e->flags, &out->patterns[i], &offset, &why) != ERR_NONE) out->patterns[i] = NULL;
    }
}

void tables_compile(struct tables *t, const struct config *c)
{
    forget(t);
    t->config = c;
    if (c->tables.count == 0 || !CONFIG_ITEMS(c, c->tables, struct config_table)) return;
    t->tables = calloc(c->tables.count, sizeof *t->tables);
    if (!t->tables) return;
    t->count = c->tables.count;
    for (uint32_t i = 0; i < t->count; i++) compile_table(c, i, &t->tables[i]);
}

static enum lookup_status match_patterns(const struct tables *t, uint32_t table, struct bytes key, struct buf *value, uint32_t *line)
{
    const struct compiled *patterns = table < t->count ? &t->tables[table] : NULL;
    uint64_t until_ms = clock_mono_ms() + LOOKUP_MS_MAX;
    if (!patterns || !patterns->patterns) return LOOKUP_UNKNOWN;
    for (uint32_t i = 0; i < patterns->count; i++) {
        struct pattern *p = patterns->patterns[i];
        const struct config_entry *e = table_entry_at(t->config, table, i);
        enum pattern_answer answer = p && e && clock_mono_ms() <= until_ms ? pattern_match(p, key) : PATTERN_FAILED;
        if (answer == PATTERN_NO) continue;
        if (e) *line = e->line;
        if (answer == PATTERN_FAILED) return LOOKUP_UNKNOWN;
        bool good = pattern_expand(p, key, config_bytes(t->config, e->value), pattern_captures(p), value);
        return good && !value->overflow ? LOOKUP_YES : LOOKUP_UNKNOWN;
    }
    return LOOKUP_NO;
}

enum lookup_status tables_lookup(const struct tables *t, uint32_t table, struct bytes key, struct buf *value, uint32_t *line)
{
    struct table_hit hit;
    *line = 0;
    switch (table_find(t->config, table, key, &hit)) {
    case TABLE_NO: return LOOKUP_NO;
    case TABLE_ELSEWHERE: return match_patterns(t, table, key, value, line);
    case TABLE_YES: break;
    }
    const struct config_entry *e = table_entry_at(t->config, table, hit.first);
    if (e) *line = e->line;
    for (uint32_t i = 0; i < hit.count; i++) {
        uint8_t kind;
        struct bytes one = table_value(t->config, &hit, i, &kind);
        if (i > 0) BUF_LIT(value, ", ");
        table_print_value(value, one, kind);
    }
    return value->overflow ? LOOKUP_UNKNOWN : LOOKUP_YES;
}
