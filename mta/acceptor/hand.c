/*
 * hand - from an accepted socket to a receiver: who is it, may it come in, who has the least to do.
 *
 * A connection is counted from here until its receiver says that it is closed, or dies. The counts of connections
 * that a former acceptor handed out are lost with it: the new one starts from none, and the limits are exact again
 * when those have ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/acceptor/acceptor.h"

enum { NO_CONNECTION = UINT32_MAX };

static_assert(ACCEPTOR_CONNECTIONS_MAX + ACCEPTOR_CONNECTIONS_MAX / 8 + LIMITS_RESERVE_MIN <= 1 << ACCEPTOR_INDEX_BITS,
              "a place must fit into a number");

static uint32_t sockets_of_a_receiver(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > ACCEPTOR_DESCRIPTORS_MAX)
        limit.rlim_cur = ACCEPTOR_DESCRIPTORS_MAX;
    uint32_t all = (uint32_t)limit.rlim_cur;
    return all > 2 * RECEIVER_OTHER_DESCRIPTORS ? all - RECEIVER_OTHER_DESCRIPTORS : all / 2;
}

enum err hand_init(struct acceptor *a)
{
    const struct config *c = a->config;
    uint32_t total = c->limits.connections < ACCEPTOR_CONNECTIONS_MAX ? c->limits.connections : ACCEPTOR_CONNECTIONS_MAX;
    enum err e = limits_init(&a->limits, total, c->limits.connections_client, c->limits.connections_prefix, hash_key_random());
    if (e != ERR_NONE) return e;
    static_assert((int)RATES_KINDS == (int)RATE_KINDS && (int)RATES_OFS == (int)RATE_OFS && (int)RATES_ERRORS == (int)RATE_ERRORS,
                  "the configuration's rates are ours");
    e = rates_init(&a->rates, c->limits.rates, hash_key_random());
    if (e != ERR_NONE) return e;
    a->connections = calloc(a->limits.places_max, sizeof *a->connections);
    a->listener_counts = calloc(c->listeners.count + 1, sizeof *a->listener_counts);
    a->connection_free = NO_CONNECTION;
    a->receiver_max = sockets_of_a_receiver();
    return a->connections && a->listener_counts ? ERR_NONE : ERR_NO_MEMORY;
}

/* ---- which receiver ---- */

static bool is_there(struct acceptor *a, uint16_t receiver)
{
    return process_channel(a->process, ROLE_RECEIVER, receiver) != NULL;
}

bool hand_possible(struct acceptor *a)
{
    for (uint16_t i = 0; i < lone_receiver(a); i++) {
        if (is_there(a, i)) return true;
    }
    return false;
}

/* least_loaded - a receiver, or -1 when none is there or all are full. */
static int32_t least_loaded(struct acceptor *a)
{
    uint16_t count = lone_receiver(a); /* without the one behind them */
    int32_t best = -1;
    for (uint16_t k = 0; k < count; k++) {
        uint16_t i = (uint16_t)((a->turn_of + k) % count);
        if (!is_there(a, i) || a->loads[i] >= a->receiver_max) continue;
        if (best < 0 || a->loads[i] < a->loads[best]) best = i;
    }
    if (best >= 0) a->turn_of = (uint16_t)((best + 1) % count);
    return best;
}

/* ---- counting ---- */

static struct connection *enter(struct acceptor *a, const struct connection *what)
{
    uint32_t place = a->connection_free;
    if (place != NO_CONNECTION) a->connection_free = a->connections[place].next;
    else place = a->connection_fresh++;
    must(place < a->limits.places_max);
    struct connection *c = &a->connections[place];
    *c = *what;
    c->number = ++a->sequence << ACCEPTOR_INDEX_BITS | place;
    limits_enter(&a->limits, &c->client, c->exempt, c->refused);
    a->loads[c->receiver]++;
    a->listener_counts[c->listener]++;
    return c;
}

static void leave(struct acceptor *a, struct connection *c)
{
    limits_leave(&a->limits, &c->client, c->exempt, c->refused);
    must(a->loads[c->receiver] > 0 && a->listener_counts[c->listener] > 0);
    a->loads[c->receiver]--;
    a->listener_counts[c->listener]--;
    c->number = 0;
    c->next = a->connection_free;
    a->connection_free = (uint32_t)(c - a->connections);
}

