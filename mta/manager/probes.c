/*
 * probes - recipients that the route's LMTP server is asked for at RCPT time, so that who does not exist is refused while the client is still there, and
 * nothing has to be returned to a sender who may be forged.
 *
 * Over a connection of its own for each route: MAIL FROM:<>, RCPT, RSET. One question at a time; the answers are kept for a while, under a keyed hash of the
 * address, so that a name that is asked for again and again costs the server nothing. What cannot be told now is said so at once, and is not kept.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "mta/manager/boxes.h"
#include "mta/process/dispatch.h"

enum {
    QUESTIONS_MAX = 1024,               /* that wait, of all routes: receivers have so many sessions at RCPT rarely */
    QUESTIONS_OF_ROUTE_MAX = 512,
    CACHE_ENTRIES = 1 << 16,            /* of 24 octets */
    KNOWN_KEEP_MS = 60 * 60 * 1000,     /* who exists rarely ceases to; then mail is returned, as it would be without asking */
    UNKNOWN_KEEP_MS = 60 * 1000,        /* a mailbox that was just made takes mail within a minute */
    RETRY_MS = 1000,                    /* a server that cannot be reached is left alone for so long */
    ASK_MS = 9000,                      /* below what a receiver waits */
};

enum known { KNOWN_NO = 0, KNOWN_YES, KNOWN_UNCLEAR }; /* as in RCPT_CHECKED */

struct question {
    uint32_t next;                      /* index + 1, of the route's waiting ones or the free ones */
    uint16_t receiver;
    uint32_t receiver_epoch;
    uint64_t request, until_ms, key;
    uint16_t rcpt_len;
    uint8_t rcpt[MAIL_ADDRESS_BYTES_MAX];
};

struct checker {                        /* of one route */
    uint64_t connection;                /* handle; 0 = none */
    uint64_t resolving;                 /* LOOKUP under way; 0 = none */
    uint64_t retry_ms;
    uint64_t asked;                     /* handle of the question that the worker has; 0 = none */
    bool ready;                         /* the connection is idle */
    uint32_t head, tail, count;         /* index + 1 of waiting questions; the first is the one that was asked */
};

struct kept { uint64_t key, until_ms; uint8_t known; };

static struct question *questions;
static uint32_t free_head;
static struct checker *checkers;
static uint32_t route_count;
static struct kept *cache;
static struct hash_key secret;
static uint64_t last_handle;

bool probes_open(struct manager *m)
{
    const struct config_route *routes = CONFIG_ITEMS(m->config, m->config->routes, struct config_route);
    bool wanted = false;
    for (uint32_t i = 0; routes && i < m->config->routes.count; i++) wanted |= routes[i].check == CHECK_LMTP;
    if (!wanted) return true;
    questions = calloc(QUESTIONS_MAX, sizeof *questions);
    route_count = m->config->routes.count;
    checkers = calloc(route_count, sizeof *checkers);
    cache = calloc(CACHE_ENTRIES, sizeof *cache);
    secret = hash_key_random();
    for (uint32_t i = 0; questions && i < QUESTIONS_MAX; i++) questions[i].next = i + 1 < QUESTIONS_MAX ? i + 2 : 0;
    free_head = 1;
    return questions && checkers && cache;
}

static const struct config_route *route_of(const struct manager *m, uint32_t route)
{
    return &CONFIG_ITEMS(m->config, m->config->routes, struct config_route)[route];
}

/* ---- answers ---- */

static struct kept *place_of(uint64_t key) { return &cache[key % CACHE_ENTRIES]; }

static void tell(struct manager *m, const struct question *q, enum known known)
{
    struct ipc_channel *to = process_channel(m->process, ROLE_RECEIVER, q->receiver);
    struct ipc_rcpt_checked answer = {.request = q->request, .known = (uint8_t)known};
    if (to && ipc_peer_epoch(to) == q->receiver_epoch) (void)!ipc_send_rcpt_checked(to, &answer, -1); /* it stops waiting by itself */
}

/* answer_first - the question at the head of a route's list. */
static void answer_first(struct manager *m, struct checker *k, enum known known)
{
    uint32_t index = k->head;
    struct question *q = &questions[index - 1];
    tell(m, q, known);
    if (known != KNOWN_UNCLEAR)
        *place_of(q->key) = (struct kept){q->key, process_now_ms(m->process) + (known == KNOWN_YES ? KNOWN_KEEP_MS : UNKNOWN_KEEP_MS), (uint8_t)known};
    k->head = q->next;
    if (!k->head) k->tail = 0;
    k->count--;
    q->next = free_head;
    free_head = index;
}

