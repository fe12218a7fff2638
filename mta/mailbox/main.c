/*
 * mailbox
 *
 * Purpose      Puts one message at a time into one Maildir; says whether a mailbox exists.
 * Runs as      mailbox { user NAME }, else _mta-mailbox; one process
 * Inherits     control channel, configuration, log, and the fixed folder of each maildir route, as descriptors
 * Talks to     manager: DELIVER in, DELIVERED out      receiver: MAILBOX_CHECK in, MAILBOX_CHECKED out
 * May do       files below those folders; no socket but its channels; plain system calls, one delivery at a time
 * Holds        nothing between two messages
 * If it dies   what it had is due again; a file that was linked already is found again by its name
 * If a peer lies  a recipient that cannot be a file name below the folder is refused here, whatever was checked before
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/verdict.h"
#include "base/planted.h"
#include "mta/config/expand.h"
#include "mta/mailbox/maildir.h"
#include "mta/process/dispatch.h"
#include "mta/process/folders.h"

PROCESS_DISPATCH(mailbox)

/* place - folder and path of a recipient's mailbox by a route; -1 when there can be none. */
static int place(struct process *p, uint16_t route, struct bytes rcpt, struct buf *path)
{
    struct bytes pattern;
    const struct config *c = process_config(p);
    uint8_t memory[MAIL_ADDRESS_BYTES_MAX];
    struct buf stripped = BUF_OVER(memory);
    int32_t folder = route < c->routes.count ? folder_of_route(c, route, &pattern) : -1;
    if (folder < 0 || !maildir_path(pattern, expand_strip(c, route, rcpt, &stripped), path)) return -1;
    return process_folder(p, (uint32_t)folder);
}

struct outcome { uint8_t class; uint16_t code; struct enhanced enhanced; const char *text; };

/* outcome_of - what an error means for the mail (RFC 3463 3.3, 3.4). */
static struct outcome outcome_of(enum err e)
{
    switch (e) {
    case ERR_NONE: return (struct outcome){VERDICT_DELIVERED, 250, {2, 0, 0}, "delivered to maildir"};
    case ERR_NOT_FOUND: return (struct outcome){VERDICT_NEVER, 550, {5, 1, 1}, "unknown user: there is no such mailbox"};
    case ERR_NO_SPACE: return (struct outcome){VERDICT_LATER, 452, {4, 2, 2}, "no space left for the mailbox"};
    case ERR_DENIED: return (struct outcome){VERDICT_LATER, 451, {4, 3, 0}, "the mailbox cannot be written: permission was refused"};
    default: return (struct outcome){VERDICT_LATER, 451, {4, 3, 0}, "the mailbox cannot be written now"};
    }
}

static void complain(struct bytes path, const char *what, enum err e)
{
    struct buf *line = log_begin(LOG_LEVEL_WARNING);
    BUF_LIT(line, "warning: delivery to ");
    log_bytes(line, path);
    BUF_LIT(line, ": ");
    buf_put_cstr(line, what);
    BUF_LIT(line, ": ");
    buf_put_cstr(line, err_text(e));
    log_end();
}

void mailbox_on_deliver(struct process *p, struct ipc_channel *from, const struct ipc_deliver *m, int fd)
{
    const struct config *c = process_config(p);
    uint8_t path_bytes[MAILDIR_PATH_BYTES_MAX];
    struct buf path = BUF_OVER(path_bytes);
    uint64_t began_us = clock_mono_us();
    planted_fault("mailbox", m->rcpt, NULL, 0);
    planted_fault("mailbox", m->content, NULL, 0);
    struct maildir_message message = {
        .id = m->message, .rcpt_index = m->rcpt_index, .host = config_bytes(c, c->hostname), .sender = m->sender, .rcpt = m->rcpt,
        .prefix = m->prefix, .content = m->content, .fd = fd, .body_skip = m->body_skip, .body_bytes = m->body_bytes,
    };
    const char *what = "";
    int folder = place(p, m->route, m->rcpt, &path);
    enum err e = folder < 0 ? ERR_NOT_FOUND : fd < 0 && m->content.len != m->body_bytes ? ERR_BAD_VALUE
                                            : maildir_deliver(folder, buf_bytes(&path), c->mailbox.create, &message, &what);
    if (fd >= 0) close(fd);
    if (e == ERR_BAD_VALUE) {
        process_violation(p, from, "a DELIVER whose content is not as long as it says");
        return;
    }
    if (e != ERR_NONE && e != ERR_NOT_FOUND) complain(buf_bytes(&path), what, e);
    struct outcome o = outcome_of(e);
    struct ipc_delivered answer = {
        .attempt = m->attempt, .transfer_us = (uint32_t)(clock_mono_us() - began_us), .class = o.class, .scope = SCOPE_RECIPIENT, .step = STEP_MAILBOX,
        .code = o.code, .enhanced_class = o.enhanced.class, .enhanced_subject = o.enhanced.subject, .enhanced_detail = o.enhanced.detail,
        .text = bytes_of_cstr(o.text),
    };
    if (ipc_send_delivered(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "the manager does not take results: channel full");
}

void mailbox_on_mailbox_check(struct process *p, struct ipc_channel *from, const struct ipc_mailbox_check *m, int fd)
{
    (void)fd;
    uint8_t path_bytes[MAILDIR_PATH_BYTES_MAX];
    struct buf path = BUF_OVER(path_bytes);
    int folder = place(p, m->route, m->rcpt, &path);
    struct ipc_mailbox_checked answer = {.request = m->request};
    if (folder >= 0) {
        enum err e = process_config(p)->mailbox.create ? ERR_NONE : maildir_exists(folder, buf_bytes(&path));
        answer.known = e == ERR_NONE ? 1 : e == ERR_NOT_FOUND ? 0 : 2;
    }
    if (ipc_send_mailbox_checked(from, &answer, -1) != ERR_NONE) log_text(LOG_LEVEL_WARNING, "a receiver does not take answers: channel full");
}

static enum err setup(struct process *p)
{
    (void)p;
    return ERR_NONE;
}

static void event(struct process *p, const struct ring_event *e)
{
    (void)p;
    (void)e;
}

static void turn(struct process *p) { (void)p; }

static void channel(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

const struct role role_mailbox = {
    .id = ROLE_MAILBOX,
    .plain_engine = true,
    .setup = setup,
    .event = event,
    .turn = turn,
    .message = mailbox_message,
    .channel_open = channel,
    .channel_gone = channel,
};
