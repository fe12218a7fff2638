/*
 * grammar - the scanner and the tree of base/grammar.h.
 *
 * Two passes over a text: the first reports octets that no configuration has (NUL, control octets, carriage returns, broken UTF-8), so
 * that the second can take every octet up to a blank as a blank and speak of words and blocks only. The open blocks are an array of
 * GRAMMAR_DEPTH_MAX; deeper ones are reported once and skipped whole, so that the braces behind them still pair.
 */
#include "base/grammar.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum {
    PROBLEM_TEXT_BYTES = 512,
    SHOWN_WORD_BYTES = 64, /* of a word inside a message */
    GROW_FIRST = 64,
};

enum token { TOKEN_WORD = 0, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_SEMICOLON, TOKEN_NEWLINE, TOKEN_END };

struct open_block {
    uint32_t statement; /* GRAMMAR_NONE for the text itself */
    uint32_t last;      /* its last statement so far, or GRAMMAR_NONE */
};

struct scan {
    struct grammar *g;
    const struct grammar_sink *sink;
    struct bytes text;
    uint32_t file, pos, line, column;
    uint32_t problems;
    bool stopped;               /* out of room or patience: nothing more is read */
    enum err error;             /* ERR_NO_MEMORY when that is why */
    uint8_t *store;             /* unescaped words of this text; as large as the text when there is one */
    uint32_t store_bytes;
    struct grammar_word word;   /* the last TOKEN_WORD */
    uint32_t current;           /* the statement that is being read, or GRAMMAR_NONE */
    uint32_t depth;             /* open blocks */
    uint32_t skipped;           /* open blocks deeper than the bound */
    struct open_block open[GRAMMAR_DEPTH_MAX + 1];
    uint32_t first;
};

static struct grammar_place here(const struct scan *s)
{
    return (struct grammar_place){s->file, s->line, s->column};
}

static void problem(struct scan *s, struct grammar_place place, struct bytes text)
{
    if (s->problems > GRAMMAR_PROBLEMS_MAX) return;
    s->problems++;
    if (s->problems <= GRAMMAR_PROBLEMS_MAX) {
        s->sink->report(s->sink->context, place, text);
        return;
    }
    s->sink->report(s->sink->context, place, BYTES("too many problems; the rest of the file was not read"));
    s->stopped = true;
}

static bool is_blank(uint8_t c)
{
    return (c <= ' ' && c != '\n') || c == 0x7f;
}

static void advance(struct scan *s)
{
    uint8_t c = s->text.ptr[s->pos++];
    if (c == '\n') {
        s->line++;
        s->column = 1;
    } else if ((c & 0xc0) != 0x80) {
        s->column++;
    }
}

static void advance_to(struct scan *s, uint32_t end)
{
    while (s->pos < end) advance(s);
}

/* ---- first pass: octets ---- */

static bool odd_octet(uint8_t c)
{
    return (c < ' ' && c != '\t' && c != '\n') || c == 0x7f;
}

static void check_line(struct scan *s, struct bytes line, bool *said_cr)
{
    struct bytes rest = line;
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '\r') {
        rest.len--;
        if (!*said_cr) {
            problem(s, (struct grammar_place){s->file, s->line, rest.len + 1},
                    BYTES("the line ends with CR LF; expected LF alone (save the file with Unix line ends)"));
        }
        *said_cr = true;
    }
    if (!bytes_is_utf8(rest)) problem(s, (struct grammar_place){s->file, s->line, 1}, BYTES("the line is not UTF-8"));
    for (uint32_t i = 0; i < rest.len; i++) {
        if (!odd_octet(rest.ptr[i])) continue;
        uint8_t memory[PROBLEM_TEXT_BYTES];
        struct buf text = BUF_OVER(memory);
        BUF_LIT(&text, "control octet 0x");
        buf_put_hex(&text, rest.ptr[i], 2);
        BUF_LIT(&text, "; expected printable text");
        problem(s, (struct grammar_place){s->file, s->line, i + 1}, buf_bytes(&text));
        return;
    }
}

