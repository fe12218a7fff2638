/*
 * keys_route - the statements of a route: what it matches, and what it does.
 */
#include <stddef.h>
#include <sys/un.h>

#include "mta/config/hop.h"
#include "mta/config/load.h"
#include "mta/config/values.h"
#include "smtp/address.h"

enum {
    RELAY_PORT_DEFAULT = 25, RELAY_PORT_TLS = 465, LMTP_PORT_DEFAULT = 24, /* RFC 2033 5: not 25; 24 is what others use */
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
    [ACTION_LMTP] = BYTES_INIT("lmtp"),       [ACTION_LOCAL] = BYTES_INIT("local"),
    [ACTION_TRANSPORT] = BYTES_INIT("transport"),
};

static void set_action(struct loader *l, const struct grammar_statement *s, struct config_route *r, enum config_action action)
{
    if (r->action != ACTION_NONE && r->action != action) {
        CONFIG_ERROR(l, s->place, BYTES("a route has one action; this one has `"), action_names[r->action], BYTES("' already"));
    }
    r->action = (uint8_t)action;
}

/* host_and_port - brackets stand round IPv6 and nothing else here. */
static bool host_and_port(struct bytes text, uint16_t default_port, struct config_relay *r, struct bytes *host)
{
    struct hop h = {0};
    bool literal = text.len > 0 && text.ptr[0] == '[';
    if (!hop_host_port(text, default_port, &h) || (literal && !(h.is_address && h.address.family == NET_IPV6))) return false;
    *r = (struct config_relay){.is_address = h.is_address, .port = h.port, .address = h.address};
    *host = h.host;
    return true;
}

/* set_first - what a route says of itself is its first host. */
static void set_first(struct config_route *r, const struct config_relay *first)
{
    r->relay_host = first->host;
    r->relay_port = first->port;
    r->relay_is_address = first->is_address;
    r->relay_address = first->address;
}

static bool read_relay(struct loader *l, const struct grammar_statement *s, uint32_t n, struct config_relay *out)
{
    struct bytes url = word_of(l, s, n), host;
    if (bytes_starts(url, BYTES("lmtp:"))) {
        CONFIG_ERROR(l, place_of(l, s, n), BYTES("`lmtp:' in relay; expected the action lmtp instead, such as lmtp unix:/run/dovecot/lmtp"));
        return false;
    }
    bool tls_first = bytes_starts(url, BYTES("smtps://"));
    uint16_t port = tls_first ? RELAY_PORT_TLS : RELAY_PORT_DEFAULT;
    if (!(tls_first || bytes_starts(url, BYTES("smtp://"))) || !host_and_port(bytes_from(url, tls_first ? 8 : 7), port, out, &host)) {
        CONFIG_ERROR(l, place_of(l, s, n), BYTES("`relay' is `"), url,
                     BYTES("'; expected smtp://HOST or smtp://HOST:PORT (an IPv6 address in brackets)"));
        return false;
    }
    out->host = image_text(l, host);
    out->tls_first = tls_first;
    return true;
}

void read_key_relay(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    struct grammar_statement plain = *s;
    plain.has_block = false;
    set_action(l, s, r, ACTION_RELAY);
    if (s->has_block) parse_details(l, s, CONFIG_BLOCK_RELAY, owner);
    struct config_relay relays[CONFIG_RELAYS_MAX] = {{.port = 0}};
    if (!take_words(l, &plain, 1, CONFIG_RELAYS_MAX, BYTES("smtp://HOST or smtp://HOST:PORT"))) return;
    for (uint32_t i = 1; i < s->word_count; i++) {
        if (!read_relay(l, s, i, &relays[i - 1])) return;
        if (relays[i - 1].tls_first == relays[0].tls_first) continue;
        CONFIG_ERROR(l, place_of(l, s, i), BYTES("smtp: and smtps: in one relay; expected all hosts the same way"));
        return;
    }
    r->relays = image_list(l, relays, s->word_count - 1, sizeof relays[0]);
    r->relay_tls_first = relays[0].tls_first;
    set_first(r, &relays[0]);
    if (r->tls == ROUTE_TLS_DEFAULT) r->tls = r->relay_tls_first ? ROUTE_TLS_ENCRYPT : ROUTE_TLS_OPPORTUNISTIC;
    if (r->relay_tls_first && r->tls < ROUTE_TLS_ENCRYPT)
        CONFIG_ERROR(l, s->place, BYTES("smtps: begins with TLS; expected tls encrypt or tls verify"));
}

