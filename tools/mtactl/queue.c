/*
 * queue - `mtactl queue`: look at messages, and change them. The ids and filters say which; what cannot be taken back wants --yes.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "mta/config/values.h"
#include "mtactl.h"

/* ---- list ---- */

static void print_next(struct bytes rcpt, int width)
{
    int64_t next = member_number(rcpt, "next_try"), now = show_now();
    if (next > now) show_age(next - now, width);
    else show_text(BYTES("now"), width);
}

static void print_rcpt(struct bytes row, struct bytes rcpt, bool first)
{
    if (first) {
        show_member(row, "queue_id", 18);
        show_age(show_now() - member_number(row, "arrival_time"), 7);
        show_size((uint64_t)member_number(row, "message_size"), 6);
        show_text(member_text(row, "sender").len ? member_text(row, "sender") : BYTES("<>"), 27);
    } else {
        printf("%-58s", "");
    }
    putchar(' ');
    show_member(rcpt, "address", 27);
    printf(" %-6" PRId64, member_number(rcpt, "tries"));
    if (bytes_equal(member_text(row, "queue_name"), BYTES("hold"))) show_text(BYTES("held"), 7);
    else print_next(rcpt, 7);
    if (member_text(row, "hold_reason").len) show_member(row, "hold_reason", 0);
    else show_member(rcpt, "delay_reason", 0);
    putchar('\n');
}

static void print_rcpts(struct bytes row, void (*print)(struct bytes row, struct bytes rcpt, bool first))
{
    struct bytes list, rcpt;
    bool first = true;
    if (!json_member(row, "recipients", &list)) return;
    for (struct bytes rest = json_elements(list); json_next(&rest, &rcpt); first = false) print(row, rcpt, first);
    if (member_number(row, "recipients_left_out")) printf("%-59s... and %" PRId64 " more\n", "", member_number(row, "recipients_left_out"));
}

/* mailq: Postfix's layout for long ids, for eyes and scripts that know it. */
enum { MAILQ_ADDRESS_COLUMN = 48 };

static void print_mailq_rcpt(struct bytes row, struct bytes rcpt, bool first)
{
    (void)row;
    (void)first;
    if (member_text(rcpt, "delay_reason").len) {
        fputs("    (", stdout);
        show_member(rcpt, "delay_reason", 0);
        puts(")");
    }
    printf("%*s", MAILQ_ADDRESS_COLUMN, "");
    show_member(rcpt, "address", 0);
    putchar('\n');
}

static void print_mailq(struct bytes row)
{
    char when[40] = "-";
    time_t t = (time_t)member_number(row, "arrival_time");
    struct tm tm;
    struct bytes name = member_text(row, "queue_name");
    char mark = bytes_equal(name, BYTES("active")) ? '*' : bytes_equal(name, BYTES("hold")) ? '!' : ' ';
    if (localtime_r(&t, &tm)) (void)strftime(when, sizeof when, "%a %b %e %H:%M:%S", &tm);
    show_member(row, "queue_id", 0);
    printf("%c %8" PRId64 " %19s  ", mark, member_number(row, "message_size"), when);
    show_text(member_text(row, "sender").len ? member_text(row, "sender") : BYTES("MAILER-DAEMON"), 0);
    putchar('\n');
    print_rcpts(row, print_mailq_rcpt);
    putchar('\n');
}

/* print_postfix - the members of `postqueue -j` and no others. */
static void print_postfix(struct bytes row)
{
    static uint8_t memory[256 * 1024];
    struct buf b = BUF_OVER(memory);
    struct bytes list, rcpt;
    json_open(&b, NULL, '{');
    json_text(&b, "queue_name", member_text(row, "queue_name"));
    json_text(&b, "queue_id", member_text(row, "queue_id"));
    json_i64(&b, "arrival_time", member_number(row, "arrival_time"));
    json_i64(&b, "message_size", member_number(row, "message_size"));
    json_bool(&b, "forced_expire", member_is_true(row, "forced_expire"));
    json_text(&b, "sender", member_text(row, "sender"));
    json_open(&b, "recipients", '[');
    if (json_member(row, "recipients", &list)) {
        for (struct bytes rest = json_elements(list); json_next(&rest, &rcpt);) {
            json_open(&b, NULL, '{');
            json_text(&b, "address", member_text(rcpt, "address"));
            struct bytes reason = member_text(rcpt, "delay_reason");
            if (reason.len) json_text(&b, "delay_reason", reason);
            json_close(&b, '}');
        }
    }
    json_close(&b, ']');
    json_close(&b, '}');
    print_json_line(&b);
}

struct listing { const struct ctl *c; uint64_t rows; };

