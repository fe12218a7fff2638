/*
 * codec - encoder, decoder and printer of every message, made from the table in messages.h.
 *
 * A body is its fields one after another, integers little-endian, `bytes` with a u32 count in front. No struct is ever copied as memory:
 * padding would leak to a process that is trusted less. A value outside its range is a result in both directions: lengths of what we send
 * come from strangers as well, and a message that cannot be sent must not end a process. Knows nothing of sockets.
 */
#include <assert.h>
#include <string.h>

#include "mta/ipc/codec.h"
#include "mta/ipc/ipc.h"

/* Address: family, 16 octets, port. */
enum { ADDRESS_BYTES = 19 };

/* ---- compile-time: every message fits one record, whatever it holds ---- */
#define MOST_u8(max) 1
#define MOST_u16(max) 2
#define MOST_u32(max) 4
#define MOST_u64(max) 8
#define MOST_i64(max) 8
#define MOST_bytes(max) (4 + (max))
#define MOST_id(max) 8
#define MOST_addr(max) ADDRESS_BYTES
#define FIELD_MOST(kind, name, max) +MOST_##kind(max)
#define MESSAGE_MOST(id, NAME, name, from, to, fd, FIELDS) \
    enum { BODY_BYTES_MAX_##NAME = 0 FIELDS(FIELD_MOST) }; \
    static_assert((int)BODY_BYTES_MAX_##NAME + (int)IPC_HEADER_BYTES <= (int)IPC_RECORD_BYTES_MAX, #NAME " does not fit a record"); \
    static_assert((id) > 0 && (id) < IPC_TYPES_MAX, #NAME " has a number that the rows do not reach");
IPC_MESSAGES(MESSAGE_MOST)

/* ---- rows ---- */
#define MESSAGE_ROW(id, NAME, name, from, to, fd, FIELDS) [id] = {#NAME, ROLE_##from, ROLE_##to, fd},
static const struct ipc_row rows[IPC_TYPES_MAX] = {IPC_MESSAGES(MESSAGE_ROW)};

const struct ipc_row *ipc_row(uint16_t type)
{
    return type < IPC_TYPES_MAX && rows[type].name != NULL ? &rows[type] : NULL;
}

bool ipc_type_known(uint16_t type)
{
    return ipc_row(type) != NULL;
}

const char *ipc_type_name(enum ipc_type type)
{
    const struct ipc_row *row = ipc_row((uint16_t)type);
    return row != NULL ? row->name : "unknown";
}

static bool side_fits(uint8_t want, enum ipc_role have)
{
    return want == ROLE_ANY ? have != ROLE_MASTER : want == (uint8_t)have;
}

bool ipc_direction_ok(enum ipc_type type, enum ipc_role from, enum ipc_role to)
{
    const struct ipc_row *row = ipc_row((uint16_t)type);
    return row != NULL && side_fits(row->from, from) && side_fits(row->to, to);
}

bool ipc_roles_talk(enum ipc_role a, enum ipc_role b)
{
    for (uint16_t type = 0; type < IPC_TYPES_MAX; type++) {
        if (ipc_direction_ok((enum ipc_type)type, a, b) || ipc_direction_ok((enum ipc_type)type, b, a)) return true;
    }
    return false;
}

/* ---- the hash: of the table's own text, so that any change of it changes the hash ---- */
#define FIELD_TEXT(kind, name, max) #kind " " #name " " #max ";"
#define MESSAGE_TEXT(id, NAME, name, from, to, fd, FIELDS) #id " " #NAME " " #from " " #to " " #fd ":" FIELDS(FIELD_TEXT) "\n"
static const char list_text[] = IPC_MESSAGES(MESSAGE_TEXT);

uint64_t ipc_list_hash(void)
{
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a: the text is our own, nobody aims collisions at it */
    for (uint32_t i = 0; i < sizeof(list_text) - 1; i++) {
        hash ^= (uint8_t)list_text[i];
        hash *= 0x100000001b3ULL;
    }
    return hash ^ IPC_VERSION;
}

/* ---- encode ---- */
struct writer {
    struct buf *out;
    enum err e; /* the first failure */
};

static void refuse(struct writer *w, enum err e)
{
    if (w->e == ERR_NONE) w->e = e;
}

static void put_number(struct writer *w, uint64_t value, uint32_t n, uint64_t max)
{
    if (max != 0 && value > max) refuse(w, ERR_BAD_VALUE);
    buf_put_le(w->out, value, n);
}

static void put_slice(struct writer *w, struct bytes value, uint32_t max)
{
    if (value.len > max) refuse(w, ERR_TOO_LONG);
    buf_put_le(w->out, value.len, 4);
    buf_put(w->out, value);
}

static void put_address(struct writer *w, const struct net_address *value)
{
    buf_put_c(w->out, value->family);
    buf_put(w->out, bytes_of(value->ip, 16));
    buf_put_le(w->out, value->port, 2);
}

#define PUT_u8(value, max) put_number(&w, value, 1, max)
#define PUT_u16(value, max) put_number(&w, value, 2, max)
#define PUT_u32(value, max) put_number(&w, value, 4, max)
#define PUT_u64(value, max) put_number(&w, value, 8, max)
#define PUT_i64(value, max) put_number(&w, (uint64_t)(value), 8, 0)
#define PUT_bytes(value, max) put_slice(&w, value, max)
#define PUT_id(value, max) put_number(&w, (value).v, 8, 0)
#define PUT_addr(value, max) put_address(&w, &(value))
#define FIELD_PUT(kind, name, max) PUT_##kind(m->name, max);

/* ---- exact size, so that a record can be built in its final place ---- */
#define SIZE_u8(value) 1
#define SIZE_u16(value) 2
#define SIZE_u32(value) 4
#define SIZE_u64(value) 8
#define SIZE_i64(value) 8
#define SIZE_bytes(value) 4 + (value).len
#define SIZE_id(value) 8
#define SIZE_addr(value) ADDRESS_BYTES
#define FIELD_SIZE(kind, name, max) +SIZE_##kind(m->name)

/* ---- decode ---- */
struct reader {
    struct cursor in;
    enum err e; /* the first failure */
};

static void fail(struct reader *r, enum err e)
{
    if (r->e == ERR_NONE) r->e = e;
}

static uint64_t get_number(struct reader *r, uint32_t n, uint64_t max)
{
    uint64_t value = cursor_le(&r->in, n);
    if (r->in.failed) fail(r, ERR_SHORT);
    else if (max != 0 && value > max) fail(r, ERR_BAD_VALUE);
    return value;
}

static struct bytes get_slice(struct reader *r, uint32_t max)
{
    uint32_t n = (uint32_t)get_number(r, 4, 0);
    if (n > max) fail(r, ERR_TOO_LONG);
    if (r->e != ERR_NONE) return (struct bytes){0};
    struct bytes value = cursor_take(&r->in, n);
    if (r->in.failed) fail(r, ERR_SHORT);
    return value;
}

/* get_address - only the one form that an address has, so that equal addresses have equal octets. */
static struct net_address get_address(struct reader *r)
{
    struct net_address a = {0};
    a.family = (uint8_t)get_number(r, 1, 0);
    struct bytes ip = cursor_take(&r->in, 16);
    a.port = (uint16_t)get_number(r, 2, 0);
    if (r->e != ERR_NONE) return (struct net_address){0};
    uint32_t used = a.family == NET_IPV4 ? 4 : a.family == NET_IPV6 || a.family == NET_UNIX ? 16 : 0;
    if (a.family != NET_NONE && used == 0) fail(r, ERR_BAD_VALUE);
    for (uint32_t i = 0; i < 16; i++) {
        if (i >= used && ip.ptr[i] != 0) fail(r, ERR_BAD_VALUE);
        a.ip[i] = ip.ptr[i];
    }
    return a;
}

#define GET_u8(max) (uint8_t)get_number(&r, 1, max)
#define GET_u16(max) (uint16_t)get_number(&r, 2, max)
#define GET_u32(max) (uint32_t)get_number(&r, 4, max)
#define GET_u64(max) get_number(&r, 8, max)
#define GET_i64(max) (int64_t)get_number(&r, 8, 0)
#define GET_bytes(max) get_slice(&r, max)
#define GET_id(max) (struct message_id){get_number(&r, 8, 0)}
#define GET_addr(max) get_address(&r)
#define FIELD_GET(kind, name, max) m->name = GET_##kind(max);

#define MESSAGE_CODEC(id, NAME, name, from, to, fd, FIELDS) \
    uint32_t ipc_size_##name(const struct ipc_##name *m) \
    { \
        (void)m; /* a message of fixed size does not look at it */ \
        return 0 FIELDS(FIELD_SIZE); \
    } \
    enum err ipc_encode_##name(struct buf *out, const struct ipc_##name *m) \
    { \
        struct writer w = {out, ERR_NONE}; \
        if (buf_room(out) < ipc_size_##name(m)) return ERR_TOO_LONG; \
        FIELDS(FIELD_PUT) \
        return w.e; \
    } \
    enum err ipc_decode_##name(struct bytes in, struct ipc_##name *m) \
    { \
        struct reader r = {cursor_over(in), ERR_NONE}; \
        memset(m, 0, sizeof(*m)); \
        FIELDS(FIELD_GET) \
        if (cursor_left(&r.in) != 0) fail(&r, ERR_TRAILING); \
        return r.e; \
    }
IPC_MESSAGES(MESSAGE_CODEC)

/* ---- print ---- */
static void print_id(struct buf *out, struct message_id id)
{
    if (id.v == 0) BUF_LIT(out, "none");
    else message_id_print(out, id);
}

enum { PRINT_BYTES_MAX = 64 }; /* octets of one field in a trace line */

#define PRINT_u8(value) buf_put_u64(out, value)
#define PRINT_u16(value) buf_put_u64(out, value)
#define PRINT_u32(value) buf_put_u64(out, value)
#define PRINT_u64(value) buf_put_u64(out, value)
#define PRINT_i64(value) buf_put_i64(out, value)
#define PRINT_bytes(value) buf_put_escaped(out, value, PRINT_BYTES_MAX)
#define PRINT_id(value) print_id(out, value)
#define PRINT_addr(value) net_print_ip_port(out, &(value))
#define FIELD_PRINT(kind, name, max) \
    BUF_LIT(out, " " #name "="); \
    PRINT_##kind(m.name);
#define MESSAGE_PRINT(id, NAME, name, from, to, fd, FIELDS) \
    case IPC_##NAME: { \
        struct ipc_##name m; \
        e = ipc_decode_##name(body, &m); \
        if (e != ERR_NONE) break; \
        FIELDS(FIELD_PRINT) \
        return; \
    }

void ipc_print(struct buf *out, enum ipc_type type, struct bytes body)
{
    enum err e = ERR_BAD_TYPE;
    buf_put_cstr(out, ipc_type_name(type));
    switch (type) {
        IPC_MESSAGES(MESSAGE_PRINT)
    case IPC_NONE:
        break;
    }
    BUF_LIT(out, " (");
    buf_put_cstr(out, err_text(e));
    BUF_LIT(out, ")");
}
