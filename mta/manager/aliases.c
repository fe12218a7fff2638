/*
 * aliases - see aliases.h.
 */
#include "mta/manager/aliases.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "smtp/rewrite.h"

enum { SLOTS = 65536 }; /* a power of two, more than twice ALIASES_RCPTS_MAX */

static struct expansion expansion; /* large, and used by one call at a time */

struct list { /* a recipient list that grows; each address once */
    uint8_t *octets; /* malloc; kept from one message to the next */
    uint32_t len, cap, count;
    uint32_t slots[SLOTS]; /* offset of an entry + 1, by address */
    struct hash_key key;   /* strangers choose some of the addresses */
};
static struct list list;

static void list_begin(void)
{
    if (list.key.a == 0) list.key = hash_key_random();
    memset(list.slots, 0, sizeof list.slots);
    list.len = list.count = 0;
}

static struct bytes address_at(uint32_t offset)
{
    struct cursor c = cursor_over(bytes_of(list.octets + offset, list.len - offset));
    struct rcpt r = {0};
    (void)rcpt_next(&c, &r);
    return r.address;
}

/* list_place - the slot of an address: one that has it, or a free one. */
static uint32_t list_place(struct bytes address)
{
    uint32_t at = (uint32_t)hash_bytes_nocase(list.key, address) % SLOTS;
    while (list.slots[at] != 0 && !bytes_equal_nocase(address_at(list.slots[at] - 1), address)) at = (at + 1) % SLOTS;
    return at;
}

static enum expand_answer list_add(const struct rcpt *r)
{
    uint32_t at = list_place(r->address);
    if (list.slots[at] != 0) return EXPAND_DONE;
    if (list.count >= ALIASES_RCPTS_MAX) return EXPAND_MANY;
    if (list.cap - list.len < RCPT_ENTRY_BYTES_MAX) {
        uint32_t cap = (list.cap + (uint32_t)RCPT_ENTRY_BYTES_MAX) * 2;
        uint8_t *grown = realloc(list.octets, cap);
        if (!grown) return EXPAND_MANY;
        list.octets = grown;
        list.cap = cap;
    }
    struct buf out = {list.octets, list.len, list.cap, false};
    rcpt_put(&out, r);
    if (out.overflow) return EXPAND_BAD;
    list.slots[at] = list.len + 1;
    list.len = out.len;
    list.count++;
    return EXPAND_DONE;
}

/* ---- expanding ---- */

static struct route_question question_of(const struct record_message *r, struct bytes rcpt)
{
    return (struct route_question){
        .rcpt = rcpt, .sender = r->sender, .client = &r->client, .trusted = (r->flags & MAIL_TRUSTED) != 0, .local = (r->flags & MAIL_LOCAL) != 0,
    };
}

/* is_local - whether mail for an address stays on this host. */
static bool is_local(const struct config *c, const struct record_message *r, struct bytes address)
{
    struct route_question q = question_of(r, address);
    q.trusted = true;
    int32_t route = route_find(c, &q);
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    uint8_t action = route >= 0 && routes ? routes[route].action : (uint8_t)ACTION_NONE;
    return action != ACTION_MX && action != ACTION_RELAY;
}

/* put_original - what was written to, for notifications and the log (RFC 3461 5.2.7.3): as the client said it, or the address itself. */
static struct bytes put_original(struct buf *out, struct bytes given, struct bytes address)
{
    if (given.len > 0) return given;
    if (!bytes_is_ascii(address)) return (struct bytes){0};
    BUF_LIT(out, "rfc822;");
    smtp_xtext_encode(out, address);
    return out->overflow || out->len > MAIL_ORCPT_BYTES_MAX ? (struct bytes){0} : buf_bytes(out);
}

