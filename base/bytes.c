/*
 * bytes - the slices, the builders, and the reader of base/bytes.h.
 *
 * Every loop is bounded by a length that the caller gave; nothing here looks for a NUL, except in strings of our own.
 */
#include "base/bytes.h"

#include <string.h>

#include "base/must.h"
#include "base/sum.h"

enum {
    DECIMAL_DIGITS_MAX = 20, /* UINT64_MAX has 20 */
    HEX_DIGITS_MAX = 16,
};

static const char hex_digits[] = "0123456789abcdef";

struct bytes bytes_of_cstr(const char *text)
{
    size_t n = strlen(text);
    must(n <= UINT32_MAX);
    return bytes_of(text, (uint32_t)n);
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len) return false;
    for (uint32_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) return false;
    }
    return true;
}

int bytes_compare(struct bytes a, struct bytes b)
{
    uint32_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool bytes_starts(struct bytes text, struct bytes prefix)
{
    return text.len >= prefix.len && bytes_equal(bytes_slice(text, 0, prefix.len), prefix);
}

bool bytes_starts_nocase(struct bytes text, struct bytes prefix)
{
    return text.len >= prefix.len && bytes_equal_nocase(bytes_slice(text, 0, prefix.len), prefix);
}

bool bytes_ends_nocase(struct bytes text, struct bytes suffix)
{
    return text.len >= suffix.len && bytes_equal_nocase(bytes_from(text, text.len - suffix.len), suffix);
}

uint32_t bytes_find(struct bytes text, uint8_t c)
{
    if (text.len == 0) return 0;
    const uint8_t *hit = memchr(text.ptr, c, text.len);
    return hit ? (uint32_t)(hit - text.ptr) : text.len;
}

uint32_t bytes_find_last(struct bytes text, uint8_t c)
{
    for (uint32_t i = text.len; i > 0; i--) {
        if (text.ptr[i - 1] == c) return i - 1;
    }
    return text.len;
}

struct bytes bytes_slice(struct bytes text, uint32_t from, uint32_t n)
{
    if (from >= text.len) return bytes_of(text.ptr, 0);
    uint32_t left = text.len - from;
    return bytes_of(text.ptr + from, n < left ? n : left);
}

struct bytes bytes_from(struct bytes text, uint32_t from)
{
    return bytes_slice(text, from, text.len);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct bytes bytes_trim(struct bytes text)
{
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) text.len--;
    uint32_t from = 0;
    while (from < text.len && is_blank(text.ptr[from])) from++;
    return bytes_from(text, from);
}

bool bytes_to_u64(struct bytes text, uint64_t *value)
{
    uint64_t sum = 0;
    if (text.len == 0) return false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i])) return false;
        if (!sum_mul_u64(sum, 10, &sum)) return false;
        if (!sum_add_u64(sum, (uint64_t)(text.ptr[i] - '0'), &sum)) return false;
    }
    *value = sum;
    return true;
}

bool bytes_is_ascii(struct bytes text)
{
    /* Every octet of every message comes through here: eight at a time. */
    uint64_t all = 0, eight;
    uint32_t i = 0;
    for (; text.len - i >= sizeof eight; i += (uint32_t)sizeof eight) {
        memcpy(&eight, text.ptr + i, sizeof eight);
        all |= eight;
    }
    for (; i < text.len; i++) all |= text.ptr[i];
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

/*
 * utf8_octets - octets of the well-formed UTF-8 character at the start of text, or 0 when there is none.
 * The bounds of the second octet keep out overlong forms, surrogates and what lies past U+10FFFF (RFC 3629 section 4).
 */
static uint32_t utf8_octets(struct bytes text)
{
    if (text.len == 0) return 0;
    uint8_t first = text.ptr[0];
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;

    uint32_t octets = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (text.len < octets) return 0;

    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (text.ptr[1] < low || text.ptr[1] > high) return 0;
    for (uint32_t i = 2; i < octets; i++) {
        if ((text.ptr[i] & 0xC0) != 0x80) return 0;
    }
    return octets;
}

bool bytes_is_utf8(struct bytes text)
{
    uint32_t at = 0;
    while (at < text.len) {
        uint32_t octets = utf8_octets(bytes_from(text, at));
        if (octets == 0) return false;
        at += octets;
    }
    return true;
}

void buf_put(struct buf *b, struct bytes text)
{
    must(b->len <= b->cap);
    if (text.len > buf_room(b)) {
        b->overflow = true;
        return;
    }
    if (text.len == 0) return;
    memcpy(b->ptr + b->len, text.ptr, text.len);
    b->len += text.len;
}

void buf_put_cut(struct buf *b, struct bytes text)
{
    uint32_t room = buf_room(b);
    if (text.len > room) b->overflow = true;
    buf_put(b, bytes_slice(text, 0, room));
}

void buf_put_c(struct buf *b, uint8_t c)
{
    buf_put(b, bytes_of(&c, 1));
}

void buf_put_cstr(struct buf *b, const char *text)
{
    buf_put(b, bytes_of_cstr(text));
}

void buf_put_u64(struct buf *b, uint64_t value)
{
    buf_put_pad(b, value, 1);
}

void buf_put_i64(struct buf *b, int64_t value)
{
    uint8_t memory[DECIMAL_DIGITS_MAX + 1];
    struct buf text = BUF_OVER(memory);
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        buf_put_c(&text, '-');
        magnitude = 0 - magnitude; /* in unsigned arithmetic, since -INT64_MIN does not exist */
    }
    buf_put_u64(&text, magnitude);
    buf_put(b, buf_bytes(&text));
}

