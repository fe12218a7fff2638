/*
 * tables - the statements of a table, and its entries on their way into the image: sorted by key, without twins.
 *
 * The patterns of regular expressions stay in the order of their file, since the first one that holds is the answer.
 */
#include <stdlib.h>

#include "mta/config/load.h"
#include "mta/config/table.h"

enum { INLINE_VALUE_BYTES_MAX = GRAMMAR_WORD_BYTES_MAX };

void table_add(struct loader *l, struct table *t, struct bytes key, struct bytes value, struct table_entry rest)
{
    rest.key = image_text(l, key);
    rest.value = image_text(l, value);
    rest.order = t->entries.count;
    struct table_entry *e = array_add(l, &t->entries);
    if (e) *e = rest;
}

/* ---- statements ---- */

static bool may_be_inline(struct loader *l, const struct grammar_statement *s, struct table *t)
{
    t->is_inline = true;
    if (t->file_word.len > 0) CONFIG_ERROR(l, s->place, BYTES("a table has either inline or file; expected one of them"));
    return t->file_word.len == 0;
}

void read_key_inline(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct table *t = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("names")) || !may_be_inline(l, s, t)) return;
    for (uint32_t i = 1; i < s->word_count; i++) {
        table_add(l, t, word_of(l, s, i), (struct bytes){0}, (struct table_entry){.place = place_of(l, s, i), .line = s->place.line});
    }
}

void read_key_entry(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct table *t = owner;
    uint8_t memory[INLINE_VALUE_BYTES_MAX];
    struct buf value = BUF_OVER(memory);
    if (!take_words(l, s, 2, UINT32_MAX - 1, BYTES("a key and its value")) || !may_be_inline(l, s, t)) return;
    for (uint32_t i = 2; i < s->word_count; i++) {
        if (i > 2) buf_put_c(&value, ' ');
        buf_put(&value, word_of(l, s, i));
    }
    if (value.overflow) CONFIG_ERROR(l, place_of(l, s, 2), BYTES("the value has more than 4096 octets"));
    else table_add(l, t, word_of(l, s, 1), buf_bytes(&value), (struct table_entry){.place = place_of(l, s, 1), .line = s->place.line});
}

void read_key_file(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct table *t = owner;
    if (!take_words(l, s, 1, 1, BYTES("the path of a file"))) return;
    if (t->is_inline) {
        CONFIG_ERROR(l, s->place, BYTES("a table has either inline or file; expected one of them"));
        return;
    }
    t->file_word = word_of(l, s, 1);
    t->file_place = place_of(l, s, 1);
}

void read_key_alias_file(struct loader *l, const struct grammar_statement *s, void *owner)
{
    read_key_file(l, s, owner);
}

void show_key_alias_file(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    (void)owner;
    if (tables && c->aliases_table > 0 && c->aliases_table <= c->tables.count) show_key_file(c, &tables[c->aliases_table - 1], out);
}

void table_read(struct loader *l, struct table *t)
{
    uint32_t file;
    if (t->is_inline && t->kept.format != CONFIG_TABLE_PLAIN) {
        CONFIG_ERROR(l, ARRAY_ITEM(&t->entries, 0, struct table_entry)->place, BYTES("`format' is for a table in a file; inline entries are plain"));
    }
    if (t->file_word.len == 0) return;
    if (!l->files_allowed) {
        CONFIG_ERROR(l, t->file_place, BYTES("`file' needs a configuration that is a file"));
        return;
    }
    char *path = source_path(l, t->file_place.file, t->file_word);
    if (!path) return;
    t->kept.file = image_text(l, bytes_of_cstr(path));
    if (source_add(l, path, NULL, t->file_place, TABLE_BYTES_MAX, &file)) {
        switch ((enum config_table_format)t->kept.format) {
        case CONFIG_TABLE_PLAIN:
        case CONFIG_TABLE_POSTFIX: table_read_lines(l, t, file); break;
        case CONFIG_TABLE_ALIASES: table_read_aliases(l, t, file); break;
        case CONFIG_TABLE_REGEX: table_read_patterns(l, t, file); break;
        }
    }
    free(path);
}

/* ---- into the image ---- */

static int by_key(const void *left, const void *right, void *context)
{
    const struct table_entry *a = left, *b = right;
    int order = table_compare_keys(table_key(context, a), table_key(context, b));
    return order != 0 ? order : a->order < b->order ? -1 : 1;
}

