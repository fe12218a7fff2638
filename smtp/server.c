/*
 * server - see smtp/server.h. The driver: it cuts input into lines and content, looks the verb up, makes the move, and returns the need.
 *
 * A line ends in CR LF and in nothing else. A CR or LF that stands alone ends the session: what one reader takes for the end of a command,
 * another takes for a part of it, and guessing is how one mail becomes two.
 */
#include "smtp/server.h"

#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/foreign.h"
#include "smtp/server_table.h"

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config)
{
    must(config->message_bytes_max > 0 && config->rcpts_max > 0);
    memset(s, 0, offsetof(struct smtp_server, line));
    s->config = config;
}

void smtp_server_greet(struct smtp_server *s, const struct smtp_policy_answer *refusal, uint64_t now_ms, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return; /* an early talker was sent away already */
    must(s->phase == SMTP_PHASE_NEW && buf_room(&fx->out) >= SMTP_SERVER_OUT_BYTES_MIN);
    if (refusal) {
        must(refusal->code == 421 || refusal->code == 554);
        smtp_server_end(s, fx, refusal->code, ENHANCED(0, 0, 0), refusal->text);
        return;
    }
    smtp_server_banner(s, fx);
    s->deadline_ms = now_ms + s->config->command_timeout_ms;
}

void smtp_server_banner(struct smtp_server *s, struct smtp_server_effects *fx)
{
    uint8_t memory[HOST_NAME_BYTES_MAX + 32];
    struct buf text = BUF_OVER(memory);
    buf_put(&text, s->config->hostname);
    BUF_LIT(&text, " ESMTP Bulkhead");
    s->phase = SMTP_PHASE_CONNECTED;
    smtp_reply_write(&fx->out, 220, ENHANCED(0, 0, 0), buf_bytes(&text)); /* no enhanced code here: RFC 2034 4 */
}

/* --- lines --- */

enum line { LINE_MORE = 0, LINE_WHOLE, LINE_TOO_LONG, LINE_FLOOD, LINE_BARE };

/* keep_octet - store one octet of a line, or count it when the line is too long to store. The last octet of `line` is always the last one read. */
static void keep_octet(struct smtp_server *s, uint8_t c)
{
    if (s->line_len < sizeof(s->line)) {
        s->line[s->line_len++] = c;
    } else {
        s->line_skipped++;
        s->line[sizeof(s->line) - 1] = c;
    }
}

/* take_line - eat octets up to the end of a line. *used is set. After LINE_WHOLE s->line holds it with CR LF. */
static enum line take_line(struct smtp_server *s, struct bytes in, uint32_t *used)
{
    for (uint32_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        bool after_cr = s->line_len > 0 && s->line[s->line_len - 1] == '\r';
        *used = i + 1;
        if (after_cr != (c == '\n')) return LINE_BARE;
        keep_octet(s, c);
        if (c == '\n') return s->line_skipped ? LINE_TOO_LONG : LINE_WHOLE;
        if (s->line_skipped > SMTP_SKIPPED_LINE_BYTES_MAX) return LINE_FLOOD;
    }
    *used = in.len;
    return LINE_MORE;
}

/* count_junk - commands that move no mail are free for a while, then each costs error budget. False when the session ended. */
static bool count_junk(struct smtp_server *s, struct smtp_server_effects *fx)
{
    if (++s->junk <= s->config->junk_max || ++s->errors <= s->config->errors_max) return true;
    smtp_server_end_host(s, fx, 421, ENHANCED(4, 7, 0), "Error: too many commands without mail; closing");
    return false;
}

/* end_foreign - who speaks another protocol is told so once; the rest of it is not read as commands. */
static void end_foreign(struct smtp_server *s, enum smtp_foreign what, struct smtp_server_effects *fx)
{
    uint8_t memory[64];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "Error: this is SMTP, not ");
    buf_put(&text, smtp_foreign_name(what));
    BUF_LIT(&text, "; closing");
    s->foreign = (uint8_t)what;
    smtp_server_end(s, fx, 500, ENHANCED(5, 5, 2), buf_bytes(&text));
}

