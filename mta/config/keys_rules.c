/*
 * keys_rules - the statements of a rules block. What a line may match is in rules.h.
 */
#include <stddef.h>
#include <string.h>

#include "mta/config/load.h"
#include "mta/config/rules.h"
#include "mta/config/table.h"
#include "mta/config/values.h"
#include "smtp/address.h"
#include "smtp/dnsbl.h"

enum { ANSWER_TEXT_BYTES_MAX = 300 }; /* with a recipient and the rule's name it stays below a reply line of 512 twice over */

/* ---- words ---- */

static bool read_subject(struct loader *l, const struct grammar_statement *s, uint8_t *subject)
{
    struct nearest near = nearest_to(word_of(l, s, 1));
    for (uint8_t i = 0; i < ACCESS_OF_SUBJECTS; i++) {
        nearest_offer(&near, rules_subject_word(i));
        if (!bytes_equal(word_of(l, s, 1), rules_subject_word(i))) continue;
        *subject = i;
        return true;
    }
    error_with_nearest(l, place_of(l, s, 1), &near, PIECES(BYTES("`"), word_of(l, s, 0), BYTES(" "), word_of(l, s, 1),
                       BYTES("'; expected client, helo, sender or recipient")));
    return false;
}

static bool domain_key_valid(struct bytes word)
{
    if (bytes_starts(word, BYTES("*."))) word = bytes_from(word, 2);
    return smtp_domain_valid(word, true) || smtp_literal_valid(word);
}

static bool address_key_valid(struct bytes word)
{
    struct smtp_address address;
    uint32_t at = bytes_find_last(word, '@');
    struct bytes local = bytes_slice(word, 0, at), domain = bytes_from(word, at + 1);
    if (at == word.len) return false;
    if (bytes_equal(local, BYTES("*"))) return domain_key_valid(domain);
    if (bytes_equal(domain, BYTES("*"))) return local.len > 0;
    return smtp_mailbox_parse(word, true, &address) == SMTP_ADDRESS_OK;
}

static bool key_valid(uint8_t subject, struct bytes word)
{
    switch ((enum config_rule_subject)subject) {
    case ACCESS_OF_CLIENT: return bytes_equal(word, BYTES("unknown")) || (domain_key_valid(word) && bytes_find(word, '.') < word.len);
    case ACCESS_OF_HELO: return domain_key_valid(word);
    case ACCESS_OF_SENDER: return bytes_equal(word, BYTES("<>")) || address_key_valid(word);
    case ACCESS_OF_RECIPIENT: return address_key_valid(word);
    case ACCESS_OF_SUBJECTS: break;
    }
    return false;
}

static const struct bytes expected[ACCESS_OF_SUBJECTS] = {
    [ACCESS_OF_CLIENT] = BYTES_INIT("192.0.2.0/24, 2001:db8::/32, mail.example.org, *.example.org, unknown, or a table"),
    [ACCESS_OF_HELO] = BYTES_INIT("mail.example.org, *.example.org, or a table"),
    [ACCESS_OF_SENDER] = BYTES_INIT("a@example.org, *@example.org, *@*.example.org, a@*, <>, or a table"),
    [ACCESS_OF_RECIPIENT] = BYTES_INIT("a@example.org, *@example.org, *@*.example.org, a@*, or a table"),
};

struct line_draft { struct config_rule rule; struct array names, prefixes; };

static void add_what(struct loader *l, struct line_draft *d, struct bytes word, struct grammar_place place)
{
    struct net_prefix prefix;
    uint8_t memory[RULES_KEY_BYTES_MAX];
    struct buf lower = BUF_OVER(memory);
    if (d->rule.subject == ACCESS_OF_CLIENT && (bytes_equal(word, BYTES("local")) || net_parse_prefix(word, &prefix))) {
        add_prefix_word(l, &d->prefixes, word, place);
        return;
    }
    for (uint32_t i = 0; i < word.len; i++) buf_put_c(&lower, ascii_lower(word.ptr[i]));
    if (lower.overflow || !key_valid(d->rule.subject, word)) {
        CONFIG_ERROR(l, place, BYTES("`"), word, BYTES("' is nothing that a "), rules_subject_word(d->rule.subject), BYTES(" can be; expected "),
                     expected[d->rule.subject]);
        return;
    }
    struct config_text text = image_text(l, buf_bytes(&lower));
    struct config_text *item = array_add(l, &d->names);
    if (item) *item = text;
}

