/*
 * keys_other - statements with a form of their own outside of routes and tables.
 */
#include <pwd.h>
#include <stddef.h>
#include <string.h>

#include "mta/config/load.h"
#include "mta/config/values.h"
#include "smtp/address.h"
#include "smtp/rewrite.h"

enum { CONFIG_VERSION = 1 };

/* ---- top level ---- */

void read_key_version(struct loader *l, const struct grammar_statement *s, void *owner)
{
    uint64_t version;
    (void)owner;
    if (!take_words(l, s, 1, 1, BYTES("config-version 1"))) return;
    if (!bytes_to_u64(word_of(l, s, 1), &version) || version != CONFIG_VERSION) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`config-version' is `"), word_of(l, s, 1),
                     BYTES("'; this program reads version 1"));
    }
}

void show_key_version(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    BUF_LIT(out, "config-version 1\n");
}

/* What it includes is in the tree already (source.c). */
void read_key_include(struct loader *l, const struct grammar_statement *s, void *owner)
{
    (void)l;
    (void)s;
    (void)owner;
}

void show_key_include(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    (void)out;
}

/* ---- listen ---- */

static void add_listen_address(struct loader *l, struct array *list, const struct net_address *address,
                               struct grammar_place place)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct net_address *other = ARRAY_ITEM(list, i, struct net_address);
        if (!net_same_ip(other, address) || other->port != address->port) continue;
        net_print_ip_port(&text, address);
        CONFIG_ERROR(l, place, BYTES("the address "), buf_bytes(&text), BYTES(" is given twice"));
        return;
    }
    struct net_address *item = array_add(l, list);
    if (item) *item = *address;
}

static void read_listen_word(struct loader *l, struct array *list, struct bytes word, struct grammar_place place)
{
    struct net_address address = {0};
    uint64_t port;
    bool star = bytes_starts(word, BYTES("*:"));
    if (star && bytes_to_u64(bytes_from(word, 2), &port) && port > 0 && port <= UINT16_MAX) {
        add_listen_address(l, list, &(struct net_address){.family = NET_IPV4, .port = (uint16_t)port}, place);
        add_listen_address(l, list, &(struct net_address){.family = NET_IPV6, .port = (uint16_t)port}, place);
    } else if (!star && net_parse_ip_port(word, &address) && address.port != 0) {
        add_listen_address(l, list, &address, place);
    } else {
        CONFIG_ERROR(l, place, BYTES("`address' is `"), word, BYTES("'; expected *:25, 192.0.2.1:25 or [2001:db8::1]:25"));
    }
}

void read_key_addresses(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    struct array list = {.item_bytes = sizeof(struct net_address)};
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("*:25, 192.0.2.1:25 or [2001:db8::1]:25"))) return;
    for (uint32_t i = 1; i < s->word_count; i++) read_listen_word(l, &list, word_of(l, s, i), place_of(l, s, i));
    listener->addresses = image_list(l, list.items, list.count, sizeof(struct net_address));
    array_free(&list);
}

void show_key_addresses(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_list list = ((const struct config_listener *)owner)->addresses;
    if (list.count == 0) return;
    const struct net_address *addresses = CONFIG_ITEMS(c, list, struct net_address);
    BUF_LIT(out, "    address");
    for (uint32_t i = 0; addresses && i < list.count; i++) {
        buf_put_c(out, ' ');
        net_print_ip_port(out, &addresses[i]);
    }
    buf_put_c(out, '\n');
}

static bool has_everybody(const struct loader *l, struct config_list list)
{
    for (uint32_t i = 0; i < list.count; i++) {
        const struct net_prefix *p = (const struct net_prefix *)(const void *)(l->image.items + list.offset + i * sizeof *p);
        if (p->bits == 0) return true;
    }
    return false;
}

static void add_uid(struct loader *l, struct array *uids, uint32_t uid)
{
    for (uint32_t i = 0; i < uids->count; i++) {
        if (*ARRAY_ITEM(uids, i, uint32_t) == uid) return;
    }
    uint32_t *item = array_add(l, uids);
    if (item) *item = uid;
}

