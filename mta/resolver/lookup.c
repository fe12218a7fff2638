/*
 * lookup - where mail for a domain goes: MX, then addresses (RFC 5321 5.1; RFC 7505 for the null MX). `relay HOST` asks for addresses only.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/must.h"
#include "mta/resolver/resolver.h"

enum { TAG_MX = 0x10000, TAG_V6 = 0x8000 }; /* tags of address questions: host index, with TAG_V6 for AAAA */
enum { TTL_DEFAULT_S = 60 };

static struct resolver *self; /* questions come back with their look-up alone */

static struct looking *take(struct resolver *r)
{
    for (uint32_t i = 0; i < LOOKUPS_MAX; i++)
        if (!r->lookings[i].used) return &r->lookings[i];
    return NULL;
}

static void release(struct resolver *r, struct looking *l)
{
    l->used = false;
    if (l->of_receiver) r->guests--;
}

/* reply_receiver - of a question of rules only the status counts, and of a list the addresses. */
static void reply_receiver(struct resolver *r, const struct ipc_answer *answer, uint16_t index, uint32_t epoch)
{
    struct ipc_channel *to = process_channel(r->process, ROLE_RECEIVER, index);
    uint8_t store[IPC_ADDRESSES_BYTES_MAX];
    struct buf addresses = BUF_OVER(store);
    struct cursor c = cursor_over(answer->hosts);
    struct host h;
    while (host_next(&c, &h)) {
        for (uint32_t i = 0; i < h.address_count; i++) address_put(&addresses, &h.addresses[i]);
    }
    struct ipc_name_said m = {.request = answer->request, .status = answer->status, .addresses = buf_bytes(&addresses)};
    if (to && ipc_peer_epoch(to) == epoch && ipc_send_name_said(to, &m, -1) != ERR_NONE)
        log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

static void reply(struct resolver *r, const struct ipc_answer *answer, uint32_t manager_epoch)
{
    struct ipc_channel *manager = process_channel(r->process, ROLE_MANAGER, 0);
    if (!manager || ipc_peer_epoch(manager) != manager_epoch) return;
    if (ipc_send_answer(manager, answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take answers: channel full");
}

static void finish(struct looking *l, enum answer_status status, struct bytes text, struct bytes hosts)
{
    if (!l->expired) {
        struct ipc_answer answer = {
            .request = l->request, .status = (uint8_t)status, .implicit = l->implicit, .secure = !l->insecure && status == ANSWER_FOUND,
            .ttl_s = l->ttl_s == UINT32_MAX ? (uint32_t)TTL_DEFAULT_S : l->ttl_s, .hosts = hosts, .text = text,
        };
        if (l->of_receiver) reply_receiver(self, &answer, l->receiver, l->manager_epoch);
        else reply(self, &answer, l->manager_epoch);
    }
    heap_remove(&self->looking_timers, &l->timer);
    if (l->pending) {
        l->expired = true; /* the slot is free when the last question came back */
        return;
    }
    release(self, l);
}

static enum answer_status plain_status(enum question_status q)
{
    switch (q) {
    case QUESTION_NO_DOMAIN: return ANSWER_NO_DOMAIN;
    case QUESTION_NO_DATA: return ANSWER_NO_DATA;
    case QUESTION_BOGUS: return ANSWER_BOGUS;
    default: return ANSWER_TEMPORARY;
    }
}

static void say(struct looking *l, enum answer_status status, const char *words)
{
    uint8_t store[200];
    struct buf text = BUF_OVER(store);
    buf_put_cstr(&text, words);
    buf_put_cut(&text, bytes_slice(l->name, 0, 120));
    finish(l, status, buf_bytes(&text), (struct bytes){0});
}

/* drop_ours - RFC 5321 5.1: an MX list that names us loses our host and every equal or less preferred one. */
static void drop_ours(struct resolver *r, struct looking *l)
{
    uint32_t limit = UINT32_MAX;
    struct bytes ours = config_bytes(r->config, r->config->hostname);
    for (uint32_t i = 0; i < l->host_count; i++) {
        bool us = bytes_equal_nocase(bytes_of(l->hosts[i].text, l->hosts[i].len), ours);
        for (uint32_t k = 0; k < l->hosts[i].address_count && !us; k++) us = self_is(r, &l->hosts[i].addresses[k]);
        if (us && l->hosts[i].preference < limit) limit = l->hosts[i].preference;
    }
    uint32_t kept = 0;
    while (kept < l->host_count && l->hosts[kept].preference < limit) kept++;
    l->host_count = kept;
}

static void all_known(struct resolver *r, struct looking *l)
{
    if (l->dane_port && !l->tlsa_asked) {
        dane_ask(r, l, all_known);
        return;
    }
    static uint8_t store[IPC_ANSWER_BYTES_MAX];
    struct buf list = BUF_OVER(store);
    uint32_t before = l->host_count, listed = 0, addresses = 0;
    if (l->kind == LOOKUP_MX) drop_ours(r, l);
    if (before && !l->host_count) {
        say(l, ANSWER_LOOP, "Mail loops back to myself: the best MX host is this one, for ");
        return;
    }
    for (uint32_t i = 0; i < l->host_count && addresses < HOSTS_ADDRESSES_MAX; i++) {
        struct host h = {.preference = l->hosts[i].preference, .name = bytes_of(l->hosts[i].text, l->hosts[i].len), .address_count = l->hosts[i].address_count,
                         .dane = l->hosts[i].dane, .tlsa = bytes_of(l->hosts[i].tlsa, l->hosts[i].tlsa_len)};
        if (!h.address_count) continue;
        if (h.address_count > HOSTS_ADDRESSES_MAX - addresses) h.address_count = (uint8_t)(HOSTS_ADDRESSES_MAX - addresses);
        memcpy(h.addresses, l->hosts[i].addresses, h.address_count * sizeof *h.addresses);
        host_put(&list, &h);
        addresses += h.address_count;
        listed++;
    }
    if (listed) finish(l, ANSWER_FOUND, (struct bytes){0}, buf_bytes(&list));
    else if (l->tlsa_failed) say(l, ANSWER_TEMPORARY, "DANE: TLSA records of no host can be looked up now for ");
    else if (l->temporary || !l->implicit) say(l, ANSWER_TEMPORARY, "No host of the domain has an address that can be found now: ");
    else say(l, ANSWER_NO_DATA, "Name service error: no MX and no address for ");
}

static void address_came(void *context, uint32_t tag, enum question_status status, bool secure, const struct dns_result *result)
{
    struct looking *l = context;
    uint32_t host = tag & (TAG_V6 - 1);
    must(l->used && l->pending && host < HOSTS_MAX);
    l->pending--;
    if (!secure) l->insecure = l->hosts[host].insecure = true;
    if (status == QUESTION_TEMPORARY || status == QUESTION_BOGUS) l->temporary = true;
    if (status == QUESTION_FOUND && result->ttl_s < l->ttl_s) l->ttl_s = result->ttl_s;
    for (uint32_t i = 0; status == QUESTION_FOUND && i < result->count && l->hosts[host].address_count < HOST_ADDRESSES_MAX; i++)
        l->hosts[host].addresses[l->hosts[host].address_count++] = result->records[i].address;
    if (l->pending) return;
    if (l->expired) release(self, l);
    else if (l->implicit && status == QUESTION_NO_DOMAIN && !l->hosts[0].address_count) say(l, ANSWER_NO_DOMAIN, "Host or domain name not found: ");
    else all_known(self, l);
}

/* ask_addresses - of every host. The count is held while asking, since answers may come at once. */
static void ask_addresses(struct resolver *r, struct looking *l)
{
    uint32_t hosts = l->host_count;
    l->pending++;
    for (uint32_t i = 0; i < hosts; i++) {
        struct bytes name = bytes_of(l->hosts[i].text, l->hosts[i].len);
        struct host known;
        if (l->kind == LOOKUP_ADDRESS && etc_hosts_find(name, &known)) {
            l->hosts[i].insecure = true; /* nobody vouches for a file, and the DNS may say something else */
            memcpy(l->hosts[i].addresses, known.addresses, sizeof known.addresses);
            l->hosts[i].address_count = known.address_count;
            continue;
        }
        if (l->family != FAMILY_IPV6) {
            l->pending++;
            question_ask(r->unbound, name, DNS_A, l, i, address_came);
        }
        if (l->family != FAMILY_IPV4) {
            l->pending++;
            question_ask(r->unbound, name, DNS_AAAA, l, i | TAG_V6, address_came);
        }
    }
    if (--l->pending == 0 && l->used && !l->expired) all_known(r, l);
}

static void one_host(struct looking *l, struct bytes name)
{
    l->host_count = 1;
    l->hosts[0].preference = 0;
    l->hosts[0].len = (uint8_t)name.len;
    l->hosts[0].address_count = l->hosts[0].dane = 0;
    l->hosts[0].insecure = false;
    l->hosts[0].tlsa_len = 0;
    memcpy(l->hosts[0].text, name.ptr, name.len);
}

struct ranked { uint16_t preference; uint16_t random; const struct dns_record *record; };

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->preference != y->preference) return x->preference < y->preference ? -1 : 1;
    return x->random < y->random ? -1 : x->random > y->random;
}

/* rank - hosts by preference, equal ones shuffled (RFC 5321 5.1), at most HOSTS_MAX; names that no host can have are left out. */
static void rank(struct looking *l, const struct dns_result *result)
{
    struct ranked list[DNS_RECORDS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < result->count; i++) {
        const struct dns_record *record = &result->records[i];
        if (!record->name.len || !record->name.is_host) continue;
        list[n] = (struct ranked){.preference = record->preference, .record = record};
        if (getrandom(&list[n].random, sizeof list[n].random, GRND_NONBLOCK) != sizeof list[n].random) list[n].random = 0;
        n++;
    }
    qsort(list, n, sizeof *list, by_rank);
    l->host_count = 0;
    for (uint32_t i = 0; i < n && l->host_count < HOSTS_MAX; i++) {
        uint32_t at = l->host_count++;
        l->hosts[at].preference = list[i].preference;
        l->hosts[at].len = list[i].record->name.len;
        l->hosts[at].address_count = l->hosts[at].dane = 0;
        l->hosts[at].insecure = false;
        l->hosts[at].tlsa_len = 0;
        memcpy(l->hosts[at].text, list[i].record->name.text, list[i].record->name.len);
    }
}

static void mx_came(void *context, uint32_t tag, enum question_status status, bool secure, const struct dns_result *result)
{
    (void)tag;
    struct looking *l = context;
    must(l->used && l->pending);
    l->pending--;
    if (l->expired) {
        release(self, l);
        return;
    }
    if (!secure) l->insecure = l->mx_insecure = true;
    if (status == QUESTION_NO_DATA) {
        l->implicit = true;
        one_host(l, l->name);
        ask_addresses(self, l);
        return;
    }
    if (status != QUESTION_FOUND) {
        say(l, plain_status(status), status == QUESTION_NO_DOMAIN ? "Host or domain name not found: " : status == QUESTION_BOGUS ? "DNSSEC validation failed for MX of "
                                                                                                                               : "Name service error (try again) for MX of ");
        return;
    }
    l->ttl_s = result->ttl_s;
    if (result->count == 1 && result->records[0].name.len == 0) {
        say(l, ANSWER_NULL_MX, "Domain does not accept mail (null MX): ");
        return;
    }
    rank(l, result);
    if (l->of_receiver && l->host_count) { /* the domain takes mail: where, nobody has asked */
        finish(l, ANSWER_FOUND, (struct bytes){0}, (struct bytes){0});
        return;
    }
    if (!l->host_count) say(l, ANSWER_TEMPORARY, "No MX record of the domain names a host: ");
    else ask_addresses(self, l);
}

/* begin - what the look-up in l->kind and l->family needs. */
static void begin(struct resolver *r, struct looking *l, struct bytes name)
{
    l->used = true;
    l->ttl_s = UINT32_MAX;
    memcpy(l->name_store, name.ptr, name.len);
    l->name = bytes_of(l->name_store, name.len);
    must(heap_put(&r->looking_timers, &l->timer, process_now_ms(r->process) + r->config->resolver.timeout_ms) == ERR_NONE);
    if (l->kind == LOOKUP_MX) {
        l->pending++;
        question_ask(r->unbound, l->name, DNS_MX, l, TAG_MX, mx_came);
        return;
    }
    l->implicit = true;
    one_host(l, l->name);
    ask_addresses(r, l);
}

void lookup_begin(struct resolver *r, const struct ipc_lookup *m, uint32_t manager_epoch)
{
    self = r;
    struct looking *l = take(r);
    if (!l) {
        struct ipc_answer busy = {.request = m->request, .status = ANSWER_TEMPORARY, .text = BYTES("Name service error: too many look-ups at once")};
        reply(r, &busy, manager_epoch);
        return;
    }
    memset(l, 0, offsetof(struct looking, hosts));
    l->request = m->request;
    l->manager_epoch = manager_epoch;
    l->kind = m->kind;
    l->family = m->family;
    l->dane_port = m->dane_port;
    begin(r, l, m->name);
}

void lookup_begin_for_rules(struct resolver *r, const struct ipc_name_ask *m, uint16_t receiver, uint32_t epoch)
{
    self = r;
    struct looking *l = r->guests < GUEST_LOOKUPS_MAX ? take(r) : NULL;
    if (!l) {
        struct ipc_answer busy = {.request = m->request, .status = ANSWER_TEMPORARY};
        reply_receiver(r, &busy, receiver, epoch);
        return;
    }
    memset(l, 0, offsetof(struct looking, hosts));
    l->request = m->request;
    l->of_receiver = true;
    l->receiver = receiver;
    l->manager_epoch = epoch;
    l->kind = m->kind;
    l->family = m->family;
    r->guests++;
    begin(r, l, m->name);
}

void lookup_timers(struct resolver *r, uint64_t now_ms)
{
    for (struct heap_node *n = heap_first(&r->looking_timers); n && n->key <= now_ms; n = heap_first(&r->looking_timers)) {
        struct looking *l = (struct looking *)(void *)((char *)n - offsetof(struct looking, timer));
        say(l, ANSWER_TEMPORARY, "Name service error: no answer in time for ");
    }
}
