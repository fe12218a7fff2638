/*
 * status - `mtactl status`: the processes, the queue, and whether all is well.
 */
#include <inttypes.h>

#include "mtactl.h"

static void print_role(const struct ctl *c, struct bytes role)
{
    struct bytes state = member_text(role, "state");
    bool running = bytes_equal(state, BYTES("running"));
    show_member(role, "role", 11);
    printf("%-8" PRId64 "%-10" PRId64, member_number(role, "pid"), member_number(role, "restarts"));
    if (!running) show_alarm(c);
    show_member(role, "state", 13);
    if (!running) show_plain(c);
    show_member(role, "engine", 10);
    show_age(show_now() - member_number(role, "started"), 0);
    putchar('\n');
}

static void print_roles(const struct ctl *c, struct bytes row)
{
    struct bytes roles = {0}, role;
    if (!json_member(row, "roles", &roles)) return;
    puts("ROLE       PID     RESTARTS  STATE        ENGINE    UP");
    for (struct bytes rest = json_elements(roles); json_next(&rest, &role);) print_role(c, role);
}

static void print_queue(struct bytes q)
{
    fputs("queue      ", stdout);
    show_counts((uint64_t)member_number(q, "messages"), (uint64_t)member_number(q, "recipients"), (uint64_t)member_number(q, "bytes"));
    printf("; %" PRId64 " active, %" PRId64 " deferred recipients; %" PRId64 " held", member_number(q, "active_recipients"),
           member_number(q, "deferred_recipients"), member_number(q, "held_messages"));
    if (member_number(q, "oldest_arrival_time")) {
        fputs("; oldest ", stdout);
        show_age(show_now() - member_number(q, "oldest_arrival_time"), 0);
    }
    putchar('\n');
}

static void print_audit(const struct ctl *c, struct bytes a)
{
    printf("recipients %" PRId64 " accepted = %" PRId64 " delivered + %" PRId64 " bounced + %" PRId64 " expired + %" PRId64 " removed + %" PRId64 " queued",
           member_number(a, "accepted"), member_number(a, "delivered"), member_number(a, "bounced"), member_number(a, "expired"),
           member_number(a, "removed"), member_number(a, "queued"));
    if (!member_is_true(a, "balanced")) {
        show_alarm(c);
        fputs("  DOES NOT BALANCE", stdout);
        show_plain(c);
    }
    putchar('\n');
}

static void print_storage(const struct ctl *c, struct bytes s)
{
    if (member_is_true(s, "accepting")) return;
    show_alarm(c);
    fputs("new mail is refused: ", stdout);
    show_member(s, "reason", 0);
    show_plain(c);
    putchar('\n');
}

static void print_suspended(struct bytes list)
{
    struct bytes site;
    for (struct bytes rest = json_elements(list); json_next(&rest, &site);) {
        fputs("suspended  ", stdout);
        show_member(site, "site", 0);
        printf(" (%" PRId64 " recipients): ", member_number(site, "recipients"));
        show_member(site, "reason", 0);
        putchar('\n');
    }
}

static void print_crashes(const struct ctl *c, struct bytes crashes)
{
    if (!member_number(crashes, "since_start") && !member_number(crashes, "quarantined")) return;
    show_alarm(c);
    printf("crashes    %" PRId64 " since start, the last is number %" PRId64 " (mtactl crash list); %" PRId64 " remotes are served alone", member_number(crashes, "since_start"),
           member_number(crashes, "last"), member_number(crashes, "quarantined"));
    show_plain(c);
    putchar('\n');
}

static void print_layers(struct bytes sandbox)
{
    struct bytes layers, layer;
    uint8_t memory[64];
    if (!json_member(sandbox, "layers", &layers)) return;
    fputs("sandbox   ", stdout);
    for (struct bytes rest = json_elements(layers); json_next(&rest, &layer);) {
        struct buf out = BUF_OVER(memory);
        putchar(' ');
        show_text(json_unquote(layer, &out), 0);
    }
    putchar('\n');
}

static void print_open(const struct ctl *c, struct bytes sandbox)
{
    struct bytes list, sentence;
    uint8_t memory[256];
    if (!json_member(sandbox, "open", &list)) return;
    for (struct bytes rest = json_elements(list); json_next(&rest, &sentence);) {
        struct buf out = BUF_OVER(memory);
        show_alarm(c);
        fputs("           ", stdout);
        show_text(json_unquote(sentence, &out), 0);
        show_plain(c);
        putchar('\n');
    }
}

static void on_row(void *context, struct bytes row)
{
    const struct ctl *c = context;
    struct bytes part;
    if (c->quiet) return;
    if (c->json) {
        printf("%.*s\n", (int)row.len, (const char *)row.ptr);
        return;
    }
    fputs("Bulkhead ", stdout);
    show_member(row, "version", 0);
    fputs(" on ", stdout);
    show_member(row, "hostname", 0);
    printf("   configuration generation %" PRId64 " (", member_number(row, "config_generation"));
    show_member(row, "config_file", 0);
    fputs(")   engine ", stdout);
    show_member(row, "engine", 0);
    putchar('\n');
    print_roles(c, row);
    if (json_member(row, "queue", &part)) print_queue(part);
    if (json_member(row, "audit", &part)) print_audit(c, part);
    if (json_member(row, "storage", &part)) print_storage(c, part);
    if (json_member(row, "suspended", &part)) print_suspended(part);
    if (json_member(row, "crashes", &part)) print_crashes(c, part);
    if (json_member(row, "sandbox", &part)) {
        print_layers(part);
        print_open(c, part);
    }
}

int command_status(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    struct ipc_admin ask = {.verb = ADMIN_STATUS};
    if (count) return usage("too many words", arguments[0]);
    return link_ask(c, &ask, on_row, c, &end);
}
