/*
 * submit - one message over mtad's socket, in lock step: to a process of this host a round trip costs nothing.
 *
 * Three ends: taken; refused for good, which is the exit code; or "not now" and no answer at all, which is tried again for a while and then left to
 * the caller as EX_TEMPFAIL. What was taken before such an end is not sent again by us.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/envelope.h"
#include "sendmail.h"
#include "smtp/address.h"
#include "smtp/reply.h"

enum {
    PAUSE_FIRST_MS = 100, PAUSE_MAX_MS = 2000, /* between tries */
    COMMAND_BYTES = 2048,
    AGAIN = -1, /* beside exit codes: to be tried again */
};

struct dialogue {
    const struct job *job;
    int fd;
    struct smtp_reply reply;
    uint8_t in[16 * 1024];
    uint32_t in_len;
    bool broken;             /* the connection is gone, or nonsense came */
    bool requiretls;         /* offered */
    uint64_t size_max;       /* of a message; 0 = not said */
    uint32_t rcpts_max;
    uint32_t domain_len;
    uint8_t domain[HOST_NAME_BYTES_MAX];
};

struct sending {             /* over all tries */
    const struct job *job;
    struct bytes input;
    struct content content;
    struct list recipients;  /* whole addresses */
    uint32_t next;           /* those before it are done */
    int code;                /* of the first recipient that was refused */
    bool made;
    uint8_t sender[MAIL_ADDRESS_BYTES_MAX];
    uint32_t sender_len;
    const char *why;         /* the last try failed */
    uint8_t why_text[REPLY_TEXT_BYTES_MAX + 8];
};

/* ---- octets ---- */

static bool send_all(struct dialogue *d, struct bytes text)
{
    while (!d->broken && text.len > 0) {
        ssize_t n = send(d->fd, text.ptr, text.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) d->broken = true;
        else text = bytes_from(text, (uint32_t)n);
    }
    return !d->broken;
}

/* hear - the next reply's code; 0 when there is none. */
static uint16_t hear(struct dialogue *d)
{
    smtp_reply_init(&d->reply);
    while (!d->broken) {
        uint32_t used = 0;
        enum smtp_feed got = d->in_len > 0 ? smtp_reply_feed(&d->reply, bytes_of(d->in, d->in_len), &used) : SMTP_MORE;
        memmove(d->in, d->in + used, d->in_len - used);
        d->in_len -= used;
        if (got == SMTP_DONE) {
            if (d->job->verbose) fprintf(stderr, "<<< %u %.*s\n", d->reply.code, (int)d->reply.text_len, (const char *)d->reply.text);
            return d->reply.code;
        }
        ssize_t n = got == SMTP_GARBLED ? 0 : recv(d->fd, d->in + d->in_len, sizeof d->in - d->in_len, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) d->broken = true;
        else d->in_len += (uint32_t)n;
    }
    return 0;
}

static uint16_t say(struct dialogue *d, const struct buf *command)
{
    if (command->overflow) return 0;
    if (d->job->verbose) fprintf(stderr, ">>> %.*s", (int)command->len, (const char *)command->ptr);
    return send_all(d, buf_bytes(command)) ? hear(d) : 0;
}

/* ---- what answers mean ---- */

/* again - keep the reason of this try. */
static int again(struct sending *s, struct dialogue *d, const char *why)
{
    struct buf text = BUF_OVER(s->why_text);
    if (d && !d->broken && d->reply.code) {
        buf_put_u64(&text, d->reply.code);
        buf_put_c(&text, ' ');
        buf_put_cut(&text, smtp_reply_text(&d->reply));
    } else {
        buf_put_cstr(&text, why);
    }
    s->why = "";
    s->why_text[text.len < sizeof s->why_text ? text.len : sizeof s->why_text - 1] = 0;
    return AGAIN;
}

/* refused - say it, and find its exit code. */
static int refused(struct dialogue *d, const char *what, struct bytes whom, int otherwise)
{
    const struct smtp_reply *r = &d->reply;
    struct enhanced e = smtp_reply_enhanced(r);
    fprintf(stderr, "sendmail: %s%s%.*s%s: %u %.*s\n", what, whom.len ? " <" : "", (int)whom.len, (const char *)whom.ptr, whom.len ? ">" : "", r->code,
            (int)bytes_find(smtp_reply_text(r), '\n'), (const char *)r->text);
    if (e.subject == 7) return EX_NOPERM;
    if (e.subject == 3 || r->code == 552) return EX_DATAERR;
    if (e.subject == 1 && e.detail == 1) return EX_NOUSER;
    return otherwise;
}

