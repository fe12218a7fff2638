/* Tests of how a maildir pattern is split into a folder and the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mta/process/folders.h"

static void test_folder_split_cuts_before_the_first_placeholder(void **state)
{
    (void)state;
    static const struct { const char *maildir, *folder, *rest; } cases[] = {
        {"/srv/mail/{domain}/{local}", "/srv/mail", "{domain}/{local}"},
        {"/srv/mail/{domain}/{local}/", "/srv/mail", "{domain}/{local}/"},
        {"/srv/mail/x-{local}/Maildir", "/srv/mail", "x-{local}/Maildir"},
        {"/{domain}/{local}", "/", "{domain}/{local}"},
        {"/home/ann/Maildir", "/home/ann", "Maildir"},
        {"/home/ann/Maildir/", "/home/ann", "Maildir/"},
        {"/Maildir", "/", "Maildir"},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes folder, rest;
        folder_split(bytes_of_cstr(cases[i].maildir), &folder, &rest);
        assert_true(bytes_equal(folder, bytes_of_cstr(cases[i].folder)));
        assert_true(bytes_equal(rest, bytes_of_cstr(cases[i].rest)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folder_split_cuts_before_the_first_placeholder)};
    return cmocka_run_group_tests_name("folders", tests, NULL, NULL);
}
