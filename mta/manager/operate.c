/*
 * operate - requests of mtactl, in the order in which they came, one slice a loop turn, so that a listing of any length never stops mail.
 */
#include <stddef.h>

#include "base/json.h"
#include "base/log.h"
#include "base/must.h"
#include "mta/manager/operate.h"
#include "mta/process/dispatch.h"

enum {
    OPERATIONS_MAX = 64,                     /* as many clients as the control process serves; each has one request under way */
    OPERATE_WAITING_MAX = 4 * 1024 * 1024,   /* octets that may wait in the channel before the next slice is begun */
    CHECK_PROBLEMS_MAX = 1000,               /* rows of a check; the rest is counted */
};

static struct operation operations[OPERATIONS_MAX];
static uint32_t operation_first, operation_count;

struct slice {                               /* of one request, while it is walked */
    struct manager *m;
    const struct operation *o;
    struct ipc_channel *to;
    struct message_id last;                  /* the last message that was dealt with */
    uint64_t until;                          /* messages with a greater id came after the request: a bounce must not meet the bounces it makes */
    bool stopped;                            /* before the end: enough rows, or the channel is full */
    uint32_t row_octets;
    struct message_id ids[ADMIN_SLICE];
    uint64_t changed;
    uint32_t heads_awaited;                  /* messages whose header a bounce is to quote */
    struct ipc_admin_end end;
};

static struct slice slice;                   /* the one that is being answered; m NULL = none */

static uint8_t row_memory[IPC_JSON_BYTES_MAX];

static bool send_row(struct slice *s, const struct buf *row)
{
    struct ipc_admin_row out = {.request = s->o->m.request, .json = buf_bytes(row)};
    if (row->overflow) return true; /* left out, rather than asked for again for ever */
    if (ipc_send_admin_row(s->to, &out, -1) != ERR_NONE) return false;
    s->row_octets += row->len;
    return true;
}

static bool has_rows(uint8_t verb) { return verb == ADMIN_QUEUE_LIST || verb == ADMIN_QUEUE_SHOW; }

/* on_message - one message of the walk: judged, and told or remembered. Nothing is changed before the walk is over. */
static void on_message(void *context, const struct queue_row *row)
{
    struct slice *s = context;
    const struct operation *o = s->o;
    int64_t now_wall_us = process_now_wall_us(s->m->process);
    if (s->stopped || row->message->id.v > s->until) return;
    if (filter_message(o, row, now_wall_us)) {
        if (has_rows(o->m.verb)) {
            struct buf out = BUF_OVER(row_memory);
            row_message(&out, row, o->m.verb == ADMIN_QUEUE_SHOW, now_wall_us);
            s->stopped = !send_row(s, &out);
            if (s->stopped) return;
        }
        s->ids[s->end.messages++] = row->message->id;
        s->end.recipients += filter_queued(row);
        s->end.octets += row->message->body_bytes;
    }
    s->last = row->message->id;
    s->stopped = s->row_octets >= ADMIN_SLICE_BYTES || (o->m.limit && s->end.messages >= o->m.limit);
}

static bool changes(const struct operation *o) { return !o->m.dry_run && admin_verb_changes((enum admin_verb)o->m.verb); }

/* bounce_one - a notification quotes the header, which may have to be read first. Without a place to wait for it, it goes without. */
static void bounce_one(struct slice *s, struct message_id id)
{
    struct queue_content content = {.fd = -1};
    struct attempt *a = slots_take(&s->m->attempts);
    if (!a) {
        s->changed += change_message(s->m, s->o, id, content.body) == ERR_NONE;
        return;
    }
    a->message = id;
    a->state = ATTEMPT_OPERATOR;
    s->heads_awaited++;
    if (queue_content_head(s->m->queue, id, s->m->config->limits.bounce_bytes, slots_handle(&s->m->attempts, a), &content))
        operate_head(s->m, a, content.body);
}

void operate_head(struct manager *m, struct attempt *a, struct bytes head)
{
    struct slice *s = &slice;
    must(s->m && s->heads_awaited > 0);
    s->changed += change_message(m, s->o, a->message, head) == ERR_NONE;
    s->heads_awaited--;
    attempt_give_back(m, a);
    process_wake(m->process);
}

static void change_all(struct slice *s)
{
    if (!changes(s->o)) return;
    for (uint32_t i = 0; i < s->end.messages; i++) {
        if (s->o->m.verb == ADMIN_QUEUE_BOUNCE) bounce_one(s, s->ids[i]);
        else s->changed += change_message(s->m, s->o, s->ids[i], (struct bytes){0}) == ERR_NONE;
    }
}