struct connection *hand_find(struct acceptor *a, uint16_t receiver, uint64_t number)
{
    uint32_t place = (uint32_t)number & ((1u << ACCEPTOR_INDEX_BITS) - 1);
    if (number == 0 || place >= a->connection_fresh) return NULL;
    struct connection *c = &a->connections[place];
    return c->number == number && c->receiver == receiver ? c : NULL;
}

void hand_closed(struct acceptor *a, uint16_t receiver, const struct ipc_client_closed *m)
{
    struct connection *c = hand_find(a, receiver, m->connection);
    if (!c) return;
    if (m->well && receiver == lone_receiver(a)) lone_behaved(a, &c->client);
    if (!c->exempt && m->errors > 0) rates_add(&a->rates, RATES_ERRORS, &c->client, m->errors, process_now_ms(a->process));
    leave(a, c);
}

void hand_receiver_gone(struct acceptor *a, const struct ipc_channel *c)
{
    uint16_t receiver = ipc_peer_index(c);
    lone_gather(a, receiver, ipc_peer_epoch(c));
    for (uint32_t i = 0; i < a->connection_fresh; i++) {
        if (a->connections[i].number != 0 && a->connections[i].receiver == receiver) leave(a, &a->connections[i]);
    }
    must(a->loads[receiver] == 0);
}

/* ---- judging ---- */

/* put_place - whom a limit is about, in Postfix's words. */
static void put_place(struct buf *line, const struct acceptor *a, const struct connection *c, const char *others)
{
    const struct config_listener *listener = &CONFIG_ITEMS(a->config, a->config->listeners, struct config_listener)[c->listener];
    BUF_LIT(line, " from unknown[");
    net_print_ip(line, &c->client);
    buf_put_cstr(line, others);
    BUF_LIT(line, " for service ");
    log_bytes(line, config_bytes(a->config, listener->name));
}

static void tell(struct acceptor *a, const struct limits_judgement *j, const struct connection *c)
{
    bool has_entry = j->cause == LIMITS_CLIENT || j->cause == LIMITS_PREFIX;
    uint64_t now = process_now_ms(a->process);
    if (!j->tell || (!has_entry && a->told_ms != 0 && now - a->told_ms < TELL_EVERY_MS)) return;
    if (!has_entry) a->told_ms = now;
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: Connection concurrency limit exceeded: ");
    buf_put_u64(line, j->count);
    put_place(line, a, c, j->cause == LIMITS_PREFIX ? "] and its network" : j->cause == LIMITS_CLIENT ? "]" : "] and all others");
    log_end();
}

void hand_tell_rate(struct acceptor *a, const char *what, const struct rates_judgement *j, const struct connection *c)
{
    if (!j->tell) return;
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: ");
    buf_put_cstr(line, what);
    BUF_LIT(line, " rate limit exceeded: ");
    buf_put_u64(line, j->count);
    put_place(line, a, c, j->of == RATES_PREFIX ? "] and its network" : "]");
    log_end();
}

static struct bytes words_for(enum limits_cause cause)
{
    switch (cause) {
    case LIMITS_CLIENT:
        return BYTES("Error: too many connections from your address; close some and try again (connections-per-client)");
    case LIMITS_PREFIX:
        return BYTES("Error: too many connections from your network; try again later (connections-per-prefix)");
    case LIMITS_LISTENER:
        return BYTES("Error: too many connections; try again later (max-connections)");
    case LIMITS_NONE:
        return BYTES("5.7.1 Error: this user of the host may not send mail here");
    default:
        return BYTES("Error: too many connections; try again later (connections)");
    }
}

static struct refusal judge_rates(struct acceptor *a, const struct connection *c)
{
    uint64_t now = process_now_ms(a->process);
    struct rates_judgement j = rates_look(&a->rates, RATES_ERRORS, &c->client, now);
    if (j.over) {
        hand_tell_rate(a, "Error", &j, c);
        return (struct refusal){421, false, j.of == RATES_CLIENT
            ? BYTES("Error: too many errors in a minute from your address; try again later (error-rate-per-client)")
            : BYTES("Error: too many errors in a minute from your network; try again later (error-rate-per-prefix)")};
    }
    j = rates_take(&a->rates, RATES_CONNECTIONS, &c->client, now);
    if (!j.over) return (struct refusal){0};
    hand_tell_rate(a, "Connection", &j, c);
    return (struct refusal){421, false, j.of == RATES_CLIENT
        ? BYTES("Error: too many connections in a minute from your address; try again later (connection-rate-per-client)")
        : BYTES("Error: too many connections in a minute from your network; try again later (connection-rate-per-prefix)")};
}

