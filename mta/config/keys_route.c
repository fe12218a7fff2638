/*
 * keys_route - the statements of a route: what it matches, and what it does.
 */
#include <stddef.h>

#include "mta/config/load.h"
#include "mta/config/values.h"
#include "smtp/address.h"

enum {
    RELAY_PORT_DEFAULT = 25, RELAY_PORT_TLS = 465,
    REJECT_TEXT_BYTES_MAX = 400, /* with "550 " and a recipient of 256 it stays below a reply line of 512 twice over */
};

struct match_word {
    struct bytes word;
    enum config_match_kind kind; /* MATCH_NONE: not built yet */
    bool bare;                   /* takes no words */
};

static const struct match_word match_words[] = {
    {BYTES_INIT("any"), MATCH_ANY, true},
    {BYTES_INIT("local"), MATCH_LOCAL, true},
    {BYTES_INIT("trusted"), MATCH_TRUSTED, true},
    {BYTES_INIT("rcpt-domain"), MATCH_RCPT_DOMAIN, false},
    {BYTES_INIT("rcpt"), MATCH_RCPT, false},
    {BYTES_INIT("sender"), MATCH_SENDER, false},
    {BYTES_INIT("sender-domain"), MATCH_SENDER_DOMAIN, false},
    {BYTES_INIT("client"), MATCH_CLIENT, false},
    {BYTES_INIT("authenticated"), MATCH_AUTHENTICATED, true},
    {BYTES_INIT("header"), MATCH_NONE, false},
};
enum { MATCH_WORDS = sizeof match_words / sizeof match_words[0] };

static const struct match_word *find_match_word(struct loader *l, struct bytes word, struct grammar_place place)
{
    struct nearest near = nearest_to(word);
    for (uint32_t i = 0; i < MATCH_WORDS; i++) {
        if (bytes_equal(match_words[i].word, word)) return &match_words[i];
        nearest_offer(&near, match_words[i].word);
    }
    error_with_nearest(l, place, &near, PIECES(BYTES("unknown match `"), word,
                       BYTES("'; expected any, local, trusted, authenticated, rcpt-domain, rcpt, sender, sender-domain or client")));
    return NULL;
}

static bool match_is_wellformed(struct loader *l, const struct grammar_statement *s, const struct match_word *m)
{
    if (m->kind == MATCH_NONE) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`match "), m->word, BYTES("' is not supported yet"));
        return false;
    }
    if (m->bare && s->word_count > 2 && bytes_equal(word_of(l, s, 2), BYTES("or"))) return true; /* read_either() looks at the rest */
    for (uint32_t i = 2; i < s->word_count; i++) {
        if (!bytes_equal(word_of(l, s, i), BYTES("or"))) continue;
        CONFIG_ERROR(l, place_of(l, s, i),
                     BYTES("`or' joins kinds without words, such as authenticated or local; several words are alternatives by themselves"));
        return false;
    }
    if (m->bare && s->word_count > 2) {
        CONFIG_ERROR(l, place_of(l, s, 2), BYTES("unexpected `"), word_of(l, s, 2), BYTES("' behind `match "), m->word,
                     BYTES("'; expected nothing more"));
        return false;
    }
    if (!m->bare && s->word_count == 2) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`match "), m->word, BYTES("' lacks a value; expected one or more"));
        return false;
    }
    return true;
}

/* read_either - "authenticated or local": bits of all the kinds, or 0. */
static uint32_t read_either(struct loader *l, const struct grammar_statement *s)
{
    uint32_t bits = 0;
    for (uint32_t i = 1; i < s->word_count; i += 2) {
        const struct match_word *m = find_match_word(l, word_of(l, s, i), place_of(l, s, i));
        bool joined = i + 1 == s->word_count || (bytes_equal(word_of(l, s, i + 1), BYTES("or")) && i + 2 < s->word_count);
        if (!m) return 0;
        if (!m->bare || !joined) {
            CONFIG_ERROR(l, place_of(l, s, i), BYTES("`or' joins kinds without words, such as authenticated or local"));
            return 0;
        }
        bits |= 1u << m->kind;
    }
    return bits;
}

