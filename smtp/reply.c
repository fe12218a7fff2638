/*
 * reply - see smtp/reply.h.
 *
 * The grammar of RFC 5321 4.2 is the table below: one row for each position in a line, one column for each class of octet.
 * The rules that a table cannot say stand in the moves: the range of codes, the same code on every line, how long a line and
 * a reply may be. "250" CR LF without a separator is legal (4.2, Reply-line); CR CR LF is taken as one line end, since some
 * servers write it.
 */
#include "smtp/reply.h"

#include <stddef.h>
#include <string.h>

#include "base/must.h"

enum octet_class { DIGIT = 0, DASH, SPACE, CR, LF, OTHER, CLASS_COUNT };

/* Position within the current line; the three behind POSITION_COUNT have no row. */
enum position { CODE_1 = 0, CODE_2, CODE_3, SEPARATOR, TEXT, AFTER_CR, POSITION_COUNT, LINE_END, WHOLE, BAD };

/*            position    digit      dash  space     CR        LF        other */
#define GRAMMAR(R) \
    R(CODE_1,    CODE_2,    BAD,  BAD,      BAD,      BAD,      BAD) \
    R(CODE_2,    CODE_3,    BAD,  BAD,      BAD,      BAD,      BAD) \
    R(CODE_3,    SEPARATOR, BAD,  BAD,      BAD,      BAD,      BAD) \
    R(SEPARATOR, BAD,       TEXT, TEXT,     AFTER_CR, LINE_END, BAD) \
    R(TEXT,      TEXT,      TEXT, TEXT,     AFTER_CR, LINE_END, TEXT) \
    R(AFTER_CR,  BAD,       BAD,  BAD,      AFTER_CR, LINE_END, BAD)

#define GRAMMAR_ROW(position, digit, dash, space, cr, lf, other) \
    [position] = {[DIGIT] = digit, [DASH] = dash, [SPACE] = space, [CR] = cr, [LF] = lf, [OTHER] = other},
static const uint8_t grammar[POSITION_COUNT][CLASS_COUNT] = {GRAMMAR(GRAMMAR_ROW)};

static enum octet_class class_of(uint8_t c)
{
    switch (c) {
    case '-': return DASH;
    case ' ': return SPACE;
    case '\r': return CR;
    case '\n': return LF;
    default: return ascii_is_digit(c) ? DIGIT : OTHER;
    }
}

void smtp_reply_init(struct smtp_reply *r)
{
    /* The text beyond text_len is never looked at, so that a thousand octets need not be cleared for each reply. */
    memset(r, 0, offsetof(struct smtp_reply, text));
}

static void keep_text(struct smtp_reply *r, uint8_t c)
{
    if (r->text_len < sizeof(r->text)) r->text[r->text_len++] = c;
    else r->text_cut = true;
}

/* on_code_digit - false as soon as the code is none, or is not that of the first line (RFC 5321 4.2.1). */
static bool on_code_digit(struct smtp_reply *r, enum position next, uint8_t c)
{
    r->line_code = (uint16_t)(r->line_code * 10 + (c - '0'));
    if (next != SEPARATOR) return true;
    if (r->line_code < 200 || r->line_code > 599) return false;
    return r->lines == 0 || r->line_code == r->code;
}

static enum position on_line_end(struct smtp_reply *r)
{
    if (r->position != AFTER_CR) r->bare_lf = true;
    r->code = r->line_code;
    r->lines++;
    if (!r->more_lines) return WHOLE;
    r->line_code = 0;
    r->line_bytes = 0;
    r->more_lines = false;
    return CODE_1;
}

static enum position feed_octet(struct smtp_reply *r, uint8_t c)
{
    must(r->position < POSITION_COUNT);
    enum octet_class class = class_of(c);
    enum position next = (enum position)grammar[r->position][class];
    if (++r->bytes > SMTP_REPLY_BYTES_MAX || ++r->line_bytes > SMTP_REPLY_LINE_BYTES_MAX || next == BAD) return BAD;
    switch (r->position) {
    case CODE_1:
    case CODE_2:
    case CODE_3:
        if (!on_code_digit(r, next, c)) return BAD;
        break;
    case SEPARATOR:
        r->more_lines = class == DASH;
        if (r->lines > 0) keep_text(r, '\n');
        break;
    default:
        if (next == TEXT) keep_text(r, c);
        break;
    }
    return next == LINE_END ? on_line_end(r) : next;
}

