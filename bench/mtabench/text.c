/*
 * text - see text.h.
 *
 * The filler is lines of 76 letters and digits without a dot, so that nothing needs stuffing. It is cut wherever the size wants it; the tail
 * begins with CR LF, and with another letter before that where the cut would fall between CR and LF.
 */
#include "bench/mtabench/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/must.h"
#include "smtp/stamp.h"

enum { LINE_BYTES = 78 };

static uint32_t name_bytes(const struct text *t)
{
    return t->run.len + 1 + IDENT_DIGITS;
}

static void put_name(struct text *t, struct buf *out)
{
    must(t->name_count < sizeof t->name_at / sizeof t->name_at[0]);
    t->name_at[t->name_count++] = out->len;
    ident_write(out, t->run, 0);
}

static void build_head(struct text *t, int64_t wall_s)
{
    struct buf out = BUF_OVER(t->head);
    BUF_LIT(&out, IDENT_FIELD ": ");
    put_name(t, &out);
    BUF_LIT(&out, "\r\nDate: ");
    smtp_date_write(&out, wall_s);
    BUF_LIT(&out, "\r\nFrom: Benchmark <source@from.example>\r\nTo: Benchmark <sink@to.example>\r\nSubject: mtabench ");
    put_name(t, &out);
    BUF_LIT(&out, "\r\nMessage-ID: <");
    put_name(t, &out);
    BUF_LIT(&out, "@mtabench.invalid>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
    must(!out.overflow);
    t->head_len = out.len;
}

static void fill(uint8_t *to, uint32_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    uint64_t random = 1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t column = i % LINE_BYTES;
        random = hash_mix(random + i);
        to[i] = (uint8_t)(column == LINE_BYTES - 2 ? '\r' : column == LINE_BYTES - 1 ? '\n' : letters[random % 64]);
    }
}

enum err text_init(struct text *t, struct bytes run, uint32_t bytes_max, int64_t wall_s)
{
    must(ident_run_valid(run) && bytes_max >= TEXT_BYTES_MIN);
    *t = (struct text){.run = run};
    build_head(t, wall_s);
    t->filler = malloc(bytes_max);
    if (!t->filler) return ERR_NO_MEMORY;
    t->filler_len = bytes_max;
    fill(t->filler, bytes_max);
    return ERR_NONE;
}

void text_fini(struct text *t)
{
    free(t->filler);
    *t = (struct text){0};
}

void text_head(const struct text *t, uint64_t number, struct buf *out)
{
    uint32_t start = out->len;
    uint8_t memory[IDENT_BYTES_MAX];
    struct buf name = BUF_OVER(memory);
    ident_write(&name, t->run, number);
    buf_put(out, bytes_of(t->head, t->head_len));
    must(!out->overflow && name.len == name_bytes(t));
    for (uint32_t i = 0; i < t->name_count; i++) memcpy(out->ptr + start + t->name_at[i], memory, name.len);
}

/* Octets between head and tail, and whether the tail begins with a letter more. */
static uint32_t filler_bytes(const struct text *t, uint32_t bytes, bool *one_more)
{
    uint32_t others = t->head_len + 2 + name_bytes(t) + 2;
    must(bytes >= TEXT_BYTES_MIN && bytes - others <= t->filler_len);
    uint32_t n = bytes - others;
    *one_more = n % LINE_BYTES == LINE_BYTES - 1;
    return *one_more ? n - 1 : n;
}

struct bytes text_filler(const struct text *t, uint32_t bytes)
{
    bool one_more;
    return bytes_of(t->filler, filler_bytes(t, bytes, &one_more));
}

void text_tail(const struct text *t, uint32_t bytes, uint64_t number, struct buf *out)
{
    bool one_more;
    (void)filler_bytes(t, bytes, &one_more);
    if (one_more) buf_put_c(out, 'x');
    BUF_LIT(out, "\r\n");
    ident_write(out, t->run, number);
    BUF_LIT(out, "\r\n.\r\n");
}
