/*
 * command - see smtp/command.h.
 *
 * The parameters of MAIL and of RCPT are two tables: name, how a value is taken, source. A parameter that was not offered is
 * unknown, even if its name stands here (RFC 5321 4.1.1.11); each may be given once.
 */
#include "smtp/command.h"

#include "base/must.h"

#define VERB_NAME(v) #v,
static const char *const verb_names[SMTP_VERB_COUNT] = {SMTP_VERBS(VERB_NAME)};

const char *smtp_verb_name(enum smtp_verb verb)
{
    must(verb < SMTP_VERB_COUNT);
    return verb_names[verb];
}

static bool has_control(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] == 127) return true;
    }
    return false;
}

enum smtp_verb smtp_verb_parse(struct bytes line, struct bytes *rest)
{
    uint32_t end = bytes_find(line, ' ');
    struct bytes word = bytes_slice(line, 0, end);
    *rest = end < line.len ? bytes_from(line, end + 1) : bytes_of(line.ptr, 0);
    if (has_control(line)) return SMTP_VERB_UNKNOWN;
    for (uint32_t v = SMTP_VERB_UNKNOWN + 1; v < SMTP_VERB_COUNT; v++) {
        if (bytes_equal_nocase(word, bytes_of_cstr(verb_names[v]))) return (enum smtp_verb)v;
    }
    return SMTP_VERB_UNKNOWN;
}

/* cut_spaces - spaces only: a tab in a command is a control octet, and was refused with the verb. */
static struct bytes cut_spaces(struct bytes text)
{
    uint32_t i = 0;
    while (i < text.len && text.ptr[i] == ' ') i++;
    return bytes_from(text, i);
}

struct parameter {
    struct bytes name;
    bool has_value; /* it must have one, or may have none */
    enum smtp_argument_error (*take)(struct bytes value, void *args);
};

static enum smtp_argument_error take_size(struct bytes value, void *args)
{
    struct smtp_mail_args *mail = args;
    for (uint32_t i = 0; i < value.len; i++) {
        if (!ascii_is_digit(value.ptr[i])) return SMTP_ARG_BAD_PARAMETER;
    }
    mail->size_given = true;
    return bytes_to_u64(value, &mail->size_bytes) ? SMTP_ARG_OK : SMTP_ARG_TOO_BIG;
}

static enum smtp_argument_error take_body(struct bytes value, void *args)
{
    struct smtp_mail_args *mail = args;
    mail->body_8bit = bytes_equal_nocase(value, BYTES("8BITMIME"));
    return mail->body_8bit || bytes_equal_nocase(value, BYTES("7BIT")) ? SMTP_ARG_OK : SMTP_ARG_BAD_PARAMETER;
}

static enum smtp_argument_error take_smtputf8(struct bytes value, void *args)
{
    (void)value;
    struct smtp_mail_args *mail = args;
    mail->smtputf8 = true;
    return SMTP_ARG_OK;
}

static enum smtp_argument_error take_ret(struct bytes value, void *args)
{
    struct smtp_mail_args *mail = args;
    if (bytes_equal_nocase(value, BYTES("FULL"))) mail->ret = RET_FULL;
    else if (bytes_equal_nocase(value, BYTES("HDRS"))) mail->ret = RET_HDRS;
    else return SMTP_ARG_BAD_PARAMETER;
    return SMTP_ARG_OK;
}

/* is_printable_xtext - xtext that hides nothing but printable ASCII: what a report can show again (RFC 3461 4.2, 4.4). */
static bool is_printable_xtext(struct bytes text)
{
    uint8_t memory[MAIL_ORCPT_BYTES_MAX];
    struct buf decoded = BUF_OVER(memory);
    return smtp_xtext_decode(text, &decoded) && !has_control(buf_bytes(&decoded)) && bytes_is_ascii(buf_bytes(&decoded));
}