void read_key_match(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct route_draft *draft = owner;
    if (!take_words(l, s, 1, UINT32_MAX - 1,
                    BYTES("any, local, trusted, authenticated, rcpt-domain, rcpt, sender, sender-domain or client"))) return;
    const struct match_word *m = find_match_word(l, word_of(l, s, 1), place_of(l, s, 1));
    if (!m || !match_is_wellformed(l, s, m)) return;
    struct config_match match = {.kind = (uint8_t)m->kind, .words = join_words(l, s, 2)};
    if (m->bare && s->word_count > 2 && (match.either = read_either(l, s)) == 0) return;
    switch (m->kind) {
    case MATCH_RCPT_DOMAIN:
    case MATCH_SENDER_DOMAIN: match.names = read_names(l, s, 2, NAME_DOMAIN); break;
    case MATCH_RCPT: match.names = read_names(l, s, 2, NAME_ADDRESS); break;
    case MATCH_SENDER: match.names = read_names(l, s, 2, NAME_SENDER); break;
    case MATCH_CLIENT: match.prefixes = read_prefixes(l, s, 2); break;
    default: break;
    }
    struct config_match *kept = array_add(l, &draft->matches);
    if (kept) *kept = match;
}

/* ---- actions ---- */

static const struct bytes action_names[] = {
    [ACTION_NONE] = BYTES_INIT(""),           [ACTION_RELAY] = BYTES_INIT("relay"),     [ACTION_MX] = BYTES_INIT("mx"),
    [ACTION_MAILDIR] = BYTES_INIT("maildir"), [ACTION_DISCARD] = BYTES_INIT("discard"), [ACTION_REJECT] = BYTES_INIT("reject"),
};

static void set_action(struct loader *l, const struct grammar_statement *s, struct config_route *r, enum config_action action)
{
    if (r->action != ACTION_NONE && r->action != action) {
        CONFIG_ERROR(l, s->place, BYTES("a route has one action; this one has `"), action_names[r->action], BYTES("' already"));
    }
    r->action = (uint8_t)action;
}

static bool host_and_port(struct bytes text, struct config_route *r, struct bytes *host)
{
    uint32_t colon = bytes_find_last(text, ':');
    bool literal = text.len > 0 && text.ptr[0] == '[';
    bool has_port = colon < text.len && !(literal && bytes_find(text, ']') > colon);
    uint64_t port = r->relay_tls_first ? (uint64_t)RELAY_PORT_TLS : (uint64_t)RELAY_PORT_DEFAULT;
    if (has_port && (!bytes_to_u64(bytes_from(text, colon + 1), &port) || port == 0 || port > UINT16_MAX)) return false;
    *host = has_port ? bytes_slice(text, 0, colon) : text;
    if (literal) {
        if (host->ptr[host->len - 1] != ']') return false;
        *host = bytes_slice(*host, 1, host->len - 2);
    }
    r->relay_port = (uint16_t)port;
    r->relay_is_address = net_parse_ip(*host, &r->relay_address);
    r->relay_address.port = (uint16_t)port;
    if (literal) return r->relay_is_address && r->relay_address.family == NET_IPV6;
    return r->relay_is_address ? r->relay_address.family == NET_IPV4 : smtp_domain_valid(*host, false);
}

