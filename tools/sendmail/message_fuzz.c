/*
 * Any octets as a message: what is made of them has CR LF line ends only, an empty line behind a header, and body lines of a lawful length.
 */
#include <stdlib.h>

#include "base/must.h"
#include "sendmail.h"
#include "smtp/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int complain(int code, const char *what, struct bytes text)
{
    (void)what;
    (void)text;
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 64 * 1024) return 0;
    const struct job j = {.from_header = data[0] & 1, .dot_is_text = data[0] & 2, .gateway = data[0] & 4, .name = "N"};
    struct content out = {0};
    content_make(&j, bytes_of(data + 1, (uint32_t)size - 1), BYTES("me@d.example"), BYTES("d.example"), &out);
    struct bytes text = grown_bytes(&out.text);
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') must(i > 0 && text.ptr[i - 1] == '\r');
        if (text.ptr[i] == '\r') must(i + 1 < text.len && text.ptr[i + 1] == '\n');
    }
    struct smtp_header_scan scan;
    smtp_header_init(&scan);
    smtp_header_feed(&scan, text);
    must(scan.done && (j.gateway || scan.has_from));
    struct bytes body = bytes_from(text, (uint32_t)scan.header_bytes);
    while (body.len > 0) {
        uint32_t line = bytes_find(body, '\r');
        must(line <= CONTENT_LINE_BYTES_MAX);
        body = bytes_from(body, line + 2);
    }
    free(out.text.ptr);
    free(out.recipients.octets.ptr);
    free(out.recipients.ends);
    return 0;
}
