/*
 * inquiry - facts that rules need, from the resolver: asked when a rule wants one, kept as long as they are about the same thing.
 *
 * The client's lists are asked together, once a session; the sender's domain once a transaction. What does not come in time counts as failed, which
 * defers where a rule refuses without it, and as not listed. Answers are looked at only when their number is the one that was asked.
 */
#include <string.h>

#include "base/must.h"
#include "mta/ipc/hosts.h"
#include "mta/receiver/receiver.h"

static const struct config_rules *rules_of(const struct receiver *r, const struct session *s)
{
    return rules_of_listener(r->config, &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[s->listener]);
}

static struct rules_question who(const struct session *s)
{
    return (struct rules_question){
        .client = &s->client, .client_name = bytes_of(s->name, s->name_len), .helo = bytes_of(s->server.helo, s->server.helo_len),
        .sender = s->server.mail.sender.whole, .recipient = s->server.rcpt.address.whole,
    };
}

void inquiry_new_client(struct session *s)
{
    memset(&s->inquiry, 0, sizeof s->inquiry);
}

void inquiry_new_mail(struct receiver *r, struct session *s)
{
    const struct config_rules *rules = rules_of(r, s);
    const struct config_dnslist *lists = rules ? CONFIG_ITEMS(r->config, rules->dnslists, struct config_dnslist) : NULL;
    s->inquiry.facts.helo = s->inquiry.facts.sender = FACT_UNKNOWN;
    s->inquiry.helo_request = s->inquiry.sender_request = 0;
    for (uint32_t i = 0; lists && i < rules->dnslists.count; i++) {
        if (lists[i].subject != ACCESS_OF_CLIENT) s->inquiry.facts.lists_known = false;
    }
}

/* ---- asking ---- */

/* ask - one question; 0 when nobody can be asked. */
static uint64_t ask(struct receiver *r, struct session *s, uint8_t kind, uint8_t family, struct bytes name)
{
    struct ipc_channel *resolver = process_channel(r->process, ROLE_RESOLVER, 0);
    struct ipc_name_ask m = {.request = receiver_number(r, s), .kind = kind, .family = family, .name = name};
    return resolver && ipc_send_name_ask(resolver, &m, -1) == ERR_NONE ? m.request : 0;
}

/* ask_fact - a name for one fact; a name that no host can have is bad without asking. */
static void ask_fact(struct receiver *r, struct session *s, uint8_t kind, struct bytes name, uint64_t *request, uint8_t *fact)
{
    if (!smtp_domain_valid(name, false)) {
        *fact = FACT_BAD;
        return;
    }
    *request = ask(r, s, kind, FAMILY_BOTH, name);
    if (*request == 0) *fact = FACT_FAILED;
}

static void ask_lists(struct receiver *r, struct session *s)
{
    const struct config_rules *rules = rules_of(r, s);
    const struct config_dnslist *lists = CONFIG_ITEMS(r->config, rules->dnslists, struct config_dnslist);
    struct rules_question q = who(s);
    struct inquiry *in = &s->inquiry;
    in->lists_pending = 0;
    for (uint32_t i = 0; i < rules->dnslists.count && i < CONFIG_DNSLISTS_MAX; i++) {
        uint8_t memory[SMTP_DNSBL_NAME_BYTES_MAX];
        struct buf name = BUF_OVER(memory);
        in->facts.lists[i] = SMTP_DNSBL_UNLISTED;
        in->list_requests[i] = judge_list_name(r->config, &lists[i], &q, &name) ? ask(r, s, LOOKUP_ADDRESS, FAMILY_IPV4, buf_bytes(&name)) : 0;
        if (in->list_requests[i] != 0) in->lists_pending++;
    }
    in->facts.lists_known = in->lists_pending == 0;
}

/* find_out - ask for what is needed; false when the answer is there at once. */
static bool find_out(struct receiver *r, struct session *s, enum judge_need what)
{
    struct inquiry *in = &s->inquiry;
    switch (what) {
    case JUDGE_NEEDS_NAME:
        if (!s->name_asked) in->facts.reverse = REVERSE_FAILED;
        return s->name_asked;
    case JUDGE_NEEDS_HELO:
        ask_fact(r, s, LOOKUP_ADDRESS, bytes_of(s->server.helo, s->server.helo_len), &in->helo_request, &in->facts.helo);
        return in->facts.helo == FACT_UNKNOWN;
    case JUDGE_NEEDS_SENDER:
        if (!bytes_is_ascii(mail_domain(s->server.mail.sender.whole))) in->facts.sender = FACT_GOOD; /* not to be asked for in this form */
        else ask_fact(r, s, LOOKUP_MX, mail_domain(s->server.mail.sender.whole), &in->sender_request, &in->facts.sender);
        return in->facts.sender == FACT_UNKNOWN;
    default:
        must(what == JUDGE_NEEDS_LISTS);
        ask_lists(r, s);
        return !in->facts.lists_known;
    }
}

