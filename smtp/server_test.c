#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/server.h"
#include "smtp/server_table.h"

/* A process in small: it takes senders and recipients by their local part, keeps content, and commits it. */
struct world {
    struct smtp_server_config config;
    struct smtp_server s;
    struct smtp_server_effects fx;
    uint64_t now_ms;
    uint32_t room_bytes;             /* of each room given */
    uint16_t body_refusal;           /* no room at SMTP_NEED_BODY, with this code */
    uint16_t room_refusal;           /* the same in the middle of content */
    uint16_t commit_refusal;
    bool holds, closed;
    uint32_t commits, aborts, rcpts; /* rcpts of the open or last transaction */
    uint32_t content_len;
    uint8_t out[64 * 1024], room[4096], content[8192];
};

static void world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->config = (struct smtp_server_config){
        .hostname = BYTES("mx.example.com"), .message_bytes_max = 1000, .rcpts_max = 3, .line_bytes_max = 100, .errors_max = 5, .junk_max = 5,
        .hops_max = 2, .command_timeout_ms = 300000, .data_timeout_ms = 180000, .data_rate_min = 10,
    };
    w->room_bytes = sizeof(w->room);
    w->now_ms = 1000;
    w->fx.out = BUF_OVER(w->out);
    smtp_server_init(&w->s, &w->config);
}

static void world_greet(struct world *w)
{
    world_open(w);
    smtp_server_greet(&w->s, NULL, w->now_ms, &w->fx);
}

static struct smtp_policy_answer judge(struct bytes local)
{
    if (bytes_equal(local, BYTES("never"))) return (struct smtp_policy_answer){550, {5, 1, 1}, BYTES("No such user")};
    if (bytes_equal(local, BYTES("later"))) return (struct smtp_policy_answer){450, {0}, BYTES("")};
    if (bytes_equal(local, BYTES("stop"))) return (struct smtp_policy_answer){421, {4, 7, 0}, BYTES("Enough")};
    return (struct smtp_policy_answer){.code = 250};
}

static void take_room(struct world *w)
{
    assert_true(w->holds && w->content_len + w->s.room.len <= sizeof(w->content));
    memcpy(w->content + w->content_len, w->s.room.ptr, w->s.room.len);
    w->content_len += w->s.room.len;
}

static void give_room(struct world *w, uint16_t refusal)
{
    const struct smtp_policy_answer full = {refusal, {4, 3, 1}, BYTES("No space; try again later")};
    if (refusal == 0) {
        smtp_server_room(&w->s, buf_over(w->room, w->room_bytes));
    } else {
        w->holds = false;
        smtp_server_no_room(&w->s, &full, &w->fx);
    }
}

static void commit(struct world *w)
{
    const struct smtp_policy_answer no = {w->commit_refusal, {4, 3, 0}, BYTES("Queue trouble; try again later")};
    take_room(w);
    w->holds = false;
    if (w->commit_refusal) {
        smtp_server_refused(&w->s, &no, &w->fx);
    } else {
        w->commits++;
        smtp_server_committed(&w->s, (struct message_id){0xABC0 + w->commits}, &w->fx);
    }
}

static void answer(struct world *w, enum smtp_server_need need)
{
    struct smtp_policy_answer a;
    switch (need) {
    case SMTP_NEED_SENDER:
        assert_false(w->holds);
        a = judge(w->s.mail.sender.local);
        w->holds = a.code == 250;
        w->rcpts = w->content_len = 0;
        smtp_server_sender(&w->s, &a, &w->fx);
        break;
    case SMTP_NEED_RCPT:
        assert_true(w->holds);
        a = judge(w->s.rcpt.address.local);
        if (a.code == 250) w->rcpts++;
        smtp_server_rcpt(&w->s, &a, &w->fx);
        break;
    case SMTP_NEED_BODY: give_room(w, w->body_refusal); break;
    case SMTP_NEED_ROOM:
        take_room(w);
        give_room(w, w->room_refusal);
        break;
    case SMTP_NEED_COMMIT: commit(w); break;
    case SMTP_NEED_ABORT:
        assert_true(w->holds);
        w->holds = false;
        w->aborts++;
        break;
    default: fail_msg("need %d", (int)need);
    }
}

