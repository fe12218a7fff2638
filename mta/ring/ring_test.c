/*
 * Tests of both engines: every case runs on io_uring and on epoll, with the same expectations.
 */
#include "mta/ring/ring.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mta/ring/ops.h"

enum { BUFFERS = 4, BUFFER_BYTES = 1024, DESCRIPTORS = 256, WAIT_MS = 2000, EVENTS = 64 };

static struct ring_options options_of(enum ring_engine engine)
{
    return (struct ring_options){
        .engine = engine,
        .entries = 16,
        .receive_buffers = BUFFERS,
        .receive_buffer_bytes = BUFFER_BYTES,
        .descriptors_max = DESCRIPTORS,
        .sends = true,
        .accepts = true,
    };
}

struct fixture {
    struct ring *ring;
    struct ring_event events[EVENTS]; /* of the last wait */
    uint32_t count;
};

static struct fixture fix;

static int open_ring(enum ring_engine engine)
{
    struct ring_options o = options_of(engine);
    if (ring_open(&fix.ring, &o) != ERR_NONE) return -1;
    return ring_confine(fix.ring) == ERR_NONE ? 0 : -1;
}

static int setup_uring(void **unused)
{
    (void)unused;
    return open_ring(RING_URING);
}

static int setup_epoll(void **unused)
{
    (void)unused;
    return open_ring(RING_EPOLL);
}

static int teardown(void **unused)
{
    (void)unused;
    ring_fini(fix.ring);
    fix.ring = NULL;
    return 0;
}

static struct ring_token token(uint8_t kind, uint32_t index)
{
    return (struct ring_token){.kind = kind, .generation = 0xabcdef, .index = index};
}

/* Waits until something comes, at most WAIT_MS; the engine may come back early with nothing. */
static uint32_t wait_some(uint32_t max)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    do {
        fix.count = ring_wait(fix.ring, fix.events, max, 100);
    } while (fix.count == 0 && clock_mono_ms() < end);
    return fix.count;
}

/* Looks for a while, and expects that nothing comes. */
static void expect_silence(void)
{
    for (int i = 0; i < 3; i++) assert_int_equal(ring_wait(fix.ring, fix.events, EVENTS, 10), 0);
}

static void expect_event(const struct ring_event *e, enum ring_event_type type, uint8_t kind, uint32_t index, int32_t result)
{
    assert_int_equal(e->type, type);
    assert_int_equal(e->token.kind, kind);
    assert_int_equal(e->token.index, index);
    assert_int_equal(e->token.generation, 0xabcdef);
    assert_int_equal(e->result, result);
}

static void expect_one(enum ring_event_type type, uint8_t kind, uint32_t index, int32_t result)
{
    assert_int_equal(wait_some(EVENTS), 1);
    expect_event(&fix.events[0], type, kind, index, result);
}

static void expect_data(const struct ring_event *e, const char *text)
{
    assert_int_equal(e->data.len, strlen(text));
    assert_memory_equal(e->data.ptr, text, e->data.len);
}

static void make_pair(int pair[2], int type)
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static int make_listener(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof *address;
    assert_int_equal(bind(fd, (const struct sockaddr *)address, n), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &n), 0);
    return fd;
}

