/*
 * client - see smtp/client.h. The driver: event, look-up, move; then what is to be said, and the next deadline.
 *
 * The ring of sent commands is the only receive state: each whole reply takes one from it. A reply that finds the ring empty was not asked
 * for, and is junk; so is one that stands in the same read as the reply that made us say its command. Nothing that a remote says out of turn
 * can be taken for the answer to something else.
 */
#include "smtp/client.h"

#include <string.h>

#include "base/must.h"
#include "smtp/client_table.h"

#define ROW(step, wait_seconds, a2, a3, a4, a5, a421, junk, gone, late, while_doing) \
    [SMTP_CLIENT_##step] = {wait_seconds, \
                            {[SMTP_ANSWER_2XX] = SMTP_MOVE_##a2, [SMTP_ANSWER_3XX] = SMTP_MOVE_##a3, [SMTP_ANSWER_4XX] = SMTP_MOVE_##a4, \
                             [SMTP_ANSWER_5XX] = SMTP_MOVE_##a5, [SMTP_ANSWER_421] = SMTP_MOVE_##a421, [SMTP_ANSWER_JUNK] = SMTP_MOVE_##junk, \
                             [SMTP_ANSWER_GONE] = SMTP_MOVE_##gone, [SMTP_ANSWER_LATE] = SMTP_MOVE_##late}, \
                            while_doing},
const struct smtp_client_row smtp_client_rows[SMTP_CLIENT_STEP_COUNT] = {SMTP_CLIENT_ROWS(ROW)};

void smtp_client_config_init(struct smtp_client_config *config)
{
    for (uint32_t step = 0; step < SMTP_CLIENT_STEP_COUNT; step++) config->timeout_ms[step] = smtp_client_rows[step].wait_s * 1000ull;
}

/* --- ring --- */

void smtp_client_push(struct smtp_client *c, enum smtp_client_step step, uint32_t rcpt)
{
    must(c->pending_count < SMTP_CLIENT_PIPE_MAX);
    uint32_t place = (c->pending_head + c->pending_count) % SMTP_CLIENT_PIPE_MAX;
    c->pending[place] = (struct smtp_client_pending){(uint8_t)step, rcpt};
    c->pending_count++;
}

/* row_of - the row that an event meets now. */
static enum smtp_client_step row_of(const struct smtp_client *c)
{
    if (c->pending_count > 0) return (enum smtp_client_step)c->pending[c->pending_head].step;
    if (c->in_content) return SMTP_CLIENT_BODY;
    if (c->job && c->greeted) return c->mail_sent ? SMTP_CLIENT_RCPT : SMTP_CLIENT_MAIL; /* waits for room to be said */
    return SMTP_CLIENT_IDLE;
}

static void arm(struct smtp_client *c, uint64_t now_ms)
{
    c->deadline_ms = c->closed ? 0 : now_ms + c->config->timeout_ms[row_of(c)];
}

/* --- events --- */

/* act - one event: look up, move. */
static void act(struct smtp_client *c, enum smtp_answer answer, uint64_t now_ms, struct smtp_client_effects *fx)
{
    struct smtp_client_pending p = {(uint8_t)row_of(c), 0};
    if (c->pending_count > 0) {
        p = c->pending[c->pending_head];
        c->pending_head = (c->pending_head + 1) % SMTP_CLIENT_PIPE_MAX;
        c->pending_count--;
    }
    c->last_step = p.step;
    c->last_answer = (uint8_t)answer;
    c->last_move = smtp_client_rows[p.step].on[answer];
    smtp_client_moves[c->last_move](c, &p, fx);
    if (c->closed && p.step == SMTP_CLIENT_TLS && c->tls == SMTP_TLS_MAY) fx->clear_next = true; /* it broke off: the remote's TLS may be the fault */
    must(c->closed || answer == SMTP_ANSWER_LATE || answer < SMTP_ANSWER_421);
    smtp_client_speak(c, fx);
    smtp_client_settle(c, fx);
    smtp_client_speak(c, fx); /* RSET */
    arm(c, now_ms);
}

/* classify - the column of a whole reply to the command at the head of the ring, or one that comes while content is sent. */
static enum smtp_answer classify(const struct smtp_client *c)
{
    enum smtp_client_step row = row_of(c);
    uint16_t code = c->reply.code;
    if (row == SMTP_CLIENT_DOT && c->early && code < 400) return SMTP_ANSWER_JUNK;
    if (code == 421) return SMTP_ANSWER_421;
    if (row == SMTP_CLIENT_RCPT && code == 552) return SMTP_ANSWER_4XX; /* RFC 5321 4.5.3.1.10: too many recipients, in old words */
    return (enum smtp_answer)(SMTP_ANSWER_2XX + (code / 100 - 2));
}

/* note_offers - cut the EHLO reply's lines from the raw octets: the reply parser keeps less text than a long list may have. */
static void note_offers(struct smtp_client *c, struct bytes in)
{
    for (uint32_t i = 0; i < in.len; i++) {
        if (in.ptr[i] != '\n') {
            if (c->ehlo_line_len <= sizeof(c->ehlo_line)) {
                if (c->ehlo_line_len < sizeof(c->ehlo_line)) c->ehlo_line[c->ehlo_line_len] = in.ptr[i];
                c->ehlo_line_len++;
            }
            continue;
        }
        bool whole = c->ehlo_line_len <= sizeof(c->ehlo_line);
        struct bytes line = bytes_of(c->ehlo_line, whole ? c->ehlo_line_len : 0);
        while (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
        if (c->ehlo_lines++ > 0 && line.len > 4) smtp_capabilities_line(&c->caps, bytes_from(line, 4)); /* the first names the host */
        c->ehlo_line_len = 0;
    }
}

void smtp_client_feed(struct smtp_client *c, struct bytes in, uint64_t now_ms, struct smtp_client_effects *fx)
{
    smtp_client_check(c);
    /* What was read cannot answer a command that is written while we look at it. */
    uint32_t askable = c->pending_count;
    while (in.len > 0 && !c->closed) {
        uint32_t used = 0;
        enum smtp_client_step row = row_of(c);
        bool unasked = askable == 0 && row != SMTP_CLIENT_BODY;
        enum smtp_feed fed = smtp_reply_feed(&c->reply, in, &used);
        if (row == SMTP_CLIENT_EHLO) note_offers(c, bytes_slice(in, 0, used));
        in = bytes_from(in, used);
        if (fed == SMTP_MORE && !unasked) break;
        act(c, fed == SMTP_DONE && !unasked ? classify(c) : SMTP_ANSWER_JUNK, now_ms, fx);
        if (!c->closed) smtp_reply_init(&c->reply); /* nothing of this reply may be mistaken for the next one's */
        if (askable > 0) askable--;
    }
    smtp_client_check(c);
}

void smtp_client_secured(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx)
{
    if (c->closed) return;
    must(!c->secured && !c->greeted && c->pending_count == 1);
    c->secured = true;
    if (c->pending[c->pending_head].step != SMTP_CLIENT_TLS) return; /* before the banner */
    c->pending_count = 0;
    smtp_reply_init(&c->reply);
    c->say = SMTP_SAY_EHLO; /* which forgets the offers */
    smtp_client_speak(c, fx);
    arm(c, now_ms);
}

void smtp_client_gone(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx)
{
    if (!c->closed) act(c, SMTP_ANSWER_GONE, now_ms, fx);
}

void smtp_client_late(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx)
{
    if (!c->closed) act(c, SMTP_ANSWER_LATE, now_ms, fx);
}

/* --- calls of the process --- */

void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config, struct bytes helo_name, struct bytes host_name,
                      smtp_client_verdict_fn *verdict, void *context, uint64_t now_ms)
{
    must(helo_name.len > 0 && helo_name.len <= HOST_NAME_BYTES_MAX && verdict);
    memset(c, 0, sizeof(*c));
    c->config = config;
    c->helo_name = helo_name;
    c->host_name = host_name;
    c->verdict = verdict;
    c->verdict_context = context;
    smtp_reply_init(&c->reply);
    smtp_client_push(c, SMTP_CLIENT_BANNER, 0);
    arm(c, now_ms);
}

void smtp_client_helo_only(struct smtp_client *c)
{
    must(!c->greeted && c->pending_count == 1 && c->pending[c->pending_head].step == SMTP_CLIENT_BANNER);
    c->helo_only = true;
}

void smtp_client_one_by_one(struct smtp_client *c)
{
    must(!c->greeted && !c->job);
    c->one_by_one = true;
}

static bool has_unsayable(struct bytes text, uint8_t least)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < least || text.ptr[i] == 0x7F) return true;
    }
    return false;
}