static void feed(struct world *w, struct bytes in)
{
    for (;;) {
        uint32_t used = 0;
        enum smtp_server_need need = smtp_server_step(&w->s, in, &used, w->now_ms, &w->fx);
        assert_true(used <= in.len);
        in = bytes_from(in, used);
        if (need == SMTP_NEED_CLOSE) w->closed = true;
        if (need == SMTP_NEED_INPUT || need == SMTP_NEED_CLOSE) {
            assert_int_equal(in.len, 0);
            return;
        }
        answer(w, need);
    }
}

#define FEED(w, text) feed((w), BYTES(text))

/* codes - the codes of the replies so far, one for each reply, separated by spaces. */
static const char *codes(const struct world *w)
{
    static char text[4096];
    uint32_t len = 0, line = 0;
    assert_false(w->fx.out.overflow);
    for (uint32_t i = 0; i < w->fx.out.len && len + 5 < sizeof(text); i++) {
        if (w->out[i] != '\n') continue;
        assert_true(i > line + 3 && w->out[i - 1] == '\r');
        if (w->out[line + 3] == ' ') {
            if (len > 0) text[len++] = ' ';
            memcpy(text + len, w->out + line, 3);
            len += 3;
        }
        line = i + 1;
    }
    text[len] = 0;
    return text;
}

static bool said(const struct world *w, const char *text)
{
    return memmem(w->out, w->fx.out.len, text, strlen(text)) != NULL;
}

#define HI "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define TX HI MAIL RCPT
#define BODY "Subject: x\r\n\r\nhi\r\n"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

struct session_case {
    const char *name;
    struct bytes in;
    const char *codes;    /* behind the 220 */
    uint32_t commits, aborts;
    bool closed;
    const char *content;  /* of the last transaction; NULL = do not look */
};

