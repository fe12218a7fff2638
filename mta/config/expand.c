/*
 * expand - see expand.h.
 */
#include "mta/config/expand.h"

#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "mta/config/table.h"
#include "smtp/address.h"
#include "smtp/alias.h"
#include "smtp/rewrite.h"

enum { NO_TABLE = UINT32_MAX, NO_OWNER = UINT32_MAX };

const char *expand_words(enum expand_answer answer)
{
    static const char *const words[EXPAND_ANSWERS] = {
        [EXPAND_NONE] = "", [EXPAND_DONE] = "", [EXPAND_EMPTY] = "its alias leads to nobody", [EXPAND_MANY] = "its alias leads to too many recipients",
        [EXPAND_ACTION] = "its alias has a command or a file, which is not allowed here", [EXPAND_BAD] = "its alias has something that is no address",
        [EXPAND_FORGED] = "this address was not made here, or is too old",
    };
    return answer < EXPAND_ANSWERS ? words[answer] : "";
}

bool expand_is_srs(const struct config *c, struct bytes address)
{
    struct bytes ours = config_bytes(c, c->srs.domain), local = mail_local(address);
    if (ours.len == 0 || !bytes_equal_nocase(mail_domain(address), ours)) return false;
    if (local.len > 0 && local.ptr[0] == '"') local = bytes_from(local, 1);
    bool tagged = bytes_starts_nocase(local, BYTES("SRS0")) || bytes_starts_nocase(local, BYTES("SRS1"));
    return tagged && local.len > 4 && bytes_find(BYTES("=-+"), local.ptr[4]) < 3;
}

static struct bytes mail_at(struct buf *text, struct bytes local, struct bytes domain)
{
    uint32_t from = text->len;
    buf_put(text, local);
    buf_put_c(text, '@');
    buf_put(text, domain);
    return text->overflow ? (struct bytes){0} : bytes_of(text->ptr + from, text->len - from);
}

void expand_owner(struct buf *out, struct bytes alias)
{
    BUF_LIT(out, "owner-");
    buf_put(out, alias);
}

/* ---- which tables, which keys ---- */

static const struct config_route *route_at(const struct config *c, int32_t n)
{
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    return routes && n >= 0 && (uint32_t)n < c->routes.count ? &routes[n] : NULL;
}

static bool is_this_host(const struct config *c, struct bytes domain)
{
    return bytes_equal_nocase(domain, config_bytes(c, c->hostname)) || bytes_equal_nocase(domain, BYTES("localhost"));
}

struct places { /* where an address is looked up */
    const uint32_t *tables;
    uint32_t count, own;
    uint8_t delimiter;
};

static struct places places_of(const struct config *c, const struct route_question *q)
{
    struct places p = {0};
    const struct config_route *r = route_at(c, route_find(c, q));
    if (r) p.delimiter = r->sub_address;
    p.tables = r ? CONFIG_ITEMS(c, r->rewrite, uint32_t) : NULL;
    p.count = p.tables ? r->rewrite.count : 0;
    if (p.count == 0 && c->aliases_table > 0 && is_this_host(c, mail_domain(q->rcpt))) p.own = c->aliases_table;
    return p;
}

static bool find_key(const struct config *c, uint32_t table, struct bytes key, struct table_hit *hit)
{
    return key.len > 0 && table_find(c, table, key, hit) == TABLE_YES;
}

/* find_in - the keys that an address has in one table, the most special first. A local name alone is a key of alias files only. */
static bool find_in(const struct config *c, uint32_t table, struct bytes address, uint8_t delimiter, struct table_hit *hit)
{
    uint8_t memory[2 * MAIL_ADDRESS_BYTES_MAX + 2];
    struct buf text = BUF_OVER(memory);
    struct bytes local = mail_local(address), domain = mail_domain(address), user = {0}, detail;
    bool names = CONFIG_ITEMS(c, c->tables, struct config_table)[table].format == CONFIG_TABLE_ALIASES;
    if (delimiter == 0 || !smtp_detail_split(local, bytes_of(&delimiter, 1), &user, &detail)) user = (struct bytes){0};
    if (find_key(c, table, address, hit)) return true;
    if (user.len > 0 && find_key(c, table, mail_at(&text, user, domain), hit)) return true;
    if (names && (find_key(c, table, local, hit) || find_key(c, table, user, hit))) return true;
    return find_key(c, table, mail_at(&text, (struct bytes){0}, domain), hit);
}

