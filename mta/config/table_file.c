/*
 * table_file - table files with a key on a line: plain ones, what postmap(1) reads, and regular expressions.
 *
 * plain    KEY, or KEY VALUE; `#` begins a comment at the start of a word; a key with blanks stands in quotes.
 * postfix  KEY VALUE; a line that begins with a blank goes on with the one before; `#` begins a comment at the start of a line only.
 * regex    /PATTERN/FLAGS VALUE, or !/PATTERN/FLAGS VALUE; lines as in postfix.
 */
#include <stdlib.h>
#include <string.h>

#include "mta/config/load.h"
#include "mta/config/pattern.h"

enum {
    LINE_BYTES_MAX = GRAMMAR_WORD_BYTES_MAX, /* of a logical line; a longer value is none that anything here can use */
    PATTERNS_MAX = 10000,                    /* of one table: they are tried one after the other */
};

bool table_line_is_clean(struct loader *l, struct bytes line, struct grammar_place place)
{
    if (line.len > LINE_BYTES_MAX) {
        CONFIG_ERROR(l, place, BYTES("a line of more than 4096 octets; expected a key and its value"));
        return false;
    }
    for (uint32_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] >= ' ' || line.ptr[i] == '\t') && line.ptr[i] != 0x7f) continue;
        CONFIG_ERROR(l, place,
                     line.ptr[i] == '\r' ? BYTES("the line ends with CR LF; expected LF alone") : BYTES("a control octet; expected printable text"));
        return false;
    }
    if (bytes_is_utf8(line)) return true;
    CONFIG_ERROR(l, place, BYTES("the line is not UTF-8"));
    return false;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* ---- logical lines ---- */

struct lines { /* over a file; `line` is the last one, without blanks at its ends */
    struct bytes text;
    uint32_t file, at, number; /* octets read, and lines */
    uint32_t errors;           /* of the loader, before this file */
    bool continues;            /* a line that begins with a blank goes on with the one before */
    struct bytes line;
    struct grammar_place place;
    uint8_t store[LINE_BYTES_MAX];
};

/* physical_line - the next line as it stands; false at the end. */
static bool physical_line(struct lines *r, struct bytes *line)
{
    if (r->at >= r->text.len) return false;
    *line = bytes_from(r->text, r->at);
    line->len = bytes_find(*line, '\n');
    r->at += line->len + 1;
    r->number++;
    return true;
}

static bool is_comment_or_empty(struct bytes line)
{
    struct bytes trimmed = bytes_trim(line);
    return trimmed.len == 0 || trimmed.ptr[0] == '#';
}

/* next_is_continued - whether the next line that says something begins with a blank. Comments between do not end a line. */
static bool next_is_continued(const struct lines *r)
{
    for (uint32_t at = r->at; r->continues && at < r->text.len;) {
        struct bytes line = bytes_from(r->text, at);
        line.len = bytes_find(line, '\n');
        if (!is_comment_or_empty(line)) return is_blank(line.ptr[0]);
        at += line.len + 1;
    }
    return false;
}

/* take_continued - add what continues the line at hand; false when one of its lines was no text, or all are too long. */
static bool take_continued(struct loader *l, struct lines *r)
{
    struct buf whole = BUF_OVER(r->store);
    struct bytes more;
    bool good = true;
    buf_put(&whole, r->line);
    while (next_is_continued(r)) {
        while (physical_line(r, &more) && is_comment_or_empty(more)) {}
        good = table_line_is_clean(l, more, (struct grammar_place){r->file, r->number, 1}) && good;
        buf_put_c(&whole, ' ');
        buf_put(&whole, bytes_trim(more));
    }
    if (whole.overflow) CONFIG_ERROR(l, r->place, BYTES("a line of more than 4096 octets; expected a key and its value"));
    r->line = buf_bytes(&whole);
    return good && !whole.overflow;
}

