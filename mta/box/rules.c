/* rules - see rules.h. */
#include "mta/box/rules.h"

#include "base/must.h"
#include "mta/box/dot.h"

#define RULE_ROW(found, plain, suspect) [FOUND_##found] = {RULE_##plain, RULE_##suspect},
static const uint8_t rules[FOUND_COUNT][2] = {BOX_RULES(RULE_ROW)};

#define NAME_ROW(found, plain, suspect) [FOUND_##found] = #found,
static const char *const names[FOUND_COUNT] = {BOX_RULES(NAME_ROW)};

static uint32_t rcpts_taken(const struct box_view *v)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < v->rcpt_count; i++) taken += !(v->rcpts[i] & BOX_RCPT_JUDGED);
    return taken;
}

/* after_dot - which answer. The octets are counted again only as far as is needed to see that an answer is whole. */
static enum box_found after_dot(const struct box_view *v)
{
    if (!v->rcpts || (v->each && !v->answers)) return FOUND_SPOILED;
    if (v->each) {
        uint32_t taken = rcpts_taken(v);
        if (v->answered > taken) return FOUND_SPOILED;
        return v->dot == BOX_DOT_JUNK || v->answered == taken ? FOUND_AFTER_EACH : FOUND_AFTER_SOME;
    }
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

static uint16_t by_answer(uint16_t code, bool suspect)
{
    bool taken = code / 100 == 2, refused = code / 100 == 4 || code / 100 == 5;
    if (!taken && !refused) return box_rcpt_pack(VERDICT_LATER, 0, true);
    if (taken) return box_rcpt_pack(VERDICT_DELIVERED, code, false);
    return suspect ? box_rcpt_pack(VERDICT_LATER, 0, false) : box_rcpt_pack(code < 500 ? VERDICT_LATER : VERDICT_NEVER, code, false);
}

void box_each(const struct box_view *v, bool suspect, uint16_t out[BOX_RCPTS_MAX])
{
    must(v->each && v->rcpts && v->answers && v->rcpt_count <= BOX_RCPTS_MAX);
    for (uint32_t i = 0, next = 0; i < v->rcpt_count; i++) {
        out[i] = 0;
        if (v->rcpts[i] & BOX_RCPT_JUDGED) continue;
        out[i] = next < v->answered ? by_answer(v->answers[next], suspect) : box_rcpt_pack(VERDICT_LATER, 0, true);
        next++;
    }
}

const char *box_found_name(enum box_found found) { return found < FOUND_COUNT ? names[found] : "unknown"; }
