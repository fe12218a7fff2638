/*
 * sink - see sink.h.
 *
 * One send a read: everything that came in one receive is answered in one piece. A connection's slot is used again only when its receive and its send
 * have had their last event.
 */
#include "bench/mtabench/sink.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/must.h"
#include "bench/mtabench/tool.h"
#include "bench/mtabench/wire.h"

enum {
    BUFFERS = 256,
    BUFFER_BYTES = 32 * 1024, /* large messages come in pieces of this */
    BACKLOG = 4096,
    NS_PER_S = 1000 * 1000 * 1000,
};

struct connection {
    int fd; /* -1 = the slot is free */
    uint32_t index;
    bool receiving, sending, shut;
    uint64_t heard_ns;
    struct heap_node timer; /* when held answers may leave */
    struct sink_out leaving; /* being sent */
    uint32_t leaving_done;
    struct iovec iov;
    struct msghdr message;
    struct sink_session session;
};

struct sink {
    const struct sink_options *options;
    struct sink_common *common;
    struct wire wire;
    struct connection **slots; /* by index; made when first needed */
    uint32_t slot_count, open_count;
    uint32_t *free_slots, free_count;
    int listeners[SINK_LISTENERS_MAX];
    struct heap timers;
    uint64_t *counter; /* shared with whoever reads the file; NULL = none */
    uint64_t began_ns;
};

/* ---- one connection ---- */

static void release(struct sink *k, struct connection *c)
{
    heap_remove(&k->timers, &c->timer);
    (void)close(c->fd);
    free(c->session.out.ptr);
    free(c->leaving.ptr);
    c->fd = -1;
    c->session.out = c->leaving = (struct sink_out){0};
    k->free_slots[k->free_count++] = c->index;
    k->open_count--;
}

/* No more of this connection: what is under way ends soon, and then the slot is free. */
static void shut(struct sink *k, struct connection *c)
{
    if (!c->shut) (void)shutdown(c->fd, SHUT_RDWR);
    c->shut = true;
    if (!c->receiving && !c->sending) release(k, c);
}

static void send_rest(struct sink *k, struct connection *c)
{
    c->iov = (struct iovec){c->leaving.ptr + c->leaving_done, c->leaving.len - c->leaving_done};
    c->message = (struct msghdr){.msg_iov = &c->iov, .msg_iovlen = 1};
    c->sending = true;
    wire_send(&k->wire, c->fd, c->index, &c->message);
}

/* Moves n octets from what is to be said to what is being sent: by changing the buffers when that is all of it. */
static bool take_leaving(struct connection *c, uint32_t n)
{
    struct sink_out *out = &c->session.out;
    if (n == out->len) {
        struct sink_out spare = c->leaving;
        c->leaving = *out;
        *out = spare;
        out->len = 0;
        return true;
    }
    if (c->leaving.cap < n) {
        uint8_t *ptr = realloc(c->leaving.ptr, n);
        if (!ptr) return false;
        c->leaving.ptr = ptr;
        c->leaving.cap = n;
    }
    memcpy(c->leaving.ptr, out->ptr, n);
    memmove(out->ptr, out->ptr + n, out->len - n);
    c->leaving.len = n;
    out->len -= n;
    return true;
}

static void flush(struct sink *k, struct connection *c)
{
    struct sink_session *s = &c->session;
    if (c->shut || c->sending) return;
    uint32_t n = sink_session_leaving(s, k->common->now_ns);
    if (n > 0) {
        if (!take_leaving(c, n)) return shut(k, c);
        c->leaving_done = 0;
        return send_rest(k, c);
    }
    if (s->out.len > 0) {
        if (heap_put(&k->timers, &c->timer, s->hold_ns) != ERR_NONE) shut(k, c);
    } else if (s->ending) {
        shut(k, c);
    }
}

/* A slot that nobody uses, or NULL; its memory is made when it is first needed. */
static struct connection *take_slot(struct sink *k)
{
    if (k->free_count == 0) return NULL;
    uint32_t index = k->free_slots[k->free_count - 1];
    if (!k->slots[index]) k->slots[index] = malloc(sizeof *k->slots[index]);
    if (!k->slots[index]) return NULL;
    k->free_count--;
    k->slots[index]->index = index;
    return k->slots[index];
}

