/*
 * Fuzzer of XCLIENT: what is taken is safe to log, and consistent.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct bytes text)
{
    must(text.len <= HOST_NAME_BYTES_MAX && bytes_is_utf8(text));
    for (uint32_t i = 0; i < text.len; i++) must(text.ptr[i] > ' ' && text.ptr[i] != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    struct smtp_xclient x;
    bool good = smtp_xclient_parse(bytes_of(data, (uint32_t)size), &x);
    must(good == (x.present != 0) && (x.unavailable & x.temporary) == 0);
    must(((x.unavailable | x.temporary) & ~x.present) == 0);
    check_text(x.name);
    check_text(x.helo);
    check_text(x.login);
    uint32_t valued = x.present & ~(x.unavailable | x.temporary);
    must((x.name.len > 0) == ((valued & SMTP_XCLIENT_BIT(SMTP_XCLIENT_NAME)) != 0));
    must((x.address.family != NET_NONE) == ((valued & SMTP_XCLIENT_BIT(SMTP_XCLIENT_ADDR)) != 0));
    must((x.destination.port != 0) == ((valued & SMTP_XCLIENT_BIT(SMTP_XCLIENT_DESTPORT)) != 0));
    return 0;
}
