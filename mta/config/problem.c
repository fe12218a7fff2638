/*
 * problem - what is wrong with a configuration: collected, sorted by place, and handed over at the end.
 *
 * The parts of loading look at the files in their own order; people want the order of the lines. So nothing is reported at once.
 */
#include <stdlib.h>
#include <string.h>

#include "mta/config/load.h"
#include "mta/config/values.h"

enum {
    PROBLEM_TEXT_BYTES = 1024,
    PROBLEM_LINE_BYTES = PROBLEM_TEXT_BYTES + GRAMMAR_WORD_BYTES_MAX + 64, /* path:line:column: error: text */
    PIECE_BYTES_MAX = 200,     /* of one word inside a message */
    NEAREST_DISTANCE_MAX = 2,  /* letters wrong in a word that was meant */
};

static void keep_problem(struct loader *l, bool is_error, struct grammar_place place, struct bytes text)
{
    if (is_error) l->errors++;
    if (l->problems.count >= PROBLEMS_SHOWN_MAX) return;
    char *copy = malloc(text.len + 1);
    struct problem *p = copy ? array_add(l, &l->problems) : NULL;
    if (!p) {
        free(copy);
        l->no_memory = true;
        return;
    }
    memcpy(copy, text.ptr, text.len);
    *p = (struct problem){place, l->problems.count, is_error, copy, text.len};
}

static void put_pieces(struct buf *out, const struct bytes *pieces, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) buf_put_escaped(out, pieces[i], PIECE_BYTES_MAX);
}

void config_problem(struct loader *l, bool is_error, struct grammar_place place, const struct bytes *pieces, uint32_t count)
{
    uint8_t memory[PROBLEM_TEXT_BYTES];
    struct buf text = BUF_OVER(memory);
    put_pieces(&text, pieces, count);
    keep_problem(l, is_error, place, buf_bytes(&text));
}

static void on_grammar_problem(void *context, struct grammar_place place, struct bytes text)
{
    keep_problem(context, true, place, text);
}

struct grammar_sink problem_sink(struct loader *l)
{
    return (struct grammar_sink){on_grammar_problem, l};
}

static int by_place(const void *left, const void *right)
{
    const struct problem *a = left, *b = right;
    if (a->place.file != b->place.file) return a->place.file < b->place.file ? -1 : 1;
    if (a->place.line != b->place.line) return a->place.line < b->place.line ? -1 : 1;
    if (a->place.column != b->place.column) return a->place.column < b->place.column ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void report_one(const struct loader *l, const struct problem *p, const struct config_problem_sink *sink)
{
    uint8_t memory[PROBLEM_LINE_BYTES];
    struct buf line = BUF_OVER(memory);
    const char *path = p->place.file < l->files.count ? ARRAY_ITEM(&l->files, p->place.file,
                                                                   struct source_file)->path : "configuration";
    buf_put_escaped(&line, bytes_of_cstr(path), GRAMMAR_WORD_BYTES_MAX / 4);
    if (p->place.line > 0) {
        buf_put_c(&line, ':');
        buf_put_u64(&line, p->place.line);
        buf_put_c(&line, ':');
        buf_put_u64(&line, p->place.column);
    }
    buf_put(&line, p->is_error ? BYTES(": error: ") : BYTES(": warning: "));
    buf_put(&line, bytes_of(p->text, p->text_bytes));
    sink->report(sink->context, p->is_error, buf_bytes(&line));
}

void problems_report(struct loader *l, const struct config_problem_sink *sink)
{
    if (l->problems.count > 1) qsort(l->problems.items, l->problems.count, sizeof(struct problem), by_place);
    for (uint32_t i = 0; i < l->problems.count; i++) report_one(l, ARRAY_ITEM(&l->problems, i, struct problem), sink);
    if (l->problems.count >= PROBLEMS_SHOWN_MAX) {
        sink->report(sink->context, true, BYTES("configuration: error: there are more problems; only the first 200 are shown"));
    }
    if (l->no_memory) sink->report(sink->context, true, BYTES("configuration: error: out of memory while it was read"));
}

struct nearest nearest_to(struct bytes word)
{
    return (struct nearest){word, {0}, NEAREST_DISTANCE_MAX + 1};
}

/* A short word is near to everything: at least half of its letters must be right. */
void nearest_offer(struct nearest *n, struct bytes candidate)
{
    uint32_t distance = value_distance(n->word, candidate, NEAREST_DISTANCE_MAX);
    if (distance >= n->distance || 2 * distance >= n->word.len || 2 * distance >= candidate.len) return;
    n->distance = distance;
    n->best = candidate;
}

void error_with_nearest(struct loader *l, struct grammar_place place, const struct nearest *n, const struct bytes *pieces,
                        uint32_t count)
{
    uint8_t memory[PROBLEM_TEXT_BYTES];
    struct buf text = BUF_OVER(memory);
    put_pieces(&text, pieces, count);
    if (n->best.len > 0) {
        BUF_LIT(&text, "; did you mean `");
        buf_put_escaped(&text, n->best, PIECE_BYTES_MAX);
        BUF_LIT(&text, "'?");
    }
    keep_problem(l, true, place, buf_bytes(&text));
}
