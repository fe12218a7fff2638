/*
 * load - what the parts of configuration loading share. Nobody outside of mta/config includes this.
 *
 * Loading goes: source.c reads the files into one tree; parse.c walks it by the table of keys.h, writing values into plain structures and
 * texts and lists into the growing image; lists.c turns names into lists; check.c judges the whole; load.c seals the image.
 * Every part reports problems and goes on, so that a run finds them all; the image counts only when none was an error.
 */
#ifndef MTA_CONFIG_LOAD_H
#define MTA_CONFIG_LOAD_H

#include <sys/types.h>

#include "base/grammar.h"
#include "mta/config/config.h"
#include "mta/config/keys.h"

enum {
    SOURCE_FILES_MAX = 1000,                  /* included files and table files of one configuration */
    SOURCE_DEPTH_MAX = 8,                     /* include within include */
    TABLE_BYTES_MAX = 64 * 1024 * 1024,       /* one table file */
    IMAGE_BYTES_MAX = 1024 * 1024 * 1024,     /* of which offsets are uint32_t */
    PROBLEMS_SHOWN_MAX = 200,
    BLOCKS_MAX = 4096,                        /* listeners, routes, or tables; names are compared with each other */
    CONFIG_KEYS_MAX = 256,                    /* rows of keys.h */
};

/* An array that grows; items are zeroed when they are added. */
struct array {
    uint8_t *items; /* owned */
    uint32_t count, cap, item_bytes;
};

struct source_file {
    char *path;          /* owned; NUL-terminated; as it is named in problems */
    uint8_t *text;       /* owned */
    uint32_t text_bytes;
    uint32_t parent;     /* the file that includes it, or GRAMMAR_NONE */
    uint32_t depth;
    struct grammar_place from; /* where it was asked for */
    dev_t device;
    ino_t inode;
    int64_t modified_us, changed_us;
};

/* The files of a configuration without those of its tables, to load it once more. */
struct config_texts {
    uint32_t count;
    struct source_file files[];
};

struct problem {
    struct grammar_place place; /* line 0: the file as a whole */
    uint32_t order;             /* as reported; breaks ties */
    bool is_error;
    char *text;                 /* owned */
    uint32_t text_bytes;
};

struct table_entry { /* of a table, before it is known what its keys must be */
    struct config_text key, value; /* of the growing image */
    struct grammar_place place;    /* of the key, or of the value in an alias file */
    uint32_t line;                 /* of the key */
    uint32_t order;                /* as read; breaks ties */
    uint8_t kind, flags;           /* as in struct config_entry */
};

struct table { /* a declared table; what a reader of table keys gets */
    struct config_table kept;  /* first, since plain fields are found by their offset in it */
    struct bytes name;         /* of the tree */
    struct bytes file_word;    /* `file PATH`, read when the whole block is known; empty = none */
    struct grammar_place file_place;
    bool is_inline;            /* inline or entry was there */
    struct array entries;      /* struct table_entry */
};

struct route_draft { /* a route that is being read; what a reader of route keys gets */
    struct config_route route; /* first, since plain fields are found by their offset in it */
    struct array matches;      /* struct config_match */
};

struct rules_draft { /* rules that are being read */
    struct config_rules rules; /* first, as above */
    struct array lines;        /* struct config_rule */
    struct array dnslists;     /* struct config_dnslist */
};

struct tls_draft { /* a tls block that is being read */
    struct config_tls tls; /* first, since plain fields are found by their offset in it */
    uint32_t key_count;
};

struct loader {
    struct config config;
    struct grammar grammar;
    struct array files;     /* struct source_file; first the configuration's own, then those of tables */
    uint32_t own_files;     /* how many of them are the configuration's */
    const struct config_texts *replay; /* its files as they were once, instead of those on disk; NULL = those on disk */
    struct array problems;  /* struct problem */
    struct array listeners; /* struct config_listener */
    struct array routes;    /* struct config_route */
    struct array rules;     /* struct config_rules */
    struct array tables;    /* struct table */
    struct array tls;       /* struct config_tls */
    struct array auths;     /* struct config_auth */
    struct array rewrites;  /* struct config_rewrite */
    struct array image;     /* octets; the first sizeof(struct config) are the config */
    uint32_t errors;
    bool no_memory;         /* something could not be kept; ends in ERR_NO_MEMORY */
    bool files_allowed;     /* false: include and table files are refused (a text from memory) */
    bool no_links;          /* the file that is being added must not be reached through a symbolic link */
    bool log_target_given;  /* one of stderr, file, syslog was there */
};

/* ---- load.c ---- */

