/*
 * Tests of personalities: what is understood, whom it fits, and whom it refuses when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/mtabench/personality.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint64_t s = UINT64_C(1000000000);

static void test_personality_parse_table(void **unused)
{
    static const struct {
        const char *text;
        bool good;
        uint8_t kind;
        bool at_data;
        uint16_t code;
        uint64_t ns;
    } cases[] = {
        {"a.example=fast", true, PERSONALITY_FAST, false, 0, 0},
        {"a.example=slow=50ms", true, PERSONALITY_SLOW, false, 0, 50000000},
        {"*=tarpit", true, PERSONALITY_TARPIT, false, 0, UINT64_C(10000000000)},
        {"*=tarpit=1s", true, PERSONALITY_TARPIT, false, 0, 1000000000},
        {"a=4xx", true, PERSONALITY_REFUSE, false, 450, 0},
        {"a=5xx-data", true, PERSONALITY_REFUSE, true, 550, 0},
        {"a=452", true, PERSONALITY_REFUSE, false, 452, 0},
        {"a=greylist=5", true, PERSONALITY_GREYLIST, false, 0, UINT64_C(5000000000)},
        {"a=disconnect-data", true, PERSONALITY_DISCONNECT, true, 0, 0},
        {"a=ratelimit=4/s", true, PERSONALITY_RATELIMIT, false, 0, 250000000},
        {"[127.0.0.5]=tarpit", true, PERSONALITY_TARPIT, false, 0, UINT64_C(10000000000)},
        {"a", false, 0, false, 0, 0}, {"=fast", false, 0, false, 0, 0}, {"a=", false, 0, false, 0, 0}, {"a=250", false, 0, false, 0, 0},
        {"a=slow", false, 0, false, 0, 0}, {"a=slow=x", false, 0, false, 0, 0}, {"a=fast-data", false, 0, false, 0, 0}, {"a=4xx=1", false, 0, false, 0, 0},
        {"**=fast", false, 0, false, 0, 0}, {"[host]=fast", false, 0, false, 0, 0}, {"a=ratelimit=0", false, 0, false, 0, 0},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        static struct personalities p;
        bool good = personality_parse(&p, bytes_of_cstr(cases[i].text));
        if (good != cases[i].good) fail_msg("%s: %s", cases[i].text, good ? "taken" : "refused");
        if (good) {
            const struct personality *one = &p.list[0];
            assert_int_equal(one->kind, cases[i].kind);
            assert_int_equal(one->at_data, cases[i].at_data);
            assert_int_equal(one->code, cases[i].code);
            assert_int_equal(one->ns, cases[i].ns);
        }
        personalities_fini(&p);
    }
}

static void test_personality_first_that_fits_counts(void **unused)
{
    static struct personalities p;
    static const struct {
        const char *domain;
        int want; /* index, -1 = none */
    } cases[] = {{"slow7.example", 0}, {"SLOW.EXAMPLE", 0}, {"slow", -1}, {"slow.examples", -1}, {"other.test", 2}, {"exact.test", 1}, {"test", -1}, {"", -1}};
    (void)unused;
    assert_true(personality_parse(&p, BYTES("slow*.example=slow=1")) && personality_parse(&p, BYTES("exact.test=4xx")));
    assert_true(personality_parse(&p, BYTES("*.test=5xx")) && personality_parse(&p, BYTES("[127.0.0.9]=421")));
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct personality *one = personality_for_domain(&p, bytes_of_cstr(cases[i].domain));
        assert_int_equal(one ? (int)(one - p.list) : -1, cases[i].want);
    }
    struct net_address own;
    assert_true(net_parse_ip(BYTES("127.0.0.9"), &own));
    assert_ptr_equal(personality_for_address(&p, &own), &p.list[3]);
    personalities_fini(&p);
}

static void test_personality_greylist_takes_a_pair_when_it_has_waited(void **unused)
{
    static struct personalities p;
    (void)unused;
    assert_true(personality_parse(&p, BYTES("*=greylist=10s")));
    for (uint64_t pair = 2; pair < 10000; pair += 2) assert_int_equal(personality_refusal(&p, &p.list[0], pair, 5 * s), 450);
    for (uint64_t pair = 2; pair < 10000; pair += 2) {
        assert_int_equal(personality_refusal(&p, &p.list[0], pair, 15 * s - 1), 450);
        assert_int_equal(personality_refusal(&p, &p.list[0], pair, 15 * s), 0);
    }
    personalities_fini(&p);
}

static void test_personality_ratelimit_takes_so_many_a_second(void **unused)
{
    static struct personalities p;
    uint32_t taken = 0;
    (void)unused;
    assert_true(personality_parse(&p, BYTES("*=ratelimit=100/s")));
    for (uint64_t now = 10 * s; now < 20 * s; now += s / 1000) taken += personality_refusal(&p, &p.list[0], 1, now) == 0;
    assert_in_range(taken, 1090, 1102); /* a second's worth at once, and then the rate */
    personalities_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_personality_parse_table),
        cmocka_unit_test(test_personality_first_that_fits_counts),
        cmocka_unit_test(test_personality_greylist_takes_a_pair_when_it_has_waited),
        cmocka_unit_test(test_personality_ratelimit_takes_so_many_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
