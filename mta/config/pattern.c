/*
 * pattern - see pattern.h.
 */
#include "mta/config/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/must.h"

enum { PARENTHESES_MAX = 64, MESSAGE_BYTES_MAX = 160 };

struct pattern {
    pcre2_code *code;             /* owned, as all here */
    pcre2_match_data *data;
    pcre2_match_context *limits;
    uint32_t captures;
    uint32_t found;               /* groups that the last match filled, the whole included; 0 = there was none */
    bool negated;
};

static uint32_t options_of(uint32_t flags)
{
    uint32_t options = PCRE2_NEVER_BACKSLASH_C; /* \C cuts characters in two */
    if (!(flags & PATTERN_CASE)) options |= PCRE2_CASELESS;
    if (flags & PATTERN_LINES) options |= PCRE2_MULTILINE;
    if (flags & PATTERN_DOT_ALL) options |= PCRE2_DOTALL;
    if (flags & PATTERN_SPACED) options |= PCRE2_EXTENDED;
    if (flags & PATTERN_ANCHORED) options |= PCRE2_ANCHORED;
    if (flags & PATTERN_END_ONLY) options |= PCRE2_DOLLAR_ENDONLY;
    if (flags & PATTERN_UNGREEDY) options |= PCRE2_UNGREEDY;
    return options;
}

static enum err compile_code(struct pattern *p, struct bytes text, uint32_t flags, uint32_t *offset, struct buf *why)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return ERR_NO_MEMORY;
    (void)pcre2_set_parens_nest_limit(context, PARENTHESES_MAX);
    p->code = pcre2_compile(text.len ? text.ptr : (PCRE2_SPTR)"", text.len, options_of(flags), &number, &at, context);
    pcre2_compile_context_free(context);
    if (p->code) return ERR_NONE;
    uint8_t message[MESSAGE_BYTES_MAX];
    int length = pcre2_get_error_message(number, message, sizeof message);
    *offset = at < text.len ? (uint32_t)at : text.len;
    buf_put(why, bytes_of(message, length > 0 ? (uint32_t)length : 0));
    return ERR_BAD_VALUE;
}

static enum err make_limits(struct pattern *p)
{
    p->data = pcre2_match_data_create_from_pattern(p->code, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (!p->data || !p->limits) return ERR_NO_MEMORY;
    (void)pcre2_set_match_limit(p->limits, PATTERN_STEPS_MAX);
    (void)pcre2_set_depth_limit(p->limits, PATTERN_STEPS_MAX);
    (void)pcre2_set_heap_limit(p->limits, PATTERN_HEAP_KIB);
    return ERR_NONE;
}

enum err pattern_compile(struct bytes text, uint32_t flags, struct pattern **out, uint32_t *offset, struct buf *why)
{
    *offset = 0;
    if (text.len > PATTERN_BYTES_MAX) {
        BUF_LIT(why, "a pattern has at most 2048 octets");
        return ERR_TOO_LONG;
    }
    struct pattern *p = calloc(1, sizeof *p);
    if (!p) return ERR_NO_MEMORY;
    p->negated = (flags & PATTERN_NOT) != 0;
    enum err e = compile_code(p, text, flags, offset, why);
    if (e == ERR_NONE) e = make_limits(p);
    if (e == ERR_NONE) (void)pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &p->captures);
    if (e == ERR_NONE && p->captures > PATTERN_CAPTURES_MAX) {
        BUF_LIT(why, "a pattern has at most 32 groups");
        e = ERR_BAD_VALUE;
    }
    if (e != ERR_NONE) {
        pattern_free(p);
        return e;
    }
    *out = p;
    return ERR_NONE;
}

void pattern_free(struct pattern *p)
{
    if (!p) return;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->data);
    pcre2_code_free(p->code);
    free(p);
}

uint32_t pattern_captures(const struct pattern *p)
{
    return p->negated ? 0 : p->captures;
}

enum pattern_answer pattern_match(struct pattern *p, struct bytes subject)
{
    p->found = 0;
    if (subject.len > PATTERN_SUBJECT_BYTES_MAX) return PATTERN_FAILED;
    int result = pcre2_match(p->code, subject.len ? subject.ptr : (PCRE2_SPTR)"", subject.len, 0, 0, p->data, p->limits);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) return PATTERN_FAILED;
    if (result > 0 && !p->negated) p->found = (uint32_t)result;
    return (result > 0) != p->negated ? PATTERN_YES : PATTERN_NO;
}

/* group - what a group of the last match was; empty when it took no part. */
static struct bytes group(const struct pattern *p, struct bytes subject, uint32_t n)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(p->data);
    if (n >= p->found || ends[2 * n] == PCRE2_UNSET || ends[2 * n] > ends[2 * n + 1] || ends[2 * n + 1] > subject.len) return (struct bytes){0};
    return bytes_slice(subject, (uint32_t)ends[2 * n], (uint32_t)(ends[2 * n + 1] - ends[2 * n]));
}

/* take_number - the group that a value names behind a dollar at *at; false when it is none. */
static bool take_number(struct bytes value, uint32_t *at, uint32_t *number)
{
    uint8_t open = *at < value.len ? value.ptr[*at] : 0, close = open == '{' ? '}' : open == '(' ? ')' : 0;
    uint32_t digits = 0;
    if (close) ++*at;
    *number = 0;
    for (; *at < value.len && ascii_is_digit(value.ptr[*at]) && digits < 3; ++*at, digits++) *number = *number * 10 + (uint32_t)(value.ptr[*at] - '0');
    if (digits == 0) return false;
    if (!close) return true;
    if (*at >= value.len || value.ptr[*at] != close) return false;
    ++*at;
    return true;
}

bool pattern_expand(const struct pattern *p, struct bytes subject, struct bytes value, uint32_t captures, struct buf *out)
{
    for (uint32_t at = 0; at < value.len;) {
        uint8_t c = value.ptr[at++];
        uint32_t number;
        if (c != '$') {
            if (p) buf_put_c(out, c);
            continue;
        }
        if (at < value.len && value.ptr[at] == '$') {
            at++;
            if (p) buf_put_c(out, c);
            continue;
        }
        if (!take_number(value, &at, &number) || number > captures) return false;
        if (p) buf_put(out, group(p, subject, number));
    }
    return true;
}