static enum smtp_argument_error take_envid(struct bytes value, void *args)
{
    struct smtp_mail_args *mail = args;
    if (value.len > MAIL_ENVID_BYTES_MAX || !is_printable_xtext(value)) return SMTP_ARG_BAD_PARAMETER;
    mail->envid = value;
    return SMTP_ARG_OK;
}

static enum smtp_argument_error take_auth(struct bytes value, void *args)
{
    struct smtp_mail_args *mail = args;
    mail->auth_given = true;
    return bytes_equal(value, BYTES("<>")) || (value.len <= MAIL_ORCPT_BYTES_MAX && is_printable_xtext(value)) ? SMTP_ARG_OK : SMTP_ARG_BAD_PARAMETER;
}

static uint8_t notify_bit(struct bytes word)
{
    if (bytes_equal_nocase(word, BYTES("NEVER"))) return NOTIFY_NEVER;
    if (bytes_equal_nocase(word, BYTES("SUCCESS"))) return NOTIFY_SUCCESS;
    if (bytes_equal_nocase(word, BYTES("FAILURE"))) return NOTIFY_FAILURE;
    return bytes_equal_nocase(word, BYTES("DELAY")) ? NOTIFY_DELAY : 0;
}

static enum smtp_argument_error take_notify(struct bytes value, void *args)
{
    struct smtp_rcpt_args *rcpt = args;
    uint8_t bits = 0;
    for (;;) {
        uint32_t end = bytes_find(value, ',');
        uint8_t bit = notify_bit(bytes_slice(value, 0, end));
        if (bit == 0) return SMTP_ARG_BAD_PARAMETER;
        bits |= bit;
        if (end == value.len) break;
        value = bytes_from(value, end + 1);
    }
    if ((bits & NOTIFY_NEVER) && bits != NOTIFY_NEVER) return SMTP_ARG_BAD_PARAMETER;
    rcpt->notify = bits;
    return SMTP_ARG_OK;
}

/* embedded_octets - octets of "\x{HEX}" (RFC 6533 3) at the start of text, 0 when it is none or names a control. */
static uint32_t embedded_octets(struct bytes text)
{
    if (!bytes_starts(text, BYTES("\\x{"))) return 0;
    text = bytes_slice(text, 0, sizeof("\\x{10FFFF}") - 1);
    uint32_t end = bytes_find(text, '}');
    if (end == text.len || end < 5) return 0;
    uint32_t point = 0;
    for (uint32_t i = 3; i < end; i++) {
        uint8_t c = text.ptr[i];
        if (!ascii_is_digit(c) && (c < 'A' || c > 'F')) return 0;
        point = point * 16 + (uint32_t)(ascii_is_digit(c) ? c - '0' : c - 'A' + 10);
    }
    return point < ' ' || point == 127 || point > 0x10FFFF ? 0 : end + 1;
}

/* is_utf8_address - utf-8-addr-xtext, or utf-8-addr-unitext when UTF-8 was agreed on (RFC 6533 3). */
static bool is_utf8_address(struct bytes text, bool smtputf8)
{
    if (!bytes_is_utf8(text) || (!smtputf8 && !bytes_is_ascii(text))) return false;
    for (uint32_t i = 0; i < text.len;) {
        uint8_t c = text.ptr[i];
        if (c <= ' ' || c == 127 || c == '+' || c == '=') return false;
        uint32_t n = c == '\\' ? embedded_octets(bytes_from(text, i)) : 1;
        if (n == 0) return false;
        i += n;
    }
    return true;
}

static bool is_word(struct bytes text)
{
    if (text.len == 0 || text.ptr[0] == '-') return false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (!ascii_is_alpha(text.ptr[i]) && !ascii_is_digit(text.ptr[i]) && text.ptr[i] != '-') return false;
    }
    return true;
}

