/* Tests of the message table's codec and of channels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mta/ipc/codec.h"
#include "mta/ipc/hosts.h"
#include "mta/ipc/ipc.h"

/* ---- every message, by the table ---- */

typedef enum err (*decode_fn)(struct bytes in, void *m);
typedef enum err (*encode_fn)(struct buf *out, const void *m);

/* One wrapper a message, so that the tests below can walk them all. */
union any_message {
#define ANY_MEMBER(id, NAME, name, from, to, fd, FIELDS) struct ipc_##name name;
    IPC_MESSAGES(ANY_MEMBER)
};
#define ANY_CODEC(id, NAME, name, from, to, fd, FIELDS) \
    static enum err decode_##name(struct bytes in, void *m) { return ipc_decode_##name(in, m); } \
    static enum err encode_##name(struct buf *out, const void *m) { return ipc_encode_##name(out, m); } \
    static uint32_t size_##name(const void *m) { return ipc_size_##name(m); }
IPC_MESSAGES(ANY_CODEC)

#define FILL_u8(max) ((max) != 0 ? (max) : 0xa5)
#define FILL_u16(max) ((max) != 0 ? (max) : 0xa5a6)
#define FILL_u32(max) ((max) != 0 ? (max) : 0xa5a6a7a8u)
#define FILL_u64(max) ((max) != 0 ? (max) : 0xa5a6a7a8a9aaabacu)
#define FILL_i64(max) (-77)
#define FILL_bytes(max) bytes_of(filler, (max) < 300 ? (max) : 300)
#define FILL_id(max) ((struct message_id){0x0123456789abcdefu})
#define FILL_addr(max) ((struct net_address){.family = NET_IPV4, .ip = {192, 0, 2, 1}, .port = 25})
#define FIELD_FILL(kind, name, max) m->name = FILL_##kind(max);
static const uint8_t filler[300] = {'x', 0, 255};
#define ANY_FILL(id, NAME, name, from, to, fd, FIELDS) \
    static void fill_##name(void *any) \
    { \
        struct ipc_##name *m = any; \
        FIELDS(FIELD_FILL) \
    }
IPC_MESSAGES(ANY_FILL)

static const struct {
    enum ipc_type type;
    decode_fn decode;
    encode_fn encode;
    uint32_t (*size)(const void *m);
    void (*fill)(void *m);
} messages[] = {
#define ANY_ROW(id, NAME, name, from, to, fd, FIELDS) {IPC_##NAME, decode_##name, encode_##name, size_##name, fill_##name},
    IPC_MESSAGES(ANY_ROW)
};
enum { MESSAGES = sizeof(messages) / sizeof(messages[0]) };

static uint8_t memory[IPC_RECORD_BYTES_MAX], again_memory[IPC_RECORD_BYTES_MAX];

static struct bytes encoded(uint32_t i)
{
    union any_message m;
    memset(&m, 0, sizeof(m));
    messages[i].fill(&m);
    struct buf out = BUF_OVER(memory);
    assert_int_equal(messages[i].encode(&out, &m), ERR_NONE);
    assert_int_equal(out.len, messages[i].size(&m));
    return buf_bytes(&out);
}

static void test_codec_every_message_round_trips(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        union any_message m;
        struct bytes first = encoded(i);
        assert_int_equal(messages[i].decode(first, &m), ERR_NONE);
        struct buf again = BUF_OVER(again_memory);
        assert_int_equal(messages[i].encode(&again, &m), ERR_NONE);
        assert_true(bytes_equal(first, buf_bytes(&again)));
    }
}

static void test_codec_every_truncation_is_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct bytes whole = encoded(i);
        for (uint32_t n = 0; n < whole.len; n++) {
            union any_message m;
            assert_int_equal(messages[i].decode(bytes_slice(whole, 0, n), &m), ERR_SHORT);
        }
    }
}

