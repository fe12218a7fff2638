/*
 * alias - see smtp/alias.h.
 */
#include "smtp/alias.h"

#include "base/must.h"

void smtp_alias_init(struct smtp_alias_reader *r, struct bytes text, bool list)
{
    r->text = text;
    r->pos = 0;
    r->line = r->next_line = r->column = 1;
    r->line_start = 0;
    r->list = list;
    r->inside = false;
}

static bool at_end(const struct smtp_alias_reader *r)
{
    return r->pos >= r->text.len;
}

static uint8_t peek(const struct smtp_alias_reader *r)
{
    return at_end(r) ? '\n' : r->text.ptr[r->pos];
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct smtp_alias_reader *r)
{
    while (is_blank(peek(r))) r->pos++;
}

/* skip_line - to behind the next line end. */
static void skip_line(struct smtp_alias_reader *r)
{
    r->pos += bytes_find(bytes_from(r->text, r->pos), '\n');
    if (at_end(r)) return;
    r->pos++;
    r->next_line++;
    r->line_start = r->pos;
}

static void note_column(struct smtp_alias_reader *r)
{
    r->column = r->pos - r->line_start + 1;
}

/* skip_empty_lines - lines of blanks or a comment; what comes then begins at its line's start. */
static void skip_empty_lines(struct smtp_alias_reader *r)
{
    while (!at_end(r)) {
        uint32_t start = r->pos;
        skip_blanks(r);
        if (!at_end(r) && peek(r) != '\n' && peek(r) != '#') {
            r->pos = start;
            return;
        }
        skip_line(r);
    }
}

/* to_value - move to the next thing of the entry, over commas and continued lines; false when the entry ends, at the start of a line. */
static bool to_value(struct smtp_alias_reader *r)
{
    for (;;) {
        while (is_blank(peek(r)) || peek(r) == ',') r->pos++;
        if (peek(r) != '\n') return true;
        skip_line(r);
        if (r->list) return false;
        skip_empty_lines(r);
        if (at_end(r) || !is_blank(peek(r))) return false;
    }
}

static enum smtp_alias_event bad(struct smtp_alias_reader *r, const char *why, struct bytes *value)
{
    r->inside = false;
    skip_line(r);
    skip_empty_lines(r);
    while (!r->list && !at_end(r) && is_blank(peek(r))) { /* what continues a bad line belongs to it */
        skip_line(r);
        skip_empty_lines(r);
    }
    *value = bytes_of_cstr(why);
    return SMTP_ALIAS_BAD;
}

/* take_quoted - a quoted string whose first quote was taken; false when it does not end on its line. */
static bool take_quoted(struct smtp_alias_reader *r, struct buf *out)
{
    for (;;) {
        uint8_t c = peek(r);
        if (c == '\n') return false;
        r->pos++;
        if (c == '"') return true;
        if (c == '\\') {
            c = peek(r);
            if (c == '\n') return false;
            r->pos++;
        }
        buf_put_c(out, c);
    }
}

/* safe - no control octet, which no name, path or command of ours has. */
static bool safe(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] == 127) return false;
    }
    return text.len > 0;
}

/* take_name - up to the colon. */
static enum smtp_alias_event take_name(struct smtp_alias_reader *r, struct bytes *value)
{
    struct buf out = BUF_OVER(r->store);
    if (peek(r) == '"') {
        r->pos++;
        if (!take_quoted(r, &out)) return bad(r, "a quote is not closed", value);
    } else {
        for (uint8_t c = peek(r); c != ':' && c != '\n' && c != '"' && !is_blank(c); c = peek(r)) {
            buf_put_c(&out, c);
            r->pos++;
        }
    }
    skip_blanks(r);
    if (peek(r) != ':') {
        note_column(r);
        return bad(r, "a name must be followed by a colon", value);
    }
    if (out.overflow || !safe(buf_bytes(&out))) return bad(r, "not a name", value);
    r->pos++;
    for (uint32_t i = 0; i < out.len; i++) out.ptr[i] = ascii_lower(out.ptr[i]);
    if (!to_value(r)) {
        *value = BYTES("a name without a value");
        return SMTP_ALIAS_BAD;
    }
    r->inside = true;
    *value = buf_bytes(&out);
    return SMTP_ALIAS_NAME;
}

