/*
 * envelope - packing and walking of recipient lists; parts of addresses; message ids as text.
 *
 * The same test decides what rcpt_put() writes and what rcpt_next() gives back, so that a list that we made is one that we take.
 */
#include "base/envelope.h"

enum { NOTIFY_ALL = NOTIFY_NEVER | NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY };

/* has_control - whether text could break a line of a protocol or of a log. */
static bool has_control(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) return true;
    }
    return false;
}

static bool entry_is_valid(const struct rcpt *r)
{
    if (r->notify > NOTIFY_ALL || r->flags > RCPT_FLAGS_ALL) return false;
    if ((r->notify & NOTIFY_NEVER) && r->notify != NOTIFY_NEVER) return false; /* RFC 3461 4.1: NEVER stands alone */
    if (r->address.len == 0 || r->address.len > MAIL_ADDRESS_BYTES_MAX) return false;
    if (r->orcpt.len > MAIL_ORCPT_BYTES_MAX) return false;
    return !has_control(r->address) && !has_control(r->orcpt);
}

void rcpt_put(struct buf *list, const struct rcpt *r)
{
    if (!entry_is_valid(r) || 6 + r->address.len + r->orcpt.len > buf_room(list)) {
        list->overflow = true;
        return;
    }
    buf_put_le(list, r->notify, 1);
    buf_put_le(list, r->flags, 1);
    buf_put_le(list, r->address.len, 2);
    buf_put(list, r->address);
    buf_put_le(list, r->orcpt.len, 2);
    buf_put(list, r->orcpt);
}

bool rcpt_next(struct cursor *c, struct rcpt *r)
{
    struct rcpt entry;
    if (c->failed || cursor_left(c) == 0) return false;
    entry.notify = (uint8_t)cursor_le(c, 1);
    entry.flags = (uint8_t)cursor_le(c, 1);
    entry.address = cursor_take(c, (uint32_t)cursor_le(c, 2));
    entry.orcpt = cursor_take(c, (uint32_t)cursor_le(c, 2));
    if (!c->failed && !entry_is_valid(&entry)) c->failed = true;
    if (c->failed) return false;
    *r = entry;
    return true;
}

enum err rcpt_list_check(struct bytes list, uint32_t count)
{
    struct cursor c = cursor_over(list);
    struct rcpt r;
    uint32_t found = 0;
    while (found < count && rcpt_next(&c, &r)) found++;
    if (c.failed) return ERR_BAD_VALUE;
    if (found < count) return ERR_SHORT;
    return cursor_left(&c) == 0 ? ERR_NONE : ERR_TRAILING;
}

struct bytes mail_domain(struct bytes address)
{
    uint32_t at = bytes_find_last(address, '@');
    return at < address.len ? bytes_from(address, at + 1) : bytes_of(address.ptr, 0);
}

struct bytes mail_local(struct bytes address)
{
    return bytes_slice(address, 0, bytes_find_last(address, '@'));
}

void message_id_print(struct buf *out, struct message_id id)
{
    uint8_t text[MESSAGE_ID_TEXT_BYTES];
    for (uint32_t i = MESSAGE_ID_TEXT_BYTES; i > 0; i--) {
        text[i - 1] = (uint8_t)"0123456789ABCDEF"[id.v & 15];
        id.v >>= 4;
    }
    buf_put(out, bytes_of(text, MESSAGE_ID_TEXT_BYTES));
}

bool message_id_parse(struct bytes text, struct message_id *id)
{
    uint64_t value = 0;
    if (text.len != MESSAGE_ID_TEXT_BYTES) return false;
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.ptr[i]);
        if (ascii_is_digit(c)) value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f') value = value << 4 | (uint64_t)(c - 'a' + 10);
        else return false;
    }
    if (value == 0) return false;
    id->v = value;
    return true;
}
