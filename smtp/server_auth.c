/*
 * server_auth - AUTH as the server machine sees it: when it may be said, and the lines that are answers to challenges.
 *
 * What the lines mean is not looked at here: they go on as they came to who checks them, and what is to be said comes back. Nothing is offered or
 * taken in the clear.
 */
#include <string.h>

#include "base/must.h"
#include "smtp/sasl.h"
#include "smtp/server_table.h"

/* offered - the mechanisms that this session may use now. */
static uint32_t offered(const struct smtp_server *s)
{
    uint32_t set = s->config->auth_mechanisms;
    if (!s->certificate) set &= ~SMTP_SASL_BIT(SMTP_SASL_EXTERNAL);
    return s->tls && !s->authenticated ? set : 0;
}

void smtp_server_put_auth(const struct smtp_server *s, struct buf *text)
{
    uint32_t set = offered(s);
    if (set == 0) return;
    BUF_LIT(text, "\nAUTH");
    for (uint32_t m = SMTP_SASL_NONE + 1; m < SMTP_SASL_MECHANISM_COUNT; m++) {
        if (!(set & SMTP_SASL_BIT(m))) continue;
        buf_put_c(text, ' ');
        buf_put(text, smtp_sasl_name((enum smtp_sasl_mechanism)m));
    }
}

void smtp_server_begin_auth(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    struct bytes words = bytes_trim(rest), name = bytes_slice(words, 0, bytes_find(words, ' ')), initial = bytes_trim(bytes_from(words, name.len));
    enum smtp_sasl_mechanism mechanism = smtp_sasl_mechanism(name);
    if (s->config->auth_mechanisms == 0) {
        smtp_server_fault(s, fx, 503, ENHANCED(5, 5, 1), BYTES("Error: authentication is not offered here"));
    } else if (!s->extended) {
        smtp_server_fault(s, fx, 503, ENHANCED(5, 5, 1), BYTES("Error: AUTH needs EHLO"));
    } else if (s->authenticated) {
        smtp_server_fault(s, fx, 503, ENHANCED(5, 5, 1), BYTES("Error: this session is authenticated already"));
    } else if (!s->tls) {
        smtp_server_fault(s, fx, 538, ENHANCED(5, 7, 11), BYTES("Error: authentication needs TLS; say STARTTLS first"));
    } else if (name.len == 0) {
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Syntax: AUTH mechanism [initial-response]"));
    } else if (mechanism == SMTP_SASL_NONE || !(offered(s) & SMTP_SASL_BIT(mechanism))) {
        smtp_server_fault(s, fx, 504, ENHANCED(5, 5, 4), BYTES("Error: this mechanism is not offered"));
    } else {
        s->auth = (struct smtp_server_auth){.mechanism = (uint8_t)mechanism, .begins = true, .has_initial = initial.len > 0, .text = initial};
        s->phase = SMTP_PHASE_AUTH;
        s->awaiting = SMTP_NEED_AUTH;
    }
}

void smtp_server_auth_line(struct smtp_server *s, struct bytes line)
{
    must(s->phase == SMTP_PHASE_AUTH);
    s->auth.begins = s->auth.has_initial = false;
    s->auth.cancelled = bytes_equal(line, BYTES("*"));
    s->auth.text = line;
    s->awaiting = SMTP_NEED_AUTH;
}

static void challenge_with(struct bytes text, struct smtp_server_effects *fx)
{
    must(text.len <= SMTP_CHALLENGE_BYTES_MAX);
    BUF_LIT(&fx->out, "334 "); /* the blank stands before an empty challenge too (RFC 4954 4) */
    buf_put(&fx->out, text);
    BUF_LIT(&fx->out, "\r\n");
}

void smtp_server_auth(struct smtp_server *s, enum smtp_auth_result result, struct bytes challenge, struct smtp_server_effects *fx)
{
    static const struct { uint16_t code; struct enhanced enhanced; struct bytes text; } ends[SMTP_AUTH_RESULT_COUNT] = {
        [SMTP_AUTH_DONE] = {235, {2, 7, 0}, BYTES_INIT("Authentication successful")},
        [SMTP_AUTH_FAILED] = {535, {5, 7, 8}, BYTES_INIT("Error: authentication failed")},
        [SMTP_AUTH_MALFORMED] = {501, {5, 5, 2}, BYTES_INIT("Error: malformed authentication")},
        [SMTP_AUTH_CANCELLED] = {501, {5, 7, 0}, BYTES_INIT("Authentication cancelled")},
        [SMTP_AUTH_NOT_NOW] = {454, {4, 7, 0}, BYTES_INIT("Authentication is not possible now; try again later")},
        [SMTP_AUTH_TOO_MUCH] = {421, {4, 7, 0}, BYTES_INIT("Error: too many failed authentications; closing")},
    };
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_AUTH && result < SMTP_AUTH_RESULT_COUNT);
    s->awaiting = SMTP_NEED_INPUT;
    s->auth.text = (struct bytes){0};
    explicit_bzero(s->line, sizeof(s->line));
    if (result == SMTP_AUTH_CHALLENGE) {
        challenge_with(challenge, fx);
        return;
    }
    s->phase = SMTP_PHASE_HELLO;
    s->authenticated = result == SMTP_AUTH_DONE;
    uint16_t code = ends[result].code;
    if (code == 421) smtp_server_end_host(s, fx, code, ends[result].enhanced, "Error: too many failed authentications; closing");
    else if (code >= 500) smtp_server_fault(s, fx, code, ends[result].enhanced, ends[result].text);
    else smtp_server_say(s, fx, code, ends[result].enhanced, ends[result].text);
}
