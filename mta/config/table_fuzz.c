/*
 * table_fuzz - any octets as a table file of some format: refused with places, or a table in order in which every key is found; patterns are
 * compiled and matched within their bounds. The first octet picks the format.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "mta/config/pattern.h"
#include "mta/config/table.h"

enum { INPUT_BYTES_MAX = 8192, PATTERNS_TRIED = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_error(void *context, bool is_error, struct bytes text)
{
    must(text.len > 0);
    if (is_error) ++*(uint32_t *)context;
}

static int file_of(const void *octets, size_t bytes)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, octets, bytes) == (ssize_t)bytes);
    return fd;
}

static void try_pattern(const struct config *c, const struct config_entry *e)
{
    uint8_t why_memory[256], value_memory[4096];
    struct buf why = BUF_OVER(why_memory), value = BUF_OVER(value_memory);
    struct pattern *p = NULL;
    uint32_t offset;
    struct bytes subject = BYTES("Ann.Lee+list@lists.example.org");
    must(pattern_compile(config_bytes(c, e->key), e->flags, &p, &offset, &why) == ERR_NONE); /* it was, when it was read */
    if (pattern_match(p, subject) == PATTERN_YES) must(pattern_expand(p, subject, config_bytes(c, e->value), pattern_captures(p), &value));
    pattern_free(p);
}

static void look(const struct config *c)
{
    const struct config_table *t = CONFIG_ITEMS(c, c->tables, struct config_table);
    must(t && c->tables.count == 1);
    for (uint32_t i = 0; i < t->entries.count; i++) {
        const struct config_entry *e = table_entry_at(c, 0, i);
        struct table_hit hit;
        must(e);
        if (t->format == CONFIG_TABLE_REGEX) {
            if (i < PATTERNS_TRIED) try_pattern(c, e);
            continue;
        }
        must(table_find(c, 0, config_bytes(c, e->key), &hit) == TABLE_YES && hit.first <= i && i - hit.first < hit.count);
        if (i > 0) must(table_compare_keys(config_bytes(c, table_entry_at(c, 0, i - 1)->key), config_bytes(c, e->key)) <= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"plain", "aliases", "postfix", "regex"};
    char text[256], path[64];
    uint32_t errors = 0;
    struct config_problem_sink sink = {count_error, &errors};
    if (size < 1 || size > INPUT_BYTES_MAX) return 0;
    int table = file_of(data + 1, size - 1);
    int length = snprintf(text, sizeof text, "config-version 1\nhostname a.b\nroute r { match any; mx }\ntable t { file /proc/self/fd/%d; format %s }\n", table,
                          formats[data[0] % 4]);
    int whole = file_of(text, (size_t)length), image = -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", whole);
    enum err e = config_load(path, NULL, 1, &sink, &image);
    must((e == ERR_NONE) == (errors == 0));
    if (e == ERR_NONE) {
        const struct config *c;
        must(config_map(image, &c) == ERR_NONE);
        look(c);
        config_unmap(c);
        close(image);
    }
    close(table);
    close(whole);
    return 0;
}
