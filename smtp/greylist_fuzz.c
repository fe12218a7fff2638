/*
 * Fuzzer of greylisting keys: they fit, do not depend on letters' case, and a client's network is the same for all of it.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "smtp/address.h"
#include "smtp/greylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 18 || size > 1024) return 0;
    struct net_address a = {.family = data[0] & 1 ? NET_IPV6 : NET_IPV4}, b = a;
    memcpy(a.ip, data + 1, a.family == NET_IPV6 ? 16 : 4);
    b = a;
    b.ip[a.family == NET_IPV6 ? 15 : 3] ^= data[17];
    struct smtp_address sender, recipient;
    struct bytes in = bytes_of(data + 18, (uint32_t)size - 18);
    uint32_t end = bytes_find(in, '\n');
    if (smtp_mailbox_parse(bytes_slice(in, 0, end), true, &sender) != SMTP_ADDRESS_OK) return 0;
    if (smtp_mailbox_parse(bytes_from(in, end + 1), true, &recipient) != SMTP_ADDRESS_OK) return 0;
    uint8_t one[SMTP_GREYLIST_KEY_BYTES_MAX], other[SMTP_GREYLIST_KEY_BYTES_MAX];
    struct buf first = BUF_OVER(one), second = BUF_OVER(other);
    smtp_greylist_key(&first, &a, 24, 64, sender.whole, recipient.whole);
    for (uint32_t i = 0; i < sender.whole.len; i++) sender.store[i] = ascii_lower(sender.store[i]);
    smtp_greylist_key(&second, &b, 24, 64, sender.whole, recipient.whole);
    must(!first.overflow && !second.overflow && bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    return 0;
}