static void test_codec_one_octet_more_is_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        union any_message m;
        struct bytes whole = encoded(i);
        memory[whole.len] = 0;
        assert_int_equal(messages[i].decode(bytes_of(memory, whole.len + 1), &m), ERR_TRAILING);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_codec_random_octets_decode_or_are_refused(void **state)
{
    (void)state;
    uint32_t seed = 1, good = 0;
    for (uint32_t round = 0; round < 4000; round++) {
        for (uint32_t i = 0; i < MESSAGES; i++) {
            uint8_t octets[160];
            uint32_t n = next_random(&seed) % sizeof(octets);
            for (uint32_t k = 0; k < n; k++) octets[k] = next_random(&seed) % 4 != 0 ? 0 : (uint8_t)next_random(&seed);
            union any_message m;
            if (messages[i].decode(bytes_of(octets, n), &m) != ERR_NONE) continue;
            good++;
            struct buf again = BUF_OVER(again_memory); /* what was taken is within its ranges: it can be sent on */
            assert_int_equal(messages[i].encode(&again, &m), ERR_NONE);
            assert_true(bytes_equal(bytes_of(octets, n), buf_bytes(&again)));
        }
    }
    assert_true(good > 0);
}

static void test_codec_value_over_maximum_is_refused_both_ways(void **state)
{
    (void)state;
    struct ipc_commit m = {.ret = 3};
    struct buf out = BUF_OVER(memory);
    assert_int_equal(ipc_encode_commit(&out, &m), ERR_BAD_VALUE);
    struct ipc_commit got;
    assert_int_equal(ipc_decode_commit(buf_bytes(&out), &got), ERR_BAD_VALUE);

    static const uint8_t long_helo[HOST_NAME_BYTES_MAX + 1];
    m = (struct ipc_commit){.helo = {long_helo, sizeof(long_helo)}};
    out = BUF_OVER(memory);
    assert_int_equal(ipc_encode_commit(&out, &m), ERR_TOO_LONG);
    assert_int_equal(ipc_decode_commit(buf_bytes(&out), &got), ERR_TOO_LONG);
}

static void test_codec_address_has_one_form(void **state)
{
    (void)state;
    static const struct { struct net_address a; enum err want; } cases[] = {
        {{.family = NET_NONE}, ERR_NONE},
        {{.family = NET_IPV4, .ip = {127, 0, 0, 1}}, ERR_NONE},
        {{.family = NET_IPV6, .ip = {[15] = 1}}, ERR_NONE},
        {{.family = NET_IPV4, .ip = {127, 0, 0, 1, 9}}, ERR_BAD_VALUE},
        {{.family = NET_NONE, .ip = {1}}, ERR_BAD_VALUE},
        {{.family = 5}, ERR_BAD_VALUE},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ipc_listener m = {.address = cases[i].a}, got;
        struct buf out = BUF_OVER(memory);
        assert_int_equal(ipc_encode_listener(&out, &m), ERR_NONE);
        assert_int_equal(ipc_decode_listener(buf_bytes(&out), &got), cases[i].want);
    }
}

