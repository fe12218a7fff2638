/*
 * owners - which login may send as whom, of the image.
 */
#include <stddef.h>

#include "mta/config/config.h"

/* names_login - whether a line's words have this login, or "*". */
static bool names_login(struct bytes words, struct bytes login)
{
    uint32_t at = 0;
    while (at < words.len) {
        uint32_t end = at;
        while (end < words.len && words.ptr[end] != ' ' && words.ptr[end] != '\t' && words.ptr[end] != ',') end++;
        struct bytes word = bytes_slice(words, at, end - at);
        if (word.len > 0 && (bytes_equal(word, BYTES("*")) || bytes_equal_nocase(word, login))) return true;
        at = end + 1;
    }
    return false;
}

/* first_of - the first line with this address, or the number of lines. */
static uint32_t first_of(const struct config *c, const struct config_owner *owners, uint32_t count, struct bytes address)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(config_bytes(c, owners[middle].address), address) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* owns - whether some line of this address names the login. */
static bool owns(const struct config *c, const struct config_listener *l, struct bytes address, struct bytes login)
{
    const struct config_owner *owners = CONFIG_ITEMS(c, l->owners, struct config_owner);
    if (!owners) return false;
    for (uint32_t i = first_of(c, owners, l->owners.count, address); i < l->owners.count; i++) {
        if (!bytes_equal(config_bytes(c, owners[i].address), address)) return false;
        if (names_login(config_bytes(c, owners[i].logins), login)) return true;
    }
    return false;
}

bool config_sender_allowed(const struct config *c, const struct config_listener *l, struct bytes login, struct bytes sender)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf lower = BUF_OVER(memory);
    if (l->owners_table.len == 0) return true;
    for (uint32_t i = 0; i < sender.len; i++) buf_put_c(&lower, ascii_lower(sender.ptr[i]));
    if (lower.overflow) return false;
    struct bytes whole = buf_bytes(&lower);
    uint32_t at = bytes_find_last(whole, '@');
    return owns(c, l, whole, login) || (at < whole.len && owns(c, l, bytes_from(whole, at), login));
}
