/*
 * dnsbl - see smtp/dnsbl.h.
 */
#include "smtp/dnsbl.h"

#include <string.h>

#include "smtp/address.h"

enum { IPV4_BYTES = 4, IPV6_BYTES = 16, OCTET_DIGITS_MAX = 3 };

/* end_name - the zone behind what was written; whole or not at all. */
static bool end_name(struct buf *out, struct buf *text, struct bytes zone)
{
    if (zone.len > 0 && zone.ptr[zone.len - 1] == '.') zone.len--;
    buf_put(text, zone);
    if (zone.len == 0 || text->overflow || text->len > buf_room(out)) return false;
    buf_put(out, buf_bytes(text));
    return true;
}

bool smtp_dnsbl_address_name(struct buf *out, const struct net_address *address, struct bytes zone)
{
    uint8_t memory[SMTP_DNSBL_NAME_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (address->family == NET_IPV4) {
        for (uint32_t i = IPV4_BYTES; i > 0; i--) {
            buf_put_u64(&text, address->ip[i - 1]);
            buf_put_c(&text, '.');
        }
    } else if (address->family == NET_IPV6) {
        for (uint32_t i = IPV6_BYTES; i > 0; i--) {
            buf_put_hex(&text, address->ip[i - 1] & 15u, 1);
            buf_put_c(&text, '.');
            buf_put_hex(&text, address->ip[i - 1] >> 4, 1);
            buf_put_c(&text, '.');
        }
    } else {
        return false;
    }
    return end_name(out, &text, zone);
}

bool smtp_dnsbl_domain_name(struct buf *out, struct bytes domain, struct bytes zone)
{
    uint8_t memory[SMTP_DNSBL_NAME_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (!smtp_domain_valid(domain, false)) return false;
    buf_put(&text, domain);
    buf_put_c(&text, '.');
    return end_name(out, &text, zone);
}

void smtp_dnsbl_filter_any(struct smtp_dnsbl_filter *out)
{
    memset(out, 0xFF, sizeof(*out));
}

/* ---- the filter's text ---- */

static bool take(struct cursor *c, uint8_t octet)
{
    if (cursor_left(c) == 0 || c->ptr[c->pos] != octet) return false;
    c->pos++;
    return true;
}

static bool take_octet(struct cursor *c, uint32_t *value)
{
    uint32_t digits = 0;
    *value = 0;
    while (cursor_left(c) > 0 && ascii_is_digit(c->ptr[c->pos]) && digits < OCTET_DIGITS_MAX) {
        *value = *value * 10 + (uint32_t)(c->ptr[c->pos++] - '0');
        digits++;
    }
    return digits > 0 && *value <= 255;
}

/* take_range - "n" or "n..m", added to the set. */
static bool take_range(struct cursor *c, uint8_t *set)
{
    uint32_t low, high;
    if (!take_octet(c, &low)) return false;
    high = low;
    if (cursor_left(c) >= 2 && c->ptr[c->pos] == '.' && c->ptr[c->pos + 1] == '.') {
        c->pos += 2;
        if (!take_octet(c, &high) || high < low) return false;
    }
    for (uint32_t v = low; v <= high; v++) set[v / 8] |= (uint8_t)(1u << v % 8);
    return true;
}

static bool take_mask(struct cursor *c, uint8_t *set)
{
    uint32_t mask;
    if (!take_octet(c, &mask) || mask == 0) return false;
    for (uint32_t v = 0; v < 256; v++) {
        if (v & mask) set[v / 8] |= (uint8_t)(1u << v % 8);
    }
    return true;
}

static bool take_set(struct cursor *c, uint8_t *set)
{
    if (take(c, '&')) return take_mask(c, set);
    if (!take(c, '[')) return take_range(c, set);
    do {
        if (!take_range(c, set)) return false;
    } while (take(c, ';'));
    return take(c, ']');
}

bool smtp_dnsbl_filter_parse(struct bytes text, struct smtp_dnsbl_filter *out)
{
    struct smtp_dnsbl_filter filter = {0};
    struct cursor c = cursor_over(text);
    for (uint32_t i = 0; i < IPV4_BYTES; i++) {
        if (i > 0 && !take(&c, '.')) return false;
        if (!take_set(&c, filter.wanted[i])) return false;
    }
    if (cursor_left(&c) > 0) return false;
    *out = filter;
    return true;
}

/* ---- answers ---- */

static bool matches(const struct smtp_dnsbl_filter *filter, const uint8_t *ip)
{
    for (uint32_t i = 0; i < IPV4_BYTES; i++) {
        if ((filter->wanted[i][ip[i] / 8] >> ip[i] % 8 & 1) == 0) return false;
    }
    return true;
}

enum smtp_dnsbl_answer smtp_dnsbl_judge(const struct smtp_dnsbl_filter *filter, const struct net_address *answers, uint32_t count)
{
    enum smtp_dnsbl_answer result = SMTP_DNSBL_UNLISTED;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *ip = answers[i].ip;
        if (answers[i].family != NET_IPV4 || ip[0] != 127) continue;
        if (ip[1] == 255 && ip[2] == 255) result = SMTP_DNSBL_REFUSED;
        else if (matches(filter, ip)) return SMTP_DNSBL_LISTED;
    }
    return result;
}

int64_t smtp_dnsbl_score(const struct smtp_dnsbl_result *results, uint32_t count)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (results[i].answer == SMTP_DNSBL_LISTED) sum += results[i].weight;
    }
    return sum;
}
