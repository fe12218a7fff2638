/*
 * addresses - lists of addresses as people and programs write them: in header fields, and on the command line.
 */
#include "sendmail.h"

enum { COMMENT_DEPTH_MAX = 32 };

/* skip_comment - from its parenthesis to behind the one that closes it, or to the end. */
static uint32_t skip_comment(struct bytes text, uint32_t at)
{
    uint32_t depth = 0;
    for (; at < text.len; at++) {
        uint8_t c = text.ptr[at];
        if (c == '\\') at++;
        else if (c == '(' && depth < COMMENT_DEPTH_MAX) depth++;
        else if (c == ')' && --depth == 0) return at + 1;
    }
    return text.len;
}

/* take_until - copy what stands between quotes or brackets, with them; returns behind it. */
static uint32_t take_until(struct bytes text, uint32_t at, uint8_t end, struct buf *out)
{
    buf_put_c(out, text.ptr[at++]);
    while (at < text.len) {
        uint8_t c = text.ptr[at++];
        if (c == '\r' || c == '\n') continue; /* folded */
        buf_put_c(out, c);
        if (c == '\\' && at < text.len) buf_put_c(out, text.ptr[at++]);
        else if (c == end) break;
    }
    return at;
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct part {                 /* of one mailbox */
    struct buf out;
    uint32_t end;             /* behind its last octet that counts */
    bool angle, closed;       /* inside of <>, and behind it */
    bool gap, broken;         /* a blank came behind a word; a second word came */
    bool at, last_joins;      /* an @ was there; the last octet was one that joins words */
};

static void put(struct part *p, uint8_t c, uint32_t at)
{
    bool joins = c == '.' || c == '@';
    if (p->closed) return;
    if (p->gap && !joins && !p->last_joins && p->out.len > 0) p->broken = true;
    if (p->broken && p->gap) buf_put_c(&p->out, ' ');
    p->gap = false;
    p->at = p->at || c == '@';
    p->last_joins = joins;
    buf_put_c(&p->out, c);
    p->end = at + 1;
}

/* open_angle - what stood before was a name. */
static void open_angle(struct part *p)
{
    p->out.len = 0;
    p->out.overflow = p->at = p->gap = p->broken = p->last_joins = false;
    p->angle = true;
}

/* drop_route - "<@a,@b:user@c>": what stands before the colon. */
static void drop_route(struct part *p)
{
    p->out.len = 0;
    p->at = p->gap = p->broken = p->last_joins = false;
}

/* step - one octet or one quoted piece; false when the mailbox has ended. */
static bool step(struct address_scan *s, struct part *p)
{
    uint8_t c = s->text.ptr[s->at];
    uint32_t before = p->out.len;
    switch (c) {
    case '(':
        s->at = skip_comment(s->text, s->at);
        p->gap = true;
        return true;
    case '"':
    case '[':
        if (p->closed) p->out.len = before;
        s->at = take_until(s->text, s->at, c == '[' ? ']' : '"', &p->out);
        if (p->closed) p->out.len = before;
        else p->end = s->at;
        p->gap = p->last_joins = false;
        return true;
    case '<':
        if (!p->closed) open_angle(p);
        p->end = s->at + 1;
        break;
    case '>':
        p->closed = p->angle;
        p->angle = false;
        break;
    case ':':
        drop_route(p); /* in <> it ends a route; outside, the name of a group */
        break;
    case ',':
    case ';':
        if (p->angle) break; /* between the hosts of a route */
        s->at++;
        return false;
    default:
        if (is_blank(c)) p->gap = p->out.len > 0;
        else put(p, c, s->at);
    }
    s->at++;
    return true;
}

bool address_next(struct address_scan *s, struct found_address *out)
{
    while (s->at < s->text.len) {
        struct part p = {.out = BUF_OVER(s->memory)};
        while (s->at < s->text.len && step(s, &p)) {}
        if (p.out.len == 0) continue;
        *out = (struct found_address){buf_bytes(&p.out), p.end, p.at};
        return true;
    }
    return false;
}
