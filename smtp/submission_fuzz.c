/*
 * Fuzzer of added fields: whatever name and sender, they are three fields, and nothing is missing behind them.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/address.h"
#include "smtp/submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1024) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size);
    uint32_t end = bytes_find(in, '\n');
    struct smtp_address sender;
    if (smtp_mailbox_parse(bytes_slice(in, 0, end), true, &sender) != SMTP_ADDRESS_OK) sender.whole = BYTES("");
    uint8_t memory[SMTP_SUBMISSION_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    struct smtp_submission s = {sender.whole, bytes_from(in, end + 1), BYTES("ours.example"), BYTES("ABC"), 0};
    smtp_submission_write(&out, SMTP_SUBMISSION_DATE | SMTP_SUBMISSION_FROM | SMTP_SUBMISSION_MESSAGE_ID, &s);
    must(!out.overflow);
    struct smtp_header_scan scan;
    smtp_header_init(&scan);
    smtp_header_feed(&scan, buf_bytes(&out));
    must(!scan.done && smtp_submission_missing(&scan) == 0);
    uint32_t fields = 0;
    for (uint32_t i = 0; i < out.len; i++) {
        uint8_t c = out.ptr[i];
        must((c >= ' ' && c != 127) || c == '\r' || c == '\n');
        if (c == '\n') must(out.ptr[i - 1] == '\r');
        if (c == '\n' && (i + 1 == out.len || out.ptr[i + 1] != ' ')) fields++;
    }
    must(fields == 3);
    return 0;
}