enum err smtp_client_job_check(const struct smtp_client_job *job)
{
    if (job->rcpt_count == 0 || job->rcpt_count > RECIPIENTS_HARD_MAX || job->ret > RET_HDRS) return ERR_BAD_VALUE;
    if (job->sender.len > MAIL_ADDRESS_BYTES_MAX || job->envid.len > MAIL_ENVID_BYTES_MAX) return ERR_TOO_LONG;
    if (has_unsayable(job->sender, ' ') || has_unsayable(job->envid, ' ' + 1)) return ERR_BAD_VALUE;
    struct cursor list = cursor_over(job->rcpts);
    struct rcpt r;
    while (rcpt_next(&list, &r)) {
        if (has_unsayable(r.address, ' ') || has_unsayable(r.orcpt, ' ' + 1)) return ERR_BAD_VALUE;
    }
    return rcpt_list_check(job->rcpts, job->rcpt_count);
}

bool smtp_client_can_start(const struct smtp_client *c)
{
    if (c->job || c->closed) return false;
    if (!c->greeted) return true;
    return c->pending_count == 0 && c->say == SMTP_SAY_NOTHING && (c->caps.mail_max == 0 || c->messages < c->caps.mail_max);
}

void smtp_client_start(struct smtp_client *c, const struct smtp_client_job *job, uint8_t *rcpt_state, uint64_t now_ms,
                       struct smtp_client_effects *fx)
{
    must(smtp_client_can_start(c) && smtp_client_job_check(job) == ERR_NONE);
    c->job = job;
    c->rcpt_state = rcpt_state;
    memset(rcpt_state, SMTP_RCPT_OPEN, job->rcpt_count);
    c->rcpt_cursor = cursor_over(job->rcpts);
    c->rcpt_sent = c->rcpt_limit = c->rcpt_taken = 0;
    c->mail_sent = c->dirty = false;
    if (!c->greeted) return; /* it waits for the greeting, whose deadline runs */
    smtp_client_begin_job(c);
    smtp_client_speak(c, fx);
    smtp_client_settle(c, fx);
    arm(c, now_ms);
    smtp_client_check(c);
}

