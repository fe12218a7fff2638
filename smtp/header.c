/*
 * header - see smtp/header.h.
 *
 * Values are skipped a line at a time; only names, and the value of Message-ID, are looked at octet by octet. What follows a
 * line that cannot be a field is content, as every reader of mail takes it.
 */
#include "smtp/header.h"

#include <string.h>

enum place { LINE_START = 0, LINE_START_CR, IN_NAME, AFTER_NAME, IN_VALUE, VALUE_END };

void smtp_header_init(struct smtp_header_scan *s)
{
    memset(s, 0, sizeof(*s));
}

static void begin_message_id(struct smtp_header_scan *s)
{
    s->capturing = !s->has_message_id;
    s->has_message_id = true;
}

/* begin_value - the colon was met: what is the field? */
static void begin_value(struct smtp_header_scan *s)
{
    struct bytes name = bytes_of(s->name, s->name_len < sizeof(s->name) ? s->name_len : 0);
    if (bytes_equal(name, BYTES("received"))) s->received_count++;
    else if (bytes_equal(name, BYTES("date"))) s->has_date = true;
    else if (bytes_equal(name, BYTES("from"))) s->has_from = true;
    else if (bytes_equal(name, BYTES("message-id"))) begin_message_id(s);
    s->state = IN_VALUE;
}

/* end_without_field - the current line is no field: the header ended before it. */
static void end_without_field(struct smtp_header_scan *s)
{
    s->header_bytes -= s->line_bytes;
    s->done = true;
}

static void take_name_octet(struct smtp_header_scan *s, uint8_t c)
{
    if (s->name_len < sizeof(s->name)) s->name[s->name_len++] = ascii_lower(c);
}

static bool is_name_octet(uint8_t c)
{
    return c > ' ' && c < 127 && c != ':';
}

/* capture - keep an octet of Message-ID; all of it up to its '>', without what folding put in between. */
static void capture(struct smtp_header_scan *s, uint8_t c)
{
    if (c <= ' ' || c == 127) return;
    if (s->message_id_len < sizeof(s->message_id)) s->message_id[s->message_id_len++] = c;
    if (c == '>') s->capturing = false;
}

static void feed_line_start(struct smtp_header_scan *s, uint8_t c)
{
    s->name_len = 0;
    if (c == '\r') {
        s->state = LINE_START_CR;
    } else if (c == '\n') {
        s->done = true;
    } else if (is_name_octet(c)) {
        take_name_octet(s, c);
        s->state = IN_NAME;
    } else {
        end_without_field(s);
    }
}

static void feed_octet(struct smtp_header_scan *s, uint8_t c)
{
    s->header_bytes++;
    s->line_bytes++;
    switch ((enum place)s->state) {
    case VALUE_END: /* a space or tab continues the field */
        s->line_bytes = 1;
        if (c == ' ' || c == '\t') {
            s->state = IN_VALUE;
            break;
        }
        s->capturing = false;
        feed_line_start(s, c);
        break;
    case LINE_START:
        feed_line_start(s, c);
        break;
    case LINE_START_CR:
        if (c == '\n') s->done = true;
        else end_without_field(s);
        break;
    case IN_NAME:
        if (is_name_octet(c)) {
            take_name_octet(s, c);
            break;
        }
        s->state = AFTER_NAME;
        /* fall through */
    case AFTER_NAME: /* spaces before the colon are obsolete, and still written (RFC 5322 4.5) */
        if (c == ':') begin_value(s);
        else if (c != ' ' && c != '\t') end_without_field(s);
        break;
    case IN_VALUE:
        if (c == '\n') s->state = VALUE_END;
        else if (s->capturing) capture(s, c);
        break;
    }
}

/* skip_value - the rest of the line, when nobody wants to see it; returns the octets taken. */
static uint32_t skip_value(struct smtp_header_scan *s, struct bytes in)
{
    if (s->state != IN_VALUE || s->capturing) return 0;
    uint32_t n = bytes_find(in, '\n');
    s->header_bytes += n;
    s->line_bytes += n;
    return n;
}

void smtp_header_feed(struct smtp_header_scan *s, struct bytes content)
{
    uint32_t pos = 0;
    while (pos < content.len && !s->done) {
        uint32_t skipped = skip_value(s, bytes_from(content, pos));
        struct bytes seen = bytes_slice(content, pos, skipped > 0 ? skipped : 1);
        if (!s->has_8bit && s->state == IN_VALUE) s->has_8bit = !bytes_is_ascii(seen);
        pos += skipped;
        if (skipped == 0) feed_octet(s, content.ptr[pos++]);
    }
}

void smtp_header_end(struct smtp_header_scan *s)
{
    s->done = true;
    s->capturing = false;
}
