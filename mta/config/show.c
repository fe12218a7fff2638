/*
 * show - an image as text in the file's grammar, and the reference of all keys for the manual; both by the table of keys.
 */
#include <stddef.h>

#include "mta/config/load.h"

/* Octets that a word may have without quotes. */
static bool is_plain(struct bytes word)
{
    for (uint32_t i = 0; i < word.len; i++) {
        uint8_t c = word.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '"' || c == ';' || c == '{' || c == '}' || c == '\\') return false;
    }
    return word.len > 0 && word.ptr[0] != '#';
}

void put_word(struct buf *out, struct bytes word)
{
    if (is_plain(word)) {
        buf_put(out, word);
        return;
    }
    buf_put_c(out, '"');
    for (uint32_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '"' || word.ptr[i] == '\\') buf_put_c(out, '\\');
        buf_put_c(out, word.ptr[i]);
    }
    buf_put_c(out, '"');
}

void show_prefixes(const struct config *c, const char *key, struct config_list list, struct buf *out)
{
    const struct net_prefix *prefixes = CONFIG_ITEMS(c, list, struct net_prefix);
    if (!prefixes) return;
    BUF_LIT(out, "    ");
    buf_put_cstr(out, key);
    for (uint32_t i = 0; i < list.count; i++) {
        buf_put_c(out, ' ');
        net_print_ip(out, &prefixes[i].address);
        buf_put_c(out, '/');
        buf_put_u64(out, prefixes[i].bits);
    }
    buf_put_c(out, '\n');
}

static void show_keys(const struct config *c, enum config_block block, const void *owner, struct buf *out)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct key_row *row = &config_keys[i];
        uint8_t memory[2 * GRAMMAR_WORD_BYTES_MAX + 4];
        struct buf value = BUF_OVER(memory);
        if (row->block != block || row->later) continue;
        if (row->show) {
            row->show(c, owner, out);
        } else if (show_field(c, row, (const uint8_t *)owner + row->offset, &value)) {
            if (block != CONFIG_BLOCK_TOP) BUF_LIT(out, "    ");
            buf_put(out, row->name);
            buf_put_c(out, ' ');
            buf_put(out, buf_bytes(&value));
            buf_put_c(out, '\n');
        }
    }
}

static void show_block(const struct config *c, enum config_block block, struct bytes name, const void *owner, struct buf *out)
{
    buf_put(out, config_blocks[block].name);
    if (name.len > 0) buf_put_c(out, ' ');
    buf_put(out, name);
    BUF_LIT(out, " {\n");
    show_keys(c, block, owner, out);
    BUF_LIT(out, "}\n");
}

void config_show(const struct config *c, struct buf *out)
{
    const struct config_listener *listeners = CONFIG_ITEMS(c, c->listeners, struct config_listener);
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    show_keys(c, CONFIG_BLOCK_TOP, c, out);
    const struct config_tls *tls = CONFIG_ITEMS(c, c->tls, struct config_tls);
    for (uint32_t i = 0; tls && i < c->tls.count; i++) show_block(c, CONFIG_BLOCK_TLS, config_bytes(c, tls[i].name), &tls[i], out);
    const struct config_auth *auths = CONFIG_ITEMS(c, c->auths, struct config_auth);
    for (uint32_t i = 0; auths && i < c->auths.count; i++) show_block(c, CONFIG_BLOCK_AUTH, config_bytes(c, auths[i].name), &auths[i], out);
    for (uint32_t i = 0; listeners && i < c->listeners.count; i++) {
        show_block(c, CONFIG_BLOCK_LISTEN, config_bytes(c, listeners[i].name), &listeners[i], out);
    }
    for (uint32_t i = 0; tables && i < c->tables.count; i++) {
        if (i + 1 == c->aliases_table) continue; /* shown as the block that it is */
        show_block(c, CONFIG_BLOCK_TABLE, config_bytes(c, tables[i].name), &tables[i], out);
    }
    for (uint32_t i = 0; routes && i < c->routes.count; i++) {
        show_block(c, CONFIG_BLOCK_ROUTE, config_bytes(c, routes[i].name), &routes[i], out);
    }
    const struct config_rules *rules = CONFIG_ITEMS(c, c->rules, struct config_rules);
    for (uint32_t i = 0; rules && i < c->rules.count; i++) {
        show_block(c, CONFIG_BLOCK_RULES, config_bytes(c, rules[i].name), &rules[i], out);
    }
    for (uint32_t i = CONFIG_BLOCK_RULES + 1; /* those that there is one of */ i < CONFIG_BLOCK_RELAY; i++) show_block(c, (enum config_block)i,
                                                                                      (struct bytes){0}, c, out);
}

/* ---- the reference ---- */

/* "Takes a time such as 30s; the default is 5m." with the default marked up. */
static void put_value_reference(const struct key_row *row, struct buf *out)
{
    bool has_default = row->initial.len > 0 && !bytes_equal(row->initial, BYTES("0"));
    BUF_LIT(out, "Takes ");
    buf_put(out, row->kind == KIND_CHOICE ? BYTES("one of these words") : kind_expectation(row->kind));
    if (has_default) {
        BUF_LIT(out, "; the default is\n.Cm ");
        buf_put(out, row->initial);
        BUF_LIT(out, " .\n");
    } else {
        BUF_LIT(out, ".\n");
    }
}

static void put_key_reference(const struct key_row *row, struct buf *out)
{
    BUF_LIT(out, ".It Ic ");
    buf_put(out, row->name);
    if (row->values.len > 0) BUF_LIT(out, " Ar ");
    buf_put(out, row->values);
    buf_put_c(out, '\n');
    buf_put_cstr(out, row->sentence);
    buf_put_c(out, '\n');
    if (!row->read) put_value_reference(row, out);
}

void config_reference(struct buf *out)
{
    for (uint32_t block = 0; block < CONFIG_BLOCK_RELAY; block++) {
        BUF_LIT(out, ".Ss ");
        buf_put(out, block == CONFIG_BLOCK_TOP ? BYTES("Top level") : config_blocks[block].name);
        if (config_blocks[block].several) BUF_LIT(out, " NAME");
        buf_put_c(out, '\n');
        buf_put_cstr(out, config_blocks[block].sentence);
        BUF_LIT(out, "\n.Bl -tag -width Ds\n");
        for (uint32_t i = 0; i < config_key_count; i++) {
            if (config_keys[i].block == block && !config_keys[i].later) put_key_reference(&config_keys[i], out);
        }
        BUF_LIT(out, ".El\n");
    }
}
