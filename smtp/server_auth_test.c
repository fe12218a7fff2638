/*
 * AUTH at the server machine: whole dialogues, with the mechanisms' own machine behind it as who checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/base64.h"
#include "smtp/sasl_server.h"
#include "smtp/server.h"

struct world {
    struct smtp_server_config config;
    struct smtp_server s;
    struct smtp_server_effects fx;
    struct smtp_sasl_server sasl;
    uint8_t out[64 * 1024];
};

static void open_world(struct world *w, bool tls)
{
    memset(w, 0, sizeof *w);
    w->config = (struct smtp_server_config){
        .hostname = BYTES("mx"), .message_bytes_max = 1000, .rcpts_max = 3, .line_bytes_max = 100, .errors_max = 3, .junk_max = 9, .hops_max = 2,
        .command_timeout_ms = 1000, .data_timeout_ms = 1000, .tls_offered = true,
        .auth_mechanisms = SMTP_SASL_BIT(SMTP_SASL_PLAIN) | SMTP_SASL_BIT(SMTP_SASL_LOGIN) | SMTP_SASL_BIT(SMTP_SASL_EXTERNAL),
    };
    w->fx.out = BUF_OVER(w->out);
    smtp_server_init(&w->s, &w->config);
    if (tls) smtp_server_secured(&w->s, 1);
    smtp_server_greet(&w->s, NULL, 1, &w->fx);
    w->fx.out.len = 0;
}

/* check - as the auth process would: the one user is ann with the password secret; the password "later" cannot be checked now. */
static void check(struct world *w)
{
    const struct smtp_server_auth *a = &w->s.auth;
    uint8_t message_memory[SMTP_SASL_MESSAGE_BYTES_MAX], challenge_memory[SMTP_SASL_MESSAGE_BYTES_MAX], text_memory[SMTP_CHALLENGE_BYTES_MAX];
    struct buf message = BUF_OVER(message_memory), challenge = BUF_OVER(challenge_memory), text = BUF_OVER(text_memory);
    if (a->cancelled) {
        smtp_server_auth(&w->s, SMTP_AUTH_CANCELLED, (struct bytes){0}, &w->fx);
        return;
    }
    enum smtp_sasl_line line = a->begins && !a->has_initial ? SMTP_SASL_LINE_OK : smtp_sasl_line(a->text, a->begins, &message);
    enum smtp_sasl_result result = SMTP_SASL_BAD;
    if (a->begins) smtp_sasl_server_begin(&w->sasl, (enum smtp_sasl_mechanism)a->mechanism, NULL, (struct bytes){0});
    if (line == SMTP_SASL_LINE_OK && a->begins) result = smtp_sasl_server_start(&w->sasl, a->has_initial, buf_bytes(&message), &challenge);
    else if (line == SMTP_SASL_LINE_OK) result = smtp_sasl_server_feed(&w->sasl, buf_bytes(&message), &challenge);
    if (result == SMTP_SASL_ASK_PASSWORD && bytes_equal(w->sasl.password, BYTES("later"))) {
        smtp_server_auth(&w->s, SMTP_AUTH_NOT_NOW, (struct bytes){0}, &w->fx);
        return;
    }
    if (result == SMTP_SASL_ASK_PASSWORD)
        result = smtp_sasl_server_judge(&w->sasl, bytes_equal(w->sasl.user, BYTES("ann")) && bytes_equal(w->sasl.password, BYTES("secret")));
    smtp_base64_encode(&text, buf_bytes(&challenge));
    enum smtp_auth_result said = result == SMTP_SASL_CHALLENGE ? SMTP_AUTH_CHALLENGE : result == SMTP_SASL_DONE ? SMTP_AUTH_DONE
                                 : result == SMTP_SASL_FAILED  ? SMTP_AUTH_FAILED : SMTP_AUTH_MALFORMED;
    smtp_server_auth(&w->s, said, buf_bytes(&text), &w->fx);
}

/* say - input by pieces of `step` octets; everything that was answered. */
static struct bytes say(struct world *w, const char *text, uint32_t step)
{
    struct bytes in = bytes_of_cstr(text);
    w->fx.out.len = 0;
    for (uint32_t at = 0; at < in.len || step == 0;) {
        struct bytes piece = bytes_slice(in, at, step ? step : in.len);
        uint32_t used = 0;
        enum smtp_server_need need = smtp_server_step(&w->s, piece, &used, 1, &w->fx);
        at += used;
        if (need == SMTP_NEED_AUTH) check(w);
        else if (need == SMTP_NEED_SENDER) smtp_server_sender(&w->s, &(struct smtp_policy_answer){.code = 250}, &w->fx);
        else if (need == SMTP_NEED_CLOSE || at >= in.len) break;
    }
    return buf_bytes(&w->fx.out);
}

struct dialogue { const char *what; bool tls, certificate; const char *said, *want; };

#define HELLO "EHLO me\r\n"
#define CAPABILITIES "250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n"
#define SECURE CAPABILITIES "250-LIMITS RCPTMAX=3\r\n250 AUTH PLAIN LOGIN\r\n"
#define DONE "235 2.7.0 Authentication successful\r\n"
#define FAILED "535 5.7.8 Error: authentication failed\r\n"
#define MALFORMED "501 5.5.2 Error: malformed authentication\r\n"