static void add_word(struct loader *l, struct line_draft *d, struct bytes word, struct grammar_place place)
{
    const struct table *t = find_table(l, word);
    if (!t) {
        add_what(l, d, word, place);
        return;
    }
    if (!table_has_names(l, t, place)) return;
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct table_entry *e = ARRAY_ITEM(&t->entries, i, struct table_entry);
        add_what(l, d, table_key(l, e), e->place);
    }
}

/* ---- answers ---- */

static bool printable(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~') return false;
    }
    return text.len <= ANSWER_TEXT_BYTES_MAX;
}

static bool contradicts(struct bytes text, uint64_t code)
{
    bool enhanced = text.len >= 5 && ascii_is_digit(text.ptr[0]) && text.ptr[1] == '.' && ascii_is_digit(text.ptr[2]);
    return enhanced && text.ptr[0] != '0' + code / 100;
}

/* read_answer - CODE TEXT from word `from` on. */
static void read_answer(struct loader *l, const struct grammar_statement *s, uint32_t from, struct config_rule *rule)
{
    uint64_t code = 0;
    uint8_t memory[GRAMMAR_WORD_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (from >= s->word_count || !bytes_to_u64(word_of(l, s, from), &code) || code < 400 || code > 599 || code == 421) {
        CONFIG_ERROR(l, place_of(l, s, from < s->word_count ? from : s->word_count - 1),
                     BYTES("`answer' needs a code from 400 to 599, but not 421, and a text; expected answer 550 5.7.1 not from there"));
        return;
    }
    for (uint32_t i = from + 1; i < s->word_count; i++) {
        if (i > from + 1) buf_put_c(&text, ' ');
        buf_put(&text, word_of(l, s, i));
    }
    if (text.overflow || !printable(buf_bytes(&text))) {
        CONFIG_ERROR(l, place_of(l, s, from), BYTES("the text of `answer' must be ASCII of at most 300 octets"));
    } else if (contradicts(buf_bytes(&text), code)) {
        CONFIG_ERROR(l, place_of(l, s, from + 1), BYTES("the enhanced code `"), word_of(l, s, from + 1), BYTES("' contradicts the code `"),
                     word_of(l, s, from), BYTES("'"));
    }
    rule->code = (uint16_t)code;
    rule->text = image_text(l, buf_bytes(&text));
}

/* ---- allow, deny, check ---- */

static void read_line(struct loader *l, const struct grammar_statement *s, void *owner, uint8_t verdict)
{
    struct rules_draft *draft = owner;
    struct line_draft d = {.names.item_bytes = sizeof(struct config_text), .prefixes.item_bytes = sizeof(struct net_prefix)};
    if (!take_words(l, s, 2, UINT32_MAX - 1, BYTES("client, helo, sender or recipient, and whom it is about"))) return;
    if (!read_subject(l, s, &d.rule.subject)) return;
    d.rule.verdict = verdict;
    d.rule.line = s->place.line;
    d.rule.words = join_words(l, s, 2);
    uint32_t end = 2;
    while (end < s->word_count && !bytes_equal(word_of(l, s, end), BYTES("answer"))) end++;
    for (uint32_t i = 2; i < end; i++) add_word(l, &d, word_of(l, s, i), place_of(l, s, i));
    if (end < s->word_count && verdict == ACCESS_ALLOW) CONFIG_ERROR(l, place_of(l, s, end), BYTES("`allow' has no answer"));
    else if (end < s->word_count) read_answer(l, s, end + 1, &d.rule);
    sort_names(l, &d.names);
    d.rule.names = image_list(l, d.names.items, d.names.count, sizeof(struct config_text));
    d.rule.prefixes = image_list(l, d.prefixes.items, d.prefixes.count, sizeof(struct net_prefix));
    array_free(&d.names);
    array_free(&d.prefixes);
    struct config_rule *kept = array_add(l, &draft->lines);
    if (kept) *kept = d.rule;
}

void read_key_rule_allow(struct loader *l, const struct grammar_statement *s, void *owner) { read_line(l, s, owner, ACCESS_ALLOW); }
void read_key_rule_deny(struct loader *l, const struct grammar_statement *s, void *owner) { read_line(l, s, owner, ACCESS_DENY); }

/* check_values - every value must be a verdict, since a mistyped one would let in or keep out without a word. */
static void check_values(struct loader *l, const struct table *t)
{
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct table_entry *e = ARRAY_ITEM(&t->entries, i, struct table_entry);
        struct bytes value = image_bytes_of(l, e->value), text;
        uint8_t verdict;
        uint16_t code;
        bool ok = rules_parse_verdict(value, &verdict, &code, &text) && printable(text) && !contradicts(text, code);
        if (!ok) CONFIG_ERROR(l, e->place, BYTES("the value `"), bytes_slice(value, 0, 80), BYTES("' of table `"), t->name,
                              BYTES("' is no verdict; expected allow, pass, deny TEXT, defer TEXT, or a code and a text"));
    }
}