#define CASE(name, in, codes, ...) {name, BYTES_INIT(in), "220 " codes, __VA_ARGS__}
static const struct session_case session_cases[] = {
    /*   name                                in                                             codes                        commits aborts closed content */
    CASE("a message by DATA",                TX "DATA\r\n" BODY ".\r\nQUIT\r\n",            "250 250 250 354 250 221",   1, 0, true, BODY),
    CASE("a message by HELO",                "HELO c\r\n" MAIL RCPT "DATA\r\n.\r\n",        "250 250 250 354 250",       1, 0, false, ""),
    CASE("lower case",                       "ehlo c\r\nmail from:<>\r\nrcpt to:<c@d.example>\r\ndata\r\n.\r\n", "250 250 250 354 250", 1, 0, false, ""),
    CASE("two messages",                     TX "DATA\r\n.\r\n" MAIL RCPT "DATA\r\nx\r\n.\r\n", "250 250 250 354 250 250 250 354 250", 2, 0, false, "x\r\n"),
    CASE("dots are unstuffed",               TX "DATA\r\n..\r\n..x\r\n.\r\n",               "250 250 250 354 250",       1, 0, false, ".\r\n.x\r\n"),
    CASE("a message by BDAT",                TX "BDAT 5\r\nab\r\ncBDAT 4 LAST\r\n\r\n.x",   "250 250 250 250 250",       1, 0, false, "ab\r\nc\r\n.x"),
    CASE("an empty last chunk",              TX "BDAT 3\r\nx\r\nBDAT 0 LAST\r\n",           "250 250 250 250 250",       1, 0, false, "x\r\n"),
    CASE("a chunk is no command",            TX "BDAT 6 LAST\r\nQUIT\r\n",                  "250 250 250 250",           1, 0, false, "QUIT\r\n"),
    CASE("an end of data in a chunk",        TX "BDAT 7 LAST\r\nx\r\n.\r\nx",               "250 250 250 250",           1, 0, false, "x\r\n.\r\nx"),
    CASE("no HELO",                          MAIL RCPT "DATA\r\n",                          "503 503 503",               0, 0, false, NULL),
    CASE("MAIL twice",                       TX MAIL "DATA\r\n.\r\n",                       "250 250 250 503 354 250",   1, 0, false, NULL),
    CASE("RCPT before MAIL",                 HI RCPT,                                       "250 503",                   0, 0, false, NULL),
    CASE("DATA before MAIL and RCPT",        HI "DATA\r\n" MAIL "DATA\r\n",                 "250 503 250 503",           0, 0, false, NULL),
    CASE("DATA with all refused",            HI MAIL "RCPT TO:<never@d.example>\r\nDATA\r\n", "250 250 550 554",         0, 0, false, NULL),
    CASE("DATA with an argument",            TX "DATA x\r\n",                               "250 250 250 501",           0, 0, false, NULL),
    CASE("MAIL, RCPT and DATA after BDAT",   TX "BDAT 1\r\nx" MAIL RCPT "DATA\r\nBDAT 0 LAST\r\n", "250 250 250 250 503 503 503 250", 1, 0, false, "x"),
    CASE("RSET in a transaction",            TX "RSET\r\nDATA\r\n",                         "250 250 250 250 503",       0, 1, false, NULL),
    CASE("RSET between chunks",              TX "BDAT 1\r\nxRSET\r\nBDAT 1 LAST\r\nx" MAIL, "250 250 250 250 250 503 250", 0, 1, false, NULL),
    CASE("EHLO in a transaction",            TX HI RCPT,                                    "250 250 250 250 503",       0, 1, false, NULL),
    CASE("a bad EHLO changes nothing",       TX "EHLO\r\nDATA\r\n.\r\n",                    "250 250 250 501 354 250",   1, 0, false, NULL),
    CASE("BDAT without a transaction",       HI "BDAT 6\r\nQUIT\r\nNOOP\r\n",               "250 503 250",               0, 0, false, NULL),
    CASE("BDAT 0 without a transaction",     HI "BDAT 0 LAST\r\nNOOP\r\n",                  "250 503 250",               0, 0, false, NULL),
    CASE("BDAT with all refused",            HI MAIL "RCPT TO:<never@d.example>\r\nBDAT 6\r\nQUIT\r\n", "250 250 550 554", 0, 1, false, NULL),
    CASE("BDAT under HELO",                  "HELO c\r\n" MAIL RCPT "BDAT 6 LAST\r\nQUIT\r\n", "250 250 250 503",        0, 1, false, NULL),
    CASE("BDAT of unknown size",             TX "BDAT x\r\nQUIT\r\n",                       "250 250 250 501",           0, 0, true, NULL),
    CASE("BDAT of a huge size",              TX "BDAT 18446744073709551615\r\nQUIT\r\n",    "250 250 250 552",           0, 0, true, NULL),
    CASE("BDAT of a size over 64 bits",      TX "BDAT 18446744073709551616\r\nQUIT\r\n",    "250 250 250 501",           0, 0, true, NULL),
    CASE("a bare LF in a chunk",             TX "BDAT 4\r\na\nb\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "250 250 250 550 503 250", 0, 1, false, NULL),
    CASE("a bare CR at the end of chunks",   TX "BDAT 2 LAST\r\nx\rNOOP\r\n",               "250 250 250 550 250",       0, 1, false, NULL),
    CASE("CR and LF in two chunks",          TX "BDAT 2\r\nx\rBDAT 1 LAST\r\n\n",           "250 250 250 250 250",       1, 0, false, "x\r\n"),
    CASE("a long line in a chunk",           TX "BDAT 101 LAST\r\n" HUNDRED "x",            "250 250 250 554",           0, 1, false, NULL),
    CASE("a large chunk",                    TX "BDAT 1001\r\n" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "xNOOP\r\n",
         "250 250 250 552 250", 0, 1, false, NULL),
    CASE("LF . LF",                          TX "DATA\r\nx\n.\nQUIT\r\n",                   "250 250 250 354 550",       0, 0, true, NULL),
    CASE("LF . CR LF",                       TX "DATA\r\nx\n.\r\nQUIT\r\n",                 "250 250 250 354 550",       0, 0, true, NULL),
    CASE("CR . CR",                          TX "DATA\r\nx\r.\rQUIT\r\n",                   "250 250 250 354 550",       0, 0, true, NULL),
    CASE("CR LF . LF",                       TX "DATA\r\nx\r\n.\nQUIT\r\n",                 "250 250 250 354 550",       0, 0, true, NULL),
    CASE("CR LF NUL . CR LF",                TX "DATA\r\nx\r\n\0.\r\n.\r\n",                "250 250 250 354 250",       1, 0, false, NULL),
    CASE("a long line",                      TX "DATA\r\n" HUNDRED "x\r\n.\r\nNOOP\r\n",    "250 250 250 354 554 250",   0, 1, false, NULL),
    CASE("the longest line",                 TX "DATA\r\n" HUNDRED "\r\n.\r\n",             "250 250 250 354 250",       1, 0, false, NULL),
    CASE("hops",                             TX "DATA\r\nReceived: a\r\nReceived: b\r\n\r\n.\r\n", "250 250 250 354 250", 1, 0, false, NULL),
    CASE("too many hops",                    TX "DATA\r\nReceived: a\r\nX: y\r\nreceived: b\r\nReceived: c\r\n\r\nx\r\n.\r\n", "250 250 250 354 554", 0, 1, false, NULL),
    CASE("SIZE over the limit",              HI "MAIL FROM:<a@b.example> SIZE=1001\r\n",    "250 552",                   0, 0, false, NULL),
    CASE("SIZE at the limit",                HI "MAIL FROM:<a@b.example> SIZE=1000\r\n",    "250 250",                   0, 0, false, NULL),
    CASE("SIZE over 64 bits",                HI "MAIL FROM:<a@b.example> SIZE=18446744073709551616\r\n", "250 552",      0, 0, false, NULL),
    CASE("SIZE below zero",                  HI "MAIL FROM:<a@b.example> SIZE=-1\r\n",      "250 501",                   0, 0, false, NULL),
    CASE("SIZE twice",                       HI "MAIL FROM:<a@b.example> SIZE=1 SIZE=1\r\n", "250 501",                  0, 0, false, NULL),
    CASE("an unknown parameter",             HI "MAIL FROM:<a@b.example> XYZ=1\r\n" MAIL "RCPT TO:<c@d.example> XYZ\r\n", "250 555 250 555", 0, 0, false, NULL),
    CASE("parameters under HELO",            "HELO c\r\nMAIL FROM:<a@b.example> SIZE=1\r\n", "250 555",                  0, 0, false, NULL),
    CASE("BINARYMIME",                       HI "MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n", "250 501",                0, 0, false, NULL),
    CASE("UTF-8 without SMTPUTF8",           HI "MAIL FROM:<\xc3\xa4@b.example>\r\n",       "250 553",                   0, 0, false, NULL),
    CASE("UTF-8 with SMTPUTF8",              HI "MAIL FROM:<\xc3\xa4@b.example> SMTPUTF8\r\nRCPT TO:<\xc3\xb6@d.example>\r\n", "250 250 250", 0, 0, false, NULL),
    CASE("SMTPUTF8 ends with its mail",      HI "MAIL FROM:<a@b.example> SMTPUTF8\r\nRSET\r\n" MAIL "RCPT TO:<\xc3\xb6@d.example>\r\n", "250 250 250 250 553", 0, 1, false, NULL),
    CASE("policy on senders",                HI "MAIL FROM:<never@b.example>\r\nMAIL FROM:<later@b.example>\r\n" RCPT MAIL, "250 550 450 503 250", 0, 0, false, NULL),
    CASE("policy on recipients",             HI MAIL "RCPT TO:<never@d.example>\r\nRCPT TO:<later@d.example>\r\n" RCPT "DATA\r\n.\r\n", "250 250 550 450 250 354 250", 1, 0, false, NULL),
    CASE("policy says 421",                  HI MAIL "RCPT TO:<stop@d.example>\r\nNOOP\r\n", "250 250 421",              0, 0, true, NULL),
    CASE("too many recipients",              TX RCPT RCPT RCPT RCPT "DATA\r\n.\r\n",        "250 250 250 250 250 452 452 354 250", 1, 0, false, NULL),
    CASE("bare LF in a command",             HI "NOOP\nQUIT\r\n",                           "250 500",                   0, 0, true, NULL),
    CASE("bare CR in a command",             HI "NOOP\rQUIT\r\n",                           "250 500",                   0, 0, true, NULL),
    CASE("CR CR LF",                         HI "NOOP\r\r\n",                               "250 500",                   0, 0, true, NULL),
    CASE("NUL in a command",                 HI "NOOP \0\r\nNO\0OP\r\nNOOP\r\n",            "250 500 500 250",           0, 0, false, NULL),
    CASE("a PROXY header",                   "\r\n\r\n\0\r\nQUIT\n!",                       "500 500 500 500",           0, 0, true, NULL),
    CASE("verbs that are not offered",       TX "EXPN x\r\nETRN x\r\nTURN\r\nSTARTTLS\r\nAUTH PLAIN\r\nDATA\r\n.\r\n", "250 250 250 502 502 502 502 503 354 250", 1, 0, false, NULL),
    CASE("verbs without effect",             TX "VRFY x\r\nNOOP x\r\nHELP\r\nDATA\r\n.\r\n", "250 250 250 252 250 214 354 250", 1, 0, false, NULL),
    CASE("the error budget",                 "A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\n",         "500 500 500 500 500 500 421", 0, 0, true, NULL),
    CASE("the junk budget",                  "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n",
         "250 250 250 250 250 250 250 250 250 250 421", 0, 0, true, NULL),
};

static void check_session(const struct session_case *c, const struct world *w, const char *how)
{
    if (strcmp(codes(w), c->codes) != 0) fail_msg("%s, %s: got %s, want %s", c->name, how, codes(w), c->codes);
    if (w->commits != c->commits || w->aborts != c->aborts) fail_msg("%s, %s: %u commits, %u aborts", c->name, how, w->commits, w->aborts);
    if (w->closed != c->closed) fail_msg("%s, %s: closed %d", c->name, how, w->closed);
    if (c->content && (w->content_len != strlen(c->content) || memcmp(w->content, c->content, w->content_len) != 0)) {
        fail_msg("%s, %s: content has %u octets", c->name, how, w->content_len);
    }
}

static void test_server_sessions_by_table(void **state)
{
    (void)state;
    static struct world w;
    for (size_t i = 0; i < sizeof(session_cases) / sizeof(*session_cases); i++) {
        const struct session_case *c = &session_cases[i];
        for (uint32_t room = SMTP_SERVER_ROOM_BYTES_MIN; room <= 4096; room *= 16) {
            world_greet(&w);
            w.room_bytes = room;
            feed(&w, c->in);
            check_session(c, &w, "whole");
            world_greet(&w);
            w.room_bytes = room;
            for (uint32_t at = 0; at < c->in.len; at++) feed(&w, bytes_slice(c->in, at, 1));
            check_session(c, &w, "octet by octet");
        }
    }
}

static void test_server_ehlo_lists_what_is_offered(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, HI);
    assert_true(said(&w, "220 mx.example.com ESMTP Bulkhead\r\n250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                         "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n250 LIMITS RCPTMAX=3\r\n"));
    assert_string_equal(smtp_server_last_words(&w.s), "EHLO");
    assert_true(bytes_equal(smtp_server_protocol(&w.s), BYTES("ESMTP")));
}

static void test_server_commit_answer_has_postfix_shape(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, TX "DATA\r\n" BODY ".\r\n");
    assert_true(said(&w, "\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok: queued as 000000000000ABC1\r\n"));
    assert_int_equal(w.s.counts.done[SMTP_VERB_DATA], 1);
    assert_int_equal(w.s.counts.seen[SMTP_VERB_RCPT], 1);
}

/* Whatever was said before, a 250 after the content comes from smtp_server_committed() alone. */
static void test_server_content_250_only_by_commit(void **state)
{
    (void)state;
    static const struct {
        struct bytes in;
        uint16_t body, room, commit;
        const char *codes;
    } cases[] = {
        {BYTES_INIT(TX "DATA\r\n" BODY ".\r\n"), 0, 0, 451, "220 250 250 250 354 451"},
        {BYTES_INIT(TX "DATA\r\n" BODY ".\r\n"), 0, 0, 421, "220 250 250 250 354 421"},
        {BYTES_INIT(TX "DATA\r\n"), 452, 0, 0, "220 250 250 250 452"},
        {BYTES_INIT(TX "DATA\r\n" HUNDRED "\r\n.\r\n"), 0, 452, 0, "220 250 250 250 354 452"},
        {BYTES_INIT(TX "BDAT 3 LAST\r\nx\r\n"), 0, 0, 554, "220 250 250 250 554"},
        {BYTES_INIT(TX "BDAT 6\r\nQUIT\r\n"), 452, 0, 0, "220 250 250 250 452"},
        {BYTES_INIT(TX "BDAT 100\r\n" HUNDRED "BDAT 6 LAST\r\nQUIT\r\n"), 0, 452, 0, "220 250 250 250 452 503"},
    };
    static struct world w;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int split = 0; split < 2; split++) {
            world_greet(&w);
            w.room_bytes = SMTP_SERVER_ROOM_BYTES_MIN;
            w.body_refusal = cases[i].body;
            w.room_refusal = cases[i].room;
            w.commit_refusal = cases[i].commit;
            if (split) for (uint32_t at = 0; at < cases[i].in.len; at++) feed(&w, bytes_slice(cases[i].in, at, 1));
            else feed(&w, cases[i].in);
            assert_string_equal(codes(&w), cases[i].codes);
            assert_true(w.commits == 0 && w.aborts == 0 && !w.holds);
        }
    }
}

