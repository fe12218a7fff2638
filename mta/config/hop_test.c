/* Values of transport tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "mta/config/hop.h"

static void test_hop_parse_case_table(void **state)
{
    (void)state;
    static const struct { const char *value; uint8_t action; const char *host; uint16_t port; bool address; } cases[] = {
        {"lmtp:[127.0.0.1]:8024", ACTION_LMTP, "127.0.0.1", 8024, true}, /* as Mailman writes it */
        {"lmtp:[localhost]:8024", ACTION_LMTP, "localhost", 8024, false},
        {"lmtp:inet:box.example:24", ACTION_LMTP, "box.example", 24, false},
        {"lmtp:box.example", ACTION_LMTP, "box.example", 24, false},
        {"lmtp:[::1]:24", ACTION_LMTP, "::1", 24, true},
        {"smtp:[mail.example]", ACTION_RELAY, "mail.example", 25, false},
        {"smtp:[192.0.2.1]:2525", ACTION_RELAY, "192.0.2.1", 2525, true},
        {"relay:[2001:db8::1]:26", ACTION_RELAY, "2001:db8::1", 26, true},
        {"smtp:mail.example", ACTION_MX, "mail.example", 0, false},
        {"smtp:mail.example:26", ACTION_MX, "mail.example", 26, false},
        {"smtp:", ACTION_MX, "", 0, false}, {"relay:", ACTION_MX, "", 0, false}, {"discard:", ACTION_DISCARD, "", 0, false},
        {"discard:spam", ACTION_DISCARD, "", 0, false},
        {"smtp:192.0.2.1", 0, NULL, 0, false}, {"smtp:[a]b", 0, NULL, 0, false}, {"smtp:[a", 0, NULL, 0, false}, {"smtp:a:0", 0, NULL, 0, false},
        {"smtp:a:65536", 0, NULL, 0, false}, {"smtp:[]", 0, NULL, 0, false}, {"lmtp:", 0, NULL, 0, false}, {"lmtp:::1", 0, NULL, 0, false},
        {"lmtp:unix:/run/x", 0, NULL, 0, false}, {"error:no", 0, NULL, 0, false}, {"", 0, NULL, 0, false}, {"mail.example", 0, NULL, 0, false},
        {"smtp:a..b", 0, NULL, 0, false}, {"smtp:[a]:", 0, NULL, 0, false}, {"smtp:[a]:b", 0, NULL, 0, false}, {"smtps:[a]", 0, NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hop h;
        bool good = hop_parse(bytes_of_cstr(cases[i].value), &h);
        if (good != (cases[i].host != NULL)) fail_msg("%s: %d", cases[i].value, good);
        if (!good) continue;
        if (h.action != cases[i].action || h.port != cases[i].port || h.is_address != cases[i].address || !bytes_equal(h.host, bytes_of_cstr(cases[i].host)))
            fail_msg("%s: action %u, port %u", cases[i].value, h.action, h.port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hop_parse_case_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
