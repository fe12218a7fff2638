/*
 * srs - see smtp/srs.h.
 *
 * All work is on the content of local parts, without quotes and escapes; what comes out is written quoted, and read by the parser of
 * addresses, which judges it and drops quotes that are not needed.
 */
#include "smtp/srs.h"

#include <assert.h>

#include "base/must.h"
#include "smtp/base64.h"

enum {
    SECONDS_PER_DAY = 86400,
    STAMP_CHARS = 2,
    TAG_CHARS = 4,                               /* "SRS0" */
    QUOTED_BYTES_MAX = 4 * MAIL_ADDRESS_BYTES_MAX, /* two contents of an address with every octet escaped */
};

static_assert(SMTP_BASE64_BYTES((int)SMTP_SRS_MAC_BYTES) >= (int)SMTP_SRS_HASH_CHARS_MAX, "a MAC must have the characters of a hash");

static const char stamp_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* content_of - a canonical local part without quotes. */
static struct bytes content_of(struct bytes local, struct buf *out)
{
    if (local.len < 2 || local.ptr[0] != '"') {
        buf_put(out, local);
    } else {
        for (uint32_t i = 1; i + 1 < local.len; i++) {
            if (local.ptr[i] == '\\') i++;
            buf_put_c(out, local.ptr[i]);
        }
    }
    must(!out->overflow);
    return buf_bytes(out);
}

static void put_quoted(struct buf *out, struct bytes content)
{
    for (uint32_t i = 0; i < content.len; i++) {
        if (content.ptr[i] == '"' || content.ptr[i] == '\\') buf_put_c(out, '\\');
        buf_put_c(out, content.ptr[i]);
    }
}

/* end_address - the local part stands in `text` behind its opening quote: close it, add the domain, and judge all. */
static enum smtp_srs_result end_address(struct buf *text, struct bytes domain, struct smtp_address *out)
{
    BUF_LIT(text, "\"@");
    buf_put(text, domain);
    if (text->overflow) return SMTP_SRS_TOO_LONG;
    struct smtp_address address;
    enum smtp_address_result result = smtp_mailbox_parse(buf_bytes(text), true, &address);
    if (result == SMTP_ADDRESS_TOO_LONG) return SMTP_SRS_TOO_LONG;
    if (result != SMTP_ADDRESS_OK) return SMTP_SRS_BAD;
    return smtp_mailbox_parse(buf_bytes(text), true, out) == SMTP_ADDRESS_OK ? SMTP_SRS_DONE : SMTP_SRS_BAD;
}

/* tagged - "SRS0" or "SRS1" in any case with one of the separators that are in use. */
static bool tagged(struct bytes content, struct bytes tag)
{
    if (!bytes_starts_nocase(content, tag) || content.len <= TAG_CHARS) return false;
    uint8_t separator = content.ptr[TAG_CHARS];
    return separator == '=' || separator == '-' || separator == '+';
}

static void put_lower(struct buf *out, struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) buf_put_c(out, ascii_lower(text.ptr[i]));
}

/* make_hash - the characters of the MAC over up to three parts. */
static bool make_hash(const struct smtp_srs *srs, uint32_t secret, const struct bytes *parts, uint32_t count, struct buf *hash)
{
    uint8_t memory[2 * MAIL_ADDRESS_BYTES_MAX], mac[SMTP_SRS_MAC_BYTES];
    struct buf in = BUF_OVER(memory);
    for (uint32_t i = 0; i < count; i++) put_lower(&in, parts[i]);
    must(!in.overflow);
    if (!srs->mac(srs->context, secret, buf_bytes(&in), mac)) return false;
    smtp_base64_encode(hash, bytes_of(mac, sizeof(mac)));
    return true;
}

static bool put_hash(const struct smtp_srs *srs, const struct bytes *parts, uint32_t count, struct buf *out)
{
    uint8_t memory[SMTP_BASE64_BYTES(SMTP_SRS_MAC_BYTES)];
    struct buf hash = BUF_OVER(memory);
    must(srs->secret_count > 0 && srs->hash_chars >= SMTP_SRS_HASH_CHARS_MIN && srs->hash_chars <= SMTP_SRS_HASH_CHARS_MAX);
    if (!make_hash(srs, 0, parts, count, &hash)) return false;
    buf_put(out, bytes_slice(buf_bytes(&hash), 0, srs->hash_chars));
    return true;
}

/* check_hash - whether it is the start of a MAC under any secret; the time does not tell how much of it is right. */
static bool check_hash(const struct smtp_srs *srs, const struct bytes *parts, uint32_t count, struct bytes hash)
{
    if (hash.len < srs->hash_chars || hash.len > SMTP_SRS_HASH_CHARS_MAX) return false;
    for (uint32_t secret = 0; secret < srs->secret_count; secret++) {
        uint8_t memory[SMTP_BASE64_BYTES(SMTP_SRS_MAC_BYTES)];
        struct buf right = BUF_OVER(memory);
        if (!make_hash(srs, secret, parts, count, &right)) continue;
        uint32_t differs = 0;
        for (uint32_t i = 0; i < hash.len; i++) differs |= (uint32_t)(ascii_lower(hash.ptr[i]) ^ ascii_lower(right.ptr[i]));
        if (differs == 0) return true;
    }
    return false;
}

static uint32_t day_of(int64_t wall_s)
{
    int64_t day = wall_s / SECONDS_PER_DAY;
    return (uint32_t)(day & (SMTP_SRS_STAMP_DAYS - 1));
}

