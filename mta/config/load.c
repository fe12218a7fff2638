/*
 * load - from a path or a text to a sealed image: the order of the steps, and the growing memory under them.
 */
#include "mta/config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"

enum {
    ARRAY_FIRST = 16,
    IMAGE_ALIGN = 8,            /* of every list */
    EMBEDDED_BYTES_MAX = 16384, /* a few paths and ten lines */
};

/* ---- growing memory ---- */

static bool array_room(struct loader *l, struct array *a, uint32_t more)
{
    uint64_t wanted = (uint64_t)a->count + more;
    if (wanted <= a->cap) return true;
    uint64_t cap = a->cap ? (uint64_t)a->cap * 2 : ARRAY_FIRST;
    if (cap < wanted) cap = wanted;
    uint8_t *items = cap * a->item_bytes <= IMAGE_BYTES_MAX ? realloc(a->items, cap * a->item_bytes) : NULL;
    if (!items) {
        l->no_memory = true;
        return false;
    }
    a->items = items;
    a->cap = (uint32_t)cap;
    return true;
}

void *array_add(struct loader *l, struct array *a)
{
    must(a->item_bytes > 0);
    if (!array_room(l, a, 1)) return NULL;
    uint8_t *item = a->items + (size_t)a->count++ * a->item_bytes;
    memset(item, 0, a->item_bytes);
    return item;
}

void array_free(struct array *a)
{
    free(a->items);
    *a = (struct array){.item_bytes = a->item_bytes};
}

struct config_text image_text(struct loader *l, struct bytes text)
{
    if (text.len == 0 || !array_room(l, &l->image, text.len)) return (struct config_text){0, 0};
    struct config_text t = {l->image.count, text.len};
    memcpy(l->image.items + t.offset, text.ptr, text.len);
    l->image.count += text.len;
    return t;
}

struct config_list image_list(struct loader *l, const void *items, uint32_t count, uint32_t item_bytes)
{
    uint32_t padding = (IMAGE_ALIGN - l->image.count % IMAGE_ALIGN) % IMAGE_ALIGN;
    uint64_t bytes = (uint64_t)count * item_bytes;
    if (count == 0) return (struct config_list){0, 0};
    if (bytes > IMAGE_BYTES_MAX || !array_room(l, &l->image, padding + (uint32_t)bytes)) {
        l->no_memory = true;
        return (struct config_list){0, 0};
    }
    memset(l->image.items + l->image.count, 0, padding);
    struct config_list list = {l->image.count + padding, count};
    memcpy(l->image.items + list.offset, items, bytes);
    l->image.count = list.offset + (uint32_t)bytes;
    return list;
}

struct bytes image_bytes_of(const struct loader *l, struct config_text t)
{
    must(t.offset <= l->image.count && t.len <= l->image.count - t.offset);
    return bytes_of(l->image.items + t.offset, t.len);
}

/* ---- a run ---- */

static bool loader_init(struct loader *l, bool files_allowed)
{
    *l = (struct loader){.files_allowed = files_allowed};
    grammar_init(&l->grammar);
    l->files.item_bytes = sizeof(struct source_file);
    l->problems.item_bytes = sizeof(struct problem);
    l->listeners.item_bytes = sizeof(struct config_listener);
    l->routes.item_bytes = sizeof(struct config_route);
    l->rules.item_bytes = sizeof(struct config_rules);
    l->tables.item_bytes = sizeof(struct table);
    l->tls.item_bytes = sizeof(struct config_tls);
    l->auths.item_bytes = sizeof(struct config_auth);
    l->rewrites.item_bytes = sizeof(struct config_rewrite);
    l->image.item_bytes = 1;
    if (!array_room(l, &l->image, sizeof(struct config))) return false;
    l->image.count = sizeof(struct config);
    return true;
}

static void loader_fini(struct loader *l)
{
    for (uint32_t i = 0; i < l->files.count; i++) {
        free(ARRAY_ITEM(&l->files, i, struct source_file)->path);
        free(ARRAY_ITEM(&l->files, i, struct source_file)->text);
    }
    for (uint32_t i = 0; i < l->problems.count; i++) free(ARRAY_ITEM(&l->problems, i, struct problem)->text);
    for (uint32_t i = 0; i < l->tables.count; i++) array_free(&ARRAY_ITEM(&l->tables, i, struct table)->entries);
    array_free(&l->files);
    array_free(&l->problems);
    array_free(&l->listeners);
    array_free(&l->routes);
    array_free(&l->rules);
    array_free(&l->tables);
    array_free(&l->tls);
    array_free(&l->auths);
    array_free(&l->rewrites);
    array_free(&l->image);
    grammar_fini(&l->grammar);
}

/* sources_keep - the files of tables, so that somebody can see when one has changed. */
static void sources_keep(struct loader *l)
{
    struct array kept = {.item_bytes = sizeof(struct config_source)};
    for (uint32_t i = l->own_files; i < l->files.count; i++) {
        const struct source_file *f = ARRAY_ITEM(&l->files, i, struct source_file);
        struct config_source *s = array_add(l, &kept);
        if (s) *s = (struct config_source){{0, 0}, f->device, f->inode, f->text_bytes, f->modified_us, f->changed_us};
    }
    for (uint32_t i = 0; i < kept.count; i++) {
        struct bytes path = bytes_of_cstr(ARRAY_ITEM(&l->files, l->own_files + i, struct source_file)->path);
        ARRAY_ITEM(&kept, i, struct config_source)->path = image_text(l, path);
    }
    l->config.table_sources = image_list(l, kept.items, kept.count, sizeof(struct config_source));
    array_free(&kept);
}

