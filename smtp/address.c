/*
 * address - see smtp/address.h.
 *
 * A forward-only scan over the input; what is taken is written to the result's own store in canonical form, so that nobody
 * meets a path's brackets, source route, or needless quotes again. Two addresses that mean the same mailbox in two spellings
 * come out equal.
 */
#include "smtp/address.h"

#include <string.h>

#include "base/must.h"
#include "base/net.h"

static_assert((int)MAIL_LOCAL_BYTES_MAX + 1 + (int)MAIL_DOMAIN_BYTES_MAX <= (int)MAIL_ADDRESS_BYTES_MAX,
              "what RFC 5321 4.5.3.1 promises must fit");

enum {
    LABEL_BYTES_MAX = 63,   /* RFC 1035 2.3.4 */
    LITERAL_BYTES_MAX = 64, /* "[IPv6:" + 45 octets of the longest IPv6 text + "]", with room */
};

/* What an octet may be part of; octets over 127 are judged beside the table. */
enum { ATEXT = 1, QTEXT = 2, LABEL = 4, XCHAR = 8 };
#define WORD_OCTET (ATEXT | QTEXT | LABEL | XCHAR)
#define ATOM_OCTET (ATEXT | QTEXT | XCHAR)
static const uint8_t octet_class[256] = {
    [' '] = QTEXT, ['!'] = ATOM_OCTET, ['#' ... '\''] = ATOM_OCTET, ['('] = QTEXT | XCHAR, [')'] = QTEXT | XCHAR, ['*'] = ATOM_OCTET,
    ['+'] = ATEXT | QTEXT, [','] = QTEXT | XCHAR, ['-'] = WORD_OCTET, ['.'] = QTEXT | XCHAR, ['/'] = ATOM_OCTET,
    ['0' ... '9'] = WORD_OCTET, [':'] = QTEXT | XCHAR, [';'] = QTEXT | XCHAR, ['<'] = QTEXT | XCHAR, ['='] = ATEXT | QTEXT,
    ['>'] = QTEXT | XCHAR, ['?'] = ATOM_OCTET, ['@'] = QTEXT | XCHAR, ['A' ... 'Z'] = WORD_OCTET, ['['] = QTEXT | XCHAR,
    [']'] = QTEXT | XCHAR, ['^'] = ATOM_OCTET, ['_'] = WORD_OCTET, ['`'] = ATOM_OCTET, ['a' ... 'z'] = WORD_OCTET,
    ['{' ... '~'] = ATOM_OCTET, ['"'] = XCHAR, ['\\'] = XCHAR,
};

struct scan {
    struct bytes in;
    uint32_t pos;   /* octets taken, <= in.len */
    bool non_ascii; /* some octet taken was over 127 */
};

static bool next_is(const struct scan *s, uint8_t c)
{
    return s->pos < s->in.len && s->in.ptr[s->pos] == c;
}

static bool take(struct scan *s, uint8_t c)
{
    if (!next_is(s, c)) return false;
    s->pos++;
    return true;
}

/* take_run - the longest run of octets of a class or over 127. */
static struct bytes take_run(struct scan *s, uint8_t class)
{
    uint32_t start = s->pos;
    for (; s->pos < s->in.len; s->pos++) {
        uint8_t c = s->in.ptr[s->pos];
        if (c > 127) s->non_ascii = true;
        else if ((octet_class[c] & class) == 0) break;
    }
    return bytes_slice(s->in, start, s->pos - start);
}

/* take_dot_string - Dot-string of RFC 5321 4.1.2; false when it is none. */
static bool take_dot_string(struct scan *s, struct buf *out)
{
    for (;;) {
        struct bytes atom = take_run(s, ATEXT);
        if (atom.len == 0) return false;
        buf_put(out, atom);
        if (!take(s, '.')) return true;
        buf_put_c(out, '.');
    }
}

static bool is_dot_string(struct bytes text)
{
    uint8_t scratch[MAIL_ADDRESS_BYTES_MAX];
    struct buf out = BUF_OVER(scratch);
    struct scan s = {text, 0, false};
    return take_dot_string(&s, &out) && s.pos == text.len;
}

/* put_quoted - the content of a quoted string, with quotes only when it cannot do without. */
static void put_quoted(struct buf *out, struct bytes content)
{
    if (is_dot_string(content)) {
        buf_put(out, content);
        return;
    }
    buf_put_c(out, '"');
    for (uint32_t i = 0; i < content.len; i++) {
        if (content.ptr[i] == '"' || content.ptr[i] == '\\') buf_put_c(out, '\\');
        buf_put_c(out, content.ptr[i]);
    }
    buf_put_c(out, '"');
}