/* stamp_value - the day of a stamp, or SMTP_SRS_STAMP_DAYS when it is none. */
static uint32_t stamp_value(struct bytes stamp)
{
    uint32_t day = 0;
    if (stamp.len != STAMP_CHARS) return SMTP_SRS_STAMP_DAYS;
    for (uint32_t i = 0; i < STAMP_CHARS; i++) {
        uint8_t c = ascii_lower(stamp.ptr[i]);
        bool letter = c >= 'a' && c <= 'z';
        if (!letter && (c < '2' || c > '7')) return SMTP_SRS_STAMP_DAYS;
        day = day << 5 | (uint32_t)(letter ? c - 'a' : c - '2' + 26);
    }
    return day;
}

/* is_fresh - at most so many days old; a day ahead is another machine's clock. */
static bool is_fresh(const struct smtp_srs *srs, uint32_t stamp, int64_t wall_s)
{
    uint32_t age = (day_of(wall_s) - stamp) & (SMTP_SRS_STAMP_DAYS - 1);
    return age <= srs->age_days || age == SMTP_SRS_STAMP_DAYS - 1;
}

/* take_part - up to the next '='; false when there is none, or nothing before it. */
static bool take_part(struct bytes *rest, struct bytes *part)
{
    uint32_t end = bytes_find(*rest, '=');
    if (end == rest->len || end == 0) return false;
    *part = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end + 1);
    return true;
}

static enum smtp_srs_result forward_first(const struct smtp_srs *srs, struct bytes user, struct bytes host, int64_t wall_s, struct smtp_address *out)
{
    uint8_t memory[QUOTED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    uint32_t day = day_of(wall_s);
    uint8_t stamp[STAMP_CHARS] = {(uint8_t)stamp_alphabet[day >> 5], (uint8_t)stamp_alphabet[day & 31]};
    struct bytes parts[] = {bytes_of(stamp, sizeof(stamp)), host, user};
    BUF_LIT(&text, "\"SRS0=");
    if (!put_hash(srs, parts, 3, &text)) return SMTP_SRS_FAILED;
    for (uint32_t i = 0; i < 3; i++) {
        buf_put_c(&text, '=');
        put_quoted(&text, parts[i]);
    }
    return end_address(&text, srs->domain, out);
}

/* forward_again - the sender was rewritten before: name the first forwarder, to which a bounce goes straight. */
static enum smtp_srs_result forward_again(const struct smtp_srs *srs, struct bytes user, struct bytes host, struct smtp_address *out)
{
    uint8_t memory[QUOTED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    struct bytes parts[] = {host, user};
    BUF_LIT(&text, "\"SRS1=");
    if (!put_hash(srs, parts, 2, &text)) return SMTP_SRS_FAILED;
    buf_put_c(&text, '=');
    put_quoted(&text, host);
    buf_put_c(&text, '=');
    put_quoted(&text, user);
    return end_address(&text, srs->domain, out);
}

enum smtp_srs_result smtp_srs_forward(const struct smtp_srs *srs, const struct smtp_address *sender, int64_t wall_s, struct smtp_address *out)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf store = BUF_OVER(memory);
    if (sender->domain.len == 0 || bytes_equal_nocase(sender->domain, srs->domain)) return SMTP_SRS_LEAVE;
    struct bytes content = content_of(sender->local, &store);
    if (tagged(content, BYTES("SRS0"))) return forward_again(srs, bytes_from(content, TAG_CHARS), sender->domain, out);
    if (tagged(content, BYTES("SRS1"))) {
        struct bytes rest = bytes_from(content, TAG_CHARS + 1), hash, host;
        if (take_part(&rest, &hash) && take_part(&rest, &host) && rest.len > 0) return forward_again(srs, rest, host, out);
    }
    return forward_first(srs, content, sender->domain, wall_s, out); /* whatever else it looks like, it is somebody's mailbox */
}

static enum smtp_srs_result reverse_first(const struct smtp_srs *srs, struct bytes rest, int64_t wall_s, struct smtp_address *out)
{
    struct bytes hash, parts[3]; /* stamp, host, user */
    if (!take_part(&rest, &hash) || !take_part(&rest, &parts[0]) || !take_part(&rest, &parts[1])) return SMTP_SRS_BAD;
    parts[2] = rest;
    uint32_t stamp = stamp_value(parts[0]);
    if (stamp == SMTP_SRS_STAMP_DAYS) return SMTP_SRS_BAD;
    if (!check_hash(srs, parts, 3, hash)) return SMTP_SRS_FORGED;
    if (!is_fresh(srs, stamp, wall_s)) return SMTP_SRS_EXPIRED;
    uint8_t memory[QUOTED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    buf_put_c(&text, '"');
    put_quoted(&text, parts[2]);
    return end_address(&text, parts[1], out);
}

static enum smtp_srs_result reverse_again(const struct smtp_srs *srs, struct bytes rest, struct smtp_address *out)
{
    struct bytes hash, parts[2]; /* host, user */
    if (!take_part(&rest, &hash) || !take_part(&rest, &parts[0]) || rest.len == 0) return SMTP_SRS_BAD;
    parts[1] = rest;
    if (!check_hash(srs, parts, 2, hash)) return SMTP_SRS_FORGED;
    uint8_t memory[QUOTED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "\"SRS0");
    put_quoted(&text, parts[1]);
    return end_address(&text, parts[0], out);
}

enum smtp_srs_result smtp_srs_reverse(const struct smtp_srs *srs, const struct smtp_address *recipient, int64_t wall_s, struct smtp_address *out)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf store = BUF_OVER(memory);
    struct bytes content = content_of(recipient->local, &store);
    if (tagged(content, BYTES("SRS0"))) return reverse_first(srs, bytes_from(content, TAG_CHARS + 1), wall_s, out);
    if (tagged(content, BYTES("SRS1"))) return reverse_again(srs, bytes_from(content, TAG_CHARS + 1), out);
    return SMTP_SRS_LEAVE;
}
