/*
 * local
 *
 * Purpose      Puts mail into the mailbox of one user of this host: a Maildir in the home folder, or an mbox.
 * Runs as      that user; for an mbox with the group mail. Started for a user who has mail, and ends when there is no more
 * Inherits     control channel, configuration; no log: what there is to say is in the answer
 * Talks to     mailbox: LOCAL_DELIVER, LOCAL_END in; LOCAL_DELIVERED out
 * May do       files below the home folder, or below the folder of mboxes; it opens that one itself, when it is the user already
 * Holds        nothing between two messages
 * If it dies   what it had is tried again later
 * If a peer lies  it can write that user's mail, and nothing else
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/verdict.h"
#include "mta/process/dispatch.h"
#include "mta/store/mbox.h"

PROCESS_DISPATCH(local)

enum { LOCAL_PATH_BYTES_MAX = 4096, LOCK_WAIT_MS = 10000 }; /* for who has the mbox locked; well below what the watchdog takes for hanging */

static struct local {
    const struct config_route *route;
    const char *user;
    enum err failed;    /* the folder could not be opened */
    struct bytes path;  /* of the Maildir */
} local;

struct outcome { uint8_t class; uint16_t code; struct enhanced enhanced; const char *text; };

static struct outcome outcome_of(enum err e, bool mbox)
{
    switch (e) {
    case ERR_NONE: return (struct outcome){VERDICT_DELIVERED, 250, {2, 0, 0}, mbox ? "delivered to mailbox" : "delivered to maildir"};
    case ERR_NO_SPACE: return (struct outcome){VERDICT_LATER, 452, {4, 2, 2}, "no space left for the mailbox"};
    case ERR_BUSY: return (struct outcome){VERDICT_LATER, 451, {4, 2, 0}, "the mailbox is locked by another program"};
    case ERR_NOT_FOUND: return (struct outcome){VERDICT_LATER, 451, {4, 2, 1}, mbox ? "the folder of mailboxes is not there" : "the home folder is not there"};
    case ERR_DENIED: return (struct outcome){VERDICT_LATER, 451, {4, 2, 0}, "the user may not write the mailbox"};
    default: return (struct outcome){VERDICT_LATER, 451, {4, 3, 0}, "the mailbox cannot be written now"};
    }
}

void local_on_local_deliver(struct process *p, struct ipc_channel *from, const struct ipc_local_deliver *m, int fd)
{
    const struct config *c = process_config(p);
    uint64_t began_us = clock_mono_us();
    struct maildir_message message = {
        .id = m->message, .rcpt_index = m->rcpt_index, .host = config_bytes(c, c->hostname), .sender = m->sender, .rcpt = m->rcpt,
        .prefix = m->prefix, .content = m->content, .fd = fd, .body_skip = m->body_skip, .body_bytes = m->body_bytes,
    };
    const char *what = "";
    enum err e = local.failed;
    if (e == ERR_NONE && fd < 0 && m->content.len != m->body_bytes) e = ERR_BAD_VALUE;
    if (e == ERR_NONE && local.route->local_mbox) e = mbox_deliver(process_folder(p, 0), local.user, LOCK_WAIT_MS, &message, &what);
    else if (e == ERR_NONE) e = maildir_deliver(process_folder(p, 0), local.path, true, &message, &what);
    if (fd >= 0) close(fd);
    uint8_t memory[200];
    struct buf text = BUF_OVER(memory);
    struct outcome o = outcome_of(e, local.route->local_mbox);
    buf_put_cstr(&text, o.text);
    if (e != ERR_NONE && *what) {
        BUF_LIT(&text, " (");
        buf_put_cstr(&text, what);
        BUF_LIT(&text, ": ");
        buf_put_cstr(&text, err_text(e));
        BUF_LIT(&text, ")");
    }
    struct ipc_local_delivered answer = {
        .attempt = m->attempt, .transfer_us = (uint32_t)(clock_mono_us() - began_us), .class = o.class, .scope = SCOPE_RECIPIENT, .step = STEP_MAILBOX,
        .code = o.code, .enhanced_class = o.enhanced.class, .enhanced_subject = o.enhanced.subject, .enhanced_detail = o.enhanced.detail,
        .text = buf_bytes(&text),
    };
    if (ipc_send_local_delivered(from, &answer, -1) != ERR_NONE) process_violation(p, from, "more deliveries than the channel takes answers");
}

void local_on_local_end(struct process *p, struct ipc_channel *from, const struct ipc_local_end *m, int fd)
{
    (void)p;
    (void)from;
    (void)m;
    (void)fd;
    _exit(PROCESS_EXIT_OK);
}

/* open_folder - as the user: what that one may not open is not opened. */
static enum err open_folder(struct process *p, const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    if (process_add_folder(p, fd)) return ERR_NONE;
    close(fd);
    return ERR_NO_MEMORY;
}

static enum err setup(struct process *p)
{
    static char path[LOCAL_PATH_BYTES_MAX];
    const struct process_start *start = process_start_of(p);
    const struct config *c = process_config(p);
    const struct config_route *routes = CONFIG_ITEMS(c, c->routes, struct config_route);
    if (!start->user || !start->home || !routes || start->route >= c->routes.count || routes[start->route].action != ACTION_LOCAL) return ERR_BAD_VALUE;
    local.route = &routes[start->route];
    local.user = start->user;
    local.path = config_bytes(c, local.route->local_path);
    umask(S_IRWXO); /* mailboxes are nobody else's; an mbox may be the group's */
    if (!local.route->local_mbox) {
        local.failed = open_folder(p, start->home);
        return ERR_NONE;
    }
    if (local.path.len >= sizeof path) return ERR_TOO_LONG;
    memcpy(path, local.path.ptr, local.path.len);
    local.failed = open_folder(p, path);
    return ERR_NONE;
}

static void event(struct process *p, const struct ring_event *e)
{
    (void)p;
    (void)e;
}

static void turn(struct process *p) { (void)p; }

static void channel_open(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
}

static void channel_gone(struct process *p, struct ipc_channel *c)
{
    (void)p;
    (void)c;
    _exit(PROCESS_EXIT_OK); /* nobody has more for it */
}

const struct role role_local = {
    .id = ROLE_LOCAL,
    .plain_engine = true,
    .setup = setup,
    .event = event,
    .turn = turn,
    .message = local_message,
    .channel_open = channel_open,
    .channel_gone = channel_gone,
};
