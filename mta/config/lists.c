/*
 * lists - tables, and the lists of names and networks that a statement asks for.
 *
 * What a table's names must be is known only where the table is used: so they are kept as words with their places, and judged at each use.
 * Lists of names are sorted and without twins, so that a look-up among 100,000 is a binary search.
 */
#include <stdlib.h>
#include <string.h>

#include "mta/config/load.h"
#include "mta/config/values.h"
#include "smtp/address.h"

const struct table *find_table(const struct loader *l, struct bytes name)
{
    for (uint32_t i = 0; i < l->tables.count; i++) {
        const struct table *t = ARRAY_ITEM(&l->tables, i, struct table);
        if (bytes_equal(t->name, name)) return t;
    }
    return NULL;
}

/* ---- what a table holds ---- */

static void add_table_name(struct loader *l, struct table *t, struct bytes text, struct bytes value, struct grammar_place place)
{
    struct table_name *name = array_add(l, &t->names);
    if (name) *name = (struct table_name){text, value, place};
}

static bool table_is_free(struct loader *l, const struct grammar_statement *s, struct table *t)
{
    bool was_given = t->given;
    t->given = true;
    if (was_given) CONFIG_ERROR(l, s->place, BYTES("a table has either inline or file; expected one of them"));
    return !was_given;
}

void read_key_inline(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct table *t = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("names")) || !table_is_free(l, s, t)) return;
    for (uint32_t i = 1; i < s->word_count; i++) add_table_name(l, t, word_of(l, s, i), (struct bytes){0}, place_of(l, s, i));
}

static bool line_is_clean(struct loader *l, struct bytes line, struct grammar_place place)
{
    if (line.len > GRAMMAR_WORD_BYTES_MAX) {
        CONFIG_ERROR(l, place, BYTES("a line of more than 4096 octets; expected one name"));
        return false;
    }
    for (uint32_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] >= ' ' || line.ptr[i] == '\t') && line.ptr[i] != 0x7f) continue;
        CONFIG_ERROR(l, place,
                     line.ptr[i] == '\r' ? BYTES("the line ends with CR LF; expected LF alone") : BYTES("a control octet; expected printable text"));
        return false;
    }
    if (bytes_is_utf8(line)) return true;
    CONFIG_ERROR(l, place, BYTES("the line is not UTF-8"));
    return false;
}

/* A `#` begins a comment at the start of a line or behind a blank; within a name it is part of it. */
static struct bytes without_comment(struct bytes line)
{
    for (uint32_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '#' && (i == 0 || line.ptr[i - 1] == ' ' || line.ptr[i - 1] == '\t')) return bytes_slice(line, 0, i);
    }
    return line;
}

static void read_table_lines(struct loader *l, struct table *t, uint32_t file)
{
    const struct source_file *f = ARRAY_ITEM(&l->files, file, struct source_file);
    struct bytes text = bytes_of(f->text, f->text_bytes);
    uint32_t line_number = 1, errors = l->errors;
    for (uint32_t at = 0; at < text.len; line_number++) {
        struct bytes line = bytes_from(text, at);
        line.len = bytes_find(line, '\n');
        at += line.len + 1;
        struct grammar_place place = {file, line_number, 1};
        if (l->errors - errors >= GRAMMAR_PROBLEMS_MAX) return; /* no list of names at all: enough was said */
        if (!line_is_clean(l, line, place)) continue;
        struct bytes name = bytes_trim(without_comment(line));
        if (name.len == 0) continue;
        place.column += (uint32_t)(name.ptr - line.ptr);
        uint32_t blank = 0;
        while (name.ptr[0] != '"' && blank < name.len && name.ptr[blank] != ' ' && name.ptr[blank] != '\t') blank++;
        if (name.ptr[0] == '"') blank = name.len;
        add_table_name(l, t, bytes_slice(name, 0, blank), bytes_trim(bytes_from(name, blank)), place);
    }
}