static void test_server_every_verb_in_every_phase_changes_only_what_its_row_allows(void **state)
{
    (void)state;
    static const struct bytes ways[] = {BYTES_INIT(""), BYTES_INIT(HI), BYTES_INIT(HI MAIL), BYTES_INIT(TX), BYTES_INIT(TX "BDAT 1\r\nx")};
    static const uint8_t phases[] = {SMTP_PHASE_CONNECTED, SMTP_PHASE_HELLO, SMTP_PHASE_MAIL, SMTP_PHASE_RCPT, SMTP_PHASE_BDAT}; static struct world w;
    for (uint32_t way = 0; way < 5; way++) {
        for (uint32_t verb = 0; verb < SMTP_VERB_COUNT; verb++) {
            uint8_t memory[64];
            struct buf line = BUF_OVER(memory);
            buf_put_cstr(&line, verb == SMTP_VERB_UNKNOWN ? "XYZZY" : smtp_verb_name((enum smtp_verb)verb));
            if (verb == SMTP_VERB_BDAT) BUF_LIT(&line, " 0");
            BUF_LIT(&line, "\r\n");
            world_greet(&w);
            feed(&w, ways[way]);
            uint8_t phase = w.s.phase;
            assert_int_equal(phase, phases[way]);
            feed(&w, buf_bytes(&line));
            assert_true(smtp_server_rows[verb].move && smtp_server_rows[verb].elsewhere && smtp_server_rows[verb].words);
            bool allowed = smtp_server_rows[verb].phases & 1u << phase;
            bool moves = verb == SMTP_VERB_QUIT || verb == SMTP_VERB_RSET || verb == SMTP_VERB_DATA || verb == SMTP_VERB_BDAT;
            if (w.s.phase != phase && !(allowed && moves) && verb != SMTP_VERB_BDAT) fail_msg("verb %u moved phase %u to %u", verb, phase, w.s.phase);
            assert_int_equal(w.commits, 0);
        }
    }
}

