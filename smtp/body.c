/*
 * body - see smtp/body.h.
 *
 * Both directions share clean_run(): the longest stretch of input that is already as it must be, found with memchr() and
 * copied in one piece. Only what stops a run goes through the reader's table, octet by octet: one row for each place between
 * CR, LF and dot, one column for each class of octet. The end of the data is one cell of that table, behind CR LF . CR,
 * which only a real CR LF leads to.
 */
#include "smtp/body.h"

#include <string.h>

#include "base/must.h"

/*
 * How far a run looks for the next CR and LF at a time. Without a bound, input made of lone CRs would have the rest of the
 * buffer searched for an LF at every octet.
 */
enum { LOOK_BYTES_MAX = 512 };

struct line_place {
    bool at_start;       /* behind a CR LF, or at the start of it all */
    bool dots;           /* a dot at the start of a line ends a run */
    uint32_t bytes, max; /* octets of the current line so far; at most */
};

/*
 * clean_run - octets at the start of `in` in which only CR LF ends lines; not past a line's limit, and not with a CR as the
 * last one, since what it is shows only with the next octet.
 */
static uint32_t clean_run(struct bytes in, struct line_place *line)
{
    uint32_t n = 0;
    while (n < in.len && !(line->dots && line->at_start && in.ptr[n] == '.')) {
        struct bytes look = bytes_slice(in, n, LOOK_BYTES_MAX);
        uint32_t lf = bytes_find(look, '\n');
        uint32_t cr = bytes_find(bytes_slice(look, 0, lf), '\r');
        uint32_t room = line->max - line->bytes;
        uint32_t text = cr < room ? cr : room;
        if (text > 0) line->at_start = false;
        line->bytes += text;
        n += text;
        if (text < cr) break;
        if (cr == look.len) continue;
        if (cr + 1 != lf || lf == look.len) break;
        n += 2;
        line->bytes = 0;
        line->at_start = true;
    }
    return n;
}

enum place { LINE_START = 0, INSIDE, BARE_START, AFTER_CR, AFTER_DOT, AFTER_BARE_DOT, AFTER_DOT_CR, PLACE_COUNT, ENDED, BROKEN };
enum octet_class { CR = 0, LF, DOT, OTHER, CLASS_COUNT };
enum emission { NOTHING = 0, OCTET, ONE_DOT, LINE_END };

enum move {
    KEEP = 0,      /* content */
    HOLD_CR,       /* nothing is known until the next octet */
    HOLD_DOT,      /* first on a line: stuffed, or the end */
    HOLD_BARE_DOT, /* the same behind a bare newline, where it cannot be the end */
    HOLD_DOT_CR,
    NEWLINE,       /* CR LF */
    BARE_LF,
    BARE_CR,       /* what the CR was before this octet, which is looked at again */
    GIVE_DOT,      /* the held dot was content after all; the octet is looked at again */
    GIVE_DOT_CR,   /* the same for a dot whose CR is still held */
    END,
    MOVE_COUNT,
};

/*                place            CR           LF        dot            other */
#define PLACES(R) \
    R(LINE_START,     HOLD_CR,     BARE_LF,  HOLD_DOT,      KEEP) \
    R(INSIDE,         HOLD_CR,     BARE_LF,  KEEP,          KEEP) \
    R(BARE_START,     HOLD_CR,     BARE_LF,  HOLD_BARE_DOT, KEEP) \
    R(AFTER_CR,       BARE_CR,     NEWLINE,  BARE_CR,       BARE_CR) \
    R(AFTER_DOT,      HOLD_DOT_CR, GIVE_DOT, KEEP,          KEEP) \
    R(AFTER_BARE_DOT, GIVE_DOT,    GIVE_DOT, KEEP,          KEEP) \
    R(AFTER_DOT_CR,   GIVE_DOT_CR, END,      GIVE_DOT_CR,   GIVE_DOT_CR)

#define PLACE_ROW(place, cr, lf, dot, other) [place] = {[CR] = cr, [LF] = lf, [DOT] = dot, [OTHER] = other},
static const uint8_t places[PLACE_COUNT][CLASS_COUNT] = {PLACES(PLACE_ROW)};