/* take_quoted - Quoted-string of RFC 5321 4.1.2, whose first quote was taken; no control octet is any part of it. */
static bool take_quoted(struct scan *s, struct buf *out)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf content = BUF_OVER(memory);
    for (;;) {
        buf_put(&content, take_run(s, QTEXT));
        if (take(s, '"')) break;
        if (!take(s, '\\')) return false;
        if (s->pos >= s->in.len || s->in.ptr[s->pos] < ' ' || s->in.ptr[s->pos] > '~') return false;
        buf_put_c(&content, s->in.ptr[s->pos++]);
    }
    put_quoted(out, buf_bytes(&content));
    if (content.overflow) out->overflow = true;
    return true;
}

static struct bytes take_domain(struct scan *s)
{
    uint32_t start = s->pos;
    if (next_is(s, '[')) {
        struct bytes literal = bytes_slice(s->in, start, LITERAL_BYTES_MAX);
        literal = bytes_slice(literal, 0, bytes_find(literal, ']') + 1);
        s->pos = start + literal.len;
        return literal;
    }
    do take_run(s, LABEL);
    while (take(s, '.'));
    return bytes_slice(s->in, start, s->pos - start);
}

/* put_domain - in lower case, but for the tag of a literal, which is written as everybody does. */
static void put_domain(struct buf *out, struct bytes domain)
{
    if (bytes_starts_nocase(domain, BYTES("[IPv6:"))) {
        BUF_LIT(out, "[IPv6:");
        domain = bytes_from(domain, 6);
    }
    for (uint32_t i = 0; i < domain.len; i++) buf_put_c(out, ascii_lower(domain.ptr[i]));
}

/* take_route - "@a,@b:" of RFC 5321 4.1.2, which is dropped; true when there is none. */
static bool take_route(struct scan *s)
{
    if (!next_is(s, '@')) return true;
    do {
        if (!take(s, '@')) return false;
        struct bytes domain = take_domain(s);
        if (!smtp_domain_valid(domain, true) && !smtp_literal_valid(domain)) return false;
    } while (take(s, ','));
    return take(s, ':');
}

/* take_mailbox - Mailbox of RFC 5321 4.1.2, RFC 6531 3.3. */
static enum smtp_address_result take_mailbox(struct scan *s, bool allow_utf8, struct smtp_address *out)
{
    struct buf store = BUF_OVER(out->store);
    bool ok = take(s, '"') ? take_quoted(s, &store) : take_dot_string(s, &store);
    if (!ok || !take(s, '@')) return s->non_ascii && !allow_utf8 ? SMTP_ADDRESS_NOT_ASCII : SMTP_ADDRESS_BAD;
    uint32_t local_len = store.len;
    struct bytes domain = take_domain(s);
    if (s->non_ascii && !allow_utf8) return SMTP_ADDRESS_NOT_ASCII;
    if (domain.len > MAIL_DOMAIN_BYTES_MAX) return SMTP_ADDRESS_TOO_LONG;
    if (!smtp_domain_valid(domain, allow_utf8) && !smtp_literal_valid(domain)) return SMTP_ADDRESS_BAD;

    buf_put_c(&store, '@');
    put_domain(&store, domain);
    if (store.overflow) return SMTP_ADDRESS_TOO_LONG;
    out->whole = buf_bytes(&store);
    out->local = bytes_slice(out->whole, 0, local_len);
    out->domain = bytes_from(out->whole, local_len + 1);
    out->non_ascii = !bytes_is_ascii(out->whole); /* a source route that was dropped may have had such octets */
    return out->non_ascii && !bytes_is_utf8(out->whole) ? SMTP_ADDRESS_BAD : SMTP_ADDRESS_OK;
}

static void clear_address(struct smtp_address *out)
{
    out->whole = bytes_of(out->store, 0);
    out->local = out->whole;
    out->domain = out->whole;
    out->non_ascii = false;
}

static bool take_bare_postmaster(struct scan *s, struct smtp_address *out)
{
    struct bytes name = BYTES("postmaster");
    struct bytes rest = bytes_from(s->in, s->pos);
    if (!bytes_starts_nocase(rest, name) || rest.len == name.len || rest.ptr[name.len] != '>') return false;
    memcpy(out->store, name.ptr, name.len);
    out->whole = bytes_of(out->store, name.len);
    out->local = out->whole;
    s->pos += name.len;
    return true;
}

static enum smtp_address_result take_path(struct scan *s, bool allow_utf8, bool allow_bare_postmaster, struct smtp_address *out)
{
    if (!take(s, '<')) return SMTP_ADDRESS_BAD;
    if (take(s, '>')) return SMTP_ADDRESS_EMPTY;
    if (allow_bare_postmaster && take_bare_postmaster(s, out)) return take(s, '>') ? SMTP_ADDRESS_OK : SMTP_ADDRESS_BAD;
    if (!take_route(s)) return s->non_ascii && !allow_utf8 ? SMTP_ADDRESS_NOT_ASCII : SMTP_ADDRESS_BAD;
    enum smtp_address_result result = take_mailbox(s, allow_utf8, out);
    if (result != SMTP_ADDRESS_OK) return result;
    return take(s, '>') ? SMTP_ADDRESS_OK : SMTP_ADDRESS_BAD;
}