static const struct dialogue dialogues[] = {
    {"never in the clear", false, false, HELLO "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n",
     CAPABILITIES "250-LIMITS RCPTMAX=3\r\n250 STARTTLS\r\n538 5.7.11 Error: authentication needs TLS; say STARTTLS first\r\n"},
    {"PLAIN at once", true, false, HELLO "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", SECURE DONE},
    {"in any case", true, false, HELLO "auth plain AGFubgBzZWNyZXQ=\r\n", SECURE DONE},
    {"PLAIN with a challenge", true, false, HELLO "AUTH PLAIN\r\nAGFubgBzZWNyZXQ=\r\n", SECURE "334 \r\n" DONE},
    {"LOGIN", true, false, HELLO "AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n", SECURE "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" DONE},
    {"LOGIN with the name at once", true, false, HELLO "AUTH LOGIN YW5u\r\nc2VjcmV0\r\n", SECURE "334 UGFzc3dvcmQ6\r\n" DONE},
    {"wrong", true, false, HELLO "AUTH PLAIN AGFubgB3cm9uZw==\r\n", SECURE FAILED},
    {"not now", true, false, HELLO "AUTH PLAIN AGFubgBsYXRlcg==\r\n", SECURE "454 4.7.0 Authentication is not possible now; try again later\r\n"},
    {"a second try", true, false, HELLO "AUTH PLAIN AGFubgB3cm9uZw==\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\n", SECURE FAILED DONE},
    {"no base64", true, false, HELLO "AUTH PLAIN !!!\r\n", SECURE MALFORMED},
    {"an empty response", true, false, HELLO "AUTH PLAIN =\r\n", SECURE MALFORMED},
    {"a NUL in the name", true, false, HELLO "AUTH PLAIN AGEAAG4=\r\n", SECURE MALFORMED},
    {"cancelled", true, false, HELLO "AUTH LOGIN\r\n*\r\nNOOP\r\n", SECURE "334 VXNlcm5hbWU6\r\n501 5.7.0 Authentication cancelled\r\n250 2.0.0 Ok\r\n"},
    {"a command is an answer", true, false, HELLO "AUTH LOGIN\r\nMAIL FROM:<a@b>\r\nNOOP\r\n", SECURE "334 VXNlcm5hbWU6\r\n" MALFORMED "250 2.0.0 Ok\r\n"},
    {"unknown", true, false, HELLO "AUTH GSSAPI\r\nAUTH SCRAM-SHA-256\r\nAUTH EXTERNAL =\r\n",
     SECURE "504 5.5.4 Error: this mechanism is not offered\r\n"
     "504 5.5.4 Error: this mechanism is not offered\r\n504 5.5.4 Error: this mechanism is not offered\r\n"},
    {"nothing", true, false, HELLO "AUTH\r\n", SECURE "501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n"},
    {"twice", true, false, HELLO "AUTH PLAIN AGFubgBzZWNyZXQ=\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nEHLO me\r\n",
     SECURE DONE "503 5.5.1 Error: this session is authenticated already\r\n" CAPABILITIES "250 LIMITS RCPTMAX=3\r\n"},
    {"within a transaction", true, false, HELLO "MAIL FROM:<a@b> AUTH=<>\r\nAUTH PLAIN\r\n",
     SECURE "250 2.1.0 Ok\r\n503 5.5.1 Error: AUTH within a transaction; RSET first\r\n"},
    {"before EHLO", true, false, "AUTH PLAIN\r\n", "503 5.5.1 Error: send EHLO or HELO first\r\n"},
    {"after HELO", true, false, "HELO me\r\nAUTH PLAIN\r\n", "250 mx\r\n503 5.5.1 Error: AUTH needs EHLO\r\n"},
    {"guesses cost", true, false, HELLO "AUTH PLAIN AGFubgBh\r\nAUTH PLAIN AGFubgBh\r\nAUTH PLAIN AGFubgBh\r\nAUTH PLAIN AGFubgBh\r\n",
     SECURE FAILED FAILED FAILED FAILED "421 4.7.0 mx Error: too many errors; closing\r\n"},
    {"EXTERNAL with a certificate", true, true, HELLO, CAPABILITIES "250-LIMITS RCPTMAX=3\r\n250 AUTH EXTERNAL PLAIN LOGIN\r\n"},
};

static void test_server_auth_dialogues(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++) {
        for (uint32_t step = 1; step < 40; step += 19) { /* however the octets are cut */
            static struct world w;
            open_world(&w, dialogues[i].tls);
            w.s.certificate = dialogues[i].certificate;
            struct bytes got = say(&w, dialogues[i].said, step);
            if (!bytes_equal(got, bytes_of_cstr(dialogues[i].want))) fail_msg("%s: %.*s", dialogues[i].what, (int)got.len, (const char *)got.ptr);
        }
    }
}

static void test_server_auth_long_line_ends_the_try_alone(void **state)
{
    (void)state;
    static struct world w;
    static char text[6000];
    open_world(&w, true);
    (void)say(&w, HELLO "AUTH LOGIN\r\n", 9999);
    memset(text, 'a', sizeof text - 3);
    memcpy(text + sizeof text - 3, "\r\n", 3);
    assert_true(bytes_equal(say(&w, text, 9999), BYTES("501 5.7.0 Authentication cancelled\r\n")));
    assert_true(bytes_equal(say(&w, "NOOP\r\n", 9999), BYTES("250 2.0.0 Ok\r\n")));
}

static void test_server_auth_leaves_no_password_behind(void **state)
{
    (void)state;
    static struct world w;
    open_world(&w, true);
    (void)say(&w, HELLO "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", 9999);
    const uint8_t *octets = (const uint8_t *)&w.s;
    for (size_t i = 0; i + 8 < sizeof w.s; i++) assert_true(memcmp(octets + i, "AGFubgBz", 8) != 0);
    assert_true(w.s.authenticated && bytes_equal(smtp_server_protocol(&w.s), BYTES("ESMTPSA")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_auth_dialogues),
        cmocka_unit_test(test_server_auth_long_line_ends_the_try_alone),
        cmocka_unit_test(test_server_auth_leaves_no_password_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