/* What a move does: what goes out, whether the octet is eaten, whether a newline was bare, where it leads. */
static const struct {
    uint8_t emission;
    bool eats, bare;
    uint8_t next;
} moves[MOVE_COUNT] = {
    /*                 emission  eats   bare   next */
    [KEEP] =          {OCTET,    true,  false, INSIDE},
    [HOLD_CR] =       {NOTHING,  true,  false, AFTER_CR},
    [HOLD_DOT] =      {NOTHING,  true,  false, AFTER_DOT},
    [HOLD_BARE_DOT] = {NOTHING,  true,  false, AFTER_BARE_DOT},
    [HOLD_DOT_CR] =   {NOTHING,  true,  false, AFTER_DOT_CR},
    [NEWLINE] =       {LINE_END, true,  false, LINE_START},
    [BARE_LF] =       {LINE_END, true,  true,  BARE_START},
    [BARE_CR] =       {LINE_END, false, true,  BARE_START},
    [GIVE_DOT] =      {ONE_DOT,  false, false, INSIDE},
    [GIVE_DOT_CR] =   {ONE_DOT,  false, false, AFTER_CR},
    [END] =           {NOTHING,  true,  false, ENDED},
};

static enum octet_class class_of(uint8_t c)
{
    switch (c) {
    case '\r': return CR;
    case '\n': return LF;
    case '.': return DOT;
    default: return OTHER;
    }
}

void smtp_body_init(struct smtp_body_reader *r, enum smtp_bare_newline bare, uint32_t line_bytes_max, uint64_t bytes_max)
{
    *r = (struct smtp_body_reader){
        .state = LINE_START, .bare = (uint8_t)bare, .line_bytes_max = line_bytes_max, .bytes_max = bytes_max,
    };
}

/* give - count and hand out content, unless a fault was met. */
static void give(struct smtp_body_reader *r, struct bytes content, struct buf *out)
{
    if (r->fault == SMTP_BODY_OK && content.len > r->bytes_max - r->bytes) r->fault = SMTP_BODY_TOO_BIG;
    if (r->fault != SMTP_BODY_OK) return;
    must(r->bytes <= r->bytes_max && content.len <= buf_room(out));
    buf_put(out, content);
    r->bytes += content.len;
    if (!r->has_8bit) r->has_8bit = !bytes_is_ascii(content);
}

/* feed_run - take what needs no change; returns the octets taken. */
static uint32_t feed_run(struct smtp_body_reader *r, struct bytes in, struct buf *out)
{
    if (r->state > BARE_START) return 0;
    bool faulty = r->fault != SMTP_BODY_OK;
    struct line_place line = {r->state != INSIDE, true, faulty ? 0 : r->line_bytes, faulty ? UINT32_MAX : r->line_bytes_max};
    struct bytes run = bytes_slice(in, 0, faulty ? in.len : buf_room(out));
    run.len = clean_run(run, &line);
    if (run.len == 0) return 0;
    give(r, run, out);
    r->state = line.at_start ? LINE_START : INSIDE;
    r->line_bytes = line.bytes;
    return run.len;
}

static void emit(struct smtp_body_reader *r, enum emission what, uint8_t c, struct buf *out)
{
    uint8_t octet = what == ONE_DOT ? '.' : c;
    struct bytes content = what == LINE_END ? BYTES("\r\n") : bytes_of(&octet, what == NOTHING ? 0 : 1);
    if (what == LINE_END) {
        r->line_bytes = 0;
    } else if (content.len > 0 && r->fault == SMTP_BODY_OK) {
        if (r->line_bytes == r->line_bytes_max) r->fault = SMTP_BODY_LINE_TOO_LONG;
        else r->line_bytes++;
    }
    give(r, content, out);
}

/* feed_octet - one move; returns the octets eaten, 0 or 1. */
static uint32_t feed_octet(struct smtp_body_reader *r, uint8_t c, struct buf *out)
{
    must(r->state < PLACE_COUNT);
    enum move m = (enum move)places[r->state][class_of(c)];
    if (moves[m].bare && r->bare == SMTP_BARE_REFUSE) {
        r->fault = SMTP_BODY_BARE_NEWLINE;
        r->state = BROKEN;
        return 0;
    }
    emit(r, (enum emission)moves[m].emission, c, out);
    r->state = moves[m].next;
    return moves[m].eats ? 1 : 0;
}

enum smtp_feed smtp_body_feed(struct smtp_body_reader *r, struct bytes in, uint32_t *used, struct buf *out)
{
    uint32_t pos = 0;
    while (pos < in.len && r->state < PLACE_COUNT && (r->fault != SMTP_BODY_OK || buf_room(out) >= SMTP_BODY_ROOM_BYTES_MIN)) {
        uint32_t run = feed_run(r, bytes_from(in, pos), out);
        pos += run > 0 ? run : feed_octet(r, in.ptr[pos], out);
    }
    *used = pos;
    if (r->state == ENDED) return SMTP_DONE;
    return r->state == BROKEN ? SMTP_GARBLED : SMTP_MORE;
}