static void on_messages(struct slice *s)
{
    const struct ipc_admin *m = &s->o->m;
    if (m->verb == ADMIN_QUEUE_SHOW && !m->message.v) {
        s->end.status = ADMIN_USAGE;
        s->end.text = BYTES("which message? give its id");
        return;
    }
    s->last = (struct message_id){m->cursor};
    s->end.until = s->until = m->cursor ? m->until : queue_new_id(s->m->queue, process_now_wall_us(s->m->process)).v;
    if (m->message.v) {
        (void)queue_find(s->m->queue, m->message, on_message, s);
    } else {
        struct message_id seen = queue_walk(s->m->queue, s->last, ADMIN_SLICE, on_message, s);
        s->end.cursor = s->stopped ? s->last.v : seen.v;
        if (s->end.cursor >= s->until) s->end.cursor = 0;
    }
    change_all(s);
}

/* count_all - without filters the totals are at hand. */
static bool count_all(struct slice *s)
{
    const struct ipc_admin *m = &s->o->m;
    if (m->verb != ADMIN_QUEUE_COUNT || m->message.v || m->state || m->older_s || m->larger_bytes || m->limit || m->to.len || m->from.len || m->domain.len ||
        m->site.len || m->route.len || m->client.len || m->reason.len)
        return false;
    struct queue_totals t = {0};
    queue_totals(s->m->queue, &t);
    s->end.messages = t.messages;
    s->end.recipients = t.rcpts;
    s->end.octets = t.bytes;
    return true;
}

/* ---- destinations ---- */

static bool change_site(struct slice *s, const struct queue_destination *d)
{
    const struct ipc_admin *m = &s->o->m;
    uint8_t name[QUEUE_DESTINATION_BYTES_MAX]; /* the queue's own copy may go when it is changed */
    struct buf copy = BUF_OVER(name);
    buf_put(&copy, d->name);
    if (copy.overflow) return false;
    bool suspend = m->verb == ADMIN_SITE_SUSPEND;
    struct bytes reason = m->reason.len ? m->reason : BYTES("suspended by the operator");
    return queue_suspend(s->m->queue, buf_bytes(&copy), suspend, suspend ? reason : (struct bytes){0}) == ERR_NONE;
}

static void on_site(struct slice *s, const struct queue_destination *d)
{
    const struct ipc_admin *m = &s->o->m;
    if (m->verb == ADMIN_SITE_LIST || m->verb == ADMIN_SITE_SHOW) {
        struct buf out = BUF_OVER(row_memory);
        row_site(&out, s->m->config, d);
        s->stopped = !send_row(s, &out);
        if (s->stopped) return;
    } else if (!m->dry_run && !change_site(s, d)) {
        s->end.left++;
        return;
    }
    s->end.messages++;
    s->end.recipients += d->total_count;
}

/* suspend_ahead - a destination that has no mail yet, by its whole name: `mx:ROUTE:DOMAIN` or `relay:ROUTE` of the present configuration. */
static void suspend_ahead(struct slice *s)
{
    const struct ipc_admin *m = &s->o->m;
    struct queue_destination d = {.name = m->site};
    uint8_t action;
    int32_t route;
    struct bytes domain;
    names_parse(s->m->config, m->site, &action, &route, &domain);
    if (route >= 0 && (action != ACTION_MX || domain.len)) on_site(s, &d);
}

static void on_sites(struct slice *s)
{
    const struct ipc_admin *m = &s->o->m;
    uint64_t cursor = m->cursor, before = cursor;
    struct queue_destination d;
    if (m->verb != ADMIN_SITE_LIST && !m->site.len) {
        s->end.status = ADMIN_USAGE;
        s->end.text = BYTES("which site? give its name");
        return;
    }
    for (uint32_t i = 0; queue_destinations(s->m->queue, &cursor, &d); i++) {
        if (i >= ADMIN_SLICE || s->row_octets >= ADMIN_SLICE_BYTES || (m->limit && s->end.messages >= m->limit)) {
            s->end.cursor = before;
            return;
        }
        if (!m->site.len || filter_site(d.name, m->site)) on_site(s, &d);
        if (s->stopped) {
            s->end.cursor = before;
            return;
        }
        before = cursor;
    }
    if (m->verb == ADMIN_SITE_SUSPEND && !m->cursor && !s->end.messages && !s->end.left) suspend_ahead(s);
}

/* ---- check ---- */

static void on_problem(void *context, struct bytes text)
{
    struct slice *s = context;
    struct buf out = BUF_OVER(row_memory);
    if (s->stopped || s->end.messages >= CHECK_PROBLEMS_MAX) return;
    json_open(&out, NULL, '{');
    json_text(&out, "problem", text);
    json_close(&out, '}');
    s->end.messages++;
    s->stopped = !send_row(s, &out);
}

