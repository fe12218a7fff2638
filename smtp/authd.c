/*
 * authd - see smtp/authd.h.
 */
#include "smtp/authd.h"

#include "base/must.h"

enum { ESCAPE = 1 };

/* next_part - up to the next tab; *rest behind it. */
static struct bytes next_part(struct bytes *rest)
{
    uint32_t end = bytes_find(*rest, '\t');
    struct bytes part = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end + 1);
    return part;
}

static bool take_number(struct bytes *rest, uint32_t *value)
{
    uint64_t number;
    if (!bytes_to_u64(next_part(rest), &number) || number > UINT32_MAX) return false;
    *value = (uint32_t)number;
    return true;
}

/* base64_valid - of the alphabet, so that it cannot break a line; whether it is right is Dovecot's to say. */
static bool base64_valid(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '+' && c != '/' && c != '=') return false;
    }
    return true;
}

/* unescape - append a parameter's text; false on half an escape or when it does not fit. */
static bool unescape(struct bytes text, struct buf *out)
{
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == ESCAPE) {
            if (++i == text.len) return false;
            c = text.ptr[i];
            if (c == '0') c = 0;
            else if (c == '1') c = ESCAPE;
            else if (c == 't') c = '\t';
            else if (c == 'r') c = '\r';
            else if (c == 'n' || c == 'l') c = '\n';
        }
        buf_put_c(out, c);
    }
    return !out->overflow;
}

static void put_escaped(struct buf *out, struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        uint8_t code = c == 0 ? '0' : c == ESCAPE ? '1' : c == '\t' ? 't' : c == '\r' ? 'r' : c == '\n' ? 'n' : 0;
        if (code) buf_put_c(out, ESCAPE);
        buf_put_c(out, code ? code : c);
    }
}

/* value_of - what stands behind "name=" in a parameter. */
static bool value_of(struct bytes part, struct bytes name, struct bytes *value)
{
    if (!bytes_starts(part, name)) return false;
    *value = bytes_from(part, name.len);
    return true;
}

static void parse_version(struct bytes rest, struct smtp_authd_line *out)
{
    uint32_t major, minor;
    bool good = take_number(&rest, &major) && take_number(&rest, &minor) && major == SMTP_AUTHD_VERSION_MAJOR;
    out->kind = good ? SMTP_AUTHD_VERSION : SMTP_AUTHD_BAD;
}

static void parse_mech(struct bytes rest, struct smtp_authd_line *out)
{
    out->text = next_part(&rest);
    while (rest.len > 0) {
        struct bytes part = next_part(&rest);
        if (bytes_equal(part, BYTES("private"))) out->private = true;
        if (bytes_equal(part, BYTES("plaintext"))) out->plaintext = true;
    }
    bool good = out->text.len > 0 && out->text.len <= 20; /* RFC 4422 3.1 */
    for (uint32_t i = 0; i < out->text.len; i++) {
        uint8_t c = out->text.ptr[i];
        good = good && (ascii_is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_');
    }
    out->kind = good ? SMTP_AUTHD_MECH : SMTP_AUTHD_BAD;
}

static void parse_cont(struct bytes rest, struct smtp_authd_line *out)
{
    bool good = take_number(&rest, &out->id);
    out->text = next_part(&rest);
    out->kind = good && base64_valid(out->text) ? SMTP_AUTHD_CONT : SMTP_AUTHD_BAD;
}

static void parse_ok(struct bytes rest, struct smtp_authd_line *out, struct buf *scratch)
{
    bool good = take_number(&rest, &out->id), has_user = false;
    uint32_t start = scratch->len;
    while (good && rest.len > 0) {
        struct bytes part = next_part(&rest), value;
        if (has_user || !value_of(part, BYTES("user="), &value)) continue;
        has_user = true;
        good = unescape(value, scratch);
        out->text = bytes_from(buf_bytes(scratch), start);
    }
    /* The name goes to logs, rules and header fields: it must be one. */
    out->kind = good && has_user && smtp_sasl_text_valid(out->text, SMTP_SASL_NAME_BYTES_MAX) ? SMTP_AUTHD_OK : SMTP_AUTHD_BAD;
}

/* failure_of - what a parameter of FAIL says, WRONG for one that says nothing. Old servers say words, new ones codes. */
static enum smtp_authd_failure failure_of(struct bytes part)
{
    if (bytes_equal(part, BYTES("temp")) || bytes_equal(part, BYTES("code=temp_fail"))) return SMTP_AUTHD_TEMPORARY;
    static const struct bytes words[] = {
        BYTES_INIT("authz"), BYTES_INIT("user_disabled"), BYTES_INIT("pass_expired"), BYTES_INIT("code=authz_fail"), BYTES_INIT("code=user_disabled"),
        BYTES_INIT("code=pass_expired"),
    };
    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (bytes_equal(part, words[i])) return SMTP_AUTHD_NOT_ALLOWED;
    }
    return SMTP_AUTHD_WRONG;
}

