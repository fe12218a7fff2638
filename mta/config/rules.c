/*
 * rules - see rules.h.
 */
#include "mta/config/rules.h"

#include <stddef.h>
#include <string.h>

#include "mta/config/table.h"

struct seeking { /* what a line may match, one key after the other */
    const struct config *config;
    const struct config_rule *line;
    struct table_hit hit;
    bool found;
};

struct bytes rules_subject_word(uint8_t subject)
{
    static const struct bytes words[ACCESS_OF_SUBJECTS] = {
        [ACCESS_OF_CLIENT] = BYTES_INIT("client"), [ACCESS_OF_HELO] = BYTES_INIT("helo"),
        [ACCESS_OF_SENDER] = BYTES_INIT("sender"), [ACCESS_OF_RECIPIENT] = BYTES_INIT("recipient")};
    return subject < ACCESS_OF_SUBJECTS ? words[subject] : (struct bytes){0};
}

const struct config_rules *rules_of_listener(const struct config *c, const struct config_listener *l)
{
    const struct config_rules *all = CONFIG_ITEMS(c, c->rules, struct config_rules);
    return all && l->rules > 0 && l->rules <= c->rules.count ? &all[l->rules - 1] : NULL;
}

/* ---- one key ---- */

static bool has_name(const struct config *c, struct config_list names, struct bytes name)
{
    const struct config_text *items = CONFIG_ITEMS(c, names, struct config_text);
    uint32_t low = 0, high = items ? names.count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bytes_compare(config_bytes(c, items[middle]), name);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool try_key(struct seeking *s, struct bytes key)
{
    if (s->line->verdict == ACCESS_CHECK) s->found = table_find(s->config, s->line->table, key, &s->hit) == TABLE_YES;
    else s->found = has_name(s->config, s->line->names, key);
    return s->found;
}

/* ---- keys of a value ---- */

static struct bytes lower(struct bytes text, struct buf *out)
{
    for (uint32_t i = 0; i < text.len; i++) buf_put_c(out, ascii_lower(text.ptr[i]));
    return buf_bytes(out);
}

/* try_domain - "DOMAIN", then "*.PARENT" for every parent, each behind `before`. */
static bool try_domain(struct seeking *s, struct bytes before, struct bytes domain)
{
    uint8_t memory[RULES_KEY_BYTES_MAX];
    struct buf key = BUF_OVER(memory);
    buf_put(&key, before);
    buf_put(&key, domain);
    if (domain.len == 0 || key.overflow) return false;
    if (try_key(s, buf_bytes(&key))) return true;
    for (uint32_t dot = bytes_find(domain, '.'); dot < domain.len; dot = bytes_find(domain, '.')) {
        domain = bytes_from(domain, dot + 1);
        key.len = 0;
        buf_put(&key, before);
        BUF_LIT(&key, "*.");
        buf_put(&key, domain);
        if (!key.overflow && try_key(s, buf_bytes(&key))) return true;
    }
    return false;
}

static bool try_address(struct seeking *s, struct bytes address)
{
    uint8_t memory[RULES_KEY_BYTES_MAX], second[RULES_KEY_BYTES_MAX];
    struct buf folded = BUF_OVER(memory), key = BUF_OVER(second);
    struct bytes whole = lower(address, &folded);
    if (folded.overflow) return false;
    if (whole.len == 0) return try_key(s, BYTES("<>"));
    uint32_t at = bytes_find_last(whole, '@');
    if (try_key(s, whole) || try_domain(s, BYTES("*@"), bytes_from(whole, at + 1))) return true;
    buf_put(&key, bytes_slice(whole, 0, at));
    BUF_LIT(&key, "@*");
    return !key.overflow && try_key(s, buf_bytes(&key));
}

static void cut_address(struct net_address *a, uint32_t bits)
{
    uint32_t octets = a->family == NET_IPV4 ? 4 : 16;
    for (uint32_t i = bits; i < octets * 8; i++) a->ip[i / 8] &= (uint8_t)~(0x80u >> i % 8);
}

/* try_networks - in a table: the address, then each network around it. */
static bool try_networks(struct seeking *s, const struct net_address *client)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    uint32_t all = client->family == NET_IPV4 ? 32 : 128;
    struct buf key = BUF_OVER(memory);
    net_print_ip(&key, client);
    if (try_key(s, buf_bytes(&key))) return true;
    for (uint32_t bits = all; bits > 0; bits--) {
        struct net_address network = *client;
        cut_address(&network, bits);
        key.len = 0;
        net_print_ip(&key, &network);
        buf_put_c(&key, '/');
        buf_put_u64(&key, bits);
        if (try_key(s, buf_bytes(&key))) return true;
    }
    return false;
}

