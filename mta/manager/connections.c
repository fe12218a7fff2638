/*
 * connections - outgoing connections: who makes them, which worker has them, what they are doing. Only the manager counts them against a
 * destination's limits, until CLOSED or the worker's death.
 */
#include <string.h>

#include "base/log.h"
#include "mta/config/hop.h"
#include "mta/ipc/secrecy.h"
#include "mta/manager/boxes.h"
#include "mta/process/dispatch.h"

static struct site *site_of(struct manager *m, const struct connection *c) { return slots_find(&m->sites, c->site); }

/* Idle connections of a site are a list: a free one is found without a search, however many there are. */
static void idle_add(struct manager *m, struct connection *c)
{
    struct site *s = site_of(m, c);
    c->state = CONNECTION_IDLE;
    c->attempt = 0;
    c->since_ms = process_now_ms(m->process);
    if (!s || c->listed) return;
    c->listed = true;
    c->idle_previous = NULL;
    c->idle_next = s->idle;
    if (s->idle) s->idle->idle_previous = c;
    s->idle = c;
}

static void idle_remove(struct manager *m, struct connection *c)
{
    struct site *s = site_of(m, c);
    if (!s || !c->listed) return;
    c->listed = false;
    if (c->idle_next) c->idle_next->idle_previous = c->idle_previous;
    if (c->idle_previous) c->idle_previous->idle_next = c->idle_next;
    else s->idle = c->idle_next;
}

/* ---- places ---- */

bool connection_place(const struct manager *m, const struct site *s)
{
    uint64_t most = m->config->limits.connections_out, slow = m->connections_by[PACE_SLOW], unknown = m->connections_by[PACE_UNKNOWN];
    if (m->connections_total >= most) return false;
    if (s->pace == PACE_PROMPT) return true;
    if (slow + unknown >= most - most / 8) return false;
    if (s->pace == PACE_SLOW) return slow < most - most / 4;
    return slow + unknown < (most + 1) / 2 || unknown < (most + 7) / 8;
}

static void count_as(struct manager *m, struct connection *c, enum pace pace)
{
    m->connections_by[c->pace]--;
    c->pace = (uint8_t)pace;
    m->connections_by[c->pace]++;
}

/* paced - something that this connection was at has come to its end, or takes too long already: what that says of its destination. */
static void paced(struct manager *m, struct site *s, struct connection *c, uint64_t now_ms)
{
    enum pace pace = now_ms - c->since_ms < MANAGER_PROMPT_MS ? PACE_PROMPT : PACE_SLOW;
    if (c->pace == (uint8_t)pace && s && s->pace == (uint8_t)pace) return;
    count_as(m, c, pace);
    if (s) site_paced(m, s, pace);
}

/* ---- making and ending ---- */

/* least_loaded - the deliver worker with the fewest connections that is up; -1 when none is. */
static int32_t least_loaded(struct manager *m)
{
    int32_t best = -1;
    for (uint16_t i = 0; i < m->config->workers.delivers; i++) {
        if (!process_channel(m->process, ROLE_DELIVER, i)) continue;
        if (best < 0 || m->worker_load[i] < m->worker_load[best]) best = i;
    }
    return best;
}

static enum quarantine_answer apart_from_others(struct manager *m, const struct host *h)
{
    uint16_t worker = (uint16_t)m->config->workers.delivers;
    bool idle = process_channel(m->process, ROLE_DELIVER, worker) && m->worker_load[worker] == 0;
    return quarantine_ask(h, idle, process_now_ms(m->process));
}

/* put_secrecy - how much TLS a connection to this host is to have, by the route and by what is known of the host. */
static void put_secrecy(const struct manager *m, const struct site *s, const struct host *h, struct buf *out)
{
    static const uint8_t levels[] = {[ROUTE_TLS_DEFAULT] = SECRECY_MAY, [ROUTE_TLS_OFF] = SECRECY_NONE, [ROUTE_TLS_OPPORTUNISTIC] = SECRECY_MAY,
                                     [ROUTE_TLS_ENCRYPT] = SECRECY_ENCRYPT, [ROUTE_TLS_VERIFY] = SECRECY_VERIFY};
    const struct config_route *route = &CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[s->route];
    struct secrecy q = {.level = levels[route->tls], .first = s->action == ACTION_RELAY && route->relay_tls_first};
    struct hop hop;
    bool address = s->action != ACTION_MX && site_hop(m, s, s->action == ACTION_RELAY ? h->preference : 0, &hop) && hop.is_address;
    if (!address || q.level == SECRECY_VERIFY) q.name = h->name;
    if (route->tls_dane && h->dane == HOST_DANE_TLSA) { /* it decides, whatever else the route says */
        q.level = SECRECY_DANE;
        q.tlsa = h->tlsa;
    }
    if (q.level == SECRECY_MAY && s->clear) q.level = SECRECY_NONE;
    secrecy_put(out, &q);
}

