/*
 * ident - see ident.h.
 */
#include "bench/mtabench/ident.h"

bool ident_run_valid(struct bytes run)
{
    if (run.len == 0 || run.len > IDENT_RUN_BYTES_MAX) return false;
    for (uint32_t i = 0; i < run.len; i++) {
        if (!ascii_is_alpha(run.ptr[i]) && !ascii_is_digit(run.ptr[i])) return false;
    }
    return true;
}

void ident_write(struct buf *out, struct bytes run, uint64_t number)
{
    buf_put(out, run);
    buf_put_c(out, '-');
    buf_put_pad(out, number, IDENT_DIGITS);
}

bool ident_parse(struct bytes text, struct bytes *run, uint64_t *number)
{
    uint32_t dash = bytes_find(text, '-');
    uint64_t value = 0;
    struct bytes name = bytes_slice(text, 0, dash);
    if (!ident_run_valid(name) || !bytes_to_u64(bytes_from(text, dash + 1), &value) || value == 0) return false;
    *run = name;
    *number = value;
    return true;
}
