/*
 * race - one host's addresses, tried in order with a stagger; the first that answers wins, and its socket goes to the worker.
 *
 * A socket is handed over only when a second connect() has returned 0: a socket that was not really connected could be pointed elsewhere by its new
 * owner with MSG_FASTOPEN (docs/security.md).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/connector/connector.h"
#include "mta/ipc/hosts.h"

static struct ring_token token_of(const struct connector *c, const struct race *r, uint32_t socket)
{
    return (struct ring_token){CONNECTOR_TOKEN_SOCKET, r->generation, (uint32_t)(r - c->races) * RACE_SOCKETS_MAX + socket};
}

static void close_socket(struct connector *c, struct race_socket *s)
{
    if (s->fd < 0) return;
    ring_unwatch(process_ring(c->process), s->fd);
    ring_close(process_ring(c->process), s->fd);
    s->fd = -1;
}

static void end(struct connector *c, struct race *r)
{
    for (uint32_t i = 0; i < RACE_SOCKETS_MAX; i++) close_socket(c, &r->sockets[i]);
    heap_remove(&c->timers, &r->timer);
    r->used = false;
    c->free[c->free_count++] = (uint32_t)(r - c->races);
}

static void to_manager_failed(struct connector *c, const struct ipc_failed *m)
{
    struct ipc_channel *manager = process_channel(c->process, ROLE_MANAGER, 0);
    if (manager && ipc_send_failed(manager, m, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take messages: channel full");
}

/* note_failure - keep the last failure's words: "connect to HOST[IP]:PORT: Connection refused". */
static void note_failure(struct race *r, const struct net_address *a, const char *words)
{
    struct buf out = BUF_OVER(r->failure);
    BUF_LIT(&out, "connect to ");
    buf_put(&out, bytes_of(r->host, r->host_len));
    buf_put_c(&out, '[');
    net_print_ip(&out, a);
    BUF_LIT(&out, "]:");
    buf_put_u64(&out, a->port);
    BUF_LIT(&out, ": ");
    buf_put_cstr(&out, words);
    r->failure_len = out.len;
    r->failed = *a;
}

static void fail(struct connector *c, struct race *r)
{
    struct bytes text = r->failure_len ? bytes_of(r->failure, r->failure_len) : BYTES("no address of the host can be used");
    struct ipc_failed m = {.connection = r->connection, .permanent = r->forbidden_only && r->address_count > 0, .remote = r->failed, .text = text};
    to_manager_failed(c, &m);
    end(c, r);
}

static bool bind_source(const struct connector *c, const struct race *r, int fd, uint8_t family)
{
    const struct config_route *routes = CONFIG_ITEMS(c->config, c->config->routes, struct config_route);
    const struct net_address *source = family == NET_IPV4 ? &routes[r->route].source_ipv4 : &routes[r->route].source_ipv6;
    if (!source->family) return true;
    int one = 1;
    struct sockaddr_storage to;
    uint32_t n = net_to_sockaddr(source, &to);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(fd, (struct sockaddr *)&to, n) == 0;
}

/* start - one address; true when it is under way or has won. */
static bool start(struct connector *c, struct race *r, uint32_t slot, uint32_t address)
{
    const struct net_address *a = &r->addresses[address];
    const char *why = NULL;
    if (!policy_allows(c, a, r->from_mx, &why)) {
        note_failure(r, a, why);
        return false;
    }
    r->forbidden_only = false;
    struct sockaddr_storage to;
    uint32_t n = net_to_sockaddr(a, &to);
    int fd = socket(a->family == NET_IPV4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) {
        note_failure(r, a, strerror(errno));
        return false;
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!bind_source(c, r, fd, a->family) || (connect(fd, (struct sockaddr *)&to, n) && errno != EINPROGRESS) ||
        ring_await_writable(process_ring(c->process), fd, token_of(c, r, slot)) != ERR_NONE) {
        note_failure(r, a, strerror(errno));
        ring_close(process_ring(c->process), fd);
        return false;
    }
    r->sockets[slot] = (struct race_socket){fd, address};
    return true;
}

static uint32_t under_way(const struct race *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < RACE_SOCKETS_MAX; i++) n += r->sockets[i].fd >= 0;
    return n;
}

static void set_timer(struct connector *c, struct race *r)
{
    bool more = r->next_address < r->address_count && under_way(r) < RACE_SOCKETS_MAX;
    uint64_t at = more && r->next_ms < r->deadline_ms ? r->next_ms : r->deadline_ms;
    must(heap_put(&c->timers, &r->timer, at) == ERR_NONE); /* the heap has room for every race */
}

/* go_on - start addresses until one is under way; fail when nothing is and none is left. */
static void go_on(struct connector *c, struct race *r)
{
    while (r->next_address < r->address_count && under_way(r) < RACE_SOCKETS_MAX) {
        uint32_t slot = 0;
        while (r->sockets[slot].fd >= 0) slot++;
        if (start(c, r, slot, r->next_address++)) break;
    }
    r->next_ms = process_now_ms(c->process) + RACE_STAGGER_MS;
    if (!under_way(r)) fail(c, r);
    else set_timer(c, r);
}

