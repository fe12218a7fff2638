/*
 * lists - the lists of names and networks that a statement asks for.
 *
 * What a table's keys must be is known only where the table is used: so they are kept as words with their places, and judged at each use.
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

/* table_has_names - a table of patterns has no names that could be listed. */
bool table_has_names(struct loader *l, const struct table *t, struct grammar_place place)
{
    if (t->kept.format != CONFIG_TABLE_REGEX) return true;
    CONFIG_ERROR(l, place, BYTES("table `"), t->name, BYTES("' has regular expressions; expected a table of names here"));
    return false;
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
    if (!table_has_names(l, t, place)) return;
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct table_entry *e = ARRAY_ITEM(&t->entries, i, struct table_entry);
        add_name(list, table_key(l, e), e->place, t);
    }
}

static int by_text(const void *left, const void *right, void *context)
{
    const struct loader *l = context;
    return bytes_compare(image_bytes_of(l, *(const struct config_text *)left),
                         image_bytes_of(l, *(const struct config_text *)right));
}

void sort_names(struct loader *l, struct array *texts)
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

void add_prefix_word(struct loader *l, struct array *prefixes, struct bytes word, struct grammar_place place)
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
        bool usable = t && table_has_names(l, t, place_of(l, s, i));
        for (uint32_t n = 0; usable && n < t->entries.count; n++) {
            const struct table_entry *e = ARRAY_ITEM(&t->entries, n, struct table_entry);
            add_prefix_word(l, &prefixes, table_key(l, e), e->place);
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
