/* Which user an address is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "mta/mailbox/mailbox.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "ann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n"
                             "bob.b:x:1001:1001::/home/bob:/bin/sh\n"
                             "c+x:x:1002:1002::/home/c:/bin/sh\n"
                             "bad:x:huh:1::/:/bin/sh\n"
                             "last:x:1004:1004::/home/last:/bin/sh";

static struct users users;

static int read_them(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(fwrite(passwd, 1, sizeof passwd - 1, file) == sizeof passwd - 1 && fflush(file) == 0);
    return users_read(&users, dup(fileno(file))) == ERR_NONE && fclose(file) == 0 ? 0 : 1;
}

static void test_users_of_case_table(void **state)
{
    (void)state;
    static const struct { const char *rcpt, *want; uint32_t uid; } cases[] = {
        {"ann@example.org", "ann", 1000}, {"Ann@example.org", "ann", 1000}, {"ann+lists@example.org", "ann", 1000}, {"ann+@example.org", "ann", 1000},
        {"bob.b@x.y", "bob.b", 1001}, {"c+x@x.y", "c+x", 1002}, {"c@x.y", NULL, 0}, {"last@x.y", "last", 1004}, {"root@x.y", "root", 0},
        {"an@x.y", NULL, 0}, {"annx@x.y", NULL, 0}, {"bad@x.y", NULL, 0}, {"+ann@x.y", NULL, 0}, {"@x.y", NULL, 0}, {"ann:x@x.y", NULL, 0},
        {"\"a/b\"@x.y", NULL, 0}, {"..@x.y", NULL, 0}, {"-ann@x.y", NULL, 0}, {"", NULL, 0}, {"ann", "ann", 1000},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.y", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t memory[LOCAL_USER_BYTES_MAX];
        struct buf name = BUF_OVER(memory);
        uint32_t uid = 77;
        bool known = users_of(&users, bytes_of_cstr(cases[i].rcpt), &name, &uid);
        if (known != (cases[i].want != NULL)) fail_msg("%s: %d", cases[i].rcpt, known);
        if (known) assert_true(bytes_equal(buf_bytes(&name), bytes_of_cstr(cases[i].want)) && uid == cases[i].uid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_users_of_case_table)};
    return cmocka_run_group_tests(tests, read_them, NULL);
}