static int make_client(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* ---- receive ---- */

static void test_receive_data_there_before_is_delivered(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    send_text(p[1], "EHLO x\r\n");
    assert_int_equal(ring_receive(fix.ring, p[0], token(3, 7)), ERR_NONE);
    assert_int_equal(ring_in_flight(fix.ring), 1);
    assert_false(ring_is_idle(fix.ring, p[0]));
    expect_one(RING_RECEIVED, 3, 7, 8);
    expect_data(&fix.events[0], "EHLO x\r\n");
    assert_int_equal(ring_in_flight(fix.ring), 0);
    assert_true(ring_is_idle(fix.ring, p[0]));
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

static void test_receive_data_after_is_delivered_and_again(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    static const char *const texts[] = {"one", "two two", "three"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(ring_receive(fix.ring, p[0], token(1, (uint32_t)i)), ERR_NONE);
        expect_silence();
        send_text(p[1], texts[i]);
        expect_one(RING_RECEIVED, 1, (uint32_t)i, (int32_t)strlen(texts[i]));
        expect_data(&fix.events[0], texts[i]);
    }
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

static void test_receive_more_than_a_buffer_comes_in_pieces(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    uint8_t sent[BUFFER_BYTES * 3 + 100], got[sizeof sent];
    for (size_t i = 0; i < sizeof sent; i++) sent[i] = (uint8_t)(i * 7);
    assert_int_equal(send(p[1], sent, sizeof sent, 0), sizeof sent);
    close(p[1]);
    size_t n = 0;
    for (;;) {
        assert_int_equal(ring_receive(fix.ring, p[0], token(1, 1)), ERR_NONE);
        assert_int_equal(wait_some(EVENTS), 1);
        if (fix.events[0].result == 0) break;
        assert_true(fix.events[0].result > 0 && n + fix.events[0].data.len <= sizeof got);
        memcpy(got + n, fix.events[0].data.ptr, fix.events[0].data.len);
        n += fix.events[0].data.len;
    }
    assert_int_equal(n, sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    ring_close(fix.ring, p[0]);
}

static void test_receive_peer_closes_gives_eof(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    assert_int_equal(ring_receive(fix.ring, p[0], token(1, 1)), ERR_NONE);
    expect_silence();
    close(p[1]);
    expect_one(RING_RECEIVED, 1, 1, 0);
    ring_close(fix.ring, p[0]);
}

static void test_receive_ring_shut_ends_it(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address), client = make_client(&address);
    assert_int_equal(ring_receive(fix.ring, client, token(1, 9)), ERR_NONE);
    expect_silence();
    ring_shut(fix.ring, client);
    expect_one(RING_RECEIVED, 1, 9, 0);
    assert_int_equal(ring_in_flight(fix.ring), 0);
    ring_close(fix.ring, client);
    close(listener);
}

static void test_receive_reset_gives_error(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address), client = make_client(&address);
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(ring_receive(fix.ring, server, token(1, 2)), ERR_NONE);
    expect_silence();
    struct linger hard = {.l_onoff = 1};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(client);
    expect_one(RING_RECEIVED, 1, 2, -ECONNRESET);
    ring_close(fix.ring, server);
    close(listener);
}

/* Urgent data must neither spin nor stop the ordinary data behind it. */
static void test_receive_urgent_data_does_not_block(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address), client = make_client(&address);
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(ring_receive(fix.ring, server, token(1, 2)), ERR_NONE);
    assert_int_equal(send(client, "u", 1, MSG_OOB), 1);
    expect_silence();
    send_text(client, "NOOP\r\n");
    expect_one(RING_RECEIVED, 1, 2, 6);
    ring_close(fix.ring, server);
    close(client);
    close(listener);
}

/* More connections have data than there are buffers: all are served, in several turns, and nobody hears of it. */
static void test_receive_out_of_buffers_is_retried(void **unused)
{
    (void)unused;
    enum { PAIRS = 3 * BUFFERS };
    int p[PAIRS][2];
    bool seen[PAIRS] = {false};
    for (uint32_t i = 0; i < PAIRS; i++) {
        make_pair(p[i], SOCK_STREAM);
        char text[16];
        (void)snprintf(text, sizeof text, "text %u", (unsigned)i);
        send_text(p[i][1], text);
        assert_int_equal(ring_receive(fix.ring, p[i][0], token(1, i)), ERR_NONE);
    }
    for (uint32_t got = 0; got < PAIRS; got += fix.count) {
        assert_true(wait_some(EVENTS) > 0);
        assert_true(fix.count <= BUFFERS);
        for (uint32_t k = 0; k < fix.count; k++) {
            uint32_t i = fix.events[k].token.index;
            char text[16];
            (void)snprintf(text, sizeof text, "text %u", (unsigned)i);
            assert_false(seen[i]);
            seen[i] = true;
            expect_data(&fix.events[k], text);
        }
    }
    assert_int_equal(ring_in_flight(fix.ring), 0);
    for (uint32_t i = 0; i < PAIRS; i++) {
        ring_close(fix.ring, p[i][0]);
        close(p[i][1]);
    }
}

static void test_receive_lent_data_stays_until_next_wait(void **unused)
{
    (void)unused;
    int p[2], q[2];
    make_pair(p, SOCK_STREAM);
    make_pair(q, SOCK_STREAM);
    send_text(p[1], "first");
    send_text(q[1], "second");
    assert_int_equal(ring_receive(fix.ring, p[0], token(1, 0)), ERR_NONE);
    assert_int_equal(wait_some(EVENTS), 1);
    struct bytes first = fix.events[0].data;
    assert_int_equal(ring_receive(fix.ring, q[0], token(1, 1)), ERR_NONE);
    assert_memory_equal(first.ptr, "first", 5);
    assert_int_equal(wait_some(EVENTS), 1);
    expect_data(&fix.events[0], "second");
    ring_close(fix.ring, p[0]);
    ring_close(fix.ring, q[0]);
    close(p[1]);
    close(q[1]);
}

/* ---- send ---- */

static void test_send_arrives(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    assert_int_equal(ring_send(fix.ring, p[0], token(2, 5), (const uint8_t *)"220 hello\r\n", 11), ERR_NONE);
    assert_int_equal(ring_in_flight(fix.ring), 1);
    expect_one(RING_SENT, 2, 5, 11);
    char got[32];
    assert_int_equal(recv(p[1], got, sizeof got, 0), 11);
    assert_memory_equal(got, "220 hello\r\n", 11);
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

static void test_send_full_socket_waits_for_room(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    static const uint8_t chunk[65536];
    size_t sent = 0;
    while (send(p[0], chunk, sizeof chunk, MSG_NOSIGNAL) > 0) sent += sizeof chunk;
    while (send(p[0], chunk, 1, MSG_NOSIGNAL) > 0) sent++;
    assert_true(sent > 0);
    assert_int_equal(ring_send(fix.ring, p[0], token(2, 5), chunk, sizeof chunk), ERR_NONE);
    expect_silence();
    static uint8_t sink[65536];
    while (recv(p[1], sink, sizeof sink, 0) > 0) continue;
    assert_int_equal(wait_some(EVENTS), 1);
    assert_int_equal(fix.events[0].type, RING_SENT);
    assert_true(fix.events[0].result > 0);
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

static void test_send_peer_gone_gives_error_without_signal(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    close(p[1]);
    assert_int_equal(ring_send(fix.ring, p[0], token(2, 5), (const uint8_t *)"x", 1), ERR_NONE);
    expect_one(RING_SENT, 2, 5, -EPIPE);
    ring_close(fix.ring, p[0]);
}

static void test_send_blocked_ring_shut_ends_it(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address), client = make_client(&address);
    static const uint8_t chunk[65536];
    while (send(client, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
    assert_int_equal(ring_send(fix.ring, client, token(2, 5), chunk, sizeof chunk), ERR_NONE);
    assert_int_equal(ring_receive(fix.ring, client, token(1, 5)), ERR_NONE);
    expect_silence();
    ring_shut(fix.ring, client);
    for (uint32_t got = 0; got < 2; got += fix.count) assert_true(wait_some(EVENTS) > 0);
    assert_int_equal(ring_in_flight(fix.ring), 0);
    ring_close(fix.ring, client);
    close(listener);
}

static void test_send_and_receive_beside_each_other(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_STREAM);
    assert_int_equal(ring_receive(fix.ring, p[0], token(1, 5)), ERR_NONE);
    assert_int_equal(ring_send(fix.ring, p[0], token(2, 5), (const uint8_t *)"ping", 4), ERR_NONE);
    expect_one(RING_SENT, 2, 5, 4);
    send_text(p[1], "pong");
    expect_one(RING_RECEIVED, 1, 5, 4);
    expect_data(&fix.events[0], "pong");
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

/* ---- accept ---- */

static void test_accept_many_connections_until_unwatched(void **unused)
{
    (void)unused;
    enum { CLIENTS = 40 };
    struct sockaddr_in address;
    int listener = make_listener(&address), clients[CLIENTS];
    assert_int_equal(ring_accept(fix.ring, listener, token(4, 1)), ERR_NONE);
    expect_silence();
    for (int i = 0; i < CLIENTS; i++) clients[i] = make_client(&address);
    for (uint32_t got = 0; got < CLIENTS; got += fix.count) {
        assert_true(wait_some(7) > 0);
        for (uint32_t i = 0; i < fix.count; i++) {
            assert_int_equal(fix.events[i].type, RING_ACCEPTED);
            assert_true(fix.events[i].result >= 0);
            ring_close(fix.ring, fix.events[i].result);
        }
    }
    expect_silence();
    assert_int_equal(ring_in_flight(fix.ring), 1);
    ring_unwatch(fix.ring, listener);
    expect_one(RING_ACCEPTED, 4, 1, -ECANCELED);
    assert_int_equal(ring_in_flight(fix.ring), 0);
    int late = make_client(&address);
    expect_silence();
    assert_int_equal(ring_accept(fix.ring, listener, token(4, 2)), ERR_NONE);
    assert_int_equal(wait_some(EVENTS), 1);
    ring_close(fix.ring, fix.events[0].result);
    ring_unwatch(fix.ring, listener);
    expect_one(RING_ACCEPTED, 4, 2, -ECANCELED);
    ring_close(fix.ring, listener);
    close(late);
    for (int i = 0; i < CLIENTS; i++) close(clients[i]);
}

static void test_accept_unwatched_before_wait_ends(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address);
    assert_int_equal(ring_accept(fix.ring, listener, token(4, 1)), ERR_NONE);
    ring_unwatch(fix.ring, listener);
    ring_unwatch(fix.ring, listener);
    expect_one(RING_ACCEPTED, 4, 1, -ECANCELED);
    ring_close(fix.ring, listener);
}

static void test_accept_no_descriptors_left_ends_with_error(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address), client = make_client(&address);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){3, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(ring_accept(fix.ring, listener, token(4, 1)), ERR_NONE);
    uint32_t count = wait_some(EVENTS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(count, 1);
    expect_event(&fix.events[0], RING_ACCEPTED, 4, 1, -EMFILE);
    assert_int_equal(ring_accept(fix.ring, listener, token(4, 1)), ERR_NONE);
    assert_int_equal(wait_some(EVENTS), 1);
    assert_true(fix.events[0].result >= 0);
    ring_close(fix.ring, fix.events[0].result);
    ring_unwatch(fix.ring, listener);
    expect_one(RING_ACCEPTED, 4, 1, -ECANCELED);
    ring_close(fix.ring, listener);
    close(client);
}

static void test_accepted_descriptor_is_nonblocking_and_close_on_exec(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address), client = make_client(&address);
    assert_int_equal(ring_accept(fix.ring, listener, token(4, 1)), ERR_NONE);
    assert_int_equal(wait_some(EVENTS), 1);
    int fd = fix.events[0].result;
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    ring_close(fix.ring, fd);
    ring_unwatch(fix.ring, listener);
    assert_int_equal(wait_some(EVENTS), 1);
    ring_close(fix.ring, listener);
    close(client);
}

/* ---- watch ---- */

static void test_watch_tells_each_arrival(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_SEQPACKET);
    send_text(p[1], "there before");
    assert_int_equal(ring_watch(fix.ring, p[0], token(5, 1)), ERR_NONE);
    char got[32];
    for (int i = 0; i < 20; i++) {
        assert_true(wait_some(EVENTS) > 0);
        expect_event(&fix.events[0], RING_READY, 5, 1, RING_READABLE);
        while (recv(p[0], got, sizeof got, 0) > 0) continue;
        send_text(p[1], "next");
    }
    assert_int_equal(ring_in_flight(fix.ring), 0);
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

static void test_watch_peer_closes_tells_hangup(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_SEQPACKET);
    assert_int_equal(ring_watch(fix.ring, p[0], token(5, 1)), ERR_NONE);
    expect_silence();
    close(p[1]);
    assert_true(wait_some(EVENTS) > 0);
    assert_int_equal(fix.events[0].type, RING_READY);
    assert_true(fix.events[0].result & RING_HANGUP);
    ring_close(fix.ring, p[0]);
}

static void test_watch_unwatched_is_silent(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_SEQPACKET);
    assert_int_equal(ring_watch(fix.ring, p[0], token(5, 1)), ERR_NONE);
    expect_silence();
    send_text(p[1], "x");
    ring_unwatch(fix.ring, p[0]);
    expect_silence();
    assert_int_equal(ring_watch(fix.ring, p[0], token(5, 2)), ERR_NONE);
    assert_true(wait_some(EVENTS) > 0);
    expect_event(&fix.events[0], RING_READY, 5, 2, RING_READABLE);
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

/* A descriptor number that is used again must not hear of its predecessor. */
static void test_watch_closed_and_number_reused_is_silent(void **unused)
{
    (void)unused;
    int p[2], keep[2];
    make_pair(p, SOCK_SEQPACKET);
    int copy = dup(p[0]);
    assert_int_equal(ring_watch(fix.ring, p[0], token(5, 1)), ERR_NONE);
    expect_silence();
    send_text(p[1], "x");
    int number = p[0];
    ring_close(fix.ring, p[0]);
    make_pair(keep, SOCK_SEQPACKET);
    assert_int_equal(keep[0], number);
    assert_int_equal(ring_watch(fix.ring, keep[0], token(5, 2)), ERR_NONE);
    send_text(p[1], "y");
    expect_silence();
    send_text(keep[1], "z");
    assert_true(wait_some(EVENTS) > 0);
    expect_event(&fix.events[0], RING_READY, 5, 2, RING_READABLE);
    ring_close(fix.ring, keep[0]);
    close(keep[1]);
    close(copy);
    close(p[1]);
}

static void test_watch_eventfd(void **unused)
{
    (void)unused;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(ring_watch(fix.ring, fd, token(5, 1)), ERR_NONE);
    expect_silence();
    uint64_t one = 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(fd, &one, sizeof one), sizeof one);
        assert_true(wait_some(EVENTS) > 0);
        uint64_t value;
        assert_int_equal(read(fd, &value, sizeof value), sizeof value);
    }
    ring_close(fix.ring, fd);
}

