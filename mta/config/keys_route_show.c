/*
 * keys_route_show - the statements of a route as the grammar reads them back, for mtactl config show.
 */
#include <sys/un.h>

#include "mta/config/load.h"

enum { UNIX_PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

static void show_host_and_port(const struct config *c, const struct config_relay *r, struct buf *out)
{
    bool literal = r->is_address && r->address.family == NET_IPV6;
    if (literal) buf_put_c(out, '[');
    buf_put(out, config_bytes(c, r->host));
    buf_put_cstr(out, literal ? "]:" : ":");
    buf_put_u64(out, r->port);
}

void show_key_relay(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_RELAY) return;
    const struct config_relay *relays = CONFIG_ITEMS(c, r->relays, struct config_relay);
    BUF_LIT(out, "    relay");
    for (uint32_t i = 0; relays && i < r->relays.count; i++) {
        buf_put_cstr(out, relays[i].tls_first ? " smtps://" : " smtp://");
        show_host_and_port(c, &relays[i], out);
    }
    show_route_tls(r, out);
}

void show_key_lmtp(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_LMTP) return;
    BUF_LIT(out, "    lmtp ");
    if (r->relay_address.family != NET_UNIX) {
        const struct config_relay only = {r->relay_host, r->relay_is_address, false, r->relay_port, r->relay_address};
        BUF_LIT(out, "inet:");
        show_host_and_port(c, &only, out);
        buf_put_c(out, '\n');
        return;
    }
    uint8_t memory[UNIX_PATH_BYTES_MAX + 8];
    struct buf word = BUF_OVER(memory);
    BUF_LIT(&word, "unix:");
    buf_put(&word, config_bytes(c, r->relay_host));
    put_word(out, buf_bytes(&word));
    buf_put_c(out, '\n');
}

static void show_action(const void *owner, enum config_action action, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != action) return;
    BUF_LIT(out, "    ");
    buf_put_cstr(out, action == ACTION_MX ? "mx" : "discard");
    if (action == ACTION_MX) show_route_tls(r, out);
    else buf_put_c(out, '\n');
}

void show_key_mx(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_action(owner, ACTION_MX, out);
}

void show_key_discard(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_action(owner, ACTION_DISCARD, out);
}

void show_key_maildir(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_MAILDIR) return;
    BUF_LIT(out, "    maildir ");
    put_word(out, config_bytes(c, r->maildir));
    buf_put_c(out, '\n');
}

void show_key_local(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_LOCAL) return;
    buf_put_cstr(out, r->local_mbox ? "    local mbox " : "    local maildir ");
    put_word(out, config_bytes(c, r->local_path));
    buf_put_c(out, '\n');
}

void show_key_recipient_check(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    if (r->check == CHECK_NONE || (r->check == CHECK_TABLE && (!tables || r->check_table >= c->tables.count))) return;
    BUF_LIT(out, "    recipient-check ");
    buf_put(out, r->check == CHECK_LMTP ? BYTES("lmtp") : config_bytes(c, tables[r->check_table].name));
    buf_put_c(out, '\n');
}

void show_key_transport(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    if (r->action != ACTION_TRANSPORT || !tables || r->transport_table >= c->tables.count) return;
    BUF_LIT(out, "    transport ");
    buf_put(out, config_bytes(c, tables[r->transport_table].name));
    buf_put_c(out, '\n');
}

void show_key_reject(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_REJECT) return;
    BUF_LIT(out, "    reject ");
    buf_put_u64(out, r->reject_code);
    buf_put_c(out, ' ');
    put_word(out, config_bytes(c, r->reject_text));
    buf_put_c(out, '\n');
}

void show_key_source(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    (void)c;
    if (r->source_ipv4.family == NET_NONE && r->source_ipv6.family == NET_NONE) return;
    BUF_LIT(out, "    source");
    if (r->source_ipv4.family != NET_NONE) buf_put_c(out, ' '), net_print_ip(out, &r->source_ipv4);
    if (r->source_ipv6.family != NET_NONE) buf_put_c(out, ' '), net_print_ip(out, &r->source_ipv6);
    buf_put_c(out, '\n');
}

void show_key_eight_bit(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    BUF_LIT(out, "    8bit as-is\n");
}