static enum smtp_argument_error take_orcpt_of(struct bytes value, bool smtputf8, struct smtp_rcpt_args *rcpt)
{
    uint32_t semicolon = bytes_find(value, ';');
    struct bytes type = bytes_slice(value, 0, semicolon);
    struct bytes address = bytes_from(value, semicolon + 1);
    if (value.len > MAIL_ORCPT_BYTES_MAX || address.len == 0 || !is_word(type)) return SMTP_ARG_BAD_PARAMETER;
    bool good = bytes_equal_nocase(type, BYTES("utf-8")) ? is_utf8_address(address, smtputf8) : is_printable_xtext(address);
    if (!good) return SMTP_ARG_BAD_PARAMETER;
    rcpt->orcpt = value;
    return SMTP_ARG_OK;
}

static enum smtp_argument_error take_orcpt(struct bytes value, void *args)
{
    return take_orcpt_of(value, false, args);
}

static enum smtp_argument_error take_orcpt_utf8(struct bytes value, void *args)
{
    return take_orcpt_of(value, true, args);
}

/*  name                   value  taken by */
static const struct parameter mail_parameters[] = {
    {BYTES_INIT("SIZE"),     true,  take_size},     /* RFC 1870 */
    {BYTES_INIT("BODY"),     true,  take_body},     /* RFC 6152 */
    {BYTES_INIT("SMTPUTF8"), false, take_smtputf8}, /* RFC 6531 3.4 */
    {BYTES_INIT("RET"),      true,  take_ret},      /* RFC 3461 4.3 */
    {BYTES_INIT("ENVID"),    true,  take_envid},    /* RFC 3461 4.4 */
    {BYTES_INIT("AUTH"),     true,  take_auth},     /* RFC 4954 5 */
};
static const struct parameter rcpt_parameters[] = {
    {BYTES_INIT("NOTIFY"),   true,  take_notify},   /* RFC 3461 4.1 */
    {BYTES_INIT("ORCPT"),    true,  take_orcpt},    /* RFC 3461 4.2 */
};
static const struct parameter rcpt_parameters_utf8[] = {
    {BYTES_INIT("NOTIFY"),   true,  take_notify},   /* RFC 3461 4.1 */
    {BYTES_INIT("ORCPT"),    true,  take_orcpt_utf8}, /* RFC 6533 3 */
};
enum {
    MAIL_PARAMETERS = sizeof(mail_parameters) / sizeof(*mail_parameters),
    RCPT_PARAMETERS = sizeof(rcpt_parameters) / sizeof(*rcpt_parameters),
};
static_assert((int)MAIL_PARAMETERS <= 32 && (int)RCPT_PARAMETERS <= 32, "each has a bit in `seen`");

/* take_parameter - one "NAME" or "NAME=value" of RFC 5321 4.1.2, esmtp-param. */
static enum smtp_argument_error take_parameter(struct bytes word, const struct parameter *table, uint32_t count, uint32_t *seen,
                                               void *args)
{
    uint32_t equals = bytes_find(word, '=');
    struct bytes name = bytes_slice(word, 0, equals);
    struct bytes value = bytes_from(word, equals + 1);
    if (!is_word(name)) return SMTP_ARG_SYNTAX;
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_equal_nocase(name, table[i].name)) continue;
        if (*seen & (1u << i)) return SMTP_ARG_REPEATED_PARAMETER;
        *seen |= 1u << i;
        bool value_given = equals < word.len;
        if (value_given != table[i].has_value || (value_given && value.len == 0)) return SMTP_ARG_BAD_PARAMETER;
        return table[i].take(value, args);
    }
    return SMTP_ARG_UNKNOWN_PARAMETER;
}

/* take_parameters - all that stands behind the path: nothing, or a space before each parameter. */
static enum smtp_argument_error take_parameters(struct bytes text, const struct parameter *table, uint32_t count, void *args)
{
    uint32_t seen = 0;
    if (text.len > 0 && text.ptr[0] != ' ') return SMTP_ARG_SYNTAX;
    for (text = cut_spaces(text); text.len > 0; text = cut_spaces(text)) {
        uint32_t end = bytes_find(text, ' ');
        enum smtp_argument_error error = take_parameter(bytes_slice(text, 0, end), table, count, &seen, args);
        if (error != SMTP_ARG_OK) return error;
        text = bytes_from(text, end);
    }
    return SMTP_ARG_OK;
}

