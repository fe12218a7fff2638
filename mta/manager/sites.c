/*
 * sites - destinations that are being worked on: where their mail goes, how many connections are worth having.
 *
 * A site is memory only: what must last (back-off, suspension) is the queue's. It is made when a destination has due mail, resolved once for all its
 * messages, and forgotten when it was not used for a while.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "mta/manager/manager.h"
#include "mta/process/dispatch.h"

enum {
    RESOLVER_DEATHS_MAX = 2,  /* with the same question open: the destination backs off */
    SITE_TTL_MIN_MS = 5000,   /* a TTL of zero must not make a look-up of every message */
    SITE_FAIL_BATCH = 64,     /* messages of a dead domain that are bounced in one turn */
    SITE_LOOK_AGAIN_MS = 200, /* a destination whose connections are all busy: they take its mail themselves as they come free */
};

static uint32_t bucket(uint64_t destination) { return (uint32_t)(hash_mix(destination) % MANAGER_SITES_MAX); }

static struct site *lookup(struct manager *m, uint64_t destination)
{
    uint32_t at = m->site_table[bucket(destination)];
    while (at) {
        struct site *s = (struct site *)(void *)(m->sites.objects + (size_t)(at - 1) * m->sites.object_bytes);
        if (s->destination == destination) return s;
        at = s->hash_next;
    }
    return NULL;
}

static uint64_t name_hash(const struct manager *m, const struct site *s)
{
    return hash_bytes(m->prompt_key, bytes_of(s->name, s->name_len)) | 1; /* never 0: an empty place */
}

static uint64_t *prompt_place(struct manager *m, uint64_t name) { return &m->prompt[(name >> 1) % MANAGER_PROMPT_MAX]; }

void site_paced(struct manager *m, struct site *s, enum pace pace)
{
    uint64_t name = name_hash(m, s), *place = prompt_place(m, name);
    s->pace = (uint8_t)pace;
    if (pace == PACE_PROMPT) *place = name;
    else if (*place == name) *place = 0;
}

struct site *site_get(struct manager *m, uint64_t destination)
{
    struct site *s = lookup(m, destination);
    if (s) return s;
    struct queue_destination d;
    if (!queue_destination(m->queue, destination, &d) || d.name.len > sizeof s->name) return NULL;
    s = slots_take(&m->sites);
    if (!s) return NULL;
    s->destination = destination;
    memcpy(s->name, d.name.ptr, d.name.len);
    s->name_len = (uint16_t)d.name.len;
    uint64_t name = name_hash(m, s);
    s->pace = *prompt_place(m, name) == name ? PACE_PROMPT : PACE_UNKNOWN;
    struct bytes domain;
    names_parse(m->config, bytes_of(s->name, s->name_len), &s->action, &s->route, &domain);
    s->domain_len = (uint16_t)domain.len;
    uint32_t *head = &m->site_table[bucket(destination)];
    s->hash_next = *head;
    *head = (uint32_t)slots_handle(&m->sites, s) + 1;
    return s;
}

static void forget(struct manager *m, struct site *s)
{
    uint32_t self = (uint32_t)slots_handle(&m->sites, s) + 1;
    uint32_t *at = &m->site_table[bucket(s->destination)];
    while (*at != self) at = &((struct site *)(void *)(m->sites.objects + (size_t)(*at - 1) * m->sites.object_bytes))->hash_next;
    *at = s->hash_next;
    free(s->hosts);
    slots_give(&m->sites, s);
}

static const struct config_route *route_of(const struct manager *m, const struct site *s)
{
    return &CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[s->route];
}

/* The domain stands at the end of an mx destination's name. */
static struct bytes domain_of(const struct site *s) { return bytes_of(s->name + s->name_len - s->domain_len, s->domain_len); }

bool site_host(const struct site *s, uint16_t index, struct host *out)
{
    struct cursor c = cursor_over(bytes_of(s->hosts, s->hosts_len));
    for (uint16_t i = 0; host_next(&c, out); i++)
        if (i == index) return true;
    return false;
}

static bool keep_hosts(struct site *s, struct bytes hosts, uint16_t count)
{
    uint8_t *copy = malloc(hosts.len ? hosts.len : 1);
    if (!copy) return false;
    if (hosts.len) memcpy(copy, hosts.ptr, hosts.len);
    free(s->hosts);
    s->hosts = copy;
    s->hosts_len = hosts.len;
    s->hosts_count = count;
    s->hosts_failed = 0;
    return true;
}

void site_fail(struct manager *m, struct site *s, const struct verdict *v)
{
    s->state = SITE_FAILED;
    s->failure = *v;
    uint32_t n = v->text.len < sizeof s->failure_text ? v->text.len : (uint32_t)sizeof s->failure_text;
    if (n) memcpy(s->failure_text, v->text.ptr, n);
    s->failure.text = bytes_of(s->failure_text, n);
    site_feed(m, s->destination);
}

