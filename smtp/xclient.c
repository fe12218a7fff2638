/*
 * xclient - see smtp/xclient.h.
 */
#include "smtp/xclient.h"

#include <string.h>

#include "smtp/address.h"

static const struct bytes names[SMTP_XCLIENT_COUNT] = {
    BYTES_INIT("NAME"), BYTES_INIT("ADDR"),  BYTES_INIT("PORT"),     BYTES_INIT("PROTO"),
    BYTES_INIT("HELO"), BYTES_INIT("LOGIN"), BYTES_INIT("DESTADDR"), BYTES_INIT("DESTPORT"),
};

/* parse_ip - "192.0.2.1" or "IPV6:2001:db8::1"; the port that was said already stays. */
static bool parse_ip(struct bytes text, struct net_address *out)
{
    struct net_address a;
    bool tagged = bytes_starts_nocase(text, BYTES("IPV6:"));
    if (tagged) text = bytes_from(text, 5);
    if ((bytes_find(text, ':') < text.len) != tagged || !net_parse_ip(text, &a)) return false;
    a.port = out->port;
    *out = a;
    return true;
}

static bool parse_port(struct bytes text, struct net_address *out)
{
    uint64_t port;
    if (text.len > 5 || !bytes_to_u64(text, &port) || port == 0 || port > UINT16_MAX) return false;
    out->port = (uint16_t)port;
    return true;
}

/* text_valid - something that may stand in a log or a header field as a word. */
static bool text_valid(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == 127) return false;
    }
    return text.len > 0 && text.len <= HOST_NAME_BYTES_MAX && bytes_is_utf8(text);
}

static bool parse_proto(struct bytes text, struct smtp_xclient *out)
{
    out->esmtp = bytes_equal_nocase(text, BYTES("ESMTP"));
    return out->esmtp || bytes_equal_nocase(text, BYTES("SMTP"));
}

/* take_value - a decoded value of an attribute. */
static bool take_value(struct smtp_xclient *out, enum smtp_xclient_attribute attribute, struct bytes value)
{
    switch (attribute) {
    case SMTP_XCLIENT_NAME: out->name = value; return smtp_domain_valid(value, true);
    case SMTP_XCLIENT_HELO: out->helo = value; return text_valid(value);
    case SMTP_XCLIENT_LOGIN: out->login = value; return text_valid(value);
    case SMTP_XCLIENT_ADDR: return parse_ip(value, &out->address);
    case SMTP_XCLIENT_PORT: return parse_port(value, &out->address);
    case SMTP_XCLIENT_DESTADDR: return parse_ip(value, &out->destination);
    case SMTP_XCLIENT_DESTPORT: return parse_port(value, &out->destination);
    case SMTP_XCLIENT_PROTO: return parse_proto(value, out);
    case SMTP_XCLIENT_COUNT: break;
    }
    return false;
}

static bool parse_word(struct smtp_xclient *out, struct buf *store, struct bytes word)
{
    uint32_t equals = bytes_find(word, '=');
    struct bytes name = bytes_slice(word, 0, equals), value = bytes_from(word, equals + 1);
    uint32_t attribute = 0;
    while (attribute < SMTP_XCLIENT_COUNT && !bytes_equal_nocase(name, names[attribute])) attribute++;
    if (equals == word.len || attribute == SMTP_XCLIENT_COUNT || (out->present & SMTP_XCLIENT_BIT(attribute))) return false;
    out->present |= SMTP_XCLIENT_BIT(attribute);
    uint32_t start = store->len;
    if (!smtp_xtext_decode(value, store)) return false;
    value = bytes_from(buf_bytes(store), start);
    /* The protocol cannot be missing: who says so means nothing that can be acted upon. */
    bool may_miss = attribute != SMTP_XCLIENT_PROTO;
    if (may_miss && bytes_equal_nocase(value, BYTES("[UNAVAILABLE]"))) out->unavailable |= SMTP_XCLIENT_BIT(attribute);
    else if (may_miss && bytes_equal_nocase(value, BYTES("[TEMPUNAVAIL]"))) out->temporary |= SMTP_XCLIENT_BIT(attribute);
    else return take_value(out, (enum smtp_xclient_attribute)attribute, value);
    return true;
}

bool smtp_xclient_parse(struct bytes arguments, struct smtp_xclient *out)
{
    memset(out, 0, sizeof(*out));
    struct buf store = BUF_OVER(out->store);
    struct bytes rest = bytes_trim(arguments);
    bool good = rest.len > 0;
    while (good && rest.len > 0) {
        uint32_t end = bytes_find(rest, ' ');
        good = parse_word(out, &store, bytes_slice(rest, 0, end));
        rest = bytes_trim(bytes_from(rest, end + 1));
    }
    if (!good) memset(out, 0, sizeof(*out));
    return good;
}