struct refusal hand_judge(struct acceptor *a, const struct connection *c)
{
    const struct config_listener *listener = &CONFIG_ITEMS(a->config, a->config->listeners, struct config_listener)[c->listener];
    bool local = listener->socket.len > 0; /* each user has connections of its own, so that none keeps the others out, and is no stranger otherwise */
    if (local && !config_admits_peer(a->config, listener, c->uid)) return (struct refusal){554, false, words_for(LIMITS_NONE)};
    struct limits_question q = {c->client, c->exempt, a->listener_counts[c->listener], listener->connections_max};
    struct limits_judgement j = limits_judge(&a->limits, &q);
    if (j.verdict != LIMITS_SERVE) {
        tell(a, &j, c);
        return (struct refusal){421, j.verdict == LIMITS_CLOSE, words_for(j.cause)};
    }
    if (!local && !c->proxied && listener->allow.count > 0 && !config_in_prefixes(a->config, listener->allow, &c->client))
        return (struct refusal){554, false, BYTES("5.7.1 Error: this listener is not for your address (listen allow)")};
    return c->exempt || (local && !a->config->limits.count_trusted) ? (struct refusal){0} : judge_rates(a, c);
}

struct refusal hand_come(struct acceptor *a, struct connection *c, const struct net_address *client)
{
    const struct config_listener *l = &CONFIG_ITEMS(a->config, a->config->listeners, struct config_listener)[c->listener];
    limits_leave(&a->limits, &c->client, c->exempt, c->refused);
    c->client = *client;
    c->trusted = config_trusts(a->config, l, client);
    c->exempt = c->trusted && !a->config->limits.count_trusted;
    c->refused = c->proxied = false;
    /* Who has killed a receiver is not served among others, and cannot be handed to the one for such clients any more: it has been read from
     * already, though only what its proxy said. */
    struct refusal no = {421, false, BYTES("Error: what came from your address has broken a process here; try again later")};
    if (!apart_find(&a->apart, client, process_now_ms(a->process))) no = hand_judge(a, c);
    limits_enter(&a->limits, &c->client, c->exempt, c->refused);
    return no;
}

static bool send_to_receiver(struct acceptor *a, struct connection *c, const struct place *from, const struct refusal *no, int fd)
{
    struct ipc_client m = {
        .connection = c->number,
        .listener = c->listener,
        .trusted = c->trusted,
        .refuse_code = no->code,
        .client = c->client,
        .local = from->address,
        .uid = c->uid,
        .refuse_text = no->words,
    };
    struct ipc_channel *receiver = process_channel(a->process, ROLE_RECEIVER, c->receiver);
    return receiver && ipc_send_client(receiver, &m, fd) == ERR_NONE;
}

/* peer_of - the client's address, or the user at the other end of a Unix socket; false when the client is gone already. */
static bool peer_of(const struct place *from, int fd, struct connection *c)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    struct ucred user;
    if (from->address.family != NET_NONE) return getpeername(fd, (struct sockaddr *)&storage, &length) == 0 && net_from_sockaddr(&storage, &c->client);
    length = sizeof user;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &length) != 0) return false;
    c->uid = user.uid;
    c->client = net_of_user(user.uid);
    return true;
}

void hand_socket(struct acceptor *a, const struct place *from, int fd)
{
    const struct config_listener *listener =
        &CONFIG_ITEMS(a->config, a->config->listeners, struct config_listener)[from->listener];
    struct connection c = {.listener = from->listener};
    bool known = peer_of(from, fd, &c);
    struct apart_client *apart = known ? apart_find(&a->apart, &c.client, process_now_ms(a->process)) : NULL;
    int32_t receiver = apart ? lone_receiver(a) : least_loaded(a);
    if (receiver < 0 || !known || (apart && !lone_serves(a, apart, fd))) {
        (void)close(fd);
        return;
    }
    c.receiver = (uint16_t)receiver;
    bool local = from->address.family == NET_NONE;
    c.proxied = !local && config_in_prefixes(a->config, listener->proxies, &c.client);
    c.trusted = !local && !c.proxied && config_trusts(a->config, listener, &c.client);
    c.exempt = c.proxied || (c.trusted && !a->config->limits.count_trusted);
    struct refusal no = hand_judge(a, &c);
    if (no.close) {
        (void)close(fd);
        return;
    }
    c.refused = no.code != 0;
    struct connection *entered = enter(a, &c);
    if (send_to_receiver(a, entered, from, &no, fd)) return;
    leave(a, entered);
    (void)close(fd);
}
