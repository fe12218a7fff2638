/*
 * send_session - the generator's side of one SMTP session.
 *
 * One flight is under way at a time: what is said in one send is answered before the next thing is said, so that the order of the answers is known and no
 * list of pending commands is needed. With full pipelining a flight is the content of one message, its end, and MAIL, RCPT and DATA of the next
 * (RFC 2920 3.1 allows that): then two messages are in hand, `closing` and `open`.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "bench/mtabench/send.h"
#include "smtp/capabilities.h"

enum send_answer {
    AWAIT_NOTHING = 0, /* no answer is awaited */
    AWAIT_GREETING, AWAIT_HELLO, AWAIT_OLD_HELLO, AWAIT_RESET, AWAIT_FROM, AWAIT_TO, AWAIT_CONTENT, AWAIT_END, AWAIT_GOODBYE,
};

enum send_todo {
    TODO_NOTHING = 0,
    TODO_HELLO, TODO_OLD_HELLO,
    TODO_NEXT,      /* a message, or QUIT, or wait */
    TODO_FROM, TODO_TO, TODO_CONTENT_WORD, /* lockstep: the next command of the open message */
    TODO_BODY,      /* 354 came */
    TODO_EMPTY_END, /* 354 came though no recipient was taken (RFC 2920 3.1) */
};

enum { RETRY_NS = 200 * 1000 * 1000 }; /* before another attempt after one that failed */

/* ---- the connection ---- */

static void release(struct send *k, struct send_session *s)
{
    (void)close(s->fd);
    s->fd = -1;
    s->ready = false;
    k->open_count--;
    if (s->useful && !s->idle) k->closed_list[k->closed_count++] = s->index;
    else if (heap_put(&k->timers, &s->timer, k->now_ns + RETRY_NS) != ERR_NONE) k->fatal = "out of memory";
}

static void set_starting(struct send *k, struct send_session *s, bool starting)
{
    if (s->starting == starting) return;
    s->starting = starting;
    k->starting_count = starting ? k->starting_count + 1 : k->starting_count - 1;
}

/* Nothing more is said or heard here. What was in hand is given back, or has to be called unanswered. */
static void hang_up(struct send *k, struct send_session *s)
{
    if (!s->shut) {
        s->shut = true;
        set_starting(k, s, false);
        if (s->closing.active) send_end(k, &s->closing, 0);
        if (s->open.active) send_give_back(k, &s->open);
        s->open.active = s->closing.active = false;
        (void)shutdown(s->fd, SHUT_RDWR);
    }
    if (!s->receiving && !s->sending && !s->connecting) release(k, s);
}

static void lose(struct send *k, struct send_session *s)
{
    if (!s->shut && !s->asked_to_quit) k->counts.lost_connections++;
    hang_up(k, s);
}

static int open_socket(struct send *k, const struct send_session *s, int family)
{
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!k->options->has_source) return fd;
    struct net_address own = address_in_range(&k->options->source, s->index);
    struct sockaddr_storage name;
    socklen_t name_bytes = net_to_sockaddr(&own, &name);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&name, name_bytes) == 0) return fd;
    int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

void send_session_connect(struct send *k, struct send_session *s)
{
    static struct sockaddr_storage names[SEND_TARGETS_MAX];
    uint32_t target = s->index % k->options->target_count;
    socklen_t name_bytes = net_to_sockaddr(&k->options->targets[target], &names[target]); /* the same each time, so that it may be shared */
    must(s->fd < 0);
    int fd = open_socket(k, s, names[target].ss_family);
    if (fd < 0) {
        k->fatal = errno == EADDRNOTAVAIL ? "a source address cannot be used here" : "no socket can be had";
        return;
    }
    s->fd = fd;
    s->shut = s->ready = s->useful = s->asked_to_quit = s->reset_due = s->extended = s->pipelining = false;
    s->awaits = AWAIT_NOTHING;
    s->todo = TODO_NOTHING;
    s->messages = 0;
    s->began_ns = s->heard_ns = k->now_ns;
    s->connecting = true;
    k->open_count++;
    if (!s->idle) set_starting(k, s, true);
    wire_connect(&k->wire, fd, s->index, (const struct sockaddr *)&names[target], name_bytes);
}

static uint64_t us_since(const struct send *k, uint64_t then_ns)
{
    return k->now_ns > then_ns ? (k->now_ns - then_ns) / 1000 : 0;
}