/* say_twin - the first entry of a key counts, as with postmap(1) and newaliases(1). Names alone may be there twice. */
static void say_twin(struct loader *l, const struct table_entry *first, const struct table_entry *twin)
{
    uint8_t memory[16];
    struct buf line = BUF_OVER(memory);
    if (bytes_equal(image_bytes_of(l, first->value), image_bytes_of(l, twin->value))) return;
    buf_put_u64(&line, first->line);
    CONFIG_WARNING(l, ((struct grammar_place){twin->place.file, twin->line, 1}), BYTES("`"), table_key(l, twin),
                   BYTES("' is there twice; the first counts, on line "), buf_bytes(&line));
}

/* without_twins - a sorted table: of each key the entries of its first line; an :include: file's values are all on lines of their own. */
static void without_twins(struct loader *l, struct array *entries)
{
    struct table_entry *items = ARRAY_ITEM(entries, 0, struct table_entry);
    uint32_t kept = 0, said_line = 0;
    for (uint32_t i = 0; i < entries->count; i++) {
        const struct table_entry *first = kept > 0 ? &items[kept - 1] : NULL;
        bool same = first && table_compare_keys(table_key(l, first), table_key(l, &items[i])) == 0;
        bool twin = same && items[i].line != first->line && !bytes_starts(table_key(l, first), BYTES(":include:"));
        bool bare = same && items[i].kind == ENTRY_TEXT;
        if (!twin && !bare) {
            items[kept++] = items[i];
            continue;
        }
        if (items[i].line != said_line) say_twin(l, first, &items[i]);
        said_line = items[i].line;
    }
    entries->count = kept;
}

static void keep_table(struct loader *l, struct table *t, struct config_table *kept)
{
    struct array entries = {.item_bytes = sizeof(struct config_entry)};
    if (t->kept.format != CONFIG_TABLE_REGEX && t->entries.count > 1) {
        qsort_r(t->entries.items, t->entries.count, sizeof(struct table_entry), by_key, l);
        without_twins(l, &t->entries);
    }
    *kept = t->kept;
    kept->name = image_text(l, t->name);
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct table_entry *e = ARRAY_ITEM(&t->entries, i, struct table_entry);
        struct config_entry *item = array_add(l, &entries);
        if (item) *item = (struct config_entry){.key = e->key, .value = e->value, .line = e->line, .kind = e->kind, .flags = e->flags};
    }
    kept->entries = image_list(l, entries.items, entries.count, sizeof(struct config_entry));
    array_free(&entries);
}

void tables_keep(struct loader *l)
{
    struct array kept = {.item_bytes = sizeof(struct config_table)};
    for (uint32_t i = 0; i < l->tables.count; i++) {
        struct config_table *item = array_add(l, &kept);
        if (item) keep_table(l, ARRAY_ITEM(&l->tables, i, struct table), item);
    }
    l->config.tables = image_list(l, kept.items, kept.count, sizeof(struct config_table));
    array_free(&kept);
}

/* ---- showing ---- */

static void show_entries(const struct config *c, const struct config_table *t, bool with_value, struct buf *out)
{
    const struct config_entry *entries = CONFIG_ITEMS(c, t->entries, struct config_entry);
    bool open = false;
    for (uint32_t i = 0; entries && t->file.len == 0 && i < t->entries.count; i++) {
        struct bytes key = config_bytes(c, entries[i].key), value = config_bytes(c, entries[i].value);
        if ((value.len > 0) != with_value) continue;
        if (!open || with_value) buf_put_cstr(out, with_value ? "    entry" : "    inline");
        open = true;
        buf_put_c(out, ' ');
        put_word(out, key);
        if (with_value) {
            buf_put_c(out, ' ');
            put_word(out, value);
            buf_put_c(out, '\n');
        }
    }
    if (open && !with_value) buf_put_c(out, '\n');
}

void show_key_inline(const struct config *c, const void *owner, struct buf *out)
{
    show_entries(c, owner, false, out);
}

void show_key_entry(const struct config *c, const void *owner, struct buf *out)
{
    show_entries(c, owner, true, out);
}

void show_key_file(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_table *t = owner;
    if (t->file.len == 0) return;
    BUF_LIT(out, "    file ");
    put_word(out, config_bytes(c, t->file));
    buf_put_c(out, '\n');
}
