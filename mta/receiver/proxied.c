/*
 * proxied - clients that are not who the connection says: behind a proxy that sends a PROXY header first, or named by XCLIENT.
 *
 * Only peers that the listener lists are believed. Whoever such a peer names is judged as if it had connected itself: the
 * acceptor moves its counts and judges, trust is looked up for the new address, and its name is asked for. A proxy without a header, or with
 * a bad one, is closed without a word: it is not the client, and has no use for SMTP.
 */
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/ipc/asks.h"
#include "mta/receiver/receiver.h"

static const struct config_listener *listener_of(const struct receiver *r, const struct session *s)
{
    return &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[s->listener];
}

static void offer_xclient(const struct receiver *r, struct session *s)
{
    s->server.xclient_offered = config_in_prefixes(r->config, listener_of(r, s)->xclient, &s->client);
}

void proxied_begin(struct receiver *r, struct session *s)
{
    if (!config_in_prefixes(r->config, listener_of(r, s)->proxies, &s->client)) {
        offer_xclient(r, s);
        return;
    }
    s->stage = STAGE_PROXY;
    s->trusted = false;
    s->fresh_until_ms = r->now_ms + PROXY_WAIT_MS;
    smtp_proxy_init(&s->proxy);
    session_listen(r, s);
}

static bool begins_with_tls(const struct receiver *r, const struct session *s)
{
    return listener_of(r, s)->tls == LISTEN_TLS_IMPLICIT;
}

/* become - from now on it is this client's session. Octets that crash us are on its account. */
static void become(struct receiver *r, struct session *s, const struct net_address *client, bool may_be_trusted)
{
    s->client = *client;
    s->login_len = 0;
    s->trusted = may_be_trusted && config_trusts(r->config, listener_of(r, s), client);
    s->server.config = stress_config(r, s->listener, s->trusted);
    box_slot(&r->box, s->index)->peer = *client;
    s->name_len = 0;
    s->name_asked = s->connect_said = false;
    s->name_request = s->name_until_ms = 0;
    inquiry_new_client(s);
}

/* ---- PROXY ---- */

static void drop(struct receiver *r, struct session *s, const char *why)
{
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: proxy [");
    net_print_ip(line, &s->client);
    BUF_LIT(line, "]: ");
    buf_put_cstr(line, why);
    log_end();
    s->refused = true; /* that line tells it all */
    session_shut(r, s);
}

/* header_came - whose connection is it? LOCAL is the proxy's own, a health check; one whose client the proxy does not know is nobody's, and
 * is never trusted. */
static void header_came(struct receiver *r, struct session *s)
{
    bool known = s->proxy.source.family != NET_NONE && !s->proxy.local;
    struct net_address client = known ? s->proxy.source : s->client;
    s->fresh_until_ms = 0;
    become(r, s, &client, known || s->proxy.local);
    s->unnamed = !known || config_in_prefixes(r->config, listener_of(r, s)->proxies, &client);
    if (!rates_ask(r, s, CLIENT_ASK_COME)) proxied_may(r, s, 0, (struct bytes){0});
}

void proxied_run(struct receiver *r, struct session *s)
{
    struct bytes in = s->fresh;
    uint32_t used = 0;
    s->fresh = (struct bytes){0};
    if (r->draining && s->wait == WAIT_NONE) {
        if (begins_with_tls(r, s)) secure_first(r, s);
        else session_greet(r, s, NULL);
        return;
    }
    if (in.len == 0 || s->wait != WAIT_NONE) return;
    struct box_slot *slot = box_slot(&r->box, s->index);
    box_keep(slot, in, true);
    box_parse_begin(&r->box, slot, STEP_NONE);
    enum smtp_proxy_result result = smtp_proxy_feed(&s->proxy, in, &used);
    box_parse_end(slot);
    if (result == SMTP_PROXY_BAD) drop(r, s, "what it sends is no PROXY header; closing");
    else if (result == SMTP_PROXY_MORE) session_listen(r, s);
    else if (!session_keep_input(r, s, bytes_from(in, used))) drop(r, s, "no memory to keep its client's input; closing");
    else header_came(r, s);
}

void proxied_late(struct receiver *r, struct session *s)
{
    drop(r, s, "no PROXY header in time; closing");
}

/* ---- XCLIENT ---- */

/* take_name - the name it has from now on; without one in XCLIENT it is looked up. */
static void take_name(struct receiver *r, struct session *s, const struct smtp_xclient *x)
{
    uint32_t name = SMTP_XCLIENT_BIT(SMTP_XCLIENT_NAME);
    if ((x->present & name) == 0) {
        names_ask(r, s);
        return;
    }
    /* It goes into log lines and header fields as a host's name. */
    bool usable = smtp_domain_valid(x->name, false) && x->name.len <= sizeof s->name;
    s->name_len = usable ? x->name.len : 0;
    if (usable) memcpy(s->name, x->name.ptr, x->name.len);
    s->inquiry.facts.reverse = usable ? REVERSE_NAMED : x->temporary & name ? REVERSE_FAILED : REVERSE_NONE;
    line_connect(s);
}

static void answer_xclient(struct session *s, const struct smtp_policy_answer *a, const struct smtp_xclient *x)
{
    smtp_server_xclient(&s->server, a, x, &s->fx);
}

void proxied_xclient(struct receiver *r, struct session *s)
{
    static const struct smtp_policy_answer bad = {501, {5, 5, 4}, BYTES_INIT("Syntax: XCLIENT attribute=value ...")};
    static const struct smtp_policy_answer good = {.code = 220};
    struct smtp_xclient x;
    if (s->counted) { /* the acceptor was asked, and it may */
        s->counted = false;
        must(smtp_xclient_parse(s->server.xclient, &x)); /* it was parsed before */
        take_name(r, s, &x);
        answer_xclient(s, &good, &x);
        return;
    }
    if (!smtp_xclient_parse(s->server.xclient, &x)) {
        answer_xclient(s, &bad, &x);
        return;
    }
    struct net_address client = x.address.family != NET_NONE ? x.address : s->client;
    if (x.address.port != 0) client.port = x.address.port;
    become(r, s, &client, (x.unavailable & SMTP_XCLIENT_BIT(SMTP_XCLIENT_ADDR)) == 0);
    if (rates_ask(r, s, CLIENT_ASK_COME)) return;
    take_name(r, s, &x);
    answer_xclient(s, &good, &x);
}

/* ---- the acceptor's word ---- */

/* come_in - behind a proxy's header: as session_open() does it for who needs none. */
static void come_in(struct receiver *r, struct session *s, const struct smtp_policy_answer *no)
{
    s->stage = STAGE_FRESH;
    s->refused = no != NULL;
    if (!no) {
        offer_xclient(r, s);
        names_ask(r, s);
    }
    if (begins_with_tls(r, s)) secure_first(r, s); /* who is refused is closed: in the clear it reads nothing */
    else if (no) session_greet(r, s, no);
}

void proxied_may(struct receiver *r, struct session *s, uint16_t code, struct bytes text)
{
    struct smtp_policy_answer no = {code == 554 ? 554 : 421, {0, 0, 0}, text};
    if (s->stage == STAGE_PROXY) {
        come_in(r, s, code != 0 ? &no : NULL);
    } else if (code != 0) {
        const struct smtp_xclient nobody = {0};
        line_reject(s, "XCLIENT", &no, (struct bytes){0});
        answer_xclient(s, &no, &nobody);
    } else {
        s->counted = true; /* the machine asks again */
    }
    session_queue(r, s);
}