static void answer_all(struct manager *m, struct checker *k)
{
    while (k->head) answer_first(m, k, KNOWN_UNCLEAR);
}

/* ---- asking ---- */

static void give_up(struct manager *m, struct checker *k)
{
    k->retry_ms = process_now_ms(m->process) + RETRY_MS;
    k->asked = 0;
    answer_all(m, k);
}

static void connect_to(struct manager *m, uint32_t route, const struct host *h)
{
    struct checker *k = &checkers[route];
    k->ready = false;
    k->connection = connection_probe(m, route, h);
    if (!k->connection) give_up(m, k);
}

static void find_host(struct manager *m, uint32_t route)
{
    const struct config_route *r = route_of(m, route);
    struct host h = {.name = config_bytes(m->config, r->relay_host), .address_count = 1};
    if (r->relay_is_address) {
        h.addresses[0] = r->relay_address;
        connect_to(m, route, &h);
        return;
    }
    struct ipc_channel *to = process_channel(m->process, ROLE_RESOLVER, 0);
    struct ipc_lookup ask = {.request = 1ULL << PROBES_BIT | route, .kind = LOOKUP_ADDRESS, .family = r->family, .name = h.name};
    if (to && ipc_send_lookup(to, &ask, -1) == ERR_NONE) checkers[route].resolving = process_now_ms(m->process) + ASK_MS;
    else give_up(m, &checkers[route]);
}

void probes_answer(struct manager *m, const struct ipc_answer *in)
{
    uint64_t route = in->request & ~(1ULL << PROBES_BIT);
    struct cursor list = cursor_over(in->hosts);
    struct host h;
    if (!checkers || route >= m->config->routes.count || !checkers[route].resolving) return;
    checkers[route].resolving = 0;
    if (in->status == ANSWER_FOUND && host_next(&list, &h)) connect_to(m, (uint32_t)route, &h);
    else give_up(m, &checkers[route]);
}

static void ask(struct manager *m, struct checker *k, struct connection *c)
{
    const struct question *q = &questions[k->head - 1];
    uint8_t memory[RCPT_ENTRY_BYTES_MAX];
    struct buf list = BUF_OVER(memory);
    struct rcpt rcpt = {.address = bytes_of(q->rcpt, q->rcpt_len)};
    rcpt_put(&list, &rcpt);
    struct ipc_channel *worker = process_channel(m->process, ROLE_DELIVER, c->worker);
    struct ipc_attempt attempt = {.attempt = 1ULL << PROBES_BIT | ++last_handle, .connection = k->connection, .probe = 1, .rcpt_count = 1,
                                  .rcpts = buf_bytes(&list)};
    if (!worker || ipc_peer_epoch(worker) != c->worker_epoch || ipc_send_attempt(worker, &attempt, -1) != ERR_NONE) {
        give_up(m, k);
        return;
    }
    k->ready = false;
    k->asked = attempt.attempt;
    c->state = CONNECTION_BUSY;
    c->attempt = attempt.attempt;
    c->uses++;
}

static void go_on(struct manager *m, uint32_t route)
{
    struct checker *k = &checkers[route];
    if (!k->head || k->asked || k->resolving) return;
    struct connection *c = k->connection ? slots_find(&m->connections, k->connection) : NULL;
    if (c && k->ready && c->state == CONNECTION_IDLE) ask(m, k, c);
    else if (!c && process_now_ms(m->process) < k->retry_ms) answer_all(m, k);
    else if (!c) find_host(m, route);
}

void probes_ready(struct manager *m, struct connection *c)
{
    struct checker *k = &checkers[c->probes - 1];
    const struct config_route *r = route_of(m, c->probes - 1);
    bool worn = (c->alone && c->uses) || (r->messages_per_connection && c->uses >= r->messages_per_connection);
    k->ready = !worn;
    if (worn) connection_quit(m, c); /* what waits goes on over the next one, when this has ended */
    else go_on(m, c->probes - 1);
}

/* A connection that has ended well leaves no doubt; any other one does, for who was asked for and whoever waits. */
void probes_lost(struct manager *m, const struct connection *c)
{
    struct checker *k = &checkers[c->probes - 1];
    if (k->connection != slots_handle(&m->connections, c)) return;
    bool unasked = c->state == CONNECTION_CLOSING || c->state == CONNECTION_IDLE;
    k->connection = 0;
    k->ready = false;
    if (unasked && !k->asked) process_wake(m->process);
    else give_up(m, k);
}