bool inquiry_judge(struct receiver *r, struct session *s, const struct judge_trace *trace, struct judgement *out)
{
    struct judge_question q = {.rules = rules_of(r, s), .who = who(s), .facts = &s->inquiry.facts};
    q.exempt = s->local || (session_is_ours(s) && q.rules && !q.rules->trusted);
    for (;;) {
        judge_decide(r->config, &q, NULL, out);
        if (out->need == JUDGE_SETTLED) break;
        if (!find_out(r, s, (enum judge_need)out->need)) continue;
        session_wait(r, s, WAIT_INQUIRY, INQUIRY_WAIT_MS);
        return true;
    }
    if (trace) judge_decide(r->config, &q, trace, out);
    return false;
}

/* ---- answers ---- */

static enum judge_fact fact_of(uint8_t status)
{
    switch ((enum answer_status)status) {
    case ANSWER_FOUND:
    case ANSWER_LOOP: return FACT_GOOD; /* it leads to us: it is a mail domain */
    case ANSWER_NULL_MX: return FACT_NULL_MX;
    case ANSWER_NO_DOMAIN:
    case ANSWER_NO_DATA: return FACT_BAD;
    default: return FACT_FAILED;
    }
}

static void resume(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_INQUIRY) session_resume(r, s);
}

static void list_came(struct receiver *r, struct session *s, uint32_t n, const struct ipc_name_said *m)
{
    const struct config_rules *rules = rules_of(r, s);
    const struct config_dnslist *lists = rules ? CONFIG_ITEMS(r->config, rules->dnslists, struct config_dnslist) : NULL;
    struct net_address answers[HOSTS_ADDRESSES_MAX];
    struct cursor c = cursor_over(m->addresses);
    uint32_t count = 0;
    while (count < HOSTS_ADDRESSES_MAX && address_next(&c, &answers[count])) count++;
    s->inquiry.list_requests[n] = 0;
    if (lists && n < rules->dnslists.count && m->status == ANSWER_FOUND)
        s->inquiry.facts.lists[n] = (uint8_t)judge_list_answer(r->config, &lists[n], answers, count);
    if (s->inquiry.facts.lists[n] == SMTP_DNSBL_REFUSED) line_list_refuses(r, s, config_bytes(r->config, lists[n].zone));
    if (s->inquiry.lists_pending > 0 && --s->inquiry.lists_pending == 0) {
        s->inquiry.facts.lists_known = true;
        resume(r, s);
    }
}

void inquiry_came(struct receiver *r, struct session *s, const struct ipc_name_said *m)
{
    struct inquiry *in = &s->inquiry;
    if (m->request == in->helo_request) {
        in->facts.helo = (uint8_t)fact_of(m->status);
        in->helo_request = 0;
        resume(r, s);
    } else if (m->request == in->sender_request) {
        in->facts.sender = (uint8_t)fact_of(m->status);
        in->sender_request = 0;
        resume(r, s);
    }
    for (uint32_t i = 0; i < CONFIG_DNSLISTS_MAX; i++) {
        if (m->request == in->list_requests[i]) {
            list_came(r, s, i, m);
            return;
        }
    }
}

void inquiry_late(struct receiver *r, struct session *s)
{
    struct inquiry *in = &s->inquiry;
    if (in->facts.reverse == REVERSE_UNKNOWN) in->facts.reverse = REVERSE_FAILED;
    if (in->helo_request != 0) in->facts.helo = FACT_FAILED;
    if (in->sender_request != 0) in->facts.sender = FACT_FAILED;
    if (in->lists_pending > 0) in->facts.lists_known = true;
    in->helo_request = in->sender_request = in->lists_pending = 0;
    memset(in->list_requests, 0, sizeof in->list_requests);
    resume(r, s);
}

static void late_for(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_INQUIRY) inquiry_late(r, s);
}

void inquiry_resolver_gone(struct receiver *r)
{
    sessions_each(r, late_for);
}
