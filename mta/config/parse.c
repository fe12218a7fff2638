/*
 * parse - the walk over the tree by the table of keys: blocks, keys, twins, unknown ones.
 *
 * Blocks hold keys and not blocks, so two levels of loops do; what stands in braces behind a key (`relay`, `mx`) is the key's own affair.
 */
#include <stdlib.h>
#include <string.h>

#include "mta/config/load.h"
#include "smtp/sasl.h"
#include "mta/config/values.h"

struct block { /* a block that is being read */
    enum config_block kind;
    struct bytes name;   /* of `listen NAME`; empty when it has none */
    void *owner;
    const struct grammar_statement *seen[CONFIG_KEYS_MAX]; /* what gave each key first */
};

static const struct key_row *find_key(enum config_block block, struct bytes word)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].block == block && bytes_equal(config_keys[i].name, word)) return &config_keys[i];
    }
    return NULL;
}

/* RELAY and MX are no blocks of the top level. */
static enum config_block find_block(struct bytes word)
{
    for (uint32_t i = CONFIG_BLOCK_TOP + 1; i < CONFIG_BLOCK_RELAY; i++) {
        if (bytes_equal(config_blocks[i].name, word)) return (enum config_block)i;
    }
    return CONFIG_BLOCK_TOP;
}

void set_defaults(struct loader *l, enum config_block block, void *owner)
{
    static const struct grammar_place nowhere = {GRAMMAR_NONE, 0, 0};
    bool all = block == CONFIG_BLOCK_TOP;
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct key_row *row = &config_keys[i];
        bool mine = row->block == block || (all && !config_blocks[row->block].several);
        if (!mine || row->later || row->read || row->initial.len == 0) continue;
        (void)read_field(l, row, row->initial, nowhere, (uint8_t *)owner + row->offset);
    }
}

bool take_words(struct loader *l, const struct grammar_statement *s, uint32_t min, uint32_t max, struct bytes expected)
{
    struct bytes key = word_of(l, s, 0);
    uint32_t count = s->word_count - 1;
    if (count < min) {
        CONFIG_ERROR(l, place_of(l, s, s->word_count - 1), BYTES("`"), key, BYTES("' lacks a value; expected "), expected);
        return false;
    }
    if (count > max) {
        struct bytes extra = word_of(l, s, max + 1);
        CONFIG_ERROR(l, place_of(l, s, max + 1), BYTES("unexpected `"), extra, BYTES("' behind `"), key, BYTES("'; expected "),
                     max == 0 ? BYTES("nothing more") : expected);
        return false;
    }
    if (s->has_block) {
        CONFIG_ERROR(l, s->place, BYTES("`"), key, BYTES("' takes no block; expected `;' or a new line instead of `{'"));
        return false;
    }
    return true;
}

static void put_where(struct buf *out, const struct block *b)
{
    if (b->kind == CONFIG_BLOCK_TOP) {
        BUF_LIT(out, "at the top level");
        return;
    }
    BUF_LIT(out, "in ");
    buf_put(out, config_blocks[b->kind].name);
    if (b->name.len == 0) return;
    BUF_LIT(out, " `");
    buf_put_cut(out, bytes_slice(b->name, 0, CONFIG_NAME_BYTES_MAX));
    BUF_LIT(out, "'");
}

static void unknown_key(struct loader *l, const struct block *b, const struct grammar_statement *s)
{
    uint8_t memory[CONFIG_NAME_BYTES_MAX + 64];
    struct buf where = BUF_OVER(memory);
    struct bytes word = word_of(l, s, 0);
    put_where(&where, b);
    bool of_top = find_block(word) != CONFIG_BLOCK_TOP || find_key(CONFIG_BLOCK_TOP, word);
    if (b->kind != CONFIG_BLOCK_TOP && of_top && s->has_block) {
        CONFIG_ERROR(l, s->place, BYTES("`"), word, BYTES("' "), buf_bytes(&where),
                     BYTES("; it belongs to the top level: expected `}' before it"));
        return;
    }
    struct nearest near = nearest_to(word);
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].block == b->kind) nearest_offer(&near, config_keys[i].name);
    }
    for (uint32_t i = CONFIG_BLOCK_TOP + 1; b->kind == CONFIG_BLOCK_TOP && i < CONFIG_BLOCK_RELAY; i++) nearest_offer(&near, config_blocks[i].name);
    error_with_nearest(l, s->place, &near, PIECES(BYTES("unknown key `"), word, BYTES("' "), buf_bytes(&where)));
}

