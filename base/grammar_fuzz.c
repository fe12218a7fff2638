/*
 * grammar_fuzz - any octets as a configuration text: the tree must be whole whatever was reported.
 */
#include <stddef.h>

#include "base/grammar.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_problem(void *context, struct grammar_place place, struct bytes text)
{
    must(place.line > 0 && place.column > 0 && text.len > 0);
    ++*(uint32_t *)context;
}

/* Each statement is reached at most once as a child or a successor, and its words are inside the array. */
static void check_tree(const struct grammar *g)
{
    for (uint32_t i = 0; i < g->statement_count; i++) {
        const struct grammar_statement *s = &g->statements[i];
        must(s->first_word <= g->word_count && s->word_count <= g->word_count - s->first_word);
        must(s->next == GRAMMAR_NONE || (s->next > i && s->next < g->statement_count));
        must(s->child == GRAMMAR_NONE || (s->child > i && s->child < g->statement_count && s->has_block));
        must(s->word_count > 0 || s->has_block);
        for (uint32_t n = 0; n < s->word_count; n++) must(grammar_word_at(g, s, n)->text.len <= GRAMMAR_WORD_BYTES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > GRAMMAR_TEXT_BYTES_MAX) return 0;
    struct grammar g;
    grammar_init(&g);
    uint32_t problems = 0, first;
    struct grammar_sink sink = {count_problem, &problems};
    enum err e = grammar_parse(&g, 0, bytes_of(data, (uint32_t)size), &sink, &first);
    must((e == ERR_BAD_VALUE) == (problems > 0));
    check_tree(&g);
    grammar_fini(&g);
    return 0;
}