static bool send_connect(struct manager *m, struct site *s, struct connection *c, const struct host *h)
{
    const struct config_route *route = &CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[s->route];
    bool mx = s->action == ACTION_MX;
    uint16_t port = site_port(m, s, h);
    uint8_t store[IPC_ADDRESSES_BYTES_MAX];
    struct buf addresses = BUF_OVER(store);
    for (uint32_t i = 0; i < h->address_count; i++) {
        struct net_address a = h->addresses[i];
        if (a.family != NET_UNIX) a.port = port;
        else if (s->action != ACTION_LMTP) continue;
        bool other = (route->family == FAMILY_IPV4 && a.family != NET_IPV4) || (route->family == FAMILY_IPV6 && a.family != NET_IPV6);
        if (a.family != NET_UNIX && other) continue;
        address_put(&addresses, &a);
    }
    struct bytes helo = config_bytes(m->config, route->helo);
    uint8_t secrecy_store[SECRECY_BYTES_MAX];
    struct buf secrecy = BUF_OVER(secrecy_store);
    put_secrecy(m, s, h, &secrecy);
    struct ipc_connect q = {
        .connection = slots_handle(&m->connections, c),
        .worker = c->worker,
        .worker_epoch = c->worker_epoch,
        .route = (uint16_t)s->route,
        .from_mx = mx,
        .port = port,
        .deadline_ms = m->config->timeouts.connect,
        .host = h->name,
        .helo = helo.len ? helo : config_bytes(m->config, m->config->hostname),
        .helo_only = s->helo_only,
        .secrecy = buf_bytes(&secrecy),
        .lmtp = s->action == ACTION_LMTP,
        .addresses = buf_bytes(&addresses),
    };
    struct ipc_channel *to = process_channel(m->process, ROLE_CONNECTOR, 0);
    return to && ipc_send_connect(to, &q, -1) == ERR_NONE;
}

/* make - ask the connector for one to this host, for the worker that is to have it; NULL when that cannot be done now. */
static struct connection *make(struct manager *m, struct site *s, const struct host *h)
{
    if (m->connections_total >= m->config->limits.connections_out) return NULL;
    enum quarantine_answer apart = apart_from_others(m, h);
    int32_t worker = apart == QUARANTINE_ALONE ? (int32_t)m->config->workers.delivers : apart == QUARANTINE_FREE ? least_loaded(m) : -1;
    if (worker < 0) return NULL;
    struct connection *c = slots_take(&m->connections);
    if (!c) return NULL;
    struct ipc_channel *deliver = process_channel(m->process, ROLE_DELIVER, (uint16_t)worker);
    c->state = CONNECTION_CONNECTING;
    c->worker = (uint16_t)worker;
    c->worker_epoch = ipc_peer_epoch(deliver);
    c->alone = apart == QUARANTINE_ALONE;
    c->host_len = (uint16_t)h->name.len;
    memcpy(c->host_name, h->name.ptr, h->name.len);
    if (!send_connect(m, s, c, h)) {
        slots_give(&m->connections, c);
        return NULL;
    }
    c->since_ms = process_now_ms(m->process);
    c->pace = s->pace;
    m->connections_by[c->pace]++;
    m->worker_load[worker]++;
    m->connections_total++;
    return c;
}

uint64_t connection_probe(struct manager *m, uint32_t route, const struct host *h)
{
    struct site nobodys = {.action = ACTION_LMTP, .route = (int32_t)route};
    struct connection *c = make(m, &nobodys, h);
    if (!c) return 0;
    c->probes = route + 1;
    return slots_handle(&m->connections, c);
}

bool connection_open(struct manager *m, struct site *s, uint16_t host)
{
    struct host h;
    struct connection *c = connection_place(m, s) && site_host(s, host, &h) ? make(m, s, &h) : NULL;
    if (!c) return false;
    c->site = slots_handle(&m->sites, s);
    c->host = host;
    s->connecting++;
    queue_destination_connections(m->queue, s->destination, s->open + s->connecting);
    return true;
}

bool connection_make(struct manager *m, struct site *s)
{
    uint16_t equal[HOSTS_MAX], count = 0, preference = 0;
    struct cursor c = cursor_over(bytes_of(s->hosts, s->hosts_len));
    struct host h;
    for (uint16_t i = 0; i < HOSTS_MAX && host_next(&c, &h); i++) {
        if ((s->hosts_failed >> i & 1) || (count && h.preference != preference)) continue;
        if (apart_from_others(m, &h) == QUARANTINE_WAIT) continue; /* it has killed workers, and may not be asked now: the one behind it */
        preference = h.preference;
        equal[count++] = i;
    }
    return count && connection_open(m, s, equal[s->rotation++ % count]);
}

