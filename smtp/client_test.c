#include "smtp/client_check.h"
#include "smtp/client_table.h"

/* Two recipients each; the job is given before the greeting. */
static const struct talk_case talk_cases[] = {
    {"delivered, pipelined", FULL "|" OK OK OK GO "|" OK, FLIGHT BODY, "0-1 delivered message 250 2.0.0 said", "done "},
    {"delivered, one at a time", BARE "|" OK "|" OK "|" OK "|" GO "|" OK, EHLO MAIL R0 R1 "DATA\r\n" BODY, "0-1 delivered message 250 2.0.0 said", "done "},
    {"delivered with HELO", "220 hi\r\n|502 what\r\n|" OK "|" OK "|" OK "|" OK "|" GO "|250\r\n", EHLO "HELO me.example\r\n" MAIL R0 R1 "DATA\r\n" BODY,
     "0-1 delivered message 250 2.0.0 said", "done "},
    {"what a refused EHLO lists is not offered", "220 hi\r\n|502-what\r\n502 PIPELINING\r\n|" OK, EHLO "HELO me.example\r\n" MAIL, "", ""},
    {"251 is a yes", FULL "|" OK "251 will forward\r\n" OK GO "|" OK, FLIGHT BODY, "0-1 delivered message 250 2.0.0 said", "done "},
    {"code without text", FULL "|250\r\n250\r\n250\r\n354\r\n|250\r\n", FLIGHT BODY, "0-1 delivered message 250 2.0.0 said", "done "},
    {"354 in two lines with a pause", FULL "|" OK OK OK "354-wait\r\n|354 go\r\n|" OK, FLIGHT BODY, "0-1 delivered message 250 2.0.0 said", "done "},
    {"banner refuses", "554 5.7.1 no\r\n", "", "", "done close next "},
    {"banner defers", "421 4.3.2 busy\r\n", "", "", "done close next "},
    {"banner is no reply", "SSH-2.0\r\n", "", "", "done close next "},
    {"banner never ends", "220-hi\r\n|LATE", "", "", "done close next "},
    {"closed before the banner", "EOF", "", "", "done close next "},
    {"closed upon EHLO (Q197142)", "220 hi\r\n|EOF", EHLO, "", "done close next helo "},
    {"EHLO answered 421", "220 hi\r\n|421 no\r\n", EHLO, "", "done close next "},
    {"EHLO answered 450", "220 hi\r\n|450 no\r\n", EHLO, "", "done close next "},
    {"EHLO answered with garbage (Q214407)", "220 hi\r\n|250-mx\r\n2500 PIPE\r\n", EHLO, "", "done close next "},
    {"EHLO with codes that differ", "220 hi\r\n|250-mx\r\n550-x\r\n250 y\r\n", EHLO, "", "done close next "},
    {"HELO refused", "220 hi\r\n|500 no\r\n|550 5.7.1 no\r\n", EHLO "HELO me.example\r\n", "", "done close next "},
    {"SIZE too small", "220 hi\r\n|250-mx\r\n250 SIZE 499\r\n", EHLO, "0-1 never message 5.3.4", "done "},
    {"RCPTMAX", "220 hi\r\n|250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1\r\n|" OK OK GO "|" OK, EHLO MAIL R0 "DATA\r\n" BODY, "1 untried; 0 delivered message 250 2.0.0 said", "done "},
    {"sender refused", FULL "|550 5.1.8 who\r\n503 x\r\n503 x\r\n503 x\r\n", FLIGHT, "0-1 never message 550 5.1.8 said", "done "},
    {"sender deferred", BARE "|451 4.7.1 wait\r\n", EHLO MAIL, "0-1 later message 451 4.7.1 said", "done "},
    {"sender refused, DATA taken", FULL "|550 who\r\n" OK OK GO "|250 ok\r\n", FLIGHT ".\r\n", "0-1 never message 550 5.0.0 said", "done "},
    {"one recipient refused", FULL "|" OK "550 5.1.1 who\r\n" OK GO "|" OK, FLIGHT BODY, "0 never recipient 550 5.1.1 said; 1 delivered message 250 2.0.0 said", "done "},
    {"one recipient deferred", FULL "|" OK OK "450 4.2.0 grey\r\n" GO "|" OK, FLIGHT BODY, "1 later recipient 450 4.2.0 said; 0 delivered message 250 2.0.0 said", "done "},
    {"552 to RCPT is 452", FULL "|" OK OK "552 5.5.3 many\r\n" GO "|" OK, FLIGHT BODY, "1 later recipient 552 4.5.3 said; 0 delivered message 250 2.0.0 said", "done "},
    {"all refused, DATA refused", FULL "|" OK "550 a\r\n550 b\r\n554 none\r\n|" OK, FLIGHT "RSET\r\n", "0 never recipient 550 5.0.0 said; 1 never recipient 550 5.0.0 said", "done "},
    {"all refused, DATA taken", FULL "|" OK "550 a\r\n450 b\r\n" GO "|" OK, FLIGHT ".\r\n", "0 never recipient 550 5.0.0 said; 1 later recipient 450 4.0.0 said", "done "},
    {"all refused, one at a time", BARE "|" OK "|550 a\r\n|550 b\r\n|" OK, EHLO MAIL R0 R1 "RSET\r\n", "0 never recipient 550 5.0.0 said; 1 never recipient 550 5.0.0 said", "done "},
    {"RSET refused", BARE "|" OK "|550 a\r\n|550 b\r\n|500 x\r\n", EHLO MAIL R0 R1 "RSET\r\n", "0 never recipient 550 5.0.0 said; 1 never recipient 550 5.0.0 said", "done close "},
    {"421 to RCPT", FULL "|" OK "550 a\r\n421 4.3.2 bye\r\n", FLIGHT, "0 never recipient 550 5.0.0 said; 1 later site 421 4.3.2 said", "done close "},
    {"lost at RCPT", FULL "|" OK "550 a\r\n|EOF", FLIGHT, "0 never recipient 550 5.0.0 said", "done close next "},
    {"3xx to RCPT", FULL "|" OK "354 go\r\n", FLIGHT, "0-1 later site 354 4.5.0", "done close "},
    {"DATA answered 250", FULL "|" OK OK OK OK, FLIGHT, "0-1 later site 250 4.5.0", "done close "},
    {"DATA refused", FULL "|" OK OK OK "554 5.7.0 no\r\n|" OK, FLIGHT "RSET\r\n", "0-1 never message 554 5.7.0 said", "done "},
    {"DATA late", FULL "|" OK OK OK "|LATE", FLIGHT, "", "done close next "},
    {"refused in the middle of content", FULL "|" OK OK OK GO "|+552 5.3.4 big\r\n", FLIGHT, "0-1 never message 552 5.3.4 said", "done close "},
    {"deferred in the middle of content", FULL "|" OK OK OK GO "|+452 4.3.1 full\r\n", FLIGHT, "0-1 later message 452 4.3.1 said", "done close "},
    {"250 in the middle of content", FULL "|" OK OK OK GO "|+" OK, FLIGHT, "0-1 later site 250 4.5.0", "done close "},
    {"lost in the middle of content", FULL "|" OK OK OK GO "|+EOF", FLIGHT, "", "done close next "},
    {"stuck in the middle of content", FULL "|" OK OK OK GO "|+LATE", FLIGHT, "", "done close next "},
    {"end refused", FULL "|" OK OK OK GO "|554 5.6.0 virus\r\n", FLIGHT BODY, "0-1 never message 554 5.6.0 said", "done "},
    {"end deferred", FULL "|" OK OK OK GO "|451 4.3.0 x\r\n", FLIGHT BODY, "0-1 later message 451 4.3.0 said", "done "},
    {"end answered 421", FULL "|" OK OK OK GO "|421 4.3.2 bye\r\n", FLIGHT BODY, "0-1 later message 421 4.3.2 said", "done close "},
    {"end answered 354", FULL "|" OK OK OK GO "|" GO, FLIGHT BODY, "0-1 later message 354 4.5.0", "done close "},
    {"end answered with junk", FULL "|" OK OK OK GO "|hello\r\n", FLIGHT BODY, "0-1 later message 4.5.0 dup", "done close "},
    {"end answered with codes that differ", FULL "|" OK OK OK GO "|250-a\r\n550 b\r\n", FLIGHT BODY, "0-1 later message 4.5.0 dup", "done close "},
    {"lost after the end", FULL "|" OK OK OK GO "|EOF", FLIGHT BODY, "0-1 later message 4.4.2 dup", "done close "},
    {"lost in the answer to the end", FULL "|" OK OK OK GO "|250 o|EOF", FLIGHT BODY, "0-1 later message 4.4.2 dup", "done close "},
    {"late after the end", FULL "|" OK OK OK GO "|250-queued\r\n|LATE", FLIGHT BODY, "0-1 later message 4.4.2 dup", "done close "},
    {"endless text after the end", FULL "|" OK OK OK GO "|" OK "250-and\r\n250-on\r\n", FLIGHT BODY, "0-1 delivered message 250 2.0.0 said", "done close "},
    {"one answer too many shifts nothing", FULL "|" OK OK OK OK GO "|" OK, FLIGHT, "0-1 later site 250 4.5.0", "done close "},
    {"an answer before its command", "220 hi\r\n250 mx\r\n", EHLO, "", "done close next "},
    {"a part of an answer before its command", BARE "|" OK "2", EHLO MAIL R0, "0-1 later site 4.5.0", "done close "},
    {"an empty end answered before it was said", FULL "|" OK "550 a\r\n550 b\r\n" GO OK, FLIGHT ".\r\n", "0 never recipient 550 5.0.0 said; 1 never recipient 550 5.0.0 said", "done close "},
};

