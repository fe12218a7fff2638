/*
 * explain - `mtactl explain`, by way of the first receiver. A receiver may lie: what it says is text, and it can say it only to who has asked.
 */
#include <stddef.h>

#include "base/json.h"
#include "mta/control/control.h"
#include "mta/process/dispatch.h"

/* listener_of - by name; without one the first that has rules, since strangers are what one asks about, else the first. -1: there is none. */
static int32_t listener_of(const struct control *c, struct bytes name)
{
    const struct config_listener *all = CONFIG_ITEMS(c->config, c->config->listeners, struct config_listener);
    uint32_t count = all ? c->config->listeners.count : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (name.len > 0 ? bytes_equal(config_bytes(c->config, all[i].name), name) : all[i].rules > 0) return (int32_t)i;
    }
    return name.len == 0 && count > 0 ? 0 : -1;
}

static uint16_t receiver_there(struct control *c)
{
    for (uint16_t i = 0; i < c->config->workers.receivers; i++) {
        if (process_channel(c->process, ROLE_RECEIVER, i)) return i;
    }
    return UINT16_MAX;
}

void explain_request(struct control *c, struct client *k)
{
    struct ipc_explain ask = {.helo = k->ask.domain, .sender = k->ask.from, .rcpt = k->ask.to, .login = k->ask.reason};
    int32_t listener = listener_of(c, k->ask.site);
    uint16_t index = receiver_there(c);
    if (listener < 0) {
        client_end(c, k, ADMIN_USAGE, BYTES("there is no such listen block"));
        return;
    }
    if (k->ask.to.len == 0 || (k->ask.client.len > 0 && !net_parse_ip(k->ask.client, &ask.client))) {
        client_end(c, k, ADMIN_USAGE, BYTES("expected an address to explain, and behind --client an IP address"));
        return;
    }
    if (ask.login.len > LOGIN_BYTES_MAX) {
        client_end(c, k, ADMIN_USAGE, BYTES("the login behind --auth is too long"));
        return;
    }
    if (bytes_equal(ask.sender, BYTES("<>"))) ask.sender = (struct bytes){0};
    k->ask.request = k->request = ask.request = c->next_request++;
    k->ask.number = index;
    k->state = CLIENT_ASKED;
    k->asked = ROLE_RECEIVER;
    k->until_ms = process_now_ms(c->process) + PROGRESS_WITHIN_MS;
    ask.listener = (uint16_t)listener;
    struct ipc_channel *to = index != UINT16_MAX ? process_channel(c->process, ROLE_RECEIVER, index) : NULL;
    if (to && ipc_send_explain(to, &ask, -1) == ERR_NONE) return;
    client_end(c, k, ADMIN_UNREACHABLE, BYTES("no receiver is running; it is being started again"));
}

void control_on_explained(struct process *p, struct ipc_channel *from, const struct ipc_explained *m, int fd)
{
    (void)fd;
    struct control *c = control_of(p);
    struct client *k = client_of_request(c, m->request);
    if (!k || k->asked != ROLE_RECEIVER || k->ask.number != ipc_peer_index(from)) return; /* the client is gone */
    enum { ROW_BYTES = 16 * 1024 };
    if (buf_room(&k->out) > ROW_BYTES) {
        json_open(&k->out, NULL, '{');
        json_text(&k->out, "rule", m->rule);
        json_text(&k->out, "verdict", m->verdict);
        json_text(&k->out, "text", m->words);
        json_text(&k->out, "place", m->place);
        json_close(&k->out, '}');
        buf_put_c(&k->out, '\n');
        k->rows_written = true;
    }
    if (m->last == 0) return;
    k->request = 0;
    client_end(c, k, m->last == 1 ? ADMIN_OK : ADMIN_NEGATIVE, (struct bytes){0});
}

void explain_receiver_gone(struct control *c, uint16_t index)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];
        if (k->state != CLIENT_ASKED || k->asked != ROLE_RECEIVER || k->ask.number != index) continue;
        k->request = 0;
        client_end(c, k, ADMIN_UNREACHABLE, BYTES("the receiver ended while it was answering; it is being started again"));
    }
}