/* next_line - the next one that says something; false at the end, or when more would only repeat that this is no table. */
static bool next_line(struct loader *l, struct lines *r)
{
    struct bytes line;
    while (l->errors - r->errors < GRAMMAR_PROBLEMS_MAX && physical_line(r, &line)) {
        r->place = (struct grammar_place){r->file, r->number, 1};
        if (!table_line_is_clean(l, line, r->place) || is_comment_or_empty(line)) continue;
        r->line = bytes_trim(line);
        if (r->continues && is_blank(line.ptr[0])) {
            CONFIG_ERROR(l, r->place, BYTES("a line that begins with a blank goes on with the one before, and there is none"));
            continue;
        }
        r->place.column += (uint32_t)(r->line.ptr - line.ptr);
        if (!next_is_continued(r) || take_continued(l, r)) return true;
    }
    return false;
}

static void lines_init(const struct loader *l, struct lines *r, uint32_t file, bool continues)
{
    const struct source_file *f = ARRAY_ITEM(&l->files, file, struct source_file);
    r->text = bytes_of(f->text, f->text_bytes);
    r->file = file;
    r->at = r->number = 0;
    r->errors = l->errors;
    r->continues = continues;
}

/* ---- a key and its value ---- */

/* A `#` begins a comment at the start of a line or behind a blank; within a word it is part of it. */
static struct bytes without_comment(struct bytes line)
{
    bool quoted = false;
    for (uint32_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '"') quoted = !quoted;
        if (!quoted && line.ptr[i] == '#' && (i == 0 || is_blank(line.ptr[i - 1]))) return bytes_trim(bytes_slice(line, 0, i));
    }
    return line;
}

/* key_end - where the first word ends; blanks in quotes are part of it. */
static uint32_t key_end(struct bytes line)
{
    bool quoted = false;
    uint32_t i = 0;
    for (; i < line.len && (quoted || !is_blank(line.ptr[i])); i++) {
        if (line.ptr[i] == '"') quoted = !quoted;
        else if (line.ptr[i] == '\\' && i + 1 < line.len) i++;
    }
    return i;
}

void table_read_lines(struct loader *l, struct table *t, uint32_t file)
{
    bool postfix = t->kept.format == CONFIG_TABLE_POSTFIX;
    struct lines r;
    lines_init(l, &r, file, postfix);
    while (next_line(l, &r)) {
        struct bytes line = postfix ? r.line : without_comment(r.line);
        uint32_t end = key_end(line);
        struct bytes key = bytes_slice(line, 0, end), value = bytes_trim(bytes_from(line, end));
        if (postfix && value.len == 0) CONFIG_ERROR(l, r.place, BYTES("`"), key, BYTES("' has no value; expected KEY VALUE, as postmap(1) does"));
        else table_add(l, t, key, value, (struct table_entry){.place = r.place, .line = r.place.line});
    }
}

/* ---- regular expressions ---- */

/* flags_of - the letters behind a pattern; false for one that is not known. */
static bool flags_of(struct bytes letters, uint32_t *flags)
{
    static const struct { uint8_t letter; uint32_t flag; } known[] = {
        {'i', PATTERN_CASE}, {'m', PATTERN_LINES}, {'s', PATTERN_DOT_ALL}, {'x', PATTERN_SPACED},
        {'A', PATTERN_ANCHORED}, {'E', PATTERN_END_ONLY}, {'U', PATTERN_UNGREEDY},
    };
    for (uint32_t i = 0; i < letters.len; i++) {
        uint32_t flag = 0;
        for (uint32_t k = 0; k < sizeof known / sizeof *known; k++) {
            if (known[k].letter == letters.ptr[i]) flag = known[k].flag;
        }
        if (flag == 0) return false;
        *flags ^= flag;
    }
    return true;
}

/* pattern_end - the delimiter that ends a pattern; line.len when there is none. A backslash takes the octet behind it. */
static uint32_t pattern_end(struct bytes line, uint32_t from, uint8_t delimiter)
{
    uint32_t i = from;
    while (i < line.len && line.ptr[i] != delimiter) i += line.ptr[i] == '\\' && i + 1 < line.len ? 2 : 1;
    return i;
}