static void check_octets(struct scan *s)
{
    bool said_cr = false;
    if (bytes_find(s->text, 0) < s->text.len) {
        problem(s, here(s), BYTES("the file has NUL octets; expected a text file"));
        s->stopped = true;
        return;
    }
    if (bytes_starts(s->text, BYTES("\xef\xbb\xbf"))) {
        problem(s, here(s), BYTES("the file begins with a byte order mark; save it as UTF-8 without one"));
        s->pos = 3;
    }
    uint32_t start = s->pos;
    for (uint32_t at = start; at < s->text.len && !s->stopped; s->line++) {
        struct bytes line = bytes_from(s->text, at);
        line.len = bytes_find(line, '\n');
        check_line(s, line, &said_cr);
        at += line.len + 1;
    }
    s->pos = start;
    s->line = 1;
}

/* ---- second pass: words ---- */

/* The octets of "{name}" at pos, or 0 when there is no placeholder. */
static uint32_t placeholder_bytes(const struct scan *s)
{
    uint32_t at = s->pos + 1;
    while (at < s->text.len && (ascii_is_alpha(s->text.ptr[at]) || s->text.ptr[at] == '-' || s->text.ptr[at] == '_')) at++;
    bool whole = at < s->text.len && s->text.ptr[at] == '}' && at > s->pos + 1;
    return whole ? at + 1 - s->pos : 0;
}

static void scan_plain_word(struct scan *s)
{
    uint32_t start = s->pos;
    while (s->pos < s->text.len) {
        uint8_t c = s->text.ptr[s->pos];
        if (c == '\n' || is_blank(c) || c == ';' || c == '}' || c == '"') break;
        if (c == '{') {
            uint32_t n = placeholder_bytes(s);
            if (n == 0) break;
            advance_to(s, s->pos + n);
            continue;
        }
        advance(s);
    }
    s->word.text = bytes_slice(s->text, start, s->pos - start);
    if (s->pos < s->text.len && s->text.ptr[s->pos] == '"') {
        problem(s, here(s),
                BYTES("a quote in the middle of a word; expected a blank before it, or quotes around the whole word"));
    }
}

/* The end of the quoted word that begins at pos: the place of its closing quote, or of the newline or end that came first. */
static uint32_t quote_end(const struct scan *s, bool *escapes)
{
    uint32_t at = s->pos + 1;
    for (; at < s->text.len; at++) {
        uint8_t c = s->text.ptr[at];
        if (c == '"' || c == '\n') break;
        if (c == '\\' && at + 1 < s->text.len && s->text.ptr[at + 1] != '\n') {
            *escapes = true;
            at++;
        }
    }
    return at;
}

static struct bytes unescape(struct scan *s, struct bytes raw)
{
    if (!s->store) s->store = malloc(s->text.len);
    if (!s->store) {
        s->stopped = true;
        s->error = ERR_NO_MEMORY;
        return (struct bytes){0};
    }
    uint8_t *out = s->store + s->store_bytes;
    uint32_t n = 0;
    for (uint32_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.ptr[i];
        if (c == '\\' && i + 1 < raw.len) {
            c = raw.ptr[++i];
            if (c != '"' && c != '\\') problem(s, s->word.place, BYTES("unknown escape in a quoted word; expected \\\" or \\\\"));
        }
        out[n++] = c;
    }
    s->store_bytes += n;
    return bytes_of(out, n);
}

static void scan_quoted_word(struct scan *s)
{
    bool escapes = false;
    uint32_t end = quote_end(s, &escapes);
    bool closed = end < s->text.len && s->text.ptr[end] == '"';
    struct bytes raw = bytes_slice(s->text, s->pos + 1, end > s->text.len ? s->text.len - s->pos - 1 : end - s->pos - 1);
    s->word.quoted = true;
    s->word.text = escapes ? unescape(s, raw) : raw;
    if (!closed) problem(s, s->word.place, BYTES("the quoted word that begins here is not closed on its line; expected `\"'"));
    advance_to(s, closed ? end + 1 : (end < s->text.len ? end : s->text.len));
    if (!closed || s->pos >= s->text.len) return;
    uint8_t c = s->text.ptr[s->pos];
    if (c != '\n' && !is_blank(c) && c != ';' && c != '{' && c != '}') {
        problem(s, here(s), BYTES("a quoted word goes on after its quote; expected a blank, `;', `{' or `}'"));
    }
}