static void test_table_names_and_directions(void **state)
{
    (void)state;
    static const struct { enum ipc_type type; enum ipc_role from, to; bool want; } cases[] = {
        {IPC_COMMIT, ROLE_RECEIVER, ROLE_MANAGER, true},
        {IPC_COMMIT, ROLE_MANAGER, ROLE_RECEIVER, false},
        {IPC_COMMIT, ROLE_DELIVER, ROLE_MANAGER, false},
        {IPC_READY, ROLE_DELIVER, ROLE_MASTER, true},
        {IPC_READY, ROLE_MASTER, ROLE_MASTER, false},
        {IPC_READY, ROLE_DELIVER, ROLE_MANAGER, false},
        {IPC_DIED, ROLE_MASTER, ROLE_MANAGER, true},
        {IPC_DIED, ROLE_RECEIVER, ROLE_MANAGER, false},
        {IPC_NONE, ROLE_MASTER, ROLE_MANAGER, false},
        {(enum ipc_type)65535, ROLE_MASTER, ROLE_MANAGER, false},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(ipc_direction_ok(cases[i].type, cases[i].from, cases[i].to), cases[i].want);
    assert_string_equal(ipc_type_name(IPC_COMMIT), "COMMIT");
    assert_string_equal(ipc_type_name((enum ipc_type)5000), "unknown");
    assert_true(ipc_roles_talk(ROLE_RECEIVER, ROLE_MANAGER));
    assert_true(ipc_roles_talk(ROLE_DELIVER, ROLE_CONNECTOR));
    assert_false(ipc_roles_talk(ROLE_RECEIVER, ROLE_DELIVER));
    assert_false(ipc_roles_talk(ROLE_DELIVER, ROLE_DELIVER));
    assert_string_equal(ipc_role_name(ROLE_MANAGER), "manager");
    assert_string_equal(ipc_role_user(ROLE_MANAGER), "_mta-manager");
}

static void test_print_foreign_octets_are_escaped(void **state)
{
    (void)state;
    struct ipc_refused m = {.transaction = 7, .code = 452, .text = BYTES("a\nb")};
    struct buf body = BUF_OVER(memory);
    assert_int_equal(ipc_encode_refused(&body, &m), ERR_NONE);
    struct buf out = BUF_OVER(again_memory);
    ipc_print(&out, IPC_REFUSED, buf_bytes(&body));
    assert_true(bytes_equal(buf_bytes(&out),
        BYTES("REFUSED transaction=7 code=452 enhanced_class=0 enhanced_subject=0 enhanced_detail=0 text=a\\x0ab")));
    out = BUF_OVER(again_memory);
    ipc_print(&out, IPC_REFUSED, BYTES("x"));
    assert_true(bytes_starts(buf_bytes(&out), BYTES("REFUSED (")));
}

/* ---- lists inside messages ---- */

static void test_hosts_round_trip_and_truncations(void **state)
{
    (void)state;
    struct host h = {.preference = 10, .name = BYTES("mx.example.com"), .address_count = 2,
        .addresses = {{.family = NET_IPV4, .ip = {192, 0, 2, 1}}, {.family = NET_IPV6, .ip = {0x20, 1}}}};
    struct buf list = BUF_OVER(memory);
    host_put(&list, &h);
    host_put(&list, &h);
    uint32_t half = list.len / 2;
    for (uint32_t n = 0; n <= list.len; n++) {
        struct cursor c = cursor_over(bytes_of(memory, n));
        struct host got;
        uint32_t count = 0;
        while (host_next(&c, &got)) count++;
        assert_int_equal(count, n / half);
        assert_int_equal(c.failed, n % half != 0);
    }
    struct buf tiny = buf_over(again_memory, half - 1);
    host_put(&tiny, &h);
    assert_true(tiny.overflow && tiny.len == 0);
}

static void test_addresses_round_trip_and_bad_family(void **state)
{
    (void)state;
    struct net_address a = {.family = NET_IPV6, .ip = {0xfe, 0x80}, .port = 2525}, got;
    struct buf list = BUF_OVER(memory);
    address_put(&list, &a);
    struct cursor c = cursor_over(buf_bytes(&list));
    assert_true(address_next(&c, &got));
    assert_true(net_same_ip(&a, &got) && got.port == 2525);
    assert_false(address_next(&c, &got));
    assert_false(c.failed);
    memory[0] = 9;
    c = cursor_over(buf_bytes(&list));
    assert_false(address_next(&c, &got));
    assert_true(c.failed);
}

/* ---- channels ---- */

struct pair {
    struct ipc_channel *manager, *receiver; /* the manager's end and the receiver's */
    int raw;                                /* instead of the receiver's end: what a liar writes to */
};

static void open_pair(struct pair *p, bool raw)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *p = (struct pair){.raw = -1};
    struct ipc_options at_manager = {.self = ROLE_MANAGER, .peer = ROLE_RECEIVER, .peer_index = 3, .peer_epoch = 9};
    struct ipc_options at_receiver = {.self = ROLE_RECEIVER, .peer = ROLE_MANAGER, .write_only = true};
    assert_int_equal(ipc_open(&p->manager, ends[0], &at_manager), ERR_NONE);
    if (raw) p->raw = ends[1];
    else assert_int_equal(ipc_open(&p->receiver, ends[1], &at_receiver), ERR_NONE);
}