/* judge - go on after 2xx, else an end: AGAIN, or the exit code of a refusal. */
static int judge(struct sending *s, struct dialogue *d, uint16_t code, const char *what, struct bytes whom, int otherwise)
{
    if (code / 100 == 2) return 0;
    if (code / 100 == 5) return refused(d, what, whom, otherwise);
    d->broken = d->broken || code == 421;
    return again(s, code ? d : NULL, "mtad closed the connection");
}

/* ---- the beginning ---- */

/* learn - what EHLO's answer offers. */
static void learn(struct dialogue *d)
{
    struct bytes rest = smtp_reply_text(&d->reply);
    d->rcpts_max = RECIPIENTS_HARD_MAX;
    while (rest.len > 0) {
        struct bytes line = bytes_slice(rest, 0, bytes_find(rest, '\n'));
        uint64_t n;
        rest = bytes_from(rest, line.len + 1);
        if (bytes_starts(line, BYTES("SIZE ")) && bytes_to_u64(bytes_from(line, 5), &n)) d->size_max = n;
        if (bytes_starts(line, BYTES("LIMITS RCPTMAX=")) && bytes_to_u64(bytes_from(line, 15), &n) && n > 0 && n < d->rcpts_max) d->rcpts_max = (uint32_t)n;
        if (bytes_equal(line, BYTES("REQUIRETLS"))) d->requiretls = true;
        if (!bytes_starts(line, BYTES("XMAILDOMAIN ")) || line.len - 12 > sizeof d->domain) continue;
        d->domain_len = line.len - 12;
        memcpy(d->domain, line.ptr + 12, d->domain_len);
    }
}

static int greet(struct sending *s, struct dialogue *d)
{
    uint8_t memory[COMMAND_BYTES];
    struct buf line = BUF_OVER(memory);
    int end = judge(s, d, hear(d), "refused", (struct bytes){0}, EX_UNAVAILABLE);
    if (end) return end;
    BUF_LIT(&line, "EHLO localhost\r\n");
    end = judge(s, d, say(d, &line), "EHLO", (struct bytes){0}, EX_PROTOCOL);
    if (end) return end;
    learn(d);
    return d->domain_len > 0 ? 0 : complain(EX_CONFIG, "what listens there is no socket for sendmail(1)", (struct bytes){0});
}

/* ---- addresses ---- */

/* complete - a whole address: what was given, or with the domain behind it. False when it is none. */
static bool complete(const struct dialogue *d, struct bytes given, bool has_domain, struct smtp_address *out)
{
    uint8_t memory[2 * MAIL_ADDRESS_BYTES_MAX + HOST_NAME_BYTES_MAX];
    struct buf text = BUF_OVER(memory);
    buf_put(&text, given);
    if (!has_domain) {
        buf_put_c(&text, '@');
        buf_put(&text, bytes_of(d->domain, d->domain_len));
    }
    return !text.overflow && smtp_mailbox_parse(buf_bytes(&text), true, out) == SMTP_ADDRESS_OK && out->domain.len > 0;
}

static void add_recipients(struct sending *s, const struct dialogue *d, struct bytes text)
{
    struct address_scan scan = {.text = text};
    struct found_address a;
    struct smtp_address whole;
    while (address_next(&scan, &a)) {
        if (complete(d, a.address, a.has_domain, &whole)) {
            list_add(&s->recipients, whole.whole);
        } else {
            int code = complain(EX_DATAERR, "this is no address", a.address);
            if (!s->code) s->code = code;
        }
    }
}

static int take_sender(struct sending *s, const struct dialogue *d)
{
    const struct passwd *user = s->job->sender ? NULL : getpwuid(getuid());
    struct bytes given = bytes_of_cstr(s->job->sender ? s->job->sender : user ? user->pw_name : "nobody");
    struct address_scan scan = {.text = given};
    struct found_address a;
    struct smtp_address whole;
    if (bytes_trim(given).len == 0 || !address_next(&scan, &a)) return 0; /* -f "" and -f "<>" */
    if (!complete(d, a.address, a.has_domain, &whole)) return complain(EX_USAGE, "this is no sender address", given);
    s->sender_len = whole.whole.len;
    memcpy(s->sender, whole.whole.ptr, whole.whole.len);
    return 0;
}

