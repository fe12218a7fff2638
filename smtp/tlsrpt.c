/*
 * tlsrpt - see smtp/tlsrpt.h.
 */
#include "smtp/tlsrpt.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/must.h"

static const struct bytes result_names[SMTP_TLSRPT_RESULT_COUNT] = {
    [SMTP_TLSRPT_STARTTLS_NOT_SUPPORTED] = BYTES_INIT("starttls-not-supported"),
    [SMTP_TLSRPT_CERTIFICATE_HOST_MISMATCH] = BYTES_INIT("certificate-host-mismatch"),
    [SMTP_TLSRPT_CERTIFICATE_EXPIRED] = BYTES_INIT("certificate-expired"),
    [SMTP_TLSRPT_CERTIFICATE_NOT_TRUSTED] = BYTES_INIT("certificate-not-trusted"),
    [SMTP_TLSRPT_VALIDATION_FAILURE] = BYTES_INIT("validation-failure"),
    [SMTP_TLSRPT_TLSA_INVALID] = BYTES_INIT("tlsa-invalid"),
    [SMTP_TLSRPT_DNSSEC_INVALID] = BYTES_INIT("dnssec-invalid"),
    [SMTP_TLSRPT_DANE_REQUIRED] = BYTES_INIT("dane-required"),
    [SMTP_TLSRPT_STS_POLICY_FETCH_ERROR] = BYTES_INIT("sts-policy-fetch-error"),
    [SMTP_TLSRPT_STS_POLICY_INVALID] = BYTES_INIT("sts-policy-invalid"),
    [SMTP_TLSRPT_STS_WEBPKI_INVALID] = BYTES_INIT("sts-webpki-invalid"),
};

struct bytes smtp_tlsrpt_result_name(enum smtp_tlsrpt_result result)
{
    must(result < SMTP_TLSRPT_RESULT_COUNT);
    return result_names[result];
}

/* ---- the record ---- */

bool smtp_tlsrpt_record_parse(struct bytes text, struct bytes *rua)
{
    struct bytes version = BYTES("v=TLSRPTv1"), found = BYTES("");
    if (!bytes_starts(text, version)) return false;
    struct bytes rest = bytes_trim(bytes_from(text, version.len));
    if (rest.len == 0 || rest.ptr[0] != ';') return false;
    rest = bytes_from(rest, 1);
    while (bytes_trim(rest).len > 0) {
        uint32_t end = bytes_find(rest, ';');
        struct bytes field = bytes_trim(bytes_slice(rest, 0, end));
        rest = bytes_from(rest, end + 1);
        if (bytes_find(field, '=') == field.len || field.ptr[0] == '=') return false;
        if (!bytes_starts(field, BYTES("rua="))) continue; /* extensions */
        if (found.len > 0) return false;
        found = bytes_trim(bytes_from(field, 4));
        if (found.len == 0) return false;
    }
    if (found.len == 0) return false;
    *rua = found;
    return true;
}

/* uri_valid - visible ASCII, of a length that something can be done with. */
static bool uri_valid(struct bytes uri)
{
    for (uint32_t i = 0; i < uri.len; i++) {
        if (uri.ptr[i] <= ' ' || uri.ptr[i] > '~') return false;
    }
    return uri.len <= SMTP_TLSRPT_URI_BYTES_MAX;
}

enum smtp_tlsrpt_uri smtp_tlsrpt_uri_next(struct bytes *rua, struct bytes *uri)
{
    struct bytes mailto = BYTES("mailto:"), https = BYTES("https://");
    while (rua->len > 0) {
        uint32_t end = bytes_find(*rua, ',');
        struct bytes one = bytes_trim(bytes_slice(*rua, 0, end));
        *rua = bytes_from(*rua, end + 1);
        if (!uri_valid(one)) continue;
        if (bytes_starts_nocase(one, https) && one.len > https.len) {
            *uri = one;
            return SMTP_TLSRPT_HTTPS;
        }
        if (bytes_starts_nocase(one, mailto) && one.len > mailto.len) {
            *uri = bytes_from(one, mailto.len);
            return SMTP_TLSRPT_MAILTO;
        }
    }
    return SMTP_TLSRPT_END;
}

/* ---- the report ---- */