static bool find(const struct config *c, const struct route_question *q, struct table_hit *hit)
{
    struct places p = places_of(c, q);
    for (uint32_t i = 0; i < p.count; i++) {
        if (p.tables[i] < c->tables.count && find_in(c, p.tables[i], q->rcpt, p.delimiter, hit)) return true;
    }
    return p.own > 0 && p.own <= c->tables.count && find_in(c, p.own - 1, q->rcpt, p.delimiter, hit);
}

bool expand_has_alias(const struct config *c, const struct route_question *q)
{
    struct table_hit hit;
    return mail_domain(q->rcpt).len > 0 && find(c, q, &hit);
}

struct bytes expand_strip(const struct config *c, uint32_t route, struct bytes address, struct buf *out)
{
    const struct config_route *r = route_at(c, (int32_t)route);
    struct bytes user, detail;
    if (!r || r->sub_address == 0 || !smtp_detail_split(mail_local(address), bytes_of(&r->sub_address, 1), &user, &detail)) return address;
    struct bytes stripped = mail_at(out, user, mail_domain(address));
    return stripped.len > 0 ? stripped : address;
}

/* ---- values ---- */

struct walk { /* one expansion under way */
    const struct config *c;
    struct route_question q; /* its rcpt changes */
    struct expansion *x;
    uint32_t at;             /* the item whose values are added */
};

/* add - an item; NULL when there are too many, or too many of one in the other. */
static struct expand_item *add(struct walk *w, struct bytes address, bool exact)
{
    struct expansion *x = w->x;
    const struct expand_item *alias = &x->items[w->at];
    if (x->count >= EXPAND_ITEMS_MAX || alias->depth > EXPAND_DEPTH_MAX) return NULL;
    struct expand_item *item = &x->items[x->count++];
    uint8_t depth = (uint8_t)(alias->depth + 1);
    *item = (struct expand_item){.address = address, .alias = w->at, .owner = alias->owner, .table = NO_TABLE, .depth = depth, .exact = exact};
    return item;
}

/* canonical - a value as an address: a local name gets the domain of its alias, "@domain" its local part. Empty when it is none. */
static enum expand_answer canonical(struct walk *w, struct bytes value, struct bytes *out)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX + HOST_NAME_BYTES_MAX + 2];
    struct buf text = BUF_OVER(memory);
    struct smtp_address address;
    struct bytes alias = w->x->items[w->at].address;
    if (value.len > 0 && value.ptr[0] == '@') buf_put(&text, mail_local(alias));
    buf_put(&text, value);
    if (bytes_find(value, '@') == value.len) {
        buf_put_c(&text, '@');
        buf_put(&text, mail_domain(alias));
    }
    if (text.overflow || smtp_mailbox_parse(buf_bytes(&text), true, &address) != SMTP_ADDRESS_OK || address.domain.len == 0) return EXPAND_BAD;
    uint32_t from = w->x->text.len;
    buf_put(&w->x->text, address.whole);
    if (w->x->text.overflow) return EXPAND_MANY;
    *out = bytes_of(w->x->text.ptr + from, w->x->text.len - from);
    return EXPAND_DONE;
}

static enum expand_answer add_value(struct walk *w, struct bytes value, uint8_t kind)
{
    struct bytes address;
    if (kind == ENTRY_COMMAND || kind == ENTRY_FILE) return EXPAND_ACTION;
    enum expand_answer answer = canonical(w, value, &address);
    if (answer != EXPAND_DONE) return answer;
    return add(w, address, kind == ENTRY_EXACT) ? EXPAND_DONE : EXPAND_MANY;
}