/* add_peer - a user by name or number. */
static void add_peer(struct loader *l, struct array *uids, struct bytes word, struct grammar_place place)
{
    char name[256];
    uint64_t number;
    const struct passwd *user = NULL;
    if (bytes_to_u64(word, &number) && number < UINT32_MAX) {
        add_uid(l, uids, (uint32_t)number);
        return;
    }
    if (value_user_valid(word) && word.len < sizeof name) {
        memcpy(name, word.ptr, word.len);
        name[word.len] = 0;
        user = getpwnam(name);
    }
    if (user) add_uid(l, uids, user->pw_uid);
    else CONFIG_ERROR(l, place, BYTES("`peers' names `"), word, BYTES("', which is no user of this machine; expected any, or names or numbers of users"));
}

void read_key_peers(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    struct array uids = {.item_bytes = sizeof(uint32_t)};
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("any, or users"))) return;
    if (s->word_count == 2 && bytes_equal(word_of(l, s, 1), BYTES("any"))) return;
    add_uid(l, &uids, 0); /* root may always */
    for (uint32_t i = 1; i < s->word_count; i++) add_peer(l, &uids, word_of(l, s, i), place_of(l, s, i));
    listener->peers = image_list(l, uids.items, uids.count, sizeof(uint32_t));
    array_free(&uids);
}

void show_key_peers(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_listener *listener = owner;
    const uint32_t *uids = CONFIG_ITEMS(c, listener->peers, uint32_t);
    if (listener->socket.len == 0) return;
    BUF_LIT(out, "    peers");
    if (listener->peers.count == 0) BUF_LIT(out, " any");
    for (uint32_t i = 0; uids && i < listener->peers.count; i++) {
        buf_put_c(out, ' ');
        buf_put_u64(out, uids[i]);
    }
    buf_put_c(out, '\n');
}

void read_key_trust(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("networks such as 192.0.2.0/24, or local"))) return;
    listener->trust = read_prefixes(l, s, 1);
    if (has_everybody(l, listener->trust))
        CONFIG_WARNING(l, s->place, BYTES("`trust' names every address there is: whoever reaches this listener may relay anywhere"));
}

void show_key_trust(const struct config *c, const void *owner, struct buf *out)
{
    show_prefixes(c, "trust", ((const struct config_listener *)owner)->trust, out);
}

void read_key_listen_allow(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    if (take_words(l, s, 1, UINT32_MAX - 1, BYTES("networks such as 192.0.2.0/24, or local"))) listener->allow = read_prefixes(l, s, 1);
}

void show_key_listen_allow(const struct config *c, const void *owner, struct buf *out)
{
    show_prefixes(c, "allow", ((const struct config_listener *)owner)->allow, out);
}

void read_key_proxies(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("networks such as 192.0.2.0/24, or local"))) return;
    listener->proxies = read_prefixes(l, s, 1);
    if (has_everybody(l, listener->proxies))
        CONFIG_WARNING(l, s->place, BYTES("`proxy-protocol' names every address there is: whoever connects may say that he is anybody"));
}

void show_key_proxies(const struct config *c, const void *owner, struct buf *out)
{
    show_prefixes(c, "proxy-protocol", ((const struct config_listener *)owner)->proxies, out);
}

void read_key_xclient(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_listener *listener = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("networks such as 192.0.2.0/24, or local"))) return;
    listener->xclient = read_prefixes(l, s, 1);
    if (has_everybody(l, listener->xclient))
        CONFIG_WARNING(l, s->place, BYTES("`xclient' names every address there is: whoever connects may say that he is anybody"));
}

void show_key_xclient(const struct config *c, const void *owner, struct buf *out)
{
    show_prefixes(c, "xclient", ((const struct config_listener *)owner)->xclient, out);
}

/* ---- connect ---- */

void read_key_allow(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config *c = owner;
    if (take_words(l, s, 1, UINT32_MAX - 1,
                   BYTES("networks such as 192.0.2.0/24, or local"))) c->connect.allow = read_prefixes(l, s, 1);
}

