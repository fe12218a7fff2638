/*
 * client_moves - what each cell of the client's table does. One function a move; none knows another, none writes to the network.
 *
 * A move judges recipients, chooses what is said next (c->say), or hangs up. A recipient is judged once: what comes later about it
 * (answers that were in flight when the transaction died) changes nothing.
 */
#include <string.h>

#include "base/must.h"
#include "smtp/client_table.h"

/* --- verdicts --- */

static const uint8_t mail_steps[SMTP_CLIENT_STEP_COUNT] = {
    [SMTP_CLIENT_BANNER] = STEP_BANNER, [SMTP_CLIENT_EHLO] = STEP_EHLO, [SMTP_CLIENT_HELO] = STEP_HELO,
    [SMTP_CLIENT_STARTTLS] = STEP_STARTTLS, [SMTP_CLIENT_TLS] = STEP_TLS, [SMTP_CLIENT_MAIL] = STEP_MAIL,
    [SMTP_CLIENT_RCPT] = STEP_RCPT,     [SMTP_CLIENT_DATA] = STEP_DATA, [SMTP_CLIENT_BODY] = STEP_BODY, [SMTP_CLIENT_DOT] = STEP_DOT,
    [SMTP_CLIENT_RSET] = STEP_RSET,     [SMTP_CLIENT_QUIT] = STEP_QUIT, [SMTP_CLIENT_IDLE] = STEP_IDLE,
};

/* own_words - our sentence about what came, into c->text. */
static struct bytes own_words(struct smtp_client *c, bool maybe_duplicate)
{
    struct buf text = BUF_OVER(c->text);
    if (c->last_answer == SMTP_ANSWER_GONE) BUF_LIT(&text, "lost connection with ");
    else if (c->last_answer == SMTP_ANSWER_LATE) BUF_LIT(&text, "conversation with ");
    else if (c->last_answer == SMTP_ANSWER_JUNK) BUF_LIT(&text, "protocol error: malformed or unexpected reply from ");
    else BUF_LIT(&text, "protocol error: reply out of place from ");
    buf_put(&text, bytes_slice(c->host_name, 0, sizeof(c->text) / 2));
    if (c->last_answer == SMTP_ANSWER_LATE) BUF_LIT(&text, " timed out");
    BUF_LIT(&text, " while ");
    buf_put_cstr(&text, smtp_client_rows[c->last_step].doing);
    if (maybe_duplicate) BUF_LIT(&text, " -- message may be sent more than once");
    must(!text.overflow);
    return buf_bytes(&text);
}

/* explain - what came, as a verdict: the remote's words where it refused in words, ours otherwise. */
static struct verdict explain(struct smtp_client *c, enum verdict_class class, enum verdict_scope scope)
{
    struct verdict v = {.class = (uint8_t)class, .scope = (uint8_t)scope, .step = mail_steps[c->last_step]};
    bool delivered = class == VERDICT_DELIVERED;
    bool refused = c->last_answer == SMTP_ANSWER_4XX || c->last_answer == SMTP_ANSWER_5XX || c->last_answer == SMTP_ANSWER_421;
    if (c->last_answer < SMTP_ANSWER_JUNK) v.code = c->reply.code;
    if (delivered || refused) {
        v.remote = true;
        v.text = smtp_reply_text(&c->reply);
        v.enhanced = smtp_reply_enhanced(&c->reply);
    } else {
        v.text = own_words(c, false);
        bool silent = c->last_answer == SMTP_ANSWER_GONE || c->last_answer == SMTP_ANSWER_LATE;
        v.enhanced = silent ? (struct enhanced){4, 4, 2} : (struct enhanced){4, 5, 0};
    }
    /* A 5yz that we count as "later" (a greeting, 552 to RCPT) must not look permanent in reports. */
    v.enhanced.class = delivered ? 2 : class == VERDICT_NEVER ? 5 : 4;
    return v;
}

static void judge(struct smtp_client *c, uint32_t first, uint32_t count, const struct verdict *v)
{
    for (uint32_t i = first; i < first + count; i++) {
        must(c->rcpt_state[i] != SMTP_RCPT_JUDGED);
        if (c->rcpt_state[i] == SMTP_RCPT_TAKEN) c->rcpt_taken--;
        c->rcpt_state[i] = SMTP_RCPT_JUDGED;
    }
    c->verdict(c->verdict_context, first, count, v);
}