static void on_connected(struct send *k, struct send_session *s, int32_t result)
{
    s->connecting = false;
    if (s->shut) return hang_up(k, s);
    if (result < 0) {
        k->counts.failed_connections++;
        if (k->counts.connections == 0 && k->counts.failed_connections >= k->session_count) k->fatal = strerror(-result);
        return hang_up(k, s);
    }
    k->counts.connections++;
    histogram_add(&k->latency[PHASE_CONNECT], us_since(k, s->began_ns));
    s->began_ns = s->heard_ns = k->now_ns;
    s->awaits = AWAIT_GREETING;
    smtp_reply_init(&s->reply);
    s->receiving = true;
    wire_receive(&k->wire, s->fd, s->index);
}

/* ---- speaking ---- */

static void send_rest(struct send *k, struct send_session *s)
{
    s->sending = true;
    s->heard_ns = k->now_ns;
    wire_send(&k->wire, s->fd, s->index, &s->message);
}

/* Sends what is in s->commands, with a head and a filler before it or without. */
static void flush(struct send *k, struct send_session *s, struct bytes head, struct bytes filler)
{
    must(!s->sending && !s->commands.overflow);
    uint32_t n = 0;
    if (head.len > 0) s->iov[n++] = (struct iovec){s->head, head.len};
    if (filler.len > 0) s->iov[n++] = (struct iovec){(void *)(uintptr_t)filler.ptr, filler.len}; /* sendmsg() does not write there */
    s->iov[n++] = (struct iovec){s->commands.ptr, s->commands.len};
    s->message = (struct msghdr){.msg_iov = s->iov, .msg_iovlen = n};
    send_rest(k, s);
}

static const struct bytes nothing = {NULL, 0};

static void say_from(struct send *k, struct send_session *s)
{
    BUF_LIT(&s->commands, "MAIL FROM:<");
    send_pattern(&s->commands, k->options->from, s->open.number, 0);
    BUF_LIT(&s->commands, ">\r\n");
}

static void say_to(struct send *k, struct send_session *s, uint32_t r)
{
    const struct send_options *o = k->options;
    uint64_t n = (s->open.number - 1) * o->recipients + r;
    struct bytes pattern = o->to[n % o->to_count];
    BUF_LIT(&s->commands, "RCPT TO:<");
    send_pattern(&s->commands, pattern, o->cycle ? n % o->cycle : n, r);
    BUF_LIT(&s->commands, ">\r\n");
}

/* The commands of the open message, as many as may be said at once. Returns what is awaited first. */
static enum send_answer say_message(struct send *k, struct send_session *s)
{
    enum send_answer first = s->reset_due ? AWAIT_RESET : AWAIT_FROM;
    s->messages++;
    s->rcpt = 0;
    if (s->reset_due) BUF_LIT(&s->commands, "RSET\r\n");
    if (s->pipelining || !s->reset_due) say_from(k, s);
    s->reset_due = false;
    if (!s->pipelining) return first;
    for (uint32_t r = 0; r < k->options->recipients; r++) say_to(k, s, r);
    BUF_LIT(&s->commands, "DATA\r\n");
    return first;
}

static bool quota_reached(const struct send *k, const struct send_session *s)
{
    return k->options->per_connection && s->messages >= k->options->per_connection;
}

static enum send_answer say_quit(struct send_session *s)
{
    BUF_LIT(&s->commands, "QUIT\r\n");
    s->asked_to_quit = true;
    return AWAIT_GOODBYE;
}

static void park(struct send *k, struct send_session *s)
{
    s->ready = true;
    s->awaits = AWAIT_NOTHING;
    if (s->in_ready_list || s->idle) return;
    s->in_ready_list = true;
    k->ready_list[k->ready_count++] = s->index;
}

/* What a session does that is not in the middle of something. */
static void do_next(struct send *k, struct send_session *s)
{
    s->ready = false;
    if (!s->idle && !quota_reached(k, s) && send_take(k, &s->open)) s->awaits = (uint8_t)say_message(k, s);
    else if (k->over || quota_reached(k, s)) s->awaits = (uint8_t)say_quit(s);
    else return park(k, s);
    flush(k, s, nothing, nothing);
}

/* The content of the open message; with full pipelining also what comes behind it. */
static void do_body(struct send *k, struct send_session *s)
{
    struct buf head = BUF_OVER(s->head);
    s->closing = s->open;
    s->open.active = false;
    s->closing.end_ns = k->now_ns;
    text_head(&k->text, s->closing.number, &head);
    text_tail(&k->text, s->closing.bytes, s->closing.number, &s->commands);
    s->awaits = AWAIT_END;
    s->follows = AWAIT_NOTHING;
    if (s->pipelining && k->options->pipelining == SEND_FULL) {
        if (!quota_reached(k, s) && send_take(k, &s->open)) s->follows = (uint8_t)say_message(k, s);
        else if (k->over || quota_reached(k, s)) s->follows = (uint8_t)say_quit(s);
    }
    flush(k, s, buf_bytes(&head), text_filler(&k->text, s->closing.bytes));
}