/* classify - what a value is by its start; the text without that. */
static enum smtp_alias_event classify(struct bytes *text)
{
    struct bytes include = BYTES(":include:");
    if (bytes_starts_nocase(*text, include)) {
        *text = bytes_trim(bytes_from(*text, include.len));
        return text->len > 0 ? SMTP_ALIAS_INCLUDE : SMTP_ALIAS_BAD;
    }
    if (text->ptr[0] == '|') {
        *text = bytes_trim(bytes_from(*text, 1));
        return text->len > 0 ? SMTP_ALIAS_COMMAND : SMTP_ALIAS_BAD;
    }
    if (text->ptr[0] == '/') return SMTP_ALIAS_FILE;
    if (text->ptr[0] == '\\') {
        *text = bytes_from(*text, 1);
        return text->len > 0 ? SMTP_ALIAS_EXACT : SMTP_ALIAS_BAD;
    }
    return SMTP_ALIAS_ADDRESS;
}

/* raw_end - where the value at the reader's place ends: a comma outside of quotes, or the line's end; false for an open quote. */
static bool raw_end(const struct smtp_alias_reader *r, uint32_t *end)
{
    bool quoted = false;
    uint32_t i = r->pos;
    for (; i < r->text.len && r->text.ptr[i] != '\n'; i++) {
        uint8_t c = r->text.ptr[i];
        if (c == '"') quoted = !quoted;
        else if (c == '\\' && i + 1 < r->text.len && r->text.ptr[i + 1] != '\n') i++;
        else if (c == ',' && !quoted) break;
    }
    *end = i;
    return !quoted;
}

static struct bytes trim_end(struct bytes text)
{
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) text.len--;
    return text;
}

/* bare_address - the part in angle brackets of "Name <address>", or all of it. */
static struct bytes bare_address(struct bytes text)
{
    uint32_t open = bytes_find_last(text, '<');
    if (open == text.len || text.ptr[text.len - 1] != '>') return text;
    return bytes_slice(text, open + 1, text.len - open - 2);
}

/* has_blank - outside of quotes. */
static bool has_blank(struct bytes text)
{
    bool quoted = false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') quoted = !quoted;
        else if (text.ptr[i] == '\\') i++;
        else if (!quoted && is_blank(text.ptr[i])) return true;
    }
    return false;
}

static enum smtp_alias_event take_value(struct smtp_alias_reader *r, struct bytes *value)
{
    uint32_t start = r->pos, end;
    struct buf out = BUF_OVER(r->store);
    if (!raw_end(r, &end)) return bad(r, "a quote is not closed", value);
    struct bytes raw = trim_end(bytes_slice(r->text, start, end - start));
    must(raw.len > 0);
    r->pos = start;
    bool whole = false; /* the quotes are around all of the value, and not part of an address */
    if (raw.ptr[0] == '"') {
        r->pos++;
        whole = take_quoted(r, &out) && r->pos == start + raw.len;
    }
    if (!whole) {
        out = BUF_OVER(r->store);
        buf_put(&out, raw);
    }
    r->pos = end;
    if (out.overflow || !safe(buf_bytes(&out))) return bad(r, "a value is too long, or has control characters", value);

    struct bytes text = buf_bytes(&out);
    enum smtp_alias_event event = classify(&text);
    if (event == SMTP_ALIAS_ADDRESS && !whole) text = bare_address(text);
    bool address = event == SMTP_ALIAS_ADDRESS || event == SMTP_ALIAS_EXACT;
    if (event == SMTP_ALIAS_BAD || text.len == 0 || (address && !whole && has_blank(text))) return bad(r, "not an address, path or command", value);
    *value = text;
    return event;
}

enum smtp_alias_event smtp_alias_next(struct smtp_alias_reader *r, struct bytes *value)
{
    if (r->inside && !to_value(r)) r->inside = false;
    while (!r->inside) {
        skip_empty_lines(r);
        r->line = r->next_line;
        note_column(r);
        *value = BYTES("");
        if (at_end(r)) return SMTP_ALIAS_END;
        if (r->list) {
            r->inside = to_value(r);
        } else if (is_blank(peek(r))) {
            return bad(r, "a continued line without one before it", value);
        } else {
            return take_name(r, value);
        }
    }
    r->line = r->next_line;
    note_column(r);
    return take_value(r, value);
}
