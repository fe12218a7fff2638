/*
 * keys_auth - statements about logins: mechanisms, and who may send as whom.
 */
#include <stdlib.h>

#include "mta/config/load.h"
#include "smtp/address.h"
#include "smtp/sasl.h"

enum {
    OFFERABLE = SMTP_SASL_BIT(SMTP_SASL_EXTERNAL) | SMTP_SASL_BIT(SMTP_SASL_SCRAM_SHA_256) | SMTP_SASL_BIT(SMTP_SASL_PLAIN) | SMTP_SASL_BIT(SMTP_SASL_LOGIN),
};

void read_key_mechanisms(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_auth *auth = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("some of plain, login, scram-sha-256 and external"))) return;
    for (uint32_t i = 1; i < s->word_count; i++) {
        uint32_t bit = SMTP_SASL_BIT(smtp_sasl_mechanism(word_of(l, s, i)));
        if (bit & OFFERABLE) auth->mechanisms |= bit;
        else CONFIG_ERROR(l, place_of(l, s, i), BYTES("`mechanisms' names `"), word_of(l, s, i),
                          BYTES("'; expected some of plain, login, scram-sha-256 and external"));
    }
}

void show_key_mechanisms(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    BUF_LIT(out, "    mechanisms");
    for (uint32_t m = SMTP_SASL_NONE + 1; m < SMTP_SASL_MECHANISM_COUNT; m++) {
        if (!(((const struct config_auth *)owner)->mechanisms & SMTP_SASL_BIT(m))) continue;
        struct bytes name = smtp_sasl_name((enum smtp_sasl_mechanism)m);
        buf_put_c(out, ' ');
        for (uint32_t i = 0; i < name.len; i++) buf_put_c(out, ascii_lower(name.ptr[i]));
    }
    buf_put_c(out, '\n');
}

/* ---- sender-logins ---- */

/* canonical - the key of a line as senders are looked up: in lower case, empty for <>. */
static bool canonical(struct bytes word, struct buf *out)
{
    struct smtp_address address;
    bool domain_alone = word.len > 1 && word.ptr[0] == '@';
    if (bytes_equal(word, BYTES("<>"))) return true;
    if (domain_alone && !smtp_domain_valid(bytes_from(word, 1), true)) return false;
    if (!domain_alone && (smtp_mailbox_parse(word, true, &address) != SMTP_ADDRESS_OK || address.domain.len == 0)) return false;
    struct bytes text = domain_alone ? word : address.whole;
    for (uint32_t i = 0; i < text.len; i++) buf_put_c(out, ascii_lower(text.ptr[i]));
    return !out->overflow;
}

static int by_address(const void *left, const void *right, void *context)
{
    const struct loader *l = context;
    return bytes_compare(image_bytes_of(l, ((const struct config_owner *)left)->address), image_bytes_of(l, ((const struct config_owner *)right)->address));
}

static void add_owner(struct loader *l, struct array *owners, const struct table_entry *entry)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf address = BUF_OVER(memory);
    if (!canonical(table_key(l, entry), &address)) {
        CONFIG_ERROR(l, entry->place, BYTES("`"), table_key(l, entry),
                     BYTES("' is no sender, as `sender-logins' expects: an address, @domain or <>, and behind it its logins"));
        return;
    }
    if (entry->value.len == 0) {
        CONFIG_ERROR(l, entry->place, BYTES("`"), table_key(l, entry), BYTES("' has no login behind it; expected the logins that may send as it"));
        return;
    }
    struct config_owner *owner = array_add(l, owners);
    if (!owner) return;
    owner->address = image_text(l, buf_bytes(&address));
    owner->logins = entry->value;
}

void read_key_sender_logins(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    struct array owners = {.item_bytes = sizeof(struct config_owner)};
    if (!take_words(l, s, 1, 1, BYTES("the name of a table"))) return;
    const struct table *t = find_table(l, word_of(l, s, 1));
    if (!t) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`sender-logins' names `"), word_of(l, s, 1),
                     BYTES("', and there is no such table; expected table NAME { file PATH }"));
        return;
    }
    for (uint32_t i = 0; i < t->entries.count; i++) add_owner(l, &owners, ARRAY_ITEM(&t->entries, i, struct table_entry));
    if (owners.count > 1) qsort_r(owners.items, owners.count, owners.item_bytes, by_address, l);
    listener->owners_table = image_text(l, t->name);
    listener->owners = image_list(l, owners.items, owners.count, sizeof(struct config_owner));
    array_free(&owners);
}

void show_key_sender_logins(const struct config *c, const void *owner, struct buf *out)
{
    struct bytes name = config_bytes(c, ((const struct config_listener *)owner)->owners_table);
    if (name.len == 0) return;
    BUF_LIT(out, "    sender-logins ");
    put_word(out, name);
    buf_put_c(out, '\n');
}