/* judge_rest - every recipient that has no verdict yet, in runs. */
static void judge_rest(struct smtp_client *c, const struct verdict *v)
{
    uint32_t i = 0, n = c->job ? c->job->rcpt_count : 0;
    while (i < n) {
        uint32_t first = i;
        while (i < n && c->rcpt_state[i] != SMTP_RCPT_JUDGED) i++;
        if (i > first) judge(c, first, i - first, v);
        while (i < n && c->rcpt_state[i] == SMTP_RCPT_JUDGED) i++;
    }
}

static bool has_unjudged(const struct smtp_client *c)
{
    if (!c->job) return false;
    return memchr(c->rcpt_state, SMTP_RCPT_OPEN, c->job->rcpt_count) || memchr(c->rcpt_state, SMTP_RCPT_TAKEN, c->job->rcpt_count);
}

/* --- ends --- */

void smtp_client_hang_up(struct smtp_client *c, const struct verdict *site, struct smtp_client_effects *fx)
{
    must(!c->closed);
    if (c->job) {
        fx->job_done = true;
        if (has_unjudged(c)) fx->next_host = true;
        c->job = NULL;
    }
    c->closed = true;
    c->in_content = false;
    c->say = SMTP_SAY_NOTHING;
    c->pending_count = 0;
    c->deadline_ms = 0;
    fx->close = true;
    fx->site = *site;
}

/* worn_out - a connection that has carried mail ends before the next message was begun: it was used up, and the host is not to blame. */
static bool worn_out(const struct smtp_client *c)
{
    return c->last_step == SMTP_CLIENT_MAIL && c->messages > (c->mail_sent ? 1u : 0u);
}

/* refuse_all - the message is refused for every recipient; what is still in flight means nothing. */
static void refuse_all(struct smtp_client *c, enum verdict_class class, struct smtp_client_effects *fx)
{
    struct verdict v = explain(c, class, SCOPE_MESSAGE);
    judge_rest(c, &v);
    c->say = SMTP_SAY_NOTHING;
    if (c->last_step == SMTP_CLIENT_DOT) c->dirty = false;
    if (c->in_content) { /* the remote would take the next command for content */
        v.class = VERDICT_NONE;
        smtp_client_hang_up(c, &v, fx);
    }
}

/* judge_one - the recipient of p, unless the transaction's death has judged it before. */
static void judge_one(struct smtp_client *c, const struct smtp_client_pending *p, enum verdict_class class)
{
    struct verdict v = explain(c, class, SCOPE_RECIPIENT);
    if (c->rcpt_state[p->rcpt] != SMTP_RCPT_JUDGED) judge(c, p->rcpt, 1, &v);
}

/* --- greeting --- */

static void say_hello(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    (void)fx;
    c->say = c->helo_only ? SMTP_SAY_HELO : SMTP_SAY_EHLO;
}

static void say_helo(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    (void)fx;
    c->say = SMTP_SAY_HELO;
}

/* without_tls - a failure of TLS that the policy does not forgive: the host is of no use. Text: what happened, and what wanted TLS. */
static void without_tls(struct smtp_client *c, const char *what, struct bytes why, struct smtp_client_effects *fx)
{
    struct buf text = BUF_OVER(c->text);
    struct verdict v = {.class = VERDICT_LATER, .scope = SCOPE_SITE, .step = mail_steps[c->last_step], .enhanced = {4, 7, 5}};
    if (c->tls == SMTP_TLS_MUST) {
        BUF_LIT(&text, "TLS is required by ");
        buf_put(&text, bytes_slice(c->tls_policy, 0, 64));
        BUF_LIT(&text, ", but ");
    }
    buf_put_cstr(&text, what);
    BUF_LIT(&text, " host ");
    buf_put(&text, bytes_slice(c->host_name, 0, sizeof(c->text) / 2));
    if (why.len > 0) BUF_LIT(&text, ": ");
    buf_put_escaped(&text, bytes_slice(why, 0, 150), 150);
    v.text = buf_bytes(&text);
    smtp_client_hang_up(c, &v, fx);
}

/* ready - greeted, and under TLS or not as the policy wants it. */
static void ready(struct smtp_client *c, struct smtp_client_effects *fx)
{
    if (c->tls == SMTP_TLS_MUST && !c->secured) {
        without_tls(c, "it was not offered by", BYTES(""), fx);
        return;
    }
    c->greeted = true;
    if (c->job) smtp_client_begin_job(c);
}

