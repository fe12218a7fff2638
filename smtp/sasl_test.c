#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/digest_check.h"
#include "smtp/sasl_client.h"
#include "smtp/sasl_server.h"

#define ASSERT_TEXT(got, want) assert_true(bytes_equal((got), (want)))

static const struct bytes server_nonce = BYTES_INIT("%hvYDpWUa2RaTCAfuxFIlj)h");

static void test_sasl_names_any_case_are_known(void **state)
{
    (void)state;
    assert_int_equal(smtp_sasl_mechanism(BYTES("plain")), SMTP_SASL_PLAIN);
    assert_int_equal(smtp_sasl_mechanism(BYTES("Scram-Sha-256")), SMTP_SASL_SCRAM_SHA_256);
    assert_int_equal(smtp_sasl_mechanism(BYTES("SCRAM-SHA-256-PLUS")), SMTP_SASL_NONE);
    assert_int_equal(smtp_sasl_mechanism(BYTES("")), SMTP_SASL_NONE);
    uint32_t set = smtp_sasl_set(BYTES("DIGEST-MD5  LOGIN plain  NTLM SCRAM-SHA-256-PLUS "));
    assert_int_equal(set, SMTP_SASL_BIT(SMTP_SASL_LOGIN) | SMTP_SASL_BIT(SMTP_SASL_PLAIN));
    assert_int_equal(smtp_sasl_choose(set), SMTP_SASL_PLAIN);
    assert_int_equal(smtp_sasl_choose(0), SMTP_SASL_NONE);
    ASSERT_TEXT(smtp_sasl_name(SMTP_SASL_XOAUTH2), BYTES("XOAUTH2"));
    assert_int_equal(smtp_sasl_name(SMTP_SASL_NONE).len, 0);
}

struct line_case {
    struct bytes line;
    bool initial;
    enum smtp_sasl_line want;
    struct bytes octets;
};