void race_begin(struct connector *c, const struct ipc_connect *m)
{
    if (!c->free_count) {
        struct ipc_failed full = {.connection = m->connection, .ours = true, .text = BYTES("too many connections are being made")};
        to_manager_failed(c, &full);
        return;
    }
    struct race *r = &c->races[c->free[--c->free_count]];
    uint32_t generation = (r->generation + 1) & 0xffffff;
    memset(r, 0, sizeof *r);
    r->used = true;
    r->generation = generation;
    r->connection = m->connection;
    r->worker = m->worker;
    r->worker_epoch = m->worker_epoch;
    r->route = m->route;
    r->from_mx = m->from_mx;
    r->helo_only = m->helo_only;
    r->forbidden_only = true;
    r->began_us = clock_mono_us();
    r->deadline_ms = process_now_ms(c->process) + m->deadline_ms;
    for (uint32_t i = 0; i < RACE_SOCKETS_MAX; i++) r->sockets[i].fd = -1;
    r->host_len = (uint8_t)m->host.len;
    memcpy(r->host, m->host.ptr, m->host.len);
    r->secrecy_len = (uint16_t)m->secrecy.len;
    if (m->secrecy.len > 0) memcpy(r->secrecy, m->secrecy.ptr, m->secrecy.len);
    r->helo_len = (uint8_t)m->helo.len;
    memcpy(r->helo, m->helo.ptr, m->helo.len);
    struct cursor list = cursor_over(m->addresses);
    while (r->address_count < RACE_ADDRESSES_MAX && address_next(&list, &r->addresses[r->address_count])) r->address_count++;
    go_on(c, r);
}

static struct race *race_find(struct connector *c, uint64_t connection)
{
    for (uint32_t i = 0; i < c->timers.count; i++) {
        struct race *r = (struct race *)(void *)c->timers.nodes[i];
        if (r->connection == connection) return r;
    }
    return NULL;
}

void race_cancel(struct connector *c, uint64_t connection)
{
    struct race *r = race_find(c, connection);
    if (r) end(c, r);
}

static void hand_over(struct connector *c, struct race *r, struct race_socket *s)
{
    const struct net_address *remote = &r->addresses[s->address];
    struct ipc_channel *worker = process_channel(c->process, ROLE_DELIVER, r->worker);
    struct ipc_channel *manager = process_channel(c->process, ROLE_MANAGER, 0);
    bool there = worker && ipc_peer_epoch(worker) == r->worker_epoch;
    struct ipc_socket m = {.connection = r->connection, .remote = *remote, .helo_only = r->helo_only, .host = bytes_of(r->host, r->host_len),
                           .helo = bytes_of(r->helo, r->helo_len), .secrecy = bytes_of(r->secrecy, r->secrecy_len)};
    if (there) ring_release(process_ring(c->process), s->fd);
    if (!there || ipc_send_socket(worker, &m, s->fd) != ERR_NONE) {
        struct ipc_failed gone = {.connection = r->connection, .ours = true, .remote = *remote,
                                  .text = BYTES("the delivery worker that was to have the connection is gone")};
        to_manager_failed(c, &gone);
        return;
    }
    s->fd = -1; /* the channel's now */
    struct ipc_connected news = {.connection = r->connection, .remote = *remote, .took_us = (uint32_t)(clock_mono_us() - r->began_us)};
    if (manager && ipc_send_connected(manager, &news, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take messages: channel full");
}

static void win(struct connector *c, struct race *r, uint32_t socket)
{
    hand_over(c, r, &r->sockets[socket]);
    end(c, r);
}

void race_ready(struct connector *c, const struct ring_event *e)
{
    uint32_t index = e->token.index / RACE_SOCKETS_MAX, slot = e->token.index % RACE_SOCKETS_MAX;
    if (index >= RACES_MAX) return;
    struct race *r = &c->races[index];
    struct race_socket *s = &r->sockets[slot];
    if (!r->used || r->generation != e->token.generation || s->fd < 0) return;
    struct sockaddr_storage to;
    uint32_t n = net_to_sockaddr(&r->addresses[s->address], &to);
    if (connect(s->fd, (struct sockaddr *)&to, n) == 0) {
        win(c, r, slot);
        return;
    }
    if (errno == EALREADY || errno == EINPROGRESS) {
        if (ring_await_writable(process_ring(c->process), s->fd, e->token) == ERR_NONE) return;
    }
    note_failure(r, &r->addresses[s->address], strerror(errno));
    close_socket(c, s);
    go_on(c, r);
}

void race_timers(struct connector *c)
{
    uint64_t now = process_now_ms(c->process);
    for (struct heap_node *n = heap_first(&c->timers); n && n->key <= now; n = heap_first(&c->timers)) {
        struct race *r = (struct race *)(void *)n;
        if (now < r->deadline_ms) {
            go_on(c, r);
            continue;
        }
        for (uint32_t i = 0; i < RACE_SOCKETS_MAX; i++)
            if (r->sockets[i].fd >= 0) note_failure(r, &r->addresses[r->sockets[i].address], "Connection timed out");
        fail(c, r);
    }
}

void race_end_all(struct connector *c)
{
    for (struct heap_node *n = heap_first(&c->timers); n; n = heap_first(&c->timers)) end(c, (struct race *)(void *)n);
}
