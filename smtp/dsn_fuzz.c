/*
 * Fuzzer of reports: whatever strangers put into names, addresses, words and returned content, they add no line, no field
 * and no part.
 */
#include <stddef.h>

#include "base/must.h"
#include "smtp/dsn.h"
#include "smtp/dsn_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 8192 };

/* take_text - the next piece of the input: two octets of length, then so many octets or what there is. */
static struct bytes take_text(struct cursor *c)
{
    uint32_t n = (uint32_t)cursor_le(c, 2);
    return cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
}

static struct smtp_dsn_rcpt take_rcpt(struct cursor *c)
{
    struct smtp_dsn_rcpt r = {.last_attempt_wall_s = (int64_t)cursor_le(c, 8)};
    r.verdict.remote = cursor_le(c, 1) & 1;
    r.verdict.step = (uint8_t)cursor_le(c, 1);
    r.verdict.code = (uint16_t)(cursor_le(c, 2) % 600);
    r.verdict.enhanced.class = (uint8_t)(cursor_le(c, 1) % 6);
    r.address = take_text(c);
    r.orcpt = take_text(c);
    r.remote_mta = take_text(c);
    r.verdict.text = take_text(c);
    return r;
}

static void check_content(const struct smtp_dsn *d, struct bytes content)
{
    static uint8_t memory[2 * INPUT_BYTES_MAX];
    struct buf out = BUF_OVER(memory);
    if (!smtp_dsn_content(&out, d, content)) {
        must(out.len == 0);
        return;
    }
    must(!out.overflow && bytes_ends_nocase(buf_bytes(&out), content));
    struct dsn_check c = dsn_check_text(bytes_slice(buf_bytes(&out), 0, out.len - content.len), d->utf8);
    must(c.boundaries == 1);
    /* In what is returned no line is a delimiter: the same look would have found one more. */
    uint8_t delimiter_memory[64];
    struct buf delimiter = BUF_OVER(delimiter_memory);
    smtp_dsn_end(&delimiter, d);
    struct bytes line = bytes_slice(buf_bytes(&delimiter), 2, delimiter.len - 6);
    for (uint32_t i = 0; i + line.len <= content.len; i++) must(!bytes_starts(bytes_from(content, i), line));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) return 0;
    static uint8_t memory[32 * 1024];
    struct cursor c = cursor_over(bytes_of(data, (uint32_t)size));
    struct buf out = BUF_OVER(memory);
    struct smtp_dsn d = {.kind = (enum smtp_dsn_kind)(cursor_le(&c, 1) % (SMTP_DSN_EXPIRED + 1)), .boundary_seed = cursor_le(&c, 1)};
    uint64_t flags = cursor_le(&c, 1);
    d.utf8 = flags & 1;
    d.full = flags & 2;
    d.arrival_wall_s = d.now_wall_s = d.retry_until_wall_s = (int64_t)cursor_le(&c, 8);
    d.reporting_mta = take_text(&c);
    d.envid = take_text(&c);
    d.to = take_text(&c);
    d.original_id = take_text(&c);
    d.own_id = take_text(&c);
    struct smtp_dsn_rcpt first = take_rcpt(&c), second = take_rcpt(&c);

    smtp_dsn_begin(&out, &d);
    smtp_dsn_human(&out, &d, &first);
    smtp_dsn_human(&out, &d, &second);
    smtp_dsn_machine_begin(&out, &d);
    smtp_dsn_machine_rcpt(&out, &d, &first);
    smtp_dsn_machine_rcpt(&out, &d, &second);
    smtp_dsn_end(&out, &d);
    must(!out.overflow);
    struct dsn_check check = dsn_check_text(buf_bytes(&out), d.utf8);
    must(check.boundaries == 3 && check.froms == 1 && check.tos == 1 && check.final_recipients == 2);
    check_content(&d, take_text(&c));
    return 0;
}
