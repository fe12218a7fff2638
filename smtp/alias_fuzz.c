/*
 * Fuzzer of alias texts: the reader always moves on, and what it hands out has no control octet.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/alias.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192) return 0;
    struct smtp_alias_reader r;
    struct bytes value;
    bool list = data[0] & 1, entry = list;
    uint32_t line = 0, last = 0;
    smtp_alias_init(&r, bytes_of(data + 1, (uint32_t)size - 1), list);
    for (;;) {
        enum smtp_alias_event event = smtp_alias_next(&r, &value);
        must(r.pos <= r.text.len && r.line >= line);
        line = r.line;
        if (event == SMTP_ALIAS_END) break;
        must(r.pos > last); /* each event takes something */
        last = r.pos;
        must(event != SMTP_ALIAS_NAME || !list);
        must(entry || event == SMTP_ALIAS_NAME || event == SMTP_ALIAS_BAD);
        if (event == SMTP_ALIAS_NAME || event == SMTP_ALIAS_BAD) entry = list || event == SMTP_ALIAS_NAME;
        must(value.len > 0 && value.len <= SMTP_ALIAS_VALUE_BYTES_MAX);
        for (uint32_t i = 0; i < value.len; i++) must(value.ptr[i] >= ' ' && value.ptr[i] != 127);
        must(event != SMTP_ALIAS_FILE || value.ptr[0] == '/');
    }
    must(r.pos == r.text.len);
    return 0;
}