static void on_row(void *context, struct bytes row)
{
    struct listing *l = context;
    if (l->c->json) printf("%.*s\n", (int)row.len, (const char *)row.ptr);
    else if (l->c->format == FORMAT_POSTFIX_JSON) print_postfix(row);
    else if (l->c->format == FORMAT_MAILQ) {
        if (!l->rows) puts("----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------");
        print_mailq(row);
    } else {
        if (!l->rows) puts("ID                AGE    SIZE  FROM                        TO                          TRIES NEXT   REASON");
        print_rcpts(row, print_rcpt);
    }
    l->rows++;
}

static void print_list_end(const struct ctl *c, const struct ending *end)
{
    if (c->json || c->format == FORMAT_POSTFIX_JSON) return;
    if (c->format == FORMAT_MAILQ) {
        if (!end->messages) puts("Mail queue is empty");
        else printf("-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n", end->octets / 1024, end->messages, end->messages == 1 ? "" : "s");
        return;
    }
    if (!end->messages) {
        puts("no messages");
        return;
    }
    show_counts(end->messages, end->recipients, end->octets);
    putchar('\n');
}

int command_queue_list(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    struct listing l = {.c = c};
    struct ipc_admin ask = c->ask;
    ask.verb = ADMIN_QUEUE_LIST;
    if (count) return usage("too many words; messages are chosen by --id and other filters", arguments[0]);
    int code = link_ask(c, &ask, on_row, &l, &end);
    if (code == ADMIN_OK || code == ADMIN_PARTIAL) print_list_end(c, &end);
    return code;
}

/* ---- show ---- */

static void print_shown_rcpt(struct bytes row, struct bytes rcpt, bool first)
{
    (void)row;
    (void)first;
    fputs("  ", stdout);
    show_member(rcpt, "address", 30);
    putchar(' ');
    show_member(rcpt, "state", 10);
    printf("tries %" PRId64 ", next ", member_number(rcpt, "tries"));
    show_time(member_number(rcpt, "next_try"));
    fputs(", site ", stdout);
    show_member(rcpt, "site", 0);
    putchar('\n');
    if (!member_text(rcpt, "delay_reason").len) return;
    fputs("      ", stdout);
    show_member(rcpt, "delay_reason", 0);
    putchar('\n');
}

static void print_field(struct bytes row, const char *label, const char *key)
{
    if (!member_text(row, key).len) return;
    printf("%-11s", label);
    show_member(row, key, 0);
    putchar('\n');
}

static void on_shown(void *context, struct bytes row)
{
    const struct ctl *c = context;
    if (c->json) {
        printf("%.*s\n", (int)row.len, (const char *)row.ptr);
        return;
    }
    print_field(row, "id", "queue_id");
    print_field(row, "state", "queue_name");
    print_field(row, "held for", "hold_reason");
    fputs("sender     <", stdout);
    show_member(row, "sender", 0);
    fputs(">\nclient     ", stdout);
    show_member(row, "client_name", 0);
    putchar('[');
    show_member(row, "client_address", 0);
    fputs("]\n", stdout);
    print_field(row, "helo", "helo");
    print_field(row, "message-id", "message_id");
    fputs("size       ", stdout);
    show_size((uint64_t)member_number(row, "message_size"), 0);
    fputs("\narrived    ", stdout);
    show_time(member_number(row, "arrival_time"));
    fputs("\nexpires    ", stdout);
    show_time(member_number(row, "expire_time"));
    printf("\nrecipients %" PRId64 "\n", member_number(row, "recipient_count"));
    print_rcpts(row, print_shown_rcpt);
}

/* add - two exit codes of two ids into one: what differs is done in part. */
static int add(int all, int one, uint32_t n) { return n == 0 || all == one ? one : ADMIN_PARTIAL; }

static bool is_usage(const char *const *ids, uint32_t count)
{
    struct message_id id;
    for (uint32_t i = 0; i < count; i++) {
        if (message_id_parse(bytes_of_cstr(ids[i]), &id)) continue;
        usage("an id is 16 hexadecimal digits", ids[i]);
        return true;
    }
    return false;
}

int command_queue_show(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    struct ipc_admin ask = c->ask;
    int code = ADMIN_OK;
    ask.verb = ADMIN_QUEUE_SHOW;
    if (!count && !ask.message.v) return usage("which message? give its id", NULL);
    if (is_usage(arguments, count)) return ADMIN_USAGE;
    if (!count) return link_ask(c, &ask, on_shown, c, &end);
    for (uint32_t i = 0; i < count; i++) {
        (void)message_id_parse(bytes_of_cstr(arguments[i]), &ask.message);
        code = add(code, link_ask(c, &ask, on_shown, c, &end), i);
    }
    return code;
}

/* ---- count ---- */