/* array_add - one more item, zeroed; NULL and l->no_memory when there is no memory. The pointer dies with the next addition. */
void *array_add(struct loader *l, struct array *a);
void array_free(struct array *a);
#define ARRAY_ITEM(a, index, type) (&((type *)(void *)(a)->items)[index])

/* image_text - keep octets in the image. image_list - keep `count` items, aligned. Empty results when there is no memory. */
struct config_text image_text(struct loader *l, struct bytes text);
struct config_list image_list(struct loader *l, const void *items, uint32_t count, uint32_t item_bytes);
/* image_bytes_of - a text of the growing image; dies with the next addition. */
struct bytes image_bytes_of(const struct loader *l, struct config_text t);

/* config_load_text - config_load() for a text in memory, without files; `out` is the image, malloc'd and the caller's, on ERR_NONE. */
must_use enum err config_load_text(struct bytes text, const char *name, uint64_t generation, const struct config_problem_sink *sink,
                                   struct bytes *out);

/* ---- problem.c ---- */

/* config_problem - note a problem; the pieces are joined, each escaped and cut. */
void config_problem(struct loader *l, bool is_error, struct grammar_place place, const struct bytes *pieces, uint32_t count);
#define PIECES(...) (const struct bytes[]){__VA_ARGS__}, (uint32_t)(sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))
#define CONFIG_ERROR(l, place, ...) config_problem((l), true, (place), PIECES(__VA_ARGS__))
#define CONFIG_WARNING(l, place, ...) config_problem((l), false, (place), PIECES(__VA_ARGS__))

/* problem_sink - what grammar_parse() reports to. */
struct grammar_sink problem_sink(struct loader *l);

/* problems_report - hand all of them over, by file, line and column. */
void problems_report(struct loader *l, const struct config_problem_sink *sink);

/* A word that may have been meant: offer each candidate, then take the nearest, empty when none is near. */
struct nearest {
    struct bytes word, best;
    uint32_t distance;
};
struct nearest nearest_to(struct bytes word);
void nearest_offer(struct nearest *n, struct bytes candidate);
/* error_with_nearest - CONFIG_ERROR of the pieces, followed by "; did you mean `x'?" when something was near. */
void error_with_nearest(struct loader *l, struct grammar_place place, const struct nearest *n, const struct bytes *pieces, uint32_t count);

/* ---- source.c ---- */

/* source_add - read a file, or take a copy of a text when `text` is not NULL; *file is its number. False when a problem was reported.
 * `from` is where it was asked for (file GRAMMAR_NONE: the command line). */
bool source_add(struct loader *l, const char *path, const struct bytes *text, struct grammar_place from, uint32_t bytes_max, uint32_t *file);

/* source_parse - parse file number 0 and everything it includes into the tree; returns the first statement. */
uint32_t source_parse(struct loader *l);

/* texts_keep - copies of the configuration's own files, once they are parsed; NULL when there is no memory. */
struct config_texts *texts_keep(const struct loader *l);

/* source_path - `word` as a path, from the folder of the file that names it; malloc'd, NULL when there is no memory. */
char *source_path(struct loader *l, uint32_t file, struct bytes word);

/* ---- parse.c ---- */

struct key_row {
    uint8_t block;           /* enum config_block */
    uint8_t kind;            /* enum config_kind, when there is no handler */
    uint8_t flags;
    bool later;              /* refused: not built yet */
    struct bytes name;
    struct bytes values;     /* what it takes, for people; a choice's words */
    struct bytes initial;    /* default */
    const char *sentence;
    uint64_t min, max;
    size_t offset;           /* of the field in its block's structure */
    void (*read)(struct loader *l, const struct grammar_statement *s, void *owner);
    void (*show)(const struct config *c, const void *owner, struct buf *out);
};

struct block_row {
    struct bytes name;
    bool several;
    size_t owner_bytes;
    const char *sentence;
};

extern const struct key_row config_keys[];
extern const uint32_t config_key_count;
extern const struct block_row config_blocks[CONFIG_BLOCK_COUNT];

/* set_defaults - fill the fields of a block from the defaults of its rows. */
void set_defaults(struct loader *l, enum config_block block, void *owner);

/* parse_tree - walk the whole tree: tables, then the rest. */
void parse_tree(struct loader *l, uint32_t first);

/* parse_details - the block behind a key; owner is what its keys write into. */
void parse_details(struct loader *l, const struct grammar_statement *s, enum config_block block, void *owner);
/* show_route_tls - the block behind relay or mx, and the end of the line. */
void show_route_tls(const struct config_route *r, struct buf *out);

/* take_words - whether a statement has min..max words behind its key and no block; reports otherwise. `expected` says what belongs there. */
bool take_words(struct loader *l, const struct grammar_statement *s, uint32_t min, uint32_t max, struct bytes expected);