static void test_await_writable_full_channel_tells_room_once(void **unused)
{
    (void)unused;
    int p[2];
    make_pair(p, SOCK_SEQPACKET);
    assert_int_equal(ring_watch(fix.ring, p[0], token(5, 1)), ERR_NONE);
    static char record[4096];
    while (send(p[0], record, sizeof record, 0) > 0) continue;
    assert_int_equal(ring_await_writable(fix.ring, p[0], token(6, 1)), ERR_NONE);
    assert_int_equal(ring_await_writable(fix.ring, p[0], token(6, 2)), ERR_NONE);
    expect_silence();
    while (recv(p[1], record, sizeof record, 0) > 0) continue;
    expect_one(RING_READY, 6, 2, RING_WRITABLE);
    expect_silence();
    send_text(p[1], "x");
    assert_true(wait_some(EVENTS) > 0);
    expect_event(&fix.events[0], RING_READY, 5, 1, RING_READABLE);
    ring_close(fix.ring, p[0]);
    close(p[1]);
}

static void test_await_writable_connect_under_way_then_stream(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    int listener = make_listener(&address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(fd, (const struct sockaddr *)&address, sizeof address);
    assert_int_equal(ring_await_writable(fix.ring, fd, token(7, 3)), ERR_NONE);
    expect_one(RING_READY, 7, 3, RING_WRITABLE);
    int server = accept(listener, NULL, NULL);
    assert_int_equal(ring_receive(fix.ring, fd, token(1, 3)), ERR_NONE);
    expect_silence();
    send_text(server, "220 ready\r\n");
    expect_one(RING_RECEIVED, 1, 3, 11);
    ring_close(fix.ring, fd);
    close(server);
    close(listener);
}

static void test_await_writable_connect_refused_tells_hangup(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    close(make_listener(&address));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(fd, (const struct sockaddr *)&address, sizeof address);
    assert_int_equal(ring_await_writable(fix.ring, fd, token(7, 3)), ERR_NONE);
    assert_int_equal(wait_some(EVENTS), 1);
    assert_true(fix.events[0].result & RING_HANGUP);
    ring_close(fix.ring, fd);
}

/* ---- wait ---- */

static void test_wait_events_beyond_max_come_later(void **unused)
{
    (void)unused;
    enum { PAIRS = 30 };
    int p[PAIRS][2];
    for (uint32_t i = 0; i < PAIRS; i++) {
        make_pair(p[i], SOCK_STREAM);
        assert_int_equal(ring_send(fix.ring, p[i][0], token(2, i), (const uint8_t *)"x", 1), ERR_NONE);
    }
    bool seen[PAIRS] = {false};
    for (uint32_t got = 0; got < PAIRS; got += fix.count) {
        assert_true(wait_some(7) > 0);
        assert_true(fix.count <= 7);
        for (uint32_t k = 0; k < fix.count; k++) {
            assert_false(seen[fix.events[k].token.index]);
            seen[fix.events[k].token.index] = true;
        }
    }
    expect_silence();
    for (uint32_t i = 0; i < PAIRS; i++) {
        ring_close(fix.ring, p[i][0]);
        close(p[i][1]);
    }
}

static void test_wait_timeout_is_kept(void **unused)
{
    (void)unused;
    uint64_t start = clock_mono_ms();
    assert_int_equal(ring_wait(fix.ring, fix.events, EVENTS, 60), 0);
    assert_true(clock_mono_ms() - start >= 55);
    start = clock_mono_ms();
    assert_int_equal(ring_wait(fix.ring, fix.events, EVENTS, 0), 0);
    assert_true(clock_mono_ms() - start < 50);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static void test_wait_signal_interrupts(void **unused)
{
    (void)unused;
    struct sigaction action = {.sa_handler = on_alarm}, before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    struct itimerval in_50_ms = {.it_value.tv_usec = 50000};
    assert_int_equal(setitimer(ITIMER_REAL, &in_50_ms, NULL), 0);
    assert_int_equal(ring_wait(fix.ring, fix.events, EVENTS, UINT64_MAX), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void test_request_descriptor_too_high_is_refused(void **unused)
{
    (void)unused;
    assert_int_equal(ring_receive(fix.ring, DESCRIPTORS, token(1, 1)), ERR_FULL);
    assert_int_equal(ring_watch(fix.ring, DESCRIPTORS + 1, token(1, 1)), ERR_FULL);
    assert_int_equal(ring_in_flight(fix.ring), 0);
}

static void test_probe_forbidden_operations_are_refused(void **unused)
{
    (void)unused;
    struct ring_probe probe = {.options = options_of(ring_engine_of(fix.ring))};
    assert_int_equal(ring_probe_make(&probe), ERR_NONE);
    pid_t twin = fork();
    if (twin == 0) _exit(ring_probe_enter(&probe) == ERR_NONE && ring_probe_try(&probe) == ERR_NONE ? 0 : 1);
    int status = -1;
    assert_true(twin > 0 && waitpid(twin, &status, 0) == twin && status == 0);
    ring_probe_unmake(&probe);
    assert_int_equal(ring_is_restricted(fix.ring), ring_engine_of(fix.ring) == RING_URING);
}

/* The two limits that a confined process has, and that io_uring is sensitive to. */
static void test_ring_works_without_new_processes(void **unused)
{
    (void)unused;
    enum ring_engine engine = ring_engine_of(fix.ring);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        int p[2];
        bool ok = socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && setrlimit(RLIMIT_NPROC, &none) == 0;
        if (geteuid() == 0) ok = setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0 && ok;
        ok = ok && open_ring(engine) == 0 && ring_receive(fix.ring, p[0], token(1, 1)) == ERR_NONE;
        ok = ok && ring_wait(fix.ring, fix.events, EVENTS, 50) == 0 && write(p[1], "x", 1) == 1;
        _exit(ok && wait_some(EVENTS) == 1 && fix.events[0].result == 1 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- without an engine ---- */

static void test_pack_round_trip(void **unused)
{
    (void)unused;
    static const struct ring_token tokens[] = {{0, 0, 0}, {255, 0xffffff, UINT32_MAX}, {1, 2, 3}};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct ring_token t = ring_unpack_token(ring_pack_token(tokens[i]));
        assert_int_equal(t.kind, tokens[i].kind);
        assert_int_equal(t.generation, tokens[i].generation);
        assert_int_equal(t.index, tokens[i].index);
    }
}

static void test_open_auto_gives_an_engine(void **unused)
{
    (void)unused;
    struct ring_options o = options_of(RING_AUTO);
    struct ring *r = NULL;
    assert_int_equal(ring_open(&r, &o), ERR_NONE);
    assert_int_equal(ring_confine(r), ERR_NONE);
    assert_true(ring_engine_of(r) == RING_URING || ring_engine_of(r) == RING_EPOLL);
    assert_string_equal(ring_engine_name(ring_engine_of(r)), ring_engine_of(r) == RING_URING ? "io_uring" : "epoll");
    ring_fini(r);
}

#define ENGINE_TESTS(engine) \
    TEST(engine, test_receive_data_there_before_is_delivered), TEST(engine, test_receive_data_after_is_delivered_and_again), \
    TEST(engine, test_receive_more_than_a_buffer_comes_in_pieces), TEST(engine, test_receive_peer_closes_gives_eof), \
    TEST(engine, test_receive_ring_shut_ends_it), TEST(engine, test_receive_reset_gives_error), \
    TEST(engine, test_receive_urgent_data_does_not_block), TEST(engine, test_receive_out_of_buffers_is_retried), \
    TEST(engine, test_receive_lent_data_stays_until_next_wait), TEST(engine, test_send_arrives), \
    TEST(engine, test_send_full_socket_waits_for_room), TEST(engine, test_send_peer_gone_gives_error_without_signal), \
    TEST(engine, test_send_blocked_ring_shut_ends_it), TEST(engine, test_send_and_receive_beside_each_other), \
    TEST(engine, test_accept_many_connections_until_unwatched), TEST(engine, test_accept_unwatched_before_wait_ends), \
    TEST(engine, test_accept_no_descriptors_left_ends_with_error), \
    TEST(engine, test_accepted_descriptor_is_nonblocking_and_close_on_exec), TEST(engine, test_watch_tells_each_arrival), \
    TEST(engine, test_watch_peer_closes_tells_hangup), TEST(engine, test_watch_unwatched_is_silent), \
    TEST(engine, test_watch_closed_and_number_reused_is_silent), TEST(engine, test_watch_eventfd), \
    TEST(engine, test_await_writable_full_channel_tells_room_once), \
    TEST(engine, test_await_writable_connect_under_way_then_stream), \
    TEST(engine, test_await_writable_connect_refused_tells_hangup), TEST(engine, test_wait_events_beyond_max_come_later), \
    TEST(engine, test_wait_timeout_is_kept), TEST(engine, test_wait_signal_interrupts), \
    TEST(engine, test_request_descriptor_too_high_is_refused), TEST(engine, test_probe_forbidden_operations_are_refused), \
    TEST(engine, test_ring_works_without_new_processes)

#define TEST(engine, function) {#engine ": " #function, function, setup_##engine, teardown, NULL}

static bool uring_is_refused_here(void)
{
    struct ring_options o = options_of(RING_URING);
    struct ring *r = NULL;
    enum err e = ring_open(&r, &o);
    if (e == ERR_NONE) ring_fini(r);
    return e == ERR_UNSUPPORTED;
}

int main(void)
{
    const struct CMUnitTest plain[] = {
        cmocka_unit_test(test_pack_round_trip),
        cmocka_unit_test(test_open_auto_gives_an_engine),
    };
    const struct CMUnitTest uring[] = {ENGINE_TESTS(uring)};
    const struct CMUnitTest epoll[] = {ENGINE_TESTS(epoll)};
    int failed = cmocka_run_group_tests_name("ring", plain, NULL, NULL);
    failed += cmocka_run_group_tests_name("ring epoll", epoll, NULL, NULL);
    if (uring_is_refused_here()) {
        print_message("io_uring is refused here: its tests are skipped\n");
        return failed != 0 ? 1 : 77;
    }
    failed += cmocka_run_group_tests_name("ring io_uring", uring, NULL, NULL);
    return failed != 0;
}