/* prepare - once, as soon as it is known which domain this host's users have. */
static int prepare(struct sending *s, const struct dialogue *d)
{
    int code = s->made ? 0 : take_sender(s, d);
    if (s->made || code) return code;
    s->made = true;
    content_make(s->job, s->input, bytes_of(s->sender, s->sender_len), bytes_of(d->domain, d->domain_len), &s->content);
    for (uint32_t i = 0; i < s->job->recipients.count; i++) add_recipients(s, d, list_item(&s->job->recipients, i));
    for (uint32_t i = 0; i < s->content.recipients.count; i++) add_recipients(s, d, list_item(&s->content.recipients, i));
    if (s->recipients.count == 0 && !s->code) return complain(EX_USAGE, "no recipients", (struct bytes){0});
    return 0;
}

/* ---- one transaction ---- */

/* put_sender - the sender; with -XV one that names the recipient: list+user=domain@host. */
static void put_sender(const struct sending *s, struct buf *line)
{
    struct bytes sender = bytes_of(s->sender, s->sender_len), local = mail_local(sender), rcpt = list_item(&s->recipients, s->next);
    if (!s->job->verp || sender.len == 0) {
        buf_put(line, sender);
        return;
    }
    buf_put(line, local);
    buf_put_c(line, s->job->verp_marks[0]);
    buf_put(line, mail_local(rcpt));
    buf_put_c(line, s->job->verp_marks[1]);
    buf_put(line, mail_domain(rcpt));
    buf_put_c(line, '@');
    buf_put(line, mail_domain(sender));
}

static bool needs_utf8(const struct sending *s, uint32_t count)
{
    if (s->job->smtputf8 || !bytes_is_ascii(bytes_of(s->sender, s->sender_len))) return true;
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_is_ascii(list_item(&s->recipients, s->next + i))) return true;
    }
    return false;
}

static int say_mail(struct sending *s, struct dialogue *d, uint32_t count)
{
    const struct job *j = s->job;
    uint8_t memory[COMMAND_BYTES];
    struct buf line = BUF_OVER(memory);
    struct bytes text = grown_bytes(&s->content.text);
    BUF_LIT(&line, "MAIL FROM:<");
    put_sender(s, &line);
    BUF_LIT(&line, "> SIZE=");
    buf_put_u64(&line, text.len);
    if (!bytes_is_ascii(text)) BUF_LIT(&line, " BODY=8BITMIME");
    if (needs_utf8(s, count)) BUF_LIT(&line, " SMTPUTF8");
    if (j->requiretls) BUF_LIT(&line, " REQUIRETLS");
    if (j->ret) {
        BUF_LIT(&line, " RET=");
        buf_put_cstr(&line, j->ret);
    }
    if (j->envid) {
        BUF_LIT(&line, " ENVID=");
        smtp_xtext_encode(&line, bytes_of_cstr(j->envid));
    }
    BUF_LIT(&line, "\r\n");
    return judge(s, d, say(d, &line), "sender", bytes_of(s->sender, s->sender_len), EX_USAGE);
}

/* say_rcpt - 0 taken, AGAIN, or the exit code of a refusal. */
static int say_rcpt(struct sending *s, struct dialogue *d, struct bytes rcpt)
{
    uint8_t memory[COMMAND_BYTES];
    struct buf line = BUF_OVER(memory);
    BUF_LIT(&line, "RCPT TO:<");
    buf_put(&line, rcpt);
    BUF_LIT(&line, ">");
    if (s->job->notify) {
        BUF_LIT(&line, " NOTIFY=");
        buf_put_cstr(&line, s->job->notify);
    }
    BUF_LIT(&line, "\r\n");
    return judge(s, d, say(d, &line), "recipient", rcpt, EX_UNAVAILABLE);
}

static int reset(struct sending *s, struct dialogue *d)
{
    uint8_t memory[16];
    struct buf line = BUF_OVER(memory);
    BUF_LIT(&line, "RSET\r\n");
    return judge(s, d, say(d, &line), "RSET", (struct bytes){0}, EX_PROTOCOL);
}

/* say_rcpts - *taken of them are in; codes of refusals are kept when the whole is, so that a second try does not say them twice. */
static int say_rcpts(struct sending *s, struct dialogue *d, uint32_t count, uint32_t *taken)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bytes rcpt = list_item(&s->recipients, s->next + i);
        int code = say_rcpt(s, d, rcpt);
        if (code == AGAIN || d->broken) return code;
        if (code == 0) (*taken)++;
        else if (!s->code) s->code = code;
        if (code == 0 && s->job->mode == MODE_VERIFY) printf("%.*s... deliverable\n", (int)rcpt.len, (const char *)rcpt.ptr);
    }
    return 0;
}

