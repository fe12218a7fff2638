/*
 * mail - a transaction's sender and recipients: what the machine asks of our policy, and the list that is kept.
 *
 * The first recipients lie in the session, further ones in chunks; an entry never crosses from one place into the
 * next. Twins are kept once.
 */
#include <string.h>

#include "base/must.h"
#include "mta/config/table.h"
#include "mta/ipc/asks.h"
#include "mta/receiver/receiver.h"

/* What a message or recipient was counted for, limits of its client and of its login, holds until the machine has its answer: it may be judged
 * several times until then, and is counted once. */
static void answered(struct session *s)
{
    s->counted = s->spent = false;
}

static void refuse_sender(struct session *s, const struct smtp_policy_answer *a)
{
    answered(s);
    line_reject(s, "MAIL", a, (struct bytes){0});
    smtp_server_sender(&s->server, a, &s->fx);
}

static void refuse_rcpt(struct session *s, const struct smtp_policy_answer *a)
{
    answered(s);
    line_reject(s, "RCPT", a, s->server.rcpt.address.whole);
    smtp_server_rcpt(&s->server, a, &s->fx);
}

void mail_refuse(struct session *s, const struct smtp_policy_answer *a)
{
    if (s->server.awaiting == SMTP_NEED_RCPT) refuse_rcpt(s, a);
    else refuse_sender(s, a);
}

void mail_sender(struct receiver *r, struct session *s)
{
    struct smtp_policy_answer logins = login_may_send(r, s);
    static const struct smtp_policy_answer yes = {.code = 250};
    static const struct smtp_policy_answer full = {452, {4, 3, 1}, BYTES_INIT("Insufficient system storage; try again later")};
    static const struct smtp_policy_answer away = {451, {4, 3, 0}, BYTES_INIT("The queue is not available; try again in a minute")};
    bool missed = r->manager_gone_ms != 0 && r->now_ms - r->manager_gone_ms > MANAGER_MISSED_MS;
    if (logins.code != 250) {
        refuse_sender(s, &logins);
    } else if (!r->accepting || !pool_has(&r->pool, POOL_FOR_CONTENT)) {
        refuse_sender(s, &full);
    } else if (missed) {
        refuse_sender(s, &away);
    } else if (!rates_count(r, s, CLIENT_ASK_MESSAGE) && !login_spend(r, s, 1, 0)) {
        must(s->transaction == 0 && s->rcpt_count == 0 && s->content.count == 0 && !s->file);
        s->transaction = receiver_number(r, s);
        answered(s);
        inquiry_new_mail(r, s);
        smtp_server_sender(&s->server, &yes, &s->fx);
    }
}

/* ---- the list ---- */

/* has_twin - whether one part of the list has this address. */
static bool has_twin(struct bytes list, struct bytes address)
{
    struct cursor c = cursor_over(list);
    struct rcpt entry;
    while (rcpt_next(&c, &entry)) {
        if (bytes_equal(entry.address, address)) return true;
    }
    must(!c.failed); /* we wrote it */
    return false;
}

/* filter_add - put an address into the filter; true when it may have been there. */
static bool filter_add(const struct receiver *r, uint8_t *bits, struct bytes address)
{
    uint64_t hash = hash_bytes(r->key, address);
    uint32_t a = (uint32_t)hash % (POOL_CHUNK_BYTES * 8), b = (uint32_t)(hash >> 32) % (POOL_CHUNK_BYTES * 8);
    bool both = (bits[a / 8] >> a % 8 & 1) && (bits[b / 8] >> b % 8 & 1);
    bits[a / 8] |= (uint8_t)(1u << a % 8);
    bits[b / 8] |= (uint8_t)(1u << b % 8);
    return both;
}

static void filter_add_list(const struct receiver *r, uint8_t *bits, struct bytes list)
{
    struct cursor c = cursor_over(list);
    struct rcpt entry;
    while (rcpt_next(&c, &entry)) (void)filter_add(r, bits, entry.address);
}

/*
 * may_have_twin - a filter of two bits for each recipient in one chunk (Bloom 1970): a thousand recipients share
 * 32,768 bits, so that fewer than one in two hundred new ones is searched for in vain. Without a chunk for it
 * everything is searched.
 */
static bool may_have_twin(struct receiver *r, struct session *s, struct bytes address)
{
    if (s->rcpt_count < RCPT_FILTER_FROM) return true;
    if (s->filter == POOL_NONE) {
        s->filter = pool_take(&r->pool, POOL_FOR_CONTENT);
        if (s->filter == POOL_NONE) return true;
        uint8_t *bits = pool_memory(&r->pool, s->filter);
        memset(bits, 0, POOL_CHUNK_BYTES);
        filter_add_list(r, bits, bytes_of(s->rcpts_here, s->rcpts_here_bytes));
        for (uint32_t chunk = s->rcpts.first; chunk != POOL_NONE; chunk = r->pool.chunks[chunk].next)
            filter_add_list(r, bits, pool_bytes(&r->pool, chunk));
    }
    return filter_add(r, pool_memory(&r->pool, s->filter), address);
}