static void test_client_talks_by_table(void **state)
{
    (void)state;
    static struct world w;
    for (size_t i = 0; i < sizeof(talk_cases) / sizeof(*talk_cases); i++) {
        const struct talk_case *t = &talk_cases[i];
        world_open(&w);
        set_job(&w, 2);
        play(&w, "START");
        play(&w, t->script);
        check_talk(t, &w, "whole");
    }
}

static void test_client_table_delivers_in_two_cells_only(void **state)
{
    (void)state;
    for (uint32_t step = 0; step < SMTP_CLIENT_STEP_COUNT; step++) {
        for (uint32_t answer = 0; answer < SMTP_ANSWER_COUNT; answer++) {
            uint8_t move = smtp_client_rows[step].on[answer];
            bool dot = step == SMTP_CLIENT_DOT, ldot = step == SMTP_CLIENT_LDOT;
            bool refusal = answer == SMTP_ANSWER_4XX || answer == SMTP_ANSWER_5XX;
            assert_true(move < SMTP_MOVE_COUNT && smtp_client_moves[move]);
            assert_true((move == SMTP_MOVE_delivered) == (dot && answer == SMTP_ANSWER_2XX));
            assert_true((move == SMTP_MOVE_rcpt_delivered) == (ldot && answer == SMTP_ANSWER_2XX));
            assert_true((move == SMTP_MOVE_maybe_dup) == ((dot && answer >= SMTP_ANSWER_JUNK) || (ldot && answer != SMTP_ANSWER_2XX && !refusal)));
            assert_true((move == SMTP_MOVE_send_body) == (step == SMTP_CLIENT_DATA && answer == SMTP_ANSWER_3XX));
            assert_true((move == SMTP_MOVE_rcpt_ok) == (step == SMTP_CLIENT_RCPT && answer == SMTP_ANSWER_2XX));
        }
    }
}