static enum expand_answer add_item(const struct config *c, const struct record_message *r, const struct rcpt *asked, const struct expand_item *item)
{
    uint8_t memory[2 * MAIL_ORCPT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    bool owned = item->owner != UINT32_MAX && r->sender.len > 0; /* a bounce stays one */
    struct rcpt entry = {.notify = asked->notify, .flags = RCPT_EXPANDED, .address = item->address};
    if (owned) entry.orcpt = put_original(&text, (struct bytes){0}, expansion.items[item->owner].address);
    if (owned && entry.orcpt.len > 0) entry.flags |= RCPT_OWNER;
    else entry.orcpt = put_original(&text, asked->orcpt, asked->address);
    bool ours = (r->flags & (MAIL_TRUSTED | MAIL_LOCAL)) != 0;
    if (!(entry.flags & RCPT_OWNER) && r->sender.len > 0 && !ours && !is_local(c, r, item->address)) entry.flags |= RCPT_FORWARDED;
    return list_add(&entry);
}

/* add_unfolded - a bounce to a sender that was rewritten here goes to the sender that it was. */
static enum expand_answer add_unfolded(const struct rcpt *asked, const struct smtp_address *to)
{
    uint8_t memory[2 * MAIL_ORCPT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    struct rcpt entry = {.notify = asked->notify, .flags = RCPT_EXPANDED, .address = to->whole};
    entry.orcpt = put_original(&text, asked->orcpt, asked->address);
    return list_add(&entry);
}

static enum expand_answer add_expanded(struct manager *m, const struct record_message *r, const struct rcpt *asked, bool *changed)
{
    const struct config *c = m->config;
    struct route_question q = question_of(r, asked->address);
    struct smtp_address unfolded;
    enum expand_answer reverse = srs_reverse(m, asked->address, &unfolded);
    if (reverse != EXPAND_NONE) {
        *changed = true;
        return reverse == EXPAND_DONE ? add_unfolded(asked, &unfolded) : reverse;
    }
    enum expand_answer answer = expand_address(c, &q, &expansion);
    if (answer == EXPAND_NONE) return list_add(asked);
    *changed = true;
    for (uint32_t i = 0; answer == EXPAND_DONE && i < expansion.count; i++) {
        if (expansion.items[i].is_rcpt) answer = add_item(c, r, asked, &expansion.items[i]);
    }
    return answer;
}

static bool may_change(const struct config *c)
{
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    bool may = c->aliases_table > 0 || c->srs.domain.len > 0;
    for (uint32_t i = 0; routes && !may && i < c->routes.count; i++) may = routes[i].rewrite.count > 0;
    return may;
}

enum expand_answer aliases_apply(struct manager *m, struct record_message *r, struct bytes *culprit)
{
    struct cursor c = cursor_over(r->rcpts);
    struct rcpt asked;
    bool changed = false;
    if (!may_change(m->config)) return EXPAND_NONE;
    list_begin();
    while (rcpt_next(&c, &asked)) {
        enum expand_answer answer = add_expanded(m, r, &asked, &changed);
        if (answer == EXPAND_DONE) continue;
        *culprit = asked.address;
        return answer;
    }
    if (!changed) return EXPAND_NONE;
    r->rcpts = bytes_of(list.octets, list.len);
    r->rcpt_count = list.count;
    r->flags |= MAIL_EXPANDED;
    return EXPAND_DONE;
}

/* ---- whose message it is ---- */

/* sender_mark - the same octets for recipients with the same sender; empty for the message's own. */
static struct bytes sender_mark(const struct rcpt *r)
{
    if (r->flags & RCPT_OWNER) return r->orcpt;
    return r->flags & RCPT_FORWARDED ? BYTES("forwarded") : (struct bytes){0};
}

uint32_t aliases_same_sender(const struct record_message *r, uint32_t *rcpts, uint32_t count)
{
    if (!(r->flags & MAIL_EXPANDED) || count < 2) return count;
    struct cursor c = cursor_over(r->rcpts);
    struct rcpt one;
    struct bytes mark = {0};
    uint32_t *others = malloc(count * sizeof *others);
    uint32_t same = 0, other = 0, wanted = 0;
    if (!others) return 1; /* the first alone is right too */
    for (uint32_t n = 0; wanted < count && rcpt_next(&c, &one); n++) {
        if (n != rcpts[wanted]) continue;
        uint32_t index = rcpts[wanted++];
        if (same == 0) mark = sender_mark(&one);
        if (bytes_equal(sender_mark(&one), mark)) rcpts[same++] = index;
        else others[other++] = index;
    }
    memcpy(rcpts + same, others, other * sizeof *others);
    free(others);
    return same;
}

/* owner_of - "owner-list@domain" of an original recipient "rfc822;list@domain"; empty when it is none. */
static struct bytes owner_of(struct bytes orcpt, uint8_t memory[MAIL_ADDRESS_BYTES_MAX])
{
    uint8_t alias_memory[MAIL_ORCPT_BYTES_MAX];
    struct buf alias = BUF_OVER(alias_memory), out = buf_over(memory, MAIL_ADDRESS_BYTES_MAX);
    if (!bytes_starts(orcpt, BYTES("rfc822;")) || !smtp_xtext_decode(bytes_from(orcpt, 7), &alias)) return (struct bytes){0};
    expand_owner(&out, buf_bytes(&alias));
    return out.overflow || alias.overflow ? (struct bytes){0} : buf_bytes(&out);
}

static bool rcpt_at(const struct record_message *r, uint32_t index, struct rcpt *out)
{
    struct cursor c = cursor_over(r->rcpts);
    for (uint32_t n = 0; rcpt_next(&c, out); n++) {
        if (n == index) return true;
    }
    return false;
}

const struct record_message *aliases_record(struct manager *m, const struct record_message *r, uint32_t index, bool for_bounce)
{
    static struct record_message copy;
    static uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    static struct smtp_address rewritten;
    struct rcpt rcpt;
    struct bytes sender = {0};
    if (!(r->flags & MAIL_EXPANDED) || !rcpt_at(r, index, &rcpt)) return r;
    if (rcpt.flags & RCPT_OWNER) sender = owner_of(rcpt.orcpt, memory);
    else if ((rcpt.flags & RCPT_FORWARDED) && !for_bounce) sender = srs_forward(m, r->sender, &rewritten);
    if (sender.len == 0) return r;
    copy = *r;
    copy.sender = sender;
    return &copy;
}

/* ---- masquerading ---- */

struct bytes aliases_masquerade(const struct config *c, struct bytes sender, struct smtp_address *out)
{
    const struct config_rewrite *rules = CONFIG_ITEMS(c, c->envelope_from, struct config_rewrite);
    struct smtp_address address;
    struct smtp_rewrite rule;
    if (!rules || smtp_mailbox_parse(sender, true, &address) != SMTP_ADDRESS_OK) return sender;
    for (uint32_t i = 0; i < c->envelope_from.count; i++) {
        if (!smtp_rewrite_parse(config_bytes(c, rules[i].pattern), config_bytes(c, rules[i].target), &rule)) continue;
        if (smtp_rewrite_apply(&rule, &address, out) == SMTP_REWRITE_DONE) return out->whole;
    }
    return sender;
}
