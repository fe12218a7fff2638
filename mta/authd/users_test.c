/*
 * The password file, and the hashes in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mta/authd/secrets.h"
#include "mta/authd/users.h"

#define VERIFIER "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define HASH "$y$j9T$dHbOJBCz.RjA9wOfKsuHG/$PKlJZWdwSTkIRvk8VKAvPxMnXN9bkxPHKPKS2Ma/Kd3"

static enum err parse(struct users *u, const char *text, uint32_t *line, const char **why)
{
    uint32_t bytes = (uint32_t)strlen(text);
    uint8_t *copy = malloc(bytes + 1);
    assert_non_null(copy);
    memcpy(copy, text, bytes);
    return users_parse(u, copy, bytes, line, why);
}

static void test_users_parse_finds_who_is_there(void **state)
{
    (void)state;
    struct users u = {0};
    uint32_t line;
    const char *why;
    assert_int_equal(parse(&u, "# people\n\nzoe@b.example:" HASH ":" VERIFIER "\nann:" HASH ":\nbob::" VERIFIER, &line, &why), ERR_NONE);
    assert_int_equal(u.count, 3);
    assert_true(bytes_equal(users_find(&u, BYTES("zoe@b.example"))->verifier, BYTES(VERIFIER)));
    assert_true(bytes_equal(users_find(&u, BYTES("ann"))->hash, BYTES(HASH)));
    assert_int_equal(users_find(&u, BYTES("bob"))->hash.len, 0);
    assert_null(users_find(&u, BYTES("Ann")));
    assert_null(users_find(&u, BYTES("")));
    users_fini(&u);
    assert_null(users_find(&u, BYTES("ann")));
}

static void test_users_parse_takes_all_or_nothing(void **state)
{
    (void)state;
    static const struct { const char *text; uint32_t line; } cases[] = {
        {"ann:" HASH ":\nbob\n", 2},          {"ann:" HASH "\n", 1},
        {"ann:plain:\n", 1},                   {"ann:" HASH ":SCRAM-SHA-1$1:a$b:c\n", 1},
        {":" HASH ":\n", 1},                   {"a\001b:" HASH ":\n", 1},
        {"\n\nann:" HASH ":\r\n", 3},         {" ann:" HASH ":\n", 1},
    };
    struct users u = {0};
    uint32_t line;
    const char *why;
    assert_int_equal(parse(&u, "ann:" HASH ":\n", &line, &why), ERR_NONE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("%s\n", cases[i].text);
        assert_int_equal(parse(&u, cases[i].text, &line, &why), ERR_BAD_VALUE);
        assert_int_equal(line, cases[i].line);
        assert_non_null(why);
        assert_int_equal(u.count, 1); /* the one before stays */
    }
    assert_int_equal(parse(&u, "ann:" HASH ":\nbob:" HASH ":\nann:" HASH ":\n", &line, &why), ERR_BAD_VALUE);
    assert_string_equal(why, "some name is there twice");
    users_fini(&u);
}

static void test_secrets_hash_fits_its_password_alone(void **state)
{
    (void)state;
    char hash[SECRETS_HASH_BYTES_MAX], other[SECRETS_HASH_BYTES_MAX];
    assert_true(secrets_hash(BYTES("gr\xc3\xbc\xc3\x9f"), hash) && secrets_hash(BYTES("gr\xc3\xbc\xc3\x9f"), other));
    assert_true(strncmp(hash, "$y$", 3) == 0 && strcmp(hash, other) != 0);
    assert_true(secrets_hash_valid(bytes_of_cstr(hash)));
    assert_true(secrets_fits(BYTES("gr\xc3\xbc\xc3\x9f"), bytes_of_cstr(hash)));
    assert_false(secrets_fits(BYTES("gruss"), bytes_of_cstr(hash)));
    assert_false(secrets_fits(BYTES(""), bytes_of_cstr(hash)));
    assert_false(secrets_fits(bytes_of("a\0b", 3), bytes_of_cstr(hash)));
    assert_false(secrets_fits(BYTES("x"), BYTES("*0")));
    assert_false(secrets_hash_valid(BYTES("*0")) || secrets_hash_valid(BYTES("")) || secrets_hash_valid(BYTES("hello")));
}

static void test_secrets_digest_makes_the_verifier_of_rfc_7677(void **state)
{
    (void)state;
    struct smtp_scram_verifier v;
    uint8_t salt_memory[32], memory[SMTP_SCRAM_VERIFIER_BYTES_MAX];
    struct buf salt = BUF_OVER(salt_memory), text = BUF_OVER(memory);
    assert_true(smtp_base64_decode(BYTES("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
    assert_true(smtp_scram_verifier_make(&secrets_digest, BYTES("pencil"), buf_bytes(&salt), 4096, &v));
    smtp_scram_verifier_print(&text, &v);
    assert_true(bytes_equal(buf_bytes(&text), BYTES(VERIFIER)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_parse_finds_who_is_there),
        cmocka_unit_test(test_users_parse_takes_all_or_nothing),
        cmocka_unit_test(test_secrets_hash_fits_its_password_alone),
        cmocka_unit_test(test_secrets_digest_makes_the_verifier_of_rfc_7677),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
