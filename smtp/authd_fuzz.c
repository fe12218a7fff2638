/*
 * Fuzzer of the authentication server's lines; and of ours, which are one line whatever is put into them.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/authd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    uint8_t memory[1024], line_memory[16384];
    struct buf scratch = BUF_OVER(memory), out = BUF_OVER(line_memory);
    struct smtp_authd_line line = smtp_authd_parse(in, &scratch);
    must(line.kind <= SMTP_AUTHD_FAIL && line.failure <= SMTP_AUTHD_NOT_ALLOWED);
    if (line.kind == SMTP_AUTHD_OK) must(smtp_sasl_text_valid(line.text, SMTP_SASL_NAME_BYTES_MAX));
    if (line.kind == SMTP_AUTHD_BAD) must(line.text.len == 0);

    struct smtp_authd_request request = {.id = 1, .mechanism = BYTES("PLAIN"), .certificate = true, .certificate_user = in, .has_initial = true};
    request.initial = bytes_from(in, in.len / 2);
    if (smtp_authd_auth(&out, &request)) {
        must(bytes_find(buf_bytes(&out), '\n') == out.len - 1 && bytes_find(buf_bytes(&out), 0) == out.len);
        line = smtp_authd_parse(bytes_slice(buf_bytes(&out), 0, out.len - 1), &scratch);
        must(line.kind == SMTP_AUTHD_OTHER);
    }
    out.len = 0;
    if (smtp_authd_cont(&out, 9, in)) {
        line = smtp_authd_parse(bytes_slice(buf_bytes(&out), 0, out.len - 1), &scratch);
        must(line.kind == SMTP_AUTHD_CONT && line.id == 9 && bytes_equal(line.text, in));
    }
    return 0;
}
