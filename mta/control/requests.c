/*
 * requests - a client's request on its way to the manager and back, slice by slice.
 *
 * The next slice is asked for when the client has read the one before, so that a listing of any length needs the memory of one slice, and whoever
 * goes away in the middle of a long change stops it there.
 */
#include "base/json.h"
#include "base/log.h"
#include "mta/control/control.h"
#include "mta/process/dispatch.h"

static void put_words(struct buf *line, const char *name, struct bytes text)
{
    if (!text.len) return;
    buf_put_c(line, ' ');
    buf_put_cstr(line, name);
    buf_put_c(line, '=');
    log_bytes(line, text);
}

void request_logged(const struct client *k, uint8_t status)
{
    const struct ipc_admin *m = &k->ask;
    if (!admin_verb_changes((enum admin_verb)m->verb) || (m->dry_run && status != ADMIN_REFUSED)) return;
    struct buf *line = log_begin(status == ADMIN_REFUSED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO);
    if (status == ADMIN_REFUSED) BUF_LIT(line, "warning: ");
    BUF_LIT(line, "admin: uid=");
    buf_put_u64(line, k->uid);
    BUF_LIT(line, " pid=");
    buf_put_u64(line, k->pid);
    BUF_LIT(line, " verb=");
    buf_put_cstr(line, admin_verb_word((enum admin_verb)m->verb));
    if (m->message.v) {
        BUF_LIT(line, " id=");
        message_id_print(line, m->message);
    }
    put_words(line, "to", m->to);
    put_words(line, "from", m->from);
    put_words(line, "domain", m->domain);
    put_words(line, "site", m->site);
    put_words(line, "route", m->route);
    put_words(line, "client", m->client);
    put_words(line, "reason", m->reason);
    if (m->state) put_words(line, "state", bytes_of_cstr(admin_state_word((enum admin_state)m->state)));
    BUF_LIT(line, " messages=");
    buf_put_u64(line, k->sum.messages);
    BUF_LIT(line, " left=");
    buf_put_u64(line, k->sum.left);
    BUF_LIT(line, " status=");
    buf_put_u64(line, status);
    log_end();
}

/* finish_status - the object that status_begin() left open, when the manager said nothing of its own. */
static void finish_status(struct client *k)
{
    if (k->ask.verb != ADMIN_STATUS || k->rows_written) return;
    json_close(&k->out, '}');
    buf_put_c(&k->out, '\n');
    k->rows_written = true;
}

/* end_without_manager - the status has its answer even then: that all is not well. */
static void end_without_manager(struct control *c, struct client *k, struct bytes text)
{
    uint8_t status = k->ask.verb == ADMIN_STATUS ? ADMIN_NEGATIVE : ADMIN_UNREACHABLE;
    k->request = 0;
    finish_status(k);
    request_logged(k, status);
    client_end(c, k, status, text);
}

/* ask - the manager, for the slice that begins behind k->ask.cursor. */
static void ask(struct control *c, struct client *k)
{
    struct ipc_channel *manager = process_channel(c->process, ROLE_MANAGER, 0);
    bool reload = k->ask.verb == ADMIN_TLS_RELOAD;
    k->ask.request = k->request = c->next_request++;
    k->ask.uid = k->uid;
    k->rows_written = false;
    k->until_ms = UINT64_MAX;
    k->state = CLIENT_ASKED;
    k->asked = reload ? ROLE_MASTER : ROLE_MANAGER;
    if (reload) {
        struct ipc_tls_reload q = {.request = k->request};
        if (ipc_send_tls_reload(process_channel(c->process, ROLE_MASTER, 0), &q, -1) != ERR_NONE)
            client_end(c, k, ADMIN_UNREACHABLE, BYTES("the master does not listen"));
        return;
    }
    if (manager && ipc_send_admin(manager, &k->ask, -1) == ERR_NONE) return;
    end_without_manager(c, k, BYTES("the manager is not running; it is being started again"));
}