static void test_server_content_that_never_ends_is_cut(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, TX "DATA\r\n");
    for (int i = 0; i < 30 && !w.closed; i++) FEED(&w, HUNDRED "\r\n");
    assert_string_equal(codes(&w), "220 250 250 250 354 552");
    assert_true(w.closed && w.s.data_bytes < 2200);

    world_greet(&w);
    FEED(&w, TX "DATA\r\n");
    for (int i = 0; i < 12; i++) FEED(&w, HUNDRED "\r\n");
    FEED(&w, ".\r\n" MAIL);
    assert_string_equal(codes(&w), "220 250 250 250 354 552 250");
    assert_int_equal(w.aborts, 1);
}

static void test_server_line_without_end_is_cut(void **state)
{
    (void)state;
    static struct world w;
    static uint8_t long_line[SMTP_COMMAND_LINE_BYTES_MAX + SMTP_SKIPPED_LINE_BYTES_MAX + 1000];
    memset(long_line, 'x', sizeof(long_line));
    world_greet(&w);
    feed(&w, bytes_of(long_line, sizeof(long_line)));
    assert_string_equal(codes(&w), "220 421");
    assert_true(w.closed);

    for (uint32_t len = SMTP_COMMAND_LINE_BYTES_MAX - 3; len < SMTP_COMMAND_LINE_BYTES_MAX + 3; len++) {
        world_greet(&w);
        memcpy(long_line, "NOOP ", 5);
        feed(&w, bytes_of(long_line, len));
        FEED(&w, "\r\nNOOP\r\n");
        assert_string_equal(codes(&w), len + 2 <= SMTP_COMMAND_LINE_BYTES_MAX ? "220 250 250" : "220 500 250");
    }
    world_greet(&w);
    feed(&w, bytes_of(long_line, 10000));
    FEED(&w, "\nNOOP\r\n");
    assert_string_equal(codes(&w), "220 500");
    assert_true(w.closed);
}