static void test_sasl_line_by_place_means_what_it_says(void **state)
{
    (void)state;
    static const struct line_case cases[] = {
        {BYTES_INIT("="), true, SMTP_SASL_LINE_OK, BYTES_INIT("")},      {BYTES_INIT("="), false, SMTP_SASL_LINE_BAD, BYTES_INIT("")},
        {BYTES_INIT(""), true, SMTP_SASL_LINE_BAD, BYTES_INIT("")},      {BYTES_INIT(""), false, SMTP_SASL_LINE_OK, BYTES_INIT("")},
        {BYTES_INIT("*"), false, SMTP_SASL_LINE_CANCEL, BYTES_INIT("")}, {BYTES_INIT("*"), true, SMTP_SASL_LINE_BAD, BYTES_INIT("")},
        {BYTES_INIT("Zm9v"), false, SMTP_SASL_LINE_OK, BYTES_INIT("foo")}, {BYTES_INIT("Zm9v "), false, SMTP_SASL_LINE_BAD, BYTES_INIT("")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t memory[16];
        struct buf out = BUF_OVER(memory);
        assert_int_equal(smtp_sasl_line(cases[i].line, cases[i].initial, &out), cases[i].want);
        ASSERT_TEXT(buf_bytes(&out), cases[i].octets);
    }
}

static void test_sasl_text_controls_and_broken_utf8_are_refused(void **state)
{
    (void)state;
    assert_true(smtp_sasl_text_valid(BYTES("user name"), 255));
    assert_true(smtp_sasl_text_valid(BYTES("gr\xc3\xbc\xc3\x9f""e"), 255));
    static const struct bytes bad[] = {BYTES_INIT(""), BYTES_INIT("a\0b"), BYTES_INIT("a\nb"), BYTES_INIT("\x7f"), BYTES_INIT("\xc2\x85"),
                                       BYTES_INIT("\xc3"), BYTES_INIT("\xff"), BYTES_INIT("\xed\xa0\x80"), BYTES_INIT("12345")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(smtp_sasl_text_valid(bad[i], 4));
}

struct plain_case {
    struct bytes message;
    enum smtp_sasl_result want;
};

static void test_sasl_plain_messages_are_judged(void **state)
{
    (void)state;
    static const struct plain_case cases[] = {
        {BYTES_INIT("\0tim\0tanstaaftanstaaf"), SMTP_SASL_ASK_PASSWORD},
        {BYTES_INIT("tim\0tim\0secret"), SMTP_SASL_ASK_PASSWORD},
        {BYTES_INIT("Ursel\0Kurt\0xipj3plmq"), SMTP_SASL_FAILED},
        {BYTES_INIT(""), SMTP_SASL_BAD},
        {BYTES_INIT("\0"), SMTP_SASL_BAD},
        {BYTES_INIT("\0\0"), SMTP_SASL_BAD},
        {BYTES_INIT("\0tim"), SMTP_SASL_BAD},
        {BYTES_INIT("\0tim\0"), SMTP_SASL_BAD},
        {BYTES_INIT("\0\0secret"), SMTP_SASL_BAD},
        {BYTES_INIT("\0tim\0sec\0ret"), SMTP_SASL_BAD},
        {BYTES_INIT("\0t\xffm\0secret"), SMTP_SASL_BAD},
        {BYTES_INIT("\0t\nm\0secret"), SMTP_SASL_BAD},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_sasl_server s;
        struct buf none = buf_over(NULL, 0);
        smtp_sasl_server_begin(&s, SMTP_SASL_PLAIN, NULL, BYTES(""));
        assert_int_equal(smtp_sasl_server_start(&s, true, cases[i].message, &none), cases[i].want);
        if (cases[i].want != SMTP_SASL_ASK_PASSWORD) continue;
        ASSERT_TEXT(s.user, BYTES("tim"));
        assert_int_equal(smtp_sasl_server_judge(&s, i == 0), i == 0 ? SMTP_SASL_DONE : SMTP_SASL_FAILED);
        assert_int_equal(s.password.len, 0);
        assert_int_equal(smtp_sasl_server_feed(&s, BYTES("x"), &none), SMTP_SASL_BAD);
    }
}

static void test_sasl_login_two_questions_give_user_and_password(void **state)
{
    (void)state;
    for (int with_initial = 0; with_initial < 2; with_initial++) {
        struct smtp_sasl_server s;
        uint8_t memory[64];
        struct buf out = BUF_OVER(memory);
        smtp_sasl_server_begin(&s, SMTP_SASL_LOGIN, NULL, BYTES(""));
        assert_int_equal(smtp_sasl_server_start(&s, with_initial, BYTES("tim"), &out), SMTP_SASL_CHALLENGE);
        if (!with_initial) {
            ASSERT_TEXT(buf_bytes(&out), BYTES("Username:"));
            out.len = 0;
            assert_int_equal(smtp_sasl_server_feed(&s, BYTES("tim"), &out), SMTP_SASL_CHALLENGE);
        }
        ASSERT_TEXT(buf_bytes(&out), BYTES("Password:"));
        assert_int_equal(smtp_sasl_server_feed(&s, BYTES("secret"), &out), SMTP_SASL_ASK_PASSWORD);
        ASSERT_TEXT(s.user, BYTES("tim"));
        ASSERT_TEXT(s.password, BYTES("secret"));
        assert_int_equal(smtp_sasl_server_judge(&s, true), SMTP_SASL_DONE);
    }
}

static void test_sasl_external_identity_is_asked(void **state)
{
    (void)state;
    struct smtp_sasl_server s;
    struct buf none = buf_over(NULL, 0);
    smtp_sasl_server_begin(&s, SMTP_SASL_EXTERNAL, NULL, BYTES(""));
    assert_int_equal(smtp_sasl_server_start(&s, true, BYTES(""), &none), SMTP_SASL_ASK_IDENTITY);
    assert_int_equal(s.user.len, 0);
    assert_int_equal(smtp_sasl_server_judge(&s, true), SMTP_SASL_DONE);
    smtp_sasl_server_begin(&s, SMTP_SASL_EXTERNAL, NULL, BYTES(""));
    assert_int_equal(smtp_sasl_server_start(&s, false, BYTES(""), &none), SMTP_SASL_CHALLENGE);
    assert_int_equal(smtp_sasl_server_feed(&s, BYTES("fred@example.org"), &none), SMTP_SASL_ASK_IDENTITY);
    ASSERT_TEXT(s.user, BYTES("fred@example.org"));
    assert_int_equal(smtp_sasl_server_judge(&s, false), SMTP_SASL_FAILED);
}

/* ---- SCRAM: the exchange of RFC 7677 section 3 ---- */

static struct smtp_scram_verifier pencil_verifier(void)
{
    struct smtp_scram_verifier v;
    uint8_t memory[32];
    struct buf salt = BUF_OVER(memory);
    assert_true(smtp_base64_decode(BYTES("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
    assert_true(smtp_scram_verifier_make(&check_digest, BYTES("pencil"), buf_bytes(&salt), 4096, &v));
    return v;
}

#define RFC_CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_WITHOUT_PROOF "c=biws,r=" RFC_NONCE
#define RFC_PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SIGNATURE "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void test_scram_vectors_of_rfc7677_match(void **state)
{
    (void)state;
    struct smtp_scram_transcript t = {BYTES("n=user,r=rOprNGfwEbeRWgbNEkqO"), BYTES(RFC_SERVER_FIRST), BYTES(RFC_WITHOUT_PROOF)};
    struct smtp_scram_verifier v = pencil_verifier();
    uint8_t proof[SMTP_SHA256_BYTES], signature[SMTP_SHA256_BYTES], again[SMTP_SHA256_BYTES], memory[64];
    assert_true(smtp_scram_client_proof(&check_digest, BYTES("pencil"), bytes_of(v.salt, v.salt_bytes), 4096, &t, proof, signature));
    struct buf out = BUF_OVER(memory);
    smtp_base64_encode(&out, bytes_of(proof, sizeof(proof)));
    ASSERT_TEXT(buf_bytes(&out), BYTES(RFC_PROOF));
    out.len = 0;
    smtp_base64_encode(&out, bytes_of(signature, sizeof(signature)));
    ASSERT_TEXT(buf_bytes(&out), BYTES(RFC_SIGNATURE));
    assert_true(smtp_scram_check_proof(&check_digest, &v, &t, bytes_of(proof, sizeof(proof))));
    assert_true(smtp_scram_server_signature(&check_digest, v.server_key, &t, again));
    assert_memory_equal(again, signature, sizeof(again));
    proof[31] ^= 1;
    assert_false(smtp_scram_check_proof(&check_digest, &v, &t, bytes_of(proof, sizeof(proof))));
    assert_false(smtp_scram_check_proof(&check_digest, &v, &t, bytes_of(proof, 31)));
}

struct refuse_case {
    struct bytes message;
    bool good;
};

static void test_scram_client_first_by_the_grammar_only(void **state)
{
    (void)state;
    static const struct refuse_case cases[] = {
        {BYTES_INIT(RFC_CLIENT_FIRST), true},       {BYTES_INIT("y,,n=user,r=abc"), true},        {BYTES_INIT("n,a=user,n=user,r=abc"), true},
        {BYTES_INIT("n,,n=a=2Cb=3Dc,r=abc"), true}, {BYTES_INIT("n,,n=user,r=abc,x=ext"), true},  {BYTES_INIT("p=tls-unique,,n=user,r=abc"), false},
        {BYTES_INIT("n,,m=x,n=user,r=abc"), false}, {BYTES_INIT("n,,n=user,r=abc,m=x"), false},   {BYTES_INIT("n,,n=,r=abc"), false},
        {BYTES_INIT("n,,n=user,r="), false},        {BYTES_INIT("n,,n=us=2cer,r=abc"), false},    {BYTES_INIT("n,,n=us=er,r=abc"), false},
        {BYTES_INIT("n,,n=user=2,r=abc"), false},   {BYTES_INIT("n,,n=user,r=a c"), false},       {BYTES_INIT("n,,n=user,r=abc,"), false},
        {BYTES_INIT("n,n=user,r=abc"), false},      {BYTES_INIT("n,,r=abc,n=user"), false},       {BYTES_INIT("n,"), false},
        {BYTES_INIT(""), false},                    {BYTES_INIT("n,a=,n=user,r=abc"), false},     {BYTES_INIT("n,,n=user,r=abc,1=x"), false},
        {BYTES_INIT("n,,n=us\0er,r=abc"), false},   {BYTES_INIT("F,,n=user,r=abc"), false},       {BYTES_INIT("n,,n=user,r=abc,x="), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_scram_client_first first;
        assert_int_equal(smtp_scram_client_first_parse(cases[i].message, &first), cases[i].good);
        for (uint32_t n = 0; n < cases[i].message.len; n++) {
            uint8_t *exact = test_malloc(n + 1u); /* so that a sanitizer sees a look past the end of any prefix */
            memcpy(exact, cases[i].message.ptr, n);
            (void)smtp_scram_client_first_parse(bytes_of(exact, n), &first);
            test_free(exact);
        }
    }
}

static void test_scram_server_first_by_the_grammar_only(void **state)
{
    (void)state;
    static const struct refuse_case cases[] = {
        {BYTES_INIT(RFC_SERVER_FIRST), true},       {BYTES_INIT("r=abc,s=YWJj,i=4096,x=1"), true}, {BYTES_INIT("r=abc,s=YWJj,i=4095"), false},
        {BYTES_INIT("r=abc,s=YWJj,i=04096"), false}, {BYTES_INIT("r=abc,s=YWJj,i=1000001"), false},
        {BYTES_INIT("r=abc,s=YWJj,i=99999999999999999999999"), false},
        {BYTES_INIT("r=abc,s=,i=4096"), false},     {BYTES_INIT("r=abc,s=YWJ,i=4096"), false},     {BYTES_INIT("m=x,r=abc,s=YWJj,i=4096"), false},
        {BYTES_INIT("r=abc,s=YWJj"), false},        {BYTES_INIT("r=abc,i=4096,s=YWJj"), false},    {BYTES_INIT("e=other-error"), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_scram_server_first first;
        assert_int_equal(smtp_scram_server_first_parse(cases[i].message, &first), cases[i].good);
    }
}

static void test_scram_final_messages_by_the_grammar_only(void **state)
{
    (void)state;
    static const struct refuse_case cases[] = {
        {BYTES_INIT(RFC_WITHOUT_PROOF ",p=" RFC_PROOF), true}, {BYTES_INIT("c=biws,r=abc,x=y,p=YQ=="), true}, {BYTES_INIT("c=biws,r=abc"), false},
        {BYTES_INIT("c=biws,r=abc,p="), true}, /* an empty proof fails later */
        {BYTES_INIT("c=biws,r=abc,p=YQ==,x=y"), false},        {BYTES_INIT("c=biws,r=abc,m=y,p=YQ=="), false}, {BYTES_INIT("c=biws,p=YQ=="), false},
        {BYTES_INIT("r=abc,c=biws,p=YQ=="), false},            {BYTES_INIT("c=biws,r=abc,,p=YQ=="), false},    {BYTES_INIT("c=biws"), false},
    };
    struct smtp_scram_client_final final;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(smtp_scram_client_final_parse(cases[i].message, &final), cases[i].good);
    }
    assert_true(smtp_scram_client_final_parse(cases[0].message, &final));
    ASSERT_TEXT(final.without_proof, BYTES(RFC_WITHOUT_PROOF));
    ASSERT_TEXT(final.proof, BYTES(RFC_PROOF));
    struct bytes value;
    assert_int_equal(smtp_scram_server_final_parse(BYTES("v=" RFC_SIGNATURE), &value), SMTP_SCRAM_FINAL_VERIFIER);
    ASSERT_TEXT(value, BYTES(RFC_SIGNATURE));
    assert_int_equal(smtp_scram_server_final_parse(BYTES("e=invalid-proof"), &value), SMTP_SCRAM_FINAL_ERROR);
    assert_int_equal(smtp_scram_server_final_parse(BYTES("v="), &value), SMTP_SCRAM_FINAL_BAD);
    assert_int_equal(smtp_scram_server_final_parse(BYTES("x"), &value), SMTP_SCRAM_FINAL_BAD);
}

static void test_scram_verifier_text_goes_both_ways(void **state)
{
    (void)state;
    struct smtp_scram_verifier v = pencil_verifier(), again;
    uint8_t memory[SMTP_SCRAM_VERIFIER_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    smtp_scram_verifier_print(&out, &v);
    assert_true(bytes_starts(buf_bytes(&out), BYTES("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")));
    assert_true(smtp_scram_verifier_parse(buf_bytes(&out), &again));
    assert_memory_equal(&v, &again, sizeof(v));
    for (uint32_t n = 0; n < out.len; n++) assert_false(smtp_scram_verifier_parse(bytes_of(memory, n), &again));
    assert_false(smtp_scram_verifier_make(&check_digest, BYTES(""), BYTES("salt"), 4096, &again));
    assert_false(smtp_scram_verifier_make(&check_digest, BYTES("a"), BYTES("salt"), 1, &again));
    assert_false(smtp_scram_verifier_make(&check_digest, BYTES("a"), BYTES(""), 4096, &again));
}

/* speak - the machines with each other; returns what the server made of it. */
static enum smtp_sasl_result speak(struct bytes user, struct bytes password, const struct smtp_scram_verifier *v, bool *accepted)
{
    struct smtp_sasl_server s;
    struct smtp_sasl_client c;
    struct smtp_sasl_credentials credentials = {user, password};
    uint8_t to_server[SMTP_SASL_MESSAGE_BYTES_MAX], to_client[SMTP_SASL_MESSAGE_BYTES_MAX];
    struct buf up = BUF_OVER(to_server), down = BUF_OVER(to_client);
    smtp_sasl_server_begin(&s, SMTP_SASL_SCRAM_SHA_256, &check_digest, server_nonce);
    smtp_sasl_client_begin(&c, SMTP_SASL_SCRAM_SHA_256, &credentials, &check_digest, BYTES("fyko+d2lbbFgONRv9qkxdawL"));
    assert_true(smtp_sasl_client_initial(&c, &up));
    enum smtp_sasl_result result = smtp_sasl_server_start(&s, true, buf_bytes(&up), &down);
    if (result != SMTP_SASL_ASK_VERIFIER) return result;
    ASSERT_TEXT(s.user, user);
    result = smtp_sasl_server_verifier(&s, v, &down);
    while (result == SMTP_SASL_CHALLENGE) {
        assert_false(smtp_sasl_client_accept(&c)); /* whatever the server says now, it has not proved itself */
        up.len = 0;
        if (!smtp_sasl_client_feed(&c, buf_bytes(&down), &up)) return SMTP_SASL_BAD;
        down.len = 0;
        result = smtp_sasl_server_feed(&s, buf_bytes(&up), &down);
    }
    *accepted = smtp_sasl_client_accept(&c);
    smtp_sasl_client_wipe(&c);
    smtp_sasl_server_wipe(&s);
    return result;
}

static void test_scram_machines_agree_on_a_right_password_only(void **state)
{
    (void)state;
    struct smtp_scram_verifier v = pencil_verifier(), fake, same, other;
    bool accepted = false;
    assert_int_equal(speak(BYTES("user"), BYTES("pencil"), &v, &accepted), SMTP_SASL_DONE);
    assert_true(accepted);
    assert_int_equal(speak(BYTES("a,b=c\xc3\xa4"), BYTES("pencil"), &v, &accepted), SMTP_SASL_DONE);
    assert_int_equal(speak(BYTES("user"), BYTES("pencils"), &v, &accepted), SMTP_SASL_FAILED);
    assert_false(accepted);
    assert_true(smtp_scram_verifier_fake(&check_digest, BYTES("site"), BYTES("nobody"), 4096, &fake));
    assert_int_equal(speak(BYTES("nobody"), BYTES("pencil"), &fake, &accepted), SMTP_SASL_FAILED);
    assert_true(smtp_scram_verifier_fake(&check_digest, BYTES("site"), BYTES("nobody"), 4096, &same));
    assert_memory_equal(&fake, &same, sizeof(fake));
    assert_true(smtp_scram_verifier_fake(&check_digest, BYTES("site"), BYTES("somebody"), 4096, &other));
    assert_memory_not_equal(fake.salt, other.salt, fake.salt_bytes);
    /* A server that knows the stored key, and not the server key, is found out. */
    v.server_key[0] ^= 1;
    assert_int_equal(speak(BYTES("user"), BYTES("pencil"), &v, &accepted), SMTP_SASL_BAD);
}

static void test_scram_server_changed_binding_or_nonce_fails(void **state)
{
    (void)state;
    static const struct plain_case cases[] = {
        {BYTES_INIT("c=eSws,r=abc%hvYDpWUa2RaTCAfuxFIlj)h,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), SMTP_SASL_FAILED}, /* "y,," */
        {BYTES_INIT("c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), SMTP_SASL_FAILED},
        {BYTES_INIT("c=biws,r=abc%hvYDpWUa2RaTCAfuxFIlj)h,p=dHzb"), SMTP_SASL_FAILED},
        {BYTES_INIT("c=biws,r=abc%hvYDpWUa2RaTCAfuxFIlj)h,p=d"), SMTP_SASL_BAD},
        {BYTES_INIT(""), SMTP_SASL_BAD},
    };
    struct smtp_scram_verifier v = pencil_verifier();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_sasl_server s;
        uint8_t memory[512];
        struct buf out = BUF_OVER(memory);
        smtp_sasl_server_begin(&s, SMTP_SASL_SCRAM_SHA_256, &check_digest, server_nonce);
        assert_int_equal(smtp_sasl_server_start(&s, true, BYTES("n,,n=user,r=abc"), &out), SMTP_SASL_ASK_VERIFIER);
        assert_int_equal(smtp_sasl_server_verifier(&s, &v, &out), SMTP_SASL_CHALLENGE);
        ASSERT_TEXT(buf_bytes(&out), BYTES("r=abc%hvYDpWUa2RaTCAfuxFIlj)h,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        assert_int_equal(smtp_sasl_server_feed(&s, cases[i].message, &out), cases[i].want);
    }
}

/* ---- client ---- */

static void test_sasl_client_messages_of_each_mechanism(void **state)
{
    (void)state;
    struct smtp_sasl_client c;
    struct smtp_sasl_credentials credentials = {BYTES("tim"), BYTES("secret")};
    uint8_t memory[128];
    struct buf out = BUF_OVER(memory);
    smtp_sasl_client_begin(&c, SMTP_SASL_PLAIN, &credentials, NULL, BYTES(""));
    assert_true(smtp_sasl_client_initial(&c, &out));
    ASSERT_TEXT(buf_bytes(&out), BYTES("\0tim\0secret"));
    assert_true(smtp_sasl_client_accept(&c));
    assert_false(smtp_sasl_client_feed(&c, BYTES(""), &out));
    assert_false(smtp_sasl_client_accept(&c));

    out.len = 0;
    smtp_sasl_client_begin(&c, SMTP_SASL_LOGIN, &credentials, NULL, BYTES(""));
    assert_false(smtp_sasl_client_initial(&c, &out));
    assert_true(smtp_sasl_client_feed(&c, BYTES("User Name"), &out));
    ASSERT_TEXT(buf_bytes(&out), BYTES("tim"));
    assert_false(smtp_sasl_client_accept(&c));
    out.len = 0;
    assert_true(smtp_sasl_client_feed(&c, BYTES("Password"), &out));
    ASSERT_TEXT(buf_bytes(&out), BYTES("secret"));
    assert_true(smtp_sasl_client_accept(&c));

    out.len = 0;
    smtp_sasl_client_begin(&c, SMTP_SASL_XOAUTH2, &credentials, NULL, BYTES(""));
    assert_true(smtp_sasl_client_initial(&c, &out));
    ASSERT_TEXT(buf_bytes(&out), BYTES("user=tim\1auth=Bearer secret\1\1"));
    out.len = 0;
    assert_true(smtp_sasl_client_feed(&c, BYTES("{\"status\":\"401\"}"), &out));
    assert_int_equal(out.len, 0);
    assert_false(smtp_sasl_client_accept(&c));

    credentials = (struct smtp_sasl_credentials){BYTES(""), BYTES("")};
    smtp_sasl_client_begin(&c, SMTP_SASL_EXTERNAL, &credentials, NULL, BYTES(""));
    assert_true(smtp_sasl_client_initial(&c, &out));
    assert_int_equal(out.len, 0);
}

static void test_sasl_credentials_by_mechanism_are_judged(void **state)
{
    (void)state;
    struct smtp_sasl_credentials none = {BYTES(""), BYTES("")}, odd = {BYTES("tim"), BYTES("a b")}, broken = {BYTES("t\nm"), BYTES("secret")};
    assert_true(smtp_sasl_credentials_valid(SMTP_SASL_EXTERNAL, &none));
    assert_false(smtp_sasl_credentials_valid(SMTP_SASL_PLAIN, &none));
    assert_true(smtp_sasl_credentials_valid(SMTP_SASL_PLAIN, &odd));
    assert_false(smtp_sasl_credentials_valid(SMTP_SASL_XOAUTH2, &odd));
    assert_false(smtp_sasl_credentials_valid(SMTP_SASL_LOGIN, &broken));
}

static void test_scram_client_bad_server_is_left(void **state)
{
    (void)state;
    static const struct bytes challenges[] = {
        BYTES_INIT("r=fyko+d2lbbFgONRv9qkxdawL,s=YWJj,i=4096"),  /* adds no nonce */
        BYTES_INIT("r=fyko+d2lbbFgONRv9qkxdawM9,s=YWJj,i=4096"), /* not our nonce */
        BYTES_INIT("r=fyko+d2lbbFgONRv9qkxdawL9,s=YWJj,i=1"),    /* too cheap */
        BYTES_INIT("e=other-error"), BYTES_INIT(""),
    };
    struct smtp_sasl_credentials credentials = {BYTES("tim"), BYTES("secret")};
    for (size_t i = 0; i < sizeof(challenges) / sizeof(challenges[0]); i++) {
        struct smtp_sasl_client c;
        uint8_t memory[512];
        struct buf out = BUF_OVER(memory);
        smtp_sasl_client_begin(&c, SMTP_SASL_SCRAM_SHA_256, &credentials, &check_digest, BYTES("fyko+d2lbbFgONRv9qkxdawL"));
        assert_true(smtp_sasl_client_initial(&c, &out));
        ASSERT_TEXT(buf_bytes(&out), BYTES("n,,n=tim,r=fyko+d2lbbFgONRv9qkxdawL"));
        assert_false(smtp_sasl_client_feed(&c, challenges[i], &out));
        assert_false(smtp_sasl_client_accept(&c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sasl_names_any_case_are_known),
        cmocka_unit_test(test_sasl_line_by_place_means_what_it_says),
        cmocka_unit_test(test_sasl_text_controls_and_broken_utf8_are_refused),
        cmocka_unit_test(test_sasl_plain_messages_are_judged),
        cmocka_unit_test(test_sasl_login_two_questions_give_user_and_password),
        cmocka_unit_test(test_sasl_external_identity_is_asked),
        cmocka_unit_test(test_scram_vectors_of_rfc7677_match),
        cmocka_unit_test(test_scram_client_first_by_the_grammar_only),
        cmocka_unit_test(test_scram_server_first_by_the_grammar_only),
        cmocka_unit_test(test_scram_final_messages_by_the_grammar_only),
        cmocka_unit_test(test_scram_verifier_text_goes_both_ways),
        cmocka_unit_test(test_scram_machines_agree_on_a_right_password_only),
        cmocka_unit_test(test_scram_server_changed_binding_or_nonce_fails),
        cmocka_unit_test(test_sasl_client_messages_of_each_mechanism),
        cmocka_unit_test(test_sasl_credentials_by_mechanism_are_judged),
        cmocka_unit_test(test_scram_client_bad_server_is_left),
    };
    return cmocka_run_group_tests_name("sasl", tests, NULL, NULL);
}