static void refuse_later(struct loader *l, const struct block *b, const struct grammar_statement *s)
{
    uint8_t memory[CONFIG_NAME_BYTES_MAX + 64];
    struct buf where = BUF_OVER(memory);
    put_where(&where, b);
    CONFIG_ERROR(l, s->place, BYTES("`"), word_of(l, s, 0), BYTES("' "), buf_bytes(&where), BYTES(" is not supported yet"));
}

static void twin_error(struct loader *l, const struct grammar_statement *s, const struct grammar_statement *first)
{
    uint8_t memory[16];
    struct buf line = BUF_OVER(memory);
    buf_put_u64(&line, first->place.line);
    bool elsewhere = first->place.file != s->place.file;
    CONFIG_ERROR(l, s->place, BYTES("`"), word_of(l, s, 0), BYTES("' is given twice; the first is on line "), buf_bytes(&line),
                 elsewhere ? BYTES(" of ") : BYTES(""),
                 elsewhere ? bytes_of_cstr(ARRAY_ITEM(&l->files, first->place.file, struct source_file)->path) : BYTES(""));
}

static void read_key(struct loader *l, struct block *b, const struct grammar_statement *s)
{
    const struct key_row *row = find_key(b->kind, word_of(l, s, 0));
    if (!row) {
        unknown_key(l, b, s);
        return;
    }
    if (row->later) {
        refuse_later(l, b, s);
        return;
    }
    const struct grammar_statement **seen = &b->seen[row - config_keys];
    if (*seen && (row->flags & KEY_REPEATS) == 0) twin_error(l, s, *seen);
    if (!*seen) *seen = s;
    if (row->read) {
        row->read(l, s, b->owner);
        return;
    }
    struct bytes expected = row->kind == KIND_CHOICE ? row->values : kind_expectation(row->kind);
    bool bare_switch = row->kind == KIND_SWITCH && s->word_count == 1 && !s->has_block;
    if (bare_switch) {
        *(bool *)(void *)((uint8_t *)b->owner + row->offset) = true;
    } else if (take_words(l, s, 1, 1, expected)) {
        (void)read_field(l, row, word_of(l, s, 1), place_of(l, s, 1), (uint8_t *)b->owner + row->offset);
    }
}

static void read_keys(struct loader *l, struct block *b, uint32_t first)
{
    for (uint32_t i = first; i != GRAMMAR_NONE; i = l->grammar.statements[i].next) {
        const struct grammar_statement *s = &l->grammar.statements[i];
        if (s->word_count > 0) read_key(l, b, s);
    }
}

void parse_details(struct loader *l, const struct grammar_statement *s, enum config_block block, void *owner)
{
    struct block b = {.kind = block, .owner = owner};
    read_keys(l, &b, s->child);
}

/* ---- blocks of the top level ---- */

/* The name behind `listen` or `route`, checked; false when there is none. */
static bool block_name(struct loader *l, const struct grammar_statement *s, struct bytes *name)
{
    struct bytes keyword = word_of(l, s, 0);
    if (s->word_count != 2) {
        CONFIG_ERROR(l, place_of(l, s, s->word_count > 2 ? 2 : 0), BYTES("expected `"), keyword, BYTES(" NAME {'"));
        return false;
    }
    *name = word_of(l, s, 1);
    if (value_name_valid(*name)) return true;
    CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`"), *name, BYTES("' is no name for "), keyword,
                 BYTES("; expected at most 64 letters, digits, - and _"));
    return false;
}

static bool open_block(struct loader *l, const struct grammar_statement *s, enum config_block kind, struct block *b)
{
    b->kind = kind;
    if (!s->has_block) {
        CONFIG_ERROR(l, s->place, BYTES("expected `{' behind `"), config_blocks[kind].name, BYTES("'"));
        return false;
    }
    if (config_blocks[kind].several) return block_name(l, s, &b->name);
    if (s->word_count == 1) return true;
    CONFIG_ERROR(l, place_of(l, s, 1), BYTES("unexpected `"), word_of(l, s, 1), BYTES("'; expected `{' behind `"),
                 word_of(l, s, 0), BYTES("'"));
    return false;
}

