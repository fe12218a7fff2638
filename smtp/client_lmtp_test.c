/* The client machine as an LMTP client (RFC 2033): one answer for each recipient, and nothing that an answer cannot say. */
#include "smtp/client_check.h"

#define LHLO "LHLO me.example\r\n"
#define LFLIGHT LHLO SIZED R0 R1 "DATA\r\n"
#define SAVED "250 2.0.0 saved\r\n"

/* The same by LMTP (RFC 2033). */
static const struct talk_case lmtp_cases[] = {
    {"both delivered", FULL "|" OK OK OK GO "|" SAVED SAVED, LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 delivered recipient 250 2.0.0 said", "done "},
    {"answers with a pause between", FULL "|" OK OK OK GO "|" SAVED "|" SAVED, LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 delivered recipient 250 2.0.0 said", "done "},
    {"one over quota", FULL "|" OK OK OK GO "|552 5.2.2 full\r\n" SAVED, LFLIGHT BODY,
     "0 never recipient 552 5.2.2 said; 1 delivered recipient 250 2.0.0 said", "done "},
    {"one later", FULL "|" OK OK OK GO "|" SAVED "451 4.2.0 busy\r\n", LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 later recipient 451 4.2.0 said", "done "},
    {"one refused before: one answer", FULL "|" OK "550 5.1.1 who\r\n" OK GO "|" SAVED, LFLIGHT BODY,
     "0 never recipient 550 5.1.1 said; 1 delivered recipient 250 2.0.0 said", "done "},
    {"552 to RCPT is a full mailbox", FULL "|" OK OK "552 5.2.2 full\r\n" GO "|" SAVED, LFLIGHT BODY,
     "1 never recipient 552 5.2.2 said; 0 delivered recipient 250 2.0.0 said", "done "},
    {"LHLO refused: no EHLO, no HELO", "220 hi\r\n|502 what\r\n", LHLO, "", "done close next "},
    {"closed upon LHLO", "220 hi\r\n|EOF", LHLO, "", "done close next "},
    {"lost after the first answer", FULL "|" OK OK OK GO "|" SAVED "|EOF", LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 later message 4.4.2 dup", "done close "},
    {"late after the first answer", FULL "|" OK OK OK GO "|" SAVED "|LATE", LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 later message 4.4.2 dup", "done close "},
    {"lost before any answer", FULL "|" OK OK OK GO "|EOF", LFLIGHT BODY, "0-1 later message 4.4.2 dup", "done close "},
    {"junk for the second", FULL "|" OK OK OK GO "|" SAVED "saved\r\n", LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 later message 4.5.0 dup", "done close "},
    {"421 for the first", FULL "|" OK OK OK GO "|421 4.3.2 bye\r\n" SAVED, LFLIGHT BODY, "0-1 later message 421 4.3.2 dup", "done close "},
    {"354 for the first", FULL "|" OK OK OK GO "|" GO SAVED, LFLIGHT BODY, "0-1 later message 354 4.5.0 dup", "done close "},
    {"one answer too many", FULL "|" OK OK OK GO "|" SAVED SAVED SAVED, LFLIGHT BODY,
     "0 delivered recipient 250 2.0.0 said; 1 delivered recipient 250 2.0.0 said", "done close "},
    {"all refused, DATA refused", FULL "|" OK "550 a\r\n550 b\r\n503 none\r\n|" OK, LFLIGHT "RSET\r\n",
     "0 never recipient 550 5.0.0 said; 1 never recipient 550 5.0.0 said", "done "},
    {"all refused, DATA taken all the same", FULL "|" OK "550 a\r\n550 b\r\n" GO, LFLIGHT,
     "0 never recipient 550 5.0.0 said; 1 never recipient 550 5.0.0 said", "done close "},
    {"refused in the middle of content", FULL "|" OK OK OK GO "|+552 5.3.4 big\r\n", LFLIGHT, "0-1 never message 552 5.3.4 said", "done close "},
    {"DATA refused", FULL "|" OK OK OK "451 4.3.0 no\r\n|" OK, LFLIGHT "RSET\r\n", "0-1 later message 451 4.3.0 said", "done "},
    {"RCPTMAX", "220 hi\r\n|250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1\r\n|" OK OK GO "|" SAVED, LHLO MAIL R0 "DATA\r\n" BODY,
     "1 untried; 0 delivered recipient 250 2.0.0 said", "done "},
};

static void test_client_talks_lmtp_by_table(void **state)
{
    (void)state;
    static struct world w;
    for (size_t i = 0; i < sizeof(lmtp_cases) / sizeof(*lmtp_cases); i++) {
        const struct talk_case *t = &lmtp_cases[i];
        world_open(&w);
        smtp_client_lmtp(&w.c);
        set_job(&w, 2);
        play(&w, "START");
        play(&w, t->script);
        check_talk(t, &w, "LMTP");
    }
}

static void test_client_lmtp_answer_begun_before_the_end_cannot_deliver(void **state)
{
    (void)state;
    static struct world w;
    for (uint32_t refused = 0; refused < 2; refused++) {
        world_open(&w);
        smtp_client_lmtp(&w.c);
        set_job(&w, 2);
        play(&w, "START|" FULL);
        smtp_client_feed(&w.c, refused ? BYTES(OK OK OK GO "550 ") : BYTES(OK OK OK GO "250 "), 0, &w.fx);
        settle(&w);
        play(&w, "ok\r\n" SAVED);
        check_talk(&(struct talk_case){"early", "", LFLIGHT BODY, "0-1 later message 4.5.0 dup", "done close "}, &w, "");
    }
}

static void test_client_lmtp_takes_what_the_ring_can_await(void **state)
{
    (void)state;
    static struct world w;
    world_open(&w);
    smtp_client_lmtp(&w.c);
    set_job(&w, 300);
    play(&w, "START|220 hi\r\n|250 mx\r\n");
    for (uint32_t i = 0; i < 1 + SMTP_CLIENT_PIPE_MAX; i++) smtp_client_feed(&w.c, BYTES(OK), 0, &w.fx);
    smtp_client_feed(&w.c, BYTES(GO), 0, &w.fx);
    settle(&w);
    assert_int_equal(w.c.pending_count, SMTP_CLIENT_PIPE_MAX);
    w.verdicts.len = 0;
    w.verdict_memory[0] = 0;
    for (uint32_t i = 0; i < SMTP_CLIENT_PIPE_MAX; i++) {
        assert_false(w.fx.job_done);
        smtp_client_feed(&w.c, BYTES(SAVED), 0, &w.fx);
    }
    assert_true(w.fx.job_done && !w.fx.close && smtp_client_can_start(&w.c));
}

static void test_client_probe_asks_and_sends_nothing(void **state)
{
    (void)state;
    static struct world w;
    for (uint32_t lmtp = 0; lmtp < 2; lmtp++) {
        world_open(&w);
        if (lmtp) smtp_client_lmtp(&w.c);
        set_job(&w, 2);
        w.job.probe = true;
        play(&w, "START|" FULL "|" OK "250 2.1.5 ok\r\n550 5.1.1 who\r\n|" OK);
        check_talk(&(struct talk_case){"probe", "", lmtp ? LHLO SIZED R0 R1 "RSET\r\n" : EHLO SIZED R0 R1 "RSET\r\n",
                                       "0 untried recipient 250 said; 1 never recipient 550 5.1.1 said", "done "}, &w, "");
        assert_true(smtp_client_can_start(&w.c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_talks_lmtp_by_table),
        cmocka_unit_test(test_client_lmtp_answer_begun_before_the_end_cannot_deliver),
        cmocka_unit_test(test_client_probe_asks_and_sends_nothing),
        cmocka_unit_test(test_client_lmtp_takes_what_the_ring_can_await),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