static void test_server_deadline_is_for_the_whole_command_line(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    assert_int_equal(w.s.deadline_ms, 301000);
    w.now_ms = 200000;
    FEED(&w, "EH");
    assert_int_equal(w.s.deadline_ms, 301000);
    FEED(&w, "LO x\r\nMA");
    assert_int_equal(w.s.deadline_ms, 500000);
    w.now_ms = 600000;
    FEED(&w, "");
    assert_int_equal(w.s.deadline_ms, 500000);
    smtp_server_late(&w.s, &w.fx);
    FEED(&w, "IL\r\n");
    assert_true(w.closed && said(&w, "421 4.4.2 mx.example.com Error: timeout exceeded"));
}

static void test_server_deadline_is_off_while_the_process_is_awaited(void **state)
{
    (void)state;
    static struct world w;
    uint32_t used = 0;
    struct bytes in = BYTES(MAIL RCPT);
    world_greet(&w);
    FEED(&w, HI);
    assert_int_equal(smtp_server_step(&w.s, in, &used, w.now_ms, &w.fx), SMTP_NEED_SENDER);
    assert_int_equal(w.s.deadline_ms, 0);
    in = bytes_from(in, used);
    assert_int_equal(in.len, sizeof(RCPT) - 1);
    assert_int_equal(smtp_server_step(&w.s, in, &used, w.now_ms, &w.fx), SMTP_NEED_SENDER);
    assert_int_equal(used, 0);
    answer(&w, SMTP_NEED_SENDER);
    feed(&w, in);
    assert_int_equal(w.s.deadline_ms, w.now_ms + w.config.command_timeout_ms);
    assert_string_equal(codes(&w), "220 250 250 250");
}