/* The lists and the head of the image, once nothing changes any more. */
static void finish_image(struct loader *l, uint64_t generation)
{
    struct config *c = &l->config;
    tables_keep(l);
    sources_keep(l);
    c->file = image_text(l, bytes_of_cstr(ARRAY_ITEM(&l->files, 0, struct source_file)->path));
    c->listeners = image_list(l, l->listeners.items, l->listeners.count, sizeof(struct config_listener));
    c->routes = image_list(l, l->routes.items, l->routes.count, sizeof(struct config_route));
    c->rules = image_list(l, l->rules.items, l->rules.count, sizeof(struct config_rules));
    c->auths = image_list(l, l->auths.items, l->auths.count, sizeof(struct config_auth));
    c->tls = image_list(l, l->tls.items, l->tls.count, sizeof(struct config_tls));
    c->envelope_from = image_list(l, l->rewrites.items, l->rewrites.count, sizeof(struct config_rewrite));
    c->magic = CONFIG_MAGIC;
    c->version = CONFIG_IMAGE_VERSION;
    c->generation = generation;
    c->image_bytes = l->image.count;
    memcpy(l->image.items, c, sizeof *c);
}

static enum err load_steps(struct loader *l, const char *name, const struct bytes *text, uint64_t generation)
{
    static const struct grammar_place command_line = {GRAMMAR_NONE, 0, 0};
    uint32_t file;
    if (source_add(l, name, text, command_line, GRAMMAR_TEXT_BYTES_MAX, &file)) {
        uint32_t first = source_parse(l);
        l->own_files = l->files.count;
        set_defaults(l, CONFIG_BLOCK_TOP, &l->config);
        bool nothing = first == GRAMMAR_NONE && l->errors > 0; /* not a text at all: nothing more can be said about it */
        if (!nothing) {
            parse_tree(l, first);
            check_whole(l);
        }
        if (l->errors == 0) finish_image(l, generation);
    }
    if (l->no_memory) return ERR_NO_MEMORY;
    return l->errors > 0 ? ERR_BAD_VALUE : ERR_NONE;
}

/* A memory file that can never change again. */
static enum err seal(struct bytes image, int *fd)
{
    int made = memfd_create("mta-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0) return err_from_errno(errno);
    uint32_t at = 0;
    while (at < image.len) {
        ssize_t n = write(made, image.ptr + at, image.len - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) goto failed;
        at += (uint32_t)n;
    }
    if (fcntl(made, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) goto failed;
    *fd = made;
    return ERR_NONE;
failed:;
    enum err e = err_from_errno(errno);
    close(made);
    return e;
}

struct wanted { /* what is to come out of a run; NULL = not asked for */
    int *fd;                     /* the sealed image */
    struct bytes *image;         /* or its octets */
    struct config_texts **texts; /* and the configuration's own files */
};

static enum err load_whole(const char *name, const struct bytes *text, const struct config_texts *replay, bool files_allowed, uint64_t generation,
                           const struct config_problem_sink *sink, const struct wanted *w)
{
    struct loader l;
    bool ready = loader_init(&l, files_allowed);
    l.replay = replay;
    enum err e = ready ? load_steps(&l, name, text, generation) : ERR_NO_MEMORY;
    problems_report(&l, sink);
    if (e == ERR_NONE && w->texts) {
        *w->texts = texts_keep(&l);
        if (!*w->texts) e = ERR_NO_MEMORY;
    }
    int *fd = w->fd;
    struct bytes *out = w->image;
    if (e == ERR_NONE && fd) {
        e = seal(bytes_of(l.image.items, l.image.count), fd);
        if (e != ERR_NONE) sink->report(sink->context, true, BYTES("configuration: error: cannot make a memory file for it"));
    }
    if (e == ERR_NONE && out) {
        *out = bytes_of(l.image.items, l.image.count);
        l.image.items = NULL;
    }
    if (e != ERR_NONE && w->texts) {
        config_texts_free(*w->texts);
        *w->texts = NULL;
    }
    loader_fini(&l);
    return e;
}

enum err config_load_text(struct bytes text, const char *name, uint64_t generation, const struct config_problem_sink *sink,
                          struct bytes *out)
{
    return load_whole(name, &text, NULL, false, generation, sink, &(struct wanted){.image = out});
}

static enum err load_wanted(const char *path, const char *state_dir, uint64_t generation, const struct config_problem_sink *sink,
                            const struct wanted *w)
{
    if (path) return load_whole(path, NULL, NULL, true, generation, sink, w);
    static uint8_t memory[EMBEDDED_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    if (!state_dir || state_dir[0] != '/' || !embedded_text(state_dir, &text)) {
        sink->report(sink->context, true,
                     BYTES("embedded: error: the folder for the state must be an absolute path of reasonable length"));
        return ERR_BAD_VALUE;
    }
    struct bytes whole = buf_bytes(&text);
    return load_whole("embedded", &whole, NULL, true, generation, sink, w);
}

enum err config_load(const char *path, const char *state_dir, uint64_t generation, const struct config_problem_sink *sink, int *fd)
{
    return load_wanted(path, state_dir, generation, sink, &(struct wanted){.fd = fd});
}

enum err config_load_keeping(const char *path, const char *state_dir, uint64_t generation, const struct config_problem_sink *sink, int *fd,
                             struct config_texts **texts)
{
    *texts = NULL;
    return load_wanted(path, state_dir, generation, sink, &(struct wanted){.fd = fd, .texts = texts});
}

enum err config_reload(const struct config_texts *texts, uint64_t generation, const struct config_problem_sink *sink, int *fd)
{
    const struct source_file *first = &texts->files[0];
    struct bytes text = bytes_of(first->text, first->text_bytes);
    return load_whole(first->path, &text, texts, true, generation, sink, &(struct wanted){.fd = fd});
}
