/*
 * sasl - see smtp/sasl.h.
 */
#include "smtp/sasl.h"

#include "smtp/base64.h"

static const struct bytes names[SMTP_SASL_MECHANISM_COUNT] = {
    [SMTP_SASL_EXTERNAL] = BYTES_INIT("EXTERNAL"), [SMTP_SASL_SCRAM_SHA_256] = BYTES_INIT("SCRAM-SHA-256"), [SMTP_SASL_PLAIN] = BYTES_INIT("PLAIN"),
    [SMTP_SASL_LOGIN] = BYTES_INIT("LOGIN"),       [SMTP_SASL_XOAUTH2] = BYTES_INIT("XOAUTH2"),
};

struct bytes smtp_sasl_name(enum smtp_sasl_mechanism mechanism)
{
    return mechanism < SMTP_SASL_MECHANISM_COUNT ? names[mechanism] : BYTES("");
}

enum smtp_sasl_mechanism smtp_sasl_mechanism(struct bytes name)
{
    for (uint32_t m = SMTP_SASL_NONE + 1; m < SMTP_SASL_MECHANISM_COUNT; m++) {
        if (bytes_equal_nocase(name, names[m])) return (enum smtp_sasl_mechanism)m;
    }
    return SMTP_SASL_NONE;
}

uint32_t smtp_sasl_set(struct bytes list)
{
    uint32_t set = 0;
    while (list.len > 0) {
        uint32_t end = bytes_find(list, ' ');
        set |= SMTP_SASL_BIT(smtp_sasl_mechanism(bytes_slice(list, 0, end)));
        list = bytes_from(list, end + 1);
    }
    return set & ~SMTP_SASL_BIT(SMTP_SASL_NONE);
}

enum smtp_sasl_mechanism smtp_sasl_choose(uint32_t set)
{
    for (uint32_t m = SMTP_SASL_NONE + 1; m < SMTP_SASL_MECHANISM_COUNT; m++) {
        if (set & SMTP_SASL_BIT(m)) return (enum smtp_sasl_mechanism)m;
    }
    return SMTP_SASL_NONE;
}

bool smtp_sasl_text_valid(struct bytes text, uint32_t max)
{
    if (text.len == 0 || text.len > max) return false;
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c < ' ' || c == 127) return false;
        /* U+0080..U+009F are controls too */
        if (c == 0xC2 && i + 1 < text.len && text.ptr[i + 1] < 0xA0) return false;
    }
    return bytes_is_utf8(text);
}

enum smtp_sasl_line smtp_sasl_line(struct bytes line, bool initial, struct buf *out)
{
    if (initial && line.len == 0) return SMTP_SASL_LINE_BAD; /* a space with nothing behind it */
    if (initial && bytes_equal(line, BYTES("="))) return SMTP_SASL_LINE_OK;
    if (!initial && bytes_equal(line, BYTES("*"))) return SMTP_SASL_LINE_CANCEL;
    return smtp_base64_decode(line, out) ? SMTP_SASL_LINE_OK : SMTP_SASL_LINE_BAD;
}
