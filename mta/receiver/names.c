/*
 * names - a client's forward-confirmed name, asked of the resolver once a minute for each address, and waited for
 * only when it must be written.
 *
 * The cache is a plain table in which a newer address replaces an older one with the same place; the key of its hash
 * is secret, so that strangers cannot aim. Clients that the resolver has no name for are kept as well: they are the
 * ones that connect most often.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "mta/ipc/hosts.h"
#include "mta/receiver/receiver.h"

enum {
    NAMES_COUNT = 1024,          /* clients of a busy minute; 300 KiB */
    NAME_KEEP_MS = 60 * 1000,    /* the resolver's own cache knows the records' times; this one only saves the way there */
    NAME_FAILED_KEEP_MS = 10 * 1000,
};

struct name {
    struct net_address client;
    uint64_t until_ms;
    uint8_t why;                 /* enum naming_result */
    uint32_t len;
    uint8_t text[HOST_NAME_BYTES_MAX];
};

struct names {
    struct name table[NAMES_COUNT];
};

enum err names_init(struct receiver *r)
{
    r->names = calloc(1, sizeof *r->names);
    return r->names ? ERR_NONE : ERR_NO_MEMORY;
}

static struct name *place_of(struct receiver *r, const struct net_address *client)
{
    return &r->names->table[hash_bytes(r->key, bytes_of(client->ip, sizeof client->ip)) % NAMES_COUNT];
}

static uint8_t reverse_of(uint8_t why)
{
    switch ((enum naming_result)why) {
    case NAMING_CONFIRMED: return REVERSE_NAMED;
    case NAMING_NO_NAME: return REVERSE_NONE;
    case NAMING_UNCONFIRMED: return REVERSE_UNCONFIRMED;
    default: return REVERSE_FAILED;
    }
}

static void know(struct session *s, struct bytes name, uint8_t why)
{
    s->inquiry.facts.reverse = reverse_of(why);
    must(name.len <= sizeof s->name);
    if (name.len > 0) memcpy(s->name, name.ptr, name.len);
    s->name_len = name.len;
    s->name_asked = false;
    s->name_until_ms = 0;
    line_connect(s);
}

static void keep(struct receiver *r, const struct session *s, uint8_t why, uint64_t for_ms)
{
    struct name *n = place_of(r, &s->client);
    n->client = s->client;
    n->until_ms = r->now_ms + for_ms;
    n->why = why;
    n->len = s->name_len;
    if (s->name_len > 0) memcpy(n->text, s->name, s->name_len);
}

void names_ask(struct receiver *r, struct session *s)
{
    const struct name *n = place_of(r, &s->client);
    if (n->until_ms > r->now_ms && net_same_ip(&n->client, &s->client)) {
        know(s, bytes_of(n->text, n->len), n->why);
        return;
    }
    struct ipc_channel *resolver = process_channel(r->process, ROLE_RESOLVER, 0);
    struct ipc_client_name ask = {.request = receiver_number(r, s), .client = s->client};
    if (!resolver || ipc_send_client_name(resolver, &ask, -1) != ERR_NONE) {
        know(s, (struct bytes){0}, NAMING_TEMPORARY);
        return;
    }
    s->name_asked = true;
    s->name_request = ask.request;
    s->name_until_ms = r->now_ms + (s->trusted ? NAME_WAIT_TRUSTED_MS : NAME_WAIT_MS);
}

/* go_on - a message may have waited for it. */
static void go_on(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_NAME) commit_go_on(r, s);
    else if (s->wait == WAIT_INQUIRY) session_resume(r, s); /* a rule may want it; when it wants something else, it waits on */
}

void names_came(struct receiver *r, struct session *s, struct bytes name, uint8_t why)
{
    /* It goes into headers and log lines, so what the resolver says is looked at once more. A late one is good for
     * the next message. */
    bool usable = smtp_domain_valid(name, false);
    if (name.len > 0 && !usable) why = NAMING_UNCONFIRMED;
    know(s, usable ? name : (struct bytes){0}, why);
    keep(r, s, why, NAME_KEEP_MS);
    go_on(r, s);
}

void names_give_up(struct receiver *r, struct session *s)
{
    if (s->name_asked) {
        know(s, (struct bytes){0}, NAMING_TEMPORARY);
        keep(r, s, NAMING_TEMPORARY, NAME_FAILED_KEEP_MS);
    }
    go_on(r, s);
}

void names_resolver_gone(struct receiver *r)
{
    sessions_each(r, names_give_up);
}
