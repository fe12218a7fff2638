/*
 * explain - `mtactl explain`: whether mail to an address would be taken, rule by rule, with the line of the configuration that says so.
 */
#include "mtactl.h"

static void on_row(void *context, struct bytes row)
{
    const struct ctl *c = context;
    if (c->json) {
        printf("%.*s\n", (int)row.len, (const char *)row.ptr);
        return;
    }
    show_member(row, "rule", 15);
    putchar(' ');
    show_member(row, "verdict", 11);
    putchar(' ');
    show_member(row, "text", member_text(row, "place").len ? 48 : 0);
    if (member_text(row, "place").len) fputs("   ", stdout);
    show_member(row, "place", 0);
    putchar('\n');
}

int command_explain(struct ctl *c, const char *const *arguments, uint32_t count)
{
    struct ending end = {0};
    if (count != 1) return usage("expected one address: mtactl explain ADDRESS [--from A] [--client IP] [--helo H] [--auth U]", NULL);
    struct ipc_admin ask = {.verb = ADMIN_EXPLAIN, .to = bytes_of_cstr(arguments[0]), .from = c->ask.from, .client = c->ask.client,
                            .domain = c->ask.domain, .reason = c->auth ? bytes_of_cstr(c->auth) : (struct bytes){0}, .site = c->ask.site};
    if (ask.to.len == 0 || ask.to.len > MAIL_ADDRESS_BYTES_MAX) return usage("this is no address", arguments[0]);
    if (ask.reason.len > LOGIN_BYTES_MAX) return usage("this login is too long", c->auth);
    return link_ask(c, &ask, on_row, c, &end);
}