/* Keep a block that was read, in its array of the loader. */
static void keep_block(struct loader *l, struct array *a, const struct grammar_statement *s, const void *item)
{
    if (a->count >= BLOCKS_MAX) {
        CONFIG_ERROR(l, s->place, BYTES("more than 4096 blocks `"), word_of(l, s, 0), BYTES("'"));
        return;
    }
    void *kept = array_add(l, a);
    if (kept) memcpy(kept, item, a->item_bytes);
}

static void another_error(struct loader *l, const struct grammar_statement *s)
{
    CONFIG_ERROR(l, place_of(l, s, 1), BYTES("there is another "), word_of(l, s, 0), BYTES(" `"), word_of(l, s, 1), BYTES("'"));
}

/* check_listener - clients come by addresses or by a socket, and only those of addresses have networks to be trusted. */
static void check_listener(struct loader *l, const struct grammar_statement *s, const struct config_listener *listener)
{
    struct bytes name = word_of(l, s, 1);
    if (listener->addresses.count == 0 && listener->socket.len == 0) {
        CONFIG_ERROR(l, s->place, BYTES("listen `"), name, BYTES("' lacks `address'; expected address IP:PORT, or socket PATH"));
    } else if (listener->addresses.count > 0 && listener->socket.len > 0) {
        CONFIG_ERROR(l, s->place, BYTES("listen `"), name, BYTES("' has `address' and `socket'; expected one of them"));
    } else if (listener->socket.len > 0 && listener->trust.count > 0) {
        CONFIG_ERROR(l, s->place, BYTES("listen `"), name, BYTES("' has `socket' and `trust'; users of this host are named by `peers'"));
    } else if (listener->socket.len == 0 && listener->peers.count > 0) {
        CONFIG_ERROR(l, s->place, BYTES("listen `"), name, BYTES("' has `peers' without `socket'; clients of an address are named by `trust'"));
    }
}

static void read_listener(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    for (uint32_t i = 0; i < l->listeners.count; i++) {
        if (bytes_equal(image_bytes_of(l, ARRAY_ITEM(&l->listeners, i, struct config_listener)->name),
                        b->name)) another_error(l, s);
    }
    struct config_listener listener;
    memset(&listener, 0, sizeof listener);
    listener.name = image_text(l, b->name);
    set_defaults(l, CONFIG_BLOCK_LISTEN, &listener);
    b->owner = &listener;
    uint32_t errors = l->errors;
    read_keys(l, b, s->child);
    if (l->errors == errors) check_listener(l, s, &listener);
    keep_block(l, &l->listeners, s, &listener);
}

/* What a route lacks is said only when nothing else was wrong with it: what is there may be what was misread. */
static void check_route(struct loader *l, const struct grammar_statement *s, const struct route_draft *draft)
{
    struct bytes name = word_of(l, s, 1);
    if (draft->matches.count == 0) {
        CONFIG_ERROR(l, s->place, BYTES("route `"), name, BYTES("' lacks `match'; expected at least one, such as match any"));
    }
    if (draft->route.action == ACTION_NONE) {
        CONFIG_ERROR(l, s->place, BYTES("route `"), name,
                     BYTES("' lacks an action; expected one of relay, mx, transport, lmtp, local, maildir, discard, reject"));
    }
}

static void read_route(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    for (uint32_t i = 0; i < l->routes.count; i++) {
        if (bytes_equal(image_bytes_of(l, ARRAY_ITEM(&l->routes, i, struct config_route)->name), b->name)) another_error(l, s);
    }
    struct route_draft draft;
    memset(&draft, 0, sizeof draft);
    draft.matches.item_bytes = sizeof(struct config_match);
    draft.route.name = image_text(l, b->name);
    draft.route.file = image_text(l, bytes_of_cstr(ARRAY_ITEM(&l->files, s->place.file, struct source_file)->path));
    draft.route.line = s->place.line;
    set_defaults(l, CONFIG_BLOCK_ROUTE, &draft.route);
    b->owner = &draft;
    uint32_t errors = l->errors;
    read_keys(l, b, s->child);
    if (l->errors == errors) check_route(l, s, &draft);
    draft.route.matches = image_list(l, draft.matches.items, draft.matches.count, sizeof(struct config_match));
    array_free(&draft.matches);
    keep_block(l, &l->routes, s, &draft.route);
}