void read_key_relay(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    struct grammar_statement plain = *s;
    plain.has_block = false;
    set_action(l, s, r, ACTION_RELAY);
    if (s->has_block) parse_details(l, s, CONFIG_BLOCK_RELAY, owner);
    if (!take_words(l, &plain, 1, 1, BYTES("smtp://HOST or smtp://HOST:PORT"))) return;
    struct bytes url = word_of(l, s, 1), host;
    r->relay_tls_first = bytes_starts(url, BYTES("smtps://"));
    if (bytes_starts(url, BYTES("lmtp:"))) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`"), bytes_slice(url, 0, bytes_find(url, ':')),
                     BYTES(":' in relay is not supported yet; expected smtp://HOST:PORT"));
        return;
    }
    if (!(r->relay_tls_first || bytes_starts(url, BYTES("smtp://"))) || !host_and_port(bytes_from(url, r->relay_tls_first ? 8 : 7), r, &host)) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`relay' is `"), url,
                     BYTES("'; expected smtp://HOST or smtp://HOST:PORT (an IPv6 address in brackets)"));
        return;
    }
    if (r->tls == ROUTE_TLS_DEFAULT) r->tls = r->relay_tls_first ? ROUTE_TLS_ENCRYPT : ROUTE_TLS_OPPORTUNISTIC;
    if (r->relay_tls_first && r->tls < ROUTE_TLS_ENCRYPT)
        CONFIG_ERROR(l, s->place, BYTES("smtps: begins with TLS; expected tls encrypt or tls verify"));
    r->relay_host = image_text(l, host);
}

void read_key_mx(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct grammar_statement plain = *s;
    plain.has_block = false;
    set_action(l, s, &((struct route_draft *)owner)->route, ACTION_MX);
    if (s->has_block) parse_details(l, s, CONFIG_BLOCK_MX, owner);
    struct config_route *r = &((struct route_draft *)owner)->route;
    if (r->tls == ROUTE_TLS_DEFAULT) r->tls = ROUTE_TLS_OPPORTUNISTIC;
    (void)take_words(l, &plain, 0, 0, BYTES(""));
}

/* Braces are placeholders only, and there are just two. */
static bool placeholders_known(struct bytes path)
{
    for (uint32_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '}') return false;
        if (path.ptr[i] != '{') continue;
        struct bytes rest = bytes_from(path, i);
        if (bytes_starts(rest, BYTES("{domain}"))) i += 7;
        else if (bytes_starts(rest, BYTES("{local}"))) i += 6;
        else return false;
    }
    return true;
}

void read_key_maildir(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    set_action(l, s, r, ACTION_MAILDIR);
    if (!take_words(l, s, 1, 1, BYTES("an absolute path"))) return;
    struct bytes path = word_of(l, s, 1);
    if (!value_path_valid(path) || path.len < 2) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`maildir' is `"), path,
                     BYTES("'; expected an absolute path without . or .. in it"));
    } else if (!placeholders_known(path)) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`maildir' is `"), path,
                     BYTES("'; expected no braces but {domain} and {local}"));
    } else {
        r->maildir = image_text(l, path);
    }
}

void read_key_discard(struct loader *l, const struct grammar_statement *s, void *owner)
{
    set_action(l, s, &((struct route_draft *)owner)->route, ACTION_DISCARD);
    (void)take_words(l, s, 0, 0, BYTES(""));
}

static bool printable_ascii(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~') return false;
    }
    return true;
}

/* "5.7.1" in front of the text must be of the same class as the code (RFC 3463 2, RFC 2034 4). */
static bool enhanced_contradicts(struct bytes text, uint64_t code)
{
    bool enhanced = text.len >= 5 && ascii_is_digit(text.ptr[0]) && text.ptr[1] == '.' && ascii_is_digit(text.ptr[2]);
    return enhanced && text.ptr[0] != '0' + code / 100;
}