/* run_line - one whole command, without CR LF. */
static void run_line(struct smtp_server *s, struct bytes line, struct smtp_server_effects *fx)
{
    struct bytes rest = {0};
    enum smtp_verb verb = smtp_verb_parse(line, &rest); /* UNKNOWN when there is a control octet in it */
    const struct smtp_server_row *row = &smtp_server_rows[verb];
    s->last_verb = (uint8_t)verb;
    if (s->counts.seen[verb] < UINT16_MAX) s->counts.seen[verb]++;
    enum smtp_foreign foreign = verb == SMTP_VERB_UNKNOWN ? smtp_foreign_line(line) : SMTP_FOREIGN_NONE;
    if (foreign != SMTP_FOREIGN_NONE) {
        end_foreign(s, foreign, fx);
        return;
    }
    if ((row->flags & VERB_JUNK) && !count_junk(s, fx)) return;
    if (s->config->tls_required && !s->tls && !(row->flags & VERB_CLEAR)) {
        smtp_server_fault(s, fx, 530, ENHANCED(5, 7, 0), BYTES("Error: say STARTTLS first"));
        return;
    }
    if ((row->flags & VERB_ARGLESS) && bytes_trim(rest).len > 0) {
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Syntax: this command takes no argument"));
        return;
    }
    if (row->phases & 1u << s->phase) row->move(s, rest, fx);
    else row->elsewhere(s, rest, fx);
}

static void on_line(struct smtp_server *s, enum line what, struct smtp_server_effects *fx)
{
    uint32_t len = s->line_len;
    if (what == LINE_MORE) return;
    s->line_len = s->line_skipped = 0;
    s->deadline_ms = 0;
    if (s->phase == SMTP_PHASE_AUTH && (what == LINE_WHOLE || what == LINE_TOO_LONG)) {
        smtp_server_auth_line(s, what == LINE_WHOLE ? bytes_of(s->line, len - 2) : BYTES("*"));
        return;
    }
    switch (what) {
    case LINE_WHOLE:
        run_line(s, bytes_of(s->line, len - 2), fx);
        break;
    case LINE_TOO_LONG:
        s->last_verb = SMTP_VERB_UNKNOWN;
        smtp_server_fault(s, fx, 500, ENHANCED(5, 5, 2), BYTES("Error: line too long"));
        break;
    case LINE_FLOOD:
        smtp_server_end_host(s, fx, 421, ENHANCED(4, 7, 0), "Error: line without end; closing");
        break;
    default:
        smtp_server_end(s, fx, 500, ENHANCED(5, 5, 2), BYTES("Error: a CR or LF stands alone; lines must end in CR LF; closing"));
        break;
    }
}

/* --- driver --- */

static bool in_content(const struct smtp_server *s)
{
    return s->phase == SMTP_PHASE_DATA || s->phase == SMTP_PHASE_CHUNK || s->phase == SMTP_PHASE_COMMIT || smtp_server_draining(s);
}

/* acts_without_input - whether the machine can go on although nothing is left to eat. */
static bool acts_without_input(const struct smtp_server *s)
{
    return s->room_given || (s->phase == SMTP_PHASE_CHUNK && s->chunk.left == 0);
}

/* is_tls_hello - instead of the first command: no line ends in it where one could be looked for. */
static bool is_tls_hello(const struct smtp_server *s, struct bytes in)
{
    return s->phase == SMTP_PHASE_CONNECTED && s->line_len == 0 && smtp_foreign_first(in) == SMTP_FOREIGN_TLS;
}

/* eat - one bite: a line, or a run of content. Returns octets eaten. */
static uint32_t eat(struct smtp_server *s, struct bytes in, uint64_t now_ms, struct smtp_server_effects *fx)
{
    uint32_t used = 0;
    if (smtp_server_draining(s)) {
        s->deadline_ms = 0;
        return smtp_server_drain(s, in, fx);
    }
    switch (s->phase) {
    case SMTP_PHASE_NEW:
        smtp_server_end(s, fx, 554, ENHANCED(5, 5, 1), BYTES("Error: wait for the greeting before you speak"));
        return 0;
    case SMTP_PHASE_DATA:
        s->deadline_ms = 0;
        return smtp_server_feed_data(s, in, now_ms, fx);
    case SMTP_PHASE_CHUNK:
        s->deadline_ms = 0;
        return smtp_server_feed_chunk(s, in, now_ms, fx);
    default:
        if (is_tls_hello(s, in)) {
            end_foreign(s, SMTP_FOREIGN_TLS, fx);
            return 0;
        }
        on_line(s, take_line(s, in, &used), fx);
        return used;
    }
}

static enum smtp_server_need run(struct smtp_server *s, struct bytes in, uint32_t *used, uint64_t now_ms, struct smtp_server_effects *fx)
{
    for (;;) {
        if (s->phase == SMTP_PHASE_CLOSED) {
            *used = in.len;
            return SMTP_NEED_CLOSE;
        }
        if (s->abort_due) {
            s->abort_due = false;
            return SMTP_NEED_ABORT;
        }
        if (s->awaiting == SMTP_NEED_TLS && !s->handshaking && *used < in.len) {
            smtp_server_tls(s, SMTP_TLS_PIPELINED, fx);
            continue;
        }
        if (s->awaiting != SMTP_NEED_INPUT) return (enum smtp_server_need)s->awaiting;
        if (buf_room(&fx->out) < SMTP_SERVER_OUT_BYTES_MIN) return SMTP_NEED_OUT;
        if (s->stopping && !in_content(s)) {
            (void)smtp_server_shutdown(s, fx);
            continue;
        }
        if (*used == in.len && !acts_without_input(s)) return SMTP_NEED_INPUT;
        *used += eat(s, bytes_from(in, *used), now_ms, fx);
    }
}

