/*
 * asks - what a receiver may not decide alone: whether a client behind a proxy comes in, one more message, one more recipient.
 */
#include "base/log.h"
#include "mta/acceptor/acceptor.h"
#include "mta/ipc/asks.h"
#include "mta/process/dispatch.h"

static struct refusal count(struct acceptor *a, const struct connection *c, enum rates_kind kind, const char *what, struct bytes of_client,
                            struct bytes of_prefix)
{
    if (c->exempt) return (struct refusal){0};
    struct rates_judgement j = rates_take(&a->rates, kind, &c->client, process_now_ms(a->process));
    if (!j.over) return (struct refusal){0};
    hand_tell_rate(a, what, &j, c);
    return (struct refusal){450, false, j.of == RATES_CLIENT ? of_client : of_prefix};
}

static struct refusal judge(struct acceptor *a, struct connection *c, const struct ipc_client_ask *m)
{
    switch ((enum client_ask)m->what) {
    case CLIENT_ASK_COME:
        return hand_come(a, c, &m->client);
    case CLIENT_ASK_MESSAGE:
        return count(a, c, RATES_MESSAGES, "Message delivery request",
                     BYTES("Error: too many messages in a minute from your address; try again later (message-rate-per-client)"),
                     BYTES("Error: too many messages in a minute from your network; try again later (message-rate-per-prefix)"));
    case CLIENT_ASK_RECIPIENT:
        return count(a, c, RATES_RECIPIENTS, "Recipient address",
                     BYTES("Error: too many recipients in a minute from your address; try again later (recipient-rate-per-client)"),
                     BYTES("Error: too many recipients in a minute from your network; try again later (recipient-rate-per-prefix)"));
    default:
        return (struct refusal){0};
    }
}

void acceptor_on_client_ask(struct process *p, struct ipc_channel *from, const struct ipc_client_ask *m, int fd)
{
    (void)fd;
    struct acceptor *a = acceptor_of(p);
    struct connection *c = hand_find(a, ipc_peer_index(from), m->connection);
    if (m->what == CLIENT_ASK_NONE || (m->what == CLIENT_ASK_COME && m->client.family == NET_NONE)) {
        process_violation(p, from, "a question about nobody");
        return;
    }
    struct refusal no = c ? judge(a, c, m) : (struct refusal){0};
    struct ipc_client_may answer = {.request = m->request, .refuse_code = no.code, .refuse_text = no.words};
    if (ipc_send_client_may(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}
