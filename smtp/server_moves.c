/*
 * server_moves - what each verb does. One function a move; none knows another, and none asks in which phase it is:
 * the table (smtp/server_table.h) has decided that before.
 */
#include <string.h>

#include "base/must.h"
#include "smtp/server_table.h"

/* Room for a reply of our own with a host name in it. */
enum { SCRATCH_BYTES = 1024 };

/* --- replies --- */

static void count_once(uint16_t *count)
{
    if (*count < UINT16_MAX) (*count)++;
}

void smtp_server_say(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text)
{
    smtp_reply_write(&fx->out, code, e, text);
    if (code / 100 == 2) count_once(&s->counts.done[s->last_verb]);
}

void smtp_server_end(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text)
{
    must(s->phase != SMTP_PHASE_CLOSED);
    smtp_server_say(s, fx, code, e, text);
    smtp_server_reset(s);
    s->phase = SMTP_PHASE_CLOSED;
    s->awaiting = SMTP_NEED_INPUT;
    s->handshaking = false;
    s->abort_due = false;
    s->deadline_ms = 0;
}

void smtp_server_end_host(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, const char *text)
{
    uint8_t memory[SCRATCH_BYTES];
    struct buf words = BUF_OVER(memory);
    buf_put(&words, s->config->hostname);
    buf_put_c(&words, ' ');
    buf_put_cstr(&words, text);
    smtp_server_end(s, fx, code, e, buf_bytes(&words));
}

void smtp_server_fault(struct smtp_server *s, struct smtp_server_effects *fx, uint16_t code, struct enhanced e, struct bytes text)
{
    must(code / 100 == 4 || code / 100 == 5);
    smtp_server_say(s, fx, code, e, text);
    if (++s->errors > s->config->errors_max) smtp_server_end_host(s, fx, 421, ENHANCED(4, 7, 0), "Error: too many errors; closing");
}

/* safe_text - a policy's words, which may quote the client: what smtp_reply_write() does not clean is octets over 127. */
static struct bytes safe_text(const struct smtp_server *s, struct bytes text, struct buf *out)
{
    text = bytes_slice(text, 0, SMTP_POLICY_TEXT_BYTES_MAX);
    bool keep_utf8 = s->mail.smtputf8 && bytes_is_utf8(text); /* RFC 6531 3.5 */
    for (uint32_t i = 0; i < text.len; i++) buf_put_c(out, text.ptr[i] > 127 && !keep_utf8 ? '?' : text.ptr[i]);
    return buf_bytes(out);
}

void smtp_server_policy(struct smtp_server *s, struct smtp_server_effects *fx, const struct smtp_policy_answer *a, struct enhanced ok,
                        struct enhanced no)
{
    must(a->code == 250 || (a->code >= 400 && a->code <= 599));
    uint8_t memory[SMTP_POLICY_TEXT_BYTES_MAX];
    struct buf words = BUF_OVER(memory);
    struct bytes text = safe_text(s, a->text, &words);
    struct enhanced e = a->enhanced;
    if (text.len == 0) text = a->code == 250 ? BYTES("Ok") : a->code >= 500 ? BYTES("Refused") : BYTES("Not now; try again later");
    if (e.class == 0) {
        e = a->code == 250 ? ok : no;
        e.class = (uint8_t)(a->code / 100);
    }
    if (a->code == 421) smtp_server_end(s, fx, 421, e, text);
    else if (a->code >= 500) smtp_server_fault(s, fx, a->code, e, text);
    else smtp_server_say(s, fx, a->code, e, text);
}

/* --- the one reset --- */

void smtp_server_reset(struct smtp_server *s)
{
    s->abort_due = s->abort_due || s->transaction;
    s->transaction = false;
    if (s->phase > SMTP_PHASE_HELLO && s->phase < SMTP_PHASE_CLOSED) s->phase = SMTP_PHASE_HELLO;
    s->rcpts = s->rcpts_refused = s->rcpts_over = 0;
    s->bdat = s->bdat_last = s->room_given = false;
    s->room = (struct buf){0};
    s->data_bytes = 0;
    s->rate_began_ms = s->rate_bytes = 0;
    s->mail.smtputf8 = s->mail.body_8bit = false;
    s->mail.envid = (struct bytes){0};
}

