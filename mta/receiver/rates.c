/*
 * rates - limits a minute, which only the acceptor can keep: it is asked once for each message and each recipient that they are for.
 *
 * An answer that does not come in time lets the client go on: these limits protect from load, not from what a message is.
 */
#include "base/must.h"
#include "mta/ipc/asks.h"
#include "mta/receiver/receiver.h"

static bool is_limited(const struct receiver *r, const struct session *s, enum config_rate kind)
{
    const uint32_t *max = r->config->limits.rates[kind];
    return (max[RATE_OF_CLIENT] > 0 || max[RATE_OF_PREFIX] > 0) && !(s->trusted && !r->config->limits.count_trusted);
}

bool rates_ask(struct receiver *r, struct session *s, uint8_t what)
{
    struct ipc_channel *acceptor = process_channel(r->process, ROLE_ACCEPTOR, 0);
    struct ipc_client_ask ask = {.request = receiver_number(r, s), .connection = s->connection, .what = what, .client = s->client};
    if (!acceptor || ipc_peer_epoch(acceptor) != s->acceptor_epoch || ipc_send_client_ask(acceptor, &ask, -1) != ERR_NONE) return false;
    s->ask_request = ask.request;
    s->ask_what = what;
    session_wait(r, s, WAIT_ACCEPTOR, ACCEPTOR_WAIT_MS);
    return true;
}

bool rates_count(struct receiver *r, struct session *s, uint8_t what)
{
    must(what == CLIENT_ASK_MESSAGE || what == CLIENT_ASK_RECIPIENT);
    return !s->counted && is_limited(r, s, what == CLIENT_ASK_MESSAGE ? RATE_MESSAGES : RATE_RECIPIENTS) && rates_ask(r, s, what);
}

void rates_came(struct receiver *r, struct session *s, uint16_t code, struct bytes text)
{
    must(s->wait == WAIT_ACCEPTOR);
    struct smtp_policy_answer no = {code, {(uint8_t)(code / 100), 7, code == 421 ? 0 : 1}, text};
    s->ask_request = 0;
    if (s->ask_what == CLIENT_ASK_COME) {
        session_set_wait(r, s, WAIT_NONE);
        proxied_may(r, s, code, text);
        return;
    }
    s->counted = code == 0; /* the machine asks again, and this is not asked again before it has its answer */
    if (code != 0 && s->ask_what == CLIENT_ASK_MESSAGE) {
        line_reject(s, "MAIL", &no, (struct bytes){0});
        smtp_server_sender(&s->server, &no, &s->fx);
    } else if (code != 0) {
        line_reject(s, "RCPT", &no, s->server.rcpt.address.whole);
        smtp_server_rcpt(&s->server, &no, &s->fx);
    }
    session_resume(r, s);
}

static void go_on(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_ACCEPTOR) rates_came(r, s, 0, (struct bytes){0});
}

void rates_acceptor_gone(struct receiver *r)
{
    sessions_each(r, go_on);
}