static void read_tls(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    for (uint32_t i = 0; i < l->tls.count; i++) {
        if (bytes_equal(image_bytes_of(l, ARRAY_ITEM(&l->tls, i, struct config_tls)->name), b->name)) another_error(l, s);
    }
    struct tls_draft draft;
    memset(&draft, 0, sizeof draft);
    draft.tls.name = image_text(l, b->name);
    draft.tls.file = image_text(l, bytes_of_cstr(ARRAY_ITEM(&l->files, s->place.file, struct source_file)->path));
    draft.tls.line = s->place.line;
    set_defaults(l, CONFIG_BLOCK_TLS, &draft.tls);
    b->owner = &draft;
    uint32_t errors = l->errors;
    read_keys(l, b, s->child);
    if (draft.tls.certificate_count == 0 && l->errors == errors)
        CONFIG_ERROR(l, s->place, BYTES("tls `"), b->name, BYTES("' lacks `certificate' and `key'; expected certificate PATH; key PATH"));
    else if (draft.tls.certificate_count > draft.key_count && l->errors == errors)
        CONFIG_ERROR(l, s->place, BYTES("tls `"), b->name, BYTES("' has a `certificate' without its `key'; expected key PATH behind each certificate"));
    keep_block(l, &l->tls, s, &draft.tls);
}

static void read_auth(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    for (uint32_t i = 0; i < l->auths.count; i++) {
        if (bytes_equal(image_bytes_of(l, ARRAY_ITEM(&l->auths, i, struct config_auth)->name), b->name)) another_error(l, s);
    }
    struct config_auth auth;
    memset(&auth, 0, sizeof auth);
    auth.name = image_text(l, b->name);
    b->owner = &auth;
    uint32_t errors = l->errors;
    read_keys(l, b, s->child);
    if (auth.mechanisms == 0) auth.mechanisms = SMTP_SASL_BIT(SMTP_SASL_PLAIN) | SMTP_SASL_BIT(SMTP_SASL_LOGIN) | SMTP_SASL_BIT(SMTP_SASL_SCRAM_SHA_256);
    if ((auth.file.len > 0) == (auth.dovecot.len > 0) && l->errors == errors)
        CONFIG_ERROR(l, s->place, BYTES("auth `"), b->name, BYTES("' must have one of `file' and `dovecot'; expected file PATH or dovecot PATH"));
    if (l->auths.count >= CONFIG_AUTHS_MAX) CONFIG_ERROR(l, s->place, BYTES("more than 16 blocks `auth'"));
    keep_block(l, &l->auths, s, &auth);
}

static void read_table(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    if (find_table(l, b->name)) another_error(l, s);
    struct table table = {.name = b->name, .entries = {.item_bytes = sizeof(struct table_entry)}};
    set_defaults(l, CONFIG_BLOCK_TABLE, &table.kept);
    b->owner = &table;
    uint32_t errors = l->errors;
    read_keys(l, b, s->child);
    if (!table.is_inline && table.file_word.len == 0 && l->errors == errors) {
        CONFIG_ERROR(l, s->place, BYTES("table `"), b->name, BYTES("' is empty; expected inline NAME ... or file PATH"));
    }
    table_read(l, &table);
    uint32_t count = l->tables.count;
    keep_block(l, &l->tables, s, &table);
    if (l->tables.count == count) array_free(&table.entries);
}

