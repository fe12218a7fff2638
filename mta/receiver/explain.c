/*
 * explain - `mtactl explain`: the same questions that a client's recipient meets, asked for an operator, and each answer shown with the line
 * of the configuration that gave it. It goes through admission and judge as a session does, in a slot of its own that has no connection.
 */
#include <string.h>

#include "base/must.h"
#include "mta/receiver/receiver.h"

static const struct config_listener *listener_at(const struct receiver *r, uint16_t n)
{
    return &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[n];
}

struct telling { struct receiver *r; struct session *s; struct bytes file; };

static void send_row(const struct telling *t, uint8_t last, const char *rule, const char *verdict, struct bytes words, uint32_t line)
{
    uint8_t memory[600], shown[700];
    struct buf place = BUF_OVER(memory), text = BUF_OVER(shown);
    struct ipc_channel *to = process_channel(t->r->process, ROLE_CONTROL, 0);
    if (line > 0) {
        buf_put_cut(&place, bytes_slice(t->file, 0, sizeof memory - 16));
        buf_put_c(&place, ':');
        buf_put_u64(&place, line);
    }
    buf_put_cut(&text, words);
    struct ipc_explained m = {.request = t->s->explain_request, .last = last, .rule = bytes_of_cstr(rule), .verdict = bytes_of_cstr(verdict),
                              .words = buf_bytes(&text), .place = buf_bytes(&place)};
    if (to && ipc_peer_epoch(to) == t->s->explain_epoch && ipc_send_explained(to, &m, -1) != ERR_NONE) return; /* it does without */
}

static void on_step(void *context, const char *rule, const char *verdict, struct bytes words, uint32_t line)
{
    send_row(context, 0, rule, verdict, words, line);
}

static void tell_client(const struct telling *t)
{
    const struct config_listener *l = &CONFIG_ITEMS(t->r->config, t->r->config->listeners, struct config_listener)[t->s->listener];
    uint8_t memory[HOST_NAME_BYTES_MAX + NET_TEXT_BYTES_MAX + LOGIN_BYTES_MAX + CONFIG_NAME_BYTES_MAX + 48];
    struct buf text = BUF_OVER(memory);
    buf_put(&text, session_name(t->s));
    buf_put_c(&text, '[');
    net_print_ip(&text, &t->s->client);
    BUF_LIT(&text, "] at listen ");
    buf_put_cut(&text, config_bytes(t->r->config, l->name));
    if (t->s->login_len > 0) BUF_LIT(&text, ", logged in as ");
    buf_put_cut(&text, bytes_of(t->s->login, t->s->login_len));
    send_row(t, 0, "client", session_is_ours(t->s) ? "trusted" : "stranger", buf_bytes(&text), 0);
}

static void tell_admission(struct telling *t, const struct admission *a)
{
    const struct config_route *routes = CONFIG_ITEMS(t->r->config, t->r->config->routes, struct config_route);
    const struct config_route *route = routes && a->route >= 0 ? &routes[a->route] : NULL;
    uint8_t memory[CONFIG_NAME_BYTES_MAX + 64];
    struct buf text = BUF_OVER(memory);
    if (!route) {
        send_row(t, 0, "route", "refused", a->answer.text, 0);
        return;
    }
    BUF_LIT(&text, "route ");
    buf_put_cut(&text, config_bytes(t->r->config, route->name));
    t->file = config_bytes(t->r->config, route->file);
    send_row(t, 0, "route", a->taken ? "yes" : "refused", a->taken ? buf_bytes(&text) : a->answer.text, route->line);
}

static void end(const struct telling *t, bool taken, struct bytes words)
{
    send_row(t, taken ? 1 : 2, "accept?", taken ? "yes" : "no", words, 0);
    session_release(t->r, t->s);
}

void explain_run(struct receiver *r, struct session *s)
{
    struct telling t = {.r = r, .s = s};
    const struct judge_trace trace = {on_step, &t};
    struct judgement j;
    struct admission a;
    if (s->wait != WAIT_NONE) return;
    if (s->name_asked) { /* its name is a part of the answer */
        session_wait(r, s, WAIT_INQUIRY, INQUIRY_WAIT_MS);
        return;
    }
    const struct smtp_policy_answer login = login_may_send(r, s);
    if (login.code != 250) {
        tell_client(&t);
        send_row(&t, 0, "login", "refused", login.text, 0);
        end(&t, false, login.text);
        return;
    }
    if (inquiry_judge(r, s, NULL, &j)) return;
    s->known_good = j.known_good;
    struct admission_question q = {&s->server.rcpt.address, s->server.mail.sender.whole, &s->client, session_is_ours(s), s->login_len > 0, false};
    admission_decide(r->config, &q, &a);
    if (a.taken && !j.refused && s->grey == GREY_NOT_ASKED && grey_ask(r, s, a.rcpt)) return;
    tell_client(&t);
    tell_admission(&t, &a);
    if (!a.taken) {
        end(&t, false, a.answer.text);
        return;
    }
    const struct config_rules *rules = rules_of_listener(r->config, listener_at(r, s->listener));
    t.file = rules ? config_bytes(r->config, rules->file) : (struct bytes){0};
    must(!inquiry_judge(r, s, &trace, &j)); /* all is known */
    if (s->grey != GREY_NOT_ASKED)
        send_row(&t, 0, "greylist", s->grey == GREY_PASSES ? "pass" : "deferred", BYTES(""), rules ? rules->greylist_line : 0);
    if (s->grey == GREY_WAITS) {
        end(&t, false, BYTES("it is told to come back, and taken then"));
        return;
    }
    end(&t, !j.refused, j.refused ? j.answer.text : a.ask_mailbox || a.ask_manager ? BYTES("if its mailbox exists") : (struct bytes){0});
}

static bool take_addresses(struct session *s, const struct ipc_explain *m)
{
    struct smtp_server *v = &s->server;
    if (m->helo.len > sizeof v->helo || m->rcpt.len == 0) return false;
    memcpy(v->helo, m->helo.ptr, m->helo.len);
    v->helo_len = m->helo.len;
    if (smtp_mailbox_parse(m->rcpt, true, &v->rcpt.address) != SMTP_ADDRESS_OK) return false;
    return m->sender.len == 0 || smtp_mailbox_parse(m->sender, true, &v->mail.sender) == SMTP_ADDRESS_OK;
}

void explain_begin(struct receiver *r, struct ipc_channel *from, const struct ipc_explain *m)
{
    struct session *s = session_take(r);
    struct ipc_explained busy = {.request = m->request, .last = 2, .rule = BYTES("accept?"),
                                 .verdict = BYTES("unknown"), .words = BYTES("all sessions are in use")};
    if (!s) {
        if (ipc_send_explained(from, &busy, -1) != ERR_NONE) return;
        return;
    }
    s->stage = STAGE_EXPLAIN;
    s->fd = -1;
    s->connect_said = true;
    s->listener = m->listener;
    s->client = m->client;
    s->explain_request = m->request;
    s->explain_epoch = ipc_peer_epoch(from);
    s->login_len = m->login.len;
    if (m->login.len > 0) memcpy(s->login, m->login.ptr, m->login.len);
    s->trusted = config_trusts(r->config, listener_at(r, m->listener), &m->client);
    smtp_server_init(&s->server, &r->listeners[m->listener]);
    inquiry_new_client(s);
    if (!take_addresses(s, m)) {
        struct telling t = {.r = r, .s = s};
        end(&t, false, BYTES("this is no address, or no name"));
        return;
    }
    if (m->client.family != NET_NONE) names_ask(r, s);
    session_queue(r, s);
    session_timer(r, s);
}
