/*
 * tables - `mtactl table`: what the configuration in use says, and where it does not, the tables process; the master reads tables again.
 */
#include <stddef.h>

#include "base/json.h"
#include "base/log.h"
#include "mta/config/table.h"
#include "mta/control/control.h"
#include "mta/process/dispatch.h"

static const char *const formats[] = {
    [CONFIG_TABLE_PLAIN] = "plain", [CONFIG_TABLE_ALIASES] = "aliases", [CONFIG_TABLE_POSTFIX] = "postfix", [CONFIG_TABLE_REGEX] = "regex",
};

static const struct config_table *table_at(const struct control *c, uint32_t n)
{
    const struct config_table *tables = CONFIG_ITEMS(c->config, c->config->tables, struct config_table);
    return tables && n < c->config->tables.count ? &tables[n] : NULL;
}

static void put_row(struct client *k)
{
    buf_put_c(&k->out, '\n');
    k->rows_written = true;
}

static void list(struct control *c, struct client *k)
{
    for (uint32_t i = 0; i < c->config->tables.count; i++) {
        const struct config_table *t = table_at(c, i);
        if (!t || buf_room(&k->out) < IPC_JSON_BYTES_MAX) break;
        json_open(&k->out, NULL, '{');
        json_text(&k->out, "table", config_bytes(c->config, t->name));
        json_cstr(&k->out, "format", t->format < sizeof formats / sizeof *formats ? formats[t->format] : "unknown");
        json_u64(&k->out, "entries", t->entries.count);
        json_text(&k->out, "file", config_bytes(c->config, t->file));
        json_u64(&k->out, "generation", c->config->generation);
        json_close(&k->out, '}');
        put_row(k);
    }
    client_end(c, k, ADMIN_OK, (struct bytes){0});
}

static void put_found(struct client *k, struct bytes table, struct bytes value, uint32_t line)
{
    json_open(&k->out, NULL, '{');
    json_text(&k->out, "table", table);
    json_text(&k->out, "key", k->ask.to);
    json_text(&k->out, "value", value);
    json_u64(&k->out, "line", line);
    json_close(&k->out, '}');
    put_row(k);
}

/* look_here - a table whose content is in the image. */
static void look_here(struct control *c, struct client *k, const struct table_hit *hit)
{
    static uint8_t memory[IPC_JSON_BYTES_MAX / 8]; /* written as JSON it may be six times as long */
    struct buf value = BUF_OVER(memory);
    const struct config_entry *e = table_entry_at(c->config, hit->table, hit->first);
    for (uint32_t i = 0; i < hit->count; i++) {
        uint8_t kind;
        struct bytes one = table_value(c->config, hit, i, &kind);
        if (i > 0) BUF_LIT(&value, ", ");
        table_print_value(&value, one, kind);
    }
    put_found(k, k->ask.site, buf_bytes(&value), e ? e->line : 0);
    if (value.overflow) client_end(c, k, ADMIN_PARTIAL, BYTES("the value is too long to be shown whole"));
    else client_end(c, k, ADMIN_OK, (struct bytes){0});
}

static void begin_waiting(struct control *c, struct client *k, enum ipc_role whom)
{
    k->ask.request = k->request = c->next_request++;
    k->state = CLIENT_ASKED;
    k->asked = (uint8_t)whom;
    k->until_ms = process_now_ms(c->process) + PROGRESS_WITHIN_MS;
}

static void look_up(struct control *c, struct client *k)
{
    struct table_hit hit;
    int32_t table = table_by_name(c->config, k->ask.site);
    if (table < 0) {
        client_end(c, k, ADMIN_NEGATIVE, BYTES("there is no such table; `mtactl table list' has the names"));
        return;
    }
    switch (table_find(c->config, (uint32_t)table, k->ask.to, &hit)) {
    case TABLE_NO: client_end(c, k, ADMIN_NEGATIVE, (struct bytes){0}); return;
    case TABLE_YES: look_here(c, k, &hit); return;
    case TABLE_ELSEWHERE: break;
    }
    struct ipc_channel *tables = process_channel(c->process, ROLE_TABLES, 0);
    begin_waiting(c, k, ROLE_TABLES);
    struct ipc_table_lookup ask = {.request = k->request, .table = (uint16_t)table, .key = k->ask.to};
    if (tables && ipc_send_table_lookup(tables, &ask, -1) == ERR_NONE) return;
    client_end(c, k, ADMIN_UNREACHABLE, BYTES("the tables process is not running; it is being started again"));
}

void control_on_table_found(struct process *p, struct ipc_channel *from, const struct ipc_table_found *m, int fd)
{
    (void)from;
    (void)fd;
    struct control *c = control_of(p);
    struct client *k = client_of_request(c, m->request);
    if (!k || k->asked != ROLE_TABLES) return; /* the client is gone */
    k->request = 0;
    if (m->status == 1) {
        put_found(k, k->ask.site, m->value, m->line);
        client_end(c, k, ADMIN_OK, (struct bytes){0});
    } else if (m->status == 0) {
        client_end(c, k, ADMIN_NEGATIVE, (struct bytes){0});
    } else {
        client_end(c, k, ADMIN_PARTIAL, BYTES("there is no answer: a pattern needs more steps than one may take"));
    }
}

static void reload(struct control *c, struct client *k)
{
    struct ipc_channel *master = process_channel(c->process, ROLE_MASTER, 0);
    begin_waiting(c, k, ROLE_MASTER);
    if (master && ipc_send_reload(master, &(struct ipc_reload){k->request}, -1) == ERR_NONE) return;
    client_end(c, k, ADMIN_UNREACHABLE, BYTES("the master does not take requests now"));
}

static void put_problem(struct client *k, struct bytes line)
{
    if (buf_room(&k->out) < 8 * line.len + 64) return;
    json_open(&k->out, NULL, '{');
    json_text(&k->out, "problem", line);
    json_close(&k->out, '}');
    put_row(k);
}

void control_on_reloaded(struct process *p, struct ipc_channel *from, const struct ipc_reloaded *m, int fd)
{
    (void)from;
    (void)fd;
    struct control *c = control_of(p);
    struct client *k = client_of_request(c, m->request);
    if (!k || k->asked != ROLE_MASTER) return;
    k->request = 0;
    for (struct bytes rest = m->problems; rest.len > 0;) {
        uint32_t end = bytes_find(rest, '\n');
        put_problem(k, bytes_slice(rest, 0, end));
        rest = bytes_from(rest, end + 1);
    }
    json_open(&k->out, NULL, '{');
    json_bool(&k->out, "done", m->done);
    json_u64(&k->out, "generation", m->generation);
    json_close(&k->out, '}');
    put_row(k);
    uint8_t status = m->done ? ADMIN_OK : ADMIN_NEGATIVE;
    request_logged(k, status);
    client_end(c, k, status, (struct bytes){0});
}

void tables_request(struct control *c, struct client *k)
{
    switch (k->ask.verb) {
    case ADMIN_TABLE_LIST: list(c, k); break;
    case ADMIN_TABLE_LOOKUP: look_up(c, k); break;
    default: reload(c, k); break;
    }
}

void tables_gone(struct control *c)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];
        if (k->state != CLIENT_ASKED || k->asked != ROLE_TABLES) continue;
        k->request = 0;
        client_end(c, k, ADMIN_UNREACHABLE, BYTES("the tables process ended while it was answering; it is being started again"));
    }
}
