/*
 * capabilities - see smtp/capabilities.h. One table: keyword, bit, and who reads its argument.
 */
#include "smtp/capabilities.h"

typedef bool argument_fn(struct smtp_capabilities *c, struct bytes argument);

static bool take_nothing(struct smtp_capabilities *c, struct bytes argument)
{
    (void)c;
    (void)argument;
    return true;
}

/* take_size - "SIZE" alone and "SIZE 0" name no limit (RFC 1870 4). */
static bool take_size(struct smtp_capabilities *c, struct bytes argument)
{
    uint64_t bytes = 0;
    if (argument.len > 0 && !bytes_to_u64(argument, &bytes)) return false;
    c->size_max_bytes = bytes;
    return true;
}

/* take_limit - one "NAME=value"; names that are not known and values that are no positive number are ignored (RFC 9422 4.1). */
static void take_limit(struct smtp_capabilities *c, struct bytes word)
{
    uint64_t value = 0;
    uint32_t equals = bytes_find(word, '=');
    struct bytes name = bytes_slice(word, 0, equals);
    if (!bytes_to_u64(bytes_from(word, equals + 1), &value) || value == 0 || value > UINT32_MAX) return;
    if (bytes_equal_nocase(name, BYTES("RCPTMAX"))) c->rcpt_max = (uint32_t)value;
    else if (bytes_equal_nocase(name, BYTES("MAILMAX"))) c->mail_max = (uint32_t)value;
}

static bool take_limits(struct smtp_capabilities *c, struct bytes argument)
{
    while (argument.len > 0) {
        uint32_t end = bytes_find(argument, ' ');
        take_limit(c, bytes_slice(argument, 0, end));
        argument = bytes_trim(bytes_from(argument, end));
    }
    return true;
}

static const struct {
    struct bytes keyword;
    uint32_t bit;
    argument_fn *take;
} known[] = {
    {BYTES_INIT("PIPELINING"), SMTP_CAP_PIPELINING, take_nothing},                   /* RFC 2920 */
    {BYTES_INIT("SIZE"), SMTP_CAP_SIZE, take_size},                                  /* RFC 1870 */
    {BYTES_INIT("8BITMIME"), SMTP_CAP_8BITMIME, take_nothing},                       /* RFC 6152 */
    {BYTES_INIT("SMTPUTF8"), SMTP_CAP_SMTPUTF8, take_nothing},                       /* RFC 6531 */
    {BYTES_INIT("DSN"), SMTP_CAP_DSN, take_nothing},                                 /* RFC 3461 */
    {BYTES_INIT("ENHANCEDSTATUSCODES"), SMTP_CAP_ENHANCEDSTATUSCODES, take_nothing}, /* RFC 2034 */
    {BYTES_INIT("CHUNKING"), SMTP_CAP_CHUNKING, take_nothing},                       /* RFC 3030 */
    {BYTES_INIT("STARTTLS"), SMTP_CAP_STARTTLS, take_nothing},                       /* RFC 3207 */
    {BYTES_INIT("LIMITS"), SMTP_CAP_LIMITS, take_limits},                            /* RFC 9422 */
    {BYTES_INIT("AUTH"), SMTP_CAP_AUTH, take_nothing},                               /* RFC 4954 */
    {BYTES_INIT("REQUIRETLS"), SMTP_CAP_REQUIRETLS, take_nothing},                   /* RFC 8689 */
};

static bool is_printable(struct bytes text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~') return false;
    }
    return true;
}

void smtp_capabilities_line(struct smtp_capabilities *c, struct bytes line)
{
    uint32_t end = bytes_find(line, ' ');
    struct bytes keyword = bytes_slice(line, 0, end);
    struct bytes argument = bytes_trim(bytes_from(line, end));
    if (!is_printable(line)) return;
    for (uint32_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (!bytes_equal_nocase(keyword, known[i].keyword)) continue;
        if (known[i].take(c, argument)) c->set |= known[i].bit;
        return;
    }
}