/* resolve - begin finding the hosts. A relay given as an address, or as a literal domain, needs nobody. */
static void resolve(struct manager *m, struct site *s)
{
    const struct config_route *route = route_of(m, s);
    struct net_address literal = {0};
    bool given = s->action == ACTION_RELAY && route->relay_is_address;
    struct bytes name = s->action == ACTION_RELAY ? config_bytes(m->config, route->relay_host) : domain_of(s);
    if (given) literal = route->relay_address;
    if (s->action == ACTION_MX && name.len > 2 && name.ptr[0] == '[') {
        struct bytes inside = bytes_slice(name, 1, name.len - 2);
        if (bytes_starts_nocase(inside, BYTES("IPv6:"))) inside = bytes_from(inside, 5);
        given = net_parse_ip(inside, &literal);
    }
    if (given) {
        uint8_t store[512];
        struct buf list = BUF_OVER(store);
        struct host h = {.name = name, .address_count = 1};
        h.addresses[0] = literal;
        host_put(&list, &h);
        if (!keep_hosts(s, buf_bytes(&list), 1)) return;
        s->state = SITE_READY;
        s->fresh_until_ms = process_now_ms(m->process) + MANAGER_SITE_KEEP_MS;
        return;
    }
    struct ipc_channel *to = process_channel(m->process, ROLE_RESOLVER, 0);
    if (!to || m->resolving >= MANAGER_LOOKUPS_MAX) return; /* asked again when it is back, or at the next look */
    struct ipc_lookup q = {
        .request = slots_handle(&m->sites, s),
        .kind = s->action == ACTION_MX ? LOOKUP_MX : LOOKUP_ADDRESS,
        .family = route->family,
        .dane_port = !route->tls_dane ? 0 : s->action == ACTION_MX ? m->config->connect.mx_port : route->relay_port,
        .name = name,
    };
    if (ipc_send_lookup(to, &q, -1) == ERR_NONE) {
        s->state = SITE_RESOLVING;
        m->resolving++;
        s->lookup = q.request;
    }
}

/* What a failed look-up means for mail (RFC 5321 5.1, 7505; RFC 3463). */
static const struct { uint8_t status, class; struct enhanced enhanced; const char *words; } meanings[] = {
    {ANSWER_NO_DOMAIN, VERDICT_NEVER, {5, 1, 2}, "Host or domain name not found. Name service error: no such domain"},
    {ANSWER_NO_DATA, VERDICT_NEVER, {5, 1, 2}, "Host or domain name found, but it has neither an MX nor an address record"},
    {ANSWER_NULL_MX, VERDICT_NEVER, {5, 1, 10}, "Domain does not accept mail (null MX)"},
    {ANSWER_TEMPORARY, VERDICT_LATER, {4, 4, 3}, "Host or domain name not found. Name service error: try again"},
    {ANSWER_BOGUS, VERDICT_LATER, {4, 7, 5}, "DNSSEC validation of the domain's records failed"},
    {ANSWER_LOOP, VERDICT_NEVER, {5, 4, 6}, "Mail for this domain loops back to myself"},
};

void manager_on_answer(struct process *p, struct ipc_channel *from, const struct ipc_answer *in, int fd)
{
    (void)from;
    (void)fd;
    struct manager *m = manager_of(p);
    struct site *s = slots_find(&m->sites, in->request);
    if (!s || s->state != SITE_RESOLVING || s->lookup != in->request) return;
    m->resolving--;
    uint64_t ttl_ms = (uint64_t)in->ttl_s * 1000;
    if (ttl_ms > MANAGER_SITE_KEEP_MS) ttl_ms = MANAGER_SITE_KEEP_MS;
    if (ttl_ms < SITE_TTL_MIN_MS) ttl_ms = SITE_TTL_MIN_MS;
    s->resolver_deaths = 0;
    s->fresh_until_ms = process_now_ms(p) + ttl_ms;
    s->secure = in->secure;
    s->clear = false;
    if (in->status == ANSWER_FOUND) {
        struct cursor c = cursor_over(in->hosts);
        struct host h;
        uint16_t count = 0;
        while (host_next(&c, &h)) count++;
        if (!c.failed && count && count <= HOSTS_MAX && keep_hosts(s, in->hosts, count)) {
            s->state = SITE_READY;
            site_feed(m, s->destination);
            return;
        }
    }
    struct verdict v = {.class = VERDICT_LATER, .scope = SCOPE_SITE, .step = STEP_RESOLVE, .enhanced = {4, 4, 3}, .text = in->text};
    for (uint32_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (meanings[i].status != in->status) continue;
        v.class = meanings[i].class;
        v.enhanced = meanings[i].enhanced;
        if (!v.text.len) v.text = bytes_of_cstr(meanings[i].words);
        /* A relay host of our own configuration that cannot be found is the operator's to mend: mail waits. */
        if (s->action == ACTION_RELAY && v.class == VERDICT_NEVER) {
            v.class = VERDICT_LATER;
            v.enhanced = (struct enhanced){4, 4, 4};
        }
    }
    if (!v.text.len) v.text = BYTES("Name service error: broken answer");
    if (v.class == VERDICT_LATER) {
        s->state = SITE_NEW;
        site_down(m, s, &v, (struct bytes){0}, NULL);
        return;
    }
    site_fail(m, s, &v);
}

