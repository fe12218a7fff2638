/*
 * clients - connections of mtactl: accept, read one line, send what is there, close. One request a connection.
 *
 * A client that goes away is noticed at once, since a receive is always under way: what it asked for is not continued.
 */
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "mta/control/control.h"

static struct ring_token token_of(const struct client *k, uint8_t kind) { return (struct ring_token){kind, k->generation, k->index}; }

/* settle - close what is to be closed, once nothing of it is under way. */
static void settle(struct control *c, struct client *k)
{
    if (k->state != CLIENT_CLOSING || k->receiving || k->sending || !ring_is_idle(c->ring, k->fd)) return;
    ring_close(c->ring, k->fd);
    k->state = CLIENT_FREE;
    k->generation = (k->generation + 1) & 0xffffff;
}

void client_drop(struct control *c, struct client *k)
{
    if (k->state == CLIENT_FREE || k->state == CLIENT_CLOSING) return;
    if (k->state == CLIENT_ASKED || k->state == CLIENT_READY) request_logged(k, ADMIN_PARTIAL); /* broken off: what was done is in its sums */
    k->state = CLIENT_CLOSING;
    k->request = 0;
    k->until_ms = UINT64_MAX;
    if (!ring_is_idle(c->ring, k->fd)) ring_shut(c->ring, k->fd);
    settle(c, k);
}

static void receive(struct control *c, struct client *k)
{
    k->receiving = ring_receive(c->ring, k->fd, token_of(k, CONTROL_TOKEN_RECEIVE)) == ERR_NONE;
    if (!k->receiving) client_drop(c, k);
}

/* send_more - what is written and not sent; or what follows when all is. */
static void send_more(struct control *c, struct client *k)
{
    if (k->sending || k->state == CLIENT_CLOSING) return;
    uint32_t left = k->out.len - k->out_sent;
    if (left) {
        k->sending = ring_send(c->ring, k->fd, token_of(k, CONTROL_TOKEN_SEND), k->out.ptr + k->out_sent, left) == ERR_NONE;
        if (!k->sending) client_drop(c, k);
        return;
    }
    k->out.len = k->out_sent = 0;
    if (k->state == CLIENT_LAST) client_drop(c, k);
    else if (k->state == CLIENT_READY) request_next(c, k);
}

void client_end(struct control *c, struct client *k, uint8_t status, struct bytes text)
{
    const struct ipc_admin_end *sum = &k->sum;
    json_open(&k->out, NULL, '{');
    json_open(&k->out, "end", '{');
    json_u64(&k->out, "status", status);
    json_u64(&k->out, "messages", sum->messages);
    json_u64(&k->out, "recipients", sum->recipients);
    json_u64(&k->out, "bytes", sum->octets);
    json_u64(&k->out, "left", sum->left);
    json_text(&k->out, "text", text);
    json_close(&k->out, '}');
    json_close(&k->out, '}');
    buf_put_c(&k->out, '\n');
    k->state = CLIENT_LAST;
    k->until_ms = process_now_ms(c->process) + PROGRESS_WITHIN_MS;
}

void client_accepted(struct control *c, int fd)
{
    struct client *k = NULL;
    for (uint32_t i = 0; !k && i < CLIENTS_MAX; i++)
        if (c->clients[i].state == CLIENT_FREE) k = &c->clients[i];
    if (!k) {
        close(fd); /* mtactl says that nobody answers; the places are for those who are being served */
        return;
    }
    k->state = CLIENT_READING;
    k->fd = fd;
    k->line_len = k->out_sent = k->out.len = 0;
    k->out.overflow = k->sending = false;
    k->request = 0;
    k->ask = (struct ipc_admin){0};
    k->sum = (struct ipc_admin_end){0};
    k->until_ms = process_now_ms(c->process) + REQUEST_WITHIN_MS;
    k->uid = k->pid = UINT32_MAX;
    k->right = (uint8_t)rights_of(c, fd, &k->uid, &k->pid);
    receive(c, k);
}

static void on_line_part(struct control *c, struct client *k, struct bytes data)
{
    uint32_t end = bytes_find(data, '\n');
    if (k->line_len + end > ADMIN_LINE_BYTES_MAX) {
        client_end(c, k, ADMIN_USAGE, BYTES("the request is too long"));
        return;
    }
    for (uint32_t i = 0; i < end; i++) k->line[k->line_len++] = data.ptr[i];
    if (end < data.len) request_begin(c, k);
}

static void on_received(struct control *c, struct client *k, const struct ring_event *e)
{
    k->receiving = false;
    if (e->result <= 0) {
        client_drop(c, k);
        settle(c, k);
        return;
    }
    if (k->state == CLIENT_READING) on_line_part(c, k, e->data); /* more of a client that has said its line means nothing */
    if (k->state != CLIENT_CLOSING) receive(c, k);
    else settle(c, k);
}

static void on_sent(struct control *c, struct client *k, const struct ring_event *e)
{
    k->sending = false;
    if (e->result > 0 && k->state != CLIENT_CLOSING) {
        k->out_sent += (uint32_t)e->result;
        if (k->until_ms != UINT64_MAX) k->until_ms = process_now_ms(c->process) + PROGRESS_WITHIN_MS;
        return;
    }
    client_drop(c, k);
    settle(c, k);
}

void client_event(struct control *c, const struct ring_event *e)
{
    if (e->token.index >= CLIENTS_MAX) return;
    struct client *k = &c->clients[e->token.index];
    if (k->state == CLIENT_FREE || k->generation != e->token.generation) return;
    if (e->token.kind == CONTROL_TOKEN_RECEIVE) on_received(c, k, e);
    else on_sent(c, k, e);
}

struct client *client_of_request(struct control *c, uint64_t request)
{
    for (uint32_t i = 0; request && i < CLIENTS_MAX; i++)
        if (c->clients[i].state == CLIENT_ASKED && c->clients[i].request == request) return &c->clients[i];
    return NULL;
}

void clients_turn(struct control *c)
{
    uint64_t now = process_now_ms(c->process);
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];
        if (k->state == CLIENT_FREE) continue;
        if (now >= k->until_ms) client_drop(c, k);
        else if (k->state == CLIENT_READY || k->state == CLIENT_LAST) send_more(c, k);
    }
}

uint64_t clients_deadline(const struct control *c)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        if (c->clients[i].state != CLIENT_FREE && c->clients[i].until_ms < at) at = c->clients[i].until_ms;
    return at;
}

bool clients_idle(const struct control *c)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        if (c->clients[i].state != CLIENT_FREE && c->clients[i].state != CLIENT_READING) return false;
    return true;
}
