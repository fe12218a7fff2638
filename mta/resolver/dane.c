/*
 * dane - TLSA records of hosts (RFC 7672 2.2). They are asked for only where DNSSEC vouches for the list of hosts and for the host's addresses; a host
 * whose records cannot be looked up is left out, since somebody may be holding them back.
 */
#include <string.h>

#include "base/must.h"
#include "mta/ipc/secrecy.h"
#include "mta/resolver/resolver.h"
#include "smtp/tlsa.h"

static struct resolver *self;
static void (*when_done)(struct resolver *r, struct looking *l);

static void one_less(struct looking *l)
{
    l->pending--;
    if (l->pending) return;
    if (l->expired) l->used = false;
    else when_done(self, l);
}

/* keep - the records that count, as octets. False when they do not fit. */
static bool keep(struct looked_host *h, const struct dns_result *result)
{
    struct smtp_tlsa records[SMTP_TLSA_RECORDS_MAX] = {0};
    uint32_t count = 0, chosen = 0;
    struct buf list = BUF_OVER(h->tlsa);
    for (uint32_t i = 0; i < result->count && count < SMTP_TLSA_RECORDS_MAX; i++) count += smtp_tlsa_parse(result->records[i].data, &records[count]);
    h->dane = HOST_DANE_TLSA;
    if (smtp_tlsa_choose(records, count, &chosen) != SMTP_TLSA_VERIFY) return true; /* none is usable: TLS, with nothing to prove */
    for (uint32_t i = 0; i < count; i++) {
        if (!(chosen >> i & 1)) continue;
        struct tlsa_record r = {records[i].usage, records[i].selector, records[i].matching, records[i].data};
        tlsa_put(&list, &r);
    }
    h->tlsa_len = (uint16_t)list.len;
    return list.len > 0; /* one that does not fit is left out beside others */
}

static void tlsa_came(void *context, uint32_t tag, enum question_status status, bool secure, const struct dns_result *result)
{
    struct looking *l = context;
    must(l->used && l->pending && tag < HOSTS_MAX);
    struct looked_host *h = &l->hosts[tag];
    bool failed = status == QUESTION_TEMPORARY || status == QUESTION_BOGUS;
    if (status == QUESTION_FOUND && result->ttl_s < l->ttl_s) l->ttl_s = result->ttl_s;
    if (status == QUESTION_FOUND && secure) failed = !keep(h, result);
    if (failed) {
        h->address_count = 0;
        l->tlsa_failed = l->temporary = true;
    }
    one_less(l);
}

static bool ask(struct resolver *r, struct looking *l, uint32_t i)
{
    uint8_t memory[DNS_NAME_BYTES_MAX + 16];
    struct buf name = BUF_OVER(memory);
    buf_put_c(&name, '_');
    buf_put_u64(&name, l->dane_port);
    BUF_LIT(&name, "._tcp.");
    buf_put(&name, bytes_of(l->hosts[i].text, l->hosts[i].len));
    if (name.len > DNS_NAME_BYTES_MAX) return false; /* no such name can be */
    l->pending++;
    question_ask(r->unbound, buf_bytes(&name), DNS_TLSA, l, i, tlsa_came);
    return true;
}

void dane_ask(struct resolver *r, struct looking *l, void (*done)(struct resolver *r, struct looking *l))
{
    self = r;
    when_done = done;
    l->tlsa_asked = true;
    l->pending++; /* held while asking, since answers may come at once */
    for (uint32_t i = 0; i < l->host_count; i++) {
        if (l->hosts[i].address_count > 0 && !l->hosts[i].insecure && !l->mx_insecure) (void)ask(r, l, i);
    }
    one_less(l);
}