void site_down(struct manager *m, struct site *s, const struct verdict *v, struct bytes host, const struct net_address *remote)
{
    s->hosts_failed = 0;
    s->helo_only = s->may_recover = s->clear = false;
    /* One message bears the news in the log and in its listing; the destination's back-off holds the others without touching them. */
    struct attempt *a = attempt_take(m, s->destination, UINT32_MAX);
    uint8_t store[1024];
    struct buf reason = BUF_OVER(store);
    reason_write(&reason, v, host, remote);
    queue_site_failed(m->queue, s->destination, buf_bytes(&reason), process_now_wall_us(m->process));
    if (!a) return;
    attempt_by(a, "smtp", host);
    a->relay = remote ? *remote : (struct net_address){0};
    struct verdict site = *v;
    site.scope = SCOPE_SITE;
    attempt_all(m, a, &site);
}

/* fail_jobs - a destination that can take no mail at all: every due message is told so, some a turn. */
static void fail_jobs(struct manager *m, struct site *s)
{
    for (uint32_t i = 0; i < SITE_FAIL_BATCH; i++) {
        struct attempt *a = attempt_take(m, s->destination, UINT32_MAX);
        if (!a) return;
        a->daemon = "smtp";
        attempt_all(m, a, &s->failure);
    }
    queue_destination_wait(m->queue, s->destination, 0);
    process_wake(m->process);
}

static uint32_t connections_wanted(const struct manager *m, const struct site *s)
{
    struct queue_destination d;
    if (!queue_destination(m->queue, s->destination, &d)) return 0;
    const struct config_route *route = route_of(m, s);
    uint32_t most = d.concurrency;
    if (route->connections_max && most > route->connections_max) most = route->connections_max;
    uint64_t useful = d.due_count + s->open;
    return useful < most ? (uint32_t)useful : most;
}

static void smtp_feed(struct manager *m, struct site *s)
{
    while (s->idle)
        if (!connection_next(m, s->idle)) return;
    uint64_t now = process_now_ms(m->process);
    if (s->state != SITE_RESOLVING && s->state != SITE_NEW && now >= s->fresh_until_ms && !s->connecting) s->state = SITE_NEW;
    if (s->state == SITE_NEW) resolve(m, s);
    if (s->state == SITE_FAILED) fail_jobs(m, s);
    if (s->state != SITE_READY) return;
    uint32_t wanted = connections_wanted(m, s);
    while (s->open + s->connecting < wanted && connection_make(m, s)) continue;
    if (wanted && !s->open && !s->connecting && !connection_place(m, s)) {
        queue_destination_wait(m->queue, s->destination, now + MANAGER_PLACES_LATER_MS);
        return;
    }
    /* Hosts that failed while another connection worked were left alone for its sake. It has ended: at the next look they are asked again. */
    if (wanted && !s->open && !s->connecting) s->hosts_failed = 0;
}

void site_feed(struct manager *m, uint64_t destination)
{
    struct site *s = site_get(m, destination);
    bool local = s && s->action != ACTION_MX && s->action != ACTION_RELAY;
    /* Without a site: all places are taken, and one may be free then. */
    if (!local) queue_destination_wait(m->queue, destination, process_now_ms(m->process) + SITE_LOOK_AGAIN_MS);
    if (!s) return;
    s->used_ms = process_now_ms(m->process);
    if (local) local_feed(m, s);
    else smtp_feed(m, s);
}

void sites_tidy(struct manager *m)
{
    uint64_t now = process_now_ms(m->process);
    struct site *next;
    for (struct site *s = slots_next(&m->sites, NULL); s; s = next) {
        next = slots_next(&m->sites, s);
        bool idle = !s->open && !s->connecting && s->state != SITE_RESOLVING;
        if (idle && now - s->used_ms > MANAGER_SITE_KEEP_MS) forget(m, s);
    }
}

/* The resolver died: what it was asked is asked again when the destination is fed. */
void sites_resolver_gone(struct manager *m)
{
    static const struct verdict deadly = {.class = VERDICT_LATER, .scope = SCOPE_SITE, .step = STEP_RESOLVE, .enhanced = {4, 4, 3},
                                          .text = BYTES_INIT("Name service error: the resolver died twice while it was asked for this name")};
    for (struct site *s = slots_next(&m->sites, NULL); s; s = slots_next(&m->sites, s)) {
        if (s->state != SITE_RESOLVING) continue;
        s->state = SITE_NEW;
        m->resolving--;
        if (++s->resolver_deaths >= RESOLVER_DEATHS_MAX) { /* perhaps it is this name's answer: it waits, so that others get theirs */
            s->resolver_deaths = 0;
            site_down(m, s, &deadly, (struct bytes){0}, NULL);
            continue;
        }
        queue_destination_wait(m->queue, s->destination, 0);
    }
}
