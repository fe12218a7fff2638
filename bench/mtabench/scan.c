/*
 * scan - see scan.h.
 *
 * Outside of a partial match the next dot is looked for, and then what stands before it: CR LF must, and both must have been read after the last
 * match failed. A partial match, which is all that can be under way when a read ends, goes on octet by octet.
 */
#include "bench/mtabench/scan.h"

#include <stddef.h>
#include <string.h>

#include "base/must.h"

enum { AFTER_CRLF = 2, AFTER_DOT = 3, END_BYTES = 5 };

void scan_begin(struct scan *s)
{
    memset(s, 0, offsetof(struct scan, line));
    s->matched = AFTER_CRLF;
    s->in_header = true;
}

/* One octet of the match. A CR begins anew wherever it stands. */
static uint8_t match_octet(uint8_t matched, uint8_t c)
{
    static const uint8_t pattern[END_BYTES] = {'\r', '\n', '.', '\r', '\n'};
    if (c == pattern[matched]) return (uint8_t)(matched + 1);
    return c == '\r' ? 1 : 0;
}

/* What of the pattern the octets of in[from..end) end in, when none of it was matched before them. */
static uint8_t match_at_end(struct bytes in, uint32_t from, uint32_t end)
{
    if (end - from >= 1 && in.ptr[end - 1] == '\r') return 1;
    if (end - from >= 2 && in.ptr[end - 2] == '\r' && in.ptr[end - 1] == '\n') return AFTER_CRLF;
    return 0;
}

/* find_end - octets up to and with the end of the content, or all of them; s->matched tells which. */
static uint32_t find_end(struct scan *s, struct bytes in)
{
    uint32_t at = 0;
    while (at < in.len && s->matched < END_BYTES) {
        if (s->matched > 0) {
            s->matched = match_octet(s->matched, in.ptr[at++]);
            continue;
        }
        uint32_t dot = at + bytes_find(bytes_from(in, at), '.');
        s->matched = match_at_end(in, at, dot);
        if (dot == in.len) return dot;
        s->matched = s->matched == AFTER_CRLF ? AFTER_DOT : 0;
        at = dot + 1;
    }
    return at;
}

static void on_header_line(struct scan *s, struct bytes line)
{
    static const struct bytes field = BYTES_INIT(IDENT_FIELD ":");
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    if (line.len == 0) s->in_header = false;
    if (!bytes_starts_nocase(line, field)) return;
    struct bytes text = bytes_trim(bytes_from(line, field.len)), run;
    uint64_t number;
    if (text.len > sizeof s->name || !ident_parse(text, &run, &number)) return;
    memcpy(s->name, text.ptr, text.len);
    s->name_len = text.len;
    s->found = true;
    s->in_header = false;
}

/* Lines are looked at where they lie; only one that a read cut in two is put together, as far as it can matter. */
static void read_header(struct scan *s, struct bytes in)
{
    while (s->in_header && in.len > 0) {
        uint32_t end = bytes_find(in, '\n');
        struct bytes part = bytes_slice(in, 0, end);
        bool whole = end < in.len;
        if (s->line_len > 0 || !whole) {
            struct buf line = {s->line, s->line_len, sizeof s->line, false};
            buf_put_cut(&line, part);
            s->line_len = line.len;
            part = buf_bytes(&line);
        }
        if (!whole) return;
        on_header_line(s, part);
        s->line_len = 0;
        in = bytes_from(in, end + 1);
    }
}

static void keep_tail(struct scan *s, struct bytes in)
{
    if (in.len < SCAN_TAIL_BYTES) {
        uint32_t kept = s->tail_len + in.len > SCAN_TAIL_BYTES ? SCAN_TAIL_BYTES - in.len : s->tail_len;
        memmove(s->tail, s->tail + s->tail_len - kept, kept);
        s->tail_len = kept;
    } else {
        in = bytes_from(in, in.len - SCAN_TAIL_BYTES);
        s->tail_len = 0;
    }
    if (in.len > 0) memcpy(s->tail + s->tail_len, in.ptr, in.len);
    s->tail_len += in.len;
}

bool scan_feed(struct scan *s, struct bytes in, uint32_t *used)
{
    must(s->matched < END_BYTES);
    *used = find_end(s, in);
    struct bytes content = bytes_slice(in, 0, *used);
    s->bytes += content.len;
    if (s->in_header) read_header(s, content);
    keep_tail(s, content);
    return s->matched == END_BYTES;
}

struct bytes scan_name(const struct scan *s)
{
    return bytes_of(s->name, s->found ? s->name_len : 0);
}

bool scan_is_whole(const struct scan *s)
{
    if (!s->found || s->tail_len < s->name_len + END_BYTES + 1) return false;
    const uint8_t *name = s->tail + s->tail_len - END_BYTES - s->name_len;
    return name[-1] == '\n' && memcmp(name, s->name, s->name_len) == 0;
}
