/*
 * fields - one word into one field, by the kind of its row: the only place that knows how a kind is written and stored.
 */
#include <string.h>

#include "mta/config/load.h"
#include "mta/config/values.h"
#include "smtp/address.h"

enum { DNS_PORT = 53 };

static const struct bytes expectations[KIND_COUNT_OF_KINDS] = {
    [KIND_TIME_S] = BYTES_INIT("a time such as 30s, 5m, 4h or 2d"),
    [KIND_TIME_MS] = BYTES_INIT("a time such as 30s, 5m, 4h or 2d"),
    [KIND_SIZE] = BYTES_INIT("a size such as 64K, 25M or 2G"),
    [KIND_SIZE32] = BYTES_INIT("a size such as 64K or 1M"),
    [KIND_RATE] = BYTES_INIT("a rate such as 40/s or 600/m"),
    [KIND_COUNT] = BYTES_INIT("a number"),
    [KIND_PORT] = BYTES_INIT("a port number"),
    [KIND_SWITCH] = BYTES_INIT("on or off"),
    [KIND_PATH] = BYTES_INIT("an absolute path without . or .. in it"),
    [KIND_HOST] = BYTES_INIT("a host name such as mx1.example.org"),
    [KIND_MAILBOX] = BYTES_INIT("an address such as postmaster@example.org"),
    [KIND_USER] = BYTES_INIT("a user name"),
    [KIND_WORD] = BYTES_INIT("a word of letters, digits and -_./"),
    [KIND_SERVER] = BYTES_INIT("an address such as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53"),
    [KIND_CHOICE] = BYTES_INIT("one of these words"),
};

struct bytes kind_expectation(enum config_kind kind)
{
    return expectations[kind];
}

struct bytes choice_word(struct bytes words, uint32_t n)
{
    for (; n > 0; n--) words = bytes_from(words, bytes_find(words, ' ') + 1);
    return bytes_slice(words, 0, bytes_find(words, ' '));
}

static bool is_numeric(uint8_t kind)
{
    return kind <= KIND_PORT;
}

/* The number that a word says, in its field's unit. */
static bool read_number(const struct key_row *row, struct bytes word, uint64_t *value)
{
    if (row->min == 0 && bytes_equal(word, BYTES("off"))) {
        *value = 0;
        return true;
    }
    switch (row->kind) {
    case KIND_TIME_S:
        if (!value_time_ms(word, value)) return false;
        *value = (*value + 999) / 1000;
        return true;
    case KIND_TIME_MS: return value_time_ms(word, value);
    case KIND_SIZE:
    case KIND_SIZE32: return value_size(word, value);
    case KIND_RATE: return value_rate(word, value);
    default: return bytes_to_u64(word, value);
    }
}

static void put_number(const struct key_row *row, uint64_t value, struct buf *out)
{
    switch (row->kind) {
    case KIND_TIME_S: value_put_time(out, value * 1000); break;
    case KIND_TIME_MS: value_put_time(out, value); break;
    case KIND_SIZE:
    case KIND_SIZE32: value_put_size(out, value); break;
    case KIND_RATE:
        value_put_size(out, value);
        BUF_LIT(out, "/s");
        break;
    default: buf_put_u64(out, value);
    }
}

static void store_number(uint8_t kind, uint64_t value, void *field)
{
    uint32_t value32 = (uint32_t)value;
    uint16_t value16 = (uint16_t)value;
    if (kind == KIND_TIME_S || kind == KIND_TIME_MS || kind == KIND_SIZE) memcpy(field, &value, sizeof value);
    else if (kind == KIND_PORT) memcpy(field, &value16, sizeof value16);
    else memcpy(field, &value32, sizeof value32);
}

static uint64_t load_number(uint8_t kind, const void *field)
{
    uint64_t value;
    uint32_t value32;
    uint16_t value16;
    if (kind == KIND_PORT) return memcpy(&value16, field, sizeof value16), value16;
    if (kind == KIND_SIZE32 || kind == KIND_RATE || kind == KIND_COUNT) return memcpy(&value32, field, sizeof value32), value32;
    memcpy(&value, field, sizeof value);
    return value;
}

