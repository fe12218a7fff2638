/*
 * dsn - see smtp/dsn.h.
 *
 * Foreign text gets into a report by two ways only. put_plain() is for what must not be folded (addresses, names): it is cut
 * to its limit and stays on its line. field_text() is for words: it may be folded, and a folded line starts with a space. By
 * both, controls become '?', so that no line of a report but those of the returned content starts with anything that does
 * not stand in this file.
 */
#include "smtp/dsn.h"

#include <string.h>

#include "base/must.h"
#include "smtp/address.h"
#include "smtp/reply.h"
#include "smtp/stamp.h"

enum {
    FOLD_COLUMN = 64,       /* a space behind this column becomes a fold; RFC 5322 2.1.1 wants 78 */
    TYPE_BYTES_MAX = 64,    /* an address type is a short word */
    FOLD_HARD_COLUMN = 240, /* a word that goes on behind this one is broken: far below 998, far above a name or URL */
};

/*              kind       action       subject                                        what it says to people */
#define KINDS(K) \
    K(FAILED,    "failed",    "Undelivered mail returned to sender", \
      "Your message could not be delivered to the recipients listed below.\r\nIt will not be tried again for them.\r\n") \
    K(DELAYED,   "delayed",   "Delayed mail: still being tried", \
      "Your message has not been delivered yet to the recipients listed below.\r\nYou need not send it again: it is still being tried.\r\n") \
    K(DELIVERED, "delivered", "Mail was delivered", \
      "Your message was delivered to the recipients listed below, as you asked\r\nto be told.\r\n") \
    K(RELAYED,   "relayed",   "Mail was passed on", \
      "Your message was passed on to a system that does not report deliveries.\r\nYou may hear no more of it for the recipients listed below.\r\n") \
    K(EXPIRED,   "failed",    "Undelivered mail returned to sender: its time has run out", \
      "Your message could not be delivered in time to the recipients listed\r\nbelow. It will not be tried again for them.\r\n")

#define KIND_ROW(kind, action, subject, words) [SMTP_DSN_##kind] = {BYTES_INIT(action), BYTES_INIT(subject), BYTES_INIT(words)},
static const struct {
    struct bytes action, subject, words;
} kinds[] = {KINDS(KIND_ROW)};

static uint8_t safe_octet(uint8_t c, bool keep_8bit)
{
    if (c < ' ' || c == 127) return '?';
    return c > 127 && !keep_8bit ? '?' : c;
}

/* keeps_8bit - UTF-8 stands as it is in a report of RFC 6533; anything else over 127 nowhere. */
static bool keeps_8bit(const struct smtp_dsn *d, struct bytes text)
{
    return d->utf8 && bytes_is_utf8(text);
}

/* put_plain - foreign text that must stay in one piece, on its line. */
static void put_plain(struct buf *out, const struct smtp_dsn *d, struct bytes text, uint32_t max)
{
    text = bytes_slice(text, 0, max);
    bool keep = keeps_8bit(d, text);
    for (uint32_t i = 0; i < text.len; i++) buf_put_c(out, safe_octet(text.ptr[i], keep));
}

static void put_host(struct buf *out, const struct smtp_dsn *d, struct bytes name)
{
    put_plain(out, d, name, HOST_NAME_BYTES_MAX);
}

static void put_address(struct buf *out, const struct smtp_dsn *d, struct bytes address)
{
    put_plain(out, d, address, MAIL_ADDRESS_BYTES_MAX);
}

struct field {
    struct buf *out;
    const struct smtp_dsn *d;
    struct bytes fold; /* CR LF and what the next line starts with */
    uint32_t column;
    bool space;        /* one is due before the next word */
};

static struct field field_begin(struct buf *out, const struct smtp_dsn *d, struct bytes start, struct bytes fold)
{
    buf_put(out, start);
    return (struct field){out, d, fold, start.len, false};
}

