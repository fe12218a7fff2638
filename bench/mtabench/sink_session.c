/*
 * sink_session - see sink_session.h.
 */
#include "bench/mtabench/sink_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

enum { OUT_FIRST_BYTES = 512 };

static void put(struct sink_session *s, struct bytes text)
{
    struct sink_out *out = &s->out;
    if (text.len > out->cap - out->len) {
        uint32_t cap = out->cap ? out->cap : OUT_FIRST_BYTES;
        while (cap - out->len < text.len && cap < SINK_OUT_BYTES_MAX) cap *= 2;
        uint8_t *ptr = cap - out->len < text.len ? NULL : realloc(out->ptr, cap);
        if (!ptr) {
            s->ending = true;
            return;
        }
        out->ptr = ptr;
        out->cap = cap;
    }
    memcpy(out->ptr + out->len, text.ptr, text.len);
    out->len += text.len;
}
#define PUT(s, literal) put((s), BYTES(literal "\r\n"))

static void put_code(struct sink_session *s, uint16_t code)
{
    uint8_t memory[64];
    struct buf line = BUF_OVER(memory);
    buf_put_u64(&line, code);
    buf_put_c(&line, ' ');
    buf_put_u64(&line, code / 100);
    BUF_LIT(&line, ".3.0 refused on purpose\r\n");
    put(s, buf_bytes(&line));
}

static void end_transaction(struct sink_session *s)
{
    s->mail = s->content = s->late_drop = false;
    s->rcpts = 0;
    s->late_code = 0;
    s->slow_ns = 0;
}

static void drop(struct sink_session *s, struct sink_common *k)
{
    k->counts.dropped++;
    s->ending = true;
    s->out.len = 0;
}

/* ---- commands ---- */

static void on_ehlo(struct sink_session *s, struct sink_common *k, bool extended)
{
    uint8_t memory[HOST_NAME_BYTES_MAX + 128];
    struct buf text = BUF_OVER(memory);
    end_transaction(s);
    if (extended && k->no_ehlo) return PUT(s, "502 5.5.1 not here");
    buf_put_cstr(&text, extended ? "250-" : "250 ");
    buf_put(&text, k->hostname);
    if (extended && !k->no_pipelining) BUF_LIT(&text, "\r\n250-PIPELINING");
    if (extended) BUF_LIT(&text, "\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES");
    BUF_LIT(&text, "\r\n");
    put(s, buf_bytes(&text));
}

static void on_mail(struct sink_session *s, struct sink_common *k, struct bytes argument)
{
    if (s->mail) return PUT(s, "503 5.5.1 one at a time");
    s->mail = true;
    if (k->people.by_domain) s->sender = hash_bytes_nocase(*k->key, bytes_slice(argument, 0, bytes_find(argument, '>')));
    PUT(s, "250 2.1.0 Ok");
}

static struct bytes domain_of(struct bytes address)
{
    return bytes_from(address, bytes_find_last(address, '@') + 1);
}

/* Whether a recipient is taken, by the personality of its domain. What it means for the whole message is remembered until the end of data. */
static bool meet(struct sink_session *s, struct sink_common *k, struct bytes address)
{
    struct personality *one = personality_for_domain(&k->people, domain_of(address));
    if (!one) return true;
    uint64_t pair = s->sender ^ hash_bytes_nocase(*k->key, address);
    uint16_t code = personality_refusal(&k->people, one, pair, k->now_ns);
    if (code) {
        k->counts.refused_recipients++;
        put_code(s, code);
        return false;
    }
    if (one->kind == PERSONALITY_DISCONNECT && !one->at_data) {
        drop(s, k);
        return false;
    }
    if (one->kind == PERSONALITY_DISCONNECT) s->late_drop = true;
    if (one->kind == PERSONALITY_REFUSE) s->late_code = one->code;
    if (one->kind == PERSONALITY_TARPIT) s->tarpit_ns = one->ns;
    if (one->kind == PERSONALITY_SLOW && one->ns > s->slow_ns) s->slow_ns = one->ns;
    return true;
}

static void on_rcpt(struct sink_session *s, struct sink_common *k, struct bytes argument)
{
    if (!s->mail) return PUT(s, "503 5.5.1 MAIL first");
    struct bytes address = bytes_slice(argument, 0, bytes_find(argument, '>'));
    address = bytes_from(address, bytes_find(address, '<') + 1);
    if (k->people.by_domain && !meet(s, k, address)) return;
    s->rcpts++;
    PUT(s, "250 2.1.5 Ok");
}

static void on_data(struct sink_session *s)
{
    if (s->rcpts == 0) return PUT(s, "554 5.5.1 no valid recipients");
    PUT(s, "354 go on");
    s->content = true;
    scan_begin(&s->scan);
}

#define VERB(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static uint32_t verb_of(struct bytes line)
{
    if (line.len < 4) return 0;
    return VERB(ascii_lower(line.ptr[0]), ascii_lower(line.ptr[1]), ascii_lower(line.ptr[2]), ascii_lower(line.ptr[3]));
}

