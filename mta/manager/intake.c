/*
 * intake - from COMMIT to COMMITTED: a receiver's finished message becomes a record of the queue, and is answered when that record is synced.
 *
 * The receiver is not trusted: every length, count and offset is checked here, and only its own transactions are touched.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mta/manager/aliases.h"
#include "mta/process/dispatch.h"
#include "smtp/address.h"

static void list_clear(struct rcpt_list *l)
{
    free(l->octets);
    memset(l, 0, sizeof *l);
}

/* refuse_alias - an expansion that cannot be made is for the administrator to mend: the client keeps the message. A forged address is not. */
static void refuse_alias(struct manager *m, uint16_t receiver, uint64_t transaction, struct bytes rcpt, enum expand_answer why)
{
    struct ipc_channel *to = process_channel(m->process, ROLE_RECEIVER, receiver);
    uint8_t memory[200];
    struct buf text = BUF_OVER(memory);
    buf_put_c(&text, '<');
    buf_put_cut(&text, bytes_slice(rcpt, 0, 100));
    BUF_LIT(&text, ">: ");
    buf_put_cstr(&text, expand_words(why));
    struct ipc_refused answer = {.transaction = transaction, .code = 451, .enhanced_class = 4, .enhanced_subject = 3, .enhanced_detail = 5};
    if (why == EXPAND_FORGED) {
        answer.code = 550;
        answer.enhanced_class = 5;
        answer.enhanced_subject = 7;
        answer.enhanced_detail = 1;
    }
    answer.text = buf_bytes(&text);
    if (to && ipc_send_refused(to, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

/* has_flags - a receiver that says how a recipient came into the list lies: that is decided here. */
static bool has_flags(struct bytes list)
{
    struct cursor c = cursor_over(list);
    struct rcpt r;
    while (rcpt_next(&c, &r)) {
        if (r.flags != 0) return true;
    }
    return false;
}

static void refuse(struct manager *m, uint16_t receiver, uint64_t transaction, enum err e, struct bytes why)
{
    struct ipc_channel *to = process_channel(m->process, ROLE_RECEIVER, receiver);
    if (!to) return;
    bool big = e == ERR_TOO_LONG;
    struct ipc_refused answer = {
        .transaction = transaction,
        .code = big ? 552 : 452,
        .enhanced_class = big ? 5 : 4,
        .enhanced_subject = 3,
        .enhanced_detail = big ? 4 : e == ERR_NO_SPACE || e == ERR_FULL ? 1 : 0,
        .text = why,
    };
    if (!big && answer.enhanced_detail == 0) answer.code = 451;
    if (ipc_send_refused(to, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

void manager_on_rcpts(struct process *p, struct ipc_channel *from, const struct ipc_rcpts *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    struct rcpt_list *l = &m->lists[ipc_peer_index(from) % ROLE_INSTANCES_MAX];
    if (in->first == 0) list_clear(l);
    if (in->first != l->count || (l->count && l->transaction != in->transaction) || rcpt_list_check(in->rcpts, in->count) != ERR_NONE ||
        in->first + in->count > m->config->limits.rcpts) {
        list_clear(l);
        process_violation(p, from, "a recipient list that does not fit together");
        return;
    }
    if (l->len + in->rcpts.len > l->cap) {
        uint32_t cap = (l->len + in->rcpts.len) * 2;
        uint8_t *grown = realloc(l->octets, cap);
        if (!grown) { /* the COMMIT finds the list too short and is refused */
            list_clear(l);
            return;
        }
        l->octets = grown;
        l->cap = cap;
    }
    memcpy(l->octets + l->len, in->rcpts.ptr, in->rcpts.len);
    l->len += in->rcpts.len;
    l->count += in->count;
    l->transaction = in->transaction;
}

/* whole_list - the message's recipients: those of RCPTS records and the last part in COMMIT. An empty slice when they are not what COMMIT says. */
static struct bytes whole_list(struct rcpt_list *l, const struct ipc_commit *in)
{
    bool joined = l->count && l->transaction == in->transaction;
    uint32_t before = joined ? l->count : 0;
    if (in->rcpt_count < before || rcpt_list_check(in->rcpts, in->rcpt_count - before) != ERR_NONE) return (struct bytes){0};
    if (!joined) return in->rcpts;
    uint8_t *grown = realloc(l->octets, l->len + in->rcpts.len + 1);
    if (!grown) return (struct bytes){0};
    l->octets = grown;
    if (in->rcpts.len) memcpy(grown + l->len, in->rcpts.ptr, in->rcpts.len);
    l->cap = l->len + in->rcpts.len + 1;
    return bytes_of(grown, l->len + in->rcpts.len);
}

static uint16_t keep(uint8_t *to, uint32_t max, struct bytes text)
{
    uint32_t n = text.len < max ? text.len : max;
    if (n) memcpy(to, text.ptr, n);
    return (uint16_t)n;
}

static void remember(struct commit *c, struct ipc_channel *from, const struct ipc_commit *in, struct bytes sender)
{
    c->receiver = ipc_peer_index(from);
    c->receiver_epoch = ipc_peer_epoch(from);
    c->transaction = in->transaction;
    c->client = in->client;
    c->uid = in->uid;
    c->by_socket = (in->flags & MAIL_LOCAL) != 0;
    c->rcpt_count = in->rcpt_count;
    c->bytes = in->prefix.len + in->body_bytes;
    c->client_name_len = keep(c->client_name, sizeof c->client_name, in->client_name.len ? in->client_name : BYTES("unknown"));
    c->sender_len = keep(c->sender, sizeof c->sender, sender);
    c->mechanism = in->mechanism;
    c->login_len = keep(c->login, sizeof c->login, in->login);
    c->message_id_len = keep(c->message_id, sizeof c->message_id, in->message_id);
}

/* makes_sense - what decoding cannot see. */
static bool makes_sense(const struct manager *m, const struct ipc_commit *in)
{
    return in->rcpt_count > 0 && in->rcpt_count <= m->config->limits.rcpts && in->listener < m->config->listeners.count &&
           ((in->flags & MAIL_LOCAL) == 0 || CONFIG_ITEMS(m->config, m->config->listeners, struct config_listener)[in->listener].socket.len > 0) &&
           (in->prefix.len == 0 || (uint64_t)in->id_offset + MESSAGE_ID_TEXT_BYTES <= in->prefix.len) && in->header_bytes <= in->body_bytes &&
           (in->body || in->body_bytes == in->content.len) && (!in->body || in->content.len == 0);
}

void manager_on_commit(struct process *p, struct ipc_channel *from, const struct ipc_commit *in, int fd)
{
    (void)fd;
    struct manager *m = manager_of(p);
    struct rcpt_list *l = &m->lists[ipc_peer_index(from) % ROLE_INSTANCES_MAX];
    struct bytes rcpts = whole_list(l, in);
    if (!makes_sense(m, in) || !rcpts.len || has_flags(rcpts)) {
        list_clear(l);
        process_violation(p, from, "a COMMIT that contradicts itself");
        return;
    }
    struct commit *c = slots_take(&m->commits);
    if (!c) {
        refuse(m, ipc_peer_index(from), in->transaction, ERR_FULL, BYTES("Too many messages wait for the disk; try again soon"));
        list_clear(l);
        return;
    }
    struct smtp_address masked;
    struct bytes sender = in->flags & MAIL_TRUSTED ? aliases_masquerade(m->config, in->sender, &masked) : in->sender;
    remember(c, from, in, sender);
    uint8_t prefix[PREFIX_BYTES_MAX];
    if (in->prefix.len) memcpy(prefix, in->prefix.ptr, in->prefix.len);
    struct record_message r = {
        .arrival_wall_us = process_now_wall_us(p),
        .flags = in->flags & (MAIL_SMTPUTF8 | MAIL_BODY_8BIT | MAIL_NEEDS_SMTPUTF8 | MAIL_TRUSTED | MAIL_LOCAL | MAIL_AUTHENTICATED),
        .ret = in->ret,
        .origin = {ipc_peer_index(from), ipc_peer_epoch(from), in->transaction},
        .client = in->client,
        .client_name = in->client_name,
        .helo = in->helo,
        .sender = sender,
        .envid = in->envid,
        .message_id = in->message_id,
        .rcpt_count = in->rcpt_count,
        .rcpts = rcpts,
        .prefix = bytes_of(prefix, in->prefix.len),
        .body_kind = in->body ? BODY_FILE : BODY_INLINE,
        .body_id = in->body,
        .body_bytes = in->body_bytes,
        .header_bytes = in->header_bytes,
        .body = in->content,
    };
    struct bytes culprit = {0};
    enum expand_answer expanded = aliases_apply(m, &r, &culprit);
    if (expanded > EXPAND_DONE) {
        slots_give(&m->commits, c);
        refuse_alias(m, ipc_peer_index(from), in->transaction, culprit, expanded);
        if (in->body) queue_body_drop(m->queue, in->body);
        list_clear(l);
        return;
    }
    c->rcpt_count = r.rcpt_count;
    enum err e = queue_accept(m->queue, &r, prefix, in->id_offset, slots_handle(&m->commits, c), process_now_wall_us(p), process_now_ms(p));
    list_clear(l);
    if (e == ERR_NONE) return;
    slots_give(&m->commits, c);
    struct bytes why = bytes_of_cstr("The queue cannot take mail now; try again later");
    (void)queue_accepting(m->queue, &why);
    refuse(m, ipc_peer_index(from), in->transaction, e, why);
}

/* receiver_of - the channel to the receiver that sent a COMMIT, unless it has died since. */
static struct ipc_channel *receiver_of(struct manager *m, const struct commit *c)
{
    struct ipc_channel *to = process_channel(m->process, ROLE_RECEIVER, c->receiver);
    return to && ipc_peer_epoch(to) == c->receiver_epoch ? to : NULL;
}

void intake_committed(struct manager *m, const struct queue_event *e)
{
    struct commit *c = slots_find(&m->commits, e->cookie);
    if (!c) return; /* a bounce of ours */
    line_committed(m, c, e->id);
    struct ipc_channel *to = receiver_of(m, c);
    struct ipc_committed answer = {.transaction = c->transaction, .message = e->id};
    if (to && ipc_send_committed(to, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
    slots_give(&m->commits, c);
}

void intake_refused(struct manager *m, const struct queue_event *e)
{
    struct commit *c = slots_find(&m->commits, e->cookie);
    if (!c) return;
    struct ipc_channel *to = receiver_of(m, c);
    if (to) refuse(m, c->receiver, c->transaction, e->error, BYTES("The queue could not store the message; try again later"));
    slots_give(&m->commits, c);
}

void manager_on_body_open(struct process *p, struct ipc_channel *from, const struct ipc_body_open *in, int unused)
{
    (void)unused;
    struct manager *m = manager_of(p);
    int fd = -1;
    uint64_t body = 0;
    enum err e = queue_body_open(m->queue, &fd, &body);
    if (e == ERR_NONE) {
        struct ipc_body_file file = {.transaction = in->transaction, .body = body};
        if (ipc_send_body_file(from, &file, fd) == ERR_NONE) return;
        close(fd);
        queue_body_drop(m->queue, body);
    }
    struct ipc_body_refused refused = {.transaction = in->transaction, .code = 452, .text = BYTES("4.3.1 No room for a large message now; try again later")};
    if (ipc_send_body_refused(from, &refused, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

void manager_on_body_drop(struct process *p, struct ipc_channel *from, const struct ipc_body_drop *in, int fd)
{
    (void)fd;
    (void)from;
    queue_body_drop(manager_of(p)->queue, in->body);
}

void intake_storage(struct manager *m)
{
    struct bytes reason = {0};
    bool accepting = queue_accepting(m->queue, &reason);
    if (accepting == m->accepting) return;
    m->accepting = accepting;
    if (accepting) {
        log_text(LOG_LEVEL_INFO, "the queue takes new mail again");
    } else {
        struct buf *line = log_begin(LOG_LEVEL_WARNING);
        BUF_LIT(line, "warning: new mail is refused (452 4.3.1), deliveries go on: ");
        log_bytes(line, reason);
        log_end();
    }
    for (uint16_t i = 0; i < ROLE_INSTANCES_MAX; i++) {
        struct ipc_channel *to = process_channel(m->process, ROLE_RECEIVER, i);
        struct ipc_storage news = {.accepting = accepting, .reason = bytes_slice(reason, 0, 200)};
        if (to && ipc_send_storage(to, &news, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take news: channel full");
    }
}

void intake_receiver_gone(struct manager *m, uint16_t receiver)
{
    list_clear(&m->lists[receiver % ROLE_INSTANCES_MAX]);
}
