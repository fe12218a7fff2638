#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/digest_check.h"
#include "smtp/srs.h"

static const int64_t now = 1700000000;

static bool mac(const void *context, uint32_t n, struct bytes in, uint8_t *out)
{
    const struct bytes *secrets = context;
    check_hmac_of(check_sha1_of, CHECK_SHA1_BYTES, secrets[n], in, out);
    return true;
}

static bool no_mac(const void *context, uint32_t n, struct bytes in, uint8_t *out)
{
    (void)context, (void)n, (void)in, (void)out;
    return false;
}

static const struct bytes secrets[] = {BYTES_INIT("tnet"), BYTES_INIT("old")};
static const struct smtp_srs site = {mac, secrets, 2, BYTES_INIT("ours.example"), 4, SMTP_SRS_AGE_DAYS};

static void read_address(struct bytes text, struct smtp_address *a)
{
    assert_int_equal(smtp_mailbox_parse(text, true, a), SMTP_ADDRESS_OK);
}

struct srs_case {
    struct bytes sender, rewritten;
};

static const struct srs_case cases[] = { /* hashes computed elsewhere, with HMAC-SHA-1 */
    {BYTES_INIT("mouse@example.com"), BYTES_INIT("SRS0=w41f=G3=example.com=mouse@ours.example")},
    {BYTES_INIT("SRS0=w41f=G3=example.com=mouse@forward.example"), BYTES_INIT("SRS1=/NRp=forward.example==w41f=G3=example.com=mouse@ours.example")},
    {BYTES_INIT("srs0+x=y=z@forward.example"), BYTES_INIT("SRS1=CpIw=forward.example=+x=y=z@ours.example")},
    {BYTES_INIT("SRS1=abcd=forward.example=+x=y=z@second.example"), BYTES_INIT("SRS1=CpIw=forward.example=+x=y=z@ours.example")},
    {BYTES_INIT("\"a b\"@example.com"), BYTES_INIT("\"SRS0=v/ug=G3=example.com=a b\"@ours.example")},
};

static void test_srs_forward_known_hashes_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_address sender, out;
        read_address(cases[i].sender, &sender);
        assert_int_equal(smtp_srs_forward(&site, &sender, now, &out), SMTP_SRS_DONE);
        assert_true(bytes_equal(out.whole, cases[i].rewritten));
    }
}

static void test_srs_reverse_gives_back_what_was_rewritten(void **state)
{
    (void)state;
    static const struct bytes senders[] = {
        BYTES_INIT("mouse@example.com"), BYTES_INIT("a=b=c@example.com"), BYTES_INIT("\"a \\\"b\\\\ c\"@example.com"), BYTES_INIT("\"\"@example.com"),
        BYTES_INIT("x@[192.0.2.1]"), BYTES_INIT("srs0@example.com"), BYTES_INIT("SRS1=x@example.com"), BYTES_INIT("gr\xc3\xbc\xc3\x9f@example.com"),
        BYTES_INIT("SRS0=xxxx=yy=z=w@example.com"), BYTES_INIT("SRS0-xxxx=yy=z=w@example.com"),
    };
    for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
        struct smtp_address sender, out, back;
        read_address(senders[i], &sender);
        assert_int_equal(smtp_srs_forward(&site, &sender, now, &out), SMTP_SRS_DONE);
        assert_int_equal(smtp_srs_reverse(&site, &out, now + 21 * 86400, &back), SMTP_SRS_DONE);
        assert_true(bytes_equal(back.whole, sender.whole));
    }
}

struct reverse_case {
    struct bytes local;
    enum smtp_srs_result want;
};