void read_key_reject(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    uint8_t memory[REJECT_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    uint64_t code;
    set_action(l, s, r, ACTION_REJECT);
    if (!take_words(l, s, 2, UINT32_MAX - 1, BYTES("a code and a text, such as reject 550 5.1.1 no such user"))) return;
    if (!bytes_to_u64(word_of(l, s, 1), &code) || code < 400 || code > 599 || code == 421) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`reject' has the code `"), word_of(l, s, 1),
                     BYTES("'; expected 400 to 599, but not 421, which closes the connection"));
        return;
    }
    for (uint32_t i = 2; i < s->word_count; i++) {
        if (i > 2) buf_put_c(&text, ' ');
        buf_put(&text, word_of(l, s, i));
    }
    if (text.overflow || !printable_ascii(buf_bytes(&text))) {
        CONFIG_ERROR(l, place_of(l, s, 2), BYTES("the text of `reject' must be ASCII of at most 400 octets"));
    } else if (enhanced_contradicts(buf_bytes(&text), code)) {
        CONFIG_ERROR(l, place_of(l, s, 2), BYTES("the enhanced code `"), word_of(l, s, 2), BYTES("' contradicts the code `"),
                     word_of(l, s, 1), BYTES("'"));
    }
    r->reject_code = (uint16_t)code;
    r->reject_text = image_text(l, buf_bytes(&text));
}

/* ---- who its recipients are ---- */

static bool add_table_place(struct loader *l, struct array *places, struct bytes word, struct grammar_place place)
{
    for (uint32_t i = 0; i < l->tables.count; i++) {
        const struct table *t = ARRAY_ITEM(&l->tables, i, struct table);
        if (!bytes_equal(t->name, word)) continue;
        if (t->kept.format == CONFIG_TABLE_REGEX) {
            CONFIG_ERROR(l, place, BYTES("table `"), word, BYTES("' has regular expressions, which `rewrite' does not support yet"));
            return false;
        }
        uint32_t *item = array_add(l, places);
        if (item) *item = i;
        return true;
    }
    struct nearest near = nearest_to(word);
    for (uint32_t i = 0; i < l->tables.count; i++) nearest_offer(&near, ARRAY_ITEM(&l->tables, i, struct table)->name);
    error_with_nearest(l, place, &near, PIECES(BYTES("there is no table `"), word, BYTES("'")));
    return false;
}

void read_key_rewrite(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    struct array places = {.item_bytes = sizeof(uint32_t)};
    if (!take_words(l, s, 1, UINT32_MAX - 1, BYTES("names of tables"))) return;
    for (uint32_t i = 1; i < s->word_count; i++) (void)add_table_place(l, &places, word_of(l, s, i), place_of(l, s, i));
    r->rewrite = image_list(l, places.items, places.count, sizeof(uint32_t));
    array_free(&places);
}

void show_key_rewrite(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    const struct config_table *tables = CONFIG_ITEMS(c, c->tables, struct config_table);
    const uint32_t *places = CONFIG_ITEMS(c, r->rewrite, uint32_t);
    if (!places || !tables) return;
    BUF_LIT(out, "    rewrite");
    for (uint32_t i = 0; i < r->rewrite.count; i++) {
        buf_put_c(out, ' ');
        if (places[i] < c->tables.count) put_word(out, config_bytes(c, tables[places[i]].name));
    }
    buf_put_c(out, '\n');
}

void read_key_sub_address(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    if (!take_words(l, s, 1, 1, BYTES("one character, such as +"))) return;
    struct bytes word = word_of(l, s, 1);
    bool usable = word.len == 1 && bytes_find(BYTES("+-=_#"), word.ptr[0]) < 5;
    if (usable) r->sub_address = word.ptr[0];
    else CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`sub-address' is `"), word, BYTES("'; expected one of + - = _ #"));
}

void show_key_sub_address(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    (void)c;
    if (r->sub_address == 0) return;
    BUF_LIT(out, "    sub-address ");
    put_word(out, bytes_of(&r->sub_address, 1));
    buf_put_c(out, '\n');
}

/* ---- how it connects ---- */