void read_key_rule_check(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct rules_draft *draft = owner;
    struct config_rule rule = {.verdict = ACCESS_CHECK, .line = s->place.line};
    if (!take_words(l, s, 2, 2, BYTES("client, helo, sender or recipient, and a table")) || !read_subject(l, s, &rule.subject)) return;
    const struct table *t = find_table(l, word_of(l, s, 2));
    if (!t) {
        struct nearest near = nearest_to(word_of(l, s, 2));
        for (uint32_t i = 0; i < l->tables.count; i++) nearest_offer(&near, ARRAY_ITEM(&l->tables, i, struct table)->name);
        error_with_nearest(l, place_of(l, s, 2), &near, PIECES(BYTES("there is no table `"), word_of(l, s, 2), BYTES("'")));
        return;
    }
    if (t->kept.format == CONFIG_TABLE_REGEX || t->kept.format == CONFIG_TABLE_ALIASES) {
        CONFIG_ERROR(l, place_of(l, s, 2), BYTES("`check' takes plain and postfix tables; `"), t->name, BYTES("' is of another format"));
        return;
    }
    check_values(l, t);
    rule.words = join_words(l, s, 2);
    rule.table = (uint32_t)(t - ARRAY_ITEM(&l->tables, 0, struct table));
    struct config_rule *kept = array_add(l, &draft->lines);
    if (kept) *kept = rule;
}

/* All lines are shown together, in their order. */
void show_key_rule_allow(const struct config *c, const void *owner, struct buf *out)
{
    static const char *const verdicts[] = {[ACCESS_NOTHING] = "", [ACCESS_ALLOW] = "allow ", [ACCESS_DENY] = "deny ", [ACCESS_CHECK] = "check "};
    const struct config_rules *r = owner;
    const struct config_rule *lines = CONFIG_ITEMS(c, r->rules, struct config_rule);
    for (uint32_t i = 0; lines && i < r->rules.count; i++) {
        BUF_LIT(out, "    ");
        buf_put_cstr(out, lines[i].verdict <= ACCESS_CHECK ? verdicts[lines[i].verdict] : "");
        buf_put(out, rules_subject_word(lines[i].subject));
        buf_put_c(out, ' ');
        buf_put(out, config_bytes(c, lines[i].words));
        buf_put_c(out, '\n');
    }
}

void show_key_rule_deny(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    (void)owner;
    (void)out;
}

void show_key_rule_check(const struct config *c, const void *owner, struct buf *out) { show_key_rule_deny(c, owner, out); }

/* ---- one word ---- */