static bool is_listed(struct receiver *r, struct session *s, struct bytes address)
{
    if (s->rcpt_count >= RCPT_TWINS_MAX || !may_have_twin(r, s, address)) return false;
    if (has_twin(bytes_of(s->rcpts_here, s->rcpts_here_bytes), address)) return true;
    for (uint32_t chunk = s->rcpts.first; chunk != POOL_NONE; chunk = r->pool.chunks[chunk].next) {
        if (has_twin(pool_bytes(&r->pool, chunk), address)) return true;
    }
    return false;
}

static bool put_here(struct session *s, const struct rcpt *entry)
{
    if (s->rcpts.count > 0) return false; /* what comes later stands later */
    struct buf here = {s->rcpts_here, s->rcpts_here_bytes, sizeof s->rcpts_here, false};
    rcpt_put(&here, entry);
    if (here.overflow) return false;
    s->rcpts_here_bytes = here.len;
    s->rcpts_here_count++;
    return true;
}

static bool put_in_chunk(struct receiver *r, struct session *s, const struct rcpt *entry)
{
    for (int tries = 0; tries < 2; tries++) {
        if (tries > 0 || s->rcpts.count == 0) {
            if (s->rcpts.count >= RCPT_CHUNKS_MAX || chain_extend(&r->pool, &s->rcpts, POOL_FOR_SESSION) == POOL_NONE)
                return false;
        }
        struct pool_chunk *chunk = &r->pool.chunks[s->rcpts.last];
        struct buf list = {pool_memory(&r->pool, s->rcpts.last), chunk->used, POOL_CHUNK_BYTES, false};
        rcpt_put(&list, entry);
        if (list.overflow) continue;
        chunk->used = (uint16_t)list.len;
        chunk->entries++;
        return true;
    }
    return false;
}

/* keep - put the machine's recipient into the list as `address`. False when there is no room. */
static bool keep(struct receiver *r, struct session *s, struct bytes address)
{
    if (is_listed(r, s, address)) return true;
    struct rcpt entry = {.notify = s->server.rcpt.notify, .address = address, .orcpt = s->server.rcpt.orcpt};
    if (!put_here(s, &entry) && !put_in_chunk(r, s, &entry)) return false;
    s->rcpt_count++;
    s->rcpt_non_ascii = s->rcpt_non_ascii || s->server.rcpt.address.non_ascii;
    return true;
}

/* ---- copies ---- */

/* keep_copy - one more recipient, of whom nobody is told anything. */
static bool keep_copy(struct receiver *r, struct session *s, struct bytes address)
{
    struct rcpt entry = {.notify = NOTIFY_NEVER, .address = address};
    if (is_listed(r, s, address)) return true;
    if (!put_here(s, &entry) && !put_in_chunk(r, s, &entry)) return false;
    s->rcpt_count++;
    return true;
}

/* keep_copies - those that a table has for an address, or for @ and its domain. */
static bool keep_copies(struct receiver *r, struct session *s, uint32_t table, struct bytes address)
{
    struct table_hit hit;
    uint32_t at = bytes_find_last(address, '@');
    struct bytes keys[] = {address, bytes_from(address, at)};
    for (uint32_t k = 0; table > 0 && k < 2; k++) {
        if (keys[k].len == 0 || table_find(r->config, table - 1, keys[k], &hit) != TABLE_YES) continue;
        for (uint32_t n = 0; n < hit.count; n++)
            if (!keep_copy(r, s, table_value(r->config, &hit, n, NULL))) return false;
        return true;
    }
    return true;
}

/* keep_all_copies - before the recipient himself, so that he is refused for now when there is no room for them. */
static bool keep_all_copies(struct receiver *r, struct session *s, struct bytes address)
{
    struct bytes always = config_bytes(r->config, r->config->always_bcc);
    if (!s->copied && always.len > 0 && !keep_copy(r, s, always)) return false;
    if (!s->copied && !keep_copies(r, s, r->config->sender_bcc_table, s->server.mail.sender.whole)) return false;
    s->copied = true;
    return keep_copies(r, s, r->config->rcpt_bcc_table, address);
}

/* ---- RCPT ---- */

static void keep_rcpt(struct receiver *r, struct session *s, struct bytes address)
{
    static const struct smtp_policy_answer yes = {.code = 250};
    static const struct smtp_policy_answer full = {
        452, {4, 5, 3}, BYTES_INIT("Too many recipients for now; send the message to the rest in another transaction")};
    answered(s);
    if (keep_all_copies(r, s, address) && keep(r, s, address)) smtp_server_rcpt(&s->server, &yes, &s->fx);
    else refuse_rcpt(s, &full);
}

/* take_rcpt - all has let it through; the greylist has the last word. */
static void take_rcpt(struct receiver *r, struct session *s, struct bytes address)
{
    if (!grey_ask(r, s, address)) keep_rcpt(r, s, address);
}