void request_begin(struct control *c, struct client *k)
{
    const char *why;
    struct buf texts = BUF_OVER(k->texts);
    if (admin_line_parse(bytes_of(k->line, k->line_len), &texts, &k->ask, &why) != ERR_NONE) {
        client_end(c, k, ADMIN_USAGE, bytes_of_cstr(why));
        return;
    }
    enum right wanted = admin_verb_changes((enum admin_verb)k->ask.verb) ? RIGHT_OPERATE : RIGHT_READ;
    if (k->right < wanted) {
        request_logged(k, ADMIN_REFUSED);
        client_end(c, k, ADMIN_REFUSED,
                   wanted == RIGHT_READ ? BYTES("not allowed: be root, or in the group mtaadm or mtaview")
                                        : BYTES("not allowed: be root, or in the group mtaadm"));
        return;
    }
    if (k->ask.verb == ADMIN_EXPLAIN) {
        explain_request(c, k);
        return;
    }
    if (k->ask.verb == ADMIN_TABLE_LIST || k->ask.verb == ADMIN_TABLE_LOOKUP || k->ask.verb == ADMIN_TABLE_RELOAD) {
        tables_request(c, k);
        return;
    }
    if (k->ask.verb == ADMIN_STATUS) status_begin(c, &k->out);
    ask(c, k);
}

void request_next(struct control *c, struct client *k) { ask(c, k); }

static void finish(struct control *c, struct client *k, const struct ipc_admin_end *m)
{
    bool named = k->ask.message.v || k->ask.number || (k->ask.site.len && k->ask.verb >= ADMIN_SITE_SHOW);
    uint8_t status = m->status;
    struct bytes text = m->text;
    finish_status(k);
    if (k->ask.verb == ADMIN_STATUS && !status_all_running(c)) status = ADMIN_NEGATIVE;
    if (status == ADMIN_OK && named && !k->sum.messages && !k->sum.left) {
        status = ADMIN_NEGATIVE;
        text = k->ask.message.v ? BYTES("there is no such message") : k->ask.number ? BYTES("there is no such crash record") : BYTES("there is no such site");
    } else if (status == ADMIN_OK && k->sum.left) {
        status = ADMIN_PARTIAL;
        text = BYTES("some are being delivered just now, or could not be changed; they were left as they are");
    }
    request_logged(k, status);
    client_end(c, k, status, text);
}

void control_on_tls_reloaded(struct process *p, struct ipc_channel *from, const struct ipc_tls_reloaded *m, int fd)
{
    (void)from;
    (void)fd;
    struct control *c = control_of(p);
    struct client *k = client_of_request(c, m->request);
    if (!k || k->ask.verb != ADMIN_TLS_RELOAD) return;
    struct ipc_admin_end end = {.status = m->good ? ADMIN_OK : ADMIN_NEGATIVE, .text = m->text};
    k->request = 0;
    finish(c, k, &end);
}

void control_on_admin_row(struct process *p, struct ipc_channel *from, const struct ipc_admin_row *m, int fd)
{
    (void)fd;
    struct control *c = control_of(p);
    struct client *k = client_of_request(c, m->request);
    if (!k || k->asked != ROLE_MANAGER) return; /* the client is gone */
    struct bytes json = m->json;
    if (k->ask.verb == ADMIN_STATUS) {
        if (k->rows_written || !bytes_starts(json, BYTES("{"))) return;
        buf_put_c(&k->out, ',');
        json = bytes_from(json, 1);
    }
    buf_put(&k->out, json);
    buf_put_c(&k->out, '\n');
    k->rows_written = true;
    if (k->out.overflow) process_violation(p, from, "more rows than a slice may have");
}

void control_on_admin_end(struct process *p, struct ipc_channel *from, const struct ipc_admin_end *m, int fd)
{
    (void)from;
    (void)fd;
    struct control *c = control_of(p);
    struct client *k = client_of_request(c, m->request);
    if (!k || k->asked != ROLE_MANAGER) return;
    k->request = 0;
    k->sum.messages += m->messages;
    k->sum.recipients += m->recipients;
    k->sum.octets += m->octets;
    k->sum.left += m->left;
    uint64_t dealt_with = m->messages + m->left;
    bool enough = k->ask.limit && dealt_with >= k->ask.limit;
    if (!m->cursor || enough || m->status != ADMIN_OK) {
        finish(c, k, m);
        return;
    }
    if (k->ask.limit) k->ask.limit -= dealt_with;
    k->ask.cursor = m->cursor;
    k->ask.until = m->until;
    k->state = CLIENT_READY;
    k->until_ms = process_now_ms(p) + PROGRESS_WITHIN_MS;
}

void requests_manager_gone(struct control *c)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];
        if (k->state != CLIENT_ASKED || k->asked != ROLE_MANAGER) continue;
        end_without_manager(c, k, BYTES("the manager ended while it was answering; it is being started again"));
    }
}