static int say_content(struct sending *s, struct dialogue *d)
{
    uint8_t memory[64];
    struct buf line = BUF_OVER(memory);
    struct bytes text = grown_bytes(&s->content.text);
    BUF_LIT(&line, "BDAT ");
    buf_put_u64(&line, text.len);
    BUF_LIT(&line, " LAST\r\n");
    uint16_t code = send_all(d, buf_bytes(&line)) && send_all(d, text) ? hear(d) : 0;
    return judge(s, d, code, "message", (struct bytes){0}, EX_DATAERR);
}

/* transact - the next recipients, as many as go into one message. */
static int transact(struct sending *s, struct dialogue *d)
{
    uint32_t left = s->recipients.count - s->next, taken = 0;
    uint32_t count = s->job->verp ? 1 : left < d->rcpts_max ? left : d->rcpts_max;
    if (s->job->requiretls && !d->requiretls) return complain(EX_UNAVAILABLE, "requiretls=yes: mtad does not offer it", (struct bytes){0});
    if (d->size_max > 0 && s->content.text.len > d->size_max) return complain(EX_DATAERR, "the message is larger than mtad takes", (struct bytes){0});
    int end = say_mail(s, d, count);
    if (end == 0) end = say_rcpts(s, d, count, &taken);
    if (end == 0) end = taken == 0 || s->job->mode == MODE_VERIFY ? reset(s, d) : say_content(s, d);
    if (end == 0) s->next += count;
    return end;
}

/* try - one connection; 0, AGAIN, or an exit code. */
static int try(struct sending *s)
{
    static struct dialogue d;
    const char *why = "";
    memset(&d, 0, sizeof d);
    d.job = s->job;
    d.fd = link_to_mtad(s->job, &why);
    if (d.fd < 0) return again(s, NULL, why);
    int end = greet(s, &d);
    if (end == 0) end = prepare(s, &d);
    while (end == 0 && s->next < s->recipients.count) end = transact(s, &d);
    (void)send_all(&d, BYTES("QUIT\r\n"));
    (void)hear(&d);
    close(d.fd);
    return end;
}

static void pause_for(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

int submit(const struct job *j)
{
    static struct sending s;
    struct grown input = j->mode == MODE_VERIFY ? (struct grown){0} : input_read();
    uint64_t until = now_ms() + TRY_FOR_MS, pause = PAUSE_FIRST_MS;
    s.job = j;
    s.input = grown_bytes(&input);
    int end = try(&s);
    while (end == AGAIN && now_ms() + pause < until) {
        pause_for(pause);
        pause = 2 * pause < PAUSE_MAX_MS ? 2 * pause : PAUSE_MAX_MS;
        end = try(&s);
    }
    if (end == AGAIN) return complain(EX_TEMPFAIL, "the message was not taken; try again later", bytes_of_cstr((const char *)s.why_text));
    return end ? end : s.code;
}

/* ---- -bs ---- */

/* pass - what there is to be read on one side, to the other. False at the end. */
static bool pass(int from, int to)
{
    uint8_t memory[16 * 1024];
    ssize_t n = read(from, memory, sizeof memory);
    if (n < 0 && errno == EINTR) return true;
    for (ssize_t at = 0; at < n;) {
        ssize_t done = write(to, memory + at, (size_t)(n - at));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        at += done;
    }
    return n > 0;
}

int speak_smtp(const struct job *j)
{
    const char *why = "";
    uint64_t until = now_ms() + TRY_FOR_MS;
    int fd = link_to_mtad(j, &why);
    while (fd < 0 && now_ms() + PAUSE_MAX_MS / 4 < until) {
        pause_for(PAUSE_MAX_MS / 4);
        fd = link_to_mtad(j, &why);
    }
    if (fd < 0) {
        printf("421 4.3.0 %s\r\n", why);
        return EX_TEMPFAIL;
    }
    struct pollfd ends[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    for (bool open = true; open;) {
        if (poll(ends, 2, -1) < 0 && errno != EINTR) break;
        if (ends[0].revents && !pass(STDIN_FILENO, fd)) {
            ends[0].fd = -1; /* the rest of mtad's answers are still wanted */
            (void)shutdown(fd, SHUT_WR);
        }
        if (ends[1].revents) open = pass(fd, STDOUT_FILENO);
    }
    close(fd);
    return EX_OK;
}