void buf_put_pad(struct buf *b, uint64_t value, uint32_t digits)
{
    uint8_t memory[DECIMAL_DIGITS_MAX];
    uint32_t at = DECIMAL_DIGITS_MAX;
    must(digits <= DECIMAL_DIGITS_MAX);
    while (value != 0 || DECIMAL_DIGITS_MAX - at < digits) {
        memory[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
    buf_put(b, bytes_of(memory + at, DECIMAL_DIGITS_MAX - at));
}

void buf_put_hex(struct buf *b, uint64_t value, uint32_t digits)
{
    uint8_t memory[HEX_DIGITS_MAX];
    must(digits >= 1 && digits <= HEX_DIGITS_MAX);
    for (uint32_t i = digits; i > 0; i--) {
        memory[i - 1] = (uint8_t)hex_digits[value & 15];
        value >>= 4;
    }
    buf_put(b, bytes_of(memory, digits));
}

void buf_put_le(struct buf *b, uint64_t value, uint32_t n)
{
    uint8_t memory[8];
    must(n >= 1 && n <= sizeof(memory));
    for (uint32_t i = 0; i < n; i++) {
        memory[i] = (uint8_t)value;
        value >>= 8;
    }
    buf_put(b, bytes_of(memory, n));
}

void buf_put_escaped(struct buf *b, struct bytes text, uint32_t max)
{
    uint32_t shown = text.len < max ? text.len : max;
    for (uint32_t i = 0; i < shown; i++) {
        uint8_t c = text.ptr[i];
        uint8_t piece[4] = {c};
        uint32_t octets = 1;
        if (c == '\\') {
            piece[1] = '\\';
            octets = 2;
        } else if (c < 0x20 || c > 0x7E) {
            piece[0] = '\\';
            piece[1] = 'x';
            piece[2] = (uint8_t)hex_digits[c >> 4];
            piece[3] = (uint8_t)hex_digits[c & 15];
            octets = 4;
        }
        if (octets > buf_room(b)) {
            b->overflow = true;
            return;
        }
        buf_put(b, bytes_of(piece, octets));
    }
    if (shown < text.len) BUF_LIT(b, "...");
}

/* put_json_ascii - one character below U+0080 inside a JSON string (RFC 8259 section 7). */
static void put_json_ascii(struct buf *b, uint8_t c)
{
    switch (c) {
    case '"': BUF_LIT(b, "\\\""); return;
    case '\\': BUF_LIT(b, "\\\\"); return;
    case '\n': BUF_LIT(b, "\\n"); return;
    case '\r': BUF_LIT(b, "\\r"); return;
    case '\t': BUF_LIT(b, "\\t"); return;
    default: break;
    }
    if (c >= 0x20 && c != 0x7F) {
        buf_put_c(b, c);
        return;
    }
    BUF_LIT(b, "\\u00");
    buf_put_hex(b, c, 2);
}

void buf_put_json(struct buf *b, struct bytes text)
{
    uint32_t start = b->len;
    bool before = b->overflow;
    uint32_t at = 0;

    b->overflow = false;
    buf_put_c(b, '"');
    while (at < text.len && !b->overflow) {
        uint32_t octets = utf8_octets(bytes_from(text, at));
        if (octets == 1) put_json_ascii(b, text.ptr[at]);
        else if (octets > 1) buf_put(b, bytes_slice(text, at, octets));
        else BUF_LIT(b, "\xEF\xBF\xBD");
        at += octets > 1 ? octets : 1;
    }
    buf_put_c(b, '"');
    if (b->overflow) b->len = start; /* whole or not at all: half a string would spoil what follows */
    b->overflow = b->overflow || before;
}

uint64_t cursor_le(struct cursor *c, uint32_t n)
{
    uint64_t value = 0;
    must(n >= 1 && n <= sizeof(value));
    struct bytes raw = cursor_take(c, n);
    for (uint32_t i = raw.len; i > 0; i--) value = value << 8 | raw.ptr[i - 1];
    return value;
}

struct bytes cursor_take(struct cursor *c, uint32_t n)
{
    must(c->pos <= c->len);
    if (c->failed || n > cursor_left(c)) {
        c->failed = true;
        return bytes_of(c->ptr, 0);
    }
    if (n == 0) return bytes_of(c->ptr, 0);
    struct bytes taken = bytes_of(c->ptr + c->pos, n);
    c->pos += n;
    return taken;
}
