/*
 * server_fuzz - random events for the server machine: octets cut anywhere, lines of the protocol in any order, a process that answers as it
 * likes, time that jumps. The machine's own checks are on; here the process's side is asserted: needs come in an order that makes sense,
 * replies are whole lines, and each 250 for content was asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "smtp/server.h"

static const char *const lines[] = {
    "EHLO a\r\n", "HELO a\r\n", "MAIL FROM:<a@b.example>\r\n", "MAIL FROM:<> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x\r\n",
    "RCPT TO:<c@d.example>\r\n", "RCPT TO:<\"a b\"@[192.0.2.1]> NOTIFY=NEVER ORCPT=rfc822;x\r\n", "DATA\r\n", "BDAT 3\r\nx\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 20 LAST\r\n", "BDAT 4000\r\n", "RSET\r\n", "NOOP\r\n", "VRFY x\r\n", "HELP\r\n", "QUIT\r\n", "STARTTLS\r\n", "AUTH PLAIN\r\n",
    "\r\n.\r\n", ".\r\n", "\r\n", "Received: x\r\n", "Subject: y\r\n\r\n", "..\r\n", "\n", "\r", "text of a line\r\n",
};
enum { LINE_COUNT = sizeof(lines) / sizeof(*lines) };

struct world {
    struct cursor events;
    struct smtp_server s;
    struct smtp_server_effects fx;
    uint64_t now_ms;
    bool holds, closed;
    uint32_t rcpts, commits;
    uint8_t out[8192], room[600];
};

static uint8_t event(struct world *w)
{
    return (uint8_t)cursor_le(&w->events, 1);
}

static struct smtp_policy_answer refusal(struct world *w)
{
    static const uint16_t answers[] = {550, 451, 421, 554, 452};
    return (struct smtp_policy_answer){answers[event(w) % 5], {0}, BYTES("because\nof it")};
}

static struct smtp_policy_answer policy(struct world *w)
{
    return event(w) % 4 == 0 ? refusal(w) : (struct smtp_policy_answer){.code = 250};
}

static void sent(struct world *w)
{
    must(!w->fx.out.overflow);
    for (uint32_t i = 0, line = 0; i < w->fx.out.len; i++) {
        if (w->out[i] != '\n') continue;
        must(i >= line + 4 && w->out[i - 1] == '\r' && w->out[line] >= '2' && w->out[line] <= '5');
        line = i + 1;
    }
    must(w->fx.out.len == 0 || w->out[w->fx.out.len - 1] == '\n');
    w->fx.out.len = 0;
}

static void give_room(struct world *w)
{
    if (event(w) % 8 == 0) {
        struct smtp_policy_answer a = refusal(w);
        w->holds = false;
        smtp_server_no_room(&w->s, &a, &w->fx);
    } else {
        smtp_server_room(&w->s, buf_over(w->room, SMTP_SERVER_ROOM_BYTES_MIN + event(w)));
    }
}

static void answer(struct world *w, enum smtp_server_need need)
{
    struct smtp_policy_answer a;
    switch (need) {
    case SMTP_NEED_OUT: sent(w); break;
    case SMTP_NEED_AUTH:
        smtp_server_auth(&w->s, (enum smtp_auth_result)(event(w) % SMTP_AUTH_RESULT_COUNT), BYTES("Y2hhbGxlbmdl"), &w->fx);
        break;
    case SMTP_NEED_SENDER:
        must(!w->holds);
        a = policy(w);
        w->holds = a.code == 250;
        w->rcpts = 0;
        smtp_server_sender(&w->s, &a, &w->fx);
        break;
    case SMTP_NEED_RCPT:
        must(w->holds);
        a = policy(w);
        if (a.code == 250) w->rcpts++;
        smtp_server_rcpt(&w->s, &a, &w->fx);
        break;
    case SMTP_NEED_BODY:
    case SMTP_NEED_ROOM:
        must(w->holds && w->rcpts > 0);
        give_room(w);
        break;
    case SMTP_NEED_COMMIT:
        must(w->holds && w->rcpts > 0);
        w->holds = false;
        if (event(w) % 4 == 0) {
            a = refusal(w);
            smtp_server_refused(&w->s, &a, &w->fx);
        } else {
            smtp_server_committed(&w->s, (struct message_id){++w->commits}, &w->fx);
        }
        must(w->s.counts.done[SMTP_VERB_DATA] + w->s.counts.done[SMTP_VERB_BDAT] == w->commits);
        break;
    case SMTP_NEED_ABORT:
        must(w->holds);
        w->holds = false;
        break;
    case SMTP_NEED_TLS:
        if (w->s.handshaking) smtp_server_secured(&w->s, w->now_ms);
        else smtp_server_tls(&w->s, (enum smtp_tls_answer)(event(w) % 3), &w->fx);
        break;
    default: must(need == SMTP_NEED_CLOSE); w->closed = true;
    }
}

static void feed(struct world *w, struct bytes in)
{
    uint32_t idle = 0;
    while (!w->closed) {
        uint32_t used = 0;
        enum smtp_server_need need = smtp_server_step(&w->s, in, &used, w->now_ms, &w->fx);
        must(used <= in.len);
        in = bytes_from(in, used);
        idle = used > 0 ? 0 : idle + 1;
        must(idle < 16); /* it moves, or it eats */
        if (need == SMTP_NEED_INPUT) break;
        answer(w, need);
    }
    must(w->closed || w->s.phase == SMTP_PHASE_NEW || w->s.deadline_ms > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    const struct smtp_server_config config = {
        .hostname = BYTES("mx.example"), .message_bytes_max = 700, .rcpts_max = 4, .line_bytes_max = 80, .errors_max = 20, .junk_max = 20,
        .hops_max = 2, .bare_newline = size > 0 && data[0] & 1 ? SMTP_BARE_NORMALISE : SMTP_BARE_REFUSE, .command_timeout_ms = 1000,
        .data_timeout_ms = 1000, .data_rate_min = 1, .auth_mechanisms = size > 0 && data[0] & 8 ? 0x1e : 0,
        .tls_offered = size > 0 && data[0] & 2, .tls_required = size > 0 && (data[0] & 6) == 6,
    };
    memset(&w, 0, sizeof(w));
    w.events = cursor_over(bytes_of(data, (uint32_t)size));
    w.fx.out = BUF_OVER(w.out);
    w.now_ms = 1;
    smtp_server_init(&w.s, &config);
    if (event(&w) != 0) smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    while (!w.closed && cursor_left(&w.events) > 0) {
        uint8_t what = event(&w);
        if (what < 0xC0) {
            feed(&w, bytes_of_cstr(lines[what % LINE_COUNT]));
        } else if (what < 0xF0) {
            uint32_t n = what & 15;
            feed(&w, cursor_take(&w.events, n < cursor_left(&w.events) ? n : cursor_left(&w.events)));
        } else if (what < 0xFC) {
            w.now_ms += 1u << event(&w) % 20;
            feed(&w, BYTES(""));
        } else if (what < 0xFE) {
            sent(&w);
            smtp_server_late(&w.s, &w.fx);
        } else if (w.s.phase != SMTP_PHASE_NEW) {
            sent(&w);
            (void)smtp_server_shutdown(&w.s, &w.fx);
        }
    }
    sent(&w);
    return 0;
}
