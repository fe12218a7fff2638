/*
 * judge - see judge.h. One function a rule; each says whether it is done, and the first that refuses has the last word.
 */
#include "mta/receiver/judge.h"

#include <stddef.h>

#include "smtp/reply.h"

struct judging {
    const struct config *config;
    const struct judge_question *q;
    const struct judge_trace *trace;
    struct judgement *out;
};

enum next { GO_ON = 0, STOP };

/* ---- saying it ---- */

static void step(struct judging *j, const char *rule, const char *verdict, struct bytes words, uint32_t line)
{
    if (j->trace) j->trace->step(j->trace->context, rule, verdict, words, line);
}

/* put_rule - "(rules mx: deny client, line 12)": which rule it was, for who reads the reply and has the configuration. */
static void put_rule(struct judging *j, struct buf *text)
{
    BUF_LIT(text, " (rules ");
    buf_put(text, config_bytes(j->config, j->q->rules->name));
    BUF_LIT(text, ": ");
    buf_put_cstr(text, j->out->rule);
    if (j->out->line > 0) BUF_LIT(text, ", line ");
    if (j->out->line > 0) buf_put_u64(text, j->out->line);
    buf_put_c(text, ')');
}

/* refuse - "<what>: words (rule)". */
static enum next refuse(struct judging *j, uint16_t code, struct enhanced e, struct bytes what, struct bytes words, struct bytes more)
{
    struct judgement *out = j->out;
    struct buf text = BUF_OVER(out->text);
    buf_put_c(&text, '<');
    buf_put(&text, bytes_slice(what, 0, 300));
    BUF_LIT(&text, ">: ");
    uint32_t from = text.len;
    buf_put_cut(&text, words);
    buf_put_cut(&text, more);
    struct bytes said = bytes_from(buf_bytes(&text), from);
    step(j, out->rule, code >= 500 ? "refused" : "deferred", said, out->line);
    struct buf behind = {out->text, text.len, sizeof out->text, false};
    if (sizeof out->text - text.len > 160) {
        put_rule(j, &behind);
        text = behind;
    }
    out->refused = true;
    out->answer = (struct smtp_policy_answer){code, e, buf_bytes(&text)};
    return STOP;
}

/* no - a refusal with words of ours; the class of its status is that of its code. */
static enum next no(struct judging *j, uint16_t code, uint16_t subject, uint16_t detail, struct bytes what, struct bytes words)
{
    return refuse(j, code, (struct enhanced){(uint8_t)(code / 100), subject, detail}, what, words, (struct bytes){0});
}

static struct bytes subject_text(const struct rules_question *who, uint8_t subject, struct buf *memory)
{
    switch ((enum config_rule_subject)subject) {
    case ACCESS_OF_HELO: return who->helo;
    case ACCESS_OF_SENDER: return who->sender;
    case ACCESS_OF_RECIPIENT: return who->recipient;
    default:
        if (who->client) net_print_ip(memory, who->client);
        return buf_bytes(memory);
    }
}

static enum next need(struct judging *j, enum judge_need what)
{
    j->out->need = (uint8_t)what;
    return STOP;
}

/* ---- allow, deny, check ---- */

static const char *line_name(const struct config_rule *line, bool denies)
{
    static const char *const names[2][ACCESS_OF_SUBJECTS] = {
        {"allow client", "allow helo", "allow sender", "allow recipient"}, {"deny client", "deny helo", "deny sender", "deny recipient"}};
    static const char *const checks[ACCESS_OF_SUBJECTS] = {"check client", "check helo", "check sender", "check recipient"};
    uint8_t subject = line->subject < ACCESS_OF_SUBJECTS ? line->subject : 0;
    return line->verdict == ACCESS_CHECK ? checks[subject] : names[denies][subject];
}