static bool read_number_field(struct loader *l, const struct key_row *row, struct bytes word, struct grammar_place place,
                              void *field)
{
    uint64_t value;
    uint8_t low_memory[32], high_memory[32];
    struct buf low = BUF_OVER(low_memory), high = BUF_OVER(high_memory);
    if (!read_number(row, word, &value)) {
        CONFIG_ERROR(l, place, BYTES("`"), row->name, BYTES("' is `"), word, BYTES("'; expected "), expectations[row->kind],
                     row->min == 0 ? BYTES(", or off") : BYTES(""));
        return false;
    }
    bool fallback = place.file == GRAMMAR_NONE && value == 0; /* a default of 0 means "not given" where 0 cannot be written */
    if ((value < row->min && !fallback) || value > row->max) {
        put_number(row, row->min, &low);
        put_number(row, row->max, &high);
        CONFIG_ERROR(l, place, BYTES("`"), row->name, BYTES("' is `"), word, BYTES("'; expected "), buf_bytes(&low),
                     BYTES(" to "),
                     buf_bytes(&high));
        return false;
    }
    store_number(row->kind, value, field);
    return true;
}

static bool word_valid(struct bytes word)
{
    for (uint32_t i = 0; i < word.len; i++) {
        uint8_t c = word.ptr[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && bytes_find(BYTES("-_./"), c) == 4) return false;
    }
    return word.len > 0 && word.len <= 32;
}

/* The text of a field of a text kind, in its canonical form; false when the word is not of that kind. */
static bool read_text(struct loader *l, uint8_t kind, struct bytes word, struct config_text *text)
{
    uint8_t memory[HOST_NAME_BYTES_MAX];
    struct buf lower = BUF_OVER(memory);
    struct smtp_address address;
    switch (kind) {
    case KIND_PATH:
        if (!value_path_valid(word)) return false;
        break;
    case KIND_HOST:
        if (!smtp_domain_valid(word, false)) return false;
        for (uint32_t i = 0; i < word.len; i++) buf_put_c(&lower, ascii_lower(word.ptr[i]));
        word = buf_bytes(&lower);
        break;
    case KIND_MAILBOX:
        if (smtp_mailbox_parse(word, true, &address) != SMTP_ADDRESS_OK || address.domain.len == 0) return false;
        word = address.whole;
        break;
    case KIND_USER:
        if (!value_user_valid(word)) return false;
        break;
    default:
        if (!word_valid(word)) return false;
    }
    *text = image_text(l, word);
    return true;
}

static bool read_choice(struct loader *l, const struct key_row *row, struct bytes word, struct grammar_place place,
                        uint8_t *field)
{
    struct nearest near = nearest_to(word);
    for (uint8_t n = 0; choice_word(row->values, n).len > 0; n++) {
        nearest_offer(&near, choice_word(row->values, n));
        if (!bytes_equal(word, choice_word(row->values, n))) continue;
        *field = n;
        return true;
    }
    error_with_nearest(l, place, &near, PIECES(BYTES("`"), row->name, BYTES("' is `"), word, BYTES("'; expected one of: "),
                                               row->values));
    return false;
}

bool read_field(struct loader *l, const struct key_row *row, struct bytes word, struct grammar_place place, void *field)
{
    if (is_numeric(row->kind)) return read_number_field(l, row, word, place, field);
    if (row->kind == KIND_CHOICE) return read_choice(l, row, word, place, field);
    if (row->kind == KIND_SWITCH && (bytes_equal(word, BYTES("on")) || bytes_equal(word, BYTES("off")))) {
        *(bool *)field = word.len == 2;
        return true;
    }
    if (row->kind == KIND_SERVER && value_server(word, DNS_PORT, field)) return true;
    if (row->kind != KIND_SWITCH && row->kind != KIND_SERVER && read_text(l, row->kind, word, field)) return true;
    CONFIG_ERROR(l, place, BYTES("`"), row->name, BYTES("' is `"), word, BYTES("'; expected "), expectations[row->kind]);
    return false;
}

bool show_field(const struct config *c, const struct key_row *row, const void *field, struct buf *out)
{
    if (is_numeric(row->kind)) {
        uint64_t value = load_number(row->kind, field);
        if (value == 0 && row->min > 0) return false;
        if (value == 0 && row->kind != KIND_COUNT) BUF_LIT(out, "off");
        else put_number(row, value, out);
        return true;
    }
    if (row->kind == KIND_CHOICE) return buf_put(out, choice_word(row->values, *(const uint8_t *)field)), true;
    if (row->kind == KIND_SWITCH) return buf_put_cstr(out, *(const bool *)field ? "on" : "off"), true;
    if (row->kind == KIND_SERVER) {
        const struct net_address *address = field;
        if (address->family == NET_NONE) return false;
        net_print_ip_port(out, address);
        return true;
    }
    struct bytes text = config_bytes(c, *(const struct config_text *)field);
    if (text.len == 0) return false;
    put_word(out, text);
    return true;
}