static enum smtp_argument_error address_error(enum smtp_address_result result)
{
    switch (result) {
    case SMTP_ADDRESS_OK: return SMTP_ARG_OK;
    case SMTP_ADDRESS_TOO_LONG: return SMTP_ARG_ADDRESS_TOO_LONG;
    case SMTP_ADDRESS_NOT_ASCII: return SMTP_ARG_NEEDS_SMTPUTF8;
    case SMTP_ADDRESS_EMPTY:
    case SMTP_ADDRESS_BAD: break;
    }
    return SMTP_ARG_BAD_ADDRESS;
}

enum smtp_argument_error smtp_mail_parse(struct bytes rest, bool extended, struct smtp_mail_args *out)
{
    uint32_t used = 0;
    out->size_given = out->body_8bit = out->smtputf8 = false;
    out->size_bytes = 0;
    out->ret = RET_DEFAULT;
    out->envid = bytes_of(rest.ptr, 0);
    rest = cut_spaces(rest);
    if (!bytes_starts_nocase(rest, BYTES("FROM:"))) return SMTP_ARG_SYNTAX;
    rest = cut_spaces(bytes_from(rest, 5));
    enum smtp_address_result path = smtp_path_parse(rest, true, false, &out->sender, &used);
    if (path != SMTP_ADDRESS_EMPTY && path != SMTP_ADDRESS_OK) return address_error(path);
    enum smtp_argument_error error = take_parameters(bytes_from(rest, used), mail_parameters, extended ? MAIL_PARAMETERS : 0, out);
    if (error != SMTP_ARG_OK) return error;
    return out->sender.non_ascii && !out->smtputf8 ? SMTP_ARG_NEEDS_SMTPUTF8 : SMTP_ARG_OK;
}

enum smtp_argument_error smtp_rcpt_parse(struct bytes rest, bool extended, bool smtputf8, struct smtp_rcpt_args *out)
{
    uint32_t used = 0;
    out->notify = NOTIFY_DEFAULT;
    out->orcpt = bytes_of(rest.ptr, 0);
    rest = cut_spaces(rest);
    if (!bytes_starts_nocase(rest, BYTES("TO:"))) return SMTP_ARG_SYNTAX;
    rest = cut_spaces(bytes_from(rest, 3));
    enum smtp_address_result path = smtp_path_parse(rest, smtputf8, true, &out->address, &used);
    if (path != SMTP_ADDRESS_OK) return address_error(path);
    const struct parameter *table = smtputf8 ? rcpt_parameters_utf8 : rcpt_parameters;
    return take_parameters(bytes_from(rest, used), table, extended ? RCPT_PARAMETERS : 0, out);
}

enum smtp_argument_error smtp_bdat_parse(struct bytes rest, struct smtp_bdat_args *out)
{
    rest = cut_spaces(rest);
    uint32_t end = bytes_find(rest, ' ');
    struct bytes size = bytes_slice(rest, 0, end);
    struct bytes last = bytes_trim(bytes_from(rest, end));
    if (size.len == 0) return SMTP_ARG_SYNTAX;
    for (uint32_t i = 0; i < size.len; i++) {
        if (!ascii_is_digit(size.ptr[i])) return SMTP_ARG_SYNTAX;
    }
    out->last = bytes_equal_nocase(last, BYTES("LAST"));
    if (last.len > 0 && !out->last) return SMTP_ARG_SYNTAX;
    return bytes_to_u64(size, &out->bytes) ? SMTP_ARG_OK : SMTP_ARG_TOO_BIG;
}

bool smtp_helo_valid(struct bytes argument)
{
    if (argument.len == 0 || argument.len > HOST_NAME_BYTES_MAX) return false;
    for (uint32_t i = 0; i < argument.len; i++) {
        if (argument.ptr[i] <= ' ' || argument.ptr[i] >= 127) return false;
    }
    return true;
}