void read_key_source(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    if (!take_words(l, s, 1, 2, BYTES("an address, or one of each family"))) return;
    for (uint32_t i = 1; i < s->word_count; i++) {
        struct net_address address = {0};
        bool ok = net_parse_ip(word_of(l, s, i), &address);
        struct net_address *field = address.family == NET_IPV6 ? &r->source_ipv6 : &r->source_ipv4;
        if (!ok) {
            CONFIG_ERROR(l, place_of(l, s, i), BYTES("`source' is `"), word_of(l, s, i),
                         BYTES("'; expected an address such as 192.0.2.1 or 2001:db8::1"));
        } else if (field->family != NET_NONE) {
            CONFIG_ERROR(l, place_of(l, s, i), BYTES("`source' has two addresses of one family; expected one of each"));
        }
        *field = address;
    }
}

void read_key_eight_bit(struct loader *l, const struct grammar_statement *s, void *owner)
{
    (void)owner;
    if (!take_words(l, s, 1, 1, BYTES("as-is")) || bytes_equal(word_of(l, s, 1), BYTES("as-is"))) return;
    if (bytes_equal(word_of(l, s, 1), BYTES("convert"))) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`8bit convert' is not supported yet; expected as-is"));
    } else {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`8bit' is `"), word_of(l, s, 1), BYTES("'; expected as-is"));
    }
}

/* ---- showing ---- */

void show_key_match(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    const struct config_match *matches = CONFIG_ITEMS(c, r->matches, struct config_match);
    for (uint32_t i = 0; matches && i < r->matches.count; i++) {
        BUF_LIT(out, "    match");
        for (uint32_t w = 0; w < MATCH_WORDS; w++) {
            if (match_words[w].kind != matches[i].kind) continue;
            buf_put_c(out, ' ');
            buf_put(out, match_words[w].word);
        }
        if (matches[i].words.len > 0) buf_put_c(out, ' ');
        buf_put(out, config_bytes(c, matches[i].words));
        buf_put_c(out, '\n');
    }
}

void show_key_relay(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_RELAY) return;
    bool literal = r->relay_is_address && r->relay_address.family == NET_IPV6;
    buf_put_cstr(out, r->relay_tls_first ? "    relay smtps://" : "    relay smtp://");
    if (literal) buf_put_c(out, '[');
    buf_put(out, config_bytes(c, r->relay_host));
    buf_put_cstr(out, literal ? "]:" : ":");
    buf_put_u64(out, r->relay_port);
    show_route_tls(r, out);
}

static void show_action(const void *owner, enum config_action action, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != action) return;
    BUF_LIT(out, "    ");
    buf_put(out, action_names[action]);
    if (action == ACTION_MX) show_route_tls(r, out);
    else buf_put_c(out, '\n');
}

void show_key_mx(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_action(owner, ACTION_MX, out);
}

void show_key_discard(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_action(owner, ACTION_DISCARD, out);
}

void show_key_maildir(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_MAILDIR) return;
    BUF_LIT(out, "    maildir ");
    put_word(out, config_bytes(c, r->maildir));
    buf_put_c(out, '\n');
}

void show_key_reject(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    if (r->action != ACTION_REJECT) return;
    BUF_LIT(out, "    reject ");
    buf_put_u64(out, r->reject_code);
    buf_put_c(out, ' ');
    put_word(out, config_bytes(c, r->reject_text));
    buf_put_c(out, '\n');
}

void show_key_source(const struct config *c, const void *owner, struct buf *out)
{
    const struct config_route *r = owner;
    (void)c;
    if (r->source_ipv4.family == NET_NONE && r->source_ipv6.family == NET_NONE) return;
    BUF_LIT(out, "    source");
    if (r->source_ipv4.family != NET_NONE) buf_put_c(out, ' '), net_print_ip(out, &r->source_ipv4);
    if (r->source_ipv6.family != NET_NONE) buf_put_c(out, ' '), net_print_ip(out, &r->source_ipv6);
    buf_put_c(out, '\n');
}

void show_key_eight_bit(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    BUF_LIT(out, "    8bit as-is\n");
}