static void parse_fail(struct bytes rest, struct smtp_authd_line *out, struct buf *scratch)
{
    bool good = take_number(&rest, &out->id), has_reason = false;
    uint32_t start = scratch->len;
    while (good && rest.len > 0) {
        struct bytes part = next_part(&rest), value;
        enum smtp_authd_failure failure = failure_of(part);
        if (failure != SMTP_AUTHD_WRONG && out->failure != SMTP_AUTHD_TEMPORARY) out->failure = (uint8_t)failure;
        if (has_reason || !value_of(part, BYTES("reason="), &value)) continue;
        has_reason = true;
        good = unescape(value, scratch);
        out->text = bytes_from(buf_bytes(scratch), start);
    }
    out->kind = good ? SMTP_AUTHD_FAIL : SMTP_AUTHD_BAD;
}

static bool is_handshake(struct bytes command)
{
    return bytes_equal(command, BYTES("SPID")) || bytes_equal(command, BYTES("CUID")) || bytes_equal(command, BYTES("COOKIE"));
}

struct smtp_authd_line smtp_authd_parse(struct bytes line, struct buf *scratch)
{
    struct smtp_authd_line out = {.text = BYTES("")};
    struct bytes rest = line, command = next_part(&rest);
    if (line.len > SMTP_AUTHD_LINE_BYTES_MAX || bytes_find(line, '\n') < line.len || bytes_find(line, 0) < line.len) return out;
    if (bytes_equal(command, BYTES("CONT"))) parse_cont(rest, &out);
    else if (bytes_equal(command, BYTES("OK"))) parse_ok(rest, &out, scratch);
    else if (bytes_equal(command, BYTES("FAIL"))) parse_fail(rest, &out, scratch);
    else if (bytes_equal(command, BYTES("MECH"))) parse_mech(rest, &out);
    else if (bytes_equal(command, BYTES("VERSION"))) parse_version(rest, &out);
    else if (bytes_equal(command, BYTES("DONE"))) out.kind = SMTP_AUTHD_DONE;
    else if (is_handshake(command)) out.kind = SMTP_AUTHD_HANDSHAKE;
    else out.kind = command.len > 0 ? SMTP_AUTHD_OTHER : SMTP_AUTHD_BAD;
    if (out.kind == SMTP_AUTHD_BAD) out.text = BYTES("");
    return out;
}

/* ---- what we say ---- */

void smtp_authd_hello(struct buf *out, uint32_t pid)
{
    uint8_t memory[64];
    struct buf text = BUF_OVER(memory);
    BUF_LIT(&text, "VERSION\t");
    buf_put_u64(&text, SMTP_AUTHD_VERSION_MAJOR);
    buf_put_c(&text, '\t');
    buf_put_u64(&text, SMTP_AUTHD_VERSION_MINOR);
    BUF_LIT(&text, "\nCPID\t");
    buf_put_u64(&text, pid);
    buf_put_c(&text, '\n');
    must(!text.overflow);
    buf_put(out, buf_bytes(&text));
}

static void put_address(struct buf *out, const char *ip, const char *port, const struct net_address *a)
{
    if (a->family == NET_NONE) return;
    buf_put_cstr(out, ip);
    net_print_ip(out, a);
    buf_put_cstr(out, port);
    buf_put_u64(out, a->port);
}

/* end_line - take the line back when it did not fit. */
static bool end_line(struct buf *out, uint32_t start)
{
    buf_put_c(out, '\n');
    if (!out->overflow) return true;
    out->len = start;
    return false;
}

bool smtp_authd_auth(struct buf *out, const struct smtp_authd_request *request)
{
    uint32_t start = out->len;
    if (out->overflow || request->id == 0 || !base64_valid(request->initial)) return false;
    if (smtp_sasl_mechanism(request->mechanism) == SMTP_SASL_NONE) return false;
    BUF_LIT(out, "AUTH\t");
    buf_put_u64(out, request->id);
    buf_put_c(out, '\t');
    buf_put(out, request->mechanism);
    BUF_LIT(out, "\tservice=smtp\tnologin");
    put_address(out, "\tlip=", "\tlport=", &request->local);
    put_address(out, "\trip=", "\trport=", &request->remote);
    if (request->secured) BUF_LIT(out, "\tsecured");
    if (request->certificate) BUF_LIT(out, "\tvalid-client-cert");
    if (request->certificate && request->certificate_user.len > 0) {
        BUF_LIT(out, "\tcert_username=");
        put_escaped(out, request->certificate_user);
    }
    if (request->has_initial) { /* must come last */
        BUF_LIT(out, "\tresp=");
        buf_put(out, request->initial);
    }
    return end_line(out, start);
}

bool smtp_authd_cont(struct buf *out, uint32_t id, struct bytes response)
{
    uint32_t start = out->len;
    if (out->overflow || !base64_valid(response)) return false;
    BUF_LIT(out, "CONT\t");
    buf_put_u64(out, id);
    buf_put_c(out, '\t');
    buf_put(out, response);
    return end_line(out, start);
}

void smtp_authd_cancel(struct buf *out, uint32_t id)
{
    uint32_t start = out->len;
    BUF_LIT(out, "CANCEL\t");
    buf_put_u64(out, id);
    (void)end_line(out, start);
}