/* add_text - the values of a table that is no alias file: "a@x, b@y". */
static enum expand_answer add_text(struct walk *w, struct bytes text)
{
    static const uint8_t kinds[] = {[SMTP_ALIAS_ADDRESS] = ENTRY_ADDRESS, [SMTP_ALIAS_EXACT] = ENTRY_EXACT, [SMTP_ALIAS_COMMAND] = ENTRY_COMMAND,
                                    [SMTP_ALIAS_FILE] = ENTRY_FILE, [SMTP_ALIAS_INCLUDE] = ENTRY_FILE};
    struct smtp_alias_reader r;
    struct bytes value;
    enum smtp_alias_event event;
    enum expand_answer answer = EXPAND_DONE;
    smtp_alias_init(&r, text, true);
    while (answer == EXPAND_DONE && (event = smtp_alias_next(&r, &value)) != SMTP_ALIAS_END) {
        answer = event == SMTP_ALIAS_BAD ? EXPAND_BAD : add_value(w, value, kinds[event]);
    }
    return answer;
}

/* ---- what was met before ---- */

/* Tables are the administrator's, so that nobody aims collisions at these. */
static uint64_t hash_of_address(struct bytes address)
{
    uint64_t hash = 1;
    for (uint32_t i = 0; i < address.len; i++) hash = (hash ^ ascii_lower(address.ptr[i])) * 0x100000001b3ULL;
    return hash_mix(hash);
}

static uint64_t hash_of_entry(uint32_t table, uint32_t entry)
{
    return hash_mix((uint64_t)table << 32 | entry);
}

static void remember(struct expansion *x, uint64_t hash, uint32_t item)
{
    uint32_t at = (uint32_t)hash % EXPAND_SLOTS;
    while (x->slots[at] != 0) at = (at + 1) % EXPAND_SLOTS;
    x->slots[at] = item + 1;
}

/* was_expanded - the item that was this alias, or this :include: file. */
static bool was_expanded(const struct expansion *x, const struct table_hit *hit, uint32_t *item)
{
    for (uint32_t at = (uint32_t)hash_of_entry(hit->table, hit->first) % EXPAND_SLOTS; x->slots[at] != 0; at = (at + 1) % EXPAND_SLOTS) {
        const struct expand_item *one = &x->items[x->slots[at] - 1];
        if (one->table != hit->table || one->entry != hit->first) continue;
        *item = x->slots[at] - 1;
        return true;
    }
    return false;
}

static bool is_listed(const struct expansion *x, struct bytes address)
{
    for (uint32_t at = (uint32_t)hash_of_address(address) % EXPAND_SLOTS; x->slots[at] != 0; at = (at + 1) % EXPAND_SLOTS) {
        const struct expand_item *one = &x->items[x->slots[at] - 1];
        if (one->is_rcpt && bytes_equal_nocase(one->address, address)) return true;
    }
    return false;
}

static void begin_alias(struct expansion *x, struct expand_item *item, const struct table_hit *hit)
{
    item->table = hit->table;
    item->entry = hit->first;
    remember(x, hash_of_entry(hit->table, hit->first), (uint32_t)(item - x->items));
}

/* ---- values of values ---- */

/* add_include - an :include: file stands for its values, which keep the alias that names it; each file once. */
static enum expand_answer add_include(struct walk *w, uint32_t table, struct bytes path)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf key = BUF_OVER(memory);
    BUF_LIT(&key, ":include:");
    buf_put(&key, path);
    struct table_hit hit;
    uint32_t before;
    if (key.overflow) return EXPAND_BAD;
    if (!find_key(w->c, table, buf_bytes(&key), &hit) || was_expanded(w->x, &hit, &before)) return EXPAND_DONE;
    struct expand_item *item = add(w, w->x->items[w->at].address, true);
    if (!item) return EXPAND_MANY;
    begin_alias(w->x, item, &hit);
    return EXPAND_DONE;
}

/* add_values - of an alias, or of an :include: file that is an item already. */
static enum expand_answer add_values(struct walk *w, const struct table_hit *hit)
{
    enum expand_answer answer = EXPAND_DONE;
    for (uint32_t i = 0; answer == EXPAND_DONE && i < hit->count; i++) {
        uint8_t kind;
        struct bytes value = table_value(w->c, hit, i, &kind);
        if (kind == ENTRY_TEXT) answer = add_text(w, value);
        else if (kind == ENTRY_INCLUDE) answer = add_include(w, hit->table, value);
        else answer = add_value(w, value, kind);
    }
    return answer;
}