static void test_client_table_uses_every_move(void **state)
{
    (void)state;
    for (uint32_t move = 0; move < SMTP_MOVE_COUNT; move++) {
        bool used = false;
        for (uint32_t step = 0; step < SMTP_CLIENT_STEP_COUNT; step++) used = used || memchr(smtp_client_rows[step].on, (int)move, SMTP_ANSWER_COUNT);
        assert_true(used);
    }
}

static void test_client_any_split_of_replies_gives_the_same(void **state)
{
    (void)state;
    static struct world w;
    static const char script[] = "250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n";
    static const char flight[] = "250 ok\r\n250-a\r\n250 b\r\n550 5.1.1 no\r\n354 go\r\n";
    for (uint32_t at = 0; at < sizeof(flight); at++) {
        world_open(&w);
        set_job(&w, 2);
        play(&w, "START|220 hi\r\n");
        for (uint32_t i = 0; i < sizeof(script) - 1; i++) smtp_client_feed(&w.c, bytes_of(script + i, 1), 0, &w.fx);
        smtp_client_feed(&w.c, bytes_of(flight, at), 0, &w.fx);
        smtp_client_feed(&w.c, bytes_of(flight + at, (uint32_t)sizeof(flight) - 1 - at), 0, &w.fx);
        settle(&w);
        for (const char *p = OK; *p; p++) smtp_client_feed(&w.c, bytes_of(p, 1), 0, &w.fx);
        check_talk(&(struct talk_case){"split", "", FLIGHT BODY, "1 never recipient 550 5.1.1 said; 0 delivered message 250 2.0.0 said", "done "}, &w, "split");
    }
}

