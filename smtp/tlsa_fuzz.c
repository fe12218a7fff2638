/*
 * Fuzzer of TLSA sets: what is chosen is usable, and when something is usable something is chosen.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/tlsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192) return 0;
    struct cursor c = cursor_over(bytes_of(data, (uint32_t)size));
    struct smtp_tlsa records[SMTP_TLSA_RECORDS_MAX];
    uint32_t count = 0, chosen, usable = 0;
    while (!c.failed && cursor_left(&c) > 0 && count < SMTP_TLSA_RECORDS_MAX) {
        uint32_t n = (uint32_t)cursor_le(&c, 1);
        if (smtp_tlsa_parse(cursor_take(&c, n), &records[count])) count++;
    }
    for (uint32_t i = 0; i < count; i++) usable |= smtp_tlsa_usable(&records[i]) ? UINT32_C(1) << i : 0;
    enum smtp_tlsa_demand demand = smtp_tlsa_choose(records, count, &chosen);
    must((chosen & ~usable) == 0 && (chosen != 0) == (usable != 0));
    must((demand == SMTP_TLSA_NONE) == (count == 0) && (demand == SMTP_TLSA_VERIFY) == (chosen != 0));
    return 0;
}
