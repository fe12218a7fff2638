/* hop - see hop.h. */
#include "mta/config/hop.h"

#include <stddef.h>

#include "mta/config/table.h"
#include "smtp/address.h"

enum { SMTP_PORT = 25, LMTP_PORT = 24 };

bool hop_host_port(struct bytes text, uint16_t default_port, struct hop *out)
{
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    uint32_t close = bytes_find(text, ']'), colon = bytes_find_last(text, ':');
    bool has_port = colon < text.len && (!bracketed || colon == close + 1);
    uint64_t port = default_port;
    if (bracketed && close >= text.len) return false;
    if (has_port && (!bytes_to_u64(bytes_from(text, colon + 1), &port) || port == 0 || port > UINT16_MAX)) return false;
    if (bracketed && !has_port && close + 1 != text.len) return false;
    out->host = bracketed ? bytes_slice(text, 1, close - 1) : has_port ? bytes_slice(text, 0, colon) : text;
    out->port = (uint16_t)port;
    out->is_address = net_parse_ip(out->host, &out->address);
    out->address.port = (uint16_t)port;
    if (out->is_address && out->address.family == NET_IPV6 && !bracketed) return false;
    return out->is_address || smtp_domain_valid(out->host, false);
}

static bool parse_smtp(struct bytes rest, struct hop *out)
{
    bool literal = rest.len > 0 && rest.ptr[0] == '[';
    out->action = literal ? ACTION_RELAY : ACTION_MX;
    if (rest.len == 0) return true;
    return hop_host_port(rest, literal ? SMTP_PORT : 0, out) && (literal || !out->is_address);
}

bool hop_parse(struct bytes value, struct hop *out)
{
    *out = (struct hop){0};
    if (bytes_starts(value, BYTES("smtp:"))) return parse_smtp(bytes_from(value, 5), out);
    if (bytes_starts(value, BYTES("relay:"))) return parse_smtp(bytes_from(value, 6), out);
    if (bytes_starts(value, BYTES("lmtp:"))) {
        struct bytes rest = bytes_from(value, 5);
        if (bytes_starts(rest, BYTES("inet:"))) rest = bytes_from(rest, 5);
        out->action = ACTION_LMTP;
        return hop_host_port(rest, LMTP_PORT, out);
    }
    out->action = ACTION_DISCARD;
    return bytes_starts(value, BYTES("discard:"));
}

static bool value_of(const struct config *c, uint32_t table, struct bytes key, struct bytes *value)
{
    struct table_hit hit;
    if (table_find(c, table, key, &hit) != TABLE_YES) return false;
    *value = table_value(c, &hit, 0, NULL);
    return true;
}

bool hop_find(const struct config *c, uint32_t table, struct bytes rcpt, struct bytes *value)
{
    struct bytes domain = mail_domain(rcpt);
    if (value_of(c, table, rcpt, value) || value_of(c, table, domain, value)) return true;
    for (uint32_t dot = bytes_find(domain, '.'); dot < domain.len; dot = bytes_find(domain, '.')) {
        if (value_of(c, table, bytes_from(domain, dot), value)) return true;
        domain = bytes_from(domain, dot + 1);
    }
    return false;
}
