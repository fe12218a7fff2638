/*
 * table_aliases - aliases(5) files, with the :include: files that they name.
 *
 * An :include: file is read when its table is, so that a look-up opens nothing; its values are entries of their own, with the key
 * ":include:PATH". It may name addresses and further :include: files. Commands and files in it are left out with a warning: such a
 * file often belongs to a user or a program, who could otherwise run commands in the name of the alias.
 */
#include <stdlib.h>
#include <string.h>

#include "mta/config/load.h"
#include "smtp/address.h"
#include "smtp/alias.h"

enum { INCLUDE_KEY_BYTES_MAX = 16 + GRAMMAR_WORD_BYTES_MAX };

static const uint8_t kinds[] = {
    [SMTP_ALIAS_ADDRESS] = ENTRY_ADDRESS, [SMTP_ALIAS_EXACT] = ENTRY_EXACT,     [SMTP_ALIAS_COMMAND] = ENTRY_COMMAND,
    [SMTP_ALIAS_FILE] = ENTRY_FILE,       [SMTP_ALIAS_INCLUDE] = ENTRY_INCLUDE,
};

/* address_is_good - one that a message can go to; a local name is one when it would be with a domain. */
static bool address_is_good(struct bytes value)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX + 2];
    struct buf text = BUF_OVER(memory);
    struct smtp_address address;
    buf_put(&text, value);
    if (bytes_find(value, '@') == value.len) BUF_LIT(&text, "@a");
    return !text.overflow && smtp_mailbox_parse(buf_bytes(&text), true, &address) == SMTP_ADDRESS_OK && address.domain.len > 0;
}

static struct bytes include_key(struct buf *key, struct bytes path)
{
    BUF_LIT(key, ":include:");
    buf_put(key, path);
    return key->overflow ? (struct bytes){0} : buf_bytes(key);
}

/* is_read - whether an :include: file is in the table already, or is being read: it is named only then. */
static bool is_read(const struct loader *l, uint32_t first_file, const char *path)
{
    for (uint32_t i = first_file; i < l->files.count; i++) {
        if (strcmp(ARRAY_ITEM(&l->files, i, struct source_file)->path, path) == 0) return true;
    }
    return false;
}

/* add_include - the value of an alias, and the file itself to the files that are to be read. */
static void add_include(struct loader *l, struct table *t, struct bytes key, struct bytes word, struct table_entry rest, uint32_t first_file)
{
    char *path = source_path(l, rest.place.file, word);
    uint32_t file;
    if (!path) return;
    struct bytes text = bytes_of_cstr(path);
    if (text.len > GRAMMAR_WORD_BYTES_MAX) CONFIG_ERROR(l, rest.place, BYTES("the path of the :include: file is too long"));
    else table_add(l, t, key, text, rest);
    if (text.len <= GRAMMAR_WORD_BYTES_MAX && !is_read(l, first_file, path)) {
        l->no_links = true;
        (void)source_add(l, path, NULL, rest.place, TABLE_BYTES_MAX, &file);
        l->no_links = false;
    }
    free(path);
}

static void add_value(struct loader *l, struct table *t, struct bytes key, enum smtp_alias_event event, struct bytes value, struct table_entry rest,
                      uint32_t first_file)
{
    bool in_list = bytes_starts(key, BYTES(":include:"));
    rest.kind = kinds[event];
    if (event == SMTP_ALIAS_INCLUDE) {
        add_include(l, t, key, value, rest, first_file);
    } else if (in_list && (event == SMTP_ALIAS_COMMAND || event == SMTP_ALIAS_FILE)) {
        CONFIG_WARNING(l, rest.place, BYTES("a command or file in an :include: file is left out; only addresses may stand here"));
    } else if ((event == SMTP_ALIAS_ADDRESS || event == SMTP_ALIAS_EXACT) && !address_is_good(value)) {
        CONFIG_ERROR(l, rest.place, BYTES("`"), value, BYTES("' is no address and no local name"));
    } else {
        table_add(l, t, key, value, rest);
    }
}

/* read_one - the alias file itself, or with `list` one that it includes. */
static void read_one(struct loader *l, struct table *t, uint32_t file, bool list, uint32_t first_file)
{
    uint8_t memory[INCLUDE_KEY_BYTES_MAX];
    struct buf key = BUF_OVER(memory);
    struct smtp_alias_reader r;
    struct bytes value;
    enum smtp_alias_event event;
    uint32_t errors = l->errors, key_line = 0;
    if (list) (void)include_key(&key, bytes_of_cstr(ARRAY_ITEM(&l->files, file, struct source_file)->path));
    smtp_alias_init(&r, bytes_of(ARRAY_ITEM(&l->files, file, struct source_file)->text, ARRAY_ITEM(&l->files, file, struct source_file)->text_bytes), list);
    while ((event = smtp_alias_next(&r, &value)) != SMTP_ALIAS_END && l->errors - errors < GRAMMAR_PROBLEMS_MAX) {
        struct grammar_place place = {file, r.line, r.column};
        if (event == SMTP_ALIAS_BAD) {
            CONFIG_ERROR(l, place, value);
        } else if (event == SMTP_ALIAS_NAME) {
            key = BUF_OVER(memory);
            buf_put(&key, value);
            key_line = r.line;
        } else {
            add_value(l, t, buf_bytes(&key), event, value, (struct table_entry){.place = place, .line = list ? r.line : key_line}, first_file);
        }
    }
}

void table_read_aliases(struct loader *l, struct table *t, uint32_t file)
{
    read_one(l, t, file, false, file + 1);
    /* What is included is put behind the files that are there: one loop reads every depth, and each file once. */
    for (uint32_t i = file + 1; i < l->files.count; i++) {
        if (ARRAY_ITEM(&l->files, i, struct source_file)->text) read_one(l, t, i, true, file + 1);
    }
}
