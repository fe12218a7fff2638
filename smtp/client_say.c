/*
 * client_say - what the client says: each command in one function, written when there is room, and when the remote may be spoken to.
 *
 * With PIPELINING the whole flight MAIL, RCPTs, DATA goes out at once (RFC 2920); without, a command waits for the answer to the last.
 * No octet of a message can end a command: addresses and parameters were checked on the way in, and are asserted here once more.
 */
#include "base/must.h"
#include "smtp/client_table.h"

/* end_command - the command from `start` on is whole. */
static void end_command(struct buf *out, uint32_t start)
{
    for (uint32_t i = start; i < out->len; i++) must(out->ptr[i] >= 0x20 && out->ptr[i] != 0x7F);
    BUF_LIT(out, "\r\n");
    must(!out->overflow && out->len - start <= SMTP_CLIENT_COMMAND_BYTES_MAX);
}

static void say_mail(struct smtp_client *c, struct buf *out)
{
    const struct smtp_client_job *job = c->job;
    uint32_t start = out->len;
    BUF_LIT(out, "MAIL FROM:<");
    buf_put(out, job->sender);
    BUF_LIT(out, ">");
    if (c->caps.set & SMTP_CAP_SIZE) {
        BUF_LIT(out, " SIZE=");
        buf_put_u64(out, job->content_bytes);
    }
    if ((job->flags & MAIL_BODY_8BIT) && (c->caps.set & SMTP_CAP_8BITMIME)) BUF_LIT(out, " BODY=8BITMIME");
    if (job->flags & MAIL_NEEDS_SMTPUTF8) BUF_LIT(out, " SMTPUTF8");
    if (c->caps.set & SMTP_CAP_DSN) {
        if (job->ret == RET_FULL) BUF_LIT(out, " RET=FULL");
        if (job->ret == RET_HDRS) BUF_LIT(out, " RET=HDRS");
        if (job->envid.len > 0) {
            BUF_LIT(out, " ENVID=");
            buf_put(out, job->envid);
        }
    }
    end_command(out, start);
    c->mail_sent = true;
    c->messages++;
    smtp_client_push(c, SMTP_CLIENT_MAIL, 0);
}

static void put_notify(struct buf *out, uint8_t notify)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *separator = " NOTIFY=";
    for (uint32_t bit = 0; bit < 4; bit++) {
        if (!(notify & 1u << bit)) continue;
        buf_put_cstr(out, separator);
        buf_put_cstr(out, names[bit]);
        separator = ",";
    }
}

static void say_rcpt(struct smtp_client *c, struct buf *out)
{
    struct rcpt r;
    uint32_t start = out->len;
    must(rcpt_next(&c->rcpt_cursor, &r)); /* the list was checked when the job was given */
    BUF_LIT(out, "RCPT TO:<");
    buf_put(out, r.address);
    BUF_LIT(out, ">");
    if (c->caps.set & SMTP_CAP_DSN) {
        put_notify(out, r.notify);
        bool sayable = (c->job->flags & MAIL_NEEDS_SMTPUTF8) || bytes_is_ascii(r.orcpt); /* RFC 6533 3 */
        if (r.orcpt.len > 0 && sayable) {
            BUF_LIT(out, " ORCPT=");
            buf_put(out, r.orcpt);
        }
    }
    end_command(out, start);
    smtp_client_push(c, SMTP_CLIENT_RCPT, c->rcpt_sent++);
}

static void say_word(struct smtp_client *c, struct buf *out, struct bytes word, struct bytes argument, enum smtp_client_step step)
{
    uint32_t start = out->len;
    buf_put(out, word);
    buf_put(out, argument);
    end_command(out, start);
    c->say = SMTP_SAY_NOTHING;
    smtp_client_push(c, step, 0);
}

/* say_flight - the next command of the job. DATA is left out when every recipient is known to be refused. */
static void say_flight(struct smtp_client *c, struct buf *out)
{
    if (!c->mail_sent) {
        say_mail(c, out);
    } else if (c->rcpt_sent < c->rcpt_limit) {
        say_rcpt(c, out);
    } else if (c->pending_count == 0 && c->rcpt_taken == 0) {
        c->say = SMTP_SAY_NOTHING;
    } else {
        say_word(c, out, BYTES("DATA"), BYTES(""), SMTP_CLIENT_DATA);
    }
}

/* may_speak - in a flight, PIPELINING lets commands run ahead of answers; all else waits for silence. */
static bool may_speak(const struct smtp_client *c)
{
    if (c->closed || c->say == SMTP_SAY_NOTHING) return false;
    if (c->pending_count == 0) return true;
    if (c->say != SMTP_SAY_FLIGHT || c->one_by_one) return false;
    return (c->caps.set & SMTP_CAP_PIPELINING) && c->pending_count < SMTP_CLIENT_PIPE_MAX;
}

void smtp_client_speak(struct smtp_client *c, struct smtp_client_effects *fx)
{
    while (may_speak(c)) {
        if (buf_room(&fx->out) < SMTP_CLIENT_COMMAND_BYTES_MAX) {
            fx->more = true;
            return;
        }
        switch (c->say) {
        case SMTP_SAY_EHLO:
            c->caps = (struct smtp_capabilities){0};
            c->ehlo_line_len = c->ehlo_lines = 0;
            say_word(c, &fx->out, BYTES("EHLO "), c->helo_name, SMTP_CLIENT_EHLO);
            break;
        case SMTP_SAY_HELO: say_word(c, &fx->out, BYTES("HELO "), c->helo_name, SMTP_CLIENT_HELO); break;
        case SMTP_SAY_STARTTLS: say_word(c, &fx->out, BYTES("STARTTLS"), BYTES(""), SMTP_CLIENT_STARTTLS); break;
        case SMTP_SAY_FLIGHT: say_flight(c, &fx->out); break;
        case SMTP_SAY_EMPTY_DOT: say_word(c, &fx->out, BYTES("."), BYTES(""), SMTP_CLIENT_DOT); break;
        case SMTP_SAY_RSET: say_word(c, &fx->out, BYTES("RSET"), BYTES(""), SMTP_CLIENT_RSET); break;
        default: say_word(c, &fx->out, BYTES("QUIT"), BYTES(""), SMTP_CLIENT_QUIT); break;
        }
    }
}
