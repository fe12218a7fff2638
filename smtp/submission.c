/*
 * submission - see smtp/submission.h.
 */
#include "smtp/submission.h"

#include "smtp/base64.h"
#include "smtp/sasl.h"
#include "smtp/stamp.h"

enum { CODED_OCTETS_MAX = 42 }; /* of text in one encoded-word, which with its frame may have 75 (RFC 2047 2) */

uint32_t smtp_submission_missing(const struct smtp_header_scan *header)
{
    uint32_t missing = 0;
    if (!header->has_date) missing |= SMTP_SUBMISSION_DATE;
    if (!header->has_from) missing |= SMTP_SUBMISSION_FROM;
    if (!header->has_message_id) missing |= SMTP_SUBMISSION_MESSAGE_ID;
    return missing;
}

/* put_coded - encoded-words of RFC 2047, cut between characters, each on a line of its own. */
static void put_coded(struct buf *out, struct bytes text)
{
    bool first = true;
    while (text.len > 0) {
        uint32_t n = text.len < CODED_OCTETS_MAX ? text.len : CODED_OCTETS_MAX;
        while (n > 1 && n < text.len && (text.ptr[n] & 0xC0) == 0x80) n--;
        if (!first) BUF_LIT(out, "\r\n ");
        BUF_LIT(out, "=?utf-8?B?");
        smtp_base64_encode(out, bytes_slice(text, 0, n));
        BUF_LIT(out, "?=");
        text = bytes_from(text, n);
        first = false;
    }
}

static void put_name(struct buf *out, struct bytes name)
{
    if (!smtp_sasl_text_valid(name, SMTP_SUBMISSION_NAME_BYTES_MAX)) return;
    if (!bytes_is_ascii(name)) {
        put_coded(out, name);
        buf_put_c(out, ' ');
        return;
    }
    buf_put_c(out, '"');
    for (uint32_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"' || name.ptr[i] == '\\') buf_put_c(out, '\\');
        buf_put_c(out, name.ptr[i]);
    }
    BUF_LIT(out, "\" ");
}

static void put_from(struct buf *out, const struct smtp_submission *s)
{
    BUF_LIT(out, "From: ");
    put_name(out, s->name);
    buf_put_c(out, '<');
    if (s->sender.len > 0) {
        buf_put(out, s->sender);
    } else {
        BUF_LIT(out, "MAILER-DAEMON@");
        buf_put(out, s->host);
    }
    BUF_LIT(out, ">\r\n");
}

void smtp_submission_write(struct buf *out, uint32_t fields, const struct smtp_submission *s)
{
    if (fields & SMTP_SUBMISSION_DATE) {
        BUF_LIT(out, "Date: ");
        smtp_date_write(out, s->wall_s);
        BUF_LIT(out, "\r\n");
    }
    if (fields & SMTP_SUBMISSION_FROM) put_from(out, s);
    if (fields & SMTP_SUBMISSION_MESSAGE_ID) {
        BUF_LIT(out, "Message-ID: <");
        buf_put(out, s->unique);
        buf_put_c(out, '@');
        buf_put(out, s->host);
        BUF_LIT(out, ">\r\n");
    }
}