static enum token scan_word(struct scan *s)
{
    s->word = (struct grammar_word){.place = here(s)};
    if (s->text.ptr[s->pos] == '"') {
        scan_quoted_word(s);
    } else {
        scan_plain_word(s);
    }
    if (s->word.text.len > GRAMMAR_WORD_BYTES_MAX) {
        problem(s, s->word.place, BYTES("a word of more than 4096 octets; expected a shorter one"));
        s->word.text.len = 0;
    }
    return TOKEN_WORD;
}

static enum token next_token(struct scan *s)
{
    while (s->pos < s->text.len && is_blank(s->text.ptr[s->pos])) advance(s);
    if (s->pos < s->text.len && s->text.ptr[s->pos] == '#') {
        while (s->pos < s->text.len && s->text.ptr[s->pos] != '\n') advance(s);
    }
    if (s->pos >= s->text.len) return TOKEN_END;
    s->word.place = here(s);
    switch (s->text.ptr[s->pos]) {
    case '\n': advance(s); return TOKEN_NEWLINE;
    case ';': advance(s); return TOKEN_SEMICOLON;
    case '{': advance(s); return TOKEN_OPEN;
    case '}': advance(s); return TOKEN_CLOSE;
    default: return scan_word(s);
    }
}

/* ---- the tree ---- */

/* Room for one more item: the array, moved when it had to grow, or NULL (then nothing changed). */
static void *grow(void *items, uint32_t *cap, uint32_t count, size_t item_bytes)
{
    if (count < *cap) return items;
    uint32_t wanted = *cap ? *cap * 2 : GROW_FIRST;
    void *grown = realloc(items, wanted * item_bytes);
    if (grown) *cap = wanted;
    return grown;
}

static bool grow_tree(struct grammar *g)
{
    void *statements = grow(g->statements, &g->statement_cap, g->statement_count, sizeof *g->statements);
    if (!statements) return false;
    g->statements = statements;
    void *words = grow(g->words, &g->word_cap, g->word_count, sizeof *g->words);
    if (!words) return false;
    g->words = words;
    return true;
}

static bool make_room(struct scan *s)
{
    struct grammar *g = s->g;
    if (s->skipped > 0) return false;
    if (g->statement_count >= GRAMMAR_STATEMENTS_MAX || g->word_count >= GRAMMAR_WORDS_MAX) {
        problem(s, s->word.place, BYTES("more words than a configuration may have; expected long lists in table files"));
        s->stopped = true;
        return false;
    }
    if (!grow_tree(g)) {
        s->stopped = true;
        s->error = ERR_NO_MEMORY;
        return false;
    }
    return true;
}

/* Begin a statement at the place of the last token, as the last one of the innermost open block. */
static void begin_statement(struct scan *s)
{
    struct grammar *g = s->g;
    struct open_block *block = &s->open[s->depth];
    uint32_t index = g->statement_count++;
    g->statements[index] = (struct grammar_statement){
        .place = s->word.place, .first_word = g->word_count, .child = GRAMMAR_NONE, .next = GRAMMAR_NONE};
    if (block->last != GRAMMAR_NONE) {
        g->statements[block->last].next = index;
    } else if (block->statement != GRAMMAR_NONE) {
        g->statements[block->statement].child = index;
    } else {
        s->first = index;
    }
    block->last = index;
    s->current = index;
}

static void on_word(struct scan *s)
{
    if (!make_room(s)) return;
    if (s->current == GRAMMAR_NONE) begin_statement(s);
    s->g->words[s->g->word_count++] = s->word;
    s->g->statements[s->current].word_count++;
}

static void on_open(struct scan *s)
{
    if (s->skipped > 0 || s->depth == GRAMMAR_DEPTH_MAX) {
        if (s->skipped++ == 0) problem(s, s->word.place, BYTES("blocks nest more than 8 deep; this one was not read"));
        s->current = GRAMMAR_NONE;
        return;
    }
    if (!make_room(s)) return;
    if (s->current == GRAMMAR_NONE) {
        problem(s, s->word.place, BYTES("`{' without a name before it; expected the block's name on the same line"));
        begin_statement(s);
    }
    s->g->statements[s->current].has_block = true;
    s->open[++s->depth] = (struct open_block){s->current, GRAMMAR_NONE};
    s->current = GRAMMAR_NONE;
}

