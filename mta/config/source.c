/*
 * source - the files of a configuration: read whole, parsed into one tree, includes put in their places.
 *
 * An include is found by walking the statements in the order in which they were added; those of an included file come later in that
 * order, so one loop serves every depth. A file that includes itself, directly or not, is known by device and inode.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mta/config/load.h"

/* A problem of a whole file: at the place that asked for it, or at the file itself when that was the command line. */
static void file_problem(struct loader *l, uint32_t file, struct grammar_place from, struct bytes why)
{
    struct bytes path = bytes_of_cstr(ARRAY_ITEM(&l->files, file, struct source_file)->path);
    if (from.file == GRAMMAR_NONE) {
        CONFIG_ERROR(l, ((struct grammar_place){file, 0, 0}), BYTES("cannot read the configuration: "), why);
    } else {
        CONFIG_ERROR(l, from, BYTES("cannot read `"), path, BYTES("': "), why);
    }
}

static bool includes_itself(const struct loader *l, const struct source_file *f)
{
    for (uint32_t up = f->parent; up != GRAMMAR_NONE;) {
        const struct source_file *other = ARRAY_ITEM(&l->files, up, struct source_file);
        if (other->inode == f->inode && other->device == f->device) return true;
        up = other->parent;
    }
    return false;
}

/* The octets of an open file; *why says what is wrong with it. */
static bool read_all(int fd, uint32_t bytes_max, struct source_file *f, struct bytes *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return false;
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    f->changed_us = (int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000;
    if (!S_ISREG(st.st_mode)) {
        *why = S_ISDIR(st.st_mode) ? BYTES("it is a folder; expected a file") : BYTES("it is not a regular file");
        return false;
    }
    if (st.st_size > (off_t)bytes_max) {
        *why = bytes_max > GRAMMAR_TEXT_BYTES_MAX ? BYTES("it is larger than 64 MiB") : BYTES("it is larger than 4 MiB");
        return false;
    }
    uint32_t cap = (uint32_t)st.st_size;
    f->text = malloc((size_t)cap + 1);
    while (f->text && f->text_bytes < cap) {
        ssize_t n = read(fd, f->text + f->text_bytes, cap - f->text_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) break;
        f->text_bytes += (uint32_t)n;
    }
    return f->text != NULL;
}

/*
 * open_file - an :include: file may lie in a folder of somebody else, who could put a link there to a file that only root can read: it would be
 * read, and what is in it told. So such a path must be what it says.
 */
static int open_file(const struct loader *l, const char *path)
{
    enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };
    struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_NO_SYMLINKS};
    return l->no_links ? (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how) : open(path, FLAGS);
}

static bool read_file(struct loader *l, uint32_t file, struct grammar_place from, uint32_t bytes_max)
{
    struct source_file *f = ARRAY_ITEM(&l->files, file, struct source_file);
    struct bytes why = {0};
    int fd = open_file(l, f->path);
    bool ok = fd >= 0 && read_all(fd, bytes_max, f, &why);
    if (!ok && why.len == 0) why = l->no_links && errno == ELOOP ? BYTES("there is a symbolic link in its path") : bytes_of_cstr(strerror(errno));
    if (fd >= 0) close(fd);
    if (!ok) file_problem(l, file, from, why);
    return ok;
}

bool source_add(struct loader *l, const char *path, const struct bytes *text, struct grammar_place from, uint32_t bytes_max,
                uint32_t *file)
{
    if (l->files.count >= SOURCE_FILES_MAX) {
        CONFIG_ERROR(l, from, BYTES("more than 1000 files in one configuration; `"), bytes_of_cstr(path),
                     BYTES("' was not read"));
        return false;
    }
    struct source_file *f = array_add(l, &l->files);
    if (!f) return false;
    *file = l->files.count - 1;
    f->path = strdup(path);
    f->from = from;
    f->parent = from.file;
    f->depth = from.file == GRAMMAR_NONE ? 0 : ARRAY_ITEM(&l->files, from.file, struct source_file)->depth + 1;
    if (!f->path) {
        l->files.count--;
        l->no_memory = true;
        return false;
    }
    if (!text) return read_file(l, *file, from, bytes_max);
    f->text = malloc((size_t)text->len + 1);
    if (!f->text) {
        l->no_memory = true;
        return false;
    }
    if (text->len > 0) memcpy(f->text, text->ptr, text->len);
    f->text_bytes = text->len;
    return true;
}

char *source_path(struct loader *l, uint32_t file, struct bytes word)
{
    const char *base = ARRAY_ITEM(&l->files, file, struct source_file)->path;
    const char *slash = word.len > 0 && word.ptr[0] == '/' ? NULL : strrchr(base, '/');
    uint32_t folder_bytes = slash ? (uint32_t)(slash - base) + 1 : 0;
    char *path = malloc((size_t)folder_bytes + word.len + 1);
    if (!path) {
        l->no_memory = true;
        return NULL;
    }
    memcpy(path, base, folder_bytes);
    if (word.len > 0) memcpy(path + folder_bytes, word.ptr, word.len);
    path[folder_bytes + word.len] = '\0';
    return path;
}