enum smtp_server_need smtp_server_step(struct smtp_server *s, struct bytes in, uint32_t *used, uint64_t now_ms,
                                       struct smtp_server_effects *fx)
{
    smtp_server_check(s);
    *used = 0;
    enum smtp_server_need need = run(s, in, used, now_ms, fx);
    if (need != SMTP_NEED_INPUT) s->deadline_ms = 0;
    else if (s->deadline_ms == 0 && s->phase != SMTP_PHASE_NEW)
        s->deadline_ms = now_ms + (in_content(s) ? s->config->data_timeout_ms : s->config->command_timeout_ms);
    must(need != SMTP_NEED_INPUT || *used == in.len);
    smtp_server_check(s);
    return need;
}

/* --- answers and events --- */

void smtp_server_sender(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_SENDER && s->phase == SMTP_PHASE_HELLO);
    s->awaiting = SMTP_NEED_INPUT;
    if (a->code == 250) {
        s->phase = SMTP_PHASE_MAIL;
        s->transaction = true;
    }
    smtp_server_policy(s, fx, a, ENHANCED(2, 1, 0), ENHANCED(5, 1, 0));
    if (s->phase == SMTP_PHASE_HELLO) smtp_server_reset(s);
}

void smtp_server_rcpt(struct smtp_server *s, const struct smtp_policy_answer *a, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_RCPT && (s->phase == SMTP_PHASE_MAIL || s->phase == SMTP_PHASE_RCPT));
    s->awaiting = SMTP_NEED_INPUT;
    if (a->code == 250) {
        s->phase = SMTP_PHASE_RCPT;
        s->rcpts++;
    } else {
        s->rcpts_refused++;
    }
    smtp_server_policy(s, fx, a, ENHANCED(2, 1, 5), ENHANCED(5, 1, 0));
}

void smtp_server_xclient(struct smtp_server *s, const struct smtp_policy_answer *a, const struct smtp_xclient *x, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_XCLIENT && (s->phase == SMTP_PHASE_CONNECTED || s->phase == SMTP_PHASE_HELLO));
    s->awaiting = SMTP_NEED_INPUT;
    if (a->code == 421 || a->code == 554) {
        smtp_server_end(s, fx, a->code, a->enhanced, a->text);
    } else if (a->code != 220) {
        smtp_server_fault(s, fx, a->code, a->enhanced, a->text);
    } else {
        smtp_server_reset(s);
        s->helo_len = 0;
        s->extended = s->authenticated = false; /* that was somebody else */
        smtp_server_banner(s, fx);
        if (s->counts.done[SMTP_VERB_XCLIENT] < UINT16_MAX) s->counts.done[SMTP_VERB_XCLIENT]++;
        if (smtp_helo_valid(x->helo)) smtp_server_hello(s, x->helo, x->esmtp || (x->present & SMTP_XCLIENT_BIT(SMTP_XCLIENT_PROTO)) == 0);
    }
}

void smtp_server_tls(struct smtp_server *s, enum smtp_tls_answer a, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(s->awaiting == SMTP_NEED_TLS && !s->handshaking && !s->tls);
    if (a == SMTP_TLS_GO) {
        s->handshaking = true;
        smtp_server_say(s, fx, 220, ENHANCED(2, 0, 0), BYTES("Ready to start TLS"));
        return;
    }
    s->awaiting = SMTP_NEED_INPUT;
    if (a == SMTP_TLS_PIPELINED)
        smtp_server_end(s, fx, 554, ENHANCED(5, 5, 1), BYTES("Error: octets behind STARTTLS before it was answered; closing"));
    else smtp_server_say(s, fx, 454, ENHANCED(4, 7, 0), BYTES("TLS is not available for now"));
}

void smtp_server_secured(struct smtp_server *s, uint64_t now_ms)
{
    if (s->phase == SMTP_PHASE_CLOSED) return;
    must(!s->tls && (s->handshaking || s->phase == SMTP_PHASE_NEW));
    s->tls = true;
    s->awaiting = SMTP_NEED_INPUT;
    if (!s->handshaking) return;
    s->handshaking = false;
    smtp_server_reset(s);
    s->phase = SMTP_PHASE_CONNECTED;
    s->extended = false;
    s->helo_len = 0;
    s->deadline_ms = now_ms + s->config->command_timeout_ms;
}