static void close_pair(struct pair *p)
{
    ipc_close(p->manager);
    ipc_close(p->receiver);
    if (p->raw >= 0) close(p->raw);
}

static void test_channel_records_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p, false);
    assert_int_equal(ipc_peer_index(p.manager), 3);
    assert_int_equal(ipc_peer_epoch(p.manager), 9);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(ipc_send_body_drop(p.receiver, &(struct ipc_body_drop){.body = i}, -1), ERR_NONE);
    assert_true(ipc_waiting_bytes(p.receiver) > 0);
    assert_int_equal(ipc_flush(p.receiver), ERR_NONE);
    assert_int_equal(ipc_waiting_bytes(p.receiver), 0);

    uint64_t next = 0;
    uint32_t n;
    enum err e;
    struct ipc_record records[IPC_BATCH];
    do {
        n = ipc_receive(p.manager, records, IPC_BATCH, &e);
        assert_int_equal(e, ERR_NONE);
        for (uint32_t i = 0; i < n; i++, next++) {
            struct ipc_body_drop m;
            assert_int_equal(records[i].type, IPC_BODY_DROP);
            assert_int_equal(ipc_decode_body_drop(records[i].body, &m), ERR_NONE);
            assert_int_equal(m.body, next);
        }
    } while (n == IPC_BATCH);
    assert_int_equal(next, 100);
    close_pair(&p);
}

static void test_channel_descriptor_travels_with_its_record(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p, false);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(ipc_send_committed(p.manager, &(struct ipc_committed){.transaction = 1}, -1), ERR_NONE);
    assert_int_equal(ipc_send_body_file(p.manager, &(struct ipc_body_file){.body = 5}, ends[1]), ERR_NONE);
    assert_int_equal(ipc_flush(p.manager), ERR_NONE);
    assert_int_equal(fcntl(ends[1], F_GETFD), -1); /* taken over, and closed once sent */

    enum err e;
    struct ipc_record records[IPC_BATCH];
    assert_int_equal(ipc_receive(p.receiver, records, IPC_BATCH, &e), 2);
    assert_int_equal(records[0].fd, -1);
    assert_true(records[1].fd >= 0);
    assert_true(fcntl(records[1].fd, F_GETFD) & FD_CLOEXEC);
    char c = 0;
    assert_int_equal(write(records[1].fd, "!", 1), 1);
    assert_int_equal(read(ends[0], &c, 1), 1);
    assert_int_equal(c, '!');
    close(records[1].fd);
    close(ends[0]);
    close_pair(&p);
}

