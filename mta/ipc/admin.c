/*
 * admin - the request line of mtactl, both ways, from the tables in admin.h.
 */
#include "mta/ipc/admin.h"

#include <stddef.h>
#include <stdint.h>

#include "mta/ipc/ipc.h"

struct verb { const char *word; bool changes, destructive; };

#define VERB_ROW(name, word, changes, destructive) [ADMIN_##name] = {word, changes, destructive},
static const struct verb verbs[ADMIN_VERB_COUNT] = {ADMIN_VERBS(VERB_ROW)};

static const char *const states[ADMIN_STATE_COUNT] = {"any", "active", "deferred", "held"};

const char *admin_verb_word(enum admin_verb verb) { return verb > ADMIN_NONE && verb < ADMIN_VERB_COUNT ? verbs[verb].word : "unknown"; }
bool admin_verb_changes(enum admin_verb verb) { return verb < ADMIN_VERB_COUNT && verbs[verb].changes; }
bool admin_verb_destructive(enum admin_verb verb) { return verb < ADMIN_VERB_COUNT && verbs[verb].destructive; }
const char *admin_state_word(enum admin_state state) { return state < ADMIN_STATE_COUNT ? states[state] : "unknown"; }

enum admin_state admin_state_find(struct bytes word)
{
    for (uint32_t i = 0; i < ADMIN_STATE_COUNT; i++)
        if (bytes_equal(bytes_of_cstr(states[i]), word)) return (enum admin_state)i;
    return ADMIN_STATE_COUNT;
}

static enum admin_verb verb_find(struct bytes word)
{
    for (uint32_t i = ADMIN_NONE + 1; i < ADMIN_VERB_COUNT; i++)
        if (bytes_equal(bytes_of_cstr(verbs[i].word), word)) return (enum admin_verb)i;
    return ADMIN_NONE;
}

/* ---- put ---- */

static bool is_plain(uint8_t c) { return c > ' ' && c < 127 && c != '%'; }

static void put_value(struct buf *line, struct bytes value)
{
    for (uint32_t i = 0; i < value.len; i++) {
        if (is_plain(value.ptr[i])) {
            buf_put_c(line, value.ptr[i]);
        } else {
            buf_put_c(line, '%');
            buf_put_hex(line, value.ptr[i], 2);
        }
    }
}

static void put_key(struct buf *line, const char *key)
{
    buf_put_c(line, ' ');
    buf_put_cstr(line, key);
    buf_put_c(line, '=');
}

static void put_flag(struct buf *line, const char *key, uint8_t value)
{
    if (!value) return;
    put_key(line, key);
    buf_put_c(line, '1');
}

static void put_id(struct buf *line, const char *key, struct message_id value)
{
    if (!value.v) return;
    put_key(line, key);
    message_id_print(line, value);
}

static void put_state(struct buf *line, const char *key, uint8_t value)
{
    if (!value) return;
    put_key(line, key);
    buf_put_cstr(line, admin_state_word((enum admin_state)value));
}

static void put_number(struct buf *line, const char *key, uint64_t value)
{
    if (!value) return;
    put_key(line, key);
    buf_put_u64(line, value);
}

/* Times are never negative: a key of kind `signed` is so only for the C type of its member. */
static void put_signed(struct buf *line, const char *key, int64_t value) { put_number(line, key, value > 0 ? (uint64_t)value : 0); }

static void put_text(struct buf *line, const char *key, struct bytes value)
{
    if (!value.len) return;
    put_key(line, key);
    put_value(line, value);
}

#define KEY_PUT(kind, member, key) put_##kind(line, key, m->member);

void admin_line_put(struct buf *line, const struct ipc_admin *m)
{
    BUF_LIT(line, "mta1 ");
    buf_put_cstr(line, admin_verb_word((enum admin_verb)m->verb));
    ADMIN_KEYS(KEY_PUT)
    buf_put_c(line, '\n');
}