/* --- moves --- */

static void bad_order(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    struct bytes words = bytes_of_cstr(smtp_server_rows[s->last_verb].words);
    if (s->phase == SMTP_PHASE_CONNECTED) words = BYTES("send EHLO or HELO first");
    if (s->phase == SMTP_PHASE_BDAT) words = BYTES("BDAT has begun; go on with BDAT, or RSET");
    uint8_t memory[SCRATCH_BYTES];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "Error: ");
    buf_put(&text, words);
    smtp_server_fault(s, fx, 503, ENHANCED(5, 5, 1), buf_bytes(&text));
}

static void unknown(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    smtp_server_fault(s, fx, 500, ENHANCED(5, 5, 2), BYTES("Error: command not recognized; HELP lists those that are"));
}

static void not_here(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    smtp_server_fault(s, fx, 502, ENHANCED(5, 5, 1), BYTES("Error: command not implemented"));
}

static void starttls(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    if (s->tls) smtp_server_fault(s, fx, 503, ENHANCED(5, 5, 1), BYTES("Error: this connection is under TLS already"));
    else if (!s->config->tls_offered) smtp_server_fault(s, fx, 502, ENHANCED(5, 5, 1), BYTES("Error: TLS is not offered here; go on without it"));
    else s->awaiting = SMTP_NEED_TLS;
}

/* starttls_late - within a transaction: not offered is the better answer where it is true. */
static void starttls_late(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    if (s->config->tls_offered) bad_order(s, rest, fx);
    else starttls(s, rest, fx);
}

void smtp_server_hello(struct smtp_server *s, struct bytes name, bool extended)
{
    must(name.len <= sizeof(s->helo));
    smtp_server_reset(s);
    memcpy(s->helo, name.ptr, name.len);
    s->helo_len = name.len;
    s->extended = extended;
    s->phase = SMTP_PHASE_HELLO;
}

static void helo(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    struct bytes name = bytes_trim(rest);
    if (!smtp_helo_valid(name)) {
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Syntax: HELO hostname"));
        return;
    }
    smtp_server_hello(s, name, false);
    smtp_server_say(s, fx, 250, ENHANCED(0, 0, 0), s->config->hostname);
}

static void ehlo(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    struct bytes name = bytes_trim(rest);
    if (!smtp_helo_valid(name)) {
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Syntax: EHLO hostname"));
        return;
    }
    smtp_server_hello(s, name, true);
    uint8_t memory[SCRATCH_BYTES];
    struct buf text = BUF_OVER(memory);
    buf_put(&text, s->config->hostname);
    BUF_LIT(&text, "\nPIPELINING\nSIZE ");
    buf_put_u64(&text, s->config->message_bytes_max);
    BUF_LIT(&text, "\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING\nDSN\nLIMITS RCPTMAX=");
    buf_put_u64(&text, s->config->rcpts_max);
    if (s->config->tls_offered && !s->tls) BUF_LIT(&text, "\nSTARTTLS");
    smtp_server_put_auth(s, &text);
    if (s->config->mail_domain.len > 0) {
        BUF_LIT(&text, "\nXMAILDOMAIN ");
        buf_put(&text, s->config->mail_domain);
    }
    if (s->xclient_offered) BUF_LIT(&text, "\nXCLIENT " SMTP_XCLIENT_OFFER);
    smtp_server_say(s, fx, 250, ENHANCED(0, 0, 0), buf_bytes(&text)); /* no enhanced code here: RFC 2034 4 */
}