static void test_channel_full_socket_keeps_records_until_there_is_room(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p, false);
    static uint8_t content[BODY_INLINE_BYTES_MAX];
    uint64_t sent = 0, next = 0;
    uint32_t seed = 3;
    enum err e;
    struct ipc_record records[IPC_BATCH];
    /* Several times around the ring, with records of all sizes, until the queue is full, then half empty, and again. */
    for (uint32_t round = 0; round < 12; round++) {
        for (;;) {
            struct ipc_commit m = {.transaction = sent, .content = bytes_of(content, next_random(&seed) % sizeof(content))};
            e = ipc_send_commit(p.receiver, &m, -1);
            if (e != ERR_NONE) break;
            sent++;
        }
        assert_int_equal(e, ERR_FULL);
        for (uint32_t some = 0; some < 10 + round * 7; some++) {
            assert_int_equal(ipc_flush(p.receiver), ERR_NONE);
            uint32_t n = ipc_receive(p.manager, records, 2 + round % 3, &e);
            for (uint32_t i = 0; i < n; i++, next++) {
                struct ipc_commit got;
                assert_int_equal(ipc_decode_commit(records[i].body, &got), ERR_NONE);
                assert_int_equal(got.transaction, next);
            }
            assert_int_equal(e, ERR_NONE);
        }
    }
    while (next < sent) {
        assert_int_equal(ipc_flush(p.receiver), ERR_NONE);
        uint32_t n = ipc_receive(p.manager, records, IPC_BATCH, &e);
        assert_int_equal(e, ERR_NONE);
        assert_true(n > 0);
        next += n;
    }
    assert_int_equal(ipc_waiting_bytes(p.receiver), 0);
    close_pair(&p);
}

static void test_channel_records_of_a_dead_peer_are_read_before_its_end(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p, false);
    /* Something unread on the dying side makes the kernel report a reset first. */
    assert_int_equal(ipc_send_committed(p.manager, &(struct ipc_committed){.transaction = 1}, -1), ERR_NONE);
    assert_int_equal(ipc_flush(p.manager), ERR_NONE);
    assert_int_equal(ipc_send_body_drop(p.receiver, &(struct ipc_body_drop){.body = 8}, -1), ERR_NONE);
    assert_int_equal(ipc_flush(p.receiver), ERR_NONE);
    ipc_close(p.receiver);
    p.receiver = NULL;

    enum err e;
    struct ipc_record records[IPC_BATCH];
    assert_int_equal(ipc_receive(p.manager, records, IPC_BATCH, &e), 1);
    assert_int_equal(records[0].type, IPC_BODY_DROP);
    assert_int_equal(e, ERR_GONE);
    assert_int_equal(ipc_send_committed(p.manager, &(struct ipc_committed){.transaction = 2}, -1), ERR_NONE);
    assert_int_equal(ipc_flush(p.manager), ERR_GONE);
    assert_int_equal(ipc_send_committed(p.manager, &(struct ipc_committed){.transaction = 3}, -1), ERR_GONE);
    close_pair(&p);
}

/* raw_record - a record as a liar would make it. */
static struct bytes raw_record(uint16_t magic, uint16_t version, uint16_t type, uint64_t sequence, uint32_t body_bytes, uint32_t really)
{
    struct buf b = BUF_OVER(again_memory);
    buf_put_le(&b, magic, 2);
    buf_put_le(&b, version, 2);
    buf_put_le(&b, type, 2);
    buf_put_le(&b, 0, 2);
    buf_put_le(&b, body_bytes, 4);
    buf_put_le(&b, 0, 4);
    buf_put_le(&b, sequence, 8);
    memset(again_memory + b.len, 0, really);
    return bytes_of(again_memory, b.len + really);
}

static void send_raw(int fd, struct bytes record, uint32_t fds)
{
    int descriptors[3] = {0, 0, 0};
    union { struct cmsghdr align; uint8_t octets[CMSG_SPACE(sizeof(descriptors))]; } control;
    memset(&control, 0, sizeof(control));
    struct iovec piece = {(void *)(uintptr_t)record.ptr, record.len};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fds > 0) {
        m.msg_control = control.octets;
        m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&m);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(head), descriptors, fds * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &m, 0), record.len);
}

