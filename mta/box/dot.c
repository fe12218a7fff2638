/* dot - see dot.h. */
#include "mta/box/dot.h"

#include "smtp/reply.h" /* its limits only */

enum { DIGITS_0 = 0, DIGITS_1, DIGITS_2, SEPARATOR, TEXT, AFTER_CR, WHOLE, JUNK };

static uint8_t line_end(struct dot *d)
{
    d->code = d->line_code;
    if (!d->more) return WHOLE;
    d->second = true;
    d->line_code = d->line_bytes = 0;
    d->more = false;
    return DIGITS_0;
}

static uint8_t digit(struct dot *d, uint8_t c)
{
    if (!ascii_is_digit(c)) return JUNK;
    d->line_code = (uint16_t)(d->line_code * 10 + (c - '0'));
    if (d->place < DIGITS_2) return (uint8_t)(d->place + 1);
    bool known = d->line_code >= 200 && d->line_code <= 599 && (!d->second || d->line_code == d->code);
    return known ? SEPARATOR : JUNK;
}

static uint8_t step(struct dot *d, uint8_t c)
{
    if (++d->bytes > SMTP_REPLY_BYTES_MAX || ++d->line_bytes > SMTP_REPLY_LINE_BYTES_MAX) return JUNK;
    if (d->place <= DIGITS_2) return digit(d, c);
    if (c == '\n') return line_end(d);
    if (c == '\r') return AFTER_CR;
    if (d->place == AFTER_CR) return JUNK;
    if (d->place == TEXT) return TEXT;
    if (c != ' ' && c != '-') return JUNK;
    d->more = c == '-';
    return TEXT;
}

enum box_dot dot_feed(struct dot *d, struct bytes in)
{
    for (uint32_t i = 0; i < in.len && d->place < WHOLE; i++) d->place = step(d, in.ptr[i]);
    if (d->place == WHOLE) return BOX_DOT_CODE;
    return d->place == JUNK ? BOX_DOT_JUNK : BOX_DOT_PARTIAL;
}
