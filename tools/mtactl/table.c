/*
 * table - `mtactl table`: which tables there are, what one says of a key, and reading their files again.
 */
#include <inttypes.h>

#include "mtactl.h"

struct shown { const struct ctl *c; uint64_t rows; };

static bool as_json(struct shown *s, struct bytes row)
{
    if (s->c->json) printf("%.*s\n", (int)row.len, (const char *)row.ptr);
    return s->c->json;
}

static void on_table(void *context, struct bytes row)
{
    struct shown *s = context;
    if (as_json(s, row)) return;
    if (!s->rows++) puts("TABLE                 FORMAT   ENTRIES   FILE");
    show_member(row, "table", 21);
    putchar(' ');
    show_member(row, "format", 8);
    printf(" %-9" PRId64 " ", member_number(row, "entries"));
    show_member(row, "file", 0);
    putchar('\n');
}

static void on_value(void *context, struct bytes row)
{
    struct shown *s = context;
    if (as_json(s, row)) return;
    show_member(row, "value", 0);
    putchar('\n');
}

static void on_reloaded(void *context, struct bytes row)
{
    struct shown *s = context;
    if (as_json(s, row)) return;
    if (member_text(row, "problem").len) {
        show_member(row, "problem", 0);
        putchar('\n');
    } else if (member_is_true(row, "done")) {
        printf("tables are read again: generation %" PRId64 "\n", member_number(row, "generation"));
    } else {
        printf("all tables stay as they were: generation %" PRId64 "\n", member_number(row, "generation"));
    }
}

int command_table_list(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown s = {.c = c};
    struct ending end = {0};
    if (count) return usage("too many words", arguments[0]);
    int code = link_ask(c, &(struct ipc_admin){.verb = ADMIN_TABLE_LIST}, on_table, &s, &end);
    if (code == ADMIN_OK && !c->json && !s.rows) puts("no tables");
    return code;
}

int command_table_lookup(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown s = {.c = c};
    struct ending end = {0};
    if (count != 2) return usage("expected a table and a key: mtactl table lookup NAME KEY", NULL);
    struct ipc_admin ask = {.verb = ADMIN_TABLE_LOOKUP, .site = bytes_of_cstr(arguments[0]), .to = bytes_of_cstr(arguments[1])};
    if (ask.site.len == 0 || ask.site.len > 64) return usage("this is no name of a table", arguments[0]);
    if (ask.to.len == 0 || ask.to.len > MAIL_ADDRESS_BYTES_MAX) return usage("this key is empty, or too long", NULL);
    return link_ask(c, &ask, on_value, &s, &end);
}

int command_table_reload(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown s = {.c = c};
    struct ending end = {0};
    if (count) return usage("too many words", arguments[0]);
    return link_ask(c, &(struct ipc_admin){.verb = ADMIN_TABLE_RELOAD}, on_reloaded, &s, &end);
}
