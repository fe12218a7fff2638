/*
 * config - `mtactl config`: what mtad would make of a file. Needs no running mtad.
 */
#include <stdlib.h>
#include <unistd.h>

#include "mta/config/config.h"
#include "mtactl.h"

#define CONFIG_FILE_DEFAULT "/etc/mta/mta.conf"

enum { SHOWN_BYTES_MAX = 4 * 1024 * 1024 };

struct problems { const struct ctl *c; uint32_t errors, warnings; };

static void on_problem(void *context, bool is_error, struct bytes text)
{
    struct problems *p = context;
    if (is_error) p->errors++;
    else p->warnings++;
    if (!p->c->json) {
        show_text(text, 0);
        putchar('\n');
        return;
    }
    static uint8_t memory[64 * 1024];
    struct buf b = BUF_OVER(memory);
    json_open(&b, NULL, '{');
    json_cstr(&b, "level", is_error ? "error" : "warning");
    json_text(&b, "text", text);
    json_close(&b, '}');
    print_json_line(&b);
}

static bool load(const struct ctl *c, const char *file, struct problems *p, int *fd)
{
    struct config_problem_sink sink = {on_problem, p};
    p->c = c;
    return config_load(file, NULL, 1, &sink, fd) == ERR_NONE;
}

static const char *file_of(const struct ctl *c) { return c->config ? c->config : CONFIG_FILE_DEFAULT; }

int command_config_check(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct problems p = {0};
    int fd;
    if (count) return usage("too many words", arguments[0]);
    bool good = load(c, file_of(c), &p, &fd);
    if (good) close(fd);
    if (c->json) {
        printf("{\"errors\":%u,\"warnings\":%u}\n", p.errors, p.warnings);
    } else {
        if (p.errors) printf("%s: ", file_of(c));
        if (p.errors || p.warnings) {
            show_plural(p.errors, "error");
            fputs(", ", stdout);
            show_plural(p.warnings, "warning");
            putchar('\n');
        } else {
            printf("%s: no problems\n", file_of(c));
        }
    }
    return good ? ADMIN_OK : ADMIN_NEGATIVE;
}

int command_config_show(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct problems p = {0};
    const struct config *image;
    int fd;
    if (count) return usage("too many words", arguments[0]);
    if (!load(c, file_of(c), &p, &fd)) return ADMIN_NEGATIVE;
    bool mapped = config_map(fd, &image) == ERR_NONE;
    close(fd);
    uint8_t *memory = malloc(2 * (size_t)SHOWN_BYTES_MAX);
    if (!mapped || !memory) {
        fputs("mtactl: out of memory\n", stderr);
        free(memory);
        return ADMIN_NEGATIVE;
    }
    struct buf text = buf_over(memory, SHOWN_BYTES_MAX), line = buf_over(memory + SHOWN_BYTES_MAX, SHOWN_BYTES_MAX);
    config_show(image, &text);
    if (c->json) {
        json_open(&line, NULL, '{');
        json_text(&line, "config", buf_bytes(&text));
        json_close(&line, '}');
        print_json_line(&line);
    } else {
        fwrite(text.ptr, 1, text.len, stdout);
    }
    bool whole = !text.overflow && !line.overflow;
    free(memory);
    config_unmap(image);
    return whole ? ADMIN_OK : ADMIN_PARTIAL;
}