static void check(struct slice *s)
{
    uint64_t problems = queue_check(s->m->queue, on_problem, s);
    s->end.messages = problems;
    s->end.status = problems ? ADMIN_NEGATIVE : ADMIN_OK;
}

static void status(struct slice *s)
{
    struct buf out = BUF_OVER(row_memory);
    row_status(s->m, &out);
    if (!send_row(s, &out)) s->end.status = ADMIN_NEGATIVE;
}

static bool send_crash(void *context, const struct buf *row) { return send_row(context, row); }

static void crashes(struct slice *s)
{
    struct buf out = BUF_OVER(row_memory);
    crashes_answer(&s->o->m, &out, send_crash, s, &s->end);
}

static void answer(struct slice *s)
{
    switch ((enum admin_verb)s->o->m.verb) {
    case ADMIN_STATUS: status(s); break;
    case ADMIN_QUEUE_CHECK: check(s); break;
    case ADMIN_SITE_LIST:
    case ADMIN_SITE_SHOW:
    case ADMIN_SITE_SUSPEND:
    case ADMIN_SITE_RESUME: on_sites(s); break;
    case ADMIN_CRASH_LIST:
    case ADMIN_CRASH_SHOW:
    case ADMIN_CRASH_CLEAR: crashes(s); break;
    case ADMIN_TLS_RELOAD: break; /* the master's */
    default:
        if (!count_all(s)) on_messages(s);
        break;
    }
}

/* asker - the channel to the control process that asked, or NULL when it is gone. */
static struct ipc_channel *asker(struct manager *m, const struct operation *o)
{
    struct ipc_channel *c = process_channel(m->process, ROLE_CONTROL, 0);
    return c && ipc_peer_epoch(c) == o->epoch ? c : NULL;
}

static void end_slice(struct slice *s, struct ipc_channel *to)
{
    bool by_message = s->o->m.verb < ADMIN_SITE_LIST;
    if (by_message && changes(s->o)) {
        s->end.left = s->end.messages - s->changed;
        s->end.messages = s->changed;
    }
    if (to && ipc_send_admin_end(to, &s->end, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the control process does not take answers: channel full");
    s->m = NULL;
    operation_first = (operation_first + 1) % OPERATIONS_MAX;
    operation_count--;
}

void operate_turn(struct manager *m)
{
    if (!operation_count) return;
    const struct operation *o = &operations[operation_first];
    struct ipc_channel *to = asker(m, o);
    if (!slice.m) {
        if (to && ipc_waiting_bytes(to) > OPERATE_WAITING_MAX) return; /* a turn comes when it has taken some */
        slice = (struct slice){.m = m, .o = o, .to = to, .end = {.request = o->m.request}};
        if (to) answer(&slice);
    }
    if (slice.heads_awaited) return;
    end_slice(&slice, to);
    if (operation_count) process_wake(m->process);
}

/* keep - a text of the request, copied, since the message that brought it is gone when its turn comes. */
static struct bytes keep(struct buf *texts, struct bytes text)
{
    uint32_t from = texts->len;
    buf_put(texts, text);
    return bytes_of(texts->ptr + from, texts->len - from);
}

void manager_on_admin(struct process *p, struct ipc_channel *from, const struct ipc_admin *m, int fd)
{
    (void)fd;
    struct net_prefix client = {0};
    if (m->verb == ADMIN_NONE || m->verb >= ADMIN_VERB_COUNT || m->state >= ADMIN_STATE_COUNT || operation_count == OPERATIONS_MAX) {
        process_violation(p, from, "an ADMIN with an unknown verb or state, or one too many");
        return;
    }
    if (m->client.len && !net_parse_prefix(m->client, &client)) {
        struct ipc_admin_end end = {.request = m->request, .status = ADMIN_USAGE, .text = BYTES("client: not an address or prefix")};
        if (ipc_send_admin_end(from, &end, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the control process does not take answers: channel full");
        return;
    }
    struct operation *o = &operations[(operation_first + operation_count) % OPERATIONS_MAX];
    struct buf texts = BUF_OVER(o->texts);
    o->m = *m;
    o->has_client = m->client.len > 0;
    o->client = client;
    o->epoch = ipc_peer_epoch(from);
    o->m.to = keep(&texts, m->to);
    o->m.from = keep(&texts, m->from);
    o->m.domain = keep(&texts, m->domain);
    o->m.site = keep(&texts, m->site);
    o->m.route = keep(&texts, m->route);
    o->m.client = keep(&texts, m->client);
    o->m.reason = keep(&texts, m->reason);
    operation_count++;
    process_wake(p);
}