void show_key_allow(const struct config *c, const void *owner, struct buf *out)
{
    (void)owner;
    show_prefixes(c, "allow", c->connect.allow, out);
}

/* ---- queue ---- */

void read_key_retry(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config *c = owner;
    if (!take_words(l, s, 1, CONFIG_RETRY_STEPS_MAX, BYTES("at most 32 times such as 1m 5m 15m"))) return;
    c->queue.retry_exact = true;
    c->queue.retry_count = 0;
    for (uint32_t i = 1; i < s->word_count; i++) {
        uint64_t ms;
        if (!value_time_ms(word_of(l, s, i), &ms) || ms == 0 || ms > 30ULL * 86400 * 1000) {
            CONFIG_ERROR(l, place_of(l, s, i), BYTES("`retry' has `"), word_of(l, s, i),
                         BYTES("'; expected a time from 1s to 30d, such as 5m"));
            continue;
        }
        c->queue.retry_s[c->queue.retry_count++] = (ms + 999) / 1000;
    }
}

void show_key_retry(const struct config *c, const void *owner, struct buf *out)
{
    (void)owner;
    if (!c->queue.retry_exact) return;
    BUF_LIT(out, "    retry");
    for (uint32_t i = 0; i < c->queue.retry_count && i < CONFIG_RETRY_STEPS_MAX; i++) {
        buf_put_c(out, ' ');
        value_put_time(out, c->queue.retry_s[i] * 1000);
    }
    buf_put_c(out, '\n');
}

/* ---- log ---- */

static void set_log_target(struct loader *l, const struct grammar_statement *s, struct config *c, enum config_log_target target)
{
    if (l->log_target_given) CONFIG_ERROR(l, s->place, BYTES("log goes to one place; expected one of stderr, file, syslog"));
    l->log_target_given = true;
    c->log.target = (uint8_t)target;
}

void read_key_log_stderr(struct loader *l, const struct grammar_statement *s, void *owner)
{
    if (take_words(l, s, 0, 0, BYTES(""))) set_log_target(l, s, owner, LOG_TARGET_STDERR);
}

void read_key_log_syslog(struct loader *l, const struct grammar_statement *s, void *owner)
{
    if (take_words(l, s, 0, 0, BYTES(""))) set_log_target(l, s, owner, LOG_TARGET_SYSLOG);
}

void read_key_log_file(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config *c = owner;
    if (!take_words(l, s, 1, 1, BYTES("an absolute path"))) return;
    set_log_target(l, s, c, LOG_TARGET_FILE);
    struct bytes path = word_of(l, s, 1);
    if (value_path_valid(path)) c->log.path = image_text(l, path);
    else CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`file' is `"), path,
                      BYTES("'; expected an absolute path without . or .. in it"));
}

void show_key_log_stderr(const struct config *c, const void *owner, struct buf *out)
{
    (void)owner;
    if (c->log.target == LOG_TARGET_STDERR) BUF_LIT(out, "    stderr\n");
}

void show_key_log_syslog(const struct config *c, const void *owner, struct buf *out)
{
    (void)owner;
    if (c->log.target == LOG_TARGET_SYSLOG) BUF_LIT(out, "    syslog\n");
}

void show_key_log_file(const struct config *c, const void *owner, struct buf *out)
{
    (void)owner;
    if (c->log.target != LOG_TARGET_FILE) return;
    BUF_LIT(out, "    file ");
    put_word(out, config_bytes(c, c->log.path));
    buf_put_c(out, '\n');
}

/* ---- sandbox ---- */

void read_key_require(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config *c = owner;
    if (!take_words(l, s, 1, 1, BYTES("all"))) return;
    c->sandbox.require_all = bytes_equal(word_of(l, s, 1), BYTES("all"));
    if (c->sandbox.require_all) return;
    CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`require' is `"), word_of(l, s, 1), BYTES("'; expected all"));
}