/* say_argument_error - the answers to arguments that the parser refused. The status of a bad address differs between MAIL and RCPT. */
static void say_argument_error(struct smtp_server *s, struct smtp_server_effects *fx, enum smtp_argument_error error, bool sender)
{
    struct enhanced address = sender ? ENHANCED(5, 1, 7) : ENHANCED(5, 1, 3);
    switch (error) {
    case SMTP_ARG_BAD_ADDRESS:
        smtp_server_fault(s, fx, 501, address,
                          sender ? BYTES("Error: bad sender address syntax") : BYTES("Error: bad recipient address syntax"));
        break;
    case SMTP_ARG_ADDRESS_TOO_LONG:
        smtp_server_fault(s, fx, 501, address, BYTES("Error: address too long (local part 64, domain 255 octets)"));
        break;
    case SMTP_ARG_NEEDS_SMTPUTF8:
        smtp_server_fault(s, fx, 553, ENHANCED(5, 6, 7), BYTES("Error: this address needs the SMTPUTF8 parameter in MAIL"));
        break;
    case SMTP_ARG_UNKNOWN_PARAMETER:
        smtp_server_fault(s, fx, 555, ENHANCED(5, 5, 4),
                          s->extended ? BYTES("Error: unsupported parameter") : BYTES("Error: parameters need EHLO"));
        break;
    case SMTP_ARG_BAD_PARAMETER:
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Error: bad parameter value"));
        break;
    case SMTP_ARG_REPEATED_PARAMETER:
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Error: parameter given twice"));
        break;
    case SMTP_ARG_TOO_BIG:
        smtp_server_fault(s, fx, 552, ENHANCED(5, 3, 4), BYTES("Error: message size exceeds the limit that EHLO lists"));
        break;
    default:
        smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), sender ? BYTES("Syntax: MAIL FROM:<address> [parameters]")
                                                                : BYTES("Syntax: RCPT TO:<address> [parameters]"));
        break;
    }
}

static void mail(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    enum smtp_argument_error error = smtp_mail_parse(rest, s->extended, &s->mail);
    if (error == SMTP_ARG_OK && s->mail.auth_given && s->config->auth_mechanisms == 0) error = SMTP_ARG_UNKNOWN_PARAMETER;
    if (error == SMTP_ARG_OK && s->mail.size_given && s->mail.size_bytes > s->config->message_bytes_max) error = SMTP_ARG_TOO_BIG;
    if (error != SMTP_ARG_OK) {
        s->mail.smtputf8 = false;
        say_argument_error(s, fx, error, true);
        return;
    }
    must(s->mail.envid.len <= sizeof(s->envid_store));
    if (s->mail.envid.len > 0) memcpy(s->envid_store, s->mail.envid.ptr, s->mail.envid.len);
    s->mail.envid.ptr = s->envid_store;
    s->awaiting = SMTP_NEED_SENDER;
}

static void rcpt(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    enum smtp_argument_error error = smtp_rcpt_parse(rest, s->extended, s->mail.smtputf8, &s->rcpt);
    if (error != SMTP_ARG_OK) {
        s->rcpts_refused++;
        say_argument_error(s, fx, error, false);
        return;
    }
    if (s->rcpts < s->config->rcpts_max) {
        s->awaiting = SMTP_NEED_RCPT;
        return;
    }
    struct bytes text = BYTES("Error: too many recipients; send the message to the rest in another transaction");
    if (++s->rcpts_over > SMTP_SERVER_OVERSHOOT_MAX) smtp_server_fault(s, fx, 452, ENHANCED(4, 5, 3), text);
    else smtp_server_say(s, fx, 452, ENHANCED(4, 5, 3), text);
}

static void data(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    (void)fx;
    s->phase = SMTP_PHASE_DATA;
    s->bdat = false;
    smtp_server_begin_content(s);
}

/* data_early - DATA without a recipient. RFC 5321 3.3: 554 when there were some, and all were refused. */
static void data_early(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    if (s->phase == SMTP_PHASE_MAIL && s->rcpts_refused > 0) {
        smtp_server_fault(s, fx, 554, ENHANCED(5, 5, 1), BYTES("Error: no valid recipients"));
    } else {
        bad_order(s, rest, fx);
    }
}

/* parse_bdat - false when the size of the chunk cannot be known, or is too large to eat. Where commands go on is unknown then: the session
 * ends. */
