/*
 * logins - logins, as far as a receiver has to do with them: it carries lines between client and auth process, and remembers who the client is.
 */
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/receiver/receiver.h"
#include "smtp/sasl.h"

static const struct config_listener *listener_of(const struct receiver *r, const struct session *s)
{
    return &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[s->listener];
}

/* answer - to the client; whatever it is but a challenge, the exchange is over. */
static void answer(struct receiver *r, struct session *s, enum smtp_auth_result result, struct bytes challenge)
{
    if (result != SMTP_AUTH_CHALLENGE) s->auth_request = 0;
    if (result == SMTP_AUTH_FAILED || result == SMTP_AUTH_TOO_MUCH) line_auth_failed(s, result == SMTP_AUTH_TOO_MUCH);
    smtp_server_auth(&s->server, result, challenge, &s->fx);
    session_resume(r, s);
}

static bool ask_begin(struct receiver *r, struct session *s, struct ipc_channel *authd)
{
    const struct smtp_server_auth *a = &s->server.auth;
    s->auth_request = receiver_number(r, s);
    s->login_by = a->mechanism;
    const struct ipc_auth_begin m = {
        .request = s->auth_request,
        .listener = s->listener,
        .mechanism = a->mechanism,
        .has_initial = a->has_initial,
        .client = s->client,
        .local = s->local_address,
        .initial = a->text,
    };
    return ipc_send_auth_begin(authd, &m, -1) == ERR_NONE;
}

static bool ask_line(const struct session *s, struct ipc_channel *authd, bool cancel)
{
    const struct ipc_auth_line m = {.request = s->auth_request, .cancel = cancel, .text = cancel ? (struct bytes){0} : s->server.auth.text};
    return ipc_send_auth_line(authd, &m, -1) == ERR_NONE;
}

void login_go_on(struct receiver *r, struct session *s)
{
    struct ipc_channel *authd = process_channel(r->process, ROLE_AUTHD, 0);
    const struct smtp_server_auth *a = &s->server.auth;
    if (!a->begins && s->auth_request == 0) { /* the process that had it is gone */
        answer(r, s, SMTP_AUTH_NOT_NOW, (struct bytes){0});
    } else if (a->cancelled) {
        if (authd) (void)ask_line(s, authd, true);
        answer(r, s, SMTP_AUTH_CANCELLED, (struct bytes){0});
    } else if (authd && (a->begins ? ask_begin(r, s, authd) : ask_line(s, authd, false))) {
        session_wait(r, s, WAIT_AUTH, AUTH_WAIT_MS);
    } else {
        answer(r, s, SMTP_AUTH_NOT_NOW, (struct bytes){0});
    }
}

void login_result(struct receiver *r, struct session *s, const struct ipc_auth_result *m)
{
    if (s->wait != WAIT_AUTH || s->auth_request != m->request) return; /* given up meanwhile */
    if (m->result == SMTP_AUTH_DONE) {
        s->login_len = m->login.len;
        if (m->login.len) memcpy(s->login, m->login.ptr, m->login.len);
    }
    answer(r, s, m->result == SMTP_AUTH_DONE && m->login.len == 0 ? SMTP_AUTH_FAILED : (enum smtp_auth_result)m->result, m->challenge);
}

void login_forget(struct receiver *r, struct session *s)
{
    struct ipc_channel *authd = process_channel(r->process, ROLE_AUTHD, 0);
    if (s->auth_request && authd) (void)ask_line(s, authd, true);
    s->auth_request = s->spend_request = 0;
}

void login_late(struct receiver *r, struct session *s)
{
    login_forget(r, s);
    answer(r, s, SMTP_AUTH_NOT_NOW, (struct bytes){0});
}

static void on_gone(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_AUTH) answer(r, s, SMTP_AUTH_NOT_NOW, (struct bytes){0});
    else if (s->wait == WAIT_SPENT) login_spent(r, s, false, 0);
    s->auth_request = 0;
}

void login_gone(struct receiver *r)
{
    sessions_each(r, on_gone);
}

/* ---- what a login may send ---- */

struct smtp_policy_answer login_may_send(const struct receiver *r, const struct session *s)
{
    static const struct smtp_policy_answer yes = {.code = 250}, unknown = {530, {5, 7, 0}, BYTES_INIT("Authentication required")};
    static const struct smtp_policy_answer other = {553, {5, 7, 1}, BYTES_INIT("Sender address rejected: not one that this login may send as")};
    const struct config_listener *l = listener_of(r, s);
    if (l->auth.len > 0 && !session_is_ours(s)) return unknown;
    if (s->login_len == 0) return yes;
    return config_sender_allowed(r->config, l, bytes_of(s->login, s->login_len), s->server.mail.sender.whole) ? yes : other;
}

bool login_spend(struct receiver *r, struct session *s, uint32_t messages, uint32_t rcpts)
{
    bool limited = (messages > 0 && r->config->limits.login_messages > 0) || (rcpts > 0 && r->config->limits.login_rcpts > 0);
    if (s->login_len == 0 || !limited || s->spent) return false;
    struct ipc_channel *authd = process_channel(r->process, ROLE_AUTHD, 0);
    const struct ipc_login_spend m = {.request = receiver_number(r, s), .messages = messages, .rcpts = rcpts, .login = bytes_of(s->login, s->login_len)};
    s->spend_request = authd && ipc_send_login_spend(authd, &m, -1) == ERR_NONE ? m.request : 0;
    session_wait(r, s, WAIT_SPENT, s->spend_request ? SPENT_WAIT_MS : 1);
    return true;
}

void login_spent(struct receiver *r, struct session *s, bool allowed, uint32_t wait_s)
{
    uint8_t memory[200];
    struct buf text = BUF_OVER(memory);
    bool by_rcpt = s->server.awaiting == SMTP_NEED_RCPT;
    s->spend_request = 0;
    if (allowed) {
        s->spent = true; /* the machine asks again, and this is not counted again before it has its answer */
        session_resume(r, s);
        return;
    }
    if (wait_s == 0) {
        BUF_LIT(&text, "The limits of your login cannot be looked at now; try again later");
    } else {
        BUF_LIT(&text, "Your login has sent its ");
        buf_put_u64(&text, by_rcpt ? r->config->limits.login_rcpts : r->config->limits.login_messages);
        buf_put_cstr(&text, by_rcpt ? " recipients" : " messages");
        BUF_LIT(&text, " of this hour; try again in ");
        buf_put_u64(&text, (wait_s + 59) / 60);
        BUF_LIT(&text, " minutes");
    }
    const struct smtp_policy_answer no = {450, {4, 7, 1}, buf_bytes(&text)};
    mail_refuse(s, &no);
    session_resume(r, s);
}