static void test_server_content_deadline_moves_with_octets(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, TX "DATA\r\n");
    assert_int_equal(w.s.deadline_ms, 181000);
    w.now_ms = 50000;
    FEED(&w, "0123456789012345678901234567890123456789\r\n");
    assert_int_equal(w.s.deadline_ms, 230000);
    smtp_server_late(&w.s, &w.fx);
    FEED(&w, "");
    assert_true(w.closed && w.commits == 0);
}

static void test_server_slow_content_is_cut_after_a_window(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, TX "DATA\r\n");
    for (int i = 0; i < 100 && !w.closed; i++) {
        w.now_ms += 5000;
        FEED(&w, "x");
    }
    assert_true(w.closed && said(&w, "421 4.4.2 mx.example.com Error: message content comes too slowly"));
    assert_true(w.now_ms <= 1000 + 5000 + SMTP_SERVER_RATE_WINDOW_MS + 5000);
}

static void test_server_early_talker_is_never_executed(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    FEED(&w, "");
    FEED(&w, TX "DATA\r\n.\r\n");
    assert_string_equal(codes(&w), "554");
    assert_true(w.closed);
    smtp_server_greet(&w.s, NULL, w.now_ms, &w.fx);
    assert_string_equal(codes(&w), "554");
}

static void test_server_greeting_can_refuse(void **state)
{
    (void)state;
    static struct world w;
    const struct smtp_policy_answer busy = {421, {4, 7, 0}, BYTES("mx.example.com Too many connections")};
    world_open(&w);
    smtp_server_greet(&w.s, &busy, w.now_ms, &w.fx);
    FEED(&w, "");
    assert_string_equal(codes(&w), "421");
    assert_true(w.closed);
}

static void test_server_shutdown_waits_for_content_and_commit(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, TX "DATA\r\nx");
    assert_false(smtp_server_shutdown(&w.s, &w.fx));
    FEED(&w, "\r\n.\r\n" MAIL);
    assert_string_equal(codes(&w), "220 250 250 250 354 250 421");
    assert_true(w.closed && w.commits == 1);

    world_greet(&w);
    FEED(&w, TX);
    assert_true(smtp_server_shutdown(&w.s, &w.fx));
    FEED(&w, "DATA\r\n");
    assert_true(w.closed && said(&w, "421 4.3.2 mx.example.com"));
}