static void decide(const struct receiver *r, const struct session *s, struct admission *out)
{
    struct admission_question q = {&s->server.rcpt.address, s->server.mail.sender.whole, &s->client, session_is_ours(s), s->login_len > 0, s->local};
    admission_decide(r->config, &q, out);
}

static void ask_mailbox(struct receiver *r, struct session *s)
{
    struct admission a;
    decide(r, s, &a);
    struct ipc_channel *mailbox = process_channel(r->process, a.ask_manager ? ROLE_MANAGER : ROLE_MAILBOX, 0);
    if (!mailbox) return; /* it is asked when it comes, or the wait ends */
    if (a.ask_manager) {
        struct ipc_rcpt_check check = {.request = receiver_number(r, s), .route = (uint16_t)a.route, .rcpt = a.rcpt};
        if (ipc_send_rcpt_check(mailbox, &check, -1) == ERR_NONE) s->mailbox_request = check.request;
        return;
    }
    struct ipc_mailbox_check ask = {.request = receiver_number(r, s), .route = (uint16_t)a.route, .rcpt = a.rcpt};
    if (ipc_send_mailbox_check(mailbox, &ask, -1) == ERR_NONE) s->mailbox_request = ask.request;
}

void mail_rcpt(struct receiver *r, struct session *s)
{
    struct admission a;
    struct judgement j;
    if (rates_count(r, s, CLIENT_ASK_RECIPIENT)) return;
    decide(r, s, &a);
    if (!a.taken) {
        refuse_rcpt(s, &a.answer);
        return;
    }
    if (inquiry_judge(r, s, NULL, &j)) return;
    s->known_good = j.known_good;
    if (j.refused) {
        refuse_rcpt(s, &j.answer);
    } else if (login_spend(r, s, 0, 1)) {
        return; /* and then from the start again */
    } else if (a.ask_mailbox || a.ask_manager) {
        s->mailbox_request = 0;
        session_wait(r, s, WAIT_MAILBOX, MAILBOX_WAIT_MS);
        ask_mailbox(r, s);
    } else {
        take_rcpt(r, s, a.rcpt);
    }
}

static void ask_again(struct receiver *r, struct session *s)
{
    if (s->wait == WAIT_MAILBOX) ask_mailbox(r, s);
}

void mail_mailbox_came(struct receiver *r)
{
    sessions_each(r, ask_again);
}

void mail_mailbox_checked(struct receiver *r, struct session *s, uint8_t known)
{
    must(s->wait == WAIT_MAILBOX);
    struct admission a;
    decide(r, s, &a); /* again, which is cheaper than to keep it */
    struct bytes asked = s->server.rcpt.address.whole;
    if (known == 1) {
        session_set_wait(r, s, WAIT_NONE);
        take_rcpt(r, s, a.rcpt);
        if (s->wait != WAIT_NONE) return;
        session_queue(r, s);
        return;
    } else if (known == 0) {
        admission_refuse(&a, 550, (struct enhanced){5, 1, 1}, asked, BYTES("Recipient address rejected: User unknown"),
                         (struct bytes){0});
        refuse_rcpt(s, &a.answer);
    } else {
        admission_refuse(&a, 451, (struct enhanced){4, 3, 0}, asked,
                         BYTES("Recipient address rejected: its mailbox cannot be looked up now"), (struct bytes){0});
        refuse_rcpt(s, &a.answer);
    }
    session_resume(r, s);
}

void mail_grey(struct receiver *r, struct session *s, bool pass, uint32_t wait_s)
{
    struct admission a;
    decide(r, s, &a); /* again, which is cheaper than to keep it */
    if (pass) {
        keep_rcpt(r, s, a.rcpt);
        return;
    }
    uint8_t memory[160];
    struct buf more = BUF_OVER(memory);
    const struct config_rules *rules = rules_of_listener(r->config, &CONFIG_ITEMS(r->config, r->config->listeners, struct config_listener)[s->listener]);
    buf_put_u64(&more, wait_s);
    BUF_LIT(&more, " seconds (rules ");
    if (rules) buf_put(&more, config_bytes(r->config, rules->name));
    BUF_LIT(&more, ": greylist)");
    admission_refuse(&a, 450, (struct enhanced){4, 7, 1}, s->server.rcpt.address.whole, BYTES("Recipient address rejected: Greylisted, come back in "),
                     buf_bytes(&more));
    refuse_rcpt(s, &a.answer);
}

/* ---- the end ---- */

void mail_forget(struct receiver *r, struct session *s)
{
    chain_give(&r->pool, &s->rcpts);
    chain_give(&r->pool, &s->content);
    if (s->filter != POOL_NONE) {
        struct chain filter = {s->filter, s->filter, 1};
        chain_give(&r->pool, &filter);
        s->filter = POOL_NONE;
    }
    if (s->file) content_drop_file(r, s);
    s->transaction = s->mailbox_request = 0;
    s->rcpt_count = s->rcpts_here_count = s->rcpts_here_bytes = 0;
    s->rcpt_non_ascii = s->copied = false;
}