static enum next by_lines(struct judging *j)
{
    static const struct bytes usual[ACCESS_OF_SUBJECTS] = {
        [ACCESS_OF_CLIENT] = BYTES_INIT("Client host rejected: Access denied"),
        [ACCESS_OF_HELO] = BYTES_INIT("Helo command rejected: Access denied"),
        [ACCESS_OF_SENDER] = BYTES_INIT("Sender address rejected: Access denied"),
        [ACCESS_OF_RECIPIENT] = BYTES_INIT("Recipient address rejected: Access denied"),
    };
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf ip = BUF_OVER(memory);
    if (rules_need_name(j->config, j->q->rules) && j->q->facts->reverse == REVERSE_UNKNOWN) return need(j, JUDGE_NEEDS_NAME);
    struct rules_answer a = rules_find(j->config, j->q->rules, &j->q->who);
    if (!a.line) {
        step(j, "allow, deny", "pass", BYTES("no line matches"), 0);
        return GO_ON;
    }
    j->out->rule = line_name(a.line, a.verdict == ACCESS_DENY);
    j->out->line = a.line->line;
    j->out->table_line = a.table_line;
    struct bytes what = subject_text(&j->q->who, a.line->subject, &ip);
    if (a.verdict == ACCESS_ALLOW) {
        j->out->known_good = true;
        step(j, j->out->rule, "allowed", what, a.line->line);
        return STOP;
    }
    struct enhanced e = {0, 0, 0};
    uint32_t used = 0;
    if (smtp_enhanced_parse(a.text, &e, &used) && e.class == a.code / 100) a.text = bytes_from(a.text, used);
    else e = (struct enhanced){(uint8_t)(a.code / 100), 7, 1};
    return refuse(j, a.code, e, what, a.text.len > 0 ? a.text : usual[a.line->subject], (struct bytes){0});
}

/* ---- HELO ---- */

/* is_ours - our own name; and localhost, which is nobody else's. */
static bool is_ours(const struct judging *j, struct bytes helo)
{
    return bytes_equal_nocase(helo, config_bytes(j->config, j->config->hostname)) || bytes_equal_nocase(helo, BYTES("localhost")) ||
           bytes_equal_nocase(helo, BYTES("localhost.localdomain"));
}

static enum next by_helo(struct judging *j)
{
    const struct config_rules *r = j->q->rules;
    struct bytes helo = j->q->who.helo;
    struct net_address address;
    bool literal = helo.len > 0 && helo.ptr[0] == '[';
    if (r->helo == HELO_OFF) return GO_ON;
    j->out->rule = "helo";
    j->out->line = r->helo_line;
    if (is_ours(j, helo)) return no(j, 554, 7, 1, helo, BYTES("Helo command rejected: that is our name, not yours"));
    if (!literal && net_parse_ip(helo, &address))
        return no(j, 554, 7, 1, helo, BYTES("Helo command rejected: an address stands in brackets (RFC 5321 4.1.3)"));
    if (r->helo >= HELO_FQDN && !literal && bytes_find(helo, '.') == helo.len)
        return no(j, 554, 5, 2, helo, BYTES("Helo command rejected: need fully-qualified hostname"));
    if (r->helo == HELO_RESOLVES && !literal) {
        if (j->q->facts->helo == FACT_UNKNOWN) return need(j, JUDGE_NEEDS_HELO);
        if (j->q->facts->helo == FACT_FAILED)
            return no(j, 450, 7, 1, helo, BYTES("Helo command rejected: Host cannot be looked up now"));
        if (j->q->facts->helo != FACT_GOOD)
            return no(j, 550, 7, 1, helo, BYTES("Helo command rejected: Host not found"));
    }
    step(j, "helo", "pass", helo, r->helo_line);
    return GO_ON;
}

/* ---- the name of an address (status codes: RFC 7372 3.3) ---- */

static enum next by_reverse(struct judging *j)
{
    const struct config_rules *r = j->q->rules;
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf ip = BUF_OVER(memory);
    uint8_t reverse = j->q->facts->reverse;
    if (r->reverse == REVERSE_OFF) return GO_ON;
    if (reverse == REVERSE_UNKNOWN) return need(j, JUDGE_NEEDS_NAME);
    j->out->rule = "reverse-name";
    j->out->line = r->reverse_line;
    struct bytes client = subject_text(&j->q->who, ACCESS_OF_CLIENT, &ip);
    if (reverse == REVERSE_FAILED)
        return no(j, 450, 7, 25, client, BYTES("Client host rejected: the name of its address cannot be looked up now"));
    if (reverse == REVERSE_NONE)
        return no(j, 550, 7, 25, client, BYTES("Client host rejected: cannot find your reverse hostname"));
    if (reverse == REVERSE_UNCONFIRMED && r->reverse == REVERSE_CONFIRMED)
        return no(j, 550, 7, 25, client, BYTES("Client host rejected: the name of its address does not have that address"));
    step(j, "reverse-name", "pass", j->q->who.client_name, r->reverse_line);
    return GO_ON;
}

/* ---- the sender's domain ---- */

