/*
 * crash - `mtactl crash`: records of processes that somebody's octets have killed.
 */
#include <inttypes.h>

#include "mtactl.h"

struct shown { const struct ctl *c; uint64_t rows; bool whole, raw; };

static void print_line(struct bytes row)
{
    printf("%-7" PRId64 " ", member_number(row, "number"));
    show_age(show_now() - member_number(row, "time"), 7);
    show_member(row, "process", 9);
    if (member_is_true(row, "hung")) fputs("  hung    ", stdout);
    else printf("  %-8" PRId64, member_number(row, "signal"));
    bool named = member_is_true(row, "named");
    if (named) show_member(row, "remote_address", 16);
    else show_text(BYTES("unknown"), 16);
    putchar(' ');
    show_member(row, "step", 24);
    putchar(' ');
    show_member(row, "queue_id", 17);
    show_member(row, "mail", 0);
    putchar('\n');
}

static void print_member(struct bytes row, const char *title, const char *key)
{
    if (!member_text(row, key).len) return;
    printf("%-16s ", title);
    show_member(row, key, 0);
    putchar('\n');
}

static void print_whole(struct bytes row)
{
    printf("number           %" PRId64 "\ntime             ", member_number(row, "number"));
    show_time(member_number(row, "time"));
    printf("\nprocess          ");
    show_member(row, "process", 0);
    printf("/%" PRId64 ", pid %" PRId64 "\n", member_number(row, "index"), member_number(row, "pid"));
    if (member_is_true(row, "hung")) puts("end              it hung, and was killed by the watchdog");
    else printf("end              signal %" PRId64 "\n", member_number(row, "signal"));
    if (!member_is_true(row, "named")) printf("remote           unknown; %" PRId64 " that were talked to last are served alone\n", member_number(row, "suspects"));
    print_member(row, "remote address", "remote_address");
    print_member(row, "remote name", "remote_name");
    print_member(row, "in answer to", "step");
    print_member(row, "phase", "phase");
    print_member(row, "message", "queue_id");
    print_member(row, "its mail", "mail");
    print_member(row, "octets", "octets");
}

static unsigned nibble(uint8_t c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10) & 15; }

static void print_raw(struct bytes row)
{
    struct bytes hex = member_text(row, "octets_hex");
    for (uint32_t i = 0; i + 1 < hex.len; i += 2) putchar((int)(nibble(hex.ptr[i]) << 4 | nibble(hex.ptr[i + 1])));
}

static void on_row(void *context, struct bytes row)
{
    struct shown *s = context;
    if (s->raw) {
        print_raw(row);
    } else if (s->c->json) {
        printf("%.*s\n", (int)row.len, (const char *)row.ptr);
    } else if (s->whole) {
        print_whole(row);
    } else {
        if (!s->rows) puts("NUMBER  AGE    PROCESS    SIGNAL  REMOTE           IN ANSWER TO             MESSAGE          ITS MAIL");
        print_line(row);
    }
    s->rows++;
}

static int crash(struct ctl *c, enum admin_verb verb, const char *const *arguments, uint32_t count, struct shown *shown, struct ending *end)
{
    struct ipc_admin ask = {.verb = (uint8_t)verb, .limit = c->ask.limit};
    ask.dry_run = admin_verb_destructive(verb) && !c->yes;
    if (count > 1) return usage("too many words", arguments[1]);
    if (count && (!bytes_to_u64(bytes_of_cstr(arguments[0]), &ask.number) || !ask.number)) return usage("this is no number of a crash record", arguments[0]);
    if (!count && verb == ADMIN_CRASH_SHOW) return usage("which crash? `mtactl crash list` has the numbers", NULL);
    return link_ask(c, &ask, on_row, shown, end);
}

int command_crash_list(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown shown = {.c = c};
    struct ending end = {0};
    int code = crash(c, ADMIN_CRASH_LIST, arguments, count, &shown, &end);
    if (code == ADMIN_OK && !c->json && !end.messages) puts("no crashes");
    return code;
}

int command_crash_show(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown shown = {.c = c, .whole = true};
    struct ending end = {0};
    return crash(c, ADMIN_CRASH_SHOW, arguments, count, &shown, &end);
}

int command_crash_export(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown shown = {.c = c, .raw = true};
    struct ending end = {0};
    return crash(c, ADMIN_CRASH_SHOW, arguments, count, &shown, &end);
}

int command_crash_clear(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct shown shown = {.c = c};
    struct ending end = {0};
    int code = crash(c, ADMIN_CRASH_CLEAR, arguments, count, &shown, &end);
    if (code != ADMIN_OK) return code;
    if (c->json) {
        printf("{\"crashes\":%" PRIu64 ",\"done\":%s}\n", end.messages, c->yes ? "true" : "false");
    } else {
        show_plural(end.messages, "crash record");
        puts(c->yes ? " removed" : " would be removed; nothing was done: say --yes to do it");
    }
    return c->yes ? ADMIN_OK : ADMIN_NEGATIVE;
}