struct pattern_line { struct bytes pattern, value; uint32_t flags, pattern_column, value_column; };

static bool split_pattern(struct loader *l, const struct lines *r, struct pattern_line *out)
{
    struct grammar_place place = r->place;
    struct bytes line = r->line;
    uint32_t at = line.ptr[0] == '!' ? 1 : 0;
    out->flags = PATTERN_DOT_ALL | (at ? (uint32_t)PATTERN_NOT : 0);
    uint8_t delimiter = at < line.len ? line.ptr[at] : 0;
    if (delimiter != '/' ) {
        bool is_if = bytes_starts(line, BYTES("if ")) || bytes_equal(line, BYTES("endif"));
        CONFIG_ERROR(l, place, is_if ? BYTES("`if' and `endif' are not supported; expected /PATTERN/FLAGS VALUE") : BYTES("expected /PATTERN/FLAGS VALUE"));
        return false;
    }
    uint32_t end = pattern_end(line, at + 1, delimiter);
    if (end >= line.len) {
        CONFIG_ERROR(l, place, BYTES("the pattern has no second `/'"));
        return false;
    }
    out->pattern = bytes_slice(line, at + 1, end - at - 1);
    out->pattern_column = place.column + at + 1;
    struct bytes rest = bytes_from(line, end + 1);
    struct bytes letters = bytes_slice(rest, 0, key_end(rest));
    place.column += end + 1;
    if (!flags_of(letters, &out->flags)) {
        CONFIG_ERROR(l, place, BYTES("`"), letters, BYTES("' behind the pattern; expected some of the letters i m s x A E U, and a blank"));
        return false;
    }
    out->value = bytes_trim(bytes_from(rest, letters.len));
    out->value_column = r->place.column + (uint32_t)(out->value.len ? out->value.ptr - line.ptr : 0);
    if (out->value.len > 0) return true;
    CONFIG_ERROR(l, place, BYTES("the pattern has no value; expected /PATTERN/FLAGS VALUE"));
    return false;
}

/* pattern_is_good - it compiles, and its value names groups that it has. */
static bool pattern_is_good(struct loader *l, const struct lines *r, const struct pattern_line *p)
{
    uint8_t memory[256], nothing[1];
    struct buf why = BUF_OVER(memory), none = BUF_OVER(nothing);
    struct pattern *compiled = NULL;
    uint32_t offset = 0;
    struct grammar_place place = r->place;
    enum err e = pattern_compile(p->pattern, p->flags, &compiled, &offset, &why);
    if (e == ERR_NO_MEMORY) {
        l->no_memory = true;
        return false;
    }
    if (e != ERR_NONE) {
        place.column = p->pattern_column + offset;
        CONFIG_ERROR(l, place, BYTES("the pattern cannot be used: "), buf_bytes(&why));
        return false;
    }
    bool good = pattern_expand(NULL, (struct bytes){0}, p->value, pattern_captures(compiled), &none);
    pattern_free(compiled);
    place.column = p->value_column;
    if (!good) CONFIG_ERROR(l, place, BYTES("the value names a group that the pattern does not have; expected $1 and so on, and $$ for a dollar"));
    return good;
}

void table_read_patterns(struct loader *l, struct table *t, uint32_t file)
{
    struct lines r;
    struct pattern_line p;
    lines_init(l, &r, file, true);
    while (next_line(l, &r)) {
        if (!split_pattern(l, &r, &p) || !pattern_is_good(l, &r, &p)) continue;
        if (t->entries.count >= PATTERNS_MAX) {
            CONFIG_ERROR(l, r.place, BYTES("more than 10000 patterns in one table"));
            return;
        }
        table_add(l, t, p.pattern, p.value, (struct table_entry){.place = r.place, .line = r.place.line, .flags = (uint8_t)p.flags});
    }
}