static void open_connection(struct sink *k, int fd)
{
    struct connection *c = take_slot(k);
    if (!c) {
        (void)close(fd);
        return;
    }
    uint32_t index = c->index;
    memset(c, 0, offsetof(struct connection, session));
    memset(&c->session, 0, offsetof(struct sink_session, scan));
    c->fd = fd;
    c->index = index;
    c->heard_ns = k->common->now_ns;
    struct net_address own = {0};
    struct sockaddr_storage name;
    socklen_t name_bytes = sizeof name;
    if (k->common->people.by_address && getsockname(fd, (struct sockaddr *)&name, &name_bytes) == 0) (void)net_from_sockaddr(&name, &own);
    k->open_count++;
    sink_session_greet(&c->session, k->common, &own);
    c->receiving = true;
    wire_receive(&k->wire, fd, index);
    flush(k, c);
}

/* ---- events ---- */

static void on_accept(struct sink *k, const struct wire_event *e)
{
    if (e->result >= 0) open_connection(k, e->result);
    if (!e->more) wire_accept(&k->wire, k->listeners[e->index], e->index);
}

/* The kernel forgets this wish by itself, so it is said again and again. */
static void acknowledge(int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

static void on_receive(struct sink *k, const struct wire_event *e)
{
    struct connection *c = k->slots[e->index];
    c->receiving = e->more;
    if (e->result == -ENOBUFS || e->result > 0) {
        if (!e->more && !c->shut) {
            c->receiving = true;
            wire_receive(&k->wire, c->fd, c->index);
        }
        c->heard_ns = k->common->now_ns;
        if (k->options->quick_ack) acknowledge(c->fd);
        if (!c->shut && e->data.len > 0) sink_session_input(&c->session, k->common, e->data);
    } else if (e->result < 0) {
        return shut(k, c);
    } else {
        c->session.ending = true; /* a client may close its side and still read: Exim does so behind QUIT */
    }
    if (c->shut) return shut(k, c);
    flush(k, c);
}

static void on_sent(struct sink *k, const struct wire_event *e)
{
    struct connection *c = k->slots[e->index];
    c->sending = false;
    if (e->result <= 0 || c->shut) return shut(k, c);
    c->leaving_done += (uint32_t)e->result;
    if (c->leaving_done < c->leaving.len) return send_rest(k, c);
    flush(k, c);
}

static void on_event(void *context, const struct wire_event *e)
{
    struct sink *k = context;
    if (e->op == WIRE_RECEIVE) on_receive(k, e);
    else if (e->op == WIRE_SEND) on_sent(k, e);
    else if (e->op == WIRE_ACCEPT) on_accept(k, e);
}

static void run_timers(struct sink *k)
{
    struct heap_node *first;
    while ((first = heap_first(&k->timers)) && first->key <= k->common->now_ns) {
        heap_remove(&k->timers, first);
        flush(k, (struct connection *)(void *)((uint8_t *)first - offsetof(struct connection, timer)));
    }
}

static void close_idle(struct sink *k)
{
    for (uint32_t i = 0; i < k->slot_count; i++) {
        struct connection *c = k->slots[i];
        if (c && c->fd >= 0 && !c->shut && !c->timer.place && c->heard_ns + k->options->idle_ns < k->common->now_ns) shut(k, c);
    }
}

/* ---- start and end ---- */

static bool listen_on(struct sink *k, uint32_t index)
{
    const struct net_address *a = &k->options->listen[index];
    struct sockaddr_storage to;
    socklen_t to_bytes = net_to_sockaddr(a, &to);
    int one = 1, fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    k->listeners[index] = fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* what is accepted has it too */
    if (to.ss_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&to, to_bytes) != 0 || listen(fd, BACKLOG) != 0) return false;
    wire_accept(&k->wire, fd, index);
    return true;
}

