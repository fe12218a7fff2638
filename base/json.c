/*
 * json - writer and reader of our own JSON. The card is in json.h.
 */
#include "base/json.h"

/* ---- writer ---- */

static void separate(struct buf *b)
{
    if (b->len == 0) return;
    uint8_t last = b->ptr[b->len - 1];
    if (last != '{' && last != '[' && last != ':' && last != '\n') buf_put_c(b, ',');
}

static void begin(struct buf *b, const char *key)
{
    separate(b);
    if (!key) return;
    buf_put_json(b, bytes_of_cstr(key));
    buf_put_c(b, ':');
}

void json_open(struct buf *b, const char *key, char bracket)
{
    begin(b, key);
    buf_put_c(b, (uint8_t)bracket);
}

void json_close(struct buf *b, char bracket) { buf_put_c(b, (uint8_t)bracket); }

void json_text(struct buf *b, const char *key, struct bytes value)
{
    begin(b, key);
    buf_put_json(b, value);
}

void json_cstr(struct buf *b, const char *key, const char *value) { json_text(b, key, bytes_of_cstr(value)); }

void json_u64(struct buf *b, const char *key, uint64_t value)
{
    begin(b, key);
    buf_put_u64(b, value);
}

void json_i64(struct buf *b, const char *key, int64_t value)
{
    begin(b, key);
    buf_put_i64(b, value);
}

void json_bool(struct buf *b, const char *key, bool value)
{
    begin(b, key);
    buf_put_cstr(b, value ? "true" : "false");
}

/* ---- reader ---- */

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct bytes skip_blanks(struct bytes text)
{
    while (text.len && is_blank(text.ptr[0])) text = bytes_from(text, 1);
    return text;
}

/* string_end - octets of the string that a text begins with, quotes included; 0 when it does not end. */
static uint32_t string_end(struct bytes text)
{
    for (uint32_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '"') return i + 1;
        if (text.ptr[i] == '\\') i++;
    }
    return 0;
}

/* value_end - octets of the value that a text begins with; 0 when it does not end. Brackets are counted, not matched by kind. */
static uint32_t value_end(struct bytes text)
{
    uint32_t depth = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"') {
            uint32_t octets = string_end(bytes_from(text, i));
            if (!octets) return 0;
            if (!depth) return i ? i : octets;
            i += octets - 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (!depth) return i;
            if (--depth == 0) return i + 1;
        } else if (!depth && (c == ',' || is_blank(c))) {
            return i;
        }
    }
    return depth ? 0 : text.len;
}

static bool take_value(struct bytes *rest, struct bytes *value)
{
    *rest = skip_blanks(*rest);
    uint32_t octets = value_end(*rest);
    if (!octets) return false;
    *value = bytes_slice(*rest, 0, octets);
    *rest = skip_blanks(bytes_from(*rest, octets));
    return true;
}

static struct bytes inside(struct bytes text, uint8_t open)
{
    text = skip_blanks(text);
    return text.len && text.ptr[0] == open ? bytes_from(text, 1) : (struct bytes){0};
}

bool json_member(struct bytes object, const char *key, struct bytes *value)
{
    struct bytes rest = inside(object, '{'), wanted = bytes_of_cstr(key), name, found;
    while (rest.len) {
        rest = skip_blanks(rest);
        if (!rest.len || rest.ptr[0] != '"' || !take_value(&rest, &name)) return false;
        if (!rest.len || rest.ptr[0] != ':') return false;
        rest = bytes_from(rest, 1);
        if (!take_value(&rest, &found)) return false;
        if (bytes_equal(bytes_slice(name, 1, name.len - 2), wanted)) {
            *value = found;
            return true;
        }
        if (!rest.len || rest.ptr[0] != ',') return false;
        rest = bytes_from(rest, 1);
    }
    return false;
}

struct bytes json_elements(struct bytes array) { return inside(array, '['); }

bool json_next(struct bytes *rest, struct bytes *value)
{
    if (!take_value(rest, value)) return false;
    *rest = rest->len && rest->ptr[0] == ',' ? bytes_from(*rest, 1) : (struct bytes){0};
    return true;
}

static int hex_digit(uint8_t c) { return ascii_is_digit(c) ? c - '0' : ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1; }

static bool hex4(struct bytes text, uint32_t *value)
{
    *value = 0;
    if (text.len < 4) return false;
    for (uint32_t i = 0; i < 4; i++) {
        int digit = hex_digit(text.ptr[i]);
        if (digit < 0) return false;
        *value = *value * 16 + (uint32_t)digit;
    }
    return true;
}

/* put_unit - a \u escape as UTF-8. Our writer escapes only control octets, so halves of pairs become U+FFFD. */
static void put_unit(struct buf *out, uint32_t unit)
{
    if (unit >= 0xd800 && unit < 0xe000) unit = 0xfffd;
    if (unit < 0x80) {
        buf_put_c(out, (uint8_t)unit);
    } else if (unit < 0x800) {
        buf_put_c(out, (uint8_t)(0xc0 | unit >> 6));
        buf_put_c(out, (uint8_t)(0x80 | (unit & 0x3f)));
    } else {
        buf_put_c(out, (uint8_t)(0xe0 | unit >> 12));
        buf_put_c(out, (uint8_t)(0x80 | (unit >> 6 & 0x3f)));
        buf_put_c(out, (uint8_t)(0x80 | (unit & 0x3f)));
    }
}

/* put_escape - what stands behind a backslash; returns its octets. */
static uint32_t put_escape(struct buf *out, struct bytes text)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    uint32_t unit;
    if (!text.len) return 0;
    if (text.ptr[0] == 'u' && hex4(bytes_from(text, 1), &unit)) {
        put_unit(out, unit);
        return 5;
    }
    uint8_t c = text.ptr[0];
    for (uint32_t i = 0; from[i]; i++)
        if ((uint8_t)from[i] == c) c = (uint8_t)to[i];
    buf_put_c(out, c);
    return 1;
}

struct bytes json_unquote(struct bytes value, struct buf *out)
{
    uint32_t begun = out->len;
    if (value.len < 2 || value.ptr[0] != '"') return (struct bytes){0};
    value = bytes_slice(value, 1, value.len - 2);
    for (uint32_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\\') i += put_escape(out, bytes_from(value, i + 1));
        else buf_put_c(out, value.ptr[i]);
    }
    return bytes_of(out->ptr + begun, out->len - begun);
}

int64_t json_number(struct bytes value)
{
    uint64_t number;
    bool negative = value.len && value.ptr[0] == '-';
    if (!bytes_to_u64(negative ? bytes_from(value, 1) : value, &number) || number > INT64_MAX) return 0;
    return negative ? -(int64_t)number : (int64_t)number;
}

bool json_is_true(struct bytes value) { return bytes_equal(value, BYTES("true")); }