static enum known meaning(const struct ipc_result *in)
{
    bool full = in->code == 552 || (in->enhanced_subject == 2 && in->enhanced_detail == 2);
    if (in->class == VERDICT_NONE) return in->code / 100 == 2 ? KNOWN_YES : KNOWN_UNCLEAR;
    if (full && (in->class == VERDICT_NEVER || in->class == VERDICT_LATER)) return KNOWN_YES; /* it exists: the delivery decides, by mailbox-full */
    return in->class == VERDICT_NEVER && in->scope == SCOPE_RECIPIENT ? KNOWN_NO : KNOWN_UNCLEAR;
}

/* leave - the connection of a question that was given up. */
static void leave(struct manager *m, const struct ipc_channel *from, uint64_t attempt)
{
    for (struct connection *c = slots_next(&m->connections, NULL); c; c = slots_next(&m->connections, c)) {
        if (c->attempt != attempt || c->worker != ipc_peer_index(from) || c->worker_epoch != ipc_peer_epoch(from)) continue;
        c->attempt = 0;
        connection_quit(m, c);
        return;
    }
}

bool probes_result(struct manager *m, const struct ipc_channel *from, const struct ipc_result *in)
{
    for (uint32_t route = 0; checkers && route < route_count; route++) {
        struct checker *k = &checkers[route];
        if (!k->asked || k->asked != in->attempt) continue;
        struct connection *c = slots_find(&m->connections, k->connection);
        if (!c || c->worker != ipc_peer_index(from) || c->worker_epoch != ipc_peer_epoch(from)) return false;
        if (k->head) answer_first(m, k, meaning(in));
        if (!in->last) return true;
        k->asked = 0;
        c->attempt = 0;
        c->carried = true;
        connection_free_for_next(m, c);
        return true;
    }
    if (in->last) leave(m, from, in->attempt);
    return true; /* of a question that was given up meanwhile */
}

void manager_on_rcpt_check(struct process *p, struct ipc_channel *from, const struct ipc_rcpt_check *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    if (!checkers || in->route >= m->config->routes.count || route_of(m, in->route)->check != CHECK_LMTP) {
        process_violation(p, from, "a RCPT_CHECK for a route that does not check so");
        return;
    }
    struct checker *k = &checkers[in->route];
    struct question q = {.receiver = ipc_peer_index(from), .receiver_epoch = ipc_peer_epoch(from), .request = in->request,
                         .until_ms = process_now_ms(p) + ASK_MS, .rcpt_len = (uint16_t)in->rcpt.len,
                         .key = hash_bytes_nocase(secret, in->rcpt) ^ hash_mix(in->route + 1u)};
    memcpy(q.rcpt, in->rcpt.ptr, in->rcpt.len);
    const struct kept *e = place_of(q.key);
    if (e->key == q.key && process_now_ms(p) < e->until_ms) {
        tell(m, &q, (enum known)e->known);
        return;
    }
    if (!free_head || k->count >= QUESTIONS_OF_ROUTE_MAX || process_draining(p)) {
        tell(m, &q, KNOWN_UNCLEAR);
        return;
    }
    uint32_t index = free_head;
    free_head = questions[index - 1].next;
    questions[index - 1] = q;
    if (k->tail) questions[k->tail - 1].next = index;
    else k->head = index;
    k->tail = index;
    k->count++;
    go_on(m, in->route);
}

/* ---- time ---- */

/* Who has waited too long is told so; a question that a worker has stays first in the list until its connection says something. */
void probes_turn(struct manager *m)
{
    uint64_t now = process_now_ms(m->process);
    for (uint32_t route = 0; checkers && route < route_count; route++) {
        struct checker *k = &checkers[route];
        if (k->resolving && now >= k->resolving) {
            k->resolving = 0;
            give_up(m, k);
        }
        if (k->head && now >= questions[k->head - 1].until_ms) {
            struct connection *c = slots_find(&m->connections, k->connection);
            k->connection = 0; /* slow, or dead: the next question gets another one */
            give_up(m, k);
            if (c && c->state == CONNECTION_IDLE) connection_quit(m, c);
        }
        go_on(m, route);
    }
}

uint64_t probes_deadline(void)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; checkers && i < route_count; i++) /* the first in a list has waited for longest */
        if (checkers[i].head && questions[checkers[i].head - 1].until_ms < first) first = questions[checkers[i].head - 1].until_ms;
    return first;
}