static void test_client_texts_name_the_host_and_the_step(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, 1);
    play(&w, "START|" FULL "|" OK OK GO "|EOF");
    assert_string_equal(w.last_text, "lost connection with mx.example[192.0.2.1] while sending end of data -- message may be sent more than once");

    world_open(&w);
    play(&w, "220 hi\r\n|EOF");
    assert_true(bytes_equal(w.fx.site.text, BYTES("lost connection with mx.example[192.0.2.1] while performing the EHLO handshake; it may know HELO only")));
    assert_true(w.fx.site.class == VERDICT_LATER && w.fx.site.scope == SCOPE_SITE && w.fx.site.step == STEP_EHLO && !w.fx.next_host);

    world_open(&w);
    play(&w, "554 5.7.1 go away\r\n");
    assert_true(w.fx.site.remote && w.fx.site.code == 554 && w.fx.site.class == VERDICT_LATER && w.fx.site.enhanced.class == 4);
    assert_true(bytes_equal(w.fx.site.text, BYTES("5.7.1 go away")));

    world_open(&w);
    set_job(&w, 1);
    play(&w, "START|220 hi\r\n|250-mx\r\n250 SIZE 10\r\n");
    assert_string_equal(w.last_text, "message size 500 exceeds size limit 10 of server mx.example[192.0.2.1]");
}

static void test_client_parameters_only_when_offered(void **state)
{
    (void)state;
    static struct world w;
    struct rcpt r = {.notify = NOTIFY_SUCCESS | NOTIFY_DELAY, .address = BYTES("\"a b\"@d"), .orcpt = BYTES("rfc822;x+2By@z")};
    for (int full = 0; full < 2; full++) {
        world_open(&w);
        struct buf list = BUF_OVER(w.list);
        rcpt_put(&list, &r);
        w.job = (struct smtp_client_job){.rcpts = buf_bytes(&list), .rcpt_count = 1, .flags = MAIL_BODY_8BIT | MAIL_SMTPUTF8, .ret = RET_HDRS, .envid = BYTES("e1"), .content_bytes = 7};
        if (full) w.job.flags |= MAIL_NEEDS_SMTPUTF8;
        play(&w, full ? "START|" FULL "|" OK : "START|" BARE "|" OK);
        buf_put_c(&w.fx.out, 0);
        assert_string_equal((char *)w.out, full ? EHLO "MAIL FROM:<> SIZE=7 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e1\r\nRCPT TO:<\"a b\"@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z\r\nDATA\r\n"
                                               : EHLO "MAIL FROM:<>\r\nRCPT TO:<\"a b\"@d>\r\n");
    }
}

static void test_client_smtputf8_needed_and_not_offered_is_never(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, 2);
    w.job.flags = MAIL_NEEDS_SMTPUTF8;
    play(&w, "START|" BARE);
    check_talk(&(struct talk_case){"utf8", "", EHLO, "0-1 never message 5.6.7", "done "}, &w, "");
    assert_string_equal(w.last_text, "SMTPUTF8 is required, but was not offered by host mx.example[192.0.2.1]");
    assert_true(smtp_client_can_start(&w.c));
}

