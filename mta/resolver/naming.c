/*
 * naming - the forward-confirmed name of a client: a PTR name counts only when it has the client's address itself (RFC 1912 2.1).
 */
#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/resolver/resolver.h"

static struct resolver *self;

static void answer(struct naming *n, struct bytes name, enum naming_result why)
{
    if (n->answered) return;
    n->answered = true;
    heap_remove(&self->naming_timers, &n->timer);
    struct ipc_channel *to = process_channel(self->process, ROLE_RECEIVER, n->receiver);
    struct ipc_client_named m = {.request = n->request, .name = name, .why = (uint8_t)why};
    if (to && ipc_peer_epoch(to) == n->receiver_epoch && ipc_send_client_named(to, &m, -1) != ERR_NONE)
        log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

static void settle(struct naming *n)
{
    if (n->pending) return;
    answer(n, (struct bytes){0}, n->temporary ? NAMING_TEMPORARY : n->name_count ? NAMING_UNCONFIRMED : NAMING_NO_NAME);
    n->used = false;
}

static void address_came(void *context, uint32_t tag, enum question_status status, bool secure, const struct dns_result *result)
{
    (void)secure;
    struct naming *n = context;
    must(n->used && n->pending && tag < PTR_NAMES_MAX);
    n->pending--;
    if (status == QUESTION_TEMPORARY) n->temporary = true;
    for (uint32_t i = 0; status == QUESTION_FOUND && i < result->count; i++)
        if (net_same_ip(&result->records[i].address, &n->client)) answer(n, bytes_of(n->names[tag].text, n->names[tag].len), NAMING_CONFIRMED);
    settle(n);
}

static void name_came(void *context, uint32_t tag, enum question_status status, bool secure, const struct dns_result *result)
{
    (void)tag;
    (void)secure;
    struct naming *n = context;
    must(n->used && n->pending);
    if (status == QUESTION_TEMPORARY) n->temporary = true;
    for (uint32_t i = 0; status == QUESTION_FOUND && i < result->count && n->name_count < PTR_NAMES_MAX; i++)
        if (result->records[i].name.len && result->records[i].name.is_host) n->names[n->name_count++] = result->records[i].name;
    enum dns_type type = n->client.family == NET_IPV4 ? DNS_A : DNS_AAAA;
    for (uint32_t i = 0; i < n->name_count && !n->answered; i++) {
        n->pending++;
        question_ask(self->unbound, bytes_of(n->names[i].text, n->names[i].len), type, n, i, address_came);
    }
    n->pending--; /* held until here, since answers may come at once */
    if (n->used) settle(n);
}

static void reverse_name(const struct net_address *a, struct buf *out)
{
    if (a->family == NET_IPV4) {
        for (uint32_t i = 4; i > 0; i--) {
            buf_put_u64(out, a->ip[i - 1]);
            buf_put_c(out, '.');
        }
        BUF_LIT(out, "in-addr.arpa");
        return;
    }
    for (uint32_t i = 16; i > 0; i--) {
        buf_put_hex(out, a->ip[i - 1] & 15, 1);
        buf_put_c(out, '.');
        buf_put_hex(out, a->ip[i - 1] >> 4, 1);
        buf_put_c(out, '.');
    }
    BUF_LIT(out, "ip6.arpa");
}

void naming_begin(struct resolver *r, struct ipc_channel *from, const struct ipc_client_name *m)
{
    self = r;
    struct naming *n = NULL;
    for (uint32_t i = 0; i < NAMINGS_MAX && !n; i++)
        if (!r->namings[i].used) n = &r->namings[i];
    if (!n || !m->client.family) {
        struct ipc_client_named unknown = {.request = m->request, .why = NAMING_TEMPORARY};
        if (ipc_send_client_named(from, &unknown, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
        return;
    }
    memset(n, 0, offsetof(struct naming, names));
    n->used = true;
    n->request = m->request;
    n->receiver = ipc_peer_index(from);
    n->receiver_epoch = ipc_peer_epoch(from);
    n->client = m->client;
    n->pending = 1;
    must(heap_put(&r->naming_timers, &n->timer, process_now_ms(r->process) + r->config->resolver.timeout_ms) == ERR_NONE);
    uint8_t store[DNS_NAME_BYTES_MAX];
    struct buf name = BUF_OVER(store);
    reverse_name(&m->client, &name);
    question_ask(r->unbound, buf_bytes(&name), DNS_PTR, n, 0, name_came);
}

void naming_timers(struct resolver *r, uint64_t now_ms)
{
    for (struct heap_node *node = heap_first(&r->naming_timers); node && node->key <= now_ms; node = heap_first(&r->naming_timers)) {
        struct naming *n = (struct naming *)(void *)((char *)node - offsetof(struct naming, timer));
        answer(n, (struct bytes){0}, NAMING_TEMPORARY); /* the slot is free when the last question came back */
    }
}