void connection_drop(struct manager *m, struct connection *c)
{
    struct site *s = site_of(m, c);
    struct attempt *a = c->attempt ? slots_find(&m->attempts, c->attempt) : NULL;
    if (a) {
        attempt_by(a, a->daemon, bytes_of(c->host_name, c->host_len));
        a->relay = c->remote;
    }
    idle_remove(m, c);
    if (s) {
        if (c->state == CONNECTION_CONNECTING) s->connecting--;
        else s->open--;
        queue_destination_connections(m->queue, s->destination, s->open + s->connecting);
    }
    if (m->worker_load[c->worker]) m->worker_load[c->worker]--;
    m->connections_total--;
    m->connections_by[c->pace]--;
    if (c->probes) probes_lost(m, c);
    slots_give(&m->connections, c);
}

/* has_untried - a host is left that has not failed in this round. When no connection to it can be made it is apart (boxes.h) and waits, or the worker or the
 * connector is away: all of that is ours, and no reason to give mail back. */
static bool has_untried(const struct site *s)
{
    for (uint16_t i = 0; i < s->hosts_count; i++)
        if (!(s->hosts_failed >> i & 1)) return true;
    return false;
}

/* next_host - a host failed before it judged any mail: the one behind it, or the site as a whole. */
static void next_host(struct manager *m, struct site *s, uint16_t failed_host, const struct verdict *v, struct bytes host, const struct net_address *remote)
{
    s->may_recover |= v->class == VERDICT_LATER;
    s->hosts_failed |= 1u << failed_host;
    if (connection_make(m, s)) return;
    if (s->open || s->connecting) return; /* others work: this was one too many */
    if (!s->may_recover && !has_untried(s)) {
        s->fresh_until_ms = process_now_ms(m->process) + MANAGER_SITE_KEEP_MS;
        site_fail(m, s, v);
        return;
    }
    struct verdict later = *v;
    later.class = VERDICT_LATER;
    if (later.enhanced.class == 5) later.enhanced.class = 4;
    site_down(m, s, &later, host, remote);
}

void manager_on_connected(struct process *p, struct ipc_channel *from, const struct ipc_connected *in, int fd)
{
    (void)from;
    (void)fd;
    struct manager *m = manager_of(p);
    struct connection *c = slots_find(&m->connections, in->connection);
    if (!c || c->state != CONNECTION_CONNECTING) return;
    struct site *s = site_of(m, c);
    if (s) {
        s->connecting--;
        s->open++;
        s->may_recover = true; /* what answered once may answer again */
    }
    c->remote = in->remote;
    c->connect_us = in->took_us;
    connection_free_for_next(m, c);
}

void manager_on_failed(struct process *p, struct ipc_channel *from, const struct ipc_failed *in, int fd)
{
    (void)from;
    (void)fd;
    struct manager *m = manager_of(p);
    struct connection *c = slots_find(&m->connections, in->connection);
    if (!c || c->state != CONNECTION_CONNECTING) return;
    struct site *s = site_of(m, c);
    uint16_t host = c->host;
    connection_drop(m, c);
    if (!s || in->ours) return; /* ours: its destination is looked at again anyway, in a moment (SITE_LOOK_AGAIN_MS) */
    struct verdict v = {.class = in->permanent ? VERDICT_NEVER : VERDICT_LATER, .scope = SCOPE_SITE, .step = STEP_CONNECT,
                        .enhanced = {in->permanent ? 5 : 4, 4, in->permanent ? 4 : 1}, .text = in->text};
    next_host(m, s, host, &v, (struct bytes){0}, NULL);
}