void smtp_chunk_init(struct smtp_chunk_reader *r, uint64_t bytes_max)
{
    *r = (struct smtp_chunk_reader){.bytes_max = bytes_max};
}

static void chunk_fault(struct smtp_chunk_reader *r, enum smtp_body_fault fault)
{
    if (r->fault == SMTP_BODY_OK) r->fault = (uint8_t)fault;
}

void smtp_chunk_begin(struct smtp_chunk_reader *r, uint64_t bytes)
{
    must(r->left == 0 && r->bytes <= r->bytes_max);
    r->left = bytes;
    if (bytes > r->bytes_max - r->bytes) chunk_fault(r, SMTP_BODY_TOO_BIG);
}

/* look_at_lines - note a fault in the lines of content; a dot means nothing here. */
static void look_at_lines(struct smtp_chunk_reader *r, struct bytes content)
{
    struct line_place line = {false, false, r->line_bytes, r->line_bytes_max ? r->line_bytes_max : UINT32_MAX};
    uint32_t pos = 0;
    while (pos < content.len && r->fault == SMTP_BODY_OK) {
        uint8_t c = content.ptr[pos];
        uint32_t run = r->previous_cr ? 0 : clean_run(bytes_from(content, pos), &line);
        if (run > 0) {
            pos += run;
        } else if (r->previous_cr && c == '\n') {
            r->previous_cr = false;
            line.bytes = 0;
            pos++;
        } else if (!r->previous_cr && c == '\r') {
            r->previous_cr = true;
            pos++;
        } else {
            chunk_fault(r, r->previous_cr || c == '\n' ? SMTP_BODY_BARE_NEWLINE : SMTP_BODY_LINE_TOO_LONG);
        }
    }
    r->line_bytes = line.bytes;
}

enum smtp_feed smtp_chunk_feed(struct smtp_chunk_reader *r, struct bytes in, uint32_t *used, struct buf *out)
{
    struct bytes content = bytes_slice(in, 0, r->left < in.len ? (uint32_t)r->left : in.len);
    if (r->fault == SMTP_BODY_OK) {
        content = bytes_slice(content, 0, buf_room(out));
        look_at_lines(r, content);
        buf_put(out, content);
        r->bytes += content.len;
        if (!r->has_8bit) r->has_8bit = !bytes_is_ascii(content);
    }
    r->left -= content.len;
    *used = content.len;
    return r->left == 0 ? SMTP_DONE : SMTP_MORE;
}

/* The stuffer uses three of the places. */
void smtp_stuff_init(struct smtp_stuffer *s)
{
    s->state = LINE_START;
}

/* stuff_octet - what is not in a clean run: a CR, an LF, or a dot at the start of a line. Returns the octets eaten, 0 or 1. */
static uint32_t stuff_octet(struct smtp_stuffer *s, uint8_t c, struct buf *out)
{
    if (s->state != AFTER_CR && c == '\r') {
        s->state = AFTER_CR;
        return 1;
    }
    if (s->state == LINE_START && c == '.') {
        BUF_LIT(out, "..");
        s->state = INSIDE;
        return 1;
    }
    must(s->state == AFTER_CR || c == '\n');
    BUF_LIT(out, "\r\n");
    s->state = LINE_START;
    return c == '\n' ? 1 : 0;
}

void smtp_stuff(struct smtp_stuffer *s, struct bytes in, uint32_t *used, struct buf *out)
{
    uint32_t pos = 0;
    while (pos < in.len && buf_room(out) >= SMTP_BODY_ROOM_BYTES_MIN) {
        struct line_place line = {s->state == LINE_START, true, 0, UINT32_MAX};
        struct bytes run = bytes_slice(in, pos, buf_room(out));
        run.len = s->state == AFTER_CR ? 0 : clean_run(run, &line);
        if (run.len == 0) {
            pos += stuff_octet(s, in.ptr[pos], out);
            continue;
        }
        buf_put(out, run);
        pos += run.len;
        s->state = line.at_start ? LINE_START : INSIDE;
    }
    *used = pos;
}

void smtp_stuff_end(const struct smtp_stuffer *s, struct buf *out)
{
    if (s->state != LINE_START) BUF_LIT(out, "\r\n");
    BUF_LIT(out, ".\r\n");
}
