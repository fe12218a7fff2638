/*
 * admission - see admission.h.
 */
#include "mta/receiver/admission.h"

#include <stddef.h>

#include "mta/config/expand.h"
#include "smtp/reply.h"

void admission_refuse(struct admission *out, uint16_t code, struct enhanced e, struct bytes rcpt, struct bytes words,
                      struct bytes more)
{
    struct buf text = BUF_OVER(out->text);
    buf_put_c(&text, '<');
    buf_put(&text, rcpt);
    BUF_LIT(&text, ">: ");
    buf_put_cut(&text, words);
    buf_put_cut(&text, more);
    out->taken = out->ask_mailbox = false;
    out->answer = (struct smtp_policy_answer){code, e, buf_bytes(&text)};
}

/* asks_to_route - whether a local part is one that some mail system takes for a path (RFC 5321 F.2, RFC 1123 5.2.16). */
static bool asks_to_route(struct bytes local)
{
    return bytes_find(local, '%') < local.len || bytes_find(local, '!') < local.len || bytes_find(local, '@') < local.len;
}

static void refuse_by_route(const struct config *c, const struct config_route *route, struct bytes rcpt, struct admission *out)
{
    struct bytes text = config_bytes(c, route->reject_text);
    struct enhanced e = {0, 0, 0};
    uint32_t used = 0;
    uint16_t code = route->reject_code;
    if (smtp_enhanced_parse(text, &e, &used) && e.class == code / 100) text = bytes_from(text, used);
    else e = (struct enhanced){(uint8_t)(code / 100), 7, 1};
    if (text.len == 0) text = BYTES("Access denied");
    admission_refuse(out, code, e, rcpt, BYTES("Recipient address rejected: "), text);
}

/* judge_alias - an alias whose members cannot be told takes no mail for now: better than a promise that nobody can keep. */
static void judge_alias(const struct config *c, const struct route_question *q, struct bytes asked, struct admission *out)
{
    static struct expansion expansion; /* large; one recipient at a time */
    enum expand_answer answer = expand_address(c, q, &expansion);
    if (answer <= EXPAND_DONE) return;
    admission_refuse(out, 451, (struct enhanced){4, 3, 5}, asked, BYTES("Recipient address rejected: "), bytes_of_cstr(expand_words(answer)));
}

void admission_decide(const struct config *c, const struct admission_question *q, struct admission *out)
{
    bool bare = q->rcpt->domain.len == 0;
    struct bytes asked = q->rcpt->whole;
    out->taken = out->ask_mailbox = false;
    out->rcpt = bare ? config_bytes(c, c->postmaster) : asked;
    struct route_question question = {
        .rcpt = out->rcpt, .sender = q->sender, .client = q->local ? NULL : q->client, .trusted = q->trusted,
        .authenticated = q->authenticated, .local = q->local,
    };
    bool admitted = route_admits_stranger(c, &question, &out->route);
    if (q->trusted) out->route = route_find(c, &question); /* some routes are for such clients alone */
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    const struct config_route *route =
        out->route >= 0 && (uint32_t)out->route < c->routes.count && routes ? &routes[out->route] : NULL;
    bool alias = route && expand_has_alias(c, &question);
    if (expand_is_srs(c, asked)) { /* whether it is one of ours the manager sees before anything is promised */
        out->taken = true;
        return;
    }
    if (route && route->action == ACTION_REJECT && !alias) {
        refuse_by_route(c, route, asked, out);
    } else if (!q->trusted && !bare && (!admitted || asks_to_route(q->rcpt->local))) {
        admission_refuse(out, 554, (struct enhanced){5, 7, 1}, asked, BYTES("Relay access denied"), (struct bytes){0});
    } else if (!route) {
        admission_refuse(out, 550, (struct enhanced){5, 1, 2}, asked,
                         BYTES("Recipient address rejected: no route leads to its domain"), (struct bytes){0});
    } else {
        out->taken = true;
        out->ask_mailbox = route->action == ACTION_MAILDIR && !c->mailbox.create && !alias;
        if (alias) judge_alias(c, &question, asked, out);
    }
}