static void test_server_answer_after_close_is_ignored(void **state)
{
    (void)state;
    static struct world w;
    uint32_t used = 0;
    const struct smtp_policy_answer ok = {.code = 250};
    world_greet(&w);
    FEED(&w, HI);
    assert_int_equal(smtp_server_step(&w.s, BYTES(MAIL), &used, w.now_ms, &w.fx), SMTP_NEED_SENDER);
    assert_true(smtp_server_shutdown(&w.s, &w.fx));
    smtp_server_sender(&w.s, &ok, &w.fx);
    FEED(&w, "");
    assert_string_equal(codes(&w), "220 250 421");
}

static void test_server_full_output_stops_the_eating(void **state)
{
    (void)state;
    static struct world w;
    uint32_t used = 0;
    world_greet(&w);
    w.fx.out.cap = SMTP_SERVER_OUT_BYTES_MIN + w.fx.out.len;
    struct bytes in = BYTES("NOOP\r\nNOOP\r\n");
    assert_int_equal(smtp_server_step(&w.s, in, &used, w.now_ms, &w.fx), SMTP_NEED_OUT);
    assert_int_equal(used, 6);
    smtp_server_late(&w.s, &w.fx);
    assert_int_equal(smtp_server_step(&w.s, in, &used, w.now_ms, &w.fx), SMTP_NEED_CLOSE);
    assert_string_equal(codes(&w), "220 250");
}

static void test_server_policy_text_cannot_add_replies(void **state)
{
    (void)state;
    static struct world w;
    uint32_t used = 0;
    const struct smtp_policy_answer evil = {550, {5, 7, 1}, BYTES("no\r\n250 yes\nx\xff")};
    world_greet(&w);
    FEED(&w, HI);
    assert_int_equal(smtp_server_step(&w.s, BYTES(MAIL), &used, w.now_ms, &w.fx), SMTP_NEED_SENDER);
    smtp_server_sender(&w.s, &evil, &w.fx);
    assert_true(said(&w, "550-5.7.1 no?\r\n550-5.7.1 250 yes\r\n550 5.7.1 x?\r\n"));
}

static void test_server_envelope_values_survive_until_commit(void **state)
{
    (void)state;
    static struct world w;
    world_greet(&w);
    FEED(&w, HI "MAIL FROM:<a@B.example> RET=HDRS ENVID=id+3D1 BODY=8BITMIME SIZE=5\r\nRCPT TO:<c@d.example> NOTIFY=NEVER\r\nDATA\r\n\xff");
    assert_true(bytes_equal(w.s.mail.sender.whole, BYTES("a@b.example")) && bytes_equal(w.s.mail.envid, BYTES("id+3D1")));
    assert_true(w.s.mail.ret == RET_HDRS && w.s.mail.body_8bit && w.s.mail.size_bytes == 5 && w.s.rcpt.notify == NOTIFY_NEVER);
    assert_true(smtp_server_content_8bit(&w.s));
    FEED(&w, "\r\n.\r\n");
    assert_int_equal(w.commits, 1);
    assert_false(w.s.mail.body_8bit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_sessions_by_table),
        cmocka_unit_test(test_server_ehlo_lists_what_is_offered),
        cmocka_unit_test(test_server_commit_answer_has_postfix_shape),
        cmocka_unit_test(test_server_content_250_only_by_commit),
        cmocka_unit_test(test_server_every_verb_in_every_phase_changes_only_what_its_row_allows),
        cmocka_unit_test(test_server_content_that_never_ends_is_cut),
        cmocka_unit_test(test_server_line_without_end_is_cut),
        cmocka_unit_test(test_server_deadline_is_for_the_whole_command_line),
        cmocka_unit_test(test_server_deadline_is_off_while_the_process_is_awaited),
        cmocka_unit_test(test_server_content_deadline_moves_with_octets),
        cmocka_unit_test(test_server_slow_content_is_cut_after_a_window),
        cmocka_unit_test(test_server_early_talker_is_never_executed),
        cmocka_unit_test(test_server_greeting_can_refuse),
        cmocka_unit_test(test_server_shutdown_waits_for_content_and_commit),
        cmocka_unit_test(test_server_answer_after_close_is_ignored),
        cmocka_unit_test(test_server_full_output_stops_the_eating),
        cmocka_unit_test(test_server_policy_text_cannot_add_replies),
        cmocka_unit_test(test_server_envelope_values_survive_until_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