enum smtp_feed smtp_reply_feed(struct smtp_reply *r, struct bytes in, uint32_t *used)
{
    uint32_t eaten = 0;
    while (eaten < in.len && r->position < POSITION_COUNT) r->position = (uint8_t)feed_octet(r, in.ptr[eaten++]);
    *used = eaten;
    if (r->position == WHOLE) return SMTP_DONE;
    return r->position == BAD ? SMTP_GARBLED : SMTP_MORE;
}

struct bytes smtp_reply_text(const struct smtp_reply *r)
{
    must(r->text_len <= sizeof(r->text));
    return bytes_of(r->text, r->text_len);
}

struct enhanced smtp_reply_enhanced(const struct smtp_reply *r)
{
    struct enhanced found = {0};
    uint32_t used = 0;
    if (!smtp_enhanced_parse(smtp_reply_text(r), &found, &used) || found.class != r->code / 100) return (struct enhanced){0};
    return found;
}

/* take_number - one to three digits at *at; false when there are none, or more. */
static bool take_number(struct bytes text, uint32_t *at, uint16_t *number)
{
    uint32_t i = *at, value = 0;
    while (i < text.len && i - *at < 3 && ascii_is_digit(text.ptr[i])) value = value * 10 + (uint32_t)(text.ptr[i++] - '0');
    if (i == *at || (i < text.len && ascii_is_digit(text.ptr[i]))) return false;
    *at = i;
    *number = (uint16_t)value;
    return true;
}

bool smtp_enhanced_parse(struct bytes text, struct enhanced *out, uint32_t *used)
{
    struct enhanced found = {0};
    if (text.len < 5 || (text.ptr[0] != '2' && text.ptr[0] != '4' && text.ptr[0] != '5') || text.ptr[1] != '.') return false;
    found.class = (uint8_t)(text.ptr[0] - '0');
    uint32_t at = 2;
    if (!take_number(text, &at, &found.subject)) return false;
    if (at >= text.len || text.ptr[at] != '.') return false;
    at++;
    if (!take_number(text, &at, &found.detail)) return false;
    if (at < text.len && text.ptr[at] != ' ' && text.ptr[at] != '\n') return false;
    *out = found;
    *used = at < text.len && text.ptr[at] == ' ' ? at + 1 : at;
    return true;
}

void smtp_enhanced_write(struct buf *out, struct enhanced e)
{
    buf_put_u64(out, e.class);
    buf_put_c(out, '.');
    buf_put_u64(out, e.subject);
    buf_put_c(out, '.');
    buf_put_u64(out, e.detail);
}

static void write_line(struct buf *out, uint16_t code, bool more, struct enhanced enhanced, struct bytes text)
{
    buf_put_u64(out, code);
    buf_put_c(out, more ? '-' : ' ');
    if (enhanced.class == code / 100) {
        smtp_enhanced_write(out, enhanced);
        buf_put_c(out, ' ');
    }
    text = bytes_slice(text, 0, SMTP_REPLY_OWN_TEXT_BYTES_MAX);
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        buf_put_c(out, c < ' ' || c == 127 ? '?' : c);
    }
    BUF_LIT(out, "\r\n");
}

void smtp_reply_write(struct buf *out, uint16_t code, struct enhanced enhanced, struct bytes text)
{
    must(code >= 200 && code <= 599);
    uint32_t start = out->len;
    bool overflow_before = out->overflow;
    out->overflow = false;
    for (;;) {
        uint32_t end = bytes_find(text, '\n');
        bool more = end < text.len;
        write_line(out, code, more, enhanced, bytes_slice(text, 0, end));
        if (!more) break;
        text = bytes_from(text, end + 1);
    }
    if (out->overflow) out->len = start;
    else out->overflow = overflow_before;
}