static enum next by_sender_domain(struct judging *j)
{
    const struct config_rules *r = j->q->rules;
    struct bytes sender = j->q->who.sender, domain = mail_domain(sender);
    if (!r->sender_domain || domain.len == 0 || domain.ptr[0] == '[') return GO_ON;
    if (j->q->facts->sender == FACT_UNKNOWN) return need(j, JUDGE_NEEDS_SENDER);
    j->out->rule = "sender-domain";
    j->out->line = r->sender_domain_line;
    switch ((enum judge_fact)j->q->facts->sender) {
    case FACT_FAILED:
        return no(j, 450, 1, 8, sender, BYTES("Sender address rejected: its domain cannot be looked up now"));
    case FACT_NULL_MX:
        return no(j, 550, 7, 27, sender, BYTES("Sender address rejected: its domain takes no mail (null MX)"));
    case FACT_BAD:
        return no(j, 550, 1, 8, sender, BYTES("Sender address rejected: Domain not found"));
    default:
        step(j, "sender-domain", "pass", domain, r->sender_domain_line);
        return GO_ON;
    }
}

/* ---- lists in the DNS ---- */

bool judge_list_name(const struct config *c, const struct config_dnslist *list, const struct rules_question *who, struct buf *out)
{
    struct bytes zone = config_bytes(c, list->zone);
    switch ((enum config_rule_subject)list->subject) {
    case ACCESS_OF_CLIENT: return who->client && smtp_dnsbl_address_name(out, who->client, zone);
    case ACCESS_OF_HELO: return smtp_dnsbl_domain_name(out, who->helo, zone);
    case ACCESS_OF_SENDER: return smtp_dnsbl_domain_name(out, mail_domain(who->sender), zone);
    default: return false;
    }
}

enum smtp_dnsbl_answer judge_list_answer(const struct config *c, const struct config_dnslist *list, const struct net_address *answers, uint32_t count)
{
    struct smtp_dnsbl_filter filter;
    if (list->any_answer || !smtp_dnsbl_filter_parse(config_bytes(c, list->answers), &filter)) smtp_dnsbl_filter_any(&filter);
    return smtp_dnsbl_judge(&filter, answers, count);
}

static enum next by_lists(struct judging *j)
{
    const struct config_rules *r = j->q->rules;
    const struct config_dnslist *lists = CONFIG_ITEMS(j->config, r->dnslists, struct config_dnslist), *heaviest = NULL;
    struct smtp_dnsbl_result results[CONFIG_DNSLISTS_MAX];
    uint32_t count = r->dnslists.count < CONFIG_DNSLISTS_MAX ? r->dnslists.count : CONFIG_DNSLISTS_MAX;
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf ip = BUF_OVER(memory);
    if (!lists) return GO_ON;
    if (!j->q->facts->lists_known) return need(j, JUDGE_NEEDS_LISTS);
    for (uint32_t i = 0; i < count; i++) {
        bool listed = j->q->facts->lists[i] == SMTP_DNSBL_LISTED;
        results[i] = (struct smtp_dnsbl_result){lists[i].weight, j->q->facts->lists[i]};
        if (listed && lists[i].weight > 0 && (!heaviest || lists[i].weight > heaviest->weight)) heaviest = &lists[i];
        step(j, lists[i].weight > 0 ? "dnsbl" : "dnswl", listed ? "listed" : "not listed", config_bytes(j->config, lists[i].zone), lists[i].line);
    }
    j->out->score = smtp_dnsbl_score(results, count);
    if (j->out->score <= -(int64_t)r->accept_score) j->out->known_good = true;
    if (j->out->score < (int64_t)r->refuse_score || !heaviest) return GO_ON;
    j->out->rule = "dnsbl";
    j->out->line = heaviest->line;
    return refuse(j, 554, (struct enhanced){5, 7, 1}, subject_text(&j->q->who, heaviest->subject, &ip), BYTES("Service unavailable; blocked using "),
                  config_bytes(j->config, heaviest->zone));
}

/* ---- the order ---- */

void judge_decide(const struct config *c, const struct judge_question *q, const struct judge_trace *trace, struct judgement *out)
{
    static enum next (*const order[])(struct judging *j) = {by_lines, by_helo, by_reverse, by_sender_domain, by_lists};
    struct judging j = {c, q, trace, out};
    *out = (struct judgement){0};
    if (!q->rules || q->exempt) {
        out->known_good = true;
        step(&j, "rules", "pass", q->rules ? BYTES("not for trusted clients") : BYTES("the listener names none"), q->rules ? q->rules->line : 0);
        return;
    }
    for (uint32_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (order[i](&j) == STOP) return;
    }
    out->rule = NULL;
    out->line = 0;
}