static bool read_choice(struct loader *l, const struct grammar_statement *s, struct bytes words, uint8_t *field)
{
    if (!take_words(l, s, 1, 1, words)) return false;
    struct nearest near = nearest_to(word_of(l, s, 1));
    for (uint8_t n = 0; choice_word(words, n).len > 0; n++) {
        nearest_offer(&near, choice_word(words, n));
        if (!bytes_equal(word_of(l, s, 1), choice_word(words, n))) continue;
        *field = n;
        return true;
    }
    error_with_nearest(l, place_of(l, s, 1), &near, PIECES(BYTES("`"), word_of(l, s, 0), BYTES("' is `"), word_of(l, s, 1),
                       BYTES("'; expected one of: "), words));
    return false;
}

static const struct bytes helo_words = BYTES_INIT("off basic fqdn resolves");
static const struct bytes reverse_words = BYTES_INIT("off any confirmed");
static const struct bytes switch_words = BYTES_INIT("off on");

static void show_choice(const char *key, struct bytes word, struct buf *out)
{
    BUF_LIT(out, "    ");
    buf_put_cstr(out, key);
    buf_put_c(out, ' ');
    buf_put(out, word);
    buf_put_c(out, '\n');
}

void read_key_rule_helo(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_rules *r = &((struct rules_draft *)owner)->rules;
    if (read_choice(l, s, helo_words, &r->helo)) r->helo_line = s->place.line;
}

void show_key_rule_helo(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_choice("helo", choice_word(helo_words, ((const struct config_rules *)owner)->helo), out);
}

void read_key_rule_reverse(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_rules *r = &((struct rules_draft *)owner)->rules;
    if (read_choice(l, s, reverse_words, &r->reverse)) r->reverse_line = s->place.line;
}

void show_key_rule_reverse(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_choice("reverse-name", choice_word(reverse_words, ((const struct config_rules *)owner)->reverse), out);
}

void read_key_rule_sender_domain(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_rules *r = &((struct rules_draft *)owner)->rules;
    uint8_t on = 0;
    if (!read_choice(l, s, switch_words, &on)) return;
    r->sender_domain = on != 0;
    r->sender_domain_line = s->place.line;
}

void show_key_rule_sender_domain(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_choice("sender-domain", choice_word(switch_words, ((const struct config_rules *)owner)->sender_domain), out);
}

void read_key_rule_greylist(struct loader *l, const struct grammar_statement *s, void *owner)
{
    struct config_rules *r = &((struct rules_draft *)owner)->rules;
    uint8_t on = 0;
    if (!read_choice(l, s, switch_words, &on)) return;
    r->greylist = on != 0;
    r->greylist_line = s->place.line;
}

void show_key_rule_greylist(const struct config *c, const void *owner, struct buf *out)
{
    (void)c;
    show_choice("greylist", choice_word(switch_words, ((const struct config_rules *)owner)->greylist), out);
}

void read_key_rules(struct loader *l, const struct grammar_statement *s, void *owner)
{
    if (take_words(l, s, 1, 1, BYTES("the name of a rules block"))) ((struct config_listener *)owner)->rules_name = image_text(l, word_of(l, s, 1));
}

void show_key_rules(const struct config *c, const void *owner, struct buf *out)
{
    struct bytes name = config_bytes(c, ((const struct config_listener *)owner)->rules_name);
    if (name.len > 0) show_choice("rules", name, out);
}

/* ---- lists in the DNS ---- */

static bool read_weight(struct loader *l, const struct grammar_statement *s, uint32_t n, struct config_dnslist *list)
{
    uint64_t weight;
    if (bytes_to_u64(word_of(l, s, n), &weight) && weight > 0 && weight <= SMTP_DNSBL_WEIGHT_MAX) {
        list->weight = list->weight < 0 ? -(int32_t)weight : (int32_t)weight;
        return true;
    }
    CONFIG_ERROR(l, place_of(l, s, n), BYTES("`weight' is `"), word_of(l, s, n), BYTES("'; expected 1 to 1000"));
    return false;
}

