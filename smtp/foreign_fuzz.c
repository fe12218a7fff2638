/* Fuzzer: any octets as the first of a connection, and as a line; a line that is foreign is so from its first octets on. */
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "smtp/foreign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    enum smtp_foreign first = smtp_foreign_first(in), line = smtp_foreign_line(in);
    must(first < SMTP_FOREIGN_COUNT && line < SMTP_FOREIGN_COUNT);
    if (line) must(first == line);
    must((smtp_foreign_name(first).len > 0) == (first != SMTP_FOREIGN_NONE));
    return 0;
}
