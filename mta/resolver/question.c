/* question - one DNS question to the library, its answer through our own parser. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/planted.h"
#include "mta/resolver/library.h"
#include "mta/resolver/resolver.h"

struct question {
    void *context;
    uint32_t tag;
    enum dns_type type;
    question_fn *answer;
};

enum { SEC_BOGUS = 1, SEC_SECURE = 2 };

static void judge(struct question *q, int rcode, struct bytes packet, int secure)
{
    static struct dns_result result; /* one answer at a time; too large for a stack */
    memset(&result, 0, offsetof(struct dns_result, records));
    enum question_status status = QUESTION_TEMPORARY;
    planted_fault("dns", packet, NULL, 0);
    if (secure == SEC_BOGUS) {
        status = QUESTION_BOGUS;
    } else if (rcode == DNS_RCODE_NXDOMAIN) {
        status = QUESTION_NO_DOMAIN;
    } else if (rcode == 0 && dns_parse(packet, q->type, &result)) { /* the library's code says only whether there is a packet to look at */
        if (result.rcode == DNS_RCODE_NXDOMAIN) status = QUESTION_NO_DOMAIN;
        else if (result.rcode == 0) status = result.count ? QUESTION_FOUND : QUESTION_NO_DATA;
    }
    q->answer(q->context, q->tag, status, secure == SEC_SECURE, &result);
    free(q);
}

static void answered(void *context, int rcode, void *packet, int bytes, int secure, char *why, int rate_limited)
{
    (void)why;
    (void)rate_limited;
    bool sane = packet && bytes > 0 && bytes <= 65535;
    judge(context, rcode, sane ? bytes_of(packet, (uint32_t)bytes) : (struct bytes){0}, secure);
}

/* to_ascii - the name for the DNS: U-labels become A-labels (RFC 5891), a dot at the end. */
static bool to_ascii(struct bytes name, char out[DNS_NAME_BYTES_MAX + 2])
{
    char text[DNS_NAME_BYTES_MAX + 2];
    if (!name.len || name.len > DNS_NAME_BYTES_MAX || bytes_find(name, 0) < name.len) return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    if (!bytes_is_ascii(name)) {
        char *ascii = NULL;
        if (library.to_ascii(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) return false;
        size_t n = strlen(ascii);
        bool fits = n <= DNS_NAME_BYTES_MAX;
        if (fits) memcpy(text, ascii, n + 1);
        library.free(ascii);
        if (!fits) return false;
    }
    size_t n = strlen(text);
    memcpy(out, text, n);
    out[n] = '.';
    out[n + 1] = 0;
    return true;
}

void question_ask(struct ub_ctx *unbound, struct bytes name, enum dns_type type, void *context, uint32_t tag, question_fn *answer)
{
    char text[DNS_NAME_BYTES_MAX + 2];
    static struct dns_result nothing;
    struct question *q = malloc(sizeof *q);
    int id = 0;
    if (!q) {
        answer(context, tag, QUESTION_TEMPORARY, false, &nothing);
        return;
    }
    *q = (struct question){context, tag, type, answer};
    if (!to_ascii(name, text)) {
        free(q);
        answer(context, tag, QUESTION_NO_DOMAIN, false, &nothing);
        return;
    }
    int e = library.resolve(unbound, text, (int)type, 1, q, answered, &id);
    if (!e) return;
    free(q);
    answer(context, tag, e == UB_SYNTAX ? QUESTION_NO_DOMAIN : QUESTION_TEMPORARY, false, &nothing);
}
