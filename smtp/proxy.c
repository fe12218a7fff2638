/*
 * proxy - see smtp/proxy.h.
 *
 * The first octet tells the versions apart: 'P' or CR. Both are taken octet by octet: headers are small, and come once a connection.
 */
#include "smtp/proxy.h"

#include <assert.h>
#include <string.h>

static_assert((int)SMTP_PROXY_LINE_BYTES_MAX <= (int)SMTP_PROXY_FIXED_BYTES + (int)SMTP_PROXY_ADDRESS_BYTES_MAX, "the line must fit the store");

enum {
    COMMAND_LOCAL = 0x20, /* version 2 in the high half */
    COMMAND_PROXY = 0x21,
    FAMILY_UNSPEC = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX = 0x31, /* stream; datagrams are no connections, and are refused */
};

static const struct bytes signature = BYTES_INIT("\r\n\r\n\0\r\nQUIT\n");

void smtp_proxy_init(struct smtp_proxy *p)
{
    memset(p, 0, sizeof(*p));
}

/* ---- version 1 ---- */

/* next_word - up to the next single space; *rest behind it. Empty words are refused by what they should be. */
static struct bytes next_word(struct bytes *rest)
{
    uint32_t end = bytes_find(*rest, ' ');
    struct bytes word = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end + 1);
    return word;
}

static bool parse_port(struct bytes text, uint16_t *port)
{
    uint64_t value;
    if (text.len > 5 || (text.len > 1 && text.ptr[0] == '0') || !bytes_to_u64(text, &value) || value > UINT16_MAX) return false;
    *port = (uint16_t)value;
    return true;
}

/* parse_ip - an address of the family that the line says; what maps IPv4 into IPv6 is an IPv4 client of an IPv6 listener. */
static bool parse_ip(struct bytes text, bool ipv6, struct net_address *out)
{
    return (bytes_find(text, ':') < text.len) == ipv6 && net_parse_ip(text, out);
}

/* parse_line - without CR LF. */
static bool parse_line(struct smtp_proxy *p, struct bytes line)
{
    struct bytes rest = line;
    if (!bytes_equal(next_word(&rest), BYTES("PROXY"))) return false;
    struct bytes family = next_word(&rest);
    if (bytes_equal(family, BYTES("UNKNOWN"))) return true; /* whatever follows must be ignored */
    bool ipv6 = bytes_equal(family, BYTES("TCP6"));
    if (!ipv6 && !bytes_equal(family, BYTES("TCP4"))) return false;
    struct net_address source, destination;
    if (!parse_ip(next_word(&rest), ipv6, &source) || !parse_ip(next_word(&rest), ipv6, &destination)) return false;
    struct bytes source_port = next_word(&rest);
    if (!parse_port(source_port, &source.port) || !parse_port(rest, &destination.port)) return false;
    p->source = source;
    p->destination = destination;
    return true;
}

static enum smtp_proxy_result feed_line(struct smtp_proxy *p, uint8_t c)
{
    if (p->store_len == SMTP_PROXY_LINE_BYTES_MAX) return SMTP_PROXY_BAD;
    p->store[p->store_len++] = c;
    bool after_cr = p->store_len > 1 && p->store[p->store_len - 2] == '\r';
    if (c != '\n') return after_cr ? SMTP_PROXY_BAD : SMTP_PROXY_MORE;
    if (!after_cr) return SMTP_PROXY_BAD;
    return parse_line(p, bytes_of(p->store, p->store_len - 2)) ? SMTP_PROXY_DONE : SMTP_PROXY_BAD;
}

/* ---- version 2 ---- */

static struct net_address address_at(const uint8_t *ip, uint8_t family, const uint8_t *port)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    struct net_address a = {.family = family, .port = (uint16_t)(port[0] << 8 | port[1])};
    if (family == NET_IPV6 && memcmp(ip, mapped, sizeof(mapped)) == 0) { /* one form for one address, as everywhere else */
        a.family = NET_IPV4;
        ip += sizeof(mapped);
    }
    memcpy(a.ip, ip, a.family == NET_IPV4 ? 4 : 16);
    return a;
}