static void test_client_connection_carries_one_message_after_another(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, 1);
    assert_true(smtp_client_can_start(&w.c));
    play(&w, FULL "|START|" OK OK GO "|" OK);
    assert_true(w.fx.job_done && smtp_client_can_start(&w.c) && w.c.messages == 1);
    w.fx.job_done = false;
    play(&w, "START|" OK OK GO "|" OK);
    assert_true(w.fx.job_done && w.c.messages == 2);
    smtp_client_quit(&w.c, 5, &w.fx);
    assert_false(smtp_client_can_start(&w.c));
    assert_int_equal(w.c.deadline_ms, 5 + w.config.timeout_ms[SMTP_CLIENT_QUIT]);
    play(&w, "221 bye\r\n");
    assert_true(w.fx.close && w.fx.site.class == VERDICT_NONE);
}

static void test_client_used_up_connection_is_not_to_blame(void **state)
{
    (void)state;
    static const char *const ends[] = {"EOF", "421 4.7.0 enough\r\n"};
    static struct world w;
    for (uint32_t i = 0; i < 2; i++) {
        world_open(&w);
        set_job(&w, 1);
        play(&w, FULL "|START|" OK OK GO "|" OK);
        w.fx.job_done = false;
        w.verdicts.len = 0;
        play(&w, "START");
        play(&w, ends[i]);
        assert_string_equal(flags(&w), "done close next same ");
        assert_int_equal(w.verdicts.len, 0);
    }
    world_open(&w);
    play(&w, FULL "|421 4.4.2 idle\r\n|EOF");
    assert_string_equal(flags(&w), "close ");
    assert_int_equal(w.fx.site.class, VERDICT_NONE);
    world_open(&w);
    play(&w, FULL "|LATE");
    assert_string_equal(flags(&w), "");
    play(&w, "LATE");
    assert_string_equal(flags(&w), "close ");
}

static void test_client_mailmax_ends_reuse(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, 1);
    play(&w, "START|220 hi\r\n|250-mx\r\n250 LIMITS MAILMAX=1\r\n|" OK "|" OK "|" GO "|" OK);
    assert_true(w.fx.job_done && !smtp_client_can_start(&w.c));
}

static void test_client_flight_longer_than_ring_and_room(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, RCPTS_MAX);
    play(&w, FULL);
    w.fx.out.len = 0;
    w.fx.out.cap = 4096;
    play(&w, "START");
    assert_true(w.fx.more);
    uint32_t said = 0, answered = 0;
    while (w.c.in_content == false && !w.fx.job_done) {
        for (uint32_t i = 0; i < w.fx.out.len; i++) said += w.out[i] == '\n';
        w.fx.out.len = 0;
        if (w.fx.more) {
            w.fx.more = false;
            smtp_client_more(&w.c, 0, &w.fx);
            continue;
        }
        assert_true(answered < said && said - answered <= SMTP_CLIENT_PIPE_MAX);
        answered++;
        if (answered < RCPTS_MAX + 2) smtp_client_feed(&w.c, BYTES(OK), 0, &w.fx);
        else smtp_client_feed(&w.c, BYTES(GO), 0, &w.fx);
    }
    assert_int_equal(said, RCPTS_MAX + 2);
    settle(&w);
    play(&w, OK);
    check_talk(&(struct talk_case){"long", "", BODY, "0-599 delivered message 250 2.0.0 said", "done "}, &w, "");
}

static void test_client_deadline_is_for_the_whole_reply(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    assert_int_equal(w.c.deadline_ms, 300000);
    for (uint32_t i = 0; i < 5; i++) smtp_client_feed(&w.c, bytes_of(&"220-x"[i], 1), 20000 * i, &w.fx);
    assert_int_equal(w.c.deadline_ms, 300000);
    smtp_client_feed(&w.c, BYTES("\r\n220 y\r\n"), 100000, &w.fx);
    assert_int_equal(w.c.deadline_ms, 400000);
}

