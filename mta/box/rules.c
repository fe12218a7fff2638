/* rules - see rules.h. */
#include "mta/box/rules.h"

#include "base/must.h"
#include "mta/box/dot.h"

#define RULE_ROW(found, plain, suspect) [FOUND_##found] = {RULE_##plain, RULE_##suspect},
static const uint8_t rules[FOUND_COUNT][2] = {BOX_RULES(RULE_ROW)};

#define NAME_ROW(found, plain, suspect) [FOUND_##found] = #found,
static const char *const names[FOUND_COUNT] = {BOX_RULES(NAME_ROW)};

/* after_dot - which answer. The octets are counted again only as far as is needed to see that an answer is whole. */
static enum box_found after_dot(const struct box_view *v)
{
    if (!v->rcpts) return FOUND_SPOILED;
    switch (v->dot) {
    case BOX_DOT_CODE: return v->dot_code < 300 ? FOUND_AFTER_TAKEN : v->dot_code < 500 ? FOUND_AFTER_LATER : FOUND_AFTER_REFUSED;
    case BOX_DOT_JUNK: return FOUND_AFTER_JUNK;
    default: break;
    }
    if (v->bytes.len == 0) return FOUND_AFTER_SILENT;
    bool line = v->bytes.ptr[v->bytes.len - 1] == '\n' && v->bytes_seen == v->bytes.len;
    return line ? FOUND_AFTER_UNJUDGED : FOUND_AFTER_PARTIAL;
}

enum box_found box_found(enum box_condition condition, const struct box_view *v, bool spoiled, uint64_t attempt, uint32_t rcpt_count)
{
    if (attempt == 0) return FOUND_NO_ATTEMPT;
    if (condition == BOX_SPOILED) return FOUND_SPOILED;
    if (condition == BOX_UNUSED) return spoiled ? FOUND_SPOILED : FOUND_NOT_BEGUN;
    if (v->attempt != attempt) return FOUND_NOT_BEGUN;
    if (v->rcpt_count != rcpt_count) return FOUND_SPOILED;
    return v->phase == BOX_BEFORE ? FOUND_BEFORE_DOT : after_dot(v);
}

enum box_rule box_rule(enum box_found found, bool suspect)
{
    must(found < FOUND_COUNT);
    return (enum box_rule)rules[found][suspect];
}

const char *box_found_name(enum box_found found) { return found < FOUND_COUNT ? names[found] : "unknown"; }