static void parse_file(struct loader *l, uint32_t file, uint32_t *first)
{
    const struct source_file *f = ARRAY_ITEM(&l->files, file, struct source_file);
    struct grammar_sink sink = problem_sink(l);
    enum err e = grammar_parse(&l->grammar, file, bytes_of(f->text, f->text_bytes), &sink, first);
    if (e == ERR_NO_MEMORY) l->no_memory = true;
}

/* Behind statement *at, which becomes the last one of the file. `text` as it was once; NULL = as it is. */
static void include_file(struct loader *l, uint32_t *at, const char *path, const struct bytes *text, struct grammar_place from)
{
    uint32_t file, first;
    if (!source_add(l, path, text, from, GRAMMAR_TEXT_BYTES_MAX, &file)) return;
    const struct source_file *f = ARRAY_ITEM(&l->files, file, struct source_file);
    if (!text && includes_itself(l, f)) {
        CONFIG_ERROR(l, from, BYTES("`"), bytes_of_cstr(path), BYTES("' includes itself"));
        return;
    }
    if (f->depth > SOURCE_DEPTH_MAX) {
        CONFIG_ERROR(l, from, BYTES("includes nest more than 8 deep; `"), bytes_of_cstr(path), BYTES("' was not read"));
        return;
    }
    parse_file(l, file, &first);
    *at = grammar_splice(&l->grammar, *at, first);
}

/* include_again - what this statement included when the configuration was first read. */
static void include_again(struct loader *l, uint32_t at, struct grammar_place from)
{
    for (uint32_t i = 1; i < l->replay->count; i++) {
        const struct source_file *f = &l->replay->files[i];
        if (f->from.file != from.file || f->from.line != from.line || f->from.column != from.column) continue;
        struct bytes text = bytes_of(f->text, f->text_bytes);
        include_file(l, &at, f->path, &text, from);
    }
}

/* Several files go in the order of their names, one behind the other. */
static void include_pattern(struct loader *l, uint32_t at, struct bytes word, struct grammar_place from)
{
    char *pattern = source_path(l, from.file, word);
    glob_t found = {0};
    if (!pattern) return;
    int result = glob(pattern, 0, NULL, &found);
    bool wild = strpbrk(pattern, "*?[") != NULL;
    if (result == GLOB_NOMATCH && !wild) {
        CONFIG_ERROR(l, from, BYTES("cannot read `"), bytes_of_cstr(pattern), BYTES("': "), bytes_of_cstr(strerror(ENOENT)));
    } else if (result != 0 && result != GLOB_NOMATCH) {
        CONFIG_ERROR(l, from, BYTES("cannot look for `"), bytes_of_cstr(pattern), BYTES("'"));
    }
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) include_file(l, &at, found.gl_pathv[i], NULL, from);
    globfree(&found);
    free(pattern);
}

uint32_t source_parse(struct loader *l)
{
    uint32_t first;
    parse_file(l, 0, &first);
    for (uint32_t i = 0; i < l->grammar.statement_count; i++) {
        const struct grammar_statement *s = &l->grammar.statements[i];
        if (s->word_count == 0 || !bytes_equal(word_of(l, s, 0), BYTES("include"))) continue;
        if (!take_words(l, s, 1, 1, BYTES("a file name or pattern"))) continue;
        if (!l->files_allowed) {
            CONFIG_ERROR(l, place_of(l, s, 1), BYTES("`include' needs a configuration that is a file"));
            continue;
        }
        if (l->replay) include_again(l, i, place_of(l, s, 1));
        else include_pattern(l, i, word_of(l, s, 1), place_of(l, s, 1));
    }
    return first;
}

/* ---- the same once more ---- */

static bool copy_file(const struct source_file *from, struct source_file *to)
{
    *to = (struct source_file){.path = strdup(from->path), .text = malloc((size_t)from->text_bytes + 1), .text_bytes = from->text_bytes, .from = from->from};
    if (to->path && to->text && from->text_bytes > 0) memcpy(to->text, from->text, from->text_bytes);
    return to->path && to->text;
}

struct config_texts *texts_keep(const struct loader *l)
{
    struct config_texts *texts = malloc(sizeof *texts + l->own_files * sizeof texts->files[0]);
    if (!texts) return NULL;
    texts->count = 0;
    while (texts->count < l->own_files) {
        uint32_t i = texts->count++;
        if (copy_file(ARRAY_ITEM(&l->files, i, struct source_file), &texts->files[i])) continue;
        config_texts_free(texts);
        return NULL;
    }
    return texts;
}

void config_texts_free(struct config_texts *texts)
{
    for (uint32_t i = 0; texts && i < texts->count; i++) {
        free(texts->files[i].path);
        free(texts->files[i].text);
    }
    free(texts);
}