static int start(struct sink *k)
{
    const struct sink_options *o = k->options;
    if (!tool_descriptors(o->sessions_max + o->listen_count + 64)) return TOOL_NEGATIVE;
    int refused = wire_open(&k->wire, BUFFERS, BUFFER_BYTES);
    if (refused) return tool_complain(wire_refusal(refused), NULL), TOOL_NEGATIVE;
    k->slot_count = (uint32_t)o->sessions_max;
    k->slots = calloc(k->slot_count, sizeof *k->slots);
    k->free_slots = calloc(k->slot_count, sizeof *k->free_slots);
    if (!k->slots || !k->free_slots || heap_init(&k->timers, 0) != ERR_NONE) return tool_complain("out of memory", NULL), TOOL_NEGATIVE;
    for (uint32_t i = 0; i < k->slot_count; i++) k->free_slots[k->free_count++] = k->slot_count - 1 - i;
    if (o->counter && !(k->counter = tool_count_file(o->counter))) return TOOL_NEGATIVE;
    for (uint32_t i = 0; i < o->listen_count; i++) {
        if (listen_on(k, i)) continue;
        uint8_t memory[NET_TEXT_BYTES_MAX];
        struct buf text = BUF_OVER(memory);
        net_print_ip_port(&text, &o->listen[i]);
        fprintf(stderr, "mtabench: cannot listen on %.*s: %s\n", (int)text.len, (char *)memory, strerror(errno));
        return TOOL_NEGATIVE;
    }
    return TOOL_OK;
}

static void finish(struct sink *k)
{
    wire_close(&k->wire);
    for (uint32_t i = 0; k->slots && i < k->slot_count; i++) {
        if (!k->slots[i]) continue;
        heap_remove(&k->timers, &k->slots[i]->timer);
        if (k->slots[i]->fd >= 0) {
            free(k->slots[i]->session.out.ptr);
            free(k->slots[i]->leaving.ptr);
        }
        free(k->slots[i]);
    }
    heap_fini(&k->timers);
    free(k->slots);
    free(k->free_slots);
}

static struct sink_state state_of(const struct sink *k)
{
    return (struct sink_state){
        .common = k->common,
        .elapsed_ns = k->common->now_ns - k->began_ns,
        .sessions = k->open_count,
        .cpu_us = tool_cpu_us(),
        .turns = k->wire.turns,
    };
}

static bool is_over(const struct sink *k)
{
    const struct sink_options *o = k->options;
    if (tool_stop) return true;
    if (o->run_ns && k->common->now_ns - k->began_ns >= o->run_ns) return true;
    /* The last answer is to leave before the end. */
    return o->messages_max && k->common->counts.messages >= o->messages_max && k->open_count == 0;
}

/* For whoever reads the file of --counter. */
static void publish(const struct sink *k)
{
    if (!k->counter) return;
    __atomic_store_n(&k->counter[0], k->common->counts.messages, __ATOMIC_RELAXED);
    __atomic_store_n(&k->counter[1], k->common->counts.recipients, __ATOMIC_RELAXED);
}

static void loop(struct sink *k)
{
    struct sink_common *common = k->common;
    k->began_ns = common->now_ns = tool_now_ns();
    uint64_t tick_ns = k->began_ns + NS_PER_S, messages = 0;
    while (!is_over(k)) {
        const struct heap_node *first = heap_first(&k->timers);
        uint64_t due = first && first->key < tick_ns ? first->key : tick_ns;
        wire_wait(&k->wire, due > common->now_ns ? due - common->now_ns : 1);
        common->now_ns = tool_now_ns();
        wire_reap(&k->wire, on_event, k);
        run_timers(k);
        publish(k);
        if (tool_hangup && k->options->ledger) (void)tool_save_ledger(&common->ledger, k->options->ledger);
        tool_hangup = 0;
        if (common->now_ns < tick_ns) continue;
        struct sink_state state = state_of(k);
        if (!k->options->quiet) sink_progress(&state, messages, common->now_ns - tick_ns + NS_PER_S);
        messages = common->counts.messages;
        tick_ns = common->now_ns + NS_PER_S;
        close_idle(k);
    }
}

int sink_run(const struct sink_options *o, struct sink_common *common)
{
    struct sink *k = calloc(1, sizeof *k);
    struct hash_key key = hash_key_random();
    if (!k) return tool_complain("out of memory", NULL), TOOL_NEGATIVE;
    k->options = o;
    k->common = common;
    common->key = &key;
    tool_signals();
    int result = start(k);
    if (result == TOOL_OK) {
        fputs("mtabench sink: ready\n", stderr);
        loop(k);
        struct sink_state state = state_of(k);
        if (o->json) sink_json(&state);
        else sink_table(&state);
        if (o->ledger && !tool_save_ledger(&common->ledger, o->ledger)) result = TOOL_NEGATIVE;
        finish(k);
    }
    free(k);
    return result;
}