static void on_command(struct sink_session *s, struct sink_common *k, struct bytes line)
{
    struct bytes argument = bytes_from(line, 4);
    switch (verb_of(line)) {
    case VERB('e', 'h', 'l', 'o'): return on_ehlo(s, k, true);
    case VERB('h', 'e', 'l', 'o'): return on_ehlo(s, k, false);
    case VERB('m', 'a', 'i', 'l'): return on_mail(s, k, argument);
    case VERB('r', 'c', 'p', 't'): return on_rcpt(s, k, argument);
    case VERB('d', 'a', 't', 'a'): return on_data(s);
    case VERB('r', 's', 'e', 't'): end_transaction(s); return PUT(s, "250 2.0.0 Ok");
    case VERB('n', 'o', 'o', 'p'): return PUT(s, "250 2.0.0 Ok");
    case VERB('v', 'r', 'f', 'y'): return PUT(s, "252 2.0.0 perhaps");
    case VERB('q', 'u', 'i', 't'): s->ending = true; return PUT(s, "221 2.0.0 bye");
    default: return PUT(s, "500 5.5.2 not known here");
    }
}

/* ---- content ---- */

static void take_message(struct sink_session *s, struct sink_common *k)
{
    struct bytes run;
    uint64_t number;
    k->counts.messages++;
    k->counts.recipients += s->rcpts;
    bool named = ident_parse(scan_name(&s->scan), &run, &number) && ledger_add(&k->ledger, run, number, s->rcpts) == ERR_NONE;
    k->counts.unnamed += !named;
    k->counts.damaged += named && !scan_is_whole(&s->scan);
    PUT(s, "250 2.0.0 Ok");
}

static void on_content_end(struct sink_session *s, struct sink_common *k)
{
    k->counts.bytes += s->scan.bytes;
    if (s->slow_ns) s->hold_ns = k->now_ns + s->slow_ns;
    if (s->late_drop) {
        drop(s, k);
    } else if (s->late_code) {
        k->counts.refused_messages++;
        put_code(s, s->late_code);
    } else {
        take_message(s, k);
    }
    end_transaction(s);
}

/* ---- input ---- */

/* The next line of `in`, or false when it is not whole yet. Lines are used where they lie; only one that a read cut in two is put together. */
static bool take_line(struct sink_session *s, struct bytes *in, struct bytes *line)
{
    uint32_t end = bytes_find(*in, '\n');
    bool whole = end < in->len;
    *line = bytes_slice(*in, 0, end);
    *in = bytes_from(*in, end + 1);
    if (s->line_len > 0 || !whole) {
        struct buf kept = {s->line, s->line_len, sizeof s->line, false};
        buf_put_cut(&kept, *line);
        s->too_long = s->too_long || kept.overflow;
        s->line_len = whole ? 0 : kept.len;
        *line = buf_bytes(&kept);
    }
    if (whole && line->len > 0 && line->ptr[line->len - 1] == '\r') line->len--;
    return whole;
}

static void on_octets(struct sink_session *s, struct sink_common *k, struct bytes in)
{
    while (in.len > 0 && !s->ending) {
        struct bytes line;
        uint32_t used;
        if (s->content) {
            bool ended = scan_feed(&s->scan, in, &used);
            in = bytes_from(in, used);
            if (ended) on_content_end(s, k);
        } else if (take_line(s, &in, &line)) {
            if (s->too_long) PUT(s, "500 5.5.2 line too long");
            else on_command(s, k, line);
            s->too_long = false;
        }
    }
}

void sink_session_input(struct sink_session *s, struct sink_common *k, struct bytes in)
{
    bool was_empty = s->out.len == 0;
    on_octets(s, k, in);
    if (s->tarpit_ns && was_empty && s->hold_ns < k->now_ns + s->tarpit_ns) s->hold_ns = k->now_ns + s->tarpit_ns;
}

void sink_session_greet(struct sink_session *s, struct sink_common *k, const struct net_address *own)
{
    const struct personality *one = own->family ? personality_for_address(&k->people, own) : NULL;
    k->counts.connections++;
    if (one && one->kind == PERSONALITY_DISCONNECT) return drop(s, k);
    if (one && one->kind == PERSONALITY_REFUSE) {
        s->ending = true;
        return put_code(s, one->code);
    }
    if (one && one->kind == PERSONALITY_TARPIT) s->tarpit_ns = one->ns;
    if (one && (one->kind == PERSONALITY_TARPIT || one->kind == PERSONALITY_SLOW)) s->hold_ns = k->now_ns + one->ns;
    put(s, BYTES("220 "));
    put(s, k->hostname);
    put(s, BYTES(" ESMTP mtabench\r\n"));
}

uint32_t sink_session_leaving(struct sink_session *s, uint64_t now_ns)
{
    if (s->out.len == 0 || s->hold_ns > now_ns) return 0;
    if (!s->tarpit_ns) return s->out.len;
    uint32_t end = bytes_find(bytes_of(s->out.ptr, s->out.len), '\n');
    s->hold_ns = now_ns + s->tarpit_ns;
    return end < s->out.len ? end + 1 : end;
}