void smtp_client_more(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx)
{
    bool silent = c->pending_count == 0;
    smtp_client_speak(c, fx);
    if (silent && c->pending_count > 0) arm(c, now_ms);
    smtp_client_check(c);
}

void smtp_client_content_sent(struct smtp_client *c, uint64_t now_ms)
{
    must(c->in_content && !c->closed);
    c->in_content = false;
    c->early = c->reply.bytes > 0;
    smtp_client_push(c, SMTP_CLIENT_DOT, 0);
    arm(c, now_ms);
}

/* too_slow - account for content; true when a whole window had less than the least rate wants. A sip now and then is progress, and yet would
 * hold a connection for days. */
static bool too_slow(struct smtp_client *c, uint32_t bytes, uint64_t now_ms)
{
    if (c->rate_began_ms == 0) c->rate_began_ms = now_ms ? now_ms : 1;
    c->rate_bytes += bytes;
    uint64_t elapsed_ms = now_ms > c->rate_began_ms ? now_ms - c->rate_began_ms : 0;
    if (elapsed_ms < SMTP_CLIENT_RATE_WINDOW_MS) return false;
    if (c->rate_bytes < elapsed_ms / 1000 * c->config->content_rate_min) return true;
    c->rate_began_ms = now_ms;
    c->rate_bytes = 0;
    return false;
}

void smtp_client_content_progress(struct smtp_client *c, uint32_t bytes, uint64_t now_ms)
{
    if (!c->in_content) return;
    if (too_slow(c, bytes, now_ms)) c->deadline_ms = now_ms;
    else arm(c, now_ms);
}

void smtp_client_quit(struct smtp_client *c, uint64_t now_ms, struct smtp_client_effects *fx)
{
    must(!c->job);
    if (c->closed || c->say == SMTP_SAY_QUIT) return;
    if (!c->greeted) {
        struct verdict nobody = {0};
        smtp_client_hang_up(c, &nobody, fx);
        return;
    }
    if (c->pending_count > 0) return; /* QUIT was said */
    c->say = SMTP_SAY_QUIT;
    smtp_client_speak(c, fx);
    arm(c, now_ms);
}

void smtp_client_check(const struct smtp_client *c)
{
    must(c->pending_count <= SMTP_CLIENT_PIPE_MAX && c->pending_head < SMTP_CLIENT_PIPE_MAX && c->say < SMTP_SAY_COUNT);
    must(c->ehlo_line_len <= sizeof(c->ehlo_line) + 1);
    if (c->closed) must(!c->job && c->pending_count == 0 && c->deadline_ms == 0 && c->say == SMTP_SAY_NOTHING);
    if (c->in_content) must(c->job && c->pending_count == 0 && c->rcpt_taken > 0);
    if (c->job) must(c->rcpt_sent <= c->rcpt_limit && c->rcpt_limit <= c->job->rcpt_count && c->rcpt_taken <= c->rcpt_sent);
    if (!c->closed && !c->greeted && c->pending_count > 0) must(c->pending[c->pending_head].step <= SMTP_CLIENT_TLS);
}