static void test_client_content_sipped_ends_by_the_rate(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    w.config.content_rate_min = 100;
    set_job(&w, 1);
    play(&w, "START|" FULL);
    smtp_client_feed(&w.c, BYTES(OK OK GO), 0, &w.fx); /* content is wanted, and none is sent yet */
    uint64_t wait_ms = w.config.timeout_ms[SMTP_CLIENT_BODY];
    smtp_client_content_progress(&w.c, 6000, 1000);
    smtp_client_content_progress(&w.c, 1, 61000); /* 100 octets a second: enough, and a new window */
    assert_int_equal(w.c.deadline_ms, 61000 + wait_ms);
    smtp_client_content_progress(&w.c, 5998, 120000);
    assert_int_equal(w.c.deadline_ms, 120000 + wait_ms);
    smtp_client_content_progress(&w.c, 1, 121000); /* one octet short */
    assert_int_equal(w.c.deadline_ms, 121000);
    smtp_client_late(&w.c, 121000, &w.fx);
    assert_true(w.fx.close && w.fx.next_host);
}

static void test_client_answer_begun_before_the_end_cannot_deliver(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, 1);
    play(&w, "START|" FULL);
    smtp_client_feed(&w.c, BYTES(OK OK GO "250 "), 0, &w.fx);
    settle(&w);
    play(&w, "ok\r\n");
    check_talk(&(struct talk_case){"early", "", EHLO SIZED R0 "DATA\r\n" BODY, "0 later message 4.5.0 dup", "done close "}, &w, "");
}

static void test_client_helo_only_never_says_ehlo(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    smtp_client_helo_only(&w.c);
    play(&w, "220 hi\r\n|250 mx\r\n");
    buf_put_c(&w.fx.out, 0);
    assert_string_equal((char *)w.out, "HELO me.example\r\n");
    assert_true(w.c.greeted && w.c.caps.set == 0);
}

static void test_client_job_check_refuses_what_cannot_be_said(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    set_job(&w, 2);
    assert_int_equal(smtp_client_job_check(&w.job), ERR_NONE);
    struct smtp_client_job job = w.job;
    job.sender = BYTES("a@b>\r\nRCPT TO:<x@y");
    assert_int_not_equal(smtp_client_job_check(&job), ERR_NONE);
    job = w.job;
    job.envid = BYTES("x NOTIFY=NEVER");
    assert_int_not_equal(smtp_client_job_check(&job), ERR_NONE);
    job = w.job;
    job.rcpt_count = 3;
    assert_int_not_equal(smtp_client_job_check(&job), ERR_NONE);
    job.rcpt_count = 0;
    assert_int_not_equal(smtp_client_job_check(&job), ERR_NONE);
    job = w.job;
    job.rcpts.len--;
    assert_int_not_equal(smtp_client_job_check(&job), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_talks_by_table),
        cmocka_unit_test(test_client_table_delivers_in_two_cells_only),
        cmocka_unit_test(test_client_table_uses_every_move),
        cmocka_unit_test(test_client_any_split_of_replies_gives_the_same),
        cmocka_unit_test(test_client_texts_name_the_host_and_the_step),
        cmocka_unit_test(test_client_parameters_only_when_offered),
        cmocka_unit_test(test_client_smtputf8_needed_and_not_offered_is_never),
        cmocka_unit_test(test_client_connection_carries_one_message_after_another),
        cmocka_unit_test(test_client_used_up_connection_is_not_to_blame),
        cmocka_unit_test(test_client_mailmax_ends_reuse),
        cmocka_unit_test(test_client_flight_longer_than_ring_and_room),
        cmocka_unit_test(test_client_deadline_is_for_the_whole_reply),
        cmocka_unit_test(test_client_content_sipped_ends_by_the_rate),
        cmocka_unit_test(test_client_answer_begun_before_the_end_cannot_deliver),
        cmocka_unit_test(test_client_helo_only_never_says_ehlo),
        cmocka_unit_test(test_client_job_check_refuses_what_cannot_be_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
