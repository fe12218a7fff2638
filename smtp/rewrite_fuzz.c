/*
 * Fuzzer of rules: what is rewritten is an address again, with the target's domain.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2048) return 0;
    struct bytes rest = bytes_of(data, (uint32_t)size);
    uint32_t first = bytes_find(rest, '\n');
    struct bytes pattern = bytes_slice(rest, 0, first);
    rest = bytes_from(rest, first + 1);
    uint32_t second = bytes_find(rest, '\n');
    struct bytes target = bytes_slice(rest, 0, second), user, detail;
    struct smtp_address in, out;
    struct smtp_rewrite rule;
    if (smtp_mailbox_parse(bytes_from(rest, second + 1), true, &in) != SMTP_ADDRESS_OK) return 0;
    if (smtp_detail_split(in.local, bytes_slice(pattern, 0, 2), &user, &detail)) must(user.len > 0 && user.len + 1 + detail.len == in.local.len);
    if (!smtp_rewrite_parse(pattern, target, &rule)) return 0;
    if (smtp_rewrite_apply(&rule, &in, &out) != SMTP_REWRITE_DONE) return 0;
    must(bytes_equal_nocase(out.domain, rule.to_domain) && bytes_equal(out.local, rule.to_local.len > 0 ? rule.to_local : in.local));
    return 0;
}