static void do_todo(struct send *k, struct send_session *s)
{
    uint8_t todo = s->todo;
    if (s->sending || s->shut || todo == TODO_NOTHING) return;
    s->todo = TODO_NOTHING;
    s->commands.len = 0;
    switch (todo) {
    case TODO_NEXT: return do_next(k, s);
    case TODO_BODY: return do_body(k, s);
    case TODO_HELLO:
    case TODO_OLD_HELLO:
        buf_put_cstr(&s->commands, todo == TODO_HELLO ? "EHLO " : "HELO ");
        buf_put(&s->commands, k->options->helo);
        BUF_LIT(&s->commands, "\r\n");
        s->awaits = todo == TODO_HELLO ? AWAIT_HELLO : AWAIT_OLD_HELLO;
        break;
    case TODO_FROM: say_from(k, s); s->awaits = AWAIT_FROM; break;
    case TODO_TO: say_to(k, s, s->rcpt); s->awaits = AWAIT_TO; break;
    case TODO_CONTENT_WORD: BUF_LIT(&s->commands, "DATA\r\n"); s->awaits = AWAIT_CONTENT; break;
    default: BUF_LIT(&s->commands, ".\r\n"); s->awaits = AWAIT_END; s->follows = AWAIT_NOTHING; break;
    }
    flush(k, s, nothing, nothing);
}

/* ---- answers ---- */

static bool is_good(uint16_t code)
{
    return code / 100 == 2;
}

static void greeted(struct send *k, struct send_session *s)
{
    set_starting(k, s, false);
    s->pipelining = s->pipelining && k->options->pipelining != SEND_LOCKSTEP;
    s->todo = TODO_NEXT;
}

static void read_capabilities(struct send_session *s)
{
    struct smtp_capabilities offered = {0};
    struct bytes text = smtp_reply_text(&s->reply);
    uint32_t end = bytes_find(text, '\n');
    while (end < text.len) {
        text = bytes_from(text, end + 1);
        end = bytes_find(text, '\n');
        smtp_capabilities_line(&offered, bytes_slice(text, 0, end));
    }
    s->pipelining = offered.set & SMTP_CAP_PIPELINING;
}

/* The open message cannot go on: it was refused, and its transaction may still be open over there. */
static void refused(struct send *k, struct send_session *s, uint16_t code)
{
    send_end(k, &s->open, s->open.refusal ? s->open.refusal : code);
    s->open.active = false;
    s->useful = s->reset_due = true;
    s->todo = TODO_NEXT;
}

static void on_from(struct send *k, struct send_session *s, uint16_t code)
{
    if (!is_good(code) && !s->open.refusal) s->open.refusal = code;
    s->awaits = AWAIT_TO;
    if (s->pipelining) return;
    if (is_good(code)) s->todo = TODO_TO;
    else refused(k, s, code);
}

static void on_to(struct send *k, struct send_session *s, uint16_t code)
{
    if (is_good(code)) s->open.accepted++;
    else if (!s->open.refusal) s->open.refusal = code;
    s->rcpt++;
    if (s->rcpt < k->options->recipients) {
        s->todo = s->pipelining ? TODO_NOTHING : TODO_TO;
        return;
    }
    s->awaits = AWAIT_CONTENT;
    if (s->pipelining) return;
    if (s->open.accepted > 0) s->todo = TODO_CONTENT_WORD;
    else refused(k, s, code);
}

static void on_content(struct send *k, struct send_session *s, uint16_t code)
{
    if (code == 354) s->todo = s->open.accepted > 0 ? TODO_BODY : TODO_EMPTY_END;
    else refused(k, s, code);
}

static void on_end(struct send *k, struct send_session *s, uint16_t code)
{
    if (s->closing.active) {
        histogram_add(&k->latency[PHASE_END_OF_DATA], us_since(k, s->closing.end_ns));
        send_end(k, &s->closing, code);
        s->closing.active = false;
    } else if (s->open.active) { /* it was empty, since every recipient had been refused */
        send_end(k, &s->open, s->open.refusal ? s->open.refusal : code);
        s->open.active = false;
    }
    s->awaits = s->follows;
    if (s->follows == AWAIT_NOTHING) s->todo = TODO_NEXT;
}

/* A server that says 421 hangs up (RFC 5321 3.8). Only at the end of data is it an answer to a message. */
static void on_goodbye(struct send *k, struct send_session *s)
{
    if (s->awaits == AWAIT_END && s->closing.active) {
        send_end(k, &s->closing, 421);
        s->closing.active = false;
    }
    lose(k, s);
}

