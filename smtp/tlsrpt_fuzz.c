/*
 * Fuzzer of TLS reports: records of strangers, and their words inside a report, which stays JSON with the same members.
 */
#include <stddef.h>

#include "base/json.h"
#include "base/must.h"
#include "smtp/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_report(struct bytes in)
{
    uint8_t memory[64 * 1024];
    struct buf out = BUF_OVER(memory);
    struct smtp_tlsrpt_report report = {BYTES("ours"), BYTES("tls@ours.example"), BYTES("1"), 0, 86399};
    struct smtp_tlsrpt_policy policy = {SMTP_TLSRPT_STS, in, in, in, 1, 2};
    struct smtp_tlsrpt_failure failure = {.result = SMTP_TLSRPT_VALIDATION_FAILURE, .mx_host = in, .mx_helo = in, .reason = in, .sessions = 2};
    smtp_tlsrpt_begin(&out, &report);
    smtp_tlsrpt_policy(&out, &policy);
    smtp_tlsrpt_failure(&out, &failure);
    smtp_tlsrpt_policy_end(&out);
    smtp_tlsrpt_end(&out);
    must(!out.overflow);
    struct bytes policies, one, summary, failures;
    must(json_member(buf_bytes(&out), "policies", &policies));
    struct bytes rest = json_elements(policies);
    must(json_next(&rest, &one) && rest.len == 0);
    must(json_member(one, "summary", &summary) && json_member(summary, "total-failure-session-count", &summary) && json_number(summary) == 2);
    must(json_member(one, "failure-details", &failures));
    for (uint32_t i = 0; i < out.len; i++) must(out.ptr[i] >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1024) return 0;
    struct bytes in = bytes_of(data, (uint32_t)size), rua, uri;
    if (smtp_tlsrpt_record_parse(in, &rua)) {
        uint32_t left = rua.len + 1;
        while (smtp_tlsrpt_uri_next(&rua, &uri) != SMTP_TLSRPT_END) {
            must(uri.len > 0 && rua.len < left);
            left = rua.len;
        }
        must(rua.len == 0);
    }
    check_report(in);
    uint8_t memory[4096];
    struct buf name = BUF_OVER(memory);
    smtp_tlsrpt_file_name(&name, in, in, 0, 1);
    must(bytes_find(buf_bytes(&name), '/') == name.len && bytes_find(buf_bytes(&name), 0) == name.len);
    return 0;
}