static void read_caps(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    if (c->tls != SMTP_TLS_NEVER && !c->secured && (c->caps.set & SMTP_CAP_STARTTLS)) c->say = SMTP_SAY_STARTTLS;
    else ready(c, fx);
}

static void greeted(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    c->caps = (struct smtp_capabilities){0}; /* a refused EHLO's lines offer nothing */
    ready(c, fx);
}

/* --- TLS --- */

static void begin_tls(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    smtp_client_push(c, SMTP_CLIENT_TLS, 0);
    fx->want_tls = true;
}

static void no_tls(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    if (c->tls == SMTP_TLS_MUST) {
        without_tls(c, "it was refused by", smtp_reply_text(&c->reply), fx);
        return;
    }
    c->greeted = true; /* what EHLO offered stands */
    if (c->job) smtp_client_begin_job(c);
}

void smtp_client_use_tls(struct smtp_client *c, enum smtp_client_tls tls, struct bytes policy)
{
    must(!c->greeted && !c->job);
    c->tls = (uint8_t)tls;
    c->tls_policy = policy;
}

void smtp_client_tls_failed(struct smtp_client *c, struct bytes why, struct smtp_client_effects *fx)
{
    if (c->closed) return;
    c->last_step = SMTP_CLIENT_TLS;
    c->last_answer = SMTP_ANSWER_JUNK;
    bool forgiven = c->tls != SMTP_TLS_MUST;
    without_tls(c, "the TLS handshake failed with", why, fx);
    if (forgiven) fx->clear_next = true;
}

/* --- hosts that fail --- */

static void next_host(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    struct verdict v = explain(c, VERDICT_LATER, SCOPE_SITE);
    bool same_host = c->job && c->last_answer == SMTP_ANSWER_GONE && worn_out(c);
    smtp_client_hang_up(c, &v, fx);
    if (same_host) fx->same_host = true;
}

/* helo_next - some old servers hang up when they hear EHLO (KB Q197142). */
static void helo_next(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    struct verdict v = explain(c, VERDICT_LATER, SCOPE_SITE);
    struct buf text = {c->text, v.text.len, sizeof(c->text), false};
    BUF_LIT(&text, "; it may know HELO only");
    v.text = buf_bytes(&text);
    smtp_client_hang_up(c, &v, fx);
    fx->helo_only_next = true;
}

static void site_temp(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    struct verdict v = explain(c, VERDICT_LATER, SCOPE_SITE);
    bool same_host = c->job && c->last_answer == SMTP_ANSWER_421 && worn_out(c);
    if (!same_host) judge_rest(c, &v); /* "421 too many messages on this connection" says nothing about a new one */
    smtp_client_hang_up(c, &v, fx);
    if (same_host) fx->same_host = true;
}

/* --- transaction --- */

static void mail_ok(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    (void)fx;
    c->dirty = true;
}

static void rcpt_ok(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)fx;
    if (c->rcpt_state[p->rcpt] != SMTP_RCPT_OPEN) return;
    c->rcpt_state[p->rcpt] = SMTP_RCPT_TAKEN;
    c->rcpt_taken++;
}

static void rcpt_temp(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)fx;
    judge_one(c, p, VERDICT_LATER);
}

static void rcpt_perm(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)fx;
    judge_one(c, p, VERDICT_NEVER);
}

static void mesg_temp(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    refuse_all(c, VERDICT_LATER, fx);
}

static void mesg_perm(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    refuse_all(c, VERDICT_NEVER, fx);
}

/* mesg_close - the remote has answered the final dot, and not by taking the message: no duplicate. It is leaving, or confused. */
static void mesg_close(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    struct verdict v = explain(c, VERDICT_LATER, SCOPE_MESSAGE);
    judge_rest(c, &v);
    v.scope = SCOPE_SITE;
    smtp_client_hang_up(c, &v, fx);
}

/* send_body - DATA was taken. When it was sent before we knew that no recipient would be, an empty content must follow, whose answer
 * says nothing about anybody (RFC 2920 3.1). */
static void send_body(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    if (c->rcpt_taken == 0) {
        c->say = SMTP_SAY_EMPTY_DOT;
        return;
    }
    c->in_content = true;
    c->rate_began_ms = c->rate_bytes = 0;
    c->early = false;
    fx->want_content = true;
}