void read_key_file(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct table *t = owner;
    uint32_t file;
    if (!take_words(l, s, 1, 1, BYTES("the path of a file with one name a line")) || !table_is_free(l, s, t)) return;
    if (!l->files_allowed) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`file' needs a configuration that is a file"));
        return;
    }
    char *path = source_path(l, s->place.file, word_of(l, s, 1));
    if (!path) return;
    t->file = image_text(l, bytes_of_cstr(path));
    if (source_add(l, path, NULL, place_of(l, s, 1), TABLE_BYTES_MAX, &file)) read_table_lines(l, t, file);
    free(path);
}

static void keep_table(struct loader *l, const struct table *t, struct config_table *kept)
{
    struct array texts = {.item_bytes = sizeof(struct config_text)};
    kept->name = image_text(l, t->name);
    kept->file = t->file;
    for (uint32_t i = 0; i < t->names.count; i++) {
        struct config_text text = image_text(l, ARRAY_ITEM(&t->names, i, struct table_name)->text);
        struct config_text *item = array_add(l, &texts);
        if (item) *item = text;
    }
    kept->names = image_list(l, texts.items, texts.count, sizeof(struct config_text));
    array_free(&texts);
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

/* ---- names ---- */

struct name_list {
    struct loader *l;
    enum name_kind kind;
    struct array texts; /* struct config_text */
};

static const struct bytes name_kinds[] = {
    [NAME_DOMAIN] = BYTES_INIT("domain"),
    [NAME_ADDRESS] = BYTES_INIT("address"),
    [NAME_SENDER] = BYTES_INIT("sender address"),
};

/* A name in the form that look-ups use: lower case, and nothing for the null sender. */
static bool canonical_name(enum name_kind kind, struct bytes word, struct buf *out)
{
    struct smtp_address address;
    if (kind == NAME_SENDER && bytes_equal(word, BYTES("<>"))) return true;
    if (kind == NAME_DOMAIN) {
        if (!smtp_domain_valid(word, true) && !smtp_literal_valid(word)) return false;
    } else {
        if (smtp_mailbox_parse(word, true, &address) != SMTP_ADDRESS_OK || address.domain.len == 0) return false;
        word = address.whole;
    }
    for (uint32_t i = 0; i < word.len; i++) buf_put_c(out, ascii_lower(word.ptr[i]));
    return !out->overflow;
}

static void add_name(struct name_list *list, struct bytes word, struct grammar_place place, const struct table *from)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf name = BUF_OVER(memory);
    if (!canonical_name(list->kind, word, &name)) {
        CONFIG_ERROR(list->l, place, BYTES("`"), word, BYTES("' is no "), name_kinds[list->kind],
                     from ? BYTES(", as the use of table `") : BYTES(""),
                     from ? from->name : BYTES(""), from ? BYTES("' expects") : BYTES(""));
        return;
    }
    struct config_text text = image_text(list->l, buf_bytes(&name));
    struct config_text *item = array_add(list->l, &list->texts);
    if (item) *item = text;
}

/* Whether a word can only be meant as a name itself: a domain has a dot, an address an at sign; no table has either. */
static bool is_literal(enum name_kind kind, struct bytes word)
{
    if (kind == NAME_DOMAIN) return bytes_find(word, '.') < word.len || (word.len > 0 && word.ptr[0] == '[');
    return bytes_find(word, '@') < word.len || (kind == NAME_SENDER && bytes_equal(word, BYTES("<>")));
}

/* is_name_alone - a line of a table that is used as a list of names has one word. */
static bool is_name_alone(struct loader *l, const struct table_name *name)
{
    if (name->value.len > 0) CONFIG_ERROR(l, name->place, BYTES("several words on a line; expected one name"));
    return name->value.len == 0;
}

static void add_word(struct name_list *list, struct bytes word, struct grammar_place place)
{
    struct loader *l = list->l;
    const struct table *t = find_table(l, word);
    if (!t && is_literal(list->kind, word)) {
        add_name(list, word, place, NULL);
        return;
    }
    if (!t) {
        struct nearest near = nearest_to(word);
        for (uint32_t i = 0; i < l->tables.count; i++) nearest_offer(&near, ARRAY_ITEM(&l->tables, i, struct table)->name);
        error_with_nearest(l, place, &near, PIECES(BYTES("`"), word, BYTES("' is neither a table nor "),
                           list->kind == NAME_DOMAIN ? BYTES("a domain (a domain has a dot)") : BYTES("an address (an address has an @)")));
        return;
    }
    for (uint32_t i = 0; i < t->names.count; i++) {
        const struct table_name *name = ARRAY_ITEM(&t->names, i, struct table_name);
        if (is_name_alone(l, name)) add_name(list, name->text, name->place, t);
    }
}

