/*
 * grammar - text in the block grammar of our configuration files, as a tree of statements with their places.
 *
 * A statement is one or more words, ended by a newline or `;`, or followed by `{ statements }`. `#` at the start of a word begins a
 * comment; "quoted words" may hold blanks, with `\"` and `\\` for those two. A `{name}` in the middle of a word belongs to the word
 * (path/{domain}); any other brace is structure. The parser knows no key: what words mean, and what `include` does, is its caller's.
 * It goes on after an error, so that one run reports them all. It keeps no stack of calls: depth, size and counts are bounded below.
 */
#ifndef BASE_GRAMMAR_H
#define BASE_GRAMMAR_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    GRAMMAR_TEXT_BYTES_MAX = 4 * 1024 * 1024, /* a file written by people is far smaller; long lists are table files */
    GRAMMAR_WORD_BYTES_MAX = 4096,            /* the longest path */
    GRAMMAR_DEPTH_MAX = 8,                    /* real files nest three deep */
    GRAMMAR_STATEMENTS_MAX = 200000,          /* over all texts of a tree; keeps its memory under 50 MB */
    GRAMMAR_WORDS_MAX = 1000000,
    GRAMMAR_PROBLEMS_MAX = 50,                /* reported for one text; what follows is likely a consequence */
};

enum { GRAMMAR_NONE = UINT32_MAX }; /* index of no statement */

struct grammar_place {
    uint32_t file;         /* the caller's number of the text */
    uint32_t line, column; /* from 1; a column is one character of UTF-8 */
};

struct grammar_word {
    struct bytes text; /* without quotes and escapes; borrowed from the text or from the tree */
    struct grammar_place place;
    bool quoted;
};

struct grammar_statement {
    struct grammar_place place;
    uint32_t first_word, word_count; /* into words; 0 words only for a block without a name, which was reported */
    uint32_t child;                  /* first statement of the block, GRAMMAR_NONE when empty or without block */
    uint32_t next;                   /* next statement of the same block, or GRAMMAR_NONE */
    bool has_block;
};

struct grammar_sink { /* where each problem goes */
    void (*report)(void *context, struct grammar_place place, struct bytes text);
    void *context;
};

struct grammar { /* a tree; grows with each text parsed into it */
    struct grammar_statement *statements; /* owned */
    struct grammar_word *words;           /* owned */
    uint8_t **stores;                     /* owned; unescaped words of the texts that have any */
    uint32_t statement_count, statement_cap, word_count, word_cap, store_count, store_cap;
};

void grammar_init(struct grammar *g);
void grammar_fini(struct grammar *g);

/*
 * grammar_parse - add the statements of one text to the tree.
 * In       file    the caller's number for it, repeated in every place
 *          text    borrowed for the life of the tree
 * Out      *first  its first statement, or GRAMMAR_NONE; set in any case
 * Returns  ERR_NONE; ERR_BAD_VALUE when something was reported (the tree has what could be read); ERR_NO_MEMORY
 * Cost     O(n)
 */
must_use enum err grammar_parse(struct grammar *g, uint32_t file, struct bytes text, const struct grammar_sink *sink, uint32_t *first);

/* grammar_splice - put the statements of a chain (an included text's) behind statement `at`, before its successor. Returns the last of
 * them, where another chain may follow; `at` when there are none. */
uint32_t grammar_splice(struct grammar *g, uint32_t at, uint32_t first);

/* grammar_word_at - word n of a statement; n must be below its word_count. */
const struct grammar_word *grammar_word_at(const struct grammar *g, const struct grammar_statement *s, uint32_t n);

#endif