static bool read_answers(struct loader *l, const struct grammar_statement *s, uint32_t n, struct config_dnslist *list)
{
    struct smtp_dnsbl_filter filter;
    if (smtp_dnsbl_filter_parse(word_of(l, s, n), &filter)) {
        list->answers = image_text(l, word_of(l, s, n));
        list->any_answer = false;
        return true;
    }
    CONFIG_ERROR(l, place_of(l, s, n), BYTES("`answers' is `"), word_of(l, s, n),
                 BYTES("'; expected 127.0.0.2, 127.0.0.2..11, \"127.0.0.[2;4..7]\" or 127.0.0.&4"));
    return false;
}

static bool read_of(struct loader *l, const struct grammar_statement *s, uint32_t n, struct config_dnslist *list)
{
    for (uint8_t i = ACCESS_OF_CLIENT; i <= ACCESS_OF_SENDER; i++) {
        if (!bytes_equal(word_of(l, s, n), rules_subject_word(i))) continue;
        list->subject = i;
        return true;
    }
    CONFIG_ERROR(l, place_of(l, s, n), BYTES("`of' is `"), word_of(l, s, n), BYTES("'; expected client, helo or sender"));
    return false;
}

static void read_list(struct loader *l, const struct grammar_statement *s, void *owner, int32_t weight)
{
    struct rules_draft *draft = owner;
    struct config_dnslist list = {.weight = weight, .any_answer = true, .line = s->place.line};
    if (!take_words(l, s, 1, 7, BYTES("a zone such as zen.example.org, and then weight, answers, of"))) return;
    if (!smtp_domain_valid(word_of(l, s, 1), false) || word_of(l, s, 1).len > 180) {
        CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`"), word_of(l, s, 1), BYTES("' is no zone; expected a domain such as zen.example.org"));
        return;
    }
    list.zone = image_text(l, word_of(l, s, 1));
    for (uint32_t i = 2; i < s->word_count; i += 2) {
        struct bytes word = word_of(l, s, i);
        bool more = i + 1 < s->word_count, known = false;
        if (more && bytes_equal(word, BYTES("weight"))) known = read_weight(l, s, i + 1, &list);
        else if (more && bytes_equal(word, BYTES("answers"))) known = read_answers(l, s, i + 1, &list);
        else if (more && bytes_equal(word, BYTES("of"))) known = read_of(l, s, i + 1, &list);
        else CONFIG_ERROR(l, place_of(l, s, i), BYTES("unexpected `"), word, BYTES("'; expected weight N, answers FILTER, of SUBJECT"));
        if (!known) return;
    }
    if (draft->dnslists.count == CONFIG_DNSLISTS_MAX) {
        CONFIG_ERROR(l, s->place, BYTES("more than 16 lists in one block: each costs a question for every stranger"));
        return;
    }
    struct config_dnslist *kept = array_add(l, &draft->dnslists);
    if (kept) *kept = list;
}

void read_key_rule_dnsbl(struct loader *l, const struct grammar_statement *s, void *owner) { read_list(l, s, owner, 1); }
void read_key_rule_dnswl(struct loader *l, const struct grammar_statement *s, void *owner) { read_list(l, s, owner, -1); }

static void show_lists(const struct config *c, const struct config_rules *r, bool white, struct buf *out)
{
    const struct config_dnslist *lists = CONFIG_ITEMS(c, r->dnslists, struct config_dnslist);
    for (uint32_t i = 0; lists && i < r->dnslists.count; i++) {
        if ((lists[i].weight < 0) != white) continue;
        buf_put_cstr(out, white ? "    dnswl " : "    dnsbl ");
        buf_put(out, config_bytes(c, lists[i].zone));
        BUF_LIT(out, " weight ");
        buf_put_u64(out, (uint64_t)(white ? -lists[i].weight : lists[i].weight));
        if (!lists[i].any_answer) BUF_LIT(out, " answers ");
        if (!lists[i].any_answer) put_word(out, config_bytes(c, lists[i].answers));
        BUF_LIT(out, " of ");
        buf_put(out, rules_subject_word(lists[i].subject));
        buf_put_c(out, '\n');
    }
}

void show_key_rule_dnsbl(const struct config *c, const void *owner, struct buf *out) { show_lists(c, owner, false, out); }
void show_key_rule_dnswl(const struct config *c, const void *owner, struct buf *out) { show_lists(c, owner, true, out); }