/* ---- parse ---- */

static int hex(uint8_t c) { return ascii_is_digit(c) ? c - '0' : ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1; }

/* unescape - append a value to texts; false for a broken escape, an octet that should have been one, or no room. */
static bool unescape(struct bytes in, struct buf *texts, struct bytes *out)
{
    uint32_t from = texts->len;
    for (uint32_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (c == '%') {
            bool whole = in.len - i > 2;
            int high = whole ? hex(in.ptr[i + 1]) : -1, low = whole ? hex(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (!is_plain(c)) {
            return false;
        }
        buf_put_c(texts, c);
    }
    *out = bytes_of(texts->ptr + from, texts->len - from);
    return !texts->overflow;
}

static bool get_flag(struct bytes value, uint8_t *out)
{
    *out = 1;
    return bytes_equal(value, BYTES("1"));
}

static bool get_id(struct bytes value, struct message_id *out) { return message_id_parse(value, out); }

static bool get_state(struct bytes value, uint8_t *out)
{
    enum admin_state state = admin_state_find(value);
    *out = state < ADMIN_STATE_COUNT ? (uint8_t)state : 0;
    return state < ADMIN_STATE_COUNT;
}

static bool get_number(struct bytes value, uint64_t *out) { return bytes_to_u64(value, out); }

static bool get_signed(struct bytes value, int64_t *out)
{
    enum { SECONDS_BITS = 52 }; /* so that microseconds of it do not overflow by far */
    uint64_t number;
    if (!bytes_to_u64(value, &number) || number >> SECONDS_BITS) return false;
    *out = (int64_t)number;
    return true;
}

static bool get_text(struct bytes value, struct bytes *out)
{
    *out = value;
    return value.len > 0;
}

#define KEY_GET(kind, member, key) \
    if (bytes_equal(name, BYTES(key))) return get_##kind(value, &m->member);

static bool get(struct bytes name, struct bytes value, struct ipc_admin *m)
{
    ADMIN_KEYS(KEY_GET)
    return false;
}

/* What the message to the manager would refuse is refused here, where somebody can be told. */
static bool texts_fit(const struct ipc_admin *m)
{
    return m->to.len <= MAIL_ADDRESS_BYTES_MAX && m->from.len <= MAIL_ADDRESS_BYTES_MAX && m->domain.len <= HOST_NAME_BYTES_MAX &&
           m->site.len <= HOST_NAME_BYTES_MAX && m->route.len <= 64 && m->client.len <= 64 && m->reason.len <= 256;
}

static struct bytes next_word(struct bytes *rest)
{
    struct bytes word = bytes_slice(*rest, 0, bytes_find(*rest, ' '));
    *rest = bytes_from(*rest, word.len + 1);
    return word;
}

enum err admin_line_parse(struct bytes line, struct buf *texts, struct ipc_admin *m, const char **why)
{
    *m = (struct ipc_admin){0};
    *why = "this mtad speaks another version of the control protocol; use the mtactl that came with it";
    if (!bytes_equal(next_word(&line), BYTES("mta1"))) return ERR_BAD_VERSION;
    *why = "unknown verb";
    enum admin_verb verb = verb_find(next_word(&line));
    if (verb == ADMIN_NONE) return ERR_BAD_TYPE;
    m->verb = (uint8_t)verb;
    while (line.len) {
        struct bytes word = next_word(&line), value;
        uint32_t equals = bytes_find(word, '=');
        *why = "a word of the request is not key=value, or its value cannot be";
        if (equals == word.len || !unescape(bytes_from(word, equals + 1), texts, &value)) return ERR_BAD_VALUE;
        if (!get(bytes_slice(word, 0, equals), value, m)) return ERR_BAD_VALUE;
    }
    *why = "a text of the request is too long";
    return texts_fit(m) ? ERR_NONE : ERR_TOO_LONG;
}