/* has_owner - whether the table has owner-NAME for the alias NAME. */
static bool has_owner(const struct walk *w, uint32_t table, struct bytes address)
{
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX + 8];
    struct buf key = BUF_OVER(memory);
    struct table_hit hit;
    expand_owner(&key, address);
    if (key.overflow) return false;
    return find_in(w->c, table, buf_bytes(&key), 0, &hit) && !bytes_starts(config_bytes(w->c, table_entry_at(w->c, table, hit.first)->key), BYTES("@"));
}

static enum expand_answer take_rcpt(struct walk *w, struct expand_item *item)
{
    if (is_listed(w->x, item->address)) return EXPAND_DONE;
    item->is_rcpt = true;
    remember(w->x, hash_of_address(item->address), (uint32_t)(item - w->x->items));
    return ++w->x->rcpts <= EXPAND_RCPTS_MAX ? EXPAND_DONE : EXPAND_MANY;
}

/* expand_include - the item is a file that add_include() found. */
static enum expand_answer expand_include(struct walk *w, struct expand_item *item)
{
    const struct config_table *t = &CONFIG_ITEMS(w->c, w->c->tables, struct config_table)[item->table];
    struct table_hit hit = {item->table, item->entry, 0};
    struct bytes key = config_bytes(w->c, table_entry_at(w->c, item->table, item->entry)->key);
    while (hit.first + hit.count < t->entries.count &&
           table_compare_keys(config_bytes(w->c, table_entry_at(w->c, hit.table, hit.first + hit.count)->key), key) == 0) hit.count++;
    return add_values(w, &hit);
}

/* means_itself - an alias that names itself is the mailbox of that name; so is whatever a catch-all leads to in its own domain. */
static bool means_itself(const struct walk *w, const struct expand_item *item, const struct table_hit *hit, uint32_t before)
{
    const struct expand_item *alias = &w->x->items[before];
    const struct config_entry *e = table_entry_at(w->c, hit->table, hit->first);
    uint32_t by = item->alias;
    while (w->x->items[by].exact && w->x->items[by].table != NO_TABLE) by = w->x->items[by].alias; /* up from an :include: file */
    bool by_it = by == before;
    return (by_it && bytes_equal_nocase(alias->address, item->address)) || (e && bytes_starts(config_bytes(w->c, e->key), BYTES("@")));
}

/* expand_one - look one address up: it is a recipient, or its values are added behind the others. */
static enum expand_answer expand_one(struct walk *w)
{
    struct expand_item *item = &w->x->items[w->at];
    struct table_hit hit;
    uint32_t before;
    if (item->table != NO_TABLE) return expand_include(w, item);
    w->q.rcpt = item->address;
    if (item->exact || !find(w->c, &w->q, &hit)) return take_rcpt(w, item);
    if (was_expanded(w->x, &hit, &before)) return means_itself(w, item, &hit, before) ? take_rcpt(w, item) : EXPAND_DONE;
    if (item->depth >= EXPAND_DEPTH_MAX) return EXPAND_MANY;
    begin_alias(w->x, item, &hit);
    if (has_owner(w, hit.table, item->address)) item->owner = w->at;
    return add_values(w, &hit);
}

enum expand_answer expand_address(const struct config *c, const struct route_question *q, struct expansion *x)
{
    struct walk w = {.c = c, .q = *q, .x = x};
    enum expand_answer answer = EXPAND_DONE;
    x->text = BUF_OVER(x->memory);
    x->count = x->rcpts = 0;
    if (!expand_has_alias(c, q)) return EXPAND_NONE;
    memset(x->slots, 0, sizeof x->slots);
    x->items[x->count++] = (struct expand_item){.address = q->rcpt, .owner = NO_OWNER, .table = NO_TABLE};
    for (; answer == EXPAND_DONE && w.at < x->count; w.at++) {
        answer = expand_one(&w);
        w.q.trusted = true; /* what the administrator wrote down is not a stranger's wish */
    }
    if (answer != EXPAND_DONE) return answer;
    return x->rcpts > 0 ? EXPAND_DONE : EXPAND_EMPTY;
}
