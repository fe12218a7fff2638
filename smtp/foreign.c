/*
 * foreign - see smtp/foreign.h.
 */
#include "smtp/foreign.h"

enum { TLS_HANDSHAKE = 0x16, TLS_MAJOR = 3 };

static const struct bytes methods[] = {
    BYTES_INIT("GET "),   BYTES_INIT("POST "),    BYTES_INIT("HEAD "),    BYTES_INIT("PUT "),
    BYTES_INIT("PATCH "), BYTES_INIT("DELETE "),  BYTES_INIT("OPTIONS "), BYTES_INIT("CONNECT "),
    BYTES_INIT("TRACE "), BYTES_INIT("PRI * "),   BYTES_INIT("PROPFIND "),
};

struct bytes smtp_foreign_name(enum smtp_foreign f)
{
    static const struct bytes names[SMTP_FOREIGN_COUNT] = {
        [SMTP_FOREIGN_TLS] = BYTES_INIT("TLS"), [SMTP_FOREIGN_HTTP] = BYTES_INIT("HTTP"), [SMTP_FOREIGN_SSH] = BYTES_INIT("SSH")};
    return f < SMTP_FOREIGN_COUNT ? names[f] : (struct bytes){0};
}

static bool begins_with_method(struct bytes text)
{
    for (uint32_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (bytes_starts(text, methods[i])) return true;
    }
    return false;
}

enum smtp_foreign smtp_foreign_first(struct bytes in)
{
    if (in.len > 0 && in.ptr[0] == TLS_HANDSHAKE && (in.len < 2 || in.ptr[1] == TLS_MAJOR)) return SMTP_FOREIGN_TLS;
    if (begins_with_method(in)) return SMTP_FOREIGN_HTTP;
    return bytes_starts(in, BYTES("SSH-")) ? SMTP_FOREIGN_SSH : SMTP_FOREIGN_NONE;
}

enum smtp_foreign smtp_foreign_line(struct bytes line)
{
    static const struct bytes version = BYTES_INIT(" HTTP/");
    uint32_t space = bytes_find_last(line, ' ');
    if (begins_with_method(line) && space < line.len && bytes_starts(bytes_from(line, space), version)) return SMTP_FOREIGN_HTTP;
    return bytes_starts(line, BYTES("SSH-")) ? SMTP_FOREIGN_SSH : SMTP_FOREIGN_NONE;
}