static void field_octet(struct field *f, uint8_t c, bool continues)
{
    bool fold = f->space ? f->column >= FOLD_COLUMN : f->column >= FOLD_HARD_COLUMN && !continues;
    if (fold) {
        buf_put(f->out, f->fold);
        f->column = f->fold.len - 2;
    } else if (f->space) {
        buf_put_c(f->out, ' ');
        f->column++;
    }
    f->space = false;
    buf_put_c(f->out, c);
    f->column++;
}

/* field_text - words; any run of spaces, tabs and line ends among them is one space, or a fold. */
static void field_text(struct field *f, struct bytes text)
{
    text = bytes_slice(text, 0, REPLY_TEXT_BYTES_MAX);
    bool keep = keeps_8bit(f->d, text);
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') f->space = true;
        else field_octet(f, safe_octet(c, keep), keep && (c & 0xC0) == 0x80);
    }
}

static void field_end(struct field *f)
{
    BUF_LIT(f->out, "\r\n");
}

/* field_reply - the reply code before the words, when there was a reply. */
static void field_reply(struct field *f, const struct verdict *v)
{
    uint8_t memory[8];
    struct buf code = BUF_OVER(memory);
    if (v->code != 0) {
        buf_put_u64(&code, v->code);
        buf_put_c(&code, ' ');
    }
    field_text(f, buf_bytes(&code));
    field_text(f, v->text);
}

static void put_date_field(struct buf *out, struct bytes name, int64_t wall_s)
{
    buf_put(out, name);
    smtp_date_write(out, wall_s);
    BUF_LIT(out, "\r\n");
}

enum { BOUNDARY_BYTES = 9 + 16 };
static void put_boundary(struct buf *out, const struct smtp_dsn *d)
{
    BUF_LIT(out, "bulkhead-");
    buf_put_hex(out, d->boundary_seed, 16);
}

/* begin_part - the delimiter and a part's own header. */
static void begin_part(struct buf *out, const struct smtp_dsn *d, struct bytes type, bool is_8bit)
{
    BUF_LIT(out, "\r\n--");
    put_boundary(out, d);
    BUF_LIT(out, "\r\nContent-Type: ");
    buf_put(out, type);
    BUF_LIT(out, "\r\nContent-Transfer-Encoding: ");
    buf_put(out, is_8bit ? BYTES("8bit") : BYTES("7bit"));
    BUF_LIT(out, "\r\n\r\n");
}