static void print_sums(const struct ending *end, const char *verb, bool done)
{
    uint8_t memory[256];
    struct buf b = BUF_OVER(memory);
    json_open(&b, NULL, '{');
    json_u64(&b, "messages", end->messages);
    json_u64(&b, "recipients", end->recipients);
    json_u64(&b, "bytes", end->octets);
    if (verb) {
        json_u64(&b, "left", end->left);
        json_cstr(&b, "verb", verb);
        json_bool(&b, "done", done);
    }
    json_close(&b, '}');
    print_json_line(&b);
}

int command_queue_count(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    struct ipc_admin ask = c->ask;
    ask.verb = ADMIN_QUEUE_COUNT;
    if (count) return usage("too many words", arguments[0]);
    int code = link_ask(c, &ask, NULL, NULL, &end);
    if (code != ADMIN_OK) return code;
    if (c->json) {
        print_sums(&end, NULL, false);
    } else {
        show_counts(end.messages, end.recipients, end.octets);
        putchar('\n');
    }
    return code;
}

/* ---- change ---- */

static int change(struct ctl *c, enum admin_verb verb, const char *past, const char *const *ids, uint32_t count)
{
    struct ending end = {0};
    struct ipc_admin ask = c->ask;
    int code = ADMIN_OK;
    ask.verb = (uint8_t)verb;
    ask.dry_run = admin_verb_destructive(verb) && !c->yes;
    if (is_usage(ids, count)) return ADMIN_USAGE;
    for (uint32_t i = 0; i < (count ? count : 1); i++) {
        if (count) (void)message_id_parse(bytes_of_cstr(ids[i]), &ask.message);
        code = add(code, link_ask(c, &ask, NULL, NULL, &end), i);
        if (code == ADMIN_UNREACHABLE || code == ADMIN_REFUSED || code == ADMIN_USAGE) return code;
    }
    if (c->json) {
        print_sums(&end, past, !ask.dry_run);
    } else if (ask.dry_run) {
        show_counts(end.messages, end.recipients, end.octets);
        printf(" would be %s; nothing was done: say --yes to do it\n", past);
    } else {
        show_plural(end.messages, "message");
        printf(" %s\n", past);
    }
    return ask.dry_run ? ADMIN_NEGATIVE : code;
}

int command_queue_hold(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_QUEUE_HOLD, "held", arguments, count); }
int command_queue_release(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_QUEUE_RELEASE, "released", arguments, count); }
int command_queue_flush(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_QUEUE_FLUSH, "flushed", arguments, count); }
int command_queue_bounce(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_QUEUE_BOUNCE, "bounced", arguments, count); }
int command_queue_discard(struct ctl *c, const char *const *arguments, uint32_t count) { return change(c, ADMIN_QUEUE_DISCARD, "discarded", arguments, count); }

/* parse_time - "+30m", "@1767222000", "2026-12-31T23:00:00Z". */
static bool parse_time(const char *text, int64_t *wall_s)
{
    uint64_t value;
    struct tm tm = {0};
    if (text[0] == '+') {
        if (!value_time_ms(bytes_of_cstr(text + 1), &value)) return false;
        *wall_s = show_now() + (int64_t)(value / 1000);
        return true;
    }
    if (text[0] == '@') {
        if (!bytes_to_u64(bytes_of_cstr(text + 1), &value) || value > UINT32_MAX) return false;
        *wall_s = (int64_t)value;
        return true;
    }
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end) return false;
    *wall_s = (int64_t)timegm(&tm);
    return *wall_s > 0;
}

int command_queue_retry_at(struct ctl *c, const char *const *arguments, uint32_t count)
{
    if (!count) return usage("when? give +30m, @SECONDS or 2026-12-31T23:00:00Z", NULL);
    if (!parse_time(arguments[0], &c->ask.at_wall_s)) return usage("not a time: +30m, @SECONDS or 2026-12-31T23:00:00Z", arguments[0]);
    return change(c, ADMIN_QUEUE_RETRY_AT, "rescheduled", arguments + 1, count - 1);
}

/* ---- check ---- */

static void on_problem(void *context, struct bytes row)
{
    const struct ctl *c = context;
    if (c->json) {
        printf("%.*s\n", (int)row.len, (const char *)row.ptr);
        return;
    }
    show_member(row, "problem", 0);
    putchar('\n');
}

int command_queue_check(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    struct ipc_admin ask = {.verb = ADMIN_QUEUE_CHECK};
    if (count) return usage("too many words", arguments[0]);
    if (c->stopped) return check_stopped(c);
    int code = link_ask(c, &ask, on_problem, c, &end);
    if (code != ADMIN_OK && code != ADMIN_NEGATIVE) return code;
    if (c->json) {
        printf("{\"problems\":%" PRIu64 "}\n", end.messages);
    } else {
        show_plural(end.messages, "problem");
        putchar('\n');
    }
    return code;
}