static void test_srs_reverse_only_ours_in_time(void **state)
{
    (void)state;
    static const struct reverse_case reverse_cases[] = {
        {BYTES_INIT("SRS0=w41f=G3=example.com=mouse"), SMTP_SRS_DONE},      {BYTES_INIT("srs0=W41F=g3=EXAMPLE.com=Mouse"), SMTP_SRS_DONE},
        {BYTES_INIT("SRS0-w41f=G3=example.com=mouse"), SMTP_SRS_DONE},      {BYTES_INIT("SRS0=w41f0I=G3=example.com=mouse"), SMTP_SRS_DONE},
        {BYTES_INIT("SRS0=euxF=G3=example.com=mouse"), SMTP_SRS_DONE}, /* by the old secret */
        {BYTES_INIT("SRS0=w41=G3=example.com=mouse"), SMTP_SRS_FORGED},     {BYTES_INIT("SRS0=w41g=G3=example.com=mouse"), SMTP_SRS_FORGED},
        {BYTES_INIT("SRS0=w41f=G4=example.com=mouse"), SMTP_SRS_FORGED},    {BYTES_INIT("SRS0=w41f=G3=example.org=mouse"), SMTP_SRS_FORGED},
        {BYTES_INIT("SRS0=w41f=G3=example.com=house"), SMTP_SRS_FORGED},    {BYTES_INIT("SRS0=w41f=G3=example.com"), SMTP_SRS_BAD},
        {BYTES_INIT("SRS0=w41f=G1=example.com=mouse"), SMTP_SRS_BAD},       {BYTES_INIT("SRS0=w41f=GGG=example.com=mouse"), SMTP_SRS_BAD},
        {BYTES_INIT("SRS0==w41f=G3=example.com=mouse"), SMTP_SRS_BAD},      {BYTES_INIT("SRS0="), SMTP_SRS_BAD},
        {BYTES_INIT("SRS0"), SMTP_SRS_LEAVE},                               {BYTES_INIT("SRS2=w41f=G3=example.com=mouse"), SMTP_SRS_LEAVE},
        {BYTES_INIT("SRS1=CpIw=forward.example=+x=y=z"), SMTP_SRS_DONE},    {BYTES_INIT("SRS1=CpIx=forward.example=+x=y=z"), SMTP_SRS_FORGED},
        {BYTES_INIT("SRS1=CpIw=forward.example"), SMTP_SRS_BAD},            {BYTES_INIT("mouse"), SMTP_SRS_LEAVE},
    };
    for (size_t i = 0; i < sizeof(reverse_cases) / sizeof(reverse_cases[0]); i++) {
        uint8_t memory[128];
        struct buf text = BUF_OVER(memory);
        struct smtp_address recipient, out;
        buf_put(&text, reverse_cases[i].local);
        BUF_LIT(&text, "@ours.example");
        read_address(buf_bytes(&text), &recipient);
        assert_int_equal(smtp_srs_reverse(&site, &recipient, now, &out), reverse_cases[i].want);
    }
}

static void test_srs_stamp_age_is_counted_round_the_corner(void **state)
{
    (void)state;
    struct smtp_address sender, out, back;
    read_address(BYTES("mouse@example.com"), &sender);
    int64_t corner = (int64_t)1023 * 86400; /* the last stamp before they begin again */
    assert_int_equal(smtp_srs_forward(&site, &sender, corner, &out), SMTP_SRS_DONE);
    assert_int_equal(smtp_srs_reverse(&site, &out, corner + 86400, &back), SMTP_SRS_DONE);
    assert_int_equal(smtp_srs_reverse(&site, &out, corner + 21 * 86400, &back), SMTP_SRS_DONE);
    assert_int_equal(smtp_srs_reverse(&site, &out, corner + 22 * 86400, &back), SMTP_SRS_EXPIRED);
    assert_int_equal(smtp_srs_reverse(&site, &out, corner - 86400, &back), SMTP_SRS_DONE);
    assert_int_equal(smtp_srs_reverse(&site, &out, corner - 2 * 86400, &back), SMTP_SRS_EXPIRED);
}

static void test_srs_forward_what_needs_none_is_left(void **state)
{
    (void)state;
    struct smtp_address sender, out;
    uint32_t used;
    assert_int_equal(smtp_path_parse(BYTES("<>"), false, false, &sender, &used), SMTP_ADDRESS_EMPTY);
    assert_int_equal(smtp_srs_forward(&site, &sender, now, &out), SMTP_SRS_LEAVE);
    read_address(BYTES("me@Ours.Example"), &sender);
    assert_int_equal(smtp_srs_forward(&site, &sender, now, &out), SMTP_SRS_LEAVE);
}

static void test_srs_forward_too_long_or_without_mac_says_so(void **state)
{
    (void)state;
    struct smtp_address sender, out;
    struct smtp_srs broken = site;
    broken.mac = no_mac;
    uint8_t memory[320];
    memset(memory, 'a', sizeof(memory));
    struct buf text = buf_over(memory, sizeof(memory));
    text.len = 300;
    BUF_LIT(&text, "@example.com");
    read_address(buf_bytes(&text), &sender);
    assert_int_equal(smtp_srs_forward(&site, &sender, now, &out), SMTP_SRS_TOO_LONG);
    assert_int_equal(smtp_srs_forward(&broken, &sender, now, &out), SMTP_SRS_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_srs_forward_known_hashes_match),
        cmocka_unit_test(test_srs_reverse_gives_back_what_was_rewritten),
        cmocka_unit_test(test_srs_reverse_only_ours_in_time),
        cmocka_unit_test(test_srs_stamp_age_is_counted_round_the_corner),
        cmocka_unit_test(test_srs_forward_what_needs_none_is_left),
        cmocka_unit_test(test_srs_forward_too_long_or_without_mac_says_so),
    };
    return cmocka_run_group_tests_name("srs", tests, NULL, NULL);
}