static void on_answer(struct send *k, struct send_session *s)
{
    uint16_t code = s->reply.code;
    s->heard_ns = k->now_ns;
    if (s->awaits == AWAIT_END) s->useful = true;
    if (code == 421 && s->awaits != AWAIT_GOODBYE) return on_goodbye(k, s);
    if (s->todo != TODO_NOTHING) return lose(k, s); /* it answers what was not asked */
    switch ((enum send_answer)s->awaits) {
    case AWAIT_GREETING:
        histogram_add(&k->latency[PHASE_GREETING], us_since(k, s->began_ns));
        if (!is_good(code)) return lose(k, s);
        s->todo = TODO_HELLO;
        break;
    case AWAIT_HELLO:
        s->extended = is_good(code);
        if (s->extended) read_capabilities(s);
        if (s->extended) greeted(k, s);
        else s->todo = TODO_OLD_HELLO;
        break;
    case AWAIT_OLD_HELLO:
        if (!is_good(code)) return lose(k, s);
        greeted(k, s);
        break;
    case AWAIT_RESET:
        s->awaits = AWAIT_FROM;
        if (!s->pipelining) s->todo = TODO_FROM;
        break;
    case AWAIT_FROM: on_from(k, s, code); break;
    case AWAIT_TO: on_to(k, s, code); break;
    case AWAIT_CONTENT: on_content(k, s, code); break;
    case AWAIT_END: on_end(k, s, code); break;
    case AWAIT_GOODBYE: break; /* it closes now */
    default: lose(k, s); break;
    }
}

static void on_octets(struct send *k, struct send_session *s, struct bytes in)
{
    while (in.len > 0 && !s->shut) {
        uint32_t used;
        enum smtp_feed result = smtp_reply_feed(&s->reply, in, &used);
        in = bytes_from(in, used);
        if (result == SMTP_GARBLED) return lose(k, s);
        if (result == SMTP_MORE) return;
        on_answer(k, s);
        smtp_reply_init(&s->reply);
    }
}

/* ---- events ---- */

static void on_received(struct send *k, struct send_session *s, const struct wire_event *e)
{
    s->receiving = e->more;
    if (s->shut) return hang_up(k, s);
    if (e->result <= 0 && e->result != -ENOBUFS) {
        if (!e->more) lose(k, s);
        return;
    }
    if (!e->more) {
        s->receiving = true;
        wire_receive(&k->wire, s->fd, s->index);
    }
    on_octets(k, s, e->data);
    if (s->fd >= 0) do_todo(k, s);
}

static void on_sent(struct send *k, struct send_session *s, int32_t result)
{
    s->sending = false;
    if (s->shut) return hang_up(k, s);
    if (result < 0) return lose(k, s);
    uint32_t done = (uint32_t)result;
    while (s->message.msg_iovlen > 0 && done >= s->message.msg_iov->iov_len) {
        done -= (uint32_t)s->message.msg_iov->iov_len;
        s->message.msg_iov++;
        s->message.msg_iovlen--;
    }
    if (s->message.msg_iovlen > 0) {
        s->message.msg_iov->iov_base = (uint8_t *)s->message.msg_iov->iov_base + done;
        s->message.msg_iov->iov_len -= done;
        return send_rest(k, s);
    }
    do_todo(k, s);
}

void send_session_event(struct send *k, const struct wire_event *e)
{
    struct send_session *s = &k->sessions[e->index];
    must(e->index < k->session_count && s->fd >= 0);
    if (e->op == WIRE_RECEIVE) on_received(k, s, e);
    else if (e->op == WIRE_SEND) on_sent(k, s, e->result);
    else on_connected(k, s, e->result);
}

void send_session_go(struct send *k, struct send_session *s)
{
    if (s->fd < 0 || s->shut || !s->ready || s->todo != TODO_NOTHING) return;
    s->todo = TODO_NEXT;
    do_todo(k, s);
}

void send_session_late(struct send *k, struct send_session *s)
{
    k->counts.timeouts++;
    hang_up(k, s);
}

void send_session_end(struct send *k, struct send_session *s)
{
    if (s->fd >= 0 && !s->shut) hang_up(k, s);
}

uint32_t send_session_commands_bytes(const struct send_options *o)
{
    enum { NUMBERS = 2 * 20, FRAME = 32, OTHERS = 1024 };
    uint32_t longest = o->from.len;
    for (uint32_t i = 0; i < o->to_count; i++) longest = o->to[i].len > longest ? o->to[i].len : longest;
    return (uint32_t)(o->recipients + 1) * (longest + NUMBERS + FRAME) + OTHERS;
}