static bool try_client(struct seeking *s, const struct rules_question *q)
{
    uint8_t memory[HOST_NAME_BYTES_MAX];
    struct buf folded = BUF_OVER(memory);
    if (!q->client || q->client->family == NET_NONE) return false;
    if (s->line->verdict == ACCESS_CHECK && try_networks(s, q->client)) return true;
    if (config_in_prefixes(s->config, s->line->prefixes, q->client)) return s->found = true;
    if (q->client_name.len == 0) return try_key(s, BYTES("unknown"));
    return try_domain(s, (struct bytes){0}, lower(q->client_name, &folded));
}

static bool try_line(struct seeking *s, const struct rules_question *q)
{
    uint8_t memory[HOST_NAME_BYTES_MAX];
    struct buf folded = BUF_OVER(memory);
    switch ((enum config_rule_subject)s->line->subject) {
    case ACCESS_OF_CLIENT: return try_client(s, q);
    case ACCESS_OF_HELO: return try_domain(s, (struct bytes){0}, lower(q->helo, &folded));
    case ACCESS_OF_SENDER: return try_address(s, q->sender);
    case ACCESS_OF_RECIPIENT: return try_address(s, q->recipient);
    case ACCESS_OF_SUBJECTS: break;
    }
    return false;
}

/* ---- verdicts ---- */

static bool take_word(struct bytes *rest, const char *word)
{
    struct bytes w = bytes_of_cstr(word);
    if (!bytes_starts_nocase(*rest, w) || (rest->len > w.len && rest->ptr[w.len] != ' ' && rest->ptr[w.len] != '\t')) return false;
    *rest = bytes_trim(bytes_from(*rest, w.len));
    return true;
}

bool rules_parse_verdict(struct bytes value, uint8_t *verdict, uint16_t *code, struct bytes *text)
{
    uint64_t number;
    struct bytes rest = bytes_trim(value);
    *verdict = ACCESS_DENY;
    *code = 554;
    bool known = true;
    if (take_word(&rest, "allow") || take_word(&rest, "ok")) *verdict = ACCESS_ALLOW;
    else if (take_word(&rest, "pass") || take_word(&rest, "dunno")) *verdict = ACCESS_NOTHING;
    else if (take_word(&rest, "defer")) *code = 450;
    else if (!take_word(&rest, "deny") && !take_word(&rest, "reject")) known = false;
    if (!known && bytes_to_u64(bytes_slice(rest, 0, bytes_find(rest, ' ')), &number) && number >= 400 && number <= 599 && number != 421) {
        *code = (uint16_t)number;
        rest = bytes_trim(bytes_from(rest, bytes_find(rest, ' ')));
        known = true;
    }
    *text = rest;
    return known && (*verdict == ACCESS_DENY || rest.len == 0);
}

/* decide - what a line that matches says. */
static struct rules_answer decide(const struct seeking *s)
{
    const struct config_rule *line = s->line;
    struct rules_answer a = {.verdict = line->verdict, .line = line};
    if (line->verdict == ACCESS_CHECK) {
        const struct config_entry *e = table_entry_at(s->config, s->hit.table, s->hit.first);
        a.table_line = e ? e->line : 0;
        if (!rules_parse_verdict(table_value(s->config, &s->hit, 0, NULL), &a.verdict, &a.code, &a.text)) a.verdict = ACCESS_NOTHING;
    } else if (line->verdict == ACCESS_DENY) {
        a.code = line->code ? line->code : 554;
        a.text = config_bytes(s->config, line->text);
    }
    return a;
}

struct rules_answer rules_find(const struct config *c, const struct config_rules *rules, const struct rules_question *q)
{
    const struct config_rule *lines = CONFIG_ITEMS(c, rules->rules, struct config_rule);
    for (uint32_t i = 0; lines && i < rules->rules.count; i++) {
        struct seeking s = {.config = c, .line = &lines[i]};
        if (!try_line(&s, q)) continue;
        struct rules_answer a = decide(&s);
        if (a.verdict != ACCESS_NOTHING) return a;
    }
    return (struct rules_answer){0};
}

bool rules_need_name(const struct config *c, const struct config_rules *rules)
{
    const struct config_rule *lines = CONFIG_ITEMS(c, rules->rules, struct config_rule);
    for (uint32_t i = 0; lines && i < rules->rules.count; i++) {
        if (lines[i].subject == ACCESS_OF_CLIENT && (lines[i].verdict == ACCESS_CHECK || lines[i].names.count > 0)) return true;
    }
    return false;
}