static void put_header(struct buf *out, const struct smtp_dsn *d)
{
    BUF_LIT(out, "From: Mail Delivery System <MAILER-DAEMON@");
    put_host(out, d, d->reporting_mta);
    BUF_LIT(out, ">\r\nTo: <");
    put_address(out, d, d->to);
    BUF_LIT(out, ">\r\nSubject: ");
    buf_put(out, kinds[d->kind].subject);
    put_date_field(out, BYTES("\r\nDate: "), d->now_wall_s);
    BUF_LIT(out, "Message-ID: <");
    put_plain(out, d, d->own_id, HOST_NAME_BYTES_MAX);
    buf_put_c(out, '@');
    put_host(out, d, d->reporting_mta);
    BUF_LIT(out, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                 "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
    put_boundary(out, d);
    /* What is returned may have octets over 127 (RFC 2045 6.4: the outer part must then say so); it is not known yet. */
    BUF_LIT(out, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis is a report in several parts, as RFC 6522 defines it.\r\n");
}

void smtp_dsn_begin(struct buf *out, const struct smtp_dsn *d)
{
    must((uint32_t)d->kind < sizeof(kinds) / sizeof(*kinds));
    put_header(out, d);
    begin_part(out, d, d->utf8 ? BYTES("text/plain; charset=utf-8") : BYTES("text/plain; charset=us-ascii"), d->utf8);
    BUF_LIT(out, "This is the mail system at host ");
    put_host(out, d, d->reporting_mta);
    BUF_LIT(out, ".\r\n\r\n");
    buf_put(out, kinds[d->kind].words);
    if (d->kind == SMTP_DSN_DELAYED && d->retry_until_wall_s != 0) put_date_field(out, BYTES("It will be given up at "), d->retry_until_wall_s);
    BUF_LIT(out, "\r\nIf you ask a postmaster for help, quote this report. Your message was\r\ntaken here at ");
    smtp_date_write(out, d->arrival_wall_s);
    BUF_LIT(out, "\r\nand has the number ");
    put_plain(out, d, d->original_id, HOST_NAME_BYTES_MAX);
    BUF_LIT(out, " here.\r\n");
}

void smtp_dsn_human(struct buf *out, const struct smtp_dsn *d, const struct smtp_dsn_rcpt *r)
{
    BUF_LIT(out, "\r\n<");
    put_address(out, d, r->address);
    BUF_LIT(out, ">\r\n");
    if (r->verdict.code == 0 && r->verdict.text.len == 0) return;
    struct field f = field_begin(out, d, BYTES("   "), BYTES("\r\n    "));
    if (r->verdict.remote && r->remote_mta.len > 0) {
        field_text(&f, BYTES(" host "));
        field_text(&f, bytes_slice(r->remote_mta, 0, HOST_NAME_BYTES_MAX));
        field_text(&f, BYTES(" said: "));
    } else {
        field_text(&f, BYTES(" "));
    }
    field_reply(&f, &r->verdict);
    if (r->verdict.remote && r->verdict.step != STEP_NONE) {
        field_text(&f, BYTES(" (in reply to "));
        field_text(&f, bytes_of_cstr(mail_step_text((enum mail_step)r->verdict.step)));
        field_text(&f, BYTES(")"));
    }
    field_end(&f);
}

/* put_typed - "type; address" of RFC 3464 2.3, from the "type;xtext" of RFC 3461 4.2. */
static void put_typed(struct buf *out, const struct smtp_dsn *d, struct bytes orcpt)
{
    uint8_t memory[MAIL_ORCPT_BYTES_MAX];
    struct buf decoded = BUF_OVER(memory);
    uint32_t semicolon = bytes_find(orcpt, ';');
    struct bytes type = bytes_slice(orcpt, 0, semicolon);
    struct bytes address = bytes_from(orcpt, semicolon + 1);
    bool is_utf8 = bytes_equal_nocase(type, BYTES("utf-8"));
    if (!is_utf8 && smtp_xtext_decode(address, &decoded)) address = buf_bytes(&decoded);
    put_plain(out, d, type, TYPE_BYTES_MAX);
    BUF_LIT(out, "; ");
    put_plain(out, d, address, MAIL_ORCPT_BYTES_MAX);
}

static void put_envid(struct buf *out, const struct smtp_dsn *d)
{
    uint8_t memory[MAIL_ENVID_BYTES_MAX];
    struct buf decoded = BUF_OVER(memory);
    if (d->envid.len == 0 || !smtp_xtext_decode(d->envid, &decoded)) return;
    BUF_LIT(out, "Original-Envelope-Id: ");
    put_plain(out, d, buf_bytes(&decoded), MAIL_ENVID_BYTES_MAX);
    BUF_LIT(out, "\r\n");
}

void smtp_dsn_machine_begin(struct buf *out, const struct smtp_dsn *d)
{
    begin_part(out, d, d->utf8 ? BYTES("message/global-delivery-status") : BYTES("message/delivery-status"), d->utf8);
    BUF_LIT(out, "Reporting-MTA: dns; ");
    put_host(out, d, d->reporting_mta);
    BUF_LIT(out, "\r\n");
    put_envid(out, d);
    BUF_LIT(out, "X-Bulkhead-Queue-ID: ");
    put_plain(out, d, d->original_id, HOST_NAME_BYTES_MAX);
    put_date_field(out, BYTES("\r\nArrival-Date: "), d->arrival_wall_s);
}

/*
 * put_status - the enhanced status; where none was given, the general one of the reply's class, or of the kind's (RFC 3464
 * 2.3.4 wants one).
 */
static void put_status(struct buf *out, const struct smtp_dsn *d, const struct verdict *v)
{
    static const uint8_t classes[] = {
        [SMTP_DSN_FAILED] = 5, [SMTP_DSN_DELAYED] = 4, [SMTP_DSN_DELIVERED] = 2, [SMTP_DSN_RELAYED] = 2, [SMTP_DSN_EXPIRED] = 4,
    };
    struct enhanced e = v->enhanced;
    if (e.class == 0) e = (struct enhanced){classes[d->kind], 0, 0};
    BUF_LIT(out, "Status: ");
    smtp_enhanced_write(out, e);
    BUF_LIT(out, "\r\n");
}

static void put_diagnostic(struct buf *out, const struct smtp_dsn *d, const struct verdict *v)
{
    if (v->text.len == 0) return;
    struct bytes start = v->remote ? BYTES("Diagnostic-Code: smtp;") : BYTES("Diagnostic-Code: X-Bulkhead;");
    struct field f = field_begin(out, d, start, BYTES("\r\n "));
    field_text(&f, BYTES(" "));
    field_reply(&f, v);
    field_end(&f);
}

void smtp_dsn_machine_rcpt(struct buf *out, const struct smtp_dsn *d, const struct smtp_dsn_rcpt *r)
{
    must((uint32_t)d->kind < sizeof(kinds) / sizeof(*kinds));
    BUF_LIT(out, "\r\n");
    if (r->orcpt.len > 0) {
        BUF_LIT(out, "Original-Recipient: ");
        put_typed(out, d, r->orcpt);
        BUF_LIT(out, "\r\n");
    }
    buf_put(out, d->utf8 && !bytes_is_ascii(r->address) ? BYTES("Final-Recipient: utf-8; ") : BYTES("Final-Recipient: rfc822; "));
    put_address(out, d, r->address);
    BUF_LIT(out, "\r\nAction: ");
    buf_put(out, kinds[d->kind].action);
    BUF_LIT(out, "\r\n");
    put_status(out, d, &r->verdict);
    if (r->remote_mta.len > 0) {
        BUF_LIT(out, "Remote-MTA: dns; ");
        put_host(out, d, r->remote_mta);
        BUF_LIT(out, "\r\n");
    }
    put_diagnostic(out, d, &r->verdict);
    if (r->last_attempt_wall_s != 0) put_date_field(out, BYTES("Last-Attempt-Date: "), r->last_attempt_wall_s);
    if (d->kind == SMTP_DSN_DELAYED && d->retry_until_wall_s != 0) put_date_field(out, BYTES("Will-Retry-Until: "), d->retry_until_wall_s);
}

/* has_boundary - whether content could end its own part. The seed is random, so that only chance or a leak makes it so. */
static bool has_boundary(const struct smtp_dsn *d, struct bytes content)
{
    uint8_t memory[BOUNDARY_BYTES];
    struct buf boundary = BUF_OVER(memory);
    put_boundary(&boundary, d);
    must(!boundary.overflow && boundary.len == BOUNDARY_BYTES);
    return content.len > 0 && memmem(content.ptr, content.len, boundary.ptr, boundary.len) != NULL;
}

bool smtp_dsn_content(struct buf *out, const struct smtp_dsn *d, struct bytes header_or_message)
{
    static const struct bytes types[2][2] = {
        {BYTES_INIT("text/rfc822-headers"), BYTES_INIT("message/global-headers")},
        {BYTES_INIT("message/rfc822"), BYTES_INIT("message/global")},
    };
    if (has_boundary(d, header_or_message)) return false;
    begin_part(out, d, types[d->full][d->utf8], !bytes_is_ascii(header_or_message));
    buf_put(out, header_or_message);
    return true;
}

void smtp_dsn_end(struct buf *out, const struct smtp_dsn *d)
{
    BUF_LIT(out, "\r\n--");
    put_boundary(out, d);
    BUF_LIT(out, "--\r\n");
}