static uint32_t open_descriptors(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_channel_lies_are_violations_and_leak_no_descriptor(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t magic, version, type;
        uint64_t sequence;
        uint32_t body_bytes, really, fds;
        enum err want;
    } cases[] = {
        {"good", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 8, 8, 0, ERR_NONE},
        {"magic", 1, IPC_VERSION, IPC_BODY_DROP, 1, 8, 8, 0, ERR_BAD_VERSION},
        {"version", IPC_MAGIC, IPC_VERSION + 1, IPC_BODY_DROP, 1, 8, 8, 0, ERR_BAD_VERSION},
        {"type", IPC_MAGIC, IPC_VERSION, 127, 1, 8, 8, 0, ERR_BAD_TYPE},
        {"type beyond the rows", IPC_MAGIC, IPC_VERSION, 60000, 1, 8, 8, 0, ERR_BAD_TYPE},
        {"direction", IPC_MAGIC, IPC_VERSION, IPC_COMMITTED, 1, 8, 8, 0, ERR_BAD_DIRECTION},
        {"another role's", IPC_MAGIC, IPC_VERSION, IPC_RESULT, 1, 8, 8, 0, ERR_BAD_DIRECTION},
        {"master's", IPC_MAGIC, IPC_VERSION, IPC_DIED, 1, 8, 8, 0, ERR_BAD_DIRECTION},
        {"sequence", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 2, 8, 8, 0, ERR_BAD_VALUE},
        {"short", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 9, 8, 0, ERR_SHORT},
        {"long", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 8, 9, 0, ERR_TRAILING},
        {"a descriptor", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 8, 8, 1, ERR_BAD_DESCRIPTOR},
        {"two descriptors", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 8, 8, 2, ERR_BAD_DESCRIPTOR},
        {"three descriptors", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 8, 8, 3, ERR_BAD_DESCRIPTOR},
        {"too big", IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 1, 8, IPC_RECORD_BYTES_MAX - 23, 0, ERR_TOO_LONG},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair p;
        open_pair(&p, true);
        static uint8_t big[IPC_RECORD_BYTES_MAX + 8];
        struct bytes record = raw_record(cases[i].magic, cases[i].version, cases[i].type, cases[i].sequence, cases[i].body_bytes,
            cases[i].want == ERR_TOO_LONG ? 8 : cases[i].really);
        if (cases[i].want == ERR_TOO_LONG) {
            memcpy(big, record.ptr, record.len);
            record = bytes_of(big, (uint32_t)IPC_HEADER_BYTES + cases[i].really);
        }
        uint32_t before = open_descriptors();
        send_raw(p.raw, record, cases[i].fds);
        send_raw(p.raw, raw_record(IPC_MAGIC, IPC_VERSION, IPC_BODY_DROP, 2, 8, 8), cases[i].want == ERR_NONE ? 0 : 1);
        struct ipc_record records[IPC_BATCH];
        enum err e;
        uint32_t n = ipc_receive(p.manager, records, IPC_BATCH, &e);
        if (e != cases[i].want) fail_msg("%s: %s", cases[i].name, err_text(e));
        assert_int_equal(n, e == ERR_NONE ? 2 : 0);
        assert_int_equal(open_descriptors(), before);
        close_pair(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_every_message_round_trips),
        cmocka_unit_test(test_codec_every_truncation_is_refused),
        cmocka_unit_test(test_codec_one_octet_more_is_refused),
        cmocka_unit_test(test_codec_random_octets_decode_or_are_refused),
        cmocka_unit_test(test_codec_value_over_maximum_is_refused_both_ways),
        cmocka_unit_test(test_codec_address_has_one_form),
        cmocka_unit_test(test_table_names_and_directions),
        cmocka_unit_test(test_print_foreign_octets_are_escaped),
        cmocka_unit_test(test_hosts_round_trip_and_truncations),
        cmocka_unit_test(test_addresses_round_trip_and_bad_family),
        cmocka_unit_test(test_channel_records_arrive_whole_and_in_order),
        cmocka_unit_test(test_channel_descriptor_travels_with_its_record),
        cmocka_unit_test(test_channel_full_socket_keeps_records_until_there_is_room),
        cmocka_unit_test(test_channel_records_of_a_dead_peer_are_read_before_its_end),
        cmocka_unit_test(test_channel_lies_are_violations_and_leak_no_descriptor),
    };
    return cmocka_run_group_tests_name("ipc", tests, NULL, NULL);
}