void show_key_require(const struct config *c, const void *owner, struct buf *out)
{
    (void)owner;
    if (c->sandbox.require_all) BUF_LIT(out, "    require all\n");
}

/* ---- masquerade ---- */

void read_key_envelope_from(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct smtp_rewrite rule;
    (void)owner;
    if (!take_words(l, s, 3, 3, BYTES("a pattern, -> and a target, such as *@host.example.org -> *@example.org"))) return;
    if (!bytes_equal(word_of(l, s, 2), BYTES("->")) || !smtp_rewrite_parse(word_of(l, s, 1), word_of(l, s, 3), &rule)) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("this is no rule; expected PATTERN -> TARGET, such as *@host.example.org -> *@example.org"));
        return;
    }
    struct config_rewrite texts = {.pattern = image_text(l, word_of(l, s, 1)), .target = image_text(l, word_of(l, s, 3))};
    struct config_rewrite *item = array_add(l, &l->rewrites);
    if (item) *item = texts;
}

void show_key_envelope_from(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_rewrite *rules = CONFIG_ITEMS(c, c->envelope_from, struct config_rewrite);
    (void)owner;
    for (uint32_t i = 0; rules && i < c->envelope_from.count; i++) {
        BUF_LIT(out, "    envelope-from ");
        put_word(out, config_bytes(c, rules[i].pattern));
        BUF_LIT(out, " -> ");
        put_word(out, config_bytes(c, rules[i].target));
        buf_put_c(out, '\n');
    }
}

/* ---- copies ---- */

/* copies_valid - every value of a table is an address, or there is nobody to send the copy to. */
static bool copies_valid(struct loader *l, const struct table *t)
{
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct table_entry *e = ARRAY_ITEM(&t->entries, i, struct table_entry);
        struct bytes value = image_bytes_of(l, e->value);
        struct smtp_address address;
        if (smtp_mailbox_parse(value, true, &address) == SMTP_ADDRESS_OK && address.domain.len > 0) continue;
        CONFIG_ERROR(l, e->place, BYTES("`"), value, BYTES("' is no address; expected one such as archive@example.org"));
        return false;
    }
    return true;
}

static uint32_t read_copies(struct loader *l, const struct grammar_statement *s)
{
    if (!take_words(l, s, 1, 1, BYTES("the name of a table"))) return 0;
    struct bytes word = word_of(l, s, 1);
    const struct table *t = find_table(l, word);
    if (!t) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`"), word_of(l, s, 0), BYTES("' is `"), word, BYTES("'; expected the name of a table"));
    } else if (t->kept.format == CONFIG_TABLE_REGEX || t->kept.format == CONFIG_TABLE_ALIASES) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("table `"), word, BYTES("' has a format that cannot be used here; expected plain or postfix"));
    } else if (copies_valid(l, t)) {
        return (uint32_t)(t - ARRAY_ITEM(&l->tables, 0, struct table)) + 1;
    }
    return 0;
}

void read_key_sender_bcc(struct loader *l, const struct grammar_statement *s, void *owner)
{
    ((struct config *)owner)->sender_bcc_table = read_copies(l, s);
}

void read_key_recipient_bcc(struct loader *l, const struct grammar_statement *s, void *owner)
{
    ((struct config *)owner)->rcpt_bcc_table = read_copies(l, s);
}

static void show_copies(const struct config *c, const char *key, uint32_t table, struct buf *out)
{
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    if (table == 0 || !tables || table > c->tables.count) return;
    buf_put_cstr(out, key);
    buf_put_c(out, ' ');
    buf_put(out, config_bytes(c, tables[table - 1].name));
    buf_put_c(out, '\n');
}

void show_key_sender_bcc(const struct config *c, const void *owner, struct buf *out)
{
    show_copies(c, "sender-bcc", ((const struct config *)owner)->sender_bcc_table, out);
}

void show_key_recipient_bcc(const struct config *c, const void *owner, struct buf *out)
{
    show_copies(c, "recipient-bcc", ((const struct config *)owner)->rcpt_bcc_table, out);
}
