/*
 * site - `mtactl site`: destinations, each a queue of its own with its concurrency, its back-off and its suspension.
 */
#include <inttypes.h>

#include "mtactl.h"

struct listing { const struct ctl *c; uint64_t rows; };

static void print_state(const struct ctl *c, struct bytes row)
{
    int64_t left = member_number(row, "backoff_until") - show_now();
    if (member_is_true(row, "suspended")) {
        show_alarm(c);
        show_text(BYTES("suspended"), 11);
        show_plain(c);
    } else if (left > 0) {
        fputs("off ", stdout);
        show_age(left, 7);
    } else {
        show_text(BYTES("open"), 11);
    }
}

static void on_row(void *context, struct bytes row)
{
    struct listing *l = context;
    if (l->c->json) {
        printf("%.*s\n", (int)row.len, (const char *)row.ptr);
        return;
    }
    if (!l->rows++) puts("SITE                              RCPTS   DUE     CONNS  LIMIT  STATE      REASON");
    show_member(row, "site", 33);
    printf(" %-7" PRId64 " %-7" PRId64 " %-6" PRId64 " %-6" PRId64 " ", member_number(row, "recipients"), member_number(row, "due"),
           member_number(row, "connections"), member_number(row, "concurrency"));
    print_state(l->c, row);
    show_member(row, "reason", 0);
    putchar('\n');
}

static int site(struct ctl *c, enum admin_verb verb, const char *const *arguments, uint32_t count, struct ending *end)
{
    struct listing l = {.c = c};
    struct ipc_admin ask = c->ask;
    ask.verb = (uint8_t)verb;
    ask.dry_run = admin_verb_destructive(verb) && !c->yes;
    if (count == 1 && bytes_of_cstr(arguments[0]).len <= HOST_NAME_BYTES_MAX) ask.site = bytes_of_cstr(arguments[0]);
    if (count > 1) return usage("too many words", arguments[1]);
    if (verb != ADMIN_SITE_LIST && !ask.site.len) return usage("which site? `mtactl site list` has the names", NULL);
    return link_ask(c, &ask, on_row, &l, end);
}

int command_site_list(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    int code = site(c, ADMIN_SITE_LIST, arguments, count, &end);
    if (code == ADMIN_OK && !c->json && !end.messages) puts("no sites");
    return code;
}

int command_site_show(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    return site(c, ADMIN_SITE_SHOW, arguments, count, &end);
}

static int change(struct ctl *c, enum admin_verb verb, const char *past, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    bool dry = admin_verb_destructive(verb) && !c->yes;
    int code = site(c, verb, arguments, count, &end);
    if (code != ADMIN_OK && code != ADMIN_PARTIAL) return code;
    if (c->json) {
        printf("{\"sites\":%" PRIu64 ",\"recipients\":%" PRIu64 ",\"left\":%" PRIu64 ",\"verb\":\"%s\",\"done\":%s}\n", end.messages, end.recipients,
               end.left, past, dry ? "false" : "true");
    } else {
        show_plural(end.messages, "site");
        fputs(" with ", stdout);
        show_plural(end.recipients, "recipient");
        printf(dry ? " would be %s; nothing was done: say --yes to do it\n" : " %s\n", past);
    }
    return dry ? ADMIN_NEGATIVE : code;
}

int command_site_suspend(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_SITE_SUSPEND, "suspended", arguments, count); }
int command_site_resume(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_SITE_RESUME, "resumed", arguments, count); }
