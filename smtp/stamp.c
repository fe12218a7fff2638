/*
 * stamp - see smtp/stamp.h.
 *
 * Names come from strangers (HELO, the reverse zone of the client's address); an octet that could end a comment, a line or a
 * clause becomes '?', so that a name can lie about a host, but not about the rest of the field.
 */
#include "smtp/stamp.h"

#include "base/clock.h"
#include "base/envelope.h"

/* The last second of the year 9999: the format has four digits. */
static const int64_t wall_s_max = 253402300799;

void smtp_date_write(struct buf *out, int64_t wall_s)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (wall_s < 0) wall_s = 0;
    if (wall_s > wall_s_max) wall_s = wall_s_max;
    struct civil t = clock_civil(wall_s);
    uint8_t memory[40];
    struct buf text = BUF_OVER(memory);
    buf_put_cstr(&text, days[t.weekday]);
    BUF_LIT(&text, ", ");
    buf_put_pad(&text, t.day, 2);
    buf_put_c(&text, ' ');
    buf_put_cstr(&text, months[t.month - 1]);
    buf_put_c(&text, ' ');
    buf_put_pad(&text, (uint64_t)t.year, 4);
    buf_put_c(&text, ' ');
    buf_put_pad(&text, t.hour, 2);
    buf_put_c(&text, ':');
    buf_put_pad(&text, t.minute, 2);
    buf_put_c(&text, ':');
    buf_put_pad(&text, t.second, 2);
    BUF_LIT(&text, " +0000");
    buf_put(out, buf_bytes(&text));
}

static bool is_name_octet(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

/* put_name - a name of a stranger, made safe and cut to what a name may have. */
static void put_name(struct buf *out, struct bytes name)
{
    name = bytes_slice(name, 0, HOST_NAME_BYTES_MAX);
    if (name.len == 0) BUF_LIT(out, "unknown");
    for (uint32_t i = 0; i < name.len; i++) buf_put_c(out, is_name_octet(name.ptr[i]) ? name.ptr[i] : '?');
}

/* put_client - "from HELO (NAME [ADDRESS])", the From-domain of RFC 5321 4.4. */
static void put_client(struct buf *out, const struct smtp_received *r)
{
    BUF_LIT(out, "from ");
    put_name(out, r->helo);
    BUF_LIT(out, " (");
    put_name(out, r->client_name);
    BUF_LIT(out, " [");
    if (r->client.family == NET_IPV6) BUF_LIT(out, "IPv6:");
    net_print_ip(out, &r->client);
    BUF_LIT(out, "])\r\n\t");
}

static void put_for(struct buf *out, struct bytes address)
{
    BUF_LIT(out, "\r\n\tfor <");
    address = bytes_slice(address, 0, MAIL_ADDRESS_BYTES_MAX);
    for (uint32_t i = 0; i < address.len; i++) {
        uint8_t c = address.ptr[i];
        buf_put_c(out, c < ' ' || c == 127 ? '?' : c);
    }
    BUF_LIT(out, ">");
}

void smtp_received_write(struct buf *out, const struct smtp_received *r, uint32_t *id_offset)
{
    BUF_LIT(out, "Received: ");
    if (r->client.family != NET_NONE) put_client(out, r);
    if (r->tls.len > 0) {
        BUF_LIT(out, "(using ");
        buf_put(out, r->tls);
        BUF_LIT(out, ")\r\n\t");
    }
    BUF_LIT(out, "by ");
    put_name(out, r->by);
    BUF_LIT(out, " (Bulkhead");
    if (r->client.family == NET_NONE && r->helo.len > 0) {
        BUF_LIT(out, ", from uid ");
        buf_put_u64(out, r->uid);
    }
    BUF_LIT(out, ") with ");
    buf_put(out, r->with);
    BUF_LIT(out, " id ");
    *id_offset = out->len;
    for (uint32_t i = 0; i < MESSAGE_ID_TEXT_BYTES; i++) buf_put_c(out, '0');
    if (r->for_address.len > 0) put_for(out, r->for_address);
    BUF_LIT(out, ";\r\n\t");
    smtp_date_write(out, r->wall_s);
    BUF_LIT(out, "\r\n");
}