/* read_field - one word into a field by a row's kind; reports and returns false otherwise. */
bool read_field(struct loader *l, const struct key_row *row, struct bytes word, struct grammar_place place, void *field);

/* show_field - append a field's value by its row's kind; false when there is nothing to show. */
bool show_field(const struct config *c, const struct key_row *row, const void *field, struct buf *out);

/* kind_expectation - what a word of this kind looks like, for problems: "a time such as 30s, 5m, 4h or 2d". */
struct bytes kind_expectation(enum config_kind kind);
/* choice_word - word number n of a choice's list, empty behind the last. */
struct bytes choice_word(struct bytes words, uint32_t n);

static inline struct bytes word_of(const struct loader *l, const struct grammar_statement *s, uint32_t n)
{
    return grammar_word_at(&l->grammar, s, n)->text;
}
static inline struct grammar_place place_of(const struct loader *l, const struct grammar_statement *s, uint32_t n)
{
    return grammar_word_at(&l->grammar, s, n)->place;
}

/* ---- lists.c ---- */

/* find_table - a declared table, or NULL. */
const struct table *find_table(const struct loader *l, struct bytes name);

/* ---- tables.c, table_file.c, table_aliases.c ---- */

/* table_add - one entry. The texts are kept; the rest is taken as it is, but for key and value. */
void table_add(struct loader *l, struct table *t, struct bytes key, struct bytes value, struct table_entry rest);
/* table_key - the key of an entry, in the growing image: dies with the next addition. */
static inline struct bytes table_key(const struct loader *l, const struct table_entry *e) { return image_bytes_of(l, e->key); }
/* table_read - the file of a table whose block is read; problems are reported. */
void table_read(struct loader *l, struct table *t);
/* table_line_is_clean - whether a line of a table file is text; reports otherwise. */
bool table_line_is_clean(struct loader *l, struct bytes line, struct grammar_place place);
/* table_read_lines / table_read_patterns / table_read_aliases - a file of these formats. */
void table_read_lines(struct loader *l, struct table *t, uint32_t file);
void table_read_patterns(struct loader *l, struct table *t, uint32_t file);
void table_read_aliases(struct loader *l, struct table *t, uint32_t file);
/* tables_keep - sort them, say which keys are there twice, and put them into the image. */
void tables_keep(struct loader *l);

enum name_kind { NAME_DOMAIN = 0, NAME_ADDRESS, NAME_SENDER };

/* read_names / read_prefixes - words from..end of a statement as a list of the image; tables are expanded. */
struct config_list read_names(struct loader *l, const struct grammar_statement *s, uint32_t from, enum name_kind kind);
struct config_list read_prefixes(struct loader *l, const struct grammar_statement *s, uint32_t from);
/* table_has_names - whether a table may stand for a list of names: patterns may not; reports otherwise. */
bool table_has_names(struct loader *l, const struct table *t, struct grammar_place place);
/* sort_names - struct config_text, by bytes_compare, without twins. */
void sort_names(struct loader *l, struct array *texts);
/* add_prefix_word - a network, or `local`; reports otherwise. */
void add_prefix_word(struct loader *l, struct array *prefixes, struct bytes word, struct grammar_place place);
/* join_words - words from..end with blanks between, quoted where needed, as a text of the image. */
struct config_text join_words(struct loader *l, const struct grammar_statement *s, uint32_t from);

/* ---- check.c ---- */

/* check_whole - what no single statement shows: things that are missing, twice, or of no use. Fills in what depends on other values. */
void check_whole(struct loader *l);

/* ---- embedded.c ---- */

/* embedded_text - the default configuration, with its state under state_dir. False when it does not fit. */
bool embedded_text(const char *state_dir, struct buf *out);
/* system_hostname - this host's full name; "localhost" when it has none that can be used. */
void system_hostname(struct buf *out);

/* ---- show.c ---- */

/* put_word - append a word so that the grammar reads it back. */
void put_word(struct buf *out, struct bytes word);
/* show_prefixes - append a line with a list of prefixes; nothing when it is empty. */
void show_prefixes(const struct config *c, const char *key, struct config_list list, struct buf *out);

/* Every key with a parser of its own has a handler pair, in keys_route.c and keys_other.c. */
#define HANDLER_NONE(...)
#define HANDLER_DECLARE(block, key, handler, values, flags, sentence) \
    void read_key_##handler(struct loader *l, const struct grammar_statement *s, void *owner); \
    void show_key_##handler(const struct config *c, const void *owner, struct buf *out);
CONFIG_KEYS(HANDLER_NONE, HANDLER_NONE, HANDLER_DECLARE, HANDLER_NONE)

#endif