/* delivered - the one move that says so. Every recipient that was taken; the others have been judged by their own answers. */
static void delivered(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)fx;
    must(p->step == SMTP_CLIENT_DOT && c->last_answer == SMTP_ANSWER_2XX && c->reply.code / 100 == 2);
    must(!memchr(c->rcpt_state, SMTP_RCPT_OPEN, c->job->rcpt_count));
    c->dirty = false;
    struct verdict v = explain(c, VERDICT_DELIVERED, SCOPE_MESSAGE);
    judge_rest(c, &v);
}

/* maybe_dup - the content went out whole, and no clear answer came: the remote may have taken it (RFC 1047). Kept, and tried again. */
static void maybe_dup(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    struct verdict v = explain(c, VERDICT_LATER, SCOPE_MESSAGE);
    v.maybe_duplicate = true;
    v.text = own_words(c, true);
    judge_rest(c, &v);
    v.scope = SCOPE_SITE;
    v.maybe_duplicate = false;
    smtp_client_hang_up(c, &v, fx);
}

/* --- between messages --- */

static void idle(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    (void)fx;
    c->dirty = false;
}

static void say_quit(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    (void)fx;
    c->say = SMTP_SAY_QUIT;
}

static void close(struct smtp_client *c, const struct smtp_client_pending *p, struct smtp_client_effects *fx)
{
    (void)p;
    struct verdict v = explain(c, VERDICT_NONE, SCOPE_NONE);
    smtp_client_hang_up(c, &v, fx);
}

#define MOVE(m) [SMTP_MOVE_##m] = m,
smtp_client_move_fn *const smtp_client_moves[SMTP_MOVE_COUNT] = {SMTP_CLIENT_MOVES(MOVE)};

/* --- jobs --- */

/* rule_out - a verdict that needs no transaction: the remote's offers have said it. Text stands in c->text. */
static void rule_out(struct smtp_client *c, struct enhanced e, const struct buf *text)
{
    struct verdict v = {.class = VERDICT_NEVER, .scope = SCOPE_MESSAGE, .step = STEP_MAIL, .enhanced = e, .text = buf_bytes(text)};
    judge_rest(c, &v);
}

/* leave_rest - recipients beyond what the remote takes in one transaction were not tried (RFC 9422 4). */
static void leave_rest(struct smtp_client *c)
{
    struct verdict v = {.class = VERDICT_NONE, .step = STEP_RCPT, .text = BYTES("not tried: the host takes fewer recipients in one transaction")};
    c->rcpt_limit = c->job->rcpt_count;
    if (c->caps.rcpt_max == 0 || c->caps.rcpt_max >= c->rcpt_limit) return;
    c->rcpt_limit = c->caps.rcpt_max;
    judge(c, c->rcpt_limit, c->job->rcpt_count - c->rcpt_limit, &v);
}

void smtp_client_begin_job(struct smtp_client *c)
{
    struct buf text = BUF_OVER(c->text);
    const struct smtp_client_job *job = c->job;
    must(job && c->greeted && c->pending_count == 0);
    if (c->caps.size_max_bytes > 0 && job->content_bytes > c->caps.size_max_bytes) {
        BUF_LIT(&text, "message size ");
        buf_put_u64(&text, job->content_bytes);
        BUF_LIT(&text, " exceeds size limit ");
        buf_put_u64(&text, c->caps.size_max_bytes);
        BUF_LIT(&text, " of server ");
        buf_put(&text, bytes_slice(c->host_name, 0, sizeof(c->text) / 2));
        rule_out(c, (struct enhanced){5, 3, 4}, &text);
    } else if ((job->flags & MAIL_NEEDS_SMTPUTF8) && !(c->caps.set & SMTP_CAP_SMTPUTF8)) {
        BUF_LIT(&text, "SMTPUTF8 is required, but was not offered by host ");
        buf_put(&text, bytes_slice(c->host_name, 0, sizeof(c->text) / 2));
        rule_out(c, (struct enhanced){5, 6, 7}, &text);
    } else {
        leave_rest(c);
        c->say = SMTP_SAY_FLIGHT;
    }
}

void smtp_client_settle(struct smtp_client *c, struct smtp_client_effects *fx)
{
    if (c->closed || !c->job || !c->greeted || c->pending_count > 0 || c->in_content || c->say != SMTP_SAY_NOTHING) return;
    must(!has_unjudged(c));
    if (c->dirty) {
        c->say = SMTP_SAY_RSET;
        return;
    }
    c->job = NULL;
    fx->job_done = true;
}