static int by_text(const void *left, const void *right, void *context)
{
    const struct loader *l = context;
    return bytes_compare(image_bytes_of(l, *(const struct config_text *)left),
                         image_bytes_of(l, *(const struct config_text *)right));
}

static void sort_names(struct loader *l, struct array *texts)
{
    if (texts->count < 2) return;
    struct config_text *items = ARRAY_ITEM(texts, 0, struct config_text);
    uint32_t kept = 1;
    qsort_r(items, texts->count, sizeof *items, by_text, l);
    for (uint32_t i = 1; i < texts->count; i++) {
        if (by_text(&items[kept - 1], &items[i], l) != 0) items[kept++] = items[i];
    }
    texts->count = kept;
}

struct config_list read_names(struct loader *l, const struct grammar_statement *s, uint32_t from, enum name_kind kind)
{
    struct name_list list = {l, kind, {.item_bytes = sizeof(struct config_text)}};
    for (uint32_t i = from; i < s->word_count; i++) add_word(&list, word_of(l, s, i), place_of(l, s, i));
    sort_names(l, &list.texts);
    struct config_list kept = image_list(l, list.texts.items, list.texts.count, sizeof(struct config_text));
    array_free(&list.texts);
    return kept;
}

/* ---- networks ---- */

static void add_prefix(struct loader *l, struct array *prefixes, const struct net_prefix *prefix)
{
    struct net_prefix *item = array_add(l, prefixes);
    if (item) *item = *prefix;
}

static void add_prefix_word(struct loader *l, struct array *prefixes, struct bytes word, struct grammar_place place)
{
    static const struct net_prefix loopback4 = {{NET_IPV4, {127}, 0}, 8}, loopback6 = {{NET_IPV6, {[15] = 1}, 0}, 128};
    struct net_prefix prefix = {0};
    if (bytes_equal(word, BYTES("local"))) {
        add_prefix(l, prefixes, &loopback4);
        add_prefix(l, prefixes, &loopback6);
    } else if (net_parse_prefix(word, &prefix)) {
        add_prefix(l, prefixes, &prefix);
    } else {
        CONFIG_ERROR(l, place, BYTES("`"), word,
                     BYTES("' is no network; expected 192.0.2.0/24, 2001:db8::/32 (host bits zero), an address, local, or a table"));
    }
}

struct config_list read_prefixes(struct loader *l, const struct grammar_statement *s, uint32_t from)
{
    struct array prefixes = {.item_bytes = sizeof(struct net_prefix)};
    for (uint32_t i = from; i < s->word_count; i++) {
        const struct table *t = find_table(l, word_of(l, s, i));
        if (!t) add_prefix_word(l, &prefixes, word_of(l, s, i), place_of(l, s, i));
        for (uint32_t n = 0; t && n < t->names.count; n++) {
            const struct table_name *name = ARRAY_ITEM(&t->names, n, struct table_name);
            if (is_name_alone(l, name)) add_prefix_word(l, &prefixes, name->text, name->place);
        }
    }
    struct config_list kept = image_list(l, prefixes.items, prefixes.count, sizeof(struct net_prefix));
    array_free(&prefixes);
    return kept;
}

/* Pieces that are added one behind the other lie one behind the other in the image. */
struct config_text join_words(struct loader *l, const struct grammar_statement *s, uint32_t from)
{
    struct config_text whole = {0, 0};
    for (uint32_t i = from; i < s->word_count; i++) {
        uint8_t memory[2 * GRAMMAR_WORD_BYTES_MAX + 4];
        struct buf piece = BUF_OVER(memory);
        if (i > from) buf_put_c(&piece, ' ');
        put_word(&piece, word_of(l, s, i));
        struct config_text text = image_text(l, buf_bytes(&piece));
        if (i == from) whole = text;
        else whole.len += text.len;
    }
    return l->no_memory ? (struct config_text){0, 0} : whole;
}