/* hops_valid - whether every value of a table says where mail goes. */
static bool hops_valid(struct loader *l, const struct table *t)
{
    enum { VALUE_BYTES_MAX = 200 }; /* with the route's name it is the name of a destination */
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct table_entry *e = ARRAY_ITEM(&t->entries, i, struct table_entry);
        struct bytes value = image_bytes_of(l, e->value);
        struct hop h;
        if (value.len <= VALUE_BYTES_MAX && hop_parse(value, &h)) continue;
        CONFIG_ERROR(l, e->place, BYTES("`"), value, BYTES("' is no transport; expected smtp:[HOST]:PORT, smtp:DOMAIN, lmtp:[HOST]:PORT or discard:"));
        return false;
    }
    return true;
}

void read_key_transport(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    set_action(l, s, r, ACTION_TRANSPORT);
    r->tls = ROUTE_TLS_OPPORTUNISTIC;
    if (!take_words(l, s, 1, 1, BYTES("the name of a table"))) return;
    struct bytes word = word_of(l, s, 1);
    const struct table *t = find_table(l, word);
    if (!t) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`transport' is `"), word, BYTES("'; expected the name of a table"));
    } else if (t->kept.format == CONFIG_TABLE_REGEX || t->kept.format == CONFIG_TABLE_ALIASES) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("table `"), word, BYTES("' has a format that `transport' cannot use; expected plain or postfix"));
    } else if (hops_valid(l, t)) {
        r->transport_table = (uint32_t)(t - ARRAY_ITEM(&l->tables, 0, struct table));
    }
}

enum { UNIX_PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

void read_key_lmtp(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    set_action(l, s, r, ACTION_LMTP);
    if (!take_words(l, s, 1, 1, BYTES("unix:PATH, inet:HOST or inet:HOST:PORT"))) return;
    struct bytes word = word_of(l, s, 1), host;
    if (bytes_starts(word, BYTES("unix:"))) {
        struct bytes path = bytes_from(word, 5);
        if (!value_path_valid(path) || path.len < 2 || path.len > UNIX_PATH_BYTES_MAX) {
            CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`lmtp' is `"), word,
                         BYTES("'; expected behind unix: an absolute path of at most 107 octets, without . or .. in it"));
            return;
        }
        r->relay_is_address = true;
        r->relay_address = net_of_path(path);
        r->relay_host = image_text(l, path);
        r->tls = ROUTE_TLS_OFF; /* nobody is between */
        return;
    }
    struct config_relay only;
    if (!bytes_starts(word, BYTES("inet:")) || !host_and_port(bytes_from(word, 5), LMTP_PORT_DEFAULT, &only, &host)) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`lmtp' is `"), word,
                     BYTES("'; expected unix:PATH, inet:HOST or inet:HOST:PORT (an IPv6 address in brackets)"));
        return;
    }
    only.host = image_text(l, host);
    set_first(r, &only);
    r->tls = ROUTE_TLS_OPPORTUNISTIC;
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

void read_key_recipient_check(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    if (!take_words(l, s, 1, 1, BYTES("lmtp or the name of a table"))) return;
    struct bytes word = word_of(l, s, 1);
    const struct table *t = find_table(l, word);
    if (!t && bytes_equal(word, BYTES("lmtp"))) {
        r->check = CHECK_LMTP;
    } else if (!t) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`recipient-check' is `"), word, BYTES("'; expected lmtp or the name of a table"));
    } else if (t->kept.format == CONFIG_TABLE_REGEX) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("table `"), word, BYTES("' has regular expressions, which `recipient-check' cannot use"));
    } else {
        r->check = CHECK_TABLE;
        r->check_table = (uint32_t)(t - ARRAY_ITEM(&l->tables, 0, struct table));
    }
}

/* one_name - a file name below a home folder. */
static bool one_name(struct bytes word)
{
    return word.len > 0 && word.len <= 255 && bytes_find(word, '/') == word.len && !bytes_equal(word, BYTES(".")) && !bytes_equal(word, BYTES(".."));
}

void read_key_local(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_route *r = &((struct route_draft *)owner)->route;
    set_action(l, s, r, ACTION_LOCAL);
    if (!take_words(l, s, 1, 2, BYTES("maildir, maildir NAME, mbox or mbox FOLDER"))) return;
    struct bytes word = word_of(l, s, 1), path = s->word_count > 2 ? word_of(l, s, 2) : (struct bytes){0};
    r->local_mbox = bytes_equal(word, BYTES("mbox"));
    if (!r->local_mbox && !bytes_equal(word, BYTES("maildir"))) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`local' is `"), word, BYTES("'; expected maildir or mbox"));
        return;
    }
    if (path.len == 0) path = r->local_mbox ? BYTES("/var/mail") : BYTES("Maildir");
    if (r->local_mbox ? value_path_valid(path) && path.len > 1 : one_name(path)) r->local_path = image_text(l, path);
    else CONFIG_ERROR(l, place_of(l, s, 2), BYTES("`local "), word, BYTES("' has `"), path,
                      r->local_mbox ? BYTES("'; expected an absolute path without . or .. in it")
                                    : BYTES("'; expected the name of a folder in the home folder"));
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