static bool parse_bdat(struct smtp_server *s, struct bytes rest, struct smtp_bdat_args *args, struct smtp_server_effects *fx)
{
    uint64_t max = s->config->message_bytes_max;
    if (smtp_bdat_parse(rest, args) != SMTP_ARG_OK) {
        smtp_server_end(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Syntax: BDAT size [LAST]; closing, since the end of the chunk is unknown"));
        return false;
    }
    if (max <= UINT64_MAX / SMTP_SERVER_DRAIN_FACTOR && args->bytes > max * SMTP_SERVER_DRAIN_FACTOR) {
        smtp_server_end(s, fx, 552, ENHANCED(5, 3, 4), BYTES("Error: message size exceeds the limit that EHLO lists; closing"));
        return false;
    }
    return true;
}

static void bdat(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    struct smtp_bdat_args args;
    if (!parse_bdat(s, rest, &args, fx)) return;
    bool first = s->phase == SMTP_PHASE_RCPT;
    if (!s->extended) {
        const struct smtp_policy_answer a = {503, {5, 5, 1}, BYTES("Error: BDAT needs EHLO")};
        smtp_server_refuse_chunk(s, fx, args.bytes, &a);
        return;
    }
    s->phase = SMTP_PHASE_CHUNK;
    s->bdat = true;
    s->bdat_last = args.last;
    if (first) smtp_server_begin_content(s);
    smtp_chunk_begin(&s->chunk, args.bytes);
}

/* bdat_early - the chunk of a transaction that does not exist, or was refused: its octets are never commands (RFC 3030 2). */
static void bdat_early(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    struct smtp_bdat_args args;
    if (!parse_bdat(s, rest, &args, fx)) return;
    struct smtp_policy_answer a = {503, {5, 5, 1}, BYTES("Error: need RCPT command first")};
    if (s->phase == SMTP_PHASE_CONNECTED) a.text = BYTES("Error: send EHLO first");
    if (s->phase == SMTP_PHASE_MAIL && s->rcpts_refused > 0) {
        a.code = 554;
        a.text = BYTES("Error: no valid recipients");
    }
    smtp_server_refuse_chunk(s, fx, args.bytes, &a);
}

static void rset(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    smtp_server_reset(s);
    smtp_server_say(s, fx, 250, ENHANCED(2, 0, 0), BYTES("Ok"));
}

static void noop(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    smtp_server_say(s, fx, 250, ENHANCED(2, 0, 0), BYTES("Ok"));
}

static void vrfy(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    if (bytes_trim(rest).len == 0) smtp_server_fault(s, fx, 501, ENHANCED(5, 5, 4), BYTES("Syntax: VRFY address"));
    else smtp_server_say(s, fx, 252, ENHANCED(2, 5, 2), BYTES("Cannot verify; send a message to try"));
}

static void help(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    struct bytes text = BYTES("Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\n"
                              "See RFC 5321; for trouble write to the postmaster of this host");
    smtp_server_say(s, fx, 214, ENHANCED(2, 0, 0), text);
}

static void quit(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    (void)rest;
    smtp_server_end(s, fx, 221, ENHANCED(2, 0, 0), BYTES("Bye"));
}

/* xclient - who may not say it is told what anybody is told about a command that there is not. */
static void xclient(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    if (!s->xclient_offered) {
        unknown(s, rest, fx);
        return;
    }
    s->xclient = rest;
    s->awaiting = SMTP_NEED_XCLIENT;
}

static void xclient_late(struct smtp_server *s, struct bytes rest, struct smtp_server_effects *fx)
{
    if (s->xclient_offered) bad_order(s, rest, fx);
    else unknown(s, rest, fx);
}

#define ROW(verb, allowed, here, there, verb_flags, text) [SMTP_VERB_##verb] = {allowed, here, there, verb_flags, text},
const struct smtp_server_row smtp_server_rows[SMTP_VERB_COUNT] = {SMTP_SERVER_ROWS(ROW)};
