/*
 * lone - clients that have killed a receiver, or may have: they are served by the receiver behind the others, one at a time.
 *
 * Which they are is for the manager to say. Who cannot be served now gets its 421 here, since no receiver may read a word of it; writing is not reading.
 * Only the acceptor knows whose connections a dead receiver had when its black box does not say.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/acceptor/acceptor.h"
#include "mta/process/dispatch.h"

enum { REFUSAL_BYTES_MAX = 512 }; /* a reply line, RFC 5321 4.5.3.1.5 */

static void say(struct apart_client *c)
{
    if (c->told) return;
    c->told = true;
    struct buf *line = log_begin(LOG_LEVEL_INFO);
    BUF_LIT(line, "quarantine: [");
    net_print_ip(line, &c->who.address);
    BUF_LIT(line, "] is sent away with 421 while it cannot be served alone");
    log_end();
}

bool lone_serves(struct acceptor *a, struct apart_client *c, int fd)
{
    uint8_t memory[REFUSAL_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    uint16_t lone = lone_receiver(a);
    if (process_now_ms(a->process) >= c->pause_ms && a->loads[lone] == 0 && process_channel(a->process, ROLE_RECEIVER, lone)) return true;
    BUF_LIT(&text, "421 ");
    buf_put(&text, config_bytes(a->config, a->config->hostname));
    BUF_LIT(&text, " Error: what came from your address has broken a process here; try again later\r\n");
    say(c);
    /* The socket is fresh: its buffer is empty. A client that is gone does not hear it. */
    ssize_t sent = write(fd, text.ptr, text.len);
    (void)sent;
    return false;
}

void lone_behaved(struct acceptor *a, const struct net_address *client)
{
    struct ipc_channel *manager = process_channel(a->process, ROLE_MANAGER, 0);
    struct ipc_client_behaved news = {.client = *client};
    if (!manager || !apart_find(&a->apart, client, process_now_ms(a->process))) return; /* without a manager it must behave once more */
    if (ipc_send_client_behaved(manager, &news, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take news");
}

/* ---- whose connections a receiver had ---- */

static void add(struct lost *l, const struct net_address *client)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (net_same_ip(&l->clients[i], client)) return;
    if (l->count == APART_MAX) return;
    l->clients[l->count] = *client;
    l->clients[l->count++].port = 0;
}

void lone_gather(struct acceptor *a, uint16_t receiver, uint32_t epoch)
{
    struct lost *l = &a->lost[receiver];
    l->epoch = epoch;
    l->count = 0;
    for (uint32_t i = 0; i < a->connection_fresh; i++)
        if (a->connections[i].number != 0 && a->connections[i].receiver == receiver) add(l, &a->connections[i].client);
}

/* ---- messages ---- */

void acceptor_on_client_apart(struct process *p, struct ipc_channel *from, const struct ipc_client_apart *m, int fd)
{
    (void)fd;
    struct acceptor *a = acceptor_of(p);
    uint64_t now = process_now_ms(p);
    enum { DAY_MS = 24 * 60 * 60 * 1000 };
    if (m->client.family == NET_NONE || m->apart_ms > DAY_MS || m->pause_ms > DAY_MS) {
        process_violation(p, from, "a client to be kept apart without an address, or for more than a day");
        return;
    }
    apart_set(&a->apart, &m->client, m->apart_ms ? now + m->apart_ms : 0, m->pause_ms ? now + m->pause_ms : 0);
}

void acceptor_on_clients_ask(struct process *p, struct ipc_channel *from, const struct ipc_clients_ask *m, int fd)
{
    (void)fd;
    struct acceptor *a = acceptor_of(p);
    struct ipc_client_lost row = {.receiver = m->receiver, .epoch = m->epoch};
    struct lost *l = m->receiver < ROLE_INSTANCES_MAX ? &a->lost[m->receiver] : NULL;
    struct ipc_channel *still = l ? process_channel(p, ROLE_RECEIVER, m->receiver) : NULL;
    if (still && ipc_peer_epoch(still) == m->epoch) lone_gather(a, m->receiver, m->epoch); /* its end was not read yet */
    enum err e = ERR_NONE;
    for (uint32_t i = 0; l && l->epoch == m->epoch && e == ERR_NONE && i < l->count; i++) {
        row.client = l->clients[i];
        e = ipc_send_client_lost(from, &row, -1);
    }
    row.client = (struct net_address){0};
    row.last = 1;
    if (ipc_send_client_lost(from, &row, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take news");
}