/* read_aliases - the block is a table by another name. */
static void read_aliases(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    static const struct bytes name = BYTES_INIT("aliases");
    if (find_table(l, name)) CONFIG_ERROR(l, s->place, BYTES("there is a table `aliases' as well; expected one of the two"));
    struct table table = {.kept.format = CONFIG_TABLE_ALIASES, .name = name, .entries = {.item_bytes = sizeof(struct table_entry)}};
    b->owner = &table;
    read_keys(l, b, s->child);
    if (table.file_word.len == 0) return; /* as it is shown when there are none */
    table_read(l, &table);
    keep_block(l, &l->tables, s, &table);
    l->config.aliases_table = l->tables.count;
}

static void read_rules(struct loader *l, const struct grammar_statement *s, struct block *b)
{
    for (uint32_t i = 0; i < l->rules.count; i++) {
        if (bytes_equal(image_bytes_of(l, ARRAY_ITEM(&l->rules, i, struct config_rules)->name), b->name)) another_error(l, s);
    }
    struct rules_draft draft;
    memset(&draft, 0, sizeof draft);
    draft.lines.item_bytes = sizeof(struct config_rule);
    draft.dnslists.item_bytes = sizeof(struct config_dnslist);
    draft.rules.name = image_text(l, b->name);
    draft.rules.file = image_text(l, bytes_of_cstr(ARRAY_ITEM(&l->files, s->place.file, struct source_file)->path));
    draft.rules.line = s->place.line;
    draft.rules.helo = HELO_BASIC;
    draft.rules.sender_domain = true;
    set_defaults(l, CONFIG_BLOCK_RULES, &draft.rules);
    b->owner = &draft;
    read_keys(l, b, s->child);
    draft.rules.rules = image_list(l, draft.lines.items, draft.lines.count, sizeof(struct config_rule));
    draft.rules.dnslists = image_list(l, draft.dnslists.items, draft.dnslists.count, sizeof(struct config_dnslist));
    array_free(&draft.lines);
    array_free(&draft.dnslists);
    keep_block(l, &l->rules, s, &draft.rules);
}

static void read_block(struct loader *l, const struct grammar_statement *s, enum config_block kind,
                       const struct grammar_statement **seen)
{
    struct block b = {.owner = &l->config};
    if (!open_block(l, s, kind, &b)) return;
    if (!config_blocks[kind].several && *seen) twin_error(l, s, *seen);
    if (!*seen) *seen = s;
    switch (kind) {
    case CONFIG_BLOCK_LISTEN: read_listener(l, s, &b); break;
    case CONFIG_BLOCK_ROUTE: read_route(l, s, &b); break;
    case CONFIG_BLOCK_TABLE: read_table(l, s, &b); break;
    case CONFIG_BLOCK_TLS: read_tls(l, s, &b); break;
    case CONFIG_BLOCK_AUTH: read_auth(l, s, &b); break;
    case CONFIG_BLOCK_ALIASES: read_aliases(l, s, &b); break;
    case CONFIG_BLOCK_RULES: read_rules(l, s, &b); break;
    default: read_keys(l, &b, s->child);
    }
}

static void check_version_first(struct loader *l, uint32_t first)
{
    const struct grammar_statement *s = first == GRAMMAR_NONE ? NULL : &l->grammar.statements[first];
    if (s && s->word_count > 0 && bytes_equal(word_of(l, s, 0), BYTES("config-version"))) return;
    CONFIG_ERROR(l, (s ? s->place : (struct grammar_place){0, 1, 1}),
                 BYTES("expected `config-version 1' as the first statement of the file"));
}

/* Tables first, since they may stand behind what uses them. */
void parse_tree(struct loader *l, uint32_t first)
{
    struct block top = {.kind = CONFIG_BLOCK_TOP, .owner = &l->config};
    const struct grammar_statement *seen[CONFIG_BLOCK_COUNT] = {0};
    check_version_first(l, first);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = first; i != GRAMMAR_NONE; i = l->grammar.statements[i].next) {
            const struct grammar_statement *s = &l->grammar.statements[i];
            if (s->word_count == 0) continue;
            enum config_block kind = find_block(word_of(l, s, 0));
            if ((kind == CONFIG_BLOCK_TABLE || kind == CONFIG_BLOCK_ALIASES) != (pass == 0)) continue;
            if (kind == CONFIG_BLOCK_TOP) read_key(l, &top, s);
            else read_block(l, s, kind, &seen[kind]);
        }
    }
}