static void on_close(struct scan *s)
{
    s->current = GRAMMAR_NONE;
    if (s->skipped > 0) {
        s->skipped--;
    } else if (s->depth > 0) {
        s->depth--;
    } else {
        problem(s, s->word.place, BYTES("`}' closes nothing; expected a statement"));
    }
}

static void report_unclosed(struct scan *s)
{
    for (uint32_t i = 1; i <= s->depth; i++) {
        const struct grammar_statement *block = &s->g->statements[s->open[i].statement];
        uint8_t memory[PROBLEM_TEXT_BYTES];
        struct buf text = BUF_OVER(memory);
        BUF_LIT(&text, "block `");
        for (uint32_t n = 0; n < block->word_count && n < 2; n++) {
            if (n > 0) buf_put_c(&text, ' ');
            buf_put_escaped(&text, grammar_word_at(s->g, block, n)->text, SHOWN_WORD_BYTES);
        }
        BUF_LIT(&text, "' opened here is never closed; expected `}'");
        problem(s, block->place, buf_bytes(&text));
    }
}

static void build_tree(struct scan *s)
{
    while (!s->stopped) {
        switch (next_token(s)) {
        case TOKEN_WORD: on_word(s); break;
        case TOKEN_OPEN: on_open(s); break;
        case TOKEN_CLOSE: on_close(s); break;
        case TOKEN_SEMICOLON:
        case TOKEN_NEWLINE: s->current = GRAMMAR_NONE; break;
        case TOKEN_END: report_unclosed(s); return;
        }
    }
}

static void keep_store(struct scan *s)
{
    struct grammar *g = s->g;
    if (!s->store) return;
    void *stores = grow(g->stores, &g->store_cap, g->store_count, sizeof *g->stores);
    if (!stores) {
        free(s->store);
        s->first = GRAMMAR_NONE;
        s->error = ERR_NO_MEMORY;
        return;
    }
    g->stores = stores;
    g->stores[g->store_count++] = s->store;
}

/* ---- the interface ---- */

void grammar_init(struct grammar *g)
{
    *g = (struct grammar){0};
}

void grammar_fini(struct grammar *g)
{
    for (uint32_t i = 0; i < g->store_count; i++) free(g->stores[i]);
    free(g->stores);
    free(g->statements);
    free(g->words);
    *g = (struct grammar){0};
}

enum err grammar_parse(struct grammar *g, uint32_t file, struct bytes text, const struct grammar_sink *sink, uint32_t *first)
{
    struct scan s = {.g = g, .sink = sink, .text = text, .file = file, .line = 1, .column = 1,
                     .current = GRAMMAR_NONE, .first = GRAMMAR_NONE};
    s.open[0] = (struct open_block){GRAMMAR_NONE, GRAMMAR_NONE};
    if (text.len > GRAMMAR_TEXT_BYTES_MAX) {
        problem(&s, here(&s), BYTES("the file is larger than 4 MiB; expected long lists in table files"));
        s.stopped = true;
    }
    if (!s.stopped) check_octets(&s);
    if (!s.stopped) build_tree(&s);
    keep_store(&s);
    *first = s.first;
    if (s.error != ERR_NONE) return s.error;
    return s.problems > 0 ? ERR_BAD_VALUE : ERR_NONE;
}

uint32_t grammar_splice(struct grammar *g, uint32_t at, uint32_t first)
{
    must(at < g->statement_count);
    if (first == GRAMMAR_NONE) return at;
    uint32_t last = first;
    while (g->statements[last].next != GRAMMAR_NONE) last = g->statements[last].next;
    g->statements[last].next = g->statements[at].next;
    g->statements[at].next = first;
    return last;
}

const struct grammar_word *grammar_word_at(const struct grammar *g, const struct grammar_statement *s, uint32_t n)
{
    must(n < s->word_count);
    return &g->words[s->first_word + n];
}