enum smtp_address_result smtp_path_parse(struct bytes in, bool allow_utf8, bool allow_bare_postmaster, struct smtp_address *out,
                                         uint32_t *used)
{
    struct scan s = {in, 0, false};
    clear_address(out);
    enum smtp_address_result result = take_path(&s, allow_utf8, allow_bare_postmaster, out);
    bool good = result == SMTP_ADDRESS_OK || result == SMTP_ADDRESS_EMPTY;
    if (!good) clear_address(out);
    must(s.pos <= in.len);
    *used = good ? s.pos : 0;
    return result;
}

enum smtp_address_result smtp_mailbox_parse(struct bytes in, bool allow_utf8, struct smtp_address *out)
{
    struct scan s = {in, 0, false};
    clear_address(out);
    enum smtp_address_result result = take_mailbox(&s, allow_utf8, out);
    if (result == SMTP_ADDRESS_OK && s.pos != in.len) result = SMTP_ADDRESS_BAD;
    if (result != SMTP_ADDRESS_OK) clear_address(out);
    return result;
}

static bool label_valid(struct bytes label, bool allow_utf8)
{
    if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') return false;
    bool non_ascii = false;
    for (uint32_t i = 0; i < label.len; i++) {
        if (label.ptr[i] > 127) non_ascii = true;
        else if ((octet_class[label.ptr[i]] & LABEL) == 0) return false;
    }
    /* The limit of a label in UTF-8 is one of its Punycode form, which may be shorter than this one; the resolver finds out. */
    return non_ascii ? allow_utf8 : label.len <= LABEL_BYTES_MAX;
}

bool smtp_domain_valid(struct bytes domain, bool allow_utf8)
{
    if (domain.len > MAIL_DOMAIN_BYTES_MAX) return false;
    struct bytes label;
    for (;;) {
        uint32_t end = bytes_find(domain, '.');
        label = bytes_slice(domain, 0, end);
        if (!label_valid(label, allow_utf8)) return false;
        if (!bytes_is_utf8(label)) return false;
        if (end == domain.len) break;
        domain = bytes_from(domain, end + 1);
    }
    /* No top-level domain is a number (RFC 3696 2); what ends in one is an address without its brackets. */
    for (uint32_t i = 0; i < label.len; i++) {
        if (!ascii_is_digit(label.ptr[i])) return true;
    }
    return false;
}

bool smtp_literal_valid(struct bytes literal)
{
    if (literal.len < 3 || literal.len > LITERAL_BYTES_MAX) return false;
    if (literal.ptr[0] != '[' || literal.ptr[literal.len - 1] != ']') return false;
    struct bytes text = bytes_slice(literal, 1, literal.len - 2);
    bool tagged = bytes_starts_nocase(text, BYTES("IPv6:"));
    if (tagged) text = bytes_from(text, 5);
    struct net_address address;
    bool has_colon = bytes_find(text, ':') < text.len;
    return has_colon == tagged && net_parse_ip(text, &address);
}

static int hex_value(uint8_t c)
{
    if (ascii_is_digit(c)) return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext_next - one octet of xtext at *at, decoded; -1 on bad syntax. Hexadecimal digits are upper case only (RFC 3461 4). */
static int xtext_next(struct bytes text, uint32_t *at)
{
    uint8_t c = text.ptr[*at];
    if (c != '+') {
        *at += 1;
        return octet_class[c] & XCHAR ? c : -1;
    }
    if (text.len - *at < 3) return -1;
    int high = hex_value(text.ptr[*at + 1]);
    int low = hex_value(text.ptr[*at + 2]);
    *at += 3;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool smtp_xtext_valid(struct bytes text)
{
    uint32_t at = 0;
    while (at < text.len) {
        if (xtext_next(text, &at) < 0) return false;
    }
    return true;
}

bool smtp_xtext_decode(struct bytes text, struct buf *out)
{
    uint32_t at = 0;
    while (at < text.len) {
        int c = xtext_next(text, &at);
        if (c < 0 || buf_room(out) == 0) return false;
        buf_put_c(out, (uint8_t)c);
    }
    return true;
}

void smtp_xtext_encode(struct buf *out, struct bytes text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (octet_class[c] & XCHAR) {
            buf_put_c(out, c);
            continue;
        }
        uint8_t coded[3] = {'+', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
        buf_put(out, bytes_of(coded, 3));
    }
}