void connection_quit(struct manager *m, struct connection *c)
{
    struct ipc_close close_it = {.connection = slots_handle(&m->connections, c)};
    struct ipc_channel *to = process_channel(m->process, ROLE_DELIVER, c->worker);
    idle_remove(m, c);
    c->state = CONNECTION_CLOSING;
    if (to && ipc_send_close(to, &close_it, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a delivery worker does not take messages: channel full");
}

/* connection_next - give an idle connection the next message of its destination; false when there is none. */
bool connection_next(struct manager *m, struct connection *c)
{
    struct site *s = site_of(m, c);
    struct ipc_channel *worker = process_channel(m->process, ROLE_DELIVER, c->worker);
    if (!s || process_draining(m->process) || !worker || ipc_peer_epoch(worker) != c->worker_epoch) return false;
    if (c->alone ? c->uses > 0 : quarantine_holds(QUARANTINE_REMOTES, &c->remote)) {
        connection_quit(m, c);
        return true;
    }
    const struct config_route *route = &CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[s->route];
    if (route->messages_per_connection && c->uses >= route->messages_per_connection) {
        connection_quit(m, c);
        return true;
    }
    struct attempt *a = attempt_take(m, s->destination, route->rcpts_max);
    if (!a) return false;
    idle_remove(m, c);
    c->state = CONNECTION_BUSY;
    c->since_ms = process_now_ms(m->process);
    c->uses++;
    c->attempt = slots_handle(&m->attempts, a);
    a->connection = slots_handle(&m->connections, c);
    a->daemon = s->action == ACTION_LMTP ? "lmtp" : "smtp";
    a->final_here = s->action == ACTION_LMTP;
    a->connection_uses = c->uses;
    a->connect_us = c->uses == 1 ? c->connect_us : 0;
    attempt_begin(m, a);
    return true;
}

void connection_free_for_next(struct manager *m, struct connection *c)
{
    struct site *s = site_of(m, c);
    if (c->state == CONNECTION_BUSY) paced(m, s, c, process_now_ms(m->process));
    idle_add(m, c);
    if ((s && s->reuse_off && c->uses) || process_draining(m->process)) {
        connection_quit(m, c);
        return;
    }
    if (c->probes) {
        probes_ready(m, c);
        return;
    }
    if (!connection_next(m, c) && s) queue_destination_wait(m->queue, s->destination, 0);
}

void connection_lost_job(struct manager *m, struct connection *c) { idle_add(m, c); }

void manager_on_closed(struct process *p, struct ipc_channel *from, const struct ipc_closed *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    struct connection *c = slots_find(&m->connections, in->connection);
    if (!c || c->worker != ipc_peer_index(from) || c->worker_epoch != ipc_peer_epoch(from)) return;
    struct site *s = site_of(m, c);
    struct attempt *a = c->attempt ? slots_find(&m->attempts, c->attempt) : NULL;
    uint16_t host = c->host;
    bool was_connecting = c->state == CONNECTION_CONNECTING; /* CLOSED came before CONNECTED: two channels have no order */
    bool unused = c->uses == 0 || (c->uses == 1 && a);
    uint8_t name[HOST_NAME_BYTES_MAX];
    struct bytes host_name = bytes_of(name, c->host_len);
    memcpy(name, c->host_name, c->host_len);
    struct net_address remote = c->remote;
    if (c->alone && c->carried && quarantine_release(QUARANTINE_REMOTES, &remote)) crashes_release(QUARANTINE_REMOTES, &remote);
    connection_drop(m, c);
    if (a && a->state != ATTEMPT_SETTLING) attempt_return(m, a);
    if (!s) return;
    if (in->reuse_off) s->reuse_off = true;
    if (in->helo_only_next && !s->helo_only) {
        s->helo_only = true;
        if (connection_open(m, s, host)) return;
    }
    if (in->clear_next && !s->clear) {
        s->clear = true;
        if (connection_open(m, s, host)) return;
    }
    if (in->class != VERDICT_NONE && (unused || was_connecting)) {
        struct verdict v = {
            .class = in->class, .scope = SCOPE_SITE, .step = in->step, .remote = in->remote, .code = in->code,
            .enhanced = {in->enhanced_class, in->enhanced_subject, in->enhanced_detail}, .text = in->text,
        };
        next_host(m, s, host, &v, host_name, &remote);
        return;
    }
    queue_destination_wait(m->queue, s->destination, 0);
}

/* The connector died: what it had in hand is asked for again. */
void connections_connector_gone(struct manager *m)
{
    struct connection *next;
    for (struct connection *c = slots_next(&m->connections, NULL); c; c = next) {
        next = slots_next(&m->connections, c);
        if (c->state != CONNECTION_CONNECTING) continue;
        struct site *s = site_of(m, c);
        connection_drop(m, c);
        if (s) queue_destination_wait(m->queue, s->destination, 0);
    }
}

void connections_tidy(struct manager *m)
{
    uint64_t now = process_now_ms(m->process);
    struct connection *next;
    for (struct connection *c = slots_next(&m->connections, NULL); c; c = next) {
        next = slots_next(&m->connections, c);
        if (c->state == CONNECTION_IDLE && now - c->since_ms >= MANAGER_IDLE_KEEP_MS) connection_quit(m, c);
        bool waits = c->state == CONNECTION_CONNECTING || c->state == CONNECTION_BUSY;
        if (waits && c->pace != PACE_SLOW && now - c->since_ms >= MANAGER_PROMPT_MS) paced(m, site_of(m, c), c, now);
    }
}