/* address_bytes - octets of the address block of a family, or UINT32_MAX for one that is not known. */
static uint32_t address_bytes(uint8_t family)
{
    switch (family) {
    case FAMILY_UNSPEC: return 0;
    case FAMILY_TCP4: return 12;
    case FAMILY_TCP6: return 36;
    case FAMILY_UNIX: return SMTP_PROXY_ADDRESS_BYTES_MAX;
    default: return UINT32_MAX;
    }
}

/* end_fixed - version, command, family and length are there: do they make sense? */
static enum smtp_proxy_result end_fixed(struct smtp_proxy *p)
{
    uint8_t command = p->store[12];
    uint8_t family = p->store[13];
    p->body_bytes = (uint32_t)p->store[14] << 8 | p->store[15];
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY) return SMTP_PROXY_BAD;
    if (p->body_bytes > SMTP_PROXY_BODY_BYTES_MAX) return SMTP_PROXY_BAD;
    p->local = command == COMMAND_LOCAL;
    /* LOCAL: family and body must be ignored, whatever they are. */
    if (!p->local && (address_bytes(family) == UINT32_MAX || address_bytes(family) > p->body_bytes)) return SMTP_PROXY_BAD;
    return p->body_bytes == 0 ? SMTP_PROXY_DONE : SMTP_PROXY_MORE;
}

static void end_addresses(struct smtp_proxy *p)
{
    const uint8_t *block = p->store + SMTP_PROXY_FIXED_BYTES;
    if (p->store[13] == FAMILY_TCP4) {
        p->source = address_at(block, NET_IPV4, block + 8);
        p->destination = address_at(block + 4, NET_IPV4, block + 10);
    } else if (p->store[13] == FAMILY_TCP6) {
        p->source = address_at(block, NET_IPV6, block + 32);
        p->destination = address_at(block + 16, NET_IPV6, block + 34);
    }
}

/* walk_tlv - one octet of the extensions: type, two of length, value. */
static void walk_tlv(struct smtp_proxy *p, uint8_t c)
{
    if (p->tlv_head == 3) {
        p->tlv_left--;
    } else {
        p->tlv_left = p->tlv_head == 0 ? 0 : p->tlv_left << 8 | c;
        p->tlv_head++;
    }
    if (p->tlv_head == 3 && p->tlv_left == 0) p->tlv_head = 0;
}

static enum smtp_proxy_result feed_body(struct smtp_proxy *p, uint8_t c)
{
    uint32_t addresses = p->local ? 0 : address_bytes(p->store[13]);
    p->body_seen++;
    if (p->body_seen <= addresses) {
        p->store[p->store_len++] = c;
        if (p->body_seen == addresses) end_addresses(p);
    } else if (!p->local) {
        walk_tlv(p, c);
    }
    if (p->body_seen < p->body_bytes) return SMTP_PROXY_MORE;
    return p->tlv_head == 0 ? SMTP_PROXY_DONE : SMTP_PROXY_BAD; /* a TLV that goes on past the end lies */
}

static enum smtp_proxy_result feed_binary(struct smtp_proxy *p, uint8_t c)
{
    if (p->store_len >= SMTP_PROXY_FIXED_BYTES) return feed_body(p, c);
    if (p->store_len < signature.len && c != signature.ptr[p->store_len]) return SMTP_PROXY_BAD;
    p->store[p->store_len++] = c;
    return p->store_len == SMTP_PROXY_FIXED_BYTES ? end_fixed(p) : SMTP_PROXY_MORE;
}

enum smtp_proxy_result smtp_proxy_feed(struct smtp_proxy *p, struct bytes in, uint32_t *used)
{
    uint32_t pos = 0;
    while (pos < in.len && p->result == SMTP_PROXY_MORE) {
        uint8_t c = in.ptr[pos++];
        if (p->version == 0) p->version = c == signature.ptr[0] ? 2 : 1;
        /* The first wrong octet ends it, so that a client that waits for our banner, or talks TLS, is not waited for. */
        bool wrong = p->version == 1 && p->store_len < 6 && c != "PROXY "[p->store_len];
        p->result = (uint8_t)(wrong ? SMTP_PROXY_BAD : p->version == 1 ? feed_line(p, c) : feed_binary(p, c));
    }
    *used = pos;
    return (enum smtp_proxy_result)p->result;
}