/* put_time - RFC 3339, in UTC. */
static void put_time(struct buf *out, const char *key, int64_t wall_s)
{
    uint8_t memory[32];
    struct buf text = BUF_OVER(memory);
    struct civil t = clock_civil(wall_s < 0 ? 0 : wall_s);
    buf_put_pad(&text, (uint64_t)t.year, 4);
    buf_put_c(&text, '-');
    buf_put_pad(&text, t.month, 2);
    buf_put_c(&text, '-');
    buf_put_pad(&text, t.day, 2);
    buf_put_c(&text, 'T');
    buf_put_pad(&text, t.hour, 2);
    buf_put_c(&text, ':');
    buf_put_pad(&text, t.minute, 2);
    buf_put_c(&text, ':');
    buf_put_pad(&text, t.second, 2);
    buf_put_c(&text, 'Z');
    json_text(out, key, buf_bytes(&text));
}

/* put_lines - an array of the lines of a text that are not empty. */
static void put_lines(struct buf *out, const char *key, struct bytes text)
{
    json_open(out, key, '[');
    while (text.len > 0) {
        uint32_t end = bytes_find(text, '\n');
        struct bytes line = bytes_slice(text, 0, end);
        text = bytes_from(text, end + 1);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
        if (line.len > 0) json_text(out, NULL, line);
    }
    json_close(out, ']');
}

static void put_address(struct buf *out, const char *key, const struct net_address *a)
{
    uint8_t memory[NET_TEXT_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (a->family == NET_NONE) return;
    net_print_ip(&text, a);
    json_text(out, key, buf_bytes(&text));
}

static void put_some(struct buf *out, const char *key, struct bytes text)
{
    if (text.len > 0) json_text(out, key, text);
}

void smtp_tlsrpt_begin(struct buf *out, const struct smtp_tlsrpt_report *report)
{
    json_open(out, NULL, '{');
    json_text(out, "organization-name", report->organization);
    json_open(out, "date-range", '{');
    put_time(out, "start-datetime", report->begin_s);
    put_time(out, "end-datetime", report->end_s);
    json_close(out, '}');
    json_text(out, "contact-info", report->contact);
    json_text(out, "report-id", report->report_id);
    json_open(out, "policies", '[');
}

void smtp_tlsrpt_policy(struct buf *out, const struct smtp_tlsrpt_policy *policy)
{
    static const char *const types[] = {"no-policy-found", "tlsa", "sts"};
    json_open(out, NULL, '{');
    json_open(out, "policy", '{');
    json_cstr(out, "policy-type", types[policy->type]);
    if (policy->text.len > 0) put_lines(out, "policy-string", policy->text);
    json_text(out, "policy-domain", policy->domain);
    if (policy->mx.len > 0) put_lines(out, "mx-host", policy->mx);
    json_close(out, '}');
    json_open(out, "summary", '{');
    json_u64(out, "total-successful-session-count", policy->successes);
    json_u64(out, "total-failure-session-count", policy->failures);
    json_close(out, '}');
    json_open(out, "failure-details", '[');
}

void smtp_tlsrpt_failure(struct buf *out, const struct smtp_tlsrpt_failure *failure)
{
    json_open(out, NULL, '{');
    json_text(out, "result-type", smtp_tlsrpt_result_name(failure->result));
    put_address(out, "sending-mta-ip", &failure->sending);
    put_some(out, "receiving-mx-hostname", failure->mx_host);
    put_some(out, "receiving-mx-helo", failure->mx_helo);
    put_address(out, "receiving-ip", &failure->receiving);
    json_u64(out, "failed-session-count", failure->sessions);
    put_some(out, "failure-reason-code", failure->reason);
    json_close(out, '}');
}

void smtp_tlsrpt_policy_end(struct buf *out)
{
    json_close(out, ']');
    json_close(out, '}');
}

void smtp_tlsrpt_end(struct buf *out)
{
    json_close(out, ']');
    json_close(out, '}');
}

static void put_name(struct buf *out, struct bytes name)
{
    for (uint32_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool plain = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || (c == '.' && i > 0);
        buf_put_c(out, plain ? c : '_');
    }
}

void smtp_tlsrpt_file_name(struct buf *out, struct bytes sender, struct bytes domain, int64_t begin_s, int64_t end_s)
{
    put_name(out, sender);
    buf_put_c(out, '!');
    put_name(out, domain);
    buf_put_c(out, '!');
    buf_put_i64(out, begin_s);
    buf_put_c(out, '!');
    buf_put_i64(out, end_s);
    BUF_LIT(out, ".json");
}
