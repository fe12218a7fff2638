/*
 * Fuzzer of addresses: what is taken is safe to write into a command, a header or a log, and parses to itself.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_safe(const struct smtp_address *a, bool allow_utf8)
{
    must(a->whole.len > 0 && a->whole.len <= MAIL_ADDRESS_BYTES_MAX);
    must(a->domain.len <= MAIL_DOMAIN_BYTES_MAX);
    must(a->non_ascii == !bytes_is_ascii(a->whole));
    must(!a->non_ascii || (allow_utf8 && bytes_is_utf8(a->whole)));
    for (uint32_t i = 0; i < a->whole.len; i++) must(a->whole.ptr[i] >= ' ' && a->whole.ptr[i] != 127);
    if (a->domain.len == 0) return;
    must(a->local.len + 1 + a->domain.len == a->whole.len && a->whole.ptr[a->local.len] == '@');
    must(bytes_find(a->domain, '@') == a->domain.len && bytes_find(a->domain, ' ') == a->domain.len);
    must(smtp_domain_valid(a->domain, allow_utf8) || smtp_literal_valid(a->domain));
    /* Whoever splits at the last '@' finds the same parts. */
    must(bytes_find_last(a->whole, '@') == a->local.len);
}

static void check_parses_to_itself(const struct smtp_address *a, bool allow_utf8)
{
    struct smtp_address again;
    if (a->domain.len == 0) return;
    must(smtp_mailbox_parse(a->whole, allow_utf8, &again) == SMTP_ADDRESS_OK);
    must(bytes_equal(again.whole, a->whole));
}

static void check_xtext(struct bytes text)
{
    uint8_t memory[1024], coded_memory[3 * 1024];
    struct buf out = BUF_OVER(memory), coded = BUF_OVER(coded_memory);
    if (text.len > sizeof(memory)) return;
    must(smtp_xtext_decode(text, &out) == smtp_xtext_valid(text));
    out.len = 0;
    smtp_xtext_encode(&coded, text);
    must(!coded.overflow && smtp_xtext_decode(buf_bytes(&coded), &out));
    must(bytes_equal(buf_bytes(&out), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) return 0;
    bool allow_utf8 = data[0] & 1, bare_postmaster = data[0] & 2;
    struct bytes in = bytes_of(data + 1, (uint32_t)size - 1);
    struct smtp_address a;
    uint32_t used = 0;
    enum smtp_address_result result = smtp_path_parse(in, allow_utf8, bare_postmaster, &a, &used);
    must(used <= in.len);
    if (result == SMTP_ADDRESS_OK) {
        must(in.ptr[used - 1] == '>');
        check_safe(&a, allow_utf8);
        check_parses_to_itself(&a, allow_utf8);
    } else {
        must(a.whole.len == 0 && a.local.len == 0 && a.domain.len == 0);
    }
    if (smtp_mailbox_parse(in, allow_utf8, &a) == SMTP_ADDRESS_OK) check_safe(&a, allow_utf8);
    check_xtext(in);
    return 0;
}
