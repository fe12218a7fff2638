/*
 * Fuzzer of SRS: whatever address is rewritten comes back; whatever is unfolded is an address.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/srs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool cheap_mac(const void *context, uint32_t n, struct bytes in, uint8_t *out)
{
    (void)context;
    memset(out, (int)n, SMTP_SRS_MAC_BYTES);
    for (uint32_t i = 0; i < in.len; i++) out[i % SMTP_SRS_MAC_BYTES] = (uint8_t)(out[i % SMTP_SRS_MAC_BYTES] * 31 + in.ptr[i]);
    return true;
}

/* zero_mac - one that is easy to meet: hash "AAAA". */
static bool zero_mac(const void *context, uint32_t n, struct bytes in, uint8_t *out)
{
    (void)context, (void)n, (void)in;
    memset(out, 0, SMTP_SRS_MAC_BYTES);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1024) return 0;
    struct smtp_srs site = {cheap_mac, NULL, 1 + data[0] % 3u, BYTES("ours.example"), 4 + data[0] % 16u, SMTP_SRS_AGE_DAYS};
    int64_t now = (int64_t)data[1] * 86400 * 11;
    struct smtp_address in, out, back;
    if (smtp_mailbox_parse(bytes_of(data + 2, (uint32_t)size - 2), true, &in) != SMTP_ADDRESS_OK) return 0;
    enum smtp_srs_result result = smtp_srs_forward(&site, &in, now, &out);
    must(result == SMTP_SRS_DONE || result == SMTP_SRS_LEAVE || result == SMTP_SRS_TOO_LONG);
    if (result == SMTP_SRS_DONE) {
        must(bytes_equal(out.domain, site.domain));
        result = smtp_srs_reverse(&site, &out, now, &back);
        /* An SRS1 of ours is rewritten to name its first forwarder, so that something else comes back; all others are the same again. */
        must(result == SMTP_SRS_DONE || result == SMTP_SRS_BAD || result == SMTP_SRS_TOO_LONG);
        must(result == SMTP_SRS_DONE || bytes_starts_nocase(in.whole, BYTES("srs1")) || bytes_starts_nocase(in.whole, BYTES("\"srs1")));
        if (!bytes_starts_nocase(in.local, BYTES("srs")) && !bytes_starts_nocase(in.local, BYTES("\"srs"))) must(bytes_equal(back.whole, in.whole));
    }
    site.mac = zero_mac;
    if (smtp_srs_reverse(&site, &in, now, &back) != SMTP_SRS_DONE) return 0;
    must(back.whole.len > 0 && bytes_starts_nocase(in.local.ptr[0] == '"' ? bytes_from(in.local, 1) : in.local, BYTES("srs")));
    return 0;
}