/* end_if_room - 421 and closed; the words are left out when the client has not read what was said before. */
static void end_if_room(struct smtp_server *s, struct smtp_server_effects *fx, struct enhanced e, const char *text)
{
    struct smtp_server_effects nowhere = {0};
    bool mute = s->handshaking || buf_room(&fx->out) < SMTP_SERVER_OUT_BYTES_MIN; /* within a handshake nobody could read it */
    smtp_server_end_host(s, mute ? &nowhere : fx, 421, e, text);
}

void smtp_server_late(struct smtp_server *s, struct smtp_server_effects *fx)
{
    if (s->phase != SMTP_PHASE_CLOSED) end_if_room(s, fx, ENHANCED(4, 4, 2), "Error: timeout exceeded; closing");
}

bool smtp_server_shutdown(struct smtp_server *s, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_CLOSED) return true;
    s->stopping = true;
    if (in_content(s)) return false;
    end_if_room(s, fx, ENHANCED(4, 3, 2), "Service is stopping; try again in a minute");
    return true;
}

struct bytes smtp_server_protocol(const struct smtp_server *s)
{
    if (!s->extended) return BYTES("SMTP");
    if (s->authenticated) return s->mail.smtputf8 ? BYTES("UTF8SMTPSA") : BYTES("ESMTPSA"); /* it was under TLS */
    if (s->tls) return s->mail.smtputf8 ? BYTES("UTF8SMTPS") : BYTES("ESMTPS");
    return s->mail.smtputf8 ? BYTES("UTF8SMTP") : BYTES("ESMTP");
}

const char *smtp_server_last_words(const struct smtp_server *s)
{
    uint32_t seen = 0;
    if (s->phase == SMTP_PHASE_COMMIT) return "END-OF-MESSAGE";
    for (uint32_t verb = 0; verb < SMTP_VERB_COUNT; verb++) seen += s->counts.seen[verb];
    return seen == 0 ? "CONNECT" : smtp_verb_name((enum smtp_verb)s->last_verb);
}

void smtp_server_check(const struct smtp_server *s)
{
    must(s->phase < SMTP_PHASE_COUNT && s->awaiting < SMTP_NEED_COUNT && s->last_verb < SMTP_VERB_COUNT);
    must(s->line_len <= sizeof(s->line) && s->helo_len <= sizeof(s->helo) && s->room.len <= s->room.cap);
    bool open = s->phase >= SMTP_PHASE_MAIL && s->phase <= SMTP_PHASE_COMMIT;
    bool has_rcpts = s->phase >= SMTP_PHASE_RCPT && s->phase <= SMTP_PHASE_COMMIT;
    /* In DATA the process may have given the transaction up (no_room) while the machine still eats to the dot. */
    if (s->phase != SMTP_PHASE_DATA) must(open == s->transaction);
    must(has_rcpts == (s->rcpts > 0) && s->rcpts <= s->config->rcpts_max);
    must((s->awaiting == SMTP_NEED_COMMIT) == (s->phase == SMTP_PHASE_COMMIT));
    if (s->awaiting == SMTP_NEED_AUTH) must(s->phase == SMTP_PHASE_AUTH);
    if (s->phase == SMTP_PHASE_AUTH) must(s->tls && !s->authenticated);
    if (s->awaiting == SMTP_NEED_SENDER) must(s->phase == SMTP_PHASE_HELLO);
    if (s->awaiting == SMTP_NEED_XCLIENT) must(s->phase == SMTP_PHASE_CONNECTED || s->phase == SMTP_PHASE_HELLO);
    if (s->awaiting == SMTP_NEED_TLS) must(!s->tls && (s->phase == SMTP_PHASE_CONNECTED || s->phase == SMTP_PHASE_HELLO));
    must(!s->handshaking || s->awaiting == SMTP_NEED_TLS);
    if (s->awaiting == SMTP_NEED_RCPT) must(s->phase == SMTP_PHASE_MAIL || s->phase == SMTP_PHASE_RCPT);
    if (s->awaiting == SMTP_NEED_BODY || s->awaiting == SMTP_NEED_ROOM) must(s->phase == SMTP_PHASE_DATA || s->phase == SMTP_PHASE_CHUNK);
    if (s->phase == SMTP_PHASE_CLOSED) must(s->awaiting == SMTP_NEED_INPUT && !s->abort_due);
    if (smtp_server_draining(s)) must(s->phase != SMTP_PHASE_CHUNK && s->phase != SMTP_PHASE_COMMIT);
}
